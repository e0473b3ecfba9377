"""K-FAC: natural gradient with one Kronecker product for each layer, by the eigenbases of its factors."""

from typing import Any

import numpy as np

from .. import _validation
from .._typing import Arrays, FloatArray
from .._validation import fraction
from ..curvature import BlockCurvature, Curvature, KroneckerCurvature, Tracking
from ..curvature.kronecker import SPLITS
from .damping import DampedOptimizer, LevenbergMarquardt
from .protocol import Move, State, require_finite_dissipation

PREFIX = "F."  # of the arrays of a state that belong to the average curvature


class KFAC(DampedOptimizer):
    """``v = (F + damping I)^-1 g``, ``m <- momentum m + scale v``, ``theta <- theta - learning_rate m``.

    F is the moving average of the curvatures given, block diagonal, one block a layer. Of each Kronecker block A x G
    the eigenbasis is kept for several steps, and v is ``V_A [(V_A^T (grad W) V_G) / (l_A l_G^T + damping)] V_G^T``:
    the damping is exact and never stored. Diagonal and full blocks are damped exactly under every `split`.

    Parameters
    ----------
    learning_rate : float
    damping : float or LevenbergMarquardt
        Non-negative; zero only for split="exact" and where F is positive definite.
    split : {"exact", "pi", "even", "each"}
        "exact": of the product. The others damp each factor, as implementations must that invert factors and keep no
        spectrum (`KroneckerCurvature.split`), and are here to be compared with them.
    tracking : Tracking, optional
        Average, refreshment of the bases; default ``Tracking()``.
    momentum : float
    kl_clip : float, optional
        c of ``scale = min(1, sqrt(c / (learning_rate^2 g^T v)))``: holds the squared length of the step without
        momentum, in the damped metric, at c, which is twice a divergence in nats. Default: none.

    Raises
    ------
    ValueError
        A parameter out of its range; at a step, a block that has no average, such as a low-rank one.
    NotPositiveDefinite
        At a step: damping zero and F singular.

    See Also
    --------
    EKFAC : Eigenvalues from the samples.
    ThermodynamicKFAC : The factors inverted by a device.
    thermolinalg.curvature.Tracking : Averages of the factors and age of their bases.
    thermolinalg.optimizers : What learning_rate, damping, momentum, tracking, device and rng mean for all of them.

    Notes
    -----
    Details of the report: `damped_dissipation`, g^T v; `condition_number`, of F + damping I, or of the worst layer
    where the factors are damped.

    Source: Martens and Grosse, arXiv:1503.05671; kl_clip: Ba, Grosse and Martens, ICLR 2017.

    Examples
    --------
    >>> import numpy as np, thermolinalg as tl
    >>> F = tl.curvature.KroneckerCurvature(np.diag([1.0, 2.0]), np.diag([1.5, 0.0]))
    >>> optimizer = tl.optimizers.KFAC(learning_rate=1.0, damping=1.0)
    >>> optimizer.step(np.zeros(4), np.array([5.0, 1.0, 4.0, 1.0]), F, optimizer.init(np.zeros(4)))[0]
    array([-2., -1., -1., -1.])
    """

    needs = "kronecker"

    def __init__(
        self,
        learning_rate: float,
        damping: float | LevenbergMarquardt = 1e-3,
        *,
        split: str = "exact",
        tracking: Tracking | None = None,
        momentum: float = 0.0,
        kl_clip: float | None = None,
    ) -> None:
        self.learning_rate = _validation.positive(learning_rate, "learning_rate")
        self.split = _validation.choice(split, "split", ("exact", *SPLITS))
        self._set_damping(damping, zero=split == "exact")
        self.tracking = Tracking() if tracking is None else tracking
        if not isinstance(self.tracking, Tracking):
            raise ValueError(f"tracking must be a Tracking, got {type(tracking).__name__}")
        if split != "exact" and self.tracking.eigenvalues == "samples":
            raise ValueError(f'eigenvalues="samples" do not factor: they need split="exact", got split={split!r}')
        self.momentum = fraction(momentum, "momentum")
        self.kl_clip = None if kl_clip is None else _validation.positive(kl_clip, "kl_clip")

    def _start(self, theta: FloatArray) -> Arrays:
        return super()._start(theta) | ({"momentum": np.zeros_like(theta)} if self.momentum else {})

    def _move(self, theta: FloatArray, gradient: FloatArray, curvature: Any, state: State) -> Move:
        kept = {name[len(PREFIX) :]: array for name, array in state.arrays.items() if name.startswith(PREFIX)}
        tracked = self.tracking.update(kept, curvature)
        arrays = {PREFIX + name: array for name, array in tracked.items()}
        damping, average = self._damping(state), self.tracking.curvature(tracked)
        rates, condition = damped_rates(average, damping, self.split)
        natural = average.weighted(1.0 / rates, gradient)
        dissipation = float(gradient @ natural)
        scale = self._scale(dissipation)
        direction = scale * natural
        if self.momentum:
            direction = arrays["momentum"] = self.momentum * state.arrays["momentum"] + direction
        displacement = -self.learning_rate * direction
        facts = {
            "learning_rate": self.learning_rate * scale,
            "damping": damping,
            "clipped": "max" if scale < 1.0 else None,
            "details": {"damped_dissipation": dissipation, "condition_number": condition},
        }
        return Move(displacement, arrays | self._model(displacement, gradient, curvature, state), facts)

    def _scale(self, dissipation: float) -> float:
        if self.kl_clip is None or dissipation <= 0.0:
            return 1.0
        require_finite_dissipation(dissipation)
        longest = float(np.sqrt(self.kl_clip / dissipation))
        return 1.0 if self.learning_rate <= longest else longest / self.learning_rate


def damped_rates(curvature: BlockCurvature, damping: float, split: str) -> tuple[np.ndarray, float]:
    """What each mode of the gradient is divided by, and the condition number of that."""
    if split == "exact":
        damped = curvature.damped(damping)
        low, high = damped.bounds
        return damped.rates, high / low
    each = [_split_rates(block, damping, split) for block in curvature.blocks]
    return np.concatenate(each), max(float(rates.max() / rates.min()) for rates in each)


def _split_rates(block: Curvature, damping: float, split: str) -> np.ndarray:
    if not isinstance(block, KroneckerCurvature):
        return block.rates + damping
    left, right = block.shares(damping, split)
    return np.outer(block.left_values + left, block.right_values + right).ravel()
