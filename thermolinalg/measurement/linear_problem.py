"""The linear problem that a machine holds, seen through its modes or, where it has none, through products with A.

Both classes answer the same questions for `solve`: how far the start still shows, how the read-out is distributed,
what it costs in energy. b and x0 are (d, k), a run a column.
"""

import math
from functools import cached_property

import numpy as np

from .. import laws
from .._typing import FloatArray
from ..hardware.device import Device
from ..laws.readout import Protocol
from ..operators import Krylov, Modal
from ..operators.base import scale_rows
from .plan import Transient

PROBES = 8  # random vectors of a stochastic trace


def linear_problem(
    operator: Modal | Krylov, b: FloatArray, x0: FloatArray, device: Device
) -> "ModalProblem | BoundedProblem":
    """The problem in the form that suits its operator."""
    if isinstance(operator, Krylov):
        return BoundedProblem(operator, b, x0, device)
    return ModalProblem(operator, b, x0, device)


class ModalProblem:
    """A problem whose spectrum is at hand: everything exact."""

    stderr_kind = "law"
    variance_error = 0.0  # relative standard error of `variance`

    def __init__(self, operator: Modal, b: FloatArray, x0: FloatArray, device: Device):
        self.operator, self.b, self.x0, self.device = operator, b, x0, device
        self.charged = np.count_nonzero(x0) > 0

    @cached_property
    def drive(self) -> FloatArray:
        """b in mode coordinates, (m, k)."""
        return self.operator.to_modes(self.b)

    @cached_property
    def origin(self) -> FloatArray:
        """x0 in mode coordinates, (m, k)."""
        return self.operator.to_modes(self.x0) if self.charged else np.zeros_like(self.drive)

    @cached_property
    def answer_modes(self) -> FloatArray:
        """A^-1 b in mode coordinates, (m, k)."""
        return self.drive / self.operator.rates[:, None]

    @cached_property
    def answer(self) -> FloatArray:
        """A^-1 b, (d, k)."""
        return self.operator.from_modes(self.answer_modes)

    def trace_at_most(self, readout: Protocol, gains: FloatArray | None) -> float:
        """Trace of the variance of a read-out at beta = 1, read with these gains: here the trace itself."""
        if gains is None:
            return self.operator.trace(readout.variance)
        return float(np.sum(gains**2 * self.operator.diagonal(readout.variance)))

    def answer_norm(self) -> float:
        """Norm of A^-1 b."""
        return float(np.linalg.norm(self.answer_modes))

    def transient(self, readout: Protocol, read_variance: float, n_chains: int) -> Transient:
        """The transient of the mean of n chains; reading adds `read_variance` to the variance of each entry."""
        rates, k = self.operator.rates, self.b.shape[1]
        off = self.answer_modes - self.origin if self.charged else self.answer_modes
        distance = np.sqrt((off**2).sum(axis=1))
        left_after = readout.memory_after(rates, distance)
        variance_after = readout.variance_after(self.operator.eigenvalues)

        def bias(t0: float) -> float:
            left = left_after(t0)
            return math.sqrt(left.dot(left))

        def noise(t0: float) -> float:
            variance = float(variance_after(t0).sum()) / self.device.beta
            return math.sqrt(k * (variance + self.b.shape[0] * read_variance) / n_chains)

        return Transient(bias, noise, self.answer_norm(), *readout.decay_rates(rates))

    def sample(self, readout: Protocol, n_chains: int, rng: np.random.Generator) -> FloatArray:
        """Read-outs (n_chains, d, k) from their exact law."""
        rates, k = self.operator.rates, self.b.shape[1]
        modes = rng.standard_normal((rates.size, n_chains, k))
        modes *= np.sqrt(readout.variance(rates) / self.device.beta)[:, None, None]
        mean = scale_rows(readout.response(rates), self.drive)
        if self.charged:
            mean += scale_rows(readout.memory(rates), self.origin)
        modes += mean[:, None, :]
        out = self.operator.from_modes(modes.reshape(rates.size, n_chains * k))
        return out.reshape(-1, n_chains, k).transpose(1, 0, 2)

    def variance(self, readout: Protocol, rng: np.random.Generator | None) -> FloatArray:
        """Thermal variance (d,) of each entry of a read-out."""
        return self.operator.diagonal(readout.variance) / self.device.beta

    def energies(self, readout: Protocol, time: float) -> tuple[float | None, float | None, float]:
        """Joule heat and heat from the bath of the runs over `time` [RC], and what one stores: means, in C V^2.

        With inertia only what is stored is given: x^T A x / 2 in the end, kinetic energy not counted.
        """
        rates = self.operator.rates[:, None]
        if not readout.overdamped:
            stored = 0.5 * float(np.sum(self.drive**2 / rates)) / self.b.shape[1]
            return None, None, stored + 0.5 * self.b.shape[0] / self.device.beta
        run, thermal = laws.Voltage(time), self._thermal_energy(time)
        joule = float(np.sum(laws.driven_heat(rates, self.origin, self.drive, time)))
        mechanical = float(np.sum(laws.heat_from_bath(rates, self.origin, self.drive, time)))
        final = run.response(rates) * self.drive + run.memory(rates) * self.origin
        stored = (float(np.sum(rates * final**2)) / 2.0 + thermal) / self.b.shape[1]
        return joule, mechanical + thermal, stored

    def _thermal_energy(self, time: float) -> float:
        """(1 / (2 beta)) tr(I - e^{-2 A time}) for each run."""
        return 0.5 / self.device.beta * self.b.shape[1] * self.operator.trace(lambda lam: -np.expm1(-2.0 * lam * time))


class BoundedProblem:
    """A problem known by products with A and bounds of its spectrum: exact draws, guaranteed plans."""

    stderr_kind = "rms"
    variance_error = np.nan  # relative standard error of the last `variance`

    def __init__(self, operator: Krylov, b: FloatArray, x0: FloatArray, device: Device):
        self.operator, self.b, self.x0, self.device = operator, b, x0, device

    @cached_property
    def answer(self) -> FloatArray:
        """A^-1 b, (d, k)."""
        return self.operator.function(np.reciprocal, self.b)

    def trace_at_most(self, readout: Protocol, gains: FloatArray | None) -> float:
        """A bound of the trace of the variance of a read-out from equilibrium at beta = 1, read with these gains."""
        weight = self.operator.shape[0] if gains is None else float(np.sum(gains**2))
        return weight * readout.variance_at_most(self.operator.bounds[0])

    def answer_norm(self) -> float:
        """Norm of A^-1 b: a plan from bounds of that as well would ask for far too much."""
        return float(np.linalg.norm(self.answer))

    def transient(self, readout: Protocol, read_variance: float, n_chains: int) -> Transient:
        """The transient of the mean of n chains: its bias is at most, its noise at least, as told."""
        low, high = self.operator.bounds
        extent = np.linalg.norm(self.b - self.operator.matvec(self.x0) if self.x0.any() else self.b) / low

        def bias(t0: float) -> float:
            return float(extent * readout.with_burn_in(t0).memory_at_most(low))

        def noise(t0: float) -> float:
            variance = readout.with_burn_in(t0).variance_at_least(low, high)
            return float(np.sqrt(self.b.size * (variance / self.device.beta + read_variance) / n_chains))

        rates = readout.bounded_decay_rates(low, high)
        return Transient(bias, noise, float(np.linalg.norm(self.b)) / high, *rates)

    def sample(self, readout: Protocol, n_chains: int, rng: np.random.Generator) -> FloatArray:
        """Read-outs (n_chains, d, k) from their exact law, to the tolerance of the operator."""
        mean = self.operator.function(readout.response, self.b)
        if self.x0.any():
            mean += self.operator.function(readout.memory, self.x0)
        out = np.tile(mean, n_chains)
        if np.isfinite(self.device.beta):
            noise = rng.standard_normal(out.shape) / np.sqrt(self.device.beta)
            out += self.operator.function(lambda lam: np.sqrt(readout.variance(lam)), noise)
        return out.reshape(-1, n_chains, mean.shape[1]).transpose(1, 0, 2)

    def variance(self, readout: Protocol, rng: np.random.Generator | None) -> FloatArray:
        """One thermal variance for all entries (d,): the mean over them, from a stochastic trace."""
        assert rng is not None  # of a kind that is "rms"
        d = self.operator.shape[0]
        trace, error = self.operator.trace_with_error(readout.variance, PROBES, rng)
        self.variance_error = error / trace
        return np.full(d, trace / (d * self.device.beta))

    def energies(self, readout: Protocol, time: float) -> tuple[None, None, None]:
        """Not known: they would take as many products again."""
        return None, None, None
