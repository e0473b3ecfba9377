"""Matrices held as numbers, and the operator of any matrix."""

from collections.abc import Callable
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
import scipy.linalg
import scipy.sparse
from scipy.sparse.linalg import LinearOperator, eigsh

from .. import _validation
from .._typing import ArrayLike, FloatArray, SpectralFunction
from .base import Modal, require_positive_definite
from .krylov import Krylov

LEAN_FROM = 1000  # size from which SciPy's evd replaces NumPy's, which takes 8 d^2 bytes more, no less time
EVR_FROM = 2000  # size from which LAPACK's evr driver replaces evd: slower, but a fraction of the memory
LANCZOS_FROM = 256  # size from which extreme eigenvalues are found by Lanczos when no spectrum is held
MOST_DENSE = 5000  # size up to which a matrix that is not an array is made one: 200 MB

Operator: TypeAlias = Modal | Krylov
Matrix: TypeAlias = ArrayLike | scipy.sparse.sparray | scipy.sparse.spmatrix | LinearOperator | Operator


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

    def __init__(self, A: ArrayLike) -> None:
        self._matrix = _validation.symmetric(A, "A")
        self.shape = self._matrix.shape

    @cached_property
    def _decomposition(self) -> tuple[FloatArray, FloatArray]:
        if self.shape[0] < LEAN_FROM:  # NumPy's, for the BLAS (and its threads) that the products with V use
            values, vectors = np.linalg.eigh(self._matrix)
        else:
            driver = "evd" if self.shape[0] < EVR_FROM else "evr"
            values, vectors = scipy.linalg.eigh(self._matrix, driver=driver, check_finite=False)
        require_positive_definite(values[0], values[-1], self.shape[0], "A")
        return values, vectors

    @property
    def rates(self) -> FloatArray:
        """Eigenvalues (d,), ascending."""
        return self._decomposition[0]

    @property
    def eigenvectors(self) -> FloatArray:
        """Eigenvectors (d, d), one per column."""
        return self._decomposition[1]

    @cached_property
    def spectrum(self) -> FloatArray:
        """Eigenvalues (d,), ascending, without eigenvectors unless those are there already."""
        if "_decomposition" in self.__dict__:
            return self.rates
        values = scipy.linalg.eigvalsh(self._matrix, check_finite=False)
        require_positive_definite(values[0], values[-1], self.shape[0], "A")
        return values

    @cached_property
    def cholesky(self) -> FloatArray:
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

        def top_eigenvalue(product: Callable[[FloatArray], FloatArray]) -> float:
            operator = LinearOperator((d, d), matvec=product, dtype=float)
            return eigsh(operator, 1, which="LA", v0=start, tol=1e-6, return_eigenvectors=False)[0]

        # SciPy's BLAS for both, as for the factor: two BLAS libraries in turn would wait for each other's threads
        columns = self._matrix if self._matrix.flags.f_contiguous else self._matrix.T
        largest = top_eigenvalue(lambda v: scipy.linalg.blas.dsymv(1.0, columns, v))
        smallest = 1.0 / top_eigenvalue(lambda v: scipy.linalg.cho_solve((factor, True), v, check_finite=False))
        require_positive_definite(smallest, largest, d, "A")
        return float(smallest), float(largest)

    def to_modes(self, v: FloatArray) -> FloatArray:
        """V^T v."""
        return self.eigenvectors.T @ v

    def from_modes(self, c: FloatArray) -> FloatArray:
        """V c."""
        return self.eigenvectors @ c

    def matvec(self, v: ArrayLike) -> FloatArray:
        """A v for v (d,) or (d, k); needs no factorisation."""
        v = np.asarray(v)
        if v.ndim == 2 and v.flags.f_contiguous:  # columns come out as they came in
            return (v.T @ self._matrix).T
        return self._matrix @ v

    def diagonal(self, f: SpectralFunction) -> FloatArray:
        """Diagonal (d,) of f(A)."""
        return np.einsum("ij,ij,j->i", self.eigenvectors, self.eigenvectors, f(self.rates))

    def dense(self) -> FloatArray:
        """A as a (d, d) array: the very array that was given."""
        return self._matrix


def as_operator(A: Matrix) -> Modal | Krylov:
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
    _refuse_programmed(A, "A")
    if scipy.sparse.issparse(A) or isinstance(A, LinearOperator):
        return Krylov(A)
    return Dense(A)


def as_array(matrix: Matrix, name: str) -> ArrayLike:
    """A matrix that is stored or applied in another way, as an array; anything else as it is."""
    _refuse_programmed(matrix, name)
    sparse = hasattr(matrix, "toarray")
    if not sparse and not isinstance(matrix, Modal | Krylov | LinearOperator):
        return matrix
    held: Any = matrix  # of some class that has a shape
    if max(held.shape) > MOST_DENSE:
        raise ValueError(f"{name} must be dense here, and with shape {held.shape} is too large to make so (largest "
                         f"size {MOST_DENSE}); pass an array if that is meant")  # fmt: skip
    if isinstance(matrix, LinearOperator):
        return held @ np.eye(held.shape[1])
    return held.toarray() if sparse else held.dense()


def _refuse_programmed(matrix: object, name: str) -> None:
    """What a device holds is no matrix of the caller's."""
    if hasattr(matrix, "operator") and hasattr(matrix, "target"):
        raise ValueError(f"{name} is programmed on a device already, and what is needed here is the matrix itself: "
                         f"pass {name}.target")  # fmt: skip
