"""Matrices with structure: diagonal, the identity plus low rank, Kronecker products."""

from functools import cached_property

import numpy as np
import scipy.linalg
import scipy.sparse

from .. import _validation
from .._typing import ArrayLike, FloatArray, SpectralFunction
from .base import Modal, kronecker_rotation, orthonormal_columns, require_positive_definite


class Diagonal(Modal):
    """A diagonal matrix.

    Parameters
    ----------
    entries : (d,) array_like
        The diagonal, positive, in units of the reference conductance.

    Raises
    ------
    NotPositiveDefinite
        With the smallest entry.

    Examples
    --------
    >>> import numpy as np, thermolinalg as tl
    >>> tl.Diagonal([1.0, 4.0]).function(np.sqrt, [1.0, 1.0])
    array([1., 2.])
    """

    def __init__(self, entries: ArrayLike) -> None:
        self._entries = _validation.vector(entries, "entries").copy()
        self.shape = (self.rates.size, self.rates.size)
        require_positive_definite(self.rates.min(), self.rates.max(), 1, "the diagonal matrix")

    @property
    def rates(self) -> FloatArray:
        """The entries (d,)."""
        return self._entries

    def to_modes(self, v: FloatArray) -> FloatArray:
        """The coordinates are the entries."""
        return v

    def from_modes(self, c: FloatArray) -> FloatArray:
        """The entries are the coordinates."""
        return c

    def diagonal(self, f: SpectralFunction) -> FloatArray:
        """Diagonal (d,) of f(A)."""
        return f(self.rates)

    @property
    def n_programmed(self) -> int:
        """d."""
        return self.rates.size


class LowRank(Modal):
    """``sigma I + U S U^T``: never forms a (d, d) array.

    The mode coordinates are the r coordinates along U, followed by the d entries of what is left of a vector
    when its part along U is taken away, all d of which relax at rate sigma.

    Parameters
    ----------
    sigma : float
        Multiple of the identity, positive.
    U : (d, r) array_like
        Any columns, r <= d; they need not be orthonormal.
    S : (r,) or (r, r) array_like, optional
        Weights, or a symmetric positive semidefinite matrix between the columns; default the identity.

    Raises
    ------
    ValueError
        Wrong shapes, S not symmetric.
    NotPositiveDefinite
        When the sum has an eigenvalue that is not positive.

    Notes
    -----
    Memory d r and time d r^2, once, by the (r, r) Gram matrix of the columns; directions in which that of
    unit columns is below 1e-13 of its largest eigenvalue are dropped.

    Examples
    --------
    >>> import numpy as np, thermolinalg as tl
    >>> A = tl.LowRank(0.5, np.ones((1000, 1)))
    >>> A.bounds
    (0.5, 1000.5)
    """

    def __init__(self, sigma: float, U: ArrayLike, S: ArrayLike | None = None) -> None:
        self.sigma = _validation.positive(sigma, "sigma")
        U = _validation.real_array(U, "U")
        if U.ndim != 2 or U.shape[1] > U.shape[0] or U.size == 0:
            raise ValueError(f"U must have shape (d, r) with 1 <= r <= d, got {U.shape}; use Dense for r > d")
        d, r = U.shape
        S = np.ones(r) if S is None else _validation.real_array(S, "S")
        if S.shape not in ((r,), (r, r)):
            raise ValueError(f"S must have shape ({r},) or ({r}, {r}), got {S.shape}")
        core = np.diag(S) if S.ndim == 1 else _validation.symmetric(S, "S")
        basis, triangle = orthonormal_columns(U)
        values, mixing = scipy.linalg.eigh(triangle @ core @ triangle.T, check_finite=False)
        self._vectors = basis @ mixing
        self._values = values + self.sigma
        self.shape = (d, d)
        require_positive_definite(*self.bounds, r, "sigma I + U S U^T")

    @cached_property
    def rates(self) -> FloatArray:
        """Eigenvalue of each mode coordinate: (r + d,), the last d all sigma."""
        return np.concatenate((self._values, np.full(self.shape[0], self.sigma)))

    @property
    def eigenvalues(self) -> FloatArray:
        """All d eigenvalues."""
        return self.rates[: self.shape[0]]

    @property
    def bounds(self) -> tuple[float, float]:
        """Smallest and largest eigenvalue."""
        values = self.eigenvalues
        return float(values.min()), float(values.max())

    @property
    def rank(self) -> int:
        """Numerical rank of the low-rank part."""
        return self._values.size

    @property
    def n_programmed(self) -> int:
        """r (r + 2 d): U, S and U^T, as three arrays of resistors (arXiv:2405.13817, App. C)."""
        return self.rank * (self.rank + 2 * self.shape[0])

    def to_modes(self, v: FloatArray) -> FloatArray:
        """[U^T v, v - U U^T v]."""
        along = self._vectors.T @ v
        return np.concatenate((along, v - self._vectors @ along))

    def from_modes(self, c: FloatArray) -> FloatArray:
        """U c_1 + (I - U U^T) c_2."""
        along, across = c[: self._values.size], c[self._values.size :]
        return across + self._vectors @ (along - self._vectors.T @ across)

    def diagonal(self, f: SpectralFunction) -> FloatArray:
        """Diagonal (d,) of f(A)."""
        across = f(np.array([self.sigma]))[0]
        return across + np.einsum("ij,ij,j->i", self._vectors, self._vectors, f(self._values) - across)


class Kronecker(Modal):
    """``A x B + damping I`` in the eigenbasis of the two factors.

    ``kron(A, B)`` acts on row-major vectors: v is the matrix ``v.reshape(dA, dB)``, and ``A x B`` maps it to A V B^T.

    Parameters
    ----------
    A, B : (dA, dA) and (dB, dB) array_like
        Symmetric; the damped product must be positive definite.
    damping : float, optional
        Multiple of the identity that is added to the product.

    Raises
    ------
    ValueError
        A factor is not square, not finite or not symmetric; damping is negative.
    NotPositiveDefinite
        With the smallest eigenvalue of the damped product.

    Examples
    --------
    >>> import numpy as np, thermolinalg as tl
    >>> A = tl.Kronecker(np.diag([1.0, 2.0]), np.diag([3.0, 5.0]), damping=1.0)
    >>> A.matvec([1.0, 1.0, 1.0, 1.0])
    array([ 4.,  6.,  7., 11.])
    """

    def __init__(self, A: ArrayLike, B: ArrayLike, damping: float = 0.0) -> None:
        self.damping = _validation.positive(damping, "damping", zero=True)
        left, self._left = scipy.linalg.eigh(_validation.symmetric(A, "A"), check_finite=False)
        right, self._right = scipy.linalg.eigh(_validation.symmetric(B, "B"), check_finite=False)
        self._rates = np.outer(left, right).ravel() + self.damping
        self.shape = (self.rates.size, self.rates.size)
        size = max(left.size, right.size)
        require_positive_definite(self.rates.min(), self.rates.max(), size, "A x B + damping I")

    @property
    def rates(self) -> FloatArray:
        """All eigenvalues (dA dB,), row-major."""
        return self._rates

    @property
    def n_programmed(self) -> int:
        """dA^2 + dB^2: both factors."""
        return self._left.size + self._right.size

    def to_modes(self, v: FloatArray) -> FloatArray:
        """(V_A x V_B)^T v."""
        return kronecker_rotation(v, self._left.T, self._right.T)

    def from_modes(self, c: FloatArray) -> FloatArray:
        """(V_A x V_B) c."""
        return kronecker_rotation(c, self._left, self._right)

    def diagonal(self, f: SpectralFunction) -> FloatArray:
        """Diagonal (d,) of f(A x B + damping I)."""
        weights = f(self.rates).reshape(self._left.shape[0], self._right.shape[0])
        return (self._left**2 @ weights @ (self._right**2).T).ravel()
