"""thermolinalg: linear algebra on simulated thermodynamic computers, exact in law and honest about cost."""

import ast as _ast
from importlib import import_module as _import_module
from pathlib import Path as _Path

__version__ = "0.1.0"


def _homes() -> dict[str, tuple[str, str]]:
    """Module and name of each public name, as the stub beside this file states them for type checkers and editors."""
    stub = _ast.parse(_Path(__file__).with_suffix(".pyi").read_text(encoding="utf-8"))
    imports = (node for node in stub.body if isinstance(node, _ast.ImportFrom))
    return {alias.asname or alias.name: (node.module or "", alias.name) for node in imports for alias in node.names}


_HOMES = _homes()
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> object:
    """Import a public name when it is first used (PEP 562): most callers need few, and some not even Numba."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, attribute = _HOMES[name]
    value = (
        getattr(_import_module(f".{module}", __name__), attribute) if module else _import_module(f".{name}", __name__)
    )
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return ["__version__", *__all__]
