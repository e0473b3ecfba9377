"""Euler-Maruyama on the plain matrix as the independent check: its own moments, their order, and their limit."""

import itertools

import numpy as np
import pytest

import thermolinalg as tl
from tests import oracles
from thermolinalg import laws

pytestmark = pytest.mark.long

PROBLEMS = range(6)
CHAINS = 6000


def problem(number, rng):
    """kappa <= 30, d <= 10, total time <= 50 relaxation times of the fastest mode; from an x0 that is far away."""
    d = int(rng.integers(2, 11))
    A = oracles.random_spd(rng, d, float(rng.uniform(2.0, 30.0)))
    b, x0 = rng.standard_normal(d), 2.0 * rng.standard_normal(d)
    burn_in, duration = ((0.0, 4.0), (1.0, 5.0), (4.0, 20.0))[number % 3]  # lambda_max = 1
    return A, b, x0, float(rng.uniform(0.5, 4.0)), burn_in, duration


def law(A, b, x0, beta, readout):
    operator = tl.Dense(A)
    mean = operator.function(readout.response, b) + operator.function(readout.memory, x0)
    return mean, operator.function(readout.variance, np.eye(len(b))) / beta


@pytest.mark.parametrize("number", PROBLEMS)
def test_weak_order_is_one_and_the_limit_is_the_law(number, rng):
    """Exact moments of the Euler recursion at dt, dt / 2, ..: an error of first order, and the law as limit.

    The recursion of the moments is deterministic, so order and limit are seen to many digits: Richardson's table.
    """
    A, b, x0, beta, burn_in, duration = problem(number, rng)
    steps = 2.0 ** -np.arange(3, 9)  # all times of the problems are whole numbers of them
    truth = np.concatenate([
        np.ravel(part)
        for readout in (laws.Voltage(burn_in + duration), laws.Integrator(burn_in, duration))
        for part in law(A, b, x0, beta, readout)
    ])  # fmt: skip
    table = []
    for dt in steps:
        moments = oracles.euler_moments(A, b, x0, beta, dt, round(duration / dt), round(burn_in / dt))
        table.append(np.concatenate([np.ravel(part) for part in moments]))
    errors = [np.linalg.norm(row - truth) for row in table]
    order = np.polyfit(np.log(steps[2:]), np.log(errors[2:]), 1)[0]
    assert abs(order - 1.0) < 2 * steps[2]  # what the next order adds to the slope
    for k in range(1, len(steps)):  # eliminates dt, dt^2, .. in turn
        table = [(2**k * fine - coarse) / (2**k - 1) for coarse, fine in itertools.pairwise(table)]
    np.testing.assert_allclose(table[0], truth, atol=1e-5 * errors[-1])


@pytest.mark.parametrize("number", PROBLEMS)
def test_chains_tend_to_the_law_for_small_steps(number, rng):
    """Simulated chains at dt and dt / 2, extrapolated: mean and variance of the average and of the last state."""
    A, b, x0, beta, burn_in, duration = problem(number, rng)
    directions = np.linalg.qr(rng.standard_normal((len(b), len(b))))[0][:, :3]
    estimates, variances = [], []
    for dt in (0.1, 0.05):
        run = tl.euler_maruyama(
            A, b, dt=dt, n_steps=round(duration / dt), burn_in_steps=round(burn_in / dt), x0=x0, n_chains=CHAINS,
            beta=beta, rng=rng, workers=2,
        )  # fmt: skip
        samples = np.hstack((run.final @ directions, run.average @ directions))
        estimates.append(np.concatenate((samples.mean(axis=0), samples.var(axis=0, ddof=1))))
        variances.append(np.concatenate((samples.var(axis=0) / CHAINS, 2.0 * samples.var(axis=0) ** 2 / CHAINS)))
    limit = 2.0 * estimates[1] - estimates[0]
    error = np.sqrt(4.0 * variances[1] + variances[0])
    truth = [
        law(A, b, x0, beta, laws.Voltage(burn_in + duration)),
        law(A, b, x0, beta, laws.Integrator(burn_in, duration)),
    ]
    means = np.concatenate([mean @ directions for mean, _ in truth])
    spreads = np.concatenate([np.einsum("ij,ik,kj->j", directions, C, directions) for _, C in truth])
    assert (np.abs(limit - np.concatenate((means, spreads))) < 5 * error).all()


@pytest.mark.parametrize("number", PROBLEMS)
def test_chains_have_the_moments_of_their_own_recursion(number, rng):
    """At the coarsest step, where the bias is large: not the law but Euler's own mean and covariance."""
    A, b, x0, beta, burn_in, duration = problem(number, rng)
    dt = 0.8 if burn_in else 0.4
    n, before = round(duration / dt), round(burn_in / dt)
    run = tl.euler_maruyama(A, b, dt=dt, n_steps=n, burn_in_steps=before, x0=x0, n_chains=CHAINS, beta=beta, rng=rng)
    end, end_covariance, average, average_covariance = oracles.euler_moments(A, b, x0, beta, dt, n, before)
    oracles.sampled_moments_agree(run.final, end, end_covariance)
    oracles.sampled_moments_agree(run.average, average, average_covariance)


def test_stationary_inflation_of_every_mode_is_the_predicted_one(rng):
    """The fixed point of the recursion is 2 / (2 - dt lambda) times the law, mode by mode; the ends are reported."""
    A, dt = oracles.random_spd(rng, 6, 20.0), 1.1
    values, vectors = np.linalg.eigh(A)
    _, covariance, _, _ = oracles.euler_moments(A, np.zeros(6), np.zeros(6), 2.0, dt, 2000)
    inflation = np.diag(vectors.T @ covariance @ vectors) * 2.0 * values
    np.testing.assert_allclose(inflation, 2.0 / (2.0 - dt * values), rtol=1e-9)
    run = tl.euler_maruyama(A, dt=dt, n_steps=1, rng=rng)
    np.testing.assert_allclose(run.covariance_inflation, inflation[[0, -1]], rtol=1e-9)
