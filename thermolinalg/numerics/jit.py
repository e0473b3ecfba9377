"""The only file that imports numba: the decorator that every kernel uses."""

import os

from numba import njit

_CACHE_SETTINGS = {"0": False, "1": True}
_setting = os.environ.get("THERMOLINALG_CACHE", "0")
if _setting not in _CACHE_SETTINGS:
    raise ValueError(f"THERMOLINALG_CACHE must be one of {sorted(_CACHE_SETTINGS)}, got {_setting!r}")
CACHE = _CACHE_SETTINGS[_setting]


def kernel(function):
    """Compile a kernel lazily, without the GIL; states every option that Numba would otherwise inherit."""
    return njit(function, nogil=True, fastmath=False, error_model="numpy", cache=CACHE)
