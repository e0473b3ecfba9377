"""Curvature of one layer as a Kronecker product of two small matrices (K-FAC)."""

from functools import cached_property

import numpy as np

from .. import _check
from ..modal import kronecker_rotation
from .base import Curvature, semidefinite_eigh

SHARINGS = ("expand", "reduce")


def kronecker_factors(inputs, gradients, sharing: str = "expand") -> tuple[np.ndarray, np.ndarray]:
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
    inputs, gradients = _check.real_array(inputs, "inputs"), _check.real_array(gradients, "gradients")
    inputs = inputs[:, None] if inputs.ndim == 2 else inputs
    gradients = gradients[:, :, None] if gradients.ndim == 3 else gradients
    if inputs.ndim != 3 or gradients.ndim != 4 or inputs.shape[:2] != (len(gradients), gradients.shape[2]):
        raise ValueError(
            "inputs (b, s, p) and gradients (b, k, s, r) must agree in samples b and positions s, "
            f"got {inputs.shape} and {gradients.shape}"
        )
    if _check.choice(sharing, "sharing", SHARINGS) == "reduce":
        inputs, gradients = inputs.mean(axis=1), gradients.sum(axis=2)
    a, g = inputs.reshape(-1, inputs.shape[-1]), gradients.reshape(-1, gradients.shape[-1])
    return a.T @ a / len(a), g.T @ g


class KroneckerCurvature(Curvature):
    """``F = A x G`` of a layer whose parameters are the (p, r) matrix W of ``inputs @ W``, row-major.

    Parameters
    ----------
    A, G : (p, p) and (r, r) array_like
        Positive semidefinite second moments of inputs and of pre-activation gradients, undamped.
    kind : str, optional
    bases : ((p, p), (r, r)) arrays, optional
        Orthogonal bases to work in, e.g. eigenvectors of earlier factors: what is kept of each factor is then
        its diagonal in that basis. Default: eigenvectors of A and G, found when first needed.
    values : ((p,), (r,)) arrays, optional
        Eigenvalues to use with `bases`, e.g. those found with them.

    Raises
    ------
    ValueError
        Factors that are not square, finite, symmetric and positive semidefinite; bases of another size.

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

    def __init__(self, A, G, kind: str | None = None, bases=None, values=None):
        self.A, self.G = _check.symmetric(A, "A"), _check.symmetric(G, "G")
        self.layer_shape = (len(self.A), len(self.G))
        self.shape = (self.A.shape[0] * self.G.shape[0],) * 2
        self._set_kind(kind)
        if bases is not None and tuple(np.shape(basis) for basis in bases) != (self.A.shape, self.G.shape):
            raise ValueError(f"bases must have shapes {self.A.shape} and {self.G.shape}")
        self._bases, self._values = bases, values

    @cached_property
    def _decomposition(self):
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
        """Eigenvalues (p,) of A."""
        return self._decomposition[1][0]

    @property
    def right_values(self) -> np.ndarray:
        """Eigenvalues (r,) of G."""
        return self._decomposition[1][1]

    @cached_property
    def rates(self):
        """Products of eigenvalues (p r,), row-major."""
        return np.outer(self.left_values, self.right_values).ravel()

    def matvec(self, v):
        """A V G: of the factors themselves, whatever basis is kept."""
        return kronecker_rotation(_check.columns(v, "v", self.size), self.A, self.G)

    def to_modes(self, v):
        """(V_A x V_G)^T v."""
        left, right = self.bases
        return kronecker_rotation(v, left.T, right.T)

    def from_modes(self, c):
        """(V_A x V_G) c."""
        return kronecker_rotation(c, *self.bases)

    def diagonal(self, f):
        """Diagonal (p r,) of f(F)."""
        left, right = self.bases
        return (left**2 @ f(self.rates).reshape(self.layer_shape) @ (right**2).T).ravel()

    def staleness(self) -> tuple[float, float]:
        """Relative Frobenius error of keeping each factor's diagonal in its basis: 0 for its own eigenvectors.

        Source: the criterion of distributed Shampoo; that it *is* the error is checked in the tests.
        """
        return tuple(_off_diagonal(basis.T @ S @ basis) for basis, S in zip(self.bases, (self.A, self.G), strict=True))  # type: ignore[return-value]

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
        damping = _check.positive(damping, "damping")
        left = right = damping
        if _check.choice(how, "how", ("pi", "even", "each")) != "each":
            pi = self.trace_ratio() if how == "pi" else 1.0
            left, right = pi * np.sqrt(damping), np.sqrt(damping) / pi
        return self.A + left * np.eye(len(self.A)), self.G + right * np.eye(len(self.G))

    def trace_ratio(self) -> float:
        """sqrt of mean eigenvalue of A over that of G; 1 where one of them is zero and there is nothing to balance."""
        mean_left, mean_right = np.trace(self.A) / len(self.A), np.trace(self.G) / len(self.G)
        return float(np.sqrt(mean_left / mean_right)) if mean_left > 0.0 < mean_right else 1.0

    @property
    def n_programmed(self):
        """p^2 + r^2: both factors."""
        return self.A.size + self.G.size


def _off_diagonal(B: np.ndarray) -> float:
    total = np.linalg.norm(B)
    return float(np.linalg.norm(B - np.diag(np.diag(B))) / total) if total > 0.0 else 0.0
