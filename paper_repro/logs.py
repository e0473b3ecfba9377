"""Training runs from the results cache: each is trained once, whichever tables show it.

In a figure that measures time they are trained anew, one after the other, unless they were measured so before.
"""

from collections.abc import Iterable

import numpy as np
import pandas as pd

from analysis.sweeps import sweep

from .recipes import optimizer_class
from .training import Training, train, trained


def logs(runs: Iterable[Training]) -> list[pd.DataFrame]:
    """The log of each run, see `training.train`; many at a time where joblib is configured so.

    Raises
    ------
    ValueError
        The optimiser of a run is defined in the folder of a paper, whose sources are not in the keys made here: sweep
        over a function of that folder instead.
    """
    runs = list(runs)
    strange = {run.optimizer for run in runs if not _is_the_librarys(run.optimizer)}
    if strange:
        raise ValueError(f"{', '.join(sorted(strange))}: not of thermolinalg; sweep a function next to its definition")
    return sweep(_log, runs)


def log_of(run: Training) -> pd.DataFrame:
    """The log of one run."""
    return logs([run])[0]


def end_of(run: Training) -> np.ndarray:
    """The parameters (N,) that a run ends with, see `training.trained`."""
    return sweep(_end, [run])[0]


def _is_the_librarys(optimizer: str) -> bool:
    return optimizer_class(optimizer).__module__.startswith("thermolinalg.")


def _log(run: Training) -> pd.DataFrame:
    return train(run, progress=False)


def _end(run: Training) -> np.ndarray:
    return trained(run, progress=False)
