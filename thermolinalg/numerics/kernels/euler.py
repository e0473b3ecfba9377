"""Euler-Maruyama on the plain matrix: the part of a step that is not the product A x."""

from ..._typing import FloatArray
from ..jit import kernel


@kernel
def update(
    product: FloatArray,
    b: FloatArray,
    step: float,
    noise_std: float,
    noise: FloatArray,
    x: FloatArray,
    total: FloatArray,
) -> None:
    """x <- x + step (b - product) + noise_std noise for every chain (row); total gains the mean of old and new x.

    product = A x, noise, x and total (chains, d); b (d,); step [RC] and noise_std [V] numbers.
    """
    for c in range(x.shape[0]):
        for i in range(x.shape[1]):
            moved = x[c, i] + step * (b[i] - product[c, i]) + noise_std * noise[c, i]
            total[c, i] += 0.5 * (x[c, i] + moved)
            x[c, i] = moved
