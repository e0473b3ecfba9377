r"""Closed forms of the output of a device with inertia: `thermolinalg.laws` for underdamped dynamics.

The device ``dx = (p/M) dt, dp = -(A x - b) dt - (gamma/M) p dt + sqrt(2 gamma/beta) dW`` is a bundle of damped
oscillators. In a mode, with xi = gamma/(2 M) and delta^2 = xi^2 - lam/M (negative when it oscillates), all follows
from the answer g of x to a unit impulse and its derivative and integral:

    g(t) = e^{-xi t} sinh(delta t)/delta,    f = g' + 2 xi g,    response(t) = (1/M) int_0^t g.

g is entire in delta^2, so that nothing special happens at critical damping; delta^2 itself is found from an exact
difference of products. Covariances are sums of squares along the path: a short step by Gauss-Legendre quadrature, then
doublings, each with a fresh closed form for the mean. Neither has a cancellation at any damping.

A protocol starts at a known x(0) = x0 with p(0) = 0 and answers as those of `thermolinalg.laws` do:

    mean = memory(A) x0 + response(A) b,        covariance = variance(A) / beta.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from threading import RLock

import numpy as np

from .. import _validation
from .._typing import FloatArray, Numbers
from . import bounds, overdamped
from .readout import IndependentProtocol, IntegratorProtocol, Protocol, ReadsProtocol, SpacedProtocol, at

SHORT = 0.5  # rate times step up to which a step is short: series and quadrature reach full accuracy
SETTLED = 4.0  # relaxation times from which equilibrium less what is left of the start has no cancellation
SERIES_TERMS = 24
DEAD, LAG_BLOCK = 40.0, 1024  # relaxation times after which a correlation is nothing; lags summed at a time
REMEMBERED = 4  # stretches that a set of modes keeps
NODES, WEIGHTS = (0.5 * (a + c) for a, c in zip(np.polynomial.legendre.leggauss(10), (1.0, 0.0), strict=True))
_SPLIT = 134217729.0  # 2^27 + 1 (Veltkamp)


def _exact_product(a: FloatArray, b: FloatArray) -> tuple[FloatArray, FloatArray]:
    """a b and its rounding error, both floats (Dekker)."""
    product = a * b
    high_a, high_b = (_SPLIT * v - (_SPLIT * v - v) for v in (a, b))
    low_a, low_b = a - high_a, b - high_b
    return product, ((high_a * high_b - product) + high_a * low_b + low_a * high_b) + low_a * low_b


def discriminant(lam: Numbers, mass: float, friction: float) -> FloatArray:
    """gamma^2 - 4 M lam to full relative accuracy, also next to critical damping."""
    square, square_rest = _exact_product(np.asarray(float(friction)), np.asarray(float(friction)))
    product, product_rest = _exact_product(np.asarray(4.0 * mass), np.asarray(lam, dtype=float))
    return (square - product) + (square_rest - product_rest)


def _phi1(x: FloatArray) -> FloatArray:
    """`overdamped.phi1` with its limit 1 at x = 0."""
    return overdamped.phi1(np.where(x == 0.0, 1.0, x)) * (x != 0.0) + (x == 0.0)


def _sinc(x: FloatArray) -> FloatArray:
    """sin(x) / x with its limit 1 at x = 0."""
    safe = np.where(x == 0.0, 1.0, x)
    return np.where(x == 0.0, 1.0, np.sin(safe) / safe)


class Modes:
    """Damped oscillators: rates of the modes of A with eigenvalues `lam` (m,), and their answers in time.

    Attributes
    ----------
    xi : float
        gamma / (2 M): decay rate of an oscillating mode.
    slow, fast : (m,) ndarray
        Decay rate of a mode; the fastest rate at which anything happens in it.
    """

    def __init__(self, lam: Numbers, mass: float, friction: float) -> None:
        self.lam, self.mass, self.friction = np.asarray(lam, dtype=float).ravel(), mass, friction
        self._remembered: dict[float | tuple[int, float], Stretch] = {}
        self._lock = RLock()  # chains on several threads share the oscillators of a tile of modes
        difference = discriminant(self.lam, mass, friction)
        root = np.sqrt(np.abs(difference))
        self.xi = 0.5 * friction / mass
        self.oscillates = difference < 0.0
        self.delta = 0.5 * root / mass
        self.slow = np.where(self.oscillates, self.xi, 2.0 * self.lam / (friction + root))
        self.fast = np.where(self.oscillates, np.sqrt(self.lam / mass), self.xi + self.delta)

    def answers(self, time: Numbers) -> tuple[FloatArray, FloatArray, FloatArray]:
        """f, g and g' at `time`: a number, or an array that broadcasts with (m,)."""
        if np.ndim(time) == 0 and np.isinf(time):
            return (np.zeros_like(self.lam),) * 3
        a = self.delta * time
        decay = np.exp(-self.slow * time)
        q = np.exp(-2.0 * a)
        even = decay * np.where(self.oscillates, np.cos(a), 0.5 * (1.0 + q))
        g = decay * time * np.where(self.oscillates, _sinc(a), _phi1(2.0 * a))
        apart = ~self.oscillates & (2.0 * a > 1.0)
        twice = np.where(apart, 2.0 * self.delta, 1.0)
        derivative = np.where(apart, decay * (self.fast * q - self.slow) / twice, even - self.xi * g)
        return even + self.xi * g, g, derivative

    def integral(self, time: Numbers) -> FloatArray:
        """int_0^time g dt: M times the response of the mean x to b."""
        if np.ndim(time) == 0 and np.isinf(time):
            return self.mass / self.lam
        short = self.fast * time <= SHORT
        apart = (self.slow < 0.5 * self.fast) & (self.slow * time < 1.0) & ~self.oscillates
        slow, fast = (np.where(apart, rate, 1.0) for rate in (self.slow, self.fast))
        divided = time * (_phi1(slow * time) - _phi1(fast * time)) / np.where(apart, fast - slow, 1.0)
        settled = (1.0 - self.answers(time)[0]) * self.mass / self.lam
        later = np.where(apart, divided, settled)
        return np.where(short, self._series(np.where(short, time, 0.0)), later) if short.any() else later

    def _series(self, time: Numbers) -> FloatArray:
        """Taylor series of the integral of g, from R'' + 2 xi R' + (lam/M) R = 1."""
        damping, spring = 2.0 * self.xi * time, self.lam / self.mass * time**2
        before, term = np.zeros_like(spring), 0.5 * time**2 * np.ones_like(spring)
        total = term.copy()
        for k in range(1, SERIES_TERMS):
            before, term = term, -(damping * (k + 1) * term + spring * before) / ((k + 1) * (k + 2))
            total += term
        return total

    def transition(self, time: float) -> FloatArray:
        """Matrix (2, 2, m) that takes the mean of (x, p) over `time`."""
        f, g, derivative = self.answers(time)
        return np.array([[f, g / self.mass], [-self.lam * g, derivative]])

    def increment(self, time: float) -> FloatArray:
        """What b = 1 adds to the mean of (x, p) over `time`: (2, m)."""
        return np.array([self.integral(time) / self.mass, self.answers(time)[1]])

    def equilibrium(self) -> FloatArray:
        """Stationary covariance (2, 2, m) of (x, p) at beta = 1."""
        zero = np.zeros_like(self.lam)
        return np.array([[1.0 / self.lam, zero], [zero, zero + self.mass]])

    def covariance(self, time: float) -> FloatArray:
        """Covariance (2, 2, m) of (x, p) at beta = 1, `time` after a known state; `time` may be infinite."""
        if np.isinf(time):
            return self.equilibrium()
        if time == 0.0:
            return np.zeros((2, 2, self.lam.size))
        if self.slow.min() * time < SETTLED:
            return self.stretch(time).noise[:2, :2]
        f, g, derivative = self.answers(time)
        spring, xp = self.lam * g**2 / self.mass, self.friction / self.mass * g**2
        return np.array([[(1.0 - f**2 - spring) / self.lam, xp], [xp, self.mass * (1.0 - spring - derivative**2)]])

    def remembered(self, key: float | tuple[int, float], make: Callable[[], "Stretch"]) -> "Stretch":
        """What `make` made for this key before: a plan, and every chain, asks for the same stretch again and again."""
        with self._lock:
            self._remembered[key] = made = self._remembered.pop(key, None) or make()  # moved to the end: used last
            while len(self._remembered) > REMEMBERED:
                del self._remembered[next(iter(self._remembered))]
        return made

    def stretch(self, time: float) -> "Stretch":
        """The joint law of (x, p, integral of x dt) over `time`, finite: from a short step by doublings."""
        return self.remembered(time, lambda: self._stretch(time))

    def _stretch(self, time: float) -> "Stretch":
        doublings = max(0, int(np.ceil(np.log2(max(self.fast.max() * time / SHORT, 1e-300)))))
        step = time / 2.0**doublings
        law = Stretch(self.matrix(step), self._increment3(step), self._short_noise(step))
        law.increment[2] = 0.5 * step**2 * self._mean_integral(step)
        for _ in range(doublings):
            law, step = law.then(law), 2.0 * step
            law.matrix[:] = self.matrix(step)
            law.increment[:2] = self.increment(step)
        return law

    def matrix(self, time: float) -> FloatArray:
        """Mean of (x, p, int x) from (x, p, int x): (3, 3, m); the integral of f is g + 2 xi times that of g."""
        out = np.zeros((3, 3, self.lam.size))
        out[:2, :2], out[2, 2] = self.transition(time), 1.0
        integral = self.integral(time)
        out[2, 0], out[2, 1] = self.answers(time)[1] + 2.0 * self.xi * integral, integral / self.mass
        return out

    def _increment3(self, time: float) -> FloatArray:
        return np.vstack((self.increment(time), np.zeros(self.lam.size)))

    def _at_nodes(self, step: float) -> tuple[FloatArray, FloatArray, FloatArray]:
        """g, g' and the integral of g at the nodes of the quadrature over a short step: (nodes, m) each."""
        times = (step * NODES)[:, None]
        _, g, derivative = self.answers(times)
        return g, derivative, self._series(times)

    def _mean_integral(self, step: float) -> FloatArray:
        """(2 / step^2) int_0^step response dt over a short step."""
        return 2.0 / step * (WEIGHTS @ self._at_nodes(step)[2]) / self.mass

    def _short_noise(self, step: float) -> FloatArray:
        """Covariance (3, 3, m) of (x, p, int x) after a short step from a known state, at beta = 1."""
        g, derivative, integral = self._at_nodes(step)
        strength = 2.0 * self.friction * step
        xx, pp, ii = (strength * (WEIGHTS @ v**2) for v in (g / self.mass, derivative, integral / self.mass))
        pi = strength / self.mass * (WEIGHTS @ (derivative * integral))
        xp = self.friction / self.mass * self.answers(step)[1] ** 2
        xi = self.friction * (self.integral(step) / self.mass) ** 2
        return np.array([[xx, xp, xi], [xp, pp, pi], [xi, pi, ii]])


@lru_cache(maxsize=8)
def modes_of(lam: bytes, mass: float, friction: float) -> Modes:
    """The oscillators of eigenvalues given as bytes, made once."""
    return Modes(np.frombuffer(lam), mass, friction)


@dataclass(frozen=True)
class Stretch:
    """An affine map with noise, z -> matrix z + increment b + noise, of z = (x, p, accumulated x) for m modes.

    ``matrix`` and ``noise`` (a covariance at beta = 1) are (3, 3, m), ``increment`` is (3, m).
    """

    matrix: FloatArray
    increment: FloatArray
    noise: FloatArray

    def then(self, later: "Stretch") -> "Stretch":
        """This map and after it another."""
        matrix = np.einsum("ijm,jkm->ikm", later.matrix, self.matrix)
        increment = np.einsum("ijm,jm->im", later.matrix, self.increment) + later.increment
        carried = np.einsum("ijm,jkm->ikm", later.matrix, self.noise)
        noise = np.einsum("ijm,kjm->ikm", carried, later.matrix) + later.noise
        return Stretch(matrix, increment, 0.5 * (noise + noise.transpose(1, 0, 2)))


def reads_stretch(modes: Modes, n_reads: int, spacing: float) -> Stretch:
    """(x, p, sum of x) over n reads, the first at the start, the last at the end."""
    return modes.remembered((n_reads, spacing), lambda: _reads_stretch(modes, n_reads, spacing))


def _reads_stretch(modes: Modes, n_reads: int, spacing: float) -> Stretch:
    """(x, p, sum of x) over n reads, the first at the start, the last at the end: by doublings of one step."""
    size = modes.lam.size
    read = np.zeros((3, 3, size))
    read[[0, 1, 2], [0, 1, 2]] = read[2, 0] = 1.0
    total = Stretch(read, np.zeros((3, size)), np.zeros((3, 3, size)))  # the last read, with nothing after it
    step = Stretch(np.zeros((3, 3, size)), np.zeros((3, size)), np.zeros((3, 3, size)))
    step.matrix[:2, :2], step.matrix[2, 0], step.matrix[2, 2] = modes.transition(spacing), 1.0, 1.0
    step.increment[:2], step.noise[:2, :2] = modes.increment(spacing), modes.covariance(spacing)
    left, length = n_reads - 1, 1
    while left:
        if left & 1:
            total = step.then(total)
        left >>= 1
        if left:
            step, length = step.then(step), 2 * length
            step.matrix[:2, :2], step.increment[:2] = (
                modes.transition(length * spacing),
                modes.increment(length * spacing),
            )
    return total


Step = tuple[FloatArray, FloatArray, FloatArray]  # transition, drift increment and Cholesky factor of the noise


def exact_step(modes: Modes, time: float, drive: FloatArray, beta: float) -> Step:
    """An exact step of (x, p) for `kernels.underdamped.exact_steps`, driven by b in mode coordinates.

    Transition (4, m), increment (2, m) and Cholesky factor of the noise (3, m).
    """
    factor = _cholesky(modes.covariance(time) / beta)
    return modes.transition(time).reshape(4, -1), modes.increment(time) * drive, factor


def integrating_step(modes: Modes, time: float, drive: FloatArray, beta: float) -> Step:
    """An exact step of (x, p, integral of x dt) for `kernels.underdamped.integral_steps`, `time` finite and positive.

    Transition (6, m), increment (3, m) and Cholesky factor of the noise (6, m).
    """
    law = modes.stretch(time)
    return law.matrix[:, :2].reshape(6, -1), law.increment * drive, _cholesky(law.noise / beta)


def _cholesky(C: FloatArray) -> FloatArray:
    """Cholesky factors of covariances (n, n, m), their rows one after the other; zero where there is no noise."""
    L = np.zeros_like(C)
    for i in range(len(C)):
        for j in range(i + 1):
            rest = C[i, j] - np.sum(L[i, :j] * L[j, :j], axis=0)
            if i == j:
                L[i, i] = np.sqrt(np.maximum(rest, 0.0))
            else:
                np.divide(rest, L[j, j], out=L[i, j], where=L[j, j] > 0.0)
    return np.array([L[i, j] for i in range(len(C)) for j in range(i + 1)])


@dataclass(frozen=True, kw_only=True)
class UnderdampedProtocol(Protocol):
    """The part that all protocols of underdamped dynamics share; subclasses say what they do after `burn_in` [RC].

    They do it by two methods: `_weights`, of x and p at the end of the burn-in, and `_since`, the response to b from
    there on and the variance (beta = 1) that comes in.
    """

    overdamped = False

    burn_in: float
    mass: float
    friction: float

    def _weights(self, modes: Modes) -> tuple[FloatArray, FloatArray]:
        return np.ones_like(modes.lam), np.zeros_like(modes.lam)

    def _since(self, modes: Modes) -> tuple[FloatArray, FloatArray]:
        return np.zeros_like(modes.lam), np.zeros_like(modes.lam)

    def modes(self, lam: Numbers) -> Modes:
        """The oscillators of these eigenvalues."""
        return modes_of(np.asarray(lam, dtype=float).tobytes(), self.mass, self.friction)

    def decay_rates(self, lam: FloatArray) -> tuple[float, float]:
        """Slowest and fastest rate at which the mean of a mode with eigenvalue in `lam` moves."""
        modes = self.modes(lam)
        return float(modes.slow.min()), float(modes.fast.max())

    def memory(self, lam: Numbers) -> FloatArray:
        """Weight of x0."""
        modes = self.modes(lam)
        f, g, _ = modes.answers(self.burn_in)
        of_x, of_p = self._weights(modes)
        return (of_x * f - of_p * modes.lam * g).reshape(np.shape(lam))

    def memory_bound(self, lam: Numbers) -> FloatArray:
        """A bound of ``|memory|`` that only falls as the burn-in grows, where memory itself may oscillate."""
        modes, t = self.modes(lam), self.burn_in
        of_x, of_p = self._weights(modes)
        later = np.maximum(t, 1.0 / modes.slow)
        peak = later * np.exp(-modes.slow * later) if np.isfinite(t) else 0.0
        inverse = 1.0 / np.maximum(modes.delta * (2.0 - modes.oscillates), np.finfo(float).tiny)
        g = np.minimum(inverse * np.exp(-modes.slow * t), peak)
        f = np.where(modes.oscillates, np.exp(-modes.slow * t) + modes.xi * g, modes.answers(t)[0])
        return (np.abs(of_x) * f + np.abs(of_p) * modes.lam * g).reshape(np.shape(lam))

    def memory_after(self, lam: FloatArray, distance: FloatArray) -> Callable[[float], FloatArray]:
        """Bounds of what is left of each `distance` from the answer, as a function of the burn-in."""
        return lambda burn_in: self.with_burn_in(burn_in).memory_bound(lam) * distance

    def variance_after(self, lam: Numbers) -> Callable[[float], FloatArray]:
        """Variance at beta = 1 as a function of the burn-in."""
        return lambda burn_in: self.with_burn_in(burn_in).variance(lam)

    def response(self, lam: Numbers) -> FloatArray:
        """Weight of b."""
        modes = self.modes(lam)
        (of_x, of_p), (x, p) = self._weights(modes), modes.increment(self.burn_in)
        return (of_x * x + of_p * p + self._since(modes)[0]).reshape(np.shape(lam))

    def variance(self, lam: Numbers) -> FloatArray:
        """Variance at beta = 1: what the state at burn_in brings, plus the noise since."""
        modes = self.modes(lam)
        (of_x, of_p), C = self._weights(modes), modes.covariance(self.burn_in)
        brought = of_x**2 * C[0, 0] + 2.0 * of_x * of_p * C[0, 1] + of_p**2 * C[1, 1]
        return (brought + self._since(modes)[1]).reshape(np.shape(lam))

    def slowest(self, low: float) -> float:
        """The eigenvalue from `low` down that bounds those from `low` on: modes that creep bound those that turn."""
        return bounds.creeping(low, self.mass, self.friction)

    def variance_at_least(self, low: float, high: float) -> float:
        """The smallest variance (beta = 1) for eigenvalues from `low` to `high`, at the burn-in of the protocol."""
        slowest = self.slowest(low)
        return at(self.variance, slowest) * slowest / high


@dataclass(frozen=True, kw_only=True)
class Voltage(UnderdampedProtocol):
    """The voltages at one time, `burn_in` [RC] after the start."""

    n_reads = None
    spacing = None


class _Products(UnderdampedProtocol, ReadsProtocol):
    """Second moments of reads."""

    def second_moment_memory(self, lam: FloatArray) -> Callable[[float], FloatArray]:
        """At most what the mean of y^2 in each mode, at rest in the beginning, lacks at beta = 1, by the burn-in.

        It is what the first read lacks: later reads of one run lack less.
        """
        modes = self.modes(lam)

        def missing(burn_in: float) -> FloatArray:
            f, g, _ = modes.answers(burn_in)
            return f**2 / lam + g**2 / modes.mass

        return missing


@dataclass(frozen=True, kw_only=True)
class IndependentReads(_Products, IndependentProtocol):
    """The mean of `n_reads` voltages, each read `burn_in` [RC] after a fresh start."""

    n_reads: int

    def variance(self, lam: Numbers) -> FloatArray:
        """Variance at beta = 1."""
        return super().variance(lam) / self.n_reads


@dataclass(frozen=True, kw_only=True)
class Integrator(UnderdampedProtocol, IntegratorProtocol):
    """An analog integrator: the mean voltage over [burn_in, burn_in + duration] [RC]."""

    duration: float

    def _weights(self, modes: Modes) -> tuple[FloatArray, FloatArray]:
        of_x, of_p = modes.matrix(self.duration)[2, :2] / self.duration
        return of_x, of_p

    def _since(self, modes: Modes) -> tuple[FloatArray, FloatArray]:
        law = modes.stretch(self.duration)
        return law.increment[2] / self.duration, law.noise[2, 2] / self.duration**2

    def variance_at_most(self, low: float) -> float:
        """The largest variance (beta = 1) from equilibrium for eigenvalues from `low` on: the smaller of two bounds."""
        return min(
            super().variance_at_most(low), bounds.integral_variance(low, self.duration, self.mass, self.friction)
        )

    def variance_at_least(self, low: float, high: float) -> float:
        """The smallest variance (beta = 1) for eigenvalues from `low` to `high`.

        It is what noise since the burn-in leaves, ``(2 gamma / duration^2) int (1 - f)^2 / lam^2``.
        """
        slowest = self.slowest(low)
        since = self.modes(np.array([slowest])).stretch(self.duration).noise[2, 2, 0] / self.duration**2
        return float(since * (slowest / high) ** 2)


@dataclass(frozen=True, kw_only=True)
class Reads(_Products, SpacedProtocol):
    """The mean of `n_reads` voltages, the first at `burn_in`, then one every `spacing` [RC]."""

    n_reads: int
    spacing: float

    def _weights(self, modes: Modes) -> tuple[FloatArray, FloatArray]:
        of_x, of_p = reads_stretch(modes, self.n_reads, self.spacing).matrix[2, :2] / self.n_reads
        return of_x, of_p

    def _since(self, modes: Modes) -> tuple[FloatArray, FloatArray]:
        law = reads_stretch(modes, self.n_reads, self.spacing)
        return law.increment[2] / self.n_reads, law.noise[2, 2] / self.n_reads**2

    def variance_at_least(self, low: float, high: float) -> float:
        """The smallest variance (beta = 1) for eigenvalues from `low` to `high`.

        It is what noise since the last but one read leaves in the last, 1/n^2 times ``(1 - energy left) / lam``.
        """
        slowest = self.slowest(low)
        last = self.burn_in if self.n_reads == 1 else self.spacing
        variance = self.modes(np.array([slowest])).covariance(last)[0, 0, 0]
        return float(variance * slowest / high) / self.n_reads**2

    def pair_variances(self, lam: FloatArray, rows: slice = slice(None), columns: slice = slice(None)) -> FloatArray:
        """Variances (d, d) of the mean of y_i y_j over reads in equilibrium; for i = j half that of y_i^2.

        (1/n) sum_k (1 - |k|/n) r_i(k) r_j(k) of the autocovariances r, block by block until they have died away.
        """
        modes = self.modes(lam)
        n, total = self.n_reads, np.multiply.outer(1.0 / lam, 1.0 / lam)
        slowest = modes.slow.min() * self.spacing
        last = int(min(n - 1, np.ceil(DEAD / slowest)))
        for start in range(1, last + 1, LAG_BLOCK):
            lags = np.arange(start, min(start + LAG_BLOCK, last + 1))
            r = np.array([modes.answers(lag * self.spacing)[0] for lag in lags]) / lam
            total += 2.0 * (r * (1.0 - lags / n)[:, None]).T @ r
        return (total / n)[rows, columns]


def critical_friction(lambda_min: float, mass: float = 1.0) -> float:
    """Friction at which the slowest mode of an underdamped device is critically damped: ``2 sqrt(mass lambda_min)``.

    Less friction leaves that mode oscillating, and every mode relaxes in ``2 mass / friction``; more slows it down
    towards the overdamped ``friction / lambda_min``. At the critical value the relaxation time is
    ``sqrt(mass / lambda_min)``, so that it grows as the square root of the condition number.

    Parameters
    ----------
    lambda_min : float
        Smallest eigenvalue of A, in units of the reference conductance.
    mass : float, optional
        Inertia of a cell, in units of (friction 1) times RC.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        lambda_min or mass is not positive.

    See Also
    --------
    thermolinalg.Inertia : the dynamics that take this friction by default.

    Examples
    --------
    >>> critical_friction(0.25, mass=4.0)
    2.0
    """
    return 2.0 * float(np.sqrt(_validation.positive(mass, "mass") * _validation.positive(lambda_min, "lambda_min")))
