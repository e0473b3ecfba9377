"""The maximum-likelihood fit: a maximum with the curvature that it reports, or a reason why there is none."""

import numpy as np
import pytest
import scipy.linalg

from thermolinalg.processes import OrnsteinUhlenbeck


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


def test_fit_of_one_dimension_has_the_textbook_errors():
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
    with pytest.raises(ValueError, match="covariance of the data is singular"):
        OrnsteinUhlenbeck.fit(times, np.ones((200, 2)))
