"""Sweep of word lengths: cells against NumPy on the rounded matrices, first-order theory, place-keyed matrices."""

import numpy as np
import pytest

import thermolinalg as tl
from analysis import word_lengths
from analysis.results_cache import Cache, using
from analysis.rounded_primitives import Effort
from analysis.word_lengths import Cell, cell_error, cells, error_table


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("THERMOLINALG_RESULTS", str(tmp_path / "cache"))


def rounded(A, bits):
    """Nearest of 2^bits - 1 levels that span the largest entry, zero among them."""
    step = np.abs(A).max() / (2 ** (bits - 1) - 1)
    return step * np.rint(A / step)


@pytest.mark.parametrize("primitive", ["solve", "inv"])
def test_a_cell_is_the_error_of_rounded_matrices(primitive):
    cell = Cell(primitive=primitive, d=6, kappa=4.0, bits=7, repeats=5, seed=2)
    squares = []
    for repeat in range(5):
        rng = cell.generator(repeat)
        A = tl.problems.with_condition(6, 4.0, rng)
        right = rng.standard_normal(6) if primitive == "solve" else np.eye(6)
        truth = np.linalg.solve(A, right)
        squares.append(np.sum((np.linalg.solve(rounded(A, 7), right) - truth) ** 2) / np.sum(truth**2))
    row = cell_error(cell)
    assert row["error"] == pytest.approx(np.sqrt(np.mean(squares)), rel=1e-3)  # noise of inv: 10^14 reads
    assert row["highest"] == pytest.approx(np.sqrt(max(squares)), rel=1e-3)
    assert row["lowest"] == pytest.approx(np.sqrt(min(squares)), rel=1e-3)
    assert row["failed"] == 0.0


@pytest.mark.parametrize("primitive", ["solve", "inv"])
def test_errors_follow_theory(primitive):
    """First order at words long enough, halved by a bit; relative to it a longer matrix has less scatter."""
    table = error_table(cells([primitive], [6, 30], [5.0], [10, 14], repeats=12))
    assert (np.abs(table.error - table.predicted) < 5 * table.stderr).all()
    ratio = table.error[table.bits == 10].to_numpy() / table.error[table.bits == 14].to_numpy()
    np.testing.assert_allclose(ratio, 16.0, rtol=0.4)


def test_words_that_are_too_short_have_no_answer():
    row = cell_error(Cell(primitive="solve", d=20, kappa=1000.0, bits=3, repeats=4))
    assert row["failed"] == 1.0
    assert all(np.isnan(row[name]) for name in ("error", "stderr", "noise", "predicted"))


def test_matrices_depend_on_place_alone():
    cell = Cell(primitive="solve", d=4, kappa=2.0, bits=8)
    draws = {}
    for name, changed in {
        "same": {"primitive": "inv", "bits": 4, "strategy": "stochastic", "repeats": 3}, "d": {"d": 5},
        "kappa": {"kappa": 2.5}, "seed": {"seed": 1},
    }.items():  # fmt: skip
        draws[name] = Cell(**(vars(cell) | changed)).generator(0).random()
    assert draws["same"] == cell.generator(0).random() != cell.generator(1).random()
    assert len(set(draws.values())) == 4


def test_noise_is_in_the_error_when_asked_for():
    effort = Effort(beta=1.0, duration=2e4)  # a hundredth of x
    row = cell_error(Cell(primitive="solve", d=20, kappa=3.0, bits=20, effort=effort))
    assert row["noise"] == pytest.approx(0.01, rel=0.3)
    assert row["error"] == pytest.approx(row["noise"], rel=0.5)


def test_two_workers_give_the_same_table(tmp_path):
    points = cells(["solve"], [4, 5], [3.0], [6, 8], repeats=2)
    here = error_table(points)
    with using(Cache(tmp_path / "two")), word_lengths.workers(jobs=2):
        there = error_table(points)
    assert here.equals(there)
    assert here[["d", "bits"]].to_numpy().tolist() == [[4, 6], [4, 8], [5, 6], [5, 8]]


def test_command_prints_and_writes_the_table(tmp_path, capsys):
    arguments = ["--d", "3", "--kappa", "2", "--bits", "6", "8", "--repeats", "2"]
    assert word_lengths.main(arguments) == 0
    assert len(capsys.readouterr().out.splitlines()) == 1 + 4
    assert word_lengths.main([*arguments, "--out", str(tmp_path / "table.csv")]) == 0
    assert (tmp_path / "table.csv").read_text().startswith("primitive,d,kappa,bits,strategy,repeats,error,")


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"primitive": "logdet"}, "primitive must be one of"),
        ({"primitive": "inv", "strategy": "refined"}, "strategy must be one of"),
        ({"bits": 1}, "bits must be at least 2"),
        ({"kappa": 0.5}, "kappa must be at least 1"),
        ({"repeats": 1}, "repeats must be at least 2"),
    ],
)
def test_bad_input_is_named(changed, words):
    with pytest.raises(ValueError, match=words):
        Cell(**({"primitive": "solve", "d": 3, "kappa": 2.0, "bits": 8} | changed))
