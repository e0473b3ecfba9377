"""Training with factors, right-hand sides and solutions of few bits."""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from paper_repro.donatella2024.curves import points, run_seeds
from paper_repro.logs import logs
from paper_repro.training import Training
from paper_repro.tuning import tuned

REFERENCES = ("SGD", "Adam", "K-FAC")
LATE = 0.25  # of the steps, over whose evaluations the "late" loss is the mean
LOSSES = ("area", "late")


@dataclass(frozen=True)
class Case:
    """One curve: a method, and for T-KFAC how numbers are rounded and what is done about it."""

    method: str
    variant: str = ""
    rounding: str = ""
    bits: float = np.nan
    options: dict = field(default_factory=dict)


def cases(task: str, settings) -> list[Case]:
    """Every curve of a task."""
    base = {"duration": settings.duration, "workers": 1}

    def rounded(variant, bits, rounding="nearest", converters=("matrix", "dac", "adc"), **options):
        device = {"beta": settings.beta, "rounding": rounding} | {f"{name}_bits": bits for name in converters}
        return Case("T-KFAC", variant, rounding, bits, base | {"device": device} | options)

    members = {"members": settings.members, "mitigation": "stochastic"}
    found = [Case(method) for method in REFERENCES]
    found.append(Case("T-KFAC", "ideal", options=base | {"device": {"beta": settings.beta}}))
    found += [rounded("plain", bits) for bits in settings.bits]
    for bits in dict(settings.remedied_bits)[task]:
        found.append(rounded("plain", bits, "stochastic"))
        found.append(rounded("members", bits, **members))
        found.append(rounded("refine", bits, refine=True, rtol=settings.rtol, duration=None))
        found.append(rounded("input", bits, converters=("matrix", "dac")))
        found.append(rounded("output", bits, converters=("adc",)))
    return found


def quantised_training(settings, seed: np.random.SeedSequence) -> pd.DataFrame:
    """Loss of tuned methods, and of T-KFAC at each word length, rounding and remedy, on each task.

    Columns: task, method, variant ("ideal": not rounded; "plain"; "members": an ensemble of rounded factors; "refine";
    "input": factors and right-hand sides rounded; "output": solutions rounded), rounding, bits, seed; step, loss (mean
    of the batches since the last point), stopped (why a run ended early; its losses are missing); then, in the first
    row of a run: damping, condition_number (largest of a damped factor, median over steps; 0 where there is none),
    area (mean loss of all batches), late (mean test loss in the last quarter), gain_area, gain_late (Adam's less this
    one's, same seed), share_area, share_late (gain over K-FAC's mean gain).
    """
    seeds = run_seeds(seed, settings.seeds)
    triples = [
        (task, case, training(task, case, settings, s))
        for task in settings.tasks
        for case in cases(task, settings)
        for s in seeds
    ]
    found = logs(run for *_, run in triples)
    parts = [
        run_points(case, run, log, settings).assign(task=task)
        for (task, case, run), log in zip(triples, found, strict=True)
    ]
    table = pd.concat(parts, ignore_index=True)
    table = pd.concat([with_gains(of_task) for _, of_task in table.groupby("task", sort=False)], ignore_index=True)
    return told_once(table.drop(columns=["test_loss", "test_accuracy"]))


def told_once(table: pd.DataFrame) -> pd.DataFrame:
    """Facts of a run in its first row alone."""
    facts = ["damping", "condition_number", *(f"{kind}{name}" for kind in ("", "gain_", "share_") for name in LOSSES)]
    later = table.index.difference(runs(table).index)
    table = table.copy()
    table.loc[later, facts] = np.nan
    return table


def training(task: str, case: Case, settings, seed: int) -> Training:
    """The run of a case."""
    changes = {"steps": settings.steps, "evaluate_every": settings.every, "batch_size": settings.batch_size}
    return tuned(task, case.method, seed=seed, options=case.options, **changes)


def run_points(case: Case, run: Training, log: pd.DataFrame, settings) -> pd.DataFrame:
    """The points of one run; a single row without losses where it ended early."""
    labels = {"method": case.method, "variant": case.variant, "rounding": case.rounding, "bits": case.bits}
    labels |= {"seed": run.seed, "damping": run.options.get("damping", np.nan)}
    if (stopped := log["stopped"].iloc[-1]) is not None:
        return pd.DataFrame([labels | {"stopped": stopped}])
    late = log["test_loss"][log["step"] >= (1.0 - LATE) * settings.steps].mean()
    facts = {"area": log["loss"].mean(), "late": late, "stopped": ""}
    facts["condition_number"] = log["condition_number"].median() if "condition_number" in log else 0.0
    return points(log, settings.every).assign(**labels, **facts)


def with_gains(table: pd.DataFrame) -> pd.DataFrame:
    """A task with gains over Adam, seed by seed, and shares of K-FAC's mean gain."""
    table = table.copy()
    firsts = table.drop_duplicates(["method", "variant", "rounding", "bits", "seed"])
    for name in LOSSES:
        if name not in table:
            raise ValueError("no run got to its end; tune the settings anew")
        adam = firsts[firsts.method == "Adam"].set_index("seed")[name]
        table[f"gain_{name}"] = table["seed"].map(adam) - table[name]
        mean = table.loc[firsts.index[firsts.method == "K-FAC"], f"gain_{name}"].mean()
        table[f"share_{name}"] = table[f"gain_{name}"] / mean
    first = ["task", "method", "variant", "rounding", "bits", "seed", "step", "loss", "test_loss", "test_accuracy"]
    return table[[*first, *(name for name in table if name not in first)]]


def runs(table: pd.DataFrame) -> pd.DataFrame:
    """One row a run."""
    return table.drop_duplicates(["task", "method", "variant", "rounding", "bits", "seed"])
