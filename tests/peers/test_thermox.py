"""thermox (repository normal-computing/thermox) beside the library; skipped where it is not installed.

Where its sampler is exact the two must agree; where it is not, ours must equal quadrature of the defining integral and
thermox must differ by what docs/thermox.md says: a failure there may mean that thermox has been mended.
`pytest tests/peers -s` prints the numbers quoted in that page. All in float64 unless said.
"""

import numpy as np
import pytest
import scipy.integrate
import scipy.linalg
import scipy.stats

import thermolinalg as tl
from tests import oracles

pytestmark = pytest.mark.long

thermox = pytest.importorskip("thermox", reason="cross-checks against thermox: pip install '.[peers]'")
jax = pytest.importorskip("jax")
jnp = jax.numpy

SYMMETRIC = np.array([[3.0, 2.0], [2.0, 4.0]])  # of its tests of solve, inv and expnegm
THEIR_TEST = np.array([[3.0, 2.5], [2.0, 4.0]])  # of its tests of sample and conditional, with D = 2 I
README = np.diag([2.0] * 5) + np.diag([0.5] * 4, 1) + np.diag([0.5] * 4, -1)
README_D = np.diag([2.0] * 5) + np.diag([1.0, 0, 0, 0], 1) + np.diag([1.0, 0, 0, 0], -1)
LOG_PROB_TEST = np.array([[3.0, 2.0, 1.0], [2.0, 4.0, 2.0], [1.0, 2.0, 5.0]])
LOG_PROB_D = np.array([[1.0, 0.3, -0.1], [0.3, 1.0, 0.2], [-0.1, 0.2, 1.0]])
WISHART = tl.problems.wishart(20, rng=0)
NOISE = np.random.default_rng(0).standard_normal((20, 20))
SKEWED = WISHART + (NOISE - NOISE.T) / np.sqrt(40.0)
LOOP = {"associative_scan": False}  # the same numbers, compiled faster
TURNED = scipy.stats.ortho_group.rvs(20, random_state=0) + 1.1 * np.eye(20)


def shear(size, second=2.0):
    """Not normal; defective if the second eigenvalue is 1, the first."""
    return np.array([[1.0, size], [0.0, second]])


EXACT = {  # drift, diffusion: the drift is normal in the coordinates in which the noise is white
    "symmetric, D = 2 I": (SYMMETRIC, 2.0 * np.eye(2)),
    "Wishart, D = 2 I": (WISHART, 2.0 * np.eye(20)),
    "Wishart, D = 2 A": (WISHART, 2.0 * WISHART),
    "orthogonal + 1.1 I, D = A + A^T": (TURNED, TURNED + TURNED.T),
}
WRONG = {  # and the relative error (Frobenius) of its transition covariance for steps of 0.1, 1 and 10
    "[[3, 2.5], [2, 4]], D = 2 I (its tests)": (THEIR_TEST, 2.0 * np.eye(2), (3.07e-3, 3.57e-2, 3.96e-2)),
    "README example": (README, README_D, (2.12e-4, 8.13e-3, 1.28e-2)),
    "its test of log_prob": (LOG_PROB_TEST, LOG_PROB_D, (3.66e-3, 4.13e-2, 4.69e-2)),
    "[[1, 1.5], [0, 2]], D = 2 I": (shear(1.5), 2.0 * np.eye(2), (4.14e-3, 1.48e-1, 2.87e-1)),
    "[[1, 3], [0, 2]], D = 2 I": (shear(3.0), 2.0 * np.eye(2), (1.43e-2, 4.34e-1, 18.1)),
    "Wishart + skew, d = 20, D = 2 I": (SKEWED, 2.0 * np.eye(20), (3.50e-3, 1.52e-1, 1.20)),
}
exact_cases = pytest.mark.parametrize(("A", "D"), [pytest.param(*value, id=key) for key, value in EXACT.items()])
wrong_cases = pytest.mark.parametrize(
    ("A", "D", "published"), [pytest.param(*value, id=key) for key, value in WRONG.items()]
)


@pytest.fixture(autouse=True)
def _float64():
    with jax.enable_x64(True):
        yield


def over_keys(seed, n, function):
    """The answers to n keys, as one array."""
    keys = jax.random.split(jax.random.PRNGKey(seed % 2**32), n)
    return np.asarray(jax.jit(jax.vmap(function))(keys))


def quadrature(A, D, h):
    """``int_0^h e^{-A u} D e^{-A^T u} du``, the covariance of the noise of a step h, by adaptive quadrature."""

    def integrand(u):
        M = scipy.linalg.expm(-A * u)
        return M @ D @ M.T

    return scipy.integrate.quad_vec(integrand, 0.0, h, epsabs=0.0, epsrel=1e-12, norm="max", limit=1000)[0]


def distance(X, truth):
    return float(np.linalg.norm(np.asarray(X) - truth) / np.linalg.norm(truth))


def their_covariance(A, D, h):
    return np.asarray(thermox.conditional.covariance(h, jnp.asarray(A), jnp.asarray(D)))


# Exact cases -------------------------------------------------------------------------------------------------------


@exact_cases
@pytest.mark.parametrize("h", [0.1, 1.0, 10.0])
def test_transition_covariances_agree(A, D, h):
    truth = quadrature(A, D, h)
    assert distance(their_covariance(A, D, h), truth) < 1e-11
    assert distance(tl.OrnsteinUhlenbeck(A, diffusion=D).covariance(h), truth) < 1e-11


@exact_cases
def test_conditional_means_agree(A, D, rng):
    b, x0 = rng.standard_normal((2, len(A)))
    theirs = thermox.conditional.mean(0.7, *map(jnp.asarray, (x0, A, b, D)))
    np.testing.assert_allclose(tl.OrnsteinUhlenbeck(A, b, D).mean(0.7, x0), theirs, atol=1e-12)


@exact_cases
def test_samples_have_the_same_law(A, D, rng, seed):
    """All moments of the states at three unequal steps, jointly."""
    d, times = len(A), np.array([0.0, 0.1, 0.4, 1.5])
    b, x0 = rng.standard_normal((2, d))
    mean, covariance = [], np.zeros((3 * d, 3 * d))
    for i, t in enumerate(times[1:]):
        Q = quadrature(A, D, t)
        mean.append(b + scipy.linalg.expm(-A * t) @ (x0 - b))
        for j, later in enumerate(times[i + 1 :], start=i):
            block = scipy.linalg.expm(-A * (later - t)) @ Q
            covariance[j * d : (j + 1) * d, i * d : (i + 1) * d] = block
            covariance[i * d : (i + 1) * d, j * d : (j + 1) * d] = block.T
    mean = np.concatenate(mean)
    process = [jnp.asarray(value) for value in (times, x0, A, b, D)]
    theirs = over_keys(seed, 5000, lambda key: thermox.sample(key, *process, **LOOP)[1:])
    ours = tl.OrnsteinUhlenbeck(A, b, D).sample(times, x0, n_chains=5000, rng=rng)[:, 1:]
    for samples in (theirs, ours):
        oracles.sampled_moments_agree(samples.reshape(5000, -1), mean, covariance)


@exact_cases
def test_log_prob_agrees(A, D, rng):
    times = np.cumsum(rng.uniform(0.05, 2.0, 200))
    process = tl.OrnsteinUhlenbeck(A, rng.standard_normal(len(A)), D)
    xs = process.sample(times, rng=rng)[0]
    theirs = float(thermox.log_prob(*map(jnp.asarray, (times, xs, A, process.center, D))))
    assert process.log_prob(times, xs) == pytest.approx(theirs, rel=1e-9)


@pytest.mark.filterwarnings("ignore::thermolinalg.errors.NotEquilibrated")
@pytest.mark.parametrize("burnin", [0, 3])
@pytest.mark.parametrize("A", [SYMMETRIC, WISHART], ids=["2 x 2", "Wishart"])
def test_solve_has_the_same_law(A, burnin, rng, seed):
    """Mean and covariance of 1000 answers, transient included: n = num_samples + 1, burn_in = burnin dt, beta = 2."""
    n, dt, b = 200, 0.5, rng.standard_normal(len(A))
    mean, covariance = oracles.reads_law(A, b, 0.0 * b, 2.0, burnin * dt, n + 1, dt)
    theirs = over_keys(
        seed, 1000, lambda key: thermox.linalg.solve(jnp.asarray(A), jnp.asarray(b), n, dt, burnin, key, **LOOP)
    )
    ours = tl.solve(
        A, np.tile(b[:, None], 1000), n_reads=n + 1, read_spacing=dt, burn_in=burnin * dt, beta=2.0, rng=rng
    )
    np.testing.assert_allclose(ours.stderr[:, 0], np.sqrt(np.diag(covariance)), rtol=1e-9)
    for answers in (theirs, ours.value.T):
        oracles.sampled_moments_agree(answers, mean, covariance)


@pytest.mark.parametrize("A", [SYMMETRIC, WISHART], ids=["2 x 2", "Wishart"])
def test_inv_agrees(A, rng, seed):
    """It subtracts the sample mean, which costs n / (n - 1) Cov(mean); ours knows the mean to be zero."""
    n, replicas, exact, origin = 1001, 200, np.linalg.inv(A), np.zeros(len(A))
    lost = oracles.reads_law(A, origin, origin, 1.0, np.inf, n, 1.0)[1]
    theirs = over_keys(seed, replicas, lambda key: thermox.linalg.inv(jnp.asarray(A), n - 1, 1.0, 1000, key, **LOOP))
    ours = tl.inv(A, n_reads=n, read_spacing=1.0, n_chains=replicas, rng=rng)
    stderr = theirs.std(axis=0, ddof=1) / np.sqrt(replicas)
    assert (np.abs(theirs.mean(axis=0) - (exact - lost) * n / (n - 1)) < 5 * stderr).all()
    assert (np.abs(ours.value - exact) < 5 * ours.stderr).all()
    assert np.linalg.norm(stderr) == pytest.approx(np.linalg.norm(ours.stderr), rel=0.2)


@pytest.mark.parametrize("name", ["expnegm", "expm"])
def test_exponential_of_a_symmetric_matrix_agrees(name, rng, seed):
    n, replicas = 1000, 200
    A, alpha = (WISHART, 0.0) if name == "expnegm" else ((NOISE + NOISE.T) / 20.0, 1.0)
    function = getattr(thermox.linalg, name)
    theirs = over_keys(seed, replicas, lambda key: function(jnp.asarray(A), n, 1.0, 1000, key, alpha, **LOOP))
    ours = (tl.negexpm if name == "expnegm" else tl.expm)(A, n_reads=n, alpha=alpha, n_chains=replicas, rng=rng)
    exact = scipy.linalg.expm(-A if name == "expnegm" else A)
    stderr = theirs.std(axis=0, ddof=1) / np.sqrt(replicas)
    assert (np.abs(theirs.mean(axis=0) - exact) < 5 * stderr).all()
    assert (np.abs(ours.value - exact) < 5 * ours.stderr).all()
    assert np.linalg.norm(stderr) == pytest.approx(np.linalg.norm(ours.stderr), rel=0.2)


def test_solve_of_a_nonsymmetric_matrix_agrees(rng, seed):
    """`tl.solve` is for symmetric matrices and says so; the process of any stable drift averages to the answer."""
    b = np.array([1.0, 2.0])
    exact = np.linalg.solve(THEIR_TEST, b)
    with pytest.raises(ValueError, match="A must be symmetric"):
        tl.solve(THEIR_TEST, b, n_reads=100)
    theirs = over_keys(seed, 200, lambda key: thermox.linalg.solve(*map(jnp.asarray, (THEIR_TEST, b)), key=key, **LOOP))
    assert (np.abs(theirs.mean(axis=0) - exact) < 5 * theirs.std(axis=0) / np.sqrt(200)).all()
    times = np.arange(10_000.0)
    ours = tl.stats.time_average(times, tl.OrnsteinUhlenbeck(THEIR_TEST, exact, 1.0).sample(times, rng=rng)[0])
    assert (np.abs(ours.value - exact) < 5 * ours.stderr).all()


# Where its sampler is not exact --------------------------------------------------------------------------------------


@wrong_cases
def test_transition_covariance_of_a_non_normal_drift(request, A, D, published):
    ours, theirs = [], []
    for h in (0.1, 1.0, 10.0):
        truth = quadrature(A, D, h)
        ours.append(distance(tl.OrnsteinUhlenbeck(A, diffusion=D).covariance(h), truth))
        theirs.append(distance(their_covariance(A, D, h), truth))
    errors = ", ".join(f"{error:.1e}" for error in theirs)
    print(f"\n{request.node.callspec.id}: steps 0.1, 1, 10: thermox off by {errors}; ours by at most {max(ours):.0e}")
    assert max(ours) < 1e-8
    np.testing.assert_allclose(theirs, published, rtol=0.03)


def test_transition_covariance_where_the_symmetric_part_is_singular():
    A, D = shear(2.0, second=1.0), 2.0 * np.eye(2)
    assert np.isnan(their_covariance(A, D, 1.0)).all()
    assert distance(tl.OrnsteinUhlenbeck(A, diffusion=D).covariance(1.0), quadrature(A, D, 1.0)) < 1e-8


def test_samples_of_a_non_normal_drift(rng, seed):
    """100,000 steps of 1 RC: ours have the right covariance, its samples that of its own formula."""
    A, D, n = shear(1.5), 2.0 * np.eye(2), 100_000
    origin, truth = np.zeros(2), quadrature(shear(1.5), 2.0 * np.eye(2), 1.0)
    ours = tl.OrnsteinUhlenbeck(A, diffusion=D).sample([0.0, 1.0], origin, n_chains=n, rng=rng)[:, 1]
    oracles.sampled_moments_agree(ours, origin, truth)
    process = [jnp.asarray(value) for value in ([0.0, 1.0], origin, A, origin, D)]
    theirs = over_keys(seed, n, lambda key: thermox.sample(key, *process, **LOOP)[1])
    oracles.sampled_moments_agree(theirs, origin, their_covariance(A, D, 1.0))
    with pytest.raises(AssertionError, match="covariance is off"):
        oracles.sampled_moments_agree(theirs, origin, truth)


def test_mean_of_a_defective_drift():
    """It inverts the eigenvectors, of which [[1, 1.5], [0, 1]] has one."""
    A, x0 = shear(1.5, second=1.0), np.array([1.0, 2.0])
    exact = np.exp(-1.0) * np.array([1.0 - 1.5 * 2.0, 2.0])
    theirs = thermox.conditional.mean(1.0, *map(jnp.asarray, (x0, A, np.zeros(2), 2.0 * np.eye(2))))
    print(f"\nmean of [[1, 1.5], [0, 1]] after 1 RC: thermox off by {distance(theirs, exact):.0%}")
    assert distance(tl.OrnsteinUhlenbeck(A).mean(1.0, x0), exact) < 1e-14
    assert distance(theirs, exact) == pytest.approx(0.707, rel=0.01)


def log_density(times, xs, A, b, D):
    """By quadrature and SciPy's normal density, step by step."""
    steps = np.diff(times)
    M, Q = scipy.linalg.expm(-A * steps[0]), quadrature(A, D, steps[0])
    np.testing.assert_allclose(steps, steps[0])
    return scipy.stats.multivariate_normal(np.zeros(len(A)), Q).logpdf(xs[1:] - b - (xs[:-1] - b) @ M.T).sum()


@pytest.mark.parametrize(
    ("case", "published"),
    [("README example", -9.84e-5), ("its test of log_prob", -2.07e-3), ("[[1, 1.5], [0, 2]], D = 2 I", -1.638e-2)],
)
def test_log_prob_of_a_non_normal_drift(case, published):
    """The mean over data of the true process follows from its wrong covariance of a step; a trajectory scatters."""
    A, D, _ = WRONG[case]
    times, b, n = np.arange(10_001.0), np.zeros(len(A)), 10_000
    process = tl.OrnsteinUhlenbeck(A, b, D)
    xs = process.sample(times, rng=0)[0]
    truth = log_density(times, xs, A, b, D)
    gap = (float(thermox.log_prob(*map(jnp.asarray, (times, xs, A, b, D)))) - truth) / n
    assert process.log_prob(times, xs) == pytest.approx(truth, rel=1e-9)
    Q, theirs = quadrature(A, D, 1.0), np.array(thermox.conditional.covariance(*map(jnp.asarray, (1.0, A, D))))
    ratio = np.linalg.solve(theirs, Q)
    expected = -0.5 * (np.trace(ratio) - len(A) - np.linalg.slogdet(ratio)[1])
    print(f"\n{case}: log_prob a step of 1 RC: thermox off by {expected:+.2e} nats in the mean, here by {gap:+.2e}")
    assert expected == pytest.approx(published, rel=0.01)
    steps = xs[1:] - xs[:-1] @ scipy.linalg.expm(-A).T
    laws = (scipy.stats.multivariate_normal(np.zeros(len(A)), covariance) for covariance in (theirs, Q))
    each = np.subtract(*(law.logpdf(steps) for law in laws))
    assert abs(gap - expected) < 5 * each.std() / np.sqrt(n)


def test_gradient_by_the_drift_is_wrong_even_where_the_value_is_right():
    """A symmetric drift, D = 2 I: a step off the symmetric matrices leaves the cases in which its formula holds."""
    A, D, b, times = np.array([[2.0, 1.0], [1.0, 5.0]]), 2.0 * np.eye(2), np.zeros(2), 0.3 * np.arange(1001)
    xs = tl.OrnsteinUhlenbeck(SYMMETRIC, b, D).sample(times, rng=0)[0]
    process = tl.OrnsteinUhlenbeck(A, b, D)
    ours = process.log_prob_gradient(times, xs)
    theirs = jax.grad(thermox.log_prob, argnums=(2, 3))(*map(jnp.asarray, (times, xs, A, b, D)))
    truth, step = np.zeros((2, 2)), 1e-4
    for i, j in np.ndindex(2, 2):
        change = np.zeros((2, 2))
        change[i, j] = step
        difference = log_density(times, xs, A + change, b, D) - log_density(times, xs, A - change, b, D)
        truth[i, j] = difference / (2.0 * step)
    print(f"\ngradient by the drift: ours {ours.drift.round(2).tolist()}, thermox {theirs[0].round(2).tolist()}")
    np.testing.assert_allclose(ours.drift, truth, rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(ours.mean, theirs[1], rtol=1e-9)
    np.testing.assert_allclose(np.trace(ours.drift), np.trace(theirs[0]), rtol=1e-9)
    assert np.abs(theirs[0] - truth).max() > 1.0


def test_expnegm_of_a_non_normal_matrix_has_a_wrong_limit(rng, seed):
    """It tends to e^alpha M S, S = M S M^T + Q with its own Q."""
    A, n, replicas, alpha = shear(3.0), 10_000, 100, 1.0
    exact, drift = scipy.linalg.expm(-A), A + alpha * np.eye(2)
    M, Q = scipy.linalg.expm(-drift), their_covariance(drift, drift + drift.T, 1.0)
    limit = np.exp(alpha) * M @ scipy.linalg.solve_discrete_lyapunov(M, Q)
    ours = tl.negexpm(A, n_reads=n, alpha=alpha, n_chains=replicas, rng=rng)
    theirs = over_keys(
        seed, replicas, lambda key: thermox.linalg.expnegm(jnp.asarray(A), n, 1.0, 0, key, alpha, **LOOP)
    )
    stderr = theirs.std(axis=0, ddof=1) / np.sqrt(replicas)
    share = np.linalg.norm(ours.stderr) / np.linalg.norm(exact)
    print(f"\nexpnegm([[1, 3], [0, 2]], alpha=1): thermox off by {distance(theirs.mean(axis=0), exact):.1%}, in the "
          f"limit by {distance(limit, exact):.1%}; ours by {distance(ours.value, exact):.2%} "
          f"(standard error {share:.2%})")  # fmt: skip
    assert (np.abs(ours.value - exact) < 5 * ours.stderr).all()
    assert (np.abs(theirs.mean(axis=0) - limit) < 5 * stderr).all()
    assert (np.abs(theirs.mean(axis=0) - exact) > 10 * stderr).any()


def test_burn_in_of_expnegm_explodes():
    """A burn-in is one long step, and its formula for the noise of a step can grow with time."""
    answer = thermox.linalg.expnegm(jnp.asarray(shear(3.0, second=1.0)), 1000, burnin=100, alpha=1.0, **LOOP)
    print(f"\nexpnegm([[1, 3], [0, 1]], alpha=1, burnin=100): norm {np.linalg.norm(answer):.0e}")
    assert np.linalg.norm(answer) > 1e6


# Silent failures ---------------------------------------------------------------------------------------------------


def test_exponential_with_an_indefinite_symmetric_part():
    A = shear(3.0, second=1.0)
    assert np.isnan(thermox.linalg.expnegm(jnp.asarray(A), **LOOP)).all()
    assert np.isnan(thermox.linalg.expm(jnp.asarray(A), **LOOP)).all()
    with pytest.raises(tl.errors.NotPositiveDefinite, match=r"smallest eigenvalue is -0\.5; use alpha above 0\.5"):
        tl.negexpm(A, n_reads=100, alpha=0.0)
    r = tl.negexpm(A, n_reads=10_000, rng=0)
    assert (np.abs(r.value - scipy.linalg.expm(-A)) < 5 * r.stderr).all()


def test_indefinite_and_singular_input():
    indefinite, b = np.array([[1.0, 2.0], [2.0, 1.0]]), np.ones(2)
    assert np.isnan(thermox.linalg.solve(*map(jnp.asarray, (indefinite, b)), **LOOP)).all()
    assert np.isnan(thermox.linalg.inv(jnp.asarray(indefinite), **LOOP)).all()
    with pytest.raises(tl.errors.NotPositiveDefinite, match="-1"):
        tl.solve(indefinite, b, n_reads=100)
    with pytest.raises(tl.errors.NotPositiveDefinite, match="-1"):
        tl.inv(indefinite, n_reads=100)
    singular = np.diag([1.0, 0.0])  # a noise that reaches one direction only is a fair question
    assert np.isnan(their_covariance(shear(1.5).T, singular, 1.0)).all()
    ours = tl.OrnsteinUhlenbeck(shear(1.5).T, diffusion=singular).covariance(1.0)
    assert distance(ours, quadrature(shear(1.5).T, singular, 1.0)) < 1e-8


@pytest.mark.parametrize(("d", "D"), [(40, 100.0), (300, 2.0)])
def test_log_prob_in_single_precision_underflows(d, D):
    """It takes the logarithm of a determinant; float32 is its default."""
    with jax.enable_x64(False):
        arguments = [[0.0, 1.0], np.ones((2, d)), np.eye(d), np.zeros(d), D * np.eye(d)]
        assert thermox.log_prob(*map(jnp.asarray, arguments)) == -np.inf
    assert np.isfinite(tl.OrnsteinUhlenbeck(np.eye(d), diffusion=D).log_prob([0.0, 1.0], np.ones((2, d))))


def test_key_none_is_one_fixed_key():
    A, b = jnp.asarray(SYMMETRIC), jnp.ones(2)
    assert (thermox.linalg.solve(A, b, **LOOP) == thermox.linalg.solve(A, b, **LOOP)).all()
    assert (
        tl.solve(SYMMETRIC, [1.0, 1.0], n_reads=10).value != tl.solve(SYMMETRIC, [1.0, 1.0], n_reads=10).value
    ).all()


@pytest.mark.parametrize(("kappa", "published"), [(1e6, 3e-3), (1e8, 0.7)])
def test_digital_solution_inside_solve_is_single_precision(kappa, published):
    """The mean of its process is `jnp.linalg.solve`; with reads far apart only that error is left."""
    A = tl.problems.with_condition(64, kappa, rng=0)
    b = A @ np.ones(64)
    with jax.enable_x64(False):
        error = distance(jnp.linalg.solve(*map(jnp.asarray, (A, b))), np.ones(64))
    print(f"\nkappa {kappa:.0e}: relative error of the mean in float32 {error:.1e}")
    assert published / 10 < error < published * 10
