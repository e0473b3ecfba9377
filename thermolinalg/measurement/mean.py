"""One run of a linear problem on the machine: what was asked for, drawn or stepped, converted, with error and cost."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .. import _validation
from ..errors import NoClosedLaw
from ..hardware.device import Device
from . import plan
from .linear_problem import BoundedProblem, ModalProblem
from .request import CHAINS_FOR_SCATTER, PATHLESS, read_range_of


def conversions(readout) -> int:
    """How often each voltage is converted: once by an integrator, or at every read."""
    return getattr(readout, "n_reads", 1)


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
        readout = replace(readout, burn_in=plan.resolve_burn_in(burn_in, transient, "the average"))
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
        return _validation.finite_result(chains, "the read-out"), clipped

    def draw(self, generator):
        """Read-outs (n_chains, d, k) from their exact law, converted, and how many saturated."""
        return self._converted(self.problem.draw(self.readout, self.n_chains, generator), generator)

    def walk(self, generator, workers):
        """Read-outs (n_chains, d, k) of paths, converted, and how many saturated."""
        from . import paths  # brings Numba, which a law does without

        problem = self.problem
        if self.rounds_reads:
            full_scale, _ = read_range_of(problem)
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
            return _validation.finite_result(np.sqrt(np.broadcast_to(variance, entries)).reshape(shape), "stderr")

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
            full_scale, sd = read_range_of(self.problem)
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
