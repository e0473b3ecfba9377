"""What the abstracts say, and what follows from the definitions, as numbers of our tables: ``verdict(name, table)``.

The rules are in expected.json. Where a run did not reach a level, or diverged, its number is missing or infinite, and
a claim that rests on it does not hold.
"""

import json
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from paper_repro.claims import judge, z_of

from .descent import excess_of_linear_rule
from .settings import AUTHOR, UNDAMPED

EXPECTED = json.loads((Path(__file__).parent / "expected.json").read_text())
LATE = 0.75  # of the steps, after which a curve counts as late


# -- all optimisers under one metric


def late(table: pd.DataFrame, method: str, column: str) -> pd.Series:
    """Mean over the late points of the course, by seed."""
    rows = table[(table.method == method) & (table.series == "course")]
    return rows[rows.step > LATE * rows.step.max()].groupby("seed")[column].mean()


def _gain(table, method: str, column: str) -> float:
    """Mean over seeds of what a method has more than Adam."""
    return float((late(table, method, column) - late(table, "Adam", column)).mean(skipna=False))


def cost(table: pd.DataFrame, method: str, series: str, level: float, times_steps: bool = False) -> float:
    """Mean total metric cost, or that times the steps, until a level of the loss; missing unless all runs reached it.

    The product is at least the square of the metric length of the path, however fast it is run through.
    """
    rows = table[(table.method == method) & (table.series == series) & (table.level == level)]
    values = rows.total_cost * rows.step if times_steps else rows.total_cost
    return float(values.mean(skipna=False))


def _cost_ratio(table, series: str, other: str) -> float:
    """Metric cost of NGD-T over that of another method until the lowest level of a loss that both reach in all runs."""
    for level in sorted(table[table.series == series].level.unique()):
        costs = [cost(table, method, series, level) for method in ("NGD-T", other)]
        if np.isfinite(costs).all():
            return costs[0] / costs[1]
    return np.nan


def _least_cost_rank(table, series: str, times_steps: bool = False) -> float:
    """How many methods reach the lowest level that NGD-T reaches at less metric cost (times steps) than it."""
    for level in sorted(table[table.series == series].level.unique()):
        costs = {method: cost(table, method, series, level, times_steps) for method in table.method.unique()}
        if np.isfinite(costs["NGD-T"]):
            return float(sum(value < costs["NGD-T"] for value in costs.values()))
    return np.nan


# -- speed and cost


def ratios(table: pd.DataFrame) -> pd.Series:
    """Delta_F d^T F d over the square of the decrease, not below 1, of each step that has one."""
    moved = table[table.decrease != 0.0]
    return moved.metric_cost * moved.dissipation / moved.decrease**2


def _excess(table, method: str, quantile: float) -> float:
    return float(ratios(table[table.method == method]).quantile(quantile))


def finished(table: pd.DataFrame, method: str) -> float:
    """Share of the runs of a method that got to the last step of any."""
    last = table[table.method == method].groupby("seed").step.max()
    return float((last == table.step.max()).mean())


def _least_excess(table) -> float:
    """The smallest ratio of cost to bound over all steps of all methods."""
    return float(ratios(table).min())


# -- rules and budgets


def best_budget(table: pd.DataFrame, rule: str) -> pd.Series:
    """Late loss by seed at the budget of least mean late loss."""
    rows = table[(table.section == "training") & (table.rule == rule)]
    best = rows.groupby("budget").late_loss.mean().idxmin()
    return rows[rows.budget == best].set_index("seed").late_loss


def _author_budget_gain(table) -> float:
    """Late loss of the linear rule at the author's budget over that at its best one."""
    rows = table[(table.section == "training") & (table.rule == "flow") & (table.budget == AUTHOR["budget"])]
    return float(rows.late_loss.mean() / best_budget(table, "flow").mean()) if len(rows) else np.nan


def _slow_is_kl(table) -> float:
    """Largest relative difference of the late losses of "slow" at Q and "kl" at Q/2."""
    rows = table[table.section == "training"].set_index(["rule", "seed"])
    gaps = [
        abs(one.late_loss / other.late_loss - 1.0)
        for seed, one in rows.loc["slow"].iterrows()
        for _, other in rows.loc[["kl"]].xs(seed, level="seed").iterrows()
        if np.isclose(other.budget, one.budget / 2.0)
    ]
    return float(max(gaps, default=np.nan))


def measured_excess(table: pd.DataFrame, ratio: float) -> float:
    """Excess of the linear rule, carried by rho from where the descent ended to exactly this ratio."""
    rows = table[table.section == "quadratic"]
    nearest = rows.loc[(np.log(rows.ratio / ratio)).abs().idxmin()]
    if abs(nearest.ratio / ratio - 1.0) > 0.1:
        return np.nan
    return float(nearest.excess_measured * excess_of_linear_rule(ratio) / excess_of_linear_rule(nearest.ratio))


# -- the null space


def null_losses(table: pd.DataFrame, cutoff: float, null_ratio: float) -> pd.Series:
    """Late loss by seed."""
    rows = table[(table.section == "training") & (table.cutoff == cutoff) & (table.null_ratio == null_ratio)]
    return rows.set_index("seed").late_loss


def _fallback_loss(table, null_ratio: float | None = None, cutoff: float | None = AUTHOR["cutoff"]) -> float:
    """Late loss with a null ratio (default: the best one) over that without, at a cut-off (default: the largest)."""
    training = table[table.section == "training"]
    cutoff = training.cutoff.max() if cutoff is None else cutoff
    if null_ratio is None:
        ratios = sorted(training[training.null_ratio > 0.0].null_ratio.unique())
        null_ratio = min(ratios, key=lambda ratio: null_losses(table, cutoff, ratio).mean())
    with_step, without = (float(null_losses(table, cutoff, ratio).mean()) for ratio in (null_ratio, 0.0))
    return with_step / without


def blind(table: pd.DataFrame, fisher: str, cutoff: float = 1e-10) -> float:
    """|P0 g| / |g|."""
    rows = table[(table.section == "blindness") & (table.fisher == fisher) & (table.cutoff == cutoff)]
    return float(rows.null_fraction.mean())


# -- caching


def _case(table, series: str, value: float | None = None, method: str | None = None) -> pd.DataFrame:
    rows = table[table.series == series]
    rows = rows if value is None else rows[rows.value == value]
    return (rows if method is None else rows[rows.method == method]).set_index("seed")


def _step_ratio(table, ours: pd.DataFrame) -> float:
    """Median over seeds of the seconds of a step over Adam's."""
    return float((ours.step_seconds / _case(table, "reference", method="Adam").step_seconds).dropna().median())


def _caching_speedup(table) -> float:
    """Seconds of the optimiser with a new basis at every step over those with the author's interval."""
    fresh, kept = (_case(table, "interval", n).optimizer_seconds for n in (1, AUTHOR["interval"]))
    return float((fresh / kept).dropna().median())


def _caching_loss(table) -> float:
    fresh, kept = (_case(table, "interval", n).late_loss.mean() for n in (1, AUTHOR["interval"]))
    return float(kept / fresh)


# -- estimators


def floor(table: pd.DataFrame, point: str, series: str) -> pd.Series:
    """Values by batch size."""
    rows = table[(table.section == "floor") & (table.point == point) & (table.series == series)]
    return rows.set_index("batch_size").value


def _floor_over_theory(table, point: str, series: str) -> float:
    """Naive excess over Delta_F against a theory of it: largest ratio over batch sizes, or least where below 1."""
    true = floor(table, point, "true")
    ratio = (floor(table, point, "naive") - true) / (floor(table, point, series) - true)
    return float(ratio[np.log(ratio).abs().idxmax()])


def _halves_z(table) -> float:
    """Largest |z| of the half-batch estimates against the truth."""
    rows = table[(table.section == "floor") & (table.series == "halves")]
    true = table[(table.section == "floor") & (table.series == "true")].set_index(["point", "batch_size"]).value
    truth = true.loc[list(zip(rows.point, rows.batch_size, strict=True))].to_numpy()
    return float(((rows.value - truth) / rows.stderr).abs().max())


def _naive_over_true(table) -> float:
    """Delta_F of a batch over that of all samples, at the smallest batch after training."""
    return float(floor(table, "trained", "naive").iloc[0] / floor(table, "trained", "true").iloc[0])


def _degenerate(table, series: str, damping: float) -> float:
    rows = table[(table.section == "degenerate") & (table.series == series)]
    nearest = rows.damping.unique()[np.abs(np.log(rows.damping.unique() / damping)).argmin()]
    return float(rows[rows.damping == nearest].value.max())


# -- other architectures

OURS = "NGD-T (K-FAC)"


def late_loss(table: pd.DataFrame, method: str) -> pd.Series:
    """Mean training loss over the late blocks, by seed; missing where a run ended early."""
    rows = table[(table.method == method) & (table.step > LATE * table.step.max())]
    return rows.groupby("seed").loss.mean().reindex(table.seed.unique())


def _loss_over_adam(table) -> float:
    ours, adam = (late_loss(table, method).mean(skipna=False) for method in (OURS, "Adam"))
    return float(ours / adam)


def cost_to_common_loss(table: pd.DataFrame, methods: tuple[str, str]) -> tuple[float, float]:
    """Mean metric cost of each of two methods until the lowest loss of a block that all their runs get to."""
    both = table[table.method.isin(methods)]
    level = both.groupby(["method", "seed"]).loss.min().max()
    first = both[both.loss <= level].groupby(["method", "seed"]).total_cost.first().groupby("method").mean()
    return float(first[methods[0]]), float(first[methods[1]])


def _cost_over(table, other: str) -> float:
    ours, theirs = cost_to_common_loss(table, (OURS, other))
    return ours / theirs


NUMBERS = {
    "ngdt_dissipation_training": {
        "matches_adam": partial(_gain, method="NGD-T", column="test_accuracy"),
        "kfac_matches_adam": partial(_gain, method="NGD-T (K-FAC)", column="test_accuracy"),
        "lower_loss_than_adam": lambda t: z_of(late(t, "NGD-T", "loss"), late(t, "Adam", "loss")),
        "less_dissipation_than_adam": partial(_cost_ratio, series="training", other="Adam"),
        "less_dissipation_than_sgd": partial(_cost_ratio, series="training", other="SGD"),
        "least_dissipation_of_all": partial(_least_cost_rank, series="training"),
        "least_dissipation_times_steps": partial(_least_cost_rank, series="training", times_steps=True),
    },
    "ngdt_speed_cost": {
        "bound_holds": _least_excess,
        "natural_gradient_saturates": partial(_excess, method=UNDAMPED, quantile=0.95),
        "truncation_is_stable": partial(finished, method=UNDAMPED),
        "damping_is_stable": partial(finished, method="NGD-T"),
        "ngdt_near_the_bound": partial(_excess, method="NGD-T", quantile=0.5),
        "adam_above_the_bound": partial(_excess, method="Adam", quantile=0.5),
        "kfac_near_the_bound": partial(_excess, method="NGD-T (K-FAC)", quantile=0.5),
    },
    "ngdt_budget_sweep": {
        "root_beats_linear": lambda t: z_of(best_budget(t, "kl"), best_budget(t, "flow")),
        "author_budget_is_good": _author_budget_gain,
        "slow_is_kl": _slow_is_kl,
        "excess_0.5": partial(measured_excess, ratio=0.5),
        "excess_0.1": partial(measured_excess, ratio=0.1),
        "excess_0.01": partial(measured_excess, ratio=0.01),
    },
    "ngdt_null_fallback": {
        "author_ratio_preserves_progress": partial(_fallback_loss, null_ratio=AUTHOR["null_ratio"]),
        "author_ratio_preserves_progress_large_cutoff": partial(
            _fallback_loss, null_ratio=AUTHOR["null_ratio"], cutoff=None
        ),
        "some_ratio_preserves_progress": _fallback_loss,
        "some_ratio_preserves_progress_large_cutoff": partial(_fallback_loss, cutoff=None),
        "exact_sees_all": partial(blind, fisher="exact"),
        "sampled_is_blind": partial(blind, fisher="one label a sample"),
        "another_batch_is_blind": partial(blind, fisher="another batch"),
    },
    "ngdt_caching": {
        "comparable_time": lambda t: _step_ratio(t, _case(t, "interval", AUTHOR["interval"])),
        "comparable_time_low_rank": lambda t: _step_ratio(t, _case(t, "reference", method="NGD-T")),
        "caching_saves_time": _caching_speedup,
        "caching_keeps_loss": _caching_loss,
    },
    "ngdt_estimators": {
        "halves_unbiased": _halves_z,
        "floor_is_covariance": partial(_floor_over_theory, point="trained", series="covariance"),
        "floor_is_effective_dimension_at_start": partial(_floor_over_theory, point="start", series="theory"),
        "floor_is_effective_dimension_trained": partial(_floor_over_theory, point="trained", series="theory"),
        "naive_tells_delta": _naive_over_true,
        "empirical_is_one": partial(_degenerate, series="empirical", damping=1e-8),
    },
    "ngdt_architectures": {
        "trains_like_adam": _loss_over_adam,
        "lower_loss_than_adam": lambda t: z_of(late_loss(t, OURS), late_loss(t, "Adam")),
        "less_cost_than_adam": partial(_cost_over, other="Adam"),
        "less_cost_than_sgd": partial(_cost_over, other="SGD"),
    },
}

verdict = judge(EXPECTED, NUMBERS)
