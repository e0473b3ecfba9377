"""Every paper has a drawing module, a test and expected values; every figure is in the test of its paper."""

from pathlib import Path

import pytest

import paper_repro
from figures.catalogue import PAPERS, all_figures

HERE = Path(__file__).parent
FOLDERS = sorted(path.parent.name for path in Path(paper_repro.__file__).parent.glob("*/run.py"))


def missing_names(names, text: str) -> list[str]:
    """The names that a text does not quote."""
    return [name for name in names if f'"{name}"' not in text]


def test_every_paper_is_drawn():
    assert sorted(PAPERS) == FOLDERS


@pytest.mark.parametrize("paper", FOLDERS)
def test_every_figure_is_tested(paper):
    test = HERE / f"test_{paper}.py"
    assert test.exists(), f"{paper} has no test"
    figures = [spec.id for spec in all_figures().values() if spec.paper == paper]
    assert figures
    assert not missing_names(figures, test.read_text())
    expected = Path(paper_repro.__file__).parent / paper / "expected.json"
    assert not missing_names(figures, expected.read_text())


def test_the_check_can_fail():
    assert missing_names(["drawn", "forgotten"], 'FIGURES = ("drawn",)') == ["forgotten"]
    assert not (HERE / "test_nobody1999.py").exists()


@pytest.mark.parametrize("name", all_figures())
def test_figures_are_whole(name):
    spec = all_figures()[name]
    assert set(spec.settings) == {"smoke", "default", "paper"}
    assert spec.look.endswith(".")
    assert spec.note.endswith(".")
