"""How a device moves: overdamped, or with inertia. Each kind of dynamics makes the protocols of its own laws."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from .. import _validation
from ..laws import overdamped as overdamped_laws
from ..laws import underdamped
from ..laws.readout import IntegratorProtocol, ReadsProtocol
from ..operators import Operator

KNOWN = ("overdamped", "underdamped")


class Dynamics(ABC):
    """How the cells of a device move: what makes the protocols of its laws. All times in RC."""

    overdamped: ClassVar[bool]

    @abstractmethod
    def integrator(self, burn_in: float, duration: float) -> IntegratorProtocol:
        """The mean voltage over [burn_in, burn_in + duration]."""

    @abstractmethod
    def reads(self, burn_in: float, n_reads: int, spacing: float | None) -> ReadsProtocol:
        """The mean of reads, `spacing` apart or, without one, each after a fresh start."""


@dataclass(frozen=True)
class Overdamped(Dynamics):
    """``dx = -(A x - b) dt + sqrt(2/beta) dW``."""

    overdamped = True

    def integrator(self, burn_in: float, duration: float) -> overdamped_laws.Integrator:
        """The mean voltage over [burn_in, burn_in + duration]."""
        return overdamped_laws.Integrator(burn_in, duration)

    def reads(
        self, burn_in: float, n_reads: int, spacing: float | None
    ) -> overdamped_laws.IndependentReads | overdamped_laws.Reads:
        """The mean of reads, `spacing` apart or, without one, each after a fresh start."""
        if spacing is None:
            return overdamped_laws.IndependentReads(burn_in, n_reads)
        return overdamped_laws.Reads(burn_in, n_reads, spacing)


@dataclass(frozen=True, kw_only=True)
class Inertia:
    """Cells with inertia: ``dx = (p/M) dt, dp = -(A x - b) dt - (gamma/M) p dt + sqrt(2 gamma/beta) dW``, p(0) = 0.

    Parameters
    ----------
    mass : float
        Inertia M of a cell, in units of (friction 1) times RC.
    friction : float or "critical"
        gamma; "critical" damps the slowest mode critically, ``2 sqrt(mass lambda_min)``, so that the burn-in grows as
        the square root of the condition number. Of an operator known by bounds lambda_min is the lower one.

    Raises
    ------
    ValueError
        mass or friction is not positive.

    Examples
    --------
    >>> import thermolinalg as tl
    >>> A = tl.problems.with_condition(20, 1e4, rng=0)
    >>> slow = tl.solve(A, [1.0] * 20, duration=1e6, rng=0)
    >>> fast = tl.solve(A, [1.0] * 20, duration=1e6, dynamics=tl.Inertia(mass=1.0), rng=0)
    >>> bool(fast.burn_in < slow.burn_in / 20)
    True
    """

    mass: float = 1.0
    friction: float | str = "critical"

    def __post_init__(self) -> None:
        _validation.positive(self.mass, "mass")
        if self.friction != "critical":
            _validation.positive(self.friction, 'friction (or "critical")')

    def on(self, operator: Operator) -> "Underdamped":
        """The dynamics of a device that holds this operator."""
        friction = self.friction
        if friction == "critical":
            friction = underdamped.critical_friction(operator.bounds[0], self.mass)
        return Underdamped(self.mass, float(friction))


@dataclass(frozen=True)
class Underdamped(Dynamics):
    """`Inertia` with its friction settled."""

    overdamped = False

    mass: float
    friction: float

    def integrator(self, burn_in: float, duration: float) -> underdamped.Integrator:
        """The mean voltage over [burn_in, burn_in + duration]."""
        return underdamped.Integrator(burn_in=burn_in, duration=duration, mass=self.mass, friction=self.friction)

    def reads(
        self, burn_in: float, n_reads: int, spacing: float | None
    ) -> underdamped.IndependentReads | underdamped.Reads:
        """The mean of reads, `spacing` apart or, without one, each after a fresh start."""
        if spacing is None:
            return underdamped.IndependentReads(
                burn_in=burn_in, n_reads=n_reads, mass=self.mass, friction=self.friction
            )
        whole = int(np.ceil(n_reads))  # plans try fractions
        return underdamped.Reads(
            burn_in=burn_in, n_reads=whole, spacing=spacing, mass=self.mass, friction=self.friction
        )


def dynamics_of(dynamics: str | Inertia, operator: Operator) -> Dynamics:
    """What "overdamped", "underdamped" (unit mass, slowest mode critical) or an `Inertia` means for this operator."""
    if not isinstance(dynamics, Inertia):
        _validation.choice(dynamics, "dynamics (or an Inertia)", KNOWN)
        if dynamics == "overdamped":
            return Overdamped()
        dynamics = Inertia()
    return dynamics.on(operator)
