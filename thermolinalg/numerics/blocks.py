"""Work cut into blocks: noise that is sampled at a time, chains that are stepped together."""

from collections.abc import Iterator

import numpy as np

from .._typing import DTypeLike, FloatArray
from .threads import parts

BLOCK = 65_536  # normals sampled at a time (512 KiB); any value gives the same bits
CHAIN_TILE, CHAIN_STEP = 32, 4096  # chains of a large system that share a generator; normals of a step of a small one


def blocks(
    n: int, width: int, rows: int | None = None, buffers: int = 1, dtype: DTypeLike = float
) -> Iterator[FloatArray]:
    """Views of `buffers` arrays in turn, `rows` x `width` at most, that together have n rows."""
    rows = rows or max(1, BLOCK // width)
    arrays = [np.empty((min(rows, n - start), width), dtype) for start in range(0, n, rows)[:buffers]]
    for k, start in enumerate(range(0, n, rows)):
        yield arrays[k % buffers][: n - start]


def noise_blocks(rng: np.random.Generator, n: int, shape: tuple[int, ...]) -> Iterator[FloatArray]:
    """Standard normals (n, *shape), some `BLOCK` numbers at a time, each block in the memory of the one before."""
    for block in blocks(n, int(np.prod(shape))):
        rng.standard_normal(out=block)
        yield block.reshape(-1, *shape)


def chain_tiles(n_chains: int, d: int) -> list[slice]:
    """Chains that are stepped together, and share a generator: part of the definition of the random stream."""
    return parts(n_chains, max(CHAIN_TILE, CHAIN_STEP // d))
