"""Our own figures at smoke scale: files, columns, verdicts, and that the pictures show what the tables say."""

import json
from hashlib import sha256
from importlib import import_module
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import paper_repro.this_work
from analysis import exponents
from paper_repro.this_work import cost, cost_verdicts, verdicts
from paper_repro.this_work.run import SCALES, TABLES

FIGURES = ("scaling_exponents", "break_even_solve", "break_even_tngd")
EXPECTED = json.loads((Path(paper_repro.this_work.__file__).parent / "expected.json").read_text())
figures_main = import_module("figures.__main__").main


@pytest.fixture(scope="module")
def gallery(tmp_path_factory):
    """The figures of cost, made once."""
    out = tmp_path_factory.mktemp("gallery")
    assert figures_main([*FIGURES, "--scale", "smoke", "--out", str(out)]) == 0
    return out


@pytest.fixture(scope="module")
def tables(gallery):
    """What was drawn."""
    return {name: pd.read_csv(gallery / f"{name}.csv") for name in FIGURES}


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_is_written_whole(gallery, name):
    assert (gallery / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    assert (gallery / f"{name}.pdf").read_bytes().startswith(b"%PDF")
    sidecar = json.loads((gallery / f"{name}.json").read_text())
    assert sidecar["csv_sha256"] == sha256((gallery / f"{name}.csv").read_bytes()).hexdigest()


@pytest.mark.parametrize("name", FIGURES)
def test_every_claim_gets_a_verdict(tables, name):
    found = verdicts.verdict(name, tables[name])
    assert set(found.claim) == set(EXPECTED[name])
    assert set(found.holds) <= {True, False}


def test_tables_have_settings_at_every_scale():
    for scale in SCALES.values():
        assert set(scale) == set(TABLES)


# -- exponents


def test_planned_exponents(tables):
    """Those that follow from closed forms, on which no noise acts."""
    table = tables["scaling_exponents"].set_index(["quantity", "variable", "where"])
    for key, exponent, room in (
        (("solve, absolute error", "kappa", "worst spectrum"), 2.0, 0.01),
        (("solve, absolute error", "eps", "worst spectrum"), -2.0, 0.01),
        (("inverse", "kappa", "worst spectrum"), 1.0, 0.01),
        (("inverse, inertia", "kappa", "worst spectrum"), 0.5, 0.02),
        (("settling of the mean voltage", "kappa", "log spectrum"), 1.0, 0.05),
        (("exponential, absolute error", "d", "Wishart, error 8"), 2.0, 0.25),
    ):
        assert table.fitted[key] == pytest.approx(exponent, abs=room)
        assert table.kind[key] == "planned"


def test_worst_case_is_no_law_of_every_spectrum(tables):
    """tr A^-2 of a log spectrum is d kappa^2 / (2 ln kappa): the exponent is 2 - 1/ln kappa."""
    table = tables["scaling_exponents"]
    row = table[(table.quantity == "solve, absolute error") & (table["where"] == "log spectrum")].iloc[0]
    middle = np.sqrt(row["first"] * row["last"])
    assert row.fitted == pytest.approx(2.0 - 1.0 / np.log(middle), abs=0.04)
    assert row.high - row.low < 1.0
    assert row.fitted < 1.9


def test_rule_is_the_one_on_record():
    rules = {entry["at_most"] for entry in EXPECTED["scaling_exponents"].values()}
    assert rules == {exponents.MARGIN}


def test_distance_is_what_the_rule_measures():
    row = {"quantity": "q", "variable": "d", "where": np.nan, "source": "ours", "claimed": 2.0, "decided": True}
    table = pd.DataFrame([row | {"low": 2.3, "high": 2.5}, row | {"variable": "n", "low": 1.0, "high": 1.5}])
    table = pd.concat([table, table.head(1).assign(variable="k", decided=False)])
    found = cost_verdicts.distances(table, "exponents_of_ours")
    assert found["q in d"] == pytest.approx(0.3)
    assert found["q in n"] == pytest.approx(0.5)
    assert np.isnan(found["q in k"])


# -- break-even


def test_device_wins_where_its_advantage_exceeds_1(tables):
    table = tables["break_even_solve"]
    table = table[table.section == "map"]
    assert not table.duplicated(["host", "kappa", "d", "eps"]).any()
    assert (table.winner.str.startswith("device") == (table.counted > 1.0)).all()
    assert (table.counted > 1.0)[table.one_run.astype(bool)].all()
    assert (table.winner != "device")[~table.one_run.astype(bool)].all()
    assert (table.free >= table.counted).all()


def test_points_of_a_map_by_hand():
    """Two points: refinement wins one of them, and nothing of the device the other."""
    seconds = {
        (100, "counted"): {"device": 3.0, "device, refined": 1.0, "Cholesky": 2.0, "CG": 4.0},
        (100, "free"): {"device": 0.5, "device, refined": 1.0, "Cholesky": 2.0, "CG": 4.0},
        (10, "counted"): {"device": np.nan, "device, refined": 4.0, "Cholesky": 1.0, "CG": np.nan},
        (10, "free"): {"device": np.nan, "device, refined": 2.0, "Cholesky": 1.0, "CG": np.nan},
    }
    leads = {(100, "counted"): 2.0, (100, "free"): 4.0, (10, "counted"): 0.25, (10, "free"): 0.5}
    table = pd.DataFrame(
        {"host": "h", "loading": loading, "kappa": 10.0, "d": d, "eps": 0.1, "contender": name, "seconds": s,
         "winner": s == np.nanmin(list(of_point.values())), "advantage": leads[d, loading]}
        for (d, loading), of_point in seconds.items() for name, s in of_point.items()
    )  # fmt: skip
    found = cost.solve_points(table)
    assert found.d.tolist() == [100, 10]
    assert found.winner.tolist() == ["device, refined", "Cholesky"]
    assert found.one_run.tolist() == [False, False]
    assert found[["counted", "free"]].to_numpy().tolist() == [[2.0, 4.0], [0.25, 0.5]]


def test_fits_have_residuals(tables):
    for name in ("break_even_solve", "break_even_tngd"):
        fits = tables[name][tables[name].section == "fit"]
        assert fits[fits.host == "this machine"].residual.notna().all()
        assert fits[fits.host == "accelerator"].residual.isna().all()


def test_step_at_the_papers_size(tables):
    """b dz = 640, N = 10^5: 41 ms of loading, 50 us of relaxation."""
    table = tables["break_even_tngd"]
    step = table[(table.N == 100_000) & (table["rows"] == 640)]
    counted = step[step.loading == "load counted"]
    assert counted.load.to_numpy() == pytest.approx(41e-3, rel=0.01)
    assert counted.relax.to_numpy() == pytest.approx(50e-6)
    assert step[step.loading == "load free"].load.eq(0.0).all()
