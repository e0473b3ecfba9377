"""Fine-tuning as in Donatella et al., arXiv:2405.13817: the runs, their tuning, verdicts on made-up losses."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from paper_repro.donatella2024 import finetuning, finetuning_grid, settings, verdicts
from paper_repro.training import train
from paper_repro.tuning import METHODS

pytestmark = pytest.mark.usefixtures("quick_compilation")
SMOKE = settings.SCALES["smoke"]["tngd_finetuning"]


def test_no_factor_has_an_effect_before_the_first_step():
    base = finetuning_grid.task(replace(SMOKE, steps=1))
    options = {"SGD": {"learning_rate": 0.1}, "TNGD": {"learning_rate": 0.1, "run_time": 1.0}}
    runs = [finetuning_grid.method_run(base, METHODS[name], options[name], 3) for name in options]
    losses = [train(run, progress=False).loss[0] for run in runs]
    unmoved = finetuning_grid.method_run(replace(base, steps=4), METHODS["SGD"], finetuning.UNMOVED, 3)
    log = train(unmoved, progress=False)
    assert losses[0] == losses[1] == log.loss[0]
    assert log.step_norm.max() < 1e-9
    assert log.loss.between(3.0, 5.0).all()  # log 96 = 4.56, hardly pre-trained


def test_runs_have_the_papers_options():
    cases = {tuple(list(labels.values())[:4]): options for labels, _, options in finetuning._cases(SMOKE)}
    short = cases["paper", "TNGD-Adam", "carry", 0.1]
    assert (short["run_time"], short["damping"], short["start"]) == (0.1, 1.0, "carry")
    assert short["inner"] == {"name": "Adam", "learning_rate": 1e-3, "beta1": 0.0, "beta2": 0.0}
    assert cases["paper", "TNGD", "carry", 0.4]["learning_rate"] == 0.01
    assert cases["paper", "TNGD-Adam", "gradient", 0.4]["start"] == "gradient"
    momentum = cases["paper", "signSGD", "momentum", 0.4]
    assert momentum == {"learning_rate": 1e-3, "momentum": pytest.approx(0.670320, abs=1e-6)}  # exp(-0.4)
    base = finetuning_grid.task(SMOKE)
    run = finetuning_grid.method_run(base, METHODS["TNGD-Adam"], short, 5)
    assert (run.curvature, run.seed) == ({"kind": "sampled", "shape": "low_rank", "n_draws": 2}, 5)
    assert finetuning_grid.method_run(base, METHODS["signSGD"], momentum, 5).curvature == {}


def test_grid_of_fine_tuning_gives_every_method_the_same_budget():
    assert {len(method.settings()) for method in finetuning_grid.GRIDS.values()} == {6}
    assert set(SMOKE.methods) == set(finetuning_grid.GRIDS)
    table = pd.read_csv(finetuning_grid.FOLDER / f"{finetuning_grid.NAME}.csv")
    assert {name: len(rows) for name, rows in table.groupby("method")} == dict.fromkeys(finetuning_grid.GRIDS, 6)
    for name, best in finetuning_grid.best_of(table).items():
        assert best["training_loss"] == table[table.method == name].training_loss.min()
        assert best["options"] == finetuning_grid.tuned_options(name)


def test_claims_on_fine_tuning():
    late = {
        ("tuned", "Adam", None): 1.0, ("tuned", "Adam(0,0)", None): 0.7, ("tuned", "signSGD", None): 0.9,
        ("tuned", "TNGD", 50.0): 1.2, ("tuned", "TNGD-Adam", 50.0): 0.8, ("paper", "Adam", None): 1.0,
        ("paper", "signSGD", None): 0.9, ("paper", "TNGD", 0.4): 1.5, ("paper", "TNGD-Adam", 0.1): 0.8,
        ("paper", "TNGD-Adam", 0.4): 0.6,
    }  # fmt: skip
    rows = [
        {"section": section, "method": method, "start": "" if time is None else "carry", "time": time, "seed": seed}
        | dict.fromkeys(("late_loss", "test_loss"), loss * (1.0 + 0.001 * seed))
        for (section, method, time), loss in late.items()
        for seed in (0, 1)
    ]
    table = pd.DataFrame(rows).astype({"time": float})
    found = verdicts.verdict("tngd_finetuning", table).set_index("claim")
    assert np.isnan(found.ours["improves_with_time_started_anew"])  # not in this table
    failing = ["improves_with_time_started_anew", "tuned_tngd_adam_below_sign_rules", "tuned_tngd_below_adam"]
    assert list(found.index[~found.holds]) == failing
    table.loc[(table.method == "TNGD-Adam") & (table.time == 0.4), "late_loss"] += 0.5  # now above its shorter time
    holds = verdicts.verdict("tngd_finetuning", table).set_index("claim").holds
    assert not holds[["tngd_adam_best", "improves_with_time", "tngd_adam_below_sign_rule"]].any()
