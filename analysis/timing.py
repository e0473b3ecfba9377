"""Digital rivals measured on this machine: wall times in seconds.

Medians of repeats, after one call that is not counted, with all BLAS threads or with one, whichever is quicker. A
busy machine makes them too long, never too short.
"""

from collections.abc import Callable, Iterator
from itertools import islice
from time import perf_counter, process_time, sleep

import numpy as np
import scipy.linalg
import threadpoolctl

SHORTEST = 1e-3  # seconds that a clock is let run at least
SETTLE = 0.2  # seconds to wait first: threads of a BLAS call before still spin, and take a core from the next


def quicker(measure: Callable[[], np.ndarray]) -> np.ndarray:
    """The times that `measure` finds with all BLAS threads or with one: those that end earlier."""
    if max(pool["num_threads"] for pool in threadpoolctl.threadpool_info()) == 1:
        return measure()
    found = []
    for threads in (None, 1):
        with threadpoolctl.threadpool_limits(threads):
            sleep(SETTLE)
            found.append(measure())
    return min(found, key=lambda seconds: seconds[-1])


def cholesky_factor(A):
    """What `substitute` takes."""
    return scipy.linalg.cho_factor(A, check_finite=False)


def substitute(factor, b):
    """A^-1 b from a factor at hand."""
    return scipy.linalg.cho_solve(factor, b, check_finite=False)


def cholesky_solve(A, b):
    """A^-1 b by Cholesky factorisation, without the checks of the input."""
    return substitute(cholesky_factor(A), b)


def cholesky_seconds(A, b, repeats: int) -> float:
    """Wall time to factorise A and solve A x = b."""
    return call_seconds(lambda: cholesky_solve(A, b), repeats)


def least_seconds(call: Callable, repeats: int) -> float:
    """The least that a call takes: wall time with all BLAS threads or, if less, processor time with one.

    On one thread the two are the same on an idle machine; on a busy one wall time does the call an injustice.
    """
    found = [_least(call, repeats, perf_counter)]
    with threadpoolctl.threadpool_limits(1):
        sleep(SETTLE)
        found.append(_least(call, repeats, process_time))
    return min(found)


def one_thread_seconds(call: Callable, repeats: int) -> float:
    """The least processor time of a call that has one thread, with BLAS held to one."""
    with threadpoolctl.threadpool_limits(1):
        return _least(call, repeats, process_time)


def _least(call, repeats, clock) -> float:
    """After one call that is not counted; calls too quick for the clock are made many at a time."""
    call()
    start = perf_counter()
    call()
    many = max(1, int(np.ceil(SHORTEST / max(perf_counter() - start, 1e-7))))
    taken = []
    for _ in range(repeats):
        start = clock()
        for _ in range(many):
            call()
        taken.append((clock() - start) / many)
    return min(taken)


def call_seconds(call: Callable, repeats: int) -> float:
    """Wall time of any call: the median of repeats."""

    def measure():
        call()
        seconds = []
        for _ in range(repeats):
            start = perf_counter()
            call()
            seconds.append(perf_counter() - start)
        return np.atleast_1d(np.median(seconds))

    return float(quicker(measure)[-1])


def conjugate_gradient(A, b) -> Iterator[np.ndarray]:
    """The iterates of plain conjugate gradient on a dense matrix from x = 0, one array that changes in place."""
    x, r, p = np.zeros_like(b), b.copy(), b.copy()
    square = r @ r
    while True:
        product = A @ p
        step = square / (p @ product)
        x += step * p
        r -= step * product
        previous, square = square, r @ r
        p *= square / previous
        p += r
        yield x


def conjugate_gradient_errors(A, b, truth) -> Iterator[float]:
    """The error of each iterate, relative to ||truth||."""
    norm = np.linalg.norm(truth)
    return (float(np.linalg.norm(x - truth) / norm) for x in conjugate_gradient(A, b))


def conjugate_gradient_seconds(A, b, iterations: int, repeats: int) -> np.ndarray:
    """Wall time until the end of each iteration; each counts its own median over repeats."""

    def measure():
        steps = []
        for _ in range(repeats + 1):
            clock = [perf_counter()]
            clock += [perf_counter() for _ in islice(conjugate_gradient(A, b), iterations)]
            steps.append(np.diff(clock))
        return np.cumsum(np.median(steps[1:], axis=0))

    return quicker(measure)


def conjugate_gradient_seconds_to(rtol: float, A, b, truth, repeats: int) -> float:
    """Wall time until the first iterate with a relative error of at most rtol; nan if 10 d iterations are too few."""
    errors = islice(conjugate_gradient_errors(A, b, truth), 10 * len(b))
    needed = next((k for k, error in enumerate(errors, 1) if error <= rtol), None)
    return np.nan if needed is None else float(conjugate_gradient_seconds(A, b, needed, repeats)[-1])
