"""What work tells about free energy: estimators with the influence of each path, and when not to trust them."""

from dataclasses import dataclass

import numpy as np
import scipy

from .._typing import FloatArray


@dataclass(frozen=True, eq=False)
class FreeEnergy:
    """A free energy difference from work, in units of 1/beta, and how much each path moved it.

    Attributes
    ----------
    difference : float
        Of the free energies at the two ends.
    influence : (n,) ndarray
        Of each forward path on `difference` (times n); their scatter is the standard error.
    reverse_influence : (n,) ndarray or None
        Of each reverse path.
    effective_paths : float
        ``(sum e^{-w})^2 / sum e^{-2 w}`` of the forward paths: how many of them carry the Jarzynski average.
    shares : tuple of float
        How much `difference` moves with an error that all forward (and all reverse) work has in common.
    """

    difference: float
    influence: FloatArray
    reverse_influence: FloatArray | None
    effective_paths: float
    shares: tuple[float, ...] = (1.0,)

    @property
    def stderr(self) -> float:
        """Standard error of `difference`."""
        return _standard_error(self.influence, self.reverse_influence)

    def dissipation(self, work: FloatArray) -> tuple[float, float]:
        """Mean of the forward work less the difference, with its standard error (the two are correlated)."""
        influence = work - work.mean() - self.influence
        reverse = None if self.reverse_influence is None else -self.reverse_influence
        return float(work.mean() - self.difference), _standard_error(influence, reverse)


def _standard_error(*influences: FloatArray | None) -> float:
    return float(np.sqrt(sum(v.var(ddof=1) / v.size for v in influences if v is not None)))


def jarzynski(work: FloatArray) -> FreeEnergy:
    """``-ln <e^{-w}>``: exact in the mean of e^{-w} at any speed, if enough paths are drawn."""
    shift = scipy.special.logsumexp(-work) - np.log(work.size)
    weights = np.exp(-work - shift)
    return FreeEnergy(float(-shift), 1.0 - weights, None, effective_paths(work))


def gaussian(work: FloatArray) -> FreeEnergy:
    """``<w> - var(w) / 2``: for work that is normal, as that of slow ramps; biased by a sixth of its third cumulant."""
    centred = work - work.mean()
    variance = float(work.var(ddof=1))
    influence = centred - 0.5 * (centred**2 - variance)
    return FreeEnergy(float(work.mean() - 0.5 * variance), influence, None, effective_paths(work))


def bar(work: FloatArray, reverse: FloatArray) -> FreeEnergy:
    """Bennett's acceptance ratio of as many forward as reverse paths: the root of <F(w - f)> = <F(w_R + f)>.

    F(u) = 1 / (1 + e^u). By Crooks' theorem the two work distributions p(w) and p_R(-w) cross at w = f, and this uses
    both around there: the estimate of least variance from either kind of path.
    """

    def gap(f: float) -> float:
        return float(scipy.special.expit(f - work).mean() - scipy.special.expit(-f - reverse).mean())

    low, high = min(work.min(), -reverse.max()) - 1.0, max(work.max(), -reverse.min()) + 1.0
    f = float(scipy.optimize.brentq(gap, low, high, xtol=1e-12 * max(1.0, abs(low), abs(high))))
    accepted, rejected = scipy.special.expit(f - work), scipy.special.expit(-f - reverse)
    slopes = [float(np.mean(share * (1.0 - share))) for share in (accepted, rejected)]
    slope = sum(slopes)
    if slope == 0.0:
        raise FloatingPointError(
            f"forward and reverse work of {work.size} paths do not overlap at all: least forward work "
            f"{work.min():.3g}, least reverse work {reverse.min():.3g} (units of 1/beta); take a slower ramp, or a "
            "reference closer to A"
        )
    return FreeEnergy(
        f, -(accepted - accepted.mean()) / slope, (rejected - rejected.mean()) / slope, effective_paths(work),
        (slopes[0] / slope, slopes[1] / slope),
    )  # fmt: skip


def effective_paths(work: FloatArray) -> float:
    """``(sum e^{-w})^2 / sum e^{-2 w}``."""
    return float(np.exp(2.0 * scipy.special.logsumexp(-work) - scipy.special.logsumexp(-2.0 * work)))


def overlap(work: FloatArray, reverse: FloatArray, difference: float) -> float:
    """How many forward and reverse paths lie where the two work distributions cross: the sum of F (1 - F), times 4."""
    accepted = (scipy.special.expit(difference - work), scipy.special.expit(-difference - reverse))
    return float(sum(4.0 * np.sum(p * (1.0 - p)) for p in accepted))


def third_cumulant(work: FloatArray) -> tuple[float, float]:
    """Third cumulant of the work and the standard error it would have if the work were normal."""
    centred = work - work.mean()
    return float(np.mean(centred**3)), float(np.sqrt(6.0 * np.mean(centred**2) ** 3 / work.size))


def skewness_shift(work: FloatArray) -> float:
    """Shift of the mean z-score of ``ln <e^{-w}>``, to leading order: the skewness of e^{-w} over 2 sqrt(n)."""
    centred = np.exp(work.min() - work)
    centred -= centred.mean()
    spread = float(np.mean(centred**2))
    return 0.0 if spread == 0.0 else float(np.mean(centred**3)) / (2.0 * spread**1.5 * np.sqrt(work.size))
