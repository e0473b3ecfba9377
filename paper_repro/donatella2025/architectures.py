"""T-KFAC without rounding compared with K-FAC and Adam on a vision transformer and a graph network, both toys."""

from itertools import product

import numpy as np
import pandas as pd

from paper_repro.donatella2024.curves import points, run_seeds
from paper_repro.logs import logs
from paper_repro.tuning import tuned


def architectures(settings, seed: np.random.SeedSequence) -> pd.DataFrame:
    """Loss along training on each architecture.

    Columns: task, method, seed, step, loss (mean of the batches since the last point), test_loss, test_accuracy,
    stopped (why a run ended early).
    """
    cases = list(product(settings.tasks, settings.methods, run_seeds(seed, settings.seeds)))
    changes = {"steps": settings.steps, "evaluate_every": settings.every}
    found = logs(tuned(task, method, seed=s, **changes) for task, method, s in cases)
    parts = [
        points(log, settings.every).assign(task=task, method=method, seed=s, stopped=log["stopped"].iloc[-1] or "")
        for (task, method, s), log in zip(cases, found, strict=True)
    ]
    table = pd.concat(parts, ignore_index=True)
    first = ["task", "method", "seed"]
    return table[[*first, *(name for name in table if name not in first)]]
