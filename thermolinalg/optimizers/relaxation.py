"""The device of TNGD between two uploads: voltages that relax under one curvature and one gradient, and are read.

    dx = -((F + damping I) x - g) dt + N(0, 2/beta dt),        times in units of RC

`LawRelaxation` draws the device output from its exact law, by the modes of F: no time step, and a digital
factorisation that the device does without. `EulerRelaxation` steps the equation with products F x.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from .. import _validation, laws
from .._typing import FloatArray
from ..errors import NotPositiveDefinite
from ..hardware.device import Device
from ..hardware.readout import convert_reads
from ..operators import Modal
from .programmed import Held

STILL = 1e-20  # rate times duration of a mode that does not move: what is left out is below the last digit


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """When the device is read, and how long it then goes on under the same curvature and gradient [RC]."""

    time: float
    n_reads: int = 1
    spacing: float = 1.0
    delay: float = 0.0

    @property
    def last_read(self) -> float:
        """Time of the last read."""
        return self.time + (self.n_reads - 1) * self.spacing

    @property
    def duration(self) -> float:
        """Time from one upload to the next."""
        return self.last_read + self.delay


def definite_rates(operator: Modal, damping: float, remedy: str) -> np.ndarray:
    """Rates of the modes of ``operator + damping I``, all positive.

    Coordinates that hold nothing, such as those along the null space of a low-rank F of full rank, get the smallest
    eigenvalue, which changes no product.

    Raises
    ------
    NotPositiveDefinite
        The matrix is singular to working precision; the message ends in `remedy`.
    """
    values = operator.eigenvalues
    low, high = float(values.min()) + damping, float(values.max()) + damping
    rounding = np.finfo(float).eps * high * (1 if damping else values.size)  # a damping has none, eigenvalues of F have
    if low <= rounding:
        raise NotPositiveDefinite(
            f"{type(operator).__name__} + damping I must be positive definite here, but with damping={damping:g} its "
            f"smallest eigenvalue is {low:.6g} (largest {high:.6g}); {remedy}",
            low,
        )
    return np.maximum(operator.rates + damping, low)


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
    reads: laws.Protocol
    weight: float | np.ndarray
    if schedule.n_reads == 1:
        reads, weight = laws.Voltage(schedule.time), 1.0
    else:
        reads = laws.Reads(schedule.time, schedule.n_reads, schedule.spacing)
        weight = laws.Reads(0.0, schedule.n_reads, schedule.spacing).memory(rates)
    memory = np.stack([readout.memory(rates) for readout in (reads, end)])
    response = np.stack([readout.response(rates) for readout in (reads, end)])
    covariance = weight * np.exp(-rates * schedule.delay) * laws.rise(rates, schedule.time + schedule.last_read)
    first = np.sqrt(reads.variance(rates))
    mixed = np.divide(covariance, first, out=np.zeros_like(first), where=first > 0.0)  # time = 0 has no noise yet
    if schedule.n_reads == 1:
        rest = laws.rise(rates, 2.0 * schedule.delay)  # the noise since the read, with all its digits
    else:
        rest = np.maximum(end.variance(rates) - mixed**2, 0.0)  # the difference may round to below zero
    return memory, response, np.stack((first, mixed, np.sqrt(rest)))


class Relaxation:
    """One run of the device on what it `held`, with the right-hand side g (N,) as it is after the DAC.

    A subclass defines `advance`.

    Attributes
    ----------
    saturated : int
        Numbers that saturated a converter in reading out.
    products : int
        Products F x that were needed.
    """

    def __init__(self, held: Held, g: np.ndarray, device: Device, rng: np.random.Generator) -> None:
        self.held, self.g, self.device, self.rng = held, g, device, rng
        self.saturated = self.products = 0

    def advance(self, x: np.ndarray, duration: float) -> np.ndarray:
        """The voltages (N,) a duration [RC] after they were x."""
        raise NotImplementedError

    def run(self, x0: np.ndarray, schedule: Schedule) -> tuple[np.ndarray, np.ndarray]:
        """Mean of the reads (N,), and voltages (N,) at the end."""
        x = self.advance(x0, schedule.time)
        total = self.read(x)
        for _ in range(schedule.n_reads - 1):
            x = self.advance(x, schedule.spacing)
            total += self.read(x)
        return total / schedule.n_reads, self.advance(x, schedule.delay)

    def read(self, x: np.ndarray) -> np.ndarray:
        """One read of all voltages, a new array: the gains of the cells, read noise, the ADC."""
        _validation.finite_result(x, "the estimate on the device")
        reads, saturated = convert_reads(self.rng, self.device, x[:, None], None)
        self.saturated += saturated
        return reads[:, 0]


class LawRelaxation(Relaxation):
    """The exact law: one draw for all reads together, or one for each read where every one of them is converted."""

    def run(self, x0: FloatArray, schedule: Schedule) -> tuple[FloatArray, FloatArray]:
        """Mean of the reads (N,), and voltages (N,) at the end."""
        device = self.device
        if schedule.n_reads > 1 and (device.adc_bits is not None or device.read_noise or device.eps_sys):
            return super().run(x0, schedule)
        mean, end = self._draw(x0, schedule)
        return self.read(mean), end

    def advance(self, x: FloatArray, duration: float) -> FloatArray:
        """The voltages (N,) a duration [RC] after they were x."""
        return x if duration == 0.0 else self._draw(x, Schedule(time=duration))[0]

    def _draw(self, x0: FloatArray, schedule: Schedule) -> tuple[FloatArray, FloatArray]:
        """Mean of the reads before any converter, and voltages at the end; the same array where they are the same."""
        rates = self._rates(schedule.duration)
        memory, response, factor = joint_law(rates, schedule)
        n = 1 if schedule.n_reads == 1 and schedule.delay == 0.0 else 2
        start = self._drive if x0 is self.g else self.held.operator.to_modes(x0)
        modes = (memory[:n] * start + response[:n] * self._drive).T
        if np.isfinite(self.device.beta):
            noise = self.rng.standard_normal((n, rates.size)) / np.sqrt(self.device.beta)
            modes[:, 0] += factor[0] * noise[0]
            if n == 2:
                modes[:, 1] += factor[1] * noise[0] + factor[2] * noise[1]
        columns = np.column_stack([self.held.operator.from_modes(column) for column in modes.T])
        return columns[:, 0], columns[:, -1]

    @cached_property
    def _drive(self) -> FloatArray:
        return self.held.operator.to_modes(self.g)

    def _rates(self, duration: float) -> FloatArray:
        operator, damping = self.held.operator, self.held.damping
        if np.isinf(duration):
            return definite_rates(operator, damping, "give a positive damping, or a finite run_time")
        return np.maximum(operator.rates + damping, STILL / duration if duration > 0.0 else 1.0)


class EulerRelaxation(Relaxation):
    """Euler-Maruyama steps of at most `time_step` [RC] on products F x, as the papers simulate.

    Raises
    ------
    ValueError
        The step is unstable: time_step times the largest eigenvalue is 2 or more.
    """

    def __init__(self, held: Held, g: FloatArray, device: Device, rng: np.random.Generator, time_step: float) -> None:
        super().__init__(held, g, device, rng)
        self.time_step = time_step
        highest = held.operator.extremes[1] + held.damping
        if time_step * highest >= 2.0:
            raise ValueError(
                f"time_step must be below 2 / (mu_max + damping) = {2.0 / highest:.6g} for a stable step, got "
                f"{time_step:.6g}: time_step (mu_max + damping) = {time_step * highest:.6g} with mu_max + damping = "
                f"{highest:.6g}"
            )

    def advance(self, x: FloatArray, duration: float) -> FloatArray:
        """The voltages (N,) a duration [RC] after they were x."""
        n_steps = int(np.ceil(duration / self.time_step * (1.0 - 1e-12)))
        step = duration / max(n_steps, 1)
        kick = np.sqrt(2.0 * step / self.device.beta)
        for _ in range(n_steps):
            drift = self.g - self.held.operator.matvec(x) - self.held.damping * x
            x = x + step * drift
            if kick > 0.0:
                x += kick * self.rng.standard_normal(x.size)
        self.products += n_steps
        return x


def run_device(
    held: Held,
    g: FloatArray,
    x0: FloatArray,
    schedule: Schedule,
    device: Device,
    rng: np.random.Generator,
    time_step: float | None,
) -> tuple[FloatArray, FloatArray, Relaxation]:
    """Run the device: by its law, or with a time_step by Euler-Maruyama; (estimate, voltages, run)."""
    run = LawRelaxation(held, g, device, rng) if time_step is None else EulerRelaxation(held, g, device, rng, time_step)
    estimate, voltages = run.run(x0, schedule)
    return estimate, _validation.finite_result(voltages, "the voltages that the device is left with"), run
