"""Type aliases of arrays and generators: what the annotations of the library say."""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.random import BitGenerator, Generator, SeedSequence
from numpy.typing import ArrayLike, DTypeLike, NDArray

__all__ = [
    "ArrayLike",
    "Arrays",
    "BoolArray",
    "DTypeLike",
    "FloatArray",
    "IntArray",
    "Numbers",
    "RNGLike",
    "SpectralFunction",
]

FloatArray: TypeAlias = NDArray[np.float64]
BoolArray: TypeAlias = NDArray[np.bool_]
IntArray: TypeAlias = NDArray[np.intp]
Arrays: TypeAlias = dict[str, NDArray[Any]]  # what a run carries from step to step, by name
Numbers: TypeAlias = float | FloatArray  # what a formula takes entry by entry
RNGLike: TypeAlias = int | Sequence[int] | SeedSequence | BitGenerator | Generator | None
SpectralFunction: TypeAlias = Callable[[FloatArray], FloatArray]  # of eigenvalues, entry by entry
