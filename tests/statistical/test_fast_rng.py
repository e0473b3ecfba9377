"""The numbers of the fast generator are normal and independent, within and between streams."""

import contextlib
import shutil
import subprocess

import numpy as np
import pytest
from scipy import special, stats

import thermolinalg as tl

pytestmark = pytest.mark.long

N = 2**21


@pytest.fixture(scope="module")
def numbers():
    """Numbers of one stream."""
    return tl.fast_rng(20).standard_normal(N)


@pytest.mark.parametrize("order", range(1, 9))
def test_moments_are_normal(numbers, order):
    def moment(k):
        return float(stats.norm.moment(k))

    error = np.sqrt((moment(2 * order) - moment(order) ** 2) / N)
    assert abs(np.mean(numbers**order) - moment(order)) < 5 * error


def test_distribution_is_normal(numbers):
    assert stats.kstest(numbers, "norm").pvalue > 1e-5
    counts, _ = np.histogram(stats.norm.cdf(numbers), bins=1000, range=(0.0, 1.0))
    assert stats.chisquare(counts).pvalue > 1e-5


def test_tails_are_normal(numbers):
    for level in (3.0, 4.0, 4.5):
        expected = 2.0 * N * stats.norm.sf(level)
        assert abs(np.sum(np.abs(numbers) > level) - expected) < 5 * np.sqrt(expected)


@pytest.mark.parametrize("lag", [1, 2, 3, 511, 512, 513, 1024, 4096])
@pytest.mark.parametrize("power", [1, 2])
def test_lagged_products_are_uncorrelated(numbers, lag, power):
    x = numbers**power - (power - 1)
    spread = np.mean(x**2) / np.sqrt(N - lag)
    assert abs(np.mean(x[lag:] * x[:-lag])) < 5 * spread


def test_pairs_fill_the_plane(numbers):
    half = numbers.reshape(-1, 2, 512)
    u, v = stats.norm.cdf(half[:, 0].ravel()), stats.norm.cdf(half[:, 1].ravel())
    counts, *_ = np.histogram2d(u, v, bins=32, range=((0, 1), (0, 1)))
    assert stats.chisquare(counts.ravel()).pvalue > 1e-5


def test_streams_are_independent():
    x = np.array([g.standard_normal(2**14) for g in tl.fast_rng(21).spawn(64)])
    correlations = np.corrcoef(x)[np.triu_indices(64, 1)] * np.sqrt(2**14)
    assert np.abs(correlations).max() < 5.5  # of 2016
    assert stats.kstest(correlations, "norm").pvalue > 1e-5


def test_sums_over_streams_are_normal():
    sums = np.array([g.standard_normal(256).sum() / 16.0 for g in tl.fast_rng(22).spawn(4096)])
    assert stats.kstest(sums, "norm").pvalue > 1e-5


@pytest.mark.skipif(shutil.which("dieharder") is None, reason="install dieharder (Brown) for a published battery")
@pytest.mark.parametrize("number", [0, 8, 15, 204], ids=["birthdays", "count the 1s", "runs", "Kolmogorov-Smirnov"])
def test_dieharder_finds_no_weakness(number):
    """Some of its quick tests, of 64 streams in turn; a perfect generator fails one in 10^5 runs of all."""
    found = dieharder_pvalues(number, tl.fast_rng(23).spawn(64))
    assert found
    assert min(found) > 1e-6
    assert max(found) < 1.0 - 1e-6


def dieharder_pvalues(number, streams):
    """Of one test, fed with the words of 32 bits to which the normal distribution function turns the numbers."""
    command = ["dieharder", "-g", "200", "-d", str(number), "-n", "0", "-S", "1", "-D", "pvalues"]
    x = np.empty((2**10, len(streams)))
    with subprocess.Popen(command, bufsize=0, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        with contextlib.suppress(BrokenPipeError):  # it takes what it needs and ends
            while True:
                for k, stream in enumerate(streams):
                    x[:, k] = stream.standard_normal(len(x))
                process.stdin.write((special.ndtr(x) * 2.0**32).astype(np.uint32).tobytes())
        return [float(line) for line in process.stdout.read().split()]
