"""Every public callable says the type of each of its parameters and of what it returns."""

import importlib
import inspect
from functools import cached_property

import thermolinalg as tl

BESIDES = ("checks",)  # public modules that are no attributes of the package; adapters are left to mypy


def public_items(module):
    """The public functions and classes of a module: those it lists, or those that it or its own modules define."""
    names = getattr(module, "__all__", None)
    for name in names or [name for name in vars(module) if not name.startswith("_")]:
        item = getattr(module, name)
        if inspect.ismodule(item):
            if item.__name__.startswith(f"{tl.__name__}."):
                yield from public_items(item)
        elif names or getattr(item, "__module__", "").startswith(module.__name__):
            yield item


def functions(item):
    """What of a public item can be called: itself, or the constructor, public methods and properties of a class."""
    if not inspect.isclass(item):
        if inspect.isfunction(item):
            yield item.__qualname__, item
        return
    for owner in item.__mro__:
        if owner.__module__.partition(".")[0] != tl.__name__:
            continue
        for name, value in vars(owner).items():
            if name.startswith("_") and name not in ("__init__", "__call__"):
                continue
            if isinstance(value, property):
                value = value.fget
            elif isinstance(value, cached_property):
                value = value.func
            elif isinstance(value, staticmethod | classmethod):
                value = value.__func__
            if inspect.isfunction(value):
                yield f"{owner.__qualname__}.{name}", value


def unsaid(name, function):
    """The parameters of a function without a type, and "return"."""
    signature = inspect.signature(function)
    bound = "." in name  # a method: its first parameter is the object or the class
    missing = [
        parameter.name
        for i, parameter in enumerate(signature.parameters.values())
        if parameter.annotation is parameter.empty and not (bound and i == 0 and parameter.name in ("self", "cls"))
    ]
    if signature.return_annotation is signature.empty and not name.endswith("__init__"):
        missing.append("return")
    return missing


def untyped(items):
    """{room: {function: parameters without a type}}, a room being a sub-package or module of the library."""
    found = {}
    for item in items:
        for name, function in functions(item):
            if missing := unsaid(name, function):
                room = function.__module__.split(".")[1]
                found.setdefault(room, {})[f"{function.__module__}.{name}"] = missing
    return found


def test_every_public_callable_is_typed():
    modules = [tl, *(importlib.import_module(f"{tl.__name__}.{name}") for name in BESIDES)]
    found = untyped(item for module in modules for item in public_items(module))
    assert found == {}


class Untyped:
    def __init__(self, a: int, b):
        """Nothing."""

    def method(self, a) -> int:
        """Nothing."""

    @property
    def number(self):
        """Nothing."""


def test_what_is_not_said_is_found(monkeypatch):
    monkeypatch.setattr(Untyped, "__module__", f"{tl.__name__}.somewhere")
    found = {name: missing for name, function in functions(Untyped) if (missing := unsaid(name, function))}
    assert found == {"Untyped.__init__": ["b"], "Untyped.method": ["a"], "Untyped.number": ["return"]}
