"""The table of calls from room to room: what it counts, and that it can be printed."""

import numpy as np

import thermolinalg as tl
from tests import crossings


def test_a_table_with_every_call_is_printed(capsys):
    assert crossings.main(["--size", "4"]) == 0
    printed = capsys.readouterr().out
    head = printed.split("\n\n")[0].splitlines()
    assert [line.rsplit(maxsplit=4)[0].strip() for line in head[1:]] == list(crossings.calls(4))
    for line in head[1:]:
        crossed, between_files, rooms, files = (int(number) for number in line.rsplit(maxsplit=4)[1:])
        assert 0 < crossed <= between_files
        assert 1 < rooms <= files


def test_calls_within_a_room_are_no_crossings():
    watch = crossings.watched(lambda: tl.laws.phi1(0.5))
    assert watch.modules == {"laws.overdamped"}
    assert not watch.between_files


def test_a_call_into_another_room_is_one_crossing():
    watch = crossings.watched(lambda: tl.Diagonal([1.0, 2.0]))
    assert {c.rooms for c in watch.crossings} == {("operators", "checks")}
    assert {crossings.room_of(module) for module in watch.modules} == {"operators", "checks"}


def test_the_same_array_given_twice_is_a_repeat():
    x, y = np.ones(2), np.ones(2)
    pairs = [("vector", (x, "x", 2)), ("vector", (x, "x", 2)), ("vector", (y, "x", 2)), ("count", (3, "n", 1))]
    made = [crossings.Crossing("primitives.solve", "_validation", *pair) for pair in pairs]
    assert crossings.repeats(made) == {"_validation.vector": 2}
    assert not crossings.repeats(made[1:])
