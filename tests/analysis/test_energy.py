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


def test_conversion_budget_is_that_by_hand():
    """10 W for 1 ms is 10 mJ; heat is b^T A^-1 b in C V^2 for each RC: here all eigenvalues are 2, RC is 1 us."""
    device, d, eps = tl.Device(voltage_unit=0.1, beta=4.0), 50, 0.01
    row = energy.conversion_budget(
        [d], [2.0, 2.0], eps=eps, device=device, seconds=lambda n: 1e-3 * n / 50, watts=10.0
    ).iloc[0]
    run = tl.solve(2.0 * np.eye(d), np.ones(d), rtol=eps, device=device, rng=0)
    assert row.digital == pytest.approx(10e-3)
    assert row.heat == pytest.approx(run.cost.joule_heat, rel=1e-3)
    power = d / 2.0 * 1e-9 * 0.1**2  # joules for each RC once settled
    assert row.heat == pytest.approx(power * 2.0 / (4.0 * eps**2), rel=0.01)
    assert row.conversions == 50**2 + 2 * 50
    assert row.budget == pytest.approx((row.digital - row.heat) / 2600)
    held = energy.conversion_budget([d], [2.0], eps=eps, device=device, seconds=lambda n: 1e-3, watts=10.0, loaded=True)
    assert held.conversions.item() == 100
    with pytest.raises(ValueError, match="voltage_unit"):
        energy.conversion_budget([d], [2.0], eps=eps, device=tl.Device(), seconds=lambda n: 1.0, watts=1.0)
