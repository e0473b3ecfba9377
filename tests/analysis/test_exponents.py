"""Exponents: recovered from data with a known one; intervals that cover; verdicts that can fail."""

import numpy as np
import pandas as pd
import pytest

from analysis import exponents


def test_known_exponent_is_recovered(rng):
    points = np.geomspace(1.0, 100.0, 8)
    costs = 3.0 * points[:, None] ** 1.7 * np.exp(0.05 * rng.standard_normal((8, 5)))
    slope, low, high = exponents.fit_exponent(points, costs)
    error = 0.05 * np.sqrt(np.pi / 2.0 / 5.0) / np.sqrt(np.sum((np.log(points) - np.log(points).mean()) ** 2))
    assert abs(slope - 1.7) < 5.0 * error
    assert low < slope < high


def test_intervals_cover_at_their_rate(rng):
    """2000 fits to six points with normal scatter: 95 % within 5 binomial standard errors."""
    points = np.geomspace(1.0, 10.0, 6)
    covered = 0
    for _ in range(2000):
        costs = points[:, None] ** 2.0 * np.exp(0.1 * rng.standard_normal((6, 1)))
        _, low, high = exponents.fit_exponent(points, costs)
        covered += low <= 2.0 <= high
    assert abs(covered / 2000 - 0.95) < 5.0 * np.sqrt(0.95 * 0.05 / 2000)


def test_least_ignores_a_busy_machine():
    points = np.array([1.0, 2.0, 4.0, 8.0])
    costs = np.array([points**3, 50.0 * points, points**3]).T
    assert exponents.fit_exponent(points, costs[:, [0, 2]], least=True)[0] == pytest.approx(3.0)
    assert exponents.fit_exponent(points, np.maximum(costs, points[:, None] ** 3), least=True)[0] == pytest.approx(3.0)


def test_verdicts_follow_the_intervals():
    rows = [(2.0, 1.95, 2.05), (2.0, 2.05, 2.2), (2.0, 2.11, 2.2), (2.0, 1.0, 2.5)]
    table = pd.DataFrame(rows, columns=["claimed", "low", "high"])
    judged = exponents.judged(table)
    assert list(judged.holds) == [True, True, False, True]
    assert list(judged.decided) == [True, True, True, False]


@pytest.mark.parametrize("points", [[1.0, 2.0], [1.0, 2.0, 4.0]])
def test_bad_input_is_refused(points):
    costs = np.zeros((len(points), 1)) if len(points) == 3 else np.ones((2, 1))
    with pytest.raises(ValueError, match=r"positive|3 points"):
        exponents.fit_exponent(points, costs)


def test_every_sweep_names_its_claim():
    sizes = exponents.Sizes()
    sweeps = exponents.device_sweeps(sizes) + exponents.digital_sweeps(sizes)
    labels = [(s.quantity, s.variable, s.where) for s in sweeps]
    assert len(set(labels)) == len(labels)
    assert all(len(s.points) >= 3 and s.source for s in sweeps)
    assert {s.kind for s in sweeps} == {"planned", "counted", "measured"}
