"""Lyapunov equations and determinants: how their errors fall with time and with the number of trajectories."""

import warnings
from itertools import product

import numpy as np
import pandas as pd

import thermolinalg as tl
from thermolinalg.measurement import free_energy

from .repeats import relative_error, spread

ESTIMATORS = {
    "jarzynski": lambda forward, reverse: free_energy.jarzynski(forward),
    "gaussian": lambda forward, reverse: free_energy.gaussian(forward),
    "bar": free_energy.bar,
}


def primitives_convergence(settings, seed: np.random.SeedSequence) -> pd.DataFrame:
    """Errors of a Lyapunov equation against time, of ln det A against trajectories and against the time of a ramp.

    Columns: section ("lyapunov", "paths", "ramp"); error (rms over repeats: of S relative, Frobenius; of ln det A
    absolute, which is the relative error of det A), low, high (10 and 90 % quantiles). "lyapunov": kappa, time [RC]
    (burn-in included), duration, theory. "paths" and "ramp": estimator, n_paths (trajectories in all, both ways for
    "bar"), duration of a ramp [RC], reported (median standard error), bias (mean error), bias_stderr, theory (for
    "jarzynski" and "gaussian" with the dissipation of slow ramps; else missing).
    """
    lyapunov_seed, det_seed = seed.spawn(2)
    rows = _lyapunov_rows(settings, np.random.default_rng(lyapunov_seed))
    rng = np.random.default_rng(det_seed)
    operator = tl.Dense(tl.problems.wishart(settings.det_size, rng=rng))
    rows += _det_rows("paths", operator, settings.paths, settings.ramp, settings.repeats, rng)
    for duration in settings.ramps:
        rows += _det_rows("ramp", operator, (settings.n_paths,), duration, settings.repeats, rng)
    return pd.DataFrame(rows)


# -- Lyapunov equations


def _lyapunov_rows(settings, rng) -> list[dict]:
    rows = []
    for kappa in settings.kappas:
        A = tl.problems.with_condition(settings.size, kappa, rng=rng)
        R = tl.problems.wishart(settings.size, rng=rng)
        rates, modes = np.linalg.eigh(A)
        S = (modes.T @ R @ modes) / np.add.outer(rates, rates)
        truth = modes @ S @ modes.T
        for duration in settings.durations:
            runs = [tl.lyapunov(A, R, duration=duration, rng=rng) for _ in range(settings.lyapunov_repeats)]
            errors = spread([relative_error(run.value, truth) for run in runs])
            times = {"kappa": kappa, "time": runs[0].burn_in + duration, "duration": duration}
            rows.append({"section": "lyapunov"} | times | errors | {"theory": lyapunov_error(rates, S, duration)})
    return rows


def lyapunov_error(rates, S, duration) -> float:
    """Theory of the rms relative error of the average of x x^T over `duration`, for S (d, d) in the modes of A.

    Modes i, j add ``S_ii S_jj + S_ij^2`` times 2 / duration times the integral of (1 - t / duration) exp(-(l_i + l_j)
    t) over the lags t from 0 to `duration`.
    """
    rate = np.add.outer(rates, rates)
    lags = (1.0 + np.expm1(-rate * duration) / (rate * duration)) / rate
    pairs = np.multiply.outer(np.diag(S), np.diag(S)) + S**2
    return float(np.sqrt(2.0 / duration * np.sum(pairs * lags) / np.sum(S**2)))


# -- determinants


def _det_rows(section, operator, numbers, duration, repeats, rng) -> list[dict]:
    """Rows of each number of paths and estimator; all cut the same forward and reverse paths into `repeats` parts."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", tl.errors.UnreliableWork)  # where it warns is what is being looked at
        run = tl.logdet(operator, duration=duration, n_paths=repeats * max(numbers), estimator="bar", rng=rng)
    truth = float(np.sum(np.log(operator.eigenvalues))) - run.reference
    rows = []
    for name, n_paths in product(ESTIMATORS, numbers):
        each = n_paths // 2 if name == "bar" else n_paths
        forward, reverse = (work.reshape(repeats, -1)[:, :each] for work in (run.work, run.reverse_work))
        found = [ESTIMATORS[name](w, v) for w, v in zip(forward, reverse, strict=True)]
        errors = np.array([2.0 * free.difference - truth for free in found])
        rows.append({
            "section": section, "estimator": name, "n_paths": n_paths, "duration": duration,
            "reported": float(np.median([2.0 * free.stderr for free in found])),
            "bias": float(errors.mean()), "bias_stderr": float(errors.std(ddof=1) / np.sqrt(repeats)),
            "theory": logdet_error(name, run.slow_limit, n_paths),
        } | spread(np.abs(errors)))  # fmt: skip
    return rows


def logdet_error(estimator: str, dissipation: float, n_paths: int) -> float:
    """Standard error of ln det A from normal work of variance twice its dissipation (units of 1/beta)."""
    variance = 2.0 * dissipation
    if estimator == "bar":
        return np.nan
    with np.errstate(over="ignore"):
        each = np.expm1(variance) if estimator == "jarzynski" else variance + 0.5 * variance**2
    return float(2.0 * np.sqrt(each / n_paths))
