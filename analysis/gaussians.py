"""Distances of normal laws: what it takes to move one onto another, and how much one tells of another."""

import numpy as np
import scipy.linalg

from thermolinalg import checks


def root(S) -> np.ndarray:
    """Symmetric square root (d, d) of a symmetric positive semidefinite matrix."""
    values, vectors = scipy.linalg.eigh(S)
    return (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T


def bures_squared(S0, S1) -> float:
    """Squared Bures distance ``tr S0 + tr S1 - 2 tr (S0^1/2 S1 S0^1/2)^1/2`` of two covariances.

    Computed as ``|S0^1/2 - S1^1/2 Q|_F^2``, Q the orthogonal polar factor of ``S1^1/2 S0^1/2``: it does not cancel
    where the two are close.

    Parameters
    ----------
    S0, S1 : (d, d) array_like
        Symmetric positive semidefinite.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        A matrix that is not symmetric.

    Examples
    --------
    >>> import numpy as np
    >>> round(bures_squared(np.diag([1.0, 4.0]), np.diag([9.0, 4.0])), 12)
    4.0
    """
    first, second = root(checks.symmetric(S0, "S0")), root(checks.symmetric(S1, "S1"))
    left, _, right = scipy.linalg.svd(second @ first)
    return float(np.sum((first - second @ (left @ right)) ** 2))


def wasserstein_squared(mean0, S0, mean1, S1) -> float:
    """Squared Wasserstein distance of two normal laws: that of the means and the squared Bures distance.

    Parameters
    ----------
    mean0, mean1 : (d,) array_like
    S0, S1 : (d, d) array_like
        Covariances.

    Returns
    -------
    float
        In the unit of x squared.

    Raises
    ------
    ValueError
        Shapes that do not fit, a matrix that is not symmetric.

    Examples
    --------
    >>> wasserstein_squared([0.0], [[1.0]], [3.0], [[4.0]])
    10.0
    """
    gap = checks.vector(mean1, "mean1", len(S1)) - checks.vector(mean0, "mean0", len(S0))
    return float(gap @ gap) + bures_squared(S0, S1)


def relative_entropy(mean0, S0, mean1, S1) -> float:
    """``D(N_0 || N_1)`` of two normal laws, in nats: ``[tr(S1^-1 S0) - d - ln det(S1^-1 S0) + g^T S1^-1 g] / 2``.

    Parameters
    ----------
    mean0, mean1 : (d,) array_like
    S0, S1 : (d, d) array_like
        Covariances, positive definite.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        Shapes that do not fit, a matrix that is not symmetric.
    LinAlgError
        A covariance that is not positive definite.

    Examples
    --------
    >>> relative_entropy([0.0], [[1.0]], [2.0], [[1.0]])
    2.0
    """
    gap = checks.vector(mean1, "mean1", len(S1)) - checks.vector(mean0, "mean0", len(S0))
    excess = scipy.linalg.eigh(checks.symmetric(S0, "S0"), checks.symmetric(S1, "S1"), eigvals_only=True) - 1.0
    spread = float(np.sum(excess - np.log1p(excess)))
    return 0.5 * (spread + float(gap @ scipy.linalg.solve(S1, gap, assume_a="pos")))
