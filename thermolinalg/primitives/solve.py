"""`solve`: A x = b by the average voltage of a thermal RC network."""

from dataclasses import replace

import numpy as np

from .. import _validation
from .._typing import ArrayLike, FloatArray, RNGLike
from ..hardware.device import Device
from ..hardware.programming import Programmed, device_for, on_device
from ..measurement.base import SIMULATORS
from ..measurement.dynamics import Inertia, dynamics_of
from ..measurement.mean import mean_of
from ..measurement.refinement import Host, refined
from ..measurement.request import Request
from ..operators import Krylov, Matrix, as_operator
from ..results import Estimate
from .shared_docstrings import documented


@documented
def solve(
    A: Matrix | Programmed,
    b: ArrayLike,
    *,
    duration: float | None = None,
    n_reads: int | None = None,
    read_spacing: float | None = None,
    rtol: float | None = None,
    burn_in: str | float = "auto",
    x0: ArrayLike | None = None,
    beta: float | None = None,
    device: Device | None = None,
    dynamics: str | Inertia = "overdamped",
    simulator: str = "auto",
    refine: bool = False,
    n_chains: int = 1,
    rng: RNGLike = None,
    workers: int | None = None,
) -> Estimate:
    """Solve ``A x = b`` by the time average of a thermal RC network.

    The device relaxes under ``dx = -(A x - b) dt + sqrt(2/beta) dW`` from x0 for `burn_in`, then its voltages are
    averaged: by an analog integrator over `duration`, or over `n_reads` of a converter. The read-out is normal. From
    equilibrium the integrator has mean ``A^-1 b`` and covariance ``(2 / (beta duration)) A^-2 [I - (I -
    e^{-A duration}) (A duration)^-1]``; what x0 and a finite burn-in add is in the law too (`thermolinalg.laws`).

    This *simulates* a machine. To draw from the law of its output a digital factorisation of A is used (or products
    with A, for `Krylov`), which is more work than a digital solution: it is not intended to solve systems on a
    laptop. It tells what the machine would answer, how well, when, and at what cost.

    Parameters
    ----------
    @A
    b : (d,) or (d, k) array_like
        Right-hand sides; each column is a run of its own.
    duration : float
        Averaging time of the integrator [RC]. Give exactly one of duration, n_reads and rtol.
    n_reads : int
        Reads by a converter, averaged on the host: `read_spacing` [RC] apart, or, without one, independent: each
        `burn_in` after a fresh start.
    read_spacing : float, optional
        Time between reads [RC]; with n_reads or rtol only.
    rtol : float
        Root mean square error to reach, relative to ``||x||`` in the 2-norm (Frobenius for columns): by an
        integrator, or by reads where `read_spacing` is given. With a held spectrum the plan uses the exact spectrum
        and the exact answer, which is knowledge of the simulator. Without one (`Krylov`) it uses the answer and bounds
        the noise by the smallest eigenvalue, so the error is at most rtol if the bounds of the operator hold, and
        `Estimate.planning_margin` says by how much it falls below. No plan averages for less than the fastest
        relaxation time, nor counts on noise that has not yet come to equilibrium; where that is better than rtol, so
        is the result.
    burn_in : "auto" or float
        "auto": long enough that the bias left from the start is at most a tenth of the standard error.
    x0 : array_like, optional
        Voltages at the start, shaped like b or (d,); default 0.
    @beta
    @device
    @dynamics
    @simulator
    refine : bool
        Iterative refinement to rtol: the digital host forms the residual, rescales it to unit size, lets the device
        solve for it and adds the answer, round by round. The error shrinks in each round by sqrt(2 / (beta duration)),
        whatever the condition number and d, so accuracy costs its logarithm and not its square. Needs rtol; duration
        or n_reads then describe one round and are optional. With a rounded matrix A_q it converges if the spectral
        radius of (A_q - A) A_q^-1 is below 1; from 0.9 on it is given up as too slow.
    @n_chains
    @rng
    @workers

    Returns
    -------
    Estimate
        ``value`` and ``stderr``, float64, shaped like b; ``burn_in`` and ``duration`` [RC]; ``cost``. The standard
        error covers noise and the rounding of reads, not the rounding or mismatch of A and b. For an operator that
        has no spectrum it is one rms value for all entries unless n_chains >= 32.

    Raises
    ------
    ValueError
        Bad input, named with its value; both beta and device; none or two of duration, n_reads, rtol.
    NotPositiveDefinite
        With the offending eigenvalue; of A, or of A as programmed (then with the word length that would do).
    NoClosedLaw
        simulator="law" where every read is rounded.
    QuantizationFloor
        rtol below what the converters allow.
    NotConverged
        Refinement makes no progress; says how many bits it needs.

    Warns
    -----
    NotEquilibrated
        A given burn_in is too short; says how long it must be.

    See Also
    --------
    inv : The inverse, from the covariance of the same voltages.
    as_preconditioner : The device's answers inside a flexible iteration.
    hardware.program : Load a matrix once for many calls.

    References
    ----------
    Aifer et al., "Thermodynamic Linear Algebra", arXiv:2308.05660.

    Examples
    --------
    >>> import numpy as np, thermolinalg as tl
    >>> r = tl.solve([[3.0, 2.0], [2.0, 4.0]], [1.0, -1.0], duration=1e4, rng=0)
    >>> bool(np.all(abs(r.value - [0.75, -0.625]) < 5 * r.stderr))
    True
    """
    _validation.choice(simulator, "simulator", SIMULATORS)
    device = device_for(A, beta, device)
    target = A if isinstance(A, Programmed) else as_operator(A)
    given = _validation.columns(b, "b", target.shape[0])
    n_chains = _validation.count(n_chains, "n_chains")
    generator, workers = _validation.generator(rng), _validation.workers(workers)
    rhs = given.reshape(given.shape[0], -1).copy()  # the caller may change b before the cost is asked for
    if not isinstance(refine, bool | np.bool_):
        raise ValueError(f"refine must be True or False, got {refine!r}")
    if refine:
        if x0 is not None:
            raise ValueError("x0 has no place in refinement: every round starts from discharged cells")
        if rtol is None:
            raise ValueError("refine=True needs rtol, the relative error at which to stop")
        request = Request.of_round(duration, n_reads, read_spacing)
        host = Host(target, request, burn_in, device, dynamics, simulator, n_chains, generator, workers)
        return refined(host, rhs, given.shape, _validation.positive(rtol, "rtol"), n_chains)

    request = Request.of(duration, n_reads, read_spacing, rtol)
    start = _start(x0, given).reshape(rhs.shape)
    machine, loaded = on_device(target, device, rhs, generator)
    operator = machine.operator
    used = getattr(operator, "products", 0)
    mean = mean_of(machine, request, dynamics_of(dynamics, operator), start, rhs, n_chains, loaded).settled(burn_in)
    r = mean.estimate(simulator, generator, workers, clipped=machine.clipped, shape=given.shape)
    if not isinstance(operator, Krylov):
        return r
    planning_margin = None if rtol is None else mean.planning_margin(rtol, r.value.reshape(rhs.shape))
    error = mean.stderr_error(lambda: r.stderr, r.stderr_kind)
    return replace(r, products=operator.products - used, planning_margin=planning_margin, stderr_error_source=error)


def _start(x0: ArrayLike | None, given: FloatArray) -> FloatArray:
    if x0 is None:
        return np.zeros_like(given)
    x0 = _validation.columns(x0, "x0", given.shape[0]).copy()
    if x0.ndim == 1 and given.ndim == 2:
        x0 = np.repeat(x0[:, None], given.shape[1], axis=1)
    if x0.shape != given.shape:
        raise ValueError(f"x0 must have the shape of b, {given.shape}, or ({given.shape[0]},), got {x0.shape}")
    return x0
