"""Modes of a symmetric drift A: those that the noise D shares, and the law of ``dx = -A x dt + sqrt(D) dW`` for any D.

With A = V diag(l) V^T and D in modes ``V^T D V``, ``M = V e^{-l h} V^T`` and ``Q = V [(V^T D V)_ab r_ab] V^T``, where
``r_ab = (1 - e^{-(l_a + l_b) h}) / (l_a + l_b)``: three products in place of the doublings of `transitions`, and as
exact wherever rounding in the eigenvectors hides no small entry of A or D.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.linalg

from .. import _validation, laws
from .._typing import FloatArray

KEPT = 100 * float(np.finfo(float).eps)  # rms error of A_ij / sqrt(A_ii A_jj), or of D, that modes may leave
PROBES = 8  # vectors of random signs by which that is measured
COMMUTES = 1e-12  # relative size of what is left off the diagonal by which two matrices count as jointly diagonal
FAR = 1e-6  # relative size of (A D - D A) v by which A and D cannot commute, whatever the rounding
MIXING = 0.6180339887498949  # A + MIXING D has the eigenvectors of both where they commute, but for accidents


@dataclass(frozen=True, eq=False)
class DriftModes:
    """Modes of a symmetric drift, and the noise in them.

    Attributes
    ----------
    vectors : (d, d) ndarray
        Modes, one per column.
    rates : (d,) ndarray
        Eigenvalues of the drift, all positive.
    noise : (d, d) ndarray
        V^T D V.
    """

    vectors: FloatArray
    rates: FloatArray
    noise: FloatArray

    @classmethod
    def of(cls, A: FloatArray, D: FloatArray) -> "DriftModes | None":
        """Those of a symmetric positive definite A that give every A_ij and D_ij back; None without them.

        The error of the entry (i, j) counts relative to ``sqrt(A_ii A_jj)``, so that what is small compared with
        another component is not lost: its rms over a row, measured along random signs, is at most `KEPT`.
        """
        if (found := symmetric_modes(A)) is None:
            return None
        rates, V = found
        with np.errstate(over="ignore", invalid="ignore"):  # then D is not given back
            half = V.T @ _times(D / 2.0, V)
            noise = half + half.T
            if not _is_product(D, V, noise @ V.T):
                return None
        for array in (V, rates, noise):
            array.setflags(write=False)
        return cls(V, rates, noise)

    @cached_property
    def sums(self) -> FloatArray:
        """Rates (d, d) of the products of two modes."""
        return np.add.outer(self.rates, self.rates)

    @cached_property
    def covariance(self) -> FloatArray:
        """Stationary covariance (d, d) of the modes."""
        with np.errstate(over="ignore"):
            return _validation.finite_result(self.noise / self.sums, "the stationary covariance")

    def propagators(self, h: FloatArray) -> FloatArray:
        """M (k, d, d) for the steps h (k,) [RC], which may be infinite."""
        return mode_propagators(self.rates, self.vectors, h)

    def noises(self, h: FloatArray) -> FloatArray:
        """Q (k, d, d) for the steps h (k,) [RC], which may be infinite."""
        with np.errstate(over="ignore", invalid="ignore"):
            half = self.vectors @ (self.noise / 2.0 * laws.rise(self.sums, h[:, None, None])) @ self.vectors.T
            return _validation.finite_result(half + np.swapaxes(half, 1, 2), "the transition covariance")


def symmetric_modes(A: FloatArray) -> tuple[FloatArray, FloatArray] | None:
    """Rates (d,) and modes (d, d) of a symmetric positive definite A that give every A_ij back; None without them."""
    if not np.array_equal(A, A.T):
        return None
    rates, V = np.linalg.eigh(A)
    return (rates, V) if rates[0] > 0 and _is_product(A, V, rates[:, None] * V.T) else None


def _is_product(matrix: FloatArray, left: FloatArray, right: FloatArray) -> bool:
    """Whether a symmetric matrix is left @ right, up to `KEPT`."""
    scale = np.sqrt(np.maximum(np.diag(matrix), 0.0))
    if scale.min() == 0.0:
        return False
    signs = np.random.default_rng(0).choice((-1.0, 1.0), (len(scale), PROBES))
    with np.errstate(over="ignore", invalid="ignore"):  # then the gap is not small
        probes = signs / scale[:, None]
        gap = (left @ (right @ probes) - matrix @ probes) / scale[:, None]
        return bool(np.sqrt(np.mean(gap**2, axis=1)).max() <= KEPT * np.sqrt(len(scale)))


def shared_modes(A: FloatArray, D: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray] | None:
    """Eigenvectors (d, d) that symmetric A and D share, and eigenvalues (d,) of A and of D; None without them."""
    size, largest = np.abs(A).max(), np.abs(D).max()
    scale = np.sqrt(np.maximum(np.diag(A), 0.0) / size)
    if (np.abs(A - A.T) / size > COMMUTES * np.outer(scale, scale)).any() or _far_from_commuting(A, D):
        return None
    values, V = scipy.linalg.eigh(A / size + MIXING * D / (largest or 1.0))
    multiple = np.array_equal(D / 2.0, A)  # the noise of exponentials, for which eigenvalues are there already
    rates = values * (size / (1.0 + MIXING)) if multiple else None
    if rates is None or rates[0] <= 0 or not _is_product(A, V, rates[:, None] * V.T):
        rates = _diagonal(V, A)
    if rates is None or rates.min() <= 0:
        return None
    noise = 2.0 * rates if multiple else _diagonal(V, D)
    return None if noise is None else (V, rates, np.maximum(noise, 0.0))


def _diagonal(V: FloatArray, matrix: FloatArray) -> FloatArray | None:
    """Diagonal (d,) of V^T matrix V; None if what is off it is more than rounding, of a V without exact entries."""
    modal = V.T @ matrix @ V
    negligible = COMMUTES * (np.abs(V).T @ np.abs(matrix) @ np.abs(V))
    return None if (np.abs(modal - np.diag(np.diag(modal))) > negligible).any() else np.diag(modal)


def _far_from_commuting(A: FloatArray, D: FloatArray) -> bool:
    """Whether A D and D A differ along one vector by far more than rounding: quick, and never so if they commute."""
    v = np.sin(1.0 + np.arange(len(A)))
    with np.errstate(over="ignore", invalid="ignore"):
        gap, size = A @ (D @ v) - D @ (A @ v), np.abs(A) @ (np.abs(D) @ np.abs(v)) + np.abs(D) @ (np.abs(A) @ np.abs(v))
        return bool((np.abs(gap) > FAR * size).any())


def mode_propagators(rates: FloatArray, V: FloatArray, h: FloatArray) -> FloatArray:
    """M = e^{-A h} (k, d, d) for the steps h (k,), which may be infinite."""
    return (V * np.exp(-np.multiply.outer(h, rates))[:, None, :]) @ V.T


def _times(D: FloatArray, V: FloatArray) -> FloatArray:
    """D V, row by row where D is diagonal."""
    diagonal = np.diag(D)
    return diagonal[:, None] * V if np.count_nonzero(D) == np.count_nonzero(diagonal) else D @ V
