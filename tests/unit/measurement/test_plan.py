"""How long to run: the planners on functions whose answer is known."""

import warnings

import numpy as np
import pytest

import thermolinalg as tl
from tests import oracles
from thermolinalg import laws
from thermolinalg.measurement import plan
from thermolinalg.measurement.dynamics import dynamics_of


def reads_of(n_reads, spacing):
    return laws.IndependentReads(np.inf, n_reads) if spacing is None else laws.Reads(np.inf, n_reads, spacing)


def transient(bias0=1.0, rate=0.5, noise=0.1, scale=1.0):
    return plan.Transient(lambda t: bias0 * np.exp(-rate * t), lambda t: noise, scale, rate, rate)


def test_burn_in_of_one_mode_is_a_logarithm():
    """Bias e^{-t/2} falls to a hundredth at 2 log 100."""
    assert transient().burn_in() == pytest.approx(2 * np.log(100.0), rel=2e-3)
    assert transient().bias(transient().burn_in()) <= 0.01


def test_burn_in_is_never_shorter_than_half_the_fastest_time():
    assert transient(bias0=0.0).burn_in() == 1.0
    assert transient(bias0=1e-9).burn_in() == 1.0


def test_burn_in_without_noise_goes_to_rounding():
    t0 = transient(noise=0.0).burn_in()
    assert np.exp(-0.5 * t0) == pytest.approx(np.finfo(float).eps, rel=0.05)


def test_noise_that_is_still_rising_counts():
    """The bias is compared with the noise there is, not with what there will be."""
    rising = plan.Transient(lambda t: np.exp(-t), lambda t: 1.0 - np.exp(-0.1 * t), 1.0, 1.0, 1.0)
    t0 = rising.burn_in()
    assert rising.bias(t0) <= 0.1 * rising.noise(t0)


def test_a_given_burn_in_is_kept_and_warned_about_when_too_short():
    assert plan.resolve_burn_in("auto", transient(), "x") == transient().burn_in()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert plan.resolve_burn_in(100, transient(), "x") == 100.0
    with pytest.warns(
        tl.errors.NotEquilibrated, match=r"burn_in = 1 RC is too short: what is left of the start biases x by 0.607"
    ):
        assert plan.resolve_burn_in(1.0, transient(), "x") == 1.0
    with pytest.warns(tl.errors.NotEquilibrated):
        assert plan.resolve_burn_in(0, transient(), "x") == 0.0


@pytest.mark.parametrize("shortest", [1e-3, 1.0, 1e6])
@pytest.mark.parametrize("target", [1e-8, 1e-2, 0.3])
def test_solve_time_is_the_shortest_that_reaches_the_target(shortest, target):
    found = plan.solve_time(lambda t: 1.0 / (1.0 + t), target, shortest)
    assert found == pytest.approx(max(1.0 / target - 1.0, shortest), rel=1e-5)


def test_solve_time_ends_where_no_time_is_needed_or_none_is_enough():
    assert plan.solve_time(lambda t: 0.5, 1.0, 0.3) == 0.3
    with pytest.raises(ValueError, match="rtol asks for more averaging than can be planned; raise rtol or beta"):
        plan.solve_time(lambda t: 2.0, 1.0, 1.0)


@pytest.mark.parametrize("target", [2.0, 1.0, 0.51, 0.5, 0.034, 1e-6])
def test_solve_count_is_the_fewest(target):
    n = plan.solve_count(lambda n: 1.0 / n, target)
    assert 1.0 / n <= target * (1 + 1e-9)
    assert n == 1 or 1.0 / (n - 1) > target


def test_noise_budget_is_what_the_systematic_error_leaves():
    assert plan.noise_budget(0.1, 10.0, 0.6, 1.0, "x") == pytest.approx(1.0 - 0.36)
    with pytest.raises(
        tl.errors.QuantizationFloor, match=r"rtol = 0.1 cannot be reached: .* relative error of 0.2; use more bits"
    ):
        plan.noise_budget(0.1, 10.0, 2.0, 1.0, "x")
    with pytest.raises(ValueError, match="the norm of x, which is zero"):
        plan.noise_budget(0.1, 0.0, 0.0, 1.0, "x")
    with pytest.raises(ValueError, match="beta = inf has none"):
        plan.noise_budget(0.1, 1.0, 0.0, np.inf, "x")


@pytest.mark.parametrize("spacing", [None, 0.3, 5.0])
@pytest.mark.parametrize("n_reads", [1, 2, 30])
def test_mean_square_error_of_an_inverse_is_the_sum_over_entries(n_reads, spacing, rng):
    """Sum of all entries' variances, by Wick's theorem on the dense matrix."""
    A = oracles.random_spd(rng, 5, 20.0)
    value = plan.inverse_mean_square(np.linalg.eigvalsh(A), reads_of(n_reads, spacing))
    if spacing is None:
        exact = oracles.second_moment_variance(A, 1.0, 1, 1.0).sum() / n_reads
    else:
        exact = oracles.second_moment_variance(A, 1.0, n_reads, spacing).sum()
    assert value == pytest.approx(exact, rel=1e-9)


def test_long_averages_of_an_inverse_follow_the_published_formula():
    """(2 / tau) [sum_ij 1 / (l_i l_j (l_i + l_j)) + sum_i 1 / (2 l_i^3)], for tau beyond all relaxation times."""
    rates, tau, n = np.geomspace(0.2, 1.0, 6), 1e7, 10**9
    pairs = sum(1 / (a * b * (a + b)) for a in rates for b in rates)
    exact = 2 / tau * (pairs + np.sum(1 / (2 * rates**3)))
    assert plan.inverse_mean_square(rates, reads_of(n, tau / n)) == pytest.approx(exact, rel=1e-4)


@pytest.mark.parametrize("spacing", [0.5, None])
def test_transient_of_an_inverse_is_that_of_the_law(spacing, rng):
    A = oracles.random_spd(rng, 4, 6.0)
    readout = reads_of(8, spacing)
    found = plan.inverse_transient(tl.Dense(A), readout, 1)
    reads = [1.3] if spacing is None else [1.3 + spacing * k for k in range(8)]
    covariances = [oracles.voltage_law(A, np.zeros(4), np.zeros(4), 1.0, t)[1] for t in reads]
    assert found.bias(1.3) == pytest.approx(np.linalg.norm(sum(covariances) / len(reads) - np.linalg.inv(A)), rel=1e-8)
    assert found.scale == pytest.approx(np.linalg.norm(np.linalg.inv(A)))


def test_a_burn_in_from_the_smallest_eigenvalue_is_enough(rng):
    for n in (1, 10, 10**6):
        A = oracles.random_spd(rng, 5, 10.0)
        low = np.linalg.eigvalsh(A)[0]
        t0 = plan.independent_inverse_burn_in(low, n)
        bias = np.linalg.norm(oracles.voltage_law(A, np.zeros(5), np.zeros(5), 1.0, t0)[1] - np.linalg.inv(A))
        error = np.sqrt(oracles.second_moment_variance(A, 1.0, 1, 1.0).sum() / n)
        assert bias <= 0.1 * error * (1 + 1e-6)


@pytest.mark.parametrize("dynamics", ["overdamped", tl.Inertia(friction=0.4), tl.Inertia(friction=3.0)])
@pytest.mark.parametrize("protocol", [("integrator", 2.5), ("reads", 6, 0.7), ("reads", 6, None)])
def test_equilibration_bias_over_the_burn_in_is_that_of_the_protocol(dynamics, protocol):
    lam, distance = np.array([0.3, 1.0, 4.0]), np.array([2.0, 0.0, 5.0])
    make = dynamics_of(dynamics, tl.Diagonal(lam))
    kind, *times = protocol
    memory = getattr(make, kind)(np.inf, *times).memory_after(lam, distance)
    variance = getattr(make, kind)(np.inf, *times).variance_after(lam)
    for burn_in in (0.0, 0.9, 20.0):
        readout = getattr(make, kind)(burn_in, *times)
        assert (memory(burn_in) >= np.abs(readout.memory(lam)) * distance * (1.0 - 1e-12)).all()
        if dynamics == "overdamped":
            np.testing.assert_allclose(memory(burn_in), readout.memory(lam) * distance, rtol=1e-14)
        np.testing.assert_allclose(variance(burn_in), readout.variance(lam), rtol=1e-14)
