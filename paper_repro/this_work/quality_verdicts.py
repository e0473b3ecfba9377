"""Numbers that decide what is claimed of quality, from the tables of `quality`; the rules are in expected.json."""

import numpy as np
import pandas as pd

SEEN, SMALL = 10.0, 0.1  # rounding counts where theory expects more than so many times the noise, and less than that


def farthest_mean(table: pd.DataFrame) -> float:
    """Largest mean of z, in its own standard errors."""
    return float((table["mean"].abs() / table["mean_error"]).max())


def farthest_sd(table: pd.DataFrame) -> float:
    """Largest distance of the standard deviation of z from 1."""
    return float((table["sd"] - 1.0).abs().max())


def least_coverage(table: pd.DataFrame) -> float:
    """Smallest share of answers within two of their standard errors."""
    return float(table["within_2"].min())


def clear(table: pd.DataFrame, strategy: str) -> pd.DataFrame:
    """Rows of a strategy where rounding rules: well above the noise, and small enough for an expansion."""
    rows = table[(table.strategy == strategy) & (table.failed == 0.0)]
    return rows[(rows.predicted > SEEN * rows.noise) & (rows.predicted < SMALL)]


def slopes(table: pd.DataFrame, strategy: str) -> list[float]:
    """Power of the distance of levels with which the error of each primitive falls, from two points or more."""
    fits = []
    for _, rows in clear(table, strategy).groupby("primitive", sort=False):
        if len(rows) > 1:
            fits.append(-float(np.polyfit(rows.bits, np.log2(rows.error), 1)[0]))
    return fits


def farthest_from_theory(table: pd.DataFrame, strategy: str) -> float:
    """Largest factor, either way, between the geometric means of the error and of its prediction, of any primitive."""
    rows = clear(table, strategy)
    logs = np.log(rows.error / rows.predicted).groupby(rows.primitive).mean()
    return float(np.exp(logs.abs().max()))


def refined_error(table: pd.DataFrame) -> float:
    """Largest error that refinement leaves where it converged for all matrices."""
    rows = table[(table.strategy == "refined") & (table.failed == 0.0)]
    return float(rows.error.max())


def ratios(table: pd.DataFrame, above: str, below: str) -> pd.Series:
    """One quantity over another, by case and duration."""
    wide = table.pivot(index=["case", "duration"], columns="quantity", values="value")
    return (wide[above] / wide[below]).dropna()


def _at_end(table: pd.DataFrame, below: str, end: str) -> float:
    found = ratios(table, "linear ramp", below).unstack("case")
    return float((found.loc[getattr(found.index, end)()] - 1.0).abs().max())


def _paths_off(table: pd.DataFrame) -> float:
    """Largest distance of simulated work from the exact curve, in standard errors."""
    paths = table[table.quantity == "paths"]
    exact = table[(table.quantity == "linear ramp") & (table.case == "matrix")].sort_values("duration")
    expected = np.exp(np.interp(np.log(paths.duration), np.log(exact.duration), np.log(exact.value)))
    return float((np.abs(paths.value - expected) / paths.stderr).max())


NUMBERS = {
    "calibration": {
        "unbiased": farthest_mean, "right_size": farthest_sd, "covers": least_coverage,
    },
    "precision_bits": {
        "one_rounding_is_linear": lambda t: np.mean(slopes(t, "nearest")),
        "merging_is_quadratic": lambda t: np.mean(slopes(t, "merged")),
        "theory_of_one_rounding": lambda t: farthest_from_theory(t, "nearest"),
        "theory_of_merging": lambda t: farthest_from_theory(t, "merged"),
        "refinement_needs_few_bits": refined_error,
    },
    "ramp_cost": {
        "bound_holds": lambda t: ratios(t, "linear ramp", "wasserstein and lag").min(),
        "optimum_is_least": lambda t: ratios(t, "linear ramp", "optimal").min(),
        "equilibria_bound_nothing_fast": lambda t: ratios(t, "equilibria", "linear ramp").max(),
        "quench_limit": lambda t: _at_end(t, "quench", "min"),
        "slow_limit": lambda t: _at_end(t, "slow", "max"),
        "paths_agree": _paths_off,
    },
}  # fmt: skip
