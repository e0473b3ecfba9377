"""Thermodynamic K-FAC: the factors of each layer go to a device, which inverts them or solves with the gradient."""

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from .. import _validation
from .._typing import Arrays, FloatArray, RNGLike
from .._validation import fraction
from ..curvature import Damped, KroneckerCurvature, Tracking
from ..hardware.device import NOISELESS, Device, device_of
from ..numerics.threads import run_chains
from ..operators import Dense
from .factor_device import FactorDevice, Machine, Outcome
from .protocol import Move, Optimizer, State

METHODS = ("invert", "solve")
SIDES = ("A", "G")


class _Layer(NamedTuple):
    """One block of the parameters as the device meets it."""

    number: int
    block: KroneckerCurvature
    gradient: FloatArray  # (p, r)
    fresh: bool  # whether its factors are programmed in this step


class _Factor(NamedTuple):
    """One damped factor of the state, and what the device holds of it."""

    array: FloatArray
    operator: Dense
    machine: Machine


class _Factors:
    """The factors of a state as they are programmed: each stays as long as its array in the state does.

    The draws of random rounding follow from the step in which a factor was programmed, so a run that is resumed from
    its state programs the same.
    """

    def __init__(self, host: FactorDevice, entropy: int) -> None:
        self.host, self.entropy = host, entropy
        self._kept: dict[str, _Factor] = {}

    def held(self, side: str, number: int, arrays: Arrays) -> _Factor:
        """The factor of this side of this layer."""
        name, array = f"{side}{number}", arrays[f"held{side}{number}"]
        factor = self._kept.get(name)
        if factor is None or factor.array is not array:
            place = 1 + 2 * number + SIDES.index(side)
            rng = np.random.default_rng((self.entropy, int(arrays[f"since{number}"]), place))
            operator = Dense(array)
            factor = self._kept[name] = _Factor(array, operator, self.host.program(operator, rng))
        return factor


def _damped(layer: _Layer, state: State, damping: float, split: str) -> Arrays:
    """The damped factors that the device holds for a layer, scaled to a largest entry of 1, and since which step."""
    names = [f"{what}{side}{layer.number}" for side in SIDES for what in ("held", "scale")]
    names.append(f"since{layer.number}")
    if not layer.fresh:
        return {name: state.arrays[name] for name in names}
    held = []
    for factor in layer.block.split(damping, split):
        scale = np.abs(factor).max()
        held += [factor / scale, np.array(scale)]
    return dict(zip(names, [*held, np.array(state.step)], strict=True))


class ThermodynamicKFAC(Optimizer):
    r"""K-FAC whose update ``G^-1 (grad W) A^-1`` is left to a thermodynamic computer, layer by layer.

    Parameters
    ----------
    learning_rate : float
    damping : float
        Positive; shared out between the factors by `split` (a device holds one factor at a time, so the exact damping
        of their product is out of its reach), and added before a factor is rounded.
    beta : float, optional
        Inverse temperature of an ideal device; default inf, a device without noise.
    device : Device, optional
        A device with its own beta; not together with beta.
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
        Error mitigation: each factor is programmed as a rounding ensemble of so many members, and each run goes
        through all of them (`thermolinalg.mitigate`).
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
    rng : {None, int, array_like[ints], SeedSequence, BitGenerator, Generator}, optional
        Passed to `numpy.random.default_rng`; None is fresh entropy. The noise of a step follows from it and the number
        of the step.

    Raises
    ------
    ValueError
        A parameter out of its range, or one that the method has no use for.
    NotPositiveDefinite
        In a step, where rounding leaves a factor indefinite; with the layer and the word length that would do.

    See Also
    --------
    KFAC : The digital rival.
    TNGD : A device for the whole curvature.
    thermolinalg.mitigate : Rounding ensembles.
    thermolinalg.solve, thermolinalg.inv : What one run on the device is.
    thermolinalg.optimizers : What learning_rate, damping, momentum, tracking, device and rng mean for all of them.

    Notes
    -----
    Blocks of the curvature that are no Kronecker products (norm gains, embeddings) are damped and inverted by the
    digital host. With beta = inf and ideal converters the step is that of `KFAC` with the same split.

    A factor is programmed once, with one rounding, and paid for then; it stays until the next refresh: the device is
    taken to have cells of their own for all factors (and members of an ensemble) that it serves. One that has room for
    a single factor would load them all, the ``loading_seconds`` of a refresh, at every step.

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
        self, learning_rate: float, damping: float, *, beta: float | None = None, device: Device | None = None,
        method: str = "solve", duration: float | None = None, n_reads: int | None = None,
        burn_in: str | float = "auto", split: str = "pi", members: int = 0, mitigation: str = "digits",
        refine: bool = False, rtol: float | None = None, momentum: float = 0.0, tracking: Tracking | None = None,
        n_devices: int = 1, workers: int | None = None, rng: RNGLike = None,
    ) -> None:  # fmt: skip
        self.learning_rate = _validation.positive(learning_rate, "learning_rate")
        self.damping = _validation.positive(damping, "damping")
        self.method = _validation.choice(method, "method", METHODS)
        if method == "invert" and (duration is not None or refine or rtol is not None):
            raise ValueError('duration, refine and rtol belong to method="solve"; method="invert" takes n_reads')
        device = device_of(beta, device, NOISELESS)
        self.host = FactorDevice(device, duration, n_reads, burn_in, members, mitigation, refine, rtol)
        if method == "invert" and members and n_reads is None:
            raise ValueError('members > 0 needs n_reads with method="invert": the ensemble shares them out')
        self.split = _validation.choice(split, "split", ("pi", "even", "each"))
        self.momentum = fraction(momentum, "momentum")
        self.tracking = Tracking() if tracking is None else tracking
        if not isinstance(self.tracking, Tracking):
            raise ValueError(f"tracking must be a Tracking, got {type(tracking).__name__}")
        if self.tracking.eigenvalues == "samples":
            raise ValueError('eigenvalues="samples" have no use here: the device holds the factors themselves')
        self.n_devices = _validation.count(n_devices, "n_devices")
        self.workers = _validation.workers(workers)
        self._seed(rng)
        self._factors = _Factors(self.host, self._entropy)

    def _start(self, theta: FloatArray) -> Arrays:
        return {"momentum": np.zeros_like(theta)} if self.momentum else {}

    def _move(self, theta: FloatArray, gradient: FloatArray, curvature: Any, state: State, **options: Any) -> Move:
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
            arrays |= _damped(layer, state, self.damping, self.split)
        run = partial(self._layer, arrays=arrays, state=state)
        outcomes = run_chains(run, self._generator(state), layers, self.workers) if layers else []
        for layer, (outcome, inverses) in zip(layers, outcomes, strict=True):
            direction[average.slices[layer.number]] = outcome.value.ravel()
            arrays |= inverses
        facts = self._facts(layers, [outcome for outcome, _ in outcomes], arrays)
        if self.momentum:
            direction = arrays["momentum"] = self.momentum * state.arrays["momentum"] + direction
        return Move(-self.learning_rate * direction, arrays, facts)

    def _layer(self, rng: np.random.Generator, layer: _Layer, arrays: Arrays, state: State) -> tuple[Outcome, Arrays]:
        """A^-1 (grad W) G^-1 of one layer, and the inverses that the host keeps."""
        try:
            if self.method == "solve":
                return self._solved(layer, arrays, rng), {}
            return self._inverted(layer, arrays, state, rng)
        except ValueError as error:  # a device that cannot hold the factor says why; it does not know which it was
            error.add_note(f"layer {layer.number} of shape {layer.block.layer_shape} of the curvature")
            raise

    def _solved(self, layer: _Layer, arrays: Arrays, rng: np.random.Generator) -> Outcome:
        outcome = Outcome(layer.gradient)
        for side in SIDES:
            machine = self._factors.held(side, layer.number, arrays).machine
            scale = float(arrays[f"scale{side}{layer.number}"])
            run = self.host.solved(machine, scale, outcome.value, rng)
            outcome = run._replace(value=run.value.T).after(outcome)
        return outcome

    def _inverted(
        self, layer: _Layer, arrays: Arrays, state: State, rng: np.random.Generator
    ) -> tuple[Outcome, Arrays]:
        inverses, runs = {}, []
        for side in SIDES:
            name = f"inverse{side}{layer.number}"
            if not layer.fresh:
                inverses[name] = state.arrays[name]
                continue
            machine = self._factors.held(side, layer.number, arrays).machine
            runs.append(self.host.inverted(machine, float(arrays[f"scale{side}{layer.number}"]), rng))
            inverses[name] = runs[-1].value
        left, right = inverses.values()
        return Outcome(left @ layer.gradient @ right).after(*runs), inverses

    def _facts(self, layers: Sequence[_Layer], outcomes: Sequence[Outcome], arrays: Arrays) -> dict[str, Any]:
        loading = [
            sum(self.host.loading_seconds(n) for n in layer.block.layer_shape) if layer.fresh else 0.0
            for layer in layers
        ]
        seconds = [load + out.seconds for load, out in zip(loading, outcomes, strict=True)]
        factors = [self._factors.held(side, layer.number, arrays) for layer in layers for side in SIDES]
        bounds = [factor.operator.bounds for factor in factors]
        return {
            "learning_rate": self.learning_rate,
            "damping": self.damping,
            "device_seconds": _busiest(seconds, self.n_devices),
            "device_joules": Outcome(np.empty(0)).after(*outcomes).joules,
            "details": {
                "loading_seconds": float(sum(loading)),
                "programmed_layers": sum(layer.fresh for layer in layers),
                "condition_number": max((high / low for low, high in bounds), default=float("nan")),
            },
        }


def _busiest(seconds: Sequence[float], n_devices: int) -> float:
    """Time of the busiest device when each layer, the longest first, goes to the one that is free first."""
    busy = [0.0] * n_devices
    for each in sorted(seconds, reverse=True):
        busy[busy.index(min(busy))] += each
    return max(busy)
