"""Work, heat and free energy along driven paths.

Three energies are never mixed: Joule heat (of driven currents, in `Cost`), the stochastic heat that a path takes up
from the bath, and the energy stored in the network. Here are the last two, and what work tells about free energy.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy

from . import _check
from .kernels import work as kernels


@dataclass(frozen=True, kw_only=True, eq=False)
class PathEnergetics:
    """What `path_energetics` returns: each (n_chains,), or a number for a single path.

    Attributes
    ----------
    work : ndarray
        Done on the network by whoever changes A and b.
    heat : ndarray
        Stochastic heat taken up from the bath (negative: given off), by the midpoint product.
    energy_change : ndarray
        Of ``x^T A x / 2 - b^T x`` from the first read, before anything changes, to the last: by the first law the sum
        of the two. It is not how they are worked out.
    """

    work: np.ndarray
    heat: np.ndarray
    energy_change: np.ndarray


def path_energetics(xs, A, b=None) -> PathEnergetics:
    """Work and stochastic heat along paths of a network whose A and b are changed from outside.

    At read k the controls jump to ``A[k], b[k]`` while x stands still: work. Then x moves to the next read under
    them: heat, the sum of force times displacement with the force taken halfway, ``(A x - b) o dx`` in the sense of
    Stratonovich. With reads so far apart that the network relaxes in between, this is still exact.

    Parameters
    ----------
    xs : (n, d) or (n_chains, n, d) array_like
        Reads of paths.
    A : (d, d) array_like, or a sequence of n of them
        Constant, or in force from each read on.
    b : (d,) or (n, d) array_like, optional
        Constant, or in force from each read on; default 0.

    Returns
    -------
    PathEnergetics

    Raises
    ------
    ValueError
        Shapes that do not fit; a matrix that is not symmetric.

    Examples
    --------
    >>> import numpy as np
    >>> e = path_energetics([[1.0], [0.5], [0.2]], [[[1.0]], [[2.0]], [[4.0]]])
    >>> [round(float(v), 6) for v in (e.work, e.heat, e.energy_change)]
    [0.165, -0.585, -0.42]
    """
    xs = _check.real_array(xs, "xs")
    if xs.ndim not in (2, 3) or xs.shape[-2] < 2 or xs.size == 0:
        raise ValueError(f"xs must have shape (n, d) or (n_chains, n, d) with n >= 2, got {xs.shape}")
    paths = np.ascontiguousarray(np.moveaxis(xs.reshape(-1, *xs.shape[-2:]), 1, 0))
    n, d = xs.shape[-2:]
    matrices, sides = _controls(A, n, d), _drives(b, n, d)

    def force(k, x):
        return np.ascontiguousarray(x @ matrices[k]) - sides[k]

    def energy(k, x):
        return np.einsum("ci,ci->c", x, 0.5 * (x @ matrices[k]) - sides[k])

    work, heat = np.zeros((2, paths.shape[1]))
    for k in range(n - 1):
        if k:
            work += energy(k, paths[k]) - energy(k - 1, paths[k])
        kernels.path_steps(paths[k], paths[k + 1], force(k, paths[k]), force(k, paths[k + 1]), heat)
    work += energy(n - 1, paths[-1]) - energy(n - 2, paths[-1])
    change = energy(n - 1, paths[-1]) - energy(0, paths[0])
    shape = xs.shape[:-2]
    return PathEnergetics(work=work.reshape(shape), heat=heat.reshape(shape), energy_change=change.reshape(shape))


def _controls(A, n: int, d: int) -> Sequence[np.ndarray]:
    given = _check.real_array(A, "A")
    if given.shape not in ((d, d), (n, d, d)):
        raise ValueError(f"A must have shape ({d}, {d}) or ({n}, {d}, {d}), got {given.shape}")
    if given.ndim == 2:
        return [_check.symmetric(given, "A")] * n
    return [_check.symmetric(matrix, f"A[{k}]") for k, matrix in enumerate(given)]


def _drives(b, n: int, d: int) -> np.ndarray:
    given = np.zeros(d) if b is None else _check.real_array(b, "b")
    if given.shape not in ((d,), (n, d)):
        raise ValueError(f"b must have shape ({d},) or ({n}, {d}), got {given.shape}")
    return np.broadcast_to(given, (n, d))


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
    """

    difference: float
    influence: np.ndarray
    reverse_influence: np.ndarray | None
    effective_paths: float

    @property
    def stderr(self) -> float:
        """Standard error of `difference`."""
        return _standard_error(self.influence, self.reverse_influence)

    def dissipation(self, work: np.ndarray) -> tuple[float, float]:
        """Mean of the forward work less the difference, with its standard error (the two are correlated)."""
        influence = work - work.mean() - self.influence
        reverse = None if self.reverse_influence is None else -self.reverse_influence
        return float(work.mean() - self.difference), _standard_error(influence, reverse)


def _standard_error(*influences) -> float:
    return float(np.sqrt(sum(v.var(ddof=1) / v.size for v in influences if v is not None)))


def jarzynski(work: np.ndarray) -> FreeEnergy:
    """``-ln <e^{-w}>``: exact in the mean of e^{-w} at any speed, if enough paths are drawn."""
    shift = scipy.special.logsumexp(-work) - np.log(work.size)
    weights = np.exp(-work - shift)
    return FreeEnergy(float(-shift), 1.0 - weights, None, effective_paths(work))


def gaussian(work: np.ndarray) -> FreeEnergy:
    """``<w> - var(w) / 2``: for work that is normal, as that of slow ramps; biased by a sixth of its third cumulant."""
    centred = work - work.mean()
    variance = float(work.var(ddof=1))
    influence = centred - 0.5 * (centred**2 - variance)
    return FreeEnergy(float(work.mean() - 0.5 * variance), influence, None, effective_paths(work))


def bar(work: np.ndarray, reverse: np.ndarray) -> FreeEnergy:
    """Bennett's acceptance ratio of as many forward as reverse paths: the root of <F(w - f)> = <F(w_R + f)>.

    F(u) = 1 / (1 + e^u). By Crooks' theorem the two work distributions p(w) and p_R(-w) cross at w = f, and this uses
    both around there: the estimate of least variance from either kind of path.
    """

    def gap(f):
        return float(scipy.special.expit(f - work).mean() - scipy.special.expit(-f - reverse).mean())

    low, high = min(work.min(), -reverse.max()) - 1.0, max(work.max(), -reverse.min()) + 1.0
    f = float(scipy.optimize.brentq(gap, low, high, xtol=1e-12 * max(1.0, abs(low), abs(high))))
    accepted, rejected = scipy.special.expit(f - work), scipy.special.expit(-f - reverse)
    slope = float(np.mean(accepted * (1.0 - accepted)) + np.mean(rejected * (1.0 - rejected)))
    return FreeEnergy(
        f, -(accepted - accepted.mean()) / slope, (rejected - rejected.mean()) / slope, effective_paths(work)
    )


def effective_paths(work: np.ndarray) -> float:
    """``(sum e^{-w})^2 / sum e^{-2 w}``."""
    return float(np.exp(2.0 * scipy.special.logsumexp(-work) - scipy.special.logsumexp(-2.0 * work)))


def overlap(work: np.ndarray, reverse: np.ndarray, difference: float) -> float:
    """How many forward and reverse paths lie where the two work distributions cross: the sum of F (1 - F), times 4."""
    accepted = (scipy.special.expit(difference - work), scipy.special.expit(-difference - reverse))
    return float(sum(4.0 * np.sum(p * (1.0 - p)) for p in accepted))


def third_cumulant(work: np.ndarray) -> tuple[float, float]:
    """Third cumulant of the work and the standard error it would have if the work were normal."""
    centred = work - work.mean()
    return float(np.mean(centred**3)), float(np.sqrt(6.0 * np.mean(centred**2) ** 3 / work.size))


def skewness_shift(work: np.ndarray) -> float:
    """Shift of the mean z-score of ``ln <e^{-w}>``, to leading order: the skewness of e^{-w} over 2 sqrt(n)."""
    centred = np.exp(work.min() - work)
    centred -= centred.mean()
    spread = float(np.mean(centred**2))
    return 0.0 if spread == 0.0 else float(np.mean(centred**3)) / (2.0 * spread**1.5 * np.sqrt(work.size))
