"""The maximum-likelihood fit: a maximum with the curvature that it reports, or a reason why there is none."""

import warnings

import numpy as np
import pytest
import scipy.linalg

from thermolinalg.errors import UnreliableStderr
from thermolinalg.processes.ornstein_uhlenbeck import OrnsteinUhlenbeck


def test_fit_is_a_maximum_with_the_curvature_it_reports():
    A, D = np.array([[3.0, 2.5], [2.0, 4.0]]) / 3.0, np.array([[2.0, -1.0], [-1.0, 1.0]])
    times = 0.3 * np.arange(400)
    xs = OrnsteinUhlenbeck(A, [1.0, -1.0], D).sample(times, n_chains=2, rng=4)
    r = OrnsteinUhlenbeck.fit(times, xs)
    gradient = r.process.log_prob_gradient(times, xs)
    for slope, stderr in ((gradient.drift, r.drift_stderr), (gradient.mean, r.mean_stderr),
                          (gradient.diffusion, r.diffusion_stderr)):  # fmt: skip
        assert np.abs(slope * stderr).max() < 1e-7
    assert r.log_prob == pytest.approx(r.process.log_prob(times, xs), rel=1e-12)
    assert r.n_steps == 2 * 399
    # moving one standard error along any parameter with the others refitted costs 1/2: here, without, at least that
    theta = (r.process.drift, r.process.center, r.process.diffusion)
    precision = np.linalg.inv(r.covariance)
    direction = np.random.default_rng(0).standard_normal(9)
    direction *= 0.01 / np.sqrt(direction @ precision @ direction)
    lower = np.zeros((2, 2))
    lower[np.tril_indices(2)] = direction[6:]

    def at(sign):
        dD = sign * (lower + np.tril(lower, -1).T)
        moved = OrnsteinUhlenbeck(theta[0] + sign * direction[:4].reshape(2, 2), theta[1] + sign * direction[4:6],
                                  theta[2] + dD)  # fmt: skip
        return moved.log_prob(times, xs)

    curvature = (at(1) + at(-1) - 2 * r.log_prob) / 0.01**2
    assert curvature == pytest.approx(-1.0, rel=1e-4)
    assert "798 steps" in str(r)


def test_fit_of_one_dimension_has_the_textbook_stderr():
    """An AR(1) series: var(q) = (1 - q^2)/n, so var(a) = (e^{2ah} - 1)/(n h^2)."""
    a, h, n = 0.8, 0.5, 50_000
    r = OrnsteinUhlenbeck.fit(h * np.arange(n), OrnsteinUhlenbeck([[a]], [4.0]).sample(h * np.arange(n), rng=2))
    assert r.drift_stderr[0, 0] == pytest.approx(np.sqrt(np.expm1(2 * a * h) / n) / h, rel=0.03)
    assert r.mean_stderr[0] == pytest.approx(np.sqrt(2.0 / (a**2 * n * h)), rel=0.05)
    assert abs(r.process.drift[0, 0] - a) < 5 * r.drift_stderr[0, 0]
    assert abs(r.process.center[0] - 4.0) < 5 * r.mean_stderr[0]
    assert abs(r.process.diffusion[0, 0] - 2.0) < 5 * r.diffusion_stderr[0, 0]


def test_fit_refuses_what_no_process_explains():
    times = np.arange(200.0)
    with pytest.raises(ValueError, match="equally spaced"):
        OrnsteinUhlenbeck.fit([0.0, 1.0, 3.0], np.zeros((3, 1)))
    with pytest.raises(ValueError, match="more than 3 steps"):
        OrnsteinUhlenbeck.fit([0.0, 1.0, 2.0], np.zeros((3, 1)))
    noise = np.random.default_rng(0).standard_normal(200)
    alternating, growing = (-0.9) ** np.arange(200) + 0.1 * noise, 1.1 ** np.arange(200) + noise
    with pytest.raises(ValueError, match="no e\\^\\(-rate step\\) is negative"):
        OrnsteinUhlenbeck.fit(times, alternating[:, None])
    with pytest.raises(ValueError, match="no stable process fits"):
        OrnsteinUhlenbeck.fit(times, growing[:, None])
    A, Q = np.array([[0.3, -0.3], [1.5, 2.0]]), np.diag([1.0, 1e-3])  # a regression that no noise in between explains
    M, x = scipy.linalg.expm(-A), [np.zeros(2)]
    for kick in np.random.default_rng(1).standard_normal((500, 2)) * np.sqrt(np.diag(Q)):
        x.append(M @ x[-1] + kick)
    with pytest.raises(ValueError, match="diffusion that would explain the data has the eigenvalue -0"):
        OrnsteinUhlenbeck.fit(np.arange(501.0), x)
    for xs, message in (
        (np.ones((200, 2)), "component 0 of xs never changes"),
        (np.column_stack((noise, 3.0 * noise)), "covariance of the data is singular: one component follows"),
        (np.column_stack((noise, 3.0 * noise))[:, :1] * [0.0] + 1e9, "component 0 of xs never changes"),
        (0.9 ** times[:, None], "the data show no noise"),
        ((-1.0) ** times[:, None], "the data show no noise"),
        (times[:, None], "the data show no noise"),
    ):
        with pytest.raises(ValueError, match=message):
            OrnsteinUhlenbeck.fit(times, xs)
    with pytest.raises(ValueError, match="times must be at least two for fit, got one"):
        OrnsteinUhlenbeck.fit([0.0], [[1.0]])


def regression_residuals(xs):
    """Residuals of the regression of each increment on the state before it and a constant, by least squares."""
    X = np.column_stack((np.ones(len(xs) - 1), xs[:-1] - xs[0]))
    e = np.diff(xs, axis=0)
    return e - X @ np.linalg.lstsq(X, e, rcond=None)[0]


@pytest.mark.parametrize("D", [2e-4, 2e-12, 2e-18, 2e-24])
def test_fit_of_little_noise_has_the_covariance_of_the_residuals(D):
    """The covariance over a step is that of the residuals of a regression, however small beside the increments."""
    times = 0.1 * np.arange(400)
    xs = OrnsteinUhlenbeck([[1.0, 0.3], [0.0, 2.0]], diffusion=D).sample(times, x0=[1.0, 1.0], rng=0)[0]
    r = OrnsteinUhlenbeck.fit(times, xs)
    residuals = regression_residuals(xs)
    expected = residuals.T @ residuals / 399
    rounding = 1e-13 * (1e-16 / np.sqrt(D)) / 1e-16  # of the states, in units of the noise
    np.testing.assert_allclose(r.process.transition(0.1)[1], expected, rtol=1e-9 + rounding, atol=1e-9 * D)
    gap = np.abs(r.process.drift - [[1.0, 0.3], [0.0, 2.0]]) / r.drift_stderr
    assert (gap < 5).all()


def test_fit_does_not_see_the_units_of_the_components():
    times = 0.1 * np.arange(2000)
    xs = OrnsteinUhlenbeck([[1.0, 0.4], [0.1, 1.5]], [3.0, -2.0]).sample(times, rng=3)[0]
    units = np.array([1e12, 1e-11])
    one, other = OrnsteinUhlenbeck.fit(times, xs), OrnsteinUhlenbeck.fit(times, xs * units)
    ratio = np.divide.outer(units, units)
    np.testing.assert_allclose(other.process.drift, one.process.drift * ratio, rtol=1e-9)
    np.testing.assert_allclose(other.drift_stderr, one.drift_stderr * ratio, rtol=1e-7)
    np.testing.assert_allclose(other.mean_stderr, one.mean_stderr * units, rtol=1e-7)
    np.testing.assert_allclose(other.diffusion_stderr, one.diffusion_stderr * np.outer(units, units), rtol=1e-7)
    assert other.log_prob == pytest.approx(one.log_prob - 1999 * np.log(units).sum(), rel=1e-12)


def test_fit_takes_times_that_are_equal_but_for_rounding():
    times = 1.7e9 + 0.1 * np.arange(3000)  # seconds since 1970: the last digit is 2e-7
    exact = 0.1 * np.arange(3000)
    xs = OrnsteinUhlenbeck([[1.0]]).sample(exact, rng=0)
    for rounded in (times, times - times[0]):
        r = OrnsteinUhlenbeck.fit(rounded, xs)
        assert r.process.drift[0, 0] == pytest.approx(OrnsteinUhlenbeck.fit(exact, xs).process.drift[0, 0], rel=1e-8)
    with pytest.raises(ValueError, match=r"equally spaced for fit, got steps from 0\.09 to 0\.11"):
        OrnsteinUhlenbeck.fit(exact + 0.01 * (np.arange(3000) % 2), xs)


@pytest.mark.parametrize(
    ("spacing", "n", "message"),
    [(0.05, 100, "relaxation times of the slowest mode fitted"), (3.0, 500, "which 499 steps cannot tell from 0")],
)
def test_fit_warns_where_the_curvature_says_too_little(spacing, n, message):
    """Over 50 seeds the errors of the mean (short data), or of drift and noise (coarse data), are far too small."""
    truth, times = OrnsteinUhlenbeck([[1.0]], [2.0]), spacing * np.arange(n)
    warned, scores = 0, []
    for seed in range(50):
        try:
            with warnings.catch_warnings(record=True) as seen:
                warnings.simplefilter("always")
                r = OrnsteinUhlenbeck.fit(times, truth.sample(times, rng=seed))
        except ValueError:
            continue
        warned += any(issubclass(each.category, UnreliableStderr) and message in str(each.message) for each in seen)
        gap = r.process.center[0] - 2.0 if spacing < 1 else r.process.drift[0, 0] - 1.0
        scores.append(gap / (r.mean_stderr[0] if spacing < 1 else r.drift_stderr[0, 0]))
    assert np.sqrt(np.mean(np.square(scores))) > 1.2
    assert warned > 0.85 * len(scores)
    assert len(scores) > 25
