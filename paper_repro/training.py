"""A training run as a value: settings in, a tidy log out; seeded, resumable, stopped where it cannot go on."""

import json
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from analysis.sweeps import sweep
from thermolinalg import checks
from thermolinalg.errors import NotConverged, NotPositiveDefinite, QuantizationFloor
from thermolinalg.optimizers import State

from . import datasets, recipes

DIVERGED = 100.0  # times the loss at the start, from which on a run is given up
REFUSED = (NotPositiveDefinite, NotConverged, QuantizationFloor)  # by a device or a curvature: the run ends there
TIMES = ("model_seconds", "curvature_seconds", "optimizer_seconds")  # measured: they differ from run to run


@dataclass(frozen=True, kw_only=True)
class Training:
    """All that a run depends on, in plain values.

    Parameters
    ----------
    data : str
        A name of `paper_repro.datasets.LEARNING`.
    data_options : dict
        Of its function; ``n_train`` and ``n_test`` take a random subset.
    model : str
        A builder of `paper_repro.models`.
    model_options : dict
    optimizer : str
        A class of `thermolinalg.optimizers`, or ``"module:Class"``.
    options : dict
        Of that class; see `paper_repro.recipes.make_optimizer` for `device`, `inner`, `tracking` and `damping`.
    curvature : dict
        ``kind``, ``shape`` and ``sharing`` of `paper_repro.recipes.make_curvature`, for an optimiser that needs one.
    metric : dict or None
        The same for the F that all reports measure with; None: no such report.
    batch_size, steps, seed : int
    evaluate_every, metric_every : int
        Steps between evaluations on the test set, and between reports under the metric.
    halves : bool
        Give the optimiser the gradients of two halves of each batch (NGDT).
    validation : float
        This share of the training set, drawn at random, is held out, and evaluated on in place of the test set: for
        tuning, which must not see the test set.
    lora : dict or None
        Fine-tune low-rank factors only, ``{"rank": 2, "scale": 32}``, on the parameters that `pretrain` ends with.
    pretrain : Training or None
        A run of the same model whose last parameters this one starts from.

    Examples
    --------
    >>> run = Training(data="digits", model="mlp", model_options={"sizes": [64, 8, 10]}, optimizer="SGD",
    ...     options={"learning_rate": 0.1}, batch_size=16, steps=3)
    >>> train(run, progress=False).shape[0]
    3
    """

    data: str
    model: str
    optimizer: str
    batch_size: int
    steps: int
    data_options: dict = field(default_factory=dict)
    model_options: dict = field(default_factory=dict)
    options: dict = field(default_factory=dict)
    curvature: dict = field(default_factory=dict)
    metric: dict | None = None
    seed: int = 0
    evaluate_every: int = 10
    metric_every: int = 1
    halves: bool = False
    validation: float = 0.0
    lora: dict | None = None
    pretrain: "Training | None" = None

    def __post_init__(self):
        for name in ("batch_size", "steps", "evaluate_every", "metric_every"):
            checks.count(getattr(self, name), name)
        if recipes.optimizer_class(self.optimizer).needs != "gradient" and not self.curvature:
            raise ValueError(f'{self.optimizer} needs a curvature; give e.g. curvature={{"kind": "exact"}}')
        if self.data not in datasets.LEARNING:
            raise ValueError(f"unknown data {self.data!r}; known: {', '.join(datasets.LEARNING)}")

    @property
    def adapts(self) -> bool:
        """Whether something in the optimiser wants to know the loss after each step."""
        return isinstance(self.options.get("damping"), dict)

    def to_json(self) -> str:
        """The settings as text: equal for equal runs."""
        return json.dumps(asdict(self), sort_keys=True)


@dataclass
class _Run:
    """Where a run stands: what a checkpoint holds."""

    theta: np.ndarray
    state: State
    rows: list[dict]
    first_loss: float | None = None
    stopped: str | None = None


def train(settings: Training, *, data_root=None, checkpoint=None, checkpoint_every=50, progress=True) -> pd.DataFrame:
    """Run it.

    Parameters
    ----------
    settings : Training
    data_root : path, optional
        Where the files of "mnist" and "cifar10" are.
    checkpoint : path, optional
        File (.npz) to keep the run in: written whole every `checkpoint_every` steps and at the end. A run that finds
        it goes on from there, to the same result as one that was never stopped.
    checkpoint_every : int
    progress : bool
        A progress bar, where there is a terminal.

    Returns
    -------
    DataFrame
        One row a step: ``step``, ``epoch``, ``loss`` of the batch before the step, the fields of the optimiser's
        report, ``test_loss`` and ``test_accuracy`` after the step where evaluated, the measured times ``model_seconds``
        (outputs, gradients), ``curvature_seconds``, ``optimizer_seconds``, and ``stopped``: None, or why the run ended
        early in its last row: it diverged, or a device or a curvature refused a matrix (the error with its notes).
        `DataFrame.attrs` has the settings.

    Raises
    ------
    ValueError
        A checkpoint of another run; settings that do not fit together.
    """
    run = _run(settings, data_root, checkpoint, checkpoint_every, progress)
    table = pd.DataFrame(run.rows)
    table.attrs["settings"] = asdict(settings)
    return table


def trained(settings: Training, *, data_root=None, checkpoint=None, checkpoint_every=50, progress=True) -> np.ndarray:
    """The parameters (N,) that a run ends with; see `train`.

    Raises
    ------
    FloatingPointError
        The run did not get to its end.
    """
    run = _run(settings, data_root, checkpoint, checkpoint_every, progress)
    if run.stopped is not None:
        raise FloatingPointError(f"the run to start from did not get to its end: {run.stopped}")
    return run.theta


def _run(settings: Training, data_root, checkpoint, checkpoint_every, progress) -> _Run:
    data, model, start = _prepared(settings, data_root, progress)
    optimizer = recipes.make_optimizer(settings.optimizer, settings.options, settings.seed)
    run = _Run(start, optimizer.init(start), [])
    target = None if checkpoint is None else Path(checkpoint)
    if target is not None and target.exists():
        run = _restored(target, settings)
    if run.stopped is None and run.state.step < settings.steps:
        _warm_up(settings, data, model, run.theta)
        with tqdm(total=settings.steps, initial=run.state.step, disable=None if progress else True) as bar:
            for epoch, indices in islice(_batches(data, settings), run.state.step, settings.steps):
                _step(run, settings, data, model, optimizer, epoch, indices)
                bar.update()
                bar.set_postfix(loss=run.rows[-1].get("loss"), refresh=False)
                if run.stopped is not None:
                    break
                if target is not None and run.state.step % checkpoint_every == 0:
                    _save(target, settings, run)
        if target is not None:
            _save(target, settings, run)
    return run


def _prepared(settings: Training, data_root, progress):
    """Data, model and first parameters."""
    options = dict(settings.data_options)
    sizes = {name: options.pop(name) for name in ("n_train", "n_test") if name in options}
    if settings.data in datasets.FROM_FILES:
        data = datasets.load(settings.data, data_root, **options)
    else:
        data = _made(settings.data, json.dumps(options, sort_keys=True))
    if sizes:
        data = data.subset(**sizes, seed=settings.seed)
    if settings.validation:
        data = data.held_out(settings.validation, settings.seed)
    model = recipes.make_model(settings.model, settings.model_options)
    if settings.pretrain is None:
        theta = model.init(settings.seed)
    else:  # from the results cache: many runs start from one
        theta = sweep(_pretrained, [(settings.pretrain, None if data_root is None else str(data_root))])[0]
    if settings.lora is not None:
        model = recipes.adapted_model(model, theta.tobytes(), json.dumps(settings.lora, sort_keys=True))
        theta = model.init(settings.seed)
    return data, model, theta


def _pretrained(task: tuple[Training, str | None]) -> np.ndarray:
    settings, data_root = task
    return trained(settings, data_root=data_root, progress=False)


@lru_cache(maxsize=8)
def _made(name: str, options: str):
    """Data that read no files: made once in a process; the arrays are read-only."""
    return datasets.load(name, None, **json.loads(options))


def _batches(data, settings: Training) -> Iterator[tuple[int, np.ndarray]]:
    epoch = 0
    while True:
        for indices in data.batches(settings.batch_size, settings.seed, epoch, drop_last=True):
            yield epoch, indices
        epoch += 1


@dataclass(frozen=True)
class _Batch:
    """Some training samples."""

    inputs: object
    labels: np.ndarray
    mask: np.ndarray | None

    @classmethod
    def of(cls, data, indices) -> "_Batch":
        inputs, labels = data.take(indices, "train")
        return cls(inputs, labels, None if data.train_mask is None else data.train_mask[indices])

    def gradient(self, model, theta) -> tuple[float, np.ndarray]:
        return model.loss_and_gradient(theta, self.inputs, self.labels, mask=self.mask)

    def curvature(self, model, theta, recipe: dict, rng):
        return recipes.make_curvature(model, theta, self.inputs, self.labels, mask=self.mask, rng=rng, **recipe)


def _warm_up(settings, data, model, theta) -> None:
    """Compile what the steps will call, so that no step's time has it."""
    batch = _Batch.of(data, np.arange(settings.batch_size))
    batch.gradient(model, theta)
    if settings.curvature:
        batch.curvature(model, theta, settings.curvature, rng=0)


def _step(run: _Run, settings: Training, data, model, optimizer, epoch: int, indices) -> None:
    """One step of the run, its row of the log, and whether to stop."""
    step = run.state.step
    row = {"step": step, "epoch": epoch}
    try:
        _learn(run, settings, data, model, optimizer, indices, row)
        if (step + 1) % settings.evaluate_every == 0 or step + 1 == settings.steps:
            test = (run.theta, data.test_inputs, data.test_labels)
            row["test_loss"] = model.loss(*test, mask=data.test_mask)
            row["test_accuracy"] = model.accuracy(*test, mask=data.test_mask)
    except FloatingPointError as error:
        run.stopped = f"diverged at step {step}: {error}"
    except REFUSED as error:
        told = "; ".join([str(error), *getattr(error, "__notes__", ())])
        run.stopped = f"refused at step {step}: {type(error).__name__}: {told}"
    run.rows.append(row | {"stopped": run.stopped})


def _learn(run: _Run, settings: Training, data, model, optimizer, indices, row: dict) -> None:
    """Gradient, curvature, step; what the log says of them goes into its row.

    Raises
    ------
    FloatingPointError
        The loss or the step is not finite, or the loss has grown out of bounds.
    NotPositiveDefinite, NotConverged, QuantizationFloor
        From the optimiser.
    """
    batch, step = _Batch.of(data, indices), run.state.step
    rng = np.random.default_rng((settings.seed, 2, step))
    clock = [time.perf_counter()]
    loss, gradient = batch.gradient(model, run.theta)
    run.first_loss = loss if run.first_loss is None else run.first_loss
    if loss > DIVERGED * max(run.first_loss, 1e-3):
        raise FloatingPointError(f"the loss of a batch went from {run.first_loss:.3g} to {loss:.3g}")
    row["loss"] = loss
    options = {}
    if settings.halves:
        options["halves"] = [_Batch.of(data, half).gradient(model, run.theta)[1] for half in _halves(indices)]
    clock.append(time.perf_counter())
    curvature = batch.curvature(model, run.theta, settings.curvature, rng) if settings.curvature else None
    clock.append(time.perf_counter())
    if settings.metric is not None and step % settings.metric_every == 0:
        options["metric"] = batch.curvature(model, run.theta, settings.metric, rng)
    before = time.perf_counter()
    run.theta, run.state = optimizer.step(run.theta, gradient, curvature, run.state, **options)
    seconds = [*np.diff(clock), time.perf_counter() - before]
    if settings.adapts:
        after = model.loss(run.theta, batch.inputs, batch.labels, mask=batch.mask)
        run.state = optimizer.observe(run.state, loss, after)
    row |= run.state.report.as_dict() | {"step": step} | dict(zip(TIMES, seconds, strict=True))


def _halves(indices) -> tuple[np.ndarray, np.ndarray]:
    half = len(indices) // 2
    return indices[:half], indices[half : 2 * half]


def _save(target: Path, settings: Training, run: _Run) -> None:
    """Write the checkpoint aside and move it into place: never half a file."""
    facts = {
        "settings": settings.to_json(), "rows": run.rows, "step": run.state.step, "first_loss": run.first_loss,
        "stopped": run.stopped,
    }  # fmt: skip
    arrays = {f"state.{name}": value for name, value in run.state.arrays.items()}
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = target.with_name(f"{target.name}.{os.getpid()}.tmp")
    with open(aside, "wb") as file:
        np.savez(file, theta=run.theta, facts=np.array(json.dumps(facts, default=float)), **arrays)
    os.replace(aside, target)


def _restored(target: Path, settings: Training) -> _Run:
    with np.load(target) as held:
        facts = json.loads(str(held["facts"]))
        if facts["settings"] != settings.to_json():
            raise ValueError(f"{target} is the checkpoint of a run with other settings; remove it or name another file")
        arrays = {name[6:]: held[name] for name in held.files if name.startswith("state.")}
        state = State(step=facts["step"], arrays=arrays)
        return _Run(held["theta"], state, facts["rows"], facts["first_loss"], facts["stopped"])
