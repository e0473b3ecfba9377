"""`lyapunov`: the solution of A S + S A^T = R from the covariance of a linear device with programmed noise."""

import numpy as np

from .. import _validation
from .._typing import ArrayLike, FloatArray, RNGLike
from ..hardware.device import Device, device_of
from ..hardware.programming import program_array, program_noise
from ..hardware.readout import require_noise
from ..measurement.base import SIMULATORS
from ..measurement.process_source import ProcessSource
from ..measurement.request import DENSE_READS, Request
from ..measurement.second_moments import SecondMoment, planned, require_few
from ..measurement.source import Products
from ..operators import Matrix
from ..operators.dense import as_array
from ..processes import transitions
from ..processes.ornstein_uhlenbeck import OrnsteinUhlenbeck
from ..results import Estimate
from .shared_docstrings import documented


@documented
def lyapunov(
    A: Matrix,
    R: ArrayLike,
    *,
    duration: float | None = None,
    n_reads: int | None = None,
    read_spacing: float | None = None,
    rtol: float | None = None,
    burn_in: str | float = "auto",
    beta: float | None = None,
    device: Device | None = None,
    simulator: str = "auto",
    n_chains: int = 1,
    rng: RNGLike = None,
    workers: int | None = None,
) -> Estimate:
    """Solve the Lyapunov equation ``A S + S A^T = R`` by the stationary covariance of ``dx = -A x dt + sqrt(R) dW``.

    The device starts at x = 0, relaxes for `burn_in`, and products ``x x^T`` are averaged; the mean is known to be
    zero. A may be any stable matrix: it need not be symmetric. The noise is programmed: at inverse temperature beta
    its covariance is R/beta and the host multiplies the average by beta, so that an ideal device answers the same at
    any beta; beta matters beside read noise and converters. ``lyapunov(A, 2 I)`` is `inv` of a symmetric A. The
    variance that read noise and rounding of the reads add to the diagonal is known to the host, which subtracts it.

    A systematic error of the read-out (`eps_sys` of a device) multiplies entry (i, j) by the gains of cells i and j.
    There is no refinement as in `solve`: the residual R - A S - S A^T is not semidefinite, hence no noise has it for
    its covariance; its positive and its negative part would take a run each, which is left to the caller.

    This *simulates* a machine: the law of the reads is worked out digitally.

    Parameters
    ----------
    A : (d, d) array_like, sparse array, LinearOperator or operator
        Drift: all eigenvalues with positive real part, in units of the reference conductance. Made dense.
    R : float, (d,) or (d, d) array_like
        Noise covariance, symmetric positive semidefinite, singular or not: a multiple of the identity, a diagonal or
        a matrix.
    duration : float
        An analog multiplier and integrator of ``x x^T`` over so long [RC], simulated by reads a quarter of
        ``1 / ||A||`` apart. Give exactly one of duration, n_reads and rtol.
    n_reads : int
        Reads by a converter: `read_spacing` [RC] apart, or, without one, independent, each `burn_in` after a fresh
        start from zero. The law of independent reads is Wishart, drawn at a cost that does not grow with n_reads.
    read_spacing : float, optional
        Time between reads [RC]; with n_reads or rtol only.
    rtol : float
        Root mean square error to reach, relative to ``||S||`` in the Frobenius norm, by independent reads or by reads
        `read_spacing` apart (a little less where these are few). Uses the exact answer: knowledge of the simulator.
    @burn_in
    @beta
    @device
        `matrix_bits` and `mismatch` act on A, `dac_bits` on R.
    @simulator
        The law is Wishart, of independent reads that are not rounded.
    @n_chains
    @rng
    @workers

    Returns
    -------
    Estimate
        ``value`` (d, d), symmetric; ``stderr`` from the fourth moments of the reads in equilibrium, summed over all
        lags, when first asked for, or from 32 chains or more; ``cost``.

    Raises
    ------
    ValueError
        An unstable A, with its eigenvalue; R not semidefinite; other bad input, named with its value; beta = inf.
    NoClosedLaw
        simulator="law" for correlated or rounded reads.
    QuantizationFloor
        rtol below what the converters allow.

    Warns
    -----
    NotEquilibrated
        A given burn_in is too short; says how long it must be.

    See Also
    --------
    inv : The case ``R = 2 I`` of a symmetric A, with structure and inertia.
    OrnsteinUhlenbeck : The process itself: samples, likelihood, fit.

    References
    ----------
    Aifer et al., "Thermodynamic Linear Algebra", arXiv:2308.05660.

    Examples
    --------
    >>> import numpy as np, thermolinalg as tl
    >>> A, R = np.array([[1.0, 2.0], [-1.0, 3.0]]), np.array([[1.0, 0.5], [0.5, 2.0]])
    >>> S = tl.lyapunov(A, R, n_reads=10_000, read_spacing=0.5, rng=0)
    >>> bool(np.all(abs(S.value - [[0.4, 0.05], [0.05, 0.35]]) < 5 * S.stderr))
    True
    """
    _validation.choice(simulator, "simulator", SIMULATORS)
    device = device_of(beta, device)
    require_noise(device, "lyapunov")
    A, _ = _validation.stable(as_array(A, "A"), "A")
    R = _validation.semidefinite(as_array(R, "R"), "R", A.shape[0])
    n_chains = _validation.count(n_chains, "n_chains")
    request = Request.of(duration, n_reads, read_spacing, rtol)
    generator = _validation.generator(rng)

    held, clipped = program_array(A, device, generator)
    noise, saturated = program_noise(R, device, generator)
    moments = _moments(request, held, noise, device, n_chains)
    if request.rtol is not None:
        exact = transitions.stationary_covariance(A, R)
        floor = float(np.linalg.norm(moments.answer() - exact))
        moments = planned(moments, request.rtol, float(np.linalg.norm(exact)), floor, "S")
    moments = moments.settled(burn_in, "S")
    return moments.estimate(simulator, generator, workers, clipped={"matrix": clipped, "dac": saturated})


def _moments(request: Request, A: FloatArray, R: FloatArray, device: Device, n_chains: int) -> SecondMoment:
    """The reads that were asked for; one of them where the number is still to be planned."""
    n, spacing = request.n_reads or 1, request.read_spacing or 1.0
    if request.duration is not None:
        reads = np.ceil(request.duration * np.linalg.norm(A, 2) / DENSE_READS)
        require_few(reads, f"duration = {request.duration:.3g} RC")
        n = int(reads)
        spacing = request.duration / n
    process = OrnsteinUhlenbeck(spacing * A, diffusion=spacing * R)
    native = bool(np.array_equal(R, 2.0 * np.eye(len(R))))
    independent = request.duration is None and request.read_spacing is None
    return SecondMoment(
        source=ProcessSource(process, native_noise=native),
        products=Products(n=n, spacing=spacing, independent=independent), device=device,
        converted=request.duration is None, n_chains=n_chains,
    )  # fmt: skip
