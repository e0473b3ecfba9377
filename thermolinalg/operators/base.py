"""`Modal`: operators with coordinates in which A is diagonal."""

from functools import cached_property
from typing import Any

import numpy as np
import scipy.linalg

from .. import _validation
from .._typing import ArrayLike, FloatArray, SpectralFunction
from ..errors import NotPositiveDefinite
from .krylov import finite_values

GRAM_FLOOR, GRAM_SAFE = 1e-13, 1e-3  # relative eigenvalue of a Gram matrix: numerically zero; safe in one pass


def require_positive_definite(smallest: float, largest: float, size: int, name: str) -> None:
    """Raise `NotPositiveDefinite` unless `smallest` is positive beyond the rounding of an eigenvalue."""
    rounding = size * np.finfo(float).eps * abs(largest)
    if smallest <= rounding:
        kind = "is singular to working precision" if abs(smallest) <= rounding else "is not positive definite"
        raise NotPositiveDefinite(
            f"{name} {kind}: its smallest eigenvalue is {smallest:.6g} (largest {largest:.6g}); "
            f"add a multiple of the identity above {max(-smallest, 0.0) + rounding:.3g}, or project the null space out",
            float(smallest),
        )


def scale_rows(weights: FloatArray, v: FloatArray) -> FloatArray:
    """weights[i] * v[i] for v (m,) or (m, k)."""
    return weights * v if v.ndim == 1 else weights[:, None] * v


def kronecker_rotation(v: FloatArray, left: FloatArray, right: FloatArray) -> FloatArray:
    """(left x right) v for row-major v (p r,) or (p r, k): each column V of shape (p, r) becomes left V right^T."""
    stack = v.reshape(left.shape[1], right.shape[1], -1)
    out = np.einsum("ij,jkc->ikc", left, stack, optimize=True)
    return np.einsum("kl,ilc->ikc", right, out, optimize=True).reshape(v.shape)


def orthonormal_columns(U: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Q, R with U = Q R and orthonormal Q (d, m), m the numerical rank, from Gram matrices (R need not be triangular).

    Columns are scaled to unit length in the Gram matrix, so that short ones count. One Gram matrix loses orthogonality
    as the square of the condition number of those columns; a second pass restores it.
    """
    Q, R = U, np.eye(U.shape[1])
    for _ in range(2):
        gram = Q.T @ Q
        length = np.sqrt(np.diag(gram))
        length[length == 0.0] = 1.0
        values, basis = scipy.linalg.eigh(gram / np.outer(length, length), check_finite=False)
        keep = values > GRAM_FLOOR * values[-1]
        if not keep.any():
            return U[:, :0], R[:0]
        root = np.sqrt(values[keep])
        Q, R = Q @ (basis[:, keep] / root / length[:, None]), (basis[:, keep] * root * length[:, None]).T @ R
        if values[keep][0] > GRAM_SAFE * values[-1]:
            break
    return Q, R


class Modal:
    """An operator with mode coordinates: ``f(A) v = from_modes(f(rates) * to_modes(v))``.

    Independent noise in mode coordinates with standard deviations ``g(rates)`` comes out of `from_modes` with
    covariance ``g(A)^2``, also where there are more coordinates than dimensions (`LowRank`). Subclasses set `shape` and
    define `rates`, `to_modes`, `from_modes` and `diagonal`.
    """

    shape: tuple[int, int]

    @property
    def rates(self) -> FloatArray:
        """Eigenvalue (m,) that belongs to each mode coordinate."""
        raise NotImplementedError

    @cached_property
    def programmed(self) -> dict[Any, Any]:
        """What devices hold in place of this operator, by what their data sheets say of rounding and mismatch."""
        return {}

    def to_modes(self, v: FloatArray) -> FloatArray:
        """Mode coordinates (m,) or (m, k) of v (d,) or (d, k)."""
        raise NotImplementedError

    def from_modes(self, c: FloatArray) -> FloatArray:
        """The vector (d,) or (d, k) with mode coordinates c (m,) or (m, k)."""
        raise NotImplementedError

    def function(self, f: SpectralFunction, v: ArrayLike) -> FloatArray:
        """f(A) v for v (d,) or (d, k); f maps an array of eigenvalues to an array of numbers."""
        return self.weighted(finite_values(f, self.rates), v)

    def weighted(self, weights: FloatArray, v: ArrayLike) -> FloatArray:
        """from_modes(weights * to_modes(v)): f(A) v where f is known as one weight for each mode coordinate."""
        return self.from_modes(scale_rows(weights, self.to_modes(_validation.columns(v, "v", self.shape[0]))))

    def matvec(self, v: ArrayLike) -> FloatArray:
        """A v for v (d,) or (d, k)."""
        return self.function(lambda rates: rates, v)

    def trace(self, f: SpectralFunction) -> float:
        """Trace of f(A)."""
        return float(np.sum(finite_values(f, self.eigenvalues)))

    def diagonal(self, f: SpectralFunction) -> FloatArray:
        """Diagonal (d,) of f(A)."""
        raise NotImplementedError

    def dense(self) -> FloatArray:
        """A as a (d, d) array."""
        return self.matvec(np.eye(self.shape[0]))

    @property
    def eigenvalues(self) -> FloatArray:
        """All d eigenvalues, in no promised order."""
        return self.rates

    @property
    def spectrum(self) -> FloatArray:
        """The `eigenvalues`, for what needs no modes: found without them where that saves work."""
        return self.eigenvalues

    @property
    def bounds(self) -> tuple[float, float]:
        """Smallest and largest eigenvalue."""
        return float(self.rates.min()), float(self.rates.max())

    @property
    def n_programmed(self) -> int:
        """How many numbers a device must be told to hold the operator: d^2, unless a subclass knows better."""
        return self.shape[0] * self.shape[1]

    @property
    def extremes(self) -> tuple[float, float]:
        """The `bounds`, found without a spectrum where that saves work."""
        return self.bounds

    def __repr__(self) -> str:
        lowest, highest = self.bounds
        return f"{type(self).__name__}(shape={self.shape}, condition number {highest / lowest:.3g})"
