"""`logdet` and `det`: the determinant of A from the work of driving the network from a reference to A."""

from dataclasses import replace

import numpy as np

from .. import _validation
from .._validation import warn
from ..errors import UnreliableWork
from ..hardware.device import Device, device_of
from ..hardware.programming import program
from ..measurement import free_energy, plan
from ..measurement.ramps import reversible_rates
from ..measurement.schedules import (
    FEW_PATHS,
    LARGEST_DISSIPATION,
    LARGEST_SHIFT,
    EulerDrive,
    ModeDrive,
    planned,
    trusted_duration,
)
from ..operators import Dense, Diagonal, Krylov, Modal, as_operator
from ..results import Cost, WorkEstimate

PROTOCOLS = ("linear", "optimal")
ESTIMATORS = ("jarzynski", "bar", "gaussian")
STEPPINGS = ("auto", "exact", "euler")
MOST_PATHS = 0.8  # share of effective paths above which one odd path is not taken for a heavy tail


def logdet(
    A, A0=None, *, duration=None, n_paths=None, atol=None, protocol="linear", estimator="jarzynski", stepping="auto",
    n_steps=None, beta=None, device=None, rng=None, workers=None,
) -> WorkEstimate:  # fmt: skip
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
        Symmetric positive definite, in units of the reference conductance. Sparse matrices are made dense.
    A0 : float or (d, d) array_like or operator, optional
        Reference, symmetric positive definite; a number stands for that multiple of the identity. Default
        ``(tr A / d) I``: programmed without knowledge of A but its trace, and of the same mean conductance. Its
        log-determinant is worked out digitally.
    duration : float, optional
        Time of the ramp [RC]. Default: the shortest, to within 9 %, at which the estimate can be trusted: a dissipation
        of at most 1/2 ("bar": 1) in units of 1/beta, and for "jarzynski" an e^{-w} so little skewed, for "gaussian" a
        third cumulant of the work so small, that they matter little beside the standard error. It follows from the
        exact law of the work where A0 and A commute, else from that of slow ramps, which is on the safe side.
    n_paths : int, optional
        Paths, at least 2; "bar" takes as many in the reverse direction. Default 1000, or what `atol` asks for.
    atol : float, optional
        Root mean square error of ln det A to reach; it is the relative error of `det`. Plans n_paths, at least 1000; or
        the duration, for given n_paths. Not together with both. Read noise and converters are not allowed for. Needs
        A0 that commutes with A, and "jarzynski" or "bar".
    protocol : "linear" or "optimal"
        "linear" changes A in proportion to time: what a device can drive. "optimal" changes ``lambda^{-1/2}`` of every
        mode in proportion to time, which dissipates least in the limit of slow ramps. It takes the spectrum, hence
        the answer: a bound of what drives can achieve, no way to compute. Needs A0 that commutes with A.
    estimator : "jarzynski", "bar" or "gaussian"
        The exponential average of forward work; Bennett's acceptance ratio of forward and reverse work; mean less
        half the variance of forward work, which is biased unless the work is normal (slow ramps). "bar" bears ramps
        many times as fast as the others.
    stepping : "auto", "exact" or "euler"
        "exact": the modes, in which each step of the ramp relaxes by its exact law; for A0 that commutes with A.
        "euler": products with the two matrices only, which takes five times as many steps or more. "auto" takes the
        first where it can.
    n_steps : int, optional
        Steps of the ramp, which is piecewise constant in simulation: the matrix jumps (work), then x relaxes. The
        Jarzynski equality holds for any number. Default: half ("euler": a tenth) of the fastest relaxation time each.
    beta : float, optional
        Inverse temperature of an ideal device; default 1. The estimate does not depend on it.
    device : Device, optional
        A device with its own beta; not together with beta. Its read noise and its converter act once on the work of
        each path, and nothing is done about the bias that this brings; `eps_sys` is the gain of the one meter of work.
    rng : {None, int, array_like[ints], SeedSequence, BitGenerator, Generator}, optional
        Passed to `numpy.random.default_rng`; None is fresh entropy.
    workers : int, optional
        Threads over paths; any number gives the same bits.

    Returns
    -------
    WorkEstimate
        ``value`` and ``stderr``; ``dissipated_work`` beside its ``slow_limit`` and ``bound``; ``effective_paths``.

    Raises
    ------
    ValueError
        Bad input, named with its value; "optimal", "exact" or atol where A0 and A do not commute; too few Euler steps
        to be stable; a plan that would take minutes to simulate; beta = inf, which has no work to average.
    NotPositiveDefinite
        With the offending eigenvalue; of A, of A0, or of A as programmed.

    Warns
    -----
    UnreliableWork
        Few paths rule the estimate: for "jarzynski" also whenever the dissipation may exceed 1/beta, or e^{-w} is so
        skewed that its average lies typically on one side of the truth (as when a fast ramp lowers an eigenvalue
        to less than half). Names a duration that would do.

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
    _validation.choice(protocol, "protocol", PROTOCOLS)
    _validation.choice(estimator, "estimator", ESTIMATORS)
    _validation.choice(stepping, "stepping", STEPPINGS)
    duration, n_paths, n_steps, atol = _numbers(duration, n_paths, n_steps, atol)
    device = device_of(beta, device)
    if np.isinf(device.beta):
        raise ValueError("logdet averages the work of thermal noise, and a device with beta = inf has none")
    generator = _validation.generator(rng)

    target = _modal(A)
    machine = program(target, device, rng=generator)
    operator = machine.operator
    reference = _reference(A0, operator)
    drive = _drive(operator, reference, n_steps, protocol, stepping, atol)
    given = duration is not None
    duration, n_paths = planned(drive, estimator, duration, n_paths, atol)
    ramp = drive.ramp(duration)
    work, heat = ramp.walk(n_paths, generator, workers)
    reverse = ramp.reversed().walk(n_paths, generator, workers)[0] if estimator == "bar" else None
    clipped = machine.clipped
    work, reverse, clipped["adc"] = _read(device, work, reverse, generator)

    free = _estimate(estimator, work, reverse)
    known = float(reference.trace(np.log))
    dissipated = free.dissipation(work)
    _warn_if_unreliable(estimator, work, reverse, free, dissipated, drive, given)
    low = min(reference.bounds[0], operator.spectrum.min()) if estimator == "bar" else reference.bounds[0]
    burn_in = plan.independent_inverse_burn_in(low, n_paths)
    value = float(_validation.finite_result(np.array(known + 2.0 * free.difference), "the log-determinant"))
    return WorkEstimate(
        value=value, stderr=2.0 * free.stderr, reference=known, dissipated_work=dissipated[0],
        dissipated_stderr=dissipated[1], slow_limit_source=ramp.slow_limit, bound_source=ramp.bound,
        effective_paths=free.effective_paths, n_paths=n_paths, n_steps=ramp.n_steps, duration=duration,
        burn_in=burn_in, protocol=protocol, estimator=estimator, stepping=ramp.stepping, work=work,
        reverse_work=reverse, device=device, clipped=clipped,
        cost=_cost(device, operator, reference, burn_in, duration, n_paths * (1 + (reverse is not None)), heat),
    )  # fmt: skip


def det(A, A0=None, **options) -> WorkEstimate:
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

    Examples
    --------
    >>> import numpy as np
    >>> r = det(np.array([[2.0, 1.0], [1.0, 2.0]]), rng=0)
    >>> bool(abs(r.value - 3.0) < 5 * r.stderr)
    True
    """
    r = logdet(A, A0, **options)
    with np.errstate(over="ignore"):
        value = float(_validation.finite_result(np.exp(np.array(r.value)), "the determinant"))
    return replace(r, value=value, stderr=value * r.stderr)


def _modal(A) -> Modal:
    operator = as_operator(A)
    return Dense(operator.dense()) if isinstance(operator, Krylov) else operator


def _reference(A0, operator: Modal) -> Modal:
    """The operator that the ramp starts from."""
    d = operator.shape[0]
    if A0 is None or (np.ndim(A0) == 0 and not isinstance(A0, Modal | Krylov)):
        level = operator.spectrum.mean() if A0 is None else _validation.positive(A0, "A0")
        return Diagonal(np.full(d, level))
    reference = _modal(A0)
    if reference.shape != operator.shape:
        raise ValueError(f"A0 must have shape {operator.shape}, got {reference.shape}")
    return reference


def _numbers(duration, n_paths, n_steps, atol):
    """The options that are numbers, checked; None where they are not given."""
    if duration is not None and n_paths is not None and atol is not None:
        raise ValueError("give at most two of duration, n_paths and atol: each follows from the other two")
    return (
        None if duration is None else _validation.positive(duration, "duration"),
        None if n_paths is None else _validation.count(n_paths, "n_paths", least=2),
        None if n_steps is None else _validation.count(n_steps, "n_steps"),
        None if atol is None else _validation.positive(atol, "atol"),
    )


def _drive(operator, reference, n_steps, protocol, stepping, atol) -> ModeDrive | EulerDrive:
    rates = reversible_rates(reference, operator)
    asked = {'protocol="optimal"': protocol == "optimal", 'stepping="exact"': stepping == "exact", "atol": atol}
    for option in (option for option, given in asked.items() if given and rates is None):
        raise ValueError(f"{option} needs the modes of A, and A0 does not commute with A; take A0 = None or a number")
    if protocol == "optimal" and stepping == "euler":
        raise ValueError('protocol="optimal" drives the modes of A; stepping="euler" has none')
    if rates is None or stepping == "euler":
        return EulerDrive(reference, operator, n_steps)
    return ModeDrive(*rates, n_steps, protocol)


def _read(device: Device, work, reverse, generator):
    """Work as the machine reads it, in units of 1/beta, and how many values saturated."""
    if device.read_noise == 0.0 and device.adc_bits is None and device.eps_sys == 0.0:
        return work, reverse, 0
    gain, read, clipped = float(device.read_gains(1)[0]), [], 0
    for values in (work, reverse):
        if values is not None:
            noisy = gain * values / device.beta + device.read_noise * generator.standard_normal(values.shape)
            rounded, n = device.adc.round(noisy, generator)
            values, clipped = device.beta * rounded, clipped + n
        read.append(values)
    return *read, clipped


def _estimate(estimator: str, work, reverse) -> free_energy.FreeEnergy:
    if estimator == "bar":
        return free_energy.bar(work, reverse)
    return free_energy.jarzynski(work) if estimator == "jarzynski" else free_energy.gaussian(work)


def _warn_if_unreliable(estimator, work, reverse, free, dissipated, drive, given) -> None:
    """Warn; higher moments of the work are judged where the duration was given: else they were forecast."""
    problem = {"jarzynski": _few_paths, "bar": _no_overlap, "gaussian": _not_normal}[estimator]
    reason = problem(work, reverse, free, dissipated, given)
    if reason:
        duration = trusted_duration(replace(drive, n_steps=None), estimator, work.size)
        remedy = "a slower ramp" if duration is None else f"a duration of {duration:.3g} RC"
        warn(
            f"{reason} (dissipated work {dissipated[0]:.3g} / beta or more); the value may be biased and its standard "
            f"error too small: take {remedy}, more paths, or a reference closer to A"
            + ("" if estimator == "bar" else ', or estimator="bar"'),
            UnreliableWork,
        )


def _few_paths(work, reverse, free, dissipated, given) -> str | None:
    rule = f"{free.effective_paths:.3g} of {work.size} paths rule the Jarzynski average"
    if free.effective_paths < FEW_PATHS or dissipated[0] + 2.0 * dissipated[1] > LARGEST_DISSIPATION:
        return rule
    shift = free_energy.skewness_shift(work) if given and free.effective_paths < MOST_PATHS * work.size else 0.0
    skewed = f"{rule}, so skewed that it is expected {shift:.2g} or more of its standard errors off"
    return skewed if shift > LARGEST_SHIFT else None


def _no_overlap(work, reverse, free, dissipated, given) -> str | None:
    overlap = free_energy.overlap(work, reverse, free.difference)
    return f"only about {overlap:.2g} forward and reverse paths overlap" if overlap < FEW_PATHS else None


def _not_normal(work, reverse, free, dissipated, given) -> str | None:
    third, error = free_energy.third_cumulant(work)
    if not given or abs(third) / 6.0 <= max(
        free.stderr, error / 2.0
    ):  # the latter is three standard errors of a sixth of it
        return None
    return f"the work is not normal: its third cumulant biases the Gaussian estimate by {third / 6.0:.2g}"


def _cost(device, operator, reference, burn_in, duration, runs, heat) -> Cost:
    """Time and mean energies of all paths: both matrices are programmed, the work of each path is converted once."""
    d = operator.shape[0]
    energies = (0.0, runs * float(heat.mean()) / device.beta, runs * 0.5 * d / device.beta)
    return device.cost(
        operator.n_programmed, runs=runs, burn_in=burn_in, duration=duration, n_inputs=reference.n_programmed,
        n_outputs=runs, n_chains=1, energies=energies,
    )  # fmt: skip
