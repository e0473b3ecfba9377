"""Burn-ins of devices with any drift against a plain scan of what is left of the start."""

import numpy as np
import pytest
import scipy.linalg

import thermolinalg as tl
from thermolinalg.measurement.plan import time_until
from thermolinalg.processes.ornstein_uhlenbeck import OrnsteinUhlenbeck

DRIFTS = {
    "far from normal": np.array([[1.0, 8.0, 0.0], [0.0, 0.8, -1.0], [0.05, 0.0, 1.2]]),
    "turning": np.array([[0.1, 2.0, 0.0], [-2.0, 0.1, 0.3], [0.0, 0.0, 3.0]]),
    "symmetric, slow and fast": np.diag([0.01, 1.0, 20.0]),
}


@pytest.mark.parametrize("drift", DRIFTS.values(), ids=DRIFTS.keys())
@pytest.mark.parametrize("share", [0.5, 1e-2, 1e-6])
def test_time_until_is_the_shortest_found_by_a_scan(drift, share):
    process = OrnsteinUhlenbeck(drift)
    missing = process.stationary()[1]
    target, least = share * np.linalg.norm(missing), 0.05

    def left(t):
        M = scipy.linalg.expm(-drift * t)
        return np.linalg.norm(M @ missing @ M.T)

    t = time_until(process, missing, np.linalg.norm, target, least)
    assert left(t) <= target * (1 + 1e-9)
    before = t - max(least, 0.01 * t) * 1.001
    assert before < least or left(before) > target
    assert t / least == pytest.approx(round(t / least))


def test_a_start_that_is_forgotten_at_once_takes_the_least_time():
    process = OrnsteinUhlenbeck(np.eye(2))
    assert time_until(process, np.eye(2), np.linalg.norm, 10.0, 0.25) == 0.25


def test_relaxation_rates_lost_to_rounding_are_refused():
    slow = np.diag([1e-9, 1e9])
    assert 1e8 < tl.lyapunov(slow, 1.0, n_reads=100, rng=0).burn_in < 1e10
    with pytest.raises(FloatingPointError, match="slowest relaxation rate is 1e-18 of the fastest"):
        time_until(OrnsteinUhlenbeck(slow + np.diag([1e-3], 1)), np.eye(2), np.linalg.norm, 1e-3, 1e-10)


@pytest.mark.parametrize("options", [{}, {"read_spacing": 0.3}])
def test_burn_in_leaves_a_tenth_of_the_stderr(options):
    """Of the average itself: what its mean over many runs would be off by, from the recursion of the covariance."""
    drift, noise, n = DRIFTS["far from normal"], np.diag([1.0, 0.5, 2.0]), 4000
    r = tl.lyapunov(drift, noise, n_reads=n, rng=0, **options)
    exact = scipy.linalg.solve_continuous_lyapunov(drift, noise)

    def bias(t0):
        M = scipy.linalg.expm(-drift * t0)
        gap, total = M @ exact @ M.T, np.zeros((3, 3))
        if not options:
            return np.linalg.norm(gap)
        step = scipy.linalg.expm(-0.3 * drift)
        for _ in range(n):
            total, gap = total + gap, step @ gap @ step.T
        return np.linalg.norm(total / n)

    allowed = 0.1 * np.linalg.norm(r.stderr)
    assert bias(r.burn_in) <= allowed * (1 + 1e-6)
    fastest = np.linalg.eigvals(drift).real.max()
    assert bias(r.burn_in - 0.26 / fastest - 0.01 * r.burn_in) > allowed or r.burn_in <= 0.2501 / fastest
