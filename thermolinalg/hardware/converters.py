"""Converters: the rounding of numbers that go into the device and come out of it."""

from dataclasses import dataclass

import numpy as np

from .. import _validation
from .._typing import ArrayLike, BoolArray, FloatArray, Numbers

ROUNDINGS = ("nearest", "stochastic")
MOST_BITS = 52  # float64 has no more
NORMAL_GRID = np.linspace(-8.0, 8.0, 4001)  # standard normals over which a response to noise is averaged
HARMONICS = np.arange(1.0, 31.0)  # of the sawtooth that is the rounding error as a function of its input


@dataclass(frozen=True)
class Quantizer:
    """A symmetric, uniform, saturating converter.

    Its levels are equally spaced from -full_scale to +full_scale, both included: 2^bits - 1 of them, zero in the
    middle, so the step is ``full_scale / (2^(bits-1) - 1)``; a 1-bit converter is a comparator with the two levels
    +-full_scale.

    Parameters
    ----------
    bits : int or None
        Word length, at least 1; None is an ideal converter that changes nothing.
    full_scale : "max" or float
        "max": an auto-ranging converter, whose full scale is the largest magnitude among the numbers of one
        conversion. A number: a fixed range; what lies outside saturates and is counted.
    rounding : "nearest" or "stochastic"
        "stochastic" rounds up with the probability of the remainder, so the mean over roundings is the input.

    Raises
    ------
    ValueError
        bits < 1, a range that is not positive, an unknown rounding.

    Examples
    --------
    >>> import thermolinalg as tl
    >>> q = tl.hardware.Quantizer(3, full_scale=3.0)
    >>> q.step(3.0), q.levels
    (1.0, 7)
    >>> q.round([0.4, -1.6, 9.0])
    (array([ 0., -2.,  3.]), 1)
    """

    bits: int | None = None
    full_scale: float | str = "max"
    rounding: str = "nearest"

    def __post_init__(self) -> None:
        if self.bits is not None:
            _validation.count(self.bits, "bits")
            if self.bits > MOST_BITS:
                raise ValueError(f"bits must be at most {MOST_BITS}, got {self.bits}; None is an ideal converter")
        if self.full_scale != "max":
            _validation.positive(self.full_scale, 'full_scale (or "max")')
        _validation.choice(self.rounding, "rounding", ROUNDINGS)

    @property
    def levels(self) -> int | None:
        """Number of levels; None for an ideal converter."""
        if self.bits is None:
            return None
        return 2 if self.bits == 1 else 2**self.bits - 1

    def step(self, full_scale: Numbers) -> Numbers:
        """Distance of neighbouring levels (LSB) at a given full scale (any shape); 0 for an ideal converter."""
        return 0.0 if self.levels is None else 2.0 * full_scale / (self.levels - 1)

    def range_of(self, x: FloatArray, axis: int | tuple[int, ...] | None = None) -> Numbers:
        """Full scale for one conversion of the numbers x, or for one along each `axis`."""
        return np.abs(x).max(axis=axis) if self.full_scale == "max" else float(self.full_scale)

    def convert(self, x: np.ndarray, rng: np.random.Generator | None, axis: int) -> tuple[np.ndarray, int]:
        """`round` with a range for each conversion along an axis; an ideal converter gives back x itself."""
        if self.bits is None:
            return x, 0
        return self.round(x, rng, np.expand_dims(self.range_of(x, axis), axis) if self.full_scale == "max" else None)

    def round(
        self,
        x: ArrayLike,
        rng: np.random.Generator | None = None,
        full_scale: Numbers | None = None,
        uniforms: FloatArray | None = None,
    ) -> tuple[FloatArray, int]:
        """Convert x (any shape).

        Parameters
        ----------
        x : array_like
            Numbers to convert.
        rng : Generator, optional
            Needed by stochastic rounding.
        full_scale : float or array_like, optional
            Overrides the range rule: for a stream of conversions whose range is set beforehand; an array that
            broadcasts against x gives each of its conversions a range of its own.
        uniforms : ndarray, optional
            Numbers in [0, 1), shaped like x, that stochastic rounding takes in place of `rng`.

        Returns
        -------
        (array, int)
            The levels nearest to x (or next to it), and how many numbers saturated.
        """
        x = _validation.real_array(x, "x")
        full_scale = self.range_of(x) if full_scale is None else full_scale
        if self.levels is None:
            return x.copy(), 0
        step, top = self.step(full_scale), (self.levels - 1) / 2.0
        if not np.all(step > 0.0):  # a range of zero has nothing but zeros in it
            return self._round_where(np.asarray(step > 0.0), x, rng, full_scale, uniforms)
        offset = top % 1.0  # 0.5 for the comparator, whose levels straddle zero
        codes = x / step
        clipped = int(np.count_nonzero(np.abs(codes) > top * (1.0 + 1e-12)))
        codes -= offset
        if self.rounding == "stochastic":
            if uniforms is None:
                if rng is None:
                    raise ValueError("stochastic rounding needs rng")
                uniforms = rng.random(codes.shape)
            codes += uniforms
            np.floor(codes, out=codes)
        else:
            np.rint(codes, out=codes)
        codes += offset
        np.clip(codes, -top, top, out=codes)
        codes *= step
        return codes, clipped

    def _round_where(
        self,
        has_range: BoolArray,
        x: FloatArray,
        rng: np.random.Generator | None,
        full_scale: Numbers,
        uniforms: FloatArray | None,
    ) -> tuple[FloatArray, int]:
        has_range, full_scale = (np.broadcast_to(v, x.shape) for v in (has_range, full_scale))
        out, clipped = x.copy(), 0
        if has_range.any():
            up = None if uniforms is None else uniforms[has_range]
            out[has_range], clipped = self.round(x[has_range], rng, full_scale[has_range], up)
        return out, clipped

    def error_variance(self, full_scale: Numbers) -> Numbers:
        """Mean square rounding error of one conversion of a smoothly spread number: h^2/12, stochastic h^2/6."""
        return self.step(full_scale) ** 2 / (12.0 if self.rounding == "nearest" else 6.0)

    def response_to_noise(self, full_scale: float, sd: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Gain E[q x] / sd^2 and second moment E[q^2] of conversions q of normal numbers of deviation sd (d,)."""
        if self.levels is not None and self.step(full_scale) == 0.0:
            return np.ones_like(sd), np.zeros_like(sd)  # a range of zero has nothing but zeros in it
        weights = np.exp(-0.5 * NORMAL_GRID**2)
        weights /= weights.sum()
        x = np.multiply.outer(sd, NORMAL_GRID)
        if self.rounding == "nearest":
            mean, _ = self.round(x, full_scale=full_scale)
            square = mean**2
        else:
            step = self.step(full_scale)
            mean = np.clip(x, -full_scale, full_scale)
            offset = 0.5 if self.bits == 1 else 0.0
            below = step * (np.floor(mean / step - offset) + offset)
            share = (mean - below) / step
            square = below**2 * (1.0 - share) + (below + step) ** 2 * share
        return (mean * x) @ weights / sd**2, square @ weights

    def averaged_error_variance(self, full_scale: float, sd: Numbers) -> FloatArray:
        """Mean square of the rounding error that is left after averaging endless reads with noise `sd` (any shape).

        Noise dithers: the mean of the sawtooth over it keeps its harmonics damped by exp(-2 (pi k sd / h)^2). At
        sd = 0 that is h^2/12 again; stochastic rounding leaves nothing.
        """
        step = self.step(full_scale)
        if step == 0.0 or self.rounding == "stochastic":
            return np.zeros_like(np.asarray(sd, dtype=float))
        damping = np.exp(-4.0 * np.square(np.multiply.outer(np.asarray(sd, dtype=float) / step, np.pi * HARMONICS)))
        tail = np.where(np.asarray(sd) == 0, 1.0 - np.sum(6.0 / (np.pi * HARMONICS) ** 2), 0.0)
        return step**2 / 12.0 * (tail + damping @ (6.0 / (np.pi * HARMONICS) ** 2))
