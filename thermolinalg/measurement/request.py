"""What the caller asked for: a duration, a number of reads or an accuracy, and the protocol that this comes to."""

from dataclasses import dataclass

import numpy as np

from .. import _validation
from ..errors import QuantizationFloor
from ..hardware.device import READ_RANGE_SDS
from . import plan
from .linear_problem import BoundedProblem

DENSE_READS = 0.25  # spacing of the reads that stand for a continuous integrator, in units of 1 / lambda_max
MOST_READS = 10**9  # that stand for an integrator
SIMULATORS = ("auto", "law", "path")
PATHLESS = (
    'simulator="path" steps modes, and a Krylov operator has none; pass A.dense(), use euler_maruyama, '
    "or a read-out whose law is known (an integrator, or adc_bits=None)"
)
CHAINS_FOR_SCATTER = 32  # chains from which the standard error can be taken from their scatter


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
        kind = _validation.exactly_one(duration=duration, n_reads=n_reads, rtol=rtol)
        if read_spacing is not None:
            if kind == "duration":
                raise ValueError("read_spacing goes with n_reads or rtol; an integrator (duration) has no reads")
            read_spacing = _validation.positive(read_spacing, "read_spacing")
        if kind == "duration":
            duration = _validation.positive(duration, "duration")
        elif kind == "n_reads":
            n_reads = _validation.count(n_reads, "n_reads")
        else:
            rtol = _validation.positive(rtol, "rtol")
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
            return dynamics.integrator(np.inf, plan.solve_time(integrated, budget, shortest))

        read_variance += problem.b.shape[0] * self._own_rounding(problem)

        def averaged(n):
            reads = dynamics.reads(np.inf, n, self.read_spacing)
            return problem.trace_at_most(reads) / beta + read_variance / n

        return dynamics.reads(np.inf, plan.solve_count(averaged, budget), self.read_spacing)

    def _budget(self, problem, target, rhs) -> float:
        """Mean square error left for noise, after rounding, mismatch and uneven gains took theirs."""
        if problem.operator is target and np.array_equal(problem.b, rhs) and problem.device.eps_sys == 0.0:
            floor, scale = 0.0, problem.answer_norm()
        else:
            answer = target.function(np.reciprocal, rhs)
            read = problem.device.read_gains(len(rhs))[:, None] * problem.answer
            scale, floor = float(np.linalg.norm(answer)), float(np.linalg.norm(read - answer))
        floor = np.hypot(floor, np.sqrt(self._converter_floor(problem)))
        return plan.noise_budget(self.rtol, scale, float(floor), problem.device.beta, "x")

    def _converter_floor(self, problem) -> float:
        """Mean square norm of the error that rounding of the read-out leaves, whatever the averaging."""
        device, (d, k) = problem.device, problem.b.shape
        if device.adc_bits is None:
            return 0.0
        if self.read_spacing is None:
            errors = device.adc.error_variance(device.adc.range_of(problem.answer, axis=0))
            return d * float(np.sum(np.broadcast_to(errors, k)))
        full_scale, sd = read_range_of(problem)
        return k * float(device.adc.averaged_error_variance(full_scale, sd).sum())

    @staticmethod
    def _own_rounding(problem) -> float:
        """Variance of the rounding error of one read, of which an average keeps its share."""
        if problem.device.adc_bits is None:
            return 0.0
        return problem.device.adc.error_variance(read_range_of(problem)[0])


def read_range_of(problem) -> tuple[float, np.ndarray]:
    """Full scale of a converter for a stream of reads, and the standard deviation (d,) of a read."""
    device = problem.device
    if isinstance(problem, BoundedProblem):
        raise ValueError(PATHLESS)
    sd = np.sqrt(problem.operator.diagonal(np.reciprocal) / device.beta + device.read_noise**2)
    if device.adc_range != "max":
        return float(device.adc_range), sd
    return float((np.abs(problem.answer) + READ_RANGE_SDS * sd[:, None]).max()), sd
