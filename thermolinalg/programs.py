"""Before a run of `lyapunov` or an exponential: matrices as arrays, as programmed and as read, and how many reads."""

import numpy as np
from scipy.sparse.linalg import LinearOperator

from . import planning
from .correlations import Correlator
from .device import Device
from .inverse import MOST_READS
from .krylov import Krylov
from .modal import Modal

MOST_DENSE = 5000  # size up to which a matrix that is not an array is made one: 200 MB


def planned_products(rtol: float, correlator: Correlator, exact: np.ndarray, what: str) -> int:
    """Products that reach a mean square error of rtol relative to the norm of the exact answer."""
    floor = float(np.linalg.norm(correlator.answer() - exact))
    budget = planning.noise_budget(rtol, float(np.linalg.norm(exact)), floor, correlator.device.beta, what)
    n = max(1.0, np.ceil(correlator.mean_square_of_one() / (budget * correlator.n_chains)))
    if correlator.choose("auto") == "path":
        require_few(n, f"rtol = {rtol:.3g}")
    return int(n)


def require_few(n: float, asked: str) -> None:
    """Refuse more reads than can be simulated one by one."""
    if n > MOST_READS:
        raise ValueError(
            f"{asked} would take {n:.2g} reads to simulate (most: {MOST_READS:.0e}); independent reads "
            "(read_spacing=None) that are not rounded are drawn at once"
        )


def programmed(device: Device, matrix: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, int]:
    """A general matrix as the device holds it (rounding, then mismatch of every entry), and what saturated."""
    if device.matrix_bits is None and device.mismatch == 0.0:
        return matrix, 0
    if np.array_equal(matrix, matrix.T):  # one programmed value for both entries of a pair
        lower = np.tril_indices(len(matrix))
        entries, clipped = device.matrix.round(matrix[lower], rng)
        held = np.zeros_like(matrix)
        held[lower] = entries * device.mismatch_factors(entries.size)
        return held + np.tril(held, -1).T, clipped
    entries, clipped = device.matrix.round(matrix, rng)
    return entries * device.mismatch_factors(matrix.size).reshape(matrix.shape), clipped


def programmed_noise(device: Device, noise: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, int]:
    """A noise covariance as the converters of the inputs set it."""
    if device.dac_bits is None:
        return noise, 0
    lower = np.tril_indices(len(noise))
    entries, clipped = device.dac.round(noise[lower], rng)
    held = np.zeros_like(noise)
    held[lower] = entries
    return held + np.tril(held, -1).T, clipped


def as_read(device: Device, A: np.ndarray, R: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Drift and noise of the cells as they are read, each with its own gain: of G x in place of x."""
    if device.eps_sys == 0.0:
        return A, R
    gains = device.read_gains(len(A))
    return gains[:, None] * A / gains, np.outer(gains, gains) * R


def dense(matrix, name: str):
    """A matrix that is stored or applied in another way, as an array; anything else as it is."""
    if not hasattr(matrix, "toarray") and not isinstance(matrix, Modal | Krylov | LinearOperator):
        return matrix
    if max(matrix.shape) > MOST_DENSE:
        raise ValueError(f"{name} must be dense here, and with shape {matrix.shape} is too large to make so (largest "
                         f"size {MOST_DENSE}); pass an array if that is meant")  # fmt: skip
    if isinstance(matrix, LinearOperator):
        return matrix @ np.eye(matrix.shape[1])
    return matrix.toarray() if hasattr(matrix, "toarray") else matrix.dense()
