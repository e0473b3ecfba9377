"""What data say about an Ornstein-Uhlenbeck process: likelihood, its gradient, and the maximum-likelihood fit.

The density of ``x(t + h)`` given ``x(t)`` is normal with mean ``m + M (x(t) - m)`` and covariance Q, so all that a
trajectory tells about steps of equal length is in the triangular factor of the rows ``[1, x, e]``, e the increment over
the step: the cost of a likelihood does not grow with the number of reads, and residuals that are small compared with
the increments keep the digits that the data have.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import scipy.linalg

from .. import _validation
from .._typing import ArrayLike, FloatArray, IntArray
from .._validation import number, warn
from ..errors import UnreliableStderr
from .transitions import NUMBERS_AT_ONCE, steady_state, step_laws, transition, transition_adjoint

SAME_STEP = 1e-6  # share of a time step that the rounding of the times may change, and it still counts as equal
JITTER = 1e-5  # ... and by which a step may differ from the mean one in data that a fit takes for equally spaced
SINGULAR = 64  # roundings, times the size, below which an eigenvalue of a correlation matrix counts as zero
DIFFERENCE = 1e-3  # relative step of central differences of the gradient: its own error is 1e-8, rounding stays below
STARTS = ("given", "stationary")
RELAXATIONS = 20  # relaxation times of the slowest mode fitted below which its standard errors are too small
RESOLVED = 3  # standard errors 1/sqrt(n) of what a mode keeps over a step, within which it may as well be zero


def increments(times: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Steps between times that must increase, and how far the last digits of the times leave each uncertain."""
    steps, known = np.diff(times), np.spacing(np.abs(times))
    if (steps <= 0).any():
        where = int(np.argmax(steps <= 0))
        raise ValueError(f"times must increase, got {times[where]} followed by {times[where + 1]}")
    return steps, known[1:] + known[:-1]


def distinct_steps(times: FloatArray) -> tuple[FloatArray, IntArray]:
    """The different steps between times, and for each step the number of its kind.

    Steps count as equal where rounding of the times may account for the difference, and this is a millionth at most.
    """
    steps, slack = increments(times)
    slack = np.minimum(slack, SAME_STEP * steps)
    order = np.argsort(steps + slack, kind="stable")
    numbers, reach = [], -np.inf  # the steps of a kind have a point in common: the upper end of the first of them
    for low, high in zip((steps - slack)[order].tolist(), (steps + slack)[order].tolist(), strict=True):
        new = low > reach
        reach = high if new else reach
        numbers.append(new)
    kinds = np.empty(steps.size, dtype=int)
    kinds[order] = np.cumsum(numbers, dtype=int) - 1
    return np.bincount(kinds, steps) / np.bincount(kinds), kinds


def equal_step(times: FloatArray) -> float:
    """The step of equally spaced times."""
    if times.size < 2:
        raise ValueError("times must be at least two for fit, got one")
    steps, slack = increments(times)
    step = (times[-1] - times[0]) / steps.size
    if (np.abs(steps - step) > np.maximum(slack, JITTER * step)).any():
        raise ValueError(f"times must be equally spaced for fit, got steps from {steps.min():.6g} to {steps.max():.6g}")
    return float(step)


def trajectories(times: ArrayLike, xs: ArrayLike, d: int | None = None) -> tuple[FloatArray, FloatArray]:
    """Times (n,) and states (chains, n, d), checked."""
    at, states = _validation.vector(times, "times"), _validation.real_array(xs, "xs")
    states = states[None] if states.ndim == 2 else states
    if states.ndim != 3 or states.shape[1] != at.size or (d is not None and states.shape[2] != d) or states.size == 0:
        width = "d" if d is None else d
        raise ValueError(f"xs must have shape ({at.size}, {width}) or (chains, {at.size}, {width}), "
                         f"got {states.shape[1:] if states.shape[0] == 1 else states.shape}")  # fmt: skip
    return at, states


@dataclass(frozen=True)
class Observations:
    """Trajectories by what their steps of each length say: R with R^T R = W^T W for the rows W = [1, x - origin, e].

    `rows` holds R (p, 2d + 1) for each length in `steps` (K,), `counts` (K,) the number of transitions behind it,
    `first` the first states (c, d).
    """

    first: FloatArray
    origin: FloatArray
    steps: FloatArray
    counts: IntArray
    rows: list[FloatArray]

    @classmethod
    def of(cls, xs: FloatArray, steps: FloatArray, kinds: IntArray) -> "Observations":
        """What xs (chains, n, d) say, with n - 1 steps of the `kinds` that `steps` lists."""
        (chains, n, d), origin = xs.shape, xs.mean(axis=(0, 1))
        rows = np.ones((n - 1, chains, 2 * d + 1))
        order = np.argsort(kinds, kind="stable")
        rows[:, :, 1 : d + 1] = (xs[:, :-1] - origin).transpose(1, 0, 2)[order]
        rows[:, :, d + 1 :] = np.diff(xs, axis=1).transpose(1, 0, 2)[order]
        each = np.bincount(kinds, minlength=steps.size)
        blocks = np.split(rows, np.cumsum(each)[:-1]) if steps.size else []
        return cls(
            xs[:, 0], origin, steps, each * chains, [_triangle(block.reshape(-1, 2 * d + 1)) for block in blocks]
        )

    @property
    def total(self) -> int:
        """Transitions of all lengths."""
        return int(self.counts.sum())

    def parts(self) -> Iterator[tuple[FloatArray, IntArray, FloatArray]]:
        """Steps (k,), counts (k,) and rows (k, p, 2d + 1), filled up with zeros, of some lengths at a time."""
        at_once = max(1, NUMBERS_AT_ONCE // (2 * self.origin.size + 1) ** 2)
        for start in range(0, self.steps.size, at_once):
            some = slice(start, start + at_once)
            rows = np.zeros((len(self.rows[some]), max(map(len, self.rows[some])), 2 * self.origin.size + 1))
            for place, row in zip(rows, self.rows[some], strict=True):
                place[: len(row)] = row
            yield self.steps[some], self.counts[some], rows


def _triangle(rows: FloatArray) -> FloatArray:
    """R of at most as many rows as columns with R^T R = rows^T rows."""
    if rows.shape[0] <= rows.shape[1]:
        return rows
    return np.asarray(np.linalg.qr(rows, mode="r"))


@dataclass(frozen=True)
class Gradient:
    """Gradient of a log-likelihood: (d, d) by the drift, (d,) by the mean, symmetric (d, d) by the diffusion.

    A small symmetric change dD of the diffusion changes the log-likelihood by ``sum(diffusion * dD)``.
    """

    drift: FloatArray
    mean: FloatArray
    diffusion: FloatArray


class _Normal:
    """Log-density of residuals (k, p, d), each stack standing for `counts` (k,) vectors of covariance Q (k, d, d)."""

    def __init__(self, residuals: FloatArray, counts: IntArray, Q: FloatArray, what: Callable[[int], str]) -> None:
        d = Q.shape[-1]
        self.counts, self.scale = counts, np.sqrt(np.maximum(np.diagonal(Q, axis1=1, axis2=2), 0.0))
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            unit = Q / self.scale[:, :, None] / self.scale[:, None, :]
        regular = np.asarray(np.isfinite(unit).all(axis=(1, 2)))
        regular[regular] = np.linalg.eigvalsh(unit[regular])[:, 0] > SINGULAR * d * np.finfo(float).eps
        if not regular.all():
            raise ValueError(
                f"{what(int(np.argmin(regular)))} is singular: the noise does not reach every direction, so the states "
                "have no density; use a diffusion that does, or only sample"
            )
        self.factor = np.linalg.cholesky(unit)
        with np.errstate(over="ignore", invalid="ignore"):
            self.whitened = np.linalg.solve(self.factor, np.swapaxes(residuals / self.scale[:, None, :], 1, 2))

    def value(self) -> float:
        """The log-density."""
        with np.errstate(over="ignore"):
            scales = np.log(np.diagonal(self.factor, axis1=1, axis2=2)) + np.log(self.scale) + 0.5 * np.log(2.0 * np.pi)
            value = -0.5 * np.sum(self.whitened**2) - self.counts @ scales.sum(axis=1)
        return float(_validation.finite_result(value, "the log-likelihood"))

    def gradient(self) -> tuple[FloatArray, FloatArray]:
        """Q^-1 residuals^T (k, d, p), and the gradient by Q (k, d, d)."""
        inverse = np.linalg.inv(self.factor) / self.scale[:, None, :]
        back = np.swapaxes(inverse, 1, 2)
        with np.errstate(over="ignore", invalid="ignore"):
            pulled = back @ self.whitened
            by_Q = 0.5 * (pulled @ np.swapaxes(pulled, 1, 2) - self.counts[:, None, None] * (back @ inverse))
        return _validation.finite_result(pulled, "the gradient"), _validation.finite_result(by_Q, "the gradient")


def _start(data: Observations, drift: FloatArray, mean: FloatArray, diffusion: FloatArray) -> _Normal:
    S = transition(drift, diffusion, np.inf)[1]
    first = data.first - mean
    return _Normal(first[None], np.array([len(first)]), S[None], lambda _: "the stationary covariance")


def _steps(
    data: Observations, drift: FloatArray, mean: FloatArray, diffusion: FloatArray
) -> Iterator[tuple[FloatArray, FloatArray, FloatArray, FloatArray, _Normal]]:
    """For some lengths at a time: steps (k,), M - I, rows, states before the steps (k, p, d), law of the residuals."""
    d = mean.size
    for steps, counts, rows in data.parts():
        E, _, Q = step_laws(drift, diffusion, steps)
        x = rows[:, :, 1 : d + 1] - rows[:, :, :1] * (mean - data.origin)
        residuals = rows[:, :, d + 1 :] - x @ np.swapaxes(E, 1, 2)
        law = _Normal(residuals, counts, Q, partial(_over, steps))
        yield steps, E, rows, x, law


def _over(steps: FloatArray, k: int) -> str:
    return f"the transition covariance over {steps[k]:.4g}"


def log_likelihood(data: Observations, drift: FloatArray, mean: FloatArray, diffusion: FloatArray, start: str) -> float:
    """Log-density of the observations."""
    value = _start(data, drift, mean, diffusion).value() if start == "stationary" else 0.0
    return value + sum(law.value() for *_, law in _steps(data, drift, mean, diffusion))


def log_likelihood_gradient(
    data: Observations, drift: FloatArray, mean: FloatArray, diffusion: FloatArray, start: str
) -> Gradient:
    """Gradient of `log_likelihood`."""
    by_drift, by_mean, by_diffusion = np.zeros_like(drift), np.zeros_like(mean), np.zeros_like(drift)
    if start == "stationary":
        pulled, S_bar = _start(data, drift, mean, diffusion).gradient()
        by_mean += pulled[0].sum(axis=1)
        by_drift, by_diffusion = transition_adjoint(drift, diffusion, np.array([np.inf]), np.zeros_like(S_bar), S_bar)
    for steps, E, rows, x, law in _steps(data, drift, mean, diffusion):
        pulled, Q_bar = law.gradient()
        A_bar, D_bar = transition_adjoint(drift, diffusion, steps, pulled @ x, Q_bar)
        by_drift, by_diffusion = by_drift + A_bar, by_diffusion + D_bar
        by_mean -= np.einsum("kij,kip,kp->j", E, pulled, rows[:, :, 0], optimize=True)
    return Gradient(by_drift, by_mean, (by_diffusion + by_diffusion.T) / 2.0)


def rms(array: FloatArray) -> float:
    """Root mean square of all entries."""
    return float(np.sqrt(np.mean(np.square(array))))


def standardised(xs: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """The data (chains, n, d) to fit with mean 0 and standard deviation 1, and both (d,)."""
    chains, n, d = xs.shape
    if chains * (n - 1) <= 2 * d + 1:
        raise ValueError(f"fit needs more than {2 * d + 1} steps for d = {d}, got {chains * (n - 1)}")
    origin = xs.mean(axis=(0, 1))
    size = np.maximum(np.abs(xs - origin).max(axis=(0, 1)), np.finfo(float).tiny)
    scale = size * (((xs - origin) / size).std(axis=(0, 1)))
    still = np.flatnonzero(scale <= SINGULAR * np.finfo(float).eps * np.abs(xs).max(axis=(0, 1)))
    if still.size:
        raise ValueError(f"component {still[0]} of xs never changes: there is no process to fit; leave it out")
    return (xs - origin) / scale, origin, scale


def maximum_likelihood(data: Observations) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Drift, mean and diffusion of largest likelihood for equally spaced data: linear regression, then a logarithm."""
    d = data.origin.size
    R = data.rows[0]
    sd, mixed, rest = R[1 : d + 1, 1 : d + 1], R[1 : d + 1, d + 1 :], R[d + 1 :, d + 1 :]
    rounding = SINGULAR * d * np.finfo(float).eps
    lengths = np.linalg.norm(sd, axis=0)
    if lengths.min() == 0.0 or scipy.linalg.svdvals(sd / lengths)[-1] <= rounding:
        raise ValueError("the covariance of the data is singular: one component follows from the others; leave it out")
    if (np.linalg.norm(rest, axis=0) <= rounding * np.linalg.norm(R[:, 1 : d + 1], axis=0)).any():
        raise ValueError("the data show no noise: each state follows from the one before, and no diffusion fits")
    E = scipy.linalg.solve_triangular(sd, mixed).T
    Q = rest.T @ rest / data.total
    drift = _generator(np.eye(d) + E, float(data.steps[0]))
    mean = data.origin - np.linalg.solve(E, (R[0, d + 1 :] - E @ R[0, 1 : d + 1]) / R[0, 0])
    diffusion = drift @ steady_state(E, Q)
    diffusion = diffusion + diffusion.T
    smallest = scipy.linalg.eigvalsh(diffusion)[0]
    if smallest <= 0:
        raise ValueError(
            f"no process fits: the diffusion that would explain the data has the eigenvalue {smallest:.4g}; "
            "more data or a shorter spacing is needed"
        )
    return drift, mean, diffusion


def _generator(M: FloatArray, step: float) -> FloatArray:
    """-log(M) / step, where M has a real logarithm that belongs to a stable drift."""
    eigenvalues = scipy.linalg.eigvals(M)
    real = eigenvalues[np.abs(eigenvalues.imag) <= 0.0].real
    if real.size and real.min() <= 0:
        raise ValueError(
            f"no process fits: over one step a mode is multiplied by {real.min():.4g}, and no e^(-rate step) is "
            "negative; a shorter spacing or more data is needed"
        )
    worst = eigenvalues[np.argmax(np.abs(eigenvalues))]
    if abs(worst) >= 1.0:
        raise ValueError(
            f"no stable process fits: over one step a mode is multiplied by {number(worst)}; use more data"
        )
    return -np.real(scipy.linalg.logm(M)) / step


def warn_if_unreliable(drift: FloatArray, step: float, n: int) -> None:
    """`UnreliableStderr` where the curvature of the likelihood is no measure of the standard error."""
    rates = scipy.linalg.eigvals(drift)
    relaxations, kept = float(rates.real.min()) * n * step, float(np.exp(-rates.real.max() * step))
    why = []
    if relaxations < RELAXATIONS:
        why.append(
            f"the data span {relaxations:.2g} relaxation times of the slowest mode fitted: the drift comes out too "
            f"large and the errors of the mean too small; some {RELAXATIONS} are needed"
        )
    if kept < RESOLVED / np.sqrt(n):
        why.append(
            f"over one step the fastest mode fitted falls to {kept:.2g}, which {n} steps cannot tell from 0: its rate "
            "and noise may be much larger; use a shorter spacing or more data"
        )
    if why:
        warn("; ".join(why), UnreliableStderr)


def parameter_covariance(data: Observations, drift: FloatArray, mean: FloatArray, diffusion: FloatArray) -> FloatArray:
    """Inverse of the observed information (p, p): central differences of the gradient of the log-likelihood."""
    d = mean.size
    lower = np.tril_indices(d)

    def unpack(theta: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        D = np.zeros((d, d))
        D[lower] = theta[d * d + d :]
        return theta[: d * d].reshape(d, d), theta[d * d : d * d + d], D + np.tril(D, -1).T

    def gradient(theta: FloatArray) -> FloatArray:
        g = log_likelihood_gradient(data, *unpack(theta), "given")
        D = 2.0 * g.diffusion - np.diag(np.diag(g.diffusion))
        return np.concatenate((g.drift.ravel(), g.mean, D[lower]))

    theta = np.concatenate((drift.ravel(), mean, diffusion[lower]))
    sizes = DIFFERENCE * _scales(drift, diffusion, float(data.steps[0]))
    hessian = np.empty((theta.size, theta.size))
    for i, size in enumerate(sizes):
        change = np.zeros_like(theta)
        change[i] = size
        hessian[i] = (gradient(theta + change) - gradient(theta - change)) / (2.0 * size)
    information = -(hessian + hessian.T) / 2.0
    scale = np.sqrt(np.abs(np.diag(information)))
    unit = information / np.outer(scale, scale)
    if not np.isfinite(unit).all() or scipy.linalg.eigvalsh(unit)[0] <= SINGULAR * theta.size * np.finfo(float).eps:
        raise ValueError("the data do not tell all parameters apart: the information is singular; use more data")
    return scipy.linalg.cho_solve(scipy.linalg.cho_factor(unit), np.eye(theta.size)) / np.outer(scale, scale)


def _scales(drift: FloatArray, diffusion: FloatArray, step: float) -> FloatArray:
    """Changes (p,) of the parameters that the likelihood of one step of standardised data would notice."""
    d = len(drift)
    noise = np.sqrt(np.diag(transition(drift, diffusion, step)[1]))
    sd = np.sqrt(np.diag(transition(drift, diffusion, np.inf)[1]))
    root = np.sqrt(np.diag(diffusion))
    definite = scipy.linalg.eigvalsh(diffusion / np.outer(root, root))[0]
    by_drift = np.repeat(np.minimum(rms(drift), noise / step), d)
    return np.concatenate((by_drift, sd, definite * np.outer(root, root)[np.tril_indices(d)]))
