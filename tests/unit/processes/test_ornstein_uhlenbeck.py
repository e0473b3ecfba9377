"""The Ornstein-Uhlenbeck process against quadrature, Kronecker solves, 60-digit exponentials and dense normal laws."""

import mpmath
import numpy as np
import pytest
import scipy.integrate
import scipy.linalg
import scipy.stats

from thermolinalg.processes import transitions
from thermolinalg.processes.likelihood import distinct_steps
from thermolinalg.processes.ornstein_uhlenbeck import OrnsteinUhlenbeck


def wishart_plus_skew(d):
    rng = np.random.default_rng(7)
    G, K = rng.standard_normal((d, 2 * d)), rng.standard_normal((d, d))
    return G @ G.T / (2 * d) + K - K.T, G[:, : d - 2] @ G[:, : d - 2].T


CASES = {
    "jordan": (np.array([[1.0, 1.5], [0.0, 1.0]]), 2.0 * np.eye(2)),
    "not symmetric": (np.array([[3.0, 2.5], [2.0, 4.0]]), np.array([[2.0, -1.0], [-1.0, 1.0]])),
    "strongly non-normal": (np.array([[1.0, 50.0], [0.0, 2.0]]), np.array([[0.1, 0.0], [0.0, 1.0]])),
    "rotating": (np.array([[0.2, -7.0], [7.0, 0.2]]), np.diag([1.0, 0.0])),
    "oscillator": (np.array([[0.0, -1.0], [4.0, 0.5]]), np.diag([0.0, 1.0])),
    "symmetric, correlated noise": (np.array([[2.0, 1.0], [1.0, 3.0]]), np.array([[1.0, 0.9], [0.9, 2.0]])),
    "wishart plus skew": wishart_plus_skew(6),
}
every_case = pytest.mark.parametrize(("A", "D"), CASES.values(), ids=CASES.keys())


def kronecker_lyapunov(A, D):
    identity = np.eye(len(A))
    return np.linalg.solve(np.kron(A, identity) + np.kron(identity, A), D.ravel()).reshape(A.shape)


def autocovariance(A, D, lag):
    """E[x(t + lag) x(t)^T] of the stationary process."""
    S = kronecker_lyapunov(A, D)
    return scipy.linalg.expm(-A * lag) @ S if lag >= 0 else S @ scipy.linalg.expm(A.T * lag)


def dense_covariance(A, D, times):
    return np.block([[autocovariance(A, D, t - s) for s in times] for t in times])


def assert_moments(samples, covariance, sigmas=5.0):
    """Samples (n, p) of zero mean have this covariance within so many standard errors, entry by entry."""
    n = len(samples)
    spread = np.sqrt((np.outer(np.diag(covariance), np.diag(covariance)) + covariance**2) / n)
    gap = np.abs(samples.T @ samples / n - covariance)
    assert (gap <= sigmas * spread + 1e-12).all(), (gap / np.maximum(spread, 1e-300)).max()
    assert (np.abs(samples.mean(axis=0)) <= sigmas * np.sqrt(np.diag(covariance) / n) + 1e-12).all()


# Laws ------------------------------------------------------------------------------------------------------------


@every_case
@pytest.mark.parametrize("h", [1e-3, 0.3, 4.0])
def test_transition_is_the_defining_integral(A, D, h):
    def integrand(u):
        M = scipy.linalg.expm(-A * u)
        return M @ D @ M.T

    exact, error = scipy.integrate.quad_vec(integrand, 0.0, h, epsabs=1e-13, epsrel=1e-12, limit=2000)
    assert error < 1e-9 * np.abs(exact).max()
    M, Q = OrnsteinUhlenbeck(A, diffusion=D).transition(h)
    np.testing.assert_allclose(Q, exact, atol=1e-8 * np.abs(exact).max() / 100, rtol=0)
    np.testing.assert_allclose(M, scipy.linalg.expm(-A * h), atol=1e-12)


@pytest.mark.parametrize("h", [1e-12, 1e-8, 1e-4, 1e-1, 1.0, 30.0])
@pytest.mark.parametrize("name", ["jordan", "not symmetric", "oscillator", "symmetric, correlated noise"])
def test_short_steps_do_not_cancel(name, h):
    """Entries against Van Loan's block exponential at 150 digits, relative to the largest."""
    A, D = CASES[name]
    mp = mpmath.mp.clone()
    mp.dps = 150
    d = len(A)
    block = mp.zeros(2 * d)
    for i in range(d):
        for j in range(d):
            block[i, j], block[i, d + j], block[d + i, d + j] = -mp.mpf(A[i, j]), mp.mpf(D[i, j]), mp.mpf(A[j, i])
    exponential = mp.expm(block * mp.mpf(h))
    M = exponential[:d, :d]
    Q = exponential[:d, d:] * M.T
    exact = np.array(Q.tolist(), dtype=float)
    assert exact.shape == (d, d)
    ours = OrnsteinUhlenbeck(A, diffusion=D).transition(h)
    np.testing.assert_allclose(ours[1] / np.abs(exact).max(), exact / np.abs(exact).max(), atol=2e-14, rtol=0)
    np.testing.assert_allclose(ours[0], np.array(M.tolist(), dtype=float), atol=2e-14)


@every_case
def test_stationary_law_solves_the_kronecker_system(A, D):
    process = OrnsteinUhlenbeck(A, np.arange(len(A)), D)
    mean, S = process.stationary()
    exact = kronecker_lyapunov(A, D)
    np.testing.assert_allclose(S, exact, atol=1e-12 * np.abs(exact).max())
    np.testing.assert_allclose(process.covariance(1e12), exact, atol=1e-12 * np.abs(exact).max())
    np.testing.assert_array_equal(mean, np.arange(len(A)))
    for lag in (-0.7, 0.0, 0.7):
        np.testing.assert_allclose(
            process.autocovariance(lag), autocovariance(A, D, lag), atol=1e-12 * abs(exact).max()
        )
    assert process.relaxation_time == pytest.approx(1.0 / np.linalg.eigvals(A).real.min(), rel=1e-7)


@every_case
@pytest.mark.parametrize("duration", [0.4, 5.0])
def test_time_average_is_the_double_integral(A, D, duration):
    def integrand(u):
        return (duration - u) * (autocovariance(A, D, u) + autocovariance(A, D, -u))

    exact = scipy.integrate.quad_vec(integrand, 0.0, duration, epsabs=1e-13, epsrel=1e-12, limit=2000)[0] / duration**2
    _, covariance = OrnsteinUhlenbeck(A, diffusion=D).time_average(duration)
    np.testing.assert_allclose(covariance, exact, atol=1e-10 * np.abs(exact).max(), rtol=0)


@every_case
def test_time_average_has_its_limits_at_short_and_long_times(A, D):
    process, S = OrnsteinUhlenbeck(A, diffusion=D), kronecker_lyapunov(A, D)
    np.testing.assert_allclose(process.time_average(1e-12)[1], S, atol=1e-9 * np.abs(S).max())
    long = np.linalg.solve(A, S)
    np.testing.assert_allclose(
        process.time_average(1e12)[1] * 1e12, long + long.T, atol=1e-9 * np.abs(long).max() + 1e-11
    )


def test_mean_from_a_known_start_decays_exponentially():
    A, D = CASES["jordan"]
    process = OrnsteinUhlenbeck(A, [1.0, -2.0], D)
    exact = [1.0, -2.0] + scipy.linalg.expm(-0.6 * A) @ [2.0, 7.0]
    np.testing.assert_allclose(process.mean(0.6, [3.0, 5.0]), exact, rtol=1e-13)


def test_geometric_sum_is_the_sum_of_its_terms():
    rng = np.random.default_rng(0)
    M = 0.3 * rng.standard_normal((4, 4))
    S = np.diag([1.0, 2.0, 0.0, 3.0])
    for n in (0, 1, 2, 3, 7, 20, 100):
        exact = sum(
            (np.linalg.matrix_power(M, k) @ S @ np.linalg.matrix_power(M, k).T for k in range(n)), np.zeros((4, 4))
        )
        np.testing.assert_allclose(transitions.geometric_sum(M, S, n), exact, atol=1e-12)
    S = transitions.geometric_sum(M, np.eye(4), np.inf)
    np.testing.assert_allclose(S - M @ S @ M.T, np.eye(4), atol=1e-12)


# Modes -----------------------------------------------------------------------------------------------------------


def without_modes(process):
    process.__dict__["modes"] = None
    return process


@pytest.mark.parametrize("kind", ["isotropic", "function of the drift", "drift is a multiple of the identity"])
def test_modes_give_the_same_law(kind):
    rng = np.random.default_rng(3)
    G = rng.standard_normal((4, 8))
    A = G @ G.T / 8
    D = {"isotropic": 0.7 * np.eye(4), "function of the drift": A @ A}.get(kind, A)
    A = 1.5 * np.eye(4) if kind.startswith("drift") else A
    fast, slow = OrnsteinUhlenbeck(A, diffusion=D), without_modes(OrnsteinUhlenbeck(A, diffusion=D))
    assert fast.modes is not None
    for h in (1e-9, 0.3, 30.0, np.inf):
        for ours, general in zip(fast.transition(h), slow.transition(h), strict=True):
            np.testing.assert_allclose(ours, general, rtol=0, atol=1e-13 * np.abs(general).max() + 1e-300)
    times = [0.0, 0.5, 1.0, 1.5] if kind == "isotropic" else [0.0, 0.1, 1.0, 1.3]
    samples = fast.sample(times, n_chains=20_000, rng=1).reshape(20_000, -1)
    assert_moments(samples, dense_covariance(A, D, times))


def test_modes_are_not_used_where_there_are_none():
    for name in ("jordan", "symmetric, correlated noise"):
        A, D = CASES[name]
        assert OrnsteinUhlenbeck(A, diffusion=D).modes is None


# Samples ---------------------------------------------------------------------------------------------------------


@every_case
@pytest.mark.parametrize("times", [[0.0, 0.3, 0.6, 0.9], [1.0, 1.1, 2.5, 2.6]], ids=["regular", "irregular"])
def test_samples_have_the_dense_covariance(A, D, times):
    process = OrnsteinUhlenbeck(A, np.full(len(A), 3.0), D)
    samples = process.sample(times, n_chains=20_000, rng=11)
    assert samples.shape == (20_000, 4, len(A))
    assert_moments(samples.reshape(20_000, -1) - 3.0, dense_covariance(A, D, times))


@pytest.mark.parametrize("name", ["jordan", "modes"])
def test_samples_from_a_known_start_have_the_moments_of_the_law(name):
    A = CASES["jordan"][0] if name == "jordan" else np.array([[2.0, 1.0], [1.0, 2.0]])
    process = OrnsteinUhlenbeck(A, [1.0, 2.0], 0.5)
    x = process.sample([2.0, 2.0 + 0.4], x0=[5.0, -5.0], n_chains=20_000, rng=0)
    np.testing.assert_array_equal(x[:, 0], np.tile([5.0, -5.0], (20_000, 1)))
    centred = x[:, 1] - [1.0, 2.0] - scipy.linalg.expm(-0.4 * A) @ [4.0, -7.0]
    S = kronecker_lyapunov(A, 0.5 * np.eye(2))
    M = scipy.linalg.expm(-0.4 * A)
    assert_moments(centred, S - M @ S @ M.T)
    starts = np.arange(6.0).reshape(3, 2)
    np.testing.assert_allclose(process.sample([0.0, 1.0], x0=starts, n_chains=3, rng=0)[:, 0], starts, atol=1e-15)


def test_long_regular_trajectory_has_the_autocovariance():
    A, D = CASES["strongly non-normal"]
    x = OrnsteinUhlenbeck(A, diffusion=D).sample(0.5 * np.arange(200_000), rng=5)[0]
    for lag in (0, 1, 4):
        ours = x[lag:].T @ x[: len(x) - lag] / (len(x) - lag)
        exact = autocovariance(A, D, 0.5 * lag)
        np.testing.assert_allclose(ours, exact, atol=0.05 * np.abs(exact).max())


@pytest.mark.parametrize("n", [1, 2, 3, 9, 17, 50])
@pytest.mark.parametrize("chains", [1, 3, 40])
def test_recurrence_is_the_plain_loop(n, chains):
    rng = np.random.default_rng(0)
    M, noise = 0.5 * rng.standard_normal((3, 3)), rng.standard_normal((n, chains, 3))
    x = rng.standard_normal((chains, 3))
    for start in (None, x):
        state, states = np.zeros((chains, 3)) if start is None else start, []
        for row in noise:
            state = np.array([M @ s for s in state]) + row
            states.append(state)
        np.testing.assert_allclose(transitions.recurrence(M, noise.copy(), start), states, atol=1e-12)


def test_steps_that_differ_by_rounding_are_one():
    values, kinds = distinct_steps(np.arange(0.0, 1000.0, 0.1) + 1e4)
    assert values == pytest.approx([0.1])
    assert not kinds.any()
    values, kinds = distinct_steps(np.array([0.0, 0.5, 0.6, 1.1, 1.2]))
    assert values == pytest.approx([0.1, 0.5])
    np.testing.assert_array_equal(kinds, [1, 0, 1, 0])


def test_a_process_says_what_it_is():
    assert repr(OrnsteinUhlenbeck(np.diag([0.5, 2.0]))) == "OrnsteinUhlenbeck(dimension=2, relaxation_time=2)"
    assert OrnsteinUhlenbeck(np.diag([0.5, 2.0])).dimension == 2


def test_same_seed_gives_the_same_bits():
    process = OrnsteinUhlenbeck(*CASES["jordan"][:1])
    np.testing.assert_array_equal(process.sample([0.0, 1.0], rng=3), process.sample([0.0, 1.0], rng=3))


# Likelihood ------------------------------------------------------------------------------------------------------


@every_case
def test_log_prob_is_that_of_the_dense_normal_law(A, D):
    if np.linalg.matrix_rank(D) < len(A) and len(A) > 2:
        D = D + 0.3 * np.eye(len(A))
    mean = np.linspace(-1.0, 1.0, len(A))
    process, times = OrnsteinUhlenbeck(A, mean, D), np.array([0.0, 0.5, 0.6, 1.1, 2.0])
    xs = process.sample(times, n_chains=2, rng=0)
    joint = scipy.stats.multivariate_normal(np.tile(mean, 5), dense_covariance(A, D, times))
    first = scipy.stats.multivariate_normal(mean, kronecker_lyapunov(A, D))
    exact = [joint.logpdf(x.ravel()) for x in xs]
    assert process.log_prob(times, xs, start="stationary") == pytest.approx(sum(exact), rel=1e-8, abs=1e-8)
    conditional = exact[0] - first.logpdf(xs[0, 0])
    assert process.log_prob(times, xs[0]) == pytest.approx(conditional, rel=1e-8, abs=1e-8)


def by_differences(f, size, step):
    def at(i, sign):
        change = np.zeros(size)
        change[np.unravel_index(i, size)] = sign * step
        return f(change)

    slopes = [(8 * (at(i, 1) - at(i, -1)) - (at(i, 2) - at(i, -2))) / (12 * step) for i in range(np.prod(size))]
    return np.reshape(slopes, size)


@pytest.mark.parametrize("start", ["given", "stationary"])
@pytest.mark.parametrize("name", ["jordan", "not symmetric", "oscillator", "wishart plus skew"])
@pytest.mark.parametrize("spacing", [0.02, 1.0])
def test_gradient_is_that_of_finite_differences(name, start, spacing):
    A, D = CASES[name]
    D = D if name == "oscillator" else D + 0.2 * np.eye(len(A))
    mean = np.linspace(-1.0, 1.0, len(A))
    process = OrnsteinUhlenbeck(A, mean, D)
    times = spacing * np.array([0.0, 1.0, 2.0, 3.5, 4.5, 6.0, 8.0])
    xs = process.sample(times, n_chains=2, rng=1)
    gradient = process.log_prob_gradient(times, xs, start=start)

    def value(dA=0.0, dm=0.0, dD=0.0):
        change = np.asarray(dD)
        changed = D + (change + change.T) / 2.0 if change.ndim else D
        return OrnsteinUhlenbeck(A + dA, mean + dm, changed).log_prob(times, xs, start=start)

    for ours, exact in (
        (gradient.drift, by_differences(lambda c: value(dA=c), A.shape, 1e-4)),
        (gradient.mean, by_differences(lambda c: value(dm=c), mean.shape, 1e-4)),
    ):
        np.testing.assert_allclose(ours, exact, atol=2e-7 * max(np.abs(exact).max(), 1.0), rtol=0)
    np.testing.assert_array_equal(gradient.diffusion, gradient.diffusion.T)
    if name != "oscillator":  # there a change of the diffusion leaves the semidefinite cone
        exact = by_differences(lambda c: value(dD=c), A.shape, 1e-4)
        np.testing.assert_allclose(gradient.diffusion, exact, atol=2e-7 * max(np.abs(exact).max(), 1.0), rtol=0)


def test_singular_noise_is_sampled_but_has_no_density():
    process = OrnsteinUhlenbeck(np.diag([1.0, 2.0]), diffusion=[[1.0, 1.0], [1.0, 1.0]])
    one = OrnsteinUhlenbeck(np.diag([1.0, 1.0]), diffusion=[[1.0, 1.0], [1.0, 1.0]])
    x = one.sample(np.arange(5.0), n_chains=2, rng=0)
    np.testing.assert_allclose(x[..., 0], x[..., 1], atol=1e-12)
    with pytest.raises(ValueError, match="transition covariance over 1 is singular"):
        one.log_prob(np.arange(5.0), x)
    with pytest.raises(ValueError, match="stationary covariance is singular"):
        one.log_prob([0.0], x[:, :1], start="stationary")
    with pytest.raises(ValueError, match="singular"):
        OrnsteinUhlenbeck(np.eye(2), diffusion=[1.0, 0.0]).log_prob_gradient([0.0, 1.0], x[:, :2])
    assert np.isfinite(process.log_prob(np.arange(5.0), process.sample(np.arange(5.0), rng=0)))


# Bad input -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: OrnsteinUhlenbeck([[1.0, 0.0], [0.0, -0.5]]), "drift must be stable, but its eigenvalue -0.5"),
        (lambda: OrnsteinUhlenbeck([[-0.5, 2.0], [-2.0, -0.5]]), r"eigenvalue -0.5[+-]2j"),
        (lambda: OrnsteinUhlenbeck([[0.0]]), "stable"),
        (lambda: OrnsteinUhlenbeck(np.ones((2, 3))), "square"),
        (lambda: OrnsteinUhlenbeck([[np.nan]]), "finite"),
        (lambda: OrnsteinUhlenbeck(np.eye(2), mean=[1.0]), r"mean must have shape \(2,\)"),
        (lambda: OrnsteinUhlenbeck(np.eye(2), diffusion=[[1.0, 2.0], [2.0, 1.0]]), "semidefinite, .* eigenvalue -1"),
        (lambda: OrnsteinUhlenbeck(np.eye(2), diffusion=[[1.0, 2.0], [0.0, 1.0]]), "symmetric"),
        (lambda: OrnsteinUhlenbeck(np.eye(2), diffusion=np.eye(3)), r"diffusion must have shape \(2, 2\)"),
        (lambda: OrnsteinUhlenbeck(np.eye(2), diffusion=-1.0), "semidefinite"),
        (lambda: OrnsteinUhlenbeck(np.eye(2)).transition(-1.0), "h must be non-negative"),
        (lambda: OrnsteinUhlenbeck(np.eye(2)).time_average(0.0), "duration must be positive"),
        (lambda: OrnsteinUhlenbeck(np.eye(2)).sample([0.0, 1.0, 1.0]), "times must increase, got 1.0 followed by 1.0"),
        (lambda: OrnsteinUhlenbeck(np.eye(2)).sample([0.0], x0=[1.0]), r"x0 must have shape \(2,\) or \(1, 2\)"),
        (lambda: OrnsteinUhlenbeck(np.eye(2)).log_prob([0.0, 1.0], [[0.0, 1.0]]), "xs must have shape"),
        (lambda: OrnsteinUhlenbeck(np.eye(2)).log_prob([0.0], [[0.0, 1.0]], start="cold"), "start must be one of"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
