"""Curvature that is block diagonal over contiguous parts of the parameters, such as layers."""

from collections.abc import Sequence
from functools import cached_property
from itertools import pairwise

import numpy as np

from .. import _validation
from .._typing import ArrayLike, FloatArray, SpectralFunction
from .base import Curvature


class BlockCurvature(Curvature):
    """One curvature for each contiguous part of the parameters, and zero between them.

    Parameters
    ----------
    blocks : sequence of Curvature
        In the order of the parameters, covering all of them.

    Raises
    ------
    ValueError
        No blocks, or something that is not a curvature among them.

    See Also
    --------
    KroneckerCurvature : The usual block, one per layer.

    Examples
    --------
    >>> import numpy as np, thermolinalg as tl
    >>> c = tl.curvature
    >>> F = c.BlockCurvature([c.DenseCurvature(np.eye(2)), c.DiagonalCurvature([4.0])])
    >>> F.matvec([1.0, 2.0, 3.0])
    array([ 1.,  2., 12.])
    """

    def __init__(self, blocks: Sequence[Curvature]) -> None:
        self.blocks = tuple(blocks)
        if not self.blocks or not all(isinstance(block, Curvature) for block in self.blocks):
            raise ValueError("blocks must be one or more curvatures, in the order of the parameters")
        size = sum(block.size for block in self.blocks)
        self.shape = (size, size)
        kinds = {block.kind for block in self.blocks}
        self._set_kind(kinds.pop() if len(kinds) == 1 else None)

    @cached_property
    def rates(self) -> FloatArray:
        """Eigenvalue of each mode coordinate, block after block."""
        return np.concatenate([block.rates for block in self.blocks])

    @property
    def eigenvalues(self) -> FloatArray:
        """All N eigenvalues."""
        return np.concatenate([block.eigenvalues for block in self.blocks])

    @cached_property
    def slices(self) -> tuple[slice, ...]:
        """Which parameters belong to each block."""
        return _consecutive([block.size for block in self.blocks])

    @cached_property
    def _mode_slices(self) -> tuple[slice, ...]:
        return _consecutive([block.rates.size for block in self.blocks])

    def _each(self, method: str, v: FloatArray, slices: tuple[slice, ...]) -> FloatArray:
        parts = [getattr(block, method)(v[s]) for block, s in zip(self.blocks, slices, strict=True)]
        return np.concatenate(parts)

    def to_modes(self, v: FloatArray) -> FloatArray:
        """Coordinates of each block, one after the other."""
        return self._each("to_modes", v, self.slices)

    def from_modes(self, c: FloatArray) -> FloatArray:
        """Each block from its coordinates."""
        return self._each("from_modes", c, self._mode_slices)

    def matvec(self, v: ArrayLike) -> FloatArray:
        """F v, block by block."""
        return self._each("matvec", _validation.columns(v, "v", self.size), self.slices)

    def diagonal(self, f: SpectralFunction) -> FloatArray:
        """Diagonal (N,) of f(F)."""
        return np.concatenate([block.diagonal(f) for block in self.blocks])

    @property
    def n_programmed(self) -> int:
        """The sum over the blocks."""
        return sum(block.n_programmed for block in self.blocks)


def _consecutive(sizes: list[int]) -> tuple[slice, ...]:
    return tuple(slice(int(a), int(b)) for a, b in pairwise(np.cumsum([0, *sizes])))
