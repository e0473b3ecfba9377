"""Validation inside the library: the public `checks`, and those that only its own functions need."""

import sys
import warnings
from typing import Any

import numpy as np
import scipy.linalg

from ._typing import FloatArray
from .checks import choice, count, generator, positive, real_array, symmetric, vector

__all__ = [
    "choice",
    "columns",
    "count",
    "exactly_one",
    "finite_result",
    "fraction",
    "generator",
    "number",
    "positive",
    "real_array",
    "semidefinite",
    "square",
    "stable",
    "symmetric",
    "vector",
    "warn",
    "workers",
]

PACKAGE = __name__.partition(".")[0]


def columns(value: object, name: str, size: int) -> FloatArray:
    """A finite float64 array of shape (size,) or (size, k)."""
    array = real_array(value, name)
    if array.ndim not in (1, 2) or array.shape[0] != size or array.size == 0:
        raise ValueError(f"{name} must have shape ({size},) or ({size}, k), got {array.shape}")
    return array


def exactly_one(**options: object) -> str:
    """The name of the one option that is not None."""
    given = [name for name, value in options.items() if value is not None]
    if len(given) != 1:
        got = "none" if not given else " and ".join(given)
        raise ValueError(f"give exactly one of {', '.join(options)}; got {got}")
    return given[0]


def finite_result(array: FloatArray, what: str) -> FloatArray:
    """The array itself, or FloatingPointError: a result that is not finite never leaves the library."""
    if not np.isfinite(array).all():
        raise FloatingPointError(f"{what} is not finite: the problem's scale overflows float64; rescale A and b")
    return array


def workers(value: object) -> int | None:
    """A number of threads; None for as many as there are cores."""
    return None if value is None else count(value, "workers")


def square(value: object, name: str) -> FloatArray:
    """A finite float64 matrix of shape (d, d)."""
    array = real_array(value, name)
    if array.ndim != 2 or array.shape[0] != array.shape[1] or array.size == 0:
        raise ValueError(f"{name} must be a square matrix of shape (d, d), got {array.shape}")
    return array


def stable(value: object, name: str) -> tuple[FloatArray, FloatArray | None]:
    """A drift matrix whose eigenvalues all have a positive real part beyond rounding, and those if they were needed.

    A symmetric drift that is definite by far needs none. Of others, eigenvalues that a permutation brings to the
    diagonal of a triangular part are exact; the rest are known to the rounding of the balanced block that is left.
    """
    drift = square(value, name)
    if _plainly_definite(drift):
        return drift, None
    balanced, first, last, _, _ = scipy.linalg.lapack.dgebal(drift, scale=1, permute=1)
    block = balanced[first : last + 1, first : last + 1]
    solve = scipy.linalg.eigvalsh if np.array_equal(block, block.T) else scipy.linalg.eigvals
    inner = solve(block, check_finite=False).astype(complex)
    eigenvalues = np.concatenate((np.delete(np.diag(balanced), slice(first, last + 1)), inner))
    worst = eigenvalues[np.argmin(eigenvalues.real)]
    if worst.real <= 0:
        raise ValueError(
            f"{name} must be stable, but its eigenvalue {number(worst)} has no positive real part; "
            f"add a multiple of the identity above {-worst.real:.3g}"
        )
    rounding = len(block) * np.finfo(float).eps * np.linalg.norm(block) if len(block) > 1 else 0.0
    if inner.real.min() <= rounding:
        least = inner[np.argmin(inner.real)]
        raise ValueError(
            f"{name} must be stable, but its eigenvalue {number(least)} cannot be told from zero: entries up to "
            f"{np.abs(block).max():.3g} leave it uncertain by {rounding:.3g}; treat the slow part by itself"
        )
    return drift, eigenvalues if eigenvalues.imag.any() else eigenvalues.real


def _plainly_definite(drift: FloatArray) -> bool:
    """Whether a matrix is symmetric and positive definite by more than any rounding, by a Cholesky factorisation."""
    if not np.array_equal(drift, drift.T):
        return False
    with np.errstate(over="ignore", invalid="ignore"):
        least = 4.0 * len(drift) * np.finfo(float).eps * np.linalg.norm(drift)
        return bool(np.isfinite(least)) and _has_cholesky(drift - least * np.eye(len(drift)))


def number(eigenvalue: complex) -> str:
    """An eigenvalue for a message, without an imaginary part that is zero."""
    return f"{eigenvalue.real:.6g}" + (f"{eigenvalue.imag:+.6g}j" if eigenvalue.imag else "")


def semidefinite(value: object, name: str, size: int) -> FloatArray:
    """A symmetric positive semidefinite (size, size) matrix from a number, a diagonal or a matrix."""
    array = real_array(value, name)
    kind = np.asarray(value).dtype
    precision = float(np.finfo(kind if kind.kind == "f" else float).eps)
    if array.ndim < 2:
        array = np.diag(np.broadcast_to(array, size) if array.ndim == 0 else vector(array, name, size))
    else:
        array = symmetric(value, name)
    if array.shape != (size, size):
        raise ValueError(f"{name} must have shape ({size}, {size}), got {array.shape}")
    array = array / 2.0 + array.T / 2.0
    if _has_cholesky(array):
        return array
    eigenvalues = scipy.linalg.eigvalsh(array, check_finite=False)
    if eigenvalues[0] < -size * precision * max(eigenvalues[-1], -eigenvalues[0]):
        raise ValueError(f"{name} must be positive semidefinite, but has the eigenvalue {eigenvalues[0]:.6g}")
    return array


def _has_cholesky(array: FloatArray) -> bool:
    """Whether a symmetric matrix is positive definite as far as rounding tells, for less than eigenvalues cost."""
    try:
        np.linalg.cholesky(array)
    except np.linalg.LinAlgError:
        return False
    return True


def fraction(value: Any, name: str) -> float:
    """A number in [0, 1), such as a momentum."""
    if positive(value, name, zero=True) >= 1.0:
        raise ValueError(f"{name} must be in [0, 1), got {value!r}")
    return float(value)


def warn(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn at the line outside the library that led here, through however many of its modules."""
    level, frame = 2, sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == PACKAGE:
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)
