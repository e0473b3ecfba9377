"""What a device does with one damped Kronecker factor: invert it, or solve with a gradient's columns."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from .. import _validation
from .._typing import FloatArray
from ..hardware.device import Device
from ..hardware.programming import program
from ..operators import Dense
from ..primitives.inv import inv
from ..primitives.mitigation import METHODS, mitigate
from ..primitives.solve import solve
from ..results import Cost, Estimate


class Outcome(NamedTuple):
    """An answer of the device and what it took: seconds (programming the factor apart) and joules, if known."""

    value: np.ndarray
    seconds: float
    joules: float | None


@dataclass(frozen=True)
class FactorDevice:
    """A device, and the protocol of the runs that a factor goes through.

    Numbers are scaled for the device's range: a factor is divided by its largest entry (it is then programmed within
    full scale, and time counts in the RC of its strongest conductance), a right-hand side by its largest entry.

    Parameters
    ----------
    device : Device
    duration, n_reads : float, int, optional
        Of each run; at most one. `duration` is for `solved` alone. Without either: a single read for `solved`, and for
        `inverted` the limit of many reads, in which only rounding is left.
    burn_in : "auto" or float
        As in `thermolinalg.solve`.
    members : int
        Of a rounding ensemble per run (`thermolinalg.mitigate`); 0 is none.
    method : "digits" or "stochastic"
        Of that ensemble.
    refine : bool
        Iterative refinement of `solved`, to `rtol`.
    rtol : float, optional
        Relative error of `solved`, by refinement.
    """

    device: Device
    duration: float | None = None
    n_reads: int | None = None
    burn_in: str | float = "auto"
    members: int = 0
    method: str = "digits"
    refine: bool = False
    rtol: float | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.device, Device):
            raise ValueError(f"device must be a Device, got {self.device!r}")
        if self.duration is not None and self.n_reads is not None:
            raise ValueError("give at most one of duration and n_reads")
        _validation.count(self.members, "members", least=0)
        _validation.choice(self.method, "mitigation", METHODS)  # the names that ThermodynamicKFAC knows them by
        if self.members and self.device.matrix_bits is None:
            raise ValueError("members > 0 needs a device with matrix_bits: without rounding there is nothing to merge")
        if not isinstance(self.refine, bool | np.bool_):
            raise ValueError(f"refine must be True or False, got {self.refine!r}")
        if self.refine != (self.rtol is not None):
            raise ValueError("refine=True and rtol go together: the relative error at which refinement stops")
        if self.rtol is not None:
            _validation.positive(self.rtol, "rtol")
            if self.members:
                raise ValueError("give refine or members (mitigation), not both")

    def _run(self, primitive: Callable[..., Estimate], operator: Dense, *args: Any, **protocol: Any) -> Estimate:
        """The primitive, through a rounding ensemble where one is asked for."""
        if self.members:
            run = partial(mitigate, primitive, operator.dense(), members=self.members, method=self.method)
        else:
            run = partial(primitive, operator)
        return run(*args, device=self.device, burn_in=self.burn_in, **protocol)

    def loading_seconds(self, size: int) -> float:
        """Seconds to program a factor (size, size), for each member of an ensemble."""
        return max(self.members, 1) * self.device.load_seconds(size * size, 0)

    def solved(self, operator: Dense, scale: float, rhs: np.ndarray, rng: np.random.Generator) -> Outcome:
        """(scale A)^-1 rhs for a programmed factor A (n, n) and columns rhs (n, k); nothing is run if all are zero."""
        size = float(np.abs(rhs).max())
        if size == 0.0:
            return Outcome(np.zeros_like(rhs), 0.0, 0.0)
        if self.refine:
            protocol = {"refine": True, "rtol": self.rtol, "duration": self.duration, "n_reads": self.n_reads}
        elif self.duration is None:
            protocol = {"n_reads": 1 if self.n_reads is None else self.n_reads}
        else:
            protocol = {"duration": self.duration}
        answer = self._run(solve, operator, rhs / size, rng=rng, **protocol)
        return self._outcome(answer.value * (size / scale), answer.cost, len(rhs))

    def inverted(self, operator: Dense, scale: float, rng: np.random.Generator) -> Outcome:
        """(scale A)^-1 for a programmed factor A (n, n), from the covariance of the voltages."""
        if self.n_reads is None:
            return Outcome(self._limit(operator, rng) / scale, 0.0, None)
        answer = self._run(inv, operator, n_reads=self.n_reads, rng=rng)
        return self._outcome(answer.value / scale, answer.cost, operator.shape[0])

    def _limit(self, operator: Dense, rng: np.random.Generator) -> np.ndarray:
        """What `inv` tends to with the number of reads: the inverse of what is programmed, converted once."""
        if self.members:
            raise ValueError("members > 0 needs n_reads, which the ensemble shares out")
        programmed = program(operator, self.device, rng=rng).operator
        inverse = programmed.function(lambda rates: 1.0 / rates, np.eye(operator.shape[0]))
        return self.device.adc.round((inverse + inverse.T) / 2.0, rng)[0]

    def _outcome(self, value: FloatArray, cost: Cost | None, size: int) -> Outcome:
        assert cost is not None  # runs on a device have one
        joules = cost.joule_heat if cost.energy_unit == "J" else None
        return Outcome(value, cost.seconds - self.loading_seconds(size), joules)
