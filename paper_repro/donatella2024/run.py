"""Tables behind the figures of Donatella et al., arXiv:2405.13817: ``python -m paper_repro.donatella2024.run``.

Each function takes its settings and a seed sequence and returns a tidy table. Device times are modelled; digital times
are measured where this runs.
"""

import sys
from dataclasses import replace

import numpy as np
import pandas as pd

import thermolinalg as tl
from paper_repro import command, datasets, recipes
from paper_repro.training import Training, train
from paper_repro.tuning import LOW_RANK, METHODS, TASKS, tuned, with_method

from .null_momentum import NullMomentum
from .settings import DAMPING, PAPER_OPTIONS, SCALES
from .step_times import Batch, device_seconds, seconds

PAPER = " (paper)"
TNGD_TIME = METHODS["TNGD"].fixed["time"]  # [RC], the paper's
# outputs or derivatives of the network for one sample each, per batch of b samples and dz outputs (Table 1)
MODEL_CALLS = {"NGD": "b dz", "NGD-CG": "2 c", "TNGD": "b dz", "TNGD-Adam": "b dz", "K-FAC": "b dz"}


def run_seeds(seed: np.random.SeedSequence, n: int) -> list[int]:
    """Seeds of n runs; the same ones for all that is compared, so that differences are within pairs."""
    return [int(word) for word in seed.generate_state(n)]


def points(log: pd.DataFrame, every: int) -> pd.DataFrame:
    """The log in blocks of `every` steps: step (those taken at its end), mean loss, the last evaluation in it."""
    blocks = log.groupby(log["step"] // every)
    columns = {"step": blocks["step"].max() + 1, "loss": blocks["loss"].mean()}
    for name in ("test_loss", "test_accuracy"):
        columns[name] = blocks[name].last()
    return pd.DataFrame(columns).reset_index(drop=True)


# -- all optimisers with tuned settings


def optimizers_table(settings, seed: np.random.SeedSequence) -> pd.DataFrame:
    """Training loss and test accuracy of every method, and how long its steps take.

    Columns: task, method, seed; step, loss (mean of the batches since the last point), test_loss, test_accuracy; then
    for a step, equal in all rows of a method: digital_seconds (measured), load_seconds, relax_seconds, read_seconds
    (of the device, modelled; 0 without one), simulation_seconds (measured, what it takes to simulate the device),
    model_calls (Table 1).
    """
    seeds, parts = run_seeds(seed, settings.seeds), []
    for task in settings.tasks:
        logs = {
            method: [train(optimizer_run(task, method, settings, s), progress=False) for s in seeds]
            for method in settings.methods
        }
        times = step_seconds(task, logs, settings, seeds[0])
        for method, found in logs.items():
            for s, log in zip(seeds, found, strict=True):
                labels = {"task": task, "method": method, "seed": s}
                parts.append(points(log, settings.every).assign(**labels, **times[method]))
    table = pd.concat(parts, ignore_index=True)
    return table[["task", "method", "seed", *(name for name in table if name not in ("task", "method", "seed"))]]


def optimizer_run(task: str, method: str, settings, seed: int) -> Training:
    """A run with the tuned options, or with the paper's."""
    changes = {
        "seed": seed, "steps": settings.steps, "evaluate_every": settings.every, "batch_size": settings.batch_size,
    }  # fmt: skip
    if not method.endswith(PAPER):
        return tuned(task, method, **changes)
    name = method.removesuffix(PAPER)
    return with_method(TASKS[task], METHODS[name], METHODS[name].fixed | PAPER_OPTIONS[name], **changes)


def step_seconds(task: str, logs: dict, settings, seed: int) -> dict[str, dict]:
    """For each method the measured and modelled seconds of one step, every method in its quickest form."""
    batch = first_batch(TASKS[task], settings.batch_size, seed)
    iterations = METHODS["NGD-CG"].fixed["iterations"]
    natural = batch.natural_seconds(iterations, settings.timing_repeats)
    outputs = batch.model.output_size
    found = {}
    for method, runs in logs.items():
        name = method.removesuffix(PAPER)
        medians = pd.concat(runs)[["model_seconds", "curvature_seconds", "optimizer_seconds"]].median()
        digital = natural.get({"NGD": "Woodbury", "TNGD-Adam": "TNGD"}.get(name, name), medians.sum())
        on_device = METHODS[name].optimizer == "TNGD"
        n_rows = settings.batch_size * outputs
        parts = device_seconds(n_rows, batch.model.size, TNGD_TIME) if on_device else {}
        calls = {"b dz": n_rows, "2 c": 2 * iterations}.get(MODEL_CALLS.get(name, ""), 1)
        found[method] = {
            "digital_seconds": digital,
            **{f"{part}_seconds": parts.get(part, 0.0) for part in ("load", "relax", "read")},
            "simulation_seconds": medians["curvature_seconds"] + medians["optimizer_seconds"] if on_device else 0.0,
            "model_calls": calls,
        }
    return found


def first_batch(task: Training, batch_size: int, seed: int) -> Batch:
    """Some samples of a task at its first parameters."""
    data = datasets.load(task.data, None, **task.data_options)
    model = recipes.make_model(task.model, task.model_options)
    inputs, labels = data.take(np.arange(batch_size), "train")
    return Batch(model, model.init(seed), inputs, labels, DAMPING)


# -- carried state, relaxation time, delay


def carried_state(settings, seed: np.random.SeedSequence) -> pd.DataFrame:
    """Loss with each relaxation time, delay and start of the voltages, and with natural gradient with momentum.

    Columns: series ("carry", "stale", "gradient", "zero": TNGD; "momentum": exact natural gradient with momentum
    exp(-damping time); "null momentum": in the null space of each curvature only; "exact": none), time, delay [RC],
    momentum, seed, step, loss (mean of the batches since the last point), test_loss, test_accuracy, late_loss (mean
    over the last steps, equal in all rows of a run; inf if it diverged).
    """
    rows, seeds = [], run_seeds(seed, settings.seeds)
    for labels, optimizer, options in carried_cases(settings):
        rows += [sweep_run(settings, optimizer, options, s).assign(**labels, seed=s) for s in seeds]
    return pd.concat(rows, ignore_index=True)


def carried_cases(settings) -> list[tuple[dict, str, dict]]:
    """(labels, optimiser, options) of every curve."""
    cases = []
    for time in settings.times:
        momentum = float(np.exp(-settings.damping * time))
        labels = {"time": time, "delay": 0.0, "momentum": momentum}
        for start in ("carry", "gradient", "zero"):
            cases.append((labels | {"series": start}, "TNGD", {"time": time, "start": start}))
        cases.append((labels | {"series": "momentum"}, "NaturalGradient", {"momentum": momentum}))
        cases.append((labels | {"series": "null momentum"}, NullMomentum.__name__, {"momentum": momentum}))
    first, last = settings.times[0], settings.times[-1]
    for time in (first, last):
        labels = {"series": "stale", "time": time, "delay": 0.0, "momentum": float(np.exp(-settings.damping * time))}
        cases.append((labels, "TNGD", {"time": time, "curvature_timing": "stale"}))
    for delay in settings.delays:
        labels = {"series": "carry", "time": first, "delay": delay}
        labels["momentum"] = float(np.exp(-settings.damping * (first + delay)))
        cases.append((labels, "TNGD", {"time": first, "delay": delay}))
    exact = {"series": "exact", "time": np.inf, "delay": 0.0, "momentum": 0.0}
    return [*cases, (exact, "NaturalGradient", {})]


def sweep_run(settings, optimizer: str, options: dict, seed: int) -> pd.DataFrame:
    """Points of one run at the learning rate and damping of a sweep."""
    common = {"learning_rate": settings.learning_rate, "damping": settings.damping}
    run = replace(
        TASKS[settings.task], optimizer=optimizer, options=common | options, curvature=LOW_RANK, seed=seed,
        batch_size=settings.batch_size, steps=settings.steps, evaluate_every=settings.steps,
    )  # fmt: skip
    log = train(run, progress=False)
    late = log["loss"].tail(settings.late).mean() if log["stopped"].iloc[-1] is None else np.inf
    return points(log.reindex(columns=[*log, *METRICS.difference(log.columns)]), settings.every).assign(late_loss=late)


METRICS = pd.Index(["test_loss", "test_accuracy"])  # missing from the log of a run that diverged at once


# -- noise


def noise(settings, seed: np.random.SeedSequence) -> pd.DataFrame:
    """Loss against thermal noise kappa0 = 1/beta, with voltages carried or started at the gradient.

    Columns: start, kappa0, seed, step, loss, test_loss, test_accuracy, late_loss as in `carried_state`.
    """
    rows, seeds = [], run_seeds(seed, settings.seeds)
    for start in settings.starts:
        for kappa0 in settings.kappas:
            options = {"time": settings.time, "start": start, "beta": np.inf if kappa0 == 0.0 else 1.0 / kappa0}
            runs = [sweep_run(settings, "TNGD", options, s).assign(seed=s) for s in seeds]
            rows.append(pd.concat(runs).assign(start=start, kappa0=kappa0))
    return pd.concat(rows, ignore_index=True)


# -- what a step costs


def step_cost(settings, seed: np.random.SeedSequence) -> pd.DataFrame:
    """Seconds of a step.

    Columns: section, series, part, N, dz, time [RC], seconds. Sections: "parts" of a step of TNGD simulated by its law
    and by Euler steps; "t_sweep", the relaxation times of the settings together, after the Jacobian; "N" and "dz",
    steps of natural gradient by each method, of which TNGD has device parts; "device", modelled solves of large
    networks.
    """
    rng_seed = run_seeds(seed, 1)[0]
    rows = _parts(first_batch(TASKS[settings.task], settings.batch_size, rng_seed), settings)
    cases = [("N", width, settings.classes) for width in settings.widths]
    cases += [("dz", settings.width, dz) for dz in settings.outputs]
    pairs = dict.fromkeys(case[1:] for case in cases)
    measured = {pair: _methods(random_batch(*pair, settings, rng_seed), settings) for pair in pairs}
    for section, *case in cases:
        rows += [row | {"section": section} for row in measured[tuple(case)]]
    for size, n_rows in ((10_000, 640), (100_000, 640), (100_000, 6400)):
        labels = {"section": "device", "series": "TNGD", "N": size, "dz": n_rows // 32, "time": settings.time}
        parts = device_seconds(n_rows, size, settings.time)
        rows += [labels | {"part": part, "seconds": value} for part, value in parts.items()]
    return pd.DataFrame(rows)


def random_batch(width: int, dz: int, settings, seed: int) -> Batch:
    """Noise for images, of a network with this hidden width and so many outputs."""
    rng = np.random.default_rng((seed, width, dz))
    options = TASKS["digits_conv"].model_options | {"hidden": width, "classes": dz}
    model = recipes.make_model("conv_net", options)
    inputs = rng.standard_normal((settings.batch_size, *options["image_shape"]))
    labels = rng.integers(0, dz, settings.batch_size)
    return Batch(model, model.init(rng), inputs, labels, settings.damping)


def _methods(batch: Batch, settings) -> list[dict]:
    """A row for each method; for TNGD one for the digital part and one for each part of the device."""
    size, dz = batch.model.size, batch.model.output_size
    labels = {"N": size, "dz": dz, "time": settings.time}
    found = batch.natural_seconds(settings.iterations, settings.repeats, settings.densest)
    rows = [
        labels | {"series": series, "part": "digital", "seconds": found[series]}
        for series in ("NGD", "Woodbury", "NGD-CG", "TNGD")
        if series in found
    ]
    device = device_seconds(settings.batch_size * dz, size, settings.time)
    return rows + [labels | {"series": "TNGD", "part": part, "seconds": value} for part, value in device.items()]


def _parts(batch: Batch, settings) -> list[dict]:
    """Rows of the simulation by its law, with J and without, and by Euler steps."""
    steps, repeats = round(settings.time / settings.euler_step), settings.repeats
    gram = batch.make_gram()
    held = {
        "law, J": tl.curvature.LowRankCurvature(batch.rows, gram=gram),
        "law, no J": tl.curvature.LowRankCurvature(batch.operator, gram=gram),
    }
    rows = seconds(batch.make_rows, repeats)
    eigh = seconds(lambda: tl.curvature.LowRankCurvature(batch.rows, gram=gram), repeats)
    draws = {name: seconds(lambda F=F: _draw(batch, F, settings.time), repeats) for name, F in held.items()}
    dense = seconds(batch.product_with_rows, repeats)
    free = seconds(batch.product_without_rows, repeats)
    parts = {
        "law, J": {
            "Jacobian": rows, "Gram": seconds(lambda: batch.rows @ batch.rows.T, repeats), "eigh": eigh,
            "products": draws["law, J"],
        },
        "law, no J": {"Gram": seconds(batch.make_gram, repeats), "eigh": eigh, "products": draws["law, no J"]},
        "Euler, J": {"Jacobian": rows, "products": steps * dense},
        "Euler, no J": {"products": steps * free},
    }  # fmt: skip
    labels = {"N": batch.model.size, "dz": batch.model.output_size, "time": settings.time}
    found = [
        {"section": "parts", "series": series, "part": part, "seconds": value} | labels
        for series, by_part in parts.items()
        for part, value in by_part.items()
    ]
    n, euler = len(settings.sweep), sum(settings.sweep) / settings.euler_step
    factorised = parts["law, J"]["Gram"] + eigh
    draw = sum(seconds(lambda t=t: _draw(batch, held["law, J"], t), repeats) for t in settings.sweep)
    totals = {"one factorisation": factorised + draw, "one each": n * factorised + draw, "Euler": euler * dense}
    return found + [
        {"section": "t_sweep", "series": series, "part": "total", "seconds": value, **labels, "time": np.nan}
        for series, value in totals.items()
    ]


def _draw(batch: Batch, F, time: float) -> None:
    """One step of TNGD with a curvature that is factorised already."""
    optimizer = tl.optimizers.TNGD(learning_rate=0.01, damping=batch.damping, time=time, beta=1e6, rng=0)
    optimizer.step(batch.theta, batch.gradient, F, optimizer.init(batch.theta))


TABLES = {
    "tngd_optimizers": optimizers_table,
    "tngd_carried_state": carried_state,
    "tngd_noise": noise,
    "tngd_step_cost": step_cost,
}


def main(argv=None) -> int:
    """The command line."""
    return command.main("paper_repro.donatella2024.run", TABLES, SCALES, argv)


if __name__ == "__main__":
    sys.exit(main())
