"""`inv`: the inverse of A from the covariance of the voltages of a thermal RC network."""

import numpy as np

from .. import _validation
from .._typing import DTypeLike, RNGLike
from ..hardware.device import Device
from ..hardware.programming import Programmed, device_for, modal, on_device, with_modes
from ..hardware.readout import require_noise
from ..measurement.base import SIMULATORS
from ..measurement.dynamics import Inertia, dynamics_of
from ..measurement.paths import precision_of, require_single
from ..measurement.request import DENSE_READS, Request
from ..measurement.second_moments import SecondMoment, planned, require_few
from ..measurement.source import Products
from ..measurement.spectral_source import SpectralSource
from ..operators import Matrix
from ..results import Estimate
from .shared_docstrings import documented


@documented
def inv(
    A: Matrix | Programmed,
    *,
    duration: float | None = None,
    n_reads: int | None = None,
    read_spacing: float | None = None,
    rtol: float | None = None,
    burn_in: str | float = "auto",
    beta: float | None = None,
    device: Device | None = None,
    dynamics: str | Inertia = "overdamped",
    simulator: str = "auto",
    n_chains: int = 1,
    dtype: DTypeLike = np.float64,
    rng: RNGLike = None,
    workers: int | None = None,
) -> Estimate:
    """Invert A by the covariance of a thermal RC network: ``A^-1 = beta E[x x^T]`` at b = 0.

    The device starts at x = 0, relaxes for `burn_in`, and products ``x x^T`` are averaged. The mean is known to be
    zero and not estimated. The variance that read noise and rounding of the reads add to the diagonal is known to
    the host, which subtracts it.

    Like `solve` this *simulates* a machine with the help of a digital factorisation.

    Parameters
    ----------
    @A
        The answer is dense, so a sparse A is made dense.
    duration : float
        An analog multiplier and integrator of ``x x^T`` over so long [RC], simulated by reads a quarter of the
        fastest relaxation time apart: unbiased, with a variance at most 2.1 % above that of the continuous integral.
        Give exactly one of duration, n_reads and rtol.
    n_reads : int
        Reads by a converter: `read_spacing` [RC] apart, or, without one, independent, each `burn_in` after a fresh
        start from zero. The law of independent reads is Wishart and is drawn at a cost that does not grow with
        n_reads.
    read_spacing : float, optional
        Time between reads [RC]; with n_reads or rtol only.
    rtol : float
        Root mean square error to reach, relative to ``||A^-1||`` in the Frobenius norm, by independent reads or by
        reads `read_spacing` apart. Uses the exact spectrum: knowledge of the simulator.
    @burn_in
    @beta
    @device
    @dynamics
    @simulator
        The law is Wishart, of independent reads that are not rounded.
    @n_chains
    dtype : float64 or float32
        Precision in which paths are stepped and their products multiplied; spectrum, sums over blocks and answer are
        in double precision. With float32 the answer is off by a few 1e-7 of its norm, and rates of slow modes by at
        most a share 3e-8 / (lambda read_spacing), which must not exceed 1e-3: far below any error bar.
    @rng
    @workers

    Returns
    -------
    Estimate
        ``value`` (d, d), symmetric, float64; ``stderr``, worked out from the law (of reads in equilibrium) when
        first asked for; ``cost``.

    Raises
    ------
    ValueError
        Bad input, named with its value; beta = inf, which has no covariance to read.
    NotPositiveDefinite
        With the offending eigenvalue; of A, or of A as programmed (then with the word length that would do).
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
    solve : One solution, which takes far fewer reads.
    lyapunov : The same covariance under any stable drift and noise; ``inv(A)`` is ``lyapunov(A, 2 I)``.

    References
    ----------
    Aifer et al., "Thermodynamic Linear Algebra", arXiv:2308.05660. Bartlett's decomposition: Anderson, "An
    Introduction to Multivariate Statistical Analysis", section 7.2.

    Examples
    --------
    >>> import numpy as np, thermolinalg as tl
    >>> A = np.array([[3.0, 1.0], [1.0, 2.0]])
    >>> r = tl.inv(A, n_reads=10_000, rng=0)
    >>> bool(np.all(abs(r.value - np.linalg.inv(A)) < 5 * r.stderr))
    True
    """
    device, dtype = device_for(A, beta, device), precision_of(dtype)
    _validation.choice(simulator, "simulator", SIMULATORS)
    require_noise(device, "inv")
    n_chains = _validation.count(n_chains, "n_chains")
    request = Request.of(duration, n_reads, read_spacing, rtol)
    generator, workers = _validation.generator(rng), _validation.workers(workers)

    machine, loaded = on_device(with_modes(A), device, None, generator)
    source = SpectralSource(modal(machine.operator), dynamics_of(dynamics, machine.operator), dtype)
    moments = _moments(source, request, device, n_chains, loaded)
    if request.rtol is not None:
        moments = planned(moments, request.rtol, *_known(machine, moments), "A^-1")
    if dtype == np.float32:
        _require_single_precision(source, moments.products, device, moments.choose(simulator))
    return moments.settled(burn_in, "A^-1").estimate(simulator, generator, workers, clipped=machine.clipped)


def _moments(source: SpectralSource, request: Request, device: Device, n_chains: int, loaded: bool) -> SecondMoment:
    """The reads that were asked for, from equilibrium; one of them where the number is still to be planned."""
    n, spacing = request.n_reads or 1, request.read_spacing or 1.0
    if request.duration is not None:
        n, spacing = _reads_of_integrator(request.duration, source)
    independent = request.duration is None and request.read_spacing is None
    return SecondMoment(
        source=source, products=Products(n=n, spacing=spacing, independent=independent), device=device,
        converted=request.duration is None, n_chains=n_chains, loaded=loaded,
    )  # fmt: skip


def _reads_of_integrator(duration: float, source: SpectralSource) -> tuple[int, float]:
    """Number and spacing of the reads that stand for an integrator."""
    _, fastest = source.dynamics.integrator(np.inf, duration).decay_rates(source.operator.eigenvalues)
    n = np.ceil(duration * fastest / DENSE_READS)
    require_few(n, f"duration = {duration:.3g} RC")
    return int(n), duration / n


def _known(machine: Programmed, moments: SecondMoment) -> tuple[float, float]:
    """Norm of the answer, and of what programming and gains leave of it."""
    scale = float(np.sqrt(machine.target.trace(lambda lam: lam**-2.0)))
    if machine.operator is machine.target and moments.readout.gains is None:
        return scale, 0.0
    exact = machine.target.function(np.reciprocal, np.eye(machine.target.shape[0]))
    return scale, float(np.linalg.norm(moments.answer() - exact))


def _require_single_precision(source: SpectralSource, products: Products, device: Device, chosen: str) -> None:
    """Refuse what single precision cannot step, or has nothing to gain from."""
    if chosen == "law" or not source.dynamics.overdamped:
        raise ValueError(
            "dtype=float32 is for overdamped paths (read_spacing, duration or simulator='path'); leave it out"
        )
    require_single(source.operator.extremes, device.beta, None if products.independent else products.spacing)
