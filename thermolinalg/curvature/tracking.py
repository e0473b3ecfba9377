"""Curvature over many batches: moving averages of factors, eigenbases kept until they are stale."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import _validation
from .._typing import Arrays, FloatArray
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
    eigenvalues : {"cached", "current", "samples"}
        What a kept basis is used with: the eigenvalues found with it, the diagonal of the present factors in it, or a
        moving average of the second moments along it (EKFAC, `KroneckerCurvature.second_moments`), which need not
        factor; when the basis changes, that average is carried over as the diagonal, in the new basis, of the matrix
        that it stood for in the old one.

    Raises
    ------
    ValueError
        A parameter out of its range.

    See Also
    --------
    thermolinalg.optimizers.KFAC : Optimisers that average take it for `tracking`.

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

    def __post_init__(self) -> None:
        if _validation.positive(self.decay, "decay", zero=True) >= 1.0:
            raise ValueError(f"decay must be in [0, 1), got {self.decay!r}")
        _validation.count(self.interval, "interval")
        if self.staleness is not None:
            _validation.positive(self.staleness, "staleness")
        _validation.choice(self.eigenvalues, "eigenvalues", ("cached", "current", "samples"))

    def update(self, arrays: dict[str, np.ndarray], curvature: Curvature) -> dict[str, np.ndarray]:
        """The arrays that follow `arrays` ({} to begin with) when a batch has this curvature.

        Arrays of other names are left alone, so those of an optimiser's state will do.

        Raises
        ------
        ValueError
            A block that has no average of its own shape (a low-rank one), one without samples where they are needed,
            or blocks unlike those before.
        """
        blocks = curvature.blocks if isinstance(curvature, BlockCurvature) else (curvature,)
        count, weight = int(arrays.get("count", 0)), float(arrays.get("weight", 0.0))
        if count and int(arrays["n_blocks"]) != len(blocks):
            raise ValueError(f"curvature has {len(blocks)} blocks, that of earlier steps {int(arrays['n_blocks'])}")
        new = {"count": np.array(count + 1), "n_blocks": np.array(len(blocks))}
        new["weight"] = np.array(self._mean(weight, 1.0))
        for i, block in enumerate(blocks):
            for name, value in _averaged(block, i).items():
                old = np.zeros_like(value) if count == 0 else arrays.get(name)
                if old is None or old.shape != value.shape:
                    raise ValueError(f"block {i} of the curvature is unlike that of earlier steps: {block!r}")
                new[name] = self._mean(old, value)
            if isinstance(block, KroneckerCurvature):
                new |= self._eigenbasis(arrays, new, i, count)
                if self.eigenvalues == "samples":
                    new[f"s{i}"] = self._mean(_carried(arrays, new, i), block.second_moments(_bases(new, i)))
        return new

    def _mean(self, old: FloatArray | float, value: FloatArray | float) -> Any:
        return self.decay * old + (1.0 - self.decay) * value

    def _eigenbasis(self, arrays: Arrays, new: Arrays, i: int, count: int) -> Arrays:
        """Bases and eigenvalues of Kronecker block i: those kept, or new ones when they are due."""
        kept = {name: arrays[name] for name in _basis_names(i) if name in arrays}
        if kept and not self._is_due(kept, new, i, count):
            return kept
        block = KroneckerCurvature(new[f"A{i}"] / new["weight"], new[f"G{i}"] / new["weight"])
        return dict(zip(_basis_names(i), (*block.bases, block.left_values, block.right_values), strict=True))

    def _is_due(self, kept: Arrays, new: Arrays, i: int, count: int) -> bool:
        if self.staleness is None:
            return count % self.interval == 0
        block = KroneckerCurvature(new[f"A{i}"], new[f"G{i}"], bases=_bases(kept, i))
        return max(block.staleness()) > self.staleness

    def curvature(self, arrays: dict[str, np.ndarray]) -> BlockCurvature:
        """The average that `arrays` hold, in the kept eigenbases."""
        weight = float(arrays["weight"])
        return BlockCurvature([self._block(arrays, i, weight) for i in range(int(arrays["n_blocks"]))])

    def _block(self, arrays: Arrays, i: int, weight: float) -> Curvature:
        if f"diagonal{i}" in arrays:
            return DiagonalCurvature(arrays[f"diagonal{i}"] / weight)
        if f"dense{i}" in arrays:
            return DenseCurvature(arrays[f"dense{i}"] / weight)
        values = {
            "cached": lambda: (arrays[f"lA{i}"], arrays[f"lG{i}"]),
            "current": lambda: None,
            "samples": lambda: arrays[f"s{i}"] / weight,
        }[self.eigenvalues]()
        A, G = arrays[f"A{i}"] / weight, arrays[f"G{i}"] / weight
        return KroneckerCurvature(A, G, bases=_bases(arrays, i), values=values)


def _bases(arrays: Arrays, i: int) -> tuple[np.ndarray, np.ndarray]:
    return arrays[f"VA{i}"], arrays[f"VG{i}"]


def _carried(arrays: Arrays, new: Arrays, i: int) -> FloatArray | float:
    """The average second moments (p, r) kept of Kronecker block i, along its present bases."""
    if f"s{i}" not in arrays:
        return 0.0
    left, right = (present.T @ old for present, old in zip(_bases(new, i), _bases(arrays, i), strict=True))
    return left**2 @ arrays[f"s{i}"] @ (right**2).T


def _basis_names(i: int) -> tuple[str, str, str, str]:
    return f"VA{i}", f"VG{i}", f"lA{i}", f"lG{i}"


def _averaged(block: Curvature, i: int) -> dict[str, np.ndarray]:
    """What of a block is averaged over batches, by the name it is kept under."""
    if isinstance(block, KroneckerCurvature):
        return {f"A{i}": block.A, f"G{i}": block.G}
    if isinstance(block, DiagonalCurvature):
        return {f"diagonal{i}": block.rates}
    if isinstance(block, DenseCurvature):
        return {f"dense{i}": block.dense()}
    raise ValueError(
        f"block {i} of the curvature is a {type(block).__name__}, which has no average of its own shape over batches; "
        "give KroneckerCurvature, DiagonalCurvature or DenseCurvature blocks"
    )
