"""The same tuning budget for every method: twelve settings each, judged on data neither trained on nor tested on.

    python -m paper_repro.tuning [TASK ...] [--methods NAME ...] [--jobs N]

runs the grids and writes ``tuned/<task>.csv``, a row for each setting and seed, and ``tuned/<task>.json``, the best
setting of each method with the grid it is from. Both are committed; reproductions read the second (`tuned`).

Where the best of a first grid lay on its edge, the grid was moved there for that task and run anew (`MOVED`), with as
many settings as before. An edge that is left is named in the json file (``on_edge``).

The small networks of other kinds (`SMALL_TASKS`) have a small budget, the same for every method: six settings, one
seed.
"""

import argparse
import json
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from joblib import Parallel, delayed

from .training import Training, train

FOLDER = Path(__file__).parent / "tuned"
BUDGET, SMALL_BUDGET = 12, 6  # settings a method
SEEDS, SMALL_SEEDS = (100, 101), (100,)  # not those of any figure
VALIDATION = 0.2
LATE = 0.25  # of the evaluations: a setting is judged by the mean of these

LOW_RANK, KRONECKER = {"kind": "exact", "shape": "low_rank"}, {"kind": "exact", "shape": "kronecker"}
RATES, DAMPINGS = (0.03, 0.1, 0.3, 1.0), (1e-2, 1e-1, 1.0)
ONE_READ = {"beta": 1e6}  # a device whose noise is far below the gradient's


@dataclass(frozen=True)
class Method:
    """An optimiser with what is fixed of it and what is tuned.

    Parameters
    ----------
    optimizer : str
    grid : dict of str to sequence
        Options whose every combination is tried: `BUDGET` of them, or `SMALL_BUDGET`.
    fixed : dict
        Options of all of them. "inner" options are given to the inner rule.
    curvature : dict
        See `Training`.
    """

    optimizer: str
    grid: dict
    fixed: dict = field(default_factory=dict)
    curvature: dict = field(default_factory=dict)

    def settings(self) -> list[dict]:
        """The options of every candidate."""
        names = list(self.grid)
        return [self._options(dict(zip(names, values, strict=True))) for values in product(*self.grid.values())]

    def _options(self, chosen: dict) -> dict:
        options = self.fixed | chosen
        if "inner" in self.fixed:  # the rate of an optimiser with an inner rule is that rule's
            inner = self.fixed["inner"] | {"learning_rate": options.pop("learning_rate")}
            options["inner"] = inner
        return options


SECOND_ORDER = {"learning_rate": RATES, "damping": DAMPINGS}
FINE_RATES = tuple(float(f"{rate:.3g}") for rate in np.geomspace(1e-4, 0.3, BUDGET))
SIGN_LIKE = {"learning_rate": (1e-3, 3e-3, 1e-2, 3e-2), "damping": DAMPINGS}
BUDGETS = {"budget": (1e-3, 3e-3, 1e-2, 3e-2), "damping": (1e-3, 1e-2, 1e-1)}

METHODS = {
    "SGD": Method("SGD", {"learning_rate": (0.05, 0.1, 0.2, 0.5, 1.0, 2.0), "momentum": (0.0, 0.9)}),
    "Adam": Method("Adam", {"learning_rate": (3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 0.1), "beta1": (0.0, 0.9)}),
    "Adam(0,0)": Method("Adam", {"learning_rate": FINE_RATES}, {"beta1": 0.0, "beta2": 0.0}),
    "signSGD": Method("SignSGD", {"learning_rate": (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2), "momentum": (0.0, 0.9)}),
    "NGD": Method("NaturalGradient", SECOND_ORDER, curvature=LOW_RANK),
    "NGD-CG": Method("NaturalGradient", SECOND_ORDER, {"method": "cg", "iterations": 10}, LOW_RANK),
    "K-FAC": Method("KFAC", SECOND_ORDER, {"tracking": {}}, KRONECKER),
    "EKFAC": Method("EKFAC", SECOND_ORDER, {"tracking": {}}, KRONECKER),
    "TNGD": Method("TNGD", SECOND_ORDER, {"run_time": 50.0, "device": ONE_READ}, LOW_RANK),
    "TNGD-Adam": Method(
        "TNGD", SIGN_LIKE,
        {"run_time": 50.0, "device": ONE_READ, "inner": {"name": "Adam", "beta1": 0.0, "beta2": 0.0}}, LOW_RANK,
    ),
    "T-KFAC": Method(
        "ThermodynamicKFAC", SECOND_ORDER,
        {"tracking": {}, "device": ONE_READ | {"matrix_bits": 8, "dac_bits": 8, "adc_bits": 8}}, KRONECKER,
    ),
    "NGD-T": Method("NGDT", BUDGETS, {}, LOW_RANK),
    "NGD-T (K-FAC)": Method("NGDT", BUDGETS, {"tracking": {}}, KRONECKER),
}  # fmt: skip

_LOW_RATES, _LOW_DAMPINGS = (0.01, 0.03, 0.1, 0.3), (1e-3, 1e-2, 1e-1)
_LOW = {"learning_rate": _LOW_RATES, "damping": _LOW_DAMPINGS}
_LOWER = {"learning_rate": (3e-3, 0.01, 0.03, 0.1), "damping": _LOW_DAMPINGS}
_BARELY_DAMPED = {"learning_rate": _LOW_RATES, "damping": (1e-4, 1e-3, 1e-2)}
_LOW_BUDGETS = {"budget": (3e-4, 1e-3, 3e-3, 1e-2), "damping": (1e-4, 1e-3, 1e-2)}
MOVED: dict[str, dict[str, dict]] = {  # grids in place of those above
    "digits_mlp": {
        "K-FAC": _LOW,
        "EKFAC": {"learning_rate": (1e-3, 3e-3, 0.01, 0.03), "damping": (1e-4, 1e-3, 1e-2)},
        "TNGD": _BARELY_DAMPED,
        "NGD-T": {"budget": (1e-2, 3e-2, 0.1, 0.3), "damping": (1e-2, 1e-1, 1.0)},
        "NGD-T (K-FAC)": {"budget": (3e-5, 1e-4, 3e-4, 1e-3), "damping": (1e-5, 1e-4, 1e-3)},
    },
    "digits_conv": {
        "NGD": {"learning_rate": (0.1, 0.3, 1.0, 3.0), "damping": (0.1, 1.0, 10.0)},
        "K-FAC": _LOWER,
        "EKFAC": _LOWER,
        "TNGD": _BARELY_DAMPED,
        "TNGD-Adam": SIGN_LIKE | {"damping": _LOW_DAMPINGS},
        "T-KFAC": _LOW,
        "NGD-T": _LOW_BUDGETS,
        "NGD-T (K-FAC)": {"budget": (1e-4, 3e-4, 1e-3, 3e-3), "damping": (1e-4, 1e-3, 1e-2)},
    },
}

_DIGITS = {"data": "digits", "batch_size": 16, "steps": 200, "evaluate_every": 10}
TASKS = {
    "digits_mlp": Training(**_DIGITS, model="mlp", model_options={"sizes": [64, 32, 10]}, optimizer="SGD"),
    "digits_conv": Training(
        **_DIGITS, data_options={"shape": "image"}, model="conv_net",
        model_options={"image_shape": [8, 8, 1], "channels": 4, "kernel": 3, "hidden": 16, "classes": 10},
        optimizer="SGD",
    ),
}  # fmt: skip

ONE_LABEL = {"kind": "sampled", "shape": "kronecker"}  # one label drawn a prediction
_SMALL_FACTORS = {"learning_rate": (0.01, 0.03, 0.1), "damping": (1e-2, 1e-1)}
SMALL_METHODS = {
    "SGD": Method("SGD", {"learning_rate": (0.01, 0.03, 0.1, 0.3, 1.0, 3.0)}, {"momentum": 0.9}),
    "Adam": Method("Adam", {"learning_rate": (3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 0.1)}),
    "K-FAC": Method("KFAC", _SMALL_FACTORS, {"tracking": {}}, ONE_LABEL),
    "T-KFAC": Method("ThermodynamicKFAC", _SMALL_FACTORS, {"tracking": {}, "device": ONE_READ}, ONE_LABEL),
    "NGD-T (K-FAC)": Method(
        "NGDT", {"budget": (1e-4, 1e-3, 1e-2), "damping": (1e-3, 1e-2)}, {"tracking": {}}, ONE_LABEL
    ),
}  # fmt: skip
_SHORT = {"optimizer": "SGD", "batch_size": 32, "steps": 60, "evaluate_every": 5}
_IMAGES = {"data": "digits", "data_options": {"shape": "image"}}
SMALL_TASKS = {
    "digits_residual": Training(
        **_SHORT, **_IMAGES, model="residual_conv_net",
        model_options={"image_shape": [8, 8, 1], "channels": 8, "blocks": 2, "classes": 10, "activation": "gelu"},
    ),
    "digits_vision": Training(
        **_SHORT, **_IMAGES, model="vision_transformer",
        model_options={"image_shape": [8, 8, 1], "patch": 2, "width": 16, "heads": 2, "depth": 1, "classes": 10},
    ),
    "topics_transformer": Training(
        **_SHORT, data="topics_text", data_options={"context": 16, "n_train": 1500, "n_test": 200}, model="transformer",
        model_options={"vocabulary": 96, "width": 16, "heads": 2, "depth": 1, "context": 16},
    ),
    "molecules_graph": Training(
        **_SHORT, data="molecule_like_graphs", model="graph_convolution",
        model_options={"features": 9, "hidden": [16, 16], "classes": 6},
    ),
}  # fmt: skip


def task_of(name: str) -> Training:
    """A task, of either kind."""
    return (TASKS | SMALL_TASKS)[name]


def candidates(task: str, method: str) -> Method:
    """A method with the grid that it is tuned with on a task."""
    if task in SMALL_TASKS:
        return SMALL_METHODS[method]
    known = METHODS[method]
    return replace(known, grid=MOVED.get(task, {}).get(method, known.grid))


def with_method(task: Training, method: Method, options: dict, **changes) -> Training:
    """The run of a task by a method with these options."""
    return replace(task, optimizer=method.optimizer, options=options, curvature=method.curvature, **changes)


def tuned(task: str, method: str, **changes) -> Training:
    """The run of a task by a method with its tuned options.

    Parameters
    ----------
    task, method : str
        Of `TASKS` and `METHODS`, or of `SMALL_TASKS` and `SMALL_METHODS`.
    **changes
        Of the fields of `Training`; `options` is merged into the tuned ones.

    Raises
    ------
    ValueError
        The method has not been tuned on the task.
    """
    path = FOLDER / f"{task}.json"
    best = json.loads(path.read_text()) if path.exists() else {}
    if method not in best:
        raise ValueError(f"{method} has not been tuned on {task}; run python -m paper_repro.tuning {task}")
    options = best[method]["options"] | changes.pop("options", {})
    return with_method(task_of(task), candidates(task, method), options, **changes)


def judge(task: str, method: str, options: dict, seed: int) -> dict:
    """One row: how well a setting does on held-out data; infinite loss where the run did not get to its end."""
    run = with_method(task_of(task), candidates(task, method), options, seed=seed, validation=VALIDATION)
    log = train(run, progress=False)
    stopped = log["stopped"].iloc[-1]
    late = log.dropna(subset=["test_loss"])[["test_loss", "test_accuracy"]] if "test_loss" in log else None
    mean = None if stopped is not None else late.tail(max(1, round(LATE * len(late)))).mean()
    return {
        "method": method, "options": json.dumps(options, sort_keys=True), "seed": seed,
        "validation_loss": np.inf if mean is None else mean["test_loss"],
        "validation_accuracy": np.nan if mean is None else mean["test_accuracy"], "stopped": stopped,
    }  # fmt: skip


def best_of(task: str, table: pd.DataFrame) -> dict:
    """The setting of least mean validation loss, method by method, and whether it lies on the edge of its grid."""
    best = {}
    for method, rows in table.groupby("method", sort=False):
        means = rows.groupby("options", sort=False)["validation_loss"].mean()
        options = json.loads(means.idxmin())
        grid = candidates(task, method).grid
        best[method] = {
            "options": options, "validation_loss": float(means.min()), "on_edge": _edges(grid, options), "grid": grid
        }  # fmt: skip
    return best


def _edges(grid: dict, options: dict) -> list[str]:
    flat = options | options.get("inner", {})
    ends = {name: (min(values), max(values)) for name, values in grid.items() if len(values) > 2}
    return [name for name, (low, high) in ends.items() if flat[name] in (low, high)]


def main(argv=None) -> int:
    """Run the grids."""
    tasks = TASKS | SMALL_TASKS
    parser = argparse.ArgumentParser(prog="python -m paper_repro.tuning", description=__doc__.splitlines()[0])
    parser.add_argument("tasks", nargs="*", metavar="TASK", help=f"some of: {', '.join(tasks)} (default: all)")
    parser.add_argument("--methods", nargs="*", metavar="NAME", help=f"some of: {', '.join(METHODS)} (default: all)")
    parser.add_argument("--jobs", type=int, default=1, help="processes (default: %(default)s)")
    options = parser.parse_args(argv)
    if unknown := (set(options.tasks) - set(tasks)) | (set(options.methods or ()) - set(METHODS)):
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    for name in options.tasks or tasks:
        jobs = _jobs(name, options.methods or METHODS)
        rows = Parallel(n_jobs=options.jobs, verbose=5)(delayed(judge)(name, *job) for job in jobs)
        _write(name, pd.DataFrame(rows))
    return 0


def _jobs(task: str, methods) -> list[tuple]:
    """(method, options, seed) of all runs of a task."""
    small = task in SMALL_TASKS
    return [
        (method, setting, seed)
        for method in methods
        if not small or method in SMALL_METHODS
        for setting in candidates(task, method).settings()
        for seed in (SMALL_SEEDS if small else SEEDS)
    ]


def _write(name: str, table: pd.DataFrame) -> None:
    """Add the methods of a table to those tuned before."""
    FOLDER.mkdir(exist_ok=True)
    path = FOLDER / f"{name}.csv"
    if path.exists():
        kept = pd.read_csv(path)
        table = pd.concat([kept[~kept["method"].isin(table["method"])], table], ignore_index=True)
    table.to_csv(path, index=False)
    (FOLDER / f"{name}.json").write_text(json.dumps(best_of(name, table), indent=1) + "\n")
    print(path)


if __name__ == "__main__":
    raise SystemExit(main())
