"""Curvature over many batches: moving averages of factors, eigenbases kept until they are stale."""

from dataclasses import dataclass

import numpy as np

from .. import _check
from .base import Curvature
from .blocks import BlockCurvature
from .full import DenseCurvature, DiagonalCurvature
from .kronecker import KroneckerCurvature


@dataclass(frozen=True)
class Tracking:
    """How a curvature is carried from batch to batch. Nothing is damped here: damping is added at use.

    Parameters
    ----------
    decay : float
        Of the moving average of the factors, in [0, 1); 0 keeps the last batch only. The average is unbiased from the
        first batch on: it is divided by the sum of its weights.
    interval : int
        A new eigenbasis every so many updates.
    staleness : float, optional
        In its place: a new eigenbasis of a layer when keeping the old one would cost a relative Frobenius error of
        either factor above this (`KroneckerCurvature.staleness`).
    eigenvalues : {"cached", "current"}
        What a kept basis is used with: the eigenvalues found with it, or the diagonal of the present factors in it.

    Raises
    ------
    ValueError
        A parameter out of its range.

    Examples
    --------
    >>> import numpy as np, thermolinalg as tl
    >>> tracking = tl.curvature.Tracking(decay=0.5)
    >>> F = tl.curvature.KroneckerCurvature(np.eye(2), np.eye(3))
    >>> arrays = tracking.update({}, F)
    >>> tracking.curvature(arrays)
    BlockCurvature(N=6)
    """

    decay: float = 0.95
    interval: int = 10
    staleness: float | None = None
    eigenvalues: str = "cached"

    def __post_init__(self):
        if _check.positive(self.decay, "decay", zero=True) >= 1.0:
            raise ValueError(f"decay must be in [0, 1), got {self.decay!r}")
        _check.count(self.interval, "interval")
        if self.staleness is not None:
            _check.positive(self.staleness, "staleness")
        _check.choice(self.eigenvalues, "eigenvalues", ("cached", "current"))

    def update(self, arrays: dict[str, np.ndarray], curvature: Curvature) -> dict[str, np.ndarray]:
        """The arrays that follow `arrays` ({} to begin with) when a batch has this curvature.

        Raises
        ------
        ValueError
            A block that has no average of its own shape (a low-rank one), or blocks unlike those before.
        """
        blocks = curvature.blocks if isinstance(curvature, BlockCurvature) else (curvature,)
        count = int(arrays["count"]) if arrays else 0
        if arrays and int(arrays["n_blocks"]) != len(blocks):
            raise ValueError(f"curvature has {len(blocks)} blocks, that of earlier steps {int(arrays['n_blocks'])}")
        new = {"count": np.array(count + 1), "n_blocks": np.array(len(blocks))}
        new["weight"] = np.array(self.decay * float(arrays["weight"] if arrays else 0.0) + 1.0 - self.decay)
        for i, block in enumerate(blocks):
            for name, value in _averaged(block, i).items():
                old = arrays.get(name, np.zeros_like(value))
                if old.shape != value.shape:
                    raise ValueError(f"block {i} of the curvature has shape {value.shape}, before it had {old.shape}")
                new[name] = self.decay * old + (1.0 - self.decay) * value
            if isinstance(block, KroneckerCurvature):
                new |= self._eigenbasis(arrays, new, i, count)
        return new

    def _eigenbasis(self, arrays, new, i, count):
        """Bases and eigenvalues of Kronecker block i: those kept, or new ones when they are due."""
        kept = {name: arrays[name] for name in _basis_names(i) if name in arrays}
        if kept and not self._is_due(kept, new, i, count):
            return kept
        block = KroneckerCurvature(new[f"A{i}"] / new["weight"], new[f"G{i}"] / new["weight"])
        return dict(zip(_basis_names(i), (*block.bases, block.left_values, block.right_values), strict=True))

    def _is_due(self, kept, new, i, count):
        if self.staleness is None:
            return count % self.interval == 0
        bases = kept[f"VA{i}"], kept[f"VG{i}"]
        return max(KroneckerCurvature(new[f"A{i}"], new[f"G{i}"], bases=bases).staleness()) > self.staleness

    def curvature(self, arrays: dict[str, np.ndarray]) -> BlockCurvature:
        """The average that `arrays` hold, in the kept eigenbases."""
        weight = float(arrays["weight"])
        return BlockCurvature([self._block(arrays, i, weight) for i in range(int(arrays["n_blocks"]))])

    def _block(self, arrays, i, weight):
        if f"diagonal{i}" in arrays:
            return DiagonalCurvature(arrays[f"diagonal{i}"] / weight)
        if f"dense{i}" in arrays:
            return DenseCurvature(arrays[f"dense{i}"] / weight)
        VA, VG, left, right = (arrays[name] for name in _basis_names(i))
        values = (left, right) if self.eigenvalues == "cached" else None
        return KroneckerCurvature(arrays[f"A{i}"] / weight, arrays[f"G{i}"] / weight, bases=(VA, VG), values=values)


def _basis_names(i: int) -> tuple[str, str, str, str]:
    return f"VA{i}", f"VG{i}", f"lA{i}", f"lG{i}"


def _averaged(block: Curvature, i: int) -> dict[str, np.ndarray]:
    """What of a block is averaged over batches, by the name it is kept under."""
    if isinstance(block, KroneckerCurvature):
        return {f"A{i}": block.A, f"G{i}": block.G}
    if isinstance(block, DiagonalCurvature):
        return {f"diagonal{i}": block.rates}
    if isinstance(block, DenseCurvature):
        return {f"dense{i}": block.matvec(np.eye(block.size))}
    raise ValueError(
        f"block {i} of the curvature is a {type(block).__name__}, which has no average of its own shape over batches; "
        "give KroneckerCurvature, DiagonalCurvature or DenseCurvature blocks"
    )
