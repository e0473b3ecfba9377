"""The engine of second moments: averages of products of reads, ``mean of x_{k+lag} x_k^T``, of any linear device.

`inv` and `lyapunov` are read from them at lag 0, matrix exponentials at lag 1, the RLC board's inverse at lag 0. A
`Source` knows the device: its covariances, its paths, the variance of its averages. The engine knows what is done with
them: gains, read noise, converters, chains, error bars, time and cost.

Everything is at beta = 1, with time in RC, unless a name says otherwise.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import scipy.linalg

from .. import _validation
from .._typing import FloatArray
from ..hardware.readout import convert_moment
from ..numerics.threads import run_chains, threads
from ..numerics.wishart import wishart_factor
from ..processes.transitions import psd_factor
from . import plan
from .base import CHAINS_FOR_SCATTER, Average, Outcome, Run
from .moment_readout import MomentReadOut
from .source import Products, Source, product_variance

MOST_READS = 10**9  # that can be simulated one by one


@dataclass(frozen=True, kw_only=True, eq=False)
class SecondMoment(Average):
    """The average of products of reads.

    Attributes
    ----------
    source : Source
    products : Products
    converted : bool
        Whether every read goes through read noise and converter; else the average does, once.
    V : (size, k) ndarray or None
        Vectors that the average is applied to; None: all of it.
    late_burn_in : callable or None
        What works out the burn-in to report where the law is that of equilibrium.
    """

    source: Source
    products: Products
    converted: bool = True
    V: FloatArray | None = None
    late_burn_in: Callable[[], float] | None = None

    # Settling ----------------------------------------------------------------------------------------------------

    def transient(self) -> plan.Transient:
        """How the start at x = 0 biases the average."""
        square = self.source.mean_square(self.products, self.readout.added, self.V)
        if not self.converted:
            entries = self.source.size if self.V is None else self.V.shape[1]
            square += (self.device.beta * self.device.read_noise) ** 2 * self.source.size * entries
        return self.source.transient(self.products, float(np.sqrt(square / self.n_chains)), self.V)

    def settled(self, burn_in: str | float, what: str) -> "SecondMoment":
        """The same with the burn-in that "auto", "stationary" or a number stands for.

        Independent reads after an automatic burn-in have the law of equilibrium: the bias that is left, a tenth of the
        standard error at most, is left out, and how long that takes is computed lazily.
        """
        if not isinstance(burn_in, str):
            return self._at(plan.resolve_burn_in(burn_in, self.transient(), what))
        if _validation.choice(burn_in, "burn_in (or a number)", ("auto", "stationary")) == "stationary":
            return self
        if self.products.independent:
            return replace(self, late_burn_in=lambda: float(self.transient().burn_in()))
        return self._at(self.transient().burn_in())

    def _at(self, burn_in: float) -> "SecondMoment":
        return replace(self, products=replace(self.products, burn_in=float(burn_in)))

    @cached_property
    def readout(self) -> MomentReadOut:
        """What stands between the voltages and the products."""
        return MomentReadOut(self.source, self.device, self.converted, self.V)

    def answer(self) -> FloatArray:
        """The limit of the average as it is read, rounding apart."""
        return self.readout.seen(self.source.limit(self.products))

    # The law -----------------------------------------------------------------------------------------------------

    def no_law(self) -> str | None:
        """Why the average has no closed law; None where it has one."""
        if self.products.independent and self.device.adc_bits is None and self.converted:
            return None
        correlated = "correlated reads (duration or read_spacing)"
        what = "rounded reads (adc_bits)" if self.products.independent else correlated
        return f"the average of products of {what} has no closed law"

    def sample(self, rng: np.random.Generator) -> Outcome:
        """The average over independent starts, all chains together, from its law: a block of a Wishart matrix."""
        n, added = self.products.n * self.n_chains, self.readout.added
        own = self.source.sample(rng, n, self.products, added) if self.readout.gains is None or added == 0.0 else None
        if own is None:
            x, y, yx = (self.readout.with_gains(c) for c in self.source.pair(self.products))
            moment = sampled_product(rng, n, self.products.lag, x, y, yx, added)
        else:
            moment = self.readout.with_gains(own)
        moment = moment if self.V is None else moment @ self.V
        return Outcome(self.readout.calibrated(moment, self.products.lag), None, 0)

    def noise_variance(self, probe: np.random.Generator | None = None) -> FloatArray:
        """Variance of each entry of one chain, from the law of reads in equilibrium."""
        if self.products.independent:
            x, y, yx = (self.readout.with_gains(c) for c in self.source.pair(self.products))
            own = self.readout.added * np.eye(len(x))
            y = y + own if self.products.lag else x + own
            yx = yx if self.products.lag else x + own
            return product_variance(x + own, y, yx, self.V) / self.products.n
        variance = self.source.variance(self.products, self.readout.gains, self.readout.added, self.V)
        return variance if self.converted else variance + (self.device.beta * self.device.read_noise) ** 2

    def rounding_variances(
        self, noise: Callable[[], FloatArray], outcome: Outcome
    ) -> tuple[FloatArray | float, FloatArray | float]:
        """Mean square rounding error that all chains share; what each has of its own is in `noise_variance`."""
        if self.converted:
            return np.square(self.readout.rounding_bias(self.products)), 0.0
        adc, beta, top = self.device.adc, self.device.beta, outcome.full_scale
        sd = np.sqrt(noise()) / beta
        common = beta**2 * adc.averaged_error_variance(float(np.max(top)), sd.ravel()).reshape(sd.shape)
        return common, beta**2 * adc.error_variance(top) - common

    # Paths -------------------------------------------------------------------------------------------------------

    def simulate(self, rng: np.random.Generator, workers: int | None) -> Outcome:
        """The average along paths."""
        exact, V = self.readout.exact, self.V
        read = None if exact else self.readout.read
        if exact and V is not None:
            V = self.readout.with_row_gains(V)
        own = threads(workers, among=self.n_chains)

        def chain(generator: np.random.Generator, _: int) -> tuple[FloatArray, int, float]:
            moment, clipped = self.source.chain(generator, self.products, read, V, own)
            if exact:
                moment = self.readout.seen(moment) if V is None else self.readout.with_row_gains(moment)
            if self.converted:
                return moment, clipped, 0.0
            moment, clipped, top = convert_moment(generator, self.device, moment / self.device.beta)
            return moment * self.device.beta, clipped, top

        results = run_chains(chain, rng, range(self.n_chains), workers)
        moments = [moment for moment, _, _ in results]
        value = self.readout.calibrated(sum(moments) / self.n_chains, self.products.lag)
        chains = np.array(moments) if self.n_chains >= CHAINS_FOR_SCATTER else None
        return Outcome(value, chains, sum(n for _, n, _ in results), max(top for _, _, top in results))

    # Times and cost ----------------------------------------------------------------------------------------------

    @cached_property
    def burn_in(self) -> float:
        """Burn-in of a run [RC]; 0 where the device is found in equilibrium."""
        if self.late_burn_in is not None:
            return self.late_burn_in()
        return 0.0 if np.isinf(self.products.burn_in) else self.products.burn_in

    def times(self) -> dict[str, Any]:
        """Fields of the `Estimate`."""
        products = self.products
        late = (lambda: self.burn_in) if self.late_burn_in is not None else self.burn_in
        spacing = None if products.independent else products.spacing
        return {"burn_in": late, "duration": products.span, "n_reads": products.n, "read_spacing": spacing}

    def run(self) -> Run:
        """What the run of one chain takes; no current is driven."""
        d, products = self.source.size, self.products
        stored = self.source.thermal_energy(products, products.burn_in + products.span)
        stored = None if stored is None else stored / self.device.beta
        found = np.isinf(products.burn_in) and self.late_burn_in is None  # in equilibrium, which takes up no heat
        heat = None if stored is None else (0.0 if found else products.runs * stored)
        return Run(
            burn_in=self.burn_in, duration=products.span, repeats=products.runs, n_matrix=self.source.n_programmed,
            n_inputs=self.source.n_inputs, n_outputs=d * products.reads if self.converted else d * (d + 1) // 2,
            energies=(0.0, heat, stored),
        )  # fmt: skip


def sampled_product(
    rng: np.random.Generator, n: int, lag: int, x: FloatArray, y: FloatArray, yx: FloatArray, added: float
) -> FloatArray:
    """Mean product (d, d) of n independent pairs of reads, by a Wishart matrix.

    Parameters
    ----------
    lag : int
        0 for the products of a read with itself.
    x, y, yx : (d, d) ndarray
        Covariances of the earlier read, of the later one, and of the later with the earlier.
    added : float
        Variance that every read has of its own.
    """
    own = added * np.eye(len(x))
    factor = psd_factor(x + own) @ wishart_factor(rng, len(x), n)
    moment = factor @ factor.T / n
    if lag == 0:
        return (moment + moment.T) / 2.0
    gain = scipy.linalg.lstsq(x + own, yx.T)[0].T  # of the later read on the earlier: M, less for noisy reads
    rest = y + own - gain @ yx.T
    fresh = psd_factor((rest + rest.T) / 2.0) @ rng.standard_normal((len(x), factor.shape[1]))
    return gain @ moment + fresh @ factor.T / n


def planned(moments: SecondMoment, rtol: float, exact_norm: float, floor: float, what: str) -> SecondMoment:
    """The same with as many products as reach a mean square error of rtol relative to the exact answer.

    `floor` is the norm of what programming and gains leave of the answer.
    """
    left = float(np.hypot(floor, np.linalg.norm(moments.readout.rounding_bias(moments.products))))
    budget = plan.noise_budget(rtol, exact_norm, left, moments.device.beta, what) * moments.n_chains

    def averaged(n: float) -> float:
        return moments.source.mean_square(moments.products.of(n), moments.readout.added, moments.V)

    n = np.ceil(averaged(1) / budget) if moments.products.independent else plan.solve_count(averaged, budget)
    if moments.choose("auto") == "path":
        require_few(n, f"rtol = {rtol:.3g}")
    return replace(moments, products=replace(moments.products, n=max(1, int(n))))


def require_few(n: float, asked: str) -> None:
    """Refuse more reads than can be simulated one by one."""
    if n > MOST_READS:
        raise ValueError(
            f"{asked} would take {n:.2g} reads to simulate (most: {MOST_READS:.0e}); independent reads "
            "(read_spacing=None) that are not rounded are drawn at once"
        )
