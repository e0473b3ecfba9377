"""The interface of linear stochastic processes: stationary law, transition over a time, samples of paths."""

from abc import ABC, abstractmethod

import numpy as np

from .. import _validation
from .._typing import ArrayLike, FloatArray, RNGLike


class LinearProcess(ABC):
    """A stationary linear process with normal noise: its state z (n,) moves by ``z <- m + M (z - m) + noise``.

    See Also
    --------
    OrnsteinUhlenbeck : any stable drift and any noise.
    Langevin : cells with inertia, whose state is (x, p).
    """

    @property
    @abstractmethod
    def dimension(self) -> int:
        """Numbers in the state."""

    @property
    @abstractmethod
    def relaxation_time(self) -> float:
        """Time [RC] in which the slowest mode falls by 1/e."""

    @abstractmethod
    def stationary(self) -> tuple[FloatArray, FloatArray]:
        """Mean m (n,) and covariance (n, n) of the stationary law."""

    @abstractmethod
    def transition(self, h: float) -> tuple[FloatArray, FloatArray]:
        """M and Q, the covariance of the noise, of a step h [RC], both (n, n); h may be infinite."""

    @abstractmethod
    def sample(
        self, times: ArrayLike, x0: ArrayLike | None = None, *, n_chains: int = 1, rng: RNGLike = None
    ) -> FloatArray:
        """States (n_chains, len(times), n) at increasing times [RC] from their exact law.

        `x0`, (n,) or (n_chains, n), is the state at ``times[0]``; by default it is sampled from the stationary law.
        """

    def mean(self, t: float, x0: ArrayLike) -> FloatArray:
        """Mean (n,) of the state a time t [RC] after the start at x0 (n,); t may be infinite."""
        start = _validation.vector(x0, "x0", self.dimension)
        center = self.stationary()[0]
        return center + self.propagator(t) @ (start - center)

    def propagator(self, h: float) -> FloatArray:
        """M (n, n) of `transition` alone."""
        return self.transition(h)[0]

    def covariance(self, t: float) -> FloatArray:
        """Covariance (n, n) of the state a time t [RC] after a known start: Q of `transition`."""
        return self.transition(t)[1]

    def autocovariance(self, lag: float) -> FloatArray:
        """E[(z(t + lag) - m) (z(t) - m)^T] (n, n) in the stationary state; lag [RC] of either sign."""
        given = np.asarray(lag)
        if given.ndim or given.dtype.kind not in "iuf" or np.isnan(given):
            raise ValueError(f"lag must be one number [RC], got {lag!r}")
        forward = self._lagged(abs(float(given)))
        return forward if given >= 0 else forward.T

    def _lagged(self, lag: float) -> FloatArray:
        """The `autocovariance` at a lag that is not negative."""
        return self.propagator(lag) @ self.stationary()[1]

    def _start(self, x0: ArrayLike | None, n_chains: int) -> FloatArray | None:
        """A given start, checked: (n,) or (n_chains, n)."""
        if x0 is None:
            return None
        start = _validation.real_array(x0, "x0")
        allowed = dict.fromkeys(((self.dimension,), (n_chains, self.dimension)))
        if start.shape not in allowed:
            raise ValueError(f"x0 must have shape {' or '.join(map(str, allowed))}, got {start.shape}")
        return start
