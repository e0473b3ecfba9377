"""Slow, plain truth to test the library against: nothing here is imported from it or shares a formula with it.

Where the library uses closed forms in the eigenbasis, these are matrix exponentials of augmented systems, recursions of
moments, dense covariance matrices, quadrature, and textbook expressions at 150 digits.
"""

import mpmath
import numpy as np
import scipy.integrate
import scipy.linalg

mp = mpmath.mp.clone()
mp.dps = 150


# Matrices ---------------------------------------------------------------------------------------------------------


def random_spd(rng, d, kappa):
    """A d x d matrix of norm 1 and condition number kappa whose eigenvectors are random: Householder reflections."""
    values = np.exp(rng.uniform(-np.log(kappa), 0.0, d))
    values[0] = 1.0
    if d > 1:
        values[1] = 1.0 / kappa
    A = np.diag(values)
    for _ in range(3):
        v = rng.standard_normal(d)
        H = np.eye(d) - 2.0 * np.outer(v, v) / (v @ v)
        A = H @ A @ H
    return (A + A.T) / 2.0


def function_of_matrix(f, A):
    """f(A) for a scalar f, by the eigendecomposition of a general matrix (LAPACK geev, not the symmetric driver)."""
    values, vectors = np.linalg.eig(np.asarray(A, dtype=float))
    return np.real(vectors @ np.diag(f(np.real(values))) @ np.linalg.inv(vectors))


# Linear stochastic differential equations dz = F z dt + noise of covariance Q dt -------------------------------------


def linear_law(F, Q, time):
    """Phi and C with z(time) ~ N(Phi z(0), C): Van Loan's block exponential on a short step, then doublings."""
    n = F.shape[0]
    doublings = max(0, int(np.ceil(np.log2(max(np.linalg.norm(F, 1) * time, 1e-300)))) + 1)
    h = time / 2.0**doublings
    block = np.zeros((2 * n, 2 * n))
    block[:n, :n], block[:n, n:], block[n:, n:] = -F, Q, F.T
    exponential = scipy.linalg.expm(block * h)
    Phi = exponential[n:, n:].T
    C = Phi @ exponential[:n, n:]
    for _ in range(doublings):
        C = C + Phi @ C @ Phi.T
        Phi = Phi @ Phi
    return Phi, (C + C.T) / 2.0


def voltage_law(A, b, x0, beta, time):
    """Mean (d,) and covariance (d, d) of x(time); time may be infinite."""
    d = len(b)
    if np.isinf(time):
        covariance = scipy.linalg.solve_continuous_lyapunov(A, 2.0 / beta * np.eye(d))
        return np.linalg.solve(A, b), covariance
    F, Q = np.zeros((d + 1, d + 1)), np.zeros((d + 1, d + 1))
    F[:d, :d], F[:d, d], Q[:d, :d] = -A, b, 2.0 / beta * np.eye(d)
    Phi, C = linear_law(F, Q, time)
    return (Phi @ np.append(x0, 1.0))[:d], C[:d, :d]


def integrator_law(A, b, x0, beta, burn_in, duration):
    """Mean and covariance of (1/duration) int x dt over [burn_in, burn_in + duration]: the state (x, int x, 1)."""
    d = len(b)
    mean, covariance = voltage_law(A, b, x0, beta, burn_in)
    F, Q = np.zeros((2 * d + 1, 2 * d + 1)), np.zeros((2 * d + 1, 2 * d + 1))
    F[:d, :d], F[:d, -1], F[d : 2 * d, :d] = -A, b, np.eye(d)
    Q[:d, :d] = 2.0 / beta * np.eye(d)
    Phi, C = linear_law(F, Q, duration)
    start = np.zeros((2 * d + 1, 2 * d + 1))
    start[:d, :d] = covariance
    C = C + Phi @ start @ Phi.T
    z = Phi @ np.concatenate((mean, np.zeros(d), [1.0]))
    return z[d : 2 * d] / duration, C[d : 2 * d, d : 2 * d] / duration**2


def reads_law(A, b, x0, beta, burn_in, n_reads, spacing):
    """Mean and covariance of the mean of n reads: moments of (x, sum of x, 1), one read after the other."""
    d = len(b)
    mean, covariance = voltage_law(A, b, x0, beta, burn_in)
    F, Q = np.zeros((d + 1, d + 1)), np.zeros((d + 1, d + 1))
    F[:d, :d], F[:d, d], Q[:d, :d] = -A, b, 2.0 / beta * np.eye(d)
    Phi, C = linear_law(F, Q, spacing)
    step = np.zeros((2 * d, 2 * d))
    step[:d, :d], step[d:, :d], step[d:, d:] = Phi[:d, :d], Phi[:d, :d], np.eye(d)
    noise = np.block([[C[:d, :d]] * 2] * 2)
    push = np.tile(Phi[:d, d], 2)
    z = np.tile(mean, 2)
    S = np.block([[covariance] * 2] * 2)
    for _ in range(n_reads - 1):
        z = step @ z + push
        S = step @ S @ step.T + noise
    return z[d:] / n_reads, S[d:, d:] / n_reads**2


def readout_law(kind, A, b, x0, beta, *, burn_in, duration=None, n_reads=None, spacing=None):
    """Mean and covariance of a read-out: "voltage", "independent", "integrator" or "reads"."""
    if kind == "integrator":
        return integrator_law(A, b, x0, beta, burn_in, duration)
    if kind == "reads":
        return reads_law(A, b, x0, beta, burn_in, n_reads, spacing)
    mean, covariance = voltage_law(A, b, x0, beta, burn_in)
    return mean, covariance / (n_reads if kind == "independent" else 1)


def dense_reads_variance(lam, beta, burn_in, n_reads, spacing):
    """Variance of the mean of n reads of one mode started at a known x0, from the dense n x n covariance matrix."""
    times = burn_in + spacing * np.arange(n_reads)
    lag = np.abs(times[:, None] - times[None, :])
    first = np.minimum(times[:, None], times[None, :])
    return float(np.mean((np.exp(-lam * lag) - np.exp(-lam * (lag + 2.0 * first))) / (beta * lam)))


def integrator_variance_by_quadrature(lam, beta, burn_in, duration):
    """Variance of a time average of one mode started at a known x0: twice the integral over ordered pairs of times."""

    def autocovariance(later, earlier):
        return (np.exp(-lam * (later - earlier)) - np.exp(-lam * (later + earlier))) / (beta * lam)

    end = burn_in + duration
    value, _ = scipy.integrate.dblquad(autocovariance, burn_in, end, lambda s: s, lambda s: end, epsabs=1e-13)
    return 2.0 * value / duration**2


# The same for one mode at 150 digits: textbook forms, differences and all ---------------------------------------------


def mp_readout(kind, lam, *, burn_in, duration=None, n_reads=None, spacing=None):
    """Memory, response and variance (beta = 1) of one mode as mpmath numbers.

    Equilibrium value minus transient, as printed in the literature; at 150 digits the cancellation does not matter.
    """
    lam = mp.mpf(lam)
    start = mp.mpf(0) if np.isinf(burn_in) else mp.exp(-lam * mp.mpf(burn_in))
    if kind in ("voltage", "independent"):
        n = n_reads or 1
        return start, (1 - start) / lam, (1 - start**2) / lam / n
    if kind == "integrator":
        a = lam * mp.mpf(duration)
        weight = (1 - mp.exp(-a)) / a
        equilibrium = 2 * (1 - weight) / (lam * a)
    else:
        n, q = mp.mpf(n_reads), mp.exp(-lam * mp.mpf(spacing))
        weight = (1 - q**n) / (n * (1 - q))
        equilibrium = ((1 + q) / (1 - q) - 2 * q * (1 - q**n) / (n * (1 - q) ** 2)) / (n * lam)
    return start * weight, (1 - start * weight) / lam, equilibrium - start**2 / lam * weight**2


# Energies --------------------------------------------------------------------------------------------------------


def energies_by_integration(A, b, x0, beta, time):
    """Joule heat, heat from the bath and stored energy of one run, by integrating the equations of the moments.

    Mean: m' = b - A m. Covariance: S' = -A S - S A + 2/beta. Joule heat gains m^T A m; the heat that comes from the
    bath is what the energy x^T A x / 2 - b^T x gains, b being constant.
    """
    d = len(b)

    def rate(_, y):
        m, S = y[:d], y[d : d + d * d].reshape(d, d)
        dS = -A @ S - S @ A + 2.0 / beta * np.eye(d)
        dm = b - A @ m
        gain = dm @ (A @ m - b) + np.trace(A @ dS) / 2.0
        return np.concatenate((dm, dS.ravel(), [m @ A @ m, gain]))

    y0 = np.concatenate((x0, np.zeros(d * d + 2)))
    y = scipy.integrate.solve_ivp(rate, (0.0, time), y0, method="DOP853", rtol=1e-11, atol=1e-13).y[:, -1]
    m, S = y[:d], y[d : d + d * d].reshape(d, d)
    return y[-2], y[-1], m @ A @ m / 2.0 + np.trace(A @ S) / 2.0


# Covariance read-outs --------------------------------------------------------------------------------------------


def second_moment_variance(A, beta, n_reads, spacing):
    """Variance (d, d) of each entry of the mean of x x^T over n equilibrium reads, by Wick's theorem, lag by lag."""
    S = scipy.linalg.solve_continuous_lyapunov(A, 2.0 / beta * np.eye(len(A)))
    diagonal = np.diag(S)
    total = n_reads * (np.outer(diagonal, diagonal) + S**2)
    step = scipy.linalg.expm(-A * spacing)
    for lag in range(1, n_reads):
        S = step @ S
        diagonal = np.diag(S)
        total = total + 2 * (n_reads - lag) * (np.outer(diagonal, diagonal) + S * S.T)
    return total / n_reads**2


# Converters ------------------------------------------------------------------------------------------------------


def quantise(x, bits, full_scale):
    """The level nearest to each number of a 1-D sequence, by trying all levels."""
    count = 2 if bits == 1 else 2**bits - 1
    levels = np.linspace(-full_scale, full_scale, count)
    return np.array([levels[np.argmin(np.abs(levels - value))] for value in np.ravel(x)]).reshape(np.shape(x))


def averaged_rounding_error(step, sd):
    """Mean square, over the place of the mean in its cell, of E[round(m + sd xi)] - m: plain quadrature."""
    if sd == 0:
        return scipy.integrate.quad(lambda m: (np.rint(m / step) * step - m) ** 2, -step / 2, step / 2)[0] / step
    centres = (np.arange(400) + 0.5) / 400 * step
    edges = (np.arange(-200, 200) + 0.5) * step

    def bias(m):
        # E[round] = sum over cells of level times probability
        cumulative = 0.5 * np.array([1.0 + float(mpmath.erf((e - m) / (sd * np.sqrt(2.0)))) for e in edges])
        return np.sum(np.diff(cumulative) * np.arange(-199, 200) * step) - m

    return float(np.mean([bias(m) ** 2 for m in centres[::8]]))


# Euler-Maruyama --------------------------------------------------------------------------------------------------


def euler_moments(A, b, x0, beta, dt, n_steps, burn_in_steps=0):
    """Exact mean and covariance of (final state, trapezoidal average) of the Euler-Maruyama recursion itself."""
    d = len(b)
    M = np.eye(d) - dt * A
    step, noise = np.zeros((2 * d, 2 * d)), np.zeros((2 * d, 2 * d))
    step[:d, :d], step[d:, d:] = M, np.eye(d)
    push = np.concatenate((dt * b, np.zeros(d)))
    noise[:d, :d] = 2.0 * dt / beta * np.eye(d)
    z, S = np.concatenate((x0, np.zeros(d))), np.zeros((2 * d, 2 * d))
    for k in range(burn_in_steps + n_steps):
        if k == burn_in_steps:  # from here on the second half gains (old + new) / 2
            step[d:, :d] = (np.eye(d) + M) / 2.0
            push[d:] = dt * b / 2.0
            noise[d:, :d] = noise[:d, d:] = dt / beta * np.eye(d)
            noise[d:, d:] = dt / (2.0 * beta) * np.eye(d)
        z = step @ z + push
        S = step @ S @ step.T + noise
    return z[:d], S[:d, :d], z[d:] / n_steps, S[d:, d:] / n_steps**2


# Kernels as plain loops --------------------------------------------------------------------------------------------


def ou_states(decay, push, kick, noise, x):
    """All states of x <- decay x + push + kick xi."""
    states = []
    for row in noise:
        x = [a * v + p + k * n for a, v, p, k, n in zip(decay, x, push, kick, row, strict=True)]
        states.append(x)
    return np.array(states)


def ou_integral(decay, push, kick, gain, drift, mixed, rest, noise, x, integral):
    """Last state and integral after joint steps of the two."""
    x, integral = list(x), list(integral)
    for first, second in noise:
        for i in range(len(x)):
            integral[i] = integral[i] + gain[i] * x[i] + drift[i] + mixed[i] * first[i] + rest[i] * second[i]
            x[i] = decay[i] * x[i] + push[i] + kick[i] * first[i]
    return np.array(x), np.array(integral)


# Statistics ------------------------------------------------------------------------------------------------------


def sampled_moments_agree(samples, mean, covariance, sigmas=5.0):
    """Assert that samples (n, d) have this mean and covariance within so many standard errors, in every direction.

    The samples are whitened with the expected covariance first, so that directions of small variance count as well.
    """
    n, d = samples.shape
    white = scipy.linalg.solve_triangular(np.linalg.cholesky(covariance), (samples - mean).T, lower=True)
    z_mean = white.mean(axis=1) * np.sqrt(n)
    assert np.abs(z_mean).max() < sigmas, f"mean is off by {np.abs(z_mean).max():.2f} standard errors"
    z_covariance = (white @ white.T / n - np.eye(d)) * np.sqrt(n / (1.0 + np.eye(d)))
    assert np.abs(z_covariance).max() < sigmas, f"covariance is off by {np.abs(z_covariance).max():.2f} standard errors"


def assert_calibrated(z):
    """Mean 0 and standard deviation 1 of 200 z-scores, within four of their own standard errors."""
    z = np.asarray(z)
    assert z.shape == (200,)
    assert abs(z.mean()) < 0.28, f"mean of z is {z.mean():.3f}"
    assert abs(z.std(ddof=1) - 1.0) < 0.20, f"standard deviation of z is {z.std(ddof=1):.3f}"


def mpmath_lyapunov(A, D):
    """S with A S + S A^T = D by a Kronecker solve with 60 digits."""
    d = len(A)
    with mpmath.workdps(60):
        K = mpmath.zeros(d * d)
        for i, j, k in np.ndindex(d, d, d):
            K[d * i + j, d * k + j] += mpmath.mpf(A[i, k])
            K[d * i + j, d * i + k] += mpmath.mpf(A[j, k])
        S = mpmath.lu_solve(K, mpmath.matrix(D.ravel().tolist()))
        return np.array([float(entry) for entry in S]).reshape(d, d)


def variance_lag_by_lag(drift, S, n, lag):
    """Variance of each entry of the mean of n products x_{k+lag} x_k^T of reads in equilibrium: Wick, lag by lag."""
    M, later = scipy.linalg.expm(-drift), [S]
    for _ in range(n + 1):
        later.append(M @ later[-1])
    total = np.zeros_like(S)
    for k in range(n):
        now, after, before = later[k], later[k + lag], later[k - lag] if k >= lag else later[lag - k].T
        total += (1 if k == 0 else 2) * (n - k) * (np.outer(np.diag(now), np.diag(now)) + after * before.T)
    return total / n**2
