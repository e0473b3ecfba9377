"""Exact steps of Ornstein-Uhlenbeck modes, x <- decay x + increment + noise_std xi, one column per mode.

xi are independent standard normal numbers; times are in RC and x in volt, or in whatever unit the caller chose.
"""

from ..._typing import FloatArray
from ..jit import kernel


@kernel
def average_steps(
    decay: FloatArray, increment: FloatArray, noise_std: FloatArray, noise: FloatArray, x: FloatArray, total: FloatArray
) -> None:
    """Advance x by n steps and add every state to total.

    decay, increment, noise_std, x and total (m,); noise (n, m).
    """
    for k in range(noise.shape[0]):
        for i in range(x.size):
            x[i] = decay[i] * x[i] + increment[i] + noise_std[i] * noise[k, i]
            total[i] += x[i]


@kernel
def state_steps(
    decay: FloatArray, increment: FloatArray, noise_std: FloatArray, noise: FloatArray, x: FloatArray
) -> None:
    """Advance x by n steps and leave the state after step k in noise[k].

    decay, increment, noise_std and x (m,); noise (n, m).
    """
    for k in range(noise.shape[0]):
        for i in range(x.size):
            x[i] = decay[i] * x[i] + increment[i] + noise_std[i] * noise[k, i]
            noise[k, i] = x[i]


@kernel
def integral_steps(
    decay: FloatArray,
    increment: FloatArray,
    noise_std: FloatArray,
    gain: FloatArray,
    drift: FloatArray,
    mixed: FloatArray,
    rest: FloatArray,
    noise: FloatArray,
    x: FloatArray,
    integral: FloatArray,
) -> None:
    """Advance x and its time integral jointly by n steps: dI = gain x + drift + mixed xi_0 + rest xi_1.

    All (m,), but noise (n, 2, m).
    """
    for k in range(noise.shape[0]):
        for i in range(x.size):
            integral[i] += gain[i] * x[i] + drift[i] + mixed[i] * noise[k, 0, i] + rest[i] * noise[k, 1, i]
            x[i] = decay[i] * x[i] + increment[i] + noise_std[i] * noise[k, 0, i]
