"""Second moments of a linear process with any stable drift, by products of matrices or, where it has them, by modes."""

from collections.abc import Iterator
from functools import cached_property

import numpy as np

from .._typing import FloatArray
from ..numerics.blocks import blocks
from ..numerics.products import congruent, sum_of_products
from ..processes.fourth_moments import moment_variance
from ..processes.ornstein_uhlenbeck import OrnsteinUhlenbeck
from ..processes.transitions import geometric_sum, psd_factor, recurrence
from .common_modes import CommonModes
from .plan import MomentTransient, Transient, time_until
from .source import READ_ROWS, Products, Reader, Source


class ProcessSource(Source):
    """A process whose states are read.

    Parameters
    ----------
    process : OrnsteinUhlenbeck
        With time in units of the spacing of the reads.
    whole : bool
        Whether all of the average is asked for, so that sums over common modes can stand for products of matrices.
    native_noise : bool
        Whether the noise is that of the cells, so that none of it is programmed.
    """

    def __init__(self, process: OrnsteinUhlenbeck, whole: bool = True, native_noise: bool = False):
        self.process, self.whole = process, whole
        self.size = process.dimension
        self.n_programmed = process.drift.size
        self.n_inputs = 0 if native_noise else self.size * (self.size + 1) // 2
        self._modes: dict[bool, CommonModes | None] = {}

    def modes(self, products: Products) -> CommonModes | None:
        """Modes of the drift, if it is symmetric (at lag 1: and the noise shares them) and all is asked for."""
        shared_only = products.lag > 0
        if shared_only not in self._modes:
            self._modes[shared_only] = CommonModes.of(self.process, shared_only) if self.whole else None
        return self._modes[shared_only]

    @cached_property
    def step(self) -> tuple[FloatArray, FloatArray]:
        """Transition over one spacing."""
        return self.process.transition(1.0)

    def variances(self) -> FloatArray:
        """Stationary variances (d,)."""
        return np.diag(self.stationary())

    def stationary(self) -> FloatArray:
        """Stationary covariance (d, d)."""
        return self.process.stationary()[1]

    def first(self, products: Products) -> FloatArray:
        """Covariance (d, d) of the first read."""
        if np.isinf(products.burn_in):
            return self.stationary()
        return self.process.covariance(products.burn_in / products.spacing)

    def limit(self, products: Products) -> FloatArray:
        """M^lag S."""
        return self.step[0] @ self.stationary() if products.lag else self.stationary()

    def pair(self, products: Products) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Covariances of the earlier read, the later one, and of both."""
        first = self.first(products)
        if products.lag == 0:
            return first, first, first
        M, Q = self.step
        return first, M @ first @ M.T + Q, M @ first

    def variance(self, products: Products, gains: FloatArray | None, added: float, V: FloatArray | None) -> FloatArray:
        """Variance of each entry of the average of reads in equilibrium: of G x in place of x where there are gains."""
        drift, S = self.process.drift, self.stationary()
        if gains is not None:
            drift, S = gains[:, None] * drift / gains, np.outer(gains, gains) * S
        return moment_variance(drift, S, products.n, products.lag, V, added)

    def mean_square(self, products: Products, added: float, V: FloatArray | None) -> float:
        """Mean square error (Frobenius) of the average of reads in equilibrium."""
        n, lag = products.n, products.lag
        if products.independent:
            S, M = self.stationary() + added * np.eye(self.size), self.step[0] if lag else np.eye(self.size)
            cross = M @ self.stationary() if lag else S
            right = S if V is None else V.T @ S @ V
            cross = cross if V is None else cross @ V
            return float(np.trace(S) * np.trace(right) + np.sum(cross**2)) / n
        if (modes := self.modes(products)) is not None:
            return modes.total_variance(n, lag, added)
        return float(moment_variance(self.process.drift, self.stationary(), n, lag, V, added).sum())

    def transient(self, products: Products, error: float, V: FloatArray | None) -> Transient:
        """How the start at x = 0 biases the average."""
        rates, spacing = 2.0 * self.process.eigenvalues.real, products.spacing
        ends = {"slowest": rates.min() / spacing, "fastest": rates.max() / spacing}
        if (modes := self.modes(products)) is None:
            return self._transient_of_matrices(products, error, V, ends)
        scale = modes.bias(modes.covariance, 0.0, products.lag)
        missing = modes.covariance if products.independent else modes.missing(products.n)
        return Transient(lambda t0: modes.bias(missing, t0 / spacing, products.lag), lambda t0: error, scale, **ends)

    def _transient_of_matrices(
        self, products: Products, error: float, V: FloatArray | None, ends: dict[str, float]
    ) -> MomentTransient:
        M, S, n, spacing = self.step[0], self.stationary(), products.n, products.spacing
        missing = S if products.independent else geometric_sum(M, S, n) / n

        def size(gap: FloatArray) -> float:
            gap = gap if V is None else gap @ V
            return float(np.linalg.norm(M @ gap if products.lag else gap))

        def bias(t0: float) -> float:
            memory = self.process.propagator(t0 / spacing)
            return size(memory @ missing @ memory.T)

        least = 0.5 / (ends["fastest"] * spacing)
        limit = self.limit(products)
        return MomentTransient(
            bias=bias, noise=lambda t0: error, scale=float(np.linalg.norm(limit if V is None else limit @ V)), **ends,
            until=lambda target: spacing * time_until(self.process, missing, size, target, least),
        )  # fmt: skip

    def thermal_energy(self, products: Products, time: float) -> float | None:
        """Energy of a symmetric drift A under even noise r I: ``(r / 4) tr(I - e^{-2 A time})``; else not known."""
        R, spacing = self.process.diffusion, products.spacing
        if self.process.modes is None or (R - R[0, 0] * np.eye(self.size)).any():
            return None
        settled = -np.expm1(-2.0 * self.process.modes[1] * (time / spacing)).sum()
        return float(R[0, 0] / spacing / 4.0 * settled)

    # Paths -------------------------------------------------------------------------------------------------------

    def chain(
        self, rng: np.random.Generator, products: Products, read: Reader | None, V: FloatArray | None, workers: int
    ) -> tuple[FloatArray, int]:
        """Average over one path."""
        modes = self.modes(products)
        if read is not None or products.independent or modes is None or not modes.exact:
            modes = None  # what is stepped are states
        see = _as_they_are if read is None else read
        if products.independent:
            pairs = self._pairs(rng, products, see)
        else:
            states = self._states(rng, products) if modes is None else self._mode_states(rng, products, modes)
            pairs = _successive(rng, states, products.lag, see)
        width = self.size
        if V is not None:
            pairs, width = ((y, x @ V, n) for y, x, n in pairs), V.shape[1]
        symmetric = products.lag == 0 and V is None
        total, clipped = sum_of_products(pairs, (self.size, width), symmetric, workers)
        total /= products.n
        if modes is not None:
            total = congruent(modes.vectors.__matmul__, total, self.size, workers)
            if symmetric:
                total = (total + total.T) / 2.0
        return total, clipped

    def _pairs(self, rng: np.random.Generator, products: Products, see: Reader) -> Iterator:
        """Blocks of later and earlier reads, every pair with a start of its own."""
        first, noise_std = psd_factor(self.first(products)), psd_factor(self.step[1])
        for noise in blocks(products.n, self.size, READ_ROWS, buffers=2):
            rng.standard_normal(out=noise)
            states = noise @ first.T
            earlier, clipped = see(rng, states)
            later = earlier
            if products.lag:
                states = states @ self.step[0].T + rng.standard_normal(noise.shape) @ noise_std.T
                later, more = see(rng, states)
                clipped += more
            yield later, earlier, clipped

    def _mode_states(self, rng: np.random.Generator, products: Products, modes: CommonModes) -> Iterator[FloatArray]:
        """Blocks of successive states, in modes."""
        return modes.paths(rng, products.reads, READ_ROWS, products.burn_in / products.spacing)

    def _states(self, rng: np.random.Generator, products: Products) -> Iterator[FloatArray]:
        """Blocks of successive states."""
        first, noise_std = psd_factor(self.first(products)), psd_factor(self.step[1])
        state: FloatArray | None = None
        powers: dict = {}
        for noise in blocks(products.reads, self.size, READ_ROWS, buffers=2):
            rng.standard_normal(out=noise)
            start = first @ noise[0] if state is None else None
            noise[:] = noise @ noise_std.T
            if start is not None:
                noise[0] = start
            recurrence(self.step[0], noise[:, None], state, powers)
            state = noise[-1:].copy()
            yield noise


def _as_they_are(rng: np.random.Generator, states: FloatArray) -> tuple[FloatArray, int]:
    return states, 0


def _successive(rng: np.random.Generator, states: Iterator[FloatArray], lag: int, see: Reader) -> Iterator:
    """Blocks of later and earlier reads of one trajectory, of blocks of its states."""
    last = None
    for block in states:
        reads, clipped = see(rng, block)
        if lag == 0:
            yield reads, reads, clipped
            continue
        if last is not None:
            yield reads[:1], last, 0
        yield reads[1:], reads[:-1], clipped
        last = reads[-1:].copy()
