"""What the paper says, as numbers of our tables: ``verdict(name, table)``; the rules are in claims.json."""

import json
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from paper_repro.claims import judge

from .settings import PUBLISHED_READS

EXPECTED = json.loads((Path(__file__).parent / "claims.json").read_text())
DEVICES = ("device, a sample each RC", "device, independent samples")
LARGE = 10_000


def _rms_z(table) -> float:
    rows = table[table.section == "entries"]
    return float(np.sqrt(np.mean(((rows.measured - rows.predicted) / rows.stderr) ** 2)))


def _over_law(table) -> float:
    rows = table[(table.section == "samples") & (table.reads == "independent")]
    return float(np.exp(np.log(rows.error / rows.theory).mean()))


def _published(table, column: str) -> dict[str, pd.Series]:
    rows = table[(table.section == "error") & (table.n == PUBLISHED_READS)]
    over = rows.error / rows[column] if column != "error" else rows.error
    return {f"capacitors off by {m:.0%}": value for m, value in zip(rows.mismatch, over, strict=True)}


def curves(table) -> dict[str, pd.DataFrame]:
    """Seconds and joules by d, for each series of the comparison."""
    rows = table[table.section == "scaling"]
    return {name: of_series.sort_values("d").set_index("d") for name, of_series in rows.groupby("series")}


def crossing(table, device: str, rival: str) -> float:
    """The d from which on the device is faster; missing if it is not at the largest."""
    series = curves(table)
    advantage = np.log(series[rival].seconds / series[device].seconds)
    slower = np.flatnonzero(advantage <= 0.0)
    if not slower.size or slower[-1] + 1 == len(advantage):
        return np.nan
    ends = slice(slower[-1], slower[-1] + 2)
    return float(np.exp(np.interp(0.0, advantage.iloc[ends], np.log(advantage.index[ends].to_numpy(dtype=float)))))


def pairs(table) -> dict[str, tuple[str, str]]:
    """Each device compared with each GPU, by a name for both."""
    rivals = [name for name in curves(table) if name.startswith("GPU")]
    return {f"{device}; {rival}": (device, rival) for device in DEVICES for rival in rivals}


def _crossings(table) -> dict[str, float]:
    return {case: crossing(table, *pair) for case, pair in pairs(table).items()}


def _advantage(table, column: str) -> dict[str, float]:
    at = {name: float(rows.loc[LARGE, column]) for name, rows in curves(table).items() if LARGE in rows.index}
    return {case: at[rival] / at[device] for case, (device, rival) in pairs(table).items()}


NUMBERS = {
    "spu_sampling": {"covariance_of_voltages": _rms_z, "law_of_independent_samples": _over_law},
    "spu_inversion": {
        "published_error": partial(_published, column="error"),
        "error_is_understood": partial(_published, column="predicted"),
        "overtakes_a_gpu": _crossings,
        "ten_times_at_10000": partial(_advantage, column="seconds"),
        "less_energy_at_10000": partial(_advantage, column="joule"),
    },
}

verdict = judge(EXPECTED, NUMBERS)
