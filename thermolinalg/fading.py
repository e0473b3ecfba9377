"""How long a device with any stable drift takes to forget its start: what is missing of its second moments."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .planning import BIAS_SHARE, NEGLIGIBLE, Transient
from .processes import OrnsteinUhlenbeck

FINE = 7  # halvings of a time to which a burn-in is found: to 1 %, or to the fastest relaxation

MOST_RELAXATIONS = 1e3  # of the slowest mode, after which nothing can be left


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


def time_until(process: OrnsteinUhlenbeck, missing: np.ndarray, size: Callable, target: float, least: float) -> float:
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
