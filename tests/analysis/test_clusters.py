"""Where tasks run and how long on paper; the recipe of docs/clusters.md, run as it stands but small."""

import os
import re
import sys
from pathlib import Path

import joblib
import pytest

from analysis import clusters, replicas
from analysis.clusters import expected_seconds, workers
from analysis.results_cache import Cache, using
from analysis.sweeps import sweep

PAGE = Path(__file__).resolve().parents[2] / "docs" / "clusters.md"
SMALL = (("1_000_000", "12"), ("d=100", "d=4"), ("[10, 100, 1000]", "[4]"), ("[10.0, 100.0, 1000.0]", "[3.0]"))


def process(task: int) -> int:
    """The process that a task is done in."""
    return os.getpid()


def simulated_seconds(tasks, seconds, count, overhead):
    """Tasks sent one after the other, each to the worker that is free first; when the last is done and kept."""
    free, sent = [0.0] * count, 0.0
    for _ in range(tasks):
        sent += overhead
        free.sort()
        free[0] = max(free[0], sent) + seconds
    return max(free)


@pytest.mark.parametrize("count", [1, 7, 50, 400, 3000])
def test_model_agrees_with_a_simulated_queue(count):
    """The model is what a queue takes but for its start and its end: one task and one overhead."""
    found = simulated_seconds(2000, 1.0, count, 0.01)
    model = expected_seconds(2000, 1.0, count, 0.01)
    assert model <= found <= model + 1.0 + 0.01 * min(count, 2000) + 1e-9


def test_more_workers_than_the_sender_can_feed_do_not_help():
    times = [expected_seconds(10**4, 1.0, count, 0.01) for count in (10, 100, 1000, 10**4)]
    assert times == [1000.0, 100.0, 100.0, 100.0]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [((0, 1.0, 1), "tasks must be at least 1"), ((1, 0.0, 1), "seconds must be positive"),
     ((1, 1.0, 0), "count must be at least 1"), ((1, 1.0, 1, -1.0), "overhead must be non-negative")],
)  # fmt: skip
def test_bad_input_is_named(arguments, words):
    with pytest.raises(ValueError, match=words):
        expected_seconds(*arguments)


def test_tasks_run_in_the_workers_asked_for(tmp_path):
    with using(Cache(tmp_path)):
        with workers(jobs=1):
            assert sweep(process, [1]) == [os.getpid()]
        with workers(jobs=2):
            assert os.getpid() not in sweep(process, [2, 3])
        assert joblib.effective_n_jobs(None) == 1


@pytest.mark.filterwarnings("default")  # of dask's own
@pytest.mark.parametrize("address", ["nowhere://8786", "inproc://nowhere"])
def test_a_scheduler_that_is_not_there_is_named(address):
    pytest.importorskip("distributed", reason="dask is not installed; see the extra [dask]")
    with pytest.raises(ValueError, match=f"there is no dask scheduler at {address}"), workers(dask=address):
        pass


def test_a_cluster_without_dask_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ValueError, match=r"install the extra \[dask\]"), workers(dask="tcp://127.0.0.1:8786"):
        pass


def test_command_measures_and_refuses_bad_counts(capsys):
    assert clusters.main(["--tasks", "20"]) == 0
    assert re.match(r"[\d.]+ ms for each task, 1 process here; more than \d+ workers", capsys.readouterr().out)
    with pytest.raises(SystemExit):
        clusters.main(["--tasks", "0"])
    assert "tasks must be at least 1" in capsys.readouterr().err


def test_plan_is_the_model_with_measured_seconds():
    table = replicas.plan([2, 5], [1, 100], replicas=10**5, overhead=0.002, repeats=1)
    for row in table.itertuples():
        expected = expected_seconds(row.tasks, row.per_task * row.replica_seconds, row.workers, 0.002)
        assert row.hours * 3600.0 == pytest.approx(expected, rel=1e-12)
        assert row.tasks * row.per_task >= 10**5 > (row.tasks - 1) * row.per_task


def test_plan_is_printed(capsys, monkeypatch):
    monkeypatch.setattr(replicas, "DIMS", (2, 3))
    assert replicas.main(["--plan", "--replicas", "100000", "--overhead", "0.005"]) == 0
    told = capsys.readouterr().out.splitlines()
    assert "each task costs the sender 5.00 ms" in told[0]
    assert len(told) == 2 + 2 * 2  # sizes, lengths of a task


def test_the_page_runs(tmp_path, capsys, monkeypatch):
    """Every block of Python, with small numbers in the place of large ones."""
    monkeypatch.setenv("THERMOLINALG_RESULTS", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    text = "\n".join(blocks)
    assert len(blocks) == 2
    for large, small in SMALL:
        assert large in text
        text = text.replace(large, small)
    exec(compile(text, str(PAGE), "exec"), {})
    assert "systematic" in capsys.readouterr().out
    assert {path.name for path in tmp_path.glob("*.csv")} == {"errors_histogram.csv", "word_lengths.csv"}
