"""Path simulators: the physics stepped through time, where the law only says how it ends.

* Exact AR(1) steps in mode coordinates: the law of the path at the read times, for any spacing. The drift enters
  as ``b - A x`` integrated over a step; no inverse is taken.
* `euler_maruyama` on the plain matrix: neither eigenvectors nor an inverse, hence the independent check; biased by
  the step, and it says by how much.

Noise is drawn by NumPy in blocks, one generator for each chain, column and tile of modes; the kernels are
deterministic functions of it.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from . import _check, laws, underdamped_laws
from ._chains import parts, run_chains, threads
from .device import Device, device_of
from .kernels import euler, ou, underdamped
from .modal import Modal
from .operators import as_operator
from .products import congruent, sum_of_products

MODE_TILE = 64  # most modes that share a generator: part of the definition of the random stream
BLOCK = 65_536  # normals drawn at a time (512 KiB); any value gives the same bits
READ_ROWS = 1024  # reads that are converted, or enter a covariance, at a time: part of the definition of a path
CHAIN_TILE, CHAIN_STEP = 32, 4096  # chains of a large system that share a generator; normals of a step of a small one
INTEGRATOR_STEPS = 256  # steps of the path of an integrator; exact for any number


def _steps(rates, b, step, beta):
    """decay, push and kick of an exact step in modes."""
    return np.exp(-rates * step), laws.rise(rates, step) * b, np.sqrt(laws.rise(rates, 2.0 * step) / beta)


def _first_state(rng, rates, x0, b, burn_in, beta):
    """An exact draw of the state at the end of the burn-in."""
    decay, push, kick = _steps(rates, b, burn_in, beta)
    return decay * x0 + push + kick * rng.standard_normal(rates.size)


def blocks(n: int, width: int, rows: int | None = None, buffers: int = 1, dtype=float) -> Iterator[np.ndarray]:
    """Views of `buffers` arrays in turn, `rows` x `width` at most, that together have n rows."""
    rows = rows or max(1, BLOCK // width)
    arrays = [np.empty((min(rows, n - start), width), dtype) for start in range(0, n, rows)[:buffers]]
    for k, start in enumerate(range(0, n, rows)):
        yield arrays[k % buffers][: n - start]


def _average_of_reads(rng, rates, x0, b, readout, beta):
    if readout.inertial or readout.kind == "independent":
        total = np.zeros_like(rates)
        for block in _read_blocks(rng, rates, x0, b, readout, beta, max(1, BLOCK // rates.size)):
            for row in block:  # one by one, so that the size of a block cannot change the rounding
                total += row
        return total / readout.n_reads
    x = _first_state(rng, rates, x0, b, readout.burn_in, beta)
    total = x.copy()
    decay, push, kick = _steps(rates, b, readout.spacing, beta)
    for noise in blocks(readout.n_reads - 1, rates.size):
        rng.standard_normal(out=noise)
        ou.average_steps(decay, push, kick, noise, x, total)
    return total / readout.n_reads


def _average_of_integrator(rng, rates, x0, b, readout, beta, steps=INTEGRATOR_STEPS):
    x = _first_state(rng, rates, x0, b, readout.burn_in, beta)
    step = readout.duration / steps
    decay, push, _ = _steps(rates, b, step, beta)
    kick, mixed, rest = (s / np.sqrt(beta) for s in laws.integrator_step(rates, step))
    gain, drift = laws.rise(rates, step), step**2 * laws.phi2(rates * step) * b
    integral = np.zeros_like(x)
    for noise in blocks(steps, 2 * rates.size):
        rng.standard_normal(out=noise)
        pairs = noise.reshape(-1, 2, rates.size)
        ou.integral_steps(decay, push, kick, gain, drift, mixed, rest, pairs, x, integral)
    return integral / readout.duration


def _average_of_inertial_integrator(rng, rates, x0, b, readout, beta, steps=INTEGRATOR_STEPS):
    modes = readout.modes(rates)
    x, p, integral = x0.copy(), np.zeros_like(x0), np.zeros_like(x0)
    state, unused = np.empty((2, 1, rates.size))
    first = underdamped_laws.exact_step(modes, readout.burn_in, b, beta)
    underdamped.exact_steps(*first, rng.standard_normal((1, 2, rates.size)), x, p, state, unused)
    step = underdamped_laws.integrating_step(modes, readout.duration / steps, b, beta)
    for noise in blocks(steps, 3 * rates.size):
        rng.standard_normal(out=noise)
        underdamped.integral_steps(*step, noise.reshape(-1, 3, rates.size), x, p, integral)
    return integral / readout.duration


def _run_of(readout):
    """What draws the average of a path, of a tile of modes and one column of b."""
    if readout.kind != "integrator":
        return _average_of_reads
    return _average_of_inertial_integrator if readout.inertial else _average_of_integrator


def mode_averages(rates, x0, b, readout, beta, n_chains, rng, workers) -> np.ndarray:
    """Read-outs (n_chains, m, k) of linear paths in mode coordinates; x0 and b are (m, k)."""
    run = _run_of(readout)
    tiles = parts(rates.size, MODE_TILE)
    tasks = [(chain, tile, column) for chain in range(n_chains) for tile in tiles for column in range(b.shape[1])]
    out = np.empty((n_chains, *b.shape))

    def chain_tile(generator, task):
        chain, tile, column = task
        start, drive = (np.ascontiguousarray(v[tile, column]) for v in (x0, b))
        out[chain, tile, column] = run(generator, rates[tile], start, drive, readout, beta)

    numbers = out.size * getattr(readout, "n_reads", INTEGRATOR_STEPS)
    run_chains(chain_tile, rng, tasks, workers, numbers)
    return out


def _read_blocks(rng, rates, x0, b, readout, beta, rows, buffers=1, dtype=float) -> Iterator[np.ndarray]:
    """The reads of one path in mode coordinates, a block of rows at a time, in `buffers` that are used in turn."""
    if readout.inertial and readout.kind != "independent":
        yield from _inertial_blocks(rng, rates, x0, b, readout, beta, rows)
        return
    source = _independent_blocks if readout.kind == "independent" else _overdamped_blocks
    yield from source(rng, rates, x0, b, readout, beta, blocks(readout.n_reads, rates.size, rows, buffers, dtype))


def _independent_blocks(rng, rates, x0, b, readout, beta, buffers):
    mean = readout.response(rates) * b + readout.memory(rates) * x0
    sd = np.sqrt(readout.n_reads * readout.variance(rates) / beta)
    for block in buffers:
        rng.standard_normal(out=block, dtype=block.dtype)
        block *= sd
        block += mean
        yield block


def _overdamped_blocks(rng, rates, x0, b, readout, beta, buffers):
    step, x = None, None
    for block in buffers:
        rng.standard_normal(out=block, dtype=block.dtype)
        todo = block
        if x is None:
            step = _rounded(*_steps(rates, b, readout.spacing, beta), block.dtype)
            d0, p0, k0 = _steps(rates, b, readout.burn_in, beta)
            block[0] = d0 * x0 + p0 + k0 * block[0]
            x, todo = block[0].copy(), block[1:]
        ou.state_steps(*step, todo, x)
        yield block


def _rounded(decay, push, kick, dtype):
    """A step in another precision, of the same stationary variance: a decay that is off changes the rate only."""
    if dtype == decay.dtype:
        return decay, push, kick
    near = decay.astype(dtype).astype(decay.dtype)
    grown = np.sqrt((1.0 - near) * (1.0 + near) / ((1.0 - decay) * (1.0 + decay)))
    return near.astype(dtype), push.astype(dtype), (kick * grown).astype(dtype)


def _inertial_blocks(rng, rates, x0, b, readout, beta, rows):
    modes = readout.modes(rates)
    first, step = (underdamped_laws.exact_step(modes, t, b, beta) for t in (readout.burn_in, readout.spacing))
    x, p, waste = x0.copy(), np.zeros_like(x0), np.empty((min(rows, readout.n_reads), rates.size))
    done = 0
    for noise in blocks(readout.n_reads, 2 * rates.size, rows):
        rng.standard_normal(out=noise)
        pairs = noise.reshape(-1, 2, rates.size)
        block = np.empty((len(pairs), rates.size))
        start = 1 if done == 0 else 0
        underdamped.exact_steps(*first, pairs[:start], x, p, block[:start], waste[:start])
        underdamped.exact_steps(*step, pairs[start:], x, p, block[start:], waste[start : len(pairs)])
        done += len(pairs)
        yield block


def convert_reads(rng, device: Device, reads, full_scale):
    """Steps 4 and 5 of the device on a block of reads (any shape): read noise, then the converter."""
    if device.eps_sys:
        reads = device.read_gains(len(reads))[:, None] * reads
    if device.read_noise:
        reads = reads + device.read_noise * rng.standard_normal(reads.shape)
    return device.adc.round(reads, rng, full_scale)


def converted_averages(operator: Modal, x0, b, readout, device: Device, full_scale, n_chains, rng, workers):
    """Means (n_chains, d, k) of reads that are each converted on their own, and how many of them saturated."""
    d, k = operator.shape[0], b.shape[1]

    def chain(generator, task):
        total, clipped = np.zeros(d), 0
        start, drive = (np.ascontiguousarray(v[:, task % k]) for v in (x0, b))
        for block in _read_blocks(generator, operator.rates, start, drive, readout, device.beta, READ_ROWS):
            reads, n = convert_reads(generator, device, operator.from_modes(block.T), full_scale)
            total += reads.sum(axis=1)
            clipped += n
        return total / readout.n_reads, clipped

    results = run_chains(chain, rng, range(n_chains * k), workers)
    averages = np.array([average for average, _ in results]).reshape(n_chains, k, d)
    return averages.transpose(0, 2, 1), sum(n for _, n in results)


def second_moments(operator: Modal, readout, device: Device, full_scale, convert, n_chains, rng, workers, dtype=float):
    """Means of ``x x^T`` (d, d) along paths from 0 with b = 0, one matrix a chain, and how many reads saturated.

    With `convert` every read gets read noise and rounding. Reads that are not converted are gathered in mode
    coordinates, block by block, and rotated once at the end.
    """
    zero = np.zeros(operator.rates.size)
    converted = convert and (device.adc_bits is not None or device.read_noise > 0 or device.eps_sys > 0)
    size = operator.shape[0] if converted else zero.size
    own = threads(workers, among=n_chains)

    def reads_of(generator):
        for block in _read_blocks(generator, operator.rates, zero, zero, readout, device.beta, READ_ROWS, 2, dtype):
            clipped = 0
            if converted:
                reads, clipped = convert_reads(generator, device, operator.from_modes(block.T), full_scale)
                block = reads.T
            yield block, block, clipped

    def chain(generator, _):
        moment, clipped = sum_of_products(reads_of(generator), (size, size), True, own)
        if not converted:
            moment = congruent(operator.from_modes, moment, operator.shape[0], own)
            moment = (moment + moment.T) / 2.0
        return moment / readout.n_reads, clipped

    results = run_chains(chain, rng, range(n_chains), workers)
    return [moment for moment, _ in results], sum(n for _, n in results)


@dataclass(frozen=True, kw_only=True, eq=False)
class EulerPaths:
    """What `euler_maruyama` returns.

    Attributes
    ----------
    average : (n_chains, d) ndarray
        Time average of each chain after the burn-in, by the trapezoidal rule.
    final : (n_chains, d) ndarray
        Last state of each chain.
    dt : float
        Step [RC].
    covariance_inflation : (float, float)
        Factor 2 / (2 - dt lambda) by which the step inflates the stationary variance of the slowest and of the
        fastest mode; the mean is not biased.
    """

    average: np.ndarray
    final: np.ndarray
    dt: float
    covariance_inflation: tuple[float, float]


def chain_tiles(n_chains: int, d: int) -> list[slice]:
    """Chains that are stepped together, and share a generator: part of the definition of the random stream."""
    return parts(n_chains, max(CHAIN_TILE, CHAIN_STEP // d))


def euler_maruyama(
    A, b=None, *, dt, n_steps, burn_in_steps=0, x0=None, n_chains=1, beta=None, device=None, rng=None, workers=None
) -> EulerPaths:
    """Step ``dx = -(A x - b) dt + sqrt(2/beta) dW`` on the plain matrix, many chains at once.

    Only products A x are used (for a dense or sparse A: no inverse, no eigenvectors). The mean is exact in the
    stationary state; the covariance of mode lambda is too large by 2 / (2 - dt lambda), which the result reports.

    Parameters
    ----------
    A : (d, d) array_like, sparse array, LinearOperator or operator
        Symmetric positive definite.
    b : (d,) array_like, optional
        Right-hand side; default 0.
    dt : float
        Step [RC], below ``2 / lambda_max``.
    n_steps, burn_in_steps : int
        Steps that are averaged, and steps before those.
    x0 : (d,) or (n_chains, d) array_like, optional
        Start; default 0.
    n_chains : int
        Independent chains.
    beta : float, optional
        Inverse temperature; default 1.
    device : Device, optional
        Taken for its beta; its converters and mismatch play no part here.
    rng : {None, int, Generator, ...}, optional
        Passed to `numpy.random.default_rng`.
    workers : int, optional
        Threads; any number gives the same bits.

    Returns
    -------
    EulerPaths

    Raises
    ------
    ValueError
        dt at or above the stability limit, or other bad input.

    Examples
    --------
    >>> import numpy as np, thermolinalg as tl
    >>> r = tl.euler_maruyama([[2.0, 0.0], [0.0, 1.0]], [2.0, 1.0], dt=0.1, n_steps=1000, n_chains=64, rng=0)
    >>> r.average.shape, [round(f, 4) for f in r.covariance_inflation]
    ((64, 2), [1.0526, 1.1111])
    """
    operator, beta = as_operator(A), device_of(beta, device).beta
    d = operator.shape[0]
    n_steps, n_chains = _check.count(n_steps, "n_steps"), _check.count(n_chains, "n_chains")
    burn_in_steps = _check.count(burn_in_steps, "burn_in_steps", least=0)
    b = np.zeros(d) if b is None else _check.vector(b, "b", d)
    start = np.zeros(d) if x0 is None else _check.real_array(x0, "x0")
    if start.shape not in ((d,), (n_chains, d)):
        raise ValueError(f"x0 must have shape ({d},) or ({n_chains}, {d}), got {start.shape}")
    dt = _check.positive(dt, "dt")
    low, high = operator.extremes
    if dt >= 2.0 / high:
        raise ValueError(f"dt must be below 2 / lambda_max = {2.0 / high:.6g} for a stable step, got {dt:.6g}")
    start = np.broadcast_to(start, (n_chains, d))
    kick = np.sqrt(2.0 * dt / beta)

    def tile(generator, chains):
        x = start[chains].copy()
        total, unused = np.zeros_like(x), np.zeros_like(x)
        step = 0
        for noise in blocks(burn_in_steps + n_steps, x.size):
            generator.standard_normal(out=noise)
            for row in noise.reshape(-1, *x.shape):
                product = np.ascontiguousarray(operator.matvec(x.T).T)
                euler.update(product, b, dt, kick, row, x, total if step >= burn_in_steps else unused)
                step += 1
        return total / n_steps, x

    numbers = (burn_in_steps + n_steps) * n_chains * d
    results = run_chains(tile, _check.generator(rng), chain_tiles(n_chains, d), workers, numbers)
    average, final = (np.concatenate(part) for part in zip(*results, strict=True))
    return EulerPaths(
        average=_check.finite_result(average, "the Euler-Maruyama average"),
        final=_check.finite_result(final, "the Euler-Maruyama state"),
        dt=dt,
        covariance_inflation=(2.0 / (2.0 - dt * low), 2.0 / (2.0 - dt * high)),
    )
