"""Sign descent."""

from typing import Any

import numpy as np

from .. import _validation
from .._typing import Arrays, FloatArray
from .._validation import fraction
from .protocol import Move, Optimizer, State


class SignSGD(Optimizer):
    """``m <- momentum m + (1 - momentum) g``, ``theta <- theta - learning_rate sign(m)``.

    Parameters
    ----------
    learning_rate : float
    momentum : float
        In [0, 1); 0 is signSGD, above it Signum.

    Raises
    ------
    ValueError
        A parameter out of its range.

    See Also
    --------
    Adam : Nearly this rule for ``beta1 = beta2 = 0``.
    thermolinalg.optimizers : What learning_rate, damping, momentum, tracking, device and rng mean for all of them.

    Notes
    -----
    Source: Bernstein et al., arXiv:1802.04434. Adam with (0, 0) is this rule but for its eps.

    Examples
    --------
    >>> import numpy as np, thermolinalg as tl
    >>> optimizer = tl.optimizers.SignSGD(learning_rate=0.1)
    >>> optimizer.step(np.zeros(3), np.array([5.0, -1e-3, 0.0]), None, optimizer.init(np.zeros(3)))[0]
    array([-0.1, 0.1, 0. ])
    """

    def __init__(self, learning_rate: float = 1e-3, momentum: float = 0.0) -> None:
        self.learning_rate = _validation.positive(learning_rate, "learning_rate")
        self.momentum = fraction(momentum, "momentum")

    def _start(self, theta: FloatArray) -> Arrays:
        return {"momentum": np.zeros_like(theta)} if self.momentum else {}

    def _move(self, theta: FloatArray, gradient: FloatArray, curvature: Any, state: State) -> Move:
        direction, arrays = gradient, {}
        if self.momentum:
            direction = self.momentum * state.arrays["momentum"] + (1.0 - self.momentum) * gradient
            arrays["momentum"] = direction
        return Move(-self.learning_rate * np.sign(direction), arrays, {"learning_rate": self.learning_rate})
