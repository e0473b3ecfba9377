"""All methods with tuned settings: what they reach in how many steps, and in how much time.

The steps and the time are two tables. Only the second needs the machine for itself, and only for the time of a step: it
shows the runs of the first, from the results cache where they are.
"""

from dataclasses import replace

import numpy as np
import pandas as pd

from analysis.results_cache import active, using
from paper_repro import datasets, recipes
from paper_repro.logs import logs
from paper_repro.training import Training
from paper_repro.tuning import METHODS, TASKS, tuned, with_method

from .curves import over_seeds, points, run_seeds
from .settings import DAMPING, PAPER_OPTIONS
from .step_times import Batch, device_seconds

PAPER = " (paper)"
MEASURED, LATE = ["loss", "test_accuracy"], 0.25
TNGD_TIME = METHODS["TNGD"].fixed["run_time"]  # [RC], the paper's
# outputs or derivatives of the network for one sample each, per batch of b samples and dz outputs (Table 1)
MODEL_CALLS = {"NGD": "b dz", "NGD-CG": "2 c", "TNGD": "b dz", "TNGD-Adam": "b dz", "K-FAC": "b dz"}


def optimizers_table(settings, seed: np.random.SeedSequence) -> pd.DataFrame:
    """Training loss and test accuracy of every method against steps.

    Columns: section ("curve", "late"), task, method; for "curve" step, loss (mean of the batches since the last point)
    and test_accuracy, means over seeds, loss_sd and test_accuracy_sd; for "late" seed, loss and test_accuracy, means
    over the last quarter of the points.
    """
    table = all_points(settings, seed)
    last = table.groupby(["task", "method"]).step.transform("max")
    late = table[table.step > (1.0 - LATE) * last].groupby(["task", "method", "seed"], sort=False)[MEASURED]
    curve, late = over_seeds(table, ["task", "method"], MEASURED), late.mean().reset_index()
    return pd.concat([curve.assign(section="curve"), late.assign(section="late")], ignore_index=True)


def all_points(settings, seed: np.random.SeedSequence) -> pd.DataFrame:
    """Points of all runs: task, method, seed, step, loss, test_accuracy."""
    entropy = np.atleast_1d(seed.entropy)[:1]  # the user's seed: the same runs in both tables
    seeds = run_seeds(np.random.SeedSequence(int(entropy[0])), settings.seeds)
    cases = [(task, method, s) for task in settings.tasks for method in settings.methods for s in seeds]
    found = logs(optimizer_run(task, method, settings, s) for task, method, s in cases)
    parts = [
        points(log, settings.every).assign(task=task, method=method, seed=s)
        for (task, method, s), log in zip(cases, found, strict=True)
    ]
    return pd.concat(parts, ignore_index=True)[["task", "method", "seed", "step", *MEASURED]]


def optimizers_in_time(settings, seed: np.random.SeedSequence) -> pd.DataFrame:
    """The same curves with how long the steps take.

    Columns: those of a curve of `optimizers_table`, then for a step, equal in all rows of a method: digital_seconds
    (measured), load_seconds, relax_seconds, read_seconds (of the device, modelled; 0 without one), simulation_seconds
    (measured, what it takes to simulate the device), model_calls (Table 1).
    """
    with using(replace(active(), timed="")):  # no time is read off these
        table = over_seeds(all_points(settings, seed), ["task", "method"], MEASURED)
    times = [
        {"task": task, "method": method} | of_method
        for task in settings.tasks
        for method, of_method in step_seconds(task, settings).items()
    ]
    return table.merge(pd.DataFrame(times), on=["task", "method"])


def optimizer_run(task: str, method: str, settings, seed: int) -> Training:
    """A run with the tuned options, or with the paper's."""
    changes = {
        "seed": seed, "steps": settings.steps, "evaluate_every": settings.every, "batch_size": settings.batch_size,
    }  # fmt: skip
    if not method.endswith(PAPER):
        return tuned(task, method, **changes)
    name = method.removesuffix(PAPER)
    return with_method(TASKS[task], METHODS[name], METHODS[name].fixed | PAPER_OPTIONS[name], **changes)


def step_seconds(task: str, settings) -> dict[str, dict]:
    """For each method the measured and modelled seconds of one step, every method in its quickest form."""
    batch = first_batch(TASKS[task], settings.batch_size, 0)
    iterations = METHODS["NGD-CG"].fixed["iterations"]
    natural = batch.natural_seconds(iterations, settings.timing_repeats)
    short = replace(settings, steps=settings.timing_steps, every=settings.timing_steps)
    names = list(dict.fromkeys(method.removesuffix(PAPER) for method in settings.methods))
    trained = dict(zip(names, logs(optimizer_run(task, name, short, 0) for name in names), strict=True))
    n_rows = settings.batch_size * batch.model.output_size
    found = {}
    for method in settings.methods:
        name = method.removesuffix(PAPER)
        medians = trained[name][["model_seconds", "curvature_seconds", "optimizer_seconds"]].median()
        digital = natural.get({"NGD": "Woodbury", "TNGD-Adam": "TNGD"}.get(name, name), medians.sum())
        on_device = METHODS[name].optimizer == "TNGD"
        parts = device_seconds(n_rows, batch.model.size, TNGD_TIME) if on_device else {}
        found[method] = {
            "digital_seconds": digital,
            **{f"{part}_seconds": parts.get(part, 0.0) for part in ("load", "relax", "read")},
            "simulation_seconds": medians["curvature_seconds"] + medians["optimizer_seconds"] if on_device else 0.0,
            "model_calls": {"b dz": n_rows, "2 c": 2 * iterations}.get(MODEL_CALLS.get(name, ""), 1),
        }
    return found


def first_batch(task: Training, batch_size: int, seed: int) -> Batch:
    """Some samples of a task at its first parameters."""
    data = datasets.load(task.data, None, **task.data_options)
    model = recipes.make_model(task.model, task.model_options)
    inputs, labels = data.take(np.arange(batch_size), "train")
    return Batch(model, model.init(seed), inputs, labels, DAMPING)
