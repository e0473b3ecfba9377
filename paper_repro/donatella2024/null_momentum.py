"""Natural gradient with momentum in the null space of each curvature: what a relaxed device that is not reset does."""

import numpy as np

from thermolinalg.optimizers import NaturalGradient
from thermolinalg.optimizers.protocol import Move


class NullMomentum(NaturalGradient):
    """``v <- (F + damping I)^-1 g + momentum P0 v``, ``theta <- theta - learning_rate v``, P0 projecting on null(F).

    The limit of TNGD with carried voltages where every mode that F drives has relaxed, while the others have decayed by
    ``momentum = exp(-damping time)`` only.

    Parameters
    ----------
    learning_rate, damping, momentum : float
        As for `NaturalGradient`, whose momentum is that of all directions.
    """

    def __init__(self, learning_rate, damping, momentum):
        super().__init__(learning_rate, damping)
        self.null_momentum = momentum

    def _start(self, theta):
        return super()._start(theta) | {"direction": np.zeros_like(theta)}

    def _move(self, theta, gradient, curvature, state):
        move = super()._move(theta, gradient, curvature, state)
        kept = self.null_momentum * curvature.null_part(state.arrays["direction"])
        displacement = move.displacement - self.learning_rate * kept
        direction = displacement / -self.learning_rate
        return Move(displacement, move.arrays | {"direction": direction}, move.facts)


NAME = f"{__name__}:{NullMomentum.__name__}"  # of the optimiser of a `Training`
