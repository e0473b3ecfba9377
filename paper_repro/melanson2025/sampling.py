"""Gaussian sampling on the board: error of the covariance against the number of samples; covariance in volts."""

import numpy as np
import pandas as pd

import thermolinalg as tl

from .boards import CELLS, FORGETTING, iid_error, random_matrix, second_moments
from .settings import PUBLISHED_READS


def spu_sampling(settings, seed: np.random.SeedSequence) -> pd.DataFrame:
    """Error of the covariance of samples of N(0, A^-1), and the voltages' covariance compared with kappa_0 R C^-1.

    Columns: section ("samples" or "entries"). "samples": reads ("independent": five relaxation times apart, or "1 RC
    apart"), spacing [RC], n, time [RC], error (relative, Frobenius; rms over boards), low, high (10 and 90 %
    quantiles), theory (of independent samples). "entries", of one board: i, j, measured [V^2] in 12 000 reads,
    stderr (of independent samples), predicted (entry of kappa_0 R C^-1).
    """
    rng = np.random.default_rng(seed)
    matrices = [random_matrix(rng) for _ in range(settings.repeats)]
    rows = []
    for spacing in settings.spacings:
        rows += _sample_rows(matrices, spacing, settings.counts, rng)
    return pd.DataFrame(rows + _entry_rows(matrices[0], rng))


def _sample_rows(matrices, spacing, counts, rng) -> list[dict]:
    errors, theory, gaps = [], [], []
    for A in matrices:
        board, truth = tl.circuits.RLCSampler.spu(A), np.linalg.inv(A)
        gaps.append(spacing or FORGETTING * board.relaxation_time)
        samples = board.gaussian_samples(max(counts), read_spacing=gaps[-1], rng=rng)
        size = np.linalg.norm(truth)
        errors.append([np.linalg.norm(S - truth) / size for S in second_moments(samples, counts)])
        theory.append([iid_error(truth, n) for n in counts])
    low, high = np.quantile(errors, (0.1, 0.9), axis=0)
    rms, expected = (np.sqrt(np.mean(np.square(values), axis=0)) for values in (errors, theory))
    labels = {"section": "samples", "reads": f"{spacing:g} RC apart" if spacing else "independent"}
    gap = float(np.mean(gaps))
    return [
        labels | {"spacing": gap, "n": n, "time": n * gap, "error": rms[k], "low": low[k], "high": high[k],
                  "theory": expected[k]}
        for k, n in enumerate(counts)
    ]  # fmt: skip


def _entry_rows(A, rng) -> list[dict]:
    board = tl.circuits.RLCSampler.spu(A)
    times = FORGETTING * board.relaxation_time * np.arange(PUBLISHED_READS)
    voltage = board.sample(times, rng=rng)[1][0]
    measured = voltage.T @ voltage / PUBLISHED_READS
    predicted = board.kappa_0 * board.R * np.linalg.inv(board.maxwell)
    diagonal = np.diag(predicted)
    stderr = np.sqrt((np.multiply.outer(diagonal, diagonal) + predicted**2) / PUBLISHED_READS)
    return [
        {"section": "entries", "i": i, "j": j, "measured": measured[i, j], "stderr": stderr[i, j],
         "predicted": predicted[i, j]}
        for i in range(CELLS) for j in range(i + 1)
    ]  # fmt: skip
