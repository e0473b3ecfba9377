"""Where tasks run (`workers`), how long that takes on paper (`expected_seconds`), what a task costs on top of its work.

Model: n tasks of t seconds on W workers take ``ceil(n / W) t`` of work, or ``n c`` where that is longer, c being what
the one process that sends tasks out and keeps their results spends on each. So more than t / c workers do not help.
"""

import argparse
import contextlib
import math
import tempfile
from pathlib import Path
from time import perf_counter

import joblib

from thermolinalg import checks

from .results_cache import Cache, using
from .sweeps import sweep


def add_options(parser: argparse.ArgumentParser) -> None:
    """--jobs and --dask, for `workers`."""
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="processes on this machine (default: 1)")
    parser.add_argument(
        "--dask", metavar="ADDRESS", help="send the tasks to the workers of this dask scheduler; --jobs is ignored then"
    )


@contextlib.contextmanager
def workers(jobs=1, dask: str | None = None):
    """Inside, `sweep` sends its tasks to so many processes, or to the workers of a dask scheduler.

    Parameters
    ----------
    jobs : int
        Processes on this machine; ignored with a scheduler (joblib#1013).
    dask : str, optional
        Address of the scheduler.

    Raises
    ------
    ValueError
        jobs < 1; there is no dask, or no scheduler at this address.

    Examples
    --------
    >>> import math, tempfile
    >>> with using(Cache(Path(tempfile.mkdtemp()))), workers(jobs=1):
    ...     sweep(math.sqrt, [4.0, 9.0])
    [2.0, 3.0]
    """
    jobs = checks.count(jobs, "jobs")
    with scheduler(dask) as client:
        where = {"n_jobs": jobs} if client is None else {"backend": "dask", "client": client}
        with joblib.parallel_config(**where):
            yield


@contextlib.contextmanager
def scheduler(address: str | None):
    """A client of a dask scheduler; None without an address.

    Raises
    ------
    ValueError
        There is no dask, or no scheduler at this address.
    """
    if address is None:
        yield None
        return
    try:
        from distributed import Client  # an extra: most do without
    except ImportError as error:
        raise ValueError("--dask needs dask and distributed; install the extra [dask]") from error
    try:
        client = Client(address, timeout=10)
    except (OSError, ValueError) as error:  # nobody answers in time; no address
        raise ValueError(f"there is no dask scheduler at {address} ({error})") from error
    with client:
        yield client


def expected_seconds(tasks, seconds, count, overhead=0.0) -> float:
    """Wall time of equal tasks.

    Parameters
    ----------
    tasks : int
    seconds : float
        Of one task on one worker.
    count : int
        Workers.
    overhead : float
        Seconds that the sender spends on each task, whatever the number of workers.

    Raises
    ------
    ValueError
        A number that is not positive (overhead: negative).

    Examples
    --------
    >>> expected_seconds(1000, 1.0, 100, overhead=0.004), expected_seconds(1000, 1.0, 1000, overhead=0.004)
    (10.0, 4.0)
    """
    tasks, count = checks.count(tasks, "tasks"), checks.count(count, "count")
    work = math.ceil(tasks / count) * checks.positive(seconds, "seconds")
    return max(work, tasks * checks.positive(overhead, "overhead", zero=True))


def nothing(task: int) -> int:
    """A task that does nothing."""
    return task


def overhead_seconds(tasks=300) -> float:
    """Wall time of a task that does nothing, through `sweep` with a new cache, wherever tasks go at the moment.

    Its key, its way there and back, and writing the result. The first tasks, in which workers import what they need,
    are not counted.

    Parameters
    ----------
    tasks : int
        So many are timed.

    Raises
    ------
    ValueError
        tasks < 1.

    Examples
    --------
    >>> 0.0 < overhead_seconds(20) < 1.0
    True
    """
    tasks = checks.count(tasks, "tasks")
    with tempfile.TemporaryDirectory() as folder, using(Cache(Path(folder))):
        sweep(nothing, range(-32, 0))
        start = perf_counter()
        sweep(nothing, range(tasks))
        return (perf_counter() - start) / tasks


def main(argv=None) -> int:
    """Measure and print the overhead of a task."""
    parser = argparse.ArgumentParser(prog="python -m analysis.clusters", description="Seconds that a task costs.")
    add_options(parser)
    parser.add_argument("--tasks", type=int, default=300, help="that do nothing, timed (default: %(default)s)")
    options = parser.parse_args(argv)
    try:
        with workers(options.jobs, options.dask):
            seconds = overhead_seconds(options.tasks)
    except ValueError as error:
        parser.error(str(error))
    where = options.dask or f"{options.jobs} process{'es' if options.jobs > 1 else ''} here"
    print(f"{1e3 * seconds:.2f} ms for each task, {where}; more than {1.0 / seconds:.0f} workers do not help 1-s tasks")
    return 0


if __name__ == "__main__":
    from analysis.clusters import main  # a task's function must have a module that workers can import

    raise SystemExit(main())
