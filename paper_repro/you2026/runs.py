"""Training runs that several tables share, and what of their logs the tables show."""

from dataclasses import replace

import numpy as np
import pandas as pd

from paper_repro.training import Training
from paper_repro.tuning import LOW_RANK, TASKS, tuned

from .settings import AUTHOR, UNDAMPED


def run_seeds(seed: np.random.SeedSequence, n: int) -> list[int]:
    """Seeds of n runs: those of the user's seed, the same in every table, so that tables show the same runs."""
    entropy = int(np.atleast_1d(seed.entropy)[0])
    return [int(word) for word in np.random.SeedSequence(entropy).generate_state(n)]


def compared(task: str, method: str, settings, seed: int) -> Training:
    """The run of a task by a method with its tuned options, every step measured under the exact Fisher of its batch."""
    changes = {"seed": seed, "steps": settings.steps, "evaluate_every": settings.every}
    changes |= {"batch_size": settings.batch_size}
    if method != UNDAMPED:
        run = tuned(task, method, **changes)
        own = run.optimizer == "NGDT" and run.curvature == LOW_RANK  # it measures with that curvature anyway
        return run if own else replace(run, metric=LOW_RANK)
    budget = tuned(task, "NGD-T").options["budget"]
    options = {"budget": budget, "cutoff": AUTHOR["cutoff"]}
    return replace(TASKS[task], optimizer="NGDT", options=options, curvature=LOW_RANK, **changes)


def late_mean(log: pd.DataFrame, late: int) -> float:
    """Mean loss of the last steps; infinite where the run diverged."""
    return float(log["loss"].tail(late).mean()) if log["stopped"].iloc[-1] is None else np.inf


def course(log: pd.DataFrame, every: int) -> pd.DataFrame:
    """The log in blocks of `every` steps.

    Columns: step (those taken at the end of the block), loss, dissipation and metric_cost (means over the block),
    excess (median), clipped (share of its steps), total_cost (of all steps up to its end), test_loss, test_accuracy
    (the last in it).
    """
    log = log.assign(total_cost=log["metric_cost"].cumsum(), clipped=log["clipped"].notna())
    blocks = log.groupby(log["step"] // every)
    columns = {"step": blocks["step"].max() + 1}
    columns |= {name: blocks[name].mean() for name in ("loss", "dissipation", "metric_cost", "clipped")}
    columns |= {"excess": blocks["excess"].median()}
    columns |= {name: blocks[name].last() for name in ("total_cost", "test_loss", "test_accuracy") if name in log}
    return pd.DataFrame(columns).reset_index(drop=True)


def reached(points: pd.DataFrame, column: str, level: float) -> pd.Series | None:
    """The first point of a course whose loss is not above a level."""
    there = points[points[column] <= level] if column in points else points.head(0)
    return None if there.empty else there.iloc[0]
