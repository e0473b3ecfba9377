"""Tables behind the figures of Aifer et al., arXiv:2308.05660: ``python -m paper_repro.aifer2024.run --scale smoke``.

Each function takes its settings and a seed sequence and returns a tidy table. Device times are simulated physical
times; digital times are measured where this runs.
"""

import sys
from dataclasses import replace
from itertools import islice

import numpy as np
import pandas as pd

import thermolinalg as tl
from analysis import timing
from paper_repro import command, datasets

from .settings import DEVICE, SCALES


def relative_error(estimate, truth) -> float:
    """||estimate - truth|| / ||truth||."""
    return float(np.linalg.norm(estimate - truth) / np.linalg.norm(truth))


# -- linear systems: error against time


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
    rows += _floor_rows(DEVICE.program(operator, None, generators[0]).operator, bs, truths)
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


# -- inverses: error against time


def inverse_error_vs_time(settings, seed: np.random.SeedSequence) -> pd.DataFrame:
    """Relative Frobenius error of A^-1 against physical time, for two ways to read and each condition number.

    Columns: kappa; readout ("continuous": one trajectory, simulated as a path; "restarts": independent reads, drawn
    from their law); time [RC], burn-in included; duration [RC] or n_reads; error (rms over repeats); low, high (10
    and 90 % quantiles); theory.
    """
    rows = []
    for kappa, child in zip(settings.kappas, seed.spawn(len(settings.kappas)), strict=True):
        rng = np.random.default_rng(child)
        operator = tl.Dense(tl.problems.with_condition(settings.size, kappa, rng=rng))
        truth = operator.function(np.reciprocal, np.eye(settings.size))
        found = [_continuous_row(operator, truth, time, settings.repeats, rng) for time in settings.durations]
        found += [_restarts_row(operator, truth, n, settings.repeats, rng) for n in settings.reads]
        rows += [{"kappa": kappa} | row for row in found if row["time"] <= settings.longest]
    return pd.DataFrame(rows)


def _continuous_row(operator, truth, duration, repeats, rng) -> dict:
    runs = [tl.inv(operator, duration=duration, simulator="path", rng=rng) for _ in range(repeats)]
    theory = continuous_inverse_error(operator.eigenvalues, duration)
    time = runs[0].burn_in + duration
    return {"readout": "continuous", "time": time, "duration": duration, "theory": theory} | _spread(runs, truth)


def _restarts_row(operator, truth, n_reads, repeats, rng) -> dict:
    runs = [tl.inv(operator, n_reads=n_reads, simulator="law", rng=rng) for _ in range(repeats)]
    theory = restarts_inverse_error(operator.eigenvalues, n_reads)
    time = runs[0].burn_in * n_reads
    return {"readout": "restarts", "time": time, "n_reads": n_reads, "theory": theory} | _spread(runs, truth)


def _spread(runs, truth) -> dict:
    errors = np.array([relative_error(run.value, truth) for run in runs])
    low, high = np.quantile(errors, (0.1, 0.9))
    return {"error": float(np.sqrt(np.mean(errors**2))), "low": low, "high": high}


def continuous_inverse_error(eigenvalues, duration) -> float:
    """Theory of the rms relative error of beta times the average of x x^T over `duration`, mean known.

    Modes i, j add (1 + delta_ij) / (l_i l_j) times 2 / duration times the integral of (1 - t / duration)
    exp(-(l_i + l_j) t) over the lags t from 0 to `duration`.
    """
    rate = np.add.outer(eigenvalues, eigenvalues)
    lags = (1.0 + np.expm1(-rate * duration) / (rate * duration)) / rate
    pairs = (1.0 + np.eye(len(eigenvalues))) / np.multiply.outer(eigenvalues, eigenvalues)
    return float(np.sqrt(2.0 / duration * np.sum(pairs * lags) / np.sum(eigenvalues**-2.0)))


def restarts_inverse_error(eigenvalues, n_reads) -> float:
    """Theory of the rms relative error of beta times the average of n independent x x^T, mean known."""
    inverse = 1.0 / eigenvalues
    return float(np.sqrt((1.0 + inverse.sum() ** 2 / np.sum(inverse**2)) / n_reads))


# -- real matrices: time and energy to a given error


def real_matrices(settings, seed: np.random.SeedSequence) -> pd.DataFrame:
    """Time and Joule heat to the relative error rtol on real matrices, beside digital rivals.

    Columns: name, d, kappa, b (its meaning), rtol; bits (fewest tried that can reach rtol) and refusal (why 16 cannot);
    load, relax, integrate, read, total in seconds, cholesky (to full accuracy) and gradient (conjugate gradient to
    rtol) as well; joule_heat in C V^2; error (rms over repeats), low, high (10 and 90 % quantiles).
    """
    systems = [datasets.load(name) for name in settings.systems]
    rows = [
        _real_matrix_row(system, settings, child)
        for system, child in zip(systems, seed.spawn(len(systems)), strict=True)
    ]
    return pd.DataFrame(rows).sort_values("kappa", ignore_index=True)


def _real_matrix_row(system, settings, seed) -> dict:
    A = system.array / np.abs(system.array).max()
    b = system.b / np.sqrt(np.mean(system.b**2))
    truth = timing.cholesky_solve(A, b)
    seeds = seed.spawn(settings.repeats)
    operator = tl.Dense(A)
    bits, refusal = fewest_bits(operator, b, settings.rtol, settings.word_lengths)
    runs = [tl.solve(operator, b, rtol=settings.rtol, device=_with_bits(bits), rng=child) for child in seeds]
    errors = np.array([relative_error(run.value, truth) for run in runs])
    low, high = np.quantile(errors, (0.1, 0.9))
    cost = runs[0].cost
    times = {part: getattr(cost, part) for part in ("load", "relax", "integrate", "read")}
    return {
        "name": system.name, "d": len(b), "kappa": system.kappa, "b": system.b_meaning, "rtol": settings.rtol,
        "bits": bits, "refusal": refusal, **times, "total": cost.seconds,
        "cholesky": timing.cholesky_seconds(A, b, settings.timing_repeats),
        "gradient": timing.conjugate_gradient_seconds_to(settings.rtol, A, b, truth, settings.timing_repeats),
        "joule_heat": cost.joule_heat, "energy_unit": cost.energy_unit,
        "error": float(np.sqrt(np.mean(errors**2))), "low": low, "high": high,
    }  # fmt: skip


def _with_bits(bits) -> tl.Device:
    return replace(DEVICE, matrix_bits=bits, dac_bits=bits, adc_bits=bits)


def fewest_bits(operator, b, rtol, word_lengths) -> tuple[int, str]:
    """The first word length with which rtol can be reached, and what the first one that cannot says ("" if none)."""
    refusal = ""
    for bits in word_lengths:
        try:
            tl.solve(operator, b, rtol=rtol, device=_with_bits(bits), rng=0)
        except (tl.QuantizationFloor, tl.NotPositiveDefinite) as error:
            refusal = refusal or type(error).__name__
        else:
            return bits, refusal
    raise tl.QuantizationFloor(f"rtol = {rtol} cannot be reached with {word_lengths} bits ({refusal})")


TABLES = {
    "solve_error_vs_time": solve_error_vs_time,
    "inverse_error_vs_time": inverse_error_vs_time,
    "real_matrices": real_matrices,
}


def main(argv=None) -> int:
    """The command line."""
    return command.main("paper_repro.aifer2024.run", TABLES, SCALES, argv)


if __name__ == "__main__":
    sys.exit(main())
