"""Thermodynamic K-FAC: the factors of each layer go to a device, which inverts them or solves with the gradient."""

from functools import partial
from typing import Any, NamedTuple

import numpy as np

from .. import _validation
from .._typing import Arrays, FloatArray, RNGLike
from .._validation import fraction
from ..curvature import Damped, KroneckerCurvature, Tracking
from ..hardware.device import Device
from ..numerics.threads import run_chains
from ..operators import Dense
from .factor_device import FactorDevice, Outcome
from .protocol import Move, Optimizer, State

METHODS = ("invert", "solve")
SIDES = ("A", "G")
_NOTHING: float | None = 0.0  # joules, which stay unknown once one run's are


class _Layer(NamedTuple):
    """One block of the parameters as the device meets it."""

    number: int
    block: KroneckerCurvature
    gradient: np.ndarray  # (p, r)
    fresh: bool  # whether its factors are programmed in this step


class ThermodynamicKFAC(Optimizer):
    r"""K-FAC whose update ``G^-1 (grad W) A^-1`` is left to a thermodynamic computer, layer by layer.

    Parameters
    ----------
    learning_rate : float
    damping : float
        Positive; shared out between the factors by `split` (a device holds one factor at a time, so the exact damping
        of their product is out of its reach), and added before a factor is rounded.
    device : Device, optional
        Default an ideal one at beta = inf.
    method : "solve" or "invert"
        - "solve" (method 2): the columns of the gradient are right-hand sides, first on A, then on G: p + r runs a
          step, n^2 numbers each way, and no digital product;
        - "invert" (method 1): both factors are inverted when they are programmed, from the covariance of the voltages;
          the digital host multiplies, which leaves ``2 p r (p + r)`` operations a step.
    duration, n_reads : optional
        Of each run, at most one: an integrator's time [RC] ("solve" only), or reads that the host averages. Default:
        one read of each solution after the burn-in; for "invert" the limit of many reads, whose time is not modelled.
    burn_in : "auto" or float
        As in `thermolinalg.solve`. "auto" bounds the bias of each solve in the norm over all its columns; those of the
        two solves add, and an entry of the step may have several tenths of its standard deviation.
    split : "pi", "even" or "each"
        See `KroneckerCurvature.split`.
    members : int
        Error mitigation: each run goes through a rounding ensemble of so many members (`thermolinalg.mitigate`).
    mitigation : "digits" or "stochastic"
        Kind of that ensemble.
    refine : bool
        Iterative refinement of each solution to `rtol`, as in `thermolinalg.solve` ("solve" only).
    rtol : float, optional
        Relative error at which refinement stops.
    momentum : float
        Heavy ball on the preconditioned gradient, in [0, 1).
    tracking : Tracking, optional
        Averages the factors; its interval (or staleness) says when they are programmed anew. Default every 10 steps.
    n_devices : int
        Devices that share the layers, each layer going to the one that is free first: they divide time, not energy.
    workers : int, optional
        Threads of the simulation, over layers; any number gives the same bits.
    rng : {None, int, Generator, ...}, optional
        Fixes the noise of all steps; None is fresh entropy.

    Raises
    ------
    ValueError
        A parameter out of its range, or one that the method has no use for.
    NotPositiveDefinite
        In a step, where rounding leaves a factor indefinite; with the layer and the word length that would do.

    See Also
    --------
    KFAC : The digital rival.
    thermolinalg.mitigate : Rounding ensembles.
    thermolinalg.solve : What one run on the device is.
    thermolinalg.optimizers : What learning_rate, damping, momentum, tracking, device and rng mean for all of them.

    Notes
    -----
    Blocks of the curvature that are no Kronecker products (norm gains, embeddings) are damped and inverted by the
    digital host. With beta = inf and ideal converters the step is that of `KFAC` with the same split.

    A factor is paid for when it is programmed and stays until the next refresh: the device is taken to have cells of
    their own for all factors (and members of an ensemble) that it serves. One that has room for a single factor would
    load them all, the ``loading_seconds`` of a refresh, at every step.

    Report: ``device_seconds`` is the time of the busiest device; `details` has ``loading_seconds`` of all factors
    programmed in the step, ``programmed_layers``, and ``condition_number``, the largest of a damped factor.

    Source: Donatella et al., arXiv:2502.08603 (its overview: factors are sent to the solver, which inverts them or
    solves with them, for several layers in parallel). Scaling, damping split, protocol and all constants are ours.

    Examples
    --------
    >>> import numpy as np, thermolinalg as tl
    >>> F = tl.curvature.KroneckerCurvature(np.diag([1.0, 2.0]), np.diag([3.0, 5.0]))
    >>> optimizer = tl.optimizers.ThermodynamicKFAC(0.1, damping=1e-3, device=tl.Device(beta=1e6), rng=0)
    >>> theta, state = optimizer.step(np.zeros(4), np.ones(4), F, optimizer.init(np.zeros(4)))
    >>> exact = tl.optimizers.ThermodynamicKFAC(0.1, damping=1e-3)
    >>> bool(np.linalg.norm(theta - exact.step(np.zeros(4), np.ones(4), F, exact.init(np.zeros(4)))[0]) < 1e-3)
    True
    """

    needs = "kronecker"

    def __init__(
        self,
        learning_rate: float,
        damping: float,
        *,
        device: Device | None = None,
        method: str = "solve",
        duration: float | None = None,
        n_reads: int | None = None,
        burn_in: str | float = "auto",
        split: str = "pi",
        members: int = 0,
        mitigation: str = "digits",
        refine: bool = False,
        rtol: float | None = None,
        momentum: float = 0.0,
        tracking: Tracking | None = None,
        n_devices: int = 1,
        workers: int | None = None,
        rng: RNGLike = None,
    ) -> None:
        self.learning_rate = _validation.positive(learning_rate, "learning_rate")
        self.damping = _validation.positive(damping, "damping")
        self.method = _validation.choice(method, "method", METHODS)
        if method == "invert" and (duration is not None or refine or rtol is not None):
            raise ValueError('duration, refine and rtol belong to method="solve"; method="invert" takes n_reads')
        device = Device(beta=np.inf) if device is None else device
        self.host = FactorDevice(device, duration, n_reads, burn_in, members, mitigation, refine, rtol)
        self.split = _validation.choice(split, "split", ("pi", "even", "each"))
        self.momentum = fraction(momentum, "momentum")
        self.tracking = Tracking() if tracking is None else tracking
        if not isinstance(self.tracking, Tracking):
            raise ValueError(f"tracking must be a Tracking, got {type(tracking).__name__}")
        if self.tracking.eigenvalues == "samples":
            raise ValueError('eigenvalues="samples" have no use here: the device holds the factors themselves')
        self.n_devices = _validation.count(n_devices, "n_devices")
        self.workers = _validation.workers(workers)
        self._held: dict[str, tuple[np.ndarray, Dense]] = {}  # operators of factors in the state: keeps factorisations
        self._seed(rng)

    def _start(self, theta: FloatArray) -> Arrays:
        return {"momentum": np.zeros_like(theta)} if self.momentum else {}

    def _move(self, theta: FloatArray, gradient: FloatArray, curvature: Any, state: State) -> Move:
        kept = {name[2:]: value for name, value in state.arrays.items() if name.startswith("F.")}
        tracked = self.tracking.update(kept, curvature)
        arrays = {f"F.{name}": value for name, value in tracked.items()}
        average = self.tracking.curvature(tracked)
        direction = np.empty_like(theta)
        layers = []
        for i, (block, where) in enumerate(zip(average.blocks, average.slices, strict=True)):
            if isinstance(block, KroneckerCurvature):
                fresh = kept.get(f"VA{i}") is not tracked[f"VA{i}"]
                layers.append(_Layer(i, block, gradient[where].reshape(block.layer_shape), fresh))
            else:
                direction[where] = Damped(block, self.damping).function(lambda rates: 1.0 / rates, gradient[where])
        for layer in layers:
            arrays |= self._programmed(layer, state)
        run = partial(self._layer, arrays=arrays, state=state)
        outcomes = run_chains(run, self._generator(state), layers, self.workers) if layers else []
        for layer, (outcome, inverses) in zip(layers, outcomes, strict=True):
            direction[average.slices[layer.number]] = outcome.value.ravel()
            arrays |= inverses
        facts = self._facts(layers, [outcome for outcome, _ in outcomes], arrays)
        if self.momentum:
            direction = arrays["momentum"] = self.momentum * state.arrays["momentum"] + direction
        return Move(-self.learning_rate * direction, arrays, facts)

    def _programmed(self, layer: _Layer, state: State) -> dict[str, np.ndarray]:
        """The damped factors that the device holds for a layer, scaled to a largest entry of 1, and their scales."""
        names = [f"{what}{side}{layer.number}" for side in SIDES for what in ("held", "scale")]
        if not layer.fresh:
            return {name: state.arrays[name] for name in names}
        held = []
        for factor in layer.block.split(self.damping, self.split):
            scale = np.abs(factor).max()
            held += [factor / scale, np.array(scale)]
        return dict(zip(names, held, strict=True))

    def _operator(self, name: str, arrays: Arrays) -> Dense:
        """The operator of a held factor: the one of the step before as long as the factor is."""
        held = self._held.get(name)
        if held is None or held[0] is not arrays[name]:
            held = self._held[name] = (arrays[name], Dense(arrays[name]))
        return held[1]

    def _layer(
        self, rng: np.random.Generator, layer: _Layer, arrays: Arrays, state: State
    ) -> tuple[Outcome, dict[str, np.ndarray]]:
        """A^-1 (grad W) G^-1 of one layer, and the inverses that the host keeps."""
        try:
            if self.method == "solve":
                return self._solved(layer, arrays, rng), {}
            return self._inverted(layer, arrays, state, rng)
        except ValueError as error:  # a device that cannot hold the factor says why; it does not know which it was
            error.add_note(f"layer {layer.number} of shape {layer.block.layer_shape} of the curvature")
            raise

    def _solved(self, layer: _Layer, arrays: Arrays, rng: np.random.Generator) -> Outcome:
        value, seconds, joules = layer.gradient, 0.0, _NOTHING
        for side in SIDES:
            operator = self._operator(f"held{side}{layer.number}", arrays)
            out = self.host.solved(operator, float(arrays[f"scale{side}{layer.number}"]), value, rng)
            value, seconds, joules = out.value.T, seconds + out.seconds, _sum(joules, out.joules)
        return Outcome(value, seconds, joules)

    def _inverted(
        self, layer: _Layer, arrays: Arrays, state: State, rng: np.random.Generator
    ) -> tuple[Outcome, dict[str, np.ndarray]]:
        inverses, seconds, joules = {}, 0.0, _NOTHING
        for side in SIDES:
            name = f"inverse{side}{layer.number}"
            if not layer.fresh:
                inverses[name] = state.arrays[name]
                continue
            operator = self._operator(f"held{side}{layer.number}", arrays)
            out = self.host.inverted(operator, float(arrays[f"scale{side}{layer.number}"]), rng)
            inverses[name], seconds, joules = out.value, seconds + out.seconds, _sum(joules, out.joules)
        left, right = inverses.values()
        return Outcome(left @ layer.gradient @ right, seconds, joules), inverses

    def _facts(self, layers: list[_Layer], outcomes: list[Outcome], arrays: Arrays) -> dict:
        loading = [
            sum(self.host.loading_seconds(n) for n in layer.block.layer_shape) if layer.fresh else 0.0
            for layer in layers
        ]
        busy = [0.0] * self.n_devices
        for load, out in sorted(zip(loading, outcomes, strict=True), key=lambda pair: -pair[0] - pair[1].seconds):
            busy[busy.index(min(busy))] += load + out.seconds
        joules = _NOTHING
        for out in outcomes:
            joules = _sum(joules, out.joules)
        held = [self._operator(f"held{side}{layer.number}", arrays) for layer in layers for side in SIDES]
        bounds = [operator.bounds for operator in held]
        return {
            "learning_rate": self.learning_rate,
            "damping": self.damping,
            "device_seconds": max(busy),
            "device_joules": joules,
            "details": {
                "loading_seconds": float(sum(loading)),
                "programmed_layers": sum(layer.fresh for layer in layers),
                "condition_number": max((high / low for low, high in bounds), default=float("nan")),
            },
        }


def _sum(total: float | None, more: float | None) -> float | None:
    return None if total is None or more is None else total + more
