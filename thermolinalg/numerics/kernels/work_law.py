"""The mean of e^{-c w} over all paths of a ramp: Gaussian integrals, step by step from the last jump to the first.

The mean over all that follows a state x is ``e^{total - g x^2 / 2}``. A jump adds c times itself to g; the mean over
``x' = m x + sqrt(q) xi`` turns g into ``g m^2 / (1 + g q)``. For complex c the integrals converge where those of its
real part do: 1 + g q lies right of 0, and so does the product of such factors when one more is taken in, which then
never crosses the cut of the logarithm.
"""

import numpy as np

from ..._typing import FloatArray
from ..jit import kernel

SMALL, LARGE = 1e-100, 1e100  # bounds of a product of factors before its logarithm is taken


@kernel
def log_mean_exponential(rates: FloatArray, lost: FloatArray, c: float | complex) -> float | complex:
    """``ln <e^{-c w}>`` for modes whose rates (n + 2, d) jump, then stay for a while (n times), then jump again.

    `lost` (n, d): the share 1 - m^2 of its variance that a mode has forgotten after each while. Infinite: no mean.
    """
    n, total = lost.shape[0], 0.0 * c
    g = c * (rates[n + 1] - rates[n])
    product = 1.0 + 0.0 * g
    for k in range(n, 0, -1):
        endless, full = False, False
        for i in range(g.size):
            grown = 1.0 + g[i] * lost[k - 1, i] / rates[k, i]
            product[i] *= grown
            g[i] = g[i] * (1.0 - lost[k - 1, i]) / grown + c * (rates[k, i] - rates[k - 1, i])
            endless |= grown.real <= 0.0
            full |= not SMALL < product[i].real < LARGE
        if endless:
            return np.inf + 0.0 * c
        if full:
            total -= 0.5 * np.sum(np.log(product))
            product[:] = 1.0
    for i in range(g.size):
        grown = 1.0 + g[i] / rates[0, i]
        if grown.real <= 0.0:
            return np.inf + 0.0 * c
        total -= 0.5 * np.log(product[i] * grown)
    return total
