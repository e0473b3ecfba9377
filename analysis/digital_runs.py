"""Runs of digital methods, timed on one thread [s], or their iterations counted."""

from itertools import islice

import numpy as np
import scipy.linalg

import thermolinalg as tl

from . import timing
from .device_times import log_spectrum

BEST_OF = 3  # calls, of which the quickest counts: a busy machine only ever adds


def quickest(call) -> float:
    """Processor time of a call on one thread: the least of a few."""
    return timing.one_thread_seconds(call, BEST_OF)


def _definite(d: int, rng) -> np.ndarray:
    """A matrix that is quick to make: its values do not matter to the time."""
    A = rng.standard_normal((d, d))
    return (A + A.T) / 2.0 + 3.0 * np.sqrt(d) * np.eye(d)


def cholesky(d, rng) -> float:
    """One solution by Cholesky."""
    A, b = _definite(d, rng), np.ones(d)
    return quickest(lambda: timing.cholesky_solve(A, b))


def product(d, rng) -> float:
    """One iteration of conjugate gradient: a product and vectors."""
    A, b = np.full((d, d), 1e-3), rng.standard_normal(d)
    A[np.diag_indices(d)] += np.linspace(1.0, 2.0, d)
    return quickest(lambda: list(islice(timing.conjugate_gradient(A, b), 5))) / 5.0


def eigh(d, rng) -> float:
    """A symmetric eigendecomposition."""
    A = _definite(d, rng)
    return quickest(lambda: scipy.linalg.eigh(A, check_finite=False))


def lyapunov(d, rng) -> float:
    """A Lyapunov equation by Bartels and Stewart's method."""
    A, R = _definite(d, rng) + np.triu(np.ones((d, d))), np.eye(d)
    return quickest(lambda: scipy.linalg.solve_continuous_lyapunov(A, R))


def expm(d, rng) -> float:
    """A matrix exponential of norm near 1."""
    A = rng.standard_normal((d, d)) / (2.0 * np.sqrt(d))
    return quickest(lambda: scipy.linalg.expm(A))


def woodbury(rows, rng, *, N) -> float:
    """J J^T, the dominant part of Woodbury's identity."""
    J = rng.standard_normal((int(rows), int(N)))
    return quickest(lambda: J @ J.T)


def inverse_by_law(reads, rng) -> float:
    """Our simulation of an inverse by independent reads, drawn at once."""
    A = tl.as_operator(tl.problems.wishart(64, rng=rng))
    return quickest(lambda: tl.inv(A, n_reads=int(reads), simulator="law", rng=0))


def inverse_by_path(reads, rng) -> float:
    """Our simulation of an inverse by reads along a path."""
    A = tl.as_operator(tl.problems.wishart(16, rng=rng))
    return quickest(lambda: tl.inv(A, n_reads=int(reads), read_spacing=1.0, simulator="path", rng=0, workers=1))


def low_rank(rank, rng) -> float:
    """A solution with an operator of low rank, its decomposition included."""
    U, b = rng.standard_normal((8000, int(rank))), np.ones(8000)
    return quickest(lambda: tl.solve(tl.LowRank(1.0, U), b, duration=10.0, burn_in=10.0, rng=0))


def iterations(kappa, rng, *, d=2000, eps=1e-6) -> float:
    """Iterations of conjugate gradient to a relative error, on a diagonal matrix: CG does not see the axes.

    b has entries of the same law in every mode.
    """
    rates, b = log_spectrum(d, kappa), rng.standard_normal(d)
    truth = b / rates
    norm = np.linalg.norm(truth)
    steps = timing.conjugate_gradient(_Diagonal(rates), b)
    return float(next(k for k, x in enumerate(steps, 1) if np.linalg.norm(x - truth) <= eps * norm))


class _Diagonal:
    """What stands before @ in conjugate gradient."""

    def __init__(self, rates):
        self.rates = rates

    def __matmul__(self, v):
        return self.rates * v
