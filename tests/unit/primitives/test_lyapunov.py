"""`lyapunov` against Kronecker solves, and its error bars against sums over all pairs of reads and against `inv`."""

import numpy as np
import pytest
import scipy.linalg

import thermolinalg as tl
from tests import oracles
from thermolinalg.errors import NoClosedLaw, NotEquilibrated, QuantizationFloor
from thermolinalg.primitives.lyapunov import lyapunov
from thermolinalg.processes.fourth_moments import moment_variance

A, R = np.array([[1.0, 2.0], [-1.0, 3.0]]), np.array([[1.0, 0.5], [0.5, 2.0]])
EXACT = np.array([[0.4, 0.05], [0.05, 0.35]])  # by hand: A S + S A^T = R


def kronecker_lyapunov(A, R):
    identity = np.eye(len(A))
    return np.linalg.solve(np.kron(A, identity) + np.kron(identity, A), np.ravel(R)).reshape(A.shape)


def brute_variance(drift, S, n, lag=0, V=None, noise=0.0):
    """Variance of the average of x_{k+lag} (x_k^T V) over n products: Wick's theorem for every pair of products."""
    d = len(drift)
    V = np.eye(d) if V is None else V
    forward = [scipy.linalg.expm(-drift * k) @ S for k in range(n + lag)]

    def G(k):
        return (forward[k] if k >= 0 else forward[-k].T) + (noise * np.eye(d) if k == 0 else 0.0)

    total = np.zeros((d, V.shape[1]))
    for s in range(n):
        for t in range(n):
            k = s - t
            total += np.outer(np.diag(G(k)), np.diag(V.T @ G(k) @ V)) + (G(k + lag) @ V) * (G(k - lag).T @ V)
    return total / n**2


DRIFTS = {
    "normal": np.array([[0.05, 0.0], [0.0, 0.9]]),
    "jordan": np.array([[1.0, 3.0], [0.0, 1.0]]),
    "slow and far from normal": np.array([[0.02, 0.5], [0.0, 0.03]]),
    "slowly turning": np.array([[0.01, -0.03, 0.0], [0.03, 0.01, 0.2], [0.0, 0.0, 0.5]]),
    "fast turning": np.array([[0.01, -0.9], [0.9, 0.01]]),
}


@pytest.mark.parametrize("drift", DRIFTS.values(), ids=DRIFTS.keys())
@pytest.mark.parametrize("lag", [0, 1])
@pytest.mark.parametrize("action", [False, True])
@pytest.mark.parametrize("n", [1, 2, 3, 20])
def test_variance_of_few_products_is_the_sum_over_pairs(drift, lag, action, n):
    d = len(drift)
    S = kronecker_lyapunov(drift, 0.3 * np.eye(d))
    V = np.array([[1.0, -0.3], [0.2, 2.0], [0.5, 0.5]])[:d] if action else None
    exact = brute_variance(drift, S, n, lag, V, 0.4)
    np.testing.assert_allclose(moment_variance(drift, S, n, lag, V, 0.4), exact, rtol=1e-9, atol=1e-11 * exact.max())


@pytest.mark.parametrize("drift", DRIFTS.values(), ids=DRIFTS.keys())
@pytest.mark.parametrize("lag", [0, 1])
@pytest.mark.parametrize("n", [64, 65, 130, 1000])
def test_variance_of_many_products_is_the_sum_over_lags(drift, lag, n):
    """The panels against a plain sum over all lags."""
    S = kronecker_lyapunov(drift, 0.3 * np.eye(len(drift)))
    exact = oracles.variance_lag_by_lag(drift, S, n, lag)
    np.testing.assert_allclose(moment_variance(drift, S, n, lag), exact, rtol=1e-8, atol=1e-10 * exact.max())


@pytest.mark.parametrize("rate", [1e-1, 1e-3, 1e-5])
def test_variance_of_endless_reads_of_one_mode_is_a_geometric_series(rate):
    """n var -> 2 S^2 coth(rate): the geometric series of e^{-2 rate k}, over up to a million correlated reads."""
    S = np.array([[0.7]])
    exact = 2 * 0.49 / np.tanh(rate)
    assert moment_variance(np.array([[rate]]), S, np.inf)[0, 0] == pytest.approx(exact, rel=1e-9)
    n = 1000
    dense = np.exp(-2 * rate * np.abs(np.subtract.outer(np.arange(n), np.arange(n))))
    assert moment_variance(np.array([[rate]]), S, n)[0, 0] == pytest.approx(2 * 0.49 * dense.mean(), rel=1e-9)


def test_stderr_is_that_of_inv_where_both_apply():
    B = np.array([[2.0, 0.5, 0.0], [0.5, 1.0, 0.2], [0.0, 0.2, 0.3]])
    for options in ({"n_reads": 500}, {"n_reads": 5000, "read_spacing": 0.05}, {"n_reads": 300, "read_spacing": 3.0}):
        ours = lyapunov(B, 2.0, burn_in=100.0, rng=0, **options)
        theirs = tl.inv(B, burn_in=100.0, rng=0, **options)
        np.testing.assert_allclose(ours.stderr, theirs.stderr, rtol=1e-6)
        assert ours.simulator == theirs.simulator
        assert ours.duration == theirs.duration


@pytest.mark.parametrize(
    "options",
    [
        {"n_reads": 20_000},
        {"n_reads": 20_000, "simulator": "path"},
        {"n_reads": 20_000, "read_spacing": 0.5},
        {"n_reads": 20_000, "read_spacing": 0.5, "burn_in": "stationary"},
        {"duration": 2000.0},
        {"rtol": 0.01},
        {"rtol": 0.01, "read_spacing": 0.3},
        {"n_reads": 1000, "read_spacing": 0.5, "n_chains": 40},
        {"n_reads": 20_000, "device": tl.Device(beta=30.0, read_noise=0.1)},
        {"n_reads": 20_000, "simulator": "path", "device": tl.Device(beta=30.0, read_noise=0.1, adc_bits=6)},
        {"n_reads": 20_000, "read_spacing": 0.5, "device": tl.Device(beta=4.0, adc_bits=5)},
        {"duration": 2000.0, "device": tl.Device(read_noise=1e-4, adc_bits=14)},
    ],
)
def test_simulator_and_kind_of_stderr_follow_the_request(options):
    r = lyapunov(A, R, rng=1, **options)
    np.testing.assert_array_equal(r.value, r.value.T)
    assert (r.stderr < 0.05 * EXACT.max()).all()
    assert r.stderr_kind == ("chains" if "n_chains" in options else "law")
    law = "read_spacing" not in options and "duration" not in options and options.get("simulator") != "path"
    assert r.simulator == ("law" if law else "path")


def test_singular_noise_on_a_larger_general_drift_is_right():
    rng = np.random.default_rng(8)
    d = 12
    B = rng.standard_normal((d, d)) + 6.0 * np.eye(d)
    G = rng.standard_normal((d, 3))
    exact = kronecker_lyapunov(B, G @ G.T)
    for options in ({}, {"read_spacing": 0.1}):
        r = lyapunov(B, G @ G.T, n_reads=20_000, rng=3, **options)
        assert (np.abs(r.value - exact) < 5 * r.stderr).all()


def test_fewer_reads_than_dimensions_give_a_singular_answer():
    r = lyapunov(np.diag([1.0, 2.0, 3.0, 4.0]), 1.0, n_reads=2, rng=0)
    assert np.linalg.matrix_rank(r.value) == 2


@pytest.mark.parametrize("spacing", [None, 0.4])
def test_planned_reads_reach_the_error(spacing):
    """By the standard error, which 200 seeds judge elsewhere."""
    r = lyapunov(A, R, rtol=0.1, read_spacing=spacing, rng=0)
    assert np.linalg.norm(r.stderr) / np.linalg.norm(EXACT) == pytest.approx(0.1, rel=0.02)


def test_beta_matters_only_together_with_read_noise():
    one, hundred = (lyapunov(A, R, n_reads=100, read_spacing=0.5, beta=beta, rng=0).value for beta in (1.0, 100.0))
    np.testing.assert_allclose(one, hundred, rtol=1e-12)
    noisy = [lyapunov(A, R, n_reads=100, device=tl.Device(beta=beta, read_noise=0.1)).stderr for beta in (1.0, 100.0)]
    assert (noisy[1] > 1.5 * noisy[0]).all()


def test_bias_of_a_given_burn_in_is_simulated_and_warned_about():
    with pytest.warns(NotEquilibrated, match="biases S by"):
        r = lyapunov(A, R, n_reads=100_000, burn_in=0.05, rng=0)
    M = scipy.linalg.expm(-0.05 * A)
    assert (np.abs(r.value - (EXACT - M @ EXACT @ M.T)) < 5 * r.stderr).all()
    with pytest.warns(NotEquilibrated):
        r = lyapunov(A, R, n_reads=100_000, burn_in=0.05, simulator="path", rng=0)
    assert (np.abs(r.value - (EXACT - M @ EXACT @ M.T)) < 5 * r.stderr).all()


def test_programmed_entries_are_rounded():
    device = tl.Device(matrix_bits=4, dac_bits=4, mismatch=0.01)
    r = lyapunov(A, R, n_reads=10**7, device=device, rng=0)
    assert np.abs(r.value - EXACT).max() > 20 * r.stderr.max()
    with pytest.raises(QuantizationFloor):
        lyapunov(A, R, rtol=1e-3, device=device)


@pytest.mark.parametrize("options", [{}, {"read_spacing": 0.5}])
def test_same_bits_for_any_number_of_workers(options):
    runs = [lyapunov(A, R, n_reads=3000, n_chains=5, simulator="path", workers=w, rng=0, **options).value
            for w in (1, 2, 4)]  # fmt: skip
    np.testing.assert_array_equal(runs[0], runs[1])
    np.testing.assert_array_equal(runs[0], runs[2])


def test_a_converter_with_a_fixed_range_saturates():
    r = lyapunov(A, R, n_reads=1000, device=tl.Device(adc_bits=8, adc_range=0.5), rng=0)
    assert r.clipped["adc"] > 300
    assert (np.diag(r.value) < 0.25).all()


def test_cost_counts_time_and_conversions():
    device = tl.Device(R=1e3, C=1e-9)
    r = lyapunov(A, R, n_reads=1000, read_spacing=0.5, burn_in=10.0, device=device, rng=0)
    assert r.cost.relax == pytest.approx(10e-6)
    assert r.cost.integrate == pytest.approx(500e-6)
    assert r.cost.conversions == 4 + 3 + 2 * 1000
    r = lyapunov(A, R, n_reads=1000, burn_in=10.0, device=device, rng=0)
    assert r.cost.relax == pytest.approx(10e-3)
    assert r.cost.joule_heat == 0.0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: lyapunov([[1.0, 0.0], [0.0, -2.0]], R, n_reads=1), "A must be stable, but its eigenvalue -2"),
        (lambda: lyapunov([[0.0, 1.0], [-1.0, 0.0]], R, n_reads=1), r"eigenvalue 0[+-]1j"),
        (lambda: lyapunov(A, np.diag([1.0, -1.0]), n_reads=1), "R must be positive semidefinite"),
        (lambda: lyapunov(A, [[0.0, 1.0], [0.0, 1.0]], n_reads=1), "R must be symmetric"),
        (lambda: lyapunov(A, R), "exactly one of duration, n_reads, rtol"),
        (lambda: lyapunov(A, R, n_reads=0), "n_reads must be at least 1"),
        (lambda: lyapunov(A, R, n_reads=10, read_spacing=-1.0), "read_spacing must be positive"),
        (lambda: lyapunov(A, R, n_reads=10, burn_in="long"), "burn_in"),
        (lambda: lyapunov(A, R, n_reads=10, beta=np.inf), "beta = inf"),
        (lambda: lyapunov(A, R, n_reads=10, beta=1.0, device=tl.Device()), "not both"),
        (lambda: lyapunov(A, R, n_reads=10, simulator="exact"), "simulator must be one of"),
        (lambda: lyapunov(np.ones((2, 3)), R, n_reads=10), "A must be a square matrix"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_a_missing_law_is_refused():
    with pytest.raises(NoClosedLaw, match="path"):
        lyapunov(A, R, n_reads=10, read_spacing=1.0, simulator="law")
    with pytest.raises(NoClosedLaw, match="rounded"):
        lyapunov(A, R, n_reads=10, device=tl.Device(adc_bits=8), simulator="law")
