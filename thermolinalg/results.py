"""What the primitives return: frozen records in which every random number comes with its standard error."""

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Physical time and energy of one run on the device; means, computed from the run's law.

    Attributes
    ----------
    load, relax, integrate, read : float
        Seconds for programming the matrix and right-hand side, for the burn-in, for averaging, for reading out.
    joule_heat : float or None
        Dissipated in the resistors by the mean currents while the device is driven; grows with time.
    stochastic_heat : float or None
        Taken up from the bath along the run (negative: given off); zero on average at equilibrium.
    stored_energy : float or None
        x^T A x / 2 at the end of a run, mean over the runs of one device: of the mean x, plus the thermal d / (2 beta).
    energy_unit : str
        "C V^2" (capacitance times the square of the voltage unit) or "J" where the device has a `voltage_unit`.
    conversions : int
        Numbers that went through a converter, in either direction.
    converter_energy : float or None
        Joules of those conversions; None where the device has no `conversion_energy`.

    See Also
    --------
    thermolinalg.Device : Clock, link and converters.
    """

    load: float
    relax: float
    integrate: float
    read: float
    joule_heat: float | None
    stochastic_heat: float | None
    stored_energy: float | None
    energy_unit: str
    conversions: int
    converter_energy: float | None

    @property
    def seconds(self) -> float:
        """All four times together."""
        return self.load + self.relax + self.integrate + self.read

    def __add__(self, later: "Cost") -> "Cost":
        """Cost of this run and a later one on the same device: what is stored at the end is the later run's."""

        def both(one: float | None, other: float | None) -> float | None:
            return None if one is None or other is None else one + other

        return Cost(
            load=self.load + later.load,
            relax=self.relax + later.relax,
            integrate=self.integrate + later.integrate,
            read=self.read + later.read,
            joule_heat=both(self.joule_heat, later.joule_heat),
            stochastic_heat=both(self.stochastic_heat, later.stochastic_heat),
            stored_energy=later.stored_energy,
            energy_unit=self.energy_unit,
            conversions=self.conversions + later.conversions,
            converter_energy=both(self.converter_energy, later.converter_energy),
        )

    def __str__(self) -> str:
        times = ", ".join(f"{name} {_seconds(getattr(self, name))}" for name in ("load", "relax", "integrate", "read"))
        energies = ", ".join(
            f"{name.replace('_', ' ')} {value:.3g} {self.energy_unit}"
            for name in ("joule_heat", "stochastic_heat", "stored_energy")
            if (value := getattr(self, name)) is not None
        )
        text = f"{_seconds(self.seconds)} ({times}); {energies or 'energies not known'}"
        if self.converter_energy is not None:
            text += f"; converters {self.converter_energy:.3g} J"
        return text


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """One round of iterative refinement.

    Attributes
    ----------
    residual : float
        Norm of b - A x before the round, relative to the norm of b; known to the digital host.
    correction : float
        Norm of what the device added, relative to the norm of x after the round: the host's view of the error before.
    burn_in, duration : float
        Times of the round [RC].
    """

    residual: float
    correction: float
    burn_in: float
    duration: float


class _Late:
    """A field that is given a value, or a function that computes it lazily; None if neither."""

    def __set_name__(self, owner: type | None, name: str) -> None:
        self.name = name

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        if instance is None:
            return None  # what `dataclass` takes for the default
        value = vars(instance)[self.name]
        if callable(value):
            value = vars(instance)[self.name] = value()
        return value

    def __set__(self, instance: Any, value: Any) -> None:
        vars(instance)[self.name] = value


@dataclass(frozen=True, kw_only=True, eq=False)
class Estimate:
    """A random answer with its error bar, the protocol that gave it, and what that cost.

    Attributes
    ----------
    value : ndarray
        The estimate, float64.
    stderr : ndarray
        Its standard error, shaped like `value`; computed lazily.
    stderr_kind : str
        "law" (exact, from the law of the read-out), "chains" (scatter of independent chains), "rms" (one root mean
        square for all entries, from a stochastic trace), "paths" (scatter of what each path adds to a free energy),
        "autocorrelation" or "batch means" (from a trajectory).
    burn_in, duration : float
        Times before and of averaging [RC].
    n_reads : int or None
        Reads by a converter; None for an analog integrator. `inv` simulates its integrator by this many reads.
    read_spacing : float or None
        Time between reads [RC]; None for independent reads, each after a fresh start, or an integrator.
    n_chains : int
        Independent replicas averaged.
    simulator : str
        "law", "path" or "data" (a trajectory that the caller brought).
    device : Device or None
    cost : Cost or None
        Computed lazily.
    clipped : dict
        Numbers that saturated a converter: keys "matrix", "dac", "adc".
    products : int or None
        Matrix-vector products used, for operators that have nothing else.
    planning_margin : float or None
        For `rtol` with bounds only: requested error over the error expected for this run (rms).
    rounds : tuple of Round
        History of iterative refinement; empty for a single run.

    See Also
    --------
    WorkEstimate : The result of `logdet`.
    ExponentialEstimate : The result of `expm`.
    Cost : Time and energy.
    """

    value: np.ndarray
    stderr_source: np.ndarray | Callable[[], np.ndarray] = field(repr=False)
    stderr_kind: str
    burn_in: _Late = _Late()
    duration: float
    n_reads: int | None = None
    read_spacing: float | None = None
    n_chains: int = 1
    simulator: str
    device: Any = None
    cost: _Late = _Late()
    clipped: dict = field(default_factory=dict)
    products: int | None = None
    planning_margin: float | None = None
    rounds: tuple[Round, ...] = ()
    stderr_error_source: Callable[[], float] | None = field(default=None, repr=False)

    def __reduce__(self) -> tuple[Any, tuple[()]]:
        """Pickle the numbers: a standard error that is not yet computed is computed first."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        values["stderr_source"] = self.stderr
        if self.stderr_error_source is not None:
            values["stderr_error_source"] = _Constant(self.stderr_error_source())
        return partial(type(self), **values), ()

    @property
    def stderr_error(self) -> float | None:
        """Relative standard error of `stderr` itself where it is an estimate of kind "rms"; else None."""
        return None if self.stderr_error_source is None else self.stderr_error_source()

    @property
    def stderr(self) -> np.ndarray:
        """Standard error of `value`, entry by entry; see `stderr_kind`."""
        value = self.stderr_source
        if callable(value):
            value = value()
            object.__setattr__(self, "stderr_source", value)
        return value

    def to_frame(self) -> "pd.DataFrame":
        """A pandas DataFrame with columns value and stderr, one row per entry (needs the `analysis` extra)."""
        try:
            import pandas as pd
        except ImportError as error:  # pragma: no cover
            raise ImportError("to_frame needs pandas: pip install thermolinalg[analysis]") from error
        index = pd.MultiIndex.from_tuples(list(np.ndindex(self.value.shape))) if self.value.ndim > 1 else None
        return pd.DataFrame({"value": self.value.ravel(), "stderr": self.stderr.ravel()}, index=index)

    def __str__(self) -> str:
        readout = f"integrated over {self.duration:.4g} RC"
        if self.n_reads is not None:
            spacing = "independent" if self.read_spacing is None else f"{self.read_spacing:.4g} RC apart"
            readout = f"{self.n_reads} reads, {spacing}"
        size = float(np.sqrt(np.mean(np.square(self.value))))
        if callable(self.stderr_source) and (self.value.ndim > 1 or self.stderr_kind == "rms"):
            error = "standard error not computed yet"
        else:
            error = f"rms standard error {float(np.sqrt(np.mean(np.square(self.stderr)))):.2g} ({self.stderr_kind})"
        lines = [
            f"Estimate {self.value.shape}: rms value {size:.4g}, {error}",
            f"  {self.simulator}: burn-in {self.burn_in:.4g} RC, {readout}"
            + (f", {self.n_chains} chains" if self.n_chains > 1 else ""),
        ]
        if self.products is not None:
            lines.append(f"  {self.products} matrix-vector products")
        if self.rounds:
            last = self.rounds[-1]
            lines.append(f"  {len(self.rounds)} rounds of refinement, last correction {last.correction:.2g} of x")
        if self.planning_margin is not None:
            margin = f"{self.planning_margin:.3g}"
            lines.append(f"  planned from bounds: error expected {margin} times below the requested one")
        if sum(self.clipped.values()):
            lines.append("  saturated: " + ", ".join(f"{n} in {name}" for name, n in self.clipped.items() if n))
        biases = ("matrix_bits", "dac_bits", "mismatch", "eps_sys")
        unaware = [name for name in biases if getattr(self.device, name, None)]
        if unaware and not self.rounds:
            lines.append(f"  the standard error does not cover what {', '.join(unaware)} of the device do")
        if self.cost is not None:
            lines.append(f"  device: {self.cost}")
        return "\n".join(lines)


@dataclass(frozen=True)
class _Constant:
    """A function that gives one number: unlike a closure, it can be pickled."""

    value: float

    def __call__(self) -> float:
        return self.value


def _seconds(value: float) -> str:
    for unit, factor in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if value >= factor:
            return f"{value / factor:.3g} {unit}"
    return "0 s" if value == 0 else f"{value / 1e-9:.3g} ns"


@dataclass(frozen=True, kw_only=True, eq=False)
class ExponentialEstimate(Estimate):
    """An `Estimate` that says which multiple of the identity was added to the drift.

    Attributes
    ----------
    alpha : float
        The shift; the device shows ``e^-alpha`` times the answer.
    """

    alpha: float

    def __str__(self) -> str:
        return f"{Estimate.__str__(self)}\n  drift shifted by alpha = {self.alpha:.4g}"


@dataclass(frozen=True, kw_only=True, eq=False)
class WorkEstimate(Estimate):
    """An `Estimate` of a determinant from the work of driven paths.

    `value` and `stderr` are scalars. Work and dissipation are in units of 1/beta, in which they do not depend on beta.

    Attributes
    ----------
    reference : float
        ln det of the matrix that the ramp starts from.
    dissipated_work, dissipated_stderr : float
        Mean work of the forward ramp less the free energy difference, and its standard error. As seen by the
        estimator: where it warns, the true dissipation is larger.
    slow_limit : float
        Dissipation of this protocol as it would be for duration -> infinity, where it falls as 1/duration; computed
        lazily.
    bound : float
        The least dissipation of any protocol of this duration, in the same limit; computed lazily.
    effective_paths : float
        ``(sum e^{-w})^2 / sum e^{-2 w}``: how many of the `n_paths` carry the Jarzynski average.
    n_paths, n_steps : int
        Paths (each way, for "bar"); steps of the piecewise constant ramp.
    protocol, estimator, stepping : str
    work, reverse_work : ndarray
        Work of each path, as read; reverse_work is None where no reverse paths were run.

    See Also
    --------
    Estimate : The result of all other primitives.
    thermolinalg.logdet : Makes it.
    """

    reference: float
    dissipated_work: float
    dissipated_stderr: float
    slow_limit: _Late = _Late()
    bound: _Late = _Late()
    effective_paths: float
    n_paths: int
    n_steps: int
    protocol: str
    estimator: str
    stepping: str
    work: np.ndarray = field(repr=False)
    reverse_work: np.ndarray | None = field(repr=False)

    def __str__(self) -> str:
        label = ", a bound: it uses the spectrum" if self.protocol == "optimal" else ""
        biases = ("matrix_bits", "adc_bits", "mismatch", "read_noise", "eps_sys")
        unaware = [name for name in biases if getattr(self.device, name)]
        lines = [
            f"WorkEstimate: {self.value:.6g} +- {self.stderr:.2g} ({self.estimator})",
            f"  {self.n_paths} paths of {self.duration:.4g} RC, {self.protocol} ramp{label}; {self.n_steps} "
            f"{self.stepping} steps",
            f"  dissipated {self.dissipated_work:.3g} +- {self.dissipated_stderr:.1g} / beta (slow limit "
            f"{self.slow_limit:.3g}, least {self.bound:.3g}); {self.effective_paths:.0f} effective paths",
        ]
        if sum(self.clipped.values()):
            lines.append("  saturated: " + ", ".join(f"{n} in {name}" for name, n in self.clipped.items() if n))
        if unaware:
            lines.append(f"  the standard error does not cover what {', '.join(unaware)} of the device do")
        lines.append(f"  device: {self.cost}")
        return "\n".join(lines)
