"""Iterative refinement: a noisy device and an exact residual together reach any accuracy in log(1/error) rounds.

Each round the host forms the residual ``r = b - A x``, rescales it to unit rms, has the device solve for it and adds
the answer. One solution has a relative error of about sqrt(2 / (beta duration)), whatever the scale, so that is what
each round multiplies the error by. A device that holds A_q in place of A leaves ``(A_q - A) A_q^-1`` of the residual
as well.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import numpy as np
import scipy.linalg

from .. import _validation
from .._typing import FloatArray
from ..errors import NotConverged, NotPositiveDefinite
from ..hardware.device import Device
from ..hardware.programming import Programmed, fewest_bits, on_device, program_array
from ..operators import Dense, Krylov, Operator
from ..operators.krylov import norm
from ..results import Cost, Estimate, Round
from .base import SIMULATORS
from .dynamics import Inertia, dynamics_of
from .mean import Mean, mean_of
from .request import Request

PROGRESS = 0.9  # a round must bring the correction or the residual to this share of the best so far
PATIENCE = 10  # rounds in a row that may fail to: of short rounds one in five makes things worse
QUIET = 2  # small corrections in a row that are asked for where the noise of a round costs products to know
MOST_ROUNDS = 500
CONTRACTIONS = np.geomspace(0.02, 0.5, 33)  # per round, among which the fastest to plan is chosen
LONG_ROWS = 256  # rows of A that are widened to extended precision at a time


def residual(target: Operator, b: FloatArray, x: FloatArray) -> FloatArray:
    """b - A x (d, k), with the products of a dense matrix in extended precision where the platform has one."""
    if not isinstance(target, Dense):
        return b - target.matvec(x)
    A, wide, out = target.dense(), x.astype(np.longdouble), np.empty_like(b)
    for rows in range(0, b.shape[0], LONG_ROWS):
        part = slice(rows, rows + LONG_ROWS)
        out[part] = b[part] - A[part].astype(np.longdouble) @ wide
    return out


def fastest_duration(low: float, high: float, beta: float) -> float:
    """Duration of a round [RC] that wins most digits a time.

    A contraction c takes a burn-in of about ln(10 / c) / low and an averaging of 2 / (beta c^2).
    """
    if np.isinf(beta):
        return 1.0 / high
    averaging = 2.0 / (beta * CONTRACTIONS**2)
    per_digit = (np.log(10.0 / CONTRACTIONS) / low + averaging) / -np.log(CONTRACTIONS)
    return float(averaging[np.argmin(per_digit)])


class Host:
    """A digital host that lets a device solve for one right-hand side after another, each rescaled to unit rms.

    The matrix is programmed once. `cost`, `clipped` and `products` add up over all that the device did.
    """

    def __init__(
        self,
        target: Operator | Programmed,
        request: Request,
        burn_in: str | float,
        device: Device,
        dynamics: str | Inertia,
        simulator: str,
        n_chains: int,
        rng: np.random.Generator,
        workers: int | None,
    ):
        _validation.choice(simulator, "simulator", SIMULATORS)
        self.device, self.rng = device, rng
        try:
            self._machine, self._loaded = on_device(target, device, None, rng)
        except NotPositiveDefinite as error:
            wanted = target.target if isinstance(target, Programmed) else target
            raise NotPositiveDefinite(f"{error}{_remedy(wanted, device)}", error.eigenvalue) from None
        self.target, self.operator = self._machine.target, self._machine.operator
        self._start = getattr(self.operator, "products", 0)
        self.clipped = dict(self._machine.clipped)
        self.cost: Cost | None = None
        self._dynamics = dynamics_of(dynamics, self.operator)
        if request.duration is None and request.n_reads is None:
            request = Request(fastest_duration(*self.operator.bounds, device.beta), None, None, None)
        self._request, self._protocol = request, (burn_in, simulator, n_chains, workers)
        self._burn_in_checked = False

    def answer(self, r: FloatArray) -> tuple[FloatArray, Mean, Callable[[], FloatArray], str, str]:
        """The device's A^-1 r for r (d, k), the mean behind it, its standard error and kind, the simulator."""
        _, simulator, n_chains, workers = self._protocol
        scale = np.array([norm(column) for column in r.T]) / np.sqrt(len(r))  # 0 for a column that is solved already
        drive = r / np.where(scale == 0.0, 1.0, scale)
        machine, _ = on_device(self._machine, self.device, drive, self.rng)
        loaded = self._loaded or self.cost is not None
        mean = mean_of(machine, self._request, self._dynamics, np.zeros_like(drive), drive, n_chains, loaded)
        mean = self._settled(mean, scale)
        simulator = mean.choose(simulator)
        outcome = mean.measure(simulator, self.rng, workers)
        stderr, kind = mean.error(outcome, simulator, self.rng)
        self.cost = mean.cost() if self.cost is None else self.cost + mean.cost()
        self.clipped["dac"] += machine.clipped["dac"]
        self.clipped["adc"] += outcome.clipped
        return scale * outcome.value, mean, cache(lambda: scale * stderr()), kind, simulator

    def _settled(self, mean: Mean, scale: FloatArray) -> Mean:
        """The mean of a round; that a given burn-in is too short is told once, in units of the caller's b."""
        burn_in = self._protocol[0]
        if isinstance(burn_in, str):
            return mean.settled(burn_in)
        burn_in = _validation.positive(burn_in, 'burn_in (or "auto")', zero=True)
        if not self._burn_in_checked:
            self._burn_in_checked = True
            unit, own = float(norm(scale) / np.sqrt(scale.size)), mean.transient()
            told = replace(own, bias=lambda t: unit * own.bias(t), noise=lambda t: unit * own.noise(t),
                           scale=unit * own.scale)  # fmt: skip
            told.warn_if_short(burn_in, "what the first round adds")
        return mean.at(burn_in)

    @property
    def products(self) -> int | None:
        """Matrix-vector products used so far, of an operator that has nothing else."""
        if not isinstance(self.operator, Krylov):
            return None
        return self.operator.products - self._start


def refined(host: Host, b: FloatArray, shape: tuple[int, ...], rtol: float, n_chains: int) -> Estimate:
    """Solve by refinement to a relative error rtol; b is (d, k), `shape` that of the answer."""
    size = norm(b)
    if size == 0.0:
        raise ValueError("rtol is relative to the norm of x, which is zero: b is zero")
    x, rounds, stuck, quiet = np.zeros_like(b), [], 0, 0
    while True:
        r = residual(host.target, b, x)
        step, mean, stderr, kind, simulator = host.answer(r)
        x = _validation.finite_result(x + step, "x")
        if not x.any():
            raise NotConverged("refinement stopped: every voltage was read as 0; adc_range is far above the voltages")
        correction = norm(step) / norm(x)
        rounds.append(Round(residual=norm(r) / size, correction=correction, burn_in=mean.protocol.burn_in,
                            duration=mean.span))  # fmt: skip
        quiet = quiet + 1 if correction * _left_over(rounds) <= rtol else 0
        # one correction may be small by luck; the noise it came with is not
        if quiet and (quiet == QUIET if kind == "rms" else norm(stderr()) <= rtol * norm(x)):
            break
        stuck = 0 if _moved(rounds) else stuck + 1
        if stuck == PATIENCE or len(rounds) == MOST_ROUNDS:
            raise NotConverged(_why_stuck(host, rounds, rtol))
    systematic: FloatArray | float = 0.0
    if host.operator is not host.target or mean.gains is not None:  # what these leave of the last correction
        systematic = step - mean.as_read(host.operator.function(np.reciprocal, host.target.matvec(step)))
    return Estimate(
        value=x.reshape(shape), stderr_source=lambda: np.hypot(stderr(), systematic).reshape(shape),
        stderr_kind=kind, n_chains=n_chains,
        simulator=simulator, device=host.device, cost=host.cost, clipped=host.clipped, products=host.products,
        rounds=tuple(rounds), **mean.times(),
    )  # fmt: skip


def _moved(rounds: list[Round]) -> bool:
    """Whether the last round brought the correction or the residual well below the best so far."""
    *before, last = rounds
    return (
        not before
        or last.correction <= PROGRESS * min(each.correction for each in before)
        or last.residual <= PROGRESS * min(each.residual for each in before)
    )


def _left_over(rounds: list[Round]) -> float:
    """Error that a round may leave, in units of its correction: corrections that shrink by q add up to q/(1-q)."""
    if len(rounds) < 2:
        return 1.0
    q = rounds[-1].correction / rounds[-2].correction
    return max(1.0, q / (1.0 - q)) if q < 1.0 else np.inf


def spectral_radius(target: Dense, programmed: Dense) -> float:
    """Spectral radius of (A_q - A) A_q^-1, by which the residual shrinks in a round without noise."""
    programmed.cholesky  # noqa: B018  raises NotPositiveDefinite
    ratios = scipy.linalg.eigh(target.dense(), programmed.dense(), eigvals_only=True, check_finite=False)
    return float(np.abs(1.0 - ratios).max())


def _remedy(target: Operator, device: Device) -> str:
    """The word length with which refinement converges, in words; nothing if there is none."""
    A = Dense(target.dense())
    bits = fewest_bits(device, lambda d: spectral_radius(A, Dense(program_array(A.dense(), d)[0])) < PROGRESS)
    return f"; refinement converges with matrix_bits={bits}" if bits else ""


def _why_stuck(host: Host, rounds: list[Round], rtol: float) -> str:
    text = (
        f"refinement stopped after {len(rounds)} rounds with corrections of {rounds[-1].correction:.2g} of x, not "
        f"rtol = {rtol:.2g}"
    )
    if isinstance(host.target, Dense) and isinstance(host.operator, Dense) and host.operator is not host.target:
        radius = spectral_radius(host.target, host.operator)
        if radius >= PROGRESS:
            return f"{text}: the spectral radius of (A_q - A) A_q^-1 is {radius:.3g}{_remedy(host.target, host.device)}"
    saturated = " and ".join(f"{name}_range" for name in ("dac", "adc") if host.clipped[name])
    if saturated:
        numbers = host.clipped["dac"] + host.clipped["adc"]
        return f"{text}: {numbers} numbers saturated their converter; a wider {saturated} helps"
    return f"{text}; a longer round (duration, n_reads) or, near 1e-16 times the condition number, a larger rtol helps"
