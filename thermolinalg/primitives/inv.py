"""`inv`: the inverse of A from the covariance of the voltages of a thermal RC network."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy.linalg

from .. import _validation
from ..errors import NoClosedLaw
from ..hardware.device import Device, device_of
from ..hardware.programming import program
from ..hardware.readout import read_range, rounding_bias
from ..measurement import paths, plan
from ..measurement.dynamics import dynamics_of
from ..measurement.paths import precision_of, require_single
from ..measurement.request import CHAINS_FOR_SCATTER, DENSE_READS, MOST_READS, SIMULATORS, Request
from ..numerics.wishart import mean_of_products, wishart_factor
from ..operators import Dense, Krylov, Modal, as_operator
from ..operators.base import scale_rows
from ..results import Estimate

PAIR_TOLERANCE = 1e-8  # what a factorisation of the pair variances, scaled to a unit diagonal, may leave of it


def inv(
    A, *, duration=None, n_reads=None, read_spacing=None, rtol=None, burn_in="auto", beta=None, device=None,
    dynamics="overdamped", simulator="auto", n_chains=1, dtype=np.float64, rng=None, workers=None,
) -> Estimate:  # fmt: skip
    """Invert A by the covariance of a thermal RC network: ``A^-1 = beta E[x x^T]`` at b = 0.

    The device starts at x = 0, relaxes for `burn_in`, and products ``x x^T`` are averaged. The mean is known to be
    zero and not estimated. The variance that read noise and rounding of the reads add to the diagonal is known to
    the host, which subtracts it.

    Like `solve` this *simulates* a machine with the help of a digital factorisation.

    Parameters
    ----------
    A : (d, d) array_like, sparse array, LinearOperator or operator
        Symmetric positive definite. The answer is dense, so a sparse A is made dense.
    duration : float
        An analog multiplier and integrator of ``x x^T`` over so long [RC], simulated by reads a quarter of the
        fastest relaxation time apart: unbiased, with a variance at most 2.1 % above that of the continuous integral.
        Give exactly one of duration, n_reads and rtol.
    n_reads : int
        Reads by a converter: `read_spacing` [RC] apart, or, without one, independent, each `burn_in` after a fresh
        start from zero. The law of independent reads is Wishart and is drawn at a cost that does not grow with
        n_reads.
    read_spacing : float, optional
        Time between reads [RC]; with n_reads or rtol only.
    rtol : float
        Root mean square error to reach, relative to ``||A^-1||`` in the Frobenius norm, by independent reads or by
        reads `read_spacing` apart. Uses the exact spectrum: knowledge of the simulator.
    burn_in : "auto" or float
        "auto": long enough that the bias left from the start is at most a tenth of the standard error; for
        independent reads that bias is then left out of the law. A number: the bias is in the law.
    beta : float, optional
        Inverse temperature of an ideal device; default 1.
    device : Device, optional
        A device with its own beta; not together with beta.
    dynamics : "overdamped", "underdamped" or Inertia
        As in `solve`.
    simulator : "auto", "law" or "path"
        "law" draws a Wishart matrix (independent reads that are not rounded); "path" steps the modes through time
        and accumulates. "auto" takes the law where there is one. The two do not share noise.
    n_chains : int
        Independent replicas of the device, averaged.
    dtype : float64 or float32
        Precision in which paths are stepped and their products multiplied; spectrum, sums over blocks and answer are
        in double precision. With float32 the answer is off by a few 1e-7 of its norm, and rates of slow modes by at
        most a share 3e-8 / (lambda read_spacing), which must not exceed 1e-3: far below any error bar.
    rng : {None, int, array_like[ints], SeedSequence, BitGenerator, Generator}, optional
        Passed to `numpy.random.default_rng`; None is fresh entropy.
    workers : int, optional
        Threads over chains; any number gives the same bits.

    Returns
    -------
    Estimate
        ``value`` (d, d), symmetric, float64; ``stderr``, worked out from the law (of reads in equilibrium) when
        first asked for; ``cost``.

    Raises
    ------
    ValueError
        Bad input, named with its value; beta = inf, which has no covariance to read.
    NotPositiveDefinite
        With the offending eigenvalue; of A, or of A as programmed (then with the word length that would do).
    NoClosedLaw
        simulator="law" for correlated or rounded reads.
    QuantizationFloor
        rtol below what the converters allow.

    Warns
    -----
    NotEquilibrated
        A given burn_in is too short; says how long it must be.

    References
    ----------
    Aifer et al., "Thermodynamic Linear Algebra", arXiv:2308.05660. Bartlett's decomposition: Anderson, "An
    Introduction to Multivariate Statistical Analysis", section 7.2.

    Examples
    --------
    >>> import numpy as np, thermolinalg as tl
    >>> A = np.array([[3.0, 1.0], [1.0, 2.0]])
    >>> r = tl.inv(A, n_reads=10_000, rng=0)
    >>> bool(np.all(abs(r.value - np.linalg.inv(A)) < 5 * r.stderr))
    True
    """
    _validation.choice(simulator, "simulator", SIMULATORS)
    device, dtype = device_of(beta, device), precision_of(dtype)
    if np.isinf(device.beta):
        raise ValueError("inv reads the covariance of thermal noise, and a device with beta = inf has none")
    target = as_operator(A)
    if isinstance(target, Krylov):
        array = target.dense()
        target = Dense((array + array.T) / 2.0)
    n_chains = _validation.count(n_chains, "n_chains")
    request = Request.of(duration, n_reads, read_spacing, rtol)
    generator, workers = _validation.generator(rng), _validation.workers(workers)

    machine = program(target, device, rng=generator)
    operator = machine.operator
    readout = _readout(request, target, operator, device, dynamics_of(dynamics, operator), n_chains)
    readout = _with_burn_in(readout, burn_in, operator, n_chains)
    run = _Run(operator, readout, device, n_chains, request.duration is not None, burn_in == "auto")
    if dtype == np.float32:
        run.require_single_precision(simulator)
    if run.choose(simulator) == "law":
        value, (stderr, kind), clipped = run.draw(generator), (run.stderr, "law"), 0
    else:
        value, (stderr, kind), clipped = run.walk(generator, workers, dtype)
    return Estimate(
        value=_validation.finite_result(value, "the covariance"), stderr_source=stderr, stderr_kind=kind,
        burn_in=readout.burn_in, duration=run.span, n_reads=readout.n_reads,
        read_spacing=getattr(readout, "spacing", None), n_chains=n_chains, simulator=run.choose(simulator),
        device=device, cost=run.cost, clipped=machine.clipped | {"adc": clipped},
    )  # fmt: skip


def _readout(request: Request, target: Modal, operator: Modal, device: Device, dynamics, n_chains):
    """The reads that were asked for, their burn-in still open (infinite)."""
    if request.duration is not None:
        _, fastest = dynamics.integrator(np.inf, request.duration).decay_rates(operator.eigenvalues)
        n = int(np.ceil(request.duration * fastest / DENSE_READS))
        if n > MOST_READS:
            raise ValueError(
                f"duration = {request.duration:.3g} RC would take {n:.2g} reads to simulate (most: {MOST_READS:.0e}); "
                "use n_reads, whose independent reads are drawn at once"
            )
        return dynamics.reads(np.inf, n, request.duration / n)
    if request.n_reads is not None:
        return dynamics.reads(np.inf, request.n_reads, request.read_spacing)
    inverse = operator.trace(lambda lam: lam**-2.0)
    floor, scale = 0.0, np.sqrt(inverse)
    if operator is not target or device.eps_sys:
        scale = np.sqrt(target.trace(lambda lam: lam**-2.0))
        identity = np.eye(target.shape[0])
        gains = device.read_gains(len(identity))
        read = np.outer(gains, gains) * operator.function(np.reciprocal, identity)
        gap = read - target.function(np.reciprocal, identity)
        floor = float(np.linalg.norm(gap))
    rounding = rounding_bias(operator, device)
    floor = float(np.hypot(floor, np.linalg.norm(rounding)))
    budget = plan.noise_budget(request.rtol, float(scale), floor, device.beta, "A^-1") * n_chains
    white = device.beta * (device.read_noise**2 + device.adc.error_variance(read_range(operator, device)))
    from_white = plan.white_mean_square(operator, white)
    if request.read_spacing is None:
        n = int(np.ceil((operator.trace(np.reciprocal) ** 2 + inverse + from_white) / budget))
        return dynamics.reads(np.inf, n, None)

    def averaged(n):
        reads = dynamics.reads(np.inf, n, request.read_spacing)
        return plan.inverse_mean_square(operator.eigenvalues, reads) + from_white / n

    return dynamics.reads(np.inf, plan.solve_count(averaged, budget), request.read_spacing)


def _with_burn_in(readout, burn_in, operator: Modal, n_chains):
    if burn_in == "auto" and readout.kind == "independent" and not readout.inertial:
        t0 = plan.independent_inverse_burn_in(operator.extremes[0], readout.n_reads * n_chains)
    else:
        t0 = plan.resolve_burn_in(burn_in, plan.inverse_transient(operator, readout, n_chains), "A^-1")
    return replace(readout, burn_in=t0)


@dataclass(frozen=True)
class _Run:
    """A matrix on the machine with its reads settled."""

    operator: Modal
    readout: Any  # of `laws` or `underdamped_laws`
    device: Device
    n_chains: int
    analog: bool  # an integrator of products, whose output is converted once
    equilibrated: bool  # the burn-in was chosen here, so that its bias can be left out

    @property
    def independent(self) -> bool:
        """Whether every read has a start of its own."""
        return self.readout.kind == "independent"

    @property
    def span(self) -> float:
        """Averaging time of one run [RC]."""
        return 0.0 if self.independent else self.readout.n_reads * self.readout.spacing

    def choose(self, simulator: str) -> str:
        """The simulator that "auto" stands for, or the one asked for if it can serve."""
        uneven_noise = self.device.eps_sys > 0 and self.device.read_noise > 0  # gains act on one and not on the other
        has_law = self.independent and self.device.adc_bits is None and not uneven_noise
        if simulator == "law" and not has_law:
            what = (
                "correlated reads (duration or read_spacing)"
                if not self.independent
                else "rounded reads (adc_bits), or of eps_sys with read_noise,"
            )
            raise NoClosedLaw(f'the covariance of {what} has no closed law; use simulator="path"')
        return ("law" if has_law else "path") if simulator == "auto" else simulator

    def require_single_precision(self, simulator: str) -> None:
        """Refuse what single precision cannot step, or has nothing to gain from."""
        if self.choose(simulator) == "law" or self.readout.inertial:
            raise ValueError(
                "dtype=float32 is for overdamped paths (read_spacing, duration or simulator='path'); leave it out"
            )
        require_single(self.operator.extremes, self.device.beta, None if self.independent else self.readout.spacing)

    def draw(self, generator) -> np.ndarray:
        """A Wishart matrix: mean of products of independent reads, times beta."""
        n = self.readout.n_reads * self.n_chains
        if isinstance(self.operator, Dense) and self.equilibrated and self.white == 0.0 and not self.operator.is_small:
            moment = mean_of_products(generator, self.operator.cholesky, n)  # no spectrum
        else:
            rates = self.operator.rates
            T = wishart_factor(generator, rates.size, n)
            variance = 1.0 / rates if self.equilibrated else self.readout.n_reads * self.readout.variance(rates)
            factor = self.operator.from_modes(scale_rows(np.sqrt(variance + self.white), T))
            moment = factor @ factor.T / n
        moment = self._with_gains(moment)
        moment[np.diag_indices_from(moment)] -= self.white
        return moment

    def _with_gains(self, moment: np.ndarray) -> np.ndarray:
        """The second moment as cells with gains of their own show it."""
        if self.device.eps_sys == 0.0:
            return moment
        gains = self.device.read_gains(len(moment))
        return np.outer(gains, gains) * moment

    def walk(self, generator, workers, dtype):
        """Mean of products along paths, its standard error with kind, and how many reads saturated."""
        beta, full_scale = self.device.beta, read_range(self.operator, self.device)
        moments, clipped = paths.second_moments(
            self.operator, self.readout, self.device, full_scale, not self.analog, self.n_chains, generator, workers,
            dtype,
        )  # fmt: skip
        top = None
        if self.analog:
            moments, counts, tops = zip(*(self._convert_once(generator, m) for m in moments), strict=True)
            clipped, top = sum(counts), max(tops)
        value = beta * sum(moments) / self.n_chains
        value[np.diag_indices_from(value)] -= self.white
        spread = None if self.n_chains < CHAINS_FOR_SCATTER else beta * np.std(moments, axis=0, ddof=1)

        def stderr():
            each = self.noise_variance() if spread is None else spread**2
            common = self._common_variance(each, top)
            if spread is None and top is not None:
                each = each + beta**2 * self.device.adc.error_variance(top) - common
            return _validation.finite_result(np.sqrt(each / self.n_chains + common), "stderr")

        return value, (stderr, "law" if spread is None else "chains"), clipped

    @property
    def white(self) -> float:
        """Variance that read noise and rounding add to every read, times beta; an integrator has no reads."""
        if self.analog:
            return 0.0
        rounding = self.device.adc.error_variance(read_range(self.operator, self.device))
        return self.device.beta * (self.device.read_noise**2 + rounding)

    def _convert_once(self, generator, moment):
        """An integrator's output with read noise, rounded; how many entries saturated; the full scale."""
        moment = self._with_gains(moment)
        if self.device.read_noise:
            noise = self.device.read_noise * generator.standard_normal(moment.shape)
            moment = moment + np.tril(noise) + np.tril(noise, -1).T
        rounded, clipped = self.device.adc.round(moment, generator)
        lower = np.tril(rounded)  # of a stochastic rounding: one for both halves
        return lower + np.tril(rounded, -1).T, clipped, float(self.device.adc.range_of(moment))

    def _common_variance(self, each: np.ndarray, top: float | None) -> np.ndarray | float:
        """Mean square (d, d) of the rounding error that all chains share: what no averaging removes."""
        if self.device.adc_bits is None:
            return 0.0
        if top is None:
            return rounding_bias(self.operator, self.device) ** 2
        beta = self.device.beta
        common = self.device.adc.averaged_error_variance(top, np.sqrt(each).ravel() / beta)
        return beta**2 * common.reshape(each.shape)

    def stderr(self) -> np.ndarray:
        """Standard error (d, d) from the law of reads in equilibrium."""
        return _validation.finite_result(np.sqrt(self.noise_variance() / self.n_chains), "stderr")

    def noise_variance(self) -> np.ndarray:
        """Variance (d, d) of one chain by thermal and read noise, and by rounding as far as it is noise."""
        n, white, d = self.readout.n_reads, self.white, self.operator.shape[0]
        if self.independent:
            covariance = self.operator.function(lambda lam: 1.0 / lam + white, np.eye(d))
            return (np.outer(np.diag(covariance), np.diag(covariance)) + covariance**2) / n
        operator = self.operator if isinstance(self.operator, Dense) else Dense(self.operator.dense())
        variance = _correlated_variance(operator, self.readout)
        if self.analog:
            return variance + (self.device.beta * self.device.read_noise) ** 2
        if white:
            inverse = operator.function(np.reciprocal, np.eye(d))
            diagonal = np.diag(inverse)
            from_white = white * (np.add.outer(diagonal, diagonal) + white)
            variance += (from_white + np.diag(np.diag(2.0 * white * inverse + white**2))) / n
        return variance

    def cost(self):
        """Time and mean energies; of noise in equilibrium, and no current is driven."""
        d, n = self.operator.shape[0], self.readout.n_reads
        runs = n if self.independent else 1
        time = self.readout.burn_in + self.span
        settled = float(d)
        if not self.equilibrated and not self.readout.inertial:
            settled = self.operator.trace(lambda lam: -np.expm1(-2.0 * lam * time))
        thermal = 0.5 * settled / self.device.beta
        return self.device.cost(
            self.operator.n_programmed, runs=runs, burn_in=self.readout.burn_in, duration=self.span, n_inputs=0,
            n_outputs=d * (d + 1) // 2 if self.analog else d * n, n_chains=self.n_chains,
            energies=(0.0, runs * thermal, thermal),
        )  # fmt: skip


def _correlated_variance(operator: Dense, readout) -> np.ndarray:
    """Variance (d, d) of each entry of the mean of x x^T over equally spaced reads in equilibrium (beta = 1).

    With W the pair variances and V the eigenvectors it is, for entry (a, b), the sum over modes i, j of
    W_ij (V_ai^2 V_bj^2 + V_ai V_bi V_aj V_bj). The second term would take d^4 operations; W is positive
    semidefinite and smooth, so a pivoted Cholesky factor of few columns turns it into a few matrix products.
    """
    V, W = operator.eigenvectors, plan.pair_variances(operator.rates, readout)
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
