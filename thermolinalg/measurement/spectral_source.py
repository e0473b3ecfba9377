"""Second moments of the standard network: A^-1 by the modes of A, or without them by its factorisation."""

from collections.abc import Iterator

import numpy as np
import scipy.linalg

from .._typing import DTypeLike, FloatArray
from ..laws.readout import ReadsProtocol
from ..numerics.products import congruent, sum_of_products
from ..numerics.wishart import mean_of_products, wishart_factor
from ..operators import Dense, Modal
from ..operators.base import scale_rows
from . import paths, plan
from .dynamics import Dynamics
from .source import READ_ROWS, Products, Reader, Source, added_at_lag_zero

PAIR_TOLERANCE = 1e-8  # what a factorisation of the pair variances, scaled to a unit diagonal, may leave of it


class SpectralSource(Source):
    """Cells that relax under A with the noise of their own, at b = 0.

    Parameters
    ----------
    operator : Modal
        A, (d, d).
    dynamics : Overdamped or Underdamped
    dtype : dtype
        In which paths are stepped and their products multiplied.
    """

    def __init__(self, operator: Modal, dynamics: Dynamics, dtype: DTypeLike = np.float64):
        self.operator, self.dynamics, self.dtype = operator, dynamics, dtype
        self.size, self.n_programmed = operator.shape[0], operator.n_programmed

    def protocol(self, products: Products) -> ReadsProtocol:
        """The reads of one run."""
        spacing = None if products.independent else products.spacing
        return self.dynamics.reads(products.burn_in, products.n, spacing)

    def variances(self) -> FloatArray:
        """Diagonal (d,) of A^-1."""
        return self.operator.diagonal(np.reciprocal)

    def stationary(self) -> FloatArray:
        """A^-1 (d, d)."""
        return self.operator.function(np.reciprocal, np.eye(self.size))

    def limit(self, products: Products) -> FloatArray:
        """A^-1."""
        return self.stationary()

    def pair(self, products: Products) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Covariance of a read, which is both factors of the product."""
        read = self.operator.function(lambda lam: self._read_variance(products, lam), np.eye(self.size))
        read = (read + read.T) / 2.0
        return read, read, read

    def _read_variance(self, products: Products, lam: FloatArray) -> FloatArray:
        """Variance of one read of a mode."""
        return 1.0 / lam if np.isinf(products.burn_in) else products.n * self.protocol(products).variance(lam)

    def variance(self, products: Products, gains: FloatArray | None, added: float, V: FloatArray | None) -> FloatArray:
        """Variance of each entry of the average over one trajectory in equilibrium."""
        operator = self.operator if isinstance(self.operator, Dense) else Dense(self.operator.dense())
        variance = _correlated_variance(operator, self.protocol(products))
        both = None if gains is None else np.outer(gains, gains)
        if both is not None:
            variance *= both**2
        if added:
            S = operator.function(np.reciprocal, np.eye(self.size))
            variance += added_at_lag_zero(S if both is None else both * S, added * np.eye(self.size), products.n)
        return variance

    def mean_square(self, products: Products, added: float, V: FloatArray | None) -> float:
        """E ||S - A^-1||_F^2 of the average of reads in equilibrium."""
        if products.independent:
            trace, square = self.operator.trace(np.reciprocal), self.operator.trace(lambda lam: lam**-2.0)
            total = (trace**2 + square) / products.n
        else:
            total = plan.inverse_mean_square(self.operator.eigenvalues, self.protocol(products))
        return total + plan.added_mean_square(self.operator, added) / products.n if added else total

    def transient(self, products: Products, error: float, V: FloatArray | None) -> plan.Transient:
        """How the start at x = 0 biases the average."""
        return plan.inverse_transient(self.operator, self.protocol(products), error)

    def thermal_energy(self, products: Products, time: float) -> float | None:
        """``tr(I - e^{-2 A time}) / 2``; with inertia the energy x^T A x / 2 of equilibrium."""
        if not self.dynamics.overdamped:
            return 0.5 * self.size
        return 0.5 * self.operator.trace(lambda lam: -np.expm1(-2.0 * lam * time))

    def sample(self, rng: np.random.Generator, n: int, products: Products, added: float) -> FloatArray | None:
        """A Wishart matrix: the mean product of n independent reads."""
        if (
            np.isinf(products.burn_in)
            and isinstance(self.operator, Dense)
            and added == 0.0
            and not self.operator.is_small
        ):
            return mean_of_products(rng, self.operator.cholesky, n)  # no spectrum
        rates = self.operator.rates
        T = wishart_factor(rng, rates.size, n)
        factor = self.operator.from_modes(scale_rows(np.sqrt(self._read_variance(products, rates) + added), T))
        return factor @ factor.T / n

    def chain(
        self, rng: np.random.Generator, products: Products, read: Reader | None, V: FloatArray | None, workers: int
    ) -> tuple[FloatArray, int]:
        """Average over one path; reads that are not converted are gathered in modes and rotated once at the end."""
        operator, protocol = self.operator, self.protocol(products)
        rates = operator.rates
        rest, size = np.zeros(rates.size), rates.size if read is None else self.size

        def reads() -> Iterator[tuple[FloatArray, FloatArray, int]]:
            for block in paths.read_blocks(protocol, rng, rates, rest, rest, 1.0, READ_ROWS, 2, self.dtype):
                clipped = 0
                if read is not None:
                    block, clipped = read(rng, operator.from_modes(block.T).T)
                yield block, block, clipped

        moment, clipped = sum_of_products(reads(), (size, size), True, workers)
        if read is None:
            moment = congruent(operator.from_modes, moment, self.size, workers)
            moment = (moment + moment.T) / 2.0
        return moment / products.n, clipped


def _correlated_variance(operator: Dense, protocol: ReadsProtocol) -> FloatArray:
    """Variance (d, d) of each entry of the mean of x x^T over equally spaced reads in equilibrium (beta = 1).

    With W the pair variances and V the eigenvectors it is, for entry (a, b), the sum over modes i, j of
    W_ij (V_ai^2 V_bj^2 + V_ai V_bi V_aj V_bj). The second term would take d^4 operations; W is positive
    semidefinite and smooth, so a pivoted Cholesky factor of few columns turns it into a few matrix products.
    """
    V, W = operator.eigenvectors, protocol.pair_variances(operator.rates)
    root = np.sqrt(W.diagonal())  # scaled to a unit diagonal, so that fast modes count
    squares = V**2
    variance = squares @ W @ squares.T
    factor, pivots, rank, _ = scipy.linalg.lapack.dpstrf(W / np.outer(root, root), tol=PAIR_TOLERANCE, lower=1)
    columns = np.empty((W.shape[0], rank))
    columns[pivots - 1] = np.tril(factor)[:, :rank]
    columns *= root[:, None]
    for column in columns.T:
        variance += ((V * column) @ V.T) ** 2
    return variance
