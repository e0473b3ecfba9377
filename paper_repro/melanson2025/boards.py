"""The board of eight cells: random matrices for it, and errors of covariances from growing numbers of samples."""

import numpy as np

import thermolinalg as tl

CELLS = 8
FORGETTING = 5.0  # relaxation times between reads that are taken to be independent


def random_matrix(rng) -> np.ndarray:
    """A Maxwell matrix (8, 8) of random capacitors, in units of the reference."""
    coupling = np.triu(rng.uniform(0.0, 0.3, (CELLS, CELLS)), 1)
    return tl.circuits.maxwell_matrix(rng.uniform(0.5, 1.5, CELLS), coupling + coupling.T)


def second_moments(samples: np.ndarray, counts) -> list[np.ndarray]:
    """Mean of x x^T over the first n samples (m, d), for each n; the mean of x is known to be zero."""
    return [samples[:n].T @ samples[:n] / n for n in counts]


def iid_error(covariance: np.ndarray, n: int) -> float:
    """Rms relative error of the second moment of n independent samples: sqrt((tr^2 + ||.||^2) / n) / ||.||."""
    square = np.sum(covariance**2)
    return float(np.sqrt((np.trace(covariance) ** 2 + square) / (n * square)))
