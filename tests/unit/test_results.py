"""What the primitives return: readable, frozen, each number with its error."""

import dataclasses
import pickle

import numpy as np
import pytest

import thermolinalg as tl
from thermolinalg.results import _seconds


def cost(**changes):
    numbers = {
        "load": 1e-3, "relax": 2e-6, "integrate": 3.0, "read": 4e-9, "joule_heat": 5.0, "stochastic_heat": None,
        "stored_energy": 6.0, "energy_unit": "C V^2", "conversions": 7, "converter_energy": None,
    }  # fmt: skip
    return tl.results.Cost(**(numbers | changes))


def estimate(**changes):
    fields = {
        "value": np.array([3.0, 4.0]), "stderr_source": np.array([0.3, 0.4]), "stderr_kind": "law", "burn_in": 5.0,
        "duration": 100.0, "simulator": "law",
    }  # fmt: skip
    return tl.Estimate(**(fields | changes))


def test_seconds_add_up():
    assert cost().seconds == pytest.approx(1e-3 + 2e-6 + 3.0 + 4e-9)


def test_cost_prints_seconds_and_energies():
    text = str(cost())
    assert text == ("3 s (load 1 ms, relax 2 us, integrate 3 s, read 4 ns); joule heat 5 C V^2, stored energy 6 C V^2")
    assert str(cost(converter_energy=2e-9)).endswith("; converters 2e-09 J")
    assert "energies not known" in str(cost(joule_heat=None, stored_energy=None))
    assert "stochastic heat -2 J" in str(cost(stochastic_heat=-2.0, energy_unit="J"))


@pytest.mark.parametrize(
    ("value", "text"), [(0.0, "0 s"), (12.0, "12 s"), (0.5, "500 ms"), (3e-6, "3 us"), (2e-10, "0.2 ns")]
)
def test_seconds_print_in_a_fitting_unit(value, text):
    assert _seconds(value) == text


def test_estimate_prints_value_error_and_protocol():
    text = str(estimate())
    assert "Estimate (2,): rms value 3.536, rms standard error 0.35 (law)" in text
    assert "law: burn-in 5 RC, integrated over 100 RC" in text
    reads = str(estimate(n_reads=10, read_spacing=2.0, n_chains=3, products=44, planning_margin=2.5, cost=cost()))
    for part in ("10 reads, 2 RC apart", "3 chains", "44 matrix-vector products", "2.5 times below", "device: 3 s"):
        assert part in reads
    assert "10 reads, independent" in str(estimate(n_reads=10))
    assert "saturated" not in str(estimate(clipped={"adc": 0, "dac": 0}))
    assert "saturated: 3 in adc" in str(estimate(clipped={"adc": 3, "dac": 0}))


def test_stderr_is_computed_lazily_and_once():
    calls = []

    def source():
        calls.append(1)
        return np.array([0.3, 0.4])

    lazy = estimate(stderr_source=source)
    assert "stderr_source" not in repr(lazy)
    assert not calls
    first = lazy.stderr
    assert lazy.stderr is first
    assert len(calls) == 1


def test_results_are_frozen():
    for record in (cost(), estimate()):
        for field in dataclasses.fields(record):
            with pytest.raises(dataclasses.FrozenInstanceError):
                setattr(record, field.name, None)
    with pytest.raises(TypeError):
        tl.results.Cost(1.0)


def test_estimates_compare_by_identity():
    """A generated == would raise on arrays."""
    one = estimate()
    assert one == one
    assert one != estimate()


def test_to_frame_has_one_row_per_entry():
    frame = estimate().to_frame()
    assert list(frame.columns) == ["value", "stderr"]
    np.testing.assert_array_equal(frame["value"], [3.0, 4.0])
    np.testing.assert_array_equal(frame["stderr"], [0.3, 0.4])
    matrix = tl.inv(np.eye(2), n_reads=5, rng=0)
    frame = matrix.to_frame()
    assert frame.loc[(1, 0), "value"] == matrix.value[1, 0]
    assert frame.loc[(0, 1), "stderr"] == matrix.stderr[0, 1]


def test_every_result_of_the_primitives_reads_well():
    for result in (
        tl.solve(np.eye(2), np.ones(2), duration=5.0, device=tl.Device.tngd(voltage_unit=1e-3), rng=0),
        tl.inv(np.eye(2), n_reads=5, read_spacing=1.0, rng=0),
        tl.stats.time_average(np.arange(400.0), np.sin(np.arange(400.0))),
    ):
        assert str(result).startswith("Estimate (")


def test_cost_is_computed_lazily_and_once():
    calls = []
    r = estimate(cost=lambda: calls.append(1) or cost())
    assert not calls
    assert r.cost is r.cost
    assert r.cost == cost()
    assert calls == [1]
    assert estimate().cost is None
    assert pickle.loads(pickle.dumps(estimate(cost=cost))).cost == cost()
    with pytest.raises(dataclasses.FrozenInstanceError):
        r.cost = None
