"""The only parallelism of the library: independent tasks on threads, the same bits for any number of workers."""

import os
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from functools import partial
from itertools import pairwise
from typing import Self

import numpy as np

from .. import _validation

FEW = 100_000  # normals that are sampled before a second thread is awake: a millisecond


def threads(workers: int | None, among: int = 1) -> int:
    """How many threads `workers` stands for; for each of so many tasks, if they are shared out `among` them."""
    return max(1, (_validation.workers(workers) or os.cpu_count() or 1) // among)


def parts(n: int, most: int) -> list[slice]:
    """range(n) cut into the fewest pieces of at most `most`, of equal length but for one."""
    edges = np.linspace(0, n, -(-n // most) + 1).astype(int)
    return [slice(int(first), int(last)) for first, last in pairwise(edges)]


class ThreadTeam:
    """Threads that take tasks from one list, the calling thread among them: it is awake already.

    Parameters
    ----------
    workers : int
        Threads, with the calling one.
    """

    def __init__(self, workers: int) -> None:
        self.size = workers
        self._pool = ThreadPoolExecutor(workers - 1) if workers > 1 else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown()

    def run(self, tasks: Sequence[Callable]) -> list:
        """``[task() for task in tasks]``; of errors the one of the first task that failed."""
        todo, results, errors = deque(range(len(tasks))), [None] * len(tasks), {}

        def work() -> None:
            while todo:
                try:
                    k = todo.popleft()
                except IndexError:  # another thread was quicker
                    return
                try:
                    results[k] = tasks[k]()
                except BaseException as error:
                    errors[k] = error
                    todo.clear()

        helpers = [] if self._pool is None else [self._pool.submit(work) for _ in range(min(self.size, len(tasks)) - 1)]
        try:
            work()
        finally:
            todo.clear()  # if this thread is interrupted, the others end with what they are at
            wait(helpers)
        if errors:
            raise errors[min(errors)]
        return results


def run_chains(
    function: Callable, rng: np.random.Generator, tasks: Sequence, workers: int | None, numbers: float = np.inf
) -> list:
    """Return ``[function(generator, task) for task in tasks]``, each with a generator of its own.

    Generators are spawned in the main thread, one for each task, and results come back in the order of
    `tasks`, so neither the number of workers nor their timing can change a bit. Tasks that take few random `numbers`
    all together stay in the main thread.
    """
    workers = 1 if numbers < FEW else min(threads(workers), len(tasks))
    generators = rng.spawn(len(tasks))
    with ThreadTeam(workers) as team:
        return team.run([partial(function, g, task) for g, task in zip(generators, tasks, strict=True)])
