"""The only validation of inputs: each function returns its argument in standard form or says what is wrong with it."""

import sys
import warnings
from collections.abc import Iterable
from numbers import Integral, Real

import numpy as np
import scipy.linalg

# Asymmetry allowed in a "symmetric" matrix, relative to its largest entry, in units of its own rounding.
SYMMETRY_ULPS = 1000
PACKAGE = __name__.partition(".")[0]
TALL, WIDE = 512, 64  # strip of a matrix that is compared with its mirror image at once: it fits a cache


def real_array(value, name: str) -> np.ndarray:
    """A finite float64 array; integers and narrower floats are widened, complex numbers and NaN refused."""
    array = _float_array(value, name)
    _require_finite(array, name)
    return array


def _float_array(value, name: str) -> np.ndarray:
    if hasattr(value, "toarray"):
        raise ValueError(f"{name} is sparse, and a dense array is needed here; pass {name}.toarray()")
    array = np.asarray(value)
    if np.iscomplexobj(array):
        raise ValueError(f"{name} must be real, got dtype {array.dtype}; split it into real and imaginary parts")
    if array.dtype.kind not in "biuf":
        raise ValueError(f"{name} must hold numbers, got dtype {array.dtype}")
    return np.asarray(array, dtype=np.float64)


def _require_finite(array: np.ndarray, name: str) -> None:
    if not np.isfinite(array).all():
        where = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        raise ValueError(f"{name} must be finite, got {array[where]} at index {where}")


def vector(value, name: str, size: int | None = None) -> np.ndarray:
    """A finite float64 vector, of length `size` if that is given; contiguous, for bits depend on strides."""
    array = real_array(value, name)
    wanted = "(d,)" if size is None else f"({size},)"
    if array.ndim != 1 or (size is not None and array.size != size) or array.size == 0:
        raise ValueError(f"{name} must have shape {wanted}, got {array.shape}")
    return np.ascontiguousarray(array)


def columns(value, name: str, size: int) -> np.ndarray:
    """A finite float64 array of shape (size,) or (size, k)."""
    array = real_array(value, name)
    if array.ndim not in (1, 2) or array.shape[0] != size or array.size == 0:
        raise ValueError(f"{name} must have shape ({size},) or ({size}, k), got {array.shape}")
    return array


def symmetric(value, name: str) -> np.ndarray:
    """A finite, square, symmetric float64 matrix; not copied when it already is one."""
    given = np.asarray(value)
    array = _float_array(value if hasattr(value, "toarray") else given, name)
    if array.ndim != 2 or array.shape[0] != array.shape[1] or array.size == 0:
        _require_finite(array, name)
        raise ValueError(f"{name} must be a square matrix of shape (d, d), got {array.shape}")
    asymmetry = _asymmetry(array)
    if asymmetry == 0.0:
        return array
    if not np.isfinite(asymmetry):
        _require_finite(array, name)
    largest = max(array.max(), -array.min())
    precision = np.finfo(given.dtype).eps if given.dtype.kind == "f" else np.finfo(np.float64).eps
    if asymmetry > SYMMETRY_ULPS * precision * largest:
        raise ValueError(
            f"{name} must be symmetric, but max |{name} - {name}.T| = {asymmetry:.3g} "
            f"(largest entry {largest:.3g}); pass ({name} + {name}.T) / 2 if that is meant"
        )
    return array


def _asymmetry(array: np.ndarray) -> float:
    """max |A - A^T|, strip by strip: one pass, no temporary of the size of A; not finite where an entry is not."""
    d, worst = array.shape[0], 0.0
    room = np.empty(min(d, TALL) * min(d, WIDE))
    with np.errstate(invalid="ignore", over="ignore"):
        for j in range(0, d, WIDE):
            for i in range(j, d, TALL):
                lower, upper = array[i : i + TALL, j : j + WIDE], array[j : j + WIDE, i : i + TALL]
                gap = room[: upper.size].reshape(upper.shape)
                gap[:] = lower.T
                gap -= upper
                worst = np.maximum(worst, np.maximum(gap.max(), -gap.min()))  # of which both hand NaN on
    return float(worst)


def positive(value, name: str, unit: str = "", infinite: bool = False, zero: bool = False) -> float:
    """A positive float; infinity and zero only where they are said to be allowed."""
    if not isinstance(value, Real | np.floating | np.integer) or isinstance(value, bool):
        raise ValueError(f"{name} must be a number{unit}, got {value!r}")
    number = float(value)
    if not (number >= 0 if zero else number > 0) or (np.isinf(number) and not infinite):
        wanted = ("non-negative" if zero else "positive") + ("" if infinite else " and finite")
        raise ValueError(f"{name} must be {wanted}{unit}, got {value!r}")
    return number


def count(value, name: str, least: int = 1) -> int:
    """An integer not below `least`; 1e4 is taken for the ten thousand it is."""
    whole = isinstance(value, Integral) or (isinstance(value, Real) and float(value).is_integer())
    if not whole or isinstance(value, bool):
        raise ValueError(f"{name} must be an integer, got {value!r}")
    if value < least:
        raise ValueError(f"{name} must be at least {least}, got {value}")
    return int(float(value)) if not isinstance(value, Integral) else int(value)


def choice(value, name: str, known: Iterable[str]) -> str:
    """One of the known words."""
    known = list(known)
    if not isinstance(value, str) or value not in known:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, known))}, got {value!r}")
    return value


def exactly_one(**options) -> str:
    """The name of the one option that is not None."""
    given = [name for name, value in options.items() if value is not None]
    if len(given) != 1:
        got = "none" if not given else " and ".join(given)
        raise ValueError(f"give exactly one of {', '.join(options)}; got {got}")
    return given[0]


def finite_result(array: np.ndarray, what: str) -> np.ndarray:
    """The array itself, or FloatingPointError: a result that is not finite never leaves the library."""
    if not np.isfinite(array).all():
        raise FloatingPointError(f"{what} is not finite: the problem's scale overflows float64; rescale A and b")
    return array


def workers(value) -> int | None:
    """A number of threads; None for as many as there are cores."""
    return None if value is None else count(value, "workers")


def generator(rng) -> np.random.Generator:
    """`numpy.random.default_rng(rng)`, with a message of our own for what it does not take (SPEC 7)."""
    try:
        made = np.random.default_rng(rng)
        getattr(made.bit_generator.seed_seq, "spawn")  # noqa: B009  a legacy RandomState has none
    except (TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"rng must be None, an int, a SeedSequence or a Generator, got {rng!r}: {error}") from None
    return made


def square(value, name: str) -> np.ndarray:
    """A finite float64 matrix of shape (d, d)."""
    array = real_array(value, name)
    if array.ndim != 2 or array.shape[0] != array.shape[1] or array.size == 0:
        raise ValueError(f"{name} must be a square matrix of shape (d, d), got {array.shape}")
    return array


def stable(value, name: str) -> tuple[np.ndarray, np.ndarray | None]:
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


def _plainly_definite(drift: np.ndarray) -> bool:
    """Whether a matrix is symmetric and positive definite by more than any rounding, by a Cholesky factorisation."""
    if not np.array_equal(drift, drift.T):
        return False
    with np.errstate(over="ignore", invalid="ignore"):
        least = 4.0 * len(drift) * np.finfo(float).eps * np.linalg.norm(drift)
        return bool(np.isfinite(least)) and _has_cholesky(drift - least * np.eye(len(drift)))


def number(eigenvalue: complex) -> str:
    """An eigenvalue for a message, without an imaginary part that is zero."""
    return f"{eigenvalue.real:.6g}" + (f"{eigenvalue.imag:+.6g}j" if eigenvalue.imag else "")


def semidefinite(value, name: str, size: int) -> np.ndarray:
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


def _has_cholesky(array: np.ndarray) -> bool:
    """Whether a symmetric matrix is positive definite as far as rounding tells, for less than eigenvalues cost."""
    try:
        np.linalg.cholesky(array)
    except np.linalg.LinAlgError:
        return False
    return True


def fraction(value, name: str) -> float:
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
