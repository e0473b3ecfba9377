"""What the paper says, as numbers of our table: ``verdict(name, table)``; the rules are in claims.json."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from paper_repro.claims import judge

EXPECTED = json.loads((Path(__file__).parent / "claims.json").read_text())


def crossings(table: pd.DataFrame, measure: str | None = None) -> pd.DataFrame:
    """Rows of the crossing times, of one measure of the error or of both."""
    rows = table[table.series == "crossing"]
    return rows if measure is None else rows[rows.measure == measure]


def _ratio(table, column: str) -> dict:
    """Crossing time over another column, where that is known."""
    rows = crossings(table).dropna(subset=[column])
    return {f"{row.family}, {row.measure}, d = {row.d}": row.time / getattr(row, column) for row in rows.itertuples()}


def powers(table: pd.DataFrame, measure: str) -> dict:
    """Power of d in the crossing time, by family."""
    return {
        family: float(np.polyfit(np.log(rows.d), np.log(rows.time), 1)[0])
        for family, rows in crossings(table, measure).groupby("family", sort=False)
    }


def curves(table: pd.DataFrame) -> dict:
    """Relative error against time, by family and size."""
    rows = table[(table.series == "error") & (table.measure == "relative")]
    return {
        f"{family}, d = {d}": part.set_index("time").error
        for (family, d), part in rows.groupby(["family", "d"], sort=False)
    }


def _last_decade(curve: pd.Series) -> float:
    late = curve[curve.index >= 0.1 * curve.index.max()]
    return float(np.polyfit(np.log(late.index), np.log(late), 1)[0])


NUMBERS = {
    "exponential_error_vs_time": {
        "published_times": lambda t: _ratio(t, "time_published"),
        "absolute_grows_as_square": lambda t: powers(t, "absolute"),
        "relative_grows_linearly": lambda t: powers(t, "relative"),
        "speedup_linear_in_d": lambda t: {family: 3.0 - power for family, power in powers(t, "absolute").items()},
        "root_of_time": lambda t: {name: _last_decade(curve) for name, curve in curves(t).items()},
        "known_law": lambda t: _ratio(t, "time_theory"),
        "useful_accuracy": lambda t: {name: float(curve.iloc[-1]) for name, curve in curves(t).items()},
    }
}

verdict = judge(EXPECTED, NUMBERS)
