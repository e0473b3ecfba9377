"""Symmetric positive definite matrices as operators that apply functions of themselves.

For symmetric A the device is a bundle of independent modes, so everything it puts out is ``f(A) b + g(A) xi``.
An operator holds whatever makes ``f(A) v`` cheap for its kind of matrix:

=============  ==============================================  =================
operator       holds                                           cost of f(A) v
=============  ==============================================  =================
`Diagonal`     d numbers                                       d
`Dense`        the eigendecomposition, once                    d^2
`LowRank`      sigma I + U S U^T, orthonormal U (d, r)         d r
`Kronecker`    eigendecompositions of both factors             d (dA + dB)
`Krylov`       a matrix-vector product                         k products
=============  ==============================================  =================

All but `Krylov` share one mechanism, `Modal`: coordinates in which A is diagonal.
"""

from functools import cached_property

import numpy as np
import scipy.linalg
import scipy.sparse
from scipy.sparse.linalg import LinearOperator, eigsh

from . import _check
from .krylov import Krylov
from .modal import Modal, kronecker_rotation, orthonormal_columns, require_positive_definite

__all__ = ["Dense", "Diagonal", "Kronecker", "Krylov", "LowRank", "as_operator"]

LEAN_FROM = 1000  # size from which SciPy's evd replaces NumPy's, which takes 8 d^2 bytes more, no less time
EVR_FROM = 2000  # size from which LAPACK's evr driver replaces evd: slower, but a fraction of the memory
LANCZOS_FROM = 256  # size from which extreme eigenvalues are found by Lanczos when no spectrum is held


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

    def __init__(self, entries):
        self.rates = _check.vector(entries, "entries").copy()
        self.shape = (self.rates.size, self.rates.size)
        require_positive_definite(self.rates.min(), self.rates.max(), 1, "the diagonal matrix")

    def to_modes(self, v):
        """The coordinates are the entries."""
        return v

    def from_modes(self, c):
        """The entries are the coordinates."""
        return c

    def diagonal(self, f):
        """Diagonal (d,) of f(A)."""
        return f(self.rates)

    @property
    def n_programmed(self):
        """d."""
        return self.rates.size


class Dense(Modal):
    """A dense matrix, factorised when first needed and never again.

    Parameters
    ----------
    A : (d, d) array_like
        Symmetric positive definite. Kept by reference, not copied: do not change it while the operator lives.

    Raises
    ------
    ValueError
        A is not square, not finite, complex, or not symmetric (the message says by how much).
    NotPositiveDefinite
        With the offending eigenvalue, when the matrix is first factorised.

    Examples
    --------
    >>> import numpy as np, thermolinalg as tl
    >>> A = tl.Dense([[2.0, 1.0], [1.0, 2.0]])
    >>> A.bounds
    (1.0, 3.0)
    >>> A.function(lambda lam: 1 / lam, [3.0, 0.0]).round(12)
    array([ 2., -1.])
    """

    def __init__(self, A):
        self._matrix = _check.symmetric(A, "A")
        self.shape = self._matrix.shape

    @cached_property
    def _decomposition(self) -> tuple[np.ndarray, np.ndarray]:
        if self.shape[0] < LEAN_FROM:  # NumPy's, for the BLAS (and its threads) that the products with V use
            values, vectors = np.linalg.eigh(self._matrix)
        else:
            driver = "evd" if self.shape[0] < EVR_FROM else "evr"
            values, vectors = scipy.linalg.eigh(self._matrix, driver=driver, check_finite=False)
        require_positive_definite(values[0], values[-1], self.shape[0], "A")
        return values, vectors

    @property
    def rates(self) -> np.ndarray:  # type: ignore[override]
        """Eigenvalues (d,), ascending."""
        return self._decomposition[0]

    @property
    def eigenvectors(self) -> np.ndarray:
        """Eigenvectors (d, d), one a column."""
        return self._decomposition[1]

    @cached_property
    def spectrum(self) -> np.ndarray:  # type: ignore[override]
        """Eigenvalues (d,), ascending, without eigenvectors unless those are there already."""
        if "_decomposition" in self.__dict__:
            return self.rates
        values = scipy.linalg.eigvalsh(self._matrix, check_finite=False)
        require_positive_definite(values[0], values[-1], self.shape[0], "A")
        return values

    @cached_property
    def cholesky(self) -> np.ndarray:
        """Lower Cholesky factor (d, d) of A, for what needs no spectrum."""
        try:
            return scipy.linalg.cholesky(self._matrix, lower=True, check_finite=False)
        except np.linalg.LinAlgError:
            values = scipy.linalg.eigvalsh(self._matrix, check_finite=False)
            largest = max(values[-1], -values[0])
            # Cholesky met a pivot <= 0: definite at best within rounding, whatever eigvalsh's last digit says.
            smallest = min(values[0], self.shape[0] * np.finfo(float).eps * largest)
            require_positive_definite(smallest, largest, self.shape[0], "A")
            raise  # pragma: no cover

    @property
    def bounds(self) -> tuple[float, float]:
        """Smallest and largest eigenvalue."""
        return float(self.rates[0]), float(self.rates[-1])

    @property
    def is_small(self) -> bool:
        """Whether a spectrum costs no more than ways around it."""
        return self.shape[0] < LANCZOS_FROM

    @cached_property
    def extremes(self) -> tuple[float, float]:
        """Smallest and largest eigenvalue; of a large A by Lanczos on it and on its Cholesky factor, not a spectrum."""
        if self.is_small:
            return self.bounds
        d, factor = self.shape[0], self.cholesky
        start = np.random.default_rng(0).standard_normal(d)  # a start of its own: never the caller's stream

        def top_eigenvalue(product):
            operator = LinearOperator((d, d), matvec=product, dtype=float)
            return eigsh(operator, 1, which="LA", v0=start, tol=1e-6, return_eigenvectors=False)[0]

        # SciPy's BLAS for both, as for the factor: two BLAS libraries in turn would wait for each other's threads
        columns = self._matrix if self._matrix.flags.f_contiguous else self._matrix.T
        largest = top_eigenvalue(lambda v: scipy.linalg.blas.dsymv(1.0, columns, v))
        smallest = 1.0 / top_eigenvalue(lambda v: scipy.linalg.cho_solve((factor, True), v, check_finite=False))
        require_positive_definite(smallest, largest, d, "A")
        return float(smallest), float(largest)

    def to_modes(self, v):
        """V^T v."""
        return self.eigenvectors.T @ v

    def from_modes(self, c):
        """V c."""
        return self.eigenvectors @ c

    def matvec(self, v):
        """A v for v (d,) or (d, k); needs no factorisation."""
        v = np.asarray(v)
        if v.ndim == 2 and v.flags.f_contiguous:  # columns come out as they came in
            return (v.T @ self._matrix).T
        return self._matrix @ v

    def diagonal(self, f):
        """Diagonal (d,) of f(A)."""
        return np.einsum("ij,ij,j->i", self.eigenvectors, self.eigenvectors, f(self.rates))

    def dense(self):
        """A as a (d, d) array: the very array that was given."""
        return self._matrix


class LowRank(Modal):
    """``sigma I + U S U^T``: never forms a (d, d) array.

    The mode coordinates are the r coordinates along U and, beside them, the d entries of what is left of a vector
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

    def __init__(self, sigma, U, S=None):
        self.sigma = _check.positive(sigma, "sigma")
        U = _check.real_array(U, "U")
        if U.ndim != 2 or U.shape[1] > U.shape[0] or U.size == 0:
            raise ValueError(f"U must have shape (d, r) with 1 <= r <= d, got {U.shape}; use Dense for r > d")
        d, r = U.shape
        S = np.ones(r) if S is None else _check.real_array(S, "S")
        if S.shape not in ((r,), (r, r)):
            raise ValueError(f"S must have shape ({r},) or ({r}, {r}), got {S.shape}")
        core = np.diag(S) if S.ndim == 1 else _check.symmetric(S, "S")
        basis, triangle = orthonormal_columns(U)
        values, mixing = scipy.linalg.eigh(triangle @ core @ triangle.T, check_finite=False)
        self._vectors = basis @ mixing
        self._values = values + self.sigma
        self.shape = (d, d)
        require_positive_definite(*self.bounds, r, "sigma I + U S U^T")

    @cached_property
    def rates(self):
        """Eigenvalue of each mode coordinate: (r + d,), the last d all sigma."""
        return np.concatenate((self._values, np.full(self.shape[0], self.sigma)))

    @property
    def eigenvalues(self):
        """All d eigenvalues."""
        return self.rates[: self.shape[0]]

    @property
    def bounds(self):
        """Smallest and largest eigenvalue."""
        values = self.eigenvalues
        return float(values.min()), float(values.max())

    @property
    def rank(self) -> int:
        """Numerical rank of the low-rank part."""
        return self._values.size

    @property
    def n_programmed(self):
        """r (r + 2 d): U, S and U^T, as three arrays of resistors (arXiv:2405.13817, App. C)."""
        return self.rank * (self.rank + 2 * self.shape[0])

    def to_modes(self, v):
        """[U^T v, v - U U^T v]."""
        along = self._vectors.T @ v
        return np.concatenate((along, v - self._vectors @ along))

    def from_modes(self, c):
        """U c_1 + (I - U U^T) c_2."""
        along, across = c[: self._values.size], c[self._values.size :]
        return across + self._vectors @ (along - self._vectors.T @ across)

    def diagonal(self, f):
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

    def __init__(self, A, B, damping=0.0):
        self.damping = _check.positive(damping, "damping", zero=True)
        left, self._left = scipy.linalg.eigh(_check.symmetric(A, "A"), check_finite=False)
        right, self._right = scipy.linalg.eigh(_check.symmetric(B, "B"), check_finite=False)
        self.rates = np.outer(left, right).ravel() + self.damping
        self.shape = (self.rates.size, self.rates.size)
        size = max(left.size, right.size)
        require_positive_definite(self.rates.min(), self.rates.max(), size, "A x B + damping I")

    @property
    def n_programmed(self):
        """dA^2 + dB^2: both factors."""
        return self._left.size + self._right.size

    def to_modes(self, v):
        """(V_A x V_B)^T v."""
        return kronecker_rotation(v, self._left.T, self._right.T)

    def from_modes(self, c):
        """(V_A x V_B) c."""
        return kronecker_rotation(c, self._left, self._right)

    def diagonal(self, f):
        """Diagonal (d,) of f(A x B + damping I)."""
        weights = f(self.rates).reshape(self._left.shape[0], self._right.shape[0])
        return (self._left**2 @ weights @ (self._right**2).T).ravel()


def as_operator(A):
    """The operator of a matrix: what an operator is for its kind of input.

    Parameters
    ----------
    A : (d, d) array_like, sparse array, LinearOperator or operator
        Symmetric positive definite. Arrays become `Dense`, sparse arrays and LinearOperators `Krylov`; operators
        are returned as they are, with all that they have factorised.

    Returns
    -------
    Diagonal, Dense, LowRank, Kronecker or Krylov

    Raises
    ------
    ValueError
        As the class that it becomes.

    Examples
    --------
    >>> import thermolinalg as tl
    >>> A = tl.as_operator([[2.0, 0.0], [0.0, 1.0]])
    >>> tl.as_operator(A) is A
    True
    """
    if isinstance(A, Modal | Krylov):
        return A
    if scipy.sparse.issparse(A) or isinstance(A, LinearOperator):
        return Krylov(A)
    return Dense(A)
