"""`logdet` and `det`: the determinant of A from the work of driving the network from a reference to A."""

from typing import Any

import numpy as np

from .. import _validation
from .._typing import RNGLike
from ..hardware.device import Device
from ..hardware.programming import Programmed, device_for, on_device, with_modes
from ..measurement.work import WorkRequest, work_of
from ..operators import Matrix
from ..results import WorkEstimate
from .shared_docstrings import documented


@documented
def logdet(
    A: Matrix | Programmed,
    A0: Matrix | None = None,
    *,
    duration: float | None = None,
    n_paths: int | None = None,
    atol: float | None = None,
    protocol: str = "linear",
    estimator: str = "jarzynski",
    stepping: str = "auto",
    n_steps: int | None = None,
    beta: float | None = None,
    device: Device | None = None,
    simulator: str = "auto",
    rng: RNGLike = None,
    workers: int | None = None,
) -> WorkEstimate:
    """``ln det A`` from the work of driving a thermal RC network from A0 to A.

    The network starts in equilibrium with A0, whose determinant is known, and its matrix is changed to A over
    `duration`. The work w on a path is random; its law holds the free energy difference of the two networks,
    ``ln(det A / det A0) / (2 beta)``, in ``<e^{-beta w}> = e^{-beta dF}`` (Jarzynski), however fast the ramp. A fast
    ramp dissipates, and the average is then ruled by paths that are hardly ever drawn.

    Like `solve` this *simulates* a machine: where A0 and A commute it uses the eigenvalues of A, whose product is the
    answer. So does the plan of a duration or of a number of paths that is not given.

    Parameters
    ----------
    A : (d, d) array_like, sparse array, LinearOperator or operator
        Symmetric positive definite, in units of the reference conductance. Sparse matrices are made dense. A matrix
        that a device holds already (`Programmed`) is not loaded again.
    A0 : float or (d, d) array_like or operator, optional
        Reference, symmetric positive definite; a number stands for that multiple of the identity. Default
        ``(tr A / d) I``: programmed without knowledge of A but its trace, and of the same mean conductance. Its
        log-determinant is computed digitally, and it is loaded at every call.
    duration : float, optional
        Time of the ramp [RC]. Default: the shortest, to within 9 %, at which the estimate can be trusted: a dissipation
        of at most 1/2 ("bar": 1) in units of 1/beta, and for "jarzynski" an e^{-w} so little skewed, for "gaussian" a
        third cumulant of the work so small, that they matter little compared with the standard error. It follows from
        the exact law of the work where A0 and A commute, else from that of slow ramps, which is on the safe side.
    n_paths : int, optional
        Paths, at least 2; "bar" takes as many in the reverse direction. Default 1000, or what `atol` asks for.
    atol : float, optional
        Root mean square error of ln det A to reach; it is the relative error of `det`. Plans n_paths, at least 1000; or
        the duration, for given n_paths. Not together with both. Read noise and converters are not allowed for. Needs
        A0 that commutes with A, and "jarzynski" or "bar".
    protocol : "linear" or "optimal"
        "linear" changes A in proportion to time: what a device can drive. "optimal" changes ``lambda^{-1/2}`` of every
        mode in proportion to time, which dissipates least in the limit of slow ramps. It takes the spectrum, hence
        the answer: a bound of what schedules can achieve, not intended to compute with. Needs A0 that commutes with A.
    estimator : "jarzynski", "bar" or "gaussian"
        The exponential average of forward work; Bennett's acceptance ratio of forward and reverse work; mean less
        half the variance of forward work, which is biased unless the work is normal (slow ramps). "bar" bears ramps
        many times as fast as the others.
    stepping : "auto", "exact" or "euler"
        How paths are stepped. "exact": the modes, in which each step of the ramp relaxes by its exact law; for A0 that
        commutes with A. "euler": products with the two matrices only, which takes five times as many steps or more.
        "auto" takes the first where it can.
    n_steps : int, optional
        Steps of the ramp, which is piecewise constant in simulation: the matrix jumps (work), then x relaxes. The
        Jarzynski equality holds for any number. Default: half ("euler": a tenth) of the fastest relaxation time each.
    beta : float, optional
        Inverse temperature of an ideal device; default 1. The estimate does not depend on it.
    device : Device, optional
        A device with its own beta; not together with beta. Its read noise and its converter act once on the work of
        each path, and nothing is done about the bias that this brings; `eps_sys` is the gain of the one meter of work.
    simulator : "auto", "law" or "path"
        As in `solve`. Both steppings simulate paths. Exact steps have the true law of every state, as the paths of
        `solve` have, but the work is a sum over all of them, and there is no closed law to draw it from at once. So
        "auto" stands for "path", and "law" is refused.
    @rng
    @workers

    Returns
    -------
    WorkEstimate
        ``value`` and ``stderr``, scalars: the latter from the scatter of what each path adds, with the rounding that
        noise does not dither; ``dissipated_work`` and its ``slow_limit`` and ``bound``; ``effective_paths``; ``cost``.

    Raises
    ------
    ValueError
        Bad input, named with its value; "optimal", "exact" or atol where A0 and A do not commute; too few Euler steps
        to be stable; a plan that would take minutes to simulate; beta = inf, which has no work to average.
    NotPositiveDefinite
        With the offending eigenvalue; of A, of A0, or of A as programmed.
    NoClosedLaw
        simulator="law".
    FloatingPointError
        "bar" where forward and reverse work do not overlap at all.

    Warns
    -----
    UnreliableWork
        Few paths rule the estimate: for "jarzynski" also whenever the dissipation may exceed 1/beta, or e^{-w} is so
        skewed that its average lies typically on one side of the truth (as when a fast ramp lowers an eigenvalue
        to less than half). Names a duration that would do.

    See Also
    --------
    det : The determinant itself.
    thermolinalg.results.WorkEstimate : All that a run tells.

    Notes
    -----
    Euler steps of length h leave a slightly different law in equilibrium, of ``A - h A^2 / 2``, and are reversible
    with respect to it. Work is counted with that matrix during the ramp and with the true ones at both ends, so that
    the equality still holds for any h.

    References
    ----------
    Aifer et al., "Thermodynamic Linear Algebra", arXiv:2308.05660. Jarzynski, Phys. Rev. Lett. 78, 2690 (1997).
    Bennett, J. Comput. Phys. 22, 245 (1976).

    Examples
    --------
    >>> import numpy as np
    >>> A = np.array([[2.0, 1.0], [1.0, 2.0]])
    >>> r = logdet(A, atol=0.01, rng=0)
    >>> bool(abs(r.value - np.log(3.0)) < 5 * r.stderr)
    True
    """
    request = WorkRequest(duration, n_paths, atol, n_steps, protocol, estimator, stepping)
    device, generator = device_for(A, beta, device), _validation.generator(rng)
    machine, loaded = on_device(with_modes(A), device, None, generator)
    work = work_of(machine, A0, request, loaded)
    return work.estimate(simulator, generator, _validation.workers(workers), clipped=machine.clipped)


def det(A: Matrix | Programmed, A0: Matrix | None = None, **options: Any) -> WorkEstimate:
    """``det A`` from the work of driving a thermal RC network from A0 to A: the exponential of `logdet`.

    Parameters
    ----------
    A, A0
        As for `logdet`.
    **options
        As for `logdet`.

    Returns
    -------
    WorkEstimate
        ``value`` is det A, ``stderr`` that of the logarithm times it: an error bar for small relative errors.

    Raises
    ------
    ValueError
        As `logdet`.
    FloatingPointError
        The determinant overflows float64.

    See Also
    --------
    logdet : Its logarithm, with all options.

    Examples
    --------
    >>> import numpy as np
    >>> r = det(np.array([[2.0, 1.0], [1.0, 2.0]]), rng=0)
    >>> bool(abs(r.value - 3.0) < 5 * r.stderr)
    True
    """
    r = logdet(A, A0, **options)
    with np.errstate(over="ignore"):
        value = _validation.finite_result(np.exp(r.value), "the determinant")
    return WorkEstimate(**vars(r) | {"value": value, "stderr_source": lambda: value * r.stderr})
