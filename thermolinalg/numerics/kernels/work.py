"""Work and heat along driven paths: accumulated for each path as it is stepped, no trajectory is kept.

Work is what a jump of the potential adds to the energy at fixed x. Heat is force times displacement while the
potential stands still, the force taken halfway (Stratonovich): it is not found as a difference of energies.
"""

from ..._typing import FloatArray
from ..jit import kernel


@kernel
def ramp_steps(
    rates: FloatArray,
    decay: FloatArray,
    noise_std: FloatArray,
    noise: FloatArray,
    x: FloatArray,
    work: FloatArray,
    heat: FloatArray,
) -> None:
    """For modes: at every step k the rates jump from rates[k] to rates[k + 1], then x <- decay x + noise_std xi.

    rates (n + 1, m); decay and noise_std (n, m); noise (n, paths, m); x, work and heat (paths, m).
    """
    for k in range(noise.shape[0]):
        for c in range(x.shape[0]):
            for i in range(x.shape[1]):
                before = x[c, i]
                work[c, i] += 0.5 * (rates[k + 1, i] - rates[k, i]) * before * before
                after = decay[k, i] * before + noise_std[k, i] * noise[k, c, i]
                heat[c, i] += 0.5 * rates[k + 1, i] * (before + after) * (after - before)
                x[c, i] = after


@kernel
def shadow_energy(
    x: FloatArray, start: FloatArray, change: FloatArray, fraction: float, dt: float, energy: FloatArray
) -> None:
    """energy <- x^T y / 2 - dt |y|^2 / 4 for every path, y = start + fraction change the product A x.

    The quadratic form that an Euler step of length dt leaves in equilibrium; that of A itself for dt = 0.
    x, start and change (paths, d); energy (paths,).
    """
    for c in range(x.shape[0]):
        total = 0.0
        for i in range(x.shape[1]):
            y = start[c, i] + fraction * change[c, i]
            total += 0.5 * x[c, i] * y - 0.25 * dt * y * y
        energy[c] = total


@kernel
def euler_relax(
    start: FloatArray,
    change: FloatArray,
    fraction: float,
    dt: float,
    noise_std: float,
    noise: FloatArray,
    x: FloatArray,
) -> None:
    """x <- x - dt (start + fraction change) + noise_std xi for every path.

    start, change, noise and x (paths, d); the rest numbers.
    """
    for c in range(x.shape[0]):
        for i in range(x.shape[1]):
            x[c, i] += -dt * (start[c, i] + fraction * change[c, i]) + noise_std * noise[c, i]


@kernel
def path_steps(
    before: FloatArray, after: FloatArray, force_before: FloatArray, force_after: FloatArray, heat: FloatArray
) -> None:
    """heat += force . displacement, the force taken halfway: the mean of its values at both ends of the step.

    before, after, force_before and force_after (paths, d); heat (paths,).
    """
    for c in range(before.shape[0]):
        for i in range(before.shape[1]):
            heat[c] += 0.5 * (force_before[c, i] + force_after[c, i]) * (after[c, i] - before[c, i])
