"""Keys of results, their files, and sweeps: what changes a key, what is read back, what damage does."""

import math
import subprocess
import sys
from dataclasses import dataclass

import joblib
import numpy as np
import pandas as pd
import pytest

from analysis import keys, results_cache, sweeps
from analysis.keys import key_of, plain
from analysis.results_cache import Cache, decode, encode, using
from paper_repro import logs
from paper_repro.training import Training


@dataclass(frozen=True)
class Settings:
    """Of no figure."""

    size: int
    step: float = 0.1


SAME = [
    ([1, 2], (1, 2)),
    ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
    (np.float64(0.1), 0.1),
    (np.random.SeedSequence([3, 4]), np.random.SeedSequence([3, 4])),
    (np.arange(3.0), np.array([0.0, 1.0, 2.0])),
]
OTHER = [
    (1, 1.0), (True, 1), ("1", 1), (0.1, math.nextafter(0.1, 1.0)), ({"a": 1}, {"a": 2}),
    (Settings(1), Settings(1, 0.2)),
    (np.random.SeedSequence(3), np.random.SeedSequence(4)), (math.sqrt, math.log), (None, "None"),
    (np.random.SeedSequence(3), np.random.SeedSequence(3).spawn(1)[0]),
    (np.arange(3), np.arange(3.0)), (np.zeros((2, 3)), np.zeros((3, 2))),
]  # fmt: skip


@pytest.mark.parametrize(("one", "other"), SAME)
def test_equal_arguments_have_one_key(one, other):
    assert key_of(math.sqrt, one) == key_of(math.sqrt, other)


@pytest.mark.parametrize(("one", "other"), OTHER)
def test_different_arguments_have_different_keys(one, other):
    assert key_of(math.sqrt, one) != key_of(math.sqrt, other)


def test_the_function_is_in_the_key():
    assert len({key_of(math.sqrt, 1), key_of(math.log, 1), key_of(math.sqrt, 1, timed="here")}) == 3


@pytest.mark.parametrize("strange", [object(), {1, 2}, lambda: 0, np.array([None]), np.random.default_rng(0)])
def test_what_has_no_key_is_refused(strange):
    with pytest.raises(TypeError, match=r"give plain numbers|use a plain function"):
        plain({"option": [strange]})


def test_versions_are_in_the_key(monkeypatch):
    before = key_of(math.sqrt, 1)
    monkeypatch.setattr(keys, "versions", lambda: {"numpy": "0.1"})
    assert key_of(math.sqrt, 1) != before


# -- sources


@pytest.fixture
def tree(tmp_path):
    """A small checkout: papers one and two, of which two imports one, and three, which only speaks of it."""
    files = {
        "thermolinalg/kernels/a.py": "", "analysis/b.py": "", "paper_repro/training.py": "",
        "paper_repro/datasets/c.py": "", "paper_repro/tuned/d.json": "{}", "paper_repro/claims.py": "",
        "paper_repro/one/run.py": "", "paper_repro/one/claims.json": "{}", "paper_repro/one/verdicts.py": "",
        "paper_repro/two/run.py": "from paper_repro.one.run import table", "paper_repro/two/part_verdicts.py": "",
        "paper_repro/three/settings.py": "# as paper_repro.one does", "figures/one.py": "",
    }  # fmt: skip
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def of_all(tree) -> dict:
    """Digests of all papers and of what they share, read anew."""
    return {paper: keys.sources.__wrapped__(paper, tree) for paper in ("one", "two", "three", "")}


ALL = {"one", "two", "three", ""}


@pytest.mark.parametrize(
    ("changed", "papers"),
    [
        ("thermolinalg/kernels/a.py", ALL), ("analysis/b.py", ALL), ("paper_repro/training.py", ALL),
        ("paper_repro/datasets/c.py", ALL), ("paper_repro/tuned/d.json", ALL), ("analysis/new.py", ALL),
        ("paper_repro/one/run.py", {"one", "two"}), ("paper_repro/two/run.py", {"two"}),
        ("paper_repro/three/settings.py", {"three"}), ("paper_repro/one/claims.json", set()),
        ("paper_repro/one/verdicts.py", set()), ("paper_repro/two/part_verdicts.py", set()),
        ("paper_repro/claims.py", set()), ("figures/one.py", set()), ("thermolinalg/notes.txt", set()),
    ],
)  # fmt: skip
def test_a_changed_source_changes_what_runs_it(tree, changed, papers):
    before = of_all(tree)
    assert before == of_all(tree)
    with open(tree / changed, "a") as file:
        file.write("\n")
    after = of_all(tree)
    assert {paper for paper in before if before[paper] != after[paper]} == papers


def test_functions_have_the_sources_of_their_paper():
    from paper_repro.duffield2025 import run

    assert keys.sources_of(run.exponential_error_vs_time) == keys.sources("duffield2025") != keys.sources("")
    assert keys.sources_of(logs._log) == keys.sources("") == keys.sources("datasets")
    assert keys.sources_of(math.sqrt) != keys.sources("")


# -- files


def values():
    """Things that come back as they were."""
    table = pd.DataFrame({
        "x": [0.1, np.nan, np.inf], "n": [1, 2, 3], "single": np.float32([0.1, 0.2, 0.3]), "yes": [True, False, True],
        "name": ["a", None, "b\n"], "mixed": [None, 0.1, "text"], "empty": [None, None, None],
    })  # fmt: skip
    table.attrs = {"settings": {"rate": 0.1, "sizes": [1, 2]}}
    yield from (None, True, 3, 0.1, "ü\n", [1, (2.0, None)], {"a": {"type": "tuple"}}, float("inf"))
    yield from (np.arange(6.0).reshape(2, 3), np.float64(0.1), np.float32(0.1), np.array(2 + 1j), np.int64(3))
    yield from (table, table[table.n > 1], table.iloc[:0], pd.DataFrame({"x": [1.5]}, index=["row"]))


def same(one, other) -> bool:
    """Equal to the bit, types included."""
    if isinstance(one, pd.DataFrame):
        pd.testing.assert_frame_equal(one, other, check_exact=True)
        kinds = [[type(item) for item in frame.to_numpy(dtype=object).ravel()] for frame in (one, other)]
        return kinds[0] == kinds[1] and one.attrs == other.attrs
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes()
    return type(one) is type(other) and repr(one) == repr(other)


@pytest.mark.parametrize("value", list(values()), ids=lambda value: type(value).__name__)
def test_values_come_back_as_they_were(value, tmp_path):
    cache = Cache(tmp_path)
    cache.write("ab", encode(value))
    assert same(decode(cache.read("ab")), value)


@pytest.mark.parametrize(
    "value",
    [{1, 2}, {1: "a"}, object(), pd.DataFrame({"x": pd.Categorical(["a"])}), pd.DataFrame({1: [2]}), np.array([None])],
)
def test_what_would_not_come_back_is_refused(value):
    with pytest.raises(TypeError, match="cannot have a"):
        encode({"found": value})


@pytest.mark.parametrize("damage", [b"", b"a\nb", b"\xff\xfe", None])
def test_a_damaged_file_is_none(tmp_path, damage):
    cache = Cache(tmp_path)
    cache.write("ab", encode(0.125))
    path = cache.path("ab")
    path.write_bytes(path.read_bytes().replace(b"0.125", b"0.126") if damage is None else damage)
    with pytest.warns(RuntimeWarning, match="is damaged"):
        assert sweeps.remember(cache, "ab", lambda: 0.25) == 0.25
    assert decode(cache.read("ab")) == 0.25


def test_files_are_whole_or_not_there(tmp_path, monkeypatch):
    target = tmp_path / "a.csv"
    results_cache.write_whole(target, b"old")

    def fail(*_):
        raise OSError("disk is gone")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(OSError, match="disk is gone"):
        results_cache.write_whole(target, b"new")
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_fresh_cache_finds_what_it_wrote_itself(tmp_path):
    Cache(tmp_path).write("ab", "1")
    fresh = Cache(tmp_path, fresh=True)
    assert fresh.read("ab") is None
    fresh.write("ab", "2")
    assert (fresh.read("ab"), Cache(tmp_path).read("ab")) == ("2", "2")


HOLDER = """
import sys
from pathlib import Path
from analysis.results_cache import Cache
with Cache(Path(sys.argv[1])).lock("ab12cd34ef567890"):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_lock_is_held_against_other_processes_until_they_end(tmp_path):
    line = [sys.executable, "-c", HOLDER, str(tmp_path)]
    other = subprocess.Popen(line, cwd=keys.ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert other.stdout.readline() == "held\n"
    with (
        Cache(tmp_path).lock("ab12cd34ef567890", wait=False) as held,
        Cache(tmp_path).lock("00" * 8, wait=False) as free,
    ):
        assert (held, free) == (False, True)
    other.kill()
    other.communicate()
    with Cache(tmp_path).lock("ab12cd34ef567890") as held:
        assert held


def test_the_folder_is_the_users_choice(tmp_path, monkeypatch):
    monkeypatch.setenv("THERMOLINALG_RESULTS", str(tmp_path / "mine"))
    assert Cache().folder == tmp_path / "mine"
    monkeypatch.delenv("THERMOLINALG_RESULTS")
    assert Cache().folder.parts[-2:] == ("figures", ".cache")


# -- sweeps

CALLS = []


def noted(x: float) -> float:
    """A square that tells that it was computed."""
    CALLS.append(x)
    return x * x


def undone(x: float) -> float:
    """Fails at 2."""
    if x == 2.0:
        raise FloatingPointError("two")
    return noted(x)


@pytest.fixture
def cache(tmp_path):
    """In use, with no calls so far."""
    CALLS.clear()
    with using(Cache(tmp_path)) as found:
        yield found


def test_a_sweep_computes_each_task_once_and_keeps_their_order(cache):
    assert sweeps.sweep(noted, [3.0, 1.0, 3.0]) == [9.0, 1.0, 9.0]
    assert sweeps.sweep(noted, iter([1.0, 2.0, 3.0])) == [1.0, 4.0, 9.0]
    assert CALLS == [3.0, 1.0, 2.0]
    assert sweeps.sweep(noted, []) == []


def test_a_sweep_that_fails_keeps_what_was_done(cache):
    with pytest.raises(FloatingPointError, match="two"):
        sweeps.sweep(undone, [1.0, 2.0, 3.0])
    assert sweeps.sweep(undone, [1.0, 3.0]) == [1.0, 9.0]
    assert CALLS == [1.0, 3.0]


def test_a_sweep_goes_where_joblib_is_configured_to(cache):
    with joblib.parallel_config(backend="threading", n_jobs=2):
        assert sweeps.sweep(noted, [1.0, 2.0, 3.0, 4.0]) == [1.0, 4.0, 9.0, 16.0]
    assert sorted(CALLS) == [1.0, 2.0, 3.0, 4.0]
    assert sweeps.sweep(noted, [4.0]) == [16.0]
    assert len(CALLS) == 4


def test_a_timed_sweep_stays_here_and_apart(cache):
    sweeps.sweep(noted, [1.0])
    with using(Cache(cache.folder, timed="this machine")), joblib.parallel_config(backend="threading", n_jobs=2):
        assert sweeps.sweep(noted, [1.0, 2.0]) == [1.0, 4.0]
    assert CALLS == [1.0, 1.0, 2.0]
    with using(Cache(cache.folder, timed="another machine")):
        sweeps.sweep(noted, [1.0])
    assert len(CALLS) == 4


def test_a_worker_with_other_sources_is_refused():
    with pytest.raises(RuntimeError, match="other sources"):
        sweeps._call(noted, "ab", 1.0, ("0" * 64, keys.versions()))
    assert sweeps._call(noted, "ab", 3.0, (keys.sources_of(noted), keys.versions())) == ("ab", "9.0")


def test_results_of_one_task_are_not_one_object(cache):
    one, other = sweeps.sweep(table_of, [3, 3])
    one["x"] = 0.0
    assert other.x.tolist() == [0, 1, 2]


def table_of(n: int) -> pd.DataFrame:
    """Some rows."""
    return pd.DataFrame({"x": range(n)})


def test_a_run_is_trained_once_whichever_table_asks(cache, monkeypatch):
    trained = []
    train = logs.train
    monkeypatch.setattr(logs, "train", lambda run, **options: trained.append(run.seed) or train(run, **options))
    run = Training(
        data="digits", model="mlp", model_options={"sizes": [64, 4, 10]}, optimizer="SGD",
        options={"learning_rate": 0.1}, batch_size=8, steps=3,
    )  # fmt: skip
    first, second = logs.logs([run])[0], logs.log_of(run)
    pd.testing.assert_frame_equal(first, second, check_exact=True)
    assert first.attrs["settings"] == second.attrs["settings"]
    assert first.attrs["settings"]["optimizer"] == "SGD"
    assert trained == [0]
    assert logs.end_of(run).tobytes() == logs.end_of(run).tobytes()


def test_a_run_with_a_papers_own_optimizer_needs_a_function_of_that_paper():
    own = "paper_repro.donatella2024.null_momentum:NullMomentum"
    run = Training(data="digits", model="mlp", optimizer=own, curvature={"kind": "exact"}, batch_size=8, steps=3)
    with pytest.raises(ValueError, match="NullMomentum: not of thermolinalg"):
        logs.logs([run])
