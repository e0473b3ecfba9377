"""Seconds of a step on large workloads: a model on layer shapes, operation counts and an assumed accelerator."""

from itertools import product

import numpy as np
import pandas as pd

from . import workloads
from .device_times import invert_times, log_spectrum, solve_times
from .workloads import UNIT

RTOL, BETA, SIZE, COLUMNS = 0.1, 1e6, 512, 8  # of the solutions; of the factor that stands for all of them


def speedup_model(settings, seed: np.random.SeedSequence) -> pd.DataFrame:
    """Seconds of a step of Adam, K-FAC and T-KFAC on large workloads: a model, in which nothing is measured.

    Columns: section ("model" or "assumption"); for "model": workload, N, positions, method ("Adam", "K-FAC", "K-FAC
    (eigh)", "T-KFAC (invert)", "T-KFAC (solve)"), interval, kappa, unit (RC) [s], parallel (a device for each
    factor), seconds (of the whole step), speedup, speedup_eigh (K-FAC's step, by Cholesky or eigh, over this one),
    overhead (over Adam's), low, high (time to the first-order target over Adam's). For "assumption": name, value,
    source.
    """
    rows = [{"section": "assumption"} | row for row in assumptions(settings)]
    columns = {kappa: unit_times(kappa, seed) for kappa in settings.condition_numbers}
    for name in settings.workloads:
        workload = workloads.WORKLOADS[name]
        labels = {"section": "model", "workload": name, "N": workload.n_parameters, "positions": workload.positions}
        for interval in settings.intervals:
            rows += [labels | row for row in _workload_rows(workload, interval, columns, settings)]
    return pd.DataFrame(rows)


def unit_times(kappa: float, seed, n: int = SIZE) -> tuple[float, float]:
    """RC for a right-hand side, and for an inverse over n, to 10 %, as in `width_scaling`."""
    rng = np.random.default_rng(seed)
    rates = log_spectrum(n, kappa, rng)
    columns = rng.standard_normal((n, COLUMNS))
    rms = float(np.sqrt(np.mean(columns**2)) / np.abs(columns).max())
    return float(sum(solve_times(rates, RTOL, BETA, rms))), float(sum(invert_times(rates, RTOL))) / n


def _workload_rows(workload, interval, columns, settings):
    hardware = settings.hardware
    digital = {
        name: workloads.digital_parts(workload, hardware, interval, eigh=eigh)
        for name, eigh in (("K-FAC", False), ("K-FAC (eigh)", True))
    }
    adam = {"gradient": digital["K-FAC"]["gradient"]}
    totals = {name: sum(parts.values()) for name, parts in ({"Adam": adam} | digital).items()}
    free = {"interval": interval, "kappa": np.nan, "unit": np.nan, "parallel": False}
    cases = [(name, parts, free) for name, parts in ({"Adam": adam} | digital).items()]
    for kappa, unit, parallel in product(settings.condition_numbers, settings.time_units, settings.parallel):
        column, inverse = (unit * t for t in columns[kappa])
        common = {name: digital["K-FAC"][name] for name in ("gradient", "factors", "products")}
        for method in ("invert", "solve"):
            parts = common | workloads.device_parts(workload, method, column, inverse, interval, parallel)
            if method == "solve":
                parts = {name: value for name, value in parts.items() if name != "products"}
            label = free | {"kappa": kappa, "unit": unit, "parallel": parallel}
            cases.append((f"T-KFAC ({method})", parts, label))
    for name, parts, label in cases:
        step = sum(parts.values())
        overhead = step / totals["Adam"]
        facts = {"seconds": step, "speedup": totals["K-FAC"] / step, "overhead": overhead}
        facts["speedup_eigh"] = totals["K-FAC (eigh)"] / step
        if name != "Adam":
            facts |= {"low": overhead * hardware.steps_low, "high": overhead * hardware.steps_high}
        yield {"method": name, **label, **facts}


def assumptions(settings) -> list[dict]:
    """Every number that the model rests on."""
    hardware = settings.hardware
    ours, device = "ours", "Donatella et al., arXiv:2405.13817, App. C"
    rows = [
        ("matrix products [flop/s]", hardware.products, ours),
        ("Cholesky and eigendecompositions [flop/s]", hardware.factorisations, ours),
        ("flops of an eigendecomposition / n^3", hardware.eigh_flops, ours),
        ("flops of a Cholesky inverse / n^3", 1.0, "operation count"),
        ("flops of the gradient / (positions p r)", 6.0, "operation count: one pass forward, two back"),
        ("flops of a factor / (positions n^2)", 1.0, "operation count: symmetric"),
        ("word length [bits]", workloads.WORD, device),
        ("link [bit/s]", workloads.LINK, device),
        ("RC [s]", UNIT, device + "; 1 ns beside it is ours"),
        ("relative error of a solution or an inverse", RTOL, ours),
        ("inverse temperature", BETA, ours),
        ("overlap of device and host", 0.0, "ours: none"),
        ("least steps over first-order steps", hardware.steps_low, "Eschenhagen et al., arXiv:2311.00636, abstract"),
        ("most steps over first-order steps", hardware.steps_high, "Eschenhagen et al., arXiv:2311.00636, abstract"),
        *((f"{name}: positions", workloads.WORKLOADS[name].positions, workloads.WORKLOADS[name].source)
          for name in settings.workloads),
    ]  # fmt: skip
    return [dict(zip(("name", "value", "source"), row, strict=True)) for row in rows]
