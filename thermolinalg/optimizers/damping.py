"""Damping that follows how well the quadratic model of the loss foretold the last step (Levenberg and Marquardt)."""

from dataclasses import dataclass, replace

import numpy as np

from .. import _validation
from .._typing import Arrays, FloatArray
from ..curvature import Curvature
from ..errors import NotPositiveDefinite
from ..operators import Modal
from .protocol import Optimizer, State, require_state


@dataclass(frozen=True)
class LevenbergMarquardt:
    """A damping that falls while the quadratic model is good and rises where it is not.

    Given to an optimiser in place of a number. After a step d from theta the trainer evaluates the loss on the same
    samples and calls ``state = optimizer.observe(state, loss_before, loss_after)``. With the model
    ``q(d) - q(0) = g^T d + d^T F d / 2`` of that step, F as it was given (undamped), the reduction ratio is
    ``rho = (loss_after - loss_before) / (q(d) - q(0))``.

    Parameters
    ----------
    initial : float
        Damping of the first step.
    factor : float
        In (0, 1): damping is multiplied by it where rho > threshold, divided by it where rho < 1 - threshold.
    threshold : float
        In [0.5, 1).
    interval : int
        Only every so many steps; what is observed in between changes nothing.
    minimum : float
        The damping never falls below.

    Raises
    ------
    ValueError
        A parameter out of its range.

    See Also
    --------
    KFAC, EKFAC, NaturalGradient, TNGD : Optimisers that take it for `damping`.

    Notes
    -----
    A step for which the model foretells no change at all says nothing about the damping and leaves it. Source: Martens
    and Grosse, arXiv:1503.05671, section 6.5 (after Levenberg and Marquardt), whose factor is 0.95 to the power of the
    interval; their model holds the damping as well, ours does not.

    Examples
    --------
    >>> import numpy as np, thermolinalg as tl
    >>> rule = tl.optimizers.LevenbergMarquardt(1.0, factor=0.5, interval=1)
    >>> optimizer = tl.optimizers.KFAC(learning_rate=1.0, damping=rule)
    >>> F, theta = tl.curvature.DiagonalCurvature([3.0]), np.array([1.0])
    >>> after, state = optimizer.step(theta, 3.0 * theta, F, optimizer.init(theta))
    >>> state = optimizer.observe(state, 1.5 * theta[0]**2, 1.5 * after[0]**2)  # a quadratic loss: rho = 1
    >>> float(state.arrays["damping"])
    0.5
    """

    initial: float
    factor: float = 0.95**5
    threshold: float = 0.75
    interval: int = 5
    minimum: float = 1e-8

    def __post_init__(self) -> None:
        _validation.positive(self.initial, "initial")
        if not 0.0 < _validation.positive(self.factor, "factor") < 1.0:
            raise ValueError(f"factor must be in (0, 1), got {self.factor!r}")
        if not 0.5 <= _validation.positive(self.threshold, "threshold") < 1.0:
            raise ValueError(f"threshold must be in [0.5, 1), got {self.threshold!r}")
        _validation.count(self.interval, "interval")
        if _validation.positive(self.minimum, "minimum") > self.initial:
            raise ValueError(f"initial must not be below minimum, got {self.initial!r} and {self.minimum!r}")

    def follow(self, damping: float, ratio: float) -> float:
        """The damping after a step with reduction ratio rho.

        Parameters
        ----------
        damping : float
            Before.
        ratio : float
            rho; nan where there is none.

        Returns
        -------
        float
        """
        if ratio > self.threshold:
            return max(damping * self.factor, self.minimum)
        return damping / self.factor if ratio < 1.0 - self.threshold else damping


class DampedOptimizer(Optimizer):
    """What optimisers share whose damping is a number or a `LevenbergMarquardt`.

    A subclass calls `_set_damping` when it is made, `_damping` for the value in a step, adds `_model` of its step to
    the arrays of the next state, and starts from what `_start` returns here.

    Attributes
    ----------
    damping : float or LevenbergMarquardt
    """

    damping: float | LevenbergMarquardt

    def _set_damping(self, damping: float | LevenbergMarquardt, zero: bool = True) -> None:
        adaptive = isinstance(damping, LevenbergMarquardt)
        self.damping = damping if adaptive else _validation.positive(damping, "damping", zero=zero)

    def _start(self, theta: FloatArray) -> Arrays:
        return {"damping": np.array(self.damping.initial)} if isinstance(self.damping, LevenbergMarquardt) else {}

    def _damping(self, state: State) -> float:
        """The damping of this step."""
        return self.damping if isinstance(self.damping, float) else float(state.arrays["damping"])

    def _model(
        self, displacement: FloatArray, gradient: FloatArray, curvature: Curvature, state: State
    ) -> dict[str, np.ndarray]:
        """The damping, and the two terms g^T d and d^T F d of the quadratic model, for `observe`."""
        if isinstance(self.damping, float):
            return {}
        terms = np.array([gradient @ displacement, curvature.quadratic(displacement)])
        return {"damping": state.arrays["damping"], "model": terms}

    def observe(self, state: State, loss_before: float, loss_after: float) -> State:
        """The state with the damping that follows from the loss before and after its last step.

        Parameters
        ----------
        state : State
            From the step.
        loss_before, loss_after : float
            On the same samples.

        Returns
        -------
        State
            The same one where the damping is a number or not due.

        Raises
        ------
        ValueError
            A loss that is not finite; no step was taken yet.
        """
        state = require_state(state)
        before, after = _finite(loss_before, "loss_before"), _finite(loss_after, "loss_after")
        if isinstance(self.damping, float):
            return state
        if "model" not in state.arrays:
            raise ValueError("there is nothing to observe before the first step")
        if state.step % self.damping.interval:
            return state
        slope, bend = state.arrays["model"]
        foretold = float(slope + 0.5 * bend)
        ratio = (after - before) / foretold if foretold else float("nan")
        damping = self.damping.follow(float(state.arrays["damping"]), ratio)
        report = state.report
        if report is not None:
            report = replace(report, details=report.details | {"reduction_ratio": ratio})
        return replace(state, arrays=state.arrays | {"damping": np.array(damping)}, report=report)


def _finite(loss: float, name: str) -> float:
    return float(_validation.vector([loss], name)[0])


def definite_rates(operator: Modal, damping: float, remedy: str) -> np.ndarray:
    """Rates of the modes of ``operator + damping I``, all positive.

    Coordinates that hold nothing, such as those along the null space of a low-rank F of full rank, get the smallest
    eigenvalue, which changes no product.

    Raises
    ------
    NotPositiveDefinite
        The matrix is singular to working precision; the message ends in `remedy`.
    """
    values = operator.eigenvalues
    low, high = float(values.min()) + damping, float(values.max()) + damping
    rounding = np.finfo(float).eps * high * (1 if damping else values.size)  # a damping has none, eigenvalues of F have
    if low <= rounding:
        raise NotPositiveDefinite(
            f"{type(operator).__name__} + damping I must be positive definite here, but with damping={damping:g} its "
            f"smallest eigenvalue is {low:.6g} (largest {high:.6g}); {remedy}",
            low,
        )
    return np.maximum(operator.rates + damping, low)
