"""Schedules of ramps: which ramp a duration stands for, what its work will be like, and how slow it has to be.

Where both matrices share their modes, the mean of e^{-c w} over the paths of a ramp is a Gaussian integral that is
done step by step: the dissipation, the variance and the skewness of e^{-w} are then known before any path is run.
Elsewhere the work is taken for normal, and its dissipation for that of slow ramps. This is knowledge of the
simulator. All work is in units of 1/beta.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from .._typing import FloatArray
from ..operators import Modal
from .ramps import EulerRamp, ModeRamp

FEW_PATHS = 30  # fewer than so many effective paths make no average
LARGEST_DISSIPATION = 1.0  # in units of 1/beta: beyond it e^{-w} is ruled by paths that are hardly ever drawn
LARGEST_SHIFT = 0.12  # of the estimate, in its own standard errors, that the skewness of e^{-w} may cause
PLANNED_DISSIPATION = {"jarzynski": 0.5, "gaussian": 0.5, "bar": 1.0}  # with room for what is estimated from paths
PLANNED_SHIFT = 0.05  # skewness as it will be estimated scatters widely
PLANNED_BIAS = 0.1  # of the Gaussian estimate by the third cumulant of the work, in standard errors
PLANNED_PATHS = 2.0  # times the effective paths that are enough
DEFAULT_PATHS = 1000  # also the fewest that are planned: with fewer the warnings go off by accident
DIFFERENCE = 0.01  # in c, for the derivatives of ln <e^{-c w}>; less where that is about to diverge
ROUNDED = 1e-6  # variance of e^{-w} below which its skewness is lost in rounding, and small
SPACING = 0.25  # of the quadrature of `_overlap`, exact to QUADRATURE
TILTS, QUADRATURE = 0.5 + 1.0j * SPACING * np.arange(21), 1e-5
MOST_NORMALS = 2 * 10**9  # normal numbers that a planned run may take to simulate: some ten seconds a core
HALVINGS = 3  # of the bracket, a factor of 2: the duration is found to within 9 %


class Forecast:
    """What the work of a ramp will be like: `NormalForecast` or `ModeForecast`.

    Attributes
    ----------
    dissipation : float
        Mean work less the free energy difference.
    cumulants : (float, float)
        Variance and third cumulant of the work.
    spread, skewness : float
        Variance of ``e^{-w} / <e^{-w}>``, and skewness; infinite where they do not exist.
    overlap : float
        ``<1 / (1 + e^{w - dF})>``: 1/2 where forward and reverse work have one distribution, 0 where nothing in common.
    """

    dissipation: float
    cumulants: tuple[float, float]
    spread: float
    skewness: float
    overlap: float

    def reliability_ratio(self, estimator: str, n_paths: int) -> float:
        """What is most critical of an estimate from so many paths over its limit: at most 1 where it can be trusted."""
        ratio = self.dissipation / PLANNED_DISSIPATION[estimator]
        if ratio > 1.0:
            return ratio
        price = 0.25 / self.overlap if estimator == "bar" else 1.0 + self.spread  # paths for an effective one
        ratio = max(ratio, PLANNED_PATHS * FEW_PATHS * price / n_paths)
        if estimator == "jarzynski":
            ratio = max(ratio, self.skewness / (2.0 * np.sqrt(n_paths)) / PLANNED_SHIFT)
        if estimator == "gaussian":
            variance, third = self.cumulants
            error = np.sqrt((variance + 0.5 * variance**2) / n_paths)
            ratio = max(ratio, abs(third) / 6.0 / error / PLANNED_BIAS) if error > 0.0 else ratio
        return float(ratio)

    def error(self, estimator: str) -> float:
        """Standard error of ln det from one path ("bar": from one each way), as that of many shows it."""
        variance = 1.0 / self.overlap - 2.0 if estimator == "bar" else self.spread
        return 2.0 * float(np.sqrt(max(variance, 0.0)))


class NormalForecast(Forecast):
    """For work that is normal: its variance is twice the dissipation."""

    def __init__(self, dissipation: float) -> None:
        self.dissipation, self.cumulants = dissipation, (2.0 * dissipation, 0.0)
        with np.errstate(over="ignore"):
            self.spread = float(np.expm1(2.0 * dissipation))
        self.skewness = (self.spread + 3.0) * self.spread**0.5
        self.overlap = _overlap(dissipation * TILTS * (TILTS - 1.0))


class ModeForecast(Forecast):
    """For a ramp in shared modes: exact but for small differences in place of derivatives."""

    def __init__(self, ramp: ModeRamp) -> None:
        self.ramp = ramp
        self.difference = 0.5 * float(np.sum(np.log(ramp.rates[-1] / ramp.rates[0])))

    @cached_property
    def _near_zero(self) -> tuple[float, np.ndarray]:
        """h, and ln <e^{-c w}> at c = -2h, -h, h, 2h."""
        h = DIFFERENCE
        while not np.isfinite(self.ramp.log_mean_exponentials([-20.0 * h, 20.0 * h])).all():
            h /= 10.0
        return h, self.ramp.log_mean_exponentials([-2.0 * h, -h, h, 2.0 * h])

    @cached_property
    def dissipation(self) -> float:  # type: ignore[override]  # lazily, where the base has a field
        h, (_, below, above, _) = self._near_zero
        return float((below - above) / (2.0 * h) - self.difference)

    @cached_property
    def cumulants(self) -> tuple[float, float]:  # type: ignore[override]  # lazily, where the base has a field
        h, (far_below, below, above, far_above) = self._near_zero
        third = (far_below - 2.0 * below + 2.0 * above - far_above) / (2.0 * h**3)
        return float(max(below + above, 0.0) / h**2), float(third)

    def _tilted(self, c: np.ndarray) -> np.ndarray:
        """ln <e^{-c (w - dF)}>."""
        return self.ramp.log_mean_exponentials(c) + c * self.difference

    @cached_property
    def spread(self) -> float:  # type: ignore[override]  # lazily, where the base has a field
        with np.errstate(over="ignore"):
            return float(np.expm1(self._tilted(np.array([2.0]))[0]))

    @cached_property
    def skewness(self) -> float:  # type: ignore[override]  # lazily, where the base has a field
        if self.spread < ROUNDED:
            return 0.0
        with np.errstate(over="ignore", invalid="ignore"):
            third = np.expm1(self._tilted(np.array([3.0]))[0]) - 3.0 * self.spread
            skewness = float(third / self.spread**1.5)
        return skewness if np.isfinite(skewness) else np.inf

    @cached_property
    def overlap(self) -> float:  # type: ignore[override]  # lazily, where the base has a field
        return _overlap(self._tilted(TILTS))


def _overlap(tilted: np.ndarray) -> float:
    """``<1 / (1 + e^u)>``, u = w - dF, from ``ln <e^{-c u}>`` at the TILTS c = 1/2 + i k.

    The function is ``e^{-u/2} / (2 cosh(u/2))``, and 1/cosh is its own Fourier transform. The mean exists for any
    ramp, since ``<e^{-u}> = 1``; the trapezoidal rule converges exponentially.
    """
    weights = np.full(TILTS.size, SPACING)
    weights[0] *= 0.5
    overlap = float(np.sum(weights * np.exp(tilted).real / np.cosh(np.pi * TILTS.imag)))
    return min(max(overlap, QUADRATURE), 0.5)


@dataclass(frozen=True)
class ModeSchedule:
    """Ramps of modes from the rates `first` to `last` (d,), each step by its exact law."""

    first: FloatArray
    last: FloatArray
    n_steps: int | None
    protocol: str

    def ramp(self, duration: float) -> ModeRamp:
        """The ramp of that duration."""
        return ModeRamp.planned(self.first, self.last, duration, self.n_steps, self.protocol)

    @property
    def action(self) -> float:
        """Dissipation times duration of slow ramps."""
        return ModeRamp(np.array([self.first, self.last]), 1.0, self.protocol).slow_limit()

    def forecast(self, duration: float) -> Forecast:
        """What its work will be like."""
        return ModeForecast(self.ramp(duration))

    def normals(self, duration: float) -> float:
        """Normal numbers that one path takes."""
        return self.first.size * (self.n_steps or ModeRamp.default_steps(self.first, self.last, duration))

    @property
    def fastest(self) -> float:
        """Largest rate."""
        return float(max(self.first.max(), self.last.max()))


@dataclass(frozen=True)
class EulerSchedule:
    """Linear ramps between two matrices by Euler steps; their work is forecast as that of slow ramps, which is more."""

    first: Modal
    last: Modal
    n_steps: int | None

    def ramp(self, duration: float) -> EulerRamp:
        """The ramp of that duration."""
        return EulerRamp.planned(self.first, self.last, duration, self.n_steps)

    @cached_property
    def action(self) -> float:
        """Dissipation times duration of slow ramps."""
        return EulerRamp(self.first, self.last, 1.0, 1).slow_limit()

    def forecast(self, duration: float) -> Forecast:
        """What its work will be like."""
        return NormalForecast(self.action / duration)

    def normals(self, duration: float) -> float:
        """Normal numbers that one path takes."""
        return self.first.shape[0] * EulerRamp.default_steps(self.first, self.last, duration)

    @property
    def fastest(self) -> float:
        """Largest rate."""
        return float(max(self.first.bounds[1], self.last.bounds[1]))


Schedule = ModeSchedule | EulerSchedule


def fewest_paths(estimator: str) -> int:
    """Paths that are enough on the slowest of ramps, where each is an effective one ("bar": each pair half of one)."""
    return int(PLANNED_PATHS * FEW_PATHS * (0.5 if estimator == "bar" else 1.0))


def trusted_duration(schedule: Schedule, estimator: str, n_paths: int, atol: float | None = None) -> float | None:
    """Shortest duration, to within 9 %, from which on the work of so many paths is forecast to be trustworthy.

    With `atol` also to have that standard error. None if its simulation would take too long, or so few paths are never
    enough.
    """
    if n_paths < fewest_paths(estimator):
        return None

    def ratio(duration: float) -> float:
        forecast = schedule.forecast(duration)
        excess = 0.0 if atol is None else forecast.error(estimator) / np.sqrt(n_paths) / atol
        return max(forecast.reliability_ratio(estimator, n_paths), excess)

    duration = 0.5 / schedule.fastest
    while ratio(duration) > 1.0:
        duration *= 2.0
        normals = schedule.normals(duration) * max(n_paths, DEFAULT_PATHS)
        if max(normals, duration * schedule.fastest) > MOST_NORMALS:
            return None
    low = 0.5 * duration
    for _ in range(HALVINGS):
        middle = np.sqrt(low * duration)
        low, duration = (middle, duration) if ratio(middle) > 1.0 else (low, middle)
    return float(duration)


def planned(
    schedule: Schedule, estimator: str, duration: float | None, n_paths: int | None, atol: float | None
) -> tuple[float, int]:
    """The duration and the number of paths, as given or as they should be."""
    if duration is not None and (n_paths is not None or atol is None):
        return duration, n_paths or DEFAULT_PATHS
    if atol is not None and estimator == "gaussian":
        raise ValueError('atol plans the scatter of e^{-w}, and estimator="gaussian" has a bias as well; give n_paths')
    if duration is None:
        least = int(PLANNED_PATHS * FEW_PATHS)  # the price of an effective path is 1 at best
        if n_paths is not None and n_paths < least:
            raise ValueError(f"n_paths must be at least {least} where no duration is given, got {n_paths}")
        duration = trusted_duration(schedule, estimator, n_paths or DEFAULT_PATHS, atol if n_paths else None)
        if duration is None:
            raise ValueError(_too_long(schedule, estimator, n_paths or DEFAULT_PATHS))
    if n_paths is not None or atol is None:
        return duration, n_paths or DEFAULT_PATHS
    wanted = (schedule.forecast(duration).error(estimator) / atol) ** 2
    if wanted * schedule.normals(duration) > MOST_NORMALS:
        raise ValueError(
            f"atol = {atol:.3g} would take {wanted:.2g} paths of {duration:.4g} RC, more than can be simulated "
            f"({MOST_NORMALS:.0e} normal numbers); raise atol or the duration, or take a reference closer to A"
        )
    return duration, max(DEFAULT_PATHS, int(np.ceil(wanted)))


def _too_long(schedule: Schedule, estimator: str, n_paths: int) -> str:
    slow = schedule.action / PLANNED_DISSIPATION[estimator]
    steps = "" if schedule.n_steps is None else f" in {schedule.n_steps} steps"
    advice = "" if estimator == "bar" else ', with estimator="bar", which bears faster ramps'
    return (
        f"no duration was given, and {n_paths} paths{steps} slow enough to be trusted (about {slow:.2g} RC) are more "
        f"than can be simulated; give a duration{advice}, more paths, or a reference closer to A"
    )
