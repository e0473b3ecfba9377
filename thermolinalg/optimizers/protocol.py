"""The one protocol of all optimisers: `init`, `step`, a `State` that is a value, a `Report` of every step.

Parameters are flat float arrays and curvatures are those of `thermolinalg.curvature`, so any framework can drive them:

    state = optimizer.init(theta)
    theta, state = optimizer.step(theta, gradient, curvature, state)
    state.report
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from .. import _validation
from .._typing import ArrayLike, FloatArray, RNGLike
from ..curvature import Curvature, dissipation
from ..curvature.base import require_curvature, unit_scaled
from ..curvature.dissipation import excess_of

CUTOFF = 1e-10  # relative eigenvalue of the metric below which a report takes it for zero


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Report:
    """What a step did. Quantities under a metric F are None where no metric was given, never a placeholder.

    A number too large for float64, such as a Delta_F of gradients above 1e154, is reported as inf.

    Attributes
    ----------
    step : int
        How many steps were taken before this one.
    learning_rate : float or None
        The factor in front of the direction; None where there is no such number.
    step_norm, gradient_norm : float
        2-norms.
    predicted_decrease : float
        -g^T d: of the loss, in first order.
    dissipation : float or None
        Delta_F = g^T F^+ g, nats.
    metric_cost : float or None
        d^T F d of the step d actually taken: momentum, noise, null-space part included.
    excess : float or None
        R = (d^T F d) Delta_F / (g^T d)^2 >= 1: metric cost over the least for the same first-order change;
        nan where that change is zero. Below 1 where d moves along the null space of F, which costs nothing.
    null_fraction : float or None
        |P0 g| / |g|: how much of the gradient the metric cannot see.
    clipped : {"max", "min"} or None
        Which bound the learning rate ran into.
    damping : float or None
        As used in this step.
    device_seconds, device_joules : float or None
        Modelled cost of the device; None where there is no device, or its energy is not known.
    details : dict
        What one optimiser alone knows, by name.

    See Also
    --------
    measure : The report of any step.
    State : Where an optimiser leaves it.
    """

    step: int
    learning_rate: float | None
    step_norm: float
    gradient_norm: float
    predicted_decrease: float
    dissipation: float | None = None
    metric_cost: float | None = None
    excess: float | None = None
    null_fraction: float | None = None
    clipped: str | None = None
    damping: float | None = None
    device_seconds: float | None = None
    device_joules: float | None = None
    details: dict[str, float] = field(default_factory=dict)

    def as_dict(self) -> dict:
        """All of it as one flat row of a table."""
        row = {name: getattr(self, name) for name in self.__slots__ if name != "details"}
        return row | self.details


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class State:
    """All that an optimiser carries from step to step: a value, never changed in place.

    Attributes
    ----------
    step : int
        Steps taken.
    arrays : dict of str to ndarray
        Momenta, voltages, factors; with `step` and the optimiser itself all that a run needs to go on. Kept in C
        order: what a copy or a file makes of a state takes the same steps to the last digit.
    report : Report or None
        Of the last step.

    See Also
    --------
    Optimizer.init : Makes the first one.
    Report : What it says of the last step.
    """

    step: int = 0
    arrays: dict[str, np.ndarray] = field(default_factory=dict)
    report: Report | None = None

    def __post_init__(self) -> None:
        if isinstance(self.arrays, dict):  # JAX rebuilds a state from placeholders
            arrays = {name: _in_c_order(array) for name, array in self.arrays.items()}
            object.__setattr__(self, "arrays", arrays)


def _in_c_order(array: Any) -> Any:
    """The array itself where it is in C order and aligned, else a copy that is; anything else as it is."""
    return np.require(array, requirements=("C", "A")) if isinstance(array, np.ndarray) else array


class Move(NamedTuple):
    """What an optimiser proposes: the displacement of theta, the arrays of the next state, and what it knows of it."""

    displacement: np.ndarray
    arrays: dict[str, np.ndarray]
    facts: dict  # fields of Report; and "metric", the F to report under where the caller names none


class Optimizer:
    """What all optimisers share: checks at the door, randomness of each step, the report.

    A subclass defines `_start`, the arrays of a fresh state, and `_move`.

    Attributes
    ----------
    needs : {"gradient", "curvature", "kronecker"}
        What `step` must be given besides the gradient: nothing, any curvature, or one with Kronecker blocks.
    """

    needs = "gradient"
    _entropy: int = 0

    def init(self, theta: ArrayLike) -> State:
        """A fresh state for parameters theta (N,).

        Raises
        ------
        ValueError
            theta is not a finite vector.
        """
        return State(arrays=self._start(_validation.vector(theta, "theta")))

    def step(
        self,
        theta: ArrayLike,
        gradient: ArrayLike,
        curvature: Curvature | None = None,
        state: State | None = None,
        *,
        metric: Curvature | None = None,
    ) -> tuple[np.ndarray, State]:
        """One step down the loss.

        Parameters
        ----------
        theta, gradient : (N,) array_like
            Parameters, and the gradient of the loss there.
        curvature : Curvature, optional
            Of the loss at theta, undamped; needed where `needs` says so, else ignored.
        state : State
            From `init` or the step before; never changed.
        metric : Curvature, optional
            F under which the report measures the step, e.g. the same for all optimisers that are compared.

        Returns
        -------
        (N,) ndarray, State

        Raises
        ------
        ValueError
            Sizes that do not agree, a gradient that is not finite, a curvature that is missing or of the wrong shape.
        FloatingPointError
            The step is not finite. Nothing has changed then: theta and state are still those of before.
        """
        return self._step(theta, gradient, curvature, state, metric, self._move)

    def _step(
        self,
        theta: ArrayLike,
        gradient: ArrayLike,
        curvature: Curvature | None,
        state: State | None,
        metric: Curvature | None,
        move: Callable[[FloatArray, FloatArray, Any, State], Move],
    ) -> tuple[FloatArray, State]:
        """A checked step along what `move` proposes, with its report."""
        theta, gradient, state = self._checked(theta, gradient, curvature, state, metric)
        with np.errstate(over="ignore", invalid="ignore"):  # what is not finite raises below
            displacement, arrays, facts = move(theta, gradient, curvature, state)
            after = theta + displacement
        for array in (after, *arrays.values()):
            if not np.isfinite(array).all():
                raise FloatingPointError(
                    f"the step of {type(self).__name__} is not finite: the largest entry of its gradient is "
                    f"{np.abs(gradient).max():.3g}; rescale the loss, or give a smaller rate or a larger damping"
                )
        own_metric = facts.pop("metric", None)
        report = measure(displacement, gradient, own_metric if metric is None else metric, step=state.step, **facts)
        return after, State(step=state.step + 1, arrays=arrays, report=report)

    def _checked(
        self,
        theta: ArrayLike,
        gradient: ArrayLike,
        curvature: Curvature | None,
        state: State | None,
        metric: Curvature | None,
    ) -> tuple[FloatArray, FloatArray, State]:
        """theta and gradient as float vectors and the state, all arguments of a step having been checked."""
        if isinstance(curvature, State):
            raise ValueError("curvature is a State: the order is (theta, gradient, curvature, state); write state=...")
        state = require_state(state)
        theta = _validation.vector(theta, "theta")
        gradient = _validation.vector(gradient, "gradient", theta.size)
        self._check_curvature(curvature, "curvature", theta.size)
        if metric is not None:
            require_curvature(metric, "metric", theta.size)
        for name, kept in self._start(theta).items():
            if name not in state.arrays:
                raise ValueError(f"state is not of {type(self).__name__}: it has no {name}; begin with init")
            if state.arrays[name].shape != kept.shape:
                raise ValueError(f"state belongs to other parameters: its {name} has shape {state.arrays[name].shape}")
        return theta, gradient, state

    def observe(self, state: State, loss_before: float, loss_after: float) -> State:
        """The state once the loss before and after its last step is known: the same one, unless something adapts to it.

        Parameters
        ----------
        state : State
        loss_before, loss_after : float
            On the samples of the step.

        Returns
        -------
        State

        Raises
        ------
        ValueError
            What is given for a state is none.
        """
        return require_state(state)

    def _start(self, theta: np.ndarray) -> dict[str, np.ndarray]:
        return {}

    def _move(self, theta: FloatArray, gradient: FloatArray, curvature: Any, state: State) -> Move:
        """What a subclass proposes; the curvature is there, and of the kind, that `needs` asks for."""
        raise NotImplementedError

    def _check_curvature(self, curvature: Curvature | None, name: str, size: int) -> None:
        if curvature is None:
            if self.needs != "gradient":
                raise ValueError(f"{type(self).__name__} needs a {name} at every step, got None")
            return
        require_curvature(curvature, name, size)

    def _seed(self, rng: RNGLike) -> None:
        """Fix the randomness of all steps: that of step k depends on `rng` and k alone, so a run can be resumed."""
        self._entropy = int(_validation.generator(rng).integers(2**63))

    def _generator(self, state: State) -> np.random.Generator:
        return np.random.default_rng((self._entropy, state.step))


def require_state(state: object) -> State:
    """The state, or ValueError for what is none."""
    if not isinstance(state, State):
        raise ValueError(
            f"state must be a State, got {type(state).__name__}; begin with state = optimizer.init(theta), "
            "then pass the one that each step returns"
        )
    return state


def require_finite_dissipation(dissipation: float) -> None:
    """FloatingPointError where a Delta_F that sets the length of a step is above float64: it would freeze the run."""
    if not np.isfinite(dissipation):
        raise FloatingPointError(
            f"Delta_F = g^T F^-1 g is {dissipation:g}, and no step length follows from it: rescale the loss, "
            "or give a larger damping"
        )


def measure(
    displacement: ArrayLike,
    gradient: ArrayLike,
    metric: Curvature | None = None,
    *,
    step: int = 0,
    learning_rate: float | None = None,
    **facts: Any,
) -> Report:
    """The report of a step d at gradient g, under a metric F if one is given: the same for every optimiser.

    Parameters
    ----------
    displacement, gradient : (N,) array_like
        d and g.
    metric : Curvature, optional
        F.
    step, learning_rate, **facts
        Other fields of `Report`.

    Returns
    -------
    Report

    See Also
    --------
    Report : What it returns.
    thermolinalg.curvature.excess_factor : R alone.

    Examples
    --------
    >>> import numpy as np, thermolinalg as tl
    >>> F = tl.curvature.DiagonalCurvature([4.0, 1.0])
    >>> report = tl.optimizers.measure(np.array([-0.5, -0.5]), np.array([1.0, 1.0]), F)
    >>> report.metric_cost, report.dissipation, report.excess
    (1.25, 1.25, 1.5625)
    """
    d = _validation.vector(displacement, "displacement")
    d, long = unit_scaled(d)
    g, steep = unit_scaled(_validation.vector(gradient, "gradient", d.size))
    norm, change = float(np.linalg.norm(g)), float(g @ d)
    if metric is not None:
        require_curvature(metric, "metric", d.size)
        least, cost = dissipation(metric, g, cutoff=CUTOFF), metric.quadratic(d)
        facts |= {
            "dissipation": least * steep * steep,
            "metric_cost": cost * long * long,
            "excess": excess_of(cost, least, change),
            "null_fraction": float(np.linalg.norm(metric.null_part(g, CUTOFF))) / norm if norm else 0.0,
        }
    return Report(
        step=step,
        learning_rate=learning_rate,
        step_norm=float(np.linalg.norm(d)) * long,
        gradient_norm=norm * steep,
        predicted_decrease=-change * steep * long,
        **facts,
    )
