"""Products of reads where the drift is symmetric: what else takes products of matrices takes sums over its modes."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from . import laws
from .kernels import ou
from .paths import blocks
from .processes import OrnsteinUhlenbeck


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
    """

    vectors: np.ndarray
    rates: np.ndarray
    covariance: np.ndarray

    @classmethod
    def of(cls, process: OrnsteinUhlenbeck, shared_only: bool) -> "CommonModes | None":
        """Those of a process, unless its drift is not symmetric or, if that is asked, its noise has other modes."""
        if process.modes is not None:
            vectors, rates, noise = process.modes
            return cls(vectors, rates, np.diag(noise / (2.0 * rates)))
        if shared_only or not np.array_equal(process.drift, process.drift.T):
            return None
        rates, vectors = np.linalg.eigh(process.drift)
        return cls(vectors, rates, vectors.T @ process.stationary()[1] @ vectors) if rates[0] > 0 else None

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
    def _mean(rates, n: int):
        """Sum of (1 - |k| / n) e^{-rate |k|} / n over |k| < n."""
        return rates * laws.Reads(np.inf, n, 1.0).variance(rates)

    def missing(self, n: int) -> np.ndarray:
        """What the mean of n second moments (d, d) of the modes, the first at x = 0, is short of."""
        return self.covariance * laws.Reads(0.0, n, 1.0).memory(self.sums)

    def bias(self, missing, time: float, lag: int) -> float:
        """Frobenius norm of what is missing of ``x_{k+lag} x_k^T`` a `time` later."""
        return float(np.linalg.norm(np.exp(-self.sums * time - lag * self.rates[:, None]) * missing))

    def paths(self, rng: np.random.Generator, n: int, rows: int, before: float) -> Iterator[np.ndarray]:
        """Blocks (rows, d) of n successive reads in independent modes, the first a time `before` after x = 0."""
        state: np.ndarray | None = None
        decay, push = np.exp(-self.rates), np.zeros_like(self.rates)
        kick = np.sqrt(self.rates * self.variances * laws.rise(self.rates, 2.0))
        first = np.sqrt(self.rates * self.variances * laws.rise(self.rates, 2.0 * before))
        for noise in blocks(n, self.rates.size, rows):
            rng.standard_normal(out=noise)
            todo = noise
            if state is None:
                noise[0] *= first
                state, todo = noise[0].copy(), noise[1:]
            ou.state_steps(decay, push, kick, todo, state)
            yield noise
