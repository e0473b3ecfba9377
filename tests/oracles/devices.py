"""What this very device tends to when it averages without end: slow, plain truth, no formula of the library's.

A `sheet` is any dataclass with the fields of a data sheet (beta, ..., read_noise). Errors belong to places:
`place_normal` is the definition, in Python integers. Rounding tries all levels. Moments of rounded reads are sums over
levels and quadrature, never series or tables of responses.
"""

import dataclasses

import numpy as np
import scipy.linalg
import scipy.special

from tests import oracles

WORD = 2**64
GOLDEN = 0x9E3779B97F4A7C15
MISMATCH, GAIN = 0, 1  # streams
NODES, WEIGHTS = np.polynomial.legendre.leggauss(24)


# Errors that belong to places ----------------------------------------------------------------------------------------


def mix(z):
    """The finaliser of splitmix64."""
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) % WORD
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) % WORD
    return z ^ (z >> 31)


def place_normal(seed, stream, i, j):
    """The standard normal number that belongs to a place (i, j) of a stream of the device with this seed."""
    h = mix((seed + GOLDEN) % WORD)
    for k in (stream, i, j):
        h = mix((h + GOLDEN * (k + 1)) % WORD)
    return float(scipy.special.ndtri(((h >> 11) + 0.5) * 2.0**-53))


def gains(sheet, d):
    """Gain (d,) with which each cell is read."""
    return np.array([1.0 + sheet.eps_sys * place_normal(sheet.mismatch_seed, GAIN, i, 0) for i in range(d)])


def levels(bits, full_scale):
    """All levels of a converter."""
    return np.linspace(-full_scale, full_scale, 2 if bits == 1 else 2**bits - 1)


def nearest(x, bits, full_scale):
    """x after a converter that rounds to nearest; "max" is the largest magnitude in x."""
    if bits is None:
        return np.array(x, dtype=float)
    return oracles.quantise(x, bits, np.abs(x).max() if full_scale == "max" else full_scale)


def programmed(sheet, A):
    """The matrix that the device holds; a symmetric one is programmed once for each pair of places."""
    held = nearest(A, sheet.matrix_bits, sheet.matrix_range)
    symmetric = np.array_equal(A, np.transpose(A))
    for i, j in np.ndindex(held.shape):
        place = (max(i, j), min(i, j)) if symmetric else (i, j)
        held[i, j] *= 1.0 + sheet.mismatch * place_normal(sheet.mismatch_seed, MISMATCH, *place)
    return held


def inputs(sheet, b):
    """Right-hand sides as the device gets them: every column is a conversion of its own."""
    columns = np.reshape(b, (len(b), -1)).T
    return np.column_stack([nearest(c, sheet.dac_bits, sheet.dac_range) for c in columns]).reshape(np.shape(b))


def noise_inputs(sheet, R):
    """A noise covariance as the converters of the inputs set it."""
    return nearest(R, sheet.dac_bits, sheet.dac_range)


# Reads that are each rounded -----------------------------------------------------------------------------------------


class Reader:
    """A converter of reads that are normal numbers: moments of what it gives, by sums over levels and quadrature."""

    def __init__(self, sheet, full_scale):
        self.marks = levels(sheet.adc_bits, full_scale)
        self.stochastic = sheet.rounding == "stochastic"
        self.step = self.marks[1] - self.marks[0]
        self.edges = (self.marks[1:] + self.marks[:-1]) / 2.0

    def given(self, x):
        """E[q] and E[q^2] for given inputs."""
        if self.stochastic:  # between two levels in proportion to the distance: linear interpolation of any function
            return np.interp(x, self.marks, self.marks), np.interp(x, self.marks, self.marks**2)
        q = self.marks[np.searchsorted(self.edges, x)]
        return q, q**2

    def nodes(self, mean, sd):
        """Points and weights for expectations over N(mean, sd^2) of what is smooth between the levels and edges."""
        cuts = np.concatenate([mean + sd * np.arange(-10.0, 11.0), self.marks, self.edges])
        cuts = np.unique(cuts[np.abs(cuts - mean) <= 10.0 * sd])
        half = np.diff(cuts)[:, None] / 2.0
        x = (cuts[:-1, None] + half * (1.0 + NODES)).ravel()
        weights = (half * WEIGHTS).ravel() * np.exp(-0.5 * ((x - mean) / sd) ** 2) / (sd * np.sqrt(2.0 * np.pi))
        return x, weights

    def moments(self, mean, sd):
        """E[q] and E[q^2] for the read of a normal number."""
        if sd == 0.0:
            return tuple(float(v) for v in self.given(mean))
        x, weights = self.nodes(mean, sd)
        return tuple(float(v @ weights) for v in self.given(x))

    def mean_given(self, mean, sd):
        """E[q] for many means at once: a sum over levels, or the mean of the input cut off at both ends."""
        if self.stochastic:
            top = self.marks[-1]
            high, low = (top - mean) / sd, (-top - mean) / sd
            area = [u * scipy.special.ndtr(u) + np.exp(-0.5 * u**2) / np.sqrt(2.0 * np.pi) for u in (high, low)]
            return top - sd * (area[0] - area[1])
        below = scipy.special.ndtr((self.edges - np.asarray(mean)[..., None]) / sd)
        return self.marks[-1] - self.step * below.sum(axis=-1)

    def product(self, s, t, c):
        """E[q(x) q(y)] for jointly normal x and y of zero mean, variances s and t and covariance c."""
        x, weights = self.nodes(0.0, np.sqrt(s))
        return float((self.given(x)[0] * self.mean_given(c / s * x, np.sqrt(t - c**2 / s))) @ weights)


def reads_range(sheet, mean, sd):
    """Full scale for a stream of reads: what is given, or the largest mean plus 5 standard deviations."""
    return float(np.max(np.abs(mean) + 5.0 * sd)) if sheet.adc_range == "max" else sheet.adc_range


def mean_of_reads(sheet, mean, sd):
    """Mean and standard deviation of one read, for normal voltages (with read noise) of any shape."""
    if sheet.adc_bits is None:
        return np.array(mean), np.array(sd)
    reader = Reader(sheet, reads_range(sheet, mean, sd))
    pairs = [
        reader.moments(m, s) for m, s in zip(np.ravel(mean), np.ravel(np.broadcast_to(sd, np.shape(mean))), strict=True)
    ]
    first, second = (np.reshape(v, np.shape(mean)) for v in np.transpose(pairs))
    return first, np.sqrt(second - first**2)


def products_of_reads(sheet, S, C, lag):
    """E of products of reads, times beta, less what the host takes off; S, C: covariance (beta = 1) now, and later."""
    if sheet.adc_bits is None:
        return C  # read noise is on the diagonal at lag 0 alone, and the host takes off just that
    noise = S / sheet.beta + sheet.read_noise**2 * np.eye(len(S))
    reader = Reader(sheet, reads_range(sheet, np.zeros(len(S)), np.sqrt(np.diag(noise))))
    out = np.empty_like(C)
    for i, j in np.ndindex(C.shape):
        if i == j and lag == 0:
            own = reader.step**2 / (6.0 if reader.stochastic else 12.0)
            out[i, i] = reader.moments(0.0, np.sqrt(noise[i, i]))[1] - own - sheet.read_noise**2
        else:
            out[i, j] = reader.product(noise[i, i], noise[j, j], C[i, j] / sheet.beta)
    return sheet.beta * out


# Limits of the primitives --------------------------------------------------------------------------------------------


def solve_limit(sheet, A, b, sd):
    """Of the mean of reads, or of one conversion of an integrator; sd: of each number that is converted."""
    x = gains(sheet, len(A)) * np.linalg.solve(programmed(sheet, A), inputs(sheet, b))
    return mean_of_reads(sheet, x, sd)[0]


def second_moment_limit(sheet, A, R, lag=0):
    """Of products of reads of dx = -A x dt + noise of covariance R dt, the later read lag RC after the earlier."""
    held, noise = programmed(sheet, A), noise_inputs(sheet, R)
    G = np.diag(gains(sheet, len(A)))
    S = scipy.linalg.solve_continuous_lyapunov(held, noise)
    return products_of_reads(sheet, G @ S @ G, G @ scipy.linalg.expm(-lag * held) @ S @ G, lag)


def inverse_limit(sheet, A):
    """Of products of reads at b = 0, times beta; noise of the cells is no input, so no converter sets it."""
    g = gains(sheet, len(A))
    S = np.outer(g, g) * np.linalg.inv(programmed(sheet, A))
    return products_of_reads(sheet, S, S, 0)


def integrated_inverse_limit(sheet, A):
    """Of an analog average of products without converter, whose one conversion is a matter of the ensemble."""
    g = gains(sheet, len(A))
    return np.outer(g, g) * np.linalg.inv(programmed(sheet, A))


def converted_once_limit(sheet, value, sd):
    """Mean of one conversion of an analog average, in units of beta = 1, with noise of this standard deviation."""
    return sheet.beta * mean_of_reads(sheet, value / sheet.beta, sd / sheet.beta)[0]


# Work ----------------------------------------------------------------------------------------------------------------


def ramp_weights(first, last, duration, n_steps):
    """Eigenvalues of the quadratic form that the work is, for one mode whose rate goes from first to last.

    The rate jumps to its value halfway through each step, x relaxes, and so on; a last jump leads to the end.
    """
    rates = first + (last - first) * np.concatenate(([0.0], (np.arange(n_steps) + 0.5) / n_steps, [1.0]))
    decay = np.exp(-rates[1:-1] * duration / n_steps)
    covariance = np.zeros((n_steps + 1, n_steps + 1))
    covariance[0, 0] = 1.0 / rates[0]
    for k, q in enumerate(decay):
        covariance[k + 1, : k + 1] = covariance[: k + 1, k + 1] = q * covariance[k, : k + 1]
        covariance[k + 1, k + 1] = q**2 * covariance[k, k] + (1.0 - q**2) / rates[k + 1]
    return np.linalg.eigvals(np.diag(np.diff(rates) / 2.0) @ covariance).real


def work_density(weights, sd, x, n=1500):
    """Density at x of a sum of weights times squares of normals, plus a normal of deviation sd: Fourier inversion."""
    mean = weights.sum()
    spread = np.sqrt(2.0 * np.sum(weights**2) + sd**2)
    t = (np.arange(n) + 0.5) * 40.0 / spread / n
    cf = np.prod((1.0 - 2.0j * t[:, None] * weights) ** -0.5, axis=1) * np.exp(-1j * t * mean - 0.5 * (sd * t) ** 2)
    return np.real(np.exp(-1j * np.outer(x - mean, t)) @ cf) * (t[1] - t[0]) / np.pi


def logdet_limit(sheet, A, reference, duration, n_steps):
    """Of ln det by the exponential average of the work as it is read, from `reference` times the identity to A."""
    rates = np.linalg.eigvalsh(programmed(sheet, A))
    weights = np.concatenate([ramp_weights(reference, rate, duration, n_steps) for rate in rates])
    weights = gains(sheet, 1)[0] * weights
    noise = sheet.beta * sheet.read_noise
    known = len(A) * np.log(reference)
    if sheet.adc_bits is None:
        return known + np.sum(np.log1p(2.0 * weights)) - noise**2
    spread = np.sqrt(2.0 * np.sum(weights**2) + noise**2)
    full = weights.sum() + 3.3 * spread if sheet.adc_range == "max" else sheet.beta * sheet.adc_range
    marks = levels(sheet.adc_bits, full)  # "max": about the largest of a thousand
    x = weights.sum() + spread * np.linspace(-16.0, 16.0, 3201)
    density = work_density(weights, noise, x)
    if sheet.rounding == "stochastic":
        seen = np.interp(x, marks, np.exp(-marks))
    else:
        seen = np.exp(-marks[np.searchsorted((marks[1:] + marks[:-1]) / 2.0, x)])
    return known - 2.0 * np.log(np.trapezoid(seen * density, x))


# Optimisers ----------------------------------------------------------------------------------------------------------


def natural_gradient_law(sheet, F, damping, gradient, n_reads, time_step=0.0):
    """Mean and deviation of the mean of independent reads in equilibrium (of Euler's recursion with that step)."""
    held = programmed(sheet, F + damping * np.eye(len(F)))
    g = gains(sheet, len(F))
    x = g * np.linalg.solve(held, nearest(gradient, sheet.dac_bits, sheet.dac_range))
    S = np.linalg.inv(held - 0.5 * time_step * held @ held) / sheet.beta
    mean, sd = mean_of_reads(sheet, x, np.sqrt(g**2 * np.diag(S) + sheet.read_noise**2))
    return mean, sd / np.sqrt(n_reads)


def factor_solution(sheet, factor, rhs, n_reads, spread=0.0):
    """Mean and deviation of factor^-1 rhs by means of reads; both are scaled to a largest entry of 1.

    `spread` is the deviation that the mean has from what came before, which smooths the place between the levels.
    """
    scale, size = np.abs(factor).max(), np.abs(rhs).max()
    held, g = programmed(sheet, factor / scale), gains(sheet, len(factor))[:, None]
    x = g * np.linalg.solve(held, inputs(sheet, rhs / size))
    thermal = np.sqrt(g**2 * np.diag(np.linalg.inv(held))[:, None] / sheet.beta + sheet.read_noise**2)
    wide = np.hypot(thermal, spread * scale / size)
    mean, sd = mean_of_reads(sheet, x, np.broadcast_to(wide, x.shape))
    own = np.sqrt(np.maximum(sd**2 - wide**2, 0.0) + thermal**2)  # of one read about the mean of its own run
    return mean * size / scale, own * size / scale / np.sqrt(n_reads)


def kfac_solve_law(sheet, A, G, W, n_reads):
    """Mean and deviation of A^-1 W G^-1 by two solutions, errors of the first carried through to first order."""
    first, sd1 = factor_solution(sheet, A, W, n_reads)
    exact = dataclasses.replace(sheet, adc_bits=None)

    def through(v):
        return factor_solution(exact, G, v.T, n_reads)[0].T

    J, h = np.empty((W.size, W.size)), 1e-5 * np.abs(first).max()
    for k in range(W.size):
        up, down = first.copy(), first.copy()
        up.flat[k] += h
        down.flat[k] -= h
        J[:, k] = ((through(up) - through(down)) / (2.0 * h)).ravel()
    carried = np.sqrt(J**2 @ sd1.ravel() ** 2).reshape(W.shape)
    mean, sd2 = factor_solution(sheet, G, first.T, n_reads, carried.T)
    return mean.T, np.hypot(carried, sd2.T)


def scaled_inverse(sheet, factor, n_reads):
    """Mean (d, d) and covariance (d^2, d^2) of factor^-1 from n independent reads, the reads taken for normal."""
    scale, d = np.abs(factor).max(), len(factor)
    held, g = programmed(sheet, factor / scale), gains(sheet, len(factor))
    S = np.outer(g, g) * np.linalg.inv(held)
    mean = products_of_reads(sheet, S, S, 0)
    added = sheet.read_noise**2
    if sheet.adc_bits is not None:
        deviation = np.sqrt(np.diag(S) / sheet.beta + sheet.read_noise**2)
        full = reads_range(sheet, np.zeros(d), deviation)
        step = np.diff(levels(sheet.adc_bits, full))[0]
        added += step**2 / (6.0 if sheet.rounding == "stochastic" else 12.0)
    read = S + sheet.beta * added * np.eye(d)
    covariance = np.einsum("ik,jl->ijkl", read, read) + np.einsum("il,jk->ijkl", read, read)
    return mean / scale, covariance.reshape(d * d, d * d) / n_reads / scale**2


def kfac_inverse_law(sheet, A, G, W, n_reads):
    """Mean and deviation of A^-1 W G^-1 from two inverses by reads, to first order in the errors of both."""
    left, C1 = scaled_inverse(sheet, A, n_reads)
    right, C2 = scaled_inverse(sheet, G, n_reads)
    J1 = np.kron(np.eye(len(A)), (W @ right).T)
    J2 = np.kron(left @ W, np.eye(len(G)))
    variance = np.diag(J1 @ C1 @ J1.T + J2 @ C2 @ J2.T)
    return left @ W @ right, np.sqrt(variance).reshape(W.shape)
