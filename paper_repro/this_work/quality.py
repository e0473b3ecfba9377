"""Tables of quality: whether error bars are right, what word lengths cost in error, what ramps cost in work."""

import warnings

import numpy as np
import pandas as pd

import thermolinalg as tl
from analysis.calibration import calibration_table
from analysis.precision import error_against_bits
from analysis.ramp_cost import ramp_cost

FINEST = 100  # steps of a simulated ramp, at least: many enough for one that is continuous


def calibration(settings, seed: np.random.SeedSequence) -> pd.DataFrame:
    """Mean and standard deviation of the z-scores of every estimator; columns of `analysis.calibration`."""
    return calibration_table(seeds=settings.seeds, seed=seed)


def precision_bits(settings, seed: np.random.SeedSequence) -> pd.DataFrame:
    """Error against word length for each primitive and strategy; columns of `analysis.precision`."""
    tables = [
        error_against_bits(
            name, settings.bits, d=settings.d, condition_number=settings.condition_number, repeats=settings.repeats,
            seed=seed,
        )
        for name in settings.primitives
    ]  # fmt: skip
    return pd.concat(tables, ignore_index=True)


def ramp_costs(settings, seed: np.random.SeedSequence) -> pd.DataFrame:
    """Dissipated work of ramps against their duration.

    Columns: case ("matrix": from the mean conductance to A; "shift": b at fixed A = 1), duration [RC], quantity, value
    [1/beta], stderr (0 where exact), condition. Quantities are those of `analysis.ramp_cost`, and "paths": mean work of
    simulated paths less the free energy difference.
    """
    rng = np.random.default_rng(seed)
    A = tl.problems.with_condition(settings.d, settings.condition_number, rng)
    start = np.trace(A) / settings.d * np.eye(settings.d)
    durations = np.geomspace(settings.shortest, settings.longest, settings.points)
    exact = [
        ramp_cost(start, A, durations).assign(case="matrix"),
        ramp_cost([[1.0]], [[1.0]], durations, b1=[settings.shift]).assign(case="shift"),
    ]
    rows = [_paths(A, tau, settings.n_paths, rng) for tau in _path_durations(settings)]
    table = pd.concat([*(part.assign(stderr=0.0) for part in exact), pd.DataFrame(rows)], ignore_index=True)
    return table[["case", "duration", "quantity", "value", "stderr", "condition"]]


def _path_durations(settings) -> np.ndarray:
    return np.geomspace(settings.shortest, settings.longest_paths, settings.path_points)


def _paths(A, duration: float, n_paths: int, rng) -> dict:
    """Mean dissipated work of paths of `logdet`, whose free energy difference is known here."""
    d = len(A)
    n_steps = max(FINEST, int(np.ceil(4.0 * duration)))
    with warnings.catch_warnings():  # the determinant from so fast a ramp would be poor; the mean work is not
        warnings.simplefilter("ignore", tl.errors.UnreliableWork)
        run = tl.logdet(A, duration=duration, n_paths=n_paths, n_steps=n_steps, rng=rng, workers=1)
    free = 0.5 * (np.linalg.slogdet(A)[1] - d * np.log(np.trace(A) / d))
    return {
        "case": "matrix", "duration": duration, "quantity": "paths", "value": float(run.work.mean() - free),
        "stderr": float(run.work.std(ddof=1) / np.sqrt(n_paths)), "condition": "simulated",
    }  # fmt: skip


TABLES = {"calibration": calibration, "precision_bits": precision_bits, "ramp_cost": ramp_costs}
