"""Curvatures that hold their entries: a diagonal, a full matrix."""

from functools import cached_property

import numpy as np

from .. import _validation
from .._typing import ArrayLike, FloatArray, SpectralFunction
from .base import Curvature, real_rows, second_moment, semidefinite_eigh


class DiagonalCurvature(Curvature):
    """A diagonal metric, such as the squared gradients that Adam keeps.

    Parameters
    ----------
    entries : (N,) array_like
        Non-negative.
    kind : str, optional
        Which matrix it estimates, as in `cotangents`; for the record.

    Raises
    ------
    ValueError
        With the first negative entry.

    See Also
    --------
    DenseCurvature : All entries.
    BlockCurvature : Several curvatures, one per part of the parameters.

    Examples
    --------
    >>> import thermolinalg as tl
    >>> tl.curvature.DiagonalCurvature([4.0, 0.0]).pseudoinverse([8.0, 1.0])
    array([2., 0.])
    """

    def __init__(self, entries: ArrayLike, kind: str | None = None) -> None:
        self._entries = _validation.vector(entries, "entries").copy()
        if self.rates.min() < 0.0:
            raise ValueError(f"entries must be non-negative, got {self.rates.min():g} at {int(self.rates.argmin())}")
        self.shape = (self.rates.size, self.rates.size)
        self._set_kind(kind)

    @property
    def rates(self) -> FloatArray:
        """The entries (N,)."""
        return self._entries

    @classmethod
    def from_rows(cls, rows: ArrayLike, kind: str | None = None) -> "DiagonalCurvature":
        """Diagonal of J^T J from rows J (n, N)."""
        rows = real_rows(rows)
        with np.errstate(over="ignore"):
            squares = np.einsum("ij,ij->j", rows, rows)
        if not np.isfinite(squares).all():
            raise ValueError(
                f"rows must be below 1e150: their squares overflow, the largest is {np.abs(rows).max():.3g}"
            )
        return cls(squares, kind)

    def to_modes(self, v: FloatArray) -> FloatArray:
        """The coordinates are the entries."""
        return v

    def from_modes(self, c: FloatArray) -> FloatArray:
        """The entries are the coordinates."""
        return c

    def diagonal(self, f: SpectralFunction) -> FloatArray:
        """Diagonal (N,) of f(F)."""
        return f(self.rates)

    @property
    def n_programmed(self) -> int:
        """N."""
        return self.size


class DenseCurvature(Curvature):
    """A full matrix: tests, and networks of a few thousand parameters.

    Parameters
    ----------
    F : (N, N) array_like
        Symmetric positive semidefinite. Kept by reference, not copied: do not change it while the curvature lives.
    kind : str, optional
        Which matrix it estimates, as in `cotangents`; for the record.

    Raises
    ------
    ValueError
        F is not square, finite or symmetric, or has an eigenvalue below zero by more than rounding.

    See Also
    --------
    DiagonalCurvature : The diagonal alone.
    LowRankCurvature : From rows, without the (N, N) matrix.
    """

    def __init__(self, F: ArrayLike, kind: str | None = None) -> None:
        self._matrix = _validation.symmetric(F, "F")
        self.shape = self._matrix.shape
        self._set_kind(kind)

    @classmethod
    def from_rows(cls, rows: ArrayLike, kind: str | None = None) -> "DenseCurvature":
        """J^T J from rows J (n, N)."""
        rows = real_rows(rows)
        return cls(second_moment(rows, rows, "rows"), kind)

    @cached_property
    def _decomposition(self) -> tuple[FloatArray, FloatArray]:
        return semidefinite_eigh(self._matrix, "F")

    @property
    def rates(self) -> FloatArray:
        """Eigenvalues (N,), ascending."""
        return self._decomposition[0]

    def to_modes(self, v: FloatArray) -> FloatArray:
        """V^T v."""
        return self._decomposition[1].T @ v

    def from_modes(self, c: FloatArray) -> FloatArray:
        """V c."""
        return self._decomposition[1] @ c

    def matvec(self, v: ArrayLike) -> FloatArray:
        """F v for v (N,) or (N, k); needs no factorisation."""
        return self._matrix @ _validation.columns(v, "v", self.size)

    def dense(self) -> FloatArray:
        """The matrix itself."""
        return self._matrix

    def diagonal(self, f: SpectralFunction) -> FloatArray:
        """Diagonal (N,) of f(F)."""
        return self._decomposition[1] ** 2 @ f(self.rates)
