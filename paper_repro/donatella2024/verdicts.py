"""What the paper says, as numbers of our tables and rules: ``verdict(name, table)``; the rules are in expected.json.

A z is the mean of a difference between runs with the same seeds over its standard error.
"""

import json
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd

from paper_repro.claims import judge, z_of

from .settings import GPU_RATIO

EXPECTED = json.loads((Path(__file__).parent / "expected.json").read_text())
PARTS = ["digital_seconds", "load_seconds", "relax_seconds", "read_seconds"]


# -- all optimisers


def _curve(table, method, column="loss") -> pd.Series:
    """Mean over seeds, and over tasks, against step."""
    return table[(table.method == method) & table.step.notna()].groupby("step")[column].mean()


def late(table, method, column="loss") -> pd.Series:
    """Mean over the last quarter of the points, by seed."""
    return table[(table.method == method) & (table.section == "late")].groupby("seed")[column].mean()


def _seconds(table, method) -> float:
    return float(table[table.method == method][PARTS].iloc[0].sum())


def below_adam(table, ratio: Callable | float, adam="Adam", tngd="TNGD") -> float:
    """Share of Adam's points at which the loss of TNGD is smaller at equal time, `ratio` times Adam's a step."""
    one, other = _curve(table, tngd), _curve(table, adam)
    ratio = ratio(table) if callable(ratio) else ratio
    steps = one.index.to_numpy() * ratio
    both = other.index.to_numpy() >= steps[0]
    at_equal_time = np.interp(other.index[both], steps, one.to_numpy())
    return float(np.mean(at_equal_time < other[both].to_numpy())) if both.any() else 0.0


def _measured_ratio(table) -> float:
    return _seconds(table, "TNGD") / _seconds(table, "Adam")


def _device_share(table) -> float:
    parts = table[table.method == "TNGD"][PARTS].iloc[0]
    return float(1.0 - parts["digital_seconds"] / parts.sum())


def _ratio_to_exact(table) -> float:
    return float(late(table, "TNGD").mean() / late(table, "NGD").mean())


# -- carried state


def case(table, series, time=None, delay=0.0) -> pd.Series:
    """Late loss of each seed."""
    part = table[(table.series == series) & (table.delay == delay)]
    part = part if time is None else part[part.time == time]
    return part.groupby("seed")["late_loss"].first()


def _times(table) -> list[float]:
    return sorted(table[table.series == "carry"].time.unique())


def _delays(table) -> list[float]:
    return sorted(delay for delay in table.delay.unique() if delay > 0.0)


def _improvement_with_time(table, start) -> float:
    pairs = pairwise(_times(table))
    return min(z_of(case(table, start, long), case(table, start, short)) for short, long in pairs)


def _delay_gain(table, start) -> float:
    first = _times(table)[0]
    undelayed = case(table, start, first)
    return min(z_of(case(table, "carry", first, delay), undelayed) for delay in _delays(table))


def _best_against_exact(table, series) -> float:
    """The largest z by which a case beats the exact natural gradient."""
    exact = case(table, "exact")
    cases = [case(table, name, time) for name in series for time in _times(table)]
    if "carry" in series:
        cases += [case(table, "carry", _times(table)[0], delay) for delay in _delays(table)]
    return max(z_of(one, exact) for one in cases)


def _longest_to_exact(table, start) -> float:
    return float(case(table, start, _times(table)[-1]).mean() / case(table, "exact").mean())


def _gap(table, series) -> float:
    """Largest ratio between the losses of the carried state and of another series, either way up."""
    times = sorted(table[table.series == series].time.unique())
    ratios = [np.log(case(table, series, t).mean() / case(table, "carry", t).mean()) for t in times]
    return float(np.exp(np.max(np.abs(ratios))))


# -- noise


def noisy(table, start, kappa0) -> pd.Series:
    """Late loss of each seed."""
    part = table[(table.start == start) & (table.kappa0 == kappa0)]
    return part.groupby("seed")["late_loss"].first()


def _excess(table, start, kappa0) -> float:
    """Late loss over that without noise."""
    return float(noisy(table, start, kappa0).mean() / noisy(table, start, 0.0).mean())


# -- fine-tuning


def finetuned(table, section, method, start="", time=None, column="late_loss") -> pd.Series:
    """Late loss of each seed, or the last value of another column; at the longest time unless told otherwise."""
    part = table[(table.section == section) & (table.method == method) & (table.start.fillna("") == start)]
    if start:
        part = part[part.time == (part.time.max() if time is None else time)]
    return part.groupby("seed")[column].last()


def _gain(table, section, one, others, column="late_loss") -> float:
    """Smallest z by which a method beats the others."""

    def of(method):
        return finetuned(table, section, method, "carry" if method.startswith("TNGD") else "", column=column)

    return min(z_of(of(one), of(other)) for other in others)


def _gain_with_time(table, start) -> float:
    part = table[(table.section == "paper") & (table.method == "TNGD-Adam") & (table.start == start)]
    runs = [finetuned(table, "paper", "TNGD-Adam", start, time) for time in sorted(part.time.unique())]
    return min((z_of(long, short) for short, long in pairwise(runs)), default=np.nan)


# -- step cost


def _device_part(table, part, size, dz) -> float:
    rows = table[(table.section == "device") & (table["N"] == size) & (table.dz == dz) & (table.part == part)]
    return float(rows.seconds.item())


def step_totals(table, section, series) -> pd.Series:
    """Seconds of a step, digital and device together, by N or dz."""
    rows = table[(table.section == section) & (table.series == series)]
    return rows.groupby(section).seconds.sum()


def _slope(table, series, largest=3) -> float:
    """Power of N, fitted to the largest sizes."""
    totals = step_totals(table, "N", series).tail(largest)
    return float(np.polyfit(np.log(totals.index), np.log(totals), 1)[0])


def _lead(table, section) -> float:
    """The quickest other method over TNGD, at the largest size."""
    totals = {series: step_totals(table, section, series) for series in ("Woodbury", "NGD-CG", "TNGD")}
    return float(min(totals["Woodbury"].iloc[-1], totals["NGD-CG"].iloc[-1]) / totals["TNGD"].iloc[-1])


def _euler_over_law(table) -> float:
    totals = table[table.section == "parts"].groupby("series").seconds.sum()
    return float(totals["Euler, no J"] / totals["law, J"])


NUMBERS = {
    "tngd_optimizers": {
        "below_adam_per_step": partial(below_adam, ratio=1.0),
        "below_adam_at_twice_its_time": partial(below_adam, ratio=GPU_RATIO),
        "below_adam_at_twice_its_time_untuned": partial(
            below_adam, ratio=GPU_RATIO, adam="Adam (paper)", tngd="TNGD (paper)"
        ),
        "more_accurate_than_adam": lambda t: z_of(late(t, "Adam", "test_accuracy"), late(t, "TNGD", "test_accuracy")),
        "near_exact": _ratio_to_exact,
        "tngd_adam_below_adam": lambda t: z_of(late(t, "TNGD-Adam"), late(t, "Adam")),
        "tngd_adam_below_sign_rules": lambda t: min(
            z_of(late(t, "TNGD-Adam"), late(t, name)) for name in ("Adam(0,0)", "signSGD")
        ),
    },
    "tngd_optimizers_in_time": {
        "below_adam_at_measured_time": partial(below_adam, ratio=_measured_ratio),
        "digital_work_dominates": _device_share,
    },
    "tngd_carried_state": {
        "improves_with_time": partial(_improvement_with_time, start="carry"),
        "improves_with_time_started_anew": partial(_improvement_with_time, start="gradient"),
        "near_exact_at_longest": partial(_longest_to_exact, start="carry"),
        "near_exact_at_longest_started_anew": partial(_longest_to_exact, start="gradient"),
        "any_delay_helps": partial(_delay_gain, start="carry"),
        "any_delay_helps_against_a_fresh_start": partial(_delay_gain, start="gradient"),
        "some_beat_exact": partial(_best_against_exact, series=("carry",)),
        "none_beats_exact_started_anew": partial(_best_against_exact, series=("gradient", "zero")),
        "carried_state_is_momentum": partial(_gap, series="momentum"),
        "carried_state_is_null_momentum": partial(_gap, series="null momentum"),
        "stale_costs_nothing": partial(_gap, series="stale"),
    },
    "tngd_noise": {
        "no_effect_at_0.001": partial(_excess, start="carry", kappa0=1e-3),
        "no_effect_at_0.01": partial(_excess, start="carry", kappa0=1e-2),
        "effect_at_0.1": partial(_excess, start="carry", kappa0=1e-1),
        "no_effect_at_0.01_started_anew": partial(_excess, start="gradient", kappa0=1e-2),
    },
    "tngd_finetuning": {
        "tngd_alone_worse_than_adam": partial(_gain, section="paper", one="Adam", others=["TNGD"]),
        "tngd_adam_best": partial(_gain, section="paper", one="TNGD-Adam", others=["Adam", "TNGD"]),
        "improves_with_time": partial(_gain_with_time, start="carry"),
        "improves_with_time_started_anew": partial(_gain_with_time, start="gradient"),
        "tngd_adam_below_sign_rule": partial(_gain, section="paper", one="TNGD-Adam", others=["signSGD"]),
        "tuned_tngd_adam_below_adam": partial(_gain, section="tuned", one="TNGD-Adam", others=["Adam"]),
        "tuned_tngd_adam_below_sign_rules": partial(
            _gain, section="tuned", one="TNGD-Adam", others=["Adam(0,0)", "signSGD"]
        ),
        "tuned_tngd_below_adam": partial(_gain, section="tuned", one="TNGD", others=["Adam"]),
        "tuned_tngd_adam_generalises": partial(
            _gain, section="tuned", one="TNGD-Adam", others=["Adam"], column="test_loss"
        ),
    },
    "tngd_step_cost": {
        "load_1e4": partial(_device_part, part="load", size=10_000, dz=20),
        "load_1e5": partial(_device_part, part="load", size=100_000, dz=20),
        "load_1e5_dz200": partial(_device_part, part="load", size=100_000, dz=200),
        "load_dominates": lambda t: _device_part(t, "load", 10_000, 20) / _device_part(t, "relax", 10_000, 20),
        "woodbury_linear": partial(_slope, series="Woodbury"),
        "tngd_linear": partial(_slope, series="TNGD"),
        "cg_almost_flat": partial(_slope, series="NGD-CG"),
        "tngd_far_ahead_in_N": partial(_lead, section="N"),
        "tngd_ahead_in_dz": partial(_lead, section="dz"),
        "law_ahead_of_euler": _euler_over_law,
    },
}

verdict = judge(EXPECTED, NUMBERS)
