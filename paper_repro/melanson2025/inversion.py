"""Inversion on the board with imprecise capacitors; time and energy of sampling against d, measured and modelled."""

from dataclasses import asdict
from time import perf_counter

import numpy as np
import pandas as pd
import scipy.linalg

import thermolinalg as tl

from .boards import FORGETTING, iid_error, random_matrix, second_moments

TIMED_SAMPLES = 1000  # drawn when the digital sampler is timed; its cost a sample is then scaled


def spu_inversion(settings, seed: np.random.SeedSequence) -> pd.DataFrame:
    """Error of an inverse against samples, by the imprecision of the capacitors; sampling against d.

    Columns: section ("error", "scaling", "constant"). "error": mismatch (relative, of each capacitor), n, error
    (relative, Frobenius; median over boards), low, high (10 and 90 % quantiles), predicted (median of the law of
    independent samples and of what the wrong capacitors leave, in quadrature), floor. "scaling": series ("device, a
    sample each RC", "device, independent samples", "CPU, measured", "CPU, extrapolated", "GPU at 50% of its peak", ..),
    d, seconds, joule (missing for the CPU). "constant": name, value.
    """
    error_seed, timing_seed = seed.spawn(2)
    rows = _error_rows(settings, np.random.default_rng(error_seed))
    rows += _scaling_rows(settings, np.random.default_rng(timing_seed))
    rows += [{"section": "constant", "name": name, "value": value} for name, value in constants(settings.model)]
    return pd.DataFrame(rows)


def constants(model):
    """Name and value of every constant of the model."""
    for name, value in asdict(model).items():
        yield from ((f"{name}[{k}]", v) for k, v in enumerate(value)) if isinstance(value, tuple) else [(name, value)]


# -- the board


def _error_rows(settings, rng) -> list[dict]:
    matrices = [random_matrix(rng) for _ in range(settings.repeats)]
    rows = []
    for mismatch in settings.mismatches:
        found = np.array([_board_errors(A, mismatch, settings.counts, rng) for A in matrices])
        for k, n in enumerate(settings.counts):
            errors, predicted, floor = found[:, :, k].T
            low, median, high = np.quantile(errors, (0.1, 0.5, 0.9))
            rows.append({"section": "error", "mismatch": mismatch, "n": n, "error": median, "low": low, "high": high,
                         "predicted": np.median(predicted), "floor": np.median(floor)})  # fmt: skip
    return rows


def _board_errors(A, mismatch, counts, rng) -> np.ndarray:
    """Error, its prediction and what no sampling removes: (3, counts)."""
    truth, board = np.linalg.inv(A), _made(A, mismatch, rng)
    samples, size = board.gaussian_samples(max(counts), rng=rng), np.linalg.norm(truth)
    errors = [np.linalg.norm(S - truth) / size for S in second_moments(samples, counts)]
    held = np.linalg.inv(board.matrix)
    floor = np.linalg.norm(held - truth) / size
    noise = [iid_error(held, n) * np.linalg.norm(held) / size for n in counts]
    return np.array([errors, np.hypot(noise, floor), np.full(len(counts), floor)])


def _made(A, mismatch, rng) -> tl.circuits.RLCSampler:
    """A board with capacitors that are off; one with a negative capacitor is made again."""
    while True:
        device = tl.Device(mismatch=mismatch, mismatch_seed=int(rng.integers(2**31)))
        try:
            return tl.circuits.RLCSampler.spu(A, device=device)
        except ValueError:
            continue


# -- time and energy against d


def _scaling_rows(settings, rng) -> list[dict]:
    measured = {d: cholesky_sampler_seconds(d, settings.model.samples, settings.timing_repeats, rng)
                for d in settings.measured}  # fmt: skip
    largest = max(measured)
    speed = operations(largest, settings.model.samples) / measured[largest]
    relaxation = tl.circuits.RLCSampler.spu(random_matrix(rng)).relaxation_time
    rows = [{"series": "CPU, measured", "d": d, "seconds": seconds} for d, seconds in measured.items()]
    for d in settings.modelled:
        work = operations(d, settings.model.samples)
        rows += [
            {"series": "CPU, extrapolated", "d": d, "seconds": work / speed},
            *(
                {"series": f"GPU at {share:.0%} of its peak", "d": d} | gpu_cost(work, share, settings.model)
                for share in settings.model.gpu_shares
            ),
            {"series": "device, a sample each RC", "d": d} | device_cost(d, 1.0, settings.model),
            {"series": "device, independent samples", "d": d} | device_cost(d, FORGETTING * relaxation, settings.model),
        ]
    return [{"section": "scaling"} | row for row in rows]


def operations(d: int, samples: int) -> float:
    """Floating-point operations of a Cholesky factorisation, d^3 / 3, and of triangular products, d^2 a sample."""
    return d**3 / 3.0 + samples * float(d) ** 2


def gpu_cost(work: float, share: float, model) -> dict:
    """Seconds and joules of so many operations."""
    seconds = work / (model.gpu_flops * share)
    return {"seconds": seconds, "joule": seconds * model.gpu_watt}


def device_cost(d: int, spacing: float, model) -> dict:
    """Seconds and joules to load a matrix and to take samples `spacing` [RC] apart, converters side by side."""
    bits = model.word_bits * (float(d) ** 2 + model.samples * d)
    run = model.samples * max(spacing * model.rc_seconds, 1.0 / model.converter_hertz)
    seconds = bits / model.link_bits_per_second + run
    joule = run * d * (model.converter_watt + model.core_watt) + bits * model.link_joule_per_bit
    return {"seconds": seconds, "joule": joule}


def cholesky_sampler_seconds(d: int, samples: int, repeats: int, rng) -> float:
    """Wall time of a Cholesky factorisation and of so many samples L^-T z, best of the repeats."""
    A = tl.problems.wishart(d, rng=rng)
    times = []
    for _ in range(repeats + 1):
        start = perf_counter()
        factor = scipy.linalg.cholesky(A, lower=True, check_finite=False)
        middle = perf_counter()
        z = rng.standard_normal((d, TIMED_SAMPLES))
        scipy.linalg.solve_triangular(factor, z, lower=True, trans="T", check_finite=False, overwrite_b=True)
        times.append(middle - start + (perf_counter() - middle) * samples / TIMED_SAMPLES)
    return min(times[1:])
