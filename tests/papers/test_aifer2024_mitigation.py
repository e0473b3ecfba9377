"""Aifer et al., arXiv:2401.16231: the figure at smoke scale; predictions, ensembles and board by oracles."""

import json
from dataclasses import replace
from hashlib import sha256
from importlib import import_module
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import paper_repro.aifer2024_mitigation
import thermolinalg as tl
from paper_repro.aifer2024_mitigation import rounding_errors, run, settings, verdicts

NAME = "mitigation_bits"
FIGURES = ("mitigation_bits",)
EXPECTED = json.loads((Path(paper_repro.aifer2024_mitigation.__file__).parent / "expected.json").read_text())[NAME]
figures_main = import_module("figures.__main__").main


@pytest.fixture(scope="module")
def gallery(tmp_path_factory):
    """The figure, made once."""
    out = tmp_path_factory.mktemp("gallery")
    assert figures_main([NAME, "--scale", "smoke", "--out", str(out)]) == 0
    return out


@pytest.fixture(scope="module")
def table(gallery):
    """What was drawn."""
    return pd.read_csv(gallery / f"{NAME}.csv")


def of(table, **chosen):
    """Rows with these values."""
    for column, value in chosen.items():
        table = table[table[column] == value]
    return table


def test_every_figure_is_written_whole(gallery):
    assert (gallery / f"{NAME}.png").read_bytes().startswith(b"\x89PNG")
    assert (gallery / f"{NAME}.pdf").read_bytes().startswith(b"%PDF")
    sidecar = json.loads((gallery / f"{NAME}.json").read_text())
    assert sidecar["csv_sha256"] == sha256((gallery / f"{NAME}.csv").read_bytes()).hexdigest()
    assert set(run.TABLES) == set(FIGURES)


# -- rounding


def test_merged_inverse_is_a_mean_of_inverses():
    e = tl.rounding_ensemble(np.array([[1.0, 0.13], [0.13, 0.77]]), 4, members=3)
    mean = sum(w * np.linalg.inv(member) for w, member in zip(e.weights, e.matrices, strict=True))
    assert rounding_errors.merged_inverse(e) == pytest.approx(mean, rel=1e-12)
    broken = replace(e, matrices=(*e.matrices[:-1], np.array([[1.0, 2.0], [2.0, 1.0]])))
    assert np.isnan(rounding_errors.merged_inverse(broken)).all()


def test_first_order_against_monte_carlo():
    """Random symmetric perturbations, one number for each pair of entries."""
    case = rounding_errors.Case(5, np.random.default_rng(2))
    rng, spread, count = np.random.default_rng(3), 1e-3, 20_000
    lower = np.tril(rng.normal(0.0, spread, (count, 5, 5)))
    errors = lower + np.transpose(np.tril(lower, -1), (0, 2, 1))
    gaps = case.B @ errors @ case.B
    of_inverse, of_solution = case.linear(spread**2)
    for theory, values in (
        (of_inverse, np.sum(gaps**2, axis=(1, 2))),
        (of_solution, np.sum((gaps @ case.b) ** 2, axis=1)),
    ):
        assert theory**2 == pytest.approx(values.mean(), abs=5.0 * values.std() / np.sqrt(count))


def test_errors_are_predicted(table):
    finest = of(table, section="bits", bits=14)
    merged, single = (of(finest, method=method) for method in ("merged", "single"))
    assert len(merged) == len(single) == 4
    for rows, key in ((merged, "bias_over_prediction"), (single, "single_over_prediction")):
        entry = EXPECTED[key]
        assert np.exp(np.log(rows.error / rows.predicted).mean()) == pytest.approx(entry["value"], abs=entry["atol"])


def test_the_bias_can_be_taken_off(table):
    bits = of(table, section="bits")
    merged, corrected = (of(bits, method=method).error.to_numpy() for method in ("merged", "corrected"))
    assert np.all(corrected < merged / 3.0)


def test_noise_hides_what_merging_wins_with_few_reads(table):
    """At 8 bits merging wins; at 14 both are at sqrt((tr^2 + F^2) / n) / F of a Wishart matrix of d = 8: near 2e-3."""
    noise = of(table, section="noise")
    coarse, fine = (of(noise, bits=bits).set_index("method").error for bits in (8, 14))
    assert coarse["merged"] < coarse["single"] / 3.0
    assert fine.to_numpy() == pytest.approx(2.2e-3, rel=0.5)


def test_indefinite_members_are_missing_not_wrong():
    row = rounding_errors.quantiles([(0.1, 0.1), (np.nan, 0.1)])
    assert all(np.isnan(value) for value in row.values())


# -- the board


def test_board_errors_fall_with_bits_and_merging(table):
    board = of(table, section="board")
    assert set(board.bits) == {3, 4, 6}
    assert np.all(board.made == 1.0)
    exact = of(board, mismatch=0.0).pivot(index="bits", columns="method", values="error")
    assert np.all(np.diff(exact.single) < 0)
    assert np.all(exact.merged < exact.single)
    assert exact.single[6] > 0.02  # 12 000 reads: sqrt(8 / 12 000) is the noise of cells nearly alike


# -- claims


def test_verdicts_are_those_on_record(table):
    found = verdicts.verdict(NAME, table)
    holds = found.groupby("claim").holds.all()
    assert holds[["single_is_linear", "merged_is_quadratic", "solve_is_quadratic", "bias_is_predicted"]].all()
    assert not holds["random_merging_is_quadratic"]
    assert "holds_at_d1000" not in holds  # smaller matrices say nothing about it
    assert set(verdicts.NUMBERS[NAME]) == set(verdicts.EXPECTED[NAME])


def test_reduction_is_taken_where_the_error_is_as_published():
    rows = [
        {"section": "board", "mismatch": 0.0, "bits": bits, "method": method, "error": error}
        for bits, single, merged in ((3, 0.9, 0.1), (4, 0.3, 0.27), (5, 0.03, 0.001))
        for method, error in (("single", single), ("merged", merged))
    ]
    assert verdicts.board_reduction(pd.DataFrame(rows)) == {"mismatch 0, 4 bits": pytest.approx(0.1)}


def test_scales_agree():
    for scale, tables in settings.SCALES.items():
        chosen = tables[NAME]
        assert len(chosen.sizes) == len(chosen.matrices), scale
        assert chosen.bits_of(1000) == chosen.bits_of_large
