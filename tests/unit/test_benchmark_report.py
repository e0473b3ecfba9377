"""The report on benchmarks: ratios round by round, bars, exponents."""

import json

import numpy as np
import pytest

from tests.benchmarks import report


def entry(group, contender, seconds):
    return {"group": group, "extra_info": {"contender": contender}, "stats": {"data": seconds}}


@pytest.fixture
def results(tmp_path):
    group = "solve, d 1000, 10000 reads"
    entries = [
        entry(group, "limit: eigh", [1.0, 2.0, 4.0]),
        entry(group, "limit: normals", [1.0, 2.0, 4.0]),
        entry(group, "ours: law", [1.1, 2.2, 4.4, 100.0]),
        entry(group, "ours: path, one thread", [3.0, 6.0, 12.0]),
        entry(group, "plain NumPy", [11.0, 22.0, 44.0]),
        {"group": "peak memory", "stats": {"data": [1e-9]},
         "extra_info": {"contender": "solve d 1000", "bytes_per_entry": 35.0, "bar": 34.0}},
    ]  # fmt: skip
    path = tmp_path / "latest.json"
    path.write_text(json.dumps({"benchmarks": entries, "machine_info": {"cpu": {}}, "datetime": "2026-01-02T03"}))
    return report.read(path)


def test_ratios_are_taken_round_by_round(results):
    groups, _ = results
    group = groups["solve, d 1000, 10000 reads"]
    low, middle, high = report.ratio(group["ours: law"], [group["limit: eigh"]], faster=False)
    np.testing.assert_allclose([low, middle, high], 1.1)
    assert report.ratio(group["ours: law"], [group["plain NumPy"]], faster=True)[1] == pytest.approx(10.0)


def test_bars_that_are_met_and_missed(results):
    text = report.summary(*results)
    assert "over `eigh` alone | 1.1 (1.1 to 1.1) | <= 1.15 | yes |" in text
    assert "over `eigh` and the normals | 1.5 (1.5 to 1.5) | <= 1.3 | **no** |" in text
    assert "memory beyond A: solve d 1000 | 35.0 d^2 bytes | <= 34 | **no** |" in text
    assert "the least lead over plain NumPy at any size (ours: path, one thread" in text
    assert "thermox" not in text
    assert "| plain NumPy | 2.2e+04 | 1.65e+04 to 3.3e+04 | 3 |" in report.everything(*results)


def test_exponents_of_measured_times(tmp_path):
    table = tmp_path / "table.csv"
    table.write_text(
        "quantity,variable,claimed,kind,where,fitted,low,high\n"
        "solve,d,1.0,planned,,1.0,0.9,1.1\neigh,d,3.0,measured,symmetric,2.204,2.0,2.4\n"
    )
    assert report.exponents(table).splitlines()[2:] == ["| eigh (symmetric) | d | 3 | 2.20 (2.00 to 2.40) |"]
