"""Tuning of the fine-tuning runs: six settings for every method, judged by the training loss of the last steps.

    python -m paper_repro.donatella2024.finetuning_grid

writes ``paper_repro/tuned/lora_text.csv``, the settings tried, and ``lora_text.json``, the best of each method.
Learning rates of SGD, Adam and signSGD: the best of a first grid lay at its end, and the grid was moved there once.
"""

import json
import sys
from dataclasses import replace

import pandas as pd

from paper_repro import datasets
from paper_repro.logs import logs
from paper_repro.training import Training
from paper_repro.tuning import FOLDER, LOW_RANK, ONE_READ, Method, with_method

from .curves import late_loss
from .settings import FINETUNING_DAMPING, SCALES

NAME = "lora_text"
SEED = 100  # not one of the figure
TIMES = (0.4, 50.0)  # [RC]: the paper's for this experiment, and for its others
BETAS = (0.0, 0.9)
DEVICE = {"damping": FINETUNING_DAMPING, "device": ONE_READ}
GRIDS = {
    "SGD": Method("SGD", {"learning_rate": (0.01, 0.03, 0.1), "momentum": BETAS}),
    "Adam": Method("Adam", {"learning_rate": (1e-3, 3e-3, 1e-2), "beta1": BETAS}),
    "Adam(0,0)": Method("Adam", {"learning_rate": (3e-4, 1e-3, 2e-3, 5e-3, 1e-2, 3e-2)}, {"beta1": 0.0, "beta2": 0.0}),
    "signSGD": Method("SignSGD", {"learning_rate": (3e-4, 1e-3, 3e-3), "momentum": BETAS}),
    "TNGD": Method("TNGD", {"learning_rate": (0.1, 0.3, 1.0), "run_time": TIMES}, DEVICE, LOW_RANK),
    "TNGD-Adam": Method(
        "TNGD", {"learning_rate": (1e-3, 3e-3, 1e-2), "run_time": TIMES},
        DEVICE | {"inner": {"name": "Adam", "beta1": 0.0, "beta2": 0.0}}, LOW_RANK,
    ),
}  # fmt: skip


def task(settings) -> Training:
    """The run that all have in common: its data, its network, and how that was pre-trained."""
    data = {"context": settings.context, "n_test": settings.n_test}
    model = {
        "model": "transformer",
        "model_options": {
            "vocabulary": len(datasets.CHARACTERS), "width": settings.width, "heads": settings.heads,
            "depth": settings.depth, "context": settings.context,
        },
    }  # fmt: skip
    before = Training(
        data="topics_text", data_options=data | {"part": "pretrain"}, **model, optimizer="Adam",
        options={"learning_rate": settings.pretrain_rate}, batch_size=settings.pretrain_batch,
        steps=settings.pretrain_steps, evaluate_every=settings.pretrain_steps,
    )  # fmt: skip
    return Training(
        data="topics_text", data_options=data | {"part": "finetune", "n_train": settings.n_train}, **model,
        optimizer="SGD", curvature={"kind": "sampled", "shape": "low_rank", "n_draws": settings.draws},
        batch_size=settings.batch_size, steps=settings.steps, evaluate_every=settings.late, pretrain=before,
        lora={"rank": settings.rank, "scale": settings.scale},
    )  # fmt: skip


def method_run(base: Training, method: Method, options: dict, seed: int) -> Training:
    """The run of a method, with the curvature of the task where it needs one."""
    curved = replace(method, curvature=base.curvature if method.curvature else {})
    return with_method(base, curved, options, seed=seed)


def tuned_options(method: str) -> dict:
    """The best options of a method."""
    return json.loads((FOLDER / f"{NAME}.json").read_text())[method]["options"]


def tried() -> pd.DataFrame:
    """A row for each method and setting: method, options, seed, training_loss, stopped."""
    chosen = SCALES["default"]["tngd_finetuning"]
    cases = [(name, options) for name, method in GRIDS.items() for options in method.settings()]
    found = logs(method_run(task(chosen), GRIDS[name], options, SEED) for name, options in cases)
    return pd.DataFrame(
        {
            "method": name, "options": json.dumps(options, sort_keys=True), "seed": SEED,
            "training_loss": late_loss(log, chosen.late), "stopped": log["stopped"].iloc[-1],
        }
        for (name, options), log in zip(cases, found, strict=True)
    )  # fmt: skip


def best_of(table: pd.DataFrame) -> dict:
    """The setting of least training loss, method by method, and whether its learning rate is an end of the grid."""
    best = {}
    for name, rows in table.groupby("method", sort=False):
        row = rows.loc[rows["training_loss"].idxmin()]
        options = json.loads(row["options"])
        rates = GRIDS[name].grid["learning_rate"]
        rate = (options | options.get("inner", {}))["learning_rate"]
        best[name] = {
            "options": options, "training_loss": float(row["training_loss"]),
            "on_edge": ["learning_rate"] * (rate in (min(rates), max(rates))),
        }  # fmt: skip
    return best


def main() -> int:
    """Run the grid."""
    table = tried()
    table.to_csv(FOLDER / f"{NAME}.csv", index=False)
    (FOLDER / f"{NAME}.json").write_text(json.dumps(best_of(table), indent=1) + "\n")
    print(table.to_string())
    return 0


if __name__ == "__main__":
    sys.exit(main())
