"""Linear systems: iterative refinement with a digital residual against plain averaging, ideal and with few bits."""

from dataclasses import replace

import numpy as np
import pandas as pd
import scipy.linalg

import thermolinalg as tl
from analysis import timing

from .repeats import relative_error
from .settings import DEVICE

REACHED = 1e-11  # residual, relative to b, at which rounds are no longer counted


def refinement_vs_averaging(settings, seed: np.random.SeedSequence) -> pd.DataFrame:
    """Error against device time of averaging and of refinement; how much a round wins, and how rounding ends it.

    Columns: section ("time", "noise", "bits"), series, kappa. "time": series ("averaging", "theory": of averaging,
    "16 bits", ...: refinement with such a matrix, "planned": tl.solve(refine=True, rtol) with 16), seconds (device
    time: load, burn-in, averaging and reads of all rounds), error (relative, median), low, high (10 and 90 %
    quantiles), round. "noise": duration [RC], contraction of the residual in a round (geometric mean over rounds;
    median, low, high over repeats), predicted sqrt(2 / (beta duration)). "bits": bits, contraction (nan where the
    rounded matrix is not positive definite), predicted: the spectral radius of (A_q - A) A_q^-1.
    """
    matrix_seed, *seeds = seed.spawn(4)
    matrices = {
        kappa: tl.problems.with_condition(settings.size, kappa, rng=child)
        for kappa, child in zip(settings.kappas, matrix_seed.spawn(len(settings.kappas)), strict=True)
    }
    rows = []
    for section, child in zip((_time_rows, _noise_rows, _bits_rows), seeds, strict=True):
        rows += section(matrices, settings, np.random.default_rng(child))
    return pd.DataFrame(rows)


def residuals_and_errors(A, b, truth, rounds: int, device, duration, rng):
    """Per round: device seconds so far, residual before it (relative to b), error after it (relative to x)."""
    solver = tl.as_preconditioner(A, duration=duration, device=device, rng=rng)
    x, found = np.zeros_like(b), []
    for _ in range(rounds):
        r = b - A @ x
        x = x + solver.matvec(r)
        found.append((solver.host.cost.seconds, np.linalg.norm(r) / np.linalg.norm(b), relative_error(x, truth)))
    return np.array(found)


# -- error against time


def _time_rows(matrices, settings, rng) -> list[dict]:
    kappa = settings.kappas[0]
    A = matrices[kappa]
    bs = rng.standard_normal((settings.repeats, settings.size))
    truths = timing.cholesky_solve(A, bs.T).T
    rows = [*_averaging_rows(A, bs, truths, settings, rng), *_planned_rows(A, bs, truths, settings, rng)]
    for bits in settings.shown_bits:
        device = replace(DEVICE, matrix_bits=bits)
        rounds = settings.rounds
        runs = [residuals_and_errors(A, b, x, rounds, device, settings.duration, rng)
                for b, x in zip(bs, truths, strict=True)]  # fmt: skip
        errors, seconds = np.array([run[:, 2] for run in runs]), runs[0][:, 0]
        for k in range(rounds):
            rows.append({"series": f"{bits} bits", "round": k + 1, "seconds": seconds[k]} | _quantiles(errors[:, k]))
    return [{"section": "time", "kappa": kappa} | row for row in rows]


def _averaging_rows(A, bs, truths, settings, rng) -> list[dict]:
    """One long run on a device whose matrix and converters are ideal: noise is all that is left."""
    operator, device = tl.Dense(A), replace(DEVICE, matrix_bits=None, dac_bits=None, adc_bits=None)
    load = DEVICE.load_seconds(len(A) ** 2, len(A))
    rows = []
    for duration in settings.durations:
        runs = [tl.solve(operator, b, duration=duration, device=device, rng=rng) for b in bs]
        errors = [relative_error(run.value, truth) for run, truth in zip(runs, truths, strict=True)]
        cost = runs[0].cost
        seconds = load + cost.relax + cost.integrate
        rows.append({"series": "averaging", "seconds": seconds} | _quantiles(errors))
        rows.append({"series": "theory", "seconds": seconds, "error": np.sqrt(2.0 / (device.beta * duration))})
    return rows


def _planned_rows(A, bs, truths, settings, rng) -> list[dict]:
    rows = []
    for rtol in settings.tolerances:
        runs = [tl.solve(A, b, refine=True, rtol=rtol, device=DEVICE, rng=rng) for b in bs]
        errors = [relative_error(run.value, truth) for run, truth in zip(runs, truths, strict=True)]
        seconds = float(np.median([run.cost.seconds for run in runs]))
        rounds = float(np.median([len(run.rounds) for run in runs]))
        rows.append({"series": "planned", "seconds": seconds, "round": rounds, "rtol": rtol} | _quantiles(errors))
    return rows


def _quantiles(values) -> dict:
    low, median, high = np.quantile(values, (0.1, 0.5, 0.9))
    return {"error": float(median), "low": float(low), "high": float(high)}


# -- what a round wins


def contraction(A, device, duration, rounds: int, rng) -> float:
    """Geometric mean over rounds of the factor by which a round multiplies the residual of a random b."""
    b = rng.standard_normal(len(A))
    found = residuals_and_errors(A, b, b, rounds + 1, device, duration, rng)[:, 1]
    counted = found[: max(2, int(np.argmax(found < REACHED)))] if np.any(found < REACHED) else found
    return float((counted[-1] / counted[0]) ** (1.0 / (len(counted) - 1)))


def _noise_rows(matrices, settings, rng) -> list[dict]:
    rows, ideal = [], tl.Device.ideal()
    for kappa, A in matrices.items():
        for duration in settings.round_durations:
            values = [contraction(A, ideal, duration, settings.rounds, rng) for _ in range(settings.repeats)]
            predicted = np.sqrt(2.0 / (ideal.beta * duration))
            rows.append({"section": "noise", "kappa": kappa, "duration": duration, "predicted": predicted}
                        | _contractions(values))  # fmt: skip
    return rows


def _bits_rows(matrices, settings, rng) -> list[dict]:
    rows = []
    for kappa in settings.rounded_kappas:
        A = matrices[kappa]
        for bits in settings.bits:
            device = tl.Device(matrix_bits=bits, beta=settings.cold)
            row = {"section": "bits", "kappa": kappa, "bits": bits, "predicted": rounding_radius(A, device)}
            try:
                row |= _contractions([contraction(A, device, settings.duration, settings.rounds, rng)
                                      for _ in range(settings.repeats)])  # fmt: skip
            except tl.errors.NotPositiveDefinite:
                row |= {"contraction": np.nan, "low": np.nan, "high": np.nan}
            rows.append(row)
    return rows


def _contractions(values) -> dict:
    found = _quantiles(values)
    return {"contraction": found.pop("error")} | found


def rounding_radius(A, device) -> float:
    """Spectral radius of (A_q - A) A_q^-1; nan where the rounded matrix A_q is not positive definite."""
    held = tl.hardware.program_array(A, device)[0]
    try:
        ratios = scipy.linalg.eigh(A, held, eigvals_only=True)
    except np.linalg.LinAlgError:
        return np.nan
    return float(np.abs(1.0 - ratios).max())
