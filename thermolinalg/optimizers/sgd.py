"""Stochastic gradient descent with heavy-ball momentum."""

from typing import Any

import numpy as np

from .. import _validation
from .._typing import Arrays, FloatArray
from .protocol import Move, Optimizer, State


class SGD(Optimizer):
    """``m <- momentum m + g``, ``theta <- theta - learning_rate m``.

    Parameters
    ----------
    learning_rate : float
    momentum : float
    weight_decay : float
        Adds ``weight_decay theta`` to the gradient.

    Raises
    ------
    ValueError
        A parameter out of its range.

    See Also
    --------
    Adam : Steps scaled by moving averages.
    SignSGD : The sign of each entry alone.
    thermolinalg.optimizers : What learning_rate, damping, momentum, tracking, device and rng mean for all of them.

    Examples
    --------
    >>> import numpy as np, thermolinalg as tl
    >>> optimizer = tl.optimizers.SGD(learning_rate=0.5)
    >>> theta = np.array([1.0])
    >>> theta, state = optimizer.step(theta, 2.0 * theta, None, optimizer.init(theta))
    >>> theta, state.report.predicted_decrease
    (array([0.]), 2.0)
    """

    def __init__(self, learning_rate: float, momentum: float = 0.0, weight_decay: float = 0.0) -> None:
        self.learning_rate = _validation.positive(learning_rate, "learning_rate")
        self.momentum = _validation.fraction(momentum, "momentum")
        self.weight_decay = _validation.positive(weight_decay, "weight_decay", zero=True)

    def _start(self, theta: FloatArray) -> Arrays:
        return {"momentum": np.zeros_like(theta)} if self.momentum else {}

    def _move(self, theta: FloatArray, gradient: FloatArray, curvature: Any, state: State) -> Move:
        direction, arrays = gradient + self.weight_decay * theta, {}
        if self.momentum:
            direction = self.momentum * state.arrays["momentum"] + direction
            arrays["momentum"] = direction
        return Move(-self.learning_rate * direction, arrays, {"learning_rate": self.learning_rate})
