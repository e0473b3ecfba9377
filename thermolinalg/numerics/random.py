"""A generator whose normal numbers come several times faster than NumPy's: an option, never the default."""

from typing import NoReturn

import numpy as np

from .. import _validation
from .._typing import DTypeLike, FloatArray, RNGLike
from .kernels import normals

ROUNDED_AT_ONCE = 8 * normals.BLOCK  # numbers sampled in double precision, to be rounded, at a time


class FastGenerator(np.random.Generator):
    """A NumPy Generator with `standard_normal` by a counter, in compiled vector loops. Made by `fast_rng`.

    Number i of a stream is a function of i and of the stream's 128-bit name alone (Philox4x32-10: Salmon et al.,
    "Parallel random numbers: as easy as 1, 2, 3", SC 2011; Box and Muller's transform, 52 bits each for length and
    angle, so that no number lies beyond 8.5). All other methods are those of the bit generator. `spawn` gives
    generators of the same kind with names of their own.

    Parameters
    ----------
    bit_generator : numpy.random.BitGenerator
        Made from a SeedSequence, from which the stream takes its name.

    Raises
    ------
    ValueError
        `standard_normal` in another precision than float64 and float32, or into an array that is not contiguous.

    Examples
    --------
    >>> import thermolinalg as tl
    >>> whole, parts = tl.fast_rng(0).standard_normal(5), tl.fast_rng(0)
    >>> bool((whole == [*parts.standard_normal(2), *parts.standard_normal(3)]).all())
    True
    """

    def __init__(self, bit_generator: np.random.BitGenerator) -> None:
        super().__init__(bit_generator)
        words = bit_generator.seed_seq.generate_state(12, np.uint32)[8:]  # the bit generator took those before
        key_0, key_1, high_0, high_1 = (np.uint64(word) for word in words)
        self._name = key_0, key_1, high_0, high_1
        self._next, self._left = 0, np.empty(0)

    def standard_normal(  # type: ignore[override]  # one signature in place of NumPy's overloads
        self, size: int | tuple[int, ...] | None = None, dtype: DTypeLike = np.float64, out: FloatArray | None = None
    ) -> float | FloatArray:
        """As `numpy.random.Generator.standard_normal`; in single precision the same numbers, rounded."""
        kind = np.dtype(dtype)
        if kind not in (np.float64, np.float32):
            raise ValueError(f"dtype must be float64 or float32, got {kind}")
        if out is None:
            out = np.empty(() if size is None else size, kind)
        elif out.dtype != kind or not out.flags.c_contiguous:
            raise ValueError(f"out must be a C-contiguous array of dtype {kind}")
        elif size is not None and tuple(np.atleast_1d(size)) != out.shape:
            raise ValueError(f"size {size} and the shape of out {out.shape} differ; give one of them")
        if kind == np.float64:
            self._fill(out.reshape(-1))
        else:
            self._fill_rounded(out.reshape(-1))
        return out.item() if size is None and out.shape == () else out

    def _fill_rounded(self, flat: FloatArray) -> None:
        whole = np.empty(min(flat.size, ROUNDED_AT_ONCE))
        for first in range(0, flat.size, ROUNDED_AT_ONCE):
            part = whole[: flat.size - first]
            self._fill(part)
            flat[first : first + part.size] = part

    def _fill(self, flat: FloatArray) -> None:
        taken = min(flat.size, self._left.size)
        flat[:taken], self._left = self._left[:taken], self._left[taken:]
        whole = taken + (flat.size - taken) // normals.BLOCK * normals.BLOCK
        self._blocks(flat[taken:whole])
        if whole < flat.size:
            block = np.empty(normals.BLOCK)
            self._blocks(block)
            rest = flat.size - whole
            flat[whole:], self._left = block[:rest], block[rest:]

    def _blocks(self, out: FloatArray) -> None:
        normals.fill(*self._name, np.uint64(self._next), out)
        self._next += out.size // normals.BLOCK

    def __reduce__(self) -> NoReturn:
        raise TypeError("a FastGenerator cannot be pickled; send its seed and call fast_rng there")


def fast_rng(rng: RNGLike = None) -> FastGenerator:
    """A generator to pass as ``rng`` where normal numbers are what a simulation waits for.

    Parameters
    ----------
    rng : {None, int, array_like[ints], SeedSequence, BitGenerator, Generator}, optional
        As for `numpy.random.default_rng`; the same seed gives the same numbers, but other ones than NumPy's.

    Returns
    -------
    FastGenerator
        A `numpy.random.Generator`.

    Raises
    ------
    ValueError
        What `numpy.random.default_rng` does not take.

    Notes
    -----
    The first call compiles for about a second. The tests hold it to the published answers of Philox4x32-10, to the
    transform computed by NumPy, to moments up to the eighth, streams to independence, and, where dieharder is
    installed, to some of its tests. dieharder 3.31.1 on the bits of 64 spawned streams in turn, on the normals of one
    stream and on those of 64 in turn (through their distribution function): 161 p-values of 24 tests, none below 1e-6,
    4 outside 0.005 to 0.995, each of which passed when repeated with another seed.

    Examples
    --------
    >>> import numpy as np, thermolinalg as tl
    >>> A, b = tl.problems.wishart(50, rng=0), np.ones(50)
    >>> r = tl.solve(A, b, n_reads=1000, read_spacing=1.0, simulator="path", rng=tl.fast_rng(0))
    >>> bool(np.all(abs(r.value - np.linalg.solve(A, b)) < 5 * r.stderr))
    True
    """
    return FastGenerator(_validation.generator(rng).bit_generator)
