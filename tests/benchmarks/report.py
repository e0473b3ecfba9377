"""``python -m tests.benchmarks.report``: the last benchmarks as a table of ratios in the README, all of them in docs/.

Ratios are taken round by round, between contenders that were timed in turn; shown are their median and quartiles.
"""

import argparse
import csv
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[2]
EXPONENTS = ROOT / "figures" / "gallery" / "scaling_exponents.csv"
BEGIN, END = "<!-- benchmarks: written by `make bench` -->", "<!-- end of benchmarks -->"


@dataclass(frozen=True)
class Bar:
    """A ratio that is held to: seconds of `ours` over those of all of `others` together, or the other way round.

    `factor` is how many times quicker ours has to be at least ("faster"), or how many times slower at most.
    """

    text: str
    group: str
    ours: str
    others: tuple[str, ...]
    factor: float
    faster: bool = False


def _bars() -> list[Bar]:
    eigh, normals, products = "limit: eigh", "limit: normals", "limit: products"
    law, path, alone = "ours: law", "ours: path", "ours: path, one thread"
    fast = "ours: path, fast_rng"
    found = [
        Bar("`solve` by law, d = 1000, over `eigh` alone", "solve, d 1000, 10000 reads", law, (eigh,), 1.15),
        Bar(
            "`solve` by path, d = 1000, over `eigh` and the normals", "solve, d 1000, 10000 reads", alone,
            (eigh, normals), 1.3,
        ),
        Bar(
            "`inv` by path, d = 1000, over `eigh`, normals and products", "inv, d 1000, 10000 reads", alone,
            (eigh, normals, products), 1.4,
        ),
        Bar("Krylov `solve`, d = 2000, kappa = 10, against `eigh`", "solve, Krylov, d 2000, kappa 10", "ours: Krylov",
            (eigh,), 10.0, True),
        Bar("Euler-Maruyama, 64 chains, d = 500, over products and normals", "Euler-Maruyama, d 500, 64 chains",
            "ours, one thread", (products, normals), 1.5),
        Bar("`import`, over Numba and scipy.linalg", "import", "ours", ("limit: numba and scipy.linalg",), 1.2),
    ]  # fmt: skip
    for d in (100, 500, 1000):
        solve, inv = f"solve, d {d}, 10000 reads", f"inv, d {d}, 10000 reads"
        found += [
            Bar(f"`solve` by law against thermox, d = {d}", solve, law, ("thermox",), 20.0, True),
            Bar(f"`solve` by path against thermox, d = {d}", solve, path, ("thermox",), 8.0, True),
            Bar(f"... with `fast_rng`, d = {d}", solve, fast, ("thermox",), 20.0, True),
            Bar(f"`inv` by path against thermox, d = {d}", inv, path, ("thermox",), 5.0, True),
            Bar(f"... with `fast_rng`, d = {d}", inv, fast, ("thermox",), 10.0, True),
        ]
    found.append(
        Bar("`inv` by law against thermox, d = 1000", "inv, d 1000, 10000 reads", law, ("thermox",), 50.0, True)
    )
    for d in (100, 500):
        group = f"negexpm, d {d}, 10000 reads"
        found.append(Bar(f"`negexpm` against thermox, d = {d}", group, path, ("thermox",), 5.0, True))
        found.append(Bar(f"... with `fast_rng`, d = {d}", group, fast, ("thermox",), 9.0, True))
    return found


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


def bar_rows(groups) -> list[str]:
    """A row for each bar whose contenders were run."""
    rows = []
    for bar in _bars():
        group = groups.get(bar.group, {})
        if bar.ours not in group or any(name not in group for name in bar.others):
            continue
        low, middle, high = ratio(group[bar.ours], [group[name] for name in bar.others], bar.faster)
        met = middle >= bar.factor if bar.faster else middle <= bar.factor
        sense, unit = (">=", " times faster") if bar.faster else ("<=", "")
        measured = f"{middle:.3g}{unit} ({low:.3g} to {high:.3g})"
        rows.append(f"| {bar.text} | {measured} | {sense} {bar.factor:g} | {'yes' if met else '**no**'} |")
    return rows + slower_rows(groups)


def slower_rows(groups) -> list[str]:
    """The worst ratio of any of our primitives and simulators to plain NumPy."""
    found = []
    for name, group in groups.items():
        if "plain NumPy" in group:
            for ours, seconds in group.items():
                if ours.startswith("ours"):
                    found.append((*ratio(seconds, [group["plain NumPy"]], True)[[1, 0, 2]], f"{ours}, {name}"))
    if not found:
        return []
    middle, low, high, where = min(found)
    measured = f"{middle:.3g} times faster ({low:.3g} to {high:.3g})"
    met = "yes" if middle >= 1.0 else "**no**"
    return [f"| the least lead over plain NumPy at any size ({where}) | {measured} | >= 1 | {met} |"]


def memory_rows(memory) -> list[str]:
    """A row for each run whose memory was measured."""
    return [
        f"| memory beyond A: {m['contender']} | {m['bytes_per_entry']:.1f} d^2 bytes | <= {m['bar']:g} | "
        f"{'yes' if m['bytes_per_entry'] <= m['bar'] else '**no**'} |"
        for m in memory
    ]


def summary(groups, facts) -> str:
    """The part of the README."""
    cpu = facts["machine"]["cpu"]
    head = [
        f"Medians (and quartiles) of ratios of rounds timed in turn, one BLAS thread, {facts['date']}, "
        f"{cpu.get('brand_raw', 'unknown CPU')}, {cpu.get('count', '?')} cores. All groups: "
        "[docs/benchmarks.md](docs/benchmarks.md).",
        "", "| what | measured | bar | met |", "|---|---|---|---|",
    ]  # fmt: skip
    return "\n".join([*head, *bar_rows(groups), *memory_rows(facts["memory"])])


def exponents(table: Path) -> str:
    """Fitted exponents of measured times beside theory, from the table of the figure scaling_exponents."""
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
    parser.add_argument("json", nargs="*", type=Path, default=[ROOT / ".benchmarks" / "latest.json"], help="later win")
    options = parser.parse_args(argv)
    groups, facts = read(*options.json)
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
    print("README.md and docs/benchmarks.md show the last benchmarks")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
