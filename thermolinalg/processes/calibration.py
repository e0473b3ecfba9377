"""Fits of an Ornstein-Uhlenbeck process to data: log-densities of its trajectories, and the process of largest one."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import _validation
from .._typing import ArrayLike, FloatArray
from . import likelihood
from .likelihood import rms


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Calibration:
    """A process fitted to data, with the standard error of each of its numbers.

    Attributes
    ----------
    process : OrnsteinUhlenbeck
        The process of largest likelihood given the first state.
    drift_stderr, mean_stderr, diffusion_stderr : ndarray
        Shaped like the parameters: from the curvature of the log-likelihood.
    covariance : (p, p) ndarray
        Of all parameters: drift by rows, mean, lower triangle of the diffusion by rows.
    log_prob : float
        Log-likelihood at its maximum.
    n_steps : int
        Transitions in the data, all chains together.
    """

    process: Any
    drift_stderr: np.ndarray
    mean_stderr: np.ndarray
    diffusion_stderr: np.ndarray
    covariance: np.ndarray
    log_prob: float
    n_steps: int

    def __str__(self) -> str:
        d = self.mean_stderr.size
        return (
            f"Calibration of d = {d} from {self.n_steps} steps: log-likelihood {self.log_prob:.6g}\n"
            f"  rms standard errors: drift {rms(self.drift_stderr):.2g}, mean {rms(self.mean_stderr):.2g}, "
            f"diffusion {rms(self.diffusion_stderr):.2g}"
        )


class Calibrated:
    """What data say about a process, as methods of `OrnsteinUhlenbeck`."""

    drift: FloatArray
    center: FloatArray
    diffusion: FloatArray

    def log_prob(self, times: ArrayLike, xs: ArrayLike, start: str = "given") -> float:
        """Log-density of trajectories: of all that follows the first state, or with it.

        Parameters
        ----------
        times : (n,) array_like
            Increasing times [RC].
        xs : (n, d) or (chains, n, d) array_like
            States at those times; independent trajectories add up.
        start : "given" or "stationary"
            Whether the first state is a condition, or was sampled from the stationary law and counts.

        Returns
        -------
        float

        Raises
        ------
        ValueError
            A transition covariance that is singular, where there is no density.
        FloatingPointError
            A log-density beyond the range of float64.

        Examples
        --------
        >>> import numpy as np, thermolinalg as tl
        >>> process = tl.OrnsteinUhlenbeck([[1.0]])
        >>> round(process.log_prob([0.0], [[0.0]], start="stationary"), 6)
        -0.918939
        """
        data = self._observations(times, xs, start)
        return likelihood.log_likelihood(data, self.drift, self.center, self.diffusion, start)

    def log_prob_gradient(self, times: ArrayLike, xs: ArrayLike, start: str = "given") -> likelihood.Gradient:
        """Gradient of `log_prob` by drift, mean and diffusion; same parameters and errors."""
        data = self._observations(times, xs, start)
        return likelihood.log_likelihood_gradient(data, self.drift, self.center, self.diffusion, start)

    def _observations(self, times: ArrayLike, xs: ArrayLike, start: str) -> likelihood.Observations:
        _validation.choice(start, "start", likelihood.STARTS)
        at, states = likelihood.trajectories(times, xs, self.center.size)
        return likelihood.Observations.of(states, *likelihood.distinct_steps(at))

    @classmethod
    def fit(cls, times: ArrayLike, xs: ArrayLike) -> Calibration:
        """The process of largest likelihood for equally spaced data, with standard errors.

        Drift, mean and diffusion are all free. The likelihood is that of the data given the first state of each
        chain; its maximum is known in closed form (regression of each state on the one before, then a matrix
        logarithm), and the standard errors come from its curvature there.

        Parameters
        ----------
        times : (n,) array_like
            Equally spaced times [RC].
        xs : (n, d) or (chains, n, d) array_like
            States at those times; independent trajectories add up.

        Returns
        -------
        Calibration
            ``process`` and the standard errors of its parameters.

        Raises
        ------
        ValueError
            Unequal spacing, too few data, or data that no stable process explains (each says why).

        Warns
        -----
        UnreliableStderr
            Data of fewer than 20 relaxation times of the slowest mode fitted, or so coarse that its fastest mode is
            within 3 / sqrt(steps) of being forgotten over one step. The curvature of the likelihood then says less
            than the standard errors: over 5 relaxation times the mean is off by 1.7 of them (rms), and at a spacing
            of 5 relaxation times drift and noise by 2.

        Notes
        -----
        The logarithm is the principal one: the true drift must not turn a mode by more than half a circle a step,
        or the fit is that of a slower process (aliasing). The drift is biased upwards by a few 1 / (total time).

        Examples
        --------
        >>> import numpy as np, thermolinalg as tl
        >>> times = 0.5 * np.arange(4000)
        >>> data = tl.OrnsteinUhlenbeck([[1.0]], mean=[2.0]).sample(times, rng=0)
        >>> r = tl.OrnsteinUhlenbeck.fit(times, data)
        >>> bool(abs(r.process.center[0] - 2.0) < 5 * r.mean_stderr[0])
        True
        """
        return _calibrated(cls, times, xs)


def _calibrated(make: Callable[..., Any], times: ArrayLike, xs: ArrayLike) -> Calibration:
    """`Calibrated.fit` of a class of processes."""
    at, states = likelihood.trajectories(times, xs)
    step = np.array([likelihood.equal_step(at)])
    z, origin, scale = likelihood.standardised(states)
    data = likelihood.Observations.of(z, step, np.zeros(at.size - 1, dtype=int))
    estimate = likelihood.maximum_likelihood(data)
    own = likelihood.parameter_covariance(data, *estimate)
    drift, mean, diffusion = estimate
    process = make(drift * np.divide.outer(scale, scale), origin + scale * mean, diffusion * np.outer(scale, scale))
    lower = np.tril_indices(scale.size)
    units = np.concatenate((np.divide.outer(scale, scale).ravel(), scale, np.outer(scale, scale)[lower]))
    covariance = own * np.outer(units, units)
    d, sd = scale.size, np.sqrt(np.diag(own)) * units
    by_diffusion = np.zeros((d, d))
    by_diffusion[lower] = sd[d * d + d :]
    likelihood.warn_if_unreliable(drift, step[0], data.total)
    return Calibration(
        process=process, drift_stderr=sd[: d * d].reshape(d, d), mean_stderr=sd[d * d : d * d + d],
        diffusion_stderr=by_diffusion + np.tril(by_diffusion, -1).T, covariance=covariance,
        log_prob=likelihood.log_likelihood(data, *estimate, "given") - data.total * float(np.log(scale).sum()),
        n_steps=data.total,
    )  # fmt: skip
