"""The only file that imports numba: the decorator that every kernel uses."""

import os
from collections.abc import Callable
from typing import Any, TypeVar, cast

from numba import njit

Compiled = TypeVar("Compiled", bound=Callable[..., Any])

_CACHE_SETTINGS = {"0": False, "1": True}
_setting = os.environ.get("THERMOLINALG_CACHE", "0")
if _setting not in _CACHE_SETTINGS:
    raise ValueError(f"THERMOLINALG_CACHE must be one of {sorted(_CACHE_SETTINGS)}, got {_setting!r}")
CACHE = _CACHE_SETTINGS[_setting]


def kernel(function: Compiled) -> Compiled:
    """Compile a kernel lazily, without the GIL; states every option that Numba would otherwise inherit."""
    compiled = njit(function, nogil=True, fastmath=False, error_model="numpy", cache=CACHE)
    return cast("Compiled", compiled)  # a dispatcher, which is called as the function is
