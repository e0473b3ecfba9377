"""You (2026), NGD-T: figures at smoke scale; budgets, excess, null space, noise floor and verdicts by oracles."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import scipy.integrate
import scipy.linalg

from paper_repro import datasets, recipes
from paper_repro.training import train
from paper_repro.tuning import LOW_RANK, tuned
from paper_repro.you2026 import architectures, descent, estimators, run, runs, settings, verdicts

FIGURES = (
    "ngdt_dissipation_training", "ngdt_speed_cost", "ngdt_budget_sweep", "ngdt_null_fallback", "ngdt_caching",
    "ngdt_estimators", "ngdt_architectures",
)  # fmt: skip
SMOKE = settings.SCALES["smoke"]


# -- the figures


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_is_written_whole(sidecar, name):
    assert sidecar(name)["measures_time"] == (name == "ngdt_caching")


def test_tables_command(capsys):
    assert run.main(["--list"]) == 0
    assert capsys.readouterr().out.split() == list(FIGURES)


def test_settings_are_the_authors():
    assert settings.AUTHOR == {"budget": 1e-3, "cutoff": 1e-8, "null_ratio": 0.01, "interval": 20}
    paper = settings.SCALES["paper"].values()
    assert {chosen.batch_size for chosen in paper if hasattr(chosen, "batch_size")} == {256}
    default = settings.SCALES["default"]
    assert settings.AUTHOR["budget"] in dict(default["ngdt_budget_sweep"].budgets)["flow"]
    assert settings.AUTHOR["cutoff"] in default["ngdt_null_fallback"].cutoffs
    assert settings.AUTHOR["null_ratio"] in default["ngdt_null_fallback"].null_ratios
    assert settings.AUTHOR["interval"] in default["ngdt_caching"].intervals
    assert all(chosen.seeds >= 3 for name, chosen in default.items() if name != "ngdt_estimators")


# -- all optimisers under one metric


def test_one_metric_for_all(tables):
    """NGD-T's own reports are those under the metric that all others are given."""
    changes = {"seed": 5, "steps": 3, "batch_size": 16}
    own = tuned("digits_mlp", "NGD-T", **changes)
    assert (own.curvature, own.metric) == (LOW_RANK, None)
    logs = [train(one, progress=False) for one in (own, replace(own, metric=LOW_RANK))]
    for name in ("dissipation", "metric_cost", "excess"):
        np.testing.assert_allclose(logs[0][name], logs[1][name], rtol=1e-9)
    measured = tables["ngdt_speed_cost"]
    assert measured[["dissipation", "metric_cost"]].notna().all(axis=None)
    first = measured[measured.step == 0].groupby("seed").dissipation  # same batch, same parameters
    assert first.max().to_numpy() == pytest.approx(first.min().to_numpy(), rel=1e-6)


def test_course_and_levels(tables):
    table, chosen = tables["ngdt_dissipation_training"], SMOKE["ngdt_dissipation_training"]
    assert set(table.method) == set(chosen.methods)
    course = table[table.series == "course"]
    assert (course.groupby(["method", "seed"]).size() == chosen.steps // chosen.every).all()
    assert course.clipped.between(0.0, 1.0).all()
    steps = tables["ngdt_speed_cost"].groupby(["method", "seed"]).metric_cost.sum()
    total = course.groupby(["method", "seed"]).total_cost.max()
    np.testing.assert_allclose(total.loc[steps.index], steps, rtol=1e-6)
    never = table[table.level == 0.01]
    assert len(never) == len(chosen.methods) * chosen.seeds
    assert never.total_cost.isna().all()
    assert table[table.level == 2.0].total_cost.notna().any()


def test_a_level_is_reached_at_the_first_point_not_above_it():
    points = pd.DataFrame({"loss": [3.0, 1.0, 2.0, 0.5], "step": [10, 20, 30, 40]})
    assert runs.reached(points, "loss", 2.5).step == 20
    assert runs.reached(points, "loss", 0.5).step == 40
    assert runs.reached(points, "loss", 0.4) is None
    assert runs.reached(points, "test_loss", 9.0) is None  # never evaluated


def test_course_is_made_of_blocks():
    log = pd.DataFrame({
        "step": range(5), "loss": [1.0, 2.0, 3.0, 4.0, 9.0], "dissipation": 2.0,
        "metric_cost": [1.0, 2.0, 3.0, 4.0, 5.0], "excess": [1.0, 3.0, 5.0, 9.0, 2.0],
        "clipped": ["max", None, None, None, "max"],
    })  # fmt: skip
    points = runs.course(log, 2)
    assert points.step.tolist() == [2, 4, 5]
    assert points.loss.tolist() == [1.5, 3.5, 9.0]
    assert points.total_cost.tolist() == [3.0, 10.0, 15.0]
    assert points.excess.tolist() == [2.0, 7.0, 2.0]
    assert points.clipped.tolist() == [0.5, 0.0, 1.0]


def test_no_step_beats_the_bound(tables):
    table = tables["ngdt_speed_cost"]
    moved = table[table.decrease != 0.0]
    assert (moved.decrease**2 <= moved.dissipation * moved.metric_cost * (1.0 + 1e-6)).all()
    natural = moved[moved.method == settings.UNDAMPED]
    np.testing.assert_allclose(natural.decrease**2, natural.dissipation * natural.metric_cost, rtol=1e-6)
    assert (verdicts.ratios(moved[moved.method == "SGD"]) > 1.5).all()


def test_tables_show_the_same_runs():
    assert runs.run_seeds(np.random.SeedSequence([7, 1]), 3) == runs.run_seeds(np.random.SeedSequence([7, 2]), 3)
    assert runs.run_seeds(np.random.SeedSequence(7), 3) != runs.run_seeds(np.random.SeedSequence(8), 3)


def test_each_network_is_measured_on_its_own():
    run_of = {task: runs.compared(task, "Adam", SMOKE["ngdt_speed_cost"], 3) for task in ("digits_mlp", "digits_conv")}
    assert (run_of["digits_mlp"].model, run_of["digits_conv"].model) == ("mlp", "conv_net")
    undamped = runs.compared("digits_conv", settings.UNDAMPED, SMOKE["ngdt_speed_cost"], 3)
    assert undamped.options["budget"] == tuned("digits_conv", "NGD-T").options["budget"]
    assert undamped.metric is None
    tables = [made_up(costs, task=task) for task, costs in (
        ("digits_mlp", {"NGD-T": {0.5: (1.0, 1.0)}, "Adam": {0.5: (2.0, 2.0)}, "SGD": {0.5: (9.0, 9.0)}}),
        ("digits_conv", {"NGD-T": {0.5: (3.0, 3.0)}, "Adam": {0.5: (2.0, 2.0)}, "SGD": {0.5: (9.0, 9.0)}}),
    )]  # fmt: skip
    both = pd.concat(tables, ignore_index=True)
    both["loss"] = np.arange(len(both)) ** 2.0
    found = verdicts.verdict("ngdt_dissipation_training", both).set_index(["claim", "task"])
    assert found.ours["less_dissipation_than_adam", "digits_mlp"] == 0.5
    assert found.ours["less_dissipation_than_adam", "digits_conv"] == 1.5
    assert found.holds["less_dissipation_than_sgd"].all()


# -- other architectures


def test_architectures_are_measured_by_labels_that_no_optimiser_sees(tables):
    chosen = settings.SCALES["default"]["ngdt_architectures"]
    measured = architectures.measured("topics_transformer", "NGD-T (K-FAC)", 1, chosen)
    assert measured.metric == {"kind": "sampled", "shape": "low_rank", "n_draws": chosen.n_draws}
    assert architectures.measured("molecules_graph", "Adam", 1, chosen).metric == LOW_RANK
    assert set(chosen.sampled) <= set(chosen.tasks)
    table, smoke = tables["ngdt_architectures"], SMOKE["ngdt_architectures"]
    assert set(table.method) == set(smoke.methods)
    assert (table.groupby(["task", "method", "seed"]).size() == smoke.steps // smoke.every).all()
    assert (table.groupby(["task", "method", "seed"]).total_cost.diff().dropna() > 0.0).all()


def test_costs_of_architectures_are_compared_at_the_lowest_loss_of_all_runs():
    losses = {
        ("Adam", 0): (3.0, 2.0, 1.0), ("Adam", 1): (3.0, 1.5, 1.4),
        ("NGD-T (K-FAC)", 0): (2.0, 1.4, 0.5), ("NGD-T (K-FAC)", 1): (1.0, 0.9, 0.8),
        ("SGD", 0): (3.0, 3.0, 3.0), ("SGD", 1): (4.0, 3.5, 3.0),
    }  # fmt: skip
    rows = [
        {"task": "molecules_graph", "method": method, "seed": seed, "step": 10 * (k + 1), "loss": loss,
         "total_cost": (k + 1.0) * (2.0 if method == "Adam" else 1.0)}
        for (method, seed), found in losses.items() for k, loss in enumerate(found)
    ]  # fmt: skip
    table = pd.DataFrame(rows)
    # down to 1.4: NGD-T after 2 and 1 blocks, Adam after 3 and 3 at twice the cost
    assert verdicts.cost_to_common_loss(table, ("NGD-T (K-FAC)", "Adam")) == (1.5, 6.0)
    found = verdicts.verdict("ngdt_architectures", table).set_index("claim").ours
    assert found["less_cost_than_adam"] == 0.25
    assert found["less_cost_than_sgd"] == 0.5  # down to 3: 1 and 1 blocks, against 1 and 3
    assert found["trains_like_adam"] == pytest.approx(0.65 / 1.2)
    stopped = table[~((table.method == "Adam") & (table.seed == 1) & (table.step > 10))]
    assert np.isnan(verdicts.verdict("ngdt_architectures", stopped).set_index("claim").ours["trains_like_adam"])


# -- rules and budgets


def test_rules_with_equal_budgets_agree(tables):
    table = tables["ngdt_budget_sweep"]
    training = table[table.section == "training"].set_index(["rule", "budget", "seed"]).sort_index()
    steps = SMOKE["ngdt_budget_sweep"].steps
    for seed in training.index.unique("seed"):
        slow, kl = training.loc["slow", 2e-2, seed], training.loc["kl", 1e-2, seed]
        assert slow[["late_loss", "total_cost"]].tolist() == kl[["late_loss", "total_cost"]].tolist()
        # an unclipped step costs 2 Q at most: damping makes Delta_F overstate it
        assert 0.8 * 2e-2 * steps < kl.total_cost <= 2e-2 * steps
        assert kl.path_length**2 <= steps * kl.total_cost
    assert training.loc["flow", 2.0].clipped.min() > training.loc["flow", 1e-2].clipped.max() == 0.0


@pytest.mark.parametrize(("ratio", "value"), [(0.5, 1.040), (0.1, 1.407), (0.01, 2.349)])
def test_excess_of_the_linear_rule_by_quadrature(ratio, value):
    """Time and cost of ds/dt = -Q/s by quadrature; the same time at constant speed costs (distance)^2 / time."""
    Q = 0.37
    time = scipy.integrate.quad(lambda s: s / Q, ratio, 1.0)[0]
    cost = scipy.integrate.quad(lambda s: Q / s, ratio, 1.0)[0]
    excess = cost * time / (1.0 - ratio) ** 2
    assert descent.excess_of_linear_rule(ratio) == pytest.approx(excess, rel=1e-10)
    assert excess == pytest.approx(value, abs=1e-3)


def test_descents_approach_the_theory(tables):
    rows = tables["ngdt_budget_sweep"].query("section == 'quadratic'")
    assert rows.end_error.max() < 1e-9
    np.testing.assert_allclose(rows.excess_measured, rows.excess_theory, rtol=0.01)
    chosen = replace(SMOKE["ngdt_budget_sweep"], ratios=(0.3,))
    errors = []
    for last_eta in (0.1, 0.05):
        row = descent.linear_excess(replace(chosen, last_eta=last_eta)).iloc[0]
        errors.append(row.excess_theory - row.excess_measured)
    assert errors[0] / errors[1] == pytest.approx(2.0, rel=0.25)  # first order in the step


# -- the null space


def test_another_batch_is_blind_to_part_of_the_gradient(tables):
    """Against dense eigenvectors."""
    table = tables["ngdt_null_fallback"]
    assert verdicts.blind(table, "exact") < 1e-6
    assert 0.3 < verdicts.blind(table, "one label a sample") < 1.0
    assert 0.3 < verdicts.blind(table, "another batch") < 1.0
    model = recipes.make_model("mlp", {"sizes": [64, 3, 10]})
    data, theta = datasets.load("digits", None), model.init(0)
    batch, other = (data.take(np.arange(start, start + 4), "train") for start in (0, 4))
    gradient = model.loss_and_gradient(theta, *batch)[1]
    for samples in (batch, other):
        F = recipes.make_curvature(model, theta, *samples)
        values, vectors = np.linalg.eigh(F.dense())
        null = vectors[:, values <= 1e-10 * values[-1]]
        assert np.linalg.norm(F.null_part(gradient)) == pytest.approx(np.linalg.norm(null.T @ gradient), abs=1e-6)


def test_null_ratio_matters_where_there_is_a_null_space(tables):
    table = tables["ngdt_null_fallback"]
    for cutoff in SMOKE["ngdt_null_fallback"].cutoffs:
        with_step, without = (verdicts.null_losses(table, cutoff, ratio) for ratio in (0.01, 0.0))
        assert (with_step != without).all()


# -- caching


def test_seconds_of_a_step_add_up_for_every_interval(tables):
    table = tables["ngdt_caching"]
    parts = table[["model_seconds", "curvature_seconds", "optimizer_seconds"]]
    assert (parts > 0.0).all(axis=None)
    np.testing.assert_allclose(parts.sum(axis=1), table.step_seconds)
    losses = table.set_index(["series", "value", "seed"]).sort_index().late_loss
    assert (losses["interval", 1.0] != losses["interval", 20.0]).all()


# -- estimators


def test_floor_by_brute_force(rng):
    """Means over all pairs and all batches of two, drawn with replacement, with a dense inverse."""
    gradients, rows = rng.standard_normal((4, 3)) + 0.5, rng.standard_normal((8, 3)) / np.sqrt(4)
    inverse = np.linalg.inv(rows.T @ rows + 0.1 * np.eye(3))
    naive = np.mean([(a + b) @ inverse @ (a + b) / 4.0 for a in gradients for b in gradients])
    mean = gradients.mean(axis=0)
    chosen = replace(SMOKE["ngdt_estimators"], damping=0.1, batch_sizes=(2,), draws=4000, own_draws=4)
    found = {row["series"]: row for row in estimators._floor(gradients, rows, chosen, rng)}
    assert found["true"]["value"] == pytest.approx(mean @ inverse @ mean)
    assert found["covariance"]["value"] == pytest.approx(naive)
    assert found["theory"]["value"] == pytest.approx(mean @ inverse @ mean + np.trace(rows.T @ rows @ inverse) / 2.0)
    for series, value in (("naive", naive), ("halves", mean @ inverse @ mean)):
        assert abs(found[series]["value"] - value) < 5.0 * found[series]["stderr"]
    assert found["own Fisher"]["value"] > 0.0


def test_own_fisher_is_that_of_the_batch(rng):
    gradients, rows = rng.standard_normal((3, 5)), rng.standard_normal((6, 5)) / np.sqrt(3)
    one = replace(SMOKE["ngdt_estimators"], damping=0.2, own_draws=1)
    for i in [np.random.default_rng(k).integers(3, size=2) for k in range(4)]:
        pair = rows.reshape(3, 2, 5)[i].reshape(4, 5) * np.sqrt(3 / 2)
        mean = gradients[i].mean(axis=0)
        expected = mean @ scipy.linalg.solve(pair.T @ pair + 0.2 * np.eye(5), mean)
        fixed = type("Fixed", (), {"integers": lambda self, n, size, i=i: i})()
        assert estimators._own(gradients, rows, 2, one, fixed) == [pytest.approx(expected)]


def test_sample_gradients_are_those_of_single_samples():
    model = recipes.make_model("mlp", {"sizes": [64, 3, 10]})
    inputs, labels = datasets.load("digits", None).take(np.arange(3), "train")
    theta = model.init(1)
    found = estimators._sample_gradients(model, theta, inputs, labels)
    for i in range(3):
        one = model.loss_and_gradient(theta, inputs[i : i + 1], labels[i : i + 1])[1]
        np.testing.assert_allclose(found[i], one, rtol=1e-5, atol=1e-6)


def test_naive_estimators_overstate_the_dissipation(tables):
    table = tables["ngdt_estimators"]
    for point in ("start", "trained"):
        true, naive = (verdicts.floor(table, point, name) for name in ("true", "naive"))
        assert (naive > 1.5 * true).all()
    degenerate = table[table.section == "degenerate"].set_index(["point", "series", "damping"]).value
    assert degenerate["start", "empirical", 1e-4] == pytest.approx(1.0, abs=0.01)
    assert degenerate["trained", "empirical", 1e-4] == pytest.approx(1.0, abs=0.01)
    size = recipes.make_model("mlp", {"sizes": list(SMOKE["ngdt_estimators"].sizes)}).size
    assert 0.5 * size < degenerate["trained", "diagonal", 1e-10] <= size


# -- verdicts


@pytest.mark.parametrize("name", FIGURES)
def test_every_claim_has_a_number(tables, name):
    found = verdicts.verdict(name, tables[name])
    assert set(found.claim) == set(verdicts.EXPECTED[name]) == set(verdicts.NUMBERS[name])
    assert found.holds.dtype == bool
    assert found.rule.str.len().min() > 5


def test_what_follows_from_the_definitions_holds(tables):
    holds = {
        (name, row.claim): row.holds for name in FIGURES for row in verdicts.verdict(name, tables[name]).itertuples()
    }
    for claim in (
        ("ngdt_speed_cost", "bound_holds"), ("ngdt_speed_cost", "natural_gradient_saturates"),
        ("ngdt_budget_sweep", "slow_is_kl"), ("ngdt_budget_sweep", "excess_0.5"), ("ngdt_budget_sweep", "excess_0.1"),
        ("ngdt_null_fallback", "exact_sees_all"), ("ngdt_estimators", "halves_unbiased"),
        ("ngdt_estimators", "floor_is_covariance"), ("ngdt_estimators", "empirical_is_one"),
    ):  # fmt: skip
        assert holds[claim], claim


def made_up(costs: dict, gains=(0.0, 0.0), task="digits_mlp") -> pd.DataFrame:
    """A table of two seeds: total cost by method and level, and accuracy of NGD-T above Adam."""
    rows = [
        {"method": method, "series": "training", "level": level, "seed": seed, "total_cost": value}
        for method, levels in costs.items()
        for level, values in levels.items()
        for seed, value in enumerate(values)
    ]
    rows += [
        {
            "method": method,
            "series": "course",
            "seed": seed,
            "step": step,
            "test_accuracy": 0.5 + (0.1 if early else gain),
        }
        for method, of_method in (("Adam", (0.0, 0.0)), ("NGD-T", gains))
        for seed, gain in enumerate(of_method)
        for step, early in ((10, True), (100, False))
    ]
    return pd.DataFrame(rows).assign(task=task)


def test_costs_are_compared_at_the_lowest_level_that_all_runs_reach():
    ngdt, adam = {0.5: (1.0, 3.0), 0.25: (4.0, 8.0)}, {0.5: (8.0, 8.0), 0.25: (np.nan, 9.0)}
    table = made_up({"NGD-T": ngdt, "Adam": adam, "SGD": {0.5: (1.0, 1.0), 0.25: (5.0, 5.0)}})
    numbers = verdicts.NUMBERS["ngdt_dissipation_training"]
    assert numbers["less_dissipation_than_adam"](table) == 0.25
    assert numbers["less_dissipation_than_sgd"](table) == 1.2
    assert numbers["least_dissipation_of_all"](table) == 1.0
    never = made_up({"NGD-T": {0.5: (np.nan, np.nan)}, "Adam": {0.5: (1.0, 1.0)}})
    assert np.isnan(numbers["less_dissipation_than_adam"](never))
    assert np.isnan(numbers["least_dissipation_of_all"](never))


def test_matching_adam_is_judged_late():
    numbers = verdicts.NUMBERS["ngdt_dissipation_training"]
    costs = {"NGD-T": {0.5: (1.0, 1.0)}, "Adam": {0.5: (1.0, 1.0)}}
    assert numbers["matches_adam"](made_up(costs, gains=(0.02, -0.04))) == pytest.approx(-0.01)


def test_matching_adam_needs_every_run():
    numbers = verdicts.NUMBERS["ngdt_dissipation_training"]
    table = made_up({"NGD-T": {0.5: (1.0, 1.0)}, "Adam": {0.5: (1.0, 1.0)}}, gains=(0.02, 0.03))
    stopped = (table.method == "NGD-T") & (table.series == "course") & (table.seed == 1) & (table.step == 100)
    assert np.isnan(numbers["matches_adam"](table[~stopped]))


def test_runs_that_ended_early_are_counted():
    steps = {("A", 0): 3, ("A", 1): 2, ("B", 0): 3}
    rows = [{"method": m, "seed": s, "step": k} for (m, s), n in steps.items() for k in range(n)]
    assert verdicts.finished(pd.DataFrame(rows), "A") == 0.5
    assert verdicts.finished(pd.DataFrame(rows), "B") == 1.0


def test_a_diverged_run_does_not_preserve_progress():
    rows = [
        {"section": "training", "cutoff": 1e-8, "null_ratio": ratio, "seed": seed, "late_loss": loss}
        for ratio, losses in ((0.0, (3.0, 4.0)), (0.01, (1.0, np.inf)), (0.1, (1.0, 2.5)))
        for seed, loss in enumerate(losses)
    ]
    numbers = verdicts.NUMBERS["ngdt_null_fallback"]
    assert numbers["author_ratio_preserves_progress"](pd.DataFrame(rows)) == np.inf
    assert numbers["some_ratio_preserves_progress"](pd.DataFrame(rows)) == 0.5


def test_excess_is_carried_to_the_ratio_asked_for():
    row = {"section": "quadratic", "ratio": 0.098, "excess_measured": descent.excess_of_linear_rule(0.098)}
    table = pd.DataFrame([row])
    assert verdicts.measured_excess(table, 0.1) == pytest.approx(descent.excess_of_linear_rule(0.1))
    assert np.isnan(verdicts.measured_excess(table, 0.5))
