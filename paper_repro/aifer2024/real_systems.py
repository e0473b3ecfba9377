"""Real matrices: time and energy to a given error, compared with digital rivals measured here."""

from dataclasses import replace

import numpy as np
import pandas as pd

import thermolinalg as tl
from analysis import timing
from paper_repro import datasets

from .repeats import relative_error
from .settings import DEVICE


def real_matrices(settings, seed: np.random.SeedSequence) -> pd.DataFrame:
    """Time and Joule heat to the relative error rtol on real matrices, compared with digital rivals.

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
        except (tl.errors.QuantizationFloor, tl.errors.NotPositiveDefinite) as error:
            refusal = refusal or type(error).__name__
        else:
            return bits, refusal
    raise tl.errors.QuantizationFloor(f"rtol = {rtol} cannot be reached with {word_lengths} bits ({refusal})")
