"""``python -m tests.benchmarks.report``: the last benchmarks as a table of ratios in the README, all of them in docs/.

Ratios are taken round by round, between contenders that were timed in turn; shown are their median and quartiles.
"""

import argparse
import csv
import json
import re
from pathlib import Path

import numpy as np

from tests.benchmarks.targets import PARTS, Case, Target

ROOT = Path(__file__).parents[2]
KEPT = ROOT / ".benchmarks"  # a file for each run: one of a few cells leaves the other rows as they were
EXPONENTS = ROOT / "figures" / "gallery" / "scaling_exponents.csv"
UNITS = ((" s", 1.0), (" ms", 1e-3), (" us", 1e-6))
BEGIN, END = "<!-- benchmarks: written by `make bench` -->", "<!-- end of benchmarks -->"


def read(*paths: Path) -> tuple[dict, dict]:
    """{group: {contender: seconds of each round}} and facts: of the memory, the machine, the date; later files win."""
    groups: dict[str, dict[str, np.ndarray]] = {}
    memory = {}
    for path in paths:
        held = json.loads(path.read_text())
        for entry in held["benchmarks"]:
            info = entry["extra_info"]
            if "bytes_per_entry" in info:
                memory[info["contender"]] = info
            elif "contender" in info:
                groups.setdefault(entry["group"], {})[info["contender"]] = np.array(entry["stats"]["data"])
    return groups, {"memory": list(memory.values()), "machine": held["machine_info"], "date": held["datetime"][:10]}


def ratio(ours: np.ndarray, others: list[np.ndarray], faster: bool) -> np.ndarray:
    """Quartiles (3,) of the ratio of rounds."""
    n = min(map(len, (ours, *others)))
    total = np.sum([other[:n] for other in others], axis=0)
    each = total / ours[:n] if faster else ours[:n] / total
    return np.quantile(each, (0.25, 0.5, 0.75))


def target_rows(groups, targets) -> list[str]:
    """A row for each target of which at least one case was run."""
    rows = []
    for target in targets:
        found = [
            (case.label, quartiles)
            for case in target.cases
            if (quartiles := _quartiles(groups, case, target)) is not None
        ]
        if not found:
            continue
        time = not target.cases[0].others
        if target.worst:
            found = [max(found, key=lambda each: each[1][1])]
        shown = [
            f"{label}: {_shown(*each, time)}" if len(target.cases) > 1 else _shown(*each, time) for label, each in found
        ]
        rows.append(f"| {target.text} | {'; '.join(shown)} | {_held(target, found, time, _bounds(groups, target))} |")
    return rows


def _bounds(groups, target: Target) -> dict[str, float]:
    """{label: how many times faster than the others what the target names as its bound is}, of cases that have one."""
    found = {}
    for case in target.cases:
        group = groups.get(case.group, {})
        if target.bound and all(name in group for name in (*target.bound, *case.others)):
            seconds = [[group[name] for name in names] for names in (target.bound, case.others)]
            n = min(len(rounds) for side in seconds for rounds in side)
            limit, others = (np.sum([rounds[:n] for rounds in side], axis=0) for side in seconds)
            found[case.label] = float(np.median(others / limit))
    return found


def _quartiles(groups, case: Case, target: Target):
    """Of a case; None where a contender was not run."""
    group = groups.get(case.group, {})
    if any(name not in group for name in (case.ours, *case.others)):
        return None
    if not case.others:
        return np.quantile(group[case.ours], (0.25, 0.5, 0.75))
    return ratio(group[case.ours], [group[name] for name in case.others], target.faster)


def _shown(low, middle, high, time=False) -> str:
    """A median and its quartiles; times in the unit of the median."""
    unit, scale = next(u for u in UNITS if middle >= u[1] or u is UNITS[-1]) if time else ("", 1.0)
    low, middle, high = (f"{x / scale:.{3 if x < 1000 * scale else 4}g}" for x in (low, middle, high))
    return f"{middle}{unit} ({low} to {high})"


def _held(target: Target, found, time: bool, bounds: dict[str, float]) -> str:
    """The last two columns: what it is held to, and whether it is met."""
    if target.factor is None:
        return "- | -"
    sense = ">=" if target.faster else "<="

    def written(factor):
        unit, scale = next(u for u in UNITS if factor >= u[1]) if time else ("", 1.0)
        return f"{sense} {factor / scale:.3g}{unit}"

    def missed(factor):
        # of many sizes the worst is an unlucky one: it misses if three quarters of its rounds do
        at = [(label, low if target.worst else middle) for label, (low, middle, _) in found]
        return [label for label, value in at if (value < factor if target.faster else value > factor)]

    if where := missed(target.factor):
        at = [f"{label} (bound {bounds[label]:.3g})" if label in bounds else label for label in where]
        return f"{written(target.factor)} | **no**" + (
            f": {', '.join(at)}" if bounds or len(found) > len(where) else ""
        )
    more = f", even {written(target.stretch)}" if target.stretch and not missed(target.stretch) else ""
    return f"{written(target.factor)} | yes{more}"


def slower_rows(groups) -> list[str]:
    """The worst ratios of any of our primitives and simulators to plain NumPy."""
    found = []
    for name, group in groups.items():
        size = re.search(r"\bd (\d+)", name)
        if size and "plain NumPy" in group:
            for ours, seconds in group.items():
                if ours.startswith("ours") and "one thread" not in ours:
                    quartiles = ratio(seconds, [group["plain NumPy"]], True)
                    found.append((quartiles[1], tuple(quartiles), int(size[1]), f"{ours}, {name}"))
    rows = []
    for text, least, factor in (("any size", 0, 1.0), ("d >= 100", 100, 1.5)):
        if held := [each for each in found if each[2] >= least]:
            middle, quartiles, _, where = min(held)
            met = "yes" if middle >= factor else "**no**"
            lead = f"the least lead over plain NumPy at {text} ({where})"
            rows.append(f"| {lead} | {_shown(*quartiles)} | >= {factor:g} | {met} |")
    return rows


def memory_rows(memory) -> list[str]:
    """A row for each run whose memory was measured: bytes for each entry of A, once what is granted to any A is off."""
    rows = []
    for m in memory:
        each, room = m["bytes_per_entry"], m.get("room", 0.0) / 2**20
        measured, target = f"{each:.1f} d^2 bytes", f"{m['target']:g}"
        if room:
            measured = f"{m['bytes_beyond_A'] / 2**20:.0f} MiB = {each:.2f} d^2 bytes + {room:.0f} MiB"
            target += f" d^2 bytes + {room:.0f} MiB"
        met = "yes" if each <= m["target"] else "**no**"
        rows.append(f"| memory beyond A: {m['contender']} | {measured} | <= {target} | {met} |")
    return rows


def summary(groups, facts) -> str:
    """The part of the README."""
    cpu = facts["machine"]["cpu"]
    head = [
        "Medians (and quartiles) of rounds timed in turn, ratios round by round; one BLAS thread but where all threads "
        f"are named; {facts['date']}, "
        f"{cpu.get('brand_raw', 'unknown CPU')}, {cpu.get('count', '?')} cores. All groups: "
        "[docs/benchmarks.md](docs/benchmarks.md). "
        "Bound: how many times faster `eigh`, normals and products alone would be, on one thread.",
        "", "| what | measured | target | met |", "|---|---|---|---|",
    ]  # fmt: skip
    parts = {title: target_rows(groups, targets) for title, targets in PARTS.items()}
    parts |= {"Times faster than plain NumPy": slower_rows(groups), "Memory": memory_rows(facts["memory"])}
    return "\n".join(head + [row for title, rows in parts.items() if rows for row in (f"| **{title}** | | | |", *rows)])


def exponents(table: Path) -> str:
    """Fitted exponents of measured times compared with theory, from the table of the figure scaling_exponents."""
    with table.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["kind"] == "measured"]
    lines = ["| time on one thread | against | theory | fitted (95 % interval) |", "|---|---|---|---|"]
    for row in rows:
        what = row["quantity"] + (f" ({row['where']})" if row["where"] else "")
        low, fitted, high = (float(row[name]) for name in ("low", "fitted", "high"))
        theory = float(row["claimed"])
        lines.append(f"| {what} | {row['variable']} | {theory:g} | {fitted:.2f} ({low:.2f} to {high:.2f}) |")
    return "\n".join(lines)


def everything(groups, facts) -> str:
    """All groups, a table each."""
    lines = ["# Benchmarks", "", "Written by `make bench`: medians and quartiles of rounds timed in turn.", ""]
    for name, group in groups.items():
        lines += [f"## {name}", "", "| | median [ms] | quartiles [ms] | rounds |", "|---|---|---|---|"]
        for contender, seconds in group.items():
            low, middle, high = 1e3 * np.quantile(seconds, (0.25, 0.5, 0.75))
            lines.append(f"| {contender} | {middle:.4g} | {low:.4g} to {high:.4g} | {len(seconds)} |")
        lines.append("")
    return "\n".join(lines)


def main(argv=None) -> int:
    """Write both."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.report", description=__doc__)
    parser.add_argument("json", nargs="*", type=Path, help="runs, later ones win; default: all that are kept")
    options = parser.parse_args(argv)
    runs = options.json or sorted(KEPT.glob("*.json"))
    if not runs:
        parser.error(f"{KEPT} holds no run; make one with `make bench`")
    groups, facts = read(*runs)
    parts = [summary(groups, facts)]
    if EXPONENTS.exists():
        parts.append(
            "How times grow (`python -m analysis.complexity --measure`; "
            "[the rest](figures/gallery/scaling_exponents.png)):\n\n" + exponents(EXPONENTS)
        )
    readme, text = ROOT / "README.md", "\n\n".join(parts)
    before, rest = readme.read_text().split(BEGIN)
    readme.write_text(f"{before}{BEGIN}\n{text}\n{END}{rest.split(END)[1]}")
    (ROOT / "docs" / "benchmarks.md").write_text(everything(groups, facts))
    print(f"README.md and docs/benchmarks.md show {', '.join(run.name for run in runs)}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
