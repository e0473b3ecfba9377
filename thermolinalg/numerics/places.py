"""Random numbers that belong to a place: functions of a seed, a stream and the place alone, in any order."""

import numpy as np
from numpy.typing import NDArray

from .._typing import FloatArray, IntArray

SEEDS = 2**64  # a seed is below this
_GOLDEN, _FIRST, _SECOND = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB  # of SplitMix64


def _mixed(z: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """SplitMix64's finaliser (Steele, Lea and Flood, OOPSLA 2014) of words (n,)."""
    z = (z ^ (z >> np.uint64(30))) * np.uint64(_FIRST)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(_SECOND)
    return z ^ (z >> np.uint64(31))


def place_uniforms(seed: int, stream: int, rows: IntArray, columns: IntArray) -> FloatArray:
    """Numbers (n,) in (0, 1) of the places (rows, columns), each a function of seed, stream and place alone."""
    golden, one = np.uint64(_GOLDEN), np.uint64(1)
    words = _mixed(np.array([seed], dtype=np.uint64) + golden)
    for part in (np.array([stream]), rows, columns):
        words = _mixed(words + golden * (np.asarray(part, dtype=np.uint64) + one))
    return np.asarray(((words >> np.uint64(11)) + 0.5) * 2.0**-53, dtype=np.float64)


def place_normals(seed: int, stream: int, rows: IntArray, columns: IntArray) -> FloatArray:
    """Standard normal numbers (n,) of the places (rows, columns); see `place_uniforms`."""
    from scipy.special import ndtri  # most runs need none

    return ndtri(place_uniforms(seed, stream, rows, columns))
