"""Claimed exponents compared with fitted ones: of planned device times, of counted iterations, of measured times.

The fit is ordinary least squares of the logarithms, through the median over repeats at each point (of measured times
the least: a busy machine only adds); the interval is Student's, at 95 %, from the scatter of the points about the
line, so that for planned times, which have no scatter of their own, its width is the departure from a power law.
Measured times are processor times on one thread.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
import scipy.stats

import thermolinalg as tl

from . import device_times, digital_runs
from .device_times import log_spectrum, worst_spectrum

LEVEL = 0.95
MARGIN, WIDEST = 0.1, 0.5  # room around an interval; half width beyond which it decides nothing
TLA = "Aifer et al., arXiv:2308.05660, as quoted"
EXPM = "Duffield et al., arXiv:2311.12759, guides of its figure"
TNGD = "Donatella et al., arXiv:2405.13817, Table 1"
TKFAC = "Donatella et al., arXiv:2502.08603, as quoted"
OURS, COUNT = "ours: law of the average", "operation count"


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """Points of each sweep; those that are measured are what takes time."""

    dims: tuple[int, ...] = (32, 64, 128, 256, 512)
    small_dims: tuple[int, ...] = (8, 16, 32, 64)
    kappas: tuple[float, ...] = (100.0, 300.0, 1000.0, 3000.0, 10_000.0)
    errors: tuple[float, ...] = (0.1, 0.03, 0.01, 0.003)
    repeats: int = 3  # of what is random or timed
    dense: tuple[int, ...] = (400, 550, 750, 1000, 1400, 1900)  # d of Cholesky
    streamed: tuple[int, ...] = (2200, 2500, 2800, 3100, 3500, 4000)  # d of products with a matrix beyond the caches
    spectral: tuple[int, ...] = (128, 176, 240, 330, 450, 620)  # d of decompositions
    rows: tuple[int, ...] = (64, 96, 144, 216, 324, 486)  # b dz
    weights: tuple[int, ...] = (2000, 3000, 4500, 6800, 10_000, 15_000)  # N
    reads: tuple[int, ...] = (4000, 8000, 16_000, 32_000, 64_000, 128_000)
    ranks: tuple[int, ...] = (32, 48, 72, 108, 162, 243)


@dataclass(frozen=True)
class Sweep:
    """A claim and what decides it: the cost at each point, once for each repeat."""

    quantity: str
    variable: str
    claimed: float
    source: str
    kind: str  # planned, counted, measured
    where: str
    points: tuple
    cost: Callable  # (point, generator) -> float


def fit_exponent(points, costs, *, least: bool = False) -> tuple[float, float, float]:
    """Exponent of a power law with its interval.

    Parameters
    ----------
    points : (n,) array_like
        At least 3.
    costs : (n, repeats) array_like
        Positive.
    least : bool
        Fit the least of the repeats instead of their median.

    Returns
    -------
    (float, float, float)
        Slope of ln(cost) on ln(point), and the ends of its 95 % interval: Student's t with n - 2 degrees of
        freedom.

    Raises
    ------
    ValueError
        Too few points, or a cost that is not positive.

    Examples
    --------
    >>> [round(value, 6) for value in fit_exponent([1.0, 2.0, 4.0], [[3.0], [12.0], [48.0]])]
    [2.0, 2.0, 2.0]
    """
    points, costs = np.asarray(points, dtype=float), np.asarray(costs, dtype=float)
    if points.size < 3:
        raise ValueError(f"a fit with an interval needs 3 points, got {points.size}")
    if not np.all(costs > 0.0):
        raise ValueError(f"costs must be positive, got {costs.min()}")
    typical = costs.min(axis=1) if least else np.median(costs, axis=1)
    fit = scipy.stats.linregress(np.log(points), np.log(typical))
    half = fit.stderr * scipy.stats.t.ppf(0.5 + LEVEL / 2.0, points.size - 2)
    return float(fit.slope), float(fit.slope - half), float(fit.slope + half)


# -- the device: planned times


def _solve(error, spectrum, d=64, kappa=100.0, eps=0.1, part="total", dynamics="overdamped") -> float:
    plan = device_times.solve_times(spectrum(int(d), kappa), eps, error=error, dynamics=dynamics)
    return getattr(plan, part)


def _settling(kappa, dynamics="overdamped", eps=0.1, d=64) -> float:
    return device_times.settling_time(log_spectrum(d, kappa), eps, dynamics=dynamics)


def _inverse(error, spectrum, d=64, kappa=100.0, eps=0.01, dynamics="overdamped") -> float:
    return device_times.inverse_times(spectrum(int(d), kappa), eps, error=error, dynamics=dynamics).averaging


def _lyapunov(rng, d=16, kappa=100.0, eps=0.1) -> float:
    noise = tl.problems.wishart(int(d), rng=rng)
    return device_times.lyapunov_times(worst_spectrum(int(d), kappa), noise, eps).averaging


def _logdet(protocol, d=64, kappa=100.0, eps=0.1) -> float:
    return device_times.logdet_times(log_spectrum(int(d), kappa), eps, protocol=protocol).averaging


def _exponential(rng, error, d=32, eps=0.9) -> float:
    A = tl.problems.wishart(int(d), rng=rng)
    return device_times.exponential_times(A, eps, spacing=12.0, error=error).averaging


def _step_seconds(N=1e6, rows=640, part=None) -> float:
    cost = tl.Device.tngd().cost(
        int(rows * (rows + 2 * N)), runs=1, burn_in=50.0, duration=0.0, n_inputs=int(N), n_outputs=int(N), n_chains=1,
        energies=(None, None, None),
    )  # fmt: skip
    return cost.seconds


def _fixed(function, name, **options) -> Callable:
    """A cost that draws nothing, as a function of one of its arguments."""
    return lambda point, rng: function(**{name: point}, **options)


def device_sweeps(sizes: Sizes) -> list[Sweep]:
    """Claims about the device."""
    d, k, e, few = sizes.dims, sizes.kappas, sizes.errors, sizes.small_dims
    worst = {"error": "absolute", "spectrum": worst_spectrum}
    relative = {"error": "relative", "spectrum": log_spectrum}
    inverse = {"error": "spectral", "spectrum": worst_spectrum}
    found = [
        ("solve, absolute error", "d", 1, TLA, "worst spectrum", d, _fixed(_solve, "d", **worst)),
        ("solve, absolute error", "kappa", 2, TLA, "worst spectrum", k, _fixed(_solve, "kappa", **worst)),
        ("solve, absolute error", "eps", -2, TLA, "worst spectrum", e, _fixed(_solve, "eps", **worst)),
        ("solve, absolute error", "kappa", 2, TLA, "log spectrum", k,
         _fixed(_solve, "kappa", error="absolute", spectrum=log_spectrum)),
        ("solve, relative error: averaging", "d", 0, OURS, "log spectrum", d,
         _fixed(_solve, "d", part="averaging", eps=0.01, **relative)),
        ("solve, relative error: averaging", "kappa", 0, OURS, "log spectrum", k,
         _fixed(_solve, "kappa", part="averaging", eps=0.001, **relative)),
        ("settling of the mean voltage", "kappa", 1, OURS, "log spectrum", k, _fixed(_settling, "kappa")),
        ("settling, inertia", "kappa", 0.5, TLA, "log spectrum", k,
         _fixed(_settling, "kappa", dynamics="underdamped")),
        ("solve, inertia, absolute error", "kappa", 1.5, OURS, "worst spectrum", k,
         _fixed(_solve, "kappa", dynamics="underdamped", **worst)),
        ("inverse", "d", 2, TLA, "worst spectrum", d, _fixed(_inverse, "d", **inverse)),
        ("inverse", "kappa", 1, TLA, "worst spectrum", k, _fixed(_inverse, "kappa", **inverse)),
        ("inverse", "eps", -2, TLA, "worst spectrum", e, _fixed(_inverse, "eps", **inverse)),
        ("inverse", "kappa", 1, TLA, "log spectrum", k,
         _fixed(_inverse, "kappa", error="spectral", spectrum=log_spectrum)),
        ("inverse, relative Frobenius", "d", 1, OURS, "worst spectrum", d,
         _fixed(_inverse, "d", error="frobenius", spectrum=worst_spectrum)),
        ("inverse, inertia", "kappa", 0.5, TLA, "worst spectrum", k,
         _fixed(_inverse, "kappa", dynamics="underdamped", **inverse)),
        ("Lyapunov", "d", 2, TLA, "worst spectrum, Wishart R", few, lambda x, rng: _lyapunov(rng, d=x)),
        ("Lyapunov", "kappa", 1, TLA, "worst spectrum, Wishart R", k, lambda x, rng: _lyapunov(rng, kappa=x)),
        ("Lyapunov", "eps", -2, TLA, "worst spectrum, Wishart R", e, lambda x, rng: _lyapunov(rng, eps=x)),
        ("log-determinant", "d", 1, TLA, "linear ramp, log spectrum", d, _fixed(_logdet, "d", protocol="linear")),
        ("log-determinant / ln(kappa)^3", "kappa", 1, TLA, "linear ramp, log spectrum", k,
         lambda x, rng: _logdet("linear", kappa=x) / np.log(x) ** 3),
        ("log-determinant / ln(kappa)^3", "kappa", 1, TLA, "optimal ramp, log spectrum", k,
         lambda x, rng: _logdet("optimal", kappa=x) / np.log(x) ** 3),
        ("log-determinant", "eps", -2, TLA, "linear ramp, log spectrum", e, _fixed(_logdet, "eps", protocol="linear")),
        ("exponential, absolute error", "d", 2, EXPM, "Wishart, error 8", few,
         lambda x, rng: _exponential(rng, "absolute", d=x, eps=8.0)),
        ("exponential, relative error", "d", 1, EXPM, "Wishart, error 0.9", few,
         lambda x, rng: _exponential(rng, "relative", d=x)),
        ("exponential, relative error", "eps", -2, EXPM, "Wishart", e,
         lambda x, rng: _exponential(rng, "relative", eps=x)),
        ("T-KFAC, n columns of a layer", "n", 2, TKFAC, "worst spectrum", d,
         lambda x, rng: x * _solve("absolute", worst_spectrum, d=x)),
        ("TNGD, device", "N", 1, TNGD, "b dz = 640", tuple(10.0 * w for w in sizes.weights),
         _fixed(_step_seconds, "N")),
        ("TNGD, device", "b dz", 1, TNGD, "N = 10^6", sizes.rows, _fixed(_step_seconds, "rows")),
    ]  # fmt: skip
    return [Sweep(q, v, float(c), s, "planned", w, p, cost) for q, v, c, s, w, p, cost in found]


# -- the digital side: counted and measured


def digital_sweeps(sizes: Sizes) -> list[Sweep]:
    """Claims about digital methods and about our simulator."""
    run = digital_runs
    measured = [
        ("Cholesky, one solution", "d", 3, COUNT, "", sizes.dense, run.cholesky),
        ("CG, one iteration", "d", 2, COUNT, "", sizes.streamed, run.product),
        ("eigendecomposition", "d", 3, COUNT, "symmetric", sizes.spectral, run.eigh),
        ("Bartels-Stewart", "d", 3, COUNT, "", sizes.spectral, run.lyapunov),
        ("exponential, Pade", "d", 3, COUNT, "", sizes.spectral, run.expm),
        ("Woodbury, J J^T", "b dz", 2, TNGD, "N = 8000", sizes.rows, partial(run.woodbury, N=8000)),
        ("Woodbury, J J^T", "N", 1, TNGD, "b dz = 256", sizes.weights, lambda x, rng: run.woodbury(256, rng, N=x)),
        ("simulator: inv by its law", "reads", 0, "ours: Wishart law", "d = 64", sizes.reads, run.inverse_by_law),
        ("simulator: inv by paths", "reads", 1, "ours: a step a read", "d = 16", sizes.reads, run.inverse_by_path),
        ("simulator: low rank set up", "rank", 2, "ours: QR of U", "d = 8000", sizes.ranks, run.low_rank),
    ]
    counted = Sweep("CG, iterations", "kappa", 0.5, "Chebyshev bound", "counted", "log spectrum, d = 2000, error 1e-6",
                    sizes.kappas, run.iterations)  # fmt: skip
    return [counted] + [Sweep(q, v, float(c), s, "measured", w, p, cost) for q, v, c, s, w, p, cost in measured]


def exponents(sizes: Sizes, seed: np.random.SeedSequence) -> pd.DataFrame:
    """All claims with their fits.

    Parameters
    ----------
    sizes : Sizes
    seed : SeedSequence

    Returns
    -------
    DataFrame
        quantity, variable, claimed, source, kind ("planned" device time, "counted", "measured" time), where;
        fitted, low, high; first, last (ends of the sweep), points, repeats.

    Raises
    ------
    ValueError
        A sweep of fewer than 3 points.
    """
    sweeps = device_sweeps(sizes) + digital_sweeps(sizes)
    rows = []
    for sweep, child in zip(sweeps, seed.spawn(len(sweeps)), strict=True):
        repeats = [np.random.default_rng(each) for each in child.spawn(sizes.repeats)]
        costs = np.array([[sweep.cost(point, rng) for point in sweep.points] for rng in repeats])
        fitted, low, high = fit_exponent(sweep.points, costs.T, least=sweep.kind == "measured")
        about = {name: value for name, value in vars(sweep).items() if name not in ("points", "cost")}
        rows.append(about | {
            "fitted": fitted, "low": low, "high": high, "first": sweep.points[0], "last": sweep.points[-1],
            "points": len(sweep.points), "repeats": sizes.repeats,
        })  # fmt: skip
    return pd.DataFrame(rows)


def judged(table: pd.DataFrame, margin: float = MARGIN) -> pd.DataFrame:
    """The table with verdicts.

    `holds`: the claimed exponent lies in the interval widened by a margin at both ends. `decided`: the interval is
    narrow enough, at most 0.5 either way, for that to mean something.
    """
    holds = (table.claimed >= table.low - margin) & (table.claimed <= table.high + margin)
    return table.assign(holds=holds, decided=table.high - table.low <= 2.0 * WIDEST)
