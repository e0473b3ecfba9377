"""Duffield et al., arXiv:2311.12759: the figure at smoke scale against published times; error and theory by oracles."""

import json
from dataclasses import replace
from hashlib import sha256
from importlib import import_module
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.linalg
import scipy.stats

import paper_repro.duffield2025
import thermolinalg as tl
from paper_repro.duffield2025 import run, settings

NAME = "exponential_error_vs_time"
FIGURES = ("exponential_error_vs_time",)
EXPECTED = json.loads((Path(paper_repro.duffield2025.__file__).parent / "expected.json").read_text())[NAME]
SMOKE = settings.SCALES["smoke"][NAME]
figures_main = import_module("figures.__main__").main


@pytest.fixture(scope="module")
def gallery(tmp_path_factory):
    """The figure, made once."""
    out = tmp_path_factory.mktemp("gallery")
    assert figures_main(["duffield2025", "--scale", "smoke", "--out", str(out)]) == 0
    return out


@pytest.fixture(scope="module")
def table(gallery):
    """What was drawn."""
    return pd.read_csv(gallery / f"{NAME}.csv")


@pytest.fixture(scope="module")
def crossings(table):
    """Crossing times by family, measure and size."""
    return table[table.series == "crossing"].set_index(["family", "measure", "d"]).sort_index()


def near(entry):
    """An entry of expected.json as something to compare with."""
    return pytest.approx(entry["value"], abs=entry.get("atol"), rel=entry.get("rtol"))


def reads_of(drift, n, rng, chains=1):
    """Reads of the paper's device, from x = 0."""
    process = tl.OrnsteinUhlenbeck(drift, diffusion=drift + drift.T)
    return process.sample(np.arange(n + 1.0), x0=np.zeros(len(drift)), n_chains=chains, rng=rng)


# -- the figure


def test_every_figure_is_written_whole(gallery):
    assert (gallery / f"{NAME}.png").read_bytes().startswith(b"\x89PNG")
    assert (gallery / f"{NAME}.pdf").read_bytes().startswith(b"%PDF")
    sidecar = json.loads((gallery / f"{NAME}.json").read_text())
    assert sidecar["csv_sha256"] == sha256((gallery / f"{NAME}.csv").read_bytes()).hexdigest()
    assert sidecar["settings"]["panels"][1] == {
        "family": "orthogonal", "alpha": 1.1, "absolute": 19.0, "relative": 0.9
    }  # fmt: skip


def test_paper_scale_is_the_papers():
    paper = settings.SCALES["paper"][NAME]
    assert (paper.sizes, paper.n_reads, paper.read_spacing) == ((64, 128, 256, 512), 10_000, 12.0)
    assert paper.repeats == 10


@pytest.mark.parametrize("d", SMOKE.sizes)
@pytest.mark.parametrize("measure", ["absolute", "relative"])
def test_published_crossing_times(crossings, measure, d):
    entry = EXPECTED["published"]["Wishart"][measure][str(d)]
    row = crossings.loc["Wishart", measure, d]
    assert row.time == near(entry)
    assert row.time_published == entry["value"]
    assert 0.5 * entry["atol"] < row.time_sd < 2.0 * entry["atol"]


@pytest.mark.parametrize("d", SMOKE.sizes)
@pytest.mark.parametrize("measure", ["absolute", "relative"])
def test_orthogonal_crossing_times_are_those_of_large_matrices(crossings, measure, d):
    row = crossings.loc["orthogonal", measure, d]
    assert row.time == near(EXPECTED["limit"]["orthogonal"][measure][str(d)])
    assert np.isnan(row.time_published)


def test_crossing_times_are_those_of_theory(crossings):
    """Five standard errors of a mean over repeats: nothing is fitted."""
    distance = (crossings.time - crossings.time_theory) / (crossings.time_sd / np.sqrt(SMOKE.repeats))
    assert len(distance) == 8
    assert distance.abs().max() < 5.0


def test_powers_of_the_size(crossings):
    small, large = SMOKE.sizes
    for family in ("Wishart", "orthogonal"):
        for measure in ("absolute", "relative"):
            times = crossings.loc[family, measure].time
            slope = np.log(times[large] / times[small]) / np.log(large / small)
            assert slope == near(EXPECTED[f"slope_{measure}"])


def test_curves_agree_with_theory(table):
    curves = table[table.series == "error"]
    assert curves.time.min() == 36.0  # three reads: the first after 30 us
    assert curves.time.max() == 12.0 * SMOKE.n_reads
    long = curves[curves.time > 3000.0]
    # twenty repeats, correlated along a curve and between the two measures of one family and size
    distance = (long.error - long.error_theory) / (long.error_sd / np.sqrt(SMOKE.repeats))
    assert distance.abs().max() < 6.0
    assert len(curves[curves.d == 64]) > 100


def test_the_table_is_the_same_for_the_same_seed():
    tiny = replace(SMOKE, sizes=(4,), n_reads=300, repeats=2, points=5)
    one, two, other = (run.exponential_error_vs_time(tiny, np.random.SeedSequence(seed)) for seed in (1, 1, 2))
    pd.testing.assert_frame_equal(one, two)
    assert not one.error.equals(other.error)


def test_tables_command(capsys):
    assert run.main(["--list"]) == 0
    assert capsys.readouterr().out.split() == list(FIGURES)


# -- the published times at every size, without a simulation


def wishart_theory(d, matrices, rng):
    """Error after 1, 2, ..., 10^4 products, and ||e^-A||_F, of each of some matrices."""
    for _ in range(matrices):
        rates = np.linalg.eigvalsh(tl.problems.wishart(d, rng=rng))
        yield run.expected_error(np.exp(-rates), 10_000), np.sqrt(np.sum(np.exp(-2.0 * rates)))


@pytest.mark.parametrize("d", [64, 128, 256, 512])
def test_theory_meets_the_published_times(d, rng):
    """A mean of ten repeats, within four of its standard errors of theory averaged over a few matrices."""
    theory = list(wishart_theory(d, 6, rng))
    for measure in ("absolute", "relative"):
        entry = EXPECTED["published"]["Wishart"][measure][str(d)]
        times = [12.0 * run.crossing(error, 8.0 if measure == "absolute" else 0.9 * norm) for error, norm in theory]
        assert np.mean(times) == pytest.approx(entry["value"], abs=4.0 * entry["atol"] / np.sqrt(10))


@pytest.mark.parametrize("d", [64, 128, 256])
def test_theory_in_equilibrium(d, rng):
    """Means over 16 matrices."""
    errors, norms = np.array([(error[-1], norm) for error, norm in wishart_theory(d, 16, rng)]).T
    assert np.mean(10_000 * errors**2 / d**2) == near(EXPECTED["sum_over_lags_wishart"])
    assert np.mean(norms / np.sqrt(d)) == near(EXPECTED["norm_wishart"])
    assert np.mean(errors / norms) == near(EXPECTED["relative_error_at_1e4_reads"][str(d)])


# -- the running error and its theory


@pytest.mark.parametrize("n", [1, 127, 128, 300])
def test_running_error_is_the_error_of_every_mean(n, rng):
    reads, exact = rng.standard_normal((n + 1, 5)), rng.standard_normal((5, 5))
    means = np.cumsum([np.outer(y, x) for x, y in pairwise(reads)], axis=0)
    means /= np.arange(1, n + 1)[:, None, None]
    plain = np.linalg.norm(means - exact, axis=(1, 2))
    np.testing.assert_allclose(run.running_error(reads, exact), plain, rtol=1e-10)


def mean_square_by_isserlis(M, n):
    """E||C - M||_F^2 of n products from the joint covariance of all reads, entry by entry."""
    d = len(M)
    steps = np.linalg.cholesky(np.eye(d) - M @ M.T)
    paths = np.zeros((n + 1, d, n, d))  # read k as a linear map of the noise
    for k in range(n):
        paths[k + 1] = np.einsum("ab,bkc->akc", M, paths[k])
        paths[k + 1, :, k] = steps
    covariance = np.einsum("sikc,tjkc->sitj", paths, paths)
    x, y = slice(0, n), slice(1, n + 1)
    square = np.einsum("siti,sjtj->", covariance[y, :, y], covariance[x, :, x])
    square += np.einsum("sitj,sjti->", covariance[y, :, x], covariance[x, :, y])
    mean = np.einsum("sisj->ij", covariance[y, :, x]) / n
    return square / n**2 + np.sum((mean - M) ** 2)


@pytest.mark.parametrize("speed", [0.5, 3.0])  # so slow that no start is forgotten; so fast that each is, soon
def test_theory_is_the_fourth_moments_of_all_reads(speed, rng):
    turning = scipy.stats.ortho_group.rvs(3, random_state=rng) + 1.3 * np.eye(3)
    for drift in (speed * tl.problems.with_spectrum([0.6, 1.0, 2.0], rng=rng), speed * turning):
        M = scipy.linalg.expm(-drift)
        theory = run.expected_error(np.linalg.eigvals(M), 40)
        for n in (1, 2, 5, 40):
            assert theory[n - 1] ** 2 == pytest.approx(mean_square_by_isserlis(M, n), rel=1e-7)


def test_theory_agrees_with_the_standard_error_of_negexpm(rng):
    A = tl.problems.wishart(24, rng=rng)
    r = tl.negexpm(A, n_reads=10_000, alpha=0.0, read_spacing=12.0, burn_in="stationary", rng=rng)
    error = run.expected_error(np.exp(-np.linalg.eigvalsh(A)), 10_000)[-1]
    assert np.sqrt(np.sum(r.stderr**2)) == pytest.approx(error, rel=5e-3)


def test_a_run_of_negexpm_has_the_errors_of_the_table(rng):
    """The same device by the library's own estimate: mean square errors of 60 runs of each, five standard errors."""
    drift = tl.problems.wishart(16, rng=rng)
    exact = scipy.linalg.expm(-drift)
    runs = [tl.negexpm(drift, n_reads=50, alpha=0.0, read_spacing=12.0, burn_in=0.0, rng=rng) for _ in range(60)]
    squares = np.array([np.sum((r.value - exact) ** 2) for r in runs])
    paths = np.array([run.running_error(reads, exact)[-1] ** 2 for reads in reads_of(drift, 50, rng, chains=60)])
    spread = np.sqrt((squares.var(ddof=1) + paths.var(ddof=1)) / 60)
    assert abs(squares.mean() - paths.mean()) < 5.0 * spread
    assert spread < 0.2 * paths.mean()
    assert runs[0].duration == 600.0


def test_crossing_is_from_when_on_the_error_stays_below():
    curve = np.array([0.5, 2.0, 3.0, 0.9, 1.0, 0.8, 0.2])
    assert run.crossing(curve, 1.0) == 6  # the first is below too, the fifth at the threshold
    assert run.crossing(curve, 4.0) == 1
    with pytest.raises(ValueError, match=r"still 0\.2 after 7 products and has not crossed 0\.1; use more reads"):
        run.crossing(curve, 0.1)
