"""Inverses: error against time, of one long trajectory and of independent reads, with theory."""

import numpy as np
import pandas as pd

import thermolinalg as tl

from .repeats import relative_error, spread


def inverse_error_vs_time(settings, seed: np.random.SeedSequence) -> pd.DataFrame:
    """Relative Frobenius error of A^-1 against physical time, for two ways to read and each condition number.

    Columns: kappa; readout ("continuous": one trajectory, simulated as a path; "restarts": independent reads, drawn
    from their law); time [RC], burn-in included; duration [RC] or n_reads; error (rms over repeats); low, high (10
    and 90 % quantiles); theory.
    """
    rows = []
    for kappa, child in zip(settings.kappas, seed.spawn(len(settings.kappas)), strict=True):
        rng = np.random.default_rng(child)
        operator = tl.Dense(tl.problems.with_condition(settings.size, kappa, rng=rng))
        truth = operator.function(np.reciprocal, np.eye(settings.size))
        found = [_continuous_row(operator, truth, time, settings.repeats, rng) for time in settings.durations]
        found += [_restarts_row(operator, truth, n, settings.repeats, rng) for n in settings.reads]
        rows += [{"kappa": kappa} | row for row in found if row["time"] <= settings.longest]
    return pd.DataFrame(rows)


def _continuous_row(operator, truth, duration, repeats, rng) -> dict:
    runs = [tl.inv(operator, duration=duration, simulator="path", rng=rng) for _ in range(repeats)]
    theory = continuous_inverse_error(operator.eigenvalues, duration)
    time = runs[0].burn_in + duration
    return {"readout": "continuous", "time": time, "duration": duration, "theory": theory} | _errors(runs, truth)


def _restarts_row(operator, truth, n_reads, repeats, rng) -> dict:
    runs = [tl.inv(operator, n_reads=n_reads, simulator="law", rng=rng) for _ in range(repeats)]
    theory = restarts_inverse_error(operator.eigenvalues, n_reads)
    time = runs[0].burn_in * n_reads
    return {"readout": "restarts", "time": time, "n_reads": n_reads, "theory": theory} | _errors(runs, truth)


def _errors(runs, truth) -> dict:
    return spread([relative_error(run.value, truth) for run in runs])


def continuous_inverse_error(eigenvalues, duration) -> float:
    """Theory of the rms relative error of beta times the average of x x^T over `duration`, mean known.

    Modes i, j add (1 + delta_ij) / (l_i l_j) times 2 / duration times the integral of (1 - t / duration)
    exp(-(l_i + l_j) t) over the lags t from 0 to `duration`.
    """
    rate = np.add.outer(eigenvalues, eigenvalues)
    lags = (1.0 + np.expm1(-rate * duration) / (rate * duration)) / rate
    pairs = (1.0 + np.eye(len(eigenvalues))) / np.multiply.outer(eigenvalues, eigenvalues)
    return float(np.sqrt(2.0 / duration * np.sum(pairs * lags) / np.sum(eigenvalues**-2.0)))


def restarts_inverse_error(eigenvalues, n_reads) -> float:
    """Theory of the rms relative error of beta times the average of n independent x x^T, mean known."""
    inverse = 1.0 / eigenvalues
    return float(np.sqrt((1.0 + inverse.sum() ** 2 / np.sum(inverse**2)) / n_reads))
