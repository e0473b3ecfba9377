"""Rules of claims, and the ledger of all: one row a claim, its verdict from the tables that are there."""

import json

import numpy as np
import pandas as pd
import pytest

from figures.catalogue import PAPERS
from paper_repro import claims
from paper_repro.aifer2024 import verdicts as linear_algebra
from paper_repro.duffield2025 import verdicts as exponentials

WORDS = {"holds", "holds in part", "fails", "cannot be tested here"}


@pytest.mark.parametrize(
    ("rule", "inside", "outside"),
    [
        ({"at_least": 2.0}, 2.0, 1.99), ({"at_most": 2.0}, 2.0, 2.01), ({"at_least": 1.0, "at_most": 2.0}, 1.5, 2.5),
        ({"at_least": 1.0, "at_most": 2.0}, 1.0, 0.9), ({"value": 10.0, "rtol": 0.1}, 11.0, 11.1),
        ({"value": 1.0, "atol": 0.1, "rtol": 0.1}, 0.81, 0.79), ({"value": 0.1, "factor": 2.0}, 0.05, 0.049),
        ({"value": 0.1, "factor": 2.0}, 0.19, 0.21), ({"value": 3}, 3.0, 4.0),
    ],
)  # fmt: skip
def test_rules_tell_inside_from_outside(rule, inside, outside):
    entry = {"measure": "error"} | rule
    assert claims.judged(entry, inside)[0]
    assert not claims.judged(entry, outside)[0]
    assert not claims.judged(entry, np.nan)[0]
    assert claims.judged(entry, inside)[1].startswith("error ")


def test_a_claim_has_a_row_for_each_case_and_its_error():
    entries = {name: {"claim": name, "source": "s", "measure": "m", "at_most": 1.0} for name in ("a", "b", "c")}
    numbers = {"a": lambda t: t.x.sum(), "b": lambda t: (0.5, 0.1), "c": lambda t: {"d = 1": 2.0, "d = 2": (1.0, 0.2)}}
    rows = pd.DataFrame(claims.verdicts(entries, numbers, pd.DataFrame({"x": [1, 2]}), task="t"))
    assert rows.claim.tolist() == ["a", "b", "c", "c"]
    assert rows.ours.tolist() == [3.0, 0.5, 2.0, 1.0]
    assert rows.holds.tolist() == [False, True, False, True]
    assert rows.case.tolist()[2:] == ["d = 1", "d = 2"]
    assert rows.stderr.tolist()[1::2] == [0.1, 0.2]
    assert set(rows.task) == {"t"}


def test_z_of_runs_is_that_of_paired_differences():
    one, other = pd.Series([1.0, 2.0, 4.0]), pd.Series([2.0, 4.0, 5.0])
    assert claims.z_of(one, other) == pytest.approx(4.0)  # differences 1, 2, 1
    assert claims.z_of(one, one) == 0.0
    assert claims.z_of(one, one + 1.0) == np.inf
    assert claims.z_of(one + 1.0, one) == -np.inf


# -- the ledger


@pytest.fixture
def paper(tmp_path, monkeypatch):
    """A paper with four claims on one figure, one on another and one that nobody can test; where its tables go."""
    folder = tmp_path / "paper_repro" / "fake"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("")
    names = ("good", "mixed", "bad", "silent")
    entries = {
        name: {"claim": f"{name} | claim", "source": "Fig. 1", "measure": "x", "at_least": 1.0} for name in names
    }
    (folder / "verdicts.py").write_text(
        "from paper_repro.claims import verdicts\nimport pandas as pd\n"
        f"EXPECTED = {{'one': {entries!r}, 'two': {{'good': {entries['good']!r}}}}}\n"
        "NUMBERS = {'good': lambda t: (t.x.max(), 0.25), 'mixed': lambda t: dict(zip('ab', t.x)),\n"
        "           'bad': lambda t: t.x.min(), 'silent': lambda t: {}}\n"
        "def verdict(name, table):\n"
        "    return pd.DataFrame(verdicts(EXPECTED[name], NUMBERS, table))\n"
    )
    untested = [{"claim": "costs less", "source": "abstract", "reason": "no hardware"}]
    (folder / "untested.json").write_text(json.dumps(untested))
    monkeypatch.setattr(claims, "HERE", folder.parent)
    monkeypatch.setattr(
        "paper_repro.__path__", [*claims.importlib.import_module("paper_repro").__path__, str(folder.parent)]
    )
    out = tmp_path / "out"
    out.mkdir()
    return out


def table(out, name: str, scale="default", **columns) -> None:
    """A table in a gallery."""
    pd.DataFrame(columns).to_csv(out / f"{name}.csv", index=False)
    (out / f"{name}.json").write_text(json.dumps({"scale": scale}))


def test_ledger_has_a_verdict_for_each_claim(paper):
    table(paper, "one", x=[3.0, 0.5])
    table(paper, "two", scale="smoke", x=[3.0])
    rows = claims.ledger(paper, ("fake", "nobody1999"), "default")
    assert list(rows) == claims.COLUMNS
    assert rows.verdict.tolist() == [
        "holds", "holds in part", "fails", "not measured", "not measured", "cannot be tested here",
    ]  # fmt: skip
    assert rows.measured.tolist() == [
        "3 +- 0.2", "3 (a); 0.5 (b)", "0.5", "no number in the table", "the table of two is of scale smoke",
        "no hardware",
    ]  # fmt: skip
    assert rows.rule.tolist()[:5] == ["x >= 1"] * 5
    told = claims.as_lines(rows, "default").splitlines()
    assert told[-1] == "6 claims: 1 holds, 1 holds in part, 1 fails, 1 cannot be tested here, 2 not measured"
    assert "evidence" in claims.as_lines(rows, "smoke")
    page = claims.as_markdown(rows, "default")
    assert "| good \\| claim | Fig. 1 | x >= 1 | 3 +- 0.2 | [one](one.png) | holds |" in page
    assert page.count("\n| ") == 7
    assert "evidence" not in page


def test_tables_that_do_not_fit_hide_nothing_else(paper):
    table(paper, "one", y=[3.0])
    table(paper, "two", x=[3.0])
    rows = claims.ledger(paper, ["fake"], "default")
    assert rows.verdict.tolist() == ["not measured"] * 4 + ["holds", "cannot be tested here"]
    assert "AttributeError" in rows.measured[0]


def test_many_cases_are_told_as_a_span(paper):
    rows = pd.DataFrame({"ours": [1.0, 2.0, 3.0, 4.0, 9.0], "holds": [True] * 4 + [False], "case": list("abcde")})
    assert claims._outcome(rows) == {
        "measured": "1 to 9 in 5 cases, 1 of them against it: 9 (e)", "verdict": "holds in part"
    }  # fmt: skip
    assert claims._outcome(rows[:4].assign(holds=True))["measured"] == "1 (a); 2 (b); 3 (c); 4 (d)"


def test_every_claim_of_every_paper_is_told(tmp_path):
    rows = claims.ledger(tmp_path, PAPERS, "default")
    assert len(rows) >= 30
    assert set(rows.verdict) == {"not measured", "cannot be tested here"}
    assert (rows[["paper", "statement", "source", "measured"]] != "").all(axis=None)
    assert set(rows.paper) == set(PAPERS)
    assert not rows.duplicated(["paper", "claim", "figure", "statement"]).any()
    tested = rows[rows.verdict == "not measured"]
    assert (tested[["claim", "figure", "rule"]] != "").all(axis=None)


def test_claims_of_the_gallery_have_their_numbers():
    """Where its tables fit the sources, every claim has one of four verdicts."""
    from figures.__main__ import HERE

    rows = claims.ledger(HERE / "gallery", PAPERS, "default")
    judged = rows[rows.verdict != "not measured"]
    assert set(judged.verdict) <= WORDS
    assert len(judged) >= 30


# -- linear algebra


def solve_table(lead=(1e-4, 1e-3), shift=0.0):
    """Errors as 1/sqrt(t) after loading, for three sizes."""
    rows = []
    for d, load in ((100, 1e-6), (1000, 1e-4), (5000, 2.5e-3)):
        times = np.geomspace(1e-6, 10.0, 40)
        device = {"d": d, "seconds": load + times, "error": 0.1 * np.sqrt(1e-4 / times), "duration": times * 1e6}
        rows += [pd.DataFrame(device).assign(series="device"), pd.DataFrame(device).assign(series="theory")]
        rows.append(pd.DataFrame({"d": d, "seconds": [load], "error": np.nan, "duration": np.nan, "series": "load"}))
        if d > 100:
            ends = np.array(lead) * (d / 1000)
            rows.append(pd.DataFrame({"d": d, "seconds": ends, "error": 0.1, "series": "device leads"}))
    return pd.concat(rows, ignore_index=True)


def test_claims_on_linear_systems():
    found = linear_algebra.verdict("solve_error_vs_time", solve_table()).set_index("claim")
    assert found.ours["leads_at_d1000"] == pytest.approx(10.0)
    assert found.ours["no_lead_at_d100"] == 0.0
    assert found.ours["lead_grows"] == pytest.approx(5.0)
    powers = np.log((2.5e-3 + 1e-4) / (1e-4 + 1e-4)) / np.log(5)
    assert found.ours["linear_in_d"] == pytest.approx(powers, rel=0.02)
    assert not found.holds["linear_in_d"]
    assert abs(found.ours["free_of_d"]) < 0.02
    assert found.ours["loading_dominates"] == pytest.approx(2.5e-3 / 2.6e-3, rel=0.02)
    small = linear_algebra.verdict("solve_error_vs_time", solve_table().query("d == 1000 or d == 100"))
    assert "lead_grows" not in set(small.claim)


def test_crossing_of_a_level():
    times, errors = [1.0, 10.0, 100.0], [1.0, 0.1, 0.01]
    assert linear_algebra.crossing(times, errors, 0.1) == pytest.approx(10.0)
    assert linear_algebra.crossing(times, errors, 10.0**-1.5) == pytest.approx(10.0**1.5)
    assert np.isnan(linear_algebra.crossing(times, errors, 1e-3))
    assert np.isnan(linear_algebra.crossing(times, errors, 2.0))


def test_claims_on_exponentials():
    rows = []
    for measure, power in (("absolute", 2.0), ("relative", 1.3)):
        for d in (64, 128, 256):
            labels = {"family": "Wishart", "measure": measure, "d": d}
            time = 10.0 * d**power
            rows.append(
                labels | {"series": "crossing", "time": time, "time_theory": time, "time_published": 1.2 * time}
            )
            rows += [labels | {"series": "error", "time": t, "error": t**-0.5} for t in (10.0, 100.0, 1000.0)]
    found = exponentials.verdict("exponential_error_vs_time", pd.DataFrame(rows)).set_index("claim")
    assert found.holds["absolute_grows_as_square"]
    assert found.ours["speedup_linear_in_d"] == pytest.approx(1.0)
    assert not found.holds["relative_grows_linearly"]
    assert found.holds[["known_law", "root_of_time", "useful_accuracy"]].all()
    assert not found.holds["published_times"].any()
    assert len(found.loc["published_times"]) == 6
