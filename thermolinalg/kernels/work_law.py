"""The mean of e^{-c w} over all paths of a ramp: Gaussian integrals, step by step from the last jump to the first."""

import numpy as np

from .._jit import kernel


@kernel
def log_mean_exponential(rates, step, c):
    """``ln <e^{-c w}>`` for modes whose rates (d, n + 2) jump, then stay for a time `step` (n times), then jump again.

    The mean over all that follows a state x is ``e^{total - g x^2 / 2}``. A jump adds c times itself to g; the mean
    over ``x' = m x + sqrt(q) xi`` turns g into ``g m^2 / (1 + g q)``. Infinite where there is no mean. For complex c
    the integrals converge where those of its real part do, and 1 + g q then never crosses the cut of the logarithm.
    """
    n, total = rates.shape[1] - 2, 0.0 * c
    for i in range(rates.shape[0]):
        g = c * (rates[i, n + 1] - rates[i, n])
        for k in range(n, 0, -1):
            lost = -np.expm1(-2.0 * step * rates[i, k])
            grown = 1.0 + g * lost / rates[i, k]
            if grown.real <= 0.0:
                return np.inf + 0.0 * c
            total -= 0.5 * np.log(grown)
            g = g * (1.0 - lost) / grown + c * (rates[i, k] - rates[i, k - 1])
        grown = 1.0 + g / rates[i, 0]
        if grown.real <= 0.0:
            return np.inf + 0.0 * c
        total -= 0.5 * np.log(grown)
    return total
