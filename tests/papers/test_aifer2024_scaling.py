"""Aifer et al., arXiv:2308.05660: time to an error, primitives, energy, refinement, by formulas and oracles."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.linalg

import paper_repro.aifer2024
import thermolinalg as tl
from paper_repro.aifer2024 import primitives, refining, run, settings, time_to_error, verdicts
from paper_repro.command import seed_of

EXPECTED = json.loads((Path(paper_repro.aifer2024.__file__).parent / "expected.json").read_text())
NAMES = ("solve_time_to_error", "primitives_convergence", "energy_time", "refinement_vs_averaging")


@pytest.fixture(scope="module")
def tables():
    """Every new table at smoke scale."""
    return {name: run.TABLES[name](settings.SCALES["smoke"][name], seed_of(name, 2308)) for name in NAMES}


def near(name, key):
    """An entry of expected.json as something to compare with."""
    entry = EXPECTED[name][key]
    return pytest.approx(entry["value"], rel=entry.get("rtol"), abs=entry.get("atol"))


# -- time to an error


def test_averaging_time_is_the_textbook_one(tables):
    table = tables["solve_time_to_error"]
    rows = table[(table.argument == "d") & (table.d == 64) & (table.convention == "absolute")].set_index("dynamics")
    assert rows.loc["overdamped", "duration"] == near("solve_time_to_error", "averaging_d64")
    ratio = rows.loc["underdamped", "duration"] / rows.loc["overdamped", "duration"]
    assert ratio == near("solve_time_to_error", "underdamped_over_overdamped")


def test_the_planned_time_gives_the_error(tables):
    table = tables["solve_time_to_error"]
    rows = table[(table.section == "time") & (table.convention == "absolute") & (table.argument == "d")]
    draws = settings.SCALES["smoke"]["solve_time_to_error"].draws
    for row in rows.itertuples():  # d - 1 equal modes: a chi-square of that many degrees of freedom for each draw
        assert row.reached**2 == pytest.approx(1.0, abs=5.0 * np.sqrt(2.0 / ((row.d - 1) * draws)))


def test_worst_spectrum_is_the_worst():
    rates = time_to_error.spectrum("absolute", 6, 50.0)
    assert rates.max() / rates.min() == pytest.approx(50.0)
    others = np.random.default_rng(0).uniform(1.0 / 50.0, 1.0, (100, 4))
    for middle in others:
        assert np.sum(rates**-2.0) >= np.sum(np.concatenate(([1.0 / 50.0, 1.0], middle)) ** -2.0)


# -- primitives


def test_lyapunov_theory_against_paths():
    """Exact steps of many chains, averaged densely."""
    rng = np.random.default_rng(3)
    A, R = np.diag([0.5, 1.0]), np.array([[1.0, 0.6], [0.6, 0.8]])
    step, steps, chains = 0.1, 300, 4000
    S = scipy.linalg.solve_continuous_lyapunov(A, R)
    M = scipy.linalg.expm(-step * A)
    kick = np.linalg.cholesky(S - M @ S @ M.T)
    x = rng.standard_normal((chains, 2)) @ np.linalg.cholesky(S).T
    total = np.zeros((chains, 2, 2))
    for _ in range(steps):
        total += x[:, :, None] * x[:, None, :]
        x = x @ M.T + rng.standard_normal((chains, 2)) @ kick.T
    errors = np.sum((total / steps - S) ** 2, axis=(1, 2)) / np.sum(S**2)
    theory = primitives.lyapunov_error(np.diag(A), S, steps * step)
    assert theory**2 == pytest.approx(errors.mean(), abs=5.0 * errors.std() / np.sqrt(chains) + 0.01 * theory**2)


@pytest.mark.parametrize("estimator", ["jarzynski", "gaussian"])
def test_error_of_normal_work(estimator):
    """Against the scatter of many estimates from work that is normal."""
    dissipation, n, repeats = 0.15, 400, 1500
    work = np.random.default_rng(7).normal(dissipation, np.sqrt(2.0 * dissipation), (repeats, n))
    plain = {
        "jarzynski": -np.log(np.mean(np.exp(-work), axis=1)),
        "gaussian": work.mean(axis=1) - 0.5 * work.var(axis=1, ddof=1),
    }
    scatter = 2.0 * plain[estimator].std(ddof=1)
    theory = primitives.logdet_error(estimator, dissipation, n)
    assert theory == pytest.approx(scatter, rel=5.0 / np.sqrt(2.0 * repeats) + 0.01)


def test_determinants_have_the_errors_they_report(tables):
    table = tables["primitives_convergence"]
    both = table[table.estimator == "bar"]
    assert len(both) == 4
    assert np.all(both.bias.abs() < 5.0 * both.reported / np.sqrt(10))
    slow = table[(table.section == "ramp") & (table.duration == 30.0)].set_index("estimator")
    for name in ("jarzynski", "gaussian"):  # a slow ramp: the reported error is the one of normal work
        assert slow.loc[name, "reported"] == pytest.approx(slow.loc[name, "theory"], rel=0.3)


def test_lyapunov_errors_fall(tables):
    rows = tables["primitives_convergence"].query("section == 'lyapunov'")
    slope = np.polyfit(np.log(rows.duration), np.log(rows.error), 1)[0]
    assert slope == near("primitives_convergence", "lyapunov_power")


# -- energy and time


def test_stored_energy_trades_for_time_with_the_predicted_exponent(tables):
    table = tables["energy_time"]
    for _, rows in table[table.energy == "stored_energy"].groupby("kappa"):
        clear = rows[rows.clear]
        assert 2 <= len(clear) < len(rows)
        signal = clear.value - 10.0  # d / 2 of thermal energy for d = 20 cells in equilibrium
        slope = np.polyfit(np.log(clear.scale), np.log(signal), 1)[0]
        assert slope == pytest.approx(EXPECTED["energy_time"]["power_of_b"]["value"], abs=1e-3)


def test_the_product_counts_clear_rows_only(tables):
    table = tables["energy_time"]
    stored = table[table.energy == "stored_energy"]
    clear, rest = stored[stored.clear], stored[~stored.clear]
    assert np.all(np.abs(clear["product"] / clear.derived - 1.0) < 0.15)
    assert np.any(np.abs(rest["product"] / rest.derived - 1.0) > 0.5)


# -- refinement


def test_contraction_is_the_one_on_record(tables):
    table = tables["refinement_vs_averaging"]
    rows = table[(table.section == "noise") & (table.kappa == 10.0)].set_index("duration").contraction
    assert rows[50.0] == near("refinement_vs_averaging", "contraction_50")
    assert rows[500.0] == near("refinement_vs_averaging", "contraction_500")


@pytest.mark.parametrize("bits", [6, 9])
def test_rounding_radius(bits):
    """Against the eigenvalues of the unsymmetric matrix, whose definition this is."""
    A, device = tl.problems.with_condition(20, 10.0, rng=1), tl.Device(matrix_bits=bits)
    step = np.abs(A).max() / (2 ** (bits - 1) - 1)
    held = np.rint(A / step) * step
    radius = np.abs(np.linalg.eigvals((held - A) @ np.linalg.inv(held))).max()
    assert refining.rounding_radius(A, device) == pytest.approx(radius, rel=1e-8)


def test_indefinite_matrix_has_no_radius():
    A = np.array([[1.0, 0.9], [0.9, 0.82]])
    assert np.isnan(refining.rounding_radius(A, tl.Device(matrix_bits=2)))


def test_refinement_keeps_its_tolerance_and_takes_little_time(tables):
    table = tables["refinement_vs_averaging"]
    planned = table[table.series == "planned"]
    assert len(planned) == 2
    assert np.all(planned.high <= planned.rtol)
    averaging = table[table.series == "averaging"]
    assert planned.seconds.max() < averaging.seconds.max() / 100
    assert averaging.error.min() > 10.0 * planned.error.max()


# -- claims


@pytest.mark.parametrize("name", NAMES)
def test_every_claim_is_judged(tables, name):
    found = verdicts.verdict(name, tables[name])
    assert set(found.claim) == set(verdicts.EXPECTED[name])
    assert found.ours.notna().sum() > len(verdicts.EXPECTED[name]) / 2


def test_a_claim_can_fail(tables):
    table = tables["solve_time_to_error"].copy()
    table.loc[table.section == "exponent", "fitted"] *= 1.5
    found = verdicts.verdict("solve_time_to_error", table).set_index("claim").holds
    assert not found["quadratic_in_kappa"]
    assert not found["inverse_square_of_error"].any()


def test_rounding_that_converges_against_its_radius_is_noticed(tables):
    table = tables["refinement_vs_averaging"]
    broken = pd.concat(
        [table, pd.DataFrame([{"section": "bits", "kappa": 10.0, "contraction": 2.0, "predicted": 0.5}])]
    )
    found = verdicts.verdict("refinement_vs_averaging", broken)
    assert not found[found.claim == "radius_decides"].holds.any()
