"""Claims of a paper against our tables: a rule for each, fixed beforehand, and whether our number obeys it."""

from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd


def verdicts(claims: Mapping[str, dict], numbers: Mapping[str, Callable], table: pd.DataFrame, **facts) -> list[dict]:
    """A row for each claim: claim, statement, source, facts, ours (the number that decides), rule, holds.

    `claims` are the entries of an expected.json, `numbers` what gives the number of each from the table.
    """
    rows = []
    for claim, entry in claims.items():
        ours = float(numbers[claim](table))
        holds, rule = judged(entry, ours)
        rows.append(
            {"claim": claim, "statement": entry["claim"], "source": entry["source"]}
            | facts
            | {"ours": ours, "rule": rule, "holds": bool(holds)}
        )
    return rows


def judged(entry: dict, ours: float) -> tuple[bool, str]:
    """Whether a number obeys the rule of an entry, and the rule in words."""
    measure = entry["measure"]
    if "at_least" in entry:
        return ours >= entry["at_least"], f"{measure} >= {entry['at_least']:g}"
    if "at_most" in entry:
        return ours <= entry["at_most"], f"{measure} <= {entry['at_most']:g}"
    value, room = entry["value"], entry.get("atol", 0.0) + entry.get("rtol", 0.0) * abs(entry["value"])
    return abs(ours - value) <= room, f"{measure} = {value:g} +- {room:.2g}"


def z_of(better: pd.Series, worse: pd.Series) -> float:
    """Mean of worse - better over its standard error, run by run; by seed."""
    difference = (worse - better).to_numpy()
    return float(difference.mean() / (difference.std(ddof=1) / np.sqrt(difference.size)))
