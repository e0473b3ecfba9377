"""The protocol of a read-out: burn-in, averaging, reads; and the laws that every protocol gives.

A protocol says when voltages are read after a start at a known x0: `burn_in`, the span of averaging, the number of
reads and their spacing, all times in RC. Its law is a function of A:

    mean = memory(A) x0 + response(A) b,        covariance = variance(A) / beta.

Three protocols share the abstract classes of this page, whatever the dynamics: an analog integrator, equally spaced
reads of one run, and independent reads, each after a fresh start. `overdamped` and `underdamped` fill in the laws.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import Field, replace
from typing import Any, ClassVar, Self

import numpy as np

from .._typing import FloatArray, Numbers, SpectralFunction


class Protocol(ABC):
    """The protocol of a read-out, a frozen dataclass of its times in RC.

    Attributes
    ----------
    burn_in : float
        Time from a start to the first read, or to the start of the integration.
    n_reads : int or None
        Reads of each voltage; None where an integrator is converted once.
    spacing : float or None
        Time between reads of one run; None where there is none.
    converted_once : bool
        Whether an analog integrator averages, so that its output is converted once.
    independent : bool
        Whether every read has a fresh start of its own.
    overdamped : bool
        Whether the cells have no inertia.

    See Also
    --------
    thermolinalg.laws.overdamped, thermolinalg.laws.underdamped : the laws of each dynamics.
    """

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]  # every protocol is a dataclass
    converted_once: ClassVar[bool] = False
    independent: ClassVar[bool] = False
    overdamped: ClassVar[bool]

    burn_in: float
    n_reads: int | None
    spacing: float | None

    @property
    def conversions(self) -> int:
        """How often each voltage is converted: once by an integrator, or at every read."""
        return 1 if self.n_reads is None else self.n_reads

    @property
    def runs(self) -> int:
        """Fresh starts."""
        return 1

    @property
    def span(self) -> float:
        """Averaging time of one run [RC]."""
        return 0.0

    def with_burn_in(self, burn_in: float) -> Self:
        """The same protocol with another burn-in [RC]."""
        return replace(self, burn_in=burn_in)

    # Laws ------------------------------------------------------------------------------------------------------------

    @abstractmethod
    def memory(self, lam: Numbers) -> FloatArray:
        """Weight of x0 in a mode of eigenvalue `lam`."""

    @abstractmethod
    def response(self, lam: Numbers) -> FloatArray:
        """Weight of b."""

    @abstractmethod
    def variance(self, lam: Numbers) -> FloatArray:
        """Variance at beta = 1."""

    @abstractmethod
    def memory_after(self, lam: FloatArray, distance: FloatArray) -> Callable[[float], FloatArray]:
        """Bounds of what is left of each `distance` from the answer, as a function of the burn-in."""

    @abstractmethod
    def variance_after(self, lam: Numbers) -> Callable[[float], FloatArray]:
        """Variance at beta = 1 as a function of the burn-in."""

    @abstractmethod
    def decay_rates(self, lam: FloatArray) -> tuple[float, float]:
        """Slowest and fastest rate at which the mean of a mode with eigenvalue in `lam` moves."""

    # Bounds over a spectrum of which only the ends are known ---------------------------------------------------------

    @abstractmethod
    def slowest(self, low: float) -> float:
        """An eigenvalue that bounds those from `low` on: its mean falls and moves at least as slowly as theirs."""

    def memory_at_most(self, low: float) -> float:
        """The largest weight of x0 for eigenvalues from `low` on: the mean of f, bounded by its largest."""
        return at(self.memory, self.slowest(low))

    def variance_at_most(self, low: float) -> float:
        """The largest variance (beta = 1) from equilibrium for eigenvalues from `low` on: 1/lam times a mean of f."""
        slowest = self.slowest(low)
        return at(self.variance, slowest) * slowest / low

    @abstractmethod
    def variance_at_least(self, low: float, high: float) -> float:
        """The smallest variance (beta = 1) for eigenvalues from `low` to `high`, at the burn-in of the protocol."""

    def bounded_decay_rates(self, low: float, high: float) -> tuple[float, float]:
        """The `decay_rates` for eigenvalues from `low` to `high`."""
        return self.decay_rates(np.array([self.slowest(low), high]))


class IntegratorProtocol(Protocol):
    """The mean voltage over [burn_in, burn_in + duration] by an analog integrator."""

    converted_once = True
    n_reads = None
    spacing = None

    duration: float

    @property
    def span(self) -> float:
        """Averaging time of one run [RC]."""
        return self.duration


class ReadsProtocol(Protocol):
    """The mean of reads; also of products of reads, their second moments.

    Attributes
    ----------
    pair_rows : int or None
        Modes whose pairs with all others `pair_variances` should work out at a time; None: all of them.
    """

    pair_rows: ClassVar[int | None] = None

    n_reads: int

    @abstractmethod
    def second_moment_memory(self, lam: FloatArray) -> Callable[[float], FloatArray]:
        """At most what the mean of y^2 in each mode, at rest in the beginning, lacks at beta = 1, by the burn-in."""

    @abstractmethod
    def pair_variances(self, lam: FloatArray, rows: slice = slice(None), columns: slice = slice(None)) -> FloatArray:
        """Variances (d, d) of the mean of y_i y_j over reads in equilibrium; for i = j half that of y_i^2."""


class IndependentProtocol(ReadsProtocol):
    """The mean of `n_reads` voltages, each read `burn_in` after a fresh start."""

    independent = True
    spacing = None

    @property
    def runs(self) -> int:
        """Fresh starts: one per read."""
        return self.n_reads

    def pair_variances(self, lam: FloatArray, rows: slice = slice(None), columns: slice = slice(None)) -> FloatArray:
        """1 / (lam_i lam_j n)."""
        return 1.0 / (np.multiply.outer(lam[rows], lam[columns]) * self.n_reads)


class SpacedProtocol(ReadsProtocol):
    """The mean of `n_reads` voltages of one run, the first at `burn_in`, then one every `spacing`."""

    spacing: float

    @property
    def span(self) -> float:
        """Averaging time of one run [RC]."""
        return self.n_reads * self.spacing


def at(function: SpectralFunction, lam: float) -> float:
    """A function of arrays at one number."""
    return float(function(np.array([lam]))[0])
