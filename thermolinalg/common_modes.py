"""Products of reads where drift and noise share modes: what else takes matrices takes numbers for each mode."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from . import laws
from .kernels import ou
from .paths import blocks


@dataclass(frozen=True, eq=False)
class CommonModes:
    """Independent modes of a device that is read once a unit of time.

    Attributes
    ----------
    vectors : (d, d) ndarray
        Modes, one a column.
    rates, variances : (d,) ndarray
        Decay in a unit of time, and stationary variance.
    """

    vectors: np.ndarray
    rates: np.ndarray
    variances: np.ndarray

    @classmethod
    def of(cls, modes: tuple[np.ndarray, np.ndarray, np.ndarray]) -> "CommonModes":
        """From `OrnsteinUhlenbeck.modes`."""
        vectors, rates, noise = modes
        return cls(vectors, rates, noise / (2.0 * rates))

    def total_variance(self, n: int, lag: int, noise: float) -> float:
        """Sum over all entries of the variance of the mean of n products ``x_{k+lag} x_k^T``, lag 0 or 1.

        `noise` is a variance that every read has beside. With R_a the autocovariance of mode a, entries a and b have
        the covariance ``R_a(k) R_b(k)`` between products k apart, and for a = b ``R_a(k - lag) R_a(k + lag)`` more. A
        pair of modes decays like one of rate l_a + l_b, for which the mean over n reads is known.
        """
        s, noisy = self.variances, self.variances + noise
        sums = np.add.outer(self.rates, self.rates)
        pairs = float(s @ self._mean(sums, n) @ s) + (noisy.sum() ** 2 - s.sum() ** 2) / n
        same = float(s**2 @ self._mean(2.0 * self.rates, n))
        if lag == 0:
            return pairs + same + float(np.sum(noisy**2 - s**2)) / n
        q = np.exp(-2.0 * self.rates)
        return pairs + same + float(np.sum(s**2 * (q - 1.0) + 2.0 * (1.0 - 1.0 / n) * noise * s * q)) / n

    @staticmethod
    def _mean(rates, n: int):
        """Sum of (1 - |k| / n) e^{-rate |k|} / n over |k| < n."""
        return rates * laws.Reads(np.inf, n, 1.0).variance(rates)

    def missing(self, n: int) -> np.ndarray:
        """What the mean of n second moments, the first at x = 0, is short of in each mode (d,)."""
        return self.variances * laws.Reads(0.0, n, 1.0).memory(2.0 * self.rates)

    def paths(self, rng: np.random.Generator, n: int, rows: int, before: float) -> Iterator[np.ndarray]:
        """Blocks (rows, d) of n successive reads in modes, the first a time `before` after x = 0."""
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
