"""What a docstring refers to under "See Also" exists."""

import importlib
import inspect
import re
from pathlib import Path

import thermolinalg as tl

LIBRARY = Path(tl.__file__).parent


def referred(text):
    """The names under "See Also" of a docstring."""
    found = re.search(r"^See Also\n-+\n((?:.+\n?)+)", text, flags=re.MULTILINE)
    for line in found[1].splitlines() if found else ():
        yield from (name.strip() for name in line.partition(" : ")[0].split(",") if not line.startswith(" "))


def resolved(name, module):
    """What a name means in a module: there, in its package, in the library, or in full."""
    for home in (module, importlib.import_module(module.__name__.rpartition(".")[0] or tl.__name__), tl):
        value, path = home, name.removeprefix(f"{tl.__name__}.").split(".") if home is tl else name.split(".")
        for part in path:
            value = getattr(value, part, None)
        if value is not None:
            return value
    return None


def test_everything_referred_to_exists():
    names = [".".join(path.relative_to(LIBRARY.parent).with_suffix("").parts) for path in LIBRARY.rglob("*.py")]
    missing = []
    for name in names:
        if ".adapters." in name or name.endswith(("__init__", "__main__")):
            continue
        module = importlib.import_module(name)
        for item in vars(module).values():
            if (inspect.isclass(item) or inspect.isfunction(item)) and item.__module__ == name:
                missing += [
                    f"{name}.{item.__qualname__}: {other}"
                    for other in referred(inspect.getdoc(item) or "")
                    if resolved(other, module) is None
                ]
    assert missing == []


def test_names_are_read_and_resolved():
    text = "One.\n\nSee Also\n--------\nsolve, inv : Both.\n    More of it.\ntl.nothing : None.\n\nNotes\n-----\n"
    assert list(referred(text)) == ["solve", "inv", "tl.nothing"]
    assert resolved("thermolinalg.curvature.Tracking", tl.stats) is tl.curvature.Tracking
    assert resolved("KFAC", importlib.import_module("thermolinalg.optimizers.damping")) is tl.optimizers.KFAC
    assert resolved("Estimate.nothing", tl.stats) is None
