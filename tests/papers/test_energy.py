"""Energy against time: the power laws of the trade-off, for each energy on its own."""

import numpy as np
import pytest

import thermolinalg as tl
from analysis import energy

A = tl.problems.with_condition(12, 20.0, rng=0)
B = np.random.default_rng(1).standard_normal(12)
SCALES = (1.0, 3.0, 10.0, 30.0)


@pytest.fixture(scope="module")
def table():
    return energy.energy_time(A, B, rtol=1e-3, scales=SCALES)


def slope(table, name, column="value"):
    rows = table[table.energy == name]
    return np.polyfit(np.log(rows.scale), np.log(np.abs(rows[column])), 1)[0]


def test_time_falls_as_the_square_of_the_scale(table):
    assert slope(table, "stored_energy", "integrate") == pytest.approx(-2.0, abs=0.02)


def test_stored_energy_trades_one_for_one_with_time(table):
    """x^T A x / 2 of the answer, scaled, plus the thermal part."""
    x = np.linalg.solve(A, B)
    for row in table[table.energy == "stored_energy"].itertuples():
        assert row.value == pytest.approx(row.scale**2 * x @ A @ x / 2 + 6.0, rel=1e-3)
    assert slope(table, "stored_energy") == pytest.approx(2.0, abs=0.2)


def test_joule_heat_is_power_times_time_and_so_knows_no_scale(table):
    """Power grows as s^2 and time falls as 1/s^2."""
    assert slope(table, "joule_heat") == pytest.approx(0.0, abs=0.1)


def test_stochastic_heat_is_what_the_fall_of_the_potential_gives_off(table):
    x = np.linalg.solve(A, B)
    for row in table[table.energy == "stochastic_heat"].itertuples():
        assert row.value == pytest.approx(6.0 - row.scale**2 * x @ A @ x / 2, rel=1e-3)


def test_energies_are_labelled(table):
    assert set(table.energy) == set(energy.ENERGIES)
    assert set(table.unit) == {"C V^2"}
    joules = energy.energy_time(A, B, rtol=1e-2, scales=[1.0], device=tl.Device(voltage_unit=1e-3))
    assert set(joules.unit) == {"J"}
