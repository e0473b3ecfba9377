"""Training with factors, right-hand sides and solutions of few bits."""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from paper_repro.donatella2024.run import points, run_seeds
from paper_repro.training import train
from paper_repro.tuning import tuned
from thermolinalg import NotConverged, NotPositiveDefinite, QuantizationFloor

REFERENCES = ("SGD", "Adam", "K-FAC")
LATE = 0.25  # of the steps, over whose evaluations the "late" loss is the mean
REFUSED = (NotPositiveDefinite, NotConverged, QuantizationFloor)  # from a device that cannot hold a factor
LOSSES = ("area", "late")


@dataclass(frozen=True)
class Case:
    """One curve: a method, and for T-KFAC how numbers are rounded and what is done about it."""

    method: str
    variant: str = ""
    rounding: str = ""
    bits: float = np.nan
    options: dict = field(default_factory=dict)


def cases(settings) -> list[Case]:
    """Every curve."""

    base = {"duration": settings.duration, "workers": 1}

    def rounded(variant, bits, rounding="nearest", converters=("matrix", "dac", "adc"), **options):
        device = {"beta": settings.beta, "rounding": rounding} | {f"{name}_bits": bits for name in converters}
        return Case("T-KFAC", variant, rounding, bits, base | {"device": device} | options)

    members = {"members": settings.members, "mitigation": "stochastic"}
    found = [Case(method) for method in REFERENCES]
    found.append(Case("T-KFAC", "ideal", options=base | {"device": {"beta": settings.beta}}))
    found += [rounded("plain", bits, rounding) for rounding in ("nearest", "stochastic") for bits in settings.bits]
    for bits in settings.remedied_bits:
        found.append(rounded("members", bits, **members))
        found.append(rounded("refine", bits, refine=settings.refine, duration=None))
        found.append(rounded("input", bits, converters=("matrix", "dac")))
        found.append(rounded("output", bits, converters=("adc",)))
    return found


def quantised_training(settings, seed: np.random.SeedSequence) -> pd.DataFrame:
    """Loss of tuned methods, and of T-KFAC at each word length, rounding and remedy.

    Columns: method, variant ("ideal": not rounded; "plain"; "members": an ensemble of rounded factors; "refine";
    "input": factors and right-hand sides rounded; "output": solutions rounded), rounding, bits, seed; step, loss (mean
    of the batches since the last point), test_loss, test_accuracy; then, equal in all rows of a run: damping,
    condition_number (largest of a damped factor, median over steps; 0 where there is none), area (mean loss of all
    batches), late (mean test loss in the last quarter), gain_area, gain_late (Adam's less this one's, same seed),
    share_area, share_late (gain over K-FAC's mean gain), stopped (why a run ended early; its losses are missing).
    """
    seeds = run_seeds(seed, settings.seeds)
    parts = [run_points(case, settings, s) for case in cases(settings) for s in seeds]
    return with_gains(pd.concat(parts, ignore_index=True))


def run_points(case: Case, settings, seed: int) -> pd.DataFrame:
    """The points of one run; a single row without losses where the device refused a factor."""
    changes = {"steps": settings.steps, "evaluate_every": settings.every, "batch_size": settings.batch_size}
    run = tuned(settings.task, case.method, seed=seed, options=case.options, **changes)
    labels = {"method": case.method, "variant": case.variant, "rounding": case.rounding, "bits": case.bits}
    labels |= {"seed": seed, "damping": run.options.get("damping", np.nan)}
    try:
        log = train(run, progress=False)
    except REFUSED as error:
        where = "; ".join([str(error), *getattr(error, "__notes__", ())])
        return pd.DataFrame([labels | {"stopped": f"{type(error).__name__}: {where}"}])
    if (stopped := log["stopped"].iloc[-1]) is not None:
        return pd.DataFrame([labels | {"stopped": stopped}])
    late = log["test_loss"][log["step"] >= (1.0 - LATE) * settings.steps].mean()
    facts = {"area": log["loss"].mean(), "late": late, "stopped": ""}
    facts["condition_number"] = log["condition_number"].median() if "condition_number" in log else 0.0
    return points(log, settings.every).assign(**labels, **facts)


def with_gains(table: pd.DataFrame) -> pd.DataFrame:
    """Gains over Adam, seed by seed, and shares of K-FAC's mean gain."""
    firsts = table.drop_duplicates(["method", "variant", "rounding", "bits", "seed"])
    for name in LOSSES:
        if name not in table:
            raise ValueError("no run got to its end; tune the settings anew")
        adam = firsts[firsts.method == "Adam"].set_index("seed")[name]
        table[f"gain_{name}"] = table["seed"].map(adam) - table[name]
        mean = table.loc[firsts.index[firsts.method == "K-FAC"], f"gain_{name}"].mean()
        table[f"share_{name}"] = table[f"gain_{name}"] / mean
    first = ["method", "variant", "rounding", "bits", "seed", "step", "loss", "test_loss", "test_accuracy"]
    return table[[*first, *(name for name in table if name not in first)]]


def runs(table: pd.DataFrame) -> pd.DataFrame:
    """One row a run."""
    return table.drop_duplicates(["method", "variant", "rounding", "bits", "seed"])
