"""One run of a linear problem on the machine: what was asked for, drawn or stepped, converted, with error and cost."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from . import _check, planning
from .device import READ_RANGE_SDS, Device
from .errors import NoClosedLaw, QuantizationFloor
from .linear_problem import BoundedProblem, ModalProblem

SIMULATORS = ("auto", "law", "path")
PATHLESS = (
    'simulator="path" steps modes, and a Krylov operator has none; pass A.dense(), use euler_maruyama, '
    "or a read-out whose law is known (an integrator, or adc_bits=None)"
)
CHAINS_FOR_SCATTER = 32  # chains from which the standard error can be taken from their scatter


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

    @classmethod
    def of_round(cls, duration, n_reads, read_spacing) -> "Request":
        """The request for one round of a refinement: perhaps nothing, for a duration that is planned."""
        if duration is None and n_reads is None:
            if read_spacing is not None:
                raise ValueError("read_spacing goes with n_reads; refinement without n_reads plans an integrator")
            return cls(None, None, None, None)
        return cls.of(duration, n_reads, read_spacing, None)

    def readout(self, problem, target, rhs, dynamics, n_chains: int):
        """The read-out of ``solve``, the burn-in still open (infinite)."""
        if self.duration is not None:
            return dynamics.integrator(np.inf, self.duration)
        if self.n_reads is not None:
            return dynamics.reads(np.inf, self.n_reads, self.read_spacing)
        budget = self._budget(problem, target, rhs) * n_chains / rhs.shape[1]
        beta, read_variance = problem.device.beta, problem.b.shape[0] * problem.device.read_noise**2
        if self.read_spacing is None:
            if read_variance >= budget:
                raise QuantizationFloor(f"rtol = {self.rtol:.3g} lies below the read noise of one conversion")

            def integrated(time):
                return problem.trace_at_most(dynamics.integrator(np.inf, time)) / beta + read_variance

            shortest = 1.0 / problem.operator.bounds[1]
            return dynamics.integrator(np.inf, planning.solve_time(integrated, budget, shortest))

        read_variance += problem.b.shape[0] * self._own_rounding(problem)

        def averaged(n):
            reads = dynamics.reads(np.inf, n, self.read_spacing)
            return problem.trace_at_most(reads) / beta + read_variance / n

        return dynamics.reads(np.inf, planning.solve_count(averaged, budget), self.read_spacing)

    def _budget(self, problem, target, rhs) -> float:
        """Mean square error left for noise, after rounding, mismatch and uneven gains took theirs."""
        if problem.operator is target and np.array_equal(problem.b, rhs) and problem.device.eps_sys == 0.0:
            floor, scale = 0.0, problem.answer_norm()
        else:
            answer = target.function(np.reciprocal, rhs)
            read = problem.device.read_gains(len(rhs))[:, None] * problem.answer
            scale, floor = float(np.linalg.norm(answer)), float(np.linalg.norm(read - answer))
        floor = np.hypot(floor, np.sqrt(self._converter_floor(problem)))
        return planning.noise_budget(self.rtol, scale, float(floor), problem.device.beta, "x")

    def _converter_floor(self, problem) -> float:
        """Mean square norm of the error that rounding of the read-out leaves, whatever the averaging."""
        device, (d, k) = problem.device, problem.b.shape
        if device.adc_bits is None:
            return 0.0
        if self.read_spacing is None:
            errors = device.adc.error_variance(device.adc.range_of(problem.answer, axis=0))
            return d * float(np.sum(np.broadcast_to(errors, k)))
        full_scale, sd = _read_range(problem)
        return k * float(device.adc.averaged_error_variance(full_scale, sd).sum())

    @staticmethod
    def _own_rounding(problem) -> float:
        """Variance of the rounding error of one read, of which an average keeps its share."""
        if problem.device.adc_bits is None:
            return 0.0
        return problem.device.adc.error_variance(_read_range(problem)[0])


def _read_range(problem) -> tuple[float, np.ndarray]:
    """Full scale of a converter for a stream of reads, and the standard deviation (d,) of a read."""
    device = problem.device
    if isinstance(problem, BoundedProblem):
        raise ValueError(PATHLESS)
    sd = np.sqrt(problem.operator.diagonal(np.reciprocal) / device.beta + device.read_noise**2)
    if device.adc_range != "max":
        return float(device.adc_range), sd
    return float((np.abs(problem.answer) + READ_RANGE_SDS * sd[:, None]).max()), sd


@dataclass(frozen=True)
class LinearRun:
    """A problem on the machine with its read-out settled."""

    problem: ModalProblem | BoundedProblem
    readout: Any  # of `laws` or `underdamped_laws`
    n_chains: int

    @classmethod
    def settled(cls, problem, readout, burn_in, n_chains: int) -> "LinearRun":
        """The run with the burn-in that "auto" or a number stands for."""
        device = problem.device
        transient = problem.transient(readout, device.read_noise**2 / conversions(readout), n_chains)
        readout = replace(readout, burn_in=planning.resolve_burn_in(burn_in, transient, "the average"))
        return cls(problem, readout, n_chains)

    @property
    def device(self) -> Device:
        """The device that the problem is on."""
        return self.problem.device

    @property
    def span(self) -> float:
        """Averaging time of one run [RC]."""
        if self.readout.kind == "integrator":
            return self.readout.duration
        return conversions(self.readout) * getattr(self.readout, "spacing", 0.0)

    @property
    def times(self) -> dict:
        """The times of the run, as the fields of an `Estimate`."""
        spacing = getattr(self.readout, "spacing", None)
        n_reads = getattr(self.readout, "n_reads", None)
        return {"burn_in": self.readout.burn_in, "duration": self.span, "n_reads": n_reads, "read_spacing": spacing}

    @property
    def rounds_reads(self) -> bool:
        """Whether every read is rounded: what has no closed law."""
        return self.device.adc_bits is not None and self.readout.kind != "integrator"

    def choose(self, simulator: str) -> str:
        """The simulator that "auto" stands for, or the one asked for if it can serve."""
        if simulator == "law" and self.rounds_reads:
            raise NoClosedLaw(
                "the mean of reads that are each rounded (n_reads with adc_bits) has no closed law; "
                'use simulator="path", or an integrator (duration), which is converted once'
            )
        chosen = ("path" if self.rounds_reads else "law") if simulator == "auto" else simulator
        if chosen == "path" and isinstance(self.problem, BoundedProblem):
            raise ValueError(PATHLESS)
        return chosen

    def read(self, simulator: str, generator, workers):
        """Read-outs (n_chains, d, k) by a simulator that `choose` gave, and how many numbers saturated."""
        chains, clipped = self.draw(generator) if simulator == "law" else self.walk(generator, workers)
        return _check.finite_result(chains, "the read-out"), clipped

    def draw(self, generator):
        """Read-outs (n_chains, d, k) from their exact law, converted, and how many saturated."""
        return self._converted(self.problem.draw(self.readout, self.n_chains, generator), generator)

    def walk(self, generator, workers):
        """Read-outs (n_chains, d, k) of paths, converted, and how many saturated."""
        from . import paths  # brings Numba, which a law does without

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
        n_chains, m, k = modes.shape
        columns = modes.transpose(1, 0, 2).reshape(m, n_chains * k)
        chains = problem.operator.from_modes(columns).reshape(-1, n_chains, k).transpose(1, 0, 2)
        return self._converted(chains, generator)

    def _converted(self, chains, generator):
        """Read noise and one rounding of what is read: of each chain with a range of its own."""
        if self.device.eps_sys:
            chains = self.device.read_gains(chains.shape[1])[:, None] * chains
        if self.device.read_noise:
            sd = self.device.read_noise / np.sqrt(conversions(self.readout))
            chains = chains + sd * generator.standard_normal(chains.shape)
        if self.device.adc_bits is None:
            return chains, 0
        return self.device.adc.convert(np.ascontiguousarray(chains), generator, axis=1)

    def stderr(self, chains, simulator, generator, shape):
        """What computes the standard error when asked, and its kind.

        Noise averages out over chains; of the rounding error only the part that noise dithers does.
        """
        scatter = self.n_chains >= CHAINS_FOR_SCATTER and (self.problem.stderr_kind == "rms" or simulator == "path")
        seed = generator.bit_generator.seed_seq.spawn(1)[0]
        spread = chains.std(axis=0, ddof=1) if scatter else None
        full_scale, entries = self._full_scales(chains), chains.shape[1:]

        def evaluate():
            common = own = noise = 0.0
            if spread is None or self.device.adc_bits is not None:  # a scatter knows the noise, but not what it dithers
                noise = self._noise_variance(type(generator)(type(generator.bit_generator)(seed)))
            if self.device.adc_bits is not None:
                common, own = self._rounding_variances(noise, full_scale)
            each = noise + own if spread is None else spread**2
            variance = each / self.n_chains + common
            return _check.finite_result(np.sqrt(np.broadcast_to(variance, entries)).reshape(shape), "stderr")

        return evaluate, "chains" if scatter else self.problem.stderr_kind

    def _full_scales(self, chains):
        """Full scale (k,) of the conversion of each column of what was read, the largest over chains."""
        if self.device.adc_bits is None:
            return 0.0
        return np.broadcast_to(self.device.adc.range_of(chains, axis=(0, 1)), chains.shape[2])

    def _noise_variance(self, probe) -> np.ndarray:
        """Variance (d, 1) of each entry of one chain by thermal and read noise."""
        noise = self.problem.variance(self.readout, probe) + self.device.read_noise**2 / conversions(self.readout)
        return noise[:, None]

    def _rounding_variances(self, noise, full_scale):
        """Mean square rounding error of one chain: what all chains share, and what each has of its own."""
        adc = self.device.adc
        if self.rounds_reads:
            full_scale, sd = _read_range(self.problem)
            common = adc.averaged_error_variance(full_scale, sd)[:, None]
            return common, adc.error_variance(full_scale) / conversions(self.readout)
        sd = np.sqrt(noise[:, 0])
        common = np.column_stack([adc.averaged_error_variance(top, sd) for top in full_scale])
        return common, adc.error_variance(full_scale) - common

    def stderr_error(self, stderr, kind: str):
        """What computes the relative error of a standard error of kind "rms"; None for other kinds."""
        if kind != "rms":
            return None

        def evaluate():
            if np.isnan(self.problem.variance_error):
                stderr()
            return 0.5 * self.problem.variance_error

        return evaluate

    def caution(self, rtol: float, value: np.ndarray) -> float:
        """Requested error over the error expected for this run, for a plan from bounds."""
        variance = self.problem.variance(self.readout, np.random.default_rng(0)).sum()
        return float(rtol * np.linalg.norm(value) / np.sqrt(value.shape[1] * variance / self.n_chains))

    def cost(self, loaded: bool = False):
        """Time and mean energies of the run; `loaded`: the matrix is on the device from an earlier run."""
        readout, (d, k) = self.readout, self.problem.b.shape
        repeats = readout.n_reads if readout.kind == "independent" else 1
        heats = self.problem.energies(readout, readout.burn_in + self.span)
        joule, stochastic = (None if heat is None else repeats * heat for heat in heats[:2])
        return self.device.cost(
            self.problem.operator.n_programmed, runs=repeats * k, burn_in=readout.burn_in, duration=self.span,
            n_inputs=d * k, n_outputs=d * k * conversions(readout), n_chains=self.n_chains,
            energies=(joule, stochastic, heats[2]), loaded=loaded,
        )  # fmt: skip
