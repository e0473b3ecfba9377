"""`solve`: A x = b by the average voltage of a thermal RC network."""

from dataclasses import dataclass, replace

import numpy as np

from . import _check, laws, paths, planning
from .device import READ_RANGE_SDS, Device, device_of
from .errors import NoClosedLaw, QuantizationFloor
from .krylov import Krylov
from .linear_problem import BoundedProblem, ModalProblem, linear_problem
from .operators import as_operator
from .results import Estimate

SIMULATORS = ("auto", "law", "path")
CHAINS_FOR_SCATTER = 32  # chains from which the standard error can be taken from their scatter


def solve(
    A, b, *, duration=None, n_reads=None, read_spacing=None, rtol=None, burn_in="auto", x0=None, beta=None,
    device=None, simulator="auto", n_chains=1, rng=None, workers=None,
) -> Estimate:  # fmt: skip
    """Solve ``A x = b`` by the time average of a thermal RC network.

    The device relaxes under ``dx = -(A x - b) dt + sqrt(2/beta) dW`` from x0 for `burn_in`, then its voltages are
    averaged: by an analog integrator over `duration`, or over `n_reads` of a converter. The read-out is normal. From
    equilibrium the integrator has mean ``A^-1 b`` and covariance ``(2 / (beta duration)) A^-2 [I - (I -
    e^{-A duration}) (A duration)^-1]``; what x0 and a finite burn-in add is in the law too (`thermolinalg.laws`).

    This *simulates* a machine. To draw from the law of its output a digital factorisation of A is used (or products
    with A, for `Krylov`), which is more work than a digital solution: it is no way to solve systems on a laptop. It
    tells what the machine would answer, how well, when, and at what cost.

    Parameters
    ----------
    A : (d, d) array_like, sparse array, LinearOperator or operator
        Symmetric positive definite, in units of the reference conductance. An operator keeps its factorisation for
        the next call.
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
        and the exact answer, which is knowledge of the simulator; with bounds only (`Krylov`) the error is
        guaranteed to be at most rtol if the bounds hold, and `Estimate.caution` says by how much it falls below.
    burn_in : "auto" or float
        "auto": long enough that the bias left from the start is at most a tenth of the standard error.
    x0 : array_like, optional
        Voltages at the start, shaped like b or (d,); default 0.
    beta : float, optional
        Inverse temperature of an ideal device; default 1.
    device : Device, optional
        A device with its own beta; not together with beta.
    simulator : "auto", "law" or "path"
        "law" draws the read-out from its exact distribution; "path" steps the modes through time. "auto" takes the
        law where it is known in closed form, and else the path. The two do not share noise.
    n_chains : int
        Independent replicas of the device, averaged.
    rng : {None, int, array_like[ints], SeedSequence, BitGenerator, Generator}, optional
        Passed to `numpy.random.default_rng`; None is fresh entropy.
    workers : int, optional
        Threads of the path simulator; any number gives the same bits.

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

    Warns
    -----
    NotEquilibrated
        A given burn_in is too short; says how long it must be.

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
    _check.choice(simulator, "simulator", SIMULATORS)
    device = device_of(beta, device)
    target = as_operator(A)
    given = _check.columns(b, "b", target.shape[0])
    n_chains = _check.count(n_chains, "n_chains")
    request = Request.of(duration, n_reads, read_spacing, rtol)
    generator = _check.generator(rng)

    rhs = given.reshape(given.shape[0], -1)
    start = _start(x0, given).reshape(rhs.shape)
    used = getattr(target, "products", 0)
    machine = device.program(target, rhs, generator)
    problem = linear_problem(machine.operator, machine.b, start, device)
    readout = request.readout(problem, target, rhs, n_chains)
    transient = problem.transient(readout, device.read_noise**2 / conversions(readout))
    readout = replace(readout, burn_in=planning.resolve_burn_in(burn_in, transient, "the average"))
    run = _Run(problem, readout, device, n_chains)
    simulator = run.choose(simulator)
    chains, clipped = run.draw(generator) if simulator == "law" else run.walk(generator, workers)

    value = _check.finite_result(chains.mean(axis=0), "the read-out")
    stderr, kind = run.stderr(chains, simulator, generator, given.shape)
    operator, products, caution = machine.operator, None, None
    if isinstance(operator, Krylov):
        products = operator.products - (used if operator is target else 0)
        caution = None if rtol is None else run.caution(rtol, value)
    return Estimate(
        value=value.reshape(given.shape), stderr_source=stderr, stderr_kind=kind, burn_in=readout.burn_in,
        duration=run.span, n_reads=getattr(readout, "n_reads", None), read_spacing=getattr(readout, "spacing", None),
        n_chains=n_chains, simulator=simulator, device=device, cost=run.cost(value),
        clipped=machine.clipped | {"adc": clipped}, products=products, caution=caution,
    )  # fmt: skip


def _start(x0, given: np.ndarray) -> np.ndarray:
    if x0 is None:
        return np.zeros_like(given)
    x0 = _check.columns(x0, "x0", given.shape[0])
    if x0.ndim == 1 and given.ndim == 2:
        x0 = np.repeat(x0[:, None], given.shape[1], axis=1)
    if x0.shape != given.shape:
        raise ValueError(f"x0 must have the shape of b, {given.shape}, or ({given.shape[0]},), got {x0.shape}")
    return x0


def conversions(readout) -> int:
    """How often each voltage is converted: once by an integrator, or at every read."""
    return getattr(readout, "n_reads", 1)


@dataclass(frozen=True)
class Request:
    """What the caller asked for: exactly one of duration, n_reads and rtol, and perhaps a spacing."""

    duration: float | None
    n_reads: int | None
    read_spacing: float | None
    rtol: float | None

    @classmethod
    def of(cls, duration, n_reads, read_spacing, rtol) -> "Request":
        """The request, checked."""
        kind = _check.exactly_one(duration=duration, n_reads=n_reads, rtol=rtol)
        if read_spacing is not None:
            if kind == "duration":
                raise ValueError("read_spacing goes with n_reads or rtol; an integrator (duration) has no reads")
            read_spacing = _check.positive(read_spacing, "read_spacing")
        if kind == "duration":
            duration = _check.positive(duration, "duration")
        elif kind == "n_reads":
            n_reads = _check.count(n_reads, "n_reads")
        else:
            rtol = _check.positive(rtol, "rtol")
        return cls(duration, n_reads, read_spacing, rtol)

    def reads(self, n_reads: int):
        """So many reads, `read_spacing` apart or independent, the burn-in still open (infinite)."""
        if self.read_spacing is None:
            return laws.IndependentReads(np.inf, n_reads)
        return laws.Reads(np.inf, n_reads, self.read_spacing)

    def readout(self, problem, target, rhs, n_chains: int):
        """The read-out of ``solve``, the burn-in still open (infinite)."""
        if self.duration is not None:
            return laws.Integrator(np.inf, self.duration)
        if self.n_reads is not None:
            return self.reads(self.n_reads)
        budget = self._budget(problem, target, rhs) * n_chains / rhs.shape[1]
        beta, read_variance = problem.device.beta, problem.b.shape[0] * problem.device.read_noise**2
        slowest = 1.0 / problem.operator.bounds[0]
        if self.read_spacing is None:
            if read_variance >= budget:
                raise QuantizationFloor(f"rtol = {self.rtol:.3g} lies below the read noise of one conversion")

            def integrated(time):
                thermal = problem.trace_at_most(lambda lam: laws.stationary_average_variance(lam, time))
                return thermal / beta + read_variance

            return laws.Integrator(np.inf, planning.solve_time(integrated, budget, slowest))

        def averaged(n):
            thermal = problem.trace_at_most(lambda lam: laws.stationary_reads_variance(lam, n, self.read_spacing))
            return thermal / beta + read_variance / n

        return self.reads(planning.solve_count(averaged, budget))

    def _budget(self, problem, target, rhs) -> float:
        """Mean square error left for noise, after rounding and mismatch took theirs."""
        if problem.operator is target and np.array_equal(problem.b, rhs):
            scale, floor = problem.answer_norm_at_least(), 0.0
        else:
            answer = target.function(np.reciprocal, rhs)
            scale, floor = float(np.linalg.norm(answer)), float(np.linalg.norm(problem.answer - answer))
        floor = np.hypot(floor, np.sqrt(self._converter_floor(problem)))
        return planning.noise_budget(self.rtol, scale, float(floor), problem.device.beta, "x")

    def _converter_floor(self, problem) -> float:
        """Mean square norm of the error that rounding of the read-out leaves, whatever the averaging."""
        device, (d, k) = problem.device, problem.b.shape
        if device.adc_bits is None:
            return 0.0
        if self.read_spacing is None:
            return d * k * device.adc.error_variance(device.adc.range_of(problem.answer))
        full_scale, sd = _read_range(problem)
        return k * float(device.adc.averaged_error_variance(full_scale, sd).sum())


def _read_range(problem: ModalProblem) -> tuple[float, np.ndarray]:
    """Full scale of a converter for a stream of reads, and the standard deviation (d,) of a read."""
    device = problem.device
    sd = np.sqrt(problem.operator.diagonal(np.reciprocal) / device.beta + device.read_noise**2)
    if device.adc_range != "max":
        return float(device.adc_range), sd
    return float((np.abs(problem.answer) + READ_RANGE_SDS * sd[:, None]).max()), sd


@dataclass(frozen=True)
class _Run:
    """A problem on the machine with its read-out settled."""

    problem: ModalProblem | BoundedProblem
    readout: laws.Integrator | laws.Reads | laws.IndependentReads
    device: Device
    n_chains: int

    @property
    def span(self) -> float:
        """Averaging time of one run [RC]."""
        if isinstance(self.readout, laws.Integrator):
            return self.readout.duration
        return conversions(self.readout) * getattr(self.readout, "spacing", 0.0)

    @property
    def rounds_reads(self) -> bool:
        """Whether every read is rounded: what has no closed law."""
        return self.device.adc_bits is not None and not isinstance(self.readout, laws.Integrator)

    def choose(self, simulator: str) -> str:
        """The simulator that "auto" stands for, or the one asked for if it can serve."""
        if simulator == "law" and self.rounds_reads:
            raise NoClosedLaw(
                "the mean of reads that are each rounded (n_reads with adc_bits) has no closed law; "
                'use simulator="path", or an integrator (duration), which is converted once'
            )
        chosen = ("path" if self.rounds_reads else "law") if simulator == "auto" else simulator
        if chosen == "path" and isinstance(self.problem, BoundedProblem):
            raise ValueError(
                'simulator="path" steps modes, and a Krylov operator has none; pass A.dense(), use euler_maruyama, '
                "or a read-out whose law is known (an integrator, or adc_bits=None)"
            )
        return chosen

    def draw(self, generator):
        """Read-outs (n_chains, d, k) from their exact law, converted, and how many saturated."""
        return self._converted(self.problem.draw(self.readout, self.n_chains, generator), generator)

    def walk(self, generator, workers):
        """Read-outs (n_chains, d, k) of paths, converted, and how many saturated."""
        problem = self.problem
        if self.rounds_reads:
            full_scale, _ = _read_range(problem)
            return paths.converted_averages(
                problem.operator, problem.origin, problem.drive, self.readout, self.device, full_scale, self.n_chains,
                generator, workers,
            )  # fmt: skip
        modes = paths.mode_averages(
            problem.operator.rates, problem.origin, problem.drive, self.readout, self.device.beta, self.n_chains,
            generator, workers,
        )  # fmt: skip
        return self._converted(np.array([problem.operator.from_modes(chain) for chain in modes]), generator)

    def _converted(self, chains, generator):
        """Read noise and one rounding of what is read: of each chain with a range of its own."""
        if self.device.read_noise:
            sd = self.device.read_noise / np.sqrt(conversions(self.readout))
            chains = chains + sd * generator.standard_normal(chains.shape)
        if self.device.adc_bits is None:
            return chains, 0
        rounded, clipped = zip(*(self.device.adc.round(chain, generator) for chain in chains), strict=True)
        return np.array(rounded), sum(clipped)

    def stderr(self, chains, simulator, generator, shape):
        """Standard error (or what computes it when asked) and its kind."""
        if self.n_chains >= CHAINS_FOR_SCATTER and (self.problem.stderr_kind == "rms" or simulator == "path"):
            return (chains.std(axis=0, ddof=1) / np.sqrt(self.n_chains)).reshape(shape), "chains"
        probe = generator.spawn(1)[0]
        full_scale = self.device.adc.range_of(chains) if self.device.adc_bits is not None else 0.0

        def evaluate():
            variance = self.problem.variance(self.readout, probe) + self._reading_variance(full_scale)
            one_column = np.sqrt(variance / self.n_chains)
            return np.repeat(one_column[:, None], self.problem.b.shape[1], axis=1).reshape(shape)

        return evaluate, self.problem.stderr_kind

    def _reading_variance(self, full_scale):
        """What read noise and rounding add to the variance of each entry of one chain."""
        device, n = self.device, conversions(self.readout)
        noise = device.read_noise**2 / n
        if not self.rounds_reads:
            return noise + device.adc.error_variance(full_scale)
        full_scale, sd = _read_range(self.problem)
        return noise + device.adc.error_variance(full_scale) / n + device.adc.averaged_error_variance(full_scale, sd)

    def caution(self, rtol: float, value: np.ndarray) -> float:
        """Requested error over the error expected for this run, for a plan from bounds."""
        variance = self.problem.variance(self.readout, np.random.default_rng(0)).sum()
        return float(rtol * np.linalg.norm(value) / np.sqrt(value.shape[1] * variance / self.n_chains))

    def cost(self, value: np.ndarray):
        """Time and mean energies of the run."""
        readout, size = self.readout, self.problem.b.size
        repeats = readout.n_reads if isinstance(readout, laws.IndependentReads) else 1
        energies = self.problem.energies(readout.burn_in + self.span, value)
        return self.device.cost(
            self.problem.operator, runs=repeats * value.shape[1], burn_in=readout.burn_in, duration=self.span,
            n_inputs=size, n_outputs=size * conversions(readout), n_chains=self.n_chains,
            energies=[None if e is None else repeats * e for e in energies],
        )  # fmt: skip
