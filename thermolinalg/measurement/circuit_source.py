"""Second moments of an RLC board: its voltages as the host combines them."""

from functools import cached_property

import numpy as np
import scipy.linalg

from .._typing import FloatArray
from ..numerics.blocks import blocks
from ..processes.fourth_moments import moment_variance
from ..processes.ornstein_uhlenbeck import OrnsteinUhlenbeck
from ..processes.transitions import geometric_sum, psd_factor, recurrence
from . import plan
from .source import READ_ROWS, Products, Reader, Source, added_at_lag_zero


class CircuitSource(Source):
    """Currents and voltages of which the voltages are read.

    Parameters
    ----------
    process : OrnsteinUhlenbeck
        Of the state (i, v), time in RC, voltages in 1 / sqrt(beta).
    combine : (m, n) ndarray
        Combination of the n cells that the host forms.
    """

    combine: FloatArray

    def __init__(self, process: OrnsteinUhlenbeck, combine: FloatArray):
        self.process, self.combine = process, combine
        self.size = process.dimension // 2
        self.n_programmed = self.size**2

    def stationary(self) -> FloatArray:
        """Stationary covariance (n, n) of the voltages."""
        return self.process.stationary()[1][self.size :, self.size :]

    def variances(self) -> FloatArray:
        """Stationary variances (n,) of the voltages."""
        return np.diag(self.stationary())

    def limit(self, products: Products) -> FloatArray:
        """Stationary covariance (n, n) of the voltages."""
        return self.stationary()

    def pair(self, products: Products) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Covariance of a read, which is both factors of the product."""
        read = self.process.covariance(products.burn_in)[self.size :, self.size :]
        return read, read, read

    def _seen(self, gains: FloatArray | None) -> FloatArray:
        """What the host combines, of the state (i, v): (m, 2n)."""
        combine = self.combine if gains is None else self.combine * gains
        return np.hstack((np.zeros_like(combine), combine))

    def variance(self, products: Products, gains: FloatArray | None, added: float, V: FloatArray | None) -> FloatArray:
        """Variance (m, m) of each entry of the average of reads in equilibrium.

        Thermal noise is summed over all lags, in coordinates whose first are those that are combined.
        """
        seen, S = self._seen(gains), self.process.stationary()[1]
        basis = np.vstack((seen, scipy.linalg.null_space(seen).T))
        drift = basis @ self.process.drift @ scipy.linalg.inv(basis) * products.spacing
        m = len(seen)
        thermal = moment_variance(drift, basis @ S @ basis.T, products.n)[:m, :m]
        return thermal + added_at_lag_zero(seen @ S @ seen.T, added * (self.combine @ self.combine.T), products.n)

    def mean_square(self, products: Products, added: float, V: FloatArray | None) -> float:
        """The sum of `variance`."""
        return float(self.variance(products, None, added, V).sum())

    @cached_property
    def _plain(self) -> FloatArray:
        return self._seen(None)

    def transient(self, products: Products, error: float, V: FloatArray | None) -> plan.Transient:
        """How the start at rest biases the average."""
        process, S, seen = self.process, self.process.stationary()[1], self._plain
        M = process.transition(products.spacing)[0]
        missing = geometric_sum(M, S, products.n) / products.n

        def bias(t0: float) -> float:
            memory = seen @ process.propagator(t0)
            return float(np.linalg.norm(memory @ missing @ memory.T))

        rates, size = process.eigenvalues.real, float(np.linalg.norm(seen @ S @ seen.T))
        return plan.Transient(bias, lambda t0: error, size, 2.0 * rates.min(), 2.0 * rates.max())

    def chain(
        self, rng: np.random.Generator, products: Products, read: Reader | None, V: FloatArray | None, workers: int
    ) -> tuple[FloatArray, int]:
        """Average of y y^T over one path, y what the host combines; or, without `read`, of the voltages."""
        M, Q = self.process.transition(products.spacing)
        first, noise_std = psd_factor(self.process.covariance(products.burn_in)), psd_factor(Q)
        m = self.size if read is None else len(self.combine)
        total, state, clipped = np.zeros((m, m)), None, 0
        for noise in blocks(products.n, len(M), READ_ROWS):
            rng.standard_normal(out=noise)
            start = first @ noise[0]
            noise[:] = noise @ noise_std.T
            if state is None:
                noise[0] = start
            recurrence(M, noise[:, None], state)
            state = noise[-1:].copy()
            reads, saturated = noise[:, self.size :], 0
            if read is not None:
                reads, saturated = read(rng, reads)
            total += reads.T @ reads
            clipped += saturated
        return (total + total.T) / (2.0 * products.n), clipped
