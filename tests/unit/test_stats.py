"""Standard errors of correlated reads, on series whose autocorrelation is known."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import thermolinalg as tl
from thermolinalg.errors import UnreliableStderr

few_reads = pytest.mark.filterwarnings("ignore::thermolinalg.errors.UnreliableStderr")


def ar1(rng, rho, n, shape=()):
    """A stationary AR(1) series of unit variance; its autocorrelation time is (1 + rho) / (1 - rho)."""
    x = np.empty((n, *shape))
    x[0] = rng.standard_normal(shape)
    noise = np.sqrt(1 - rho**2) * rng.standard_normal((n, *shape))
    for k in range(1, n):
        x[k] = rho * x[k - 1] + noise[k]
    return x


@pytest.mark.parametrize("rho", [0.0, 0.5, 0.9])
def test_autocorrelation_time_of_ar1(rho, rng):
    """Sokal's error of the estimate: sqrt(2 (2 M + 1) / n) relative, with a window M of about 5 tau."""
    n, exact = 20_000, (1 + rho) / (1 - rho)
    times = tl.stats.autocorrelation_time(ar1(rng, rho, n, (8,)))
    assert times.shape == (8,)
    error = exact * np.sqrt(2 * (10 * exact + 1) / n)
    assert (np.abs(times - exact) < 5 * error).all()
    # truncation of an exponential at 5 tau leaves at most e^-5 of it
    assert abs(times.mean() - exact) < 5 * error / np.sqrt(8) + 0.02 * exact


def test_anticorrelated_reads_count_more_than_once(rng):
    x = ar1(rng, -0.5, 20_000)
    assert tl.stats.autocorrelation_time(x) == pytest.approx(1 / 3, rel=0.15)
    assert tl.stats.effective_sample_size(x) > 2 * 20_000


def test_effective_sample_size_is_the_length_over_the_autocorrelation_time(rng):
    x = ar1(rng, 0.6, 4000, (3,))
    np.testing.assert_allclose(tl.stats.effective_sample_size(x), 4000 / tl.stats.autocorrelation_time(x))


def test_a_constant_series_has_no_error():
    assert tl.stats.autocorrelation_time(np.ones(50)) == 1.0
    estimate = tl.stats.time_average(np.arange(50.0), np.ones(50))
    assert estimate.value == 1.0
    assert estimate.stderr == 0.0


@few_reads
@given(st.lists(st.integers(-3, 3), min_size=2, max_size=12))
def test_autocorrelation_time_of_any_series_is_positive(xs):
    times = tl.stats.autocorrelation_time(xs)
    assert np.isfinite(times)
    assert times > 0
    assert np.isfinite(tl.stats.time_average(np.arange(len(xs)), xs).stderr)


def test_batch_means_are_those_by_hand(rng):
    x = rng.standard_normal((23, 2))
    means = np.array([x[3 * k : 3 * k + 3].mean(axis=0) for k in range(7)])
    expected = np.sqrt(((means - means.mean(axis=0)) ** 2).sum(axis=0) / 6 / 7)
    np.testing.assert_allclose(tl.stats.batch_means(x, 7), expected, rtol=1e-12)


@pytest.mark.parametrize("method", ["autocorrelation", "batch means"])
def test_error_bars_are_calibrated(method, rng):
    """400 stationary series with the known mean 0: z-scores have standard deviation 1."""
    xs = ar1(rng, 0.7, 4000, (400,))
    estimate = tl.stats.time_average(np.arange(4000.0), xs, method=method)
    z = estimate.value / estimate.stderr
    assert abs(z.mean()) < 4 / np.sqrt(400)
    assert abs(z.std() - 1.0) < 0.15


def scores(relaxations, chains, method="autocorrelation", seeds=200, spacing=0.2):
    """z-scores of time averages over so many relaxation times, and the share of them that came with a warning."""
    n, z, warned = int(relaxations / spacing), [], 0
    for seed in range(seeds):
        xs = ar1(np.random.default_rng(seed), np.exp(-spacing), n, (chains, 1)).transpose(1, 0, 2)
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            r = tl.stats.time_average(np.arange(n), xs, method=method)
        warned += any(issubclass(each.category, UnreliableStderr) for each in seen)
        z.append((r.value / r.stderr)[0])
    return np.array(z), warned / seeds


@pytest.mark.parametrize("spacing", [0.02, 0.2])
@pytest.mark.parametrize("relaxations", [3.0, 10.0, 30.0])
def test_a_short_record_is_called_too_short(relaxations, spacing):
    z, warned = scores(relaxations, 1, seeds=60, spacing=spacing)
    assert z.std() > 1.1  # the error bar is too small
    assert warned > 0.95  # and nearly every record says that it may be
    assert scores(400.0, 1, seeds=20)[1] == 0.0


@pytest.mark.parametrize(("relaxations", "chains"), [(1.5, 40), (10.0, 8), (30.0, 8), (100.0, 1)])
def test_chains_know_what_a_short_record_does_not(relaxations, chains):
    z, _ = scores(relaxations, chains)
    assert abs(z.mean()) < 0.28
    assert abs(z.std(ddof=1) - 1.0) < 0.20


def test_the_warning_points_at_the_caller(rng):
    with pytest.warns(UnreliableStderr) as seen:
        tl.stats.time_average(np.arange(5.0), np.arange(5.0))
    assert seen[0].filename == __file__
    with pytest.warns(UnreliableStderr, match="the reads are worth"):
        tl.stats.time_average(np.arange(30.0) ** 1.1, rng.standard_normal(30), method="batch means", n_batches=5)


def test_white_noise_does_not_hide_a_slow_quantity():
    """Nine tenths of the variance white, the rest with a relaxation time of 50 reads, 400 times as long a record."""
    z, n = [], 20_000
    for seed in range(100):
        rng = np.random.default_rng(seed)
        x = np.sqrt(0.1) * ar1(rng, np.exp(-1 / 50), n) + np.sqrt(0.9) * rng.standard_normal(n)
        r = tl.stats.time_average(np.arange(n), x)
        z.append(r.value / r.stderr)
    assert abs(np.std(z, ddof=1) - 1.0) < 4 / np.sqrt(200)


@few_reads
@pytest.mark.parametrize("method", ["autocorrelation", "batch means"])
def test_units_of_the_series_do_not_matter(method, rng):
    x, times = ar1(rng, 0.5, 300, (5, 2)).transpose(1, 0, 2), np.arange(300.0)
    one = tl.stats.time_average(times, x, method=method)
    for unit in (1e200, 1e-200, 1e300, 1e-300):
        other = tl.stats.time_average(times, unit * x, method=method)
        np.testing.assert_allclose(other.value, unit * one.value, rtol=1e-12)
        np.testing.assert_allclose(other.stderr, unit * one.stderr, rtol=1e-12)
        np.testing.assert_allclose(
            tl.stats.autocorrelation_time(unit * x[0]), tl.stats.autocorrelation_time(x[0]), rtol=1e-12
        )
        np.testing.assert_allclose(tl.stats.batch_means(unit * x[0]), unit * tl.stats.batch_means(x[0]), rtol=1e-12)


@few_reads
def test_shapes_of_values_and_chains_are_kept(rng):
    times = np.arange(0.0, 40.0, 0.5)
    for shape, value_shape, chains in (((80,), (), 1), ((80, 3), (3,), 1), ((5, 80, 3), (3,), 5)):
        for method in ("autocorrelation", "batch means"):
            estimate = tl.stats.time_average(times, rng.standard_normal(shape), method=method, n_batches=8)
            assert estimate.value.shape == estimate.stderr.shape == value_shape
            assert estimate.n_chains == chains
            assert estimate.duration == 40.0
            assert estimate.read_spacing == 0.5
            assert (estimate.n_reads, estimate.stderr_kind, estimate.simulator) == (80, method, "data")
            assert str(estimate)


def test_chains_are_averaged(rng):
    """Two chains of one mean are one record; of chains that differ, the scatter of their means is the error."""
    xs, times = rng.standard_normal((2, 400, 2)), np.arange(400.0)
    together = tl.stats.time_average(times, xs)
    np.testing.assert_allclose(together.value, xs.mean(axis=(0, 1)), atol=1e-14)
    np.testing.assert_allclose(together.stderr, 1 / np.sqrt(800), rtol=0.35)
    shifts = np.array([-3.0, 1.0, 0.5, 1.5, 2.0])
    with pytest.warns(UnreliableStderr, match="the reads are worth"):
        apart = tl.stats.time_average(times, shifts[:, None, None] + 1e-3 * rng.standard_normal((5, 400, 1)))
    assert apart.stderr[0] >= shifts.std(ddof=1) / np.sqrt(5) * 0.999
    with pytest.warns(UnreliableStderr):
        apart = tl.stats.time_average(times, shifts[:2, None, None] + 1e-3 * rng.standard_normal((2, 400, 1)))
    assert apart.stderr[0] > 1.0  # of two chains four apart


def test_burn_in_leaves_out_the_first_reads(rng):
    x = rng.standard_normal(100)
    x[:20] += 1e6
    estimate = tl.stats.time_average(7.0 + 0.1 * np.arange(100), x, burn_in=1.95)
    assert estimate.value == pytest.approx(x[20:].mean())
    assert (estimate.n_reads, estimate.burn_in) == (80, 1.95)


@few_reads
def test_uneven_times_are_averaged_by_trapezoids(rng):
    """A straight line read at any times has its mid value as average."""
    times = np.sort(rng.uniform(0.0, 10.0, 200))
    estimate = tl.stats.time_average(times, 2.0 * times + 1.0, method="batch means", n_batches=4)
    assert estimate.value == pytest.approx(times[0] + times[-1] + 1.0)
    assert estimate.read_spacing is None
    # batches of a line: their means are equally spaced over the range
    span = 2.0 * (times[-1] - times[0])
    means = span * (np.arange(4) + 0.5) / 4
    # 200 reads: the ends of the batches fall between reads, an error of second order in their distance
    assert estimate.stderr == pytest.approx(means.std(ddof=1) / 2, rel=1e-3)


def test_uneven_and_even_times_agree_where_both_apply(rng):
    x = ar1(rng, 0.8, 6400, (30,))
    even = tl.stats.time_average(np.arange(6400.0), x, method="batch means")
    times = np.arange(6400.0) + np.where(np.arange(6400) % 2, 1e-3, 0.0)
    uneven = tl.stats.time_average(times, x, method="batch means")
    np.testing.assert_allclose(uneven.value, even.value, atol=5e-3)
    np.testing.assert_allclose(uneven.stderr, even.stderr, rtol=0.05)


@few_reads
def test_integers_and_lists_are_taken():
    estimate = tl.stats.time_average([0, 1, 2, 3], [1, 2, 1, 2])
    assert estimate.value == 1.5
    assert estimate.value.dtype == np.float64


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: tl.stats.autocorrelation_time([1.0]), "xs must hold at least 2 reads along its first axis"),
        (lambda: tl.stats.autocorrelation_time(3.0), "xs must hold at least 2 reads"),
        (lambda: tl.stats.effective_sample_size([1.0, np.nan]), r"xs must be finite, got nan at index \(1,\)"),
        (lambda: tl.stats.batch_means(np.ones(10), 11), "n_batches = 11 needs at least as many reads, got 10"),
        (lambda: tl.stats.batch_means(np.ones(10), 1), "n_batches must be at least 2, got 1"),
        (lambda: tl.stats.time_average([0.0, 1.0], np.ones(3)), r"or \(chains, n, d\) with n = 2, got \(3,\)"),
        (lambda: tl.stats.time_average([0.0, 1.0], np.ones((2, 2, 2, 2))), "xs must have shape"),
        (lambda: tl.stats.time_average([0.0, 1.0], np.ones((0, 2, 3))), r"n = 2, got \(0, 2, 3\)"),
        (lambda: tl.stats.time_average([0.0, 1.0], np.ones((2, 0))), r"n = 2, got \(2, 0\)"),
        (lambda: tl.stats.autocorrelation_time(np.ones((5, 0))), r"got shape \(5, 0\)"),
        (lambda: tl.stats.time_average([0.0, 0.0], np.ones(2)), "times must be at least two, and increase"),
        (lambda: tl.stats.time_average([0.0], np.ones(1)), "times must be at least two"),
        (lambda: tl.stats.time_average([0.0, 1.0, 5.0], np.ones(3)), "times must be equally spaced"),
        (lambda: tl.stats.time_average([0.0, 1.0], np.ones(2), burn_in=0.5), "burn_in = 0.5 leaves 1 reads"),
        (lambda: tl.stats.time_average([0.0, 1.0], np.ones(2), burn_in=-1.0), "burn_in must be non-negative"),
        (
            lambda: tl.stats.time_average([0.0, 1.0], np.ones(2), method="jackknife"),
            "method must be one of 'autocorrelation'",
        ),
        (
            lambda: tl.stats.time_average([0.0, 1.0, 5.0], np.ones(3), method="batch means", n_batches=1),
            "n_batches must be at least 2",
        ),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
