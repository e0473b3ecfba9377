"""Reads of an RLC board: its voltages as the host has them, and the mean of their products with its error."""

from functools import cached_property

import numpy as np
import scipy.linalg

from ..hardware.device import Device
from ..hardware.readout import convert_reads, read_range, rounding_bias
from ..numerics.blocks import blocks
from ..operators import Dense
from ..processes.fourth_moments import moment_variance
from ..processes.ornstein_uhlenbeck import OrnsteinUhlenbeck
from ..processes.transitions import geometric_sum, recurrence
from . import plan
from .paths import READ_ROWS


class BoardReads:
    """What the host makes of the voltages: it converts those of the cells, then combines them.

    Parameters
    ----------
    process : OrnsteinUhlenbeck
        Of the state (i, v), voltages in 1 / sqrt(beta).
    matrix : (n, n) ndarray
        The capacitances held, over C.
    device : Device
        Gains, read noise [V] and converter; beta in 1/V^2.
    combine : (d, n) ndarray
        Combination of the cells that the host forms.
    """

    def __init__(self, process: OrnsteinUhlenbeck, matrix: np.ndarray, device: Device, combine: np.ndarray):
        self.process, self.device, self.combine = process, device, combine
        self._held, self._volt = Dense(matrix), 1.0 / np.sqrt(device.beta)
        self.full_scale = read_range(self._held, device)
        self._ideal = device.adc_bits is None and device.read_noise == 0.0 and device.eps_sys == 0.0
        gains = device.read_gains(len(matrix))
        self.readout = np.hstack((np.zeros_like(combine), combine * gains))  # of the state, before noise and rounding

    def of(self, states: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, int]:
        """What is read of states (rows, 2n): (rows, d) in 1 / sqrt(beta), and how many conversions saturated."""
        if self._ideal:
            return states @ self.readout.T, 0
        voltage = self._volt * states[:, states.shape[1] // 2 :].T
        voltage, clipped = convert_reads(rng, self.device, voltage, self.full_scale)
        return voltage.T @ self.combine.T / self._volt, clipped

    @cached_property
    def covariance(self) -> np.ndarray:
        """Stationary covariance (d, d) of what is read, without read noise and rounding."""
        return self.readout @ self.process.stationary()[1] @ self.readout.T

    @cached_property
    def white(self) -> np.ndarray:
        """Covariance (d, d) that read noise and rounding add to every read: the host knows it and subtracts it."""
        variance = self.device.read_noise**2 + self.device.adc.error_variance(self.full_scale)
        return self.device.beta * variance * (self.combine @ self.combine.T)

    @cached_property
    def rounding_bias(self) -> np.ndarray | float:
        """What coarse rounding leaves of the mean product, however long, after `white` is subtracted: (d, d)."""
        bias = rounding_bias(self._held, self.device)
        return 0.0 if self.device.adc_bits is None else self.combine @ bias @ self.combine.T

    def variance(self, spacing: float, n_reads: int) -> np.ndarray:
        """Variance (d, d) of each entry of the mean product of reads in equilibrium.

        Thermal noise is summed over all lags, in coordinates whose first are those that are read.
        """
        basis = np.vstack((self.readout, scipy.linalg.null_space(self.readout).T))
        drift = basis @ self.process.drift @ scipy.linalg.inv(basis) * spacing
        d = len(self.readout)
        thermal = moment_variance(drift, basis @ self.process.stationary()[1] @ basis.T, n_reads)[:d, :d]
        total = self.covariance + self.white
        at_lag_zero = _product_variance(total) - _product_variance(self.covariance)
        return thermal + at_lag_zero / n_reads

    def transient(self, M, n_reads: int, variance: np.ndarray) -> plan.Transient:
        """How the start at rest biases the mean product of reads a transition M apart."""
        process = self.process
        missing = geometric_sum(M, process.stationary()[1], n_reads) / n_reads

        def bias(t0):
            memory = self.readout @ process.propagator(t0)
            return float(np.linalg.norm(memory @ missing @ memory.T))

        error = float(np.sqrt(variance.sum()))
        rates = process.eigenvalues.real
        size = float(np.linalg.norm(self.covariance))
        return plan.Transient(bias, lambda t0: error, size, 2.0 * rates.min(), 2.0 * rates.max())

    def mean_product(self, rng, M, first, kick, n_reads: int) -> tuple[np.ndarray, int]:
        """Mean of y y^T over reads y of one path, `white` subtracted, and how many conversions saturated.

        The first state has covariance ``first first^T``; each next one is M times it plus ``kick`` times white noise.
        """
        total, state, clipped = np.zeros_like(self.covariance), None, 0
        for noise in blocks(n_reads, len(M), READ_ROWS):
            rng.standard_normal(out=noise)
            start = first @ noise[0]
            noise[:] = noise @ kick.T
            if state is None:
                noise[0] = start
            recurrence(M, noise[:, None], state)
            state = noise[-1:].copy()
            reads, saturated = self.of(noise, rng)
            total += reads.T @ reads
            clipped += saturated
        return (total + total.T) / (2.0 * n_reads) - self.white, clipped


def _product_variance(S: np.ndarray) -> np.ndarray:
    """Variance of each product y_a y_b of normal numbers of covariance S."""
    return np.outer(np.diag(S), np.diag(S)) + S**2
