"""Digital rivals measured on this machine: wall times in seconds.

Medians of repeats, after one call that is not counted, with all BLAS threads or with one, whichever is quicker. A
busy machine makes them too long, never too short.
"""

from collections.abc import Callable, Iterator
from itertools import islice
from time import perf_counter, sleep

import numpy as np
import scipy.linalg
import threadpoolctl

SETTLE = 0.2  # seconds to wait first: threads of a BLAS call before still spin, and take a core from the next


def _quicker(measure: Callable[[], np.ndarray]) -> np.ndarray:
    """The times that `measure` finds with all BLAS threads or with one: those that end earlier."""
    if max(pool["num_threads"] for pool in threadpoolctl.threadpool_info()) == 1:
        return measure()
    found = []
    for threads in (None, 1):
        with threadpoolctl.threadpool_limits(threads):
            sleep(SETTLE)
            found.append(measure())
    return min(found, key=lambda seconds: seconds[-1])


def cholesky_solve(A, b):
    """A^-1 b by Cholesky factorisation, without the checks of the input."""
    return scipy.linalg.cho_solve(scipy.linalg.cho_factor(A, check_finite=False), b, check_finite=False)


def cholesky_seconds(A, b, repeats: int) -> float:
    """Wall time to factorise A and solve A x = b."""

    def measure():
        cholesky_solve(A, b)
        seconds = []
        for _ in range(repeats):
            start = perf_counter()
            cholesky_solve(A, b)
            seconds.append(perf_counter() - start)
        return np.atleast_1d(np.median(seconds))

    return float(_quicker(measure)[-1])


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

    return _quicker(measure)


def conjugate_gradient_seconds_to(rtol: float, A, b, truth, repeats: int) -> float:
    """Wall time until the first iterate with a relative error of at most rtol; nan if 10 d iterations are too few."""
    errors = islice(conjugate_gradient_errors(A, b, truth), 10 * len(b))
    needed = next((k for k, error in enumerate(errors, 1) if error <= rtol), None)
    return np.nan if needed is None else float(conjugate_gradient_seconds(A, b, needed, repeats)[-1])
