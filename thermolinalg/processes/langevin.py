"""`Langevin`: a device whose cells have inertia, in law and along paths."""

import itertools
from dataclasses import dataclass

import numpy as np

from .. import _validation
from ..laws import critical_friction
from ..laws import underdamped as laws
from ..numerics.blocks import chain_tiles
from ..numerics.kernels import underdamped as kernels
from ..numerics.threads import run_chains
from ..operators import Krylov, as_operator

BLOCK = 32_768  # normals drawn at a time (256 KiB); any value gives the same bits
REGULAR = 1e-9  # relative difference of steps that are taken to be equal


@dataclass(frozen=True, kw_only=True, eq=False)
class LangevinPaths:
    """What `Langevin.baoab` returns.

    Attributes
    ----------
    average : (n_chains, d) ndarray
        Time average of x of each chain after the burn-in, by the trapezoidal rule.
    x, p : (n_chains, d) ndarray
        Last state of each chain.
    dt : float
        Step [RC].
    momentum_deflation : (float, float)
        Factor 1 - dt^2 lambda / (4 mass) by which the step deflates the stationary variance of p in the slowest and
        in the fastest mode; that of x, and both means, are not biased.
    """

    average: np.ndarray
    x: np.ndarray
    p: np.ndarray
    dt: float
    momentum_deflation: tuple[float, float]


class Langevin:
    """A thermal network with inertia: ``dx = (p/M) dt, dp = -(A x - b) dt - (gamma/M) p dt + sqrt(2 gamma/beta) dW``.

    Its equilibrium is that of the overdamped device, x ~ N(A^-1 b, A^-1/beta), with p ~ N(0, M I/beta) beside it; the
    way there is different. Every mode of A is a damped oscillator whose law is known in closed form at any damping.
    The variance of a long time average is ``2 gamma / (beta duration) A^-2`` whatever the mass, so that less friction
    shortens averaging, until relaxation, 2 M / gamma where modes oscillate, takes longer.

    Parameters
    ----------
    A : (d, d) array_like or operator
        Symmetric positive definite, in units of the reference conductance. Sparse matrices are made dense.
    b : (d,) array_like, optional
        Right-hand side; default 0.
    mass : float
        Inertia M of a cell.
    friction : float
        gamma; the overdamped device of `solve` is gamma = 1, M -> 0.
    beta : float, optional
        Inverse temperature.

    Raises
    ------
    ValueError
        Bad input, named with its value.
    NotPositiveDefinite
        With the offending eigenvalue.

    Notes
    -----
    `voltage`, `independent_reads`, `integrator` and `reads` give read-outs with methods ``memory``, ``response`` and
    ``variance``, functions of an eigenvalue as in `thermolinalg.laws`.

    Examples
    --------
    >>> import numpy as np
    >>> device = Langevin.critically_damped([[1.0, 0.0], [0.0, 0.01]], [1.0, 0.01])
    >>> round(device.friction, 6), round(device.relaxation_time, 4)
    (0.2, 10.0)
    >>> times = np.arange(100.0, 1100.0)
    >>> x, p = device.sample(times, rng=0)
    >>> x.shape
    (1, 1000, 2)
    """

    def __init__(self, A, b=None, *, mass, friction, beta=1.0):
        operator = as_operator(A)
        self.operator = as_operator(operator.dense()) if isinstance(operator, Krylov) else operator
        d = self.operator.shape[0]
        self.b = np.zeros(d) if b is None else _validation.vector(b, "b", d)
        self.mass = _validation.positive(mass, "mass")
        self.friction = _validation.positive(friction, "friction")
        self.beta = _validation.positive(beta, "beta", infinite=True)
        self._modes = laws.Modes(self.operator.rates, self.mass, self.friction)

    @classmethod
    def critically_damped(cls, A, b=None, *, mass=1.0, beta=1.0) -> "Langevin":
        """The device whose slowest mode is critically damped: friction ``2 sqrt(mass lambda_min)``."""
        operator = as_operator(A)
        return cls(operator, b, mass=mass, friction=critical_friction(operator.bounds[0], mass), beta=beta)

    @property
    def relaxation_times(self) -> np.ndarray:
        """Time in which what is left of the start falls by e, of each mode [RC]: 2 M / gamma where it oscillates."""
        return 1.0 / self._modes.slow

    @property
    def relaxation_time(self) -> float:
        """The longest of the `relaxation_times` [RC]."""
        return float(self.relaxation_times.max())

    def voltage(self, time) -> laws.Voltage:
        """Read-out: the voltages at one time [RC]."""
        return laws.Voltage(burn_in=_time(time), **self._physics)

    def independent_reads(self, burn_in, n_reads) -> laws.IndependentReads:
        """Read-out: the mean of reads, each `burn_in` [RC] after a fresh start."""
        n_reads = _validation.count(n_reads, "n_reads")
        return laws.IndependentReads(burn_in=_time(burn_in), n_reads=n_reads, **self._physics)

    def integrator(self, burn_in, duration) -> laws.Integrator:
        """Read-out: the mean voltage over [burn_in, burn_in + duration] [RC]."""
        duration = _validation.positive(duration, "duration")
        return laws.Integrator(burn_in=_time(burn_in), duration=duration, **self._physics)

    def reads(self, burn_in, n_reads, spacing) -> laws.Reads:
        """Read-out: the mean of reads, the first at `burn_in`, then one every `spacing` [RC]."""
        n_reads, spacing = _validation.count(n_reads, "n_reads"), _validation.positive(spacing, "spacing")
        return laws.Reads(burn_in=_time(burn_in), n_reads=n_reads, spacing=spacing, **self._physics)

    @property
    def _physics(self) -> dict:
        return {"mass": self.mass, "friction": self.friction}

    def mean(self, time, x0=None, p0=None) -> tuple[np.ndarray, np.ndarray]:
        """Means (d,) of x and p at `time` [RC] after the start at x0, p0 (default 0); `time` may be infinite."""
        start = np.array([self._mode_start(x0, "x0", ()), self._mode_start(p0, "p0", ())])
        time, drive = _time(time), self.operator.to_modes(self.b)
        mean = np.einsum("ijm,jm->im", self._modes.transition(time), start) + self._modes.push(time) * drive
        return self.operator.from_modes(mean[0]), self.operator.from_modes(mean[1])

    def covariance(self, time=np.inf) -> np.ndarray:
        """Covariance (2d, 2d) of (x, p) at `time` [RC] after a known start; default the stationary one."""
        return self._of_matrices(self._modes.covariance(_time(time)) / self.beta)

    def autocovariance(self, lag) -> np.ndarray:
        """Stationary covariance (2d, 2d) of (x, p) at `lag` [RC] with (x, p) now."""
        transition = self._modes.transition(_time(lag))
        return self._of_matrices(np.einsum("ijm,jkm->ikm", transition, self._modes.equilibrium()) / self.beta)

    def _of_matrices(self, blocks: np.ndarray) -> np.ndarray:
        """The (2d, 2d) matrix whose blocks are functions of A, given on the mode coordinates: (2, 2, m)."""
        identity = self.operator.to_modes(np.eye(self.operator.shape[0]))
        return np.block([[self.operator.from_modes(f[:, None] * identity) for f in row] for row in blocks])

    def _mode_start(self, given, name: str, chains: tuple[int, ...]) -> np.ndarray:
        """A start in mode coordinates, (m,) or (n_chains, m)."""
        d = self.operator.shape[0]
        start = np.zeros(d) if given is None else _validation.real_array(given, name)
        allowed = ((d,), (*chains, d))
        if start.shape not in allowed:
            raise ValueError(
                f"{name} must have shape {' or '.join(map(str, dict.fromkeys(allowed)))}, got {start.shape}"
            )
        modes = self.operator.to_modes(np.ascontiguousarray(start.T)).T
        return np.ascontiguousarray(np.broadcast_to(modes, (*chains, modes.shape[-1])))

    def sample(self, times, x0=None, p0=None, *, n_chains=1, rng=None, workers=None) -> tuple[np.ndarray, np.ndarray]:
        """Paths read at given times, from their exact law: exact steps of every mode.

        Parameters
        ----------
        times : (n,) array_like
            Increasing times after the start [RC], not negative, of any spacing.
        x0, p0 : (d,) or (n_chains, d) array_like, optional
            Start; default 0.
        n_chains : int
            Independent paths.
        rng : {None, int, Generator, ...}, optional
            Passed to `numpy.random.default_rng`.
        workers : int, optional
            Threads over chains; any number gives the same bits.

        Returns
        -------
        x, p : (n_chains, n, d) ndarray

        Raises
        ------
        ValueError
            Times that do not increase or are negative; starts of a wrong shape.
        """
        times, n_chains = _validation.vector(times, "times"), _validation.count(n_chains, "n_chains")
        steps = np.diff(times, prepend=0.0)
        if times[0] < 0 or (steps[1:] <= 0).any():
            raise ValueError(f"times must be non-negative and increase, got {times[:4]}")
        starts = [self._mode_start(v, name, (n_chains,)) for v, name in ((x0, "x0"), (p0, "p0"))]
        runs = [(run, self._step(steps[run.start])) for run in _equal_runs(steps)]

        def chain(generator, c):
            x, p = (start[c].copy() for start in starts)
            xs, ps = np.empty((2, times.size, x.size))
            for run, step in runs:
                self._walk(generator, step, x, p, xs[run], ps[run])
            return self.operator.from_modes(xs.T).T, self.operator.from_modes(ps.T).T

        paths = run_chains(chain, _validation.generator(rng), range(n_chains), workers)
        xs, ps = (np.array(part) for part in zip(*paths, strict=True))
        return _validation.finite_result(xs, "a path"), _validation.finite_result(ps, "a path")

    def _step(self, time):
        return laws.exact_step(self._modes, time, self.operator.to_modes(self.b), self.beta)

    @staticmethod
    def _walk(generator, step, x, p, xs, ps):
        rows = max(1, BLOCK // (2 * x.size))
        buffer = np.empty((min(rows, len(xs)), 2, x.size))
        for start in range(0, len(xs), rows):
            noise = buffer[: len(xs) - start]
            generator.standard_normal(out=noise)
            kernels.exact_steps(*step, noise, x, p, xs[start : start + rows], ps[start : start + rows])

    def baoab(
        self, *, dt, n_steps, burn_in_steps=0, x0=None, p0=None, n_chains=1, rng=None, workers=None
    ) -> LangevinPaths:
        """Step the physics on the plain matrix by the BAOAB splitting, many chains at once.

        A step is half a kick, half a drift, friction and noise exactly, half a drift, half a kick. Only products A x
        are used: neither eigenvectors nor an inverse. The stationary law of x is exact at any stable step; the
        variance of p, and both covariances on the way there, are off by O(dt^2).

        Parameters
        ----------
        dt : float
            Step [RC], below ``2 sqrt(mass / lambda_max)``.
        n_steps, burn_in_steps : int
            Steps that are averaged, and steps before those.
        x0, p0 : (d,) or (n_chains, d) array_like, optional
            Start; default 0.
        n_chains : int
            Independent chains.
        rng : {None, int, Generator, ...}, optional
            Passed to `numpy.random.default_rng`.
        workers : int, optional
            Threads; any number gives the same bits.

        Returns
        -------
        LangevinPaths

        Raises
        ------
        ValueError
            dt at or above the stability limit, or other bad input.

        References
        ----------
        Leimkuhler and Matthews, "Rational Construction of Stochastic Numerical Methods for Molecular Sampling",
        Appl. Math. Res. Express 2013, 34.
        """
        n_steps, n_chains = _validation.count(n_steps, "n_steps"), _validation.count(n_chains, "n_chains")
        burn_in_steps = _validation.count(burn_in_steps, "burn_in_steps", least=0)
        dt = _validation.positive(dt, "dt")
        low, high = self.operator.bounds
        limit = 2.0 * np.sqrt(self.mass / high)
        if dt >= limit:
            raise ValueError(f"dt must be below 2 sqrt(mass / lambda_max) = {limit:.6g}, got {dt:.6g}")
        starts = [self._plain_start(v, name, n_chains) for v, name in ((x0, "x0"), (p0, "p0"))]

        def tile(generator, chains):
            x, p = (start[chains].copy() for start in starts)
            waste, total = np.zeros_like(x), np.zeros_like(x)
            self._split(generator, dt, burn_in_steps, x, p, waste)
            self._split(generator, dt, n_steps, x, p, total)
            return total / n_steps, x, p

        numbers = (burn_in_steps + n_steps) * n_chains * self.operator.shape[0]
        chains = chain_tiles(n_chains, self.operator.shape[0])
        results = run_chains(tile, _validation.generator(rng), chains, workers, numbers)
        average, x, p = (
            _validation.finite_result(np.concatenate(part), "a BAOAB path") for part in zip(*results, strict=True)
        )
        deflation = (1.0 - (dt / limit) ** 2 * low / high, 1.0 - (dt / limit) ** 2)
        return LangevinPaths(average=average, x=x, p=p, dt=dt, momentum_deflation=deflation)

    def _plain_start(self, given, name, n_chains):
        d = self.operator.shape[0]
        start = np.zeros(d) if given is None else _validation.real_array(given, name)
        if start.shape not in ((d,), (n_chains, d)):
            raise ValueError(f"{name} must have shape ({d},) or ({n_chains}, {d}), got {start.shape}")
        return np.broadcast_to(start, (n_chains, d))

    def _split(self, generator, dt, steps, x, p, total):
        """BAOAB steps of the chains in the rows of x and p, with one product A x a step."""
        decay = np.exp(-self.friction * dt / self.mass)
        sd = np.sqrt(-self.mass * np.expm1(-2.0 * self.friction * dt / self.mass) / self.beta)
        product, noise = self._products(x), np.empty_like(x)
        for _ in range(steps):
            generator.standard_normal(out=noise)
            kernels.kick(product, self.b, 0.5 * dt, p)
            kernels.drift_noise_drift(0.5 * dt / self.mass, decay, sd, noise, x, p, total)
            product = self._products(x)
            kernels.kick(product, self.b, 0.5 * dt, p)

    def _products(self, x):
        return np.ascontiguousarray(self.operator.matvec(x.T).T)


def _time(value) -> float:
    return _validation.positive(value, "time", infinite=True, zero=True)


def _equal_runs(steps) -> list[slice]:
    """Slices of consecutive steps of one length (to rounding of the times), which share their law."""
    edges = [0] + [k for k in range(1, len(steps)) if abs(steps[k] - steps[k - 1]) > REGULAR * steps[k]] + [len(steps)]
    return [slice(a, b) for a, b in itertools.pairwise(edges)]
