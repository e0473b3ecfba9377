"""Normal numbers of a counter: Philox4x32-10 (Salmon et al., SC 2011) and Box and Muller's transform, in vector loops.

No branches, no tables, no library calls: each loop over the HALF entries of a block is compiled to vector instructions.
"""

import math

import numpy as np
from numpy.typing import NDArray

from ..._typing import FloatArray
from ..jit import kernel

HALF = 512  # counters to a block; a block is as many cosines, then as many sines
BLOCK = 2 * HALF
MULTIPLY_0, MULTIPLY_1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
WEYL_0, WEYL_1 = np.uint64(0x9E3779B9), np.uint64(0xBB67AE85)
LOW, WORD, ROUNDS = np.uint64(0xFFFFFFFF), np.uint64(32), 10
TOP, EXPONENT, MANTISSA, ONE = np.uint64(12), np.uint64(52), np.uint64(2**52 - 1), np.uint64(1023 << 52)

LOG = tuple(2.0 / (2 * k + 1) for k in range(12))  # ln m = sum LOG[k] s^(2k+1), s = (m - 1) / (m + 1) <= 0.18
SIN = tuple((-1) ** k * (math.pi / 2.0) ** (2 * k + 1) / math.factorial(2 * k + 1) for k in range(9))
COS = tuple((-1) ** k * (math.pi / 2.0) ** (2 * k) / math.factorial(2 * k) for k in range(9))
LN2, ROOT2 = math.log(2.0), math.sqrt(2.0)


@kernel
def philox(
    key_0: np.uint64,
    key_1: np.uint64,
    high_0: np.uint64,
    high_1: np.uint64,
    first: np.uint64,
    a: NDArray[np.uint64],
    b: NDArray[np.uint64],
) -> None:
    """128 bits for each of the counters first, first + 1, ...: low words in a, high words in b."""
    for i in range(a.size):
        n = first + np.uint64(i)
        x0, x1, x2, x3, k0, k1 = n & LOW, n >> WORD, high_0, high_1, key_0, key_1
        for _ in range(ROUNDS):
            p, q = MULTIPLY_0 * x0, MULTIPLY_1 * x2
            x0, x1, x2, x3 = (q >> WORD) ^ x1 ^ k0, q & LOW, (p >> WORD) ^ x3 ^ k1, p & LOW
            k0, k1 = (k0 + WEYL_0) & LOW, (k1 + WEYL_1) & LOW
        a[i] = x0 | (x1 << WORD)
        b[i] = x2 | (x3 << WORD)


@kernel
def unit(bits: NDArray[np.uint64]) -> None:
    """Turn words in place into the bits of floats from 1 to 2, evenly spread."""
    for i in range(bits.size):
        bits[i] = (bits[i] >> TOP) | ONE


@kernel
def split(bits: NDArray[np.uint64], power: FloatArray) -> None:
    """Turn the bits of floats into those of their mantissas, from 1 to 2, and leave the exponents in power."""
    for i in range(bits.size):
        power[i] = np.float64(np.int32(bits[i] >> EXPONENT) - 1023)
        bits[i] = (bits[i] & MANTISSA) | ONE


@kernel
def radius(mantissa: FloatArray, power: FloatArray, out: FloatArray) -> None:
    """sqrt(-2 ln u) of u = mantissa 2^power."""
    for i in range(mantissa.size):
        above = mantissa[i] > ROOT2
        m = 0.5 * mantissa[i] if above else mantissa[i]
        e = power[i] + 1.0 if above else power[i]
        s = (m - 1.0) / (m + 1.0)
        z = s * s
        p = ((LOG[11] * z + LOG[10]) * z + LOG[9]) * z + LOG[8]
        p = (((p * z + LOG[7]) * z + LOG[6]) * z + LOG[5]) * z + LOG[4]
        p = (((p * z + LOG[3]) * z + LOG[2]) * z + LOG[1]) * z + LOG[0]
        out[i] = math.sqrt(-2.0 * (s * p + e * LN2))


@kernel
def turn(length: FloatArray, angle: FloatArray, out: FloatArray) -> None:
    """length cos(2 pi (angle - 3/2)) in the first half of out, with the sine in the second; angle from 1 to 2."""
    for i in range(length.size):
        t = 4.0 * (angle[i] - 1.5)
        quarter = math.floor(t + 0.5)
        f = t - quarter
        w = f * f
        s = (((SIN[8] * w + SIN[7]) * w + SIN[6]) * w + SIN[5]) * w + SIN[4]
        s = ((((s * w + SIN[3]) * w + SIN[2]) * w + SIN[1]) * w + SIN[0]) * f
        c = (((COS[8] * w + COS[7]) * w + COS[6]) * w + COS[5]) * w + COS[4]
        c = (((c * w + COS[3]) * w + COS[2]) * w + COS[1]) * w + COS[0]
        odd, half = quarter * quarter == 1.0, quarter * quarter == 4.0
        x, y = (s, c) if odd else (c, s)
        out[i] = length[i] * (-x if half or quarter == 1.0 else x)
        out[length.size + i] = length[i] * (-y if half or quarter == -1.0 else y)


@kernel
def fill(
    key_0: np.uint64, key_1: np.uint64, high_0: np.uint64, high_1: np.uint64, first: np.uint64, out: FloatArray
) -> None:
    """Normals of the blocks first, first + 1, ... of a stream into out, whose size is a multiple of BLOCK."""
    a, b, power, length = np.empty(HALF, np.uint64), np.empty(HALF, np.uint64), np.empty(HALF), np.empty(HALF)
    below_one, angle = a.view(np.float64), b.view(np.float64)
    for k in range(out.size // BLOCK):
        philox(key_0, key_1, high_0, high_1, (first + np.uint64(k)) * np.uint64(HALF), a, b)
        unit(a)
        unit(b)
        for i in range(HALF):
            below_one[i] = 2.0 - below_one[i]  # above 0, at most 1
        split(a, power)
        radius(below_one, power, length)
        turn(length, angle, out[k * BLOCK : (k + 1) * BLOCK])
