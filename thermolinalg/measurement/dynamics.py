"""How a device moves: overdamped, or with inertia. Each kind of dynamics makes the read-outs of its own laws."""

from dataclasses import dataclass

import numpy as np

from .. import _validation, laws
from ..laws import underdamped

KNOWN = ("overdamped", "underdamped")


@dataclass(frozen=True)
class Overdamped:
    """``dx = -(A x - b) dt + sqrt(2/beta) dW``."""

    inertial = False

    @staticmethod
    def integrator(burn_in: float, duration: float):
        """The mean voltage over [burn_in, burn_in + duration]."""
        return laws.Integrator(burn_in, duration)

    @staticmethod
    def reads(burn_in: float, n_reads: int, spacing: float | None):
        """The mean of reads, `spacing` apart or, without one, each after a fresh start."""
        if spacing is None:
            return laws.IndependentReads(burn_in, n_reads)
        return laws.Reads(burn_in, n_reads, spacing)


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

    def __post_init__(self):
        _validation.positive(self.mass, "mass")
        if self.friction != "critical":
            _validation.positive(self.friction, 'friction (or "critical")')

    def on(self, operator) -> "Underdamped":
        """The dynamics of a device that holds this operator."""
        friction = self.friction
        if friction == "critical":
            from ..laws.underdamped import critical_friction  # brings Numba, which a law does without

            friction = critical_friction(operator.bounds[0], self.mass)
        return Underdamped(self.mass, float(friction))


@dataclass(frozen=True)
class Underdamped:
    """`Inertia` with its friction settled."""

    inertial = True

    mass: float
    friction: float

    def integrator(self, burn_in: float, duration: float):
        """The mean voltage over [burn_in, burn_in + duration]."""
        return underdamped.Integrator(burn_in=burn_in, duration=duration, **self._physics)

    def reads(self, burn_in: float, n_reads: int, spacing: float | None):
        """The mean of reads, `spacing` apart or, without one, each after a fresh start."""
        if spacing is None:
            return underdamped.IndependentReads(burn_in=burn_in, n_reads=n_reads, **self._physics)
        whole = int(np.ceil(n_reads))  # plans try fractions
        return underdamped.Reads(burn_in=burn_in, n_reads=whole, spacing=spacing, **self._physics)

    @property
    def _physics(self) -> dict:
        return {"mass": self.mass, "friction": self.friction}


def dynamics_of(dynamics, operator) -> Overdamped | Underdamped:
    """What "overdamped", "underdamped" (unit mass, slowest mode critical) or an `Inertia` means for this operator."""
    if not isinstance(dynamics, Inertia):
        _validation.choice(dynamics, "dynamics (or an Inertia)", KNOWN)
        if dynamics == "overdamped":
            return Overdamped()
        dynamics = Inertia()
    return dynamics.on(operator)
