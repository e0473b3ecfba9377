"""Bounds: obeyed on random cases, tight where they should be, and able to be broken."""

import numpy as np
import pandas as pd
import pytest
import scipy.integrate
import scipy.stats

import thermolinalg as tl
from analysis import bounds
from tests import oracles


def test_speed_cost_against_the_best_direction_of_many(rng):
    """The least cost at a given decrease, by a solve of the conditions of Lagrange."""
    F, g = oracles.random_spd(rng, 5, 30.0), rng.standard_normal(5)
    system = np.block([[2.0 * F, g[:, None]], [g[None, :], np.zeros((1, 1))]])
    best = np.linalg.solve(system, np.append(np.zeros(5), 1.0))[:5]
    table = bounds.speed_cost(tl.curvature.DenseCurvature(F), g, np.vstack((best, rng.standard_normal((200, 5)))))
    assert table.realised[0] == pytest.approx(best @ F @ best, rel=1e-10)
    assert table.ratio[0] == pytest.approx(1.0, rel=1e-9)
    assert bounds.holds(table).all()
    assert table.ratio[1:].min() > 1.0 + 1e-3


def descent(F, theta, eta, natural=True, steps=20):
    """A log of descent along the natural or the plain gradient on a quadratic of Hessian F."""
    rows, metric = [], tl.curvature.DenseCurvature(F)
    for k in range(steps):
        g = F @ theta
        d = -eta * (np.linalg.solve(F, g) if natural else g)
        rows.append(tl.optimizers.measure(d, g, metric, step=k).as_dict())
        theta = theta + d
    return pd.DataFrame(rows)


def test_log_bounds_are_tight_along_the_natural_gradient(rng):
    """Equal eta along the natural gradient makes the first two tight; equal lengths would make the third."""
    log = descent(oracles.random_spd(rng, 4, 10.0), rng.standard_normal(4), 0.2)
    table = bounds.log_bounds(log).set_index("bound")
    assert table.ratio["each step"] == pytest.approx(1.0, rel=1e-9)
    assert table.ratio["whole run"] == pytest.approx(1.0, rel=1e-9)
    assert table.ratio["K steps"] > 1.1
    lengths = np.sqrt(log.metric_cost)
    assert table.limit["K steps"] == pytest.approx(lengths.sum() ** 2 / 40.0)
    assert table.steps.tolist() == [20, 20, 20]


def test_log_bounds_hold_and_tell_runs_apart(rng):
    F = oracles.random_spd(rng, 4, 10.0)
    runs = {"natural": (0.2, True), "plain": (0.5, False)}
    log = pd.concat([descent(F, np.ones(4), *options).assign(method=name) for name, options in runs.items()])
    table = bounds.log_bounds(log, by=["method"])
    assert bounds.holds(table).all()
    ratio = table[table.bound == "each step"].set_index("method").ratio
    assert ratio["natural"] == pytest.approx(1.0, rel=1e-9)
    assert ratio["plain"] > 1.02


def test_equal_lengths_make_k_steps_tight():
    log = pd.DataFrame({"metric_cost": [0.3] * 7, "dissipation": 1.0, "predicted_decrease": 0.1})
    assert bounds.log_bounds(log).set_index("bound").ratio["K steps"] == pytest.approx(1.0)


def test_a_forged_log_breaks_them():
    log = pd.DataFrame({"metric_cost": [0.5], "dissipation": [1.0], "predicted_decrease": [1.0]})
    assert bounds.holds(bounds.log_bounds(log)).tolist() == [False, False, True]


def test_unmeasured_steps_are_left_out():
    log = pd.DataFrame({"metric_cost": [4.0, np.nan], "dissipation": [1.0, np.nan], "predicted_decrease": [2.0, 9.0]})
    assert bounds.log_bounds(log).steps.tolist() == [1, 1, 1]


def test_action_of_normal_laws_is_that_of_the_half_plane():
    """N(mu, s^2), F = diag(1, 2) / s^2, from (0, 1) straight to (1, 2) in unit time.

    The distance is that of the upper half plane, by its arcosh; action and length by quadrature.
    """

    def metric(theta):
        return np.diag([1.0, 2.0]) / theta[1] ** 2

    t = np.linspace(0.0, 1.0, 2001)
    path = np.column_stack((t, 1.0 + t))
    far = np.sqrt(2.0) * np.arccosh(1.0 + (0.5 + 1.0) / (2.0 * 1.0 * 2.0))
    table = bounds.path_bounds(metric, path, t, distance=far).set_index("bound")
    action = scipy.integrate.quad(lambda u: 3.0 / (1.0 + u) ** 2, 0.0, 1.0)[0]
    length = scipy.integrate.quad(lambda u: np.sqrt(3.0) / (1.0 + u), 0.0, 1.0)[0]
    assert table.realised["length"] == pytest.approx(action, rel=1e-6)
    assert table.limit["length"] == pytest.approx(length**2, rel=1e-6)
    assert table.limit["distance"] < table.limit["length"] < table.realised["length"]
    clock = np.log1p(t) / np.log(2.0)  # constant speed
    even = bounds.path_bounds(metric, path, clock).set_index("bound")
    assert even.ratio["length"] == pytest.approx(1.0, rel=1e-5)


def test_speed_limit_holds_for_natural_flow(rng):
    """A flow by an integrator: the time it took is not below the limit, with the length of its path."""
    F, c = oracles.random_spd(rng, 3, 10.0), np.array([1.0, -2.0, 0.5])

    def loss(theta):
        return np.logaddexp(0.0, c @ theta) + theta @ F @ theta / 2.0

    def gradient(theta):
        return scipy.stats.logistic.cdf(c @ theta) * c + F @ theta

    def flow(_, y):  # the last entry is the length so far
        natural = np.linalg.solve(F, gradient(y[:3]))
        return np.append(-natural, np.sqrt(natural @ F @ natural))

    start = np.append(rng.standard_normal(3), 0.0)
    found = scipy.integrate.solve_ivp(flow, (0.0, 1.5), start, rtol=1e-10, atol=1e-12).y
    limit = bounds.speed_limit(found[3, -1], loss(found[:3, 0]) - loss(found[:3, -1]), 1.0)
    assert 0.5 < limit <= 1.5


def test_landauer_bound_is_the_textbook_one():
    assert bounds.landauer() == pytest.approx(2.871e-21, rel=1e-3)
    assert bounds.landauer(8, temperature=150.0) == pytest.approx(4.0 * bounds.landauer())


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: bounds.log_bounds(pd.DataFrame({"metric_cost": [1.0]})), "must have the column 'dissipation'"),
        (lambda: bounds.path_bounds(np.eye, [[0.0]], [0.0]), "at least 2 points"),
        (lambda: bounds.path_bounds(lambda x: [[1.0]], [[0.0], [1.0]], [1.0, 0.0]), "times must increase"),
        (lambda: bounds.speed_cost(tl.curvature.DiagonalCurvature([0.0, 1.0]), [1.0, 0.0], [1.0, 1.0]), "Delta_F = 0"),
        (lambda: bounds.landauer(temperature=0.0), "temperature must be positive"),
    ],
)
def test_bad_input_is_named(make, words):
    with pytest.raises(ValueError, match=words):
        make()
