"""How long to run: the burn-in rule and the duration or number of reads that reach a relative error.

Everything here is knowledge of the simulator, not of an experimenter: with a held spectrum the exact law of the
read-out is used, with bounds only a guaranteed one.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import scipy

from .. import _validation
from .._typing import FloatArray
from .._validation import warn
from ..errors import NotEquilibrated, QuantizationFloor
from ..laws.readout import ReadsProtocol
from ..numerics.threads import parts
from ..operators import Modal

if TYPE_CHECKING:
    from ..processes.ornstein_uhlenbeck import OrnsteinUhlenbeck

BIAS_SHARE = 0.1  # a transient is negligible when it is at most this share of the standard error
NEGLIGIBLE = np.finfo(float).eps  # ... or, for a device without noise, this share of the answer
LONGEST = 1e300  # times beyond this are not planned
ROOT_TOLERANCE = 1e-5  # relative, of a mean square error at a planned number of reads
FINE = 7  # halvings of a time to which a burn-in is found: to 1 %, or to the fastest relaxation
MOST_RELAXATIONS = 1e3  # of the slowest mode, after which nothing can be left


@dataclass(frozen=True)
class Transient:
    """How far the mean of a read-out still is from its limit, and the noise it is to be compared with.

    Attributes
    ----------
    bias : callable
        Norm of the bias as a function of the burn-in; falls.
    noise : callable
        Root mean square norm of the noise of the result as a function of the burn-in; rises.
    scale : float
        Norm of the answer.
    slowest, fastest : float
        Bounds of the decay rates in `bias`.
    """

    bias: Callable[[float], float]
    noise: Callable[[float], float]
    scale: float
    slowest: float
    fastest: float

    def burn_in(self) -> float:
        """Shortest burn-in [RC] after which the bias is at most a tenth of the noise.

        At least half the fastest relaxation time. The noise only rises with the burn-in, so the time that
        compares with its equilibrium value is too short; its noise then gives a time that is enough.
        """
        least = 0.5 / self.fastest
        start = max(least, self._time_until(BIAS_SHARE * self.noise(np.inf)))
        return max(start, self._time_until(BIAS_SHARE * self.noise(start)))

    def _time_until(self, target: float) -> float:
        start = self.bias(0.0)
        target = max(target, NEGLIGIBLE * max(self.scale, start))
        if start <= target:
            return 0.0
        high = float(np.log(start / target) / self.slowest)
        while self.bias(high) > target:  # rounding at the end of the bracket
            high *= 1.01
        low = 0.0
        while high - low > 1e-3 * high:
            middle = 0.5 * (low + high)
            low, high = (low, middle) if self.bias(middle) <= target else (middle, high)
        return high

    def warn_if_short(self, burn_in: float, what: str) -> None:
        """`NotEquilibrated` when a given burn-in leaves more than a tenth of the standard error."""
        bias, noise = self.bias(burn_in), self.noise(burn_in)
        if bias > max(BIAS_SHARE * noise, NEGLIGIBLE * self.scale) * (1.0 + 1e-9):
            warn(
                f"burn_in = {burn_in:.4g} RC is too short: what is left of the start biases {what} by {bias:.3g} "
                f"(standard error {noise:.3g}); burn_in = {self.burn_in():.4g} RC is needed",
                NotEquilibrated,
            )


def resolve_burn_in(burn_in: str | float, transient: Transient, what: str) -> float:
    """The burn-in [RC] that "auto" or a number stands for; warns about a number that is too small."""
    if isinstance(burn_in, str):
        _validation.choice(burn_in, "burn_in (or a number)", ("auto",))
        return transient.burn_in()
    burn_in = _validation.positive(burn_in, 'burn_in (or "auto")', zero=True)
    transient.warn_if_short(burn_in, what)
    return burn_in


def inverse_transient(operator: Modal, protocol: ReadsProtocol, error: float) -> Transient:
    """The transient of ``inv`` (at beta = 1): the covariance of independent or equally spaced reads, up from zero."""
    rates = operator.eigenvalues
    missing = protocol.second_moment_memory(rates)
    low, high = protocol.decay_rates(rates)
    size = float(np.linalg.norm(1.0 / rates))
    return Transient(lambda t0: float(np.linalg.norm(missing(t0))), lambda t0: error, size, 2.0 * low, 2.0 * high)


def independent_inverse_burn_in(low: float, n_reads: int) -> float:
    """A burn-in that is enough for independent reads, from the smallest eigenvalue alone.

    The bias is at most ``e^{-2 low t0} ||A^-1||_F`` and the standard error at least ``sqrt(2/n) ||A^-1||_F``.
    """
    return float(np.log(np.sqrt(n_reads / 2.0) / BIAS_SHARE) / (2.0 * low))


def inverse_mean_square(rates: FloatArray, protocol: ReadsProtocol) -> float:
    """E ||S - A^-1||_F^2 of the mean of n products x x^T in equilibrium (beta = 1).

    Modes i and j of independent reads enter by 1/(l_i l_j n), those of correlated reads by their `pair_variances`.
    """
    if protocol.independent:
        return float((np.sum(1.0 / rates) ** 2 + np.sum(rates**-2.0)) / protocol.n_reads)
    total = 0.0
    for rows in parts(rates.size, protocol.pair_rows or rates.size):  # of the upper triangle
        pairs = protocol.pair_variances(rates, rows, slice(rows.start, None))
        total += 2.0 * pairs.sum() - pairs[:, : len(pairs)].sum() + np.trace(pairs)
    return float(total)


def added_mean_square(operator: Modal, added: float) -> float:
    """n times what an independent variance `added` of every read adds to that mean square error."""
    d = operator.shape[0]
    return added * (2.0 * d + 2.0) * operator.trace(np.reciprocal) + added**2 * d * (d + 1.0)


def solve_time(mean_square: Callable[[float], float], target: float, shortest: float) -> float:
    """The averaging time, at least `shortest`, from which on a falling mean square error meets its target."""
    if mean_square(shortest) <= target:
        return shortest
    low, high = shortest, 4.0 * shortest
    while mean_square(high) > target:
        low, high = high, 4.0 * high
        if high > LONGEST:
            raise ValueError("rtol asks for more averaging than can be planned; raise rtol or beta")

    def gap(u: float) -> float:
        return np.log(mean_square(np.exp(u)) / target)

    exponent = scipy.optimize.brentq(gap, np.log(low), np.log(high), xtol=1e-6)
    return float(np.exp(exponent))


def solve_count(mean_square: Callable[[float], float], target: float) -> int:
    """The fewest reads at which a mean square error (of a real number of reads, nearly falling) meets its target."""
    n = 1 if mean_square(1) <= target else int(np.ceil(solve_time(mean_square, target, 1.0)))
    while mean_square(n) > target * (1.0 + ROOT_TOLERANCE):  # with inertia not every read lowers it
        n += max(1, n // 1000)
    return n


def noise_budget(rtol: float, scale: float, floor: float, beta: float, what: str) -> float:
    """Mean square error left for thermal noise under rtol ||answer||, after the converters took `floor` (a norm)."""
    if scale == 0.0:
        raise ValueError(f"rtol is relative to the norm of {what}, which is zero; give duration or n_reads")
    if np.isinf(beta):
        raise ValueError("rtol plans the averaging of noise, and beta = inf has none; give duration or n_reads")
    if floor >= rtol * scale:
        raise QuantizationFloor(
            f"rtol = {rtol:.3g} cannot be reached: rounding, mismatch and eps_sys alone leave a relative error of "
            f"{floor / scale:.3g}; use more bits, or a larger rtol"
        )
    return (rtol * scale) ** 2 - floor**2


@dataclass(frozen=True)
class MomentTransient(Transient):
    """A `Transient` whose noise does not depend on the burn-in, and whose time is found by `until`.

    Attributes
    ----------
    until : callable
        The shortest burn-in [RC] after which the bias is below a target.
    """

    until: Callable[[float], float]

    def burn_in(self) -> float:
        """Shortest burn-in [RC] after which the bias is at most a tenth of the noise."""
        return self.until(max(BIAS_SHARE * self.noise(np.inf), NEGLIGIBLE * max(self.scale, self.bias(0.0))))


def time_until(process: "OrnsteinUhlenbeck", missing: np.ndarray, size: Callable, target: float, least: float) -> float:
    """Shortest multiple t of `least`, or 1 % more, at which ``size(M missing M^T)``, M = e^{-A t}, is below target.

    Times are doubled until that is so, then the last doubling is given back in ever shorter steps. All steps are
    `least` times a power of two, so that trials take products of matrices that are there: one exponential is worked
    out in all (of common modes, where it is cheap, one for every power: squaring has no digits left for rates that are
    1e16 times slower than the fastest).
    """
    slowest = process.eigenvalues.real.min()
    rungs = [process.propagator(least)]
    gap = rungs[0] @ missing @ rungs[0].T
    if size(gap) <= target:
        return least
    time = step = least
    while size(later := rungs[-1] @ gap @ rungs[-1].T) > target:
        gap, time, step = later, time + step, 2.0 * step
        if step * slowest > MOST_RELAXATIONS:
            share = slowest / process.eigenvalues.real.max()
            raise FloatingPointError(
                f"the burn-in cannot be found: the slowest relaxation rate is {share:.3g} of the fastest and lost in "
                "rounding; give burn_in"
            )
        rungs = [*rungs[-FINE:], rungs[-1] @ rungs[-1] if process.modes is None else process.propagator(step)]
    for rung in rungs[-2::-1]:
        step /= 2.0
        if size(later := rung @ gap @ rung.T) > target:
            gap, time = later, time + step
    return float(time + step)
