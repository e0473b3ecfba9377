"""`nonlinear_average`: paths of a device that is not linear, on the plain matrix."""

from dataclasses import dataclass

import numpy as np

from .. import _validation
from .._typing import ArrayLike, FloatArray, RNGLike
from ..errors import QuantizationFloor
from ..hardware.converters import MOST_BITS, Quantizer
from ..hardware.device import Device, device_of
from ..hardware.readout import READ_RANGE_SDS
from ..measurement.base import CHAINS_FOR_SCATTER
from ..numerics.blocks import blocks, chain_tiles
from ..numerics.kernels import nonlinear as kernels
from ..numerics.threads import run_chains
from ..operators import Krylov, Matrix, Modal, Operator, as_operator


@dataclass(frozen=True, kw_only=True, eq=False)
class NodeAverage:
    """A time average over all chains, with its two errors.

    Attributes
    ----------
    value : (d,) ndarray
        Mean over the chains.
    stderr : (d,) ndarray
        Its standard error, from the scatter of the chains.
    step_bias, step_bias_stderr : (d,) ndarray
        What the finite step adds to `value`, estimated by paths of double steps with the same noise, and the standard
        error of that: ``value - step_bias`` is right to the next order in the step.
    """

    value: np.ndarray
    stderr: np.ndarray
    step_bias: np.ndarray
    step_bias_stderr: np.ndarray


@dataclass(frozen=True, kw_only=True, eq=False)
class NonlinearAverage:
    """What `nonlinear_average` returns.

    Attributes
    ----------
    read : NodeAverage
        Of the outputs of the amplifiers, as read: with the systematic errors of the read-out.
    voltage : NodeAverage
        Of the voltages of the nodes, which the rails do not limit, without errors of the read-out.
    stderr_kind : str
        "chains" from 32 chains on; "few chains" flags standard errors from fewer, which are themselves uncertain by
        ``1 / sqrt(2 (n_chains - 1))`` and have Student's tails.
    chain_averages, final : (n_chains, d) ndarray
        Average of the outputs, and last voltages, of each chain.
    saturated_share : float
        Share of amplifier outputs, over chains, nodes and averaged steps, that sit at a rail.
    feedback_saturated_share : float
        Share of conversions in the feedback that saturate.
    dt : float
        Step [RC].
    n_chains : int
    """

    read: NodeAverage
    voltage: NodeAverage
    stderr_kind: str
    chain_averages: np.ndarray
    final: np.ndarray
    saturated_share: float
    feedback_saturated_share: float
    dt: float
    n_chains: int

    @property
    def average(self) -> np.ndarray:
        """`read.value`."""
        return self.read.value

    @property
    def stderr(self) -> np.ndarray:
        """`read.stderr`; the systematic error is not in it."""
        return self.read.stderr


def nonlinear_average(
    A: Matrix,
    b: ArrayLike,
    *,
    dt: float,
    n_steps: int,
    burn_in_steps: int = 0,
    x0: ArrayLike | None = None,
    n_chains: int = 64,
    v_max: float | None = None,
    feedback_bits: int | None = None,
    feedback_range: str | float = "auto",
    component_drift: tuple[float, float] | None = None,
    beta: float | None = None,
    device: Device | None = None,
    rng: RNGLike = None,
    workers: int | None = None,
) -> NonlinearAverage:
    """Average the outputs of a device whose amplifiers clip, whose feedback is rounded, whose components drift.

    Steps ``dx = -(q(A(t) s(x)) - b) dt + sqrt(2/beta) dW`` by Euler-Maruyama:

    - *Clipping*, ``s(x) = min(max(x, -v_max), v_max)``. The voltage x of a node is buffered by an amplifier, and it is
      the amplifier's output s(x), limited by its rails, that drives the resistors of A and is read. The node itself,
      a capacitor, is not limited: noise and inputs carry it beyond. (Rails on x would be another circuit, whose
      nodes are held by diodes.) In a steady state the mean drift vanishes, hence ``E s(x) = A^-1 b``: the average of
      the outputs stays right, that of the voltages does not, and there is no steady state unless every entry of
      A^-1 b lies within the rails.
    - *Quantised feedback*, q: every product that drives a node is rounded to `feedback_bits` at every step. Then
      ``E q(A s(x)) = b`` and the averages are biased.
    - *Drift of components*: ``A_ij(t) = A_ij (1 + sd z_ij(t))``, z_ij stationary Ornstein-Uhlenbeck processes of unit
      variance, one for each pair and chain. The answer is biased upwards by order sd^2.
    - *Systematic error*: each output is read with the fixed gain that the `eps_sys` of the device gives it, which
      averaging cannot remove; see `averaging_time`.

    Parameters
    ----------
    A : (d, d) array_like, sparse array, LinearOperator or operator
        Symmetric positive definite, in units of the reference conductance; dense for `component_drift`.
    b : (d,) array_like
        Right-hand side.
    dt : float
        Step [RC], below ``1 / lambda_max``: paths of double steps must be stable too.
    n_steps, burn_in_steps : int
        Steps that are averaged, and steps before those; even.
    x0 : (d,) or (n_chains, d) array_like, optional
        Start; default 0.
    n_chains : int
        Independent replicas of the device, at least 2; standard errors ask for 32.
    v_max : float, optional
        Rails of the amplifiers [voltage unit]; default none.
    feedback_bits : int, optional
        Word length of the converter in the feedback; default ideal. See `Quantizer` for its levels.
    feedback_range : "auto" or float
        Full scale of that converter; "auto": ``max |b| + 5 sqrt(max A_ii / beta)``, the spread of A x.
    component_drift : (float, float), optional
        sd, the relative standard deviation of a programmed entry, and its correlation time [RC].
    beta : float, optional
        Inverse temperature; default 1.
    device : Device, optional
        Taken for its beta and `eps_sys`; its converters, mismatch and read noise play no part here.
    rng : {None, int, Generator, ...}, optional
        Passed to `numpy.random.default_rng`. Without any of the errors the paths are those of `euler_maruyama`, bit
        for bit.
    workers : int, optional
        Threads; any number gives the same bits.

    Returns
    -------
    NonlinearAverage

    Raises
    ------
    ValueError
        A step that is too long, an odd number of steps, an answer beyond the rails or inputs beyond the range of the
        feedback (there is no steady state), or other bad input.

    See Also
    --------
    averaging_time : How long to average.
    thermolinalg.euler_maruyama : The linear machine, with the same noise.

    Examples
    --------
    >>> import numpy as np
    >>> A, b = np.array([[2.0, 0.5], [0.5, 1.0]]), np.array([1.0, 0.5])
    >>> r = nonlinear_average(A, b, dt=0.05, n_steps=2000, burn_in_steps=200, v_max=1.0, rng=0)
    >>> bool(np.all(abs(r.average - np.linalg.solve(A, b)) < 5 * r.stderr)), r.saturated_share > 0.1
    (True, True)
    """
    operator, device = as_operator(A), device_of(beta, device)
    d, beta = operator.shape[0], device.beta
    b = _validation.vector(b, "b", d)
    n_steps, burn_in_steps = _even(n_steps, "n_steps", 2), _even(burn_in_steps, "burn_in_steps", 0)
    n_chains = _validation.count(n_chains, "n_chains", least=2)
    start = np.zeros(d) if x0 is None else _validation.real_array(x0, "x0")
    if start.shape not in ((d,), (n_chains, d)):
        raise ValueError(f"x0 must have shape ({d},) or ({n_chains}, {d}), got {start.shape}")
    dt, fastest = _validation.positive(dt, "dt"), operator.bounds[1]
    if dt >= 1.0 / fastest:
        raise ValueError(
            f"dt must be below 1 / lambda_max = {1.0 / fastest:.6g}, so that double steps are stable, got {dt:.6g}"
        )
    circuit = _Circuit(
        operator=operator, b=b, beta=beta, v_max=_rails(v_max, operator, b),
        feedback=_feedback(feedback_bits, feedback_range, operator, b, beta),
        component_drift=_component_drift(component_drift),
    )  # fmt: skip
    start = np.broadcast_to(start, (n_chains, d))

    def tile(generator: np.random.Generator, chains: slice) -> tuple[tuple[FloatArray, ...], tuple[int, int]]:
        return _run(generator, circuit, start[chains], dt, burn_in_steps, n_steps)

    chains = chain_tiles(n_chains, d)
    results = run_chains(tile, _validation.generator(rng), chains, workers)
    voltage, read, coarse_voltage, coarse_read, final = (
        _validation.finite_result(np.concatenate(part), "a path of the nonlinear device")
        for part in zip(*(arrays for arrays, _ in results), strict=True)
    )
    counts = np.sum([counts for _, counts in results], axis=0) / (n_chains * d)
    return NonlinearAverage(
        read=_node_average(read, coarse_read, device.read_gains(d)),
        voltage=_node_average(voltage, coarse_voltage, 1.0),
        stderr_kind="chains" if n_chains >= CHAINS_FOR_SCATTER else "few chains",
        chain_averages=read, final=final, saturated_share=float(counts[0] / n_steps),
        feedback_saturated_share=float(counts[1] / (burn_in_steps + n_steps)), dt=dt, n_chains=n_chains,
    )  # fmt: skip


def averaging_time(eps: float, *, tau_fast: float, condition_number: float, eps_sys: float = 0.0) -> float:
    """Time to read one entry of a covariance to a relative error: ``2 kappa tau_fast / (eps^2 - eps_sys^2)``.

    kappa tau_fast is the relaxation time of the slowest mode; the systematic error of the read-out takes its share of
    eps and leaves none below it. The model of a two-node breadboard of RC cells, exact for one mode at eps_sys = 0 and
    long times, as in ``1 / (time lambda / 2) = eps^2``.

    Parameters
    ----------
    eps : float
        Relative error to reach (one standard deviation).
    tau_fast : float
        Relaxation time of the fastest mode, in any unit.
    condition_number : float
        Largest over smallest eigenvalue, at least 1.
    eps_sys : float
        Standard deviation of the systematic relative error.

    Returns
    -------
    float
        In the unit of `tau_fast`.

    Raises
    ------
    QuantizationFloor
        eps at or below eps_sys, which no averaging reaches.

    See Also
    --------
    nonlinear_average : Averages of such a machine.

    Examples
    --------
    >>> round(averaging_time(0.1, tau_fast=1.0, condition_number=5.0), 6)
    1000.0
    >>> round(averaging_time(0.1, tau_fast=1.0, condition_number=5.0, eps_sys=0.06), 6)
    1562.5
    """
    eps, eps_sys = _validation.positive(eps, "eps"), _validation.positive(eps_sys, "eps_sys", zero=True)
    tau_fast, kappa = (
        _validation.positive(tau_fast, "tau_fast"),
        _validation.positive(condition_number, "condition_number"),
    )
    if kappa < 1.0:
        raise ValueError(f"condition_number must be at least 1, got {kappa:.6g}")
    if eps <= eps_sys:
        raise QuantizationFloor(
            f"eps = {eps:.3g} cannot be reached: the systematic error eps_sys = {eps_sys:.3g} of the read-out stays, "
            "however long the average"
        )
    return 2.0 * kappa * tau_fast / ((eps - eps_sys) * (eps + eps_sys))


@dataclass(frozen=True, kw_only=True, eq=False)
class _Circuit:
    """The device with its imperfections in standard form."""

    operator: Modal | Krylov
    b: np.ndarray
    beta: float
    v_max: float
    feedback: tuple[Quantizer, float] | None
    component_drift: tuple[float, float] | None


def _even(value: int, name: str, least: int) -> int:
    value = _validation.count(value, name, least)
    if value % 2:
        raise ValueError(f"{name} must be even, got {value}: the bias of the step is measured by paths of double steps")
    return value


def _rails(v_max: float | None, operator: Operator, b: FloatArray) -> float:
    if v_max is None:
        return np.inf
    v_max = _validation.positive(v_max, "v_max")
    largest = float(np.abs(operator.function(np.reciprocal, b)).max())
    if largest >= v_max:
        raise ValueError(
            f"v_max must exceed every entry of the answer, up to {largest:.6g}, got {v_max:.6g}: there is no steady "
            "state; scale b down"
        )
    return v_max


def _feedback(
    bits: int | None, full_scale: str | float, operator: Operator, b: FloatArray, beta: float
) -> tuple[Quantizer, float] | None:
    if bits is None:
        return None
    bits = _validation.count(bits, "feedback_bits")
    if bits > MOST_BITS:
        raise ValueError(f"feedback_bits must be at most {MOST_BITS}, got {bits}; None is an ideal converter")
    if isinstance(full_scale, str):
        _validation.choice(full_scale, "feedback_range (or a number)", ("auto",))
        diagonal = operator.bounds[1] if isinstance(operator, Krylov) else operator.diagonal(lambda lam: lam).max()
        full_scale = float(np.abs(b).max() + READ_RANGE_SDS * np.sqrt(diagonal / beta)) or 1.0
        return Quantizer(bits, full_scale), full_scale
    full_scale = _validation.positive(full_scale, "feedback_range")
    if np.abs(b).max() >= full_scale:
        raise ValueError(
            f"feedback_range must exceed every entry of b, up to {np.abs(b).max():.6g}, got {full_scale:.6g}: a "
            "feedback that cannot cancel b has no steady state"
        )
    return Quantizer(bits, full_scale), full_scale


def _component_drift(component_drift: tuple[float, float] | None) -> tuple[float, float] | None:
    if component_drift is None:
        return None
    settings = _validation.vector(component_drift, "component_drift", 2)
    sd = _validation.positive(settings[0], "component_drift[0], the relative standard deviation", zero=True)
    return sd, _validation.positive(settings[1], "component_drift[1], the correlation time")


class _Components:
    """The drifting entries of A of some chains, all of them in their stationary law at the start."""

    def __init__(
        self, A: FloatArray, drift: tuple[float, float], generator: np.random.Generator, chains: int, dt: float
    ) -> None:
        self.A = np.ascontiguousarray(A)
        self.sd, time = drift
        self.generator, d = generator, len(self.A)
        self.decay, self.noise_std = np.exp(-dt / time), np.sqrt(-np.expm1(-2.0 * dt / time))
        self.noise, self.z = np.empty((chains, d * (d + 1) // 2)), np.zeros((chains, d, d))
        kernels.drift_components(0.0, 1.0, self._fresh(), self.z)

    def _fresh(self) -> FloatArray:
        return self.generator.standard_normal(out=self.noise)

    def advance(self) -> None:
        """One step."""
        kernels.drift_components(self.decay, self.noise_std, self._fresh(), self.z)

    def product(self, x: FloatArray) -> FloatArray:
        """A(t) x for every chain."""
        out = np.empty_like(x)
        kernels.drifted_product(self.A, self.sd, self.z, x, out)
        return out


class _Paths:
    """Chains that are stepped together, at one length of step."""

    def __init__(self, circuit: _Circuit, start: FloatArray, dt: float) -> None:
        self.circuit, self.dt, self.noise_std = circuit, dt, np.sqrt(2.0 * dt / circuit.beta)
        self.x, self.out = start.copy(), np.clip(start, -circuit.v_max, circuit.v_max)
        self.voltage, self.read = np.zeros((2, *start.shape))
        self.clipped = self.product_clipped = 0

    def drive(self, components: _Components | None) -> None:
        """Form the feedback from the state at the beginning of a step."""
        if components is None:
            self.product = np.ascontiguousarray(self.circuit.operator.matvec(self.out.T).T)
        else:
            self.product = components.product(self.out)
        if self.circuit.feedback is not None:
            converter, full_scale = self.circuit.feedback
            self.product, n = converter.round(self.product, full_scale=full_scale)
            self.product_clipped += n

    def move(self, noise: FloatArray) -> None:
        """Finish the step with noise of unit variance."""
        self.clipped += kernels.update(
            self.product, self.circuit.b, self.dt, self.noise_std, noise, self.circuit.v_max, self.x, self.out,
            self.voltage, self.read,
        )  # fmt: skip

    def forget(self) -> None:
        """End of the burn-in: only what follows is averaged."""
        self.voltage[:], self.read[:], self.clipped = 0.0, 0.0, 0


def _run(
    generator: np.random.Generator, circuit: _Circuit, start: FloatArray, dt: float, burn_in_steps: int, n_steps: int
) -> tuple[tuple[FloatArray, ...], tuple[int, int]]:
    """Averages of fine and of double steps, last voltages; counts of clipped outputs and conversions."""
    fine, coarse = _Paths(circuit, start, dt), _Paths(circuit, start, 2.0 * dt)
    components = None
    if circuit.component_drift is not None:
        A, drift = circuit.operator.dense(), circuit.component_drift
        components = _Components(A, drift, generator.spawn(1)[0], len(start), dt)
    step, first = 0, np.empty_like(fine.x)
    for noise in blocks(burn_in_steps + n_steps, start.size):
        generator.standard_normal(out=noise)
        for row in noise.reshape(-1, *start.shape):
            if step == burn_in_steps:
                fine.forget()
                coarse.forget()
            fine.drive(components)
            if step % 2 == 0:
                coarse.drive(components)
                first[:] = row
            else:
                coarse.move((first + row) / np.sqrt(2.0))
            fine.move(row)
            if components is not None:
                components.advance()
            step += 1
    averages = (fine.voltage / n_steps, fine.read / n_steps, coarse.voltage / (n_steps // 2))
    return (*averages, coarse.read / (n_steps // 2), fine.x), (fine.clipped, fine.product_clipped)


def _node_average(fine: FloatArray, coarse: FloatArray, gain: FloatArray | float) -> NodeAverage:
    """Mean over chains of fine paths, and of their distance to paths of double steps: the bias of first order."""
    root, bias = np.sqrt(len(fine)), coarse - fine
    return NodeAverage(
        value=gain * fine.mean(axis=0),
        stderr=np.abs(gain) * fine.std(axis=0, ddof=1) / root,
        step_bias=gain * bias.mean(axis=0),
        step_bias_stderr=np.abs(gain) * bias.std(axis=0, ddof=1) / root,
    )
