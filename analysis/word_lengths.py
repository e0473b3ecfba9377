"""Error of `solve` and `inv` over sizes, condition numbers and word lengths: a task for each cell, a row for each task.

The matrices of a cell depend on the seed, d and kappa alone: primitives, word lengths and strategies are compared on
the same ones. ``python -m analysis.word_lengths --d 10 100 --kappa 10 100 --bits 6 8 10 12 --dask ADDRESS``. For other
primitives, and for theory of other strategies, over fewer and smaller matrices, see `analysis.precision`.
"""

import argparse
import itertools
import sys
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

import thermolinalg as tl
from thermolinalg import checks

from .clusters import add_options, workers
from .first_order import inverse_mean_square, solve_mean_square
from .precision import STRATEGIES, measured_error
from .rounded_primitives import Effort, problem
from .sweeps import sweep

PRIMITIVES = ("solve", "inv")


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A point of the sweep: a primitive, a size, a condition number, a word length of the converter of A.

    Parameters
    ----------
    primitive : {"solve", "inv"}
    d : int
        Size of `thermolinalg.problems.with_condition`.
    kappa : float
        Condition number.
    bits : int
        At least 2.
    strategy : str
        Of `analysis.precision.STRATEGIES`.
    repeats : int
        Random matrices, at least 2.
    seed : int
    effort : Effort
        How much noise: by default next to none.

    Raises
    ------
    ValueError
        A parameter out of its range.
    """

    primitive: str
    d: int
    kappa: float
    bits: int
    strategy: str = "nearest"
    repeats: int = 8
    seed: int = 0
    effort: Effort = field(default_factory=Effort)

    def __post_init__(self):
        checks.choice(self.primitive, "primitive", PRIMITIVES)
        checks.choice(self.strategy, "strategy", STRATEGIES[: 4 if self.primitive == "solve" else 3])
        for name, least in (("d", 1), ("bits", 2), ("repeats", 2), ("seed", 0)):
            checks.count(getattr(self, name), name, least=least)
        if not checks.positive(self.kappa, "kappa") >= 1.0:
            raise ValueError(f"kappa must be at least 1, got {self.kappa}")

    def generator(self, repeat: int) -> np.random.Generator:
        """Of the matrix and what else is random in a repeat."""
        place = (self.d, zlib.crc32(repr(float(self.kappa)).encode()), repeat)
        return np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=place))


def cell_error(cell: Cell) -> dict:
    """A row of `error_table`.

    Examples
    --------
    >>> row = cell_error(Cell(primitive="inv", d=4, kappa=3.0, bits=10))
    >>> 0.5 < row["error"] / row["predicted"] < 2.0
    True
    """
    found = pd.DataFrame([_of_one_matrix(cell, cell.generator(repeat)) for repeat in range(cell.repeats)])
    answered = found[found["error"].notna()]
    rms, squares = _rms(answered["error"]), answered["error"] ** 2
    point = {name: getattr(cell, name) for name in ("primitive", "d", "kappa", "bits", "strategy", "repeats")}
    return point | {
        "error": rms,
        "stderr": float(squares.std(ddof=1) / (2.0 * rms * np.sqrt(len(squares)))),
        "lowest": float(answered["error"].min()),
        "highest": float(answered["error"].max()),
        "failed": 1.0 - len(answered) / cell.repeats,
        "noise": _rms(answered["noise"]),
        "predicted": _rms(answered["predicted"]),
    }


def _of_one_matrix(cell: Cell, rng) -> dict:
    A = tl.problems.with_condition(cell.d, cell.kappa, rng)
    task = problem(cell.primitive, A, effort=cell.effort, rng=rng)
    predicted = _one_rounding(task, cell.bits) if cell.strategy == "nearest" else np.nan
    return measured_error(task, cell.bits, cell.strategy, rng=rng) | {"predicted": predicted}


def _rms(values: pd.Series) -> float:
    """Missing where there are no values."""
    return float(np.sqrt(np.mean(values**2))) if len(values) else np.nan


def _one_rounding(task, bits: int) -> float:
    """Expected relative error of one matrix rounded to nearest, to first order."""
    variance = tl.hardware.Quantizer(bits).error_variance(np.abs(task.A).max())
    square = (
        inverse_mean_square(task.A, variance)
        if task.name == "inv"
        else solve_mean_square(task.A, task.A @ task.truth, variance)
    )
    return float(np.sqrt(square) / np.linalg.norm(task.truth))


def cells(primitives=PRIMITIVES, dims=(10, 100), kappas=(10.0, 100.0), bits=(4, 6, 8, 10, 12), **options) -> list[Cell]:
    """All combinations; `options` are the other fields of `Cell`.

    Examples
    --------
    >>> len(cells(dims=(3,), strategy="stochastic"))
    20
    """
    points = itertools.product(primitives, dims, kappas, bits)
    return [Cell(primitive=p, d=d, kappa=float(kappa), bits=word, **options) for p, d, kappa, word in points]


def error_table(points: Iterable[Cell]) -> pd.DataFrame:
    """The errors of cells, by `sweep`: kept cell by cell, resumed, spread over `clusters.workers`.

    Parameters
    ----------
    points : iterable of Cell

    Returns
    -------
    DataFrame
        A row for each cell, in their order. Columns primitive, d, kappa, bits, strategy, repeats; error (root mean
        square over matrices with an answer, relative to the exact one), its stderr, lowest, highest; failed (share of
        matrices without an answer: not positive definite as rounded, or no convergence of refinement); noise (root
        mean square of the reported standard error); predicted (to first order, of the same matrices; missing but for
        "nearest").

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from analysis.results_cache import Cache, using
    >>> with using(Cache(Path(tempfile.mkdtemp()))):
    ...     table = error_table(cells(["solve"], [4], [3.0], [8, 12]))
    >>> bool(table.error[1] < table.error[0] / 4)
    True
    """
    return pd.DataFrame(sweep(cell_error, points))


def main(argv=None) -> int:
    """Print the table, or write it."""
    parser = argparse.ArgumentParser(prog="python -m analysis.word_lengths", description=__doc__.split("\n")[0])
    parser.add_argument("--primitives", nargs="+", choices=PRIMITIVES, default=PRIMITIVES)
    for name, kind, default in (("d", int, (10, 100)), ("kappa", float, (10.0, 100.0)), ("bits", int, (6, 8, 10, 12))):
        parser.add_argument(f"--{name}", type=kind, nargs="+", default=default, help="default: %(default)s")
    parser.add_argument("--strategy", choices=STRATEGIES, default="nearest", help="default: %(default)s")
    for name, number in (("repeats", 8), ("seed", 0)):
        parser.add_argument(f"--{name}", type=int, default=number, help="default: %(default)s")
    parser.add_argument("--out", help="csv file (default: print)")
    add_options(parser)
    o = parser.parse_args(argv)
    try:
        points = cells(o.primitives, o.d, o.kappa, o.bits, strategy=o.strategy, repeats=o.repeats, seed=o.seed)
        with workers(o.jobs, o.dask):
            table = error_table(points)
    except ValueError as error:
        parser.error(str(error))
    if o.out:
        table.to_csv(o.out, index=False)
    else:
        print(table.to_string(index=False, float_format="%.3g"))
    return 0


if __name__ == "__main__":
    from analysis.word_lengths import main  # a task's function must have a module that workers can import

    sys.exit(main())
