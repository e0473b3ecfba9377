"""Standard errors of the process primitives: z-scores over 200 seeds, one fixed entry or projection a seed."""

import numpy as np
import pytest
import scipy.linalg

import thermolinalg as tl
from thermolinalg.primitives.expm import expm, expm_action, negexpm
from thermolinalg.primitives.lyapunov import lyapunov
from thermolinalg.processes.ornstein_uhlenbeck import OrnsteinUhlenbeck

pytestmark = pytest.mark.long

SEEDS = range(200)
A = np.array([[1.0, 1.5, 0.0], [0.0, 0.8, -1.0], [0.5, 0.0, 1.2]])
R = np.array([[2.0, 0.5, 0.0], [0.5, 1.0, 0.3], [0.0, 0.3, 0.5]])


def kronecker_lyapunov(A, R):
    identity = np.eye(len(A))
    return np.linalg.solve(np.kron(A, identity) + np.kron(identity, A), R.ravel()).reshape(A.shape)


def assert_calibrated(z):
    """Mean 0 and standard deviation 1 within four of their own errors over 200 seeds."""
    z = np.asarray(z)
    assert z.shape == (200,)
    assert abs(z.mean()) < 0.28, f"mean of z is {z.mean():.3f}"
    assert abs(z.std(ddof=1) - 1.0) < 0.20, f"standard deviation of z is {z.std(ddof=1):.3f}"


def entry_scores(run, exact):
    """z of the entry that a seed stands for, the entries in turn."""
    places = list(np.ndindex(exact.shape))
    scores = []
    for seed in SEEDS:
        r, place = run(seed), places[seed % len(places)]
        scores.append((r.value[place] - exact[place]) / r.stderr[place])
    return scores


@pytest.mark.parametrize(
    "options",
    [
        {"n_reads": 3000},
        {"n_reads": 3000, "simulator": "path"},
        {"n_reads": 6000, "read_spacing": 0.5},
        {"n_reads": 6000, "read_spacing": 0.5, "device": tl.Device(beta=20.0, read_noise=0.2, adc_bits=7)},
        {"n_reads": 3000, "device": tl.Device(beta=20.0, read_noise=0.2)},
        {"n_reads": 200, "read_spacing": 0.5, "n_chains": 64},
        {"duration": 500.0},
        {"n_reads": 3000, "device": tl.Device(eps_sys=0.1, beta=20.0, read_noise=0.2)},
        {"n_reads": 6000, "read_spacing": 0.5, "device": tl.Device(eps_sys=0.1)},
    ],
)
def test_scores_of_lyapunov_are_calibrated(options):
    gains = options.get("device", tl.Device()).read_gains(3)
    exact = np.outer(gains, gains) * kronecker_lyapunov(A, R)
    assert_calibrated(entry_scores(lambda seed: lyapunov(A, R, rng=seed, **options), exact))


@pytest.mark.parametrize(
    "options",
    [
        {"n_reads": 4000},
        {"n_reads": 4000, "burn_in": "stationary", "alpha": 1.5},
        {"n_reads": 2000, "read_spacing": None},
        {"n_reads": 2000, "read_spacing": None, "simulator": "path"},
        {"n_reads": 4000, "device": tl.Device(beta=20.0, read_noise=0.2)},
        {"n_reads": 2000, "read_spacing": None, "device": tl.Device(beta=20.0, read_noise=0.2)},
        {"n_reads": 100, "n_chains": 64},
    ],
)
def test_scores_of_negexpm_are_calibrated(options):
    assert_calibrated(entry_scores(lambda seed: negexpm(A, rng=seed, **options), scipy.linalg.expm(-A)))


def test_scores_of_expm_of_a_rotation_are_calibrated():
    turn = np.array([[0.0, 2.0], [-2.0, 0.0]])
    exact = np.array([[np.cos(2.0), np.sin(2.0)], [-np.sin(2.0), np.cos(2.0)]])
    assert_calibrated(entry_scores(lambda seed: expm(turn, n_reads=4000, rng=seed), exact))


@pytest.mark.parametrize("spacing", [1.0, None])
def test_scores_of_expm_action_are_calibrated(spacing):
    v = np.array([1.0, -1.0, 2.0])
    exact = scipy.linalg.expm(-A) @ v
    assert_calibrated(
        entry_scores(lambda seed: expm_action(-A, v, n_reads=4000, read_spacing=spacing, rng=seed), exact)
    )


def test_scores_of_a_fit_are_calibrated():
    """One random combination of all parameters a seed, with the covariance that the fit reports."""
    drift, mean, D = A[:2, :2], np.array([1.0, -2.0]), R[:2, :2]
    times = 0.5 * np.arange(6000)
    truth = OrnsteinUhlenbeck(drift, mean, D)
    exact = np.concatenate((drift.ravel(), mean, D[np.tril_indices(2)]))
    scores, single = [], []
    for seed in SEEDS:
        r = OrnsteinUhlenbeck.fit(times, truth.sample(times, rng=seed))
        p = r.process
        gap = np.concatenate((p.drift.ravel(), p.center, p.diffusion[np.tril_indices(2)])) - exact
        direction = np.random.default_rng(1000 + seed).standard_normal(9) / np.sqrt(np.diag(r.covariance))
        scores.append(direction @ gap / np.sqrt(direction @ r.covariance @ direction))
        stderr = np.concatenate((r.drift_stderr.ravel(), r.mean_stderr, r.diffusion_stderr[np.tril_indices(2)]))
        single.append(gap[seed % 9] / stderr[seed % 9])
    assert_calibrated(scores)
    assert_calibrated(single)


def test_time_averages_of_samples_have_the_law_of_the_average():
    """A trapezoidal average over a fine path against the exact law of the integral."""
    truth = OrnsteinUhlenbeck(A, [1.0, 0.0, -1.0], R)
    mean, covariance = truth.time_average(20.0)
    times = np.linspace(0.0, 20.0, 401)
    scores = []
    for seed in SEEDS:
        average = np.trapezoid(truth.sample(times, rng=seed)[0], times, axis=0) / 20.0
        direction = np.random.default_rng(1000 + seed).standard_normal(3)
        scores.append(direction @ (average - mean) / np.sqrt(direction @ covariance @ direction))
    assert_calibrated(scores)


def test_scores_have_the_information_as_their_covariance():
    """At the truth the gradient of log_prob has mean zero and the variance of the curvature, at irregular times."""
    truth = OrnsteinUhlenbeck(A[:2, :2], [1.0, 0.0], R[:2, :2])
    times = np.cumsum(np.random.default_rng(0).uniform(0.2, 1.0, 12))
    change = 1e-4
    scores = []
    for seed in SEEDS:
        xs = truth.sample(times, n_chains=50, rng=seed)
        direction = np.random.default_rng(1000 + seed).standard_normal((2, 2))

        def slope(size, direction=direction, xs=xs):
            moved = OrnsteinUhlenbeck(truth.drift + size * direction, truth.center, truth.diffusion)
            return np.sum(moved.log_prob_gradient(times, xs, start="stationary").drift * direction)

        information = -(slope(change) - slope(-change)) / (2 * change)
        scores.append(slope(0.0) / np.sqrt(information))
    assert_calibrated(scores)
