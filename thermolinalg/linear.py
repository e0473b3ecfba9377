"""`solve`: A x = b by the average voltage of a thermal RC network."""

from dataclasses import dataclass, replace

import numpy as np

from . import _check, laws, paths, planning
from .device import READ_RANGE_SDS, Device, Programmed, device_of
from .errors import NoClosedLaw, QuantizationFloor
from .krylov import Krylov
from .operators import Modal, as_operator, scale_rows
from .results import Estimate

SIMULATORS = ("auto", "law", "path")
CHAINS_FOR_SCATTER = 32  # chains from which the standard error can be taken from their scatter
PROBES = 8  # random vectors in the stochastic trace behind a Krylov standard error


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
    readout = request.readout(target, rhs, machine, device, n_chains)
    readout = _with_burn_in(readout, burn_in, machine, start, device)
    run = _Run(machine.operator, machine.b, start, readout, device, n_chains)
    simulator = run.choose(simulator)
    chains, clipped = run.draw(generator) if simulator == "law" else run.walk(generator, workers)

    operator, value = machine.operator, _check.finite_result(chains.mean(axis=0), "the read-out")
    products = operator.products - (used if operator is target else 0) if isinstance(operator, Krylov) else None
    stderr, kind = run.stderr(chains, simulator, generator, given.shape)
    caution = run.caution(rtol, value) if rtol is not None and isinstance(operator, Krylov) else None
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


def _reciprocal(lam):
    return 1.0 / lam


@dataclass(frozen=True)
class Request:
    """What the caller asked for: exactly one of duration, n_reads and rtol, and perhaps a spacing."""

    duration: float | None
    n_reads: int | None
    read_spacing: float | None
    rtol: float | None

    @classmethod
    def of(cls, duration, n_reads, read_spacing, rtol) -> "Request":
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

    def readout(self, target, rhs, machine: Programmed, device: Device, n_chains):
        """The read-out, its burn-in still open (infinite)."""
        if self.duration is not None:
            return laws.Integrator(np.inf, self.duration)
        if self.n_reads is not None:
            return self.reads(self.n_reads)
        return self._planned(target, rhs, machine, device, n_chains)

    def reads(self, n_reads):
        """So many reads, `read_spacing` apart or independent, the burn-in still open."""
        if self.read_spacing is None:
            return laws.IndependentReads(np.inf, n_reads)
        return laws.Reads(np.inf, n_reads, self.read_spacing)

    def _planned(self, target, rhs, machine, device, n_chains):
        operator, (d, k) = machine.operator, rhs.shape
        if isinstance(operator, Krylov):
            low, high = operator.bounds
            scale = np.linalg.norm(machine.b) / high
            total = lambda f: d * float(f(np.array([low]))[0])  # noqa: E731  bound of the trace of a falling f
        else:
            low, scale, total = operator.bounds[0], None, operator.trace
        ideal = operator is target and np.array_equal(machine.b, rhs)
        floor = 0.0
        if not ideal or scale is None:
            answer = target.function(_reciprocal, rhs)
            scale = np.linalg.norm(answer) if scale is None else scale
            floor = 0.0 if ideal else np.linalg.norm(operator.function(_reciprocal, machine.b) - answer)
        floor = np.hypot(floor, np.sqrt(_converter_floor(machine, device, self.read_spacing)))
        budget = planning.noise_budget(self.rtol, float(scale), float(floor), device.beta, "x") * n_chains / k

        def mean_square(time):
            if self.read_spacing is None:
                thermal = total(lambda lam: laws.stationary_average_variance(lam, time))
                return thermal / device.beta + d * device.read_noise**2
            n = time / self.read_spacing
            thermal = total(lambda lam: laws.stationary_reads_variance(lam, n, self.read_spacing))
            return thermal / device.beta + d * device.read_noise**2 / n

        if self.read_spacing is None:
            if d * device.read_noise**2 >= budget:
                raise QuantizationFloor(f"rtol = {self.rtol:.3g} lies below the read noise of one conversion")
            return laws.Integrator(np.inf, planning.solve_time(mean_square, budget, 1.0 / low))
        if mean_square(self.read_spacing) <= budget:
            return self.reads(1)
        return self.reads(int(np.ceil(planning.solve_time(mean_square, budget, 2 * self.read_spacing) / self.read_spacing)))


def _read_range(operator: Modal, b, device: Device) -> tuple[float, np.ndarray]:
    """Full scale of a converter for a stream of reads, and the standard deviation (d,) of a read."""
    sd = np.sqrt(operator.diagonal(_reciprocal) / device.beta + device.read_noise**2)
    if device.adc_range != "max":
        return float(device.adc_range), sd
    mean = operator.function(_reciprocal, b)
    return float((np.abs(mean) + READ_RANGE_SDS * sd[:, None]).max()), sd


def _converter_floor(machine: Programmed, device: Device, read_spacing) -> float:
    """Mean square norm of the error that rounding of the read-out leaves, whatever the averaging."""
    if device.adc_bits is None:
        return 0.0
    operator, (d, k) = machine.operator, machine.b.shape
    if read_spacing is not None and isinstance(operator, Modal):
        full_scale, sd = _read_range(operator, machine.b, device)
        return k * float(device.adc.averaged_error_variance(full_scale, sd).sum())
    full_scale = device.adc.range_of(operator.function(_reciprocal, machine.b))
    return d * k * device.adc.error_variance(full_scale)


def _with_burn_in(readout, burn_in, machine: Programmed, start, device: Device):
    n = getattr(readout, "n_reads", 1)
    read_variance = device.read_noise**2 / n
    transient = planning.solve_transient(machine.operator, start, machine.b, readout, device.beta, read_variance)
    return replace(readout, burn_in=planning.resolve_burn_in(burn_in, transient, "the average"))


@dataclass(frozen=True)
class _Run:
    """A problem on the machine with its read-out settled: b and x0 are (d, k)."""

    operator: Modal | Krylov
    b: np.ndarray
    x0: np.ndarray
    readout: laws.Integrator | laws.Reads | laws.IndependentReads
    device: Device
    n_chains: int

    @property
    def n_reads(self) -> int:
        """Conversions of each voltage."""
        return getattr(self.readout, "n_reads", 1)

    @property
    def span(self) -> float:
        """Averaging time of one run [RC]."""
        if isinstance(self.readout, laws.Integrator):
            return self.readout.duration
        return self.n_reads * getattr(self.readout, "spacing", 0.0)

    def choose(self, simulator: str) -> str:
        """The simulator that "auto" stands for, or the one asked for if it can serve."""
        rounds_reads = self.device.adc_bits is not None and not isinstance(self.readout, laws.Integrator)
        if simulator == "law" and rounds_reads:
            raise NoClosedLaw(
                "the mean of reads that are each rounded (n_reads with adc_bits) has no closed law; "
                'use simulator="path", or an integrator (duration), which is converted once'
            )
        chosen = ("path" if rounds_reads else "law") if simulator == "auto" else simulator
        if chosen == "path" and isinstance(self.operator, Krylov):
            raise ValueError(
                'simulator="path" steps modes, and a Krylov operator has none; pass A.dense(), use euler_maruyama, '
                "or a read-out whose law is known (an integrator, or adc_bits=None)"
            )
        return chosen

    def draw(self, generator):
        """Read-outs (n_chains, d, k) from their exact law, converted, and how many saturated."""
        size, k = (self.operator.rates.size if isinstance(self.operator, Modal) else self.b.shape[0]), self.b.shape[1]
        noise = generator.standard_normal((size, k * self.n_chains)) / np.sqrt(self.device.beta)
        law = self.readout
        if isinstance(self.operator, Modal):
            lam, to_modes = self.operator.rates, self.operator.to_modes
            mean = scale_rows(law.response(lam), to_modes(self.b))
            if self.x0.any():
                mean = mean + scale_rows(law.memory(lam), to_modes(self.x0))
            modes = np.tile(mean, self.n_chains) + scale_rows(np.sqrt(law.variance(lam)), noise)
            out = self.operator.from_modes(modes)
        else:
            mean = self.operator.function(law.response, self.b)
            if self.x0.any():
                mean = mean + self.operator.function(law.memory, self.x0)
            out = np.tile(mean, self.n_chains)
            if np.isfinite(self.device.beta):
                out = out + self.operator.function(lambda lam: np.sqrt(law.variance(lam)), noise)
        return self._converted(out.reshape(-1, self.n_chains, k).transpose(1, 0, 2), generator)

    def _converted(self, chains, generator):
        """Read noise and one rounding of what is read: of each chain with a range of its own."""
        if self.device.read_noise:
            sd = self.device.read_noise / np.sqrt(self.n_reads)
            chains = chains + sd * generator.standard_normal(chains.shape)
        if self.device.adc_bits is None:
            return chains, 0
        rounded, clipped = zip(*(self.device.adc.round(chain, generator) for chain in chains), strict=True)
        return np.array(rounded), sum(clipped)

    def walk(self, generator, workers):
        """Read-outs (n_chains, d, k) of paths, converted, and how many saturated."""
        operator, device = self.operator, self.device
        x0, b = operator.to_modes(self.x0), operator.to_modes(self.b)
        if device.adc_bits is None or isinstance(self.readout, laws.Integrator):
            modes = paths.mode_averages(operator.rates, x0, b, self.readout, device.beta, self.n_chains, generator, workers)
            return self._converted(np.array([operator.from_modes(chain) for chain in modes]), generator)
        full_scale, _ = _read_range(operator, self.b, device)
        return paths.converted_averages(
            operator, x0, b, self.readout, device, full_scale, self.n_chains, generator, workers
        )

    def stderr(self, chains, simulator, generator, shape):
        """Standard error (or what computes it when asked) and its kind."""
        krylov = isinstance(self.operator, Krylov)
        if self.n_chains >= CHAINS_FOR_SCATTER and (krylov or simulator == "path"):
            return (chains.std(axis=0, ddof=1) / np.sqrt(self.n_chains)).reshape(shape), "chains"
        probe = generator.spawn(1)[0]
        extra = self._reading_variance(chains)

        def evaluate():
            if krylov:
                trace, _ = self.operator.trace_with_error(self.readout.variance, PROBES, probe)
                thermal = np.full(self.b.shape[0], trace / self.b.shape[0])
            else:
                thermal = self.operator.diagonal(self.readout.variance)
            one_column = np.sqrt((thermal / self.device.beta + extra) / self.n_chains)
            return np.repeat(one_column[:, None], self.b.shape[1], axis=1).reshape(shape)

        return evaluate, "rms" if krylov else "law"

    def _reading_variance(self, chains):
        """What read noise and rounding add to the variance of each entry of one chain."""
        device, n = self.device, self.n_reads
        variance = device.read_noise**2 / n
        if device.adc_bits is None:
            return variance
        if isinstance(self.readout, laws.Integrator):
            return variance + device.adc.error_variance(device.adc.range_of(chains))
        full_scale, sd = _read_range(self.operator, self.b, device)
        return variance + device.adc.error_variance(full_scale) / n + device.adc.averaged_error_variance(full_scale, sd)

    def caution(self, rtol, value) -> float:
        """Requested error over the error expected for this run, for a plan from bounds."""
        variance = self.operator.trace_with_error(self.readout.variance, PROBES)[0] / self.device.beta
        expected = np.sqrt(self.b.shape[1] * variance / self.n_chains)
        return float(rtol * np.linalg.norm(value) / expected)

    def cost(self, value):
        """Time and mean energies of the run."""
        k, readout = self.b.shape[1], self.readout
        runs = k * (self.n_reads if isinstance(readout, laws.IndependentReads) else 1)
        time = readout.burn_in + self.span
        if isinstance(self.operator, Modal):
            to_modes = self.operator.to_modes
            energies = self.device.mean_energies(self.operator, to_modes(self.x0), to_modes(self.b), time)
            energies = tuple(e * runs / k for e in energies)
        else:  # steady current: b^T x over the whole run, and what the thermal and mean voltages store
            power = float(np.sum(self.b * value))
            thermal = 0.5 * self.b.size / self.device.beta
            energies = (power * time * runs / k, None, power / 2.0 + thermal)
        return self.device.cost(
            self.operator, runs=runs, burn_in=readout.burn_in, duration=self.span, n_inputs=self.b.size,
            n_outputs=self.b.size * self.n_reads, n_chains=self.n_chains, energies=energies,
        )  # fmt: skip
