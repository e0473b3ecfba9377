"""Steps of a process in the modes of a symmetric drift: against expm, Bartels-Stewart, 60 digits and the ladder."""

import mpmath
import numpy as np
import pytest
import scipy.linalg

import thermolinalg as tl
from tests import oracles
from thermolinalg.measurement.common_modes import CommonModes, lower_factor
from thermolinalg.processes import transitions
from thermolinalg.processes.fourth_moments import moment_variance
from thermolinalg.processes.symmetric_drift import KEPT, DriftModes


def system(d, rng, rank=None):
    """A symmetric drift and a noise that does not share its modes."""
    X = rng.standard_normal((d, rank or d))
    return tl.problems.wishart(d, rng=d), X @ X.T


def exact_step(A, D, h):
    """M and Q of a step by the exponential of a block matrix, or of a long one from the stationary covariance."""
    d = len(A)
    if h > 1.0:
        M, S = scipy.linalg.expm(-h * A), scipy.linalg.solve_continuous_lyapunov(A, D)
        return M, S - M @ S @ M.T
    block = scipy.linalg.expm(h * np.block([[-A, D], [np.zeros_like(A), A.T]]))
    return block[:d, :d], block[:d, d:] @ block[:d, :d].T


def assert_near(found, exact, rtol):
    """Entries (i, j) of two covariances within rtol of the standard deviations of i and j."""
    sd = np.sqrt(np.diag(exact))
    assert np.abs((found - exact) / np.outer(sd, sd)).max() < rtol


# The law of a step --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("d", [2, 5, 30])
@pytest.mark.parametrize("h", [1e-6, 0.1, 1.0, 5.0])
def test_steps_agree_with_a_block_exponential(d, h, rng):
    A, D = system(d, rng)
    process = tl.OrnsteinUhlenbeck(A, diffusion=D)
    assert process.modes is None
    assert process.drift_modes is not None
    M, Q = process.transition(h)
    M_exact, Q_exact = exact_step(A, D, h)
    np.testing.assert_allclose(M, M_exact, atol=1e-13)
    np.testing.assert_array_equal(Q, Q.T)
    assert_near(Q, Q_exact, 1e-11)
    np.testing.assert_array_equal(process.covariance(h), Q)
    np.testing.assert_array_equal(process.propagator(h), M)


@pytest.mark.parametrize("d", [2, 5, 30])
def test_stationary_covariance_agrees_with_bartels_and_stewart(d, rng):
    A, D = system(d, rng)
    process = tl.OrnsteinUhlenbeck(A, diffusion=D)
    assert process.drift_modes is not None
    assert_near(process.stationary()[1], scipy.linalg.solve_continuous_lyapunov(A, D), 1e-12)
    np.testing.assert_array_equal(process.propagator(np.inf), 0.0)
    np.testing.assert_array_equal(process.covariance(0.0), 0.0)


@pytest.mark.parametrize("spread", [1e1, 1e3, 1e6, 1e9])
def test_slow_modes_are_known_as_well_as_the_ladder_knows_them(spread, rng):
    """Rotated, both know the rate of the slowest mode to the rounding of the entries: spread times eps."""
    V = np.linalg.qr(rng.standard_normal((6, 6)))[0]
    A, D = (V * np.geomspace(1.0, 1.0 / spread, 6)) @ V.T, np.diag(np.linspace(1.0, 2.0, 6))
    A = (A + A.T) / 2.0
    modes = DriftModes.of(A, D)
    h = np.array([0.01, 1.0, spread, np.inf])
    _, M, Q = transitions.step_laws(A, D, h)
    np.testing.assert_allclose(modes.propagators(h), M, atol=1e-14 * spread)
    for found, ladder in zip(modes.noises(h), Q, strict=True):
        assert_near(found, ladder, 1e-14 + 2e-14 * spread)


@pytest.mark.parametrize("graded", ["drift", "noise", "both", "opposed"])
@pytest.mark.parametrize("spread", [1e0, 1e2, 1e4, 1e6, 1e8, 1e12])
def test_small_cells_keep_their_digits_among_large_ones(graded, spread, rng):
    """Modes where they leave the small entries as they are, doublings elsewhere: 12 digits either way."""
    A, D = (X @ X.T / 8.0 + np.eye(4) for X in rng.standard_normal((2, 4, 8)))
    cells = np.geomspace(1.0, np.sqrt(spread), 4)
    if graded != "noise":
        A = A * np.outer(cells, cells)
    if graded != "drift":
        D = D * np.outer(cells, cells) if graded != "opposed" else D / np.outer(cells, cells)
    A, D = (A + A.T) / 2.0, (D + D.T) / 2.0
    process = tl.OrnsteinUhlenbeck(A, diffusion=D)
    assert spread > 1.0 or process.drift_modes is not None
    assert spread < 1e8 or process.drift_modes is None
    assert_near(process.stationary()[1], oracles.mpmath_lyapunov(A, D), 20 * KEPT)
    h = 1e-3 / np.abs(A).max()
    with mpmath.workdps(60):  # D h - (A D + D A) h^2 / 2 and so on
        first, T = mpmath.matrix(D.tolist()), mpmath.matrix(A.tolist())
        term, total = first * mpmath.mpf(h), first * mpmath.mpf(h)
        for j in range(2, 12):
            term = -(T * term + term * T) * mpmath.mpf(h) / j
            total += term
        exact = np.array(total.tolist(), dtype=float)
    assert_near(process.covariance(h), exact, 20 * KEPT)


@pytest.mark.parametrize("spread", [1e0, 1e4, 1e8])
def test_noise_of_twice_the_drift_has_a_unit_covariance(spread, rng):
    cells = np.geomspace(1.0, np.sqrt(spread), 12)
    A = tl.problems.wishart(12, rng=rng) * np.outer(cells, cells)
    process = tl.OrnsteinUhlenbeck(A, diffusion=2.0 * A)
    np.testing.assert_allclose(process.stationary()[1], np.eye(12), atol=1e-13)
    M, Q = process.transition(1.0 / spread)
    np.testing.assert_allclose(M, scipy.linalg.expm(-A / spread), atol=1e-12)
    np.testing.assert_allclose(Q, np.eye(12) - M @ M, atol=1e-12)


def test_cells_that_no_noise_reaches_stay_at_rest():
    A = scipy.linalg.block_diag(tl.problems.wishart(3, rng=0), tl.problems.wishart(2, rng=1))
    D = scipy.linalg.block_diag(np.array([[2.0, 0.3, 0.0], [0.3, 1.0, 0.1], [0.0, 0.1, 4.0]]), np.zeros((2, 2)))
    process = tl.OrnsteinUhlenbeck(A, diffusion=D)
    assert process.drift_modes is None
    np.testing.assert_array_equal(process.stationary()[1][3:], 0.0)


def test_modes_are_of_symmetric_drifts_that_do_not_share_them(rng):
    A, D = system(4, rng)
    assert tl.OrnsteinUhlenbeck(A + np.triu(np.ones((4, 4)), 1) / 10.0, diffusion=D).drift_modes is None
    assert tl.OrnsteinUhlenbeck(A).drift_modes is None
    assert tl.OrnsteinUhlenbeck(A, diffusion=2.0 * A).modes is not None
    modes = tl.OrnsteinUhlenbeck(A, diffusion=D).drift_modes
    for array in (modes.vectors, modes.rates, modes.noise):
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0.0


def test_overflow_says_so():
    A, D = np.array([[1e-3, 5e-4], [5e-4, 2e-3]]), np.array([[1e308, 1e307], [1e307, 9e307]])
    with pytest.raises(FloatingPointError, match="is not finite"):
        tl.OrnsteinUhlenbeck(A, diffusion=D).stationary()


# Paths --------------------------------------------------------------------------------------------------------------


def test_samples_at_irregular_times_have_the_covariance_of_the_law(rng):
    A, D = system(3, rng)
    process, times, runs = tl.OrnsteinUhlenbeck(A, diffusion=D), np.array([0.0, 0.3, 2.3, 2.4]), 20_000
    x = process.sample(times, n_chains=runs, rng=1)
    S = scipy.linalg.solve_continuous_lyapunov(A, D)
    for k in range(1, 4):
        lagged = scipy.linalg.expm(-A * (times[k] - times[0])) @ S
        spread = np.sqrt((np.outer(np.diag(S), np.diag(S)) + lagged * lagged) / runs)
        assert (np.abs(x[:, k].T @ x[:, 0] / runs - lagged) < 5 * spread).all()
        spread = np.sqrt((np.outer(np.diag(S), np.diag(S)) + S * S) / runs)
        assert (np.abs(x[:, k].T @ x[:, k] / runs - S) < 5 * spread).all()


@pytest.mark.parametrize("rank", [4, 2])
def test_paths_in_modes_have_the_law_of_the_process(rank, rng):
    A, D = system(4, rng, rank)
    modes = CommonModes.of(tl.OrnsteinUhlenbeck(A, diffusion=D), shared_only=False)
    assert modes.exact
    assert not modes.independent
    runs, n, before = 3000, 3, 0.2
    x = np.array([np.concatenate([b.copy() for b in modes.paths(rng, n, 2, before)]) for _ in range(runs)])
    x = x @ modes.vectors.T
    step = scipy.linalg.expm(-A)
    for k in range(n):
        now = exact_step(A, D, before + k)[1]
        spread = np.sqrt((np.outer(np.diag(now), np.diag(now)) + now**2) / runs)
        assert (np.abs(x[:, k].T @ x[:, k] / runs - now) < 5 * spread).all()
        if k:
            earlier = exact_step(A, D, before + k - 1)[1]
            lagged = step @ earlier
            spread = np.sqrt((np.outer(np.diag(now), np.diag(earlier)) + lagged * lagged.T) / runs)
            assert (np.abs(x[:, k].T @ x[:, k - 1] / runs - lagged) < 5 * spread).all()


def test_paths_in_modes_do_not_depend_on_the_size_of_blocks(rng):
    A, D = system(4, rng)
    modes = CommonModes.of(tl.OrnsteinUhlenbeck(A, diffusion=D), shared_only=False)

    def path(rows):
        return np.concatenate([b.copy() for b in modes.paths(np.random.default_rng(0), 10, rows, np.inf)])

    np.testing.assert_allclose(path(3), path(10), rtol=1e-12)


def test_inexact_modes_are_used_only_for_planning(rng):
    A, D = system(4, rng)
    cells = np.geomspace(1.0, 1e4, 4)
    process = tl.OrnsteinUhlenbeck(A * np.outer(cells, cells), diffusion=D)
    modes = CommonModes.of(process, shared_only=False)
    assert not modes.exact
    assert modes.total_variance(100, 0, 0.0) == pytest.approx(
        moment_variance(process.drift, process.stationary()[1], 100).sum(), rel=1e-6
    )


@pytest.mark.parametrize("rank", [1, 3, 5])
def test_lower_factor_reproduces_the_matrix(rank, rng):
    X = rng.standard_normal((5, rank)) * np.geomspace(1e-8, 1e8, 5)[:, None]
    X[2] *= rank > 1  # with a row of zeros
    L = lower_factor(X @ X.T)
    np.testing.assert_array_equal(L, np.tril(L))
    sd = np.linalg.norm(X, axis=1)
    assert (np.abs(L @ L.T - X @ X.T) <= 1e-14 * np.outer(sd, sd)).all()


# Exponentials and variances that are built on them ----------------------------------------------------------------


def test_propagators_of_many_steps_are_matrix_exponentials(rng):
    A, h = rng.standard_normal((5, 5)) / 4.0 + np.eye(5), np.array([1e-3, 0.7, 30.0, np.inf])
    for M, step in zip(transitions.propagators(A, h), h, strict=True):
        exact = scipy.linalg.expm(-A * step) if np.isfinite(step) else np.zeros((5, 5))
        np.testing.assert_allclose(M, exact, atol=1e-14)


@pytest.mark.parametrize("lag", [0, 1])
def test_variance_of_products_is_the_sum_over_lags_in_any_coordinates(lag, rng):
    """Against a plain sum over all lags, and the same system in coordinates that make its drift unsymmetric."""
    A, D = system(4, rng)
    drift, n = 0.05 * A, 500
    S = scipy.linalg.solve_continuous_lyapunov(drift, D)
    exact = oracles.variance_lag_by_lag(drift, S, n, lag)
    found = moment_variance(drift, S, n, lag)
    np.testing.assert_allclose(found, exact, rtol=1e-8)
    gains = np.array([1.0, 2.0, 0.5, 3.0])
    skew = moment_variance(gains[:, None] * drift / gains, np.outer(gains, gains) * S, n, lag)
    np.testing.assert_allclose(skew, np.outer(gains, gains) ** 2 * found, rtol=1e-9)


def test_recurrence_over_blocks_is_the_plain_loop(rng):
    M, noise, x = 0.6 * np.linalg.qr(rng.standard_normal((3, 3)))[0], rng.standard_normal((90, 1, 3)), np.ones((1, 3))
    expected, state = [], x
    for row in noise:
        state = state @ M.T + row
        expected.append(state)
    powers = {}
    for block in (noise[:40], noise[40:80], noise[80:]):
        x = transitions.recurrence(M, block, x, powers)[-1:].reshape(1, 3).copy()
    np.testing.assert_allclose(noise, expected, rtol=1e-12, atol=1e-14)
    assert sorted(powers) == [3, 6]


def test_a_step_of_no_time_changes_nothing(rng):
    A, D = system(4, rng)
    process = tl.OrnsteinUhlenbeck(A, diffusion=D)
    assert process.drift_modes is not None
    M, Q = process.transition(0.0)
    np.testing.assert_array_equal(M, np.eye(4))
    assert not Q.any()
