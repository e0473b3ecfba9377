"""The report on benchmarks: ratios round by round, targets, exponents."""

import json

import numpy as np
import pytest

from tests.benchmarks import (
    report,
    targets,
    test_fresh,
    test_optimizers,
    test_primitives,
    test_simulators,
    test_threads,
)


def entry(group, contender, seconds):
    return {"group": group, "extra_info": {"contender": contender}, "stats": {"data": seconds}}


@pytest.fixture
def results(tmp_path):
    group = "solve, d 1000, 10000 reads"
    entries = [
        entry(group, "limit: eigh", [1.0, 2.0, 4.0]),
        entry(group, "limit: normals", [1.0, 2.0, 4.0]),
        entry(group, "ours: law", [1.1, 2.2, 4.4, 100.0]),
        entry(group, "ours: path, one thread", [3.0, 6.0, 12.0]),
        entry(group, "plain NumPy", [11.0, 22.0, 44.0]),
        {"group": "peak memory", "stats": {"data": [1e-9]},
         "extra_info": {"contender": "solve d 1000", "bytes_per_entry": 35.0, "target": 34.0}},
    ]  # fmt: skip
    path = tmp_path / "latest.json"
    path.write_text(json.dumps({"benchmarks": entries, "machine_info": {"cpu": {}}, "datetime": "2026-01-02T03"}))
    return report.read(path)


def test_ratios_are_taken_round_by_round(results):
    groups, _ = results
    group = groups["solve, d 1000, 10000 reads"]
    low, middle, high = report.ratio(group["ours: law"], [group["limit: eigh"]], faster=False)
    np.testing.assert_allclose([low, middle, high], 1.1)
    assert report.ratio(group["ours: law"], [group["plain NumPy"]], faster=True)[1] == pytest.approx(10.0)


def test_targets_are_marked_as_met_or_missed(results):
    text = report.summary(*results)
    assert "over `eigh` alone | 1.1 (1.1 to 1.1) | <= 1.15 | yes |" in text
    assert "over `eigh` and the normals | 1.5 (1.5 to 1.5) | <= 1.3 | **no** |" in text
    assert "memory beyond A: solve d 1000 | 35.0 d^2 bytes | <= 34 | **no** |" in text
    assert "the least lead over plain NumPy at any size (ours: law" in text  # not of what was kept to one thread
    assert "thermox" not in text
    assert "| plain NumPy | 2.2e+04 | 1.65e+04 to 3.3e+04 | 3 |" in report.everything(*results)


def test_exponents_are_printed_with_their_claims(tmp_path):
    table = tmp_path / "table.csv"
    table.write_text(
        "quantity,variable,claimed,kind,where,fitted,low,high\n"
        "solve,d,1.0,planned,,1.0,0.9,1.1\neigh,d,3.0,measured,symmetric,2.204,2.0,2.4\n"
    )
    assert report.exponents(table).splitlines()[2:] == ["| eigh (symmetric) | d | 3 | 2.20 (2.00 to 2.40) |"]


def rows(entries, cases, **fields):
    groups = {}
    for group, contender, seconds in entries:
        groups.setdefault(group, {})[contender] = np.array(seconds)
    return report.target_rows(groups, [targets.Target("what", cases, **fields)])


@pytest.mark.parametrize(
    ("fields", "row"),
    [
        ({"factor": 4.0, "faster": True}, "| what | a: 4 (4 to 4); b: 2 (2 to 2) | >= 4 | **no**: b |"),
        ({"factor": 2.0, "faster": True, "stretch": 3.0}, "| what | a: 4 (4 to 4); b: 2 (2 to 2) | >= 2 | yes |"),
        (
            {"factor": 1.5, "faster": True, "stretch": 2.0},
            "| what | a: 4 (4 to 4); b: 2 (2 to 2) | >= 1.5 | yes, even >= 2 |",
        ),
        ({"factor": 0.2}, "| what | a: 0.25 (0.25 to 0.25); b: 0.5 (0.5 to 0.5) | <= 0.2 | **no** |"),
        ({}, "| what | a: 0.25 (0.25 to 0.25); b: 0.5 (0.5 to 0.5) | - | - |"),
        (
            {"factor": 5.0, "faster": True, "bound": ("least",)},
            "| what | a: 4 (4 to 4); b: 2 (2 to 2) | >= 5 | **no**: a (bound 8), b |",
        ),
        ({"factor": 0.5, "worst": True}, "| what | b: 0.5 (0.5 to 0.5) | <= 0.5 | yes |"),
    ],
)
def test_a_row_holds_the_ratios_of_two_sizes(fields, row):
    entries = [
        ("1", "ours", [1.0, 2.0]),
        ("1", "other", [4.0, 8.0]),
        ("1", "least", [0.5, 1.0]),
        ("2", "ours", [1.0]),
        ("2", "other", [2.0]),
    ]
    cases = tuple(
        targets.Case(group, "ours", ("other",), label) for group, label in (("1", "a"), ("2", "b"), ("3", "c"))
    )
    assert rows(entries, cases, **fields) == [row]


def test_a_row_of_seconds_prints_its_unit_and_target():
    cases = (targets.Case("1", "ours"),)
    entries = [("1", "ours", [250e-6, 310e-6, 1250e-6])]
    assert rows(entries, cases, factor=300e-6) == ["| what | 310 us (280 to 780) | <= 300 us | **no** |"]
    assert rows(entries, cases, factor=2e-3, stretch=1e-3) == [
        "| what | 310 us (280 to 780) | <= 2 ms | yes, even <= 1 ms |"
    ]


def test_memory_is_compared_with_its_target():
    facts = {
        "contender": "inv",
        "bytes_per_entry": 50.11,
        "target": 50.0,
        "room": 2.0**25,
        "bytes_beyond_A": 80 * 2**20,
    }
    assert report.memory_rows([facts]) == [
        "| memory beyond A: inv | 80 MiB = 50.11 d^2 bytes + 32 MiB | <= 50 d^2 bytes + 32 MiB | **no** |"
    ]


def test_least_lead_over_numpy_is_told_from_a_size_on():
    groups = {f"x, d {d}": {"ours": np.array([1.0]), "plain NumPy": np.array([t])} for d, t in ((10, 1.2), (100, 1.4))}
    small, large = report.slower_rows(groups)
    assert "at any size (ours, x, d 10) | 1.2 (1.2 to 1.2) | >= 1 | yes |" in small
    assert "at d >= 100 (ours, x, d 100) | 1.4 (1.4 to 1.4) | >= 1.5 | **no** |" in large


def test_every_target_names_contenders_that_are_run():
    known = {}
    for module in (test_primitives, test_simulators, test_optimizers, test_threads):
        for race in vars(module).values():
            if type(race).__name__ == "Race":
                for case in race.cases:
                    known.setdefault(race.group.format(**dict(case)), set()).update(race.names)
    known |= {kind: set(statements) for kind, (_, statements, _) in test_fresh.KINDS.items()}
    only_full = {"TNGD step, N 1000000, b dz 640", "K-FAC step, n 2048"}
    for part in targets.PARTS.values():
        for target in part:
            for case in target.cases:
                if case.group in only_full or ("all threads" in case.group and "d 2000" in case.group):
                    continue
                assert {case.ours, *case.others} <= known[case.group], case


def test_a_later_run_of_a_few_cells_leaves_the_rest(tmp_path, monkeypatch, capsys):
    """All runs that are kept go into the README, the later ones over the earlier."""
    runs, page = tmp_path / ".benchmarks", tmp_path / "README.md"
    for folder in (runs, tmp_path / "docs"):
        folder.mkdir()
    monkeypatch.setattr(report, "ROOT", tmp_path)
    monkeypatch.setattr(report, "KEPT", runs)
    monkeypatch.setattr(report, "EXPONENTS", tmp_path / "none.csv")
    with pytest.raises(SystemExit):
        report.main([])
    assert "make bench" in capsys.readouterr().err
    page.write_text(f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n")
    group = "solve, d 1000, 10000 reads"
    for name, seconds in (("1", {"limit: eigh": [1.0], "ours: law": [3.0]}), ("2", {"ours: law": [1.0]})):
        entries = [entry(group, contender, rounds) for contender, rounds in seconds.items()]
        held = {"benchmarks": entries, "machine_info": {"cpu": {}}, "datetime": "2026-01-02T03"}
        (runs / f"{name}.json").write_text(json.dumps(held))
    assert report.main([]) == 0
    text = page.read_text()
    assert text.startswith("before\n")
    assert text.endswith("\nafter\n")
    assert "old" not in text
    assert "over `eigh` alone | 1 (1 to 1) | <= 1.15 | yes" in text
