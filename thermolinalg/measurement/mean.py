"""The engine of means: the average voltage of a linear problem, which is what `solve` and refinement read."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from .._typing import FloatArray
from ..errors import QuantizationFloor
from ..hardware.programming import Programmed
from ..hardware.readout import added_variance, gains_of, stream_range
from ..laws.readout import Protocol
from ..operators import Krylov, Modal
from . import plan
from .base import Average, Outcome, Run
from .dynamics import Dynamics
from .linear_problem import BoundedProblem, ModalProblem, linear_problem
from .request import Request

PATHLESS = (
    'simulator="path" steps modes, and a Krylov operator has none; pass A.dense(), use euler_maruyama, '
    "or a read-out whose law is known (an integrator, or adc_bits=None)"
)


@dataclass(frozen=True, kw_only=True, eq=False)
class Mean(Average):
    """The average of a read-out of a linear problem.

    Attributes
    ----------
    problem : ModalProblem or BoundedProblem
        A, b (d, k) and the start, a run for each column.
    protocol : Protocol
        When the voltages are read (`laws`).
    """

    problem: ModalProblem | BoundedProblem
    protocol: Protocol

    # Settling ----------------------------------------------------------------------------------------------------

    def settled(self, burn_in: str | float) -> "Mean":
        """The same with the burn-in that "auto" or a number stands for."""
        return self.at(plan.resolve_burn_in(burn_in, self.transient(), "the average"))

    def at(self, burn_in: float) -> "Mean":
        """The same with this burn-in."""
        return replace(self, protocol=self.protocol.with_burn_in(burn_in))

    def transient(self) -> plan.Transient:
        """How far the start still shows."""
        read_variance = self.device.read_noise**2 / self.conversions
        return self.problem.transient(self.protocol, read_variance, self.n_chains)

    # The read-out chain ------------------------------------------------------------------------------------------

    @property
    def conversions(self) -> int:
        """How often each voltage is converted: once by an integrator, or at every read."""
        return self.protocol.conversions

    @property
    def rounds_reads(self) -> bool:
        """Whether every read is rounded: what has no closed law."""
        return self.device.adc_bits is not None and not self.protocol.converted_once

    @cached_property
    def gains(self) -> FloatArray | None:
        """Gains (d,) of the cells."""
        return gains_of(self.device, self.problem.b.shape[0])

    @cached_property
    def read_sd(self) -> FloatArray:
        """Standard deviation (d,) of one read in equilibrium."""
        if isinstance(self.problem, BoundedProblem):
            raise ValueError(PATHLESS)
        variance = self.problem.operator.diagonal(np.reciprocal) / self.device.beta
        if self.gains is not None:
            variance = self.gains**2 * variance
        return np.sqrt(variance + self.device.read_noise**2)

    @cached_property
    def full_scale(self) -> float:
        """Full scale of a converter of a stream of reads."""
        return stream_range(self.device, self.as_read(self.problem.answer), self.read_sd[:, None])

    def as_read(self, voltages: FloatArray) -> FloatArray:
        """Voltages (..., d, k) with the gains of their cells."""
        return voltages if self.gains is None else self.gains[:, None] * voltages

    def _outcome(self, voltages: FloatArray, rng: np.random.Generator) -> Outcome:
        """Averages (n_chains, d, k) as they are read: read noise, and one conversion of each chain."""
        chains, clipped, device = self.as_read(voltages), 0, self.device
        if device.read_noise:
            chains = chains + device.read_noise / np.sqrt(self.conversions) * rng.standard_normal(chains.shape)
        if device.adc_bits is not None:
            chains, clipped = device.adc.convert(np.ascontiguousarray(chains), rng, axis=1)
        return self._of(chains, clipped)

    def _of(self, chains: FloatArray, clipped: int) -> Outcome:
        full_scale: float | FloatArray = 0.0
        if self.device.adc_bits is not None:
            full_scale = np.broadcast_to(self.device.adc.range_of(chains, axis=(0, 1)), chains.shape[2])
        value = chains[0] if len(chains) == 1 else chains.mean(axis=0)
        return Outcome(value, chains, clipped, full_scale)

    # Law and path ------------------------------------------------------------------------------------------------

    @property
    def variance_kind(self) -> str:
        """As the problem knows it."""
        return self.problem.stderr_kind

    def no_law(self) -> str | None:
        """Why the average has no closed law; None where it has one."""
        if not self.rounds_reads:
            return None
        return (
            "the mean of reads that are each rounded (n_reads with adc_bits) has no closed law, but that of an "
            "integrator (duration), which is converted once, has one"
        )

    def no_path(self) -> str | None:
        """Why the average has no path; None where it has one."""
        return PATHLESS if isinstance(self.problem, BoundedProblem) else None

    def sample(self, rng: np.random.Generator) -> Outcome:
        """Read-outs from their exact law."""
        return self._outcome(self.problem.sample(self.protocol, self.n_chains, rng), rng)

    def simulate(self, rng: np.random.Generator, workers: int | None) -> Outcome:
        """Read-outs of paths."""
        from . import paths  # brings Numba, which a law does without

        problem = self.problem
        assert isinstance(problem, ModalProblem)  # `no_path` has refused the other
        if self.rounds_reads:
            return self._of(*paths.converted_averages(
                problem.operator, problem.origin, problem.drive, self.protocol, self.device, self.full_scale,
                self.n_chains, rng, workers,
            ))  # fmt: skip
        modes = paths.mode_averages(
            problem.operator.rates, problem.origin, problem.drive, self.protocol, self.device.beta, self.n_chains, rng,
            workers,
        )  # fmt: skip
        n_chains, m, k = modes.shape
        columns = modes.transpose(1, 0, 2).reshape(m, n_chains * k)
        return self._outcome(problem.operator.from_modes(columns).reshape(-1, n_chains, k).transpose(1, 0, 2), rng)

    # Errors ------------------------------------------------------------------------------------------------------

    def noise_variance(self, probe: np.random.Generator | None = None) -> FloatArray:
        """Variance (d, 1) of each entry of one chain by thermal and read noise."""
        variance = self.problem.variance(self.protocol, probe)
        if self.gains is not None:
            variance = self.gains**2 * variance
        return (variance + self.device.read_noise**2 / self.conversions)[:, None]

    def rounding_variances(
        self, noise: Callable[[], FloatArray], outcome: Outcome
    ) -> tuple[FloatArray | float, FloatArray | float]:
        """Mean square rounding error that all chains share, and that each has of its own."""
        adc = self.device.adc
        if self.rounds_reads:
            common = adc.averaged_error_variance(self.full_scale, self.read_sd)[:, None]
            return common, adc.error_variance(self.full_scale) / self.conversions
        sd, tops = np.sqrt(noise()[:, 0]), np.atleast_1d(outcome.full_scale)
        common = np.column_stack([adc.averaged_error_variance(top, sd) for top in tops])
        return common, adc.error_variance(tops) - common

    def stderr_error(self, stderr: Callable[[], FloatArray], kind: str) -> Callable[[], float] | None:
        """What computes the relative error of a standard error of kind "rms"; None for other kinds."""
        if kind != "rms":
            return None

        def evaluate() -> float:
            if np.isnan(self.problem.variance_error):
                stderr()
            return 0.5 * self.problem.variance_error

        return evaluate

    def planning_margin(self, rtol: float, value: FloatArray) -> float:
        """Requested error over the error expected for this run, for a plan from bounds."""
        known = self.problem.variance_error  # of the standard error, which this does not touch
        variance = self.noise_variance(np.random.default_rng(0)).sum()
        self.problem.variance_error = known
        return float(rtol * np.linalg.norm(value) / np.sqrt(value.shape[1] * variance / self.n_chains))

    # Times and cost ----------------------------------------------------------------------------------------------

    @property
    def span(self) -> float:
        """Averaging time of one run [RC]."""
        return self.protocol.span

    def times(self) -> dict[str, Any]:
        """Fields of the `Estimate`."""
        spacing, n_reads = self.protocol.spacing, self.protocol.n_reads
        return {"burn_in": self.protocol.burn_in, "duration": self.span, "n_reads": n_reads, "read_spacing": spacing}

    def run(self) -> Run:
        """What the runs of all columns take on one chain."""
        protocol, (d, k) = self.protocol, self.problem.b.shape
        repeats = protocol.runs
        joule, stochastic, stored = self.problem.energies(protocol, protocol.burn_in + self.span)
        return Run(
            burn_in=protocol.burn_in, duration=self.span, repeats=repeats * k,
            n_matrix=self.problem.operator.n_programmed, n_inputs=d * k, n_outputs=d * k * self.conversions,
            energies=(_times(repeats, joule), _times(repeats, stochastic), stored),
        )  # fmt: skip


def planned(mean: Mean, request: Request, dynamics: Dynamics, target: Modal | Krylov, rhs: FloatArray) -> Mean:
    """The same with a protocol that reaches the `rtol` of a request, of the answer ``A^-1 rhs`` of the target."""
    budget = _budget(mean, request, target, rhs) * mean.n_chains / rhs.shape[1]
    d, beta = rhs.shape[0], mean.device.beta
    once = d * mean.device.read_noise**2
    if request.read_spacing is None:
        if once >= budget:
            raise QuantizationFloor(f"rtol = {request.rtol:.3g} lies below the read noise of one conversion")

        def integrated(time: float) -> float:
            return mean.problem.trace_at_most(dynamics.integrator(np.inf, time), mean.gains) / beta + once

        time = plan.solve_time(integrated, budget, 1.0 / mean.problem.operator.bounds[1])
        return replace(mean, protocol=dynamics.integrator(np.inf, time))
    once = d * added_variance(mean.device, mean.full_scale if mean.rounds_reads else 0.0)

    def averaged(n: float) -> float:
        reads = dynamics.reads(np.inf, n, request.read_spacing)  # type: ignore[arg-type]  # plans try fractions
        return mean.problem.trace_at_most(reads, mean.gains) / beta + once / n

    n = plan.solve_count(averaged, budget)
    return replace(mean, protocol=dynamics.reads(np.inf, n, request.read_spacing))


def _budget(mean: Mean, request: Request, target: Modal | Krylov, rhs: FloatArray) -> float:
    """Mean square error left for noise, after rounding, mismatch and uneven gains took theirs."""
    problem = mean.problem
    assert request.rtol is not None  # what a plan is for
    if problem.operator is target and np.array_equal(problem.b, rhs) and mean.gains is None:
        floor, scale = 0.0, problem.answer_norm()
    else:
        answer = target.function(np.reciprocal, rhs)
        gap = mean.as_read(problem.answer) - answer
        scale, floor = float(np.linalg.norm(answer)), float(np.linalg.norm(gap))
    floor = float(np.hypot(floor, np.sqrt(_converter_floor(mean))))
    return plan.noise_budget(request.rtol, scale, floor, mean.device.beta, "x")


def _converter_floor(mean: Mean) -> float:
    """Mean square norm of the error that rounding of the read-out leaves, whatever the averaging."""
    adc, (d, k) = mean.device.adc, mean.problem.b.shape
    if adc.bits is None:
        return 0.0
    if mean.rounds_reads:
        return k * float(adc.averaged_error_variance(mean.full_scale, mean.read_sd).sum())
    errors = adc.error_variance(adc.range_of(mean.as_read(mean.problem.answer), axis=0))
    return d * float(np.sum(np.broadcast_to(errors, k)))


def _times(repeats: int, heat: float | None) -> float | None:
    return None if heat is None else repeats * heat


def mean_of(
    machine: Programmed,
    request: Request,
    dynamics: Dynamics,
    x0: FloatArray,
    rhs: FloatArray,
    n_chains: int,
    loaded: bool,
) -> Mean:
    """The mean that was requested of what a machine holds, the burn-in still open.

    Parameters
    ----------
    machine : Programmed
        With its right-hand sides ``machine.b`` (d, k).
    request : Request
    dynamics : Overdamped or Underdamped
    x0 : (d, k) ndarray
        Voltages at the start.
    rhs : (d, k) ndarray
        Right-hand sides as they were wanted, for the plan of an `rtol`.
    n_chains : int
    loaded : bool
        Whether the matrix was on the device before.
    """
    assert machine.b is not None
    problem = linear_problem(machine.operator, machine.b, x0, machine.device)
    protocol = request.protocol(dynamics)
    mean = Mean(device=machine.device, n_chains=n_chains, loaded=loaded, problem=problem, protocol=protocol)
    return mean if request.rtol is None else planned(mean, request, dynamics, machine.target, rhs)
