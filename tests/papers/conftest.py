"""What the tests of every paper start from: its figures at smoke scale, made once for the module, and their tables."""

import json
from hashlib import sha256
from importlib import import_module

import pandas as pd
import pytest


@pytest.fixture(scope="module")
def quick_compilation():
    """Tiny networks spend their time in the compiler: have it try less. For `pytestmark`."""
    import jax  # here, so that tests without networks need not wait for it

    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


@pytest.fixture(scope="module")
def gallery(request, tmp_path_factory):
    """The folder with all figures of the paper that the test file is named after."""
    out = tmp_path_factory.mktemp("gallery")
    paper = request.path.stem.removeprefix("test_")
    assert import_module("figures.__main__").main([paper, "--scale", "smoke", "--out", str(out)]) == 0
    return out


@pytest.fixture(scope="module")
def tables(gallery):
    """What was drawn, by figure."""
    return {path.stem: pd.read_csv(path) for path in gallery.glob("*.csv")}


@pytest.fixture
def sidecar(gallery):
    """A function: the record beside a figure, once its files are seen to be what they should."""

    def of(name: str) -> dict:
        assert (gallery / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert (gallery / f"{name}.pdf").read_bytes().startswith(b"%PDF")
        record = json.loads((gallery / f"{name}.json").read_text())
        assert record["csv_sha256"] == sha256((gallery / f"{name}.csv").read_bytes()).hexdigest()
        return record

    return of
