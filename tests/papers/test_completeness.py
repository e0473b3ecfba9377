"""Every paper has a drawing module, tests and claims; every figure is in them."""

import importlib
import json
from hashlib import sha256
from pathlib import Path

import pytest

import figures
import paper_repro
from figures.catalogue import ORDER, PAPERS, all_figures

HERE = Path(__file__).parent
GALLERY = Path(figures.__file__).parent / "gallery"
FOLDERS = sorted(path.parent.name for path in Path(paper_repro.__file__).parent.glob("*/run.py"))


def missing_names(names, text: str) -> list[str]:
    """The names that a text does not quote."""
    return [name for name in names if f'"{name}"' not in text]


def test_every_paper_is_drawn():
    assert sorted(PAPERS) == FOLDERS
    assert set(PAPERS) <= set(ORDER)


@pytest.mark.parametrize("paper", FOLDERS)
def test_every_figure_is_tested(paper):
    tests = sorted(HERE.glob(f"test_{paper}*.py"))
    assert tests, f"{paper} has no test"
    figures = [spec.id for spec in all_figures().values() if spec.paper == paper]
    assert figures
    assert not missing_names(figures, "".join(test.read_text() for test in tests))


@pytest.mark.parametrize("paper", FOLDERS)
def test_every_figure_has_claims(paper):
    verdicts = importlib.import_module(f"paper_repro.{paper}.verdicts")
    figures = [spec.id for spec in all_figures().values() if spec.paper == paper]
    assert sorted(figures) == sorted(verdicts.EXPECTED)
    assert all(verdicts.EXPECTED.values())


def test_the_check_can_fail():
    assert missing_names(["drawn", "forgotten"], 'FIGURES = ("drawn",)') == ["forgotten"]
    assert not (HERE / "test_nobody1999.py").exists()


@pytest.mark.parametrize("name", all_figures())
def test_figures_are_whole(name):
    spec = all_figures()[name]
    assert set(spec.settings) == {"smoke", "default", "paper"}
    assert spec.look.endswith(".")
    assert spec.note.endswith(".")


def test_tables_of_the_gallery_are_small():
    """A table has what its picture and its verdicts need: all of them are written anew with every gallery."""
    sizes = {path.name: path.stat().st_size for path in GALLERY.glob("*.csv")}
    assert set(sizes) == {f"{name}.csv" for name in all_figures()}
    assert sum(sizes.values()) < 2_000_000


@pytest.mark.parametrize("name", all_figures())
def test_gallery_has_the_files_that_its_record_vouches_for(name):
    record = json.loads((GALLERY / f"{name}.json").read_text())
    for end in ("csv", "png", "pdf"):
        assert sha256((GALLERY / f"{name}.{end}").read_bytes()).hexdigest() == record[f"{end}_sha256"]
