"""Numbers that decide what is claimed of cost, from the tables of `cost`; the rules are in expected.json."""

from functools import partial

import numpy as np
import pandas as pd

HERE, THERE = "this machine", "accelerator"
TYPICAL = {"N": 1e5, "rows": 640}
SOURCES = {  # how the source of a claimed exponent begins
    "exponents_of_linear_algebra": "Aifer", "exponents_of_exponentials": "Duffield",
    "exponents_of_tngd": "Donatella et al., arXiv:2405", "exponents_of_tkfac": "Donatella et al., arXiv:2502",
}  # fmt: skip


def distances(table: pd.DataFrame, claim: str) -> dict[str, float]:
    """How far each claimed exponent of a group lies outside the interval of its fit; nan for one too wide to decide."""
    begins = table.source.str.startswith(tuple(SOURCES.values()))
    rows = table[table.source.str.startswith(SOURCES[claim]) if claim in SOURCES else ~begins]
    found = {}
    for row in rows.itertuples():
        outside = max(row.low - row.claimed, row.claimed - row.high, 0.0)
        where = f", {row.where}" if isinstance(row.where, str) and row.where else ""
        found[f"{row.quantity} in {row.variable}{where}"] = outside if row.decided else np.nan
    return found


def nearest(values, wanted: float) -> float:
    """The value nearest in the logarithm."""
    values = np.unique(np.asarray(values, dtype=float))
    return float(values[np.argmin(np.abs(np.log(values / wanted)))])


def at(table: pd.DataFrame, **wanted) -> pd.DataFrame:
    """Rows at the nearest of some coordinates (numbers) or with some labels."""
    for name, value in wanted.items():
        value = value if isinstance(value, str) else nearest(table[name], value)
        table = table[table[name] == value]
    return table


def advantage(table, host, loading, d, kappa, eps=0.1) -> float:
    """Seconds of the quickest rival over those of the device."""
    return float(at(table, section="map", host=host, d=d, kappa=kappa, eps=eps)[loading].item())


def _exponent_in_size(table) -> float:
    line = at(table, section="map", host=HERE, kappa=table.kappa.max(), eps=0.1)
    line = line[line.d >= 1000]
    return float(np.polyfit(np.log(line.d), np.log(line.free), 1)[0])


def _largest(table, host, loading) -> float:
    part = at(table, section="map", host=host)
    return float(part[part.d <= 10_000][loading].max())


def _refinement(table) -> float:
    """Points won with refinement over those that a single run wins by itself."""
    alone = int(at(table, section="map", host=HERE).one_run.astype(bool).sum())
    return _points_won(table, "counted") / alone if alone else np.inf


def _points_won(table, loading) -> int:
    return int((at(table, section="map", host=HERE)[loading] > 1.0).sum())


def share_won(table, host, loading) -> float:
    """Share of points at which TNGD is the quickest way to a natural gradient."""
    return float((at(table, host=host, loading=loading).winner == "TNGD").mean())


def _tngd(table, column: str) -> float:
    return float(at(table, host=THERE, loading="load counted", **TYPICAL)[column].item())


NUMBERS = {
    "scaling_exponents": {claim: partial(distances, claim=claim) for claim in (*SOURCES, "exponents_of_ours")},
    "break_even_solve": {
        "small_sizes": lambda t: advantage(t, HERE, "counted", 100, 30.0),
        "large_sizes": lambda t: advantage(t, HERE, "counted", 5000, 30.0),
        "linear_in_size": _exponent_in_size,
        "grows_with_condition": lambda t: (
            advantage(t, HERE, "counted", 5000, t.kappa.max()) / advantage(t, HERE, "counted", 5000, t.kappa.min())
        ),
        "wins_against_an_accelerator": lambda t: _largest(t, THERE, "counted"),
        "refinement_widens": _refinement,
        "wins_with_the_matrix_held": lambda t: _points_won(t, "held") / max(1, _points_won(t, "counted")),
    },
    "break_even_tngd": {
        "quickest_natural_gradient": lambda t: share_won(t, HERE, "load counted"),
        "quickest_on_an_accelerator": lambda t: share_won(t, THERE, "load counted"),
        "quickest_without_load": lambda t: share_won(t, THERE, "load free"),
        "twice_adam": lambda t: _tngd(t, "over_adam"),
        "load_over_relaxation": lambda t: _tngd(t, "load") / _tngd(t, "relax"),
    },
}
