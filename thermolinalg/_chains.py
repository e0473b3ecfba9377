"""The only parallelism of the library: independent chains on a thread pool, the same bits for any number of workers."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from . import _check


def run_chains(function: Callable, rng: np.random.Generator, tasks: Sequence, workers: int | None) -> list:
    """Return ``[function(generator, task) for task in tasks]``, each with a generator of its own.

    Generators are spawned in the main thread, one for each task, and results come back in the order of
    `tasks`, so neither the number of workers nor their timing can change a bit.
    """
    workers = min(_check.workers(workers) or os.cpu_count() or 1, len(tasks))
    generators = rng.spawn(len(tasks))
    if workers == 1:
        return [function(g, task) for g, task in zip(generators, tasks, strict=True)]
    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(function, generators, tasks))
