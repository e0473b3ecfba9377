"""Seconds of a device: the papers' model by hand, the complete one by what the library says a run costs."""

import numpy as np
import pytest

import thermolinalg as tl
from analysis import device_seconds as seconds


def test_model_of_the_papers_is_that_by_hand():
    """0.32 ms to load d = 1000, 3.2 us for d = 100; t = 50 RC is 50 us."""
    large, small = (seconds.paper_parts(seconds.dense_solve(d, 50.0, 0.0)) for d in (1000, 100))
    assert large["load"] == pytest.approx(0.32e-3)
    assert small["load"] == pytest.approx(3.2e-6)
    assert large["relax"] == pytest.approx(50e-6)
    other = seconds.paper_parts(seconds.dense_solve(10, 1.0, 2.0, columns=5), bits=8, bandwidth=1e9, time_unit=1e-8)
    assert other == pytest.approx({"load": 8e-7, "relax": 1.5e-7, "integrate": 0.0, "convert": 0.0})


@pytest.mark.parametrize("columns", [1, 3])
def test_complete_model_is_what_a_run_costs(columns):
    device = tl.Device(
        beta=4.0, matrix_bits=12, dac_bits=10, adc_bits=8, bandwidth=1e8, n_converters=3, sample_rate=1e6
    )
    A = tl.problems.wishart(6, rng=0)
    run = tl.solve(A, np.ones((6, columns)), duration=20.0, burn_in=30.0, device=device, rng=0)
    parts = seconds.complete_parts(seconds.dense_solve(6, 30.0, 20.0, columns), device)
    assert sum(parts.values()) == pytest.approx(run.cost.seconds, rel=1e-12)
    assert parts["relax"] == pytest.approx(run.cost.relax)
    assert parts["integrate"] == pytest.approx(run.cost.integrate)
    assert parts["load"] + parts["convert"] == pytest.approx(run.cost.load + run.cost.read)


def test_replicas_share_runs_and_the_link():
    device, job = tl.Device.tngd(), seconds.dense_solve(100, 10.0, 5.0, columns=7)
    one, three = (seconds.complete_parts(job, device, replicas=n) for n in (1, 3))
    assert three["relax"] == pytest.approx(one["relax"] * 3 / 7)  # 3 + 2 + 2 columns
    assert three["load"] == pytest.approx(3 * one["load"])
    assert three["convert"] == pytest.approx(one["convert"])
    together = seconds.complete_parts(job, device, replicas=3, broadcast=True)
    assert together["load"] == pytest.approx(one["load"])
    assert seconds.complete_parts(job, device, loaded=True)["load"] == 0.0
    with pytest.raises(ValueError, match="replicas"):
        seconds.complete_parts(job, device, replicas=0)


def test_table_of_models_adds_up():
    slow = tl.Device.tngd(n_converters=1, sample_rate=1e6)
    table = seconds.compared({"a": seconds.dense_solve(50, 3.0, 4.0)}, {"slow converters": slow})
    assert set(table.model) == {"paper", "slow converters"}
    assert table.groupby("model").share.sum().tolist() == pytest.approx([1.0, 1.0])
    total = table.groupby("model").seconds.sum()
    assert total["slow converters"] > 10 * total["paper"]
