"""A training run is a value: the same settings give the same log, also after a kill; what goes wrong is said."""

import json
from itertools import product

import numpy as np
import pandas as pd
import pytest

import thermolinalg as tl
from paper_repro import recipes, training, tuning
from paper_repro.training import TIMES, Training, train, trained
from thermolinalg.optimizers import SGD

SMALL = {
    "data": "digits", "model": "mlp", "model_options": {"sizes": [64, 4, 10]}, "batch_size": 8, "evaluate_every": 3,
}  # fmt: skip
LOW_RANK, KRONECKER = {"kind": "exact", "shape": "low_rank"}, {"kind": "exact", "shape": "kronecker"}
RUNS = {
    "SGD": {"optimizer": "SGD", "options": {"learning_rate": 0.1, "momentum": 0.9}},
    "TNGD": {
        "optimizer": "TNGD", "options": {"inner": {"name": "Adam"}, "run_time": 5.0, "device": {"beta": 1e4}},
        "curvature": LOW_RANK,
    },
    "T-KFAC": {
        "optimizer": "ThermodynamicKFAC", "curvature": KRONECKER,
        "options": {"learning_rate": 0.1, "damping": 0.1, "tracking": {"interval": 2}, "device": {"preset": "tngd"}},
    },
    "K-FAC": {
        "optimizer": "KFAC", "curvature": {"kind": "sampled", "shape": "kronecker"},
        "options": {"learning_rate": 0.1, "damping": {"initial": 1.0, "interval": 1}},
    },
    "NGD-T": {"optimizer": "NGDT", "options": {"budget": 1e-2, "damping": 1e-2}, "curvature": LOW_RANK, "halves": True},
}  # fmt: skip


def run(name, steps=7, **changes):
    return Training(**(SMALL | RUNS[name] | {"steps": steps} | changes))


def untimed(table):
    return table.drop(columns=list(TIMES), errors="ignore")


@pytest.mark.parametrize("name", list(RUNS))
def test_a_run_that_was_killed_ends_as_one_that_was_not(name, tmp_path, monkeypatch):
    settings, path = run(name), tmp_path / "run.npz"
    whole = train(settings, progress=False)
    learn, calls = training._learn, []

    def killed(*args):
        if len(calls) == 5:
            raise KeyboardInterrupt
        calls.append(1)
        return learn(*args)

    monkeypatch.setattr(training, "_learn", killed)
    with pytest.raises(KeyboardInterrupt):
        train(settings, checkpoint=path, checkpoint_every=2, progress=False)
    monkeypatch.undo()
    resumed = train(settings, checkpoint=path, checkpoint_every=2, progress=False)
    assert len(resumed) == len(whole) == 7
    assert untimed(whole).equals(untimed(resumed)[untimed(whole).columns])
    assert [f.name for f in tmp_path.iterdir()] == ["run.npz"]  # nothing half written is left
    again = train(settings, checkpoint=path, progress=False)  # finished: nothing is run
    assert untimed(again).equals(untimed(resumed))


def test_the_seed_is_the_only_chance(tmp_path):
    one, same, other = (untimed(train(run("TNGD", seed=seed), progress=False)) for seed in (0, 0, 1))
    assert one.equals(same)
    assert not one["loss"].equals(other["loss"])


def test_the_log_has_what_a_figure_needs():
    log = train(run("NGD-T", metric=LOW_RANK, metric_every=2, halves=False), progress=False)
    assert list(log["step"]) == list(range(7))
    assert log["test_accuracy"].notna().sum() == 3  # after steps 2, 5, and the last
    assert log["loss"].iloc[-1] < log["loss"].iloc[0]
    assert (log["excess"] > 1.0 - 1e-9).all()
    assert (log[list(TIMES)] >= 0.0).all().all()
    assert log.attrs["settings"]["optimizer"] == "NGDT"
    json.dumps(log.attrs["settings"])


def test_the_metric_is_the_same_for_all_optimisers():
    """At the first step every optimiser meets the same gradient and the same F, so the same Delta_F."""
    first = [train(run(name, steps=1, metric=LOW_RANK), progress=False).iloc[0] for name in ("SGD", "T-KFAC", "TNGD")]
    np.testing.assert_allclose([row["dissipation"] for row in first], first[0]["dissipation"], rtol=1e-9)
    assert len({row["metric_cost"] for row in first}) == 3


def test_a_run_that_diverges_stops_and_says_so(tmp_path):
    settings, path = run("SGD", steps=50, options={"learning_rate": 1e4}), tmp_path / "run.npz"
    log = train(settings, checkpoint=path, progress=False)
    assert len(log) < 50
    assert log["stopped"].iloc[-1].startswith("diverged at step")
    assert log["stopped"].iloc[:-1].isna().all()
    assert untimed(train(settings, checkpoint=path, progress=False)).equals(untimed(log))
    with pytest.raises(FloatingPointError, match="did not get to its end: diverged"):
        trained(settings, progress=False)


def test_a_run_whose_device_refuses_stops_and_says_so(tmp_path):
    """Too few bits for a damped factor: what was learned before is kept."""
    options = RUNS["T-KFAC"]["options"] | {"damping": 0.01, "device": {"matrix_bits": 4, "beta": 1e6}}
    settings, path = run("T-KFAC", steps=20, options=options), tmp_path / "run.npz"
    log = train(settings, checkpoint=path, progress=False)
    step, stopped = log["step"].iloc[-1], log["stopped"].iloc[-1]
    assert len(log) == step + 1 < 20
    assert stopped.startswith(f"refused at step {step}: NotPositiveDefinite: ")
    assert "matrix_bits=" in stopped
    assert "; layer " in stopped  # a note of the error
    assert log["stopped"].iloc[:-1].isna().all()
    assert log["loss"].notna().all()  # of the batch before the step that was refused
    assert untimed(train(settings, checkpoint=path, progress=False)).equals(untimed(log))
    with pytest.raises(FloatingPointError, match="did not get to its end: refused at step"):
        trained(settings, progress=False)


@pytest.mark.parametrize("error", [tl.errors.NotConverged, tl.errors.QuantizationFloor])
def test_every_refusal_is_told_with_its_step_and_notes(error, monkeypatch):
    settings, step = run("SGD", steps=5), SGD.step

    def refusing(self, theta, gradient, curvature, state, **options):
        if state.step == 2:
            refusal = error("no more")
            refusal.add_note("layer 7")
            raise refusal
        return step(self, theta, gradient, curvature, state, **options)

    monkeypatch.setattr(SGD, "step", refusing)
    log = train(settings, progress=False)
    assert len(log) == 3
    assert log["stopped"].iloc[-1] == f"refused at step 2: {error.__name__}: no more; layer 7"


def test_other_errors_are_not_swallowed(monkeypatch):
    def broken(*args, **options):
        raise ValueError("a mistake")

    monkeypatch.setattr(SGD, "step", broken)
    with pytest.raises(ValueError, match="a mistake"):
        train(run("SGD"), progress=False)


def test_fine_tuning_starts_where_pretraining_ended():
    text = {"data": "topics_text", "data_options": {"part": "pretrain", "n_train": 32, "n_test": 8, "context": 8}}
    model = {"model": "transformer", "batch_size": 4, "evaluate_every": 2,
             "model_options": {"vocabulary": 96, "width": 8, "heads": 2, "depth": 1, "context": 8}}  # fmt: skip
    sgd = {"optimizer": "SGD", "options": {"learning_rate": 0.1}}
    before = Training(**text, **model, **sgd, steps=2)
    text["data_options"] = text["data_options"] | {"part": "finetune"}
    after = Training(
        **text, **model, steps=2, pretrain=before, lora={"rank": 2}, optimizer="NaturalGradient",
        options={"learning_rate": 0.1, "damping": 0.1}, curvature={"kind": "sampled", "shape": "low_rank"},
    )  # fmt: skip
    log = train(after, progress=False)
    data, base, theta = training._prepared(after, None, progress=False)
    indices = next(training._batches(data, after))[1]
    inputs, labels = data.take(indices)
    # no factor has an effect at first: what is tuned starts as the model that was pre-trained
    assert log["loss"].iloc[0] == pytest.approx(base.loss(theta, inputs, labels), rel=1e-12)
    plain = recipes.make_model(before.model, before.model_options)
    assert log["loss"].iloc[0] == pytest.approx(plain.loss(trained(before, progress=False), inputs, labels), rel=1e-9)
    assert base.size < plain.size


def test_masked_labels_are_not_learned_from():
    graph = Training(
        data="karate_club", model="graph_convolution",
        model_options={"features": 34, "hidden": 4, "classes": 2, "level": "node"}, batch_size=1, steps=3,
        evaluate_every=3, optimizer="NaturalGradient", options={"learning_rate": 0.3, "damping": 0.1},
        curvature=LOW_RANK,
    )  # fmt: skip
    log = train(graph, progress=False)
    assert log["loss"].iloc[-1] < log["loss"].iloc[0]


def test_every_kind_of_curvature_trains():
    for kind in ("exact", "ggn", "sampled", "empirical"):
        log = train(run("TNGD", steps=2, curvature={"kind": kind, "shape": "low_rank"}), progress=False)
        assert log["stopped"].isna().all(), kind


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": 0}, "steps must be at least 1"),
        ({"data": "clouds"}, "unknown data 'clouds'"),
        ({"curvature": {}}, "TNGD needs a curvature"),
    ],
)
def test_settings_that_cannot_be(changes, message):
    with pytest.raises(ValueError, match=message):
        run("TNGD", **changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": "forest"}, "unknown model 'forest'"),
        ({"optimizer": "Guess"}, "unknown optimizer 'Guess'"),
        ({"curvature": {"shape": "round"}}, "shape must be one of"),
        ({"options": {"learning_rate": 0.1, "device": {"colour": 3}}}, "device has no colour"),
        ({"options": {"learning_rate": 0.1, "device": {"preset": "toaster"}}}, "preset must be 'tngd'"),
    ],
)
def test_runs_that_cannot_be(changes, message):
    with pytest.raises(ValueError, match=message):
        train(run("TNGD", **changes), progress=False)


def test_a_checkpoint_of_another_run_is_refused(tmp_path):
    path = tmp_path / "run.npz"
    train(run("SGD", steps=1), checkpoint=path, progress=False)
    with pytest.raises(ValueError, match="checkpoint of a run with other settings"):
        train(run("SGD", steps=2), checkpoint=path, progress=False)


def test_every_method_has_the_same_tuning_budget():
    assert set(tuning.MOVED) <= set(tuning.TASKS)
    for task, name in product(tuning.TASKS, tuning.METHODS):
        method = tuning.candidates(task, name)
        settings = [json.dumps(options, sort_keys=True) for options in method.settings()]
        assert len(set(settings)) == tuning.BUDGET, (task, name)
        assert set(method.grid) == set(tuning.METHODS[name].grid)
        recipes.make_optimizer(method.optimizer, method.settings()[0], seed=0)
    for name, method in tuning.SMALL_METHODS.items():
        assert len(method.settings()) == tuning.SMALL_BUDGET, name
        assert method.optimizer == tuning.METHODS[name].optimizer


@pytest.mark.parametrize("task", [*tuning.TASKS, *tuning.SMALL_TASKS])
def test_the_settings_in_use_are_the_best_of_the_grids_in_the_code(task):
    """The committed files are those of these grids, whole, and no run of a better mean was passed over."""
    small = task in tuning.SMALL_TASKS
    tried = pd.read_csv(tuning.FOLDER / f"{task}.csv")
    best = json.loads((tuning.FOLDER / f"{task}.json").read_text())
    assert set(best) == set(tried.method) == set(tuning.SMALL_METHODS if small else tuning.METHODS)
    for name, found in best.items():
        method, rows = tuning.candidates(task, name), tried[tried.method == name]
        assert found["grid"] == json.loads(json.dumps(method.grid)), name
        wanted = {json.dumps(options, sort_keys=True) for options in method.settings()}
        assert set(rows.options) == wanted, name
        assert set(rows.seed) == set(tuning.SMALL_SEEDS if small else tuning.SEEDS)
        means = {options: of.validation_loss.mean() for options, of in rows.groupby("options")}
        assert found["validation_loss"] == pytest.approx(min(means.values()))
        assert means[json.dumps(found["options"], sort_keys=True)] == min(means.values())


def test_tuning_writes_all_it_tried_and_the_best(tmp_path, monkeypatch):
    monkeypatch.setattr(tuning, "FOLDER", tmp_path)
    monkeypatch.setattr(tuning, "SEEDS", (100,))
    monkeypatch.setitem(tuning.TASKS, "digits_mlp", Training(**(SMALL | RUNS["SGD"]), steps=3))
    assert tuning.main(["digits_mlp", "--methods", "SGD"]) == 0
    assert tuning.main(["digits_mlp", "--methods", "Adam"]) == 0
    best = json.loads((tmp_path / "digits_mlp.json").read_text())
    assert set(best) == {"SGD", "Adam"}
    settings = tuning.tuned("digits_mlp", "Adam", seed=5, options={"eps": 1e-6})
    assert (settings.optimizer, settings.seed, settings.options["eps"]) == ("Adam", 5, 1e-6)
    with pytest.raises(ValueError, match="K-FAC has not been tuned on digits_mlp"):
        tuning.tuned("digits_mlp", "K-FAC")
    with pytest.raises(SystemExit):
        tuning.main(["digits_forest"])
