"""Paths of underdamped devices against their law: moments, calibration of averages, the splitting integrator."""

import numpy as np
import pytest
import scipy.linalg

import thermolinalg as tl
from thermolinalg.laws.underdamped import critical_friction
from thermolinalg.measurement import paths
from thermolinalg.processes.langevin import Langevin

pytestmark = pytest.mark.long

A = np.array([[1.0, 0.3, 0.1], [0.3, 0.6, -0.2], [0.1, -0.2, 0.4]])
B = np.array([1.0, -0.5, 0.2])
LOW = np.linalg.eigvalsh(A)[0]
FRICTIONS = [0.15, critical_friction(LOW, 1.3), 4.0]  # all modes oscillate; slowest critical; all creep or nearly


def moments(friction, mass, beta, time, x0):
    """Mean and covariance of (x, p) at a time, from the matrix exponential of the drift and the Lyapunov equation."""
    drift = np.block([[np.zeros((3, 3)), -np.eye(3) / mass], [A, friction / mass * np.eye(3)]])
    noise = np.zeros((6, 6))
    noise[3:, 3:] = 2.0 * friction / beta * np.eye(3)
    step = scipy.linalg.expm(-drift * time)
    stationary = scipy.linalg.solve_continuous_lyapunov(drift, noise)
    rest = np.concatenate((np.linalg.solve(A, B), np.zeros(3)))
    mean = rest + step @ (np.concatenate((x0, np.zeros(3))) - rest)
    return mean, stationary - step @ stationary @ step.T


def assert_moments(samples, mean, covariance):
    n, d = samples.shape
    white = scipy.linalg.solve_triangular(np.linalg.cholesky(covariance), (samples - mean).T, lower=True)
    assert np.abs(white.mean(axis=1)).max() * np.sqrt(n) < 5.0
    assert np.abs((white @ white.T / n - np.eye(d)) * np.sqrt(n / (1.0 + np.eye(d)))).max() < 5.0


@pytest.mark.parametrize("friction", FRICTIONS)
def test_sampled_paths_have_the_moments_of_the_law(friction):
    device = Langevin(A, B, mass=1.3, friction=friction, beta=2.0)
    times, x0 = [0.5, 1.0, 3.7], np.array([1.0, 0.0, -1.0])
    start = np.concatenate((x0, np.zeros(3)))
    states = device.sample([0.0, *times], start, n_chains=20_000, rng=51)
    for k, time in enumerate(times, start=1):
        assert_moments(states[:, k], *moments(friction, 1.3, 2.0, time, x0))


@pytest.mark.parametrize("friction", FRICTIONS)
def test_sampled_paths_have_the_lagged_covariance_of_the_law(friction):
    device = Langevin(A, mass=1.3, friction=friction, beta=2.0)
    lag = 1.1
    early, late = device.sample([0.0, lag], n_chains=20_000, rng=52).transpose(1, 0, 2)
    for states in (early, late):
        assert_moments(states, *device.stationary())
    expected = device.autocovariance(lag)
    products = late[:, :, None] * early[:, None, :]
    error = products.std(axis=0) / np.sqrt(len(products))
    assert (np.abs(products.mean(axis=0) - expected) < 5 * error).all()


@pytest.mark.parametrize("friction", FRICTIONS)
def test_averages_of_paths_are_calibrated_by_the_law(friction):
    """Mean of reads of 200 paths, a fixed projection, against mean and variance of the read-out."""
    device = Langevin(A, B, mass=1.3, friction=friction, beta=2.0)
    readout = device.reads(2.0, 40, 0.8)
    values, V = np.linalg.eigh(A)
    mean = V @ (readout.response(values) * (V.T @ B))
    covariance = V @ np.diag(readout.variance(values)) @ V.T / 2.0
    direction = np.array([0.2, -0.7, 0.5])
    times = [0.0, *(2.0 + 0.8 * np.arange(40))]
    x = device.sample(times, np.zeros(6), n_chains=200, rng=53)[:, 1:, :3]
    z = (x.mean(axis=1) - mean) @ direction / np.sqrt(direction @ covariance @ direction)
    assert abs(z.mean()) < 0.28
    assert abs(z.std(ddof=1) - 1.0) < 0.20


def test_dense_reads_approach_the_integrator():
    device = Langevin(A, B, mass=1.3, friction=0.15, beta=2.0)
    times = [0.0, *(0.02 + 0.05 * np.arange(400))]
    x = device.sample(times, np.zeros(6), n_chains=4000, rng=54)[:, 1:, :3]
    values, V = np.linalg.eigh(A)
    integral = device.integrator(0.0, 20.0)
    mean = V @ (integral.response(values) * (V.T @ B))
    covariance = V @ np.diag(integral.variance(values)) @ V.T / 2.0
    assert_moments(x.mean(axis=1), mean, covariance)


@pytest.mark.parametrize("friction", FRICTIONS)
def test_splitting_samples_equilibrium(friction):
    device = Langevin(A, B, mass=1.3, friction=friction, beta=2.0)
    steps = int(20 * device.relaxation_time / 0.5)
    r = device.baoab(dt=0.5, n_steps=1, burn_in_steps=steps, n_chains=8000, rng=55)
    assert_moments(r.x, np.linalg.solve(A, B), np.linalg.inv(A) / 2.0)
    variance = 1.3 * (np.eye(3) - 0.25 / (4 * 1.3) * A) / 2.0  # what a step of 0.5 makes of it
    assert_moments(r.p, np.zeros(3), variance)


# The analog integrator -------------------------------------------------------------------------------------------


def splitting_moments(friction, mass, beta, dt, burn_in, duration, x0):
    """Mean and covariance of the trapezoidal time average of the BAOAB recursion, moment by moment, no sampling."""
    half, kick, eye, zero = 0.5 * dt, 0.5 * dt * A, np.eye(3), np.zeros((3, 3))
    decay = np.exp(-friction * dt / mass)
    B_map = np.block([[eye, zero], [-kick, eye]])
    A_map = np.block([[eye, half / mass * eye], [zero, eye]])
    O_map = np.block([[eye, zero], [zero, decay * eye]])
    push = np.concatenate((np.zeros(3), half * B))
    step = B_map @ A_map @ O_map @ A_map @ B_map
    shift = B_map @ A_map @ O_map @ A_map @ push + push
    noise = np.vstack((zero, np.sqrt(mass * (1.0 - decay**2) / beta) * eye))
    noise = B_map @ A_map @ noise
    z, S = np.concatenate((x0, np.zeros(6))), np.zeros((9, 9))  # (x, p, average)
    count = round(duration / dt)
    for k in range(round((burn_in + duration) / dt)):
        gain = 0.5 / count if k >= round(burn_in / dt) else 0.0
        total, push9, noise9 = np.eye(9), np.zeros(9), np.zeros((9, 3))
        total[:6, :6], push9[:6], noise9[:6] = step, shift, noise
        total[6:, :6] = gain * (np.eye(3, 6) + step[:3])
        push9[6:], noise9[6:] = gain * shift[:3], gain * noise[:3]
        z, S = total @ z + push9, total @ S @ total.T + noise9 @ noise9.T
    return z[6:], S[6:, 6:]


@pytest.mark.parametrize("friction", FRICTIONS)
def test_path_of_the_integrator_has_the_moments_of_the_splitting_in_the_limit_of_small_steps(friction):
    """The splitting knows forces only; its error is of second order, so two steps extrapolate to the exact average."""
    x0, protocol = np.array([1.0, 0.0, -1.0]), (1.5, 6.0)
    coarse, fine, finest = (splitting_moments(friction, 1.3, 2.0, dt, *protocol, x0) for dt in (0.1, 0.05, 0.025))
    mean, covariance = (f + (f - c) / 3.0 for c, f in zip(fine, finest, strict=True))
    rough = [f + (f - c) / 3.0 for c, f in zip(coarse, fine, strict=True)]
    gaps = [np.abs(r - f).max() for r, f in zip(rough, (mean, covariance), strict=True)]  # more than is left
    assert max(gaps) < 1e-5
    readout = Langevin(A, B, mass=1.3, friction=friction, beta=2.0).integrator(*protocol)
    values, V = np.linalg.eigh(A)
    law = V @ (readout.response(values) * (V.T @ B) + readout.memory(values) * (V.T @ x0))
    spread = V @ np.diag(readout.variance(values)) @ V.T / 2.0
    np.testing.assert_allclose(law, mean, atol=gaps[0])
    np.testing.assert_allclose(spread, covariance, atol=gaps[1])
    operator = tl.Dense(A)
    start, drive = (operator.to_modes(v)[:, None] for v in (x0, B))
    modes = paths.mode_averages(operator.rates, start, drive, readout, 2.0, 4000, np.random.default_rng(56), None)
    assert_moments(np.array([operator.from_modes(m)[:, 0] for m in modes]), mean, covariance)
