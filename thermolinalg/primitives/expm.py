"""`expm`, `negexpm`, `expm_action`: the exponential of a matrix from the lag autocovariance of a noisy network."""

import numpy as np
import scipy.linalg

from .. import _validation
from .._typing import ArrayLike, FloatArray, RNGLike
from ..errors import NotPositiveDefinite
from ..hardware.device import Device, device_of
from ..hardware.programming import program_array, program_noise
from ..hardware.readout import require_noise
from ..measurement.base import SIMULATORS
from ..measurement.process_source import ProcessSource
from ..measurement.second_moments import SecondMoment, planned
from ..measurement.source import Products
from ..operators import Matrix
from ..operators.dense import as_array
from ..processes.ornstein_uhlenbeck import OrnsteinUhlenbeck
from ..results import ExponentialEstimate
from .shared_docstrings import documented

MARGIN = 0.25  # smallest eigenvalue of the symmetric part that an automatic alpha leaves


@documented
def expm(
    A: Matrix,
    *,
    n_reads: int | None = None,
    rtol: float | None = None,
    duration: None = None,
    read_spacing: float | None = 1.0,
    alpha: str | float = "auto",
    burn_in: str | float = "auto",
    beta: float | None = None,
    device: Device | None = None,
    simulator: str = "auto",
    n_chains: int = 1,
    rng: RNGLike = None,
    workers: int | None = None,
) -> ExponentialEstimate:
    """Exponential ``e^A`` of any real matrix from the lag autocovariance of a thermal network.

    The same as ``negexpm(-A)``; see there for the device, the parameters and the error.

    Parameters
    ----------
    A : (d, d) array_like, sparse array, LinearOperator or operator
        Any real matrix.
    n_reads, rtol, duration, read_spacing, alpha, burn_in, beta, device, simulator, n_chains, rng, workers
        As for `negexpm`, with -A in the place of A.

    Returns
    -------
    ExponentialEstimate
        ``value`` and ``stderr`` (d, d); ``alpha``.

    Raises
    ------
    ValueError, NotPositiveDefinite, NoClosedLaw, QuantizationFloor
        As `negexpm`.

    See Also
    --------
    negexpm : ``e^-A``, with all that is said of the device.

    Examples
    --------
    >>> import numpy as np, thermolinalg as tl
    >>> r = tl.expm([[0.0, 1.0], [-1.0, 0.0]], n_reads=10_000, rng=0)
    >>> exact = [[np.cos(1.0), np.sin(1.0)], [-np.sin(1.0), np.cos(1.0)]]
    >>> bool(np.all(abs(r.value - exact) < 5 * r.stderr))
    True
    """
    B = -_validation.square(as_array(A, "A"), "A")
    return _exponential(
        B, "-A", None, n_reads=n_reads, rtol=rtol, duration=duration, read_spacing=read_spacing,
        alpha=alpha, burn_in=burn_in, beta=beta, device=device, simulator=simulator,
        n_chains=n_chains, rng=rng, workers=workers,
    )  # fmt: skip


@documented
def negexpm(
    A: Matrix,
    *,
    n_reads: int | None = None,
    rtol: float | None = None,
    duration: None = None,
    read_spacing: float | None = 1.0,
    alpha: str | float = "auto",
    burn_in: str | float = "auto",
    beta: float | None = None,
    device: Device | None = None,
    simulator: str = "auto",
    n_chains: int = 1,
    rng: RNGLike = None,
    workers: int | None = None,
) -> ExponentialEstimate:
    """Exponential ``e^-A`` of any real matrix from the lag autocovariance of a thermal network.

    With ``A' = A + alpha I`` the device runs ``dx = -(A'/s) x dt + sqrt((A' + A'^T)/s) dW``, s the `read_spacing`: its
    stationary covariance is the identity for any A', normal or not, and its autocovariance a time s apart is
    ``e^-A'``. The answer is ``e^alpha`` times the average of ``x_{k+1} x_k^T`` over n products (n + 1 successive
    reads). Per entry the average has the variance that fourth moments of Gaussian reads give, summed over all lags;
    over the whole matrix, for many reads, ``n E||C - e^-A'||_F^2 = sum_k [(tr R_k)^2 + sum_ij (R_{k+1} o
    R_{k-1}^T)_ij]``, ``R_k = e^-kA'``, ``R_-k = R_k^T``.

    This *simulates* a machine: the law of the reads is worked out digitally.

    Parameters
    ----------
    A : (d, d) array_like, sparse array, LinearOperator or operator
        Any real matrix, symmetric or not.
    n_reads : int
        Products averaged. Give exactly one of n_reads and rtol.
    rtol : float
        Root mean square error to reach, relative to ``||e^-A||`` in the Frobenius norm (a little less where few
        reads do). Uses the exact answer: knowledge of the simulator.
    duration : None
        Refused: an integrator would need a delay line that holds x for the lag. Give n_reads.
    read_spacing : float or None
        Time s between reads [RC], the lag of the products; the drift is programmed accordingly, so the answer does
        not depend on it, and all times scale with it. None: the pairs of reads, 1 RC apart, are independent, each
        `burn_in` after a fresh start from zero.
    alpha : "auto" or float
        Multiple of the identity that is added to A, of either sign. "auto": such that the smallest eigenvalue of the
        symmetric part of A + alpha I is 0.25. More alpha lets the device forget faster but shows a smaller answer;
        the optimum is 0.5 for one slow mode among none, and towards 0 for many fast ones, where 0.25 costs at most a
        few tens of per cent in the standard error.
    @burn_in
    @beta
        The noise is programmed as that over beta and the average multiplied by beta, so that it matters compared with
        read noise and converters only.
    @device
        `matrix_bits` and `mismatch` act on the drift, `dac_bits` on the noise covariance.
    @simulator
        The law is a block of a Wishart matrix, of independent pairs that are not rounded.
    @n_chains
    @rng
    @workers

    Returns
    -------
    ExponentialEstimate
        ``value`` and ``stderr`` (d, d); ``alpha``; ``burn_in`` and ``duration`` [RC]; ``cost``.

    Raises
    ------
    ValueError
        Bad input, named with its value; beta = inf.
    NotPositiveDefinite
        A given alpha leaves the symmetric part of A + alpha I indefinite; with its smallest eigenvalue.
    NoClosedLaw
        simulator="law" for successive or rounded reads.
    QuantizationFloor
        rtol below what the converters allow.

    Warns
    -----
    NotEquilibrated
        A given burn_in is too short; says how long it must be.

    See Also
    --------
    expm : ``e^A``.
    expm_action : ``e^A v`` from fewer numbers.

    References
    ----------
    Duffield et al., "Thermodynamic Matrix Exponentials and Thermodynamic Parallelism", arXiv:2311.12759.

    Examples
    --------
    >>> import numpy as np, thermolinalg as tl
    >>> r = tl.negexpm([[1.0, 3.0], [0.0, 1.0]], n_reads=10_000, rng=0)
    >>> bool(np.all(abs(r.value - np.exp(-1.0) * np.array([[1.0, -3.0], [0.0, 1.0]])) < 5 * r.stderr))
    True
    >>> round(r.alpha, 6)
    0.75
    """
    B = _validation.square(as_array(A, "A"), "A")
    return _exponential(
        B, "A", None, n_reads=n_reads, rtol=rtol, duration=duration, read_spacing=read_spacing,
        alpha=alpha, burn_in=burn_in, beta=beta, device=device, simulator=simulator,
        n_chains=n_chains, rng=rng, workers=workers,
    )  # fmt: skip


@documented
def expm_action(
    A: Matrix,
    v: ArrayLike,
    *,
    n_reads: int | None = None,
    rtol: float | None = None,
    duration: None = None,
    read_spacing: float | None = 1.0,
    alpha: str | float = "auto",
    burn_in: str | float = "auto",
    beta: float | None = None,
    device: Device | None = None,
    simulator: str = "auto",
    n_chains: int = 1,
    rng: RNGLike = None,
    workers: int | None = None,
) -> ExponentialEstimate:
    """``e^A v`` from the correlation of the later read with v^T times the earlier one.

    The device of ``negexpm(-A)``; only the products ``x_{k+1} (x_k . v)`` are averaged, d numbers for each v.

    Parameters
    ----------
    A : (d, d) array_like, sparse array, LinearOperator or operator
        Any real matrix.
    v : (d,) or (d, k) array_like
        Vectors, all served by the same reads.
    n_reads, rtol, duration, read_spacing, alpha, burn_in, beta, device, simulator, n_chains, rng, workers
        As for `negexpm`, with -A in the place of A; rtol is relative to ``||e^A v||``.

    Returns
    -------
    ExponentialEstimate
        ``value`` and ``stderr``, shaped like v; ``alpha``.

    Raises
    ------
    ValueError, NotPositiveDefinite, NoClosedLaw, QuantizationFloor
        As `negexpm`.

    See Also
    --------
    negexpm : ``e^-A``, with all that is said of the device.

    Examples
    --------
    >>> import numpy as np, thermolinalg as tl
    >>> r = tl.expm_action([[0.0, 1.0], [-1.0, 0.0]], [1.0, 0.0], n_reads=10_000, rng=0)
    >>> bool(np.all(abs(r.value - [np.cos(1.0), -np.sin(1.0)]) < 5 * r.stderr))
    True
    """
    B = -_validation.square(as_array(A, "A"), "A")
    V = _validation.columns(v, "v", B.shape[0])
    return _exponential(
        B, "-A", V.reshape(V.shape[0], -1).copy(), n_reads=n_reads, rtol=rtol, duration=duration,
        read_spacing=read_spacing, alpha=alpha, burn_in=burn_in, beta=beta, device=device, simulator=simulator,
        n_chains=n_chains, rng=rng, workers=workers, shape=V.shape,
    )  # fmt: skip


def _exponential(
    B: FloatArray,
    name: str,
    V: FloatArray | None,
    *,
    n_reads: int | None,
    rtol: float | None,
    duration: None,
    read_spacing: float | None,
    alpha: str | float,
    burn_in: str | float,
    beta: float | None,
    device: Device | None,
    simulator: str,
    n_chains: int,
    rng: RNGLike,
    workers: int | None,
    shape: tuple[int, ...] | None = None,
) -> ExponentialEstimate:
    """e^-B, or e^-B V, with the options of the public functions."""
    _validation.choice(simulator, "simulator", SIMULATORS)
    device = device_of(beta, device)
    require_noise(device, "the exponential")
    if duration is not None:
        raise ValueError(
            "duration is not for exponentials: they are averages of products of reads read_spacing apart, which an "
            "integrator could form with a delay line only; give n_reads, the averaging time over read_spacing, or rtol"
        )
    _validation.exactly_one(n_reads=n_reads, rtol=rtol)
    n_products = 1 if n_reads is None else _validation.count(n_reads, "n_reads")
    spacing = 1.0 if read_spacing is None else _validation.positive(read_spacing, "read_spacing")
    n_chains, generator = _validation.count(n_chains, "n_chains"), _validation.generator(rng)
    alpha = _shift(B, alpha, name)

    drift = B + alpha * np.eye(B.shape[0])
    held, clipped = program_array(drift, device, generator)
    noise, saturated = program_noise(drift + drift.T, device, generator)
    products = Products(n=n_products, spacing=spacing, lag=1, independent=read_spacing is None)
    moments = SecondMoment(
        source=ProcessSource(OrnsteinUhlenbeck(held, diffusion=noise), whole=V is None), products=products,
        device=device, n_chains=n_chains, V=V,
    )  # fmt: skip
    if rtol is not None:
        exact = scipy.linalg.expm(-drift) if V is None else scipy.linalg.expm(-drift) @ V
        floor = float(np.linalg.norm(moments.answer() - exact))
        size = float(np.linalg.norm(exact))
        moments = planned(moments, _validation.positive(rtol, "rtol"), size, floor, "the exponential")
    moments = moments.settled(burn_in, "the exponential")
    return moments.estimate(
        simulator, generator, workers, clipped={"matrix": clipped, "dac": saturated}, kind=ExponentialEstimate,
        scale=np.exp(alpha), shape=shape, alpha=alpha,
    )  # fmt: skip


def _shift(B: FloatArray, alpha: str | float, name: str) -> float:
    """alpha, and the assurance that the symmetric part of B + alpha I is positive definite."""
    values = scipy.linalg.eigvalsh((B + B.T) / 2.0, check_finite=False)
    if isinstance(alpha, str):
        _validation.choice(alpha, "alpha (or a number)", ("auto",))
        return float(MARGIN - values[0])
    alpha = float(_validation.real_array(alpha, "alpha"))
    smallest = values[0] + alpha
    if smallest <= B.shape[0] * np.finfo(float).eps * max(abs(values[0]), abs(values[-1]), abs(alpha)):
        raise NotPositiveDefinite(
            f"the symmetric part of {name} + alpha I must be positive definite, for it is the noise covariance, but at "
            f"alpha = {alpha:.6g} its smallest eigenvalue is {smallest:.6g}; use alpha above {-values[0]:.6g}, or "
            'alpha="auto"',
            float(smallest),
        )
    return alpha
