"""Curvature of one layer as a Kronecker product of two small matrices (K-FAC)."""

from functools import cached_property

import numpy as np

from .. import _validation
from .._typing import ArrayLike, FloatArray, SpectralFunction
from ..operators.base import kronecker_rotation
from .base import Curvature, second_moment, semidefinite_eigh

SHARINGS = ("expand", "reduce")
SPLITS = ("pi", "even", "each")


def kronecker_factors(
    inputs: ArrayLike, gradients: ArrayLike, sharing: str = "expand"
) -> tuple[np.ndarray, np.ndarray]:
    r"""Factors A (p, p) and G (r, r) of a layer that is used at s positions of each of b samples.

    Parameters
    ----------
    inputs : (b, p) or (b, s, p) array_like
        Inputs of the layer, with the constant 1 last where it has a bias.
    gradients : (b, k, r) or (b, k, s, r) array_like
        Output cotangents carried back to the pre-activations; `cotangents` has the 1 / b of the mean in them already.
    sharing : "expand" or "reduce"
        Whether each position is an example of its own, or positions are averaged (inputs) and summed (gradients)
        before the outer product. The same for s = 1.

    Returns
    -------
    A : mean of a a^T over samples (and positions).
    G : sum of g g^T over samples and cotangents (and positions).

    See Also
    --------
    KroneckerCurvature.from_samples : The curvature of the factors.

    Notes
    -----
    A x G is the curvature of one sample exactly when s = 1. Source: Eschenhagen et al., arXiv:2311.00636.

    Examples
    --------
    >>> import numpy as np, thermolinalg as tl
    >>> A, G = tl.curvature.kronecker_factors(np.array([[1.0, 2.0]]), np.array([[[3.0]]]))
    >>> A, G
    (array([[1., 2.], [2., 4.]]), array([[9.]]))
    """
    a, g = _with_positions(inputs, gradients)
    if _validation.choice(sharing, "sharing", SHARINGS) == "reduce":
        a, g = a.mean(axis=1), g.sum(axis=2)
    a, g = a.reshape(-1, a.shape[-1]), g.reshape(-1, g.shape[-1])
    return second_moment(a, a, "inputs") / len(a), second_moment(g, g, "gradients")


def _with_positions(inputs: ArrayLike, gradients: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Inputs (b, s, p) and gradients (b, k, s, r), s = 1 where positions were not given."""
    inputs, gradients = _validation.real_array(inputs, "inputs"), _validation.real_array(gradients, "gradients")
    inputs = inputs[:, None] if inputs.ndim == 2 else inputs
    gradients = gradients[:, :, None] if gradients.ndim == 3 else gradients
    agree = inputs.ndim == 3 and gradients.ndim == 4 and inputs.shape[:2] == (len(gradients), gradients.shape[2])
    if not agree or inputs.size == 0 or gradients.size == 0:
        raise ValueError(
            "inputs (b, s, p) and gradients (b, k, s, r) must agree in samples b and positions s, "
            f"got {inputs.shape} and {gradients.shape}"
        )
    return inputs, gradients


class KroneckerCurvature(Curvature):
    """``F = A x G`` of a layer whose parameters are the (p, r) matrix W of ``inputs @ W``, row-major.

    Parameters
    ----------
    A, G : (p, p) and (r, r) array_like
        Positive semidefinite second moments of inputs and of pre-activation gradients, undamped.
    kind : str, optional
        Which matrix it estimates, as in `cotangents`; for the record.
    bases : ((p, p), (r, r)) arrays, optional
        Orthogonal bases to work in, e.g. eigenvectors of earlier factors: F is then what is diagonal in them, by
        default with the diagonal of each factor. Default: eigenvectors of A and G, found when first needed.
    values : ((p,), (r,)) or (p, r) array_like, optional
        Eigenvalues to use with `bases`: of each factor, e.g. those found with the bases, or of their products, which
        then need not factor (EKFAC, `second_moments`).
    samples : ((b, s, p), (b, k, s, r)) arrays, optional
        What the factors were made of, for `second_moments`; `from_samples` fills them in.

    Raises
    ------
    ValueError
        Factors that are not square, finite, symmetric and positive semidefinite; bases or values of another size,
        negative values, values without bases.

    See Also
    --------
    kronecker_factors : A and G from samples.
    BlockCurvature : One per layer.
    thermolinalg.Kronecker : The positive definite operator.

    Notes
    -----
    ``F vec(V) = vec(A V G)``: row-major W of shape (p, r), as `thermolinalg.Kronecker`.

    Examples
    --------
    >>> import numpy as np, thermolinalg as tl
    >>> F = tl.curvature.KroneckerCurvature(np.diag([1.0, 2.0]), np.diag([3.0, 5.0]))
    >>> F.matvec([1.0, 1.0, 1.0, 1.0])
    array([ 3.,  5.,  6., 10.])
    """

    def __init__(
        self,
        A: ArrayLike,
        G: ArrayLike,
        kind: str | None = None,
        bases: tuple[FloatArray, FloatArray] | None = None,
        values: tuple[ArrayLike, ArrayLike] | ArrayLike | None = None,
        samples: tuple[ArrayLike, ArrayLike] | None = None,
    ) -> None:
        self.A, self.G = _validation.symmetric(A, "A"), _validation.symmetric(G, "G")
        self.layer_shape = (len(self.A), len(self.G))
        self.shape = (self.A.shape[0] * self.G.shape[0],) * 2
        self._set_kind(kind)
        if bases is not None and tuple(np.shape(basis) for basis in bases) != (self.A.shape, self.G.shape):
            raise ValueError(f"bases must have shapes {self.A.shape} and {self.G.shape}")
        self._bases = bases
        self._values, self._products = (None, None) if values is None else self._checked(values)
        self.samples = None if samples is None else _with_positions(*samples)
        if self.samples is not None and tuple(s.shape[-1] for s in self.samples) != self.layer_shape:
            raise ValueError(f"samples must be of {self.layer_shape[0]} inputs and {self.layer_shape[1]} gradients")

    @classmethod
    def from_samples(
        cls, inputs: ArrayLike, gradients: ArrayLike, sharing: str = "expand", kind: str | None = None
    ) -> "KroneckerCurvature":
        """The curvature whose factors are `kronecker_factors` of these samples, which it keeps for EKFAC.

        Parameters
        ----------
        inputs, gradients, sharing
            As in `kronecker_factors`.
        kind : str, optional
            Which matrix it estimates, as in `cotangents`; for the record.

        Returns
        -------
        KroneckerCurvature
        """
        return cls(*kronecker_factors(inputs, gradients, sharing), kind, samples=(inputs, gradients))

    def _checked(
        self, values: tuple[ArrayLike, ArrayLike] | ArrayLike
    ) -> tuple[tuple[np.ndarray, np.ndarray] | None, np.ndarray | None]:
        """Eigenvalues of the factors, and of the products: one of them None."""
        if self._bases is None:
            raise ValueError("values belong to bases; give the bases as well")
        if isinstance(values, tuple):
            left, right = (_validation.vector(v, "values", n) for v, n in zip(values, self.layer_shape, strict=True))
            _require_non_negative(min(left.min(), right.min()))
            return (left, right), None
        values = _validation.real_array(values, "values")
        if values.shape != self.layer_shape:
            raise ValueError(f"values of the products must have shape {self.layer_shape}, got {values.shape}")
        _require_non_negative(values.min())
        return None, values

    @cached_property
    def _decomposition(self) -> tuple[tuple[FloatArray, FloatArray], tuple[FloatArray, FloatArray]]:
        """Bases, and eigenvalues of the factors in them."""
        if self._bases is None:
            (left_values, left), (right_values, right) = semidefinite_eigh(self.A, "A"), semidefinite_eigh(self.G, "G")
            return (left, right), (left_values, right_values)
        if self._values is not None:
            return self._bases, self._values
        pairs = zip(self._bases, (self.A, self.G), strict=True)
        return self._bases, tuple(np.einsum("ij,ij->j", V, S @ V).clip(min=0.0) for V, S in pairs)

    @property
    def bases(self) -> tuple[np.ndarray, np.ndarray]:
        """V_A (p, p) and V_G (r, r), one basis vector a column."""
        return self._decomposition[0]

    @property
    def left_values(self) -> np.ndarray:
        """Eigenvalues (p,) of A, or what was given for them, or the diagonal of A in the given basis."""
        return self._decomposition[1][0]

    @property
    def right_values(self) -> np.ndarray:
        """The same (r,) of G."""
        return self._decomposition[1][1]

    @cached_property
    def rates(self) -> FloatArray:
        """Products of eigenvalues (p r,), row-major, or what was given for them."""
        if self._products is not None:
            return self._products.ravel()
        return np.outer(self.left_values, self.right_values).ravel()

    def matvec(self, v: ArrayLike) -> FloatArray:
        """A V G for each column V of v (p r,) or (p r, k); in given bases, what is diagonal there."""
        if self._bases is not None:
            return super().matvec(v)
        return kronecker_rotation(_validation.columns(v, "v", self.size), self.A, self.G)

    def to_modes(self, v: FloatArray) -> FloatArray:
        """(V_A x V_G)^T v."""
        left, right = self.bases
        return kronecker_rotation(v, left.T, right.T)

    def from_modes(self, c: FloatArray) -> FloatArray:
        """(V_A x V_G) c."""
        return kronecker_rotation(c, *self.bases)

    def diagonal(self, f: SpectralFunction) -> FloatArray:
        """Diagonal (p r,) of f(F)."""
        left, right = self.bases
        return (left**2 @ f(self.rates).reshape(self.layer_shape) @ (right**2).T).ravel()

    def second_moments(self, bases: tuple[FloatArray, FloatArray] | None = None) -> np.ndarray:
        """Second moments (p, r) of the gradients of the samples along the basis vectors: diagonal of Q^T S Q.

        S is the sum of outer products of the gradients themselves, one per sample and cotangent (with its positions
        summed), which A x G only approximates; Q is V_A x V_G.

        Parameters
        ----------
        bases : ((p, p), (r, r)) arrays, optional
            Default: those of this curvature.

        Raises
        ------
        ValueError
            The curvature was made without samples.

        Notes
        -----
        Of all diagonal matrices in that basis it is nearest to S. Source: EKFAC, George et al., arXiv:1806.03884.
        """
        if self.samples is None:
            raise ValueError(
                "the samples are needed, not the factors alone: make it by KroneckerCurvature.from_samples"
            )
        left, right = self.bases if bases is None else bases
        inputs, gradients = self.samples[0] @ left, self.samples[1] @ right
        if inputs.shape[1] == 1:
            return (inputs[:, 0] ** 2).T @ (gradients[:, :, 0] ** 2).sum(axis=1)
        out = np.zeros(self.layer_shape)
        for a, g in zip(inputs, gradients, strict=True):
            out += ((a.T @ g) ** 2).sum(axis=0)
        return out

    def staleness(self) -> tuple[float, float]:
        """Relative Frobenius error of keeping each factor's diagonal in its basis: 0 for its own eigenvectors.

        Source: the criterion of distributed Shampoo; that it *is* the error is checked in the tests.
        """
        left, right = self.bases
        return _off_diagonal(left.T @ self.A @ left), _off_diagonal(right.T @ self.G @ right)

    def split(self, damping: float, how: str = "pi") -> tuple[np.ndarray, np.ndarray]:
        """Factors with the damping shared out among them: what is inverted where the product is never formed.

        Parameters
        ----------
        damping : float
            Of the product, positive.
        how : {"pi", "even", "each"}
            "pi": ``A + pi sqrt(damping) I`` and ``G + sqrt(damping) / pi I`` with ``pi^2 = (tr A / p) / (tr G / r)``,
            the least trace norm of the cross terms; it over-damps. "even": the same with pi = 1. "each": `damping`
            on each factor, as some libraries do; where both factors are small it damps by damping^2 only.

        Returns
        -------
        (p, p), (r, r) arrays

        Source: pi: Martens and Grosse, arXiv:1503.05671, section 6.3.
        """
        left, right = self.shares(damping, how)
        return self.A + left * np.eye(len(self.A)), self.G + right * np.eye(len(self.G))

    def shares(self, damping: float, how: str = "pi") -> tuple[float, float]:
        """What `split` adds to A and to G: pi sqrt(damping) and sqrt(damping) / pi, or damping twice."""
        damping = _validation.positive(damping, "damping")
        if _validation.choice(how, "how", SPLITS) == "each":
            return damping, damping
        pi = self.trace_ratio() if how == "pi" else 1.0
        return pi * float(np.sqrt(damping)), float(np.sqrt(damping)) / pi

    def trace_ratio(self) -> float:
        """sqrt of mean eigenvalue of A over that of G; 1 where one of them is zero and there is nothing to balance."""
        pairs = zip(self.layer_shape, self._values or (np.diag(self.A), np.diag(self.G)), strict=True)
        mean_left, mean_right = (values.sum() / n for n, values in pairs)
        return float(np.sqrt(mean_left / mean_right)) if mean_left > 0.0 < mean_right else 1.0

    @property
    def n_programmed(self) -> int:
        """p^2 + r^2: both factors."""
        return self.A.size + self.G.size


def _require_non_negative(lowest: float) -> None:
    if lowest < 0.0:
        raise ValueError(f"values must be non-negative, got {lowest:g}")


def _off_diagonal(B: np.ndarray) -> float:
    total = np.linalg.norm(B)
    return float(np.linalg.norm(B - np.diag(np.diag(B))) / total) if total > 0.0 else 0.0
