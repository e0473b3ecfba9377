"""Cells that clip and components that drift: the parts of an Euler step that are not a fixed product A x."""

from ..._typing import FloatArray
from ..jit import kernel


@kernel
def update(
    product: FloatArray,
    b: FloatArray,
    step: float,
    noise_std: float,
    noise: FloatArray,
    v_max: float,
    x: FloatArray,
    out: FloatArray,
    voltage: FloatArray,
    read: FloatArray,
) -> int:
    """x <- x + step (b - product) + noise_std noise, out <- x within +-v_max; the sums gain means of old and new.

    product, noise, x, out, voltage and read (chains, d); b (d,); the rest numbers. Returns how many of the new outputs
    are clipped.
    """
    clipped = 0
    for c in range(x.shape[0]):
        for i in range(x.shape[1]):
            moved = x[c, i] + step * (b[i] - product[c, i]) + noise_std * noise[c, i]
            shown = min(max(moved, -v_max), v_max)
            clipped += shown != moved
            voltage[c, i] += 0.5 * (x[c, i] + moved)
            read[c, i] += 0.5 * (out[c, i] + shown)
            x[c, i] = moved
            out[c, i] = shown
    return clipped


@kernel
def drift_components(decay: float, noise_std: float, noise: FloatArray, z: FloatArray) -> None:
    """z <- decay z + noise_std noise for every chain and every pair (i, j), symmetric; noise is the lower triangle.

    z (chains, d, d); noise (chains, d (d + 1) / 2); decay and noise_std numbers.
    """
    for c in range(z.shape[0]):
        k = 0
        for i in range(z.shape[1]):
            for j in range(i + 1):
                moved = decay * z[c, i, j] + noise_std * noise[c, k]
                z[c, i, j] = moved
                z[c, j, i] = moved
                k += 1


@kernel
def drifted_product(A: FloatArray, sd: float, z: FloatArray, x: FloatArray, out: FloatArray) -> None:
    """out_i = sum_j A_ij (1 + sd z_ij) x_j for every chain.

    A (d, d); z (chains, d, d); x and out (chains, d); sd a number.
    """
    for c in range(x.shape[0]):
        for i in range(x.shape[1]):
            total = 0.0
            for j in range(x.shape[1]):
                total += A[i, j] * (1.0 + sd * z[c, i, j]) * x[c, j]
            out[c, i] = total
