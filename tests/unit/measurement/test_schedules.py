"""Forecasts of work against determinants of whole paths, quadrature and sampled paths; the durations they lead to."""

import numpy as np
import pytest
import scipy.integrate
import scipy.special

from thermolinalg.measurement.ramps import ModeRamp
from thermolinalg.measurement.schedules import (
    PLANNED_DISSIPATION,
    EulerSchedule,
    ModeForecast,
    ModeSchedule,
    NormalForecast,
    trusted_duration,
)
from thermolinalg.operators import Dense, Diagonal


def mode_weights(rates, step):
    """Eigenvalues m of the form of the work in white noise, w = sum m xi^2 / 2, of one mode: of all its states."""
    n = len(rates) - 2
    states = np.zeros((n + 1, n + 1))  # the state at each jump, from independent normals
    states[0, 0] = rates[0] ** -0.5
    for k in range(n):
        decay = np.exp(-step * rates[k + 1])
        states[k + 1] = decay * states[k]
        states[k + 1, k + 1] = np.sqrt((1.0 - decay**2) / rates[k + 1])
    return np.linalg.eigvalsh(states.T @ np.diag(np.diff(rates)) @ states)


RAMPS = [
    ([1.0, 1.0], [0.3, 2.5], 4.0, 12, "linear"),
    ([1.2], [0.5], 0.5, 3, "linear"),
    ([0.7], [3.0], 2.0, 9, "optimal"),
]


def case(first, last, duration, n_steps, protocol):
    ramp = ModeRamp.planned(np.array(first), np.array(last), duration, n_steps, protocol)
    weights = np.concatenate([mode_weights(rates, duration / n_steps) for rates in ramp.rates.T])
    return ramp, weights, 0.5 * np.sum(np.log(np.divide(last, first)))


@pytest.mark.parametrize("arguments", RAMPS)
def test_mean_of_the_exponential_is_the_determinant_of_whole_paths(arguments):
    ramp, weights, difference = case(*arguments)
    factors = np.array([-0.1, 0.3, 1.0, 1.2, 0.5 + 1.0j, 0.5 - 4.0j])
    exact = -0.5 * np.log(1.0 + np.multiply.outer(factors, weights)).sum(axis=1)
    np.testing.assert_allclose(ramp.log_mean_exponentials(factors), exact, rtol=1e-10)
    assert ramp.log_mean_exponentials([1.0])[0] == pytest.approx(-difference, rel=1e-11)  # Jarzynski
    assert ramp.log_mean_exponentials([1.2])[0] == pytest.approx(exact[3].real, rel=1e-10)


def test_mean_of_the_exponential_may_not_exist():
    ramp, weights, _ = case([1.0], [0.2], 0.01, 2, "linear")
    assert 1.0 + 2.0 * weights.min() < 0.0
    assert np.isinf(ramp.log_mean_exponentials([2.0, 3.0 + 0.0j])).all()
    start = ModeRamp.planned(np.array([1.0]), np.array([0.2]), 1e-9, 1, "linear")
    assert np.isinf(start.log_mean_exponentials([2.0])).all()
    forecast = ModeForecast(ramp)
    assert np.isinf([forecast.spread, forecast.skewness]).all()


@pytest.mark.parametrize("arguments", RAMPS)
def test_forecast_of_modes_has_the_moments_of_the_work(arguments):
    ramp, weights, difference = case(*arguments)
    forecast = ModeForecast(ramp)
    assert forecast.dissipation == pytest.approx(0.5 * weights.sum() - difference, abs=2e-4)
    assert forecast.cumulants == pytest.approx((0.5 * np.sum(weights**2), np.sum(weights**3)), rel=5e-3, abs=2e-4)
    moments = [
        np.exp(-0.5 * np.log(1.0 + c * weights).sum() + c * difference) if (1.0 + c * weights > 0.0).all() else np.inf
        for c in (1, 2, 3)
    ]
    assert moments[0] == pytest.approx(1.0)
    assert forecast.spread == pytest.approx(moments[1] - 1.0, rel=1e-9)
    if np.isinf(moments[2]):
        assert np.isinf(forecast.skewness)
    else:
        third = moments[2] - 3.0 * moments[1] + 2.0
        assert forecast.skewness == pytest.approx(third / (moments[1] - 1.0) ** 1.5, rel=1e-6)


def test_forecast_of_a_sudden_jump_has_the_known_mean_and_variance():
    """Rates a thousandfold up at once: the mean of e^{-c w} ends close to c = 0, and mean and variance are known."""
    forecast = ModeForecast(ModeRamp.planned(np.array([1.0]), np.array([1000.0]), 1e-12, 1, "linear"))
    assert forecast.dissipation == pytest.approx(0.5 * 999.0 - 0.5 * np.log(1000.0), rel=1e-2)
    assert forecast.cumulants[0] == pytest.approx(0.5 * 999.0**2, rel=2e-2)
    assert forecast.reliability_ratio("bar", 10**6) > 100.0


@pytest.mark.parametrize("dissipation", [0.01, 0.3, 2.0])
def test_forecast_of_normal_work_agrees_with_quadrature(dissipation):
    forecast, sd = NormalForecast(dissipation), np.sqrt(2.0 * dissipation)

    def mean(f):
        nodes = np.linspace(-14.0, 14.0, 4001)
        weights = np.exp(-0.5 * nodes**2) / np.sqrt(2.0 * np.pi) * (nodes[1] - nodes[0])
        return float(np.sum(weights * f(dissipation + sd * nodes)))

    centred = [mean(lambda u, k=k: (np.exp(-u) - 1.0) ** k) for k in (1, 2, 3)]
    assert centred[0] == pytest.approx(0.0, abs=1e-12)
    assert forecast.spread == pytest.approx(centred[1], rel=1e-9)
    assert forecast.skewness == pytest.approx(centred[2] / centred[1] ** 1.5, rel=1e-6)
    assert forecast.overlap == pytest.approx(mean(lambda u: scipy.special.expit(-u)), abs=1e-5)


def test_overlap_is_that_of_sampled_paths(rng):
    for arguments in RAMPS:
        ramp, _, difference = case(*arguments)
        accepted = scipy.special.expit(difference - ramp.simulate_paths(4000, rng, 1)[0])
        gap = ModeForecast(ramp).overlap - accepted.mean()
        assert abs(gap) < 5 * accepted.std() / np.sqrt(4000)


def test_no_work_is_trusted():
    same = np.array([2.0, 3.0])
    schedule = ModeSchedule(same, same, None, "linear")
    forecast = schedule.forecast(1.0)
    assert forecast.dissipation == pytest.approx(0.0, abs=1e-12)
    assert forecast.skewness == forecast.error("jarzynski") == 0.0
    for estimator in PLANNED_DISSIPATION:
        assert forecast.reliability_ratio(estimator, 1000) < 0.1
    assert forecast.error("bar") < 0.02  # the overlap is known to 1e-5
    assert NormalForecast(0.0).reliability_ratio("gaussian", 1000) < 0.1


@pytest.mark.parametrize("estimator", ["jarzynski", "bar", "gaussian"])
def test_trusted_duration_is_the_shortest_that_is(estimator):
    schedule = ModeSchedule(np.full(6, 1.0), np.array([0.3, 0.5, 0.8, 1.2, 1.5, 1.7]), None, "linear")
    duration = trusted_duration(schedule, estimator, 400)
    assert schedule.forecast(duration).reliability_ratio(estimator, 400) <= 1.0
    shorter = duration / 1.1
    assert schedule.forecast(shorter).reliability_ratio(estimator, 400) > 1.0 or shorter < 0.25 / schedule.fastest


def test_slow_limit_is_an_upper_bound_of_linear_ramps(rng):
    """So that durations planned from it, where matrices do not commute, are long enough."""
    for duration in (0.5, 3.0, 20.0):
        G, H = rng.standard_normal((2, 2, 4))
        first, last = G @ G.T / 4 + 0.2 * np.eye(2), H @ H.T / 4 + 0.2 * np.eye(2)
        change = (last - first) / duration

        def moments(t, y, first=first, change=change):
            S, M = y[:4].reshape(2, 2), first + t * change
            return np.append((2 * np.eye(2) - M @ S - S @ M).ravel(), 0.5 * np.trace(change @ S))

        start = np.append(np.linalg.inv(first).ravel(), 0.0)
        work = scipy.integrate.solve_ivp(moments, (0.0, duration), start, method="LSODA", rtol=1e-10, atol=1e-12)
        dissipated = work.y[-1, -1] - 0.5 * (np.linalg.slogdet(last)[1] - np.linalg.slogdet(first)[1])
        schedule = EulerSchedule(Dense(first), Dense(last), None)
        assert 0.0 < dissipated < schedule.forecast(duration).dissipation * (1 + 1e-6)


def test_euler_schedules_count_their_steps():
    schedule = EulerSchedule(Diagonal([1.0, 2.0]), Dense(np.array([[3.0, 1.0], [1.0, 2.0]])), None)
    assert schedule.ramp(2.0).n_steps * 2 == schedule.normals(2.0)
    assert schedule.fastest == pytest.approx((5 + np.sqrt(5)) / 2)
