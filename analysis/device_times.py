"""How long the device takes for each primitive, in units of RC, planned from the exact laws of its read-outs.

Nothing is drawn and nothing is timed: a time here is what a machine would need. Errors are root mean squares. The
matrix has the given eigenvalues, in units of the reference conductance.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.optimize import brentq

import thermolinalg as tl
from thermolinalg import laws
from thermolinalg.measurement import plan as planning
from thermolinalg.measurement import schedules
from thermolinalg.measurement.dynamics import dynamics_of
from thermolinalg.processes import fourth_moments, transitions

BIAS = planning.BIAS_SHARE  # of the error: what may be left of the start
READS_PER_TIME = 4.0  # of the fastest relaxation time: where a sum over reads stands for an integral
MANY = 10**9  # reads of an average that is long


@dataclass(frozen=True)
class Planned:
    """Times of one answer [RC].

    Attributes
    ----------
    burn_in, averaging : float
    """

    burn_in: float
    averaging: float

    @property
    def total(self) -> float:
        """Both together."""
        return self.burn_in + self.averaging


def log_spectrum(d: int, kappa: float) -> np.ndarray:
    """Eigenvalues evenly spaced in the logarithm from 1/kappa to 1."""
    return np.geomspace(1.0 / kappa, 1.0, d)


def worst_spectrum(d: int, kappa: float) -> np.ndarray:
    """One eigenvalue 1, all others 1/kappa: the largest noise at a given norm and condition number."""
    return np.append(np.full(d - 1, 1.0 / kappa), 1.0)


def solve_times(rates, eps: float, *, error: str = "relative", dynamics="overdamped", beta: float = 1.0) -> Planned:
    """Times of A x = b as `thermolinalg.solve` plans them for ``rtol``.

    Parameters
    ----------
    rates : (d,) array_like
        Eigenvalues.
    eps : float
        Error to reach.
    error : "relative" or "absolute"
        ``||x_hat - x|| / ||x||`` with b of entries 1 in every mode, or ``||x_hat - x||`` with a b of norm 1. The noise
        of a long average is ``2 tr(A^-2) / (beta duration)`` in either case: relative to ||x|| it knows neither d nor
        kappa; absolute it grows at most as d kappa^2 (Aifer et al., arXiv:2308.05660).
    dynamics : "overdamped", "underdamped" or Inertia
    beta : float

    Returns
    -------
    Planned

    Examples
    --------
    >>> one, other = (solve_times(log_spectrum(d, 10.0), 0.01).averaging for d in (10, 1000))
    >>> abs(one / 20_000 - 1) < 0.01, abs(other / one - 1) < 0.01
    (True, True)
    """
    rates = np.asarray(rates, dtype=float)
    b = np.ones(rates.size) if error == "relative" else np.full(rates.size, rates.size**-0.5)
    rtol = eps if error == "relative" else eps / float(np.linalg.norm(b / rates))
    run = tl.solve(tl.Diagonal(rates), b, rtol=rtol, beta=beta, dynamics=dynamics, rng=0)
    return Planned(run.burn_in, run.duration)


def settling_time(rates, eps: float, *, dynamics="overdamped") -> float:
    """Time until the mean voltage, from 0, is within eps ||x|| of x = A^-1 b, for a b of entries 1 in every mode.

    Overdamped it is at most ``ln(1/eps) / lambda_min``; with inertia and friction that damps the slowest mode
    critically it grows as ``lambda_min^-1/2``. This is what `thermolinalg.solve` allows a single read whose noise is
    10 eps ||x||.

    Examples
    --------
    >>> time = settling_time([1.0], 0.1)
    >>> abs(time / 2.302585 - 1) < 0.01  # ln 10, and a little for noise that has not settled either
    True
    """
    rates = np.asarray(rates, dtype=float)
    noise = eps * float(np.linalg.norm(1.0 / rates)) / BIAS
    beta = float(np.sum(1.0 / rates)) / noise**2
    run = tl.solve(tl.Diagonal(rates), np.ones(rates.size), n_reads=1, beta=beta, dynamics=dynamics, rng=0)
    return run.burn_in


def refined_round(rates, beta: float, contraction: float) -> Planned:
    """Times of one round of refinement that shrinks the residual by `contraction`: sqrt(2 / (beta duration)).

    The burn-in is what `thermolinalg.solve` plans for a white right-hand side: residuals of such rounds are white.
    """
    rates, averaging = np.asarray(rates, dtype=float), 2.0 / (beta * contraction**2)
    run = tl.solve(tl.Diagonal(rates), np.ones(rates.size), duration=averaging, beta=beta, rng=0)
    return Planned(run.burn_in, averaging)


def inverse_times(rates, eps: float, *, error: str = "spectral", dynamics="overdamped") -> Planned:
    """Times of A^-1 by an analog average of x x^T, whatever beta.

    A long average of duration T has a mean square error, in the Frobenius norm, of
    ``(2/T) [sum_ij 1/(l_i l_j (l_i + l_j)) + sum_i 1/(2 l_i^3)]``.

    Parameters
    ----------
    rates : (d,) array_like
    eps : float
        Frobenius norm of the error, relative to ||A^-1||_2 ("spectral") or to ||A^-1||_F ("frobenius").
    error : "spectral" or "frobenius"
    dynamics : "overdamped", "underdamped" or Inertia
        With inertia the limit of long averages.

    Returns
    -------
    Planned

    Examples
    --------
    >>> plan = inverse_times([1.0], 0.01)
    >>> round(plan.averaging / (2.0 / 0.01**2), 3)  # one mode: relative error^2 = 2/T
    1.0
    """
    rates = np.asarray(rates, dtype=float)
    goal = eps * (1.0 / rates.min() if error == "spectral" else float(np.linalg.norm(1.0 / rates)))
    if dynamics == "overdamped":
        averaging = planning.solve_time(lambda T: _inverse_mean_square(rates, T), goal**2, 0.5 / rates.max())
        burn_in = _until(lambda t: np.linalg.norm(np.exp(-2.0 * rates * t) / rates), BIAS * goal, 1.0 / rates.min())
    else:
        physics = dynamics_of(dynamics, tl.Diagonal(rates))
        spacing = 1.0 / (READS_PER_TIME * float(np.max(physics.integrator(0.0, 1.0).decay_rates(rates)[1])))
        readout = physics.reads(np.inf, MANY, spacing)
        averaging = MANY * spacing * planning.inverse_mean_square(rates, readout) / goal**2
        transient = planning.inverse_transient(tl.Diagonal(rates), readout, 1)
        burn_in = _until(transient.bias, BIAS * goal, 1.0 / transient.slowest)
    return Planned(burn_in, float(averaging))


def _inverse_mean_square(rates, duration) -> float:
    sums = rates[:, None] + rates[None, :]
    pairs = laws.Integrator(np.inf, duration).variance(sums) * sums / np.multiply.outer(rates, rates)
    return float(pairs.sum() + np.trace(pairs))


def _until(bias, target: float, step: float) -> float:
    """When a bias that falls reaches the target."""
    if bias(0.0) <= target:
        return 0.0
    high = step
    while bias(high) > target:
        high *= 2.0
    return float(brentq(lambda t: np.log(bias(t) / target), 0.0, high, xtol=1e-6 * step))


def lyapunov_times(rates, R, eps: float) -> Planned:
    """Times of A S + S A = R for a symmetric A, by an average of x x^T of long duration.

    The error is the Frobenius norm, relative to ||S||_2. The variance is that of Wick's theorem summed over all lags
    (`thermolinalg.moments`).

    Parameters
    ----------
    rates : (d,) array_like
        Eigenvalues of A, in whose axes R is given.
    R : (d, d) array_like
    eps : float

    Returns
    -------
    Planned
    """
    A, spacing = np.diag(np.asarray(rates, dtype=float)), 1.0 / (READS_PER_TIME * np.max(rates))
    S = transitions.stationary_covariance(A, np.asarray(R, dtype=float))
    goal = eps * float(np.linalg.norm(S, 2))
    each = fourth_moments.moment_variance(spacing * A, S, np.inf).sum()
    burn_in = float(np.log(np.linalg.norm(S) / (BIAS * goal)) / (2.0 * np.min(rates)))
    return Planned(max(burn_in, 0.0), float(spacing * each / goal**2))


def logdet_times(rates, eps: float, *, protocol: str = "linear") -> Planned:
    """Time of ln det A to an absolute error, by slow ramps from (tr A / d) I.

    A slow ramp of duration T dissipates action/T and its work has twice that for variance, so that ramps of any slow
    duration need ``8 action / eps^2`` together. The optimal protocol (lambda^{-1/2} linear in time) has an action of
    ``sum (l0^-1/2 - l^-1/2)^2``; it uses the answer and is a bound.

    Parameters
    ----------
    rates : (d,) array_like
    eps : float
    protocol : "linear" or "optimal"

    Returns
    -------
    Planned
        The burn-in is that of one ramp.

    Examples
    --------
    >>> plan = logdet_times([0.05, 1.95], 0.1, protocol="optimal")
    >>> round(plan.averaging * 0.1**2 / 8, 4)  # (1 - 0.05^-1/2)^2 + (1 - 1.95^-1/2)^2
    12.1363
    """
    rates = np.asarray(rates, dtype=float)
    first = np.full(rates.size, rates.mean())
    action = schedules.ModeSchedule(first, rates, None, protocol).action
    return Planned(float(np.log(1.0 / BIAS) / (2.0 * first[0])), 8.0 * action / eps**2)


def exponential_times(A, eps: float, *, spacing: float, error: str = "relative") -> Planned:
    """Time of e^-A from products of successive reads, a unit of A's time `spacing` RC long; A symmetric positive.

    Noise of covariance A + A^T makes the stationary covariance the identity (Duffield et al., arXiv:2311.12759).

    Parameters
    ----------
    A : (d, d) array_like
    eps : float
        Frobenius norm of the error, absolute or relative to ||e^-A||_F.
    spacing : float
        [RC]
    error : "relative" or "absolute"

    Returns
    -------
    Planned
    """
    A = np.asarray(A, dtype=float)
    rates = np.linalg.eigvalsh(A)
    goal = eps * (1.0 if error == "absolute" else float(np.linalg.norm(np.exp(-rates))))
    each = fourth_moments.moment_variance(A, np.eye(len(A)), np.inf, 1).sum()
    burn_in = np.log(np.linalg.norm(np.exp(-rates)) / (BIAS * goal)) / (2.0 * rates.min())
    return Planned(max(float(burn_in) * spacing, 0.0), float(spacing * each / goal**2))


def primitive_times(d: int, kappa: float, eps: float) -> pd.DataFrame:
    """Planned times of every primitive on a matrix of norm 1 with a logarithmic spectrum, beta = 1.

    Parameters
    ----------
    d : int
    kappa, eps : float
        Condition number; error to reach, in the measure named.

    Returns
    -------
    DataFrame
        primitive, dynamics ("overdamped", "underdamped": unit mass, slowest mode damped critically), error (its
        measure), burn_in, averaging [RC].

    Examples
    --------
    >>> averaging = primitive_times(16, 1e3, 1e-2).query("primitive == 'inv'").set_index("dynamics").averaging
    >>> bool(averaging["underdamped"] < 0.2 * averaging["overdamped"])
    True
    """
    rates, rows = log_spectrum(d, kappa), []
    for dynamics in ("overdamped", "underdamped"):
        rows += [
            ("solve", dynamics, "relative to ||x||", solve_times(rates, eps, dynamics=dynamics)),
            ("inv", dynamics, "relative to ||A^-1||_2", inverse_times(rates, eps, dynamics=dynamics)),
        ]
    rows += [
        ("lyapunov", "overdamped", "relative to ||S||_2, R = I", lyapunov_times(rates, np.eye(d), eps)),
        ("logdet", "overdamped", "absolute, linear ramps", logdet_times(rates, eps)),
        ("logdet", "overdamped", "absolute, optimal ramps", logdet_times(rates, eps, protocol="optimal")),
        ("expm", "overdamped", "relative to ||e^-A||_F", exponential_times(np.diag(rates), eps, spacing=1.0)),
    ]
    return pd.DataFrame([
        {"primitive": name, "dynamics": dynamics, "error": error, "burn_in": plan.burn_in, "averaging": plan.averaging}
        for name, dynamics, error, plan in rows
    ])  # fmt: skip
