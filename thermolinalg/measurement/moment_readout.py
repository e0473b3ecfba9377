"""What stands between the voltages and their products: gains, read noise and converters, as second moments see them."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from .._typing import FloatArray
from ..hardware.device import Device
from ..hardware.readout import (
    added_variance,
    convert_reads,
    gains_of,
    reads_are_exact,
    rounding_bias_of_products,
    stream_range,
)
from .source import Products, Source


@dataclass(frozen=True, eq=False)
class MomentReadOut:
    """The read-out chain of a source, in the units of beta = 1.

    Attributes
    ----------
    source : Source
    device : Device
    converted : bool
        Whether every read goes through read noise and converter; else the average does, once.
    V : (size, k) ndarray or None
        Vectors that the average is applied to.
    """

    source: Source
    device: Device
    converted: bool
    V: FloatArray | None

    @cached_property
    def exact(self) -> bool:
        """Whether what is read are the voltages themselves, gains apart."""
        return not self.converted or reads_are_exact(self.device)

    @cached_property
    def gains(self) -> FloatArray | None:
        """Gains (size,) of the cells."""
        return gains_of(self.device, self.source.size)

    @cached_property
    def full_scale(self) -> float:
        """Full scale [volt] of a converter of the stream of reads."""
        if self.device.adc_bits is None:
            return 0.0
        return stream_range(self.device, 0.0, np.sqrt(self._cell_variances + self.device.read_noise**2))

    @property
    def _cell_variances(self) -> FloatArray:
        """Variances (size,) [volt^2] of the cells with their gains."""
        variances = self.source.variances() / self.device.beta
        return variances if self.gains is None else self.gains**2 * variances

    @cached_property
    def added(self) -> float:
        """What read noise and rounding add to the variance of a read, in the units of beta = 1."""
        return self.device.beta * added_variance(self.device, self.full_scale) if self.converted else 0.0

    def rounding_bias(self, products: Products) -> FloatArray | float:
        """What rounding of the reads leaves in each entry, the same for all chains and however many reads."""
        if self.device.adc_bits is None or not self.converted:
            return 0.0
        beta, exact = self.device.beta, self.with_gains(self.source.limit(products)) / self.device.beta
        bias = beta * rounding_bias_of_products(self.device, self.full_scale, self._cell_variances, exact, products.lag)
        if self.source.combine is not None:
            bias = self.source.combine @ bias @ self.source.combine.T
        return bias if self.V is None else bias @ self.V

    def with_gains(self, moment: FloatArray) -> FloatArray:
        """A second moment (size, size) of the cells as their gains show it."""
        return moment if self.gains is None else np.outer(self.gains, self.gains) * moment

    def seen(self, moment: FloatArray) -> FloatArray:
        """A second moment of exact reads as gains, the host's combination and V show it."""
        moment = self.with_gains(moment)
        if self.source.combine is not None:
            moment = self.source.combine @ moment @ self.source.combine.T
        return moment if self.V is None else moment @ self.V

    def calibrated(self, moment: FloatArray, lag: int) -> FloatArray:
        """Less the variance that reading adds, which the host knows."""
        if lag or not self.added:
            return moment
        if self.source.combine is not None:
            return moment - self.added * (self.source.combine @ self.source.combine.T)
        if self.V is not None:
            return moment - self.added * self.V
        moment[np.diag_indices_from(moment)] -= self.added
        return moment

    def with_row_gains(self, moment: FloatArray) -> FloatArray:
        """A second moment (size, k) that V was applied to, as the gains of the later reads show it."""
        return moment if self.gains is None else self.gains[:, None] * moment

    def read(self, rng: np.random.Generator, states: FloatArray) -> tuple[FloatArray, int]:
        """States (rows, size) as the host sees them."""
        clipped = 0
        if reads_are_exact(self.device):
            reads = states if self.gains is None else states * self.gains
        else:
            volts = np.sqrt(self.device.beta)
            reads, clipped = convert_reads(rng, self.device, (states / volts).T, self.full_scale)
            reads = reads.T * volts
        return (reads if self.source.combine is None else reads @ self.source.combine.T), clipped
