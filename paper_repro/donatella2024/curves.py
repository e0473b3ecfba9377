"""Seeds of the runs that are compared, and points of their curves."""

import numpy as np
import pandas as pd


def run_seeds(seed: np.random.SeedSequence, n: int) -> list[int]:
    """Seeds of n runs; the same ones for all that is compared, so that differences are within pairs."""
    return [int(word) for word in seed.generate_state(n)]


def points(log: pd.DataFrame, every: int) -> pd.DataFrame:
    """The log in blocks of `every` steps: step (those taken at its end), mean loss, the last evaluation in it."""
    blocks = log.groupby(log["step"] // every)
    columns = {"step": blocks["step"].max() + 1, "loss": blocks["loss"].mean()}
    for name in ("test_loss", "test_accuracy"):
        columns[name] = blocks[name].last()
    return pd.DataFrame(columns).reset_index(drop=True)


def late_loss(log: pd.DataFrame, late: int) -> float:
    """Mean loss of the last steps; infinite where the run did not get to its end."""
    return float(log["loss"].tail(late).mean()) if log["stopped"].iloc[-1] is None else np.inf


METRICS = pd.Index(["test_loss", "test_accuracy"])  # missing from the log of a run that diverged at once


def judged_points(log: pd.DataFrame, every: int, late: int) -> pd.DataFrame:
    """`points` of any run, with its `late_loss` in the last row."""
    whole = log.reindex(columns=[*log, *METRICS.difference(log.columns)])
    found = points(whole, every)
    return found.assign(late_loss=[np.nan] * (len(found) - 1) + [late_loss(log, late)])


def over_seeds(table: pd.DataFrame, labels: list[str], columns: list[str]) -> pd.DataFrame:
    """Curves of mean and standard deviation over seeds: a row for each step, a column ``<name>_sd`` beside each."""
    grouped = table.groupby([*labels, "step"], sort=False)[columns]
    return grouped.mean().join(grouped.std(ddof=1).add_suffix("_sd")).reset_index()
