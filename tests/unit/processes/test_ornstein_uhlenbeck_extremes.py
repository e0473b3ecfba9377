"""The Ornstein-Uhlenbeck process where float64 is short: stiff, tiny, huge, noiseless, irregular; and what it keeps."""

import mpmath
import numpy as np
import pytest
import scipy.linalg

from tests import oracles
from thermolinalg.processes import likelihood, transitions
from thermolinalg.processes.likelihood import distinct_steps
from thermolinalg.processes.ornstein_uhlenbeck import OrnsteinUhlenbeck


def stiff_stationary(s):
    """Stationary covariance of the drift [[s, s], [0, 1/s]] and D = 2 I, by substitution, with 60 digits."""
    with mpmath.workdps(60):
        s = mpmath.mpf(s)
        S22 = s
        S12 = -s * S22 / (s + 1 / s)
        S11 = (2 - 2 * s * S12) / (2 * s)
        return np.array([[S11, S12], [S12, S22]], dtype=float)


@pytest.mark.parametrize("s", [1e2, 1e5, 1e7, 3e7])
def test_stiff_non_normal_drifts_keep_every_digit(s):
    process = OrnsteinUhlenbeck([[s, s], [0.0, 1.0 / s]])
    np.testing.assert_allclose(process.stationary()[1], stiff_stationary(s), rtol=1e-14)
    for time in (1.0 / s, 1.0, s):
        a, c = s, 1.0 / s
        slow, fast = np.exp(-c * time), np.exp(-a * time)
        exact = [[fast, s * (fast - slow) / (a - c)], [0.0, slow]]  # triangular: divided difference of e^-x
        np.testing.assert_allclose(process.propagator(time), exact, rtol=1e-13, atol=1e-15)
        np.testing.assert_allclose(process.transition(time)[0], exact, rtol=1e-13, atol=1e-15)


def mpmath_covariance(A, D, h, digits=80):
    """Q of a step h by Van Loan's block exponential."""
    mp = mpmath.mp.clone()
    mp.dps = digits
    d = len(A)
    block = mp.zeros(2 * d)
    for i in range(d):
        for j in range(d):
            block[i, j], block[i, d + j], block[d + i, d + j] = -mp.mpf(A[i, j]), mp.mpf(D[i, j]), mp.mpf(A[j, i])
    exponential = mp.expm(block * mp.mpf(h))
    M = exponential[:d, :d]
    return np.array(M.tolist(), dtype=float), np.array((exponential[:d, d:] * M.T).tolist(), dtype=float)


def mpmath_log_prob(A, D, mean, times, xs, digits=80):
    """Sum of the log-densities of the transitions of one trajectory."""
    mp = mpmath.mp.clone()
    mp.dps = digits
    d, total = len(A), mp.mpf(0)
    block = mp.zeros(2 * d)
    for i in range(d):
        for j in range(d):
            block[i, j], block[i, d + j], block[d + i, d + j] = -mp.mpf(A[i, j]), mp.mpf(D[i, j]), mp.mpf(A[j, i])
    m = mp.matrix(list(map(float, mean)))
    for k in range(len(times) - 1):
        exponential = mp.expm(block * (mp.mpf(float(times[k + 1])) - mp.mpf(float(times[k]))))
        M = exponential[:d, :d]
        Q = exponential[:d, d:] * M.T
        r = mp.matrix(xs[k + 1].tolist()) - m - M * (mp.matrix(xs[k].tolist()) - m)
        total -= ((r.T * mp.lu_solve(Q, r))[0] + mp.log(mp.det(Q)) + d * mp.log(2 * mp.pi)) / 2
    return float(total)


A, D, MEAN = np.array([[1.0, 0.3], [0.0, 2.0]]), np.array([[2.0, 0.5], [0.5, 1.0]]), np.array([0.5, -1.0])


@pytest.mark.parametrize("noise", [1.0, 1e-9, 1e-18, 1e-24])
def test_log_prob_of_little_noise_keeps_its_digits(noise):
    times, scale = np.array([0.0, 0.1, 0.2, 0.5, 0.6]), noise * D
    xs = OrnsteinUhlenbeck(A, MEAN, scale).sample(times, x0=[1.0, 1.0], rng=0)[0]
    ours = OrnsteinUhlenbeck(A, MEAN, scale).log_prob(times, xs)
    rounding = 1e-16 / np.sqrt(noise)  # of a state, in standard deviations
    assert ours == pytest.approx(mpmath_log_prob(A, scale, MEAN, times, xs), rel=1e-12, abs=100 * rounding)


@pytest.mark.parametrize("h", [1e-12, 1e-10, 1e-3])
def test_gradient_by_the_mean_keeps_its_digits_over_tiny_steps(h):
    """One dimension: r = x' - m - M (x - m), so the slope is (1 - M) times the sum of r over Q."""
    process, times = OrnsteinUhlenbeck([[2.0]], [0.5], [[3.0]]), np.array([0.0, h, 2.0 * h])
    xs = process.sample(times, rng=3)[0]
    with mpmath.workdps(60):
        exact = mpmath.mpf(0)
        for k in range(2):
            step = mpmath.mpf(times[k + 1]) - mpmath.mpf(times[k])
            M = mpmath.exp(-2 * step)
            r = mpmath.mpf(xs[k + 1, 0]) - 0.5 - M * (mpmath.mpf(xs[k, 0]) - 0.5)
            exact += (1 - M) * r / (3 * (1 - M**2) / 4)
    assert process.log_prob_gradient(times, xs).mean[0] == pytest.approx(float(exact), rel=1e-9)


# Stability ---------------------------------------------------------------------------------------------------------


def test_slow_modes_that_are_exact_are_not_refused():
    covariance = OrnsteinUhlenbeck(np.diag([1e8, 1e-8])).stationary()[1]
    np.testing.assert_allclose(covariance, np.diag([1e-8, 1e8]), rtol=1e-14)
    for drift in (np.array([[1e8, 0.0], [1.0, 1e-8]]), np.array([[1e-8, 1e8], [0.0, 1e8]])):
        process = OrnsteinUhlenbeck(drift)
        assert process.relaxation_time == pytest.approx(1e8, rel=1e-14)
        np.testing.assert_allclose(process.stationary()[1], oracles.mpmath_lyapunov(drift, 2.0 * np.eye(2)), rtol=1e-12)
    rotated = scipy.linalg.hadamard(4) / 2.0
    rotated = rotated @ np.diag([1e9, 1.0, 1.0, 1e-9]) @ rotated.T
    with pytest.raises(
        ValueError, match=r"drift must be stable, but its eigenvalue .* (cannot be told from|has no pos)"
    ):
        OrnsteinUhlenbeck(rotated)


@pytest.mark.parametrize(
    ("A", "D"),
    [
        (np.array([[1e7, 0.0], [1e-6, 1e-6]]), np.diag([2e14, 2e-14])),  # all but symmetric, beside its largest entry
        (np.diag([1e7, 1e-6]), np.array([[2e14, 1.0], [1.0, 2e-14]])),  # all but commuting
    ],
)
def test_a_component_much_smaller_than_another_is_not_left_out(A, D):
    process = OrnsteinUhlenbeck(A, diffusion=D)
    assert process.modes is None
    np.testing.assert_allclose(process.stationary()[1], oracles.mpmath_lyapunov(A, D), rtol=1e-12)


@pytest.mark.parametrize(("d", "rank"), [(2, 1), (5, 2), (30, 3)])
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_singular_diffusions_of_either_precision_are_taken(d, rank, kind, rng):
    for _ in range(20):
        G = rng.standard_normal((d, rank)).astype(kind)
        basis = np.linalg.qr(rng.standard_normal((d, d)).astype(kind))[0][:, :rank]
        for given in (G @ G.T, basis @ basis.T):
            assert given.dtype == kind
            np.testing.assert_allclose(
                OrnsteinUhlenbeck(np.eye(d), diffusion=given).diffusion, given, rtol=1e-6, atol=1e-6
            )
    with pytest.raises(ValueError, match="semidefinite"):
        OrnsteinUhlenbeck(np.eye(2), diffusion=np.array([[1, 1.01], [1.01, 1]], kind))


# Out of range ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "call",
    [
        lambda: OrnsteinUhlenbeck([[1.0]]).log_prob([0.0, 1.0], [[0.0], [1e155]]),
        lambda: OrnsteinUhlenbeck([[1.0]]).log_prob_gradient([0.0, 1.0], [[0.0], [1e160]]),
        lambda: OrnsteinUhlenbeck([[1e-310]], diffusion=1.0).stationary(),
        lambda: OrnsteinUhlenbeck([[1e-310, 1e-310], [0.0, 1e-310]], diffusion=1.0).stationary(),
        lambda: OrnsteinUhlenbeck([[1e-3]], diffusion=1e308).stationary(),
        lambda: OrnsteinUhlenbeck([[1.0, 1e160], [0.0, 1.0]]).stationary(),
    ],
)
def test_what_overflows_says_so(call):
    with pytest.raises(FloatingPointError, match="is not finite"):
        call()


def test_average_over_next_to_no_time_is_the_stationary_law():
    process = OrnsteinUhlenbeck([[1.0, 1.5], [0.0, 1.0]])
    np.testing.assert_allclose(process.time_average(1e-200)[1], process.stationary()[1], rtol=1e-14)


def test_infinite_times_are_taken_and_lists_are_not():
    process = OrnsteinUhlenbeck([[1.0, 1.5], [0.0, 1.0]], [3.0, -1.0])
    np.testing.assert_array_equal(process.mean(np.inf, [5.0, 5.0]), [3.0, -1.0])
    np.testing.assert_array_equal(process.propagator(np.inf), np.zeros((2, 2)))
    np.testing.assert_array_equal(process.autocovariance(-np.inf), np.zeros((2, 2)))
    for lag in ([0.0, 1.0], "1", np.nan):
        with pytest.raises(ValueError, match="lag must be one number"):
            process.autocovariance(lag)


# What it keeps -----------------------------------------------------------------------------------------------------


def test_a_process_shares_no_memory_with_its_caller():
    drift, mean, diffusion = np.array([[1.0, 1.5], [0.0, 1.0]]), np.ones(2), np.eye(2)
    process = OrnsteinUhlenbeck(drift, mean, diffusion)
    before = [array.copy() for array in process.stationary()]
    for array in (drift, mean, diffusion):
        array *= 10.0
    np.testing.assert_array_equal(process.drift, [[1.0, 1.5], [0.0, 1.0]])
    for array, same in zip(process.stationary(), before, strict=True):
        np.testing.assert_array_equal(array, same)
    modal = OrnsteinUhlenbeck(np.diag([1.0, 2.0]))
    for array in (
        process.drift,
        process.center,
        process.diffusion,
        process.eigenvalues,
        *process.stationary(),
        *modal.modes,
    ):
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0.0


# Irregular times ---------------------------------------------------------------------------------------------------


def test_no_kind_of_step_is_wider_than_its_rounding(rng):
    """Steps that differ stay apart, at the end of a chain of them and far from the origin of time."""
    for offset in (0.0, 1.7e9, 1.7e12):
        times = offset + np.concatenate(([0.0], np.cumsum(rng.uniform(0.01, 1.0, 3000))))
        values, kinds = distinct_steps(times)
        np.testing.assert_allclose(values[kinds], np.diff(times), rtol=2e-6)
    fine = np.concatenate((1e-9 * np.arange(1000) ** 1.5, [1e6, 2e6]))  # a long step does not blur the short ones
    values, kinds = distinct_steps(fine)
    np.testing.assert_allclose(values[kinds], np.diff(fine), rtol=2e-6)
    assert distinct_steps(np.array([5.0]))[0].size == 0


def test_log_prob_is_right_at_irregular_times_far_from_the_origin(rng):
    """One dimension, one transition after the other, from the differences of the times as they are."""
    times = 1.7e12 + np.concatenate(([0.0], np.cumsum(rng.uniform(0.01, 1.0, 2000))))
    steps, x = np.diff(times), [0.0]
    for step in steps:
        x.append(np.exp(-step) * x[-1] + np.sqrt(-np.expm1(-2 * step)) * rng.standard_normal())
    x = np.array(x)
    variance = -np.expm1(-2 * steps)
    exact = -0.5 * np.sum((x[1:] - np.exp(-steps) * x[:-1]) ** 2 / variance + np.log(2 * np.pi * variance))
    assert OrnsteinUhlenbeck([[1.0]]).log_prob(times, x[:, None]) == pytest.approx(exact, rel=1e-6)


@pytest.mark.parametrize("at_once", [4, 40, 1 << 20])
def test_steps_computed_in_groups_are_those_computed_alone(at_once, monkeypatch, rng):
    for module in (transitions, likelihood):
        monkeypatch.setattr(module, "NUMBERS_AT_ONCE", at_once)
    times = np.cumsum(rng.uniform(1e-3, 40.0, 8))
    process = OrnsteinUhlenbeck(A, MEAN, D)
    x = process.sample(times, n_chains=20_000, rng=1)
    for k in range(7):
        M, Q = mpmath_covariance(A, D, times[k + 1] - times[k])
        residuals = x[:, k + 1] - MEAN - (x[:, k] - MEAN) @ M.T
        spread = np.sqrt((np.outer(np.diag(Q), np.diag(Q)) + Q**2) / 20_000)
        assert (np.abs(residuals.T @ residuals / 20_000 - Q) < 5 * spread).all()
        assert (np.abs(residuals.T @ x[:, k]) / 20_000 < 6 * np.sqrt(np.outer(np.diag(Q), [2.0, 2.0]) / 20_000)).all()
    exact = mpmath_log_prob(A, D, MEAN, times, x[0])
    assert process.log_prob(times, x[0]) == pytest.approx(exact, rel=1e-12)
    slope = process.log_prob_gradient(times, x[0])
    size = 1e-5
    for (i, j), found in np.ndenumerate(slope.drift):
        change = np.zeros((2, 2))
        change[i, j] = size
        ends = [mpmath_log_prob(A + sign * change, D, MEAN, times, x[0]) for sign in (1, -1)]
        assert found == pytest.approx((ends[0] - ends[1]) / (2 * size), rel=1e-6, abs=1e-6)
