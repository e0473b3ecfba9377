"""How often one call of the library crosses from room to room: ``python -m tests.crossings``.

A room is the first part of a path below thermolinalg/: laws, measurement, _validation. A crossing is a call from a
function of one room to a function of another; calls from file to file are counted as well, those within a room
included. What NumPy or the standard library call back counts for the file that called them. Each call is made once
before it is counted, so that imports and compilation are not in the numbers. Compiled kernels are not seen. A repeat
is a function that is called across a border again with the very same objects, one of them an array: work that may have
been done twice.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

import thermolinalg as tl

HOUSE = Path(tl.__file__).parent
SIZE = 20
PLAIN = (bool, int, float, complex, str, bytes, type(None))  # equal values may be one object by chance


class Crossing(NamedTuple):
    """One call from file to file: the two modules, the function and what it was called with."""

    caller: str
    module: str
    function: str
    arguments: tuple

    @property
    def rooms(self) -> tuple[str, str]:
        """The rooms of caller and function."""
        return room_of(self.caller), room_of(self.module)


def module_of(code) -> str | None:
    """Module of the library that holds the code: laws.overdamped; None for other code."""
    try:
        path = Path(code.co_filename).relative_to(HOUSE)
    except ValueError:
        return None
    return ".".join(path.with_suffix("").parts)


def room_of(module: str) -> str:
    """The room of a module."""
    return module.split(".")[0]


class Watch:
    """Collects modules and calls between them while it is the profiler of the thread."""

    def __init__(self):
        self.modules: set[str] = set()
        self.between_files: list[Crossing] = []
        self._known: dict = {}

    @property
    def crossings(self) -> list[Crossing]:
        """The calls from room to room."""
        return [c for c in self.between_files if c.rooms[0] != c.rooms[1]]

    def module(self, frame) -> str | None:
        """The module of a frame, looked up once for each code object."""
        code = frame.f_code
        if code not in self._known:
            self._known[code] = module_of(code)
        return self._known[code]

    def __call__(self, frame, event, argument) -> None:
        module = self.module(frame) if event == "call" else None
        if module is None:
            return
        self.modules.add(module)
        caller, outer = None, frame.f_back
        while outer is not None and caller is None:
            caller, outer = self.module(outer), outer.f_back
        if caller is not None and caller != module:
            self.between_files.append(Crossing(caller, module, frame.f_code.co_qualname, arguments_of(frame)))


def arguments_of(frame) -> tuple:
    """Values of the arguments of a function that is just being entered; held, so that no identity is used again."""
    code = frame.f_code
    names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    return tuple(frame.f_locals.get(name) for name in names)


def watched(call: Callable) -> Watch:
    """Make a call twice and watch the second."""
    call()
    watch = Watch()
    sys.setprofile(watch)
    try:
        call()
    finally:
        sys.setprofile(None)
    return watch


def repeats(crossings) -> Counter:
    """Functions that get the very same objects more than once, an array among them, with how often."""
    seen = Counter(
        (f"{c.module}.{c.function}", tuple(value if isinstance(value, PLAIN) else id(value) for value in c.arguments))
        for c in crossings
        if any(isinstance(value, np.ndarray) for value in c.arguments)
    )
    found: Counter = Counter()
    for (function, _), count in seen.items():
        if count > 1:
            found[function] = max(found[function], count)
    return found


def calls(d: int = SIZE) -> dict[str, Callable]:
    """The calls of the table; optimisers and operators are made anew for each, as a first step makes them."""
    A, b = tl.problems.wishart(d, rng=0), np.ones(d)
    drift = A / 4.0 + np.triu(np.ones((d, d)), 1) / d
    device = tl.Device(beta=1e6)
    left, right = (tl.problems.wishart(d, rng=seed) for seed in (1, 2))
    layer = np.ones(d * d)

    def step(optimizer, gradient, curvature):
        theta = np.zeros(gradient.size)
        return optimizer.step(theta, gradient, curvature, optimizer.init(theta))

    return {
        "solve(duration)": lambda: tl.solve(A, b, duration=100.0, rng=0).stderr,
        "inv(n_reads, read_spacing)": lambda: tl.inv(A, n_reads=100, read_spacing=1.0, rng=0).stderr,
        "lyapunov(n_reads)": lambda: tl.lyapunov(drift, 1.0, n_reads=100, rng=0).stderr,
        "expm(n_reads)": lambda: tl.expm(-drift, n_reads=100, rng=0).stderr,
        "step of TNGD": lambda: step(
            tl.optimizers.TNGD(0.1, 0.1, device=device, rng=0), b, tl.curvature.LowRankCurvature(A)
        ),
        "step of ThermodynamicKFAC": lambda: step(
            tl.optimizers.ThermodynamicKFAC(0.1, 0.1, device=device, duration=100.0, rng=0),
            layer,
            tl.curvature.KroneckerCurvature(left, right),
        ),
    }


def table(watches: dict[str, Watch]) -> str:
    """Lines for people: numbers first, then modules and repeats of each call."""
    lines = [f"{'call':<28}{'crossings':>10}{'between files':>15}{'rooms':>7}{'files':>7}"]
    for name, watch in watches.items():
        counts = (len(watch.between_files), len({room_of(module) for module in watch.modules}), len(watch.modules))
        lines.append(f"{name:<28}{len(watch.crossings):>10}{counts[0]:>15}{counts[1]:>7}{counts[2]:>7}")
    for name, watch in watches.items():
        lines += ["", name, f"  modules: {', '.join(sorted(watch.modules))}"]
        borders = Counter(" > ".join(c.rooms) for c in watch.crossings)
        lines.append("  borders: " + ", ".join(f"{border} {n}" for border, n in borders.most_common()))
        again = ", ".join(f"{function} {n} times" for function, n in repeats(watch.crossings).most_common())
        lines.append(f"  repeats: {again or 'none'}")
    return "\n".join(lines)


def main(arguments=None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.crossings", description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=SIZE, help="of the matrices, by default %(default)s")
    options = parser.parse_args(arguments)
    print(table({name: watched(call) for name, call in calls(options.size).items()}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
