"""Donatella et al., arXiv:2405.13817: figures at smoke scale; parts of a step, momentum and verdicts by oracles."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import thermolinalg as tl
from paper_repro import claims
from paper_repro.donatella2024 import curves, optimizers, run, settings, step_times, verdicts
from paper_repro.donatella2024.null_momentum import NAME, NullMomentum
from paper_repro.recipes import optimizer_class

FIGURES = (
    "tngd_optimizers", "tngd_optimizers_in_time", "tngd_carried_state", "tngd_noise", "tngd_finetuning",
    "tngd_step_cost",
)  # fmt: skip
pytestmark = pytest.mark.usefixtures("quick_compilation")
SMOKE = settings.SCALES["smoke"]


@pytest.fixture
def batch():
    """Six samples, a small network with ten outputs."""
    return run.random_batch(4, 10, replace(SMOKE["tngd_step_cost"], batch_size=6), 1)


def factors(size, n_rows, rng, scale=1.0):
    """A curvature of random rows and its dense matrix."""
    J = scale * rng.standard_normal((n_rows, size))
    return tl.curvature.LowRankCurvature(J), J.T @ J


# -- the figures


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_is_written_whole(sidecar, name):
    assert sidecar(name)["measures_time"] == (name in ("tngd_optimizers_in_time", "tngd_step_cost"))


def test_settings_are_the_papers():
    paper = settings.SCALES["paper"]
    assert all(paper[name].batch_size == 64 and paper[name].seeds == 5 for name in FIGURES[:4])
    carried = paper["tngd_carried_state"]
    assert (carried.learning_rate, carried.damping, carried.times) == (0.01, 0.01, (5.0, 10.0, 20.0, 50.0))
    assert carried.delays == (0.2, 1.0)
    assert {0.1, 0.01, 0.001} < set(paper["tngd_noise"].kappas)
    assert optimizers.TNGD_TIME == 50.0
    tuned = paper["tngd_finetuning"]
    assert (tuned.rank, tuned.scale, tuned.times, tuned.n_train, tuned.batch_size) == (
        2,
        32.0,
        (0.1, 0.2, 0.4),
        800,
        32,
    )
    assert settings.FINETUNING_RATES == {"Adam": 1e-3, "TNGD": 0.01, "TNGD-Adam": 1e-3}
    assert settings.FINETUNING_DAMPING == 1.0


def test_every_optimizer_has_its_curve_and_its_times(tables):
    table, chosen = tables["tngd_optimizers_in_time"], SMOKE["tngd_optimizers_in_time"]
    untimed = tables["tngd_optimizers"]  # the same runs
    curve, late = (untimed[untimed.section == name].dropna(axis=1, how="all") for name in ("curve", "late"))
    curve = curve.drop(columns="section")
    pd.testing.assert_frame_equal(table[curve.columns], curve, check_dtype=False)
    assert set(table.method) == set(chosen.methods)
    assert (table.groupby("method").size() == chosen.steps // chosen.every).all()
    assert (late.groupby("method").seed.nunique() == chosen.seeds).all()
    assert np.isfinite(table.select_dtypes("number")).all(axis=None)
    assert table.test_accuracy.between(0.0, 1.0).all()
    on_device = table.method.str.startswith("TNGD")
    assert (table.load_seconds[on_device] > 0.0).all()
    assert (table.load_seconds[~on_device] == 0.0).all()
    assert (table.simulation_seconds[on_device] > 0.0).all()
    assert table.groupby("method").model_calls.first()[["SGD", "NGD", "NGD-CG", "TNGD"]].tolist() == [1, 160, 20, 160]


def test_runs_that_are_compared_share_their_seeds(tables):
    for name, labels in (
        ("tngd_optimizers", ["method"]), ("tngd_finetuning", ["section", "method"]),
        ("tngd_carried_state", ["series", "time", "delay"]),
    ):  # fmt: skip
        seeds = tables[name].dropna(subset="seed").groupby(labels).seed.unique().map(sorted)
        assert all(found == seeds.iloc[0] for found in seeds)
    assert len(seeds.iloc[0]) == SMOKE["tngd_carried_state"].seeds


def test_carried_table_has_every_start_and_seed(tables):
    table, chosen = tables["tngd_carried_state"], SMOKE["tngd_carried_state"]
    assert set(table.series) == {"carry", "gradient", "zero", "stale", "momentum", "null momentum", "exact"}
    cases = run.carried_cases(chosen)
    momentum = {labels["time"]: case["momentum"] for labels, _, case in cases if labels["series"] == "momentum"}
    assert momentum == pytest.approx({5.0: 0.951229, 50.0: 0.606531}, rel=1e-6)  # exp(-0.05), exp(-0.5)
    delayed = table[table.delay > 0.0]
    assert set(delayed.time) == {5.0}
    assert set(delayed.delay) == set(chosen.delays)


def test_start_of_the_voltages_matters_less_for_longer_times(tables):
    """After 50 RC what is left of a start at the gradient or at 0 are modes below 1/50."""
    late = tables["tngd_carried_state"].groupby(["series", "time"]).late_loss.mean()
    gap = (late["zero"] - late["gradient"]).abs()
    assert gap[50.0] < gap[5.0]
    assert abs(late["gradient", 50.0] - late["exact", np.inf]) < abs(late["gradient", 5.0] - late["exact", np.inf])


def test_noise_only_harms(tables):
    table, chosen = tables["tngd_noise"], SMOKE["tngd_noise"]
    quiet = verdicts.noisy(table, "carry", 0.0)
    options = {"run_time": chosen.run_time, "start": "carry", "beta": 0.1}  # so loud that every run shows it
    loud = [run.sweep_run(chosen, "TNGD", options, seed).late_loss.iloc[-1] for seed in quiet.index]
    assert (loud > quiet).all()
    anew = [verdicts.noisy(table, "gradient", kappa0).mean() for kappa0 in (0.0, 1e-3)]
    assert anew[1] == pytest.approx(anew[0], rel=0.02)


def test_finetuning_table_has_every_method(tables):
    table, chosen = tables["tngd_finetuning"], SMOKE["tngd_finetuning"]
    runs = table.groupby(["section", "method", "start", "time", "seed"], dropna=False)
    assert runs.ngroups == (1 + len(chosen.methods) + 3 + len(chosen.times) + 2 * len(chosen.controls)) * chosen.seeds
    assert np.isfinite(table.loss).all()
    assert np.isfinite(runs.last()[["late_loss", "test_loss", "test_accuracy"]]).all(axis=None)
    assert table.text_sha256.dropna().str.fullmatch("[0-9a-f]{64}").tolist() == [True]
    on_device = table.method.str.startswith("TNGD") | (table.start == "momentum")
    assert (table.time.notna() == on_device).all()


def test_step_cost_table_adds_up(tables):
    table = tables["tngd_step_cost"]
    assert set(table.section) == {"parts", "t_sweep", "N", "dz", "device"}
    assert (table.seconds > 0.0).all()
    dense = table[(table.series == "NGD") & (table.section == "N")]
    assert dense["N"].max() <= SMOKE["tngd_step_cost"].densest
    parts = table[table.section == "parts"].groupby("series").part.apply(set)
    assert parts["law, J"] == {"Jacobian", "Gram", "eigh", "products"}
    assert "Jacobian" not in parts["law, no J"]


def test_modelled_times_are_those_of_the_paper(tables):
    claims = verdicts.verdict("tngd_step_cost", tables["tngd_step_cost"]).set_index("claim")
    for claim in ("load_1e4", "load_1e5", "load_1e5_dz200", "load_dominates"):
        assert claims.holds[claim], claims.loc[claim]


def test_the_same_seed_gives_the_same_table():
    tiny = replace(SMOKE["tngd_noise"], kappas=(0.01,), starts=("carry",), steps=2, every=1, late=1, seeds=1)
    one, two, other = (run.noise(tiny, np.random.SeedSequence(seed)) for seed in (1, 1, 2))
    pd.testing.assert_frame_equal(one, two)
    assert not one.loss.equals(other.loss)


def test_a_run_that_diverges_is_kept_and_judged_as_such():
    wild = replace(SMOKE["tngd_noise"], learning_rate=1e6, steps=4, every=2, late=1)
    table = run.sweep_run(wild, "TNGD", {"run_time": 1.0}, 0)
    assert np.isinf(table.late_loss.iloc[-1])
    assert table.test_accuracy.isna().all()


def test_tables_command(capsys):
    assert run.main(["--list"]) == 0
    assert capsys.readouterr().out.split() == list(FIGURES)


# -- points of a curve


def test_points_are_means_of_blocks_and_the_last_evaluation():
    log = pd.DataFrame({"step": range(5), "loss": [1.0, 3.0, 2.0, 6.0, 5.0], "test_loss": [np.nan, 7, np.nan, 8, 9]})
    found = curves.points(log.assign(test_accuracy=log.test_loss / 10), 2)
    assert found.step.tolist() == [2, 4, 5]
    assert found.loss.tolist() == [2.0, 4.0, 5.0]
    assert found.test_loss.tolist() == [7.0, 8.0, 9.0]
    assert found.test_accuracy.tolist() == [0.7, 0.8, 0.9]


# -- parts of a step


def test_time_of_the_device():
    parts = step_times.device_seconds(n_rows=640, size=10_000, time=50.0)
    assert parts["load"] == pytest.approx(16 * (640 * (640 + 20_000) + 10_000) / 50e9)
    assert parts["relax"] == pytest.approx(50e-6)
    assert parts["read"] == pytest.approx(3.2e-6)


def test_all_ways_to_a_natural_gradient_agree(batch):
    J, g = batch.rows, batch.gradient
    assert J.shape == (60, batch.model.size)
    F = J.T @ J + batch.damping * np.eye(J.shape[1])
    truth = np.linalg.solve(F, g)
    np.testing.assert_allclose(batch.woodbury(), truth, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(batch.dense(), truth, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(batch.product_with_rows(), batch.product_without_rows(), rtol=1e-8, atol=1e-10)


def test_jacobian_without_its_array(batch, rng):
    v, u = rng.standard_normal(batch.model.size), rng.standard_normal(60)
    np.testing.assert_allclose(batch.operator @ v, batch.rows @ v, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(batch.operator.T @ u, batch.rows.T @ u, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(batch.make_gram(), batch.rows @ batch.rows.T, rtol=1e-8, atol=1e-10)


def test_seconds_is_a_median_without_the_first_call():
    calls = []
    assert step_times.seconds(lambda: calls.append(1), repeats=3) >= 0.0
    assert len(calls) == 4


def test_dense_solves_stop_at_their_size(batch):
    found = batch.natural_seconds(iterations=2, repeats=1)
    assert "NGD" not in found
    assert found["Woodbury"] > found["TNGD"] > found["rows"] > 0.0
    assert "NGD" in batch.natural_seconds(iterations=2, repeats=1, densest=batch.model.size)


# -- momentum in the null space


def test_a_run_can_name_the_optimiser():
    assert optimizer_class(NAME) is NullMomentum


def test_null_momentum_is_what_it_says(rng):
    optimizer = NullMomentum(learning_rate=0.3, damping=0.5, momentum=0.8)
    theta, direction = rng.standard_normal(9), np.zeros(9)
    state = optimizer.init(theta)
    for _ in range(3):
        curvature, F = factors(9, 4, rng)
        g = rng.standard_normal(9)
        seen = np.linalg.qr(np.linalg.svd(F)[0][:, :4])[0]
        direction = np.linalg.solve(F + 0.5 * np.eye(9), g) + 0.8 * (direction - seen @ (seen.T @ direction))
        before = theta
        theta, state = optimizer.step(theta, g, curvature, state)
        np.testing.assert_allclose(theta - before, -0.3 * direction, rtol=1e-9, atol=1e-12)


def test_carried_voltages_are_momentum_in_the_null_space_once_the_driven_modes_have_relaxed(rng):
    """Eigenvalues of F far above 1/t, gradients in its range."""
    time, damping = 5.0, 0.01
    device = tl.optimizers.TNGD(learning_rate=0.1, damping=damping, run_time=time)
    exact = NullMomentum(learning_rate=0.1, damping=damping, momentum=np.exp(-damping * time))
    thetas = [np.zeros(30), np.zeros(30)]
    states = [device.init(thetas[0]), exact.init(thetas[1])]
    for step in range(4):
        curvature, F = factors(30, 5, rng, scale=3.0)
        g = F @ rng.standard_normal(30) if step else np.zeros(30)  # TNGD starts at its first gradient
        for i, optimizer in enumerate((device, exact)):
            thetas[i], states[i] = optimizer.step(thetas[i], g, curvature, states[i])
    np.testing.assert_allclose(thetas[0], thetas[1], rtol=1e-6, atol=1e-9)
    assert np.linalg.norm(thetas[0]) > 0.1


# -- verdicts


def test_every_claim_has_its_number():
    assert {name: set(claims) for name, claims in verdicts.NUMBERS.items()} == {
        name: set(claims) for name, claims in verdicts.EXPECTED.items()
    }
    assert tuple(verdicts.EXPECTED) == FIGURES


@pytest.mark.parametrize("name", FIGURES)
def test_verdicts_of_the_figures(tables, name):
    found = verdicts.verdict(name, tables[name])
    assert len(found) == len(verdicts.EXPECTED[name])
    assert found.holds.isin([True, False]).all()
    assert found.ours.notna().all()


@pytest.mark.parametrize(
    ("rule", "inside", "outside"),
    [({"at_least": 2.0}, 2.0, 1.9), ({"at_most": 1.5}, 1.5, 1.6), ({"value": 4.0, "rtol": 0.1}, 4.3, 4.5),
     ({"value": 1.0, "atol": 0.1}, 0.95, 0.85)],
)  # fmt: skip
def test_rules_tell_inside_from_outside(rule, inside, outside):
    entry = {"measure": "z"} | rule
    assert claims.judged(entry, inside)[0]
    assert not claims.judged(entry, outside)[0]
    assert not claims.judged(entry, float("nan"))[0]
    assert claims.judged(entry, inside)[1].startswith("z ")


def test_z_of_paired_runs():
    assert verdicts.z_of(pd.Series([1.0, 2.0, 3.0]), pd.Series([2.0, 4.0, 6.0])) == pytest.approx(2.0 * np.sqrt(3.0))


def curve_table(losses, seconds):
    """A table of one seed: losses after 10, 20, ... steps by method."""
    rows = [
        {"method": method, "seed": 0, "step": 10 * (i + 1), "loss": loss, "digital_seconds": seconds[method]}
        | {"load_seconds": 0.0, "relax_seconds": 0.0, "read_seconds": 0.0}
        for method, values in losses.items()
        for i, loss in enumerate(values)
    ]
    return pd.DataFrame(rows)


def test_share_of_the_curve_below_adam():
    table = curve_table({"Adam": [4.0, 3.0, 2.0, 1.0], "TNGD": [3.5, 1.5, 1.4, 0.5]}, {"Adam": 1.0, "TNGD": 2.0})
    assert verdicts.below_adam(table, 1.0) == 1.0
    # at twice its time: TNGD begins after 20 of Adam's steps with 3.5 > 3, then 2.5 > 2, then 1.5 > 1
    assert verdicts.below_adam(table, 2.0) == 0.0
    assert verdicts.below_adam(table, verdicts._measured_ratio) == 0.0
    assert verdicts.below_adam(table, 100.0) == 0.0  # not one step within Adam's run
    late = curve_table({"Adam": [4.0, 3.0, 2.0, 1.0], "TNGD": [3.5, 0.9]}, {"Adam": 1.0, "TNGD": 2.0})
    assert verdicts.below_adam(late, 2.0) == pytest.approx(1 / 3)


def carried_table(late):
    """Two seeds that differ by little, from (series, time, delay) to the late loss."""
    return pd.DataFrame(
        [
            {"series": series, "time": time, "delay": delay, "seed": seed, "late_loss": loss * (1.0 + 0.001 * seed)}
            for (series, time, delay), loss in late.items()
            for seed in (0, 1)
        ]
    )


def test_claims_on_the_carried_state():
    late = {("carry", 5.0, 0.0): 1.0, ("carry", 50.0, 0.0): 0.7, ("carry", 5.0, 1.0): 0.8, ("exact", np.inf, 0.0): 0.75}
    late |= {("stale", 5.0, 0.0): 1.01, ("stale", 50.0, 0.0): 0.7}
    for name, short, long in (
        ("gradient", 2.0, 0.8), ("zero", 2.5, 0.8), ("momentum", np.inf, 0.3), ("null momentum", 0.95, 0.7)
    ):  # fmt: skip
        late |= {(name, 5.0, 0.0): short, (name, 50.0, 0.0): long}
    found = verdicts.verdict("tngd_carried_state", carried_table(late)).set_index("claim")
    failing = found.index[~found.holds]
    assert list(failing) == ["carried_state_is_momentum"]
    assert found.ours["carried_state_is_null_momentum"] == pytest.approx(1 / 0.95)
    assert np.isinf(found.ours["carried_state_is_momentum"])
    worse = late | {("carry", 50.0, 0.0): 1.1, ("carry", 5.0, 1.0): 1.05, ("gradient", 50.0, 0.0): 0.5}
    found = verdicts.verdict("tngd_carried_state", carried_table(worse)).set_index("claim")
    broken = ("improves_with_time", "any_delay_helps", "some_beat_exact", "none_beats_exact_started_anew")
    assert not found.holds[list(broken)].any()
    assert found.holds["any_delay_helps_against_a_fresh_start"]
