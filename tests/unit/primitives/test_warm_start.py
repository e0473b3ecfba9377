"""Warm starts: transients and burn-ins against the exact law of the voltages."""

import numpy as np
import pytest
import scipy.optimize
import scipy.sparse

import thermolinalg as tl
from tests import oracles
from thermolinalg.primitives.warm_start import warm_start

D, BETA = 6, 2.0


def problem(rng):
    return oracles.random_spd(rng, D, 200.0), rng.standard_normal(D)


def law(A, b, start, time):
    """Mean and covariance at `time` of a device that starts with the law of a WarmStart."""
    mean, noise = oracles.voltage_law(A, b, start.x0, BETA, time)
    memory = oracles.function_of_matrix(lambda lam: np.exp(-lam * time), A)
    return mean, noise + memory @ start.covariance() @ memory.T


def relative_errors(A, b, start, time):
    mean, covariance = law(A, b, start, time)
    end, stationary = oracles.voltage_law(A, b, start.x0, BETA, np.inf)
    return (
        np.linalg.norm(mean - end) / np.linalg.norm(end),
        np.linalg.norm(covariance - stationary) / np.linalg.norm(stationary),
    )


@pytest.mark.parametrize("n_slow", [0, 1, 3, D])
@pytest.mark.parametrize("time", [0.0, 0.7, 10.0])
def test_transients_are_those_of_the_law(n_slow, time, rng):
    A, b = problem(rng)
    start = warm_start(A, b, n_slow=n_slow, beta=BETA)
    mean, covariance = relative_errors(A, b, start, time)
    np.testing.assert_allclose(start.mean_transient(time), mean, atol=1e-11)
    np.testing.assert_allclose(start.covariance_transient(time), covariance, atol=1e-11)


@pytest.mark.parametrize("n_slow", [0, 1, 3])
def test_predicted_burn_in_is_enough_and_in_the_end_exact(n_slow, rng):
    A, b = problem(rng)
    start = warm_start(A, b, n_slow=n_slow, beta=BETA)
    next_rate = np.sort(np.linalg.eigvals(A).real)[n_slow]
    for which, factor, time in ((1, 2.0, start.covariance_burn_in), (0, 1.0, start.mean_burn_in)):

        def excess(t, eps, which=which):
            return np.log(relative_errors(A, b, start, t)[which] / eps)

        for eps in (1e-2, 1e-6):
            exact = scipy.optimize.brentq(excess, 0.0, 1.001 * time(eps) + 1.0, args=(eps,), xtol=1e-9)
            assert exact <= time(eps) * (1.0 + 1e-9)
        # a digit more costs ln 10 over the rate of the first mode that is not prepared
        np.testing.assert_allclose(time(1e-7) - time(1e-6), np.log(10.0) / (factor * next_rate), rtol=1e-9)


def test_slow_modes_prepared_leave_the_burn_in_of_the_others():
    """Two slow modes of rate 0.01 and 0.02, the others 1: preparing both is worth a factor 100 and more."""
    A = tl.Diagonal([1.0, 0.02, 1.0, 0.01])
    times = [warm_start(A, n_slow=k).covariance_burn_in(1e-3) for k in range(4)]
    assert times[0] > times[1] > 30 * times[2]
    assert times[3] == pytest.approx(np.log(1.0 / np.sqrt(1e4 + 2500 + 2) / 1e-3) / 2.0, rel=1e-9)
    assert warm_start(A, n_slow=4).covariance_burn_in(1e-3) == 0.0


def test_draws_have_the_law_that_is_reported(rng):
    A, b = problem(rng)
    start = warm_start(A, b, n_slow=2, beta=BETA)
    draws = start.draw(20_000, rng)
    values, vectors = np.linalg.eigh(A)
    slow, fast = (draws - start.x0) @ vectors[:, :2], (draws - start.x0) @ vectors[:, 2:]
    oracles.sampled_moments_agree(slow, np.zeros(2), np.diag(1.0 / (BETA * values[:2])))
    np.testing.assert_allclose(fast, 0.0, atol=1e-12)
    np.testing.assert_array_equal(start.draw(3, 8), start.draw(3, 8))


def test_solve_from_a_warm_start_needs_less_burn_in(rng):
    A, b = problem(rng)
    start = warm_start(A, b, n_slow=3)
    cold, warm = (tl.solve(A, b, duration=300.0, x0=x0, rng=0) for x0 in (None, start.x0))
    assert warm.burn_in < 0.5 * cold.burn_in


def test_a_start_shares_no_memory_with_the_operator(rng):
    operator = tl.Dense(problem(rng)[0])
    rates, vectors = operator.rates.copy(), operator.eigenvectors.copy()
    start = warm_start(operator, n_slow=2)
    for array in (start.rates, start.slow_rates, start.vectors, start.distance):
        array[...] = 7.0
    np.testing.assert_array_equal(operator.rates, rates)
    np.testing.assert_array_equal(operator.eigenvectors, vectors)


def test_any_matrix_and_device_can_be_warm_started(rng):
    A, b = problem(rng)
    given = warm_start(A, b, n_slow=2, beta=3.0)
    for other in (scipy.sparse.csr_array(A), tl.Dense(A)):
        again = warm_start(other, b, n_slow=2, device=tl.Device(beta=3.0))
        np.testing.assert_allclose(again.x0, given.x0, rtol=1e-9)
        np.testing.assert_allclose(again.covariance(), given.covariance(), rtol=1e-8)
    assert warm_start(A, n_slow=2).mean_transient(0.0) == 0.0
    assert warm_start(A, n_slow=2).mean_burn_in(0.1) == 0.0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"n_slow": 3}, "n_slow must be at most 2, the number of modes, got 3"),
        ({"n_slow": -1}, "n_slow must be at least 0"),
        ({"b": [1.0]}, r"b must have shape \(2,\)"),
        ({"A": [[1.0, 2.0], [2.0, 1.0]]}, "A is not positive definite"),
    ],
)
def test_bad_input_is_refused(change, message):
    settings = {"A": np.eye(2), "b": np.ones(2), "n_slow": 1} | change
    with pytest.raises(ValueError, match=message):
        warm_start(settings["A"], settings["b"], n_slow=settings["n_slow"])


def test_bad_times_are_refused():
    start = warm_start(np.eye(2), n_slow=1)
    with pytest.raises(ValueError, match="time must be non-negative"):
        start.covariance_transient(-1.0)
    with pytest.raises(ValueError, match="eps must be positive"):
        start.covariance_burn_in(0.0)
