"""Tables behind the figure of Duffield et al., arXiv:2311.12759: ``python -m paper_repro.duffield2025.run``.

Each function takes its settings and a seed sequence and returns a tidy table. Times are simulated physical times.
"""

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import scipy.linalg
import scipy.stats

import thermolinalg as tl
from analysis.sweeps import sweep
from paper_repro import command

from .settings import SCALES

BLOCK = 128  # products that enter the running error by one matrix product
FORGOTTEN = 1e-9  # correlation beyond which theory calls two reads independent
MATRICES = {
    "Wishart": lambda d, rng: tl.problems.wishart(d, rng=rng),
    "orthogonal": lambda d, rng: scipy.stats.ortho_group.rvs(d, random_state=rng),
}
MEASURES = ("absolute", "relative")


def exponential_error_vs_time(settings, seed: np.random.SeedSequence) -> pd.DataFrame:
    """Error of ``e^-A`` from the lag autocovariance of a trajectory against time, and when it crosses a threshold.

    Columns: family; measure (the Frobenius norm of the error, or that over ``||e^-A||``); d; series; then, for the
    series "error": time [us], error, error_sd (mean and standard deviation over repeats), error_theory; for
    "crossing", a row for each size: error (the threshold), time, time_sd (over repeats), time_theory and
    time_published (of the paper; missing where not known) [us].
    """
    cases = [(panel, d) for panel in settings.panels for d in settings.sizes]
    tasks = [(*case, settings, child) for case, child in zip(cases, seed.spawn(len(cases)), strict=True)]
    return pd.DataFrame([row for case in sweep(_case_rows, tasks) for row in case])


def _case_rows(task) -> list[dict]:
    """Rows of one family and size: (panel, d, settings, seed)."""
    panel, d, settings, seed = task
    runs = [
        trajectory_error(panel, d, settings.n_reads, np.random.default_rng(child))
        for child in seed.spawn(settings.repeats)
    ]
    norms = np.array([norm for _, _, norm in runs])[:, None]
    errors, theory = (np.array([run[part] for run in runs]) for part in (0, 1))
    rows = []
    for measure in MEASURES:
        scale = norms if measure == "relative" else 1.0
        labels = {"family": panel.family, "measure": measure, "d": d}
        rows += [labels | row for row in _curve(errors / scale, theory / scale, settings)]
        threshold = getattr(panel, measure)
        rows.append(
            labels
            | _crossing_row(errors / scale, theory / scale, threshold, settings.read_spacing)
            | {"time_published": published(panel.family, measure, d)}
        )
    return rows


def trajectory_error(panel, d, n_products, rng) -> tuple[np.ndarray, np.ndarray, float]:
    """Error of e^-A after 1, 2, ... products of one trajectory from x = 0, its theory, and ||e^-A||_F."""
    drift = MATRICES[panel.family](d, rng) + panel.alpha * np.eye(d)
    process = tl.OrnsteinUhlenbeck(drift, diffusion=drift + drift.T)  # one unit of time is one read spacing
    reads = process.sample(np.arange(n_products + 1.0), x0=np.zeros(d), rng=rng)[0]
    exact = scipy.linalg.expm(-drift)
    gain = np.exp(panel.alpha)
    theory = expected_error(np.exp(-process.eigenvalues), n_products)
    return gain * running_error(reads, exact), gain * theory, gain * float(np.linalg.norm(exact))


def _curve(errors, theory, settings) -> list[dict]:
    """Points of a curve, evenly spaced in the logarithm of time."""
    first = int(np.ceil(settings.earliest / settings.read_spacing))
    counts = np.unique(np.geomspace(first, settings.n_reads, settings.points).round().astype(int))
    return [
        {
            "series": "error", "time": settings.read_spacing * n, "error": errors[:, n - 1].mean(),
            "error_sd": errors[:, n - 1].std(ddof=1), "error_theory": theory[:, n - 1].mean(),
        }
        for n in counts
    ]  # fmt: skip


def _crossing_row(errors, theory, threshold, spacing) -> dict:
    times, expected = ([spacing * crossing(curve, threshold) for curve in curves] for curves in (errors, theory))
    return {
        "series": "crossing", "error": threshold, "time": np.mean(times), "time_sd": np.std(times, ddof=1),
        "time_theory": np.mean(expected),
    }  # fmt: skip


def crossing(errors, threshold) -> int:
    """Products from which on the error stays below the threshold."""
    if errors[-1] >= threshold:
        raise ValueError(
            f"the error is still {errors[-1]:.3g} after {len(errors)} products and has not crossed {threshold}; "
            "use more reads"
        )
    above = np.flatnonzero(errors >= threshold)
    return int(above[-1]) + 2 if above.size else 1


def running_error(reads, exact) -> np.ndarray:
    """Frobenius norm of the mean of the first n products ``x_{k+1} x_k^T`` less `exact`, for every n, in one pass.

    With S the sum of the products so far, the next one adds ``2 y^T S x + |y|^2 |x|^2`` to ``||S||^2`` and
    ``y^T E x`` to ``<S, E>``: matrix products where a block of reads is taken at a time. What is left of the error
    is not small compared with its parts, so nothing cancels.
    """
    n, d = len(reads) - 1, reads.shape[1]
    total, square, overlap = np.zeros((d, d)), np.empty(n), np.empty(n)
    for start in range(0, n, BLOCK):
        stop = min(start + BLOCK, n)
        x, y = reads[start:stop], reads[start + 1 : stop + 1]
        within = (y @ y.T) * (x @ x.T)
        square[start:stop] = 2.0 * np.sum((y @ total) * x, axis=1) + 2.0 * np.tril(within, -1).sum(axis=1)
        square[start:stop] += np.diag(within)
        overlap[start:stop] = np.sum((y @ exact) * x, axis=1)
        total += y.T @ x
    count = np.arange(1.0, n + 1.0)
    return np.sqrt(np.cumsum(square) / count**2 - 2.0 * np.cumsum(overlap) / count + np.sum(exact**2))


def expected_error(modes, n_products) -> np.ndarray:
    """Theory of the rms of `running_error` for a trajectory from x = 0 with the identity as stationary covariance.

    For a normal propagator M with eigenvalues m, ``Cov(x_{s+k}, x_s) = M^k G_s``, ``G_s = I - M^s M^sT``. By the
    fourth moments of normal reads two products k apart, the earlier at s, share ``tr(M^k G_{s+1}) tr(M^k G_s) +
    tr(M^{k-1} G_{s+1} M^{k+1} G_s)`` (for k = 0 the last is ``||M G_s||^2``); the start biases the mean.
    """
    weights = np.abs(modes) ** 2
    memory = min(n_products, int(np.ceil(np.log(FORGOTTEN) / np.log(np.abs(modes).max()))))
    powers = modes[:, None] ** np.arange(memory + 1)
    known = 1.0 - weights[:, None] ** np.arange(memory + 2)  # diagonal of G_s
    traces = np.real(known.T @ powers)
    pairs = known[:, 1:] * known[:, :-1]
    shared = np.real(pairs.T @ powers**2)
    shared[:, 0] = weights @ known[:, :-1] ** 2
    terms = traces[1:] * traces[:-1] + shared  # [s, k]
    terms[:, 1:] *= 2.0  # the order of the two products
    added = np.empty(n_products)
    for last in range(min(n_products, 2 * memory + 1)):
        k = np.arange(min(last, memory) + 1)
        added[last] = terms[np.minimum(last - k, memory), k].sum()
    added[2 * memory + 1 :] = terms[-1].sum()
    count = np.arange(1, n_products + 1)
    forgetting = -np.expm1(np.multiply.outer(count, np.log(weights))) / (1.0 - weights)  # sum of |m|^2s
    bias = forgetting**2 @ weights
    return np.sqrt(np.cumsum(added) + bias) / count


def published(family, measure, d) -> float:
    """Crossing time of the paper [us]; nan where its figure was not read."""
    expected = json.loads((Path(__file__).parent / "expected.json").read_text())["exponential_error_vs_time"]
    entry = expected["published"].get(family, {}).get(measure, {}).get(str(d))
    return float("nan") if entry is None else float(entry["value"])


TABLES = {"exponential_error_vs_time": exponential_error_vs_time}


def main(argv=None) -> int:
    """The command line."""
    return command.main("paper_repro.duffield2025.run", TABLES, SCALES, argv)


if __name__ == "__main__":
    sys.exit(main())
