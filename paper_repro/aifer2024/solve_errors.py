"""Linear systems: error against time, of the device and of digital rivals measured here."""

from itertools import islice

import numpy as np
import pandas as pd

import thermolinalg as tl
from analysis import timing

from .repeats import relative_error
from .settings import DEVICE


def solve_error_vs_time(settings, seed: np.random.SeedSequence) -> pd.DataFrame:
    """Relative error of x against time, of the device and its digital rivals.

    Columns: d; series; seconds; error (of the device the median over repeats); low, high (its 10 and 90 % quantiles);
    duration [RC]. The series "device leads" has two rows, the ends of the times at which its error is the smallest.
    """
    seeds = seed.spawn(len(settings.sizes))
    return pd.concat(
        [_solve_error_of_size(d, settings, child) for d, child in zip(settings.sizes, seeds, strict=True)],
        ignore_index=True,
    )


def _solve_error_of_size(d, settings, seed) -> pd.DataFrame:
    matrix_seed, *seeds = seed.spawn(1 + settings.repeats)
    A = tl.problems.wishart(d, rng=matrix_seed)
    generators = [np.random.default_rng(child) for child in seeds]
    bs = [generator.standard_normal(d) for generator in generators]
    truths = list(timing.cholesky_solve(A, np.transpose(bs)).T.copy())
    operator = tl.Dense(A)
    rows = _digital_rows(A, bs[0], truths[0], settings)
    rows += _device_rows(operator, bs, truths, generators, settings.durations)
    rows += _floor_rows(tl.hardware.program(operator, DEVICE, rng=generators[0]).operator, bs, truths)
    table = pd.concat([pd.DataFrame(rows), _lead(pd.DataFrame(rows))], ignore_index=True)
    table.insert(0, "d", d)
    return table


def _digital_rows(A, b, truth, settings) -> list[dict]:
    repeats = settings.timings(len(b))
    seconds = timing.conjugate_gradient_seconds(A, b, settings.iterations, repeats)
    errors = islice(timing.conjugate_gradient_errors(A, b, truth), settings.iterations)
    rows = [
        {"series": "conjugate gradient", "seconds": s, "error": e} for s, e in zip(seconds, errors, strict=True)
    ]  # fmt: skip
    # the residual stands for the error: the answer itself is the truth that all others are measured by
    error = relative_error(A @ truth, b)
    return [*rows, {"series": "Cholesky", "seconds": timing.cholesky_seconds(A, b, repeats), "error": error}]


def _device_rows(operator, bs, truths, generators, durations) -> list[dict]:
    """The device and, at the same times, the theory sqrt(2 / (beta duration)) for a b of independent entries."""
    rows = []
    for duration in durations:
        runs = [
            tl.solve(operator, b, duration=duration, device=DEVICE, rng=rng)
            for b, rng in zip(bs, generators, strict=True)
        ]
        errors = [relative_error(run.value, truth) for run, truth in zip(runs, truths, strict=True)]
        low, median, high = np.quantile(errors, (0.1, 0.5, 0.9))
        common = {"seconds": float(np.median([run.cost.seconds for run in runs])), "duration": duration}
        rows.append({"series": "device", "error": median, "low": low, "high": high} | common)
        rows.append({"series": "theory", "error": np.sqrt(2.0 / (DEVICE.beta * duration))} | common)
    return [{"series": "load", "seconds": runs[0].cost.load, "error": np.nan}, *rows]


def _floor_rows(held, bs, truths) -> list[dict]:
    """What rounding of the matrix alone leaves, however long the averaging."""
    answers = held.function(np.reciprocal, np.transpose(bs)).T
    floor = np.median([relative_error(answer, truth) for answer, truth in zip(answers, truths, strict=True)])
    return [{"series": "rounding floor", "seconds": np.nan, "error": float(floor)}]


def _lead(table: pd.DataFrame, points=4000) -> pd.DataFrame:
    """First and last time at which the device has a smaller error than every digital rival; no rows if never."""
    device, gradient = (table[table.series == name] for name in ("device", "conjugate gradient"))
    cholesky = table[table.series == "Cholesky"].seconds.item()
    times = np.geomspace(device.seconds.min(), device.seconds.max(), points)
    errors = np.exp(np.interp(np.log(times), np.log(device.seconds), np.log(device.error)))
    finished = np.searchsorted(gradient.seconds, times, side="right")
    rival = np.where(times < cholesky, np.append(1.0, gradient.error)[finished], 0.0)
    ahead = np.flatnonzero(errors < rival)
    ends = ahead[[0, -1]] if ahead.size else []
    return pd.DataFrame([{"series": "device leads", "seconds": times[i], "error": errors[i]} for i in ends])
