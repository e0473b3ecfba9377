"""Are the error bars of the library right? z-scores of every estimator over many seeds.

A case draws a problem, runs an estimator, and gives one entry of the answer, drawn before the run: value, truth and the
standard error that the estimator reports. ``z = (value - truth) / stderr`` has mean 0 and standard deviation 1 if the
estimate is unbiased and its standard error right: too large fails like too small. `CASES` has every estimator.
"""

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import scipy.linalg
import scipy.sparse

import thermolinalg as tl
from thermolinalg import checks

SIZE, CONDITION = 6, 10.0  # of random matrices
DRIFT = np.array([[1.0, 1.5, 0.0], [0.0, 0.8, -1.0], [0.5, 0.0, 1.2]])  # stable, far from normal
NOISE = np.array([[2.0, 0.5, 0.0], [0.5, 1.0, 0.3], [0.0, 0.3, 0.5]])
RECORD, SPACING = 4000, 0.5  # reads of a trajectory for `time_average`, RC apart


@dataclass(frozen=True)
class Case:
    """An estimator in one mode.

    Attributes
    ----------
    estimator : str
        Function of the library.
    mode : str
        What is read, and how it is simulated.
    draw : callable
        Generator to (value, truth, stderr) of one entry.
    """

    estimator: str
    mode: str
    draw: Callable[[np.random.Generator], tuple[float, float, float]]

    @property
    def name(self) -> str:
        """Estimator and mode."""
        return f"{self.estimator}: {self.mode}"


def _entry(result, truth, rng, place=None) -> tuple[float, float, float]:
    place = tuple(rng.integers(0, truth.shape)) if place is None else place
    return float(result.value[place]), float(truth[place]), float(result.stderr[place])


def _solve(mode: str, sparse=False, **options) -> Case:
    def draw(rng):
        A, b = tl.problems.with_condition(SIZE, CONDITION, rng), rng.standard_normal(SIZE)
        place = (int(rng.integers(SIZE)),)
        operator = tl.Krylov(scipy.sparse.csr_array(A), tol=1e-8) if sparse else A
        return _entry(tl.solve(operator, b, rng=rng, **options), np.linalg.solve(A, b), rng, place)

    return Case("solve", mode, draw)


def _inv(mode: str, **options) -> Case:
    def draw(rng):
        A = tl.problems.with_condition(SIZE, CONDITION, rng)
        place = tuple(rng.integers(0, SIZE, 2))
        return _entry(tl.inv(A, rng=rng, **options), np.linalg.inv(A), rng, place)

    return Case("inv", mode, draw)


def _lyapunov(mode: str, **options) -> Case:
    truth = scipy.linalg.solve_continuous_lyapunov(DRIFT, NOISE)

    def draw(rng):
        place = tuple(rng.integers(0, 3, 2))
        return _entry(tl.lyapunov(DRIFT, NOISE, rng=rng, **options), truth, rng, place)

    return Case("lyapunov", mode, draw)


def _logdet(mode: str, other=False, **options) -> Case:
    def draw(rng):
        A = tl.problems.with_condition(SIZE, 3.0, rng)
        start = tl.problems.with_condition(SIZE, 2.0, rng) if other else None
        result = tl.logdet(A, start, duration=60.0, n_steps=100, n_paths=500, rng=rng, workers=1, **options)
        return float(result.value), float(np.linalg.slogdet(A)[1]), float(result.stderr)

    return Case("logdet", mode, draw)


def _exponential(mode: str, symmetric=False, **options) -> Case:
    def draw(rng):
        A = tl.problems.with_condition(3, 5.0, rng) if symmetric else DRIFT
        place = tuple(rng.integers(0, 3, 2))
        return _entry(tl.negexpm(A, rng=rng, **options), scipy.linalg.expm(-A), rng, place)

    return Case("negexpm", mode, draw)


def _action(mode: str, **options) -> Case:
    v = np.array([1.0, -1.0, 2.0])
    truth = scipy.linalg.expm(-DRIFT) @ v

    def draw(rng):
        place = (int(rng.integers(3)),)
        return _entry(tl.expm_action(-DRIFT, v, rng=rng, **options), truth, rng, place)

    return Case("expm_action", mode, draw)


def _average(mode: str, **options) -> Case:
    drift, times = DRIFT + 0.5 * np.eye(3), SPACING * np.arange(RECORD)  # forgets within 2 RC: records long enough
    process = tl.OrnsteinUhlenbeck(drift, [1.0, 0.0, -1.0], NOISE)

    def draw(rng):
        place = (int(rng.integers(3)),)
        reads = process.sample(times, rng=rng)[0]
        return _entry(tl.stats.time_average(times, reads, **options), process.center, rng, place)

    return Case("time_average", mode, draw)


_READS = {"n_reads": 40, "read_spacing": 2.0}
_COARSE, _DITHER = tl.Device(adc_bits=5), tl.Device(adc_bits=5, rounding="stochastic")
CASES = (
    _solve("integrator, law", duration=200.0),
    _solve("integrator, path", duration=200.0, simulator="path"),
    _solve("integrator, underdamped law", duration=200.0, dynamics="underdamped"),
    _solve("integrator, underdamped path", duration=200.0, dynamics="underdamped", simulator="path"),
    _solve("independent reads, law", n_reads=40),
    _solve("independent reads, path", n_reads=40, simulator="path"),
    _solve("spaced reads, law", **_READS),
    _solve("spaced reads, path", **_READS, simulator="path"),
    _solve("spaced reads, underdamped", **_READS, dynamics="underdamped"),
    _solve("5-bit reads, nearest", **_READS, device=_COARSE),
    _solve("5-bit reads, stochastic", **_READS, device=_DITHER),
    _solve("read noise", duration=200.0, device=tl.Device(read_noise=0.5)),
    _solve("planned by rtol", rtol=0.05),
    _solve("products only, 40 chains", sparse=True, duration=100.0, n_chains=40),
    _inv("independent reads, law", n_reads=1000),
    _inv("independent reads, path", n_reads=1000, simulator="path"),
    _inv("spaced reads", n_reads=5000, read_spacing=1.0),
    _inv("spaced reads, underdamped", n_reads=5000, read_spacing=1.0, dynamics="underdamped"),
    _inv("integrator", duration=2000.0),
    _inv("8-bit reads", n_reads=1000, device=tl.Device(adc_bits=8)),
    _lyapunov("independent reads, law", n_reads=3000),
    _lyapunov("independent reads, path", n_reads=3000, simulator="path"),
    _lyapunov("spaced reads", n_reads=6000, read_spacing=0.5),
    _lyapunov("7-bit spaced reads", n_reads=6000, read_spacing=0.5, device=tl.Device(adc_bits=7)),
    _logdet("Jarzynski", estimator="jarzynski"),
    _logdet("Jarzynski, optimal ramp", estimator="jarzynski", protocol="optimal"),
    _logdet("Bennett", estimator="bar"),
    _logdet("Bennett, not commuting", estimator="bar", other=True),
    _logdet("Gaussian", estimator="gaussian"),
    _exponential("successive reads", symmetric=True, n_reads=4000),
    _exponential("successive reads, not normal", n_reads=4000),
    _exponential("independent pairs, law", n_reads=2000, read_spacing=None),
    _action("successive reads", n_reads=4000),
    _average("autocorrelation"),
    _average("batch means", method="batch means"),
)


def scores(case: Case, seeds: int, seed: np.random.SeedSequence) -> pd.DataFrame:
    """Value, truth, standard error and z of a case, a row for each seed.

    Seed k of a case depends on `seed`, the name of the case and k alone.

    Parameters
    ----------
    case : Case
    seeds : int
    seed : SeedSequence

    Returns
    -------
    DataFrame
        Columns value, truth, stderr, z.

    Raises
    ------
    ValueError
        Fewer than 2 seeds.

    Examples
    --------
    >>> fair = Case("example", "a normal number", lambda rng: (rng.standard_normal(), 0.0, 1.0))
    >>> scores(fair, 3, np.random.SeedSequence(0)).shape
    (3, 4)
    """
    seeds, key = checks.count(seeds, "seeds", least=2), zlib.crc32(case.name.encode())
    rows = []
    for k in range(seeds):
        child = np.random.SeedSequence(seed.entropy, spawn_key=(*seed.spawn_key, key, k))
        rows.append(case.draw(np.random.default_rng(child)))
    table = pd.DataFrame(rows, columns=["value", "truth", "stderr"])
    return table.assign(z=(table["value"] - table["truth"]) / table["stderr"])


def summary(z) -> Mapping[str, float]:
    """Mean and standard deviation of z-scores and the shares within 1 and 2, each with its standard error.

    The error of the standard deviation is that of any law: from the fourth moment.

    Parameters
    ----------
    z : (n,) array_like
        At least 2.

    Returns
    -------
    dict
        mean, sd, within_1, within_2, and each with "_error". For normal scores 0, 1, 0.683, 0.954.

    Raises
    ------
    ValueError
        Fewer than 2 scores.

    Examples
    --------
    >>> found = summary([-1.5, -0.5, 0.5, 1.5])
    >>> found["mean"], found["within_1"]
    (0.0, 0.5)
    """
    z = checks.vector(z, "z")
    n = checks.count(z.size, "number of z-scores", least=2)
    mean, sd = float(z.mean()), float(z.std(ddof=1))
    fourth = float(np.mean((z - mean) ** 4))
    found = {"mean": mean, "mean_error": sd / np.sqrt(n), "sd": sd}
    found["sd_error"] = float(np.sqrt(max(fourth - sd**4, 0.0) / n) / (2.0 * sd)) if sd else 0.0
    for width in (1, 2):
        share = float(np.mean(np.abs(z) <= width))
        found |= {f"within_{width}": share, f"within_{width}_error": float(np.sqrt(share * (1.0 - share) / n))}
    return found


def calibration_table(cases=CASES, *, seeds=200, seed: np.random.SeedSequence | None = None) -> pd.DataFrame:
    """How well each estimator knows its own error.

    Parameters
    ----------
    cases : iterable of Case
    seeds : int
        Scores of each.
    seed : SeedSequence, optional
        Default that of 0.

    Returns
    -------
    DataFrame
        Columns estimator, mode, seeds, those of `summary`, and relative_error: root mean square of the reported
        standard errors over that of the truths.

    Raises
    ------
    ValueError
        Fewer than 2 seeds.

    Examples
    --------
    >>> boaster = Case("example", "error bar half as long", lambda rng: (rng.standard_normal(), 0.0, 0.5))
    >>> bool(calibration_table([boaster], seeds=400).sd[0] > 1.7)
    True
    """
    seed = np.random.SeedSequence(0) if seed is None else seed
    rows = []
    for case in cases:
        table = scores(case, seeds, seed)
        sizes = {name: np.sqrt(np.mean(table[name] ** 2)) for name in ("stderr", "truth")}
        relative = sizes["stderr"] / sizes["truth"] if sizes["truth"] else np.nan
        labels = {"estimator": case.estimator, "mode": case.mode, "seeds": len(table)}
        rows.append(labels | dict(summary(table["z"])) | {"relative_error": float(relative)})
    return pd.DataFrame(rows)
