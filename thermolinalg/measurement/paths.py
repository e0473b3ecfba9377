"""Path simulators: the physics stepped through time, where the law only says how it ends.

* Exact AR(1) steps in mode coordinates: the law of the path at the read times, for any spacing. The drift enters
  as ``b - A x`` integrated over a step; no inverse is taken.
* `euler_maruyama` on the plain matrix: neither eigenvectors nor an inverse, hence the independent check; biased by
  the step, and it says by how much.

Noise is sampled by NumPy in blocks, one generator for each chain, column and tile of modes; the kernels are
deterministic functions of it.
"""

from collections.abc import Iterator
from functools import singledispatch

import numpy as np
from numpy.random import Generator

from .. import laws
from .._typing import DTypeLike, FloatArray
from ..hardware.device import Device
from ..hardware.readout import convert_reads
from ..laws import overdamped
from ..laws import underdamped as underdamped_laws
from ..laws.readout import IndependentProtocol, Protocol
from ..numerics.blocks import BLOCK, blocks, noise_blocks
from ..numerics.kernels import ou, underdamped
from ..numerics.threads import parts, run_chains
from ..operators import Modal

MODE_TILE = 64  # most modes that share a generator: part of the definition of the random stream
READ_ROWS = 1024  # reads that are converted, or enter a covariance, at a time: part of the definition of a path
INTEGRATOR_STEPS = 256  # steps of the path of an integrator; exact for any number

LEAST_CHANGE = 3e-5  # rate times spacing from which on a step in single precision keeps the rate to 1e-3
SINGLE_RANGE = 1e30  # largest variance of a read, and inverse of the smallest, whose products it holds


def precision_of(dtype: DTypeLike) -> np.dtype:
    """float64 or float32, of a type or its name."""
    for known in (np.float64, np.float32):
        if dtype in (known, np.dtype(known), np.dtype(known).name):
            return np.dtype(known)
    raise ValueError(f"dtype must be float64 or float32, got {dtype!r}")


def require_single(extremes: tuple[float, float], beta: float, spacing: float | None) -> None:
    """Refuse reads, `spacing` apart or independent, that single precision cannot hold or cannot tell apart."""
    for variance in (1.0 / (beta * rate) for rate in extremes):
        if not 1.0 / SINGLE_RANGE <= variance <= SINGLE_RANGE:
            raise ValueError(
                f"dtype=float32 cannot hold products of reads of variance {variance:.3g}; rescale A or beta, or use "
                "dtype=float64"
            )
    if spacing is not None and extremes[0] * spacing < LEAST_CHANGE:
        raise ValueError(
            f"dtype=float32 cannot tell the slowest mode of one read from that of the next: lambda_min times the "
            f"spacing of the reads is {extremes[0] * spacing:.3g}, and must be at least {LEAST_CHANGE:.0e}; use "
            "dtype=float64"
        )


Step = tuple[FloatArray, FloatArray, FloatArray]  # decay, drift increment and noise std of each mode


def _steps(rates: FloatArray, b: FloatArray, step: float, beta: float) -> Step:
    """An exact step in modes."""
    return np.exp(-rates * step), laws.rise(rates, step) * b, np.sqrt(laws.rise(rates, 2.0 * step) / beta)


def _first_state(
    rng: Generator, rates: FloatArray, x0: FloatArray, b: FloatArray, burn_in: float, beta: float
) -> FloatArray:
    """An exact sample of the state at the end of the burn-in."""
    decay, increment, noise_std = _steps(rates, b, burn_in, beta)
    return decay * x0 + increment + noise_std * rng.standard_normal(rates.size)


@singledispatch
def average(
    protocol: Protocol, rng: Generator, rates: FloatArray, x0: FloatArray, b: FloatArray, beta: float
) -> FloatArray:
    """The average (m,) of one path of m modes, x0 and b (m,) in their coordinates: the sum of the blocks of its reads.

    Protocols that have a quicker way, or no reads, register it.
    """
    total = np.zeros_like(rates)
    for block in read_blocks(protocol, rng, rates, x0, b, beta, max(1, BLOCK // rates.size)):
        for row in block:  # one by one, so that the size of a block cannot change the rounding
            total += row
    return total / protocol.conversions


@average.register
def _(
    protocol: overdamped.Reads, rng: Generator, rates: FloatArray, x0: FloatArray, b: FloatArray, beta: float
) -> FloatArray:
    x = _first_state(rng, rates, x0, b, protocol.burn_in, beta)
    total = x.copy()
    step = _steps(rates, b, protocol.spacing, beta)
    for noise in noise_blocks(rng, protocol.n_reads - 1, rates.shape):
        ou.average_steps(*step, noise, x, total)
    return total / protocol.n_reads


@average.register
def _(
    protocol: overdamped.Integrator,
    rng: Generator,
    rates: FloatArray,
    x0: FloatArray,
    b: FloatArray,
    beta: float,
    steps: int = INTEGRATOR_STEPS,
) -> FloatArray:
    x = _first_state(rng, rates, x0, b, protocol.burn_in, beta)
    step = protocol.duration / steps
    decay, increment, _ = _steps(rates, b, step, beta)
    noise_std, mixed, rest = (s / np.sqrt(beta) for s in laws.integrator_step(rates, step))
    gain, drift = laws.rise(rates, step), step**2 * laws.phi2(rates * step) * b
    integral = np.zeros_like(x)
    for noise in noise_blocks(rng, steps, (2, rates.size)):
        ou.integral_steps(decay, increment, noise_std, gain, drift, mixed, rest, noise, x, integral)
    return integral / protocol.duration


@average.register
def _(
    protocol: underdamped_laws.Integrator,
    rng: Generator,
    rates: FloatArray,
    x0: FloatArray,
    b: FloatArray,
    beta: float,
    steps: int = INTEGRATOR_STEPS,
) -> FloatArray:
    modes = protocol.modes(rates)
    x, p, integral = x0.copy(), np.zeros_like(x0), np.zeros_like(x0)
    state, unused = np.empty((2, 1, rates.size))
    first = underdamped_laws.exact_step(modes, protocol.burn_in, b, beta)
    underdamped.exact_steps(*first, rng.standard_normal((1, 2, rates.size)), x, p, state, unused)
    step = underdamped_laws.integrating_step(modes, protocol.duration / steps, b, beta)
    for noise in noise_blocks(rng, steps, (3, rates.size)):
        underdamped.integral_steps(*step, noise, x, p, integral)
    return integral / protocol.duration


def mode_averages(
    rates: FloatArray,
    x0: FloatArray,
    b: FloatArray,
    protocol: Protocol,
    beta: float,
    n_chains: int,
    rng: Generator,
    workers: int | None,
) -> FloatArray:
    """Read-outs (n_chains, m, k) of linear paths in mode coordinates; x0 and b are (m, k)."""
    tiles = parts(rates.size, MODE_TILE)
    tasks = [(chain, tile, column) for chain in range(n_chains) for tile in tiles for column in range(b.shape[1])]
    out = np.empty((n_chains, *b.shape))

    def chain_tile(generator: Generator, task: tuple[int, slice, int]) -> None:
        chain, tile, column = task
        start, drive = (np.ascontiguousarray(v[tile, column]) for v in (x0, b))
        out[chain, tile, column] = average(protocol, generator, rates[tile], start, drive, beta)

    numbers = out.size * (protocol.n_reads or INTEGRATOR_STEPS)
    run_chains(chain_tile, rng, tasks, workers, numbers)
    return out


@singledispatch
def read_blocks(
    protocol: Protocol,
    rng: Generator,
    rates: FloatArray,
    x0: FloatArray,
    b: FloatArray,
    beta: float,
    rows: int,
    buffers: int = 1,
    dtype: DTypeLike = float,
) -> Iterator[FloatArray]:
    """The reads of one path in mode coordinates, a block of rows at a time, in `buffers` that are used in turn."""
    raise TypeError(f"{type(protocol).__name__} has no reads")


@read_blocks.register
def _(
    protocol: IndependentProtocol,
    rng: Generator,
    rates: FloatArray,
    x0: FloatArray,
    b: FloatArray,
    beta: float,
    rows: int,
    buffers: int = 1,
    dtype: DTypeLike = float,
) -> Iterator[FloatArray]:
    mean = protocol.response(rates) * b + protocol.memory(rates) * x0
    sd = np.sqrt(protocol.n_reads * protocol.variance(rates) / beta)
    for block in blocks(protocol.n_reads, rates.size, rows, buffers, dtype):
        rng.standard_normal(out=block, dtype=block.dtype)
        block *= sd
        block += mean
        yield block


@read_blocks.register
def _(
    protocol: overdamped.Reads,
    rng: Generator,
    rates: FloatArray,
    x0: FloatArray,
    b: FloatArray,
    beta: float,
    rows: int,
    buffers: int = 1,
    dtype: DTypeLike = float,
) -> Iterator[FloatArray]:
    step: Step | None = None
    x = np.empty(0)
    for block in blocks(protocol.n_reads, rates.size, rows, buffers, dtype):
        rng.standard_normal(out=block, dtype=block.dtype)
        todo = block
        if step is None:
            step = _rounded(*_steps(rates, b, protocol.spacing, beta), block.dtype)
            d0, p0, k0 = _steps(rates, b, protocol.burn_in, beta)
            block[0] = d0 * x0 + p0 + k0 * block[0]
            x, todo = block[0].copy(), block[1:]
        ou.state_steps(*step, todo, x)
        yield block


@read_blocks.register
def _(
    protocol: underdamped_laws.Reads,
    rng: Generator,
    rates: FloatArray,
    x0: FloatArray,
    b: FloatArray,
    beta: float,
    rows: int,
    buffers: int = 1,
    dtype: DTypeLike = float,
) -> Iterator[FloatArray]:
    modes = protocol.modes(rates)
    first, step = (underdamped_laws.exact_step(modes, t, b, beta) for t in (protocol.burn_in, protocol.spacing))
    x, p, unused_p = x0.copy(), np.zeros_like(x0), np.empty((min(rows, protocol.n_reads), rates.size))
    done = 0
    for noise in blocks(protocol.n_reads, 2 * rates.size, rows):
        rng.standard_normal(out=noise)
        pairs = noise.reshape(-1, 2, rates.size)
        block = np.empty((len(pairs), rates.size))
        start = 1 if done == 0 else 0
        underdamped.exact_steps(*first, pairs[:start], x, p, block[:start], unused_p[:start])
        underdamped.exact_steps(*step, pairs[start:], x, p, block[start:], unused_p[start : len(pairs)])
        done += len(pairs)
        yield block


def _rounded(decay: FloatArray, increment: FloatArray, noise_std: FloatArray, dtype: np.dtype) -> Step:
    """A step in another precision, of the same stationary variance: a decay that is off changes the rate only."""
    if dtype == decay.dtype:
        return decay, increment, noise_std
    near = decay.astype(dtype).astype(decay.dtype)
    grown = np.sqrt((1.0 - near) * (1.0 + near) / ((1.0 - decay) * (1.0 + decay)))
    return near.astype(dtype), increment.astype(dtype), (noise_std * grown).astype(dtype)


def converted_averages(
    operator: Modal,
    x0: FloatArray,
    b: FloatArray,
    protocol: Protocol,
    device: Device,
    full_scale: float,
    n_chains: int,
    rng: Generator,
    workers: int | None,
) -> tuple[FloatArray, int]:
    """Means (n_chains, d, k) of reads that are each converted on their own, and how many of them saturated."""
    d, k = operator.shape[0], b.shape[1]

    def chain(generator: Generator, task: int) -> tuple[FloatArray, int]:
        total, clipped = np.zeros(d), 0
        start, drive = (np.ascontiguousarray(v[:, task % k]) for v in (x0, b))
        for block in read_blocks(protocol, generator, operator.rates, start, drive, device.beta, READ_ROWS):
            reads, n = convert_reads(generator, device, operator.from_modes(block.T), full_scale)
            total += reads.sum(axis=1)
            clipped += n
        return total / protocol.conversions, clipped

    results = run_chains(chain, rng, range(n_chains * k), workers)
    averages = np.array([average for average, _ in results]).reshape(n_chains, k, d)
    return averages.transpose(0, 2, 1), sum(n for _, n in results)
