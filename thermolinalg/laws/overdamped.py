r"""Closed forms of the device output: the functions f and g of A that carry the library.

The device ``dx = -(A x - b) dt + sqrt(2/beta) dW``, started at a known ``x(0) = x0``, is linear, so every linear
read-out of it is normal and, for symmetric A, a function of A:

    mean = memory(A) x0 + response(A) b,        covariance = variance(A) / beta.

A protocol (see `thermolinalg.laws.readout`) holds its times in units of RC and gives those three functions of an
eigenvalue ``lam > 0``. All of them keep full relative accuracy for ``lam * time`` from 1e-12 to 1e+12.

Sources: the transition law and items 1 to 3 of the time average follow Aifer et al., arXiv:2308.05660; the forms
below, sums of positive terms, are ours.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.polynomial.polynomial import polyval
from numpy.typing import NDArray

from .._typing import FloatArray, Numbers
from .readout import IndependentProtocol, IntegratorProtocol, Protocol, SpacedProtocol, at

# Taylor coefficients of psi (see there) and of x / (1 - e^-x) - 1 - x / 2, ascending; enough for |x| <= 1.
_FACTORIALS = np.cumprod(np.concatenate(([1.0], np.arange(1.0, 31.0))))
_PHI2 = np.array([(-1.0) ** k / _FACTORIALS[k + 2] for k in range(20)])
_PSI = np.array([(-1.0) ** (k + 1) * (2.0 ** (k - 1) - 2.0) / _FACTORIALS[k] for k in range(3, 28)])
_BERNOULLI = (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510, 43867 / 798, -174611 / 330)
_HALF_COTH = np.array([b / _FACTORIALS[2 * k + 2] for k, b in enumerate(_BERNOULLI)])


def phi1(x: Numbers) -> FloatArray:
    """(1 - e^-x) / x for x > 0: the mean of e^-xu over 0 < u < 1."""
    return -np.expm1(-x) / x


def phi2(x: Numbers) -> FloatArray:
    """(x - 1 + e^-x) / x^2 = (1 - phi1(x)) / x for x > 0, without cancellation."""
    x = np.asarray(x, dtype=float)
    return _either(x < 1.0, lambda x: polyval(x, _PHI2), lambda x: (1.0 - phi1(x)) / x, x)


def psi(x: Numbers) -> FloatArray:
    """[x - 2 (1 - e^-x) + (1 - e^-2x) / 2] / x^3 for x > 0: the integral of (t phi1(t))^2 up to x, over x^3."""
    x = np.asarray(x, dtype=float)
    return _either(x < 1.0, lambda x: polyval(x, _PSI), lambda x: (1.0 - 2.0 * phi1(x) + phi1(2.0 * x)) / x / x, x)


def _either(
    condition: NDArray[np.bool], one: Callable[..., FloatArray], other: Callable[..., FloatArray], *arguments: Numbers
) -> FloatArray:
    """one(*arguments) where the condition holds and other(*arguments) elsewhere, each computed there alone."""
    where_one = np.count_nonzero(condition)
    if where_one == 0:
        return other(*arguments)
    if where_one == condition.size:
        return one(*arguments)
    condition, *spread = np.broadcast_arrays(condition, *arguments)
    out = np.empty(condition.shape)
    for where, form in ((condition, one), (~condition, other)):
        out[where] = form(*(argument[where] for argument in spread))
    return out


def rise(lam: Numbers, time: Numbers) -> FloatArray:
    """(1 - e^{-lam time}) / lam: the charging curve of one mode; `time` may be infinite."""
    return -np.expm1(-lam * time) / lam


class OverdampedProtocol(Protocol):
    """The part that all protocols of overdamped dynamics share; `thermolinalg.laws.underdamped` has their twins."""

    overdamped = True

    def decay_rates(self, lam: FloatArray) -> tuple[float, float]:
        """Slowest and fastest rate at which the mean of a mode with eigenvalue in `lam` moves: their ends."""
        return float(lam.min()), float(lam.max())

    def memory_after(self, lam: FloatArray, distance: FloatArray) -> Callable[[float], FloatArray]:
        """Bounds of what is left of each `distance` from the answer, as a function of the burn-in: themselves."""
        later, falling = self.with_burn_in(0.0).memory(lam) * distance, -lam
        return lambda burn_in: np.exp(falling * burn_in) * later

    def variance(self, lam: Numbers) -> FloatArray:
        """Variance at beta = 1: what the state at the end of the burn-in brings, plus the noise since."""
        return self.variance_after(lam)(self.burn_in)

    def slowest(self, low: float) -> float:
        """`low` itself: memory and variance fall with the eigenvalue."""
        return low

    def variance_at_least(self, low: float, high: float) -> float:
        """The smallest variance (beta = 1) for eigenvalues from `low` to `high`: that of `high`."""
        return at(self.variance, high)


@dataclass(frozen=True)
class Voltage(OverdampedProtocol):
    """The voltages at one time, `burn_in` [RC] after the start."""

    n_reads = None
    spacing = None

    burn_in: float

    def memory(self, lam: Numbers) -> FloatArray:
        """Weight of x0."""
        return np.exp(-lam * self.burn_in)

    def response(self, lam: Numbers) -> FloatArray:
        """Weight of b."""
        return rise(lam, self.burn_in)

    def variance_after(self, lam: Numbers) -> Callable[[float], FloatArray]:
        """Variance at beta = 1 as a function of the burn-in."""
        return lambda burn_in: rise(lam, 2.0 * burn_in)


@dataclass(frozen=True)
class IndependentReads(OverdampedProtocol, IndependentProtocol):
    """The mean of `n_reads` voltages, each read `burn_in` [RC] after a fresh start."""

    burn_in: float
    n_reads: int

    def memory(self, lam: Numbers) -> FloatArray:
        """Weight of x0."""
        return np.exp(-lam * self.burn_in)

    def response(self, lam: Numbers) -> FloatArray:
        """Weight of b."""
        return rise(lam, self.burn_in)

    def variance_after(self, lam: Numbers) -> Callable[[float], FloatArray]:
        """Variance at beta = 1 as a function of the burn-in."""
        return lambda burn_in: rise(lam, 2.0 * burn_in) / self.n_reads

    def second_moment_memory(self, lam: FloatArray) -> Callable[[float], FloatArray]:
        """What the mean of y^2 in each mode, at rest in the beginning, lacks at beta = 1, by the burn-in."""
        return lambda burn_in: np.exp(-2.0 * lam * burn_in) / lam


@dataclass(frozen=True)
class Integrator(OverdampedProtocol, IntegratorProtocol):
    """An analog integrator: the mean voltage over [burn_in, burn_in + duration] [RC]."""

    burn_in: float
    duration: float

    def memory(self, lam: Numbers) -> FloatArray:
        """Weight of x0."""
        return np.exp(-lam * self.burn_in) * phi1(lam * self.duration)

    def response(self, lam: Numbers) -> FloatArray:
        """Weight of b."""
        after = np.exp(-lam * self.burn_in) * self.duration * phi2(lam * self.duration)
        return rise(lam, self.burn_in) + after

    def variance_after(self, lam: Numbers) -> Callable[[float], FloatArray]:
        """Variance at beta = 1 as a function of the burn-in."""
        a = lam * self.duration
        share, since = phi1(a) ** 2, 2.0 * self.duration * psi(a)
        return lambda burn_in: rise(lam, 2.0 * burn_in) * share + since


@dataclass(frozen=True)
class Reads(OverdampedProtocol, SpacedProtocol):
    """The mean of `n_reads` voltages, the first at `burn_in`, then one every `spacing` [RC]."""

    pair_rows = 128

    burn_in: float
    n_reads: int
    spacing: float

    def _memory_of_first(self, lam: Numbers) -> FloatArray:
        """(1 - q^n) / (n (1 - q)) with q = e^{-lam spacing}: weight of the first read in the mean of all."""
        a = lam * self.spacing
        return phi1(self.n_reads * a) / phi1(a)

    def memory(self, lam: Numbers) -> FloatArray:
        """Weight of x0."""
        return np.exp(-lam * self.burn_in) * self._memory_of_first(lam)

    def response(self, lam: Numbers) -> FloatArray:
        """Weight of b."""
        # (1 - w) / lam, w the weight above: the first form keeps its digits for small a, the second for large.
        lam = np.asarray(lam, dtype=float)
        after = _either(lam * self.spacing < 1.0, self._response_slow, self._response_fast, lam)
        return rise(lam, self.burn_in) + np.exp(-lam * self.burn_in) * after

    def _response_slow(self, lam: FloatArray) -> FloatArray:
        n, a = self.n_reads, lam * self.spacing
        return self.spacing * (n * phi2(n * a) - phi2(a)) / phi1(a)

    def _response_fast(self, lam: FloatArray) -> FloatArray:
        return (1.0 - self._memory_of_first(lam)) / lam

    def variance_after(self, lam: Numbers) -> Callable[[float], FloatArray]:
        """Variance at beta = 1 as a function of the burn-in: what the first read brings, plus the noise since."""
        share, since = self._memory_of_first(lam) ** 2, self._noise_since_first(lam)
        return lambda burn_in: rise(lam, 2.0 * burn_in) * share + since

    def _noise_since_first(self, lam: Numbers) -> FloatArray:
        """Variance of the mean of reads that start at a known state: a sum over the noise of each step."""
        n, a = self.n_reads, np.asarray(lam * self.spacing, dtype=float)
        if n == 1:
            return np.zeros_like(a)
        # share = (1/n) sum_{m<n} (1 - q^m)^2 / (n a)^2; its closed form cancels for small n a, hence two forms.
        share = _either(n * a < 1.0, self._share_small, self._share_large, a)
        return self.spacing * n * (a / np.tanh(a / 2.0)) * share

    def _share_large(self, a: FloatArray) -> FloatArray:
        total = self.n_reads * a
        return (1.0 - 2.0 * phi1(total) / phi1(a) + phi1(2.0 * total) / phi1(2.0 * a)) / total / total

    def _share_small(self, a: FloatArray) -> FloatArray:
        total = self.n_reads * a
        rest = phi1(2.0 * total) * _half_coth_rest(2.0 * a) - 2.0 * phi1(total) * _half_coth_rest(a)
        return psi(total) - (2.0 * phi2(2.0 * total) - phi2(total)) / self.n_reads + rest / total**2

    def second_moment_memory(self, lam: FloatArray) -> Callable[[float], FloatArray]:
        """What the mean of y^2 in each mode, at rest in the beginning, lacks at beta = 1, by the burn-in."""
        weight = self.with_burn_in(0.0).memory(2.0 * lam)
        return lambda burn_in: np.exp(-2.0 * lam * burn_in) / lam * weight

    def pair_variances(self, lam: FloatArray, rows: slice = slice(None), columns: slice = slice(None)) -> FloatArray:
        """Variances (d, d) of the mean of y_i y_j over reads in equilibrium; for i = j half that of y_i^2.

        The autocovariance of y_i y_j is the product of theirs. It decays at l_i + l_j, so the variance is that of the
        mean of such a mode.
        """
        sums = lam[rows, None] + lam[None, columns]
        return sums * self.with_burn_in(np.inf).variance(sums) / np.multiply.outer(lam[rows], lam[columns])


def _half_coth_rest(x: FloatArray) -> FloatArray:
    """x / (1 - e^-x) - 1 - x / 2 for 0 <= x <= 1, by its Bernoulli series."""
    return x * x * polyval(x * x, _HALF_COTH)


def integrator_step(lam: FloatArray, step: float) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Exact joint law over one `step` of (x, integral of x dt) in a mode, from a known x, at beta = 1.

    Returns standard deviation of x; covariance of the integral with x, divided by that; standard deviation of
    what is left of the integral: the Cholesky factor of the 2 x 2 covariance.
    """
    variance_x = rise(lam, 2.0 * step)
    covariance = rise(lam, step) ** 2
    variance_integral = 2.0 * step**3 * psi(lam * step)
    sd_x = np.sqrt(variance_x)
    return sd_x, covariance / sd_x, np.sqrt(variance_integral - covariance**2 / variance_x)


def driven_heat(lam: FloatArray, x0: Numbers, b: Numbers, time: float) -> FloatArray:
    """Integral over [0, time] of lam <x>^2: Joule heat of the mean current in a mode, in units of C volt^2."""

    def early(lam: FloatArray, x0: FloatArray, b: FloatArray) -> FloatArray:
        y, a = b - lam * x0, lam * time
        return lam * (x0**2 * time + 2.0 * x0 * y * time**2 * phi2(a) + y**2 * time**3 * psi(a))

    # when the sum above cancels, and one about the end of the charging does not
    def late(lam: FloatArray, x0: FloatArray, b: FloatArray) -> FloatArray:
        end, off = b / lam, b / lam - x0
        return lam * (end**2 * time - 2.0 * end * off * rise(lam, time) + off**2 * rise(lam, 2.0 * time) / 2.0)

    return _either(np.asarray(lam * time < 1.0), early, late, lam, x0, b)


def heat_from_bath(lam: FloatArray, x0: Numbers, b: Numbers, time: float) -> FloatArray:
    """Heat that the mean of a mode takes up from the bath over [0, time] at constant b, in units of C volt^2.

    Never positive: the potential x^T A x / 2 - b^T x of the mean falls. Noise adds (1 - e^{-2 lam time}) / (2 beta).
    """
    excess = b / lam - x0
    return 0.5 * np.expm1(-2.0 * lam * time) * lam * excess**2
