"""What a device does with one damped Kronecker factor: invert it, or solve with a gradient's columns."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from .. import _validation
from .._typing import FloatArray
from ..hardware.device import Device
from ..hardware.programming import Programmed, program
from ..hardware.readout import gains_of
from ..operators import Dense
from ..primitives.inv import inv
from ..primitives.mitigation import METHODS, ProgrammedEnsemble, ensemble_for, mitigate
from ..primitives.solve import solve
from ..results import Estimate

Machine = Programmed | ProgrammedEnsemble


class Outcome(NamedTuple):
    """An answer of the device and what it took: seconds and joules, if known."""

    value: FloatArray
    seconds: float = 0.0
    joules: float | None = 0.0

    def after(self, *earlier: "Outcome") -> "Outcome":
        """The answer, with what the runs before it took as well."""
        seconds, joules = self.seconds, self.joules
        for run in earlier:
            seconds += run.seconds
            joules = None if joules is None or run.joules is None else joules + run.joules
        return Outcome(self.value, seconds, joules)


@dataclass(frozen=True)
class FactorDevice:
    """A device, and the protocol of the runs that a factor goes through once it is programmed.

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
        Of a rounding ensemble per factor (`thermolinalg.mitigate`); 0 is none.
    method : "digits" or "stochastic"
        Of that ensemble.
    refine : bool
        Iterative refinement of `solved`, to `rtol`.
    rtol : float, optional
        Relative error of `solved`, by refinement.

    See Also
    --------
    thermolinalg.solve, thermolinalg.inv, thermolinalg.mitigate : What a factor goes through.
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

    def program(self, factor: Dense, rng: np.random.Generator) -> Machine:
        """What the device holds of a factor (n, n) until the next refresh; all members of an ensemble."""
        if not self.members:
            return program(factor, self.device, rng=rng)
        return ensemble_for(self.device, factor.dense(), self.members, self.method, rng).program(self.device, rng)

    def loading_seconds(self, size: int) -> float:
        """Seconds to program a factor (size, size), for each member of an ensemble."""
        return max(self.members, 1) * self.device.load_seconds(size * size, 0)

    def solved(self, machine: Machine, scale: float, rhs: FloatArray, rng: np.random.Generator) -> Outcome:
        """(scale A)^-1 rhs for a programmed factor A (n, n) and columns rhs (n, k); nothing is run if all are zero."""
        size = float(np.abs(rhs).max())
        if size == 0.0:
            return Outcome(np.zeros_like(rhs))
        protocol: dict[str, Any] = {"duration": self.duration}
        if self.refine:
            protocol |= {"refine": True, "rtol": self.rtol, "n_reads": self.n_reads}
        elif self.duration is None:
            protocol = {"n_reads": 1 if self.n_reads is None else self.n_reads}
        answer = self._run(solve, machine, rhs / size, rng=rng, **protocol)
        return _outcome(answer, answer.value * (size / scale))

    def inverted(self, machine: Machine, scale: float, rng: np.random.Generator) -> Outcome:
        """(scale A)^-1 for a programmed factor A (n, n), from the covariance of the voltages."""
        if self.n_reads is None:
            return Outcome(self._limit(machine, rng) / scale, 0.0, None)
        answer = self._run(inv, machine, n_reads=self.n_reads, rng=rng)
        return _outcome(answer, answer.value / scale)

    def _run(self, primitive: Any, machine: Machine, *args: Any, **protocol: Any) -> Estimate:
        if isinstance(machine, ProgrammedEnsemble):
            return mitigate(primitive, machine, *args, burn_in=self.burn_in, **protocol)
        return primitive(machine, *args, burn_in=self.burn_in, **protocol)

    def _limit(self, machine: Machine, rng: np.random.Generator) -> FloatArray:
        """What `inv` tends to with the number of reads: the inverse of what is programmed, as read, converted once."""
        assert isinstance(machine, Programmed)
        inverse = machine.operator.function(np.reciprocal, np.eye(machine.shape[0]))
        if (gains := gains_of(self.device, machine.shape[0])) is not None:
            inverse = np.outer(gains, gains) * inverse
        return self.device.adc.round((inverse + inverse.T) / 2.0, rng)[0]


def _outcome(answer: Estimate, value: FloatArray) -> Outcome:
    """A value with the bill of the answer that it was formed from."""
    cost = answer.cost
    assert cost is not None  # runs on a device have one
    return Outcome(value, cost.seconds, cost.joule_heat if cost.energy_unit == "J" else None)
