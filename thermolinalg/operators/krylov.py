"""`Krylov`: functions of a large symmetric matrix from matrix-vector products alone, by the Lanczos recurrence."""

from collections.abc import Callable
from functools import cached_property
from math import isfinite, sqrt
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.linalg
import scipy.sparse
from scipy.linalg.blas import daxpy, ddot, dsymv
from scipy.sparse.linalg import LinearOperator, aslinearoperator

from .. import _validation
from .._typing import FloatArray, RNGLike, SpectralFunction
from ..errors import NotConverged, NotPositiveDefinite

if TYPE_CHECKING:
    from .dense import Matrix

FIRST_CHECK, CHECK_GROWTH = 8, 1.25  # convergence is looked at after 8, then every 25 % more steps
BOUNDS_TOLERANCE = 1e-3  # relative change of the lowest Ritz value at which estimated bounds are accepted
BOUNDS_MARGIN = 0.05  # estimated bounds are widened by this share, for Ritz values lie inside the spectrum
BOUNDS_SLACK = 1e-6  # by which a Ritz value may lie outside given bounds, relative: rounding
BASIS_SHARE, BASIS_FLOOR = 0.25, 2**20  # the basis is kept within this share of the bytes of A, or these bytes
EXHAUSTED = 10 * float(np.finfo(float).eps)  # size of the next vector, relative to A, at which there is none
SMALLEST_SQUARE = 1e-250  # of a norm; beyond this and its inverse the norm is found with care, at four times the price
SAMPLES = 64  # points between the bounds at which f is looked at for being zero all over
SYMMETRY_TOLERANCE = 1e-10  # of u^T A v against v^T A u for random u and v


def norm(v: FloatArray) -> float:
    """Euclidean norm of all entries, by BLAS: it neither over- nor underflows where the norm itself does not."""
    return float(scipy.linalg.norm(v.ravel(), check_finite=False))


def finite_values(f: SpectralFunction, eigenvalues: FloatArray) -> FloatArray:
    """f(eigenvalues), or an error that says where f is not finite."""
    values = np.asarray(f(eigenvalues))
    if not np.isfinite(values).all():
        at = np.broadcast_to(eigenvalues, values.shape)[~np.isfinite(values)][0]
        raise ValueError(f"f must be finite on the spectrum of A, got {values[~np.isfinite(values)][0]} at {at:.6g}")
    return values


class _Vanishes(Exception):
    """f is zero on the whole spectrum."""


class _Recurrence:
    """The Lanczos recurrence from one vector: its tridiagonal matrix, and as much of its basis as there is room for.

    All BLAS is SciPy's, as in the product with a dense A: two libraries in turn would wait for each other's threads.
    """

    def __init__(self, product: Callable[[FloatArray], FloatArray], start: FloatArray, room: int) -> None:
        self.product, self.start, self.room = product, start, room
        self.alpha: list[float] = []
        self.beta: list[float] = []
        self.basis: list[FloatArray] = []
        self._last: list[FloatArray] = []  # the last two vectors, the latter not yet of unit length
        self._size = self._largest = 1.0

    def step(self) -> bool:
        """One more row of the tridiagonal matrix; whether the space is exhausted, so that there is no further one."""
        if self.alpha:
            self.beta.append(self._size)
            before, q = self._last
            q /= self._size
        else:
            before, q = None, self.start / norm(self.start)
        if len(self.basis) < self.room:
            self.basis.append(q)
        w = self.product(q)
        alpha = float(ddot(q, w))
        if not isfinite(alpha):
            _validation.real_array(w, "A v")
        w = _orthogonal(w, alpha, q, self.beta[-1:], before)
        self._largest = max(self._largest, abs(alpha)) if self.alpha else abs(alpha)
        square = ddot(w, w)
        self._size = sqrt(square) if SMALLEST_SQUARE < square < 1.0 / SMALLEST_SQUARE else norm(w)
        self._last = [q, w]
        self.alpha.append(alpha)
        return self._size <= EXHAUSTED * self._largest

    def combine(self, weights: FloatArray) -> FloatArray:
        """Sum of weights[j] q_j, once: of the basis, and from its end on by running the recurrence a second time."""
        kept = self.basis or [self.start / norm(self.start)]
        self.basis, self._last = [], []
        total = np.zeros(self.start.size)
        for weight, q in zip(weights, kept, strict=False):
            total = daxpy(q, total, a=weight)
        first, before, q = len(kept), kept[-2] if len(kept) > 1 else None, kept[-1]
        kept.clear()
        for j in range(first, len(weights)):
            w = _orthogonal(self.product(q), self.alpha[j - 1], q, self.beta[max(j - 2, 0) : j - 1], before)
            w /= self.beta[j - 1]
            before, q = q, w
            total = daxpy(q, total, a=weights[j])
        return total


def _orthogonal(w: FloatArray, alpha: float, q: FloatArray, beta: list[float], before: FloatArray | None) -> FloatArray:
    """w - alpha q - beta before in place of w; beta is a list of one, and of none where there is no vector before."""
    w = daxpy(q, w, a=-alpha)
    return daxpy(before, w, a=-beta[0]) if beta else w


class Krylov:
    """A matrix known by its products: ``f(A) v`` in a Krylov space, in memory that does not grow with the steps.

    The Lanczos recurrence finds the coefficients of ``f(A) v``, then its vectors are added up. They are kept as long as
    they take at most a quarter of the bytes of A, or 1 MiB (a LinearOperator counts for nothing); those beyond come
    from running the recurrence a second time. So a step costs one product or two, and memory is that basis, six vectors
    of length d, and for k steps the (k, k) eigenvectors of the tridiagonal matrix. No reorthogonalisation: rounding
    delays convergence but does not spoil it. Of a dense A one triangle is read.

    Parameters
    ----------
    A : (d, d) sparse array, LinearOperator or array_like
        Symmetric positive definite.
    bounds : (low, high), optional
        Numbers that enclose the spectrum. By default they are estimated by Lanczos and widened by 5 %; an estimate
        is no guarantee, so give them where they are known.
    tol : float, optional
        Relative change of ``f(A) v`` over the last fifth of the steps at which the iteration stops. As a rule the
        error is below that; a mode that v hardly excites and f weighs heavily may not have been met by then.
    max_products : int, optional
        Products that one ``f(A) v`` may use; each step is counted as two, also where the basis is kept.

    Attributes
    ----------
    products : int
        Products used so far, all calls together.

    Raises
    ------
    ValueError
        A is not square, or not symmetric (a sparse array or LinearOperator: on two random vectors).
    NotPositiveDefinite
        With the Ritz value that is not positive, as soon as one is met.
    NotConverged
        When `max_products` did not reach `tol`.

    Examples
    --------
    >>> import numpy as np, scipy.sparse as sp, thermolinalg as tl
    >>> A = tl.Krylov(sp.diags_array(np.linspace(1.0, 2.0, 500)), tol=1e-10)
    >>> x = A.function(lambda lam: 1 / lam, np.ones(500))
    >>> bool(np.allclose(x, 1 / np.linspace(1.0, 2.0, 500), rtol=1e-9))
    True
    >>> A.products < 60
    True
    """

    def __init__(
        self, A: "Matrix", bounds: tuple[float, float] | None = None, tol: float = 1e-6, max_products: int = 100_000
    ) -> None:
        if not isinstance(A, LinearOperator):
            if not scipy.sparse.issparse(A):
                A = _validation.symmetric(A, "A")
            else:
                A = scipy.sparse.csr_array(A)
                _validation.real_array(A.data, "A.data")
                A = _canonical(A.astype(np.float64))
        self._matrix = A
        self._product = aslinearoperator(A)
        d, columns = self._product.shape
        if d != columns or d == 0:
            raise ValueError(f"A must be square, got shape {self._product.shape}")
        self.shape = (d, d)
        self.tol = _validation.positive(tol, "tol")
        self.max_products = _validation.count(max_products, "max_products", least=2)
        self.products = 0
        self.programmed: dict[Any, Any] = {}  # what devices hold in place of this operator (see `Modal.programmed`)
        if bounds is not None:
            if np.shape(bounds) != (2,):
                raise ValueError(f"bounds must be (low, high), got {bounds!r}")
            low, high = (_validation.positive(float(value), "bounds") for value in bounds)
            if low > high:
                raise ValueError(f"bounds must be (low, high) with low <= high, got {tuple(bounds)}")
            self.bounds = (low, high)
        self.bounds_given = bounds is not None
        if not isinstance(A, np.ndarray):  # whose entries were compared one by one
            self._check_symmetry()

    def _check_symmetry(self) -> None:
        rng = np.random.default_rng(0)
        u, v = rng.standard_normal((2, self.shape[0]))
        Au, Av = np.array(self.matvec(u)), self.matvec(v)  # an operator may hand out the same array twice
        gap, scale = abs(v @ Au - u @ Av), norm(Au) * norm(v)
        if gap > SYMMETRY_TOLERANCE * scale:
            raise ValueError(f"A must be symmetric, but |u^T A v - v^T A u| is {gap / scale:.3g} of its scale")

    @property
    def is_sparse(self) -> bool:
        """Whether the entries are known: a sparse array, not a LinearOperator."""
        return scipy.sparse.issparse(self._matrix)

    def sparse(self) -> scipy.sparse.csr_array:
        """The sparse array itself; only where `is_sparse`."""
        return self._matrix

    @property
    def n_programmed(self) -> int:
        """How many numbers a device must be told: the stored entries of a sparse array, else all d^2."""
        return self.sparse().nnz if self.is_sparse else self.shape[0] * self.shape[1]

    def matvec(self, v: FloatArray) -> FloatArray:
        """A v for v (d,) or (d, k)."""
        v = np.asarray(v)
        self.products += 1 if v.ndim == 1 else v.shape[1]
        Av = self._product.matvec(v) if v.ndim == 1 else self._product.matmat(v)
        return _validation.real_array(Av, "A v")

    def dense(self) -> FloatArray:
        """A as a (d, d) array."""
        if self.is_sparse:
            return self.sparse().toarray()
        return self.matvec(np.eye(self.shape[0]))

    @cached_property
    def bounds(self) -> tuple[float, float]:
        """Enclosure of the spectrum: as given, or the extreme Ritz values widened by 5 % of their size."""
        start = np.random.default_rng(1).standard_normal(self.shape[0])

        met = []

        def lowest(values: FloatArray) -> FloatArray:
            met.append(values[-1])
            return values[:1]

        low, _ = self._lanczos(start, lowest, BOUNDS_TOLERANCE, vectors=False)
        high = met[-1]  # it has converged long before the lowest
        return float(low[0]) * (1.0 - BOUNDS_MARGIN), float(high) * (1.0 + BOUNDS_MARGIN)

    @property
    def extremes(self) -> tuple[float, float]:
        """The `bounds`."""
        return self.bounds

    def function(self, f: SpectralFunction, v: FloatArray) -> FloatArray:
        """f(A) v for v (d,) or (d, k), to the relative tolerance `tol`."""
        v = _validation.columns(v, "v", self.shape[0])
        if v.ndim == 2:
            return np.column_stack([self.function(f, column) for column in v.T])
        size = norm(v)
        if size == 0.0:
            return np.zeros_like(v)

        def coefficients(values: FloatArray, vectors: FloatArray) -> FloatArray:
            weights = vectors @ (finite_values(f, values) * vectors[0])
            if not weights.any() and not np.any(f(np.geomspace(*self.bounds, SAMPLES))):
                raise _Vanishes
            return weights

        try:
            weights, run = self._lanczos(v, coefficients, self.tol, room=self._room())
        except _Vanishes:
            return np.zeros_like(v)
        total = run.combine(weights)
        total *= size
        return total

    def quadratic_form(self, f: SpectralFunction, v: FloatArray) -> float:
        """v^T f(A) v for v (d,), by Gauss quadrature on the Ritz values: one pass."""
        v = _validation.vector(v, "v", self.shape[0])
        if not v.any():
            return 0.0

        def quadrature(values: FloatArray, vectors: FloatArray) -> FloatArray:
            return np.array([finite_values(f, values) @ vectors[0] ** 2])

        value, _ = self._lanczos(v, quadrature, self.tol)
        return float(v @ v * value[0])

    def trace(self, f: SpectralFunction, probes: int = 8) -> float:
        """Trace of f(A), estimated from random signs (Hutchinson); see `trace_with_error` for its error."""
        return self.trace_with_error(f, probes)[0]

    def trace_with_error(self, f: SpectralFunction, probes: int = 8, rng: RNGLike = 0) -> tuple[float, float]:
        """Trace of f(A) and the standard error of that estimate, from `probes` random sign vectors."""
        probes = _validation.count(probes, "probes", least=2)
        signs = np.random.default_rng(rng).integers(0, 2, (probes, self.shape[0])) * 2.0 - 1.0
        values = np.array([self.quadratic_form(f, v) for v in signs])
        return float(values.mean()), float(values.std(ddof=1) / np.sqrt(probes))

    def _times(self, q: FloatArray) -> FloatArray:
        """A q for one step, an array of its own."""
        self.products += 1
        A = self._matrix
        if isinstance(A, LinearOperator):
            return np.array(_validation.real_array(A.matvec(q), "A v"))
        if scipy.sparse.issparse(A) or not A.flags.forc:
            return A @ q
        return dsymv(1.0, A if A.flags.f_contiguous else A.T, q, lower=True)

    def _room(self) -> int:
        """How many vectors of a basis are kept; none where not even those before the first look fit."""
        A: Any = self._matrix  # a sparse array, a dense one or a LinearOperator
        parts = (A.data, A.indices, A.indptr) if self.is_sparse else (A,)
        held = sum(getattr(part, "nbytes", 0) for part in parts)
        room = int(max(BASIS_SHARE * held, BASIS_FLOOR)) // (8 * self.shape[0])
        return room if room >= FIRST_CHECK else 0

    def _lanczos(
        self, start: FloatArray, quantity: Callable[..., FloatArray], tol: float, vectors: bool = True, room: int = 0
    ) -> tuple[FloatArray, _Recurrence]:
        """Run the recurrence until `quantity` of the Ritz values (and their vectors) stops changing.

        Returns the quantity and the recurrence. It has converged when it changes by less than `tol`, relative to its
        norm, between two looks; arrays of growing length are compared after filling up with zeros.
        """
        run = _Recurrence(self._times, start, room)
        previous, look = None, min(FIRST_CHECK, self.shape[0])
        limit = max(self.max_products // 2, 1)
        while True:
            exhausted, steps = run.step(), len(run.alpha)
            if exhausted or steps >= look or steps >= limit:
                current = quantity(*self._ritz(run, vectors))
                if exhausted or (previous is not None and _change(current, previous) <= tol):
                    return current, run
                if steps >= limit:
                    raise NotConverged(
                        f"Lanczos reached a change of {_change(current, previous):.2g} after {2 * limit} products, "
                        f"not tol = {tol:.2g}; raise max_products or tol, or precondition"
                    )
                previous, look = current, int(np.ceil(CHECK_GROWTH * steps))

    def _ritz(self, run: _Recurrence, vectors: bool) -> tuple[FloatArray, ...]:
        """Ritz values, ascending, and with `vectors` their eigenvectors: known to be positive and within the bounds."""
        matrix = np.array(run.alpha), np.array(run.beta)
        scale = np.ldexp(1.0, np.frexp(max(np.abs(part).max(initial=0.0) for part in matrix))[1] - 1)  # a power of 2
        found = scipy.linalg.eigh_tridiagonal(*(part / scale for part in matrix), eigvals_only=not vectors)
        found = (scale * found[0], found[1]) if vectors else (scale * found,)
        lowest, highest = float(found[0][0]), float(found[0][-1])
        if lowest <= 0:
            raise NotPositiveDefinite(
                f"A is not positive definite: Lanczos met the Ritz value {lowest:.6g}, which no smallest eigenvalue "
                f"exceeds; add a multiple of the identity above {-lowest:.3g}",
                lowest,
            )
        if self.bounds_given:
            low, high = self.bounds
            beyond = lowest if lowest < low * (1.0 - BOUNDS_SLACK) else highest
            if not low * (1.0 - BOUNDS_SLACK) <= beyond <= high * (1.0 + BOUNDS_SLACK):
                raise ValueError(f"bounds {self.bounds} do not hold: Lanczos met the Ritz value {beyond:.6g}")
        return found

    def __repr__(self) -> str:
        return f"Krylov(shape={self.shape}, tol={self.tol:.3g}, {self.products} products so far)"


def _canonical(A: scipy.sparse.csr_array) -> scipy.sparse.csr_array:
    """The same matrix with each stored entry once, in order and not zero; the array that was given stays as it is."""
    if not A.has_canonical_format or not A.data.all():
        A = A.copy()
        A.sum_duplicates()
        A.eliminate_zeros()
    return A


def _change(current: FloatArray, previous: FloatArray | None) -> float:
    """Norm of the difference, relative to the norm, after filling the shorter array up with zeros."""
    if previous is None:
        return np.inf
    difference = current.copy()
    difference[: previous.size] -= previous
    size = norm(current)
    return norm(difference) / size if size > 0.0 else np.inf
