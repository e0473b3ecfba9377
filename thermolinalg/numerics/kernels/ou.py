"""Exact steps of Ornstein-Uhlenbeck modes, x <- decay x + push + kick xi, one column a mode."""

from ..jit import kernel


@kernel
def average_steps(decay, push, kick, noise, x, total):
    """Advance x by noise.shape[0] steps and add every state to total."""
    for k in range(noise.shape[0]):
        for i in range(x.size):
            x[i] = decay[i] * x[i] + push[i] + kick[i] * noise[k, i]
            total[i] += x[i]


@kernel
def state_steps(decay, push, kick, noise, x):
    """Advance x and leave the state after step k in noise[k]."""
    for k in range(noise.shape[0]):
        for i in range(x.size):
            x[i] = decay[i] * x[i] + push[i] + kick[i] * noise[k, i]
            noise[k, i] = x[i]


@kernel
def integral_steps(decay, push, kick, gain, drift, mixed, rest, noise, x, integral):
    """Advance x and its time integral jointly: dI = gain x + drift + mixed xi_0 + rest xi_1."""
    for k in range(noise.shape[0]):
        for i in range(x.size):
            integral[i] += gain[i] * x[i] + drift[i] + mixed[i] * noise[k, 0, i] + rest[i] * noise[k, 1, i]
            x[i] = decay[i] * x[i] + push[i] + kick[i] * noise[k, 0, i]
