"""The figures command on fake figures: what is kept, what is redone, after a kill, by several workers, on a cluster."""

import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest

from figures import __main__ as command
from figures import produce
from tests.papers import fake_gallery

ROOT = Path(__file__).resolve().parents[2]
PICTURES = ("csv", "png", "pdf")


@pytest.fixture
def traces(tmp_path, monkeypatch):
    """Counts of what was done since it was last asked."""
    path = tmp_path / "traces"
    path.touch()
    monkeypatch.setenv("TRACES", str(path))
    seen = Counter()

    def new() -> Counter:
        now = Counter(line.split()[0] for line in path.read_text().splitlines())
        fresh = now - seen
        seen.update(fresh)
        return fresh

    return new


@pytest.fixture
def figures(traces, tmp_path, monkeypatch):
    """The command on the fake figures, in this process; its cache is of this test alone."""
    monkeypatch.setenv("THERMOLINALG_RESULTS", str(tmp_path / "cache"))
    fake_gallery.install(monkeypatch.setattr)
    monkeypatch.setitem(sys.modules, "figures.fake", fake_gallery)

    def run(*arguments, out="out", status=0):
        assert command.main([*arguments, "--out", str(tmp_path / out), "--scale", "smoke"]) == status
        return tmp_path / out

    return run


def in_a_process(*arguments, out: Path) -> subprocess.Popen:
    """The same in a process of its own."""
    line = [sys.executable, "-m", "tests.papers.fake_gallery", *arguments, "--out", str(out), "--scale", "smoke"]
    return subprocess.Popen(
        line, cwd=ROOT, env=os.environ.copy(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def contents(out: Path, *names) -> dict:
    """Bytes of the files that must not vary."""
    return {f"{name}.{end}": (out / f"{name}.{end}").read_bytes() for name in names for end in PICTURES}


def test_nothing_is_done_twice(figures, traces, capsys):
    out = figures("first")
    assert traces() == {"task": 6, "table": 1, "draw": 1}
    assert "first.png .pdf .csv .json: computed" in capsys.readouterr().out
    before = contents(out, "first")
    figures("first")
    assert traces() == {}
    assert "first.png .pdf .csv .json: unchanged" in capsys.readouterr().out
    (out / "first.png").unlink()
    figures("first")
    assert traces() == {"draw": 1}
    (out / "first.csv").write_text("edited by hand\n")
    figures("first")
    assert traces() == {"draw": 1}
    assert contents(out, "first") == before
    assert contents(figures("first", out="elsewhere"), "first") == before
    assert traces() == {"draw": 1}


def test_another_seed_is_computed(figures, traces):
    out = figures("first")
    traces()
    before = contents(out, "first")
    figures("first", "--seed", "1")
    assert traces() == {"task": 6, "table": 1, "draw": 1}
    assert contents(out, "first") != before
    assert contents(figures("first"), "first") == before
    assert traces() == {"draw": 1}


def test_tasks_are_shared_by_figures_and_forced_once(figures, traces):
    figures("first", "twin", "other")
    assert traces() == {"task": 12, "table": 3, "draw": 3}
    figures("first", "twin", "--force")
    assert traces() == {"task": 6, "table": 2, "draw": 2}


def test_times_are_not_taken_from_runs_that_shared_the_machine(figures, traces):
    out = figures("first", "timed")
    assert traces() == {"task": 12, "table": 2, "draw": 2}
    measured = pd.read_csv(out / "timed.csv").seconds
    figures("first", "timed")
    assert traces() == {}
    figures("timed", "--force")
    assert traces() == {"task": 6, "table": 1, "draw": 1}
    assert (pd.read_csv(out / "timed.csv").seconds > measured).all()


def test_a_changed_source_is_computed_anew(figures, traces, monkeypatch):
    figures("first")
    traces()
    changed = "0" * 64
    monkeypatch.setattr("analysis.keys.sources_of", lambda function: changed)
    figures("first")
    assert traces() == {"task": 6, "table": 1, "draw": 1}


def test_a_changed_drawing_is_drawn_anew(figures, traces, monkeypatch):
    figures("first")
    traces()
    monkeypatch.setattr("figures.produce.DRAWING", ("style.py", "produce.py", "catalogue.py"))
    figures("first")
    assert traces() == {"draw": 1}
    first = fake_gallery.FIGURES["first"]
    assert produce.drawing_key(first, "ab", "smoke") != produce.drawing_key(first, "ab", "default")


def test_a_damaged_cache_is_computed_anew(figures, traces, tmp_path):
    before = contents(figures("first"), "first")
    traces()
    for path in (tmp_path / "cache").glob("*/*.json"):
        path.write_bytes(path.read_bytes()[:-20])
    with pytest.warns(RuntimeWarning, match="is damaged .* computed anew"):
        out = figures("first", out="anew")
    assert traces() == {"task": 6, "table": 1, "draw": 1}
    assert contents(out, "first") == before
    figures("first", out="again")
    assert traces() == {"draw": 1}


def test_a_failure_does_not_stop_the_rest(figures, capsys):
    out = figures("failing", "first", status=1)
    told = capsys.readouterr().out
    assert "out of paint" in told
    assert "1 of 2 figures failed" in told
    assert (out / "first.png").exists()
    assert not list(out.glob("failing*"))


def test_killed_and_started_again(figures, traces, tmp_path):
    process = in_a_process("slow", "--jobs", "1", out=tmp_path / "killed")
    deadline = time.monotonic() + 60.0
    while (done := Path(os.environ["TRACES"]).read_text().count("task")) < 3 and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert done >= 3
    assert not list((tmp_path / "killed").glob("slow.*"))
    done = traces()["task"]
    assert done < 6
    out = figures("slow", out="killed")
    again = traces()["task"]
    assert again == 6 - (done - 1)  # the one that it was at is done again
    monkey = tmp_path / "cache"
    monkey.rename(tmp_path / "old cache")
    assert contents(figures("slow", out="undisturbed"), "slow") == contents(out, "slow")
    assert traces()["task"] == 6


def test_two_workers_give_the_same_and_share_tasks(figures, traces, tmp_path):
    names = ("other", "slow", "slow_twin")
    process = in_a_process(*names, "--jobs", "2", out=tmp_path / "two")
    told, _ = process.communicate(timeout=120)
    assert process.returncode == 0, told
    assert traces() == {"task": 12, "table": 3, "draw": 3}
    (tmp_path / "cache").rename(tmp_path / "old cache")
    assert contents(figures(*names, "--jobs", "1"), *names) == contents(tmp_path / "two", *names)


@pytest.mark.filterwarnings("default")  # of dask's own
def test_a_cluster_gives_the_same(figures, traces, tmp_path):
    distributed = pytest.importorskip("distributed", reason="dask is not installed; see the extra [dask]")
    quiet = {"dashboard_address": None, "silence_logs": "ERROR"}
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=True, **quiet) as cluster:
        out = figures("first", "other", "timed", "--dask", cluster.scheduler_address, out="cluster")
    assert traces() == {"task": 18, "table": 3, "draw": 3}
    (tmp_path / "cache").rename(tmp_path / "old cache")
    assert contents(figures("first", "other"), "first", "other") == contents(out, "first", "other")


def test_options_are_checked(figures, capsys):
    for wrong, told in ((["--jobs", "0"], "--jobs must not be 0"), (["nobody1999"], "known figures: first, twin")):
        with pytest.raises(SystemExit) as stop:
            figures(*wrong)
        assert stop.value.code == 2
        assert told in capsys.readouterr().err


def test_gallery_page_shows_every_figure(figures):
    out = figures("first", "other")
    page = (out / "README.md").read_text()
    assert re.findall(r"^### (\w+)$", page, re.MULTILINE) == ["first", "other"]
    assert "[first](#first), [other](#other)" in page
    assert "![other](other.png)\n\nMade up.\n" in page
    assert "(claims.md)" in page
    assert "not meant as evidence" in page
    assert "not meant as evidence" in (out / "claims.md").read_text()
