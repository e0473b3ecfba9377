"""Curvature as J^T H J, for as many parameters as the rows of J fit in memory."""

from collections.abc import Callable
from functools import cached_property
from typing import TypeAlias

import numpy as np
from scipy.sparse.linalg import LinearOperator

from .. import _validation
from .._typing import ArrayLike, FloatArray, SpectralFunction
from .base import Curvature, real_rows, semidefinite_eigh

GRAM_FLOOR = 1e-13  # relative eigenvalue below which a Gram matrix holds nothing but its own rounding
TILE = 1 << 18  # numbers of a temporary when entries of F itself are asked for


Product: TypeAlias = Callable[[FloatArray], FloatArray]


def _root(H: ArrayLike | None, n: int) -> tuple[Product, Product]:
    """Products of (n, k) arrays with C and with C^T, for H = C C^T."""
    if H is None:
        return (lambda u: u), (lambda u: u)
    given, H = np.asarray(H), _validation.real_array(H, "H")  # symmetric to the rounding of the type as given
    if H.shape == (n,):
        if H.min() < 0.0:
            raise ValueError(f"H must be non-negative, got {H.min():g} at {int(H.argmin())}")
        weights = np.sqrt(H)[:, None]
        return (lambda u: weights * u), (lambda u: weights * u)
    blocks = given[None] if H.ndim == 2 else given
    if blocks.ndim != 3 or blocks.shape[1] != blocks.shape[2] or blocks.shape[0] * blocks.shape[1] != n:
        raise ValueError(f"H must have shape ({n},), ({n}, {n}) or (b, z, z) with b z = {n}, got {H.shape}")
    pairs = (semidefinite_eigh(_validation.symmetric(block, "H"), "H") for block in blocks)
    C = np.stack([vectors * np.sqrt(values) for values, vectors in pairs])

    def product(factors: FloatArray, u: FloatArray) -> FloatArray:
        return (factors @ u.reshape(*factors.shape[:2], u.shape[1])).reshape(u.shape)

    return (lambda u: product(C, u)), (lambda u: product(C.transpose(0, 2, 1), u))


class LowRankCurvature(Curvature):
    r"""``F = J^T H J`` from rows J (n, N): nothing of size N x N, and no second array of the size of J.

    Parameters
    ----------
    rows : (n, N) array_like or LinearOperator
        J. An operator needs products with vectors from both sides, and `gram`.
    H : (n,), (n, n) or (b, z, z) array_like, optional
        Symmetric positive semidefinite between the rows: weights, a matrix, or one block for each of b groups of z
        rows. Default the identity: cotangents from `cotangents` have H in them.
    gram : (n, n) array_like, optional
        J J^T where it is known without J, e.g. from the inputs and gradients of the layers.
    kind : str, optional
        Which matrix it estimates, as in `cotangents`; for the record.

    Attributes
    ----------
    rows : (n, N) ndarray or None
        J itself, not a copy; None where it was given as an operator.
    H : ndarray or None
        As given.

    Raises
    ------
    ValueError
        Shapes that do not fit; an operator without gram.

    See Also
    --------
    cotangents : Output gradients, from which rows are made.
    DenseCurvature : The same matrix in full.

    Notes
    -----
    With H = C C^T and C^T J J^T C = V diag(mu) V^T the eigenvectors are U = J^T T, T = C V mu^{-1/2}, which is all
    that is kept. The coordinates of v are [T^T J v, v]; a function is applied as f(0) v + U (f(mu) - f(0)) U^T v, which
    is accurate to about (machine epsilon) mu_max / damping. Eigenvalues up to 1e-13 of the largest are taken for zero.

    Source: the SDE on J^T H J of TNGD, Donatella et al., arXiv:2405.13817, Eq. 16; the form is ours.

    Examples
    --------
    >>> import numpy as np, thermolinalg as tl
    >>> F = tl.curvature.LowRankCurvature(np.array([[3.0, 0.0, 4.0]]))
    >>> F.pseudoinverse([3.0, 0.0, 4.0]).round(12)
    array([0.12, 0.  , 0.16])
    """

    rows: np.ndarray | None = None

    def __init__(
        self,
        rows: ArrayLike | LinearOperator,
        H: ArrayLike | None = None,
        gram: ArrayLike | None = None,
        kind: str | None = None,
    ) -> None:
        if isinstance(rows, LinearOperator):
            if gram is None:
                raise ValueError("rows are given as an operator; give gram = J J^T as well, or J as an array")
            self._product, self._adjoint = rows.matmat, rows.rmatmat
        else:
            self.rows = rows = real_rows(rows)
            self._product, self._adjoint = rows.__matmul__, rows.T.__matmul__
        n, size = rows.shape
        self.shape = (size, size)
        made = "the Gram matrix" if gram is None else "gram"
        with np.errstate(over="ignore", invalid="ignore"):
            gram = rows @ rows.T if gram is None else _validation.symmetric(gram, "gram")
        if not np.isfinite(gram).all():
            raise ValueError(f"rows must be below 1e150: J J^T overflows, the largest is {np.abs(rows).max():.3g}")
        if gram.shape != (n, n):
            raise ValueError(f"gram must have shape ({n}, {n}) like J J^T, got {gram.shape}")
        self.n_rows, self.H = n, None if H is None else np.asarray(H)
        root, adjoint = _root(H, n)
        values, basis = semidefinite_eigh(adjoint(adjoint(gram).T), made)
        keep = values > GRAM_FLOOR * values[-1]
        self.rank = int(np.count_nonzero(keep))
        self._values = values[keep]
        self._mixing = root(basis[:, keep] / np.sqrt(self._values))
        self._set_kind(kind)

    @cached_property
    def rates(self) -> FloatArray:
        """Eigenvalue of each mode coordinate: (rank + N,), the last N all zero, or the smallest where none is zero."""
        return np.concatenate((self._values, np.full(self.size, self._lowest)))

    @property
    def _lowest(self) -> float:
        """What the directions across the rows count for: with rank N there are none, and any eigenvalue will do."""
        return float(self._values[0]) if self.rank >= self.size else 0.0

    @property
    def eigenvalues(self) -> FloatArray:
        """All N eigenvalues."""
        return np.concatenate((self._values, np.zeros(max(self.size - self.rank, 0))))[: self.size]

    def _along(self, v: FloatArray) -> FloatArray:
        """U^T v."""
        return self._mixing.T @ self._rows_times(v)

    def _rows_times(self, v: FloatArray) -> FloatArray:
        return self._product(v[:, None])[:, 0] if v.ndim == 1 else self._product(v)

    def _rows_adjoint(self, u: FloatArray) -> FloatArray:
        return self._adjoint(u[:, None])[:, 0] if u.ndim == 1 else self._adjoint(u)

    def to_modes(self, v: FloatArray) -> FloatArray:
        """[U^T v, v]."""
        return np.concatenate((self._along(v), v))

    def from_modes(self, c: FloatArray) -> FloatArray:
        """U c_1 + (I - U U^T) c_2."""
        along, across = c[: self.rank], c[self.rank :]
        return across + self._rows_adjoint(self._mixing @ (along - self._along(across)))

    def matvec(self, v: ArrayLike) -> FloatArray:
        """J^T H J v for v (N,) or (N, k)."""
        v = _validation.columns(v, "v", self.size)
        along = self._along(v)
        return self._rows_adjoint(self._mixing @ (self._values.reshape(-1, *(1,) * (v.ndim - 1)) * along))

    def quadratic(self, v: ArrayLike) -> float:
        """v^T F v, from one product with J."""
        return float(self._values @ self._along(_validation.vector(v, "v", self.size)) ** 2)

    def diagonal(self, f: SpectralFunction) -> FloatArray:
        """Diagonal (N,) of f(F)."""
        across = float(f(np.array([self._lowest]))[0])
        weights = f(self._values) - across
        out = np.full(self.size, across)
        step = max(TILE // self.size, 1)
        for i in range(0, self.rank, step):
            out += self._rows_adjoint(self._mixing[:, i : i + step]) ** 2 @ weights[i : i + step]
        return out

    @property
    def n_programmed(self) -> int:
        """n (n + 2 N): J, H and J^T, as three arrays of resistors (arXiv:2405.13817, App. C)."""
        return self.n_rows * (self.n_rows + 2 * self.size)
