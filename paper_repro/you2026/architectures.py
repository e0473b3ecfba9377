"""NGD-T on Kronecker factors against SGD and Adam on a residual network, a transformer and a graph network."""

from dataclasses import replace
from itertools import product

import numpy as np
import pandas as pd

from paper_repro.logs import logs
from paper_repro.training import Training
from paper_repro.tuning import LOW_RANK, tuned

from .runs import course, run_seeds


def architectures(settings, seed: np.random.SeedSequence) -> pd.DataFrame:
    """Loss and metric cost along training on each architecture.

    Columns: task, method, seed, budget (of a step, missing where there is none), then those of `runs.course` but
    dissipation and excess, which an estimate of F by a few rows cannot tell. A run that ended early has fewer rows.
    """
    cases = list(product(settings.tasks, settings.methods, run_seeds(seed, settings.seeds)))
    found = logs(measured(*case, settings) for case in cases)
    parts = [
        course(log, settings.every)
        .drop(columns=["dissipation", "excess"])
        .assign(task=task, method=method, seed=s, budget=log.attrs["settings"]["options"].get("budget", np.nan))
        for (task, method, s), log in zip(cases, found, strict=True)
    ]
    table = pd.concat(parts, ignore_index=True)
    first = ["task", "method", "seed", "budget"]
    return table[[*first, *(name for name in table if name not in first)]]


def measured(task: str, method: str, seed: int, settings) -> Training:
    """The tuned run, every step measured under F of its batch: exact, or from labels that no optimiser has seen."""
    drawn = {"kind": "sampled", "shape": "low_rank", "n_draws": settings.n_draws}
    run = tuned(task, method, seed=seed, steps=settings.steps, evaluate_every=settings.every)
    return replace(run, metric=drawn if task in settings.sampled else LOW_RANK)
