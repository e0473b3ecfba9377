"""The package loads what is used when it is used: what is not loaded, that every name is found, and from where."""

import ast
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import thermolinalg as tl

STUB = Path(tl.__file__).with_suffix(".pyi")
ROOT = STUB.parents[1]
SOLVE = "import numpy as np; tl.solve(np.eye(3), np.ones(3), {how}, rng=0)"
LAW, PATH = SOLVE.format(how="duration=10.0"), SOLVE.format(how="n_reads=10, read_spacing=1.0, simulator='path'")
THREADS = """
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
start = Barrier(8)
def all_names(_):
    start.wait()
    return [id(getattr(tl, name)) for name in tl.__all__]
with ThreadPoolExecutor(8) as pool:
    print(len({tuple(found) for found in pool.map(all_names, range(8))}))
"""


def printed(code: str) -> str:
    """What a fresh process prints."""
    code = f"import sys\nimport thermolinalg as tl\n{code}"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)
    assert run.returncode == 0, run.stderr
    return run.stdout.strip()


@pytest.mark.parametrize(
    ("work", "absent"),
    [
        ("pass", ("numba", "scipy")),
        (LAW, ("numba", "scipy.optimize", "scipy.special", "scipy.stats", "scipy.integrate")),
        (PATH, ("scipy.optimize", "scipy.special", "scipy.stats", "scipy.integrate")),
    ],
    ids=["import", "law", "path"],
)
def test_what_is_not_used_is_not_loaded(work, absent):
    assert printed(f"{work}\nprint([name for name in {absent} if name in sys.modules])") == "[]"


@pytest.mark.parametrize("name", tl.__all__)
def test_a_name_is_what_its_module_holds(name):
    module, attribute = tl._HOMES[name]
    home = import_module(f"thermolinalg.{module}" if module else "thermolinalg")
    held = getattr(home, attribute) if module else import_module(f"thermolinalg.{name}")
    assert getattr(tl, name) is held


def test_public_names_are_few_and_stated_once():
    stated = [alias.asname for node in ast.parse(STUB.read_text()).body if isinstance(node, ast.ImportFrom)
              for alias in node.names]  # fmt: skip
    assert sorted(stated) == tl.__all__ == sorted({*stated})
    assert len(stated) <= 40


def test_completion_shows_just_the_public_names():
    assert dir(tl) == sorted(["__version__", *tl.__all__])


def test_no_module_hides_a_public_name():
    modules = {path.stem for path in STUB.parent.glob("*.py")}
    assert all(import_module(f"thermolinalg.{name}") is getattr(tl, name) for name in modules & {*tl.__all__})


def test_dir_names_what_is_not_loaded_yet():
    assert printed("print(set(tl.__all__) <= set(dir(tl)), 'solve' in vars(tl))") == "True False"


def test_submodules_that_are_documented_need_no_import_of_their_own():
    assert printed("print(tl.laws.rise(1.0, 0.0), tl.errors.NoClosedLaw is tl.errors.NoClosedLaw)").endswith("0.0 True")


def test_star_import_gives_every_public_name():
    assert printed("from thermolinalg import *\nprint(set(tl.__all__) <= set(globals()))") == "True"


def test_first_use_on_many_threads_at_once():
    assert printed(THREADS) == "1"


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="'thermolinalg' has no attribute 'sovle'"):
        tl.sovle  # noqa: B018
