"""Averages of products of reads, ``mean of x_{k+lag} x_k^T``, of a device with any stable drift.

`lyapunov` is read from them at lag 0, the matrix exponentials at lag 1.

Everything is at beta = 1, with time in units of the read spacing, unless a name says otherwise.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import scipy.linalg

from .. import _validation
from ..errors import NoClosedLaw
from ..hardware.device import READ_RANGE_SDS, Device
from ..hardware.readout import convert_reads
from ..numerics.blocks import blocks
from ..numerics.products import congruent, sum_of_products
from ..numerics.threads import run_chains, threads
from ..numerics.wishart import wishart_factor
from ..processes.fourth_moments import moment_variance
from ..processes.ornstein_uhlenbeck import OrnsteinUhlenbeck
from ..processes.transitions import geometric_sum, psd_factor, recurrence
from ..results import Estimate
from . import plan
from .common_modes import CommonModes
from .plan import MomentTransient, time_until
from .request import CHAINS_FOR_SCATTER, MOST_READS

ROWS = 1024  # reads that enter an average by one product; part of the definition of the path


@dataclass(frozen=True, kw_only=True, eq=False)
class Correlator:
    """A linear device, its reads, and the products of them that are averaged.

    Attributes
    ----------
    process : OrnsteinUhlenbeck
        The device as its cells are read (`programs.as_read`), with time in units of `spacing`.
    spacing : float
        RC times between reads (or between the two reads of a pair).
    lag : int
        0 or 1 spacings between the factors of a product.
    n_products : int
        Products averaged by one chain.
    independent : bool
        Whether each product has a start of its own, or all come from one trajectory.
    converted : bool
        Whether every read goes through read noise and converter; else the average does, once.
    V : (d, k) ndarray or None
        Vectors that the average is applied to; None: all of it.
    burn_in : float
        RC times before the first read, from x = 0; infinite: from equilibrium.
    """

    process: OrnsteinUhlenbeck
    spacing: float
    lag: int
    n_products: int
    independent: bool
    device: Device
    converted: bool = True
    n_chains: int = 1
    V: np.ndarray | None = None
    burn_in: float = np.inf
    held: dict = field(default_factory=dict, repr=False)  # what copies with another setting need not work out again

    @property
    def step(self) -> tuple[np.ndarray, np.ndarray]:
        """Transition of the process over one spacing."""
        return self._once("step", lambda: self.process.transition(1.0))

    def _once(self, name: str, work: Callable):
        """What `work` gives, for this correlator and its copies."""
        if name not in self.held:
            self.held[name] = work()
        return self.held[name]

    # What is known beforehand ------------------------------------------------------------------------------------

    @property
    def stationary(self) -> np.ndarray:
        """Covariance of the state in equilibrium."""
        return self.process.stationary()[1]

    @cached_property
    def first(self) -> np.ndarray:
        """Covariance of the first read."""
        return self.stationary if np.isinf(self.burn_in) else self.process.covariance(self.burn_in / self.spacing)

    @property
    def common(self) -> CommonModes | None:
        """Modes of the drift, if it is symmetric (at lag 1: and the noise shares them) and all is asked for."""
        if self.V is not None:
            return None
        return self._once("common", lambda: CommonModes.of(self.process, shared_only=self.lag > 0))

    @property
    def read_variance(self) -> float:
        """What read noise and rounding add to the variance of a read, in the units of beta = 1."""
        if not self.converted:
            return 0.0
        rounding = 0.0 if self.device.adc_bits is None else self.read_variance_of_rounding()
        return self.device.beta * self.device.read_noise**2 + rounding

    def _full_scale(self) -> float:
        if self.device.adc_range != "max":
            return float(self.device.adc_range)
        variance = np.diag(self.stationary).max() / self.device.beta + self.device.read_noise**2
        return float(READ_RANGE_SDS * np.sqrt(variance))

    def answer(self) -> np.ndarray:
        """The limit of the average: ``M^lag S``, or that times V."""
        C = self.step[0] @ self.stationary if self.lag else self.stationary
        return C if self.V is None else C @ self.V

    def variance(self) -> np.ndarray:
        """Variance of each entry of the average of reads in equilibrium, all chains together."""
        noise = self.read_variance
        if self.independent:
            M, Q = self.step
            x = self.first + noise * np.eye(len(M))
            y, yx = (M @ self.first @ M.T + Q + noise * np.eye(len(M)), M @ self.first) if self.lag else (x, x)
            spread = _product_variance(x, y, yx, self.V) / self.n_products
        else:
            spread = moment_variance(self.process.drift, self.stationary, self.n_products, self.lag, self.V, noise)
        if not self.converted:
            spread = spread + (self.device.beta * self.device.read_noise) ** 2
        return spread / self.n_chains

    def total_variance(self) -> float:
        """The sum of `variance`, without its entries where modes give it."""
        if self.independent or self.common is None:
            return float(self.variance().sum())
        spread = self.common.total_variance(self.n_products, self.lag, self.read_variance)
        if not self.converted:
            spread += (self.device.beta * self.device.read_noise) ** 2 * self.common.rates.size**2
        return spread / self.n_chains

    def mean_square_of_one(self) -> float:
        """n times the mean square error (Frobenius) of the average of n products, n large."""
        if self.independent:
            return float(self.variance().sum()) * self.n_products * self.n_chains
        return float(
            moment_variance(self.process.drift, self.stationary, np.inf, self.lag, self.V, self.read_variance).sum()
        )

    def transient(self) -> plan.Transient:
        """How the start at x = 0 biases the average."""
        error = float(np.sqrt(self.total_variance()))
        rates = 2.0 * self.process.eigenvalues.real
        ends = {"slowest": rates.min() / self.spacing, "fastest": rates.max() / self.spacing}
        if (common := self.common) is not None:
            scale = common.bias(common.covariance, 0.0, self.lag)
            missing = common.covariance if self.independent else common.missing(self.n_products)
            return plan.Transient(
                lambda t0: common.bias(missing, t0 / self.spacing, self.lag), lambda t0: error, scale, **ends
            )
        return self._transient_of_matrices(error, float(np.linalg.norm(self.answer())), ends)

    def _transient_of_matrices(self, error: float, scale: float, ends: dict) -> MomentTransient:
        M, S = self.step[0], self.stationary
        missing = S if self.independent else geometric_sum(M, S, self.n_products) / self.n_products

        def size(gap):
            gap = gap if self.V is None else gap @ self.V
            return float(np.linalg.norm(M @ gap if self.lag else gap))

        def bias(t0):
            memory = self.process.propagator(t0 / self.spacing)
            return size(memory @ missing @ memory.T)

        least = 0.5 / (ends["fastest"] * self.spacing)
        return MomentTransient(
            bias=bias, noise=lambda t0: error, scale=scale, **ends,
            until=lambda target: self.spacing * time_until(self.process, missing, size, target, least),
        )  # fmt: skip

    def settled(self, burn_in, what: str) -> "Correlator":
        """The same with the burn-in that "auto", "stationary" or a number stands for."""
        if isinstance(burn_in, str):
            _validation.choice(burn_in, "burn_in (or a number)", ("auto", "stationary"))
            return self if burn_in == "stationary" else replace(self, burn_in=float(self.transient().burn_in()))
        return replace(self, burn_in=plan.resolve_burn_in(burn_in, self.transient(), what))

    def choose(self, simulator: str) -> str:
        """The simulator that "auto" stands for, or the one asked for if it can serve."""
        has_law = self.independent and self.device.adc_bits is None and self.converted
        if simulator == "law" and not has_law:
            what = "rounded reads (adc_bits)" if self.independent else "correlated reads (duration or read_spacing)"
            raise NoClosedLaw(f'the average of products of {what} has no closed law; use simulator="path"')
        return ("law" if has_law else "path") if simulator == "auto" else simulator

    def estimate(
        self, simulator: str, rng: np.random.Generator, workers, clipped: dict, kind=Estimate, scale=1.0, **extra
    ):
        """Run the device; the answer is the average times `scale`."""
        chosen = self.choose(simulator)
        if chosen == "law":
            value, (stderr, source), saturated = self.draw(rng), (self.stderr, "law"), 0
        else:
            value, (stderr, source), saturated = self.walk(rng, workers)
        return kind(
            value=_validation.finite_result(scale * value, "the average"), stderr_kind=source,
            stderr_source=(lambda: scale * stderr()) if callable(stderr) else scale * stderr,
            burn_in=0.0 if np.isinf(self.burn_in) else self.burn_in, duration=self.span, n_reads=self.n_products,
            read_spacing=None if self.independent else self.spacing, n_chains=self.n_chains, simulator=chosen,
            device=self.device, cost=self._cost(), clipped=clipped | {"adc": saturated}, **extra,
        )  # fmt: skip

    @property
    def span(self) -> float:
        """Averaging time of one run [RC]."""
        return self.spacing * (self.lag if self.independent else self.n_products)

    def _cost(self):
        """Time of the run; no current is driven, and the heat of a device out of detailed balance is not given."""
        d, n = self.process.dimension, self.n_products
        reads = n * (1 + self.lag) if self.independent else n + self.lag
        return self.device.cost(
            self.process.drift.size, runs=n if self.independent else 1, n_inputs=d * (d + 1) // 2,
            burn_in=0.0 if np.isinf(self.burn_in) else self.burn_in, duration=self.span,
            n_outputs=d * reads if self.converted else d * (d + 1) // 2, n_chains=self.n_chains,
            energies=(0.0, None, None),
        )  # fmt: skip

    # What the device puts out ----------------------------------------------------------------------------------------

    def draw(self, rng: np.random.Generator) -> np.ndarray:
        """The average over independent starts, all chains together, from its law: a block of a Wishart matrix."""
        n, (M, Q), variance = self.n_products * self.n_chains, self.step, self.read_variance
        d = M.shape[0]
        x = self.first + variance * np.eye(d)
        factor = psd_factor(x) @ wishart_factor(rng, d, n)
        moment = factor @ factor.T / n
        if self.lag:
            yx = M @ self.first
            gain = scipy.linalg.lstsq(x, yx.T)[0].T  # of the later read on the one before: M, less for noisy reads
            rest = M @ self.first @ M.T + Q + variance * np.eye(d) - gain @ yx.T
            fresh = psd_factor((rest + rest.T) / 2.0) @ rng.standard_normal((d, factor.shape[1]))
            moment = gain @ moment + fresh @ factor.T / n
        else:
            moment = (moment + moment.T) / 2.0
        return self._calibrated(moment if self.V is None else moment @ self.V)

    def walk(self, rng: np.random.Generator, workers: int | None):
        """The average along paths, its standard error with kind, and how many reads saturated."""
        first, kick = (None, None) if self.in_modes else (psd_factor(self.first), psd_factor(self.step[1]))
        own = threads(workers, among=self.n_chains)
        results = run_chains(lambda g, _: self._chain(g, first, kick, own), rng, range(self.n_chains), workers)
        moments, clipped = [moment for moment, _ in results], sum(n for _, n in results)
        value = self._calibrated(sum(moments) / self.n_chains)
        if self.n_chains < CHAINS_FOR_SCATTER:
            return value, (self.stderr, "law"), clipped
        scatter = np.var(moments, axis=0, ddof=1) / self.n_chains
        return value, (lambda: np.sqrt(scatter + self.rounding_bias() ** 2), "chains"), clipped

    def stderr(self) -> np.ndarray:
        """Standard error of each entry from the law of reads in equilibrium, and from what rounding leaves."""
        return np.sqrt(self.variance() + self.rounding_bias() ** 2)

    def rounding_bias(self) -> np.ndarray | float:
        """What rounding leaves in each entry, the same for all chains and however many reads.

        Of an analog average, converted once, the rms of a rounding error; of reads, the bias of their products.
        """
        adc, beta = self.device.adc, self.device.beta
        if adc.bits is None:
            return 0.0
        C = (self.step[0] @ self.stationary if self.lag else self.stationary) / beta
        if not self.converted:
            return beta * np.sqrt(adc.error_variance(float(adc.range_of(C))))
        variance = np.diag(self.stationary) / beta + self.device.read_noise**2
        still = variance == 0.0  # cells that no noise reaches are read as 0
        gain, square = adc.response_to_noise(self._full_scale(), np.sqrt(np.where(still, 1.0, variance)))
        gain, square = np.where(still, 1.0, gain), np.where(still, 0.0, square)
        bias = beta * (np.outer(gain, gain) - 1.0) * C
        if self.lag == 0:
            bias[np.diag_indices_from(bias)] = beta * (square - variance) - self.read_variance_of_rounding()
        return bias if self.V is None else bias @ self.V

    def read_variance_of_rounding(self) -> float:
        """The part of `read_variance` that is rounding."""
        return self.device.beta * self.device.adc.error_variance(self._full_scale())

    def _calibrated(self, moment):
        """Less the variance that reading adds, which the host knows."""
        if self.lag == 0 and self.read_variance:
            moment[np.diag_indices_from(moment)] -= self.read_variance
        return moment

    def _chain(self, rng, first, kick, workers):
        d = self.process.dimension
        source = self._pairs if self.independent else self._successive
        pairs, width = source(rng, first, kick), d
        if self.V is not None:
            pairs, width = ((y, x @ self.V, n) for y, x, n in pairs), self.V.shape[1]
        symmetric = self.lag == 0 and self.V is None
        total, clipped = sum_of_products(pairs, (d, width), symmetric, workers)
        total /= self.n_products
        if self.in_modes:
            total = congruent(self.common.vectors.__matmul__, total, d, workers)
            if symmetric:
                total = (total + total.T) / 2.0
        if not self.converted:
            return self._convert_once(rng, total)
        return total, clipped

    def _convert_once(self, rng, moment):
        """Read noise and rounding of an analog average, in volt^2: symmetric, as the average is."""
        moment = moment / self.device.beta
        if self.device.read_noise:
            noise = self.device.read_noise * rng.standard_normal(moment.shape)
            moment = moment + np.tril(noise) + np.tril(noise, -1).T
        moment, clipped = self.device.adc.round(moment, rng)
        return moment * self.device.beta, clipped

    @cached_property
    def in_modes(self) -> bool:
        """Whether a trajectory is stepped in modes: the host sees its reads as they are, and only their products."""
        reads = self.converted and (self.device.adc_bits is not None or self.device.read_noise > 0)
        return not self.independent and self.common is not None and self.common.exact and not reads

    def _read(self, rng, states) -> tuple[np.ndarray, int]:
        """States as the host sees them."""
        if not self.converted or (self.device.adc_bits is None and self.device.read_noise == 0):
            return states, 0
        full_scale = self._full_scale() if self.device.adc_bits is not None else None
        volts = np.sqrt(self.device.beta)
        even = replace(self.device, eps_sys=0.0)  # the process is that of the cells as they are read
        reads, clipped = convert_reads(rng, even, states / volts, full_scale)
        return reads * volts, clipped

    def _pairs(self, rng, first, kick):
        """Blocks of later and earlier reads, every pair with a start of its own."""
        for noise in blocks(self.n_products, self.process.dimension, ROWS, buffers=2):
            rng.standard_normal(out=noise)
            states = noise @ first.T
            earlier, clipped = self._read(rng, states)
            later = earlier
            if self.lag:
                states = states @ self.step[0].T + rng.standard_normal(noise.shape) @ kick.T
                later, more = self._read(rng, states)
                clipped += more
            yield later, earlier, clipped

    def _successive(self, rng, first, kick):
        """Blocks of later and earlier reads of one trajectory; of its modes, where `in_modes`."""
        last = None
        for states in self._trajectory(rng, first, kick):
            reads, clipped = self._read(rng, states)
            if self.lag == 0:
                yield reads, reads, clipped
                continue
            if last is not None:
                yield reads[:1], last, 0
            yield reads[1:], reads[:-1], clipped
            last = reads[-1:].copy()

    def _trajectory(self, rng, first, kick):
        """Blocks of successive states."""
        n = self.n_products + self.lag
        if self.in_modes:
            yield from self.common.paths(rng, n, ROWS, self.burn_in / self.spacing)
            return
        state: np.ndarray | None = None
        powers: dict = {}
        for noise in blocks(n, self.process.dimension, ROWS, buffers=2):
            rng.standard_normal(out=noise)
            start = first @ noise[0] if state is None else None
            noise[:] = noise @ kick.T
            if start is not None:
                noise[0] = start
            recurrence(self.step[0], noise[:, None], state, powers)
            state = noise[-1:].copy()
            yield noise


def _product_variance(x, y, yx, V) -> np.ndarray:
    """Variance of the entries of y x^T V for jointly normal y and x of zero mean."""
    if V is None:
        return np.outer(np.diag(y), np.diag(x)) + yx**2
    return np.outer(np.diag(y), np.einsum("aj,ab,bj->j", V, x, V)) + (yx @ V) ** 2


def planned_products(rtol: float, correlator: Correlator, exact: np.ndarray, what: str) -> int:
    """Products that reach a mean square error of rtol relative to the norm of the exact answer."""
    floor = float(np.linalg.norm(correlator.answer() - exact))
    budget = plan.noise_budget(rtol, float(np.linalg.norm(exact)), floor, correlator.device.beta, what)
    n = max(1.0, np.ceil(correlator.mean_square_of_one() / (budget * correlator.n_chains)))
    if correlator.choose("auto") == "path":
        require_few(n, f"rtol = {rtol:.3g}")
    return int(n)


def require_few(n: float, asked: str) -> None:
    """Refuse more reads than can be simulated one by one."""
    if n > MOST_READS:
        raise ValueError(
            f"{asked} would take {n:.2g} reads to simulate (most: {MOST_READS:.0e}); independent reads "
            "(read_spacing=None) that are not rounded are drawn at once"
        )
