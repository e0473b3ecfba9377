"""The interface of linear processes: every class satisfies it, and classes agree where they describe one process."""

import numpy as np
import pytest
import scipy.linalg

import thermolinalg as tl
from thermolinalg.processes import Langevin, LinearProcess

A = np.array([[1.0, 0.3], [0.3, 0.6]])
B = np.array([0.5, -1.0])
MASS, FRICTION, BETA = 0.7, 1.1, 2.0
DRIFT = np.block([[np.zeros((2, 2)), -np.eye(2) / MASS], [A, FRICTION / MASS * np.eye(2)]])
DIFFUSION = scipy.linalg.block_diag(np.zeros((2, 2)), 2.0 * FRICTION / BETA * np.eye(2))
REST = np.concatenate((np.linalg.solve(A, B), np.zeros(2)))
TIMES = [0.0, 0.3, 0.6, 2.0]


def langevin():
    return Langevin(A, B, mass=MASS, friction=FRICTION, beta=BETA)


PROCESSES = {
    "any drift": lambda: tl.OrnsteinUhlenbeck(DRIFT, REST, DIFFUSION),
    "common modes": lambda: tl.OrnsteinUhlenbeck(A, B),
    "drift modes": lambda: tl.OrnsteinUhlenbeck(A, B, np.diag([1.0, 2.0])),
    "inertia": langevin,
}


@pytest.mark.parametrize("name", PROCESSES)
def test_every_process_answers_the_same_questions(name):
    process = PROCESSES[name]()
    assert isinstance(process, LinearProcess)
    n = process.dimension
    mean, S = process.stationary()
    M, Q = process.transition(0.7)
    assert (mean.shape, S.shape, M.shape, Q.shape) == ((n,), (n, n), (n, n), (n, n))
    np.testing.assert_allclose(M @ S @ M.T + Q, S, atol=1e-12)
    np.testing.assert_allclose(process.propagator(0.7), M, atol=1e-14)
    np.testing.assert_allclose(process.covariance(0.7), Q, atol=1e-14)
    np.testing.assert_allclose(process.autocovariance(-0.7), S @ M.T, atol=1e-12)
    np.testing.assert_allclose(process.mean(0.7, np.ones(n)), mean + M @ (np.ones(n) - mean), atol=1e-12)
    np.testing.assert_allclose(process.transition(np.inf)[1], S, atol=1e-12)
    assert process.relaxation_time > 0.0


@pytest.mark.parametrize("name", PROCESSES)
def test_samples_start_where_they_are_told(name):
    process = PROCESSES[name]()
    n = process.dimension
    starts = np.arange(3.0 * n).reshape(3, n)
    states = process.sample(TIMES, starts, n_chains=3, rng=0)
    assert states.shape == (3, 4, n)
    np.testing.assert_array_equal(states[:, 0], starts)
    np.testing.assert_array_equal(states, process.sample(TIMES, starts, n_chains=3, rng=0))
    shifted = process.sample(np.add(TIMES, 5.0), starts, n_chains=3, rng=0)  # times count from the first
    np.testing.assert_allclose(shifted, states, rtol=1e-6, atol=1e-6)
    with pytest.raises(ValueError, match="x0 must have shape"):
        process.sample(TIMES, np.ones(n + 1), rng=0)
    with pytest.raises(ValueError, match="times must increase"):
        process.sample([1.0, 0.5], rng=0)


@pytest.mark.parametrize("name", PROCESSES)
def test_samples_without_a_start_are_stationary(name):
    process = PROCESSES[name]()
    states = process.sample(TIMES, n_chains=20_000, rng=3)
    mean, S = process.stationary()
    for k in (0, 3):
        gap = (states[:, k] - mean) @ np.linalg.inv(np.linalg.cholesky(S)).T
        assert np.abs(gap.mean(axis=0)).max() < 5.0 / np.sqrt(20_000)
        assert np.abs(gap.T @ gap / 20_000 - np.eye(len(S))).max() < 5.0 * np.sqrt(2.0 / 20_000)
    lagged = (states[:, 3] - mean).T @ (states[:, 0] - mean) / 20_000
    assert np.abs(lagged - process.autocovariance(2.0)).max() < 5.0 * np.diag(S).max() * np.sqrt(2.0 / 20_000)


def test_inertia_is_an_ornstein_uhlenbeck_process_of_position_and_momentum():
    """One process by closed forms of its modes and by series of its drift."""
    ours, general = langevin(), PROCESSES["any drift"]()
    for mine, theirs in zip(ours.stationary(), general.stationary(), strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-12)
    for h in (1e-4, 0.7, 30.0):
        for mine, theirs in zip(ours.transition(h), general.transition(h), strict=True):
            np.testing.assert_allclose(mine, theirs, atol=1e-13)
        np.testing.assert_allclose(ours.autocovariance(h), general.autocovariance(h), atol=1e-13)
    assert ours.relaxation_time == pytest.approx(general.relaxation_time, rel=1e-10)


def test_inertia_that_fades_leaves_the_overdamped_process():
    """M -> 0 at friction 1: positions move as ``dx = -(A x - b) dt + sqrt(2/beta) dW``, to first order in M."""
    slow = tl.OrnsteinUhlenbeck(A, np.linalg.solve(A, B), 2.0 / BETA)
    start, gaps = np.array([1.0, -2.0]), []
    for mass in (1e-3, 1e-4):
        light = Langevin(A, B, mass=mass, friction=1.0, beta=BETA)
        M, Q = light.transition(0.7)
        mean = light.mean(0.7, np.concatenate((start, np.zeros(2))))[:2]
        gaps.append([np.abs(M[:2, :2] - slow.transition(0.7)[0]).max(), np.abs(Q[:2, :2] - slow.covariance(0.7)).max(),
                     np.abs(mean - slow.mean(0.7, start)).max()])  # fmt: skip
    np.testing.assert_allclose(np.divide(*gaps), 10.0, rtol=0.05)
