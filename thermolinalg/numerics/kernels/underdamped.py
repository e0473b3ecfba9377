"""Steps of oscillators with friction and noise: exact ones in modes, the BAOAB splitting on the plain matrix."""

from ..._typing import FloatArray
from ..jit import kernel


@kernel
def exact_steps(
    transition: FloatArray,
    increment: FloatArray,
    factor: FloatArray,
    noise: FloatArray,
    x: FloatArray,
    p: FloatArray,
    xs: FloatArray,
    ps: FloatArray,
) -> None:
    """(x, p) <- transition (x, p) + increment + factor xi in every mode; the state after step k goes to xs[k], ps[k].

    transition (4, m) holds xx, xp, px, pp; increment (2, m); factor (3, m) the Cholesky factor xx, px, pp;
    noise (n, 2, m); x and p (m,); xs and ps (n, m).
    """
    for k in range(noise.shape[0]):
        for i in range(x.size):
            moved = transition[0, i] * x[i] + transition[1, i] * p[i] + increment[0, i] + factor[0, i] * noise[k, 0, i]
            p[i] = transition[2, i] * x[i] + transition[3, i] * p[i] + increment[1, i]
            p[i] += factor[1, i] * noise[k, 0, i] + factor[2, i] * noise[k, 1, i]
            x[i] = moved
            xs[k, i] = moved
            ps[k, i] = p[i]


@kernel
def integral_steps(
    transition: FloatArray,
    increment: FloatArray,
    factor: FloatArray,
    noise: FloatArray,
    x: FloatArray,
    p: FloatArray,
    integral: FloatArray,
) -> None:
    """Steps of (x, p) that also add up the integral of x, sampled jointly with them.

    transition (6, m) holds xx, xp, px, pp and what x and p now give to the integral; increment (3, m); factor (6, m)
    the Cholesky factor xx, px, pp, ix, ip, ii; noise (n, 3, m); x, p and integral (m,).
    """
    for k in range(noise.shape[0]):
        for i in range(x.size):
            moved = transition[0, i] * x[i] + transition[1, i] * p[i] + increment[0, i] + factor[0, i] * noise[k, 0, i]
            area = transition[4, i] * x[i] + transition[5, i] * p[i] + increment[2, i] + factor[3, i] * noise[k, 0, i]
            integral[i] += area + factor[4, i] * noise[k, 1, i] + factor[5, i] * noise[k, 2, i]
            p[i] = transition[2, i] * x[i] + transition[3, i] * p[i] + increment[1, i]
            p[i] += factor[1, i] * noise[k, 0, i] + factor[2, i] * noise[k, 1, i]
            x[i] = moved


@kernel
def force_step(product: FloatArray, b: FloatArray, half: float, p: FloatArray) -> None:
    """B: p <- p + half (b - A x) for every chain (row), given the products A x.

    product and p (chains, d); b (d,); half, half a step [RC].
    """
    for c in range(p.shape[0]):
        for i in range(p.shape[1]):
            p[c, i] += half * (b[i] - product[c, i])


@kernel
def drift_noise_drift(
    half_over_mass: float, decay: float, sd: float, noise: FloatArray, x: FloatArray, p: FloatArray, total: FloatArray
) -> None:
    """A O A: x <- x + (half/M) p, p <- decay p + sd xi, x <- x + (half/M) p; total gains the mean of old and new x.

    noise, x, p and total (chains, d); the rest numbers.
    """
    for c in range(x.shape[0]):
        for i in range(x.shape[1]):
            before = x[c, i]
            middle = before + half_over_mass * p[c, i]
            p[c, i] = decay * p[c, i] + sd * noise[c, i]
            x[c, i] = middle + half_over_mass * p[c, i]
            total[c, i] += 0.5 * (before + x[c, i])
