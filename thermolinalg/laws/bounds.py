r"""Bounds of a read-out over a spectrum of which only the ends, low and high, are known.

Without inertia memory and variance of a read-out fall with the eigenvalue, so that the ends bound them. With inertia
they do neither, for modes oscillate; what creeps bounds what oscillates. Let f(t) be what is left of a unit
displacement at time t, g as in `thermolinalg.underdamped_laws`, and lam* the smaller of lam and the eigenvalue
gamma^2 / (4 M) that is damped critically. Then

    |f(t; lam)| <= f(t; lam*), which falls with t and with lam*,

for df/dlam = -(1/M) int g f is not positive where modes creep, and e^{-xi t} |cos a + xi t sin(a)/a| <= e^{-xi t} (1 +
xi t) beyond. The energy that is left, f^2 + lam g^2 / M = e^{-2 xi t} (1 + xi sinh(2 delta t)/delta + 2 xi^2
sinh(delta t)^2/delta^2), rises with delta^2 and so falls with lam. All bounds here follow from these two.
"""

import numpy as np


def memory_at_most(readout, low: float) -> float:
    """The largest weight of x0 for eigenvalues from `low` on: the mean of f, bounded by its largest."""
    return _at(readout.memory, _creeping(readout, low))


def variance_at_most(readout, low: float) -> float:
    """The largest variance (beta = 1) from equilibrium for eigenvalues from `low` on.

    It is 1/lam times a mean of f over lags. For an integrator with light friction another bound is smaller: by the
    equation of motion ``lam int x = sqrt(2 gamma) W - change of (p + gamma x)``, and deviations add at most.
    """
    creeping = _creeping(readout, low)
    bound = _at(readout.variance, creeping) * creeping / low
    if not readout.inertial or readout.kind != "integrator":
        return bound
    time, friction = readout.duration, readout.friction
    deviation = np.sqrt(2.0 * friction * time) + 2.0 * np.sqrt(readout.mass + friction**2 / low)
    return min(bound, float((deviation / (low * time)) ** 2))


def variance_at_least(readout, low: float, high: float) -> float:
    """The smallest variance (beta = 1) for eigenvalues from `low` to `high`, at the burn-in of the read-out.

    With inertia: of an integrator what noise since the burn-in leaves, ``(2 gamma / time^2) int (1 - f)^2 / lam^2``;
    of reads what noise since the last but one leaves in the last, 1/n^2 times ``(1 - energy left) / lam``.
    """
    if not readout.inertial:
        return _at(readout.variance, high)
    creeping = _creeping(readout, low)
    modes = readout.modes([creeping])
    if readout.kind == "integrator":
        since = modes.stretch(readout.duration).noise[2, 2, 0] / readout.duration**2
        return float(since * (creeping / high) ** 2)
    if readout.kind == "independent":
        return _at(readout.variance, creeping) * creeping / high
    last = readout.burn_in if readout.n_reads == 1 else readout.spacing
    return float(modes.covariance(last)[0, 0, 0] * creeping / high) / readout.n_reads**2


def decay_rates(readout, low: float, high: float) -> tuple[float, float]:
    """Slowest and fastest rate at which the mean of a mode moves."""
    creeping = _creeping(readout, low)
    return readout.decay_rates(np.array([creeping, high]))


def _creeping(readout, low: float) -> float:
    """lam* of the lowest eigenvalue."""
    return min(low, readout.friction**2 / (4.0 * readout.mass)) if readout.inertial else low


def _at(function, lam: float) -> float:
    return float(function(np.array([lam]))[0])
