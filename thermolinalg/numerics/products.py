"""Sums of products of reads, block by block: the next block is sampled while this one is multiplied.

A product is cut into tiles. Where BLAS has one thread they are multiplied side by side; else BLAS has its own threads,
and ours would wait for them. The tiles are the same in any case, and so are the bits for any number of our threads.
"""

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np

from .._typing import FloatArray
from .threads import ThreadTeam, parts, threads

TILE = 256  # most rows and columns of a tile: part of the definition of the rounding
SMALL = 256  # size of a product below which waking a thread takes longer than multiplying a block
BLAS_SETTINGS = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS", "OMP_NUM_THREADS")


Task = Callable[[], Any]


def blas_is_serial() -> bool:
    """Whether the environment keeps BLAS to one thread."""
    given = [os.environ[name] for name in BLAS_SETTINGS if os.environ.get(name)]
    return bool(given) and given[0] == "1"


def _in_turn(tasks: Sequence[Task]) -> Task:
    """One task of many."""
    return lambda: [task() for task in tasks]


def sum_of_products(
    pairs: Iterator, shape: tuple[int, int], symmetric: bool, workers: int | None
) -> tuple[FloatArray, int]:
    """Sum of ``later^T earlier``, and of the counts, over triples of later (n, p), earlier (n, q) and a count.

    `symmetric`: later and earlier are the same. While a pair is used the next is asked for, in another thread: it
    must not lie in the same memory.
    """
    total, count = np.zeros(shape), 0
    rows, columns = (parts(n, TILE) for n in shape)
    tiles = [(i, j) for i in rows for j in columns if not symmetric or j.start <= i.start]
    own = threading.local()

    def add(later: FloatArray, earlier: FloatArray, i: slice, j: slice) -> None:
        if not hasattr(own, "space"):
            own.space = np.empty(min(TILE, shape[0]) * min(TILE, shape[1]), later.dtype)
        target = total[i, j]
        target += np.matmul(later[:, i].T, earlier[:, j], out=own.space[: target.size].reshape(target.shape))

    def tasks(later: FloatArray, earlier: FloatArray) -> Sequence[Task]:
        each = [partial(add, later, earlier, i, j) for i, j in tiles]
        return each if blas_is_serial() else [_in_turn(each)]

    with ThreadTeam(1 if min(shape) < SMALL else threads(workers)) as team:
        following = partial(next, pairs, None)
        pair = following()
        while pair is not None:
            count += pair[2]
            if team.size == 1:
                team.run(tasks(*pair[:2]))
                pair = following()
            else:
                pair = team.run([following, *tasks(*pair[:2])])[0]
    if symmetric:
        for i, j in tiles:
            if j.start < i.start:
                total[j, i] = total[i, j].T
    return total, count


def congruent(function: Callable, M: FloatArray, size: int, workers: int | None) -> FloatArray:
    """F M F^T (size, size), for M (m, m) and a linear `function` of columns: F c (size, k) of c (m, k)."""
    half, whole = np.empty((size, len(M))), np.empty((size, size))

    def first(columns: slice) -> None:
        half[:, columns] = function(M[:, columns])

    def second(rows: slice) -> None:
        whole[rows] = function(half[rows].T).T

    with ThreadTeam(threads(workers) if size >= SMALL and blas_is_serial() else 1) as team:
        team.run([partial(first, part) for part in parts(len(M), TILE)])
        team.run([partial(second, part) for part in parts(size, TILE)])
    return whole
