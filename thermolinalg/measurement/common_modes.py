"""Products of reads where the drift is symmetric: what else takes products of matrices takes sums over its modes."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.linalg

from .. import laws
from .._typing import FloatArray
from ..numerics.blocks import blocks
from ..numerics.kernels import ou
from ..processes.ornstein_uhlenbeck import OrnsteinUhlenbeck
from ..processes.transitions import psd_factor


@dataclass(frozen=True, eq=False)
class CommonModes:
    """Modes of a symmetric drift, and the stationary covariance in them, of a device read once a unit of time.

    Attributes
    ----------
    vectors : (d, d) ndarray
        Modes, one a column.
    rates : (d,) ndarray
        Decay in a unit of time.
    covariance : (d, d) ndarray
        Of the modes; diagonal where the noise shares them.
    exact : bool
        Whether the modes are the process to the last digits, so that its paths can be stepped in them; else they are
        good enough to plan by.
    """

    vectors: np.ndarray
    rates: np.ndarray
    covariance: np.ndarray
    exact: bool = True

    @classmethod
    def of(cls, process: OrnsteinUhlenbeck, shared_only: bool) -> "CommonModes | None":
        """Those of a process, unless its drift is not symmetric or, if that is asked, its noise has other modes."""
        if process.modes is not None:
            vectors, rates, noise = process.modes
            return cls(vectors, rates, np.diag(noise / (2.0 * rates)))
        if shared_only or not np.array_equal(process.drift, process.drift.T):
            return None
        if (own := process.drift_modes) is not None:
            return cls(own.vectors, own.rates, own.covariance)
        rates, vectors = np.linalg.eigh(process.drift)
        covariance = vectors.T @ process.stationary()[1] @ vectors
        return cls(vectors, rates, covariance, exact=False) if rates[0] > 0 else None

    @property
    def variances(self) -> np.ndarray:
        """Stationary variances (d,) of the modes."""
        return np.diag(self.covariance)

    @cached_property
    def independent(self) -> bool:
        """Whether the noise shares the modes."""
        return not (self.covariance - np.diag(self.variances)).any()

    @cached_property
    def sums(self) -> np.ndarray:
        """Rates (d, d) of the products of two modes."""
        return np.add.outer(self.rates, self.rates)

    def total_variance(self, n: int, lag: int, noise: float) -> float:
        """Sum over all entries of the variance of the mean of n products ``x_{k+lag} x_k^T``, lag 0 or 1.

        `noise` is a variance that every read has beside. With R the autocovariance of the modes, the covariances of
        products k apart add up to ``(tr R(k))^2 + tr R(k + lag) R(k - lag)``. A product of two modes decays like one
        of rate l_a + l_b, for which the mean over n reads is known. Lag 1 is for independent modes.
        """
        s, noisy, means = self.variances, self.variances + noise, self._mean(self.sums, n)
        pairs = float(s @ means @ s) + (noisy.sum() ** 2 - s.sum() ** 2) / n
        same = float(np.sum(self.covariance**2 * means))
        if lag == 0:
            return pairs + same + float(np.sum(noisy**2 - s**2)) / n
        q = np.exp(-2.0 * self.rates)
        return pairs + same + float(np.sum(s**2 * (q - 1.0) + 2.0 * (1.0 - 1.0 / n) * noise * s * q)) / n

    @staticmethod
    def _mean(rates: FloatArray, n: int) -> FloatArray:
        """Sum of (1 - |k| / n) e^{-rate |k|} / n over |k| < n."""
        return rates * laws.Reads(np.inf, n, 1.0).variance(rates)

    def missing(self, n: int) -> np.ndarray:
        """What the mean of n second moments (d, d) of the modes, the first at x = 0, is short of."""
        if self.independent:
            return np.diag(self.variances * laws.Reads(0.0, n, 1.0).memory(2.0 * self.rates))
        return self.covariance * laws.Reads(0.0, n, 1.0).memory(self.sums)

    def bias(self, missing: FloatArray, time: float, lag: int) -> float:
        """Frobenius norm of what is missing of ``x_{k+lag} x_k^T`` a `time` later."""
        if self.independent:
            return float(np.linalg.norm(np.exp(-(2.0 * time + lag) * self.rates) * np.diag(missing)))
        return float(np.linalg.norm(np.exp(-self.sums * time - lag * self.rates[:, None]) * missing))

    def paths(self, rng: np.random.Generator, n: int, rows: int, before: float) -> Iterator[np.ndarray]:
        """Blocks (rows, d) of n successive reads of the modes, the first a time `before` after x = 0."""
        state: np.ndarray | None = None
        decay, increment, still = np.exp(-self.rates), np.zeros_like(self.rates), np.ones_like(self.rates)
        first, noise_std = self._noise_std(before), self._noise_std(1.0)
        for noise in blocks(n, self.rates.size, rows, buffers=2):
            rng.standard_normal(out=noise)
            todo = noise
            if state is None:
                noise[0] = state = first * noise[0] if self.independent else first @ noise[0]
                todo = noise[1:]
            if self.independent:
                ou.state_steps(decay, increment, noise_std, todo, state)
            else:  # todo @ noise_std.T where it lies
                scipy.linalg.blas.dtrmm(1.0, noise_std, todo.T, lower=1, overwrite_b=1)
                ou.state_steps(decay, increment, still, todo, state)
            yield noise

    def _noise_std(self, time: float) -> np.ndarray:
        """Standard deviations (d,) of the noise over a time in independent modes; else L (d, d) with L L^T its law."""
        if self.independent:
            return np.sqrt(self.rates * self.variances * laws.rise(self.rates, 2.0 * time))
        return lower_factor(self.covariance * -np.expm1(-self.sums * time))


def lower_factor(Q: np.ndarray) -> np.ndarray:
    """Lower triangular L in Fortran order with L L^T = Q for symmetric Q >= 0 (d, d), singular or not."""
    scale = np.sqrt(np.maximum(np.diag(Q), 0.0))
    if scale.min() > 0.0:
        try:
            return np.asfortranarray(scale[:, None] * np.linalg.cholesky(Q / scale[:, None] / scale))
        except np.linalg.LinAlgError:
            pass
    upper: np.ndarray = scipy.linalg.qr(psd_factor(Q).T, mode="r")[0]
    return np.asfortranarray(upper.T)
