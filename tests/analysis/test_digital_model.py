"""The digital model: coefficients recovered, a cache found, a machine that agrees with what was timed."""

import numpy as np
import pytest

from analysis import digital_model as model

SIZES = np.array([50, 100, 200, 400, 800, 1600])


def test_coefficients_are_recovered():
    exact = 2e-5 + 3e-9 * SIZES**2.0 + 4e-11 * SIZES**3.0
    found = model.fit(SIZES, exact)
    assert found.coefficients == pytest.approx((2e-5, 3e-9, 4e-11), rel=1e-6)
    assert found.residual < 1e-9


def test_a_cache_is_found():
    exact = 1e-6 + 1e-10 * SIZES**2.0 + 4e-10 * np.maximum(0.0, SIZES**2.0 - 400.0**2)
    found = model.fit(SIZES, exact, (0, 2), cache=True)
    assert found.cache == 400
    assert found.per_entry == pytest.approx(5e-10, rel=1e-6)
    assert float(found.seconds(3200)) == pytest.approx(1e-6 + 1e-10 * 3200**2 + 4e-10 * (3200**2 - 400**2), rel=1e-6)
    assert model.fit(SIZES, exact, (0, 2)).residual > 0.1


def test_coefficients_are_never_negative(rng):
    for _ in range(20):
        found = model.fit(SIZES, rng.uniform(0.5, 2.0, SIZES.size), (0, 2))
        assert min(found.coefficients) >= 0.0
        assert found.residual > 0.0


def test_a_residual_is_the_scatter():
    """Times off by alternating 10 %: no polynomial of three terms follows six points."""
    scatter = np.array([1.1, 0.9, 1.1, 0.9, 1.1, 0.9])
    assert 0.05 < model.fit(SIZES, scatter * 1e-11 * SIZES**3.0).residual < 0.101


def test_too_few_sizes_are_refused():
    with pytest.raises(ValueError, match="as many sizes"):
        model.fit([1.0, 2.0], [1.0, 2.0])


def test_a_measured_machine_has_every_call():
    machine = model.measured_machine((48, 64, 96, 128), 1, np.random.default_rng(0), streamed=(192,))
    assert set(machine.fits) == set(model.CALLS)
    assert {call: len(part) for call, part in machine.measured.groupby("call")} == {
        call: 5 if call.startswith("product") else 4 for call in model.CALLS
    }
    assert set(machine.summary().call) == set(model.CALLS)
    assert all(machine.seconds(call, 100) > 0.0 for call in model.CALLS)


def test_an_assumed_machine_is_that_by_hand():
    machine = model.assumed_machine("GPU", products=1e13, factorisations=1e12, memory=2e12, overhead=1e-5)
    assert machine.seconds("Cholesky", 3000) == pytest.approx(2e-5 + 2 * 8 * 9e6 / 2e12 + 27e9 / 3e12)
    assert machine.seconds("product, single", 3000) == pytest.approx(1e-5 + 4 * 9e6 / 2e12)
    assert (machine.per_operation, machine.per_streamed, machine.overhead) == pytest.approx((2e-13, 2e-12, 1e-5))
