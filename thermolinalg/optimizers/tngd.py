r"""Thermodynamic natural gradient descent: the natural gradient as the voltages of a noisy circuit that relaxes."""

from typing import Any

import numpy as np

from .. import _validation
from .._typing import Arrays, FloatArray, RNGLike
from ..curvature import Curvature, Damped
from ..hardware.device import NOISELESS, Device, device_of
from ..hardware.programming import on_device
from ..measurement.base import SIMULATORS
from ..measurement.relaxation import Relaxation, Schedule
from .damping import DampedOptimizer, LevenbergMarquardt, definite_rates
from .programmed import program_curvature
from .protocol import Move, Optimizer, State
from .sgd import SGD

STARTS = ("carry", "gradient", "zero")
INNER = "inner_"  # in front of the names of the inner rule's arrays


class TNGD(DampedOptimizer):
    r"""Steps along the device's estimate of the natural gradient.

    At each step the device is loaded with the curvature F, the damping and the gradient g, relaxes,

        dx = -((F + damping I) x - g) dt + N(0, 2/beta dt),

    and is read after `run_time`. The mean of x goes from where it starts to the natural gradient
    ``(F + damping I)^-1 g``; the inner rule takes the estimate for its gradient.

    Parameters
    ----------
    learning_rate : float, optional
        Of ``theta <- theta - learning_rate x``.
    damping : float or LevenbergMarquardt
        Non-negative. With zero the noise in the null space of F grows as ``2 run_time / beta`` and never settles.
    run_time : float
        From the upload to the first read [RC]. ``inf`` is equilibrium: a step of exact natural gradient, plus noise.
    inner : Optimizer, optional
        In place of `learning_rate`: any rule that needs a gradient only. ``Adam(...)`` makes TNGD-Adam.
    start : {"carry", "gradient", "zero"}
        Where the voltages start. "carry": where the last step left them (at the first step, at the gradient), which
        acts as momentum, with ``exp(-(mu + damping) run_time)`` per step along an eigenvector of eigenvalue mu, hence
        ``exp(-damping run_time)`` in the null space. "gradient": run_time 0 is SGD, infinite the natural gradient.
        "zero": early stopping, with an effective damping of about 1/run_time.
    delay : float
        From the last read to the next upload [RC]: the device goes on relaxing under the old F and g. It acts through
        what is carried.
    curvature_timing : {"current", "stale"}
        Whether a step uses the estimate from its own F and g (the paper's algorithm), or that from F and g of the step
        before (its equations), the device working meanwhile; at the first step, that estimate is the gradient.
    beta : float, optional
        Inverse temperature of an ideal device, ``1/kappa0`` of the paper; default inf, a device without noise.
    device : Device, optional
        A device with its own beta; not together with beta.
    n_reads : int
        Reads that are averaged into an estimate.
    read_spacing : float
        Time between two of them [RC].
    simulator : "auto", "law" or "path"
        "law" draws what is read from its exact distribution, by the modes of F, which a digital factorisation finds;
        "path" steps the equation by Euler-Maruyama on products F x, of at most `time_step`. "auto" takes the law,
        which is always known. The two do not share noise.
    time_step : float
        Longest step of a path [RC].
    rng : {None, int, array_like[ints], SeedSequence, BitGenerator, Generator}, optional
        Passed to `numpy.random.default_rng`; None is fresh entropy. The noise of a step follows from it and the number
        of the step.

    Raises
    ------
    ValueError
        A parameter out of its range; a delay with nothing carried; a path of infinite time. At a step: an unstable
        `time_step`, a curvature whose entries cannot be rounded.
    NotPositiveDefinite
        At a step: infinite time without damping where F is singular; rounding that left the device unstable.

    See Also
    --------
    NaturalGradient : The digital direction.
    ThermodynamicKFAC : A device for one layer at a time.
    thermolinalg.Device : The data sheet.
    thermolinalg.optimizers : What learning_rate, damping, momentum, tracking, device and rng mean for all of them.

    Notes
    -----
    The report's `device_seconds` is the sum of its details `load_seconds` (the numbers of the curvature and N of the
    gradient, which is put in once also where it is the start), `relax_seconds` and `read_seconds`. `saturated` counts
    the numbers that saturated a converter; an auto-ranging ADC sets its range anew for every read. `products` is how
    many F x a path took. `matrix_bits` needs a dense or diagonal curvature, or a low-rank one of an array of rows.

    What the device does after the reads of a step, until the next upload, depends on that step's F and g alone. It is
    simulated at once, so that the state holds voltages and no curvature.

    Source: Donatella et al., arXiv:2405.13817, Eqs. 13 to 19 and Alg. 1. The signs of its Eqs. 22 and 25 are not used.

    Examples
    --------
    >>> import numpy as np, thermolinalg as tl
    >>> F = tl.curvature.DiagonalCurvature([4.0, 1.0])
    >>> optimizer = tl.optimizers.TNGD(learning_rate=1.0, damping=0.0, run_time=np.inf)
    >>> theta, state = optimizer.step(np.zeros(2), np.array([4.0, 1.0]), F, optimizer.init(np.zeros(2)))
    >>> theta
    array([-1., -1.])
    """

    needs = "curvature"

    def __init__(
        self,
        learning_rate: float | None = None,
        damping: float | LevenbergMarquardt = 0.01,
        run_time: float = 50.0,
        *,
        inner: Optimizer | None = None,
        start: str = "carry",
        delay: float = 0.0,
        curvature_timing: str = "current",
        beta: float | None = None,
        device: Device | None = None,
        n_reads: int = 1,
        read_spacing: float = 1.0,
        simulator: str = "auto",
        time_step: float = 0.1,
        rng: RNGLike = None,
    ) -> None:
        _validation.exactly_one(learning_rate=learning_rate, inner=inner)
        rate: Any = learning_rate  # not None where inner is
        self.inner = SGD(rate) if inner is None else inner
        if not isinstance(self.inner, Optimizer) or self.inner.needs != "gradient":
            raise ValueError(f"inner must be an optimizer that needs a gradient only, got {inner!r}")
        self._set_damping(damping)
        self.start = _validation.choice(start, "start", STARTS)
        self.schedule = Schedule(
            run_time=_validation.positive(run_time, "run_time", " in units of RC", infinite=True, zero=True),
            n_reads=_validation.count(n_reads, "n_reads"),
            spacing=_validation.positive(read_spacing, "read_spacing", " in units of RC"),
            delay=_validation.positive(delay, "delay", " in units of RC", zero=True),
        )
        if delay > 0.0 and start != "carry":
            raise ValueError(f"delay={delay:g} acts through voltages that are carried; it needs start='carry'")
        self.stale = _validation.choice(curvature_timing, "curvature_timing", ("current", "stale")) == "stale"
        self.device = device_of(beta, device, NOISELESS)
        self.time_step = _validation.positive(time_step, "time_step", " in units of RC")
        self.simulator = _validation.choice(simulator, "simulator", SIMULATORS)
        if simulator == "path" and np.isinf(run_time):
            raise ValueError("simulator='path' needs a finite run_time; simulator='law' knows the end")
        self._seed(rng)

    @property
    def learning_rate(self) -> float:
        """That of the inner rule, which schedules may change."""
        rule: Any = self.inner  # AttributeError where it has none
        return rule.learning_rate

    @learning_rate.setter
    def learning_rate(self, value: float) -> None:
        rule: Any = self.inner
        rule.learning_rate = value

    def _start(self, theta: FloatArray) -> Arrays:
        arrays = super()._start(theta) | {INNER + name: array for name, array in self.inner._start(theta).items()}
        if self.start == "carry":
            arrays["voltages"] = np.zeros_like(theta)
        if self.stale:
            arrays["estimate"] = np.zeros_like(theta)
        return arrays

    def _move(self, theta: FloatArray, gradient: FloatArray, curvature: Any, state: State) -> Move:
        rng, damping = self._generator(state), self._damping(state)
        relaxation, clipped = self._relaxation(gradient, curvature, damping, state, rng)
        simulator = relaxation.choose(self.simulator)
        outcome: Any = relaxation.measure(simulator, rng, None)

        applied = outcome.value
        if self.stale:
            applied = gradient if state.step == 0 else state.arrays["estimate"]
        inner = {name.removeprefix(INNER): a for name, a in state.arrays.items() if name.startswith(INNER)}
        move = self.inner._move(theta, applied, None, State(step=state.step, arrays=inner))

        arrays = {INNER + name: array for name, array in move.arrays.items()}
        if self.start == "carry":
            arrays["voltages"] = outcome.voltages
        if self.stale:
            arrays["estimate"] = outcome.value
        cost = relaxation.cost()
        details = move.facts.get("details", {}) | {
            "load_seconds": cost.load,
            "relax_seconds": cost.relax,
            "read_seconds": cost.read,
            "saturated": float(clipped + outcome.clipped),
        }
        if simulator == "path":
            details["products"] = float(outcome.products)
        facts = move.facts | {"device_seconds": cost.seconds, "damping": damping, "details": details}
        arrays |= self._model(move.displacement, gradient, curvature, state)
        return Move(move.displacement, arrays, facts)

    def _relaxation(
        self, gradient: FloatArray, curvature: Curvature, damping: float, state: State, rng: np.random.Generator
    ) -> tuple[Relaxation, int]:
        """What the device does in this step, and how many numbers saturated on their way in."""
        machine = program_curvature(curvature, damping, self.device, rng)
        held: Any = machine.operator
        if np.isinf(self.schedule.run_time) and isinstance(held, Damped):
            definite_rates(held.curvature, damping, "give a positive damping, or a finite run_time")
        driven, _ = on_device(machine, self.device, gradient[:, None], rng)
        assert driven.b is not None
        x0 = None
        if self.start == "zero":
            x0 = np.zeros_like(gradient)
        elif self.start == "carry" and state.step:
            x0 = state.arrays["voltages"]
        relaxation = Relaxation(
            device=self.device, operator=held, g=driven.b[:, 0], x0=x0, schedule=self.schedule,
            time_step=self.time_step, n_programmed=machine.target.n_programmed,
        )  # fmt: skip
        return relaxation, machine.clipped["matrix"] + driven.clipped["dac"]
