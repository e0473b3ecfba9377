"""`euler_maruyama`: the plain equation stepped with products A x alone, the independent check of every law."""

from dataclasses import dataclass

import numpy as np

from .. import _validation
from .._typing import ArrayLike, FloatArray, RNGLike
from ..hardware.device import Device, device_of
from ..numerics.blocks import chain_tiles, noise_blocks
from ..numerics.kernels import euler
from ..numerics.threads import run_chains
from ..operators import Matrix, as_operator


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

    average: FloatArray
    final: FloatArray
    dt: float
    covariance_inflation: tuple[float, float]


def euler_maruyama(
    A: Matrix, b: ArrayLike | None = None, *, dt: float, n_steps: int, burn_in_steps: int = 0,
    x0: ArrayLike | None = None, n_chains: int = 1, beta: float | None = None, device: Device | None = None,
    rng: RNGLike = None, workers: int | None = None,
) -> EulerPaths:  # fmt: skip
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

    See Also
    --------
    solve : the exact law of averages and reads.
    thermolinalg.processes.Langevin.baoab : the same for cells with inertia.

    Examples
    --------
    >>> import numpy as np, thermolinalg as tl
    >>> r = tl.euler_maruyama([[2.0, 0.0], [0.0, 1.0]], [2.0, 1.0], dt=0.1, n_steps=1000, n_chains=64, rng=0)
    >>> r.average.shape, [round(f, 4) for f in r.covariance_inflation]
    ((64, 2), [1.0526, 1.1111])
    """
    operator, beta = as_operator(A), device_of(beta, device).beta
    d = operator.shape[0]
    n_steps, n_chains = _validation.count(n_steps, "n_steps"), _validation.count(n_chains, "n_chains")
    burn_in_steps = _validation.count(burn_in_steps, "burn_in_steps", least=0)
    b = np.zeros(d) if b is None else _validation.vector(b, "b", d)
    start = np.zeros(d) if x0 is None else _validation.real_array(x0, "x0")
    if start.shape not in ((d,), (n_chains, d)):
        raise ValueError(f"x0 must have shape ({d},) or ({n_chains}, {d}), got {start.shape}")
    dt = _validation.positive(dt, "dt")
    low, high = operator.extremes
    if dt >= 2.0 / high:
        raise ValueError(f"dt must be below 2 / lambda_max = {2.0 / high:.6g} for a stable step, got {dt:.6g}")
    start = np.broadcast_to(start, (n_chains, d))
    noise_std = np.sqrt(2.0 * dt / beta)

    def tile(generator: np.random.Generator, chains: slice) -> tuple[FloatArray, FloatArray]:
        x = start[chains].copy()
        total, unused = np.zeros_like(x), np.zeros_like(x)
        step = 0
        for noise in noise_blocks(generator, burn_in_steps + n_steps, x.shape):
            for row in noise:
                product = np.ascontiguousarray(operator.matvec(x.T).T)
                euler.update(product, b, dt, noise_std, row, x, total if step >= burn_in_steps else unused)
                step += 1
        return total / n_steps, x

    numbers = (burn_in_steps + n_steps) * n_chains * d
    results = run_chains(tile, _validation.generator(rng), chain_tiles(n_chains, d), workers, numbers)
    average, final = (np.concatenate(part) for part in zip(*results, strict=True))
    return EulerPaths(
        average=_validation.finite_result(average, "the Euler-Maruyama average"),
        final=_validation.finite_result(final, "the Euler-Maruyama state"),
        dt=dt,
        covariance_inflation=(2.0 / (2.0 - dt * low), 2.0 / (2.0 - dt * high)),
    )
