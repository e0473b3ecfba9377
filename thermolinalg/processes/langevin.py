"""`Langevin`: a device whose cells have inertia, in law and along paths."""

import itertools
from dataclasses import dataclass

import numpy as np

from .. import _validation
from .._typing import ArrayLike, FloatArray, RNGLike
from ..laws import critical_friction
from ..laws import underdamped as laws
from ..numerics.blocks import chain_tiles, noise_blocks
from ..numerics.kernels import underdamped as kernels
from ..numerics.threads import run_chains
from ..operators import Dense, Krylov, Matrix, Modal, as_operator
from .base import LinearProcess
from .likelihood import increments

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


class _Protocols:
    """Protocols of cells with inertia, made from times that are checked."""

    mass: float
    friction: float

    def voltage(self, time: float) -> laws.Voltage:
        """Protocol: the voltages at one time [RC]."""
        return laws.Voltage(burn_in=_time(time), mass=self.mass, friction=self.friction)

    def independent_reads(self, burn_in: float, n_reads: int) -> laws.IndependentReads:
        """Protocol: the mean of reads, each `burn_in` [RC] after a fresh start."""
        n_reads = _validation.count(n_reads, "n_reads")
        return laws.IndependentReads(burn_in=_time(burn_in), n_reads=n_reads, mass=self.mass, friction=self.friction)

    def integrator(self, burn_in: float, duration: float) -> laws.Integrator:
        """Protocol: the mean voltage over [burn_in, burn_in + duration] [RC]."""
        duration = _validation.positive(duration, "duration")
        return laws.Integrator(burn_in=_time(burn_in), duration=duration, mass=self.mass, friction=self.friction)

    def reads(self, burn_in: float, n_reads: int, spacing: float) -> laws.Reads:
        """Protocol: the mean of reads, the first at `burn_in`, then one every `spacing` [RC]."""
        n_reads, spacing = _validation.count(n_reads, "n_reads"), _validation.positive(spacing, "spacing")
        return laws.Reads(
            burn_in=_time(burn_in), n_reads=n_reads, spacing=spacing, mass=self.mass, friction=self.friction
        )


class Langevin(_Protocols, LinearProcess):
    """A thermal network with inertia: ``dx = (p/M) dt, dp = -(A x - b) dt - (gamma/M) p dt + sqrt(2 gamma/beta) dW``.

    Its state is (x, p), 2d numbers. Its equilibrium is that of the overdamped device, x ~ N(A^-1 b, A^-1/beta), with an
    independent p ~ N(0, M I/beta); the way there is different. Every mode of A is a damped oscillator whose law is
    known in closed form at any damping. The variance of a long time average is ``2 gamma / (beta duration) A^-2``
    whatever the mass, so that less friction shortens averaging, until relaxation, 2 M / gamma where modes oscillate,
    takes longer.

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

    See Also
    --------
    OrnsteinUhlenbeck : any stable drift, also that of (x, p) here.
    thermolinalg.Inertia : cells with inertia in `solve` and `inv`.

    Notes
    -----
    `voltage`, `independent_reads`, `integrator` and `reads` give protocols with methods ``memory``, ``response`` and
    ``variance``, functions of an eigenvalue as in `thermolinalg.laws`.

    Examples
    --------
    >>> import numpy as np
    >>> device = Langevin.critically_damped([[1.0, 0.0], [0.0, 0.01]], [1.0, 0.01])
    >>> round(device.friction, 6), round(device.relaxation_time, 4)
    (0.2, 10.0)
    >>> times = np.arange(100.0, 1100.0)
    >>> states = device.sample(times, rng=0)
    >>> states.shape
    (1, 1000, 4)
    """

    def __init__(
        self, A: Matrix, b: ArrayLike | None = None, *, mass: float, friction: float, beta: float = 1.0
    ) -> None:
        operator = as_operator(A)
        self.operator: Modal = Dense(operator.dense()) if isinstance(operator, Krylov) else operator
        d = self.operator.shape[0]
        self.b = np.zeros(d) if b is None else _validation.vector(b, "b", d)
        self.mass = _validation.positive(mass, "mass")
        self.friction = _validation.positive(friction, "friction")
        self.beta = _validation.positive(beta, "beta", infinite=True)
        self._modes = laws.Modes(self.operator.rates, self.mass, self.friction)

    @classmethod
    def critically_damped(
        cls, A: Matrix, b: ArrayLike | None = None, *, mass: float = 1.0, beta: float = 1.0
    ) -> "Langevin":
        """The device whose slowest mode is critically damped: friction ``2 sqrt(mass lambda_min)``."""
        operator = as_operator(A)
        return cls(operator, b, mass=mass, friction=critical_friction(operator.bounds[0], mass), beta=beta)

    @property
    def dimension(self) -> int:
        """2d."""
        return 2 * self.b.size

    @property
    def relaxation_times(self) -> FloatArray:
        """Time in which what is left of the start falls by e, of each mode [RC]: 2 M / gamma where it oscillates."""
        return 1.0 / self._modes.slow

    @property
    def relaxation_time(self) -> float:
        """The longest of the `relaxation_times` [RC]."""
        return float(self.relaxation_times.max())

    def stationary(self) -> tuple[FloatArray, FloatArray]:
        """Mean (2d,) and covariance (2d, 2d) of (x, p) in equilibrium."""
        rest = self.operator.function(np.reciprocal, self.b)
        return np.concatenate((rest, np.zeros_like(rest))), self.covariance(np.inf)

    def transition(self, h: float) -> tuple[FloatArray, FloatArray]:
        """M and Q, the covariance of the noise, of a step h [RC], both (2d, 2d); h may be infinite."""
        h = _time(h)
        return self._of_matrices(self._modes.transition(h)), self.covariance(h)

    def propagator(self, h: float) -> FloatArray:
        """M (2d, 2d) of `transition` alone."""
        return self._of_matrices(self._modes.transition(_time(h)))

    def covariance(self, t: float) -> FloatArray:
        """Covariance (2d, 2d) of (x, p) a time t [RC] after a known start; t may be infinite."""
        return self._of_matrices(self._modes.covariance(_time(t)) / self.beta)

    def mean(self, t: float, x0: ArrayLike) -> FloatArray:
        """Mean (2d,) of (x, p) a time t [RC] after the start at the state x0 (2d,); t may be infinite."""
        start = self._to_modes(_validation.vector(x0, "x0", self.dimension))
        t, drive = _time(t), self.operator.to_modes(self.b)
        return self._from_modes(
            np.einsum("ijm,jm->im", self._modes.transition(t), start) + self._modes.increment(t) * drive
        )

    def _lagged(self, lag: float) -> FloatArray:
        transition = self._modes.transition(_time(lag))
        return self._of_matrices(np.einsum("ijm,jkm->ikm", transition, self._modes.equilibrium()) / self.beta)

    def _of_matrices(self, blocks: FloatArray) -> FloatArray:
        """The (2d, 2d) matrix whose blocks are functions of A, given on the mode coordinates: (2, 2, m)."""
        identity = self.operator.to_modes(np.eye(self.operator.shape[0]))
        return np.block([[self.operator.from_modes(f[:, None] * identity) for f in row] for row in blocks])

    def _to_modes(self, states: FloatArray) -> FloatArray:
        """x and p in mode coordinates, (2, m) of a state (2d,) or (2, n, m) of n states (n, 2d)."""
        halves = np.split(states, 2, axis=-1)
        return np.array([self.operator.to_modes(np.ascontiguousarray(half.T)).T for half in halves])

    def _from_modes(self, modes: FloatArray) -> FloatArray:
        """States (2d,) or (n, 2d) of x and p in mode coordinates, (2, m) or (2, n, m)."""
        return np.concatenate([self.operator.from_modes(half.T).T for half in modes], axis=-1)

    def sample(
        self, times: ArrayLike, x0: ArrayLike | None = None, *, n_chains: int = 1, rng: RNGLike = None,
        workers: int | None = None,
    ) -> FloatArray:  # fmt: skip
        """Sample paths from their exact law: exact steps of every mode.

        Parameters
        ----------
        times : (n,) array_like
            Increasing times [RC], equally spaced or not; the first is the time of the start.
        x0 : (2d,) or (n_chains, 2d) array_like, optional
            State (x, p) at ``times[0]``; by default sampled from the stationary law.
        n_chains : int
            Independent paths.
        rng : {None, int, Generator, ...}, optional
            Passed to `numpy.random.default_rng`.
        workers : int, optional
            Threads over chains; any number gives the same bits.

        Returns
        -------
        (n_chains, n, 2d) ndarray
            x, then p.

        Raises
        ------
        ValueError
            Times that do not increase, x0 of another shape.
        """
        at, n_chains = _validation.vector(times, "times"), _validation.count(n_chains, "n_chains")
        steps = increments(at)[0]
        given = self._start(x0, n_chains)
        starts = None if given is None else self._to_modes(np.broadcast_to(given, (n_chains, self.dimension)))
        runs = [(run, self._step(steps[run.start])) for run in _equal_runs(steps)]

        def chain(generator: np.random.Generator, c: int) -> FloatArray:
            x, p = _equilibrium(self, generator) if starts is None else starts[:, c].copy()
            modes = np.empty((2, at.size, x.size))
            modes[:, 0] = x, p
            xs, ps = modes[:, 1:]
            for run, step in runs:
                _simulate(generator, step, x, p, xs[run], ps[run])
            return self._from_modes(modes)

        paths = np.array(run_chains(chain, _validation.generator(rng), range(n_chains), workers))
        if given is not None:
            paths[:, 0] = given
        return _validation.finite_result(paths, "a path")

    def _step(self, time: float) -> laws.Step:
        return laws.exact_step(self._modes, time, self.operator.to_modes(self.b), self.beta)

    def baoab(
        self, *, dt: float, n_steps: int, burn_in_steps: int = 0, x0: ArrayLike | None = None, n_chains: int = 1,
        rng: RNGLike = None, workers: int | None = None,
    ) -> LangevinPaths:  # fmt: skip
        """Step the physics on the plain matrix by the BAOAB splitting, many chains at once.

        A step is half a step of the force, half a drift, friction and noise exactly, half a drift, half a step of the
        force. Only products A x are used: neither eigenvectors nor an inverse. The stationary law of x is exact at any
        stable step; the variance of p, and both covariances on the way there, are off by O(dt^2).

        Parameters
        ----------
        dt : float
            Step [RC], below ``2 sqrt(mass / lambda_max)``.
        n_steps, burn_in_steps : int
            Steps that are averaged, and steps before those.
        x0 : (2d,) or (n_chains, 2d) array_like, optional
            State (x, p) at the start; default 0.
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
        given = self._start(x0, n_chains)
        starts = np.zeros(self.dimension) if given is None else given
        starts = np.broadcast_to(starts, (n_chains, self.dimension))

        def tile(generator: np.random.Generator, chains: slice) -> tuple[FloatArray, FloatArray, FloatArray]:
            return _splitting_average(self, generator, dt, burn_in_steps, n_steps, starts[chains])

        numbers = (burn_in_steps + n_steps) * n_chains * self.b.size
        results = run_chains(tile, _validation.generator(rng), chain_tiles(n_chains, self.b.size), workers, numbers)
        average, x, p = (
            _validation.finite_result(np.concatenate(part), "a BAOAB path") for part in zip(*results, strict=True)
        )
        deflation = (1.0 - (dt / limit) ** 2 * low / high, 1.0 - (dt / limit) ** 2)
        return LangevinPaths(average=average, x=x, p=p, dt=dt, momentum_deflation=deflation)


def _equilibrium(device: Langevin, generator: np.random.Generator) -> FloatArray:
    """x and p in equilibrium, in mode coordinates (2, m)."""
    rates = device.operator.rates
    start = generator.standard_normal((2, rates.size))
    start *= np.sqrt(np.array([1.0 / rates, np.full(rates.size, device.mass)]) / device.beta)
    start[0] += device.operator.to_modes(device.b) / rates
    return start


def _simulate(
    generator: np.random.Generator, step: laws.Step, x: FloatArray, p: FloatArray, xs: FloatArray, ps: FloatArray
) -> None:
    """Exact steps from x and p (m,), which move on, one per row of xs and ps (n, m), which are filled."""
    done = 0
    for noise in noise_blocks(generator, len(xs), (2, x.size)):
        rows = slice(done, done + len(noise))
        kernels.exact_steps(*step, noise, x, p, xs[rows], ps[rows])
        done = rows.stop


def _splitting_average(
    device: Langevin, generator: np.random.Generator, dt: float, burn_in_steps: int, n_steps: int, start: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Average of x over steps after a burn-in, then the last x and p, each (chains, d), from start (chains, 2d)."""
    x, p = (np.array(half, order="C") for half in np.split(start, 2, axis=1))
    unused, total = np.zeros_like(x), np.zeros_like(x)
    splitting_steps(device, generator, dt, burn_in_steps, x, p, unused)
    splitting_steps(device, generator, dt, n_steps, x, p, total)
    return total / n_steps, x, p


def splitting_steps(
    device: Langevin, generator: np.random.Generator, dt: float, steps: int, x: FloatArray, p: FloatArray,
    total: FloatArray,
) -> None:  # fmt: skip
    """BAOAB steps of the chains in the rows of x and p, with one product A x per step."""
    mass, friction = device.mass, device.friction
    decay = np.exp(-friction * dt / mass)
    sd = np.sqrt(-mass * np.expm1(-2.0 * friction * dt / mass) / device.beta)
    product, noise = _products(device.operator, x), np.empty_like(x)
    for _ in range(steps):
        generator.standard_normal(out=noise)
        kernels.force_step(product, device.b, 0.5 * dt, p)
        kernels.drift_noise_drift(0.5 * dt / mass, decay, sd, noise, x, p, total)
        product = _products(device.operator, x)
        kernels.force_step(product, device.b, 0.5 * dt, p)


def _products(operator: Modal, x: FloatArray) -> FloatArray:
    """A x for the states in the rows of x."""
    return np.ascontiguousarray(operator.matvec(x.T).T)


def _time(value: float) -> float:
    return _validation.positive(value, "time", infinite=True, zero=True)


def _equal_runs(steps: FloatArray) -> list[slice]:
    """Slices of consecutive steps of one length (to rounding of the times), which share their law."""
    if not steps.size:
        return []
    edges = [0] + [k for k in range(1, len(steps)) if abs(steps[k] - steps[k - 1]) > REGULAR * steps[k]] + [len(steps)]
    return [slice(a, b) for a, b in itertools.pairwise(edges)]
