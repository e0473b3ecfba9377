"""Results kept on disk by their keys: written whole or not at all, checked when read, safe with several processes.

A damaged file counts as none, with a warning. Values are JSON with arrays in it, never pickles: a file from somebody
else cannot run code. Folder: the environment variable THERMOLINALG_RESULTS, else ``figures/.cache``.
"""

import base64
import contextlib
import errno
import hashlib
import json
import os
import uuid
import warnings
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from .keys import ROOT

try:
    import fcntl
except ImportError:  # no such locks: processes that meet make the same result twice
    fcntl = None  # type: ignore[assignment]

VARIABLE = "THERMOLINALG_RESULTS"
TYPE = "type"  # marks an encoded value in JSON


def default_folder() -> Path:
    """Where results are kept unless somebody says otherwise."""
    return Path(os.environ.get(VARIABLE) or ROOT / "figures" / ".cache").resolve()


@dataclass(frozen=True)
class Cache:
    """A folder of results.

    Parameters
    ----------
    folder : path
    session : str
        Marks what is written.
    fresh : bool
        Find only what was written in this session: a forced computation, that still makes nothing twice.
    timed : str
        Not empty: measured times count, and only those measured alone on the machine of this name do.

    Examples
    --------
    >>> import tempfile
    >>> cache = Cache(Path(tempfile.mkdtemp()))
    >>> cache.write("ab12", encode({"error": 0.1}))
    >>> decode(cache.read("ab12")), cache.read("cd34")
    ({'error': 0.1}, None)
    """

    folder: Path = field(default_factory=default_folder)
    session: str = field(default_factory=lambda: uuid.uuid4().hex)
    fresh: bool = False
    timed: str = ""

    def path(self, key: str) -> Path:
        """The file of a result."""
        return self.folder / key[:2] / f"{key}.json"

    def read(self, key: str) -> str | None:
        """The encoded result, or None where there is none; a damaged file is none, with a warning."""
        path = self.path(key)
        try:
            check, session, value = path.read_text().split("\n")
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            _warn(path, error)
            return None
        if check != _check(session, value):
            _warn(path, "its checksum is another")
            return None
        return None if self.fresh and session != self.session else value

    def write(self, key: str, value: str) -> None:
        """Keep an encoded result."""
        write_whole(self.path(key), f"{_check(self.session, value)}\n{self.session}\n{value}".encode())

    @contextlib.contextmanager
    def lock(self, key: str, wait: bool = True):
        """Hold the right to make a result among all processes; gives whether it is held, at once unless told to wait.

        It is given back when the process ends, however it ends.
        """
        if fcntl is None:
            yield True
            return
        place, file = int(key[:12], 16), _lock_file(self.folder)
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB), 1, place)
        except OSError as error:  # another process has it; or the disk knows no locks, and then nobody waits
            yield error.errno not in (errno.EAGAIN, errno.EACCES)
            return
        try:
            yield True
        finally:
            fcntl.lockf(file, fcntl.LOCK_UN, 1, place)


_LOCK_FILES: dict[Path, int] = {}  # one open file a process: closing any copy would give all of its locks back


def _lock_file(folder: Path) -> int:
    if folder not in _LOCK_FILES:
        folder.mkdir(parents=True, exist_ok=True)
        _LOCK_FILES[folder] = os.open(folder / "locks", os.O_RDWR | os.O_CREAT, 0o666)
    return _LOCK_FILES[folder]


def _check(session: str, value: str) -> str:
    return hashlib.sha256(f"{session}\n{value}".encode()).hexdigest()


def _warn(path: Path, reason) -> None:
    warnings.warn(f"{path} is damaged ({reason}); it is computed anew", RuntimeWarning, stacklevel=3)


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that it is there whole or not at all.

    Examples
    --------
    >>> import tempfile
    >>> write_whole(Path(tempfile.mkdtemp()) / "some" / "file", b"all of it")
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        aside.write_bytes(content)
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)


_ACTIVE: ContextVar[Cache | None] = ContextVar("active", default=None)


def active() -> Cache:
    """The cache in use."""
    return _ACTIVE.get() or Cache()


@contextlib.contextmanager
def using(cache: Cache):
    """Use this cache inside."""
    token = _ACTIVE.set(cache)
    try:
        yield cache
    finally:
        _ACTIVE.reset(token)


# -- values as text


def encode(value) -> str:
    """A value as one line of text, from which `decode` gives the same bits back.

    Parameters
    ----------
    value
        None, bool, int, float, str, array, DataFrame, and lists, tuples and dicts with names of them.

    Raises
    ------
    TypeError
        Anything else.
    """
    return json.dumps(_packed(value))


def decode(text: str):
    """The value of a text from `encode`."""
    return _unpacked(json.loads(text))


def _packed(value):
    if value is None or type(value) in (bool, int, float, str):
        return value
    if type(value) is list:
        return [_packed(item) for item in value]
    if type(value) is tuple:
        return {TYPE: "tuple", "items": [_packed(item) for item in value]}
    if type(value) is dict and all(type(name) is str for name in value):
        return {TYPE: "dict", "items": {name: _packed(item) for name, item in value.items()}}
    if isinstance(value, np.ndarray | np.generic) and value.dtype.kind in "biufc":
        array = np.ascontiguousarray(value)
        content = base64.b64encode(array.tobytes()).decode()
        kind = "array" if isinstance(value, np.ndarray) else "number"
        return {TYPE: kind, "dtype": array.dtype.str, "shape": list(value.shape), "content": content}
    if isinstance(value, pd.DataFrame) and all(type(name) is str for name in value.columns):
        index = None if value.index.equals(pd.RangeIndex(len(value))) else _column(value.index.to_series())
        columns = [[name, _column(value.iloc[:, i])] for i, name in enumerate(value.columns)]
        return {TYPE: "table", "columns": columns, "index": index, "attrs": _packed(dict(value.attrs)), "n": len(value)}
    raise TypeError(f"a result cannot have a {type(value).__name__}; give numbers, strings, arrays or tables of them")


def _column(series: pd.Series):
    if isinstance(series.dtype, np.dtype) and series.dtype.kind in "biuf":
        return _packed(series.to_numpy())
    if series.dtype == object or str(series.dtype) == "str":
        return {TYPE: "column", "dtype": str(series.dtype), "items": [_packed(item) for item in series.tolist()]}
    raise TypeError(f"a table cannot have a column {series.name!r} of dtype {series.dtype}; numbers and strings only")


def _unpacked(value):
    if isinstance(value, list):
        return [_unpacked(item) for item in value]
    if not isinstance(value, dict):
        return value
    kind = value[TYPE]
    if kind == "tuple":
        return tuple(_unpacked(item) for item in value["items"])
    if kind == "dict":
        return {name: _unpacked(item) for name, item in value["items"].items()}
    if kind == "column":
        return pd.Series([_unpacked(item) for item in value["items"]], dtype=value["dtype"])
    if kind == "table":
        return _table(value)
    array = np.frombuffer(base64.b64decode(value["content"]), value["dtype"]).reshape(value["shape"])
    return array.copy() if kind == "array" else array[()]


def _table(value: dict) -> pd.DataFrame:
    table = pd.DataFrame({i: _unpacked(column) for i, (_, column) in enumerate(value["columns"])}, range(value["n"]))
    table.columns = pd.Index([name for name, _ in value["columns"]])
    if value["index"] is not None:
        table.index = pd.Index(_unpacked(value["index"]))
    table.attrs = _unpacked(value["attrs"])
    return table
