"""House rules that a script can enforce: layers, jit options, light imports, documented names, short files."""

import ast
import importlib
import inspect
import os
import pkgutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import thermolinalg as tl
from thermolinalg.numerics import kernels

ROOT = Path(__file__).resolve().parents[2]
SOURCES = [
    path
    for folder in ("thermolinalg", "analysis", "paper_repro", "figures", "tests")
    for path in (ROOT / folder).rglob("*.py")
]
LIBRARY = sorted((ROOT / "thermolinalg").rglob("*.py"))
LONGEST_FUNCTION, LONGEST_CLASS, LONGEST_KERNEL = 60, 200, 30  # lines, docstrings apart
MADE_BY_THE_LIBRARY = (  # results, which callers get and do not make
    "CapacitiveForm", "Cost", "Estimate", "EulerPaths", "NodeAverage", "NonlinearAverage", "PathEnergetics", "Round",
    "LangevinPaths", "LinearProcess", "RoundingEnsemble", "WarmStart", "WorkEstimate",
)  # fmt: skip
TOP_FOR_ALL = ("_validation", "_typing")  # private modules at the top that every room may import
HEAVY = ("pandas", "matplotlib", "seaborn", "jax", "sklearn", "torch", "tqdm", "joblib")


def imported(path):
    """Names of the modules that a source file imports, at any depth."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield (node.module or "").split(".")[0]


def test_numba_is_imported_in_one_file():
    assert [path.name for path in LIBRARY if "numba" in imported(path)] == ["jit.py"]


def test_library_imports_only_its_three_dependencies():
    allowed = {"numba", "numpy", "scipy", "pandas"} | set(sys.stdlib_module_names)  # pandas: inside to_frame only
    found = {name for path in LIBRARY if "adapters" not in path.parts for name in imported(path)}
    assert found <= allowed
    top_level = {name for path in LIBRARY for node in ast.parse(path.read_text()).body
                 if isinstance(node, ast.Import) for name in [node.names[0].name]}  # fmt: skip
    assert "pandas" not in top_level


def all_kernels():
    for info in pkgutil.iter_modules(kernels.__path__):
        module = importlib.import_module(f"{kernels.__name__}.{info.name}")
        for name, value in vars(module).items():
            function = getattr(value, "py_func", value)
            if inspect.isfunction(function) and function.__module__ == module.__name__:
                yield pytest.param(value, function, id=f"{info.name}.{name}")


@pytest.mark.parametrize(("compiled", "function"), list(all_kernels()))
def test_kernels_state_their_options_and_stay_short(compiled, function):
    assert len(inspect.getsource(function).splitlines()) <= LONGEST_KERNEL
    assert function.__doc__
    if os.environ.get("NUMBA_DISABLE_JIT") == "1":
        return
    options = compiled.targetoptions
    assert options["error_model"] == "numpy"
    assert options["nogil"] is True
    assert options["fastmath"] is False  # NaN and inf keep their meaning, and sums their order


@pytest.mark.parametrize("setting", ["1", "yes"])
def test_cache_setting_is_validated(setting):
    code = "import thermolinalg.numerics.jit as j; print(j.CACHE)"
    run = subprocess.run([sys.executable, "-c", code], env=os.environ | {"THERMOLINALG_CACHE": setting},
                         capture_output=True, text=True, cwd=ROOT, check=False)  # fmt: skip
    if setting == "1":
        assert run.stdout.strip() == "True"
    else:
        assert run.returncode
        assert "THERMOLINALG_CACHE must be one of" in run.stderr


def test_import_is_light_and_compiles_nothing():
    code = f"""
import sys, importlib, pkgutil
import thermolinalg as tl
print([m for m in {HEAVY!r} if m in sys.modules])
from thermolinalg.numerics import kernels
compiled = []
for info in pkgutil.iter_modules(kernels.__path__):
    module = importlib.import_module(kernels.__name__ + "." + info.name)
    compiled += [v for v in vars(module).values() if getattr(v, "signatures", [])]
print(compiled)
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert run.stdout.split("\n")[:2] == ["[]", "[]"]


@pytest.mark.parametrize("name", tl.__all__)
def test_public_names_are_documented_with_examples(name):
    value = getattr(tl, name)
    if inspect.ismodule(value):
        documented = [v for k, v in vars(value).items() if inspect.isfunction(v) and not k.startswith("_")
                      and v.__module__ == value.__name__]  # fmt: skip
    else:
        documented = [value]
    for item in documented:
        text = inspect.getdoc(item) or ""
        assert len(text) > 20, item
        if inspect.isclass(item) and (issubclass(item, Exception) or item.__name__ in MADE_BY_THE_LIBRARY):
            continue  # made by the library, not by its callers
        assert ">>>" in text, f"{item.__name__} has no example"
        sections = ("Returns", "Raises") if inspect.isfunction(item) else ("Parameters", "Raises")
        assert all(f"{section}\n---" in text for section in sections), f"{item.__name__} lacks one of {sections}"


def test_public_names_are_sorted_and_exist():
    assert sorted(tl.__all__) == tl.__all__
    assert all(hasattr(tl, name) for name in tl.__all__)


def test_every_public_keyword_is_documented():
    for name in tl.__all__:
        value = getattr(tl, name)
        if inspect.isfunction(value):
            text = inspect.getdoc(value)
            for parameter in inspect.signature(value).parameters:
                assert parameter in text, f"{name} does not document {parameter}"


def lines(node) -> int:
    """Lines of a definition without its docstring."""
    text = node.body[0] if ast.get_docstring(node) is not None else None
    return node.end_lineno - node.lineno + 1 - (0 if text is None else text.end_lineno - text.lineno + 1)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_say_what_they_are_and_nothing_in_them_needs_a_scroll(path):
    tree = ast.parse(path.read_text())
    if tree.body:
        assert ast.get_docstring(tree), f"{path.name} has no docstring"
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert lines(node) <= LONGEST_FUNCTION, f"{node.name} has {lines(node)} lines"
        elif isinstance(node, ast.ClassDef):
            assert lines(node) <= LONGEST_CLASS, f"{node.name} has {lines(node)} lines"


def test_results_are_frozen():
    r = tl.solve([[2.0]], [1.0], duration=10.0, rng=0)
    with pytest.raises(AttributeError):
        r.value = np.zeros(1)


def private_imports(path):
    """Private names that a module imports from another room: a sub-package, or a module at the top."""
    library = ROOT / "thermolinalg"
    room = path.relative_to(library).parts[0].removesuffix(".py")
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.ImportFrom):
            continue
        if node.level == 0:
            parts = (node.module or "").split(".")
            if parts[0] != "thermolinalg":
                continue
            target = parts[1:]
        else:
            here = path.relative_to(library).parts[:-1]
            target = [*here[: len(here) + 1 - node.level], *(node.module or "").split(".")]
        target = [part for part in target if part]
        for alias in node.names:
            full = [*target, alias.name]
            if full[0] not in (room, *TOP_FOR_ALL) and any(part.startswith("_") for part in full):
                yield ".".join(full)


@pytest.mark.parametrize("path", LIBRARY, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_room_imports_a_private_name_of_another(path):
    if path.parent == ROOT / "thermolinalg" and path.stem == "__init__":
        return  # of the standard library, so that they are no names of the package
    assert list(private_imports(path)) == []


def test_private_imports_are_seen(monkeypatch):
    module = ROOT / "thermolinalg" / "processes" / "base.py"
    monkeypatch.setattr(
        Path, "read_text", lambda _: "from ..numerics.blocks import _size\nfrom .. import _validation\n"
    )
    assert list(private_imports(module)) == ["numerics.blocks._size"]
