"""What a result depends on, as one key: the function's name, its arguments, the sources and versions that it runs on.

A source changed anywhere in `thermolinalg`, `analysis` or the shared modules of `paper_repro` gives all results new
keys; one changed in the folder of a paper, those of that paper and of the papers that import it.
"""

import ast
import functools
import hashlib
import inspect
import json
import numbers
from dataclasses import fields, is_dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
LIBRARIES = ("thermolinalg", "analysis")
REPRODUCTIONS = "paper_repro"
SUFFIXES = (".py", ".json", ".csv")
JUDGES = ("verdicts.py", "claims.py", "claims.json", "untested.json")  # ends of names: they read tables and make none
PACKAGES = ("numpy", "scipy", "numba", "jax", "jaxlib", "scikit-learn")


def key_of(function, *arguments, **facts) -> str:
    """Key of the result of a call.

    Parameters
    ----------
    function : callable
        A function of a module, not a lambda.
    *arguments, **facts
        Numbers, strings, arrays, seed sequences, dataclasses, and lists, tuples and dicts of them.

    Returns
    -------
    str
        64 hexadecimal digits.

    Raises
    ------
    TypeError
        An argument, or the function, that cannot be told apart from others by its value.

    Examples
    --------
    >>> import math
    >>> key_of(math.sqrt, 2.0) == key_of(math.sqrt, 2.0), key_of(math.sqrt, 2.0) == key_of(math.sqrt, 2)
    (True, False)
    """
    parts = [plain(function), plain(list(arguments)), plain(facts), sources_of(function), versions()]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def plain(value):
    """A value as JSON with one form for each: what a key is made of.

    Examples
    --------
    >>> plain({"steps": 3, "batch": (1, 2.0)})
    {'dict': [['batch', [1, 2.0]], ['steps', 3]]}
    """
    if value is None or isinstance(value, str | bool | np.bool_):
        return bool(value) if isinstance(value, np.bool_) else value
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, numbers.Real):
        return float(value)
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {"dict": sorted(([plain(key), plain(item)] for key, item in value.items()), key=json.dumps)}
    if is_dataclass(value) and not isinstance(value, type):
        return {_name(type(value)): {field.name: plain(getattr(value, field.name)) for field in fields(value)}}
    if isinstance(value, np.random.SeedSequence):
        return {"seed": plain([value.entropy, value.spawn_key, value.n_children_spawned])}
    if isinstance(value, np.ndarray) and value.dtype.kind in "biufc":
        content = hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()
        return {"array": [value.dtype.str, list(value.shape), content]}
    if callable(value):
        return {"function": _name(value)}
    raise TypeError(f"{value!r} is a {type(value).__name__}, which has no key; give plain numbers, strings or arrays")


def _name(thing) -> str:
    name = getattr(thing, "__qualname__", "")
    if not name or "<" in name:
        raise TypeError(f"{thing!r} has no name of its own in a module; use a plain function defined there")
    return f"{thing.__module__}.{name}"


# -- sources and versions


def sources_of(function) -> str:
    """Digest of the sources that a function may run, by the module that it is from.

    Those of a paper are its folder and those of the papers that it imports, without what only judges tables.
    """
    module = function.__module__.split(".")
    if module[0] == REPRODUCTIONS or module[0] in LIBRARIES:
        return sources(module[1] if len(module) > 2 and module[0] == REPRODUCTIONS else "")
    try:
        own = Path(inspect.getfile(function)).read_bytes()
    except (TypeError, OSError):  # built in
        own = b""
    return hashlib.sha256(own + sources("").encode()).hexdigest()


@functools.cache
def sources(paper: str = "", root: Path = ROOT) -> str:
    """Digest of all that a paper may run; of what all papers share for "" or for a folder that is no paper's.

    Read once in a process: it stands for the code that was loaded.
    """
    folder = root / REPRODUCTIONS
    papers = {path.parent.name for name in ("run.py", "settings.py") for path in folder.glob(f"*/{name}")}
    files = [path for name in LIBRARIES for path in _files(root / name)]
    files += [path for path in _files(folder) if path.relative_to(folder).parts[0] not in papers]
    for name in _with_imported(paper, papers, folder) if paper in papers else ():
        files += _files(folder / name)
    return digest(files, root)


def digest(files, root: Path = ROOT) -> str:
    """Digest of the names and contents of files."""
    found = hashlib.sha256()
    for path in sorted(set(files)):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        found.update(f"{path.relative_to(root)} {content}\n".encode())
    return found.hexdigest()


def _files(folder: Path) -> list[Path]:
    return [
        path
        for path in folder.rglob("*")
        if path.suffix in SUFFIXES and not path.name.endswith(JUDGES) and "__pycache__" not in path.parts
    ]


def _with_imported(paper: str, papers: set[str], folder: Path) -> set[str]:
    """A paper and the papers that it imports, and so on."""
    found, new = set(), {paper}
    while new:
        name = new.pop()
        found.add(name)
        new |= {other for path in (folder / name).rglob("*.py") for other in _imported(path) & papers} - found
    return found


def _imported(path: Path) -> set[str]:
    """All words of the import statements of a file."""
    words = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names] + [getattr(node, "module", None) or ""]
            words |= {word for name in names for word in name.split(".")}
    return words


@functools.cache
def versions() -> dict[str, str]:
    """Versions of the packages that numbers come from, as far as they are installed."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = ""
    return found
