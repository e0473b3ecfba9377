"""Files around the code say the same as setup.cfg: version, authors, lowest versions, linters."""

import re
import sys
from configparser import ConfigParser
from itertools import chain
from pathlib import Path

import pytest

import thermolinalg as tl

ROOT = Path(__file__).resolve().parents[2]
LINTERS = {"import-linter", "mypy", "ruff"}  # they judge the code, which never runs with them


@pytest.fixture(scope="module")
def setup():
    """setup.cfg."""
    parser = ConfigParser()
    parser.read(ROOT / "setup.cfg")
    return parser


def needed(setup, extra: str) -> list[str]:
    """Requirements of an extra, with those of the extras that it names."""
    found = []
    for line in setup["options.extras_require"][extra].split():
        inner = re.fullmatch(r"thermolinalg\[(.+)\]", line)
        found += chain.from_iterable(needed(setup, name) for name in inner[1].split(",")) if inner else [line]
    return found


def test_lowest_versions_are_the_bounds(setup):
    wanted = setup["options"]["install_requires"].split() + needed(setup, "test")
    pinned = {line.replace(">=", "==") for line in wanted if line.split(">=")[0] not in LINTERS}
    lines = (ROOT / ".ci" / "lowest.txt").read_text().splitlines()
    assert sorted(pinned) == [line for line in lines if not line.startswith("#")]
    assert all(re.fullmatch(r"[a-z-]+==[\d.]+", line) for line in pinned)


def test_version_is_told_once(setup):
    assert setup["metadata"]["version"] == "attr: thermolinalg.__version__"
    citation = (ROOT / "CITATION.cff").read_text()
    assert re.findall(r"^version: (.+)$", citation, re.MULTILINE) == [tl.__version__]


def test_authors_are_those_of_the_citation(setup):
    authors = (ROOT / "CITATION.cff").read_text().split("references:")[0]
    names = re.findall(r"^  - name: (.+)$", authors, re.MULTILINE)
    assert names == [setup["metadata"]["author"]] == [setup["metadata"]["maintainer"]]


def test_pythons_of_the_classifiers_are_tested(setup):
    named = re.findall(r"Python :: (3\.\d+)$", setup["metadata"]["classifiers"], re.MULTILINE)
    workflow = (ROOT / ".github" / "workflows" / "ci.yml").read_text()
    assert re.findall(r'"(3\.\d+)"', re.search(r"python: \[(.+)\]", workflow)[1]) == named
    assert setup["options"]["python_requires"] == f">={named[0]}"
    assert sys.version_info >= tuple(map(int, named[0].split(".")))


def test_hooks_are_the_linters_of_make():
    recipe = re.search(r"^lint:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.MULTILINE)[1]
    hooks = re.findall(r"entry: (.+)", (ROOT / ".pre-commit-config.yaml").read_text())
    assert hooks == re.findall(r"\$\(BIN\)/(.+)", recipe)
