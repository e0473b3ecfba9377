"""Fine-tuning of a language model by low-rank factors (Fig. 5): tuned methods, and the paper's settings."""

import numpy as np
import pandas as pd

from paper_repro import datasets
from paper_repro.logs import logs
from paper_repro.tuning import METHODS, Method

from .curves import judged_points, run_seeds
from .finetuning_grid import GRIDS, method_run, task, tuned_options
from .settings import FINETUNING_DAMPING, FINETUNING_RATES

PRETRAINED = "pre-trained"
UNMOVED = {"learning_rate": 1e-12}  # of SGD: the network as it was, on the batches of the others


def finetuning(settings, seed: np.random.SeedSequence) -> pd.DataFrame:
    """Loss of every method with tuned settings, and with the paper's.

    Columns: section ("tuned"; "paper": its learning rates, damping and times, and sign rules at the rate of TNGD-Adam;
    "pre-trained": no learning), method, start ("carry", "gradient"; "momentum": signSGD with momentum
    exp(-damping time); "" without a device or momentum), time [RC] (nan where start is ""), seed, step, loss (mean of
    the batches since the last point), test_loss and test_accuracy (where evaluated), late_loss (mean over the last
    steps, in the last row of a run; inf if it diverged), text_sha256 (in the first row; of all help topics: they are
    those of the Python that runs this).
    """
    base = task(settings)
    cases = [(*case, s) for case in _cases(settings) for s in run_seeds(seed, settings.seeds)]
    found = logs(method_run(base, method, options, s) for _, method, options, s in cases)
    table = pd.concat(
        [
            judged_points(log, settings.every, settings.late).assign(**labels, seed=s)
            for (labels, _, _, s), log in zip(cases, found, strict=True)
        ],
        ignore_index=True,
    )
    text = datasets.load(base.data, None, part="finetune", context=settings.context).details["text_sha256"]
    first = ["section", "method", "start", "time", "seed", "step"]
    table = table[[*first, *(name for name in table if name not in first)]]
    return table.assign(text_sha256=[text] + [None] * (len(table) - 1))


def _cases(settings) -> list[tuple[dict, Method, dict]]:
    """(labels, method, options) of every curve."""

    def labels(section, name, start="", time=np.nan):
        return {"section": section, "method": name, "start": start, "time": time}

    cases = [(labels(PRETRAINED, PRETRAINED), METHODS["SGD"], UNMOVED)]
    for name in settings.methods:
        options = tuned_options(name)
        device = ("carry", options["run_time"]) if "run_time" in options else ()
        cases.append((labels("tuned", name, *device), GRIDS[name], options))
    rates = {name: {"learning_rate": rate} for name, rate in FINETUNING_RATES.items()}
    cases.append((labels("paper", "Adam"), METHODS["Adam"], rates["Adam"]))
    cases.append((labels("paper", "signSGD"), METHODS["signSGD"], rates["TNGD-Adam"]))
    on_device = [("TNGD", "carry", settings.times[-1])]
    on_device += [("TNGD-Adam", "carry", time) for time in settings.times]
    on_device += [("TNGD-Adam", "gradient", time) for time in settings.controls]
    for name, start, time in on_device:
        cases.append((labels("paper", name, start, time), METHODS[name], _papers_options(name, start, time)))
    for time in settings.controls:
        momentum = {"momentum": float(np.exp(-FINETUNING_DAMPING * time))}
        cases.append((labels("paper", "signSGD", "momentum", time), METHODS["signSGD"], rates["TNGD-Adam"] | momentum))
    return cases


def _papers_options(name: str, start: str, time: float) -> dict:
    options = METHODS[name].fixed | {"damping": FINETUNING_DAMPING, "start": start, "run_time": time}
    rate = {"learning_rate": FINETUNING_RATES[name]}
    return options | ({"inner": options["inner"] | rate} if "inner" in options else rate)
