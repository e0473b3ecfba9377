"""The figures command on a catalogue of small figures that leave traces: ``python -m tests.papers.fake_gallery``.

Each task, table and drawing adds a line to the file that the variable TRACES names.
"""

import os
import sys
import time
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.sweeps import sweep
from figures import __main__ as command
from figures import catalogue
from figures.catalogue import FigureSpec
from figures.style import panels


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How many tasks, how long each takes, and what tells them from those of other figures."""

    tasks: int = 6
    wait: float = 0.0
    offset: float = 0.0


def task(parameters) -> dict:
    """Some linear algebra."""
    settings, seed = parameters
    trace(f"task {settings.offset:g} {seed}")
    time.sleep(settings.wait)
    A = np.random.default_rng(seed).standard_normal((60, 60))
    return {"seed": seed, "value": float(np.linalg.slogdet(A @ A.T)[1]) + settings.offset}


def table(settings, seed) -> pd.DataFrame:
    """A row for each task; figures with the same settings have the same tasks."""
    trace("table")
    return pd.DataFrame(sweep(task, [(settings, int(seed.entropy[0]) + i) for i in range(settings.tasks)]))


def timed_table(settings, seed) -> pd.DataFrame:
    """The same, with a measured time."""
    return table(settings, seed).assign(seconds=time.perf_counter())


def failing_table(settings, seed) -> pd.DataFrame:
    """No table."""
    raise RuntimeError("out of paint")


def trace(line: str) -> None:
    """Add a line for the test to count."""
    with open(os.environ["TRACES"], "a") as file:
        file.write(line + "\n")


def draw(rows):
    """Values against their places."""
    trace("draw")
    figure, axes = panels(height=0.8, width=0.8)
    axes[0, 0].plot(np.arange(len(rows)), rows.value)
    return figure


def spec(name: str, function=table, **changes) -> FigureSpec:
    """A figure of the fake paper."""
    settings = dict.fromkeys(("smoke", "default", "paper"), Settings(**changes))
    return FigureSpec(
        id=name, paper="fake", table=function, settings=settings, draw=draw, timed=function is timed_table,
        look="A line.", note="Made up.",
    )  # fmt: skip


FIGURES = {
    one.id: one
    for one in (
        spec("first"), spec("twin"), spec("other", offset=1.0), spec("slow", wait=0.3, offset=2.0),
        spec("slow_twin", wait=0.3, offset=2.0), spec("timed", timed_table), spec("failing", failing_table),
    )
}  # fmt: skip
REAL_ATTEMPT = command.attempt


def all_figures() -> dict[str, FigureSpec]:
    """In place of the catalogue's."""
    return FIGURES


def attempt(name, job, cache):
    """The command's own; in a worker, too, on these figures."""
    command.all_figures = all_figures
    return REAL_ATTEMPT(name, job, cache)


def install(setattr_=setattr) -> None:
    """Put the figures in place of those of the papers."""
    for module in (command, catalogue):
        setattr_(module, "all_figures", all_figures)
        setattr_(module, "PAPERS", ("fake",))
    setattr_(command, "attempt", attempt)
    sys.modules["figures.fake"] = sys.modules[__name__]


if __name__ == "__main__":
    from tests.papers import fake_gallery  # by the name under which workers find it

    fake_gallery.install()
    sys.exit(command.main(sys.argv[1:]))
