r"""Bounds of a read-out over a spectrum of which only the ends, low and high, are known, for cells with inertia.

Without inertia memory and variance of a read-out fall with the eigenvalue, so that the ends bound them. With inertia
they do neither, for modes oscillate; what creeps bounds what oscillates. Let f(t) be what is left of a unit
displacement at time t, g as in `thermolinalg.laws.underdamped`, and lam* the smaller of lam and the eigenvalue
gamma^2 / (4 M) that is damped critically. Then

    |f(t; lam)| <= f(t; lam*), which falls with t and with lam*,

for df/dlam = -(1/M) int g f is not positive where modes creep, and e^{-xi t} |cos a + xi t sin(a)/a| <= e^{-xi t} (1 +
xi t) beyond. The energy that is left, f^2 + lam g^2 / M = e^{-2 xi t} (1 + xi sinh(2 delta t)/delta + 2 xi^2
sinh(delta t)^2/delta^2), rises with delta^2 and so falls with lam. All bounds of protocols follow from these two.
"""

import numpy as np


def creeping(low: float, mass: float, friction: float) -> float:
    """lam* of the lowest eigenvalue."""
    return min(low, friction**2 / (4.0 * mass))


def integral_variance(low: float, duration: float, mass: float, friction: float) -> float:
    """A bound of the variance (beta = 1) of an integrator with light friction, for eigenvalues from `low` on.

    By the equation of motion ``lam int x = sqrt(2 gamma) W - change of (p + gamma x)``, and deviations add at most.
    """
    deviation = np.sqrt(2.0 * friction * duration) + 2.0 * np.sqrt(mass + friction**2 / low)
    return float((deviation / (low * duration)) ** 2)
