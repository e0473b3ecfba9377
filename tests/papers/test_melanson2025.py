"""Melanson et al., arXiv:2312.04836: figures at smoke scale; laws of sampling and constants of the model by oracles."""

import json
from hashlib import sha256
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import paper_repro.melanson2025
from paper_repro.melanson2025 import boards, inversion, run, settings, verdicts

FIGURES = ("spu_sampling", "spu_inversion")
EXPECTED = json.loads((Path(paper_repro.melanson2025.__file__).parent / "expected.json").read_text())


def near(name, key):
    """An entry of expected.json as something to compare with."""
    entry = EXPECTED[name][key]
    return pytest.approx(entry["value"], rel=entry.get("rtol"), abs=entry.get("atol"))


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_is_written_whole(gallery, name):
    assert (gallery / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    assert (gallery / f"{name}.pdf").read_bytes().startswith(b"%PDF")
    sidecar = json.loads((gallery / f"{name}.json").read_text())
    assert sidecar["csv_sha256"] == sha256((gallery / f"{name}.csv").read_bytes()).hexdigest()
    assert sidecar["measures_time"] == (name == "spu_inversion")


# -- sampling


def test_law_of_independent_samples():
    """Against plain normal samples."""
    covariance = np.array([[2.0, 0.5], [0.5, 1.0]])
    x = np.random.default_rng(1).multivariate_normal(np.zeros(2), covariance, (4000, 20))
    gaps = np.einsum("kni,knj->kij", x, x) / 20 - covariance
    squares = np.sum(gaps**2, axis=(1, 2)) / np.sum(covariance**2)
    law = boards.iid_error(covariance, 20) ** 2
    assert law == pytest.approx(squares.mean(), abs=5.0 * squares.std() / np.sqrt(4000))


def test_second_moments_use_the_first_samples():
    samples = np.array([[1.0, 0.0], [0.0, 2.0], [3.0, 3.0]])
    first, both = boards.second_moments(samples, (1, 2))
    assert first.tolist() == [[1.0, 0.0], [0.0, 0.0]]
    assert both.tolist() == [[0.5, 0.0], [0.0, 2.0]]


def test_sampling_errors_are_those_of_the_law(tables):
    samples = tables["spu_sampling"].query("section == 'samples'")
    independent, close = (samples[samples.reads == reads] for reads in ("independent", "1 RC apart"))
    over = np.exp(np.log(independent.error / independent.theory).mean())
    assert over == near("spu_sampling", "error_over_law")
    assert np.all(close.error.to_numpy() > 0.7 * independent.error.to_numpy())
    assert close.time.max() < independent.time.max() / 10


def test_voltages_have_the_predicted_covariance(tables):
    entries = tables["spu_sampling"].query("section == 'entries'")
    assert len(entries) == 36
    assert np.all(np.abs(entries.measured - entries.predicted) < 5.0 * entries.stderr)
    own = entries[entries.i == entries.j]
    # kappa_0 R over a capacitance between 0.5 nF and 1.5 + 7 x 0.3 nF
    assert np.all((own.predicted > 1e-11 / 3.6e-9) & (own.predicted < 1e-11 / 0.5e-9))


# -- inversion and the model


def test_board_errors(tables):
    errors = tables["spu_inversion"].query("section == 'error'").set_index(["mismatch", "n"])
    assert errors.loc[(0.0, 12_000), "error"] == near("spu_inversion", "noise_at_12000")
    assert errors.loc[(0.0, 12_000), "floor"] < 1e-12
    assert errors.loc[(0.2, 12_000), "error"] > 2.0 * errors.loc[(0.0, 12_000), "error"]
    assert errors.loc[(0.2, 12_000), "error"] == pytest.approx(errors.loc[(0.2, 12_000), "floor"], rel=0.3)


def test_device_by_hand():
    model = settings.Model(samples=1000)
    cost = inversion.device_cost(100, 2.0, model)
    bits = 16 * (100 * 100 + 1000 * 100)
    assert cost["seconds"] == pytest.approx(bits / 50e9 + 1000 * 2e-6)
    assert cost["joule"] == pytest.approx(1000 * 2e-6 * 100 * 203e-6 + bits * 10e-12)
    slow = inversion.device_cost(100, 0.01, model)  # faster than its converters
    assert slow["seconds"] == pytest.approx(bits / 50e9 + 1000 / 12e6)
    alone = inversion.device_cost(10_000, 1.0, settings.Model(samples=0))
    assert alone["seconds"] == near("spu_inversion", "load_seconds_d10000")


def test_gpu_by_hand():
    work = inversion.operations(30, 7)
    assert work == pytest.approx(9000.0 + 6300.0)
    cost = inversion.gpu_cost(work, 0.1, settings.Model())
    assert cost == pytest.approx({"seconds": work / 3.87e12, "joule": 300.0 * work / 3.87e12})


def test_every_constant_is_in_the_table(tables):
    constants = tables["spu_inversion"].query("section == 'constant'").set_index("name").value
    assert constants["gpu_watt"] == 300.0
    assert constants["gpu_shares[1]"] == 0.1
    assert len(constants) == 12


def test_digital_sampler_takes_longer_for_more(tables):
    measured = tables["spu_inversion"].query("series == 'CPU, measured'").set_index("d").seconds
    assert 0.0 < measured[64] < measured[256]


# -- claims


def scaling(seconds: dict) -> pd.DataFrame:
    """A table of times by series and d."""
    rows = [{"section": "scaling", "series": name, "d": d, "seconds": s, "joule": s}
            for name, by_d in seconds.items() for d, s in by_d.items()]  # fmt: skip
    return pd.DataFrame(rows)


def test_crossing_is_where_times_are_equal():
    device, rival = verdicts.DEVICES[0], "GPU at 10% of its peak"
    table = scaling({device: {100: 1.0, 10_000: 1.0}, rival: {100: 0.01, 10_000: 100.0}})
    assert verdicts.crossing(table, device, rival) == pytest.approx(1000.0)
    never = scaling({device: {100: 1.0, 10_000: 1.0}, rival: {100: 0.01, 10_000: 0.5}})
    assert np.isnan(verdicts.crossing(never, device, rival))


@pytest.mark.parametrize("name", FIGURES)
def test_verdicts_are_those_on_record(tables, name):
    found = verdicts.verdict(name, tables[name])
    assert set(found.claim) == set(verdicts.EXPECTED[name]) == set(verdicts.NUMBERS[name])
    assert set(run.TABLES) == set(FIGURES)
    if name == "spu_inversion":  # at smoke scale two imprecisions are tried, and neither is as bad as published
        assert not found[found.claim == "published_error"].holds.any()
