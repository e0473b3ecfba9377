"""What the paper says, as numbers of our tables: ``verdict(name, table)``; the rules are in claims.json.

Times of the device are those of its simulated physics; the rivals' are measured on the CPU that drew the figure.
"""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from paper_repro.claims import judge

from . import scaling_numbers

EXPECTED = json.loads((Path(__file__).parent / "claims.json").read_text())
SOLVE_ERROR, INVERSE_ERROR = 0.1, 0.3  # at which times are compared
SETTLED = (1e3, 1e5)  # durations [RC] where all modes have relaxed and rounding is not yet felt


def power(x, y) -> float:
    """Slope of log y against log x."""
    return float(np.polyfit(np.log(x), np.log(y), 1)[0])


def crossing(times, errors, level: float) -> float:
    """Time at which a falling curve first meets a level, between its points by powers of time; nan if it does not."""
    times, errors = np.asarray(times, dtype=float), np.asarray(errors, dtype=float)
    below = np.flatnonzero(errors <= level)
    if not below.size or below[0] == 0:
        return np.nan
    ends = slice(below[0] - 1, below[0] + 1)
    return float(np.exp(np.interp(-np.log(level), -np.log(errors[ends]), np.log(times[ends]))))


# -- linear systems


def _of(table, d: int, series: str) -> pd.DataFrame:
    return table[(table.d == d) & (table.series == series)]


def _error_at(table, d: int, seconds: float) -> float:
    device = _of(table, d, "device")
    return float(np.exp(np.interp(np.log(seconds), np.log(device.seconds), np.log(device.error), left=np.nan)))


def lead(table: pd.DataFrame, d: int) -> tuple[float, float]:
    """End over start of the lead and its length in seconds; 0 and 0 where there is none."""
    ends = _of(table, d, "device leads").seconds.to_numpy()
    return (ends[1] / ends[0], ends[1] - ends[0]) if ends.size else (0.0, 0.0)


def _at(d: int, number):
    """The number of a size, where the table has that size."""
    return lambda table: {f"d = {d}": number(table, d)} if d in table.d.to_numpy() else {}


def _lead_growth(table, d: int) -> float:
    small, large = lead(table, 1000)[1], lead(table, d)[1]
    return large / small if small else np.inf if large else np.nan


def time_to_error(table: pd.DataFrame, d: int, loaded: bool) -> float:
    """Seconds until the error is `SOLVE_ERROR`, with or without those of loading."""
    device = _of(table, d, "device")
    load = _of(table, d, "load").seconds.item()
    return crossing(device.seconds - (0.0 if loaded else load), device.error, SOLVE_ERROR)


def _time_power(table, loaded: bool) -> float:
    sizes = sorted(table.d.unique())[-2:]
    return power(sizes, [time_to_error(table, d, loaded) for d in sizes])


def _load_share(table) -> float:
    d = table.d.max()
    return _of(table, d, "load").seconds.item() / time_to_error(table, d, loaded=True)


def _over_theory(table) -> dict:
    found = {}
    for d in sorted(table.d.unique()):
        device, theory = (_of(table, d, name).set_index("duration").error for name in ("device", "theory"))
        ratio = np.log(device / theory)
        found[f"d = {d}"] = float(np.exp(ratio[(ratio.index >= SETTLED[0]) & (ratio.index <= SETTLED[1])].mean()))
    return found


# -- inverses


def by_kappa(table: pd.DataFrame, readout: str) -> dict[float, pd.DataFrame]:
    """Rows of one way to read, by condition number, in the order of time."""
    rows = table[table.readout == readout].sort_values("time")
    return dict(list(rows.groupby("kappa")))


def _root_of_time(table) -> dict:
    lines = {kappa: rows.tail(3) for kappa, rows in by_kappa(table, "continuous").items()}
    return {f"kappa = {kappa:g}": power(rows.time, rows.error) for kappa, rows in lines.items()}


def _power_of_kappa(table) -> float:
    times = {
        kappa: crossing(rows.time, rows.error, INVERSE_ERROR) for kappa, rows in by_kappa(table, "continuous").items()
    }
    found = {kappa: time for kappa, time in times.items() if np.isfinite(time)}
    return power(list(found), list(found.values())) if len(found) > 1 else np.nan


def _restarts_over_continuous(table) -> dict:
    """At the first error of independent reads that lies on the curve of one trajectory, where there is one."""
    one, found = by_kappa(table, "continuous"), {}
    for kappa, rows in by_kappa(table, "restarts").items():
        ratios = rows.time / [crossing(one[kappa].time, one[kappa].error, error) for error in rows.error]
        if ratios.notna().any():
            found[f"kappa = {kappa:g}"] = float(ratios.dropna().iloc[0])
    return found


def _inverse_over_theory(table) -> dict:
    return {
        f"{readout}, kappa = {kappa:g}": float(rows.error.iloc[-1] / rows.theory.iloc[-1])
        for readout in ("continuous", "restarts")
        for kappa, rows in by_kappa(table, readout).items()
    }


# -- real matrices


def _by_matrix(table, values) -> dict:
    return dict(zip(table.name, (float(value) for value in values), strict=True))


NUMBERS = {
    "solve_error_vs_time": {
        "error_at_1ms": _at(1000, lambda t, d: _error_at(t, d, 1e-3)),
        "leads_at_d1000": _at(1000, lambda t, d: lead(t, d)[0]),
        "no_lead_at_d100": _at(100, lambda t, d: lead(t, d)[0]),
        "lead_grows": _at(5000, _lead_growth),
        "linear_in_d": lambda t: _time_power(t, loaded=True),
        "free_of_d": lambda t: _time_power(t, loaded=False),
        "loading_dominates": _load_share,
        "root_of_time": _over_theory,
    },
    "inverse_error_vs_time": {
        "root_of_time": _root_of_time,
        "linear_in_kappa": _power_of_kappa,
        "integrator_is_best": _restarts_over_continuous,
        "known_law": _inverse_over_theory,
    },
    "real_matrices": {
        "ahead_of_digital": lambda t: _by_matrix(t, np.minimum(t.cholesky, t.gradient) / t.total),
        "sixteen_bits": lambda t: _by_matrix(t, t.bits),
        "planned_error": lambda t: _by_matrix(t, t.error / t.rtol),
    },
} | scaling_numbers.NUMBERS

verdict = judge(EXPECTED, NUMBERS)
