"""Planned device times against closed forms and quadrature, at 50 digits where it matters."""

import mpmath
import numpy as np
import pytest
import scipy.integrate

import thermolinalg as tl
from analysis import device_times as times

RATES = np.array([0.05, 0.3, 1.0])


def mean_square_of_average(rates, burn_in, duration, beta):
    """Of x averaged from a start at 0, b = 1 in every mode, by double quadrature of the autocovariance."""
    return sum(_mode(mpmath.mpf(rate), mpmath.mpf(burn_in), mpmath.mpf(duration), beta) for rate in rates)


def _mode(rate, start, T, beta):
    """Mean square error of one mode."""

    def up_to(t):  # the covariance is symmetric in s and t: twice the half below the diagonal
        half = mpmath.quad(lambda s: mpmath.exp(-rate * (t - s)) - mpmath.exp(-rate * (s + t)), [start, t])
        return 2 * half / (beta * rate)

    ends = [start, start + T]
    bias = mpmath.quad(lambda t: mpmath.exp(-rate * t) / rate, ends) / T
    return mpmath.quad(up_to, ends) / T**2 + bias**2


def test_a_solution_has_the_error_that_was_asked_for():
    plan = times.solve_times(RATES, 0.05, beta=4.0)
    found = mpmath.sqrt(mean_square_of_average(RATES, plan.burn_in, plan.averaging, 4.0)) / np.linalg.norm(1 / RATES)
    assert (
        0.05 * 0.97 < float(found) < 0.05 * 1.005
    )  # the bias adds at most a tenth of the noise; tau is for equilibrium


def test_absolute_error_is_that_of_chebyshevs_bound():
    """tau >= 2 tr(A^-2) / (beta eps^2) for long averages."""
    rates = times.worst_spectrum(50, 100.0)
    plan = times.solve_times(rates, 1e-3, error="absolute", beta=2.0)
    assert plan.averaging == pytest.approx(np.sum(rates**-2.0) / 1e-6, rel=1e-3)


def test_settling_time_leaves_the_share_asked_for():
    x = 1.0 / RATES
    left = np.linalg.norm(np.exp(-RATES * times.settling_time(RATES, 0.01)) * x) / np.linalg.norm(x)
    assert left == pytest.approx(0.01, rel=0.02)


def test_settling_time_with_inertia_agrees_with_integration():
    """The mean obeys x'' = -friction x' - rate x + b."""
    spectrum = times.log_spectrum(4, 100.0)
    friction = 2.0 * np.sqrt(spectrum.min())
    time = times.settling_time(spectrum, 0.01, dynamics="underdamped")
    gaps = []
    for rate in spectrum:
        run = scipy.integrate.solve_ivp(
            lambda t, y, k=rate: [y[1], -friction * y[1] - k * y[0] + 1.0], (0, time), [0, 0], rtol=1e-9
        )
        gaps.append(run.y[0, -1] - 1.0 / rate)
    assert np.linalg.norm(gaps) <= 0.011 * np.linalg.norm(1.0 / spectrum)
    assert time < 0.5 * times.settling_time(spectrum, 0.01)


def inverse_mean_square(rates, duration):
    """Of the average of x x^T from equilibrium, by quadrature over the lags."""
    total = 0.0
    for i, a in enumerate(rates):
        for j, c in enumerate(rates):
            lags = scipy.integrate.quad(lambda t, s=a + c: (1 - t / duration) * np.exp(-s * t), 0, duration)[0]
            total += (1.0 + (i == j)) / (a * c) * 2.0 / duration * lags
    return total


@pytest.mark.parametrize("error", ["spectral", "frobenius"])
def test_inverse_times_reach_the_error(error):
    plan = times.inverse_times(RATES, 0.4, error=error)
    scale = 1.0 / RATES.min() if error == "spectral" else np.linalg.norm(1.0 / RATES)
    assert np.sqrt(inverse_mean_square(RATES, plan.averaging)) == pytest.approx(0.4 * scale, rel=1e-5)
    left = np.linalg.norm(np.exp(-2.0 * RATES * plan.burn_in) / RATES)
    assert left == pytest.approx(0.04 * scale, rel=1e-4)


def test_inverse_time_with_inertia_is_known_for_one_mode():
    """One mode, damped critically: r(t) = (1 + w t) e^{-w t}, and 2 r^2 integrates to 5 / (2 w) over all lags."""
    rate = 0.25
    plan = times.inverse_times([rate], 0.01, dynamics="underdamped")
    exact = 2.0 * 2.0 * 1.25 / np.sqrt(rate) / 0.01**2
    assert plan.averaging == pytest.approx(exact, rel=0.01)


def test_lyapunov_of_white_noise_is_the_inverse():
    plan = times.lyapunov_times(RATES, 2.0 * np.eye(3), 0.05)
    long = times.inverse_times(RATES, 0.05)
    assert plan.averaging == pytest.approx(long.averaging, rel=0.02)


@pytest.mark.parametrize("protocol", ["linear", "optimal"])
def test_determinant_time_is_the_action_by_quadrature(protocol):
    """8 action / eps^2, the action by (1/4) int l'^2 / l^3 dt over a unit of time."""
    rates, first = np.array([0.2, 1.8]), 1.0
    action = 0.0
    for last in rates:
        if protocol == "linear":
            rate, slope = (lambda s, e=last: first + s * (e - first)), (lambda s, e=last: e - first)
        else:
            u, v = first**-0.5, last**-0.5
            rate = lambda s, u=u, v=v: (u + s * (v - u)) ** -2.0  # noqa: E731
            slope = lambda s, u=u, v=v: -2.0 * (v - u) * (u + s * (v - u)) ** -3.0  # noqa: E731
        action += scipy.integrate.quad(lambda s: 0.25 * slope(s) ** 2 / rate(s) ** 3, 0, 1)[0]  # noqa: B023
    assert times.logdet_times(rates, 0.1, protocol=protocol).averaging == pytest.approx(800 * action, rel=1e-8)


def test_table_of_primitives_has_the_textbook_averages():
    """The averages of a relative error: 2 / eps^2 for solutions of either dynamics times the friction."""
    table = times.primitive_times(12, 25.0, 0.01)
    assert set(table.primitive) == {"solve", "inv", "lyapunov", "logdet", "expm"}
    averaging = table[table.primitive == "solve"].set_index("dynamics").averaging
    assert averaging["overdamped"] == pytest.approx(2e4, rel=0.02)
    assert averaging["underdamped"] == pytest.approx(2e4 * 2.0 / 5.0, rel=0.02)  # 2 sqrt(lambda_min)
    assert (table[["burn_in", "averaging"]] >= 0.0).all(axis=None)


def test_exponential_agrees_with_the_sum_over_lags():
    """For commuting reads: sum over k of (tr R_k)^2 + tr(R_{k+1} R_{k-1})."""
    A = tl.problems.with_spectrum([0.4, 0.9, 1.5], rng=0)
    lam = np.linalg.eigvalsh(A)
    total = 0.0
    for k in range(-200, 201):
        R = lambda n: np.linalg.matrix_power(_exp(A), abs(n))  # noqa: E731
        total += np.trace(R(k)) ** 2 + np.sum(R(k + 1) * R(k - 1).T)
    plan = times.exponential_times(A, 0.1, spacing=12.0)
    assert plan.averaging == pytest.approx(12.0 * total / (0.01 * np.sum(np.exp(-2.0 * lam))), rel=1e-6)


def _exp(A):
    lam, Q = np.linalg.eigh(A)
    return (Q * np.exp(-lam)) @ Q.T
