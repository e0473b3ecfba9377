"""Paths: the same bits however they are computed, the right moments, and what Euler-Maruyama says of itself."""

import numpy as np
import pytest
import scipy.sparse

import thermolinalg as tl
from tests import oracles
from thermolinalg import laws
from thermolinalg.measurement import paths
from thermolinalg.numerics import blocks

D = 5


@pytest.fixture
def problem(rng):
    return oracles.random_spd(rng, D, 10.0), rng.standard_normal((D, 2)), rng.standard_normal(D)


CONVERTER = tl.Device(adc_bits=6, read_noise=0.01, rounding="stochastic")
RUNS = {
    "solve, integrator": lambda A, b, x0, **o: tl.solve(A, b, duration=5.0, x0=x0, simulator="path", **o).value,
    "solve, reads": lambda A, b, x0, **o: (
        tl.solve(A, b, n_reads=300, read_spacing=0.5, x0=x0, simulator="path", **o).value
    ),
    "solve, independent reads": lambda A, b, x0, **o: tl.solve(A, b, n_reads=9, x0=x0, simulator="path", **o).value,
    "solve, rounded reads": lambda A, b, x0, **o: (
        tl.solve(A, b, n_reads=30, read_spacing=0.5, device=tl.Device(adc_bits=6), **o).value
    ),
    "solve, noisy rounded reads": lambda A, b, x0, **o: (
        tl.solve(A, b, n_reads=30, read_spacing=0.5, device=CONVERTER, **o).value
    ),
    "inv, reads": lambda A, b, x0, **o: tl.inv(A, n_reads=1500, read_spacing=0.5, **o).value,
    "inv, integrator": lambda A, b, x0, **o: tl.inv(A, duration=5.0, **o).value,
    "inv, independent reads": lambda A, b, x0, **o: tl.inv(A, n_reads=9, simulator="path", **o).value,
    "inv, rounded reads": lambda A, b, x0, **o: tl.inv(A, n_reads=30, device=CONVERTER, **o).value,
    "Euler-Maruyama": lambda A, b, x0, **o: (
        tl.euler_maruyama(A, b[:, 0], dt=0.1, n_steps=20, burn_in_steps=3, x0=x0, **(o | {"n_chains": 70})).average
    ),
}


@pytest.mark.parametrize("name", RUNS)
def test_same_bits_for_any_number_of_workers(name, problem, seed):
    one, two, four = (RUNS[name](*problem, n_chains=3, rng=seed, workers=workers) for workers in (1, 2, 4))
    np.testing.assert_array_equal(one, two)
    np.testing.assert_array_equal(one, four)


@pytest.mark.parametrize("name", RUNS)
def test_same_bits_for_any_block_of_noise(name, problem, seed, monkeypatch):
    results = [RUNS[name](*problem, n_chains=2, rng=seed)]
    for block in (1, 7, 1024):
        for module in (paths, blocks):
            monkeypatch.setattr(module, "BLOCK", block)
        results.append(RUNS[name](*problem, n_chains=2, rng=seed))
    for other in results[1:]:
        np.testing.assert_array_equal(results[0], other)


@pytest.mark.parametrize("name", RUNS)
def test_the_noise_follows_the_seed(name, problem, seed):
    """The same seed gives the same bits, another seed others, and two runs without a seed differ."""
    first = RUNS[name](*problem, n_chains=2, rng=seed)
    np.testing.assert_array_equal(first, RUNS[name](*problem, n_chains=2, rng=seed))
    np.testing.assert_array_equal(first, RUNS[name](*problem, n_chains=2, rng=np.random.default_rng(seed)))
    assert not np.array_equal(first, RUNS[name](*problem, n_chains=2, rng=seed + 1))
    assert not np.array_equal(RUNS[name](*problem, n_chains=2), RUNS[name](*problem, n_chains=2))


@pytest.mark.parametrize("tile", [2, 256])
@pytest.mark.parametrize(
    ("kind", "readout", "extra"),
    [
        ("integrator", laws.Integrator(0.5, 4.0), {"duration": 4.0}),
        ("reads", laws.Reads(0.5, 6, 0.7), {"n_reads": 6, "spacing": 0.7}),
        ("reads", laws.Reads(0.5, 1, 0.7), {"n_reads": 1, "spacing": 0.7}),
        ("independent", laws.IndependentReads(0.5, 4), {"n_reads": 4}),
    ],
)
def test_paths_have_the_moments_of_the_law(kind, readout, extra, tile, rng, monkeypatch):
    """From x0, with a short burn-in: mean and covariance of 1500 paths, in every direction."""
    monkeypatch.setattr(paths, "MODE_TILE", tile)
    A, beta = oracles.random_spd(rng, 3, 8.0), 2.0
    b, x0 = rng.standard_normal((2, 3))
    operator = tl.Dense(A)
    modes = paths.mode_averages(
        operator.rates, operator.to_modes(x0[:, None]), operator.to_modes(b[:, None]), readout, beta, 1500, rng, 2
    )
    samples = np.array([operator.from_modes(chain)[:, 0] for chain in modes])
    mean, covariance = oracles.readout_law(kind, A, b, x0, beta, burn_in=0.5, **extra)
    oracles.sampled_moments_agree(samples, mean, covariance)


def test_without_noise_the_path_is_the_mean(rng):
    """beta = inf: the integrator and the reads follow the moment equations to rounding."""
    A = oracles.random_spd(rng, 4, 20.0)
    b, x0 = rng.standard_normal((2, 4))
    options = {"x0": x0, "burn_in": 0.5, "beta": np.inf, "simulator": "path"}
    for kind, asked, times in (
        ("integrator", {"duration": 3.0}, {"duration": 3.0}),
        ("reads", {"n_reads": 7, "read_spacing": 0.4}, {"n_reads": 7, "spacing": 0.4}),
        ("independent", {"n_reads": 7}, {"n_reads": 7}),
    ):
        mean, _ = oracles.readout_law(kind, A, b, x0, 1.0, burn_in=0.5, **times)
        with pytest.warns(tl.errors.NotEquilibrated):
            value = tl.solve(A, b, **asked, **options).value
        np.testing.assert_allclose(value, mean, rtol=1e-9, atol=1e-11)


# Euler-Maruyama -------------------------------------------------------------------------------------------------------


def test_euler_without_noise_is_the_plain_recursion(rng):
    """x <- x + dt (b - A x), its trapezoidal average after the burn-in, chain by chain."""
    A, b = oracles.random_spd(rng, 4, 10.0), rng.standard_normal(4)
    x0 = rng.standard_normal((3, 4))
    result = tl.euler_maruyama(A, b, dt=0.3, n_steps=5, burn_in_steps=2, x0=x0, n_chains=3, beta=np.inf, rng=0)
    x, total = x0.copy(), np.zeros_like(x0)
    for k in range(7):
        new = x + 0.3 * (b - x @ A)
        if k >= 2:
            total += (x + new) / 2
        x = new
    np.testing.assert_allclose(result.final, x, rtol=1e-12)
    np.testing.assert_allclose(result.average, total / 5, rtol=1e-12)


@pytest.mark.parametrize("n_chains", [1, 64, 65])
def test_euler_takes_any_number_of_chains_and_any_operator(n_chains, rng):
    A, b = oracles.random_spd(rng, 4, 10.0), rng.standard_normal(4)
    U = rng.standard_normal((4, 2))
    given = [
        (A, A),
        (scipy.sparse.csr_array(A), A),
        (tl.LowRank(0.5, U), 0.5 * np.eye(4) + U @ U.T),
        (tl.Diagonal([1.0, 2.0, 3.0, 4.0]), np.diag([1.0, 2.0, 3.0, 4.0])),
    ]
    for operator, matrix in given:
        result = tl.euler_maruyama(operator, b, dt=0.02, n_steps=2, beta=np.inf, n_chains=n_chains, rng=0)
        assert result.final.shape == result.average.shape == (n_chains, 4)
        expected = 0.02 * b + (b - matrix @ (0.02 * b)) * 0.02
        np.testing.assert_allclose(result.final, np.tile(expected, (n_chains, 1)), rtol=1e-9)


@pytest.mark.parametrize("dt_times_top", [0.1, 1.0, 1.7])
def test_euler_inflates_its_covariance_as_it_says(dt_times_top, rng):
    """Stationary variance along the slowest and the fastest mode: 2 / (2 - dt lambda) times that of the device."""
    A, beta, n = np.array([[0.75, 0.25], [0.25, 0.75]]), 3.0, 4000
    dt = dt_times_top / 1.0
    steps = int(20 / min(dt * 0.5, 2.0 - dt)) + 5
    result = tl.euler_maruyama(A, dt=dt, n_steps=steps, n_chains=n, beta=beta, rng=rng)
    slow, fast = (result.final @ v for v in (np.array([1.0, -1.0]) / np.sqrt(2), np.array([1.0, 1.0]) / np.sqrt(2)))
    for lam, samples, inflation in (
        (0.5, slow, result.covariance_inflation[0]),
        (1.0, fast, result.covariance_inflation[1]),
    ):
        assert inflation == pytest.approx(1.0 / (1.0 - dt * lam / 2.0))
        ratio = samples.var() * beta * lam
        assert abs(ratio / inflation - 1.0) < 5 * np.sqrt(2.0 / n)
        if inflation > 1.2:
            assert abs(ratio - 1.0) > 5 * np.sqrt(2.0 / n)  # the inflation is there and seen
    _, covariance, _, _ = oracles.euler_moments(A, np.zeros(2), np.zeros(2), beta, dt, steps)
    oracles.sampled_moments_agree(result.final, np.zeros(2), covariance)


def test_covariance_inflation_is_the_published_one():
    for dt, factor in ((0.1, 1.0363), (0.5, 1.2121), (1.0, 1.5385)):
        result = tl.euler_maruyama([[0.7]], dt=dt, n_steps=1, rng=0)
        assert result.covariance_inflation == pytest.approx((factor, factor), abs=5e-5)
        assert result.dt == dt


def test_euler_refuses_an_unstable_step():
    A = np.diag([1.0, 4.0])
    tl.euler_maruyama(A, dt=0.4999, n_steps=1, rng=0)
    for dt in (0.5, 3.0):
        with pytest.raises(ValueError, match=rf"dt must be below 2 / lambda_max = 0.5 for a stable step, got {dt:g}"):
            tl.euler_maruyama(A, dt=dt, n_steps=1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dt": 0.0}, "dt must be positive and finite, got 0.0"),
        ({"dt": -0.1}, "dt must be positive"),
        ({"n_steps": 0}, "n_steps must be at least 1, got 0"),
        ({"n_steps": 1.5}, "n_steps must be an integer, got 1.5"),
        ({"burn_in_steps": -1}, "burn_in_steps must be at least 0, got -1"),
        ({"n_chains": 0}, "n_chains must be at least 1"),
        ({"b": np.ones(3)}, r"b must have shape \(2,\), got \(3,\)"),
        ({"x0": np.ones(3)}, r"x0 must have shape \(2,\) or \(1, 2\), got \(3,\)"),
        ({"x0": np.ones((2, 2))}, r"x0 must have shape \(2,\) or \(1, 2\), got \(2, 2\)"),
        ({"beta": 0.0}, "beta must be positive"),
        ({"beta": 1.0, "device": tl.Device()}, "give beta or device, not both"),
        ({"rng": "seed"}, "rng must be None, an int, a SeedSequence or a Generator, got 'seed'"),
    ],
)
def test_euler_refuses_bad_input(options, message):
    with pytest.raises(ValueError, match=message):
        tl.euler_maruyama(np.eye(2), **({"dt": 0.1, "n_steps": 2} | options))


def test_euler_refuses_an_indefinite_matrix():
    with pytest.raises(tl.errors.NotPositiveDefinite, match="smallest eigenvalue is -1"):
        tl.euler_maruyama(np.diag([1.0, -1.0]), dt=0.1, n_steps=1)


def test_euler_leaves_the_start_alone(rng):
    x0 = rng.standard_normal((2, 3))
    before = x0.copy()
    tl.euler_maruyama(np.eye(3), dt=0.1, n_steps=3, x0=x0, n_chains=2, rng=0)
    np.testing.assert_array_equal(x0, before)


def test_euler_never_returns_what_is_not_finite():
    with np.errstate(over="ignore", invalid="ignore"), pytest.raises(FloatingPointError, match="is not finite"):
        tl.euler_maruyama([[1.0]], [1e308], dt=1.9, n_steps=50, x0=[-1.7e308], rng=0)
