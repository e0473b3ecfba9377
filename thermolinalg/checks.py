"""Checks of arguments: each returns its argument in standard form, or raises a ValueError with its name and value.

They are those of the library's own functions, for code that is written on top of it and shall speak alike.
"""

from collections.abc import Iterable
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

__all__ = ["choice", "count", "generator", "positive", "real_array", "symmetric", "vector"]

# Asymmetry allowed in a "symmetric" matrix, relative to its largest entry, in units of its own rounding.
SYMMETRY_ULPS = 1000
TALL, WIDE = 512, 64  # strip of a matrix that is compared with its mirror image at once: it fits a cache


def real_array(value: object, name: str) -> FloatArray:
    """A finite float64 array; integers and narrower floats are widened, complex numbers and NaN refused."""
    array = _float_array(value, name)
    _require_finite(array, name)
    return array


def _array(value: object, name: str) -> NDArray[Any]:
    """Any array; a matrix that is stored or applied in another way is refused."""
    if hasattr(value, "toarray"):
        raise ValueError(f"{name} is sparse, and a dense array is needed here; pass {name}.toarray()")
    if hasattr(value, "dense"):
        raise ValueError(f"{name} is an operator, and an array is needed here; pass {name}.dense()")
    return np.asarray(value)


def _float_array(value: object, name: str) -> FloatArray:
    array = _array(value, name)
    if np.iscomplexobj(array):
        raise ValueError(f"{name} must be real, got dtype {array.dtype}; split it into real and imaginary parts")
    if array.dtype.kind not in "biuf":
        raise ValueError(f"{name} must hold numbers, got dtype {array.dtype}")
    return _in_order(np.asarray(array, dtype=np.float64))


def _in_order(array: FloatArray) -> FloatArray:
    """The array, or a contiguous copy where BLAS could not take it as it lies.

    Products with strided vectors and unaligned arrays add up in another order, so the last digit of a result would
    depend on how the caller stores a number.
    """
    flags, strides = array.flags, array.strides
    if flags.aligned and (flags.forc or (array.itemsize in strides[-2:] and min(strides) > 0)):
        return array
    return array.copy()


def _require_finite(array: FloatArray, name: str) -> None:
    if not np.isfinite(array).all():
        where = tuple(int(i) for i in np.argwhere(~np.isfinite(array))[0])
        raise ValueError(f"{name} must be finite, got {array[where]} at index {where}")


def vector(value: object, name: str, size: int | None = None) -> FloatArray:
    """A finite float64 vector, of length `size` if that is given."""
    array = real_array(value, name)
    wanted = "(d,)" if size is None else f"({size},)"
    if array.ndim != 1 or (size is not None and array.size != size) or array.size == 0:
        raise ValueError(f"{name} must have shape {wanted}, got {array.shape}")
    return array


def symmetric(value: object, name: str) -> FloatArray:
    """A finite, square, symmetric float64 matrix; not copied when it already is one."""
    given = _array(value, name)
    array = _float_array(given, name)
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


def _asymmetry(array: FloatArray) -> float:
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


def positive(value: object, name: str, unit: str = "", infinite: bool = False, zero: bool = False) -> float:
    """A positive float; infinity and zero only where they are said to be allowed."""
    if not isinstance(value, Real | np.floating | np.integer) or isinstance(value, bool):
        raise ValueError(f"{name} must be a number{unit}, got {value!r}")
    number = float(value)
    if not (number >= 0 if zero else number > 0) or (np.isinf(number) and not infinite):
        wanted = ("non-negative" if zero else "positive") + ("" if infinite else " and finite")
        raise ValueError(f"{name} must be {wanted}{unit}, got {value!r}")
    return number


def count(value: Any, name: str, least: int = 1) -> int:
    """An integer not below `least`; 1e4 is taken for the ten thousand it is."""
    whole = isinstance(value, Integral) or (isinstance(value, Real) and float(value).is_integer())
    if not whole or isinstance(value, bool):
        raise ValueError(f"{name} must be an integer, got {value!r}")
    if value < least:
        raise ValueError(f"{name} must be at least {least}, got {value}")
    return int(float(value)) if not isinstance(value, Integral) else int(value)


def choice(value: object, name: str, known: Iterable[str]) -> str:
    """One of the known words."""
    known = list(known)
    if not isinstance(value, str) or value not in known:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, known))}, got {value!r}")
    return value


def generator(rng: Any) -> np.random.Generator:
    """`numpy.random.default_rng(rng)`, with a message of our own for what it does not take (SPEC 7)."""
    try:
        made = np.random.default_rng(rng)
        getattr(made.bit_generator.seed_seq, "spawn")  # noqa: B009  a legacy RandomState has none
    except (TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"rng must be None, an int, a SeedSequence or a Generator, got {rng!r}: {error}") from None
    return made
