"""What every curvature is: positive semidefinite, diagonal in coordinates of its own, damped only at use."""

import math
from functools import cached_property

import numpy as np
import scipy.linalg

from .. import _validation
from .._typing import ArrayLike, FloatArray, SpectralFunction
from ..operators import Modal
from ..operators.base import require_positive_definite

KINDS = ("exact", "sampled", "empirical", "ggn")


class Curvature(Modal):
    """A positive semidefinite matrix with coordinates in which it is diagonal.

    Attributes
    ----------
    kind : {"exact", "sampled", "empirical", "ggn"} or None
        Which matrix is estimated; None where the caller did not say.

    See Also
    --------
    thermolinalg.as_operator : Operators of linear algebra, which are positive definite.
    """

    kind: str | None = None

    def _set_kind(self, kind: str | None) -> None:
        self.kind = None if kind is None else _validation.choice(kind, "kind", KINDS)

    @property
    def size(self) -> int:
        """Number of parameters N."""
        return self.shape[0]

    def quadratic(self, v: ArrayLike) -> float:
        """v^T F v for v (N,): the squared length of a step in this metric."""
        v = _validation.vector(v, "v", self.size)
        return float(v @ self.matvec(v))

    def range_mask(self, cutoff: float) -> np.ndarray:
        """Which mode coordinates have an eigenvalue above `cutoff` times the largest."""
        cutoff = _validation.fraction(cutoff, "cutoff")
        return self.rates > cutoff * self.rates.max(initial=0.0)

    def pseudoinverse(self, v: ArrayLike, cutoff: float = 1e-10) -> np.ndarray:
        """F^+ v, with eigenvalues up to `cutoff` times the largest taken for zero."""
        inverse = np.zeros_like(self.rates)
        np.divide(1.0, self.rates, out=inverse, where=self.range_mask(cutoff))
        return self.weighted(inverse, v)

    def null_part(self, v: ArrayLike, cutoff: float = 1e-10) -> np.ndarray:
        """P0 v, the projection on the null space by the same cut-off."""
        return self.weighted(np.where(self.range_mask(cutoff), 0.0, 1.0), v)

    def damped(self, damping: float) -> "Damped":
        """F + damping I as a positive definite operator that shares this factorisation."""
        return Damped(self, damping)

    def __repr__(self) -> str:
        kind = "" if self.kind is None else f"kind={self.kind!r}, "
        return f"{type(self).__name__}({kind}N={self.size})"


class Damped(Modal):
    """``F + damping I``: what a device holds, and what a solver of the library takes.

    Parameters
    ----------
    curvature : Curvature
    damping : float
        Non-negative.
    definite : bool
        Whether the sum must be positive definite: a solver needs that, a device that relaxes for a finite time does
        not.

    Raises
    ------
    NotPositiveDefinite
        With the smallest eigenvalue, for damping zero and a singular F, unless `definite` is False.

    See Also
    --------
    Curvature.damped : Makes it.

    Examples
    --------
    >>> import numpy as np, thermolinalg as tl
    >>> F = tl.curvature.LowRankCurvature(np.ones((1, 3)))
    >>> F.damped(0.5).bounds
    (0.5, 3.5)
    """

    def __init__(self, curvature: Curvature, damping: float, definite: bool = True) -> None:
        self.curvature = curvature
        self.damping = _validation.positive(damping, "damping", zero=True)
        self.shape = curvature.shape
        if not definite:
            return
        low, high = self.bounds
        size = 1 if self.damping else curvature.size  # a damping has no rounding, eigenvalues of F have
        require_positive_definite(low, high, size, f"{type(curvature).__name__} + damping I (damping={damping:g})")

    @cached_property
    def rates(self) -> FloatArray:
        """Eigenvalue of each mode coordinate."""
        return self.curvature.rates + self.damping

    def to_modes(self, v: FloatArray) -> FloatArray:
        """Those of the curvature."""
        return self.curvature.to_modes(v)

    def from_modes(self, c: FloatArray) -> FloatArray:
        """Those of the curvature."""
        return self.curvature.from_modes(c)

    @property
    def bounds(self) -> tuple[float, float]:
        """Smallest and largest eigenvalue."""
        values = self.curvature.eigenvalues
        return float(values.min()) + self.damping, float(values.max()) + self.damping

    @property
    def eigenvalues(self) -> FloatArray:
        """All N eigenvalues."""
        return self.curvature.eigenvalues + self.damping

    def matvec(self, v: ArrayLike) -> FloatArray:
        """(F + damping I) v."""
        return self.curvature.matvec(v) + self.damping * np.asarray(v)

    def diagonal(self, f: SpectralFunction) -> FloatArray:
        """Diagonal (N,) of f(F + damping I)."""
        return self.curvature.diagonal(lambda rates: f(rates + self.damping))

    @property
    def n_programmed(self) -> int:
        """How many numbers a device must be told: those of the curvature; damping is one more resistor."""
        return self.curvature.n_programmed


def semidefinite_eigh(matrix: np.ndarray, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues, ascending and with rounding below zero set to zero, and eigenvectors of a semidefinite matrix.

    The rounding is that of single precision, in which second moments often arrive.
    """
    values, vectors = scipy.linalg.eigh(matrix, check_finite=False)
    rounding = 10.0 * np.sqrt(len(values)) * np.finfo(np.float32).eps * max(values[-1], 0.0)
    if values[0] < -rounding:
        raise ValueError(
            f"{name} must be positive semidefinite, but has the eigenvalue {values[0]:.6g} (largest {values[-1]:.6g})"
        )
    return np.maximum(values, 0.0), vectors


def unit_scaled(v: np.ndarray) -> tuple[np.ndarray, float]:
    """v / s and s, the power of two that brings its largest magnitude to 1 ... 2: its squares are then in range."""
    largest = float(np.abs(v).max())
    exponent = math.frexp(largest)[1] - 1 if largest > 0.0 else 0
    return np.ldexp(v, -exponent), math.ldexp(1.0, exponent)


def norm(v: np.ndarray) -> float:
    """2-norm, also where squares overflow or underflow."""
    unit, scale = unit_scaled(v)
    return float(np.linalg.norm(unit)) * scale


def require_curvature(curvature: object, name: str, size: int | None = None) -> None:
    """Refuse what is no curvature, or one of other than `size` parameters, by the name of the argument."""
    if not isinstance(curvature, Curvature):
        remedy = {np.ndarray: "wrap a matrix in DenseCurvature", Damped: "give F undamped, damping is added at use"}
        hint = f"; {remedy[type(curvature)]}" if type(curvature) in remedy else ""
        raise ValueError(f"{name} must be a Curvature of thermolinalg.curvature, got {type(curvature).__name__}{hint}")
    if size is not None and curvature.size != size:
        raise ValueError(f"{name} is of {curvature.size} parameters, theta has {size}")


def second_moment(first: FloatArray, second: FloatArray, names: str) -> FloatArray:
    """first^T second, or ValueError where it overflows, by the names of the arguments that they come from."""
    with np.errstate(over="ignore", invalid="ignore"):
        product = first.T @ second
    if not np.isfinite(product).all():
        largest = max(np.abs(first).max(), np.abs(second).max())
        raise ValueError(f"{names} must be below 1e150: their products overflow, the largest is {largest:.3g}")
    return product


def real_rows(value: ArrayLike) -> np.ndarray:
    """Rows J (n, N), one for each sample and cotangent."""
    rows = _validation.real_array(value, "rows")
    if rows.ndim != 2 or rows.size == 0:
        raise ValueError(f"rows must have shape (n, N), one row for each sample and cotangent, got {rows.shape}")
    return rows
