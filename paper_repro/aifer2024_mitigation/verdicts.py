"""What the paper says, as numbers of our table: ``verdict(name, table)``; the rules are in claims.json."""

import json
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from paper_repro.claims import judge

from .settings import PUBLISHED_ERROR

EXPECTED = json.loads((Path(__file__).parent / "claims.json").read_text())
FINEST = 4  # steps to which a power is fitted
LARGE = 1000


def series(table, problem: str, method: str) -> dict[int, pd.DataFrame]:
    """Rows of rounding alone by size, the finest step last, without those that are not definite."""
    rows = table[(table.section == "bits") & (table.problem == problem) & (table.method == method)]
    return {d: of_size.dropna(subset="error").sort_values("bits") for d, of_size in rows.groupby("d")}


def powers(table, problem: str, method: str) -> dict[str, float]:
    """Power of the step in the error, by size."""
    found = {}
    for d, rows in series(table, problem, method).items():
        fine = rows.tail(FINEST)
        found[f"d = {d}"] = float(np.polyfit(np.log(fine.step), np.log(fine.error), 1)[0])
    return found


def _over_prediction(table) -> dict[str, float]:
    ends = {d: rows.iloc[-1] for d, rows in series(table, "inv", "merged").items()}
    return {f"d = {d}": float(end.error / end.predicted) for d, end in ends.items()}


def _powers_of_large(table) -> dict[str, float]:
    """No number at a scale that does not go there."""
    return {case: value for case, value in powers(table, "inv", "merged").items() if int(case.split()[-1]) >= LARGE}


def board_reduction(table) -> dict[str, float]:
    """1 - merged / single where the error of a single programming is nearest to the published one, by mismatch."""
    board = table[table.section == "board"]
    found = {}
    for mismatch, rows in board.groupby("mismatch"):
        errors = rows.pivot(index="bits", columns="method", values="error").dropna()
        nearest = errors.loc[np.log(errors.single / PUBLISHED_ERROR).abs().idxmin()]
        found[f"mismatch {mismatch:g}, {nearest.name} bits"] = float(1.0 - nearest.merged / nearest.single)
    return found


NUMBERS = {
    "mitigation_bits": {
        "single_is_linear": partial(powers, problem="inv", method="single"),
        "merged_is_quadratic": partial(powers, problem="inv", method="merged"),
        "solve_is_quadratic": partial(powers, problem="solve", method="merged"),
        "random_merging_is_quadratic": partial(powers, problem="inv", method="random"),
        "bias_is_predicted": _over_prediction,
        "holds_at_d1000": _powers_of_large,
        "twenty_percent_on_the_board": board_reduction,
    }
}

verdict = judge(EXPECTED, NUMBERS)
