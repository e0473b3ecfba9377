"""Tables behind the figures of Donatella et al., arXiv:2405.13817: ``python -m paper_repro.donatella2024.run``.

Each function takes its settings and a seed sequence and returns a tidy table. Device times are modelled; digital times
are measured where this runs.
"""

import sys
from dataclasses import replace

import numpy as np
import pandas as pd

import thermolinalg as tl
from analysis.sweeps import sweep
from paper_repro import command, recipes
from paper_repro.training import Training, train
from paper_repro.tuning import LOW_RANK, TASKS

from . import null_momentum
from .curves import judged_points, run_seeds
from .finetuning import finetuning
from .optimizers import first_batch, optimizers_in_time, optimizers_table
from .settings import SCALES
from .step_times import Batch, device_seconds, seconds

# -- carried state, relaxation time, delay


def carried_state(settings, seed: np.random.SeedSequence) -> pd.DataFrame:
    """Loss with each relaxation time, delay and start of the voltages, and with natural gradient with momentum.

    Columns: series ("carry", "stale", "gradient", "zero": TNGD; "momentum": exact natural gradient with momentum
    exp(-damping time); "null momentum": in the null space of each curvature only; "exact": none), time, delay [RC],
    seed, step, loss (mean of the batches since the last point), late_loss (mean over the last steps, in the last row of
    a run; inf if it diverged).
    """
    rows, seeds = [], run_seeds(seed, settings.seeds)
    cases = carried_cases(settings)
    found = iter(sweep_points(settings, [(optimizer, options, s) for _, optimizer, options in cases for s in seeds]))
    for labels, _, _ in cases:
        rows += [next(found).assign(**labels, seed=s) for s in seeds]
    return pd.concat(rows, ignore_index=True)[["series", "time", "delay", "seed", "step", "loss", "late_loss"]]


def carried_cases(settings) -> list[tuple[dict, str, dict]]:
    """(labels, optimiser, options) of every curve."""
    cases = []
    for time in settings.times:
        momentum = float(np.exp(-settings.damping * time))
        labels = {"time": time, "delay": 0.0}
        for start in ("carry", "gradient", "zero"):
            cases.append((labels | {"series": start}, "TNGD", {"run_time": time, "start": start}))
        cases.append((labels | {"series": "momentum"}, "NaturalGradient", {"momentum": momentum}))
        cases.append((labels | {"series": "null momentum"}, null_momentum.NAME, {"momentum": momentum}))
    first, last = settings.times[0], settings.times[-1]
    for time in (first, last):
        labels = {"series": "stale", "time": time, "delay": 0.0}
        cases.append((labels, "TNGD", {"run_time": time, "curvature_timing": "stale"}))
    for delay in settings.delays:
        labels = {"series": "carry", "time": first, "delay": delay}
        cases.append((labels, "TNGD", {"run_time": first, "delay": delay}))
    exact = {"series": "exact", "time": np.inf, "delay": 0.0}
    return [*cases, (exact, "NaturalGradient", {})]


def sweep_points(settings, cases) -> list[pd.DataFrame]:
    """Points of the run of each case, an optimiser with options and a seed, at the settings of a sweep."""
    found = sweep(_log, [sweep_training(settings, *case) for case in cases])
    return [judged_points(log, settings.every, settings.late) for log in found]


def _log(run: Training) -> pd.DataFrame:
    """Of here, not of `paper_repro.logs`: by `NullMomentum` it depends on this folder."""
    return train(run, progress=False)


def sweep_run(settings, optimizer: str, options: dict, seed: int) -> pd.DataFrame:
    """Points of one run."""
    return sweep_points(settings, [(optimizer, options, seed)])[0]


def sweep_training(settings, optimizer: str, options: dict, seed: int) -> Training:
    """The run of a case at the learning rate and damping of a sweep."""
    common = {"learning_rate": settings.learning_rate, "damping": settings.damping}
    return replace(
        TASKS[settings.task], optimizer=optimizer, options=common | options, curvature=LOW_RANK, seed=seed,
        batch_size=settings.batch_size, steps=settings.steps, evaluate_every=settings.steps,
    )  # fmt: skip


# -- noise


def noise(settings, seed: np.random.SeedSequence) -> pd.DataFrame:
    """Loss against thermal noise kappa0 = 1/beta, with voltages carried or started at the gradient.

    Columns: start, kappa0, seed, step, loss, test_loss, test_accuracy, late_loss as in `carried_state`.
    """
    rows, cases = [], []
    for start in settings.starts:
        for kappa0 in settings.kappas:
            options = {"run_time": settings.run_time, "start": start, "beta": np.inf if kappa0 == 0.0 else 1.0 / kappa0}
            for s in run_seeds(seed, settings.seeds):
                rows.append({"seed": s, "start": start, "kappa0": kappa0})
                cases.append(("TNGD", options, s))
    found = sweep_points(settings, cases)
    return pd.concat([run.assign(**row) for row, run in zip(rows, found, strict=True)], ignore_index=True)


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
        labels = {"section": "device", "series": "TNGD", "N": size, "dz": n_rows // 32, "time": settings.run_time}
        parts = device_seconds(n_rows, size, settings.run_time)
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
    labels = {"N": size, "dz": dz, "time": settings.run_time}
    found = batch.natural_seconds(settings.iterations, settings.repeats, settings.densest)
    rows = [
        labels | {"series": series, "part": "digital", "seconds": found[series]}
        for series in ("NGD", "Woodbury", "NGD-CG", "TNGD")
        if series in found
    ]
    device = device_seconds(settings.batch_size * dz, size, settings.run_time)
    return rows + [labels | {"series": "TNGD", "part": part, "seconds": value} for part, value in device.items()]


def _parts(batch: Batch, settings) -> list[dict]:
    """Rows of the simulation by its law, with J and without, and by Euler steps."""
    steps, repeats = round(settings.run_time / settings.euler_step), settings.repeats
    gram = batch.make_gram()
    held = {
        "law, J": tl.curvature.LowRankCurvature(batch.rows, gram=gram),
        "law, no J": tl.curvature.LowRankCurvature(batch.operator, gram=gram),
    }
    rows = seconds(batch.make_rows, repeats)
    eigh = seconds(lambda: tl.curvature.LowRankCurvature(batch.rows, gram=gram), repeats)
    draws = {name: seconds(lambda F=F: _draw(batch, F, settings.run_time), repeats) for name, F in held.items()}
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
    labels = {"N": batch.model.size, "dz": batch.model.output_size, "time": settings.run_time}
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


def _draw(batch: Batch, F, run_time: float) -> None:
    """One step of TNGD with a curvature that is factorised already."""
    optimizer = tl.optimizers.TNGD(learning_rate=0.01, damping=batch.damping, run_time=run_time, beta=1e6, rng=0)
    optimizer.step(batch.theta, batch.gradient, F, optimizer.init(batch.theta))


TABLES = {
    "tngd_optimizers": optimizers_table,
    "tngd_optimizers_in_time": optimizers_in_time,
    "tngd_carried_state": carried_state,
    "tngd_noise": noise,
    "tngd_finetuning": finetuning,
    "tngd_step_cost": step_cost,
}


def main(argv=None) -> int:
    """The command line."""
    return command.main("paper_repro.donatella2024.run", TABLES, SCALES, argv)


if __name__ == "__main__":
    sys.exit(main())
