"""What the engine of second moments asks of a device: its covariances, its paths, the variance of its averages."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from .._typing import FloatArray
from . import plan

READ_ROWS = 1024  # reads that enter an average by one product; part of the definition of a path
Reader = Callable[[np.random.Generator, FloatArray], tuple[FloatArray, int]]  # states (rows, n) to reads, and clipped


@dataclass(frozen=True, kw_only=True)
class Products:
    """Which products of reads are averaged by one chain.

    Attributes
    ----------
    n : int
        Products.
    spacing : float
        RC times between reads, or between the two reads of a pair.
    lag : int
        0 or 1 spacings between the factors of a product.
    independent : bool
        Whether each product has a start of its own, or all come from one trajectory.
    burn_in : float
        RC times before the first read, from x = 0; infinite: from equilibrium.
    """

    n: int
    spacing: float = 1.0
    lag: int = 0
    independent: bool = False
    burn_in: float = np.inf

    def of(self, n: float) -> "Products":
        """The same with another number of products, of which plans try fractions."""
        return replace(self, n=n)  # type: ignore[arg-type]  # a fraction of a read is never made

    @property
    def span(self) -> float:
        """Averaging time of one run [RC]."""
        return self.spacing * (self.lag if self.independent else self.n)

    @property
    def runs(self) -> int:
        """Fresh starts."""
        return self.n if self.independent else 1

    @property
    def reads(self) -> int:
        """Reads of each cell."""
        return self.n * (1 + self.lag) if self.independent else self.n + self.lag


class Source(ABC):
    """A linear device, as its voltages are: before gains, read noise and converters.

    Attributes
    ----------
    size : int
        Cells that are read.
    n_programmed, n_inputs : int
        Numbers that program the drift, and the noise.
    combine : (m, size) ndarray or None
        Combination of the reads that the host forms; None: the reads themselves.
    """

    size: int
    n_programmed: int
    n_inputs: int = 0
    combine: FloatArray | None = None

    @abstractmethod
    def variances(self) -> FloatArray:
        """Stationary variances (size,) of the cells."""

    @abstractmethod
    def stationary(self) -> FloatArray:
        """Stationary covariance (size, size) of the cells."""

    @abstractmethod
    def limit(self, products: Products) -> FloatArray:
        """The limit (size, size) of the average."""

    @abstractmethod
    def pair(self, products: Products) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Covariances of the earlier read, of the later one, and of the later with the earlier: (size, size) each."""

    @abstractmethod
    def variance(self, products: Products, gains: FloatArray | None, added: float, V: FloatArray | None) -> FloatArray:
        """Variance of each entry of the average over one trajectory in equilibrium, as it is read (with `combine`).

        `added` is a variance that every read has of its own; with V (size, k) the average is applied to it.
        """

    @abstractmethod
    def mean_square(self, products: Products, added: float, V: FloatArray | None) -> float:
        """The sum of `variance` without gains, by whatever is cheapest."""

    @abstractmethod
    def transient(self, products: Products, error: float, V: FloatArray | None) -> plan.Transient:
        """How the start at x = 0 biases an average whose rms error is `error`."""

    @abstractmethod
    def chain(
        self, rng: np.random.Generator, products: Products, read: Reader | None, V: FloatArray | None, workers: int
    ) -> tuple[FloatArray, int]:
        """Average over one path, of the voltages or of what `read` makes of them, and how many reads saturated."""

    def sample(self, rng: np.random.Generator, n: int, products: Products, added: float) -> FloatArray | None:
        """Mean product of n independent reads by a way of the source's own; None: the engine does it from `pair`."""
        return None

    def thermal_energy(self, products: Products, time: float) -> float | None:
        """Energy that noise has brought into one run after a `time` [RC] in all; None where it is not known."""
        return None


def product_variance(x: FloatArray, y: FloatArray, yx: FloatArray, V: FloatArray | None) -> FloatArray:
    """Variance of the entries of y x^T V for jointly normal y and x of zero mean."""
    if V is None:
        return np.outer(np.diag(y), np.diag(x)) + yx**2
    return np.outer(np.diag(y), np.einsum("aj,ab,bj->j", V, x, V)) + (yx @ V) ** 2


def added_at_lag_zero(S: FloatArray, added: FloatArray, n: int) -> FloatArray:
    """What an independent part of every read, of covariance `added`, adds to the variance of the mean of n products."""
    total = S + added
    return (product_variance(total, total, total, None) - product_variance(S, S, S, None)) / n
