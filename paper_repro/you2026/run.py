"""Tables of the reproduction of You (2026), NGD-T: ``python -m paper_repro.you2026.run``.

Each function takes its settings and a seed sequence and returns a tidy table. Dissipation and metric cost are in nats:
geometry of the model's distribution, not heat of a machine.
"""

import sys
from dataclasses import replace
from itertools import product

import numpy as np
import pandas as pd

from paper_repro import command, datasets, recipes
from paper_repro.logs import log_of, logs
from paper_repro.training import Training
from paper_repro.tuning import LOW_RANK, TASKS, tuned

from .architectures import architectures
from .descent import linear_excess
from .estimators import estimators
from .runs import compared, course, late_mean, reached, run_seeds
from .settings import SCALES

# -- all optimisers under one metric


def dissipation_training(settings, seed: np.random.SeedSequence) -> pd.DataFrame:
    """Dissipation, metric cost and excess along training, and the metric cost of reaching a loss.

    Columns: task, method, seed, series; for the series "course" those of `runs.course`; for "training" and "test", a
    row for each level of that loss: level, step and total_cost when it was reached (missing where it was not).
    """
    parts = []
    for task, method, s, log in _all_logs(settings, seed):
        points = course(log, settings.every)
        rows = [
            {"series": series, "level": level} | _cost_until(points, column, level)
            for series, column, levels in (
                ("training", "loss", settings.training_levels),
                ("test", "test_loss", settings.test_levels),
            )
            for level in levels
        ]
        labels = {"task": task, "method": method, "seed": s}
        parts += [part.assign(**labels) for part in (points.assign(series="course"), _frame(rows))]
    table = pd.concat(parts, ignore_index=True)
    first = ["task", "method", "seed", "series", "level"]
    return table[[*first, *(name for name in table if name not in first)]]


def _all_logs(settings, seed) -> list[tuple[str, str, int, pd.DataFrame]]:
    cases = list(product(settings.tasks, settings.methods, run_seeds(seed, settings.seeds)))
    found = logs(compared(task, method, settings, s) for task, method, s in cases)
    return [(*case, log) for case, log in zip(cases, found, strict=True)]


def _frame(rows: list[dict]) -> pd.DataFrame:
    return pd.DataFrame(rows).astype({"level": float, "step": float, "total_cost": float})


def _cost_until(points: pd.DataFrame, column: str, level: float) -> dict:
    there = reached(points, column, level)
    names = ("step", "total_cost")
    return dict.fromkeys(names, np.nan) if there is None else {name: there[name] for name in names}


def speed_cost(settings, seed: np.random.SeedSequence) -> pd.DataFrame:
    """The Cauchy-Schwarz inequality at every step of the runs of `dissipation_training`.

    Columns: task, method, seed, step, decrease (-g^T d), dissipation (Delta_F), metric_cost (d^T F d).
    """
    columns = ["step", "predicted_decrease", "dissipation", "metric_cost"]
    parts = [
        log[columns].assign(task=task, method=method, seed=s) for task, method, s, log in _all_logs(settings, seed)
    ]
    table = pd.concat(parts, ignore_index=True).rename(columns={"predicted_decrease": "decrease"})
    measured = ["decrease", "dissipation", "metric_cost"]
    table[measured] = table[measured].astype(np.float32)  # seven digits: thousands of rows are kept with the picture
    return table[["task", "method", "seed", "step", *measured]]


# -- rules and budgets


def budget_sweep(settings, seed: np.random.SeedSequence) -> pd.DataFrame:
    """Loss against the budget for each rule, and what the linear rule costs on a quadratic.

    Columns: section; for "training": rule, budget, seed, late_loss (mean over the last steps), test_accuracy, clipped
    (share of steps at eta_max = 1), total_cost (sum of d^T F d), path_length (sum of its roots), eta (median); for
    "quadratic": those of `descent.linear_excess`.
    """
    seeds = run_seeds(seed, settings.seeds)
    cases = [(rule, budget, s) for rule, budgets in settings.budgets for budget in budgets for s in seeds]
    rows = []
    for (rule, budget, s), log in zip(cases, logs(_budget_run(*case, settings) for case in cases), strict=True):
        labels = {"section": "training", "rule": rule, "budget": budget, "seed": s}
        rows.append(labels | _budget_facts(log, settings))
    return pd.concat([pd.DataFrame(rows), linear_excess(settings).assign(section="quadratic")], ignore_index=True)


def _budget_run(rule: str, budget: float, seed: int, settings) -> Training:
    options = {"rule": rule, "budget": budget, "damping": settings.damping}
    return replace(
        TASKS[settings.task], optimizer="NGDT", options=options, curvature=LOW_RANK, seed=seed,
        batch_size=settings.batch_size, steps=settings.steps, evaluate_every=settings.steps,
    )  # fmt: skip


def _budget_facts(log: pd.DataFrame, settings) -> dict:
    return {
        "late_loss": late_mean(log, settings.late),
        "test_accuracy": _last(log, "test_accuracy"),
        "clipped": float(log["clipped"].notna().mean()),
        "total_cost": float(log["metric_cost"].sum()),
        "path_length": float(np.sqrt(log["metric_cost"]).sum()),
        "eta": float(log["learning_rate"].median()),
    }


def _last(log: pd.DataFrame, column: str) -> float:
    """The last evaluation; missing where the run diverged before it."""
    return float(log[column].iloc[-1]) if column in log else np.nan


# -- the null space


def null_fallback(settings, seed: np.random.SeedSequence) -> pd.DataFrame:
    """Training with a rank-deficient Fisher and a step along what it cannot see; how much of a gradient that is.

    Columns: section; for "training": cutoff, null_ratio, seed, late_loss, test_accuracy, level (of the loss) and
    steps_to_level (missing where not reached), clipped; for "blindness": fisher, cutoff, seed, null_fraction
    (|P0 g| / |g|, mean over batches).
    """
    seeds = run_seeds(seed, settings.seeds)
    cases = [
        (cutoff, null_ratio, s) for cutoff in settings.cutoffs for null_ratio in settings.null_ratios for s in seeds
    ]
    rows = []
    for (cutoff, null_ratio, s), log in zip(cases, logs(_null_run(*case, settings) for case in cases), strict=True):
        labels = {"section": "training", "cutoff": cutoff, "null_ratio": null_ratio, "seed": s}
        rows.append(labels | {"level": settings.level} | _null_facts(log, settings))
    rows += [row for s in seeds for row in _blindness(settings, s)]
    return pd.DataFrame(rows)


def _null_run(cutoff: float, null_ratio: float, seed: int, settings) -> Training:
    return replace(
        TASKS[settings.task], optimizer="NGDT", seed=seed, batch_size=settings.batch_size, steps=settings.steps,
        options={"budget": settings.budget, "cutoff": cutoff, "null_ratio": null_ratio},
        curvature=LOW_RANK | {"kind": settings.kind}, evaluate_every=settings.steps,
    )  # fmt: skip


def _null_facts(log: pd.DataFrame, settings) -> dict:
    there = reached(course(log, settings.every), "loss", settings.level)
    return {
        "late_loss": late_mean(log, settings.late),
        "test_accuracy": _last(log, "test_accuracy"),
        "steps_to_level": np.nan if there is None else float(there["step"]),
        "clipped": float(log["clipped"].notna().mean()),
    }


def _blindness(settings, seed: int) -> list[dict]:
    """Rows of one network at its start: how much of a batch's gradient each Fisher cannot see."""
    task = TASKS[settings.task]
    data = datasets.load(task.data, None, **task.data_options)
    model = recipes.make_model(task.model, task.model_options)
    theta, rng = model.init(seed), np.random.default_rng(seed)
    fractions: dict = {}
    for _ in range(settings.blind_batches):
        batch, other = (data.take(rng.integers(data.n_train, size=settings.batch_size), "train") for _ in range(2))
        gradient = model.loss_and_gradient(theta, *batch)[1]
        fishers = {
            "exact": recipes.make_curvature(model, theta, *batch),
            "one label a sample": recipes.make_curvature(model, theta, *batch, kind="sampled", rng=rng),
            "another batch": recipes.make_curvature(model, theta, *other),
            "Kronecker": recipes.make_curvature(model, theta, *batch, shape="kronecker"),
        }
        for name, F in fishers.items():
            for cutoff in settings.blind_cutoffs:
                part = np.linalg.norm(F.null_part(gradient, cutoff)) / np.linalg.norm(gradient)
                fractions.setdefault((name, cutoff), []).append(part)
    labels = {"section": "blindness", "seed": seed}
    return [
        labels | {"fisher": name, "cutoff": cutoff, "null_fraction": float(np.mean(parts))}
        for (name, cutoff), parts in fractions.items()
    ]


# -- caching


def caching(settings, seed: np.random.SeedSequence) -> pd.DataFrame:
    """Loss and measured time of a step against how long eigenbases are kept, compared with other methods.

    Columns: series ("interval", "staleness", "reference"), value (steps, or tolerance), method, seed, late_loss,
    test_accuracy, then seconds of a step: model_seconds, curvature_seconds (medians), optimizer_seconds (a mean, so
    that seldom work counts; the first step is left out), step_seconds (their sum).
    """
    seeds, rows = run_seeds(seed, settings.seeds), []
    for s in seeds:  # methods change fastest: what else the machine does meets all of them alike
        for labels, run in _caching_cases(settings):
            log = log_of(replace(run, seed=s))
            rows.append(labels | {"seed": s} | _timed(log, settings.late))
    return pd.DataFrame(rows)


def _caching_cases(settings) -> list[tuple[dict, Training]]:
    changes = {"batch_size": settings.batch_size, "steps": settings.steps, "evaluate_every": settings.steps}
    kept = [("interval", n, {"interval": n}) for n in settings.intervals]
    kept += [("staleness", tolerance, {"staleness": tolerance}) for tolerance in settings.tolerances]
    cases = []
    for series, value, tracking in kept:
        run = tuned(settings.task, "NGD-T (K-FAC)", **changes, options={"tracking": tracking})
        cases.append(({"series": series, "value": float(value), "method": "NGD-T (K-FAC)"}, run))
    for method in settings.references:
        labels = {"series": "reference", "value": np.nan, "method": method}
        cases.append((labels, tuned(settings.task, method, **changes)))
    return cases


def _timed(log: pd.DataFrame, late: int) -> dict:
    after_first = log.iloc[1:]
    parts = {name: float(after_first[name].median()) for name in ("model_seconds", "curvature_seconds")}
    parts["optimizer_seconds"] = float(after_first["optimizer_seconds"].mean())
    found = {"late_loss": late_mean(log, late), "test_accuracy": _last(log, "test_accuracy")}
    return found | parts | {"step_seconds": sum(parts.values())}


TABLES = {
    "ngdt_dissipation_training": dissipation_training,
    "ngdt_speed_cost": speed_cost,
    "ngdt_budget_sweep": budget_sweep,
    "ngdt_null_fallback": null_fallback,
    "ngdt_caching": caching,
    "ngdt_estimators": estimators,
    "ngdt_architectures": architectures,
}


def main(argv=None) -> int:
    """The command line."""
    return command.main("paper_repro.you2026.run", TABLES, SCALES, argv)


if __name__ == "__main__":
    sys.exit(main())
