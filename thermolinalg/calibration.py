"""What data say about an Ornstein-Uhlenbeck process: likelihood, its gradient, and the maximum-likelihood fit.

The density of ``x(t + h)`` given ``x(t)`` is normal with mean ``m + M (x(t) - m)`` and covariance Q, so a trajectory
enters by sums over its steps of equal length only: the cost of a likelihood does not grow with the number of reads.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.linalg

from . import _check
from .transitions import geometric_sum, number, transition, transition_adjoint

SAME_STEP = 8  # time steps count as equal when they differ by less than so many roundings of the times
SINGULAR = 64  # roundings, times the size, below which an eigenvalue of a correlation matrix counts as zero
DIFFERENCE = np.finfo(float).eps ** (1 / 3)  # relative step of the central differences of the gradient
STARTS = ("given", "stationary")


def distinct_steps(times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The different steps between times, and for each step the number of its kind."""
    steps = np.diff(times)
    if (steps <= 0).any():
        where = int(np.argmax(steps <= 0))
        raise ValueError(f"times must increase, got {times[where]} followed by {times[where + 1]}")
    order = np.argsort(steps, kind="stable")
    apart = np.diff(steps[order]) > SAME_STEP * np.finfo(float).eps * np.abs(times).max()
    kinds = np.empty(steps.size, dtype=int)
    kinds[order] = np.concatenate(([0], np.cumsum(apart))) if steps.size else []
    values = np.array([np.median(steps[kinds == kind]) for kind in range(kinds.max(initial=-1) + 1)])
    return values, kinds


@dataclass(frozen=True)
class StepSums:
    """Sums over the transitions of one step length, of x - origin before them and of the increment e."""

    step: float
    count: int
    origin: np.ndarray
    x: np.ndarray
    e: np.ndarray
    xx: np.ndarray
    ex: np.ndarray
    ee: np.ndarray

    @classmethod
    def of(cls, step, before, after, origin) -> "StepSums":
        """The sums over rows of `before` and `after`, both (count, d)."""
        x, e = before - origin, after - before
        return cls(step, len(x), origin, x.sum(axis=0), e.sum(axis=0), x.T @ x, e.T @ x, e.T @ e)

    def about(self, mean):
        """Sums of x, x x^T and e x^T with x counted from `mean`."""
        shift = mean - self.origin
        cross = np.outer(self.x, shift)
        xx = self.xx - cross - cross.T + self.count * np.outer(shift, shift)
        return self.x - self.count * shift, xx, self.ex - np.outer(self.e, shift)


@dataclass(frozen=True)
class Observations:
    """Trajectories by their sums: one `StepSums` for each step length, and the first states (c, d)."""

    first: np.ndarray
    steps: list[StepSums]

    @classmethod
    def of(cls, times, xs, d: int | None = None) -> "Observations":
        """The sums of xs (n, d) or (chains, n, d), read at `times` (n,)."""
        times, xs = _check.vector(times, "times"), _check.real_array(xs, "xs")
        xs = xs[None] if xs.ndim == 2 else xs
        if xs.ndim != 3 or xs.shape[1] != times.size or (d is not None and xs.shape[2] != d) or xs.size == 0:
            width = "d" if d is None else d
            raise ValueError(f"xs must have shape ({times.size}, {width}) or (chains, {times.size}, {width}), "
                             f"got {xs.shape[1:] if xs.shape[0] == 1 else xs.shape}")  # fmt: skip
        values, kinds = distinct_steps(times)
        d, origin = xs.shape[2], xs.mean(axis=(0, 1))
        before, after = xs[:, :-1], xs[:, 1:]
        steps = [
            StepSums.of(float(value), before[:, kinds == kind].reshape(-1, d), after[:, kinds == kind].reshape(-1, d),
                        origin)
            for kind, value in enumerate(values)
        ]  # fmt: skip
        return cls(xs[:, 0], steps)


@dataclass(frozen=True)
class Gradient:
    """Gradient of a log-likelihood: (d, d) by the drift, (d,) by the mean, symmetric (d, d) by the diffusion.

    A small symmetric change dD of the diffusion changes the log-likelihood by ``sum(diffusion * dD)``.
    """

    drift: np.ndarray
    mean: np.ndarray
    diffusion: np.ndarray


def _cholesky(Q, what):
    """Cholesky factor of a covariance, or an error where it has no density."""
    scale = np.sqrt(np.diag(Q))
    regular = scale.min() > 0
    if regular:
        smallest = scipy.linalg.eigvalsh(Q / np.outer(scale, scale), check_finite=False)[0]
        regular = smallest > SINGULAR * Q.shape[0] * np.finfo(float).eps
    if not regular:
        raise ValueError(
            f"{what} is singular: the noise does not reach every direction, so the states have no density; "
            "use a diffusion that does, or only sample"
        )
    return scipy.linalg.cholesky(Q, lower=True, check_finite=False)


def _gaussian(count, scatter, Q, what):
    """Log-density of `count` normal vectors of covariance Q with sum of r r^T = scatter; gradient by Q; Q^-1."""
    factor = _cholesky(Q, what)
    precision = scipy.linalg.cho_solve((factor, True), np.eye(Q.shape[0]))
    log_det = 2.0 * np.sum(np.log(np.diag(factor))) + Q.shape[0] * np.log(2.0 * np.pi)
    value = -0.5 * (count * log_det + np.sum(precision * scatter))
    return value, 0.5 * (precision @ scatter @ precision - count * precision), precision


def log_likelihood(data: Observations, drift, mean, diffusion, start: str) -> tuple[float, Gradient]:
    """Log-density of the observations and its gradient."""
    value, by_drift, by_mean = 0.0, np.zeros_like(drift), np.zeros_like(mean)
    by_diffusion, nothing = np.zeros_like(drift), np.zeros_like(drift)
    if start == "stationary":
        centred = data.first - mean
        S = transition(drift, diffusion, np.inf)[1]
        value, S_bar, precision = _gaussian(len(centred), centred.T @ centred, S, "the stationary covariance")
        by_mean += precision @ centred.sum(axis=0)
        by_drift, by_diffusion = transition_adjoint(drift, diffusion, np.inf, nothing, S_bar)
    for sums in data.steps:
        M, Q = transition(drift, diffusion, sums.step)
        E = M - np.eye(mean.size)
        x, xx, ex = sums.about(mean)
        rx = ex - E @ xx  # residuals r = e - E (x - mean)
        scatter = sums.ee - ex @ E.T - E @ ex.T + E @ xx @ E.T
        part, Q_bar, precision = _gaussian(sums.count, scatter, Q, f"the transition covariance over {sums.step:.4g}")
        A_bar, D_bar = transition_adjoint(drift, diffusion, sums.step, precision @ rx, Q_bar)
        value, by_drift, by_diffusion = value + part, by_drift + A_bar, by_diffusion + D_bar
        by_mean -= E.T @ precision @ (sums.e - E @ x)
    return float(value), Gradient(by_drift, by_mean, (by_diffusion + by_diffusion.T) / 2.0)


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
            f"  rms standard errors: drift {_rms(self.drift_stderr):.2g}, mean {_rms(self.mean_stderr):.2g}, "
            f"diffusion {_rms(self.diffusion_stderr):.2g}"
        )


def _rms(array):
    return float(np.sqrt(np.mean(np.square(array))))


def maximum_likelihood(sums: StepSums) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Drift, mean and diffusion of largest likelihood for equally spaced data: linear regression, then a logarithm."""
    n, d = sums.count, sums.origin.size
    if n <= 2 * d + 1:
        raise ValueError(f"fit needs more than {2 * d + 1} steps for d = {d}, got {n}")
    centre = sums.x / n
    xx = sums.xx - n * np.outer(centre, centre)
    ex = sums.ex - np.outer(sums.e, centre)
    ee = sums.ee - np.outer(sums.e, sums.e) / n
    _cholesky(xx, "the covariance of the data")
    E = scipy.linalg.solve(xx, ex.T, assume_a="pos").T
    Q = (ee - ex @ E.T - E @ ex.T + E @ xx @ E.T) / n
    M = np.eye(d) + E
    drift = _generator(M, sums.step)
    mean = sums.origin + centre - np.linalg.solve(E, sums.e / n)
    S = geometric_sum(M, Q, np.inf)
    diffusion = drift @ S
    diffusion = diffusion + diffusion.T
    smallest = scipy.linalg.eigvalsh(diffusion)[0]
    if smallest <= 0:
        raise ValueError(
            f"no process fits: the diffusion that would explain the data has the eigenvalue {smallest:.4g}; "
            "more data or a shorter spacing is needed"
        )
    return drift, mean, diffusion


def _generator(M, step):
    """-log(M) / step, where M has a real logarithm that belongs to a stable drift."""
    eigenvalues = scipy.linalg.eigvals(M)
    worst = eigenvalues[np.argmax(np.abs(eigenvalues))]
    if abs(worst) >= 1.0:
        raise ValueError(
            f"no stable process fits: over one step a mode is multiplied by {number(worst)}; use more data"
        )
    real = eigenvalues[np.abs(eigenvalues.imag) <= 0.0].real
    if real.size and real.min() <= 0:
        raise ValueError(
            f"no process fits: over one step a mode is multiplied by {real.min():.4g}, and no e^(-rate step) is "
            "negative; a shorter spacing or more data is needed"
        )
    return -np.real(scipy.linalg.logm(M)) / step


def parameter_covariance(data: Observations, drift, mean, diffusion) -> np.ndarray:
    """Inverse of the observed information (p, p): central differences of the gradient of the log-likelihood."""
    d = mean.size
    lower = np.tril_indices(d)

    def unpack(theta):
        D = np.zeros((d, d))
        D[lower] = theta[d * d + d :]
        return theta[: d * d].reshape(d, d), theta[d * d : d * d + d], D + np.tril(D, -1).T

    def gradient(theta):
        g = log_likelihood(data, *unpack(theta), "given")[1]
        D = 2.0 * g.diffusion - np.diag(np.diag(g.diffusion))
        return np.concatenate((g.drift.ravel(), g.mean, D[lower]))

    sd = _rms(np.sqrt(np.diag(transition(drift, diffusion, np.inf)[1])))
    theta = np.concatenate((drift.ravel(), mean, diffusion[lower]))
    sizes = np.repeat([_rms(drift), sd, scipy.linalg.eigvalsh(diffusion)[0]], [d * d, d, lower[0].size]) * DIFFERENCE
    hessian = np.empty((theta.size, theta.size))
    for i, size in enumerate(sizes):
        change = np.zeros_like(theta)
        change[i] = size
        hessian[i] = (gradient(theta + change) - gradient(theta - change)) / (2.0 * size)
    information = -(hessian + hessian.T) / 2.0
    scale = np.sqrt(np.abs(np.diag(information)))
    factor = _cholesky(information / np.outer(scale, scale), "the information of the data")
    return scipy.linalg.cho_solve((factor, True), np.eye(theta.size)) / np.outer(scale, scale)
