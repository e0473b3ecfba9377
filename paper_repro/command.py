"""The command line that every paper's ``run`` shares, and the rule that gives each table its seed."""

import argparse
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from analysis.machine import timing_name
from analysis.results_cache import Cache, using

DEFAULT_SEED = 2308
SCALE_NAMES = ("smoke", "default", "paper")


def seed_of(name: str, seed: int) -> np.random.SeedSequence:
    """The seed sequence of a table: its own, whichever other tables are made."""
    return np.random.SeedSequence([seed, zlib.crc32(name.encode())])


def add_shared_options(parser: argparse.ArgumentParser) -> None:
    """--list --scale --seed."""
    parser.add_argument("--list", action="store_true", help="show what there is and stop")
    parser.add_argument("--scale", choices=SCALE_NAMES, default="default", help="how large (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=DEFAULT_SEED, help="default: %(default)s")


def main(program: str, tables: dict[str, Callable], scales: dict[str, dict], argv=None) -> int:
    """Compute tables and print them, or write them as <out>/<name>.csv."""
    parser = argparse.ArgumentParser(prog=f"python -m {program}", description="Compute the tables of a paper.")
    parser.add_argument("names", nargs="*", metavar="TABLE", help=f"some of: {', '.join(tables)} (default: all)")
    parser.add_argument("--out", type=Path, help="folder for csv files (default: print)")
    parser.add_argument("--force", action="store_true", help="compute anew what was kept of tables made so")
    add_shared_options(parser)
    options = parser.parse_args(argv)
    unknown = [name for name in options.names if name not in tables]
    if unknown:
        parser.error(f"unknown table {', '.join(unknown)}; known: {', '.join(tables)}")
    if options.list:
        print("\n".join(tables))
        return 0
    with using(Cache(fresh=options.force, timed=timing_name())):  # alone, so that any table may measure time
        for name in options.names or tables:
            table = tables[name](scales[options.scale][name], seed_of(name, options.seed))
            _show(name, table, options)
    return 0


def _show(name: str, table: pd.DataFrame, options) -> None:
    if options.out is None:
        print(f"# {name}, scale {options.scale}, seed {options.seed}\n{table.to_string()}\n")
        return
    options.out.mkdir(parents=True, exist_ok=True)
    target = options.out / f"{name}.csv"
    table.to_csv(target, index=False)
    print(target)
