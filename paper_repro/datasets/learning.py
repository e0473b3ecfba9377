"""LearningData: a training set and a test set, where they come from, and in which order they are visited."""

import hashlib
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from thermolinalg import checks

Inputs = np.ndarray | dict[str, np.ndarray]

# A branch of the seed sequence for each use, so that an optimiser with the same seed draws other numbers.
BATCHES, SUBSET, HELD_OUT = (zlib.crc32(name) for name in (b"batches", b"subset", b"held out"))


def fraction(value, name: str) -> float:
    """A number strictly between 0 and 1."""
    number = checks.positive(value, name)
    if number >= 1:
        raise ValueError(f"{name} must lie between 0 and 1, got {value!r}")
    return number


@dataclass(frozen=True, kw_only=True, eq=False)
class LearningData:
    """A training set and a test set.

    Parameters
    ----------
    name : str
    train_inputs, test_inputs : (n, ...) ndarray or dict of such arrays
        Images (n, d) or (n, H, W, C), floats; text (n, context), ints; graphs ``{"adjacency": (n, p, p), "features":
        (n, p, f), "mask": (n, p)}``. The arrays are read-only.
    train_labels, test_labels : ndarray
        Classes, ints, (n,) or one for each of p outputs (n, p); or several yes/no answers at once, floats 0 and 1, (n,
        p, n_classes).
    n_classes : int
        Number of classes, of answers, or size of the vocabulary: the width of the model's output.
    source, licence : str
    train_mask, test_mask : (n, p) ndarray of bool, optional
        Which outputs count, where only some are labelled; None: all.
    details : dict, optional
        What else there is to say, in plain values.

    Raises
    ------
    ValueError
        When the arrays do not fit together.

    Examples
    --------
    >>> data = LearningData(name="two points", train_inputs=np.array([[0.0], [1.0]]), train_labels=np.array([0, 1]),
    ...     test_inputs=np.array([[2.0]]), test_labels=np.array([1]), n_classes=2, source="made up", licence="MIT")
    >>> data.n_train, data.n_test
    (2, 1)
    >>> [batch.size for batch in data.batches(1, seed=0, epoch=3)]
    [1, 1]
    """

    name: str
    train_inputs: Inputs
    train_labels: np.ndarray
    test_inputs: Inputs
    test_labels: np.ndarray
    n_classes: int
    source: str
    licence: str
    train_mask: np.ndarray | None = None
    test_mask: np.ndarray | None = None
    details: dict = field(default_factory=dict)

    def __post_init__(self):
        checks.count(self.n_classes, "n_classes")
        for part in ("train", "test"):
            inputs = _each(np.asarray, getattr(self, f"{part}_inputs"))
            labels, mask = np.asarray(getattr(self, f"{part}_labels")), getattr(self, f"{part}_mask")
            n = _check_labels(labels, self.n_classes, f"{part}_labels")
            for key, array in _named(inputs, f"{part}_inputs"):
                if len(array) != n:
                    raise ValueError(f"{key} must have as many rows as {part}_labels, {n}, got {len(array)}")
                if not np.isfinite(array).all():
                    raise ValueError(f"{key} must be finite")
            if mask is not None and (mask.shape != labels.shape[:2] or mask.dtype != bool):
                raise ValueError(
                    f"{part}_mask must be bool of shape {labels.shape[:2]}, got {mask.dtype} of shape {mask.shape}"
                )
            object.__setattr__(self, f"{part}_inputs", _each(_frozen, inputs))
            object.__setattr__(self, f"{part}_labels", _frozen(labels))
            object.__setattr__(self, f"{part}_mask", None if mask is None else _frozen(mask))
        _check_alike(self)

    @property
    def n_train(self) -> int:
        """Number of training samples."""
        return len(self.train_labels)

    @property
    def n_test(self) -> int:
        """Number of test samples."""
        return len(self.test_labels)

    @cached_property
    def sha256(self) -> str:
        """Hash of the names, types, shapes and bytes of all arrays; computed lazily."""
        digest = hashlib.sha256()
        for part in ("train_inputs", "train_labels", "train_mask", "test_inputs", "test_labels", "test_mask"):
            value = getattr(self, part)
            for key, array in () if value is None else _named(value, part):
                little = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
                digest.update(f"{key} {little.dtype.str} {little.shape};".encode())
                digest.update(little.data)
        return digest.hexdigest()

    def balance(self, part: str = "train") -> np.ndarray:
        """Share of each class among the labels that count, or of 1.0 in each answer; shape (n_classes,)."""
        checks.choice(part, "part", ("train", "test"))
        labels, mask = getattr(self, f"{part}_labels"), getattr(self, f"{part}_mask")
        if mask is not None:
            labels = labels[mask]
        if labels.dtype.kind == "f":
            return labels.reshape(-1, self.n_classes).mean(axis=0)
        return np.bincount(labels.ravel(), minlength=self.n_classes) / labels.size

    def batches(self, batch_size: int, seed, epoch: int, *, drop_last: bool = False) -> Iterator[np.ndarray]:
        """Indices of the training samples in random order, batch by batch.

        The order depends on `seed` and `epoch` alone. A run that stopped after k batches of an epoch goes on with
        ``itertools.islice(data.batches(batch_size, seed, epoch), k, None)``.

        Parameters
        ----------
        batch_size : int
            At most `n_train`.
        seed : int or SeedSequence
            A sequence is read, not spawned from.
        epoch : int
            From 0.
        drop_last : bool
            Leave out the last batch where it is smaller than the others.

        Returns
        -------
        iterator of (batch_size,) ndarray of ints

        Raises
        ------
        ValueError
            At the call, not at the first batch.
        """
        size = checks.count(batch_size, "batch_size")
        if size > self.n_train:
            raise ValueError(f"batch_size must be at most n_train, {self.n_train}, got {batch_size}")
        order = _branch(seed, BATCHES, checks.count(epoch, "epoch", least=0)).permutation(self.n_train)
        end = self.n_train - self.n_train % size if drop_last else self.n_train
        return (order[start : start + size] for start in range(0, end, size))

    def take(self, indices, part: str = "train") -> tuple[Inputs, np.ndarray]:
        """Inputs and labels of some samples of the "train" or the "test" set."""
        checks.choice(part, "part", ("train", "test"))
        inputs, labels = getattr(self, f"{part}_inputs"), getattr(self, f"{part}_labels")
        return _each(lambda array: array[indices], inputs), labels[indices]

    def subset(self, n_train: int | None = None, n_test: int | None = None, seed=0) -> "LearningData":
        """Some of the samples, drawn without replacement; None keeps all.

        A smaller subset of the same seed lies within a larger one. The samples keep their order; ``details["subset"]``
        says what was drawn.
        """
        chosen: dict[str, Any] = {}
        sizes = {}
        for branch, (part, wanted) in enumerate((("train", n_train), ("test", n_test))):
            available = len(getattr(self, f"{part}_labels"))
            sizes[part] = available if wanted is None else checks.count(wanted, f"n_{part}")
            if sizes[part] > available:
                raise ValueError(f"n_{part} must be at most {available}, got {wanted}")
            indices = np.sort(_branch(seed, SUBSET, branch).permutation(available)[: sizes[part]])
            mask = getattr(self, f"{part}_mask")
            chosen[f"{part}_inputs"], chosen[f"{part}_labels"] = self.take(indices, part)
            chosen[f"{part}_mask"] = None if mask is None else mask[indices]
        entropy = seed.entropy if isinstance(seed, np.random.SeedSequence) else int(seed)
        return replace(self, **chosen, details=self.details | {"subset": sizes | {"seed": entropy}})

    def held_out(self, share: float, seed=0) -> "LearningData":
        """The training set alone, with that share of it, drawn at random, in place of the test set."""
        held = round(fraction(share, "share") * self.n_train)
        if not 0 < held < self.n_train:
            raise ValueError(f"share must leave samples on both sides, got {share!r} of {self.n_train}")
        order = _branch(seed, HELD_OUT).permutation(self.n_train)
        chosen: dict[str, Any] = {}
        for part, indices in (("test", np.sort(order[:held])), ("train", np.sort(order[held:]))):
            chosen[f"{part}_inputs"], chosen[f"{part}_labels"] = self.take(indices, "train")
            chosen[f"{part}_mask"] = None if self.train_mask is None else self.train_mask[indices]
        return replace(self, **chosen, details=self.details | {"held_out": held})

    def __repr__(self) -> str:
        return f"LearningData({self.name!r}, n_train={self.n_train}, n_test={self.n_test}, n_classes={self.n_classes})"


def _branch(seed, *key: int) -> np.random.Generator:
    """The generator at a place below the seed."""
    if not isinstance(seed, np.random.SeedSequence):
        seed = np.random.SeedSequence(checks.count(seed, "seed", least=0))
    return np.random.default_rng(np.random.SeedSequence(seed.entropy, spawn_key=(*seed.spawn_key, *key)))


def _named(inputs: Inputs, name: str) -> list[tuple[str, np.ndarray]]:
    if isinstance(inputs, dict):
        return [(f"{name}[{key!r}]", inputs[key]) for key in sorted(inputs)]
    return [(name, inputs)]


def _each(function, inputs: Inputs) -> Inputs:
    if isinstance(inputs, dict):
        return {key: function(array) for key, array in inputs.items()}
    return function(inputs)


def _frozen(array: np.ndarray) -> np.ndarray:
    view = array.view()
    view.flags.writeable = False
    return view


def _check_labels(labels: np.ndarray, n_classes: int, name: str) -> int:
    """The number of samples; what the labels must be is in the docstring of `LearningData`."""
    if labels.dtype.kind in "iu" and labels.ndim in (1, 2):
        allowed = f"0 to {n_classes - 1}"
        good = (labels >= 0) & (labels < n_classes)
    elif labels.dtype.kind == "f" and labels.ndim == 3 and labels.shape[2] == n_classes:
        allowed = "0.0 or 1.0"
        good = (labels == 0) | (labels == 1)
    else:
        raise ValueError(
            f"{name} must be ints of shape (n,) or (n, p) or floats of shape (n, p, {n_classes}), "
            f"got {labels.dtype} of shape {labels.shape}"
        )
    if labels.size == 0:
        raise ValueError(f"{name} is empty")
    if not good.all():
        raise ValueError(f"{name} must be {allowed}, got {labels[~good][0]}")
    return len(labels)


def _check_alike(data: LearningData) -> None:
    """A model that takes the training set takes the test set."""
    shapes = []
    for part in ("train", "test"):
        inputs, labels = getattr(data, f"{part}_inputs"), getattr(data, f"{part}_labels")
        arrays = [*_named(inputs, "inputs"), ("labels", labels)]
        shapes.append([f"{key} {array.dtype} (n, *{array.shape[1:]})" for key, array in arrays])
    if shapes[0] != shapes[1]:
        raise ValueError(f"training and test set differ: {'; '.join(shapes[0])} against {'; '.join(shapes[1])}")
