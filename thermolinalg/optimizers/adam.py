"""Adam, and the sign descent that is left of it without its memory."""

from typing import Any

import numpy as np

from .. import _validation
from .._typing import Arrays, FloatArray
from .._validation import fraction
from .protocol import Move, Optimizer, State


class Adam(Optimizer):
    """Adam: steps of a moving mean over the root of a moving mean square.

    Parameters
    ----------
    learning_rate : float
    beta1, beta2 : float
        Decay of the two means, in [0, 1). With (0, 0) each step is ``g / (|g| + eps)``, sign descent.
    eps : float
        Positive.
    weight_decay : float
        Decoupled: theta shrinks by ``learning_rate weight_decay`` a step.

    Raises
    ------
    ValueError
        A parameter out of its range.

    See Also
    --------
    SGD : Steps along the gradient itself.
    SignSGD : What is left without the two averages.
    TNGD : Takes this rule as its `inner` one.
    thermolinalg.optimizers : What learning_rate, damping, momentum, tracking, device and rng mean for all of them.

    Notes
    -----
    Source: Kingma and Ba, arXiv:1412.6980, Alg. 1; decoupled decay: Loshchilov and Hutter, arXiv:1711.05101.

    Examples
    --------
    >>> import numpy as np, thermolinalg as tl
    >>> optimizer = tl.optimizers.Adam(learning_rate=0.1)
    >>> theta, state = optimizer.step(np.ones(2), np.array([3.0, 0.0]), None, optimizer.init(np.ones(2)))
    >>> theta.round(6)
    array([0.9, 1. ])
    """

    def __init__(
        self,
        learning_rate: float = 1e-3,
        beta1: float = 0.9,
        beta2: float = 0.999,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        self.learning_rate = _validation.positive(learning_rate, "learning_rate")
        self.beta1, self.beta2 = fraction(beta1, "beta1"), fraction(beta2, "beta2")
        self.eps = _validation.positive(eps, "eps")
        self.weight_decay = _validation.positive(weight_decay, "weight_decay", zero=True)

    def _start(self, theta: FloatArray) -> Arrays:
        return {"mean": np.zeros_like(theta), "square": np.zeros_like(theta)}

    def _move(self, theta: FloatArray, gradient: FloatArray, curvature: Any, state: State) -> Move:
        mean = self.beta1 * state.arrays["mean"] + (1.0 - self.beta1) * gradient
        square = self.beta2 * state.arrays["square"] + (1.0 - self.beta2) * gradient**2
        unbiased_mean = mean / (1.0 - self.beta1 ** (state.step + 1))
        unbiased_square = square / (1.0 - self.beta2 ** (state.step + 1))
        direction = unbiased_mean / (np.sqrt(unbiased_square) + self.eps) + self.weight_decay * theta
        return Move(
            -self.learning_rate * direction, {"mean": mean, "square": square}, {"learning_rate": self.learning_rate}
        )
