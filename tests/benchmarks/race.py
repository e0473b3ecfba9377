"""Contenders timed in turn, round after round, so that whatever else the machine does meets them all alike.

pytest-benchmark times one test after another. Here a race is run as a whole when its first contender is asked for,
and every test then hands its contender's seconds to pytest-benchmark by a clock that replays them: round i of all
contenders lies within the same seconds, and ratios are taken round by round.
"""

import os
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from statistics import median
from time import perf_counter

import pytest

FULL = os.environ.get("FULL", "") not in ("", "0")
ENOUGH, LEAST, MOST = 1.0, 3, 25  # seconds of a contender, and rounds, that a race aims at


class Clock:
    """A clock that shows the time it was told."""

    def __init__(self):
        self.now = 0.0

    def __call__(self) -> float:
        """The time."""
        return self.now

    def replay(self, benchmark, seconds: list[float]) -> None:
        """Hand measured seconds, a round each, to pytest-benchmark."""
        rounds: Iterator[float] = iter(seconds)

        def target():
            self.now += next(rounds)

        benchmark.pedantic(target, rounds=len(seconds), iterations=1)


CLOCK = Clock()


class Calls:
    """A contender whose Python is what is timed: the median of many calls, one right after another."""

    def __init__(self, run: Callable, calls: int):
        self._run, self._calls = run, calls

    def seconds(self) -> float:
        """Of a call, made now."""
        return median(_timed(self._run) for _ in range(self._calls))


@dataclass(frozen=True)
class Race:
    """What is compared in a group.

    Attributes
    ----------
    group : str
        Its name; takes the fields of a case.
    start : callable
        Case to a dict of contenders: functions without arguments, or objects whose `seconds()` times itself.
    cases : tuple of dict
        Sizes that are run.
    names : tuple of str
        All contenders; one that `start` leaves out at some size is skipped there.
    """

    group: str
    start: Callable[..., dict]
    cases: tuple[tuple[tuple[str, int], ...], ...]
    names: tuple[str, ...]

    @lru_cache(maxsize=1)  # noqa: B019  the race of one case at a time
    def seconds(self, case) -> dict[str, list[float]]:
        """Seconds of each round of each contender, after one call that is not counted (it compiles)."""
        contenders = self.start(**dict(case))
        with warnings.catch_warnings():  # a short run may be told that it is short
            warnings.simplefilter("ignore")
            return _in_turn(contenders)


def _in_turn(contenders: dict) -> dict[str, list[float]]:
    first = {name: _timed(run) for name, run in contenders.items()}
    second = {name: _timed(run) if first[name] < 2.0 else first[name] for name, run in contenders.items()}
    rounds = {name: _rounds(t) for name, t in second.items()}
    found: dict[str, list[float]] = {name: [] for name in contenders}
    for i in range(max(rounds.values())):
        for name, run in contenders.items():
            if i < rounds[name]:
                found[name].append(_timed(run))
    return found


def _timed(run) -> float:
    if hasattr(run, "seconds"):
        return run.seconds()
    start = perf_counter()
    run()
    return perf_counter() - start


def _rounds(seconds: float) -> int:
    return int(min(MOST, max(LEAST, ENOUGH / max(seconds, 1e-9))))


def cases(**values) -> tuple[tuple[tuple[str, int], ...], ...]:
    """All combinations of the values of each field."""
    found: list[tuple[tuple[str, int], ...]] = [()]
    for name, options in values.items():
        found = [(*case, (name, option)) for case in found for option in options]
    return tuple(found)


def entries(*races: Race):
    """Parametrises a test by (race, case, name): all contenders of a case one after another."""
    found = [(race, case, name) for race in races for case in race.cases for name in race.names]
    identifiers = [f"{race.group.format(**dict(case))}-{name}" for race, case, name in found]
    return pytest.mark.parametrize(("race", "case", "name"), found, ids=identifiers)


replayed = pytest.mark.benchmark(timer=CLOCK)  # of every test that calls `show`


def show(benchmark, race: Race, case, name: str) -> None:
    """The body of such a test."""
    seconds = race.seconds(case)
    if name not in seconds:
        pytest.skip("not run at this size")
    benchmark.group = race.group.format(**dict(case))
    benchmark.extra_info.update({"contender": name, **dict(case)})
    CLOCK.replay(benchmark, seconds[name])
