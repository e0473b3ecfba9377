"""Many independent tasks: each looked up in the results cache, the others computed, all returned in their order.

Where: in this process, or wherever joblib is configured to go, e.g. to a cluster with
``joblib.parallel_config(backend="dask", client=client)``. An interrupt loses no task that was finished.
"""

import multiprocessing

import joblib
import threadpoolctl
from joblib.parallel import get_active_backend
from tqdm import tqdm

from .keys import key_of, sources_of, versions
from .results_cache import active, decode, encode


def sweep(function, tasks) -> list:
    """The results of ``function(task)`` for every task, in their order.

    Each is computed with one BLAS thread, so that its bits do not depend on where that is; a task met twice, here or by
    another process with the same cache, is computed once. In a timed figure all tasks run here, one after the other,
    with all threads, and only times measured so are taken from the cache.

    Parameters
    ----------
    function : callable
        Of one argument, defined at the top of a module. A result is what `results_cache.encode` takes.
    tasks : iterable
        Plain values, dataclasses or tuples of them, the seed included: all that the result depends on. They must be
        such that pickle and `keys.plain` take them.

    Returns
    -------
    list

    Raises
    ------
    TypeError
        A task without a key, or a result that cannot be kept.
    RuntimeError
        A worker elsewhere has other sources or versions.

    Examples
    --------
    >>> import math, tempfile
    >>> from pathlib import Path
    >>> from analysis.results_cache import Cache, using
    >>> with using(Cache(Path(tempfile.mkdtemp()))):
    ...     sweep(math.sqrt, [4.0, 9.0, 4.0])
    [2.0, 3.0, 2.0]
    """
    cache = active()
    tasks = list(tasks)
    keys = [key_of(function, task, timed=cache.timed) for task in tasks]
    found = {key: value for key in dict.fromkeys(keys) if (value := cache.read(key)) is not None}
    missing = {key: task for key, task in zip(keys, tasks, strict=True) if key not in found}
    compute = _here if cache.timed or _is_serial() else _spread
    bar = tqdm(
        total=len(set(keys)), initial=len(found), desc=function.__name__, unit="task", leave=False,
        disable=None if multiprocessing.current_process().name == "MainProcess" and len(missing) > 1 else True,
    )  # fmt: skip
    with bar:
        for key, value in compute(function, missing, cache):
            found[key] = value
            bar.update()
    return [decode(found[key]) for key in keys]


def remember(cache, key: str, compute):
    """The result of a key: from the cache, or from ``compute()``, made by one process at a time.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from analysis.results_cache import Cache
    >>> cache = Cache(Path(tempfile.mkdtemp()))
    >>> remember(cache, "ab12", lambda: 3), remember(cache, "ab12", lambda: 4)
    (3, 3)
    """
    value = cache.read(key)
    if value is None:
        with cache.lock(key):
            value = cache.read(key)
            if value is None:
                value = encode(compute())
                cache.write(key, value)
    return decode(value)


def _is_serial() -> bool:
    """Whether joblib is not configured to go anywhere."""
    backend, _ = get_active_backend()
    elsewhere = hasattr(backend, "client")  # a cluster, be it of one worker
    return not elsewhere and joblib.effective_n_jobs(None) == 1


def _here(function, missing: dict, cache):
    """One task after the other; those that another process is at come last, when it may have finished them."""
    left = dict(missing)
    for wait in (False, True):
        for key in list(left):
            with cache.lock(key, wait) as held:
                if not held:
                    continue
                value = cache.read(key)
                if value is None:
                    with threadpoolctl.threadpool_limits(None if cache.timed else 1):
                        value = encode(function(left[key]))
                    cache.write(key, value)
            del left[key]
            yield key, value


def _spread(function, missing: dict, cache):
    """By the workers of joblib; results are kept here as they come."""
    facts = (sources_of(function), versions())
    calls = (joblib.delayed(_call)(function, key, task, facts) for key, task in missing.items())
    with joblib.Parallel(return_as="generator_unordered", batch_size=1) as parallel:
        for key, value in parallel(calls):
            cache.write(key, value)
            yield key, value


def _call(function, key: str, task, facts) -> tuple[str, str]:
    """One task in a worker, which keeps one BLAS thread for good: a limit given back would race with other threads."""
    if facts != (sources_of(function), versions()):
        raise RuntimeError(
            "a worker has other sources or other versions of packages than the process that sends it tasks; update its "
            "checkout and its environment, and start it again"
        )
    threadpoolctl.threadpool_limits(1)
    return key, encode(function(task))
