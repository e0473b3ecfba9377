"""The engine of relaxations: voltages that start anywhere, relax under one matrix and right-hand side, and are read.

    dx = -(A x - g) dt + N(0, 2/beta dt),        times in units of RC

What is read need not be in equilibrium, and the device may go on relaxing after it: the law is that of the mean of the
reads and of the voltages in the end together. A may be singular, as long as the time is finite. The law takes the modes
of A; a path steps the equation by Euler-Maruyama, with nothing but products A x.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from .. import _validation, laws
from .._typing import FloatArray
from ..errors import NotPositiveDefinite
from ..hardware.readout import convert_reads, gains_of, reads_are_exact
from ..operators import Modal
from .base import Average, Outcome, Run

STILL = 1e-20  # rate times duration of a mode that does not move: what is left out is below the last digit


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """When the device is read, and how long it then goes on under the same matrix and right-hand side [RC]."""

    run_time: float
    n_reads: int = 1
    spacing: float = 1.0
    delay: float = 0.0

    @property
    def last_read(self) -> float:
        """Time of the last read."""
        return self.run_time + (self.n_reads - 1) * self.spacing

    @property
    def duration(self) -> float:
        """Time from one upload to the next."""
        return self.last_read + self.delay


@dataclass(frozen=True)
class Relaxed(Outcome):
    """What was read, and what is left on the device.

    Attributes
    ----------
    voltages : (N,) ndarray
        Voltages in the end.
    products : int
        Products A x that a path took.
    """

    voltages: np.ndarray = field(kw_only=True)
    products: int = field(kw_only=True, default=0)


@dataclass(frozen=True, kw_only=True, eq=False)
class Relaxation(Average):
    """The mean of the reads of a relaxation of one device, from x0.

    Attributes
    ----------
    operator : Modal
        A, positive semidefinite; definite where the time is infinite.
    g : (N,) ndarray
        The right-hand side as it is after the DAC.
    x0 : (N,) ndarray or None
        Voltages at the start; None: g.
    schedule : Schedule
    time_step : float
        Longest step of a path [RC].
    n_programmed : int
        Numbers that program the matrix.
    """

    operator: Modal
    g: FloatArray
    x0: FloatArray | None = None
    schedule: Schedule
    time_step: float = 0.1
    n_programmed: int

    @property
    def start(self) -> FloatArray:
        """Voltages (N,) at the start."""
        return self.g if self.x0 is None else self.x0

    # Law and path ------------------------------------------------------------------------------------------------

    def no_law(self) -> str | None:
        """Every relaxation has a law."""
        return None

    def no_path(self) -> str | None:
        """Why the relaxation has no path; None where it has one."""
        if np.isinf(self.schedule.duration):
            return "simulator='path' needs a finite run_time; simulator='law' knows the end"
        highest = self.operator.extremes[1]
        if self.time_step * highest < 2.0:
            return None
        return (
            f"time_step must be below 2 / lambda_max = {2.0 / highest:.6g} for a stable step, got "
            f"{self.time_step:.6g}: time_step lambda_max = {self.time_step * highest:.6g}, with the largest eigenvalue "
            f"lambda_max = {highest:.6g}, damping included"
        )

    def sample(self, rng: np.random.Generator) -> Relaxed:
        """All reads together from their exact law; one after the other where each is converted on its own."""
        exact = reads_are_exact(self.device) and self.device.eps_sys == 0.0
        if self.schedule.n_reads > 1 and not exact:
            return self._followed(rng, lambda x, time: self._drawn(x, Schedule(run_time=time), rng)[0])
        mean, end = self._drawn(self.start, self.schedule, rng)
        value, clipped = self._read(mean, rng)
        return self._outcome(value, clipped, end)

    def simulate(self, rng: np.random.Generator, workers: int | None) -> Relaxed:
        """A path of steps of at most `time_step`, as the papers simulate."""
        schedule = self.schedule
        n = self._steps(schedule.run_time) + (schedule.n_reads - 1) * self._steps(schedule.spacing)
        return self._followed(rng, lambda x, time: self._stepped(x, time, rng), n + self._steps(schedule.delay))

    def _followed(
        self, rng: np.random.Generator, advance: Callable[[FloatArray, float], FloatArray], products: int = 0
    ) -> Relaxed:
        """Reads one after the other; `advance` gives the voltages a time [RC] after they were x."""
        x = self.start.copy() if self.schedule.duration == 0.0 else self.start
        total, clipped = np.zeros(x.shape), 0
        for k in range(self.schedule.n_reads):
            time = self.schedule.spacing if k else self.schedule.run_time
            x = advance(x, time) if time else x
            read, n = self._read(x, rng)
            total, clipped = total + read, clipped + n
        x = advance(x, self.schedule.delay) if self.schedule.delay else x
        return self._outcome(total / self.schedule.n_reads, clipped, x, products)

    def _read(self, x: FloatArray, rng: np.random.Generator) -> tuple[FloatArray, int]:
        """One read of all voltages, a new array, and how many saturated."""
        _validation.finite_result(x, "the estimate on the device")
        reads, clipped = convert_reads(rng, self.device, x[:, None], None)
        return reads[:, 0], clipped

    def _outcome(self, value: FloatArray, clipped: int, end: FloatArray, products: int = 0) -> Relaxed:
        _validation.finite_result(end, "the voltages that the device is left with")
        top = 0.0 if self.device.adc_bits is None else float(self.device.adc.range_of(value))
        return Relaxed(value, None, clipped, top, voltages=end, products=products)

    def _drawn(self, x: FloatArray, schedule: Schedule, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
        """Mean of the reads before any converter, and voltages at the end; the same array where they are the same."""
        rates = self._rates(schedule.duration)
        memory, response, factor = joint_law(rates, schedule)
        n = 1 if schedule.n_reads == 1 and schedule.delay == 0.0 else 2
        origin = self._drive if x is self.g else self.operator.to_modes(x)
        modes = (memory[:n] * origin + response[:n] * self._drive).T
        if np.isfinite(self.device.beta):
            noise = rng.standard_normal((n, rates.size)) / np.sqrt(self.device.beta)
            modes[:, 0] += factor[0] * noise[0]
            if n == 2:
                modes[:, 1] += factor[1] * noise[0] + factor[2] * noise[1]
        columns = np.column_stack([self.operator.from_modes(column) for column in modes.T])
        return columns[:, 0], columns[:, -1]

    @cached_property
    def _drive(self) -> FloatArray:
        return self.operator.to_modes(self.g)

    def _rates(self, duration: float) -> FloatArray:
        return np.maximum(self.operator.rates, self._least_rate(duration))

    def _least_rate(self, duration: float) -> float:
        """A rate in place of zero: a small one where modes do not move, any where coordinates hold nothing."""
        if np.isfinite(duration):
            return STILL / duration if duration > 0.0 else 1.0
        lowest = self.operator.bounds[0]
        if lowest <= 0.0:
            raise NotPositiveDefinite(f"a device whose smallest eigenvalue is {lowest:.6g} never settles", lowest)
        return lowest

    def _steps(self, time: float) -> int:
        return int(np.ceil(time / self.time_step * (1.0 - 1e-12)))

    def _stepped(self, x: FloatArray, time: float, rng: np.random.Generator) -> FloatArray:
        n_steps = max(self._steps(time), 1)
        step = time / n_steps
        noise_std = np.sqrt(2.0 * step / self.device.beta)
        for _ in range(n_steps):
            x = x + step * (self.g - self.operator.matvec(x))
            if noise_std > 0.0:
                x += noise_std * rng.standard_normal(x.size)
        return x

    # Errors ------------------------------------------------------------------------------------------------------

    def noise_variance(self, probe: np.random.Generator | None = None) -> np.ndarray:
        """Variance (N,) of each entry by thermal and read noise."""
        least, n = self._least_rate(self.schedule.last_read), self.schedule.n_reads
        reads = read_protocol(self.schedule)
        variance = self.operator.diagonal(lambda rates: reads.variance(np.maximum(rates, least))) / self.device.beta
        gains = gains_of(self.device, self.g.size)
        return (variance if gains is None else gains**2 * variance) + self.device.read_noise**2 / n

    def rounding_variances(
        self, noise: Callable[[], np.ndarray], outcome: Outcome
    ) -> tuple[np.ndarray | float, np.ndarray | float]:
        """Mean square rounding error that all reads share, and that is left of what each has of its own."""
        adc, top = self.device.adc, float(outcome.full_scale)
        common = adc.averaged_error_variance(top, self._read_sd)
        return common, (adc.error_variance(top) - common) / self.schedule.n_reads

    @cached_property
    def _read_sd(self) -> FloatArray:
        """Standard deviation (N,) of one read, the last."""
        once = replace(self, schedule=Schedule(run_time=self.schedule.last_read))
        return np.sqrt(once.noise_variance())

    # Times and cost ----------------------------------------------------------------------------------------------

    def times(self) -> dict[str, Any]:
        """Fields of the `Estimate`."""
        schedule = self.schedule
        spacing = schedule.spacing if schedule.n_reads > 1 else None
        duration = schedule.last_read - schedule.run_time if schedule.n_reads > 1 else 0.0
        return {"burn_in": schedule.run_time, "duration": duration, "n_reads": schedule.n_reads,
                "read_spacing": spacing}  # fmt: skip

    def run(self) -> Run:
        """What the run takes from one upload to the next; its energies are not modelled."""
        size, n_reads = self.g.size, self.schedule.n_reads
        return Run(
            burn_in=self.schedule.duration, duration=0.0, repeats=1, n_matrix=self.n_programmed, n_inputs=size,
            n_outputs=n_reads * size, energies=(None, None, None),
        )  # fmt: skip


def read_protocol(schedule: Schedule) -> laws.Protocol:
    """The protocol of the mean of the reads."""
    if schedule.n_reads == 1:
        return laws.Voltage(schedule.run_time)
    return laws.Reads(schedule.run_time, schedule.n_reads, schedule.spacing)


def joint_law(rates: FloatArray, schedule: Schedule) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Law of (mean of the reads, voltages at the end) in each mode with a rate in `rates` (m,), all positive.

    Returns
    -------
    memory, response : (2, m) arrays
        Weights of x0 and of g in the two means.
    factor : (3, m) array
        Lower Cholesky factor of their covariance at beta = 1: entries (0, 0), (1, 0), (1, 1).

    Notes
    -----
    Covariance of the mean of reads at t_1 .. t_n with the voltage at T: the mean of e^{-s (T - t)} (1 - e^{-2 s t}) / s
    over them is ``w e^{-s (T - t_n)} (1 - e^{-s (t_1 + t_n)}) / s``, w the weight of the first in the mean of all.
    """
    end = laws.Voltage(schedule.duration)
    reads = read_protocol(schedule)
    weight: float | np.ndarray = 1.0
    if schedule.n_reads > 1:
        weight = laws.Reads(0.0, schedule.n_reads, schedule.spacing).memory(rates)
    memory = np.stack([readout.memory(rates) for readout in (reads, end)])
    response = np.stack([readout.response(rates) for readout in (reads, end)])
    covariance = weight * np.exp(-rates * schedule.delay) * laws.rise(rates, schedule.run_time + schedule.last_read)
    first = np.sqrt(reads.variance(rates))
    mixed = np.divide(covariance, first, out=np.zeros_like(first), where=first > 0.0)  # run_time = 0 has no noise yet
    if schedule.n_reads == 1:
        rest = laws.rise(rates, 2.0 * schedule.delay)  # the noise since the read, with all its digits
    else:
        rest = np.maximum(end.variance(rates) - mixed**2, 0.0)  # the difference may round to below zero
    return memory, response, np.stack((first, mixed, np.sqrt(rest)))
