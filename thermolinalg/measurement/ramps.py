"""Ramps of the matrix of a thermal network, as `Work` drives them: work and heat of many paths.

A ramp of n steps is piecewise constant: the matrix jumps to its value at the middle of the first step, x relaxes, and
so on, with a last jump to the end. Read backwards it is the same ramp, so that the work of forward and reverse paths
obeys Crooks' theorem for any n. All work and heat is in units of 1/beta, in which beta drops out.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy.linalg

from .._typing import ArrayLike, FloatArray
from ..laws.overdamped import rise
from ..numerics.blocks import noise_blocks
from ..numerics.kernels import work as kernels
from ..numerics.kernels.work_law import log_mean_exponential
from ..numerics.threads import parts, run_chains
from ..operators import Dense, Diagonal, Modal

PATH_TILE = 32  # most paths that share a generator: part of the definition of the random stream
EXACT_STEP, EULER_STEP = 0.5, 0.1  # default steps, in units of the fastest relaxation time
COMMUTES = 1e-10  # largest part of A0 outside the diagonal, in the modes of A, that counts as rounding
SLOW_NODES = 24  # nodes in time of the slow-limit dissipation of ramps between matrices that do not commute

Energies = tuple[FloatArray, FloatArray, FloatArray]


def reversible_rates(reference: Modal, operator: Modal) -> tuple[FloatArray, FloatArray] | None:
    """Eigenvalues (d,) of both matrices in the modes that they share, or None where they share none."""
    rates = operator.spectrum
    if isinstance(reference, Diagonal) and np.ptp(reference.rates) == 0.0:
        return np.full(rates.size, reference.rates[0]), rates
    if isinstance(reference, Diagonal) and isinstance(operator, Diagonal):
        return reference.rates, rates
    modes = operator if isinstance(operator, Dense) else Dense(operator.dense())
    seen = modes.eigenvectors.T @ reference.matvec(modes.eigenvectors)
    rest = np.abs(seen - np.diag(np.diag(seen))).max()
    return (np.diag(seen).copy(), modes.rates) if rest <= COMMUTES * reference.bounds[0] else None


def _midpoints(n_steps: int) -> FloatArray:
    """Fractions of the ramp at the start, in the middle of each step, and at the end: (n_steps + 2,)."""
    return np.concatenate(([0.0], (np.arange(n_steps) + 0.5) / n_steps, [1.0]))


def _in_tiles(
    run: Callable[[np.random.Generator, int], Energies], n_paths: int, rng: np.random.Generator, workers: int | None,
    numbers: float = np.inf,
) -> Energies:  # fmt: skip
    """Work, heat and last energy (n_paths,) of ``run(generator, number of paths)``, one generator per tile of paths."""
    sizes = [tile.stop - tile.start for tile in parts(n_paths, PATH_TILE)]
    work, heat, stored = zip(*run_chains(run, rng, sizes, workers, numbers), strict=True)
    return np.concatenate(work), np.concatenate(heat), np.concatenate(stored)


@dataclass(frozen=True)
class ModeRamp:
    """A ramp in shared modes, each step by its exact law: ``rates`` (n_steps + 2, d), one row per constant piece."""

    rates: FloatArray
    duration: float
    protocol: str

    stepping = "exact"

    @classmethod
    def planned(
        cls, first: FloatArray, last: FloatArray, duration: float, n_steps: int | None, protocol: str
    ) -> "ModeRamp":
        """The ramp between eigenvalues (d,), by default in steps of half the fastest relaxation time."""
        n_steps = n_steps or cls.default_steps(first, last, duration)
        s = _midpoints(n_steps)[:, None]
        if protocol == "linear":
            return cls(first + s * (last - first), duration, protocol)
        return cls(((1.0 - s) / np.sqrt(first) + s / np.sqrt(last)) ** -2.0, duration, protocol)

    @staticmethod
    def default_steps(first: FloatArray, last: FloatArray, duration: float) -> int:
        """Steps of half the fastest relaxation time."""
        return int(np.ceil(duration * max(first.max(), last.max()) / EXACT_STEP))

    def reversed(self) -> "ModeRamp":
        """The same ramp backwards."""
        return ModeRamp(np.ascontiguousarray(self.rates[::-1]), self.duration, self.protocol)

    @property
    def n_steps(self) -> int:
        """Steps of the ramp."""
        return len(self.rates) - 2

    def simulate_paths(self, n_paths: int, rng: np.random.Generator, workers: int | None) -> Energies:
        """Work, heat and last energy (n_paths,) of paths that start in equilibrium."""
        step = self.duration / self.n_steps
        during = self.rates[1:-1]
        decay, noise_std = np.exp(-step * during), np.sqrt(rise(during, 2.0 * step))

        def tile(generator: np.random.Generator, paths: int) -> Energies:
            work, heat, x = self._tile(generator, paths, decay, noise_std)
            work += 0.5 * (self.rates[-1] - self.rates[-2]) * x**2
            return work.sum(axis=1), heat.sum(axis=1), 0.5 * x**2 @ self.rates[-1]

        return _in_tiles(tile, n_paths, rng, workers, n_paths * during.size)

    def _tile(
        self, generator: np.random.Generator, paths: int, decay: FloatArray, noise_std: FloatArray
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Work, heat and x (paths, d) up to the last relaxation."""
        d = self.rates.shape[1]
        x = generator.standard_normal((paths, d)) / np.sqrt(self.rates[0])
        work, heat = np.zeros_like(x), np.zeros_like(x)
        start = 0
        for noise in noise_blocks(generator, self.n_steps, x.shape):
            end = start + len(noise)
            of_steps = self.rates[start : end + 1], decay[start:end], noise_std[start:end]
            kernels.ramp_steps(*of_steps, noise, x, work, heat)
            start = end
        return work, heat, x

    def log_mean_exponentials(self, factors: ArrayLike) -> np.ndarray:
        """``ln <e^{-c w}>`` over the paths, exactly, for each real or complex c; infinite where there is no mean."""
        rates, lost = self.rates, -np.expm1(-2.0 * self.duration / self.n_steps * self.rates[1:-1])
        return np.array([log_mean_exponential(rates, lost, c) for c in np.asarray(factors).tolist()])

    def slow_limit(self) -> float:
        """Dissipation, from (1/4) int lambda'^2 / lambda^3 dt of each mode."""
        if self.protocol == "optimal":
            return self.bound()
        first, last = self.rates[0], self.rates[-1]
        return float(np.sum((last - first) * (first**-2.0 - last**-2.0)) / (8.0 * self.duration))

    def bound(self) -> float:
        """Least dissipation in the slow limit: (l0^-1/2 - l1^-1/2)^2 / duration of each mode."""
        return float(np.sum((self.rates[0] ** -0.5 - self.rates[-1] ** -0.5) ** 2) / self.duration)


@dataclass(frozen=True)
class EulerRamp:
    """A linear ramp between two matrices, each step by Euler's rule: only products with the two.

    A step x <- x - h A x + sqrt(2 h) xi with symmetric A is reversible with respect to the normal law of precision
    ``A - h A^2 / 2``. Jumps are weighed with that shadow matrix, so no step adds work of its own.
    """

    first: Modal
    last: Modal
    duration: float
    n_steps: int

    stepping, protocol = "euler", "linear"

    @classmethod
    def planned(cls, first: Modal, last: Modal, duration: float, n_steps: int | None) -> "EulerRamp":
        """The ramp, by default in steps of a tenth of the fastest relaxation time."""
        least = int(np.floor(0.5 * duration * max(first.bounds[1], last.bounds[1]))) + 1
        n_steps = n_steps or cls.default_steps(first, last, duration)
        if n_steps < least:
            raise ValueError(f"n_steps must be at least {least} for stable Euler steps, got {n_steps}")
        return cls(first, last, duration, n_steps)

    @staticmethod
    def default_steps(first: Modal, last: Modal, duration: float) -> int:
        """Steps of a tenth of the fastest relaxation time."""
        return int(np.ceil(duration * max(first.bounds[1], last.bounds[1]) / EULER_STEP))

    def reversed(self) -> "EulerRamp":
        """The same ramp backwards."""
        return EulerRamp(self.last, self.first, self.duration, self.n_steps)

    def simulate_paths(self, n_paths: int, rng: np.random.Generator, workers: int | None) -> Energies:
        """Work, heat and last energy (n_paths,) of paths that start in equilibrium."""
        return _in_tiles(self._tile, n_paths, rng, workers)

    def _products(self, x: FloatArray) -> tuple[FloatArray, FloatArray]:
        """A0 x and (A - A0) x for paths in rows."""
        start = np.ascontiguousarray(self.first.matvec(x.T).T)
        return start, np.ascontiguousarray(self.last.matvec(x.T).T) - start

    def _tile(self, generator: np.random.Generator, paths: int) -> Energies:
        """Work, heat and last energy (paths,)."""
        normals = generator.standard_normal((self.first.shape[0], paths))
        x = np.ascontiguousarray(self.first.function(lambda rates: rates**-0.5, normals).T)
        h, noise = self.duration / self.n_steps, np.empty_like(x)
        work, heat, energy, before = np.zeros((4, paths))
        products, fraction, shadow = self._products(x), 0.0, 0.0
        for s in _midpoints(self.n_steps)[1:-1]:
            kernels.shadow_energy(x, *products, fraction, shadow, before)
            kernels.shadow_energy(x, *products, s, h, energy)
            work += energy - before
            generator.standard_normal(out=noise)
            old, force = x.copy(), products[0] + s * products[1]
            kernels.euler_relax(*products, s, h, np.sqrt(2.0 * h), noise, x)
            products, fraction, shadow = self._products(x), s, h
            kernels.path_steps(old, x, force, products[0] + s * products[1], heat)
        kernels.shadow_energy(x, *products, fraction, shadow, before)
        kernels.shadow_energy(x, *products, 1.0, 0.0, energy)
        return work + energy - before, heat, energy

    def slow_limit(self) -> float:
        """Dissipation, the time integral of (1/2) sum_ij A'_ij^2 / (l_i l_j (l_i + l_j)) in the modes of A(t)."""
        first, last = self.first.dense(), self.last.dense()
        change, total = last - first, 0.0
        nodes, weights = np.polynomial.legendre.leggauss(SLOW_NODES)
        for s, weight in zip(0.5 * (nodes + 1.0), 0.5 * weights, strict=True):
            rates, V = scipy.linalg.eigh(first + s * change)
            seen = V.T @ change @ V / np.sqrt(np.outer(rates, rates))
            total += weight * 0.5 * np.sum(seen**2 / np.add.outer(rates, rates))
        return float(total / self.duration)

    def bound(self) -> float:
        """Least dissipation in the slow limit: squared Wasserstein distance of the two equilibria, over duration."""
        identity = np.eye(self.first.shape[0])
        root = self.first.function(lambda rates: rates**-0.5, identity)
        inner = root @ self.last.function(np.reciprocal, identity) @ root
        cross = np.sqrt(np.maximum(scipy.linalg.eigvalsh(inner), 0.0)).sum()
        return float((self.first.trace(np.reciprocal) + self.last.trace(np.reciprocal) - 2.0 * cross) / self.duration)


Ramp = ModeRamp | EulerRamp
