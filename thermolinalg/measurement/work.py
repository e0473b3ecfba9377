"""The engine of work: the free energy difference of two networks from the work of ramps, which is what `logdet` reads.

All work is in units of 1/beta, in which beta drops out, unless a name says otherwise.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from .. import _validation
from .._typing import FloatArray
from .._validation import warn
from ..errors import UnreliableWork
from ..hardware.programming import Programmed, modal
from ..hardware.readout import convert_reads, reads_are_exact
from ..operators import Diagonal, Krylov, Matrix, Modal, as_operator
from ..results import Cost, Estimate, WorkEstimate
from . import free_energy, plan
from .base import Measurement, Outcome, Run
from .ramps import Ramp, reversible_rates
from .schedules import (
    FEW_PATHS,
    LARGEST_DISSIPATION,
    LARGEST_SHIFT,
    EulerSchedule,
    ModeSchedule,
    Schedule,
    planned,
    trusted_duration,
)

PROTOCOLS = ("linear", "optimal")
STEPPINGS = ("auto", "exact", "euler")
ESTIMATORS: dict[str, Callable[..., free_energy.FreeEnergy]] = {
    "jarzynski": free_energy.jarzynski, "bar": free_energy.bar, "gaussian": free_energy.gaussian
}  # fmt: skip
MOST_PATHS = 0.8  # share of effective paths above which one odd path is not taken for a heavy tail
NO_LAW = "the work of a ramp is known by its paths alone, and has no closed law that is drawn at once"


@dataclass(frozen=True)
class WorkRequest:
    """What the caller asked of a ramp: at most two of duration, n_paths and atol, and how it is driven and judged."""

    duration: float | None
    n_paths: int | None
    atol: float | None
    n_steps: int | None
    protocol: str
    estimator: str
    stepping: str

    def __post_init__(self) -> None:
        _validation.choice(self.protocol, "protocol", PROTOCOLS)
        _validation.choice(self.estimator, "estimator", ESTIMATORS)
        _validation.choice(self.stepping, "stepping", STEPPINGS)
        if self.duration is not None and self.n_paths is not None and self.atol is not None:
            raise ValueError("give at most two of duration, n_paths and atol: each follows from the other two")
        for name, check in (
            ("duration", _validation.positive), ("n_paths", _paths), ("n_steps", _validation.count),
            ("atol", _validation.positive),
        ):  # fmt: skip
            value = getattr(self, name)
            object.__setattr__(self, name, None if value is None else check(value, name))

    def schedule(self, reference: Modal, operator: Modal) -> Schedule:
        """The ramps between two matrices, their duration still open."""
        rates = reversible_rates(reference, operator)
        asked = {
            'protocol="optimal"': self.protocol == "optimal", 'stepping="exact"': self.stepping == "exact",
            "atol": self.atol is not None,
        }  # fmt: skip
        for option in (option for option, given in asked.items() if given and rates is None):
            raise ValueError(
                f"{option} needs the modes of A, and A0 does not commute with A; take A0 = None or a number"
            )
        if self.protocol == "optimal" and self.stepping == "euler":
            raise ValueError('protocol="optimal" drives the modes of A; stepping="euler" has none')
        if rates is None or self.stepping == "euler":
            return EulerSchedule(reference, operator, self.n_steps)
        return ModeSchedule(*rates, self.n_steps, self.protocol)


def _paths(value: int, name: str) -> int:
    return _validation.count(value, name, least=2)


@dataclass(frozen=True, kw_only=True)
class WorkOutcome(Outcome):
    """What was read of the paths of a ramp.

    Attributes
    ----------
    work : (n_paths,) ndarray
        Of each forward path, as read.
    reverse : (n_paths,) ndarray or None
        Of each reverse path.
    free : FreeEnergy
        What the work tells.
    dissipated : (float, float)
        Mean forward work less the free energy difference, and its standard error.
    heat, stored : float
        Mean over all runs: taken up from the bath, and energy at the end.
    rounding : float
        Rms error of the free energy difference by the rounding that all paths share; forward and reverse work of a
        slow ramp differ in sign alone, and round alike.
    """

    work: FloatArray
    reverse: FloatArray | None
    free: free_energy.FreeEnergy
    dissipated: tuple[float, float]
    heat: float
    stored: float
    rounding: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Work(Measurement):
    """The log-determinant of A from the work of ramps from a reference to A.

    Attributes
    ----------
    operator, reference : Modal
        A as programmed, and the matrix that the ramp starts from.
    schedule : ModeSchedule or EulerSchedule
        How A is reached.
    duration : float
        Time of a ramp [RC].
    n_paths : int
        Each way.
    estimator : str
    forecast : bool
        Whether the duration was planned, so that the higher moments of the work are known to be small.
    """

    result: ClassVar[type[Estimate]] = WorkEstimate

    operator: Modal
    reference: Modal
    schedule: Schedule
    duration: float
    n_paths: int
    estimator: str
    forecast: bool

    @cached_property
    def ramp(self) -> Ramp:
        """The forward ramp."""
        return self.schedule.ramp(self.duration)

    @property
    def both_ways(self) -> bool:
        """Whether reverse paths are run."""
        return self.estimator == "bar"

    @property
    def runs(self) -> int:
        """Paths of both directions."""
        return self.n_paths * (2 if self.both_ways else 1)

    # Law and path ------------------------------------------------------------------------------------------------

    def no_law(self) -> str | None:
        """Why the work has no closed law: there is none that is drawn for less than its paths."""
        return NO_LAW

    def sample(self, rng: np.random.Generator) -> WorkOutcome:
        """Refused: `no_law`."""
        raise NotImplementedError(NO_LAW)

    def simulate(self, rng: np.random.Generator, workers: int | None) -> WorkOutcome:
        """Work of simulated paths as it is read, and what it tells."""
        ramps = (self.ramp, self.ramp.reversed()) if self.both_ways else (self.ramp,)
        paths = [ramp.simulate_paths(self.n_paths, rng, workers) for ramp in ramps]
        reads = [self._read(rng, work) for work, _, _ in paths]
        work, reverse = reads[0][0], reads[1][0] if self.both_ways else None
        free = ESTIMATORS[self.estimator](*(read for read, _, _ in reads))
        outcome = WorkOutcome(
            value=np.array(self.known + 2.0 * free.difference), chains=None, clipped=sum(n for _, n, _ in reads),
            work=work, reverse=reverse, free=free, dissipated=free.dissipation(work),
            heat=float(np.mean([heat for _, heat, _ in paths])),
            stored=float(np.mean([stored for _, _, stored in paths])),
            rounding=sum(share * rms for share, (_, _, rms) in zip(free.shares, reads, strict=True)),
        )  # fmt: skip
        self._warn_if_unreliable(outcome)
        return outcome

    @cached_property
    def known(self) -> float:
        """ln det of the reference, worked out digitally."""
        return float(self.reference.trace(np.log))

    def _read(self, rng: np.random.Generator, work: FloatArray) -> tuple[FloatArray, int, float]:
        """Work as the machine reads it, how many values saturated, and the rms rounding error they share."""
        device = self.device
        if reads_are_exact(device) and device.eps_sys == 0.0:
            return work, 0, 0.0
        reads, clipped = convert_reads(rng, device, work[None] / device.beta, None)
        if device.adc_bits is None:
            return device.beta * reads[0], clipped, 0.0
        gain = float(device.read_gains(1)[0])
        sd = np.hypot(gain * work.std(ddof=1) / device.beta, device.read_noise)
        shared = device.adc.averaged_error_variance(float(device.adc.range_of(reads)), sd)
        return device.beta * reads[0], clipped, device.beta * float(np.sqrt(shared))

    # Errors ------------------------------------------------------------------------------------------------------

    def error(self, outcome: Outcome, chosen: str, rng: np.random.Generator) -> tuple[Callable[[], np.ndarray], str]:
        """What computes the standard error: scatter of what each path adds, and the rounding that all of them share."""
        assert isinstance(outcome, WorkOutcome)
        free, rounding = outcome.free, outcome.rounding

        def evaluate() -> np.ndarray:
            return _validation.finite_result(np.array(2.0 * np.hypot(free.stderr, rounding)), "stderr")

        return evaluate, "paths"

    def _warn_if_unreliable(self, outcome: WorkOutcome) -> None:
        """Warn; higher moments of the work are judged where the duration was given: else they were forecast."""
        problem = {"jarzynski": _few_paths, "bar": _no_overlap, "gaussian": _not_normal}[self.estimator]
        reason = problem(outcome, not self.forecast)
        if reason is None:
            return
        duration = trusted_duration(replace(self.schedule, n_steps=None), self.estimator, self.n_paths)
        remedy = "a slower ramp" if duration is None else f"a duration of {duration:.3g} RC"
        warn(
            f"{reason} (dissipated work {outcome.dissipated[0]:.3g} / beta or more); the value may be biased and its "
            f"standard error too small: take {remedy}, more paths, or a reference closer to A"
            + ("" if self.both_ways else ', or estimator="bar"'),
            UnreliableWork,
        )

    # Times and cost ----------------------------------------------------------------------------------------------

    @cached_property
    def burn_in(self) -> float:
        """Time allowed for equilibrium before a ramp [RC]."""
        low = self.reference.bounds[0]
        if self.both_ways:
            low = min(low, float(self.operator.spectrum.min()))
        return plan.independent_inverse_burn_in(low, self.n_paths)

    def times(self) -> dict[str, Any]:
        """Fields of the `Estimate`."""
        return {"burn_in": lambda: self.burn_in, "duration": self.duration}

    def run(self) -> Run:
        """What all paths take: both matrices are programmed, the work of each path is converted once."""
        return Run(
            burn_in=self.burn_in, duration=self.duration, repeats=self.runs, n_matrix=self.operator.n_programmed,
            n_inputs=self.reference.n_programmed, n_outputs=self.runs, energies=(0.0, None, None),
        )  # fmt: skip

    def details(self, outcome: Outcome) -> dict[str, Any]:
        """Fields of the `WorkEstimate`; the heat is that of the paths."""
        assert isinstance(outcome, WorkOutcome)
        beta, heat, stored = self.device.beta, outcome.heat, outcome.stored

        def cost() -> Cost:
            return self._cost_of(replace(self.run(), energies=(0.0, self.runs * heat / beta, stored / beta)))

        return {
            "reference": self.known, "dissipated_work": outcome.dissipated[0],
            "dissipated_stderr": outcome.dissipated[1], "slow_limit": self.ramp.slow_limit, "bound": self.ramp.bound,
            "effective_paths": outcome.free.effective_paths, "n_paths": self.n_paths, "n_steps": self.ramp.n_steps,
            "protocol": self.ramp.protocol, "estimator": self.estimator, "stepping": self.ramp.stepping,
            "work": outcome.work, "reverse_work": outcome.reverse, "cost": cost,
        }  # fmt: skip


def work_of(machine: Programmed, A0: Matrix | None, request: WorkRequest, loaded: bool) -> Work:
    """The work that was requested of ramps to what a machine holds.

    Parameters
    ----------
    machine : Programmed
    A0 : matrix, float or None
        The reference; None: a multiple of the identity of the same trace.
    request : WorkRequest
    loaded : bool
        Whether the matrix was on the device before.
    """
    if np.isinf(machine.device.beta):
        raise ValueError("logdet averages the work of thermal noise, and a device with beta = inf has none")
    operator = modal(machine.operator)
    reference = _reference(A0, operator)
    schedule = request.schedule(reference, operator)
    duration, n_paths = planned(schedule, request.estimator, request.duration, request.n_paths, request.atol)
    return Work(
        device=machine.device, loaded=loaded, operator=operator, reference=reference, schedule=schedule,
        duration=duration, n_paths=n_paths, estimator=request.estimator, forecast=request.duration is None,
    )  # fmt: skip


def _reference(A0: Matrix | None, operator: Modal) -> Modal:
    """The operator that the ramp starts from."""
    if A0 is None or (not isinstance(A0, Modal | Krylov) and np.ndim(A0) == 0):
        level = operator.spectrum.mean() if A0 is None else _validation.positive(A0, "A0")
        return Diagonal(np.full(operator.shape[0], level))
    reference = modal(as_operator(A0))
    if reference.shape != operator.shape:
        raise ValueError(f"A0 must have shape {operator.shape}, got {reference.shape}")
    return reference


def _few_paths(outcome: WorkOutcome, given: bool) -> str | None:
    work, effective = outcome.work, outcome.free.effective_paths
    rule = f"{effective:.3g} of {work.size} paths rule the Jarzynski average"
    if effective < FEW_PATHS or outcome.dissipated[0] + 2.0 * outcome.dissipated[1] > LARGEST_DISSIPATION:
        return rule
    shift = free_energy.skewness_shift(work) if given and effective < MOST_PATHS * work.size else 0.0
    skewed = f"{rule}, so skewed that it is expected {shift:.2g} or more of its standard errors off"
    return skewed if shift > LARGEST_SHIFT else None


def _no_overlap(outcome: WorkOutcome, given: bool) -> str | None:
    assert outcome.reverse is not None
    overlap = free_energy.overlap(outcome.work, outcome.reverse, outcome.free.difference)
    return f"only about {overlap:.2g} forward and reverse paths overlap" if overlap < FEW_PATHS else None


def _not_normal(outcome: WorkOutcome, given: bool) -> str | None:
    third, error = free_energy.third_cumulant(outcome.work)
    if not given or abs(third) / 6.0 <= max(
        outcome.free.stderr, error / 2.0
    ):  # the latter is three standard errors of a sixth of it
        return None
    return f"the work is not normal: its third cumulant biases the Gaussian estimate by {third / 6.0:.2g}"
