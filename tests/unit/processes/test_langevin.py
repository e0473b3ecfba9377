"""Langevin devices: read-outs against matrix exponentials, physics, exact and splitting paths."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.linalg

from thermolinalg import laws as overdamped
from thermolinalg.errors import NotPositiveDefinite
from thermolinalg.laws.underdamped import critical_friction
from thermolinalg.numerics.kernels import underdamped as kernels
from thermolinalg.processes.langevin import Langevin, splitting_steps

# Matrix exponentials ---------------------------------------------------------------------------------------------


def problem(rng, d=4, kappa=60.0):
    Q = np.linalg.qr(rng.standard_normal((d, d)))[0]
    A = Q @ np.diag(np.geomspace(1.0, 1.0 / kappa, d)) @ Q.T
    return (A + A.T) / 2.0, rng.standard_normal(d), rng.standard_normal(d)


def van_loan(F, Q, time):
    """Phi and C of dz = F z dt + noise of covariance Q dt: one block exponential a short step, then plain steps."""
    n = len(F)
    steps = max(1, int(np.ceil(np.linalg.norm(F, 2) * time)))
    block = np.block([[-F, Q], [np.zeros((n, n)), F.T]]) * (time / steps)
    exponential = scipy.linalg.expm(block)
    step = exponential[n:, n:].T
    noise = step @ exponential[:n, n:]
    Phi, C = np.eye(n), np.zeros((n, n))
    for _ in range(steps):
        Phi, C = step @ Phi, step @ C @ step.T + noise
    return Phi, C


def augmented(A, b, mass, friction, beta):
    """Drift and diffusion of (x, p, int x, 1)."""
    d = len(b)
    F, Q = np.zeros((3 * d + 1, 3 * d + 1)), np.zeros((3 * d + 1, 3 * d + 1))
    F[:d, d : 2 * d] = np.eye(d) / mass
    F[d : 2 * d, :d], F[d : 2 * d, d : 2 * d], F[d : 2 * d, -1] = -A, -friction / mass * np.eye(d), b
    F[2 * d : 3 * d, :d] = np.eye(d)
    Q[d : 2 * d, d : 2 * d] = 2.0 * friction / beta * np.eye(d)
    return F, Q


def of_matrix(f, A):
    values, V = np.linalg.eigh(A)
    return V @ np.diag(f(values)) @ V.T


@pytest.mark.parametrize("friction", [0.1, 2.0 * np.sqrt(1.5 / 60.0), 0.9, 6.0])
def test_protocols_agree_with_matrix_exponentials(friction):
    A, b, x0 = problem(np.random.default_rng(11))
    d, mass, beta = len(b), 1.5, 2.5
    F, Q = augmented(A, b, mass, friction, beta)
    device = Langevin(A, b, mass=mass, friction=friction, beta=beta)
    start = np.concatenate((x0, np.zeros(2 * d), [1.0]))
    Phi, C = van_loan(F, Q, 3.0)
    mean, covariance = Phi @ start, C
    mean[2 * d : 3 * d] = covariance[2 * d : 3 * d] = covariance[:, 2 * d : 3 * d] = 0.0

    def check(readout, mean, covariance):
        x = of_matrix(readout.memory, A) @ x0 + of_matrix(readout.response, A) @ b
        np.testing.assert_allclose(x, mean, atol=1e-11)
        np.testing.assert_allclose(of_matrix(readout.variance, A) / beta, covariance, atol=1e-11)

    check(device.voltage(3.0), mean[:d], covariance[:d, :d])
    check(device.independent_reads(3.0, 4), mean[:d], covariance[:d, :d] / 4)
    Phi, C = van_loan(F, Q, 20.0)
    C = C + Phi @ covariance @ Phi.T
    integrals = slice(2 * d, 3 * d)
    check(device.integrator(3.0, 20.0), (Phi @ mean)[integrals] / 20.0, C[integrals, integrals] / 400.0)
    step, noise = van_loan(F, Q, 1.5)
    total, sums = mean[:d].copy(), np.zeros((d, d))
    states, cross = covariance.copy(), covariance[:, :d].copy()  # covariance of z with the sum so far
    sums += covariance[:d, :d]
    for _ in range(8):
        mean = step @ mean
        states, cross = step @ states @ step.T + noise, step @ cross
        sums += cross[:d] + cross[:d].T + states[:d, :d]
        cross = cross + states[:, :d]
        total += mean[:d]
    check(device.reads(3.0, 9, 1.5), total / 9, sums / 81)
    check(replace(device.reads(0.0, 9, 1.5), burn_in=3.0), total / 9, sums / 81)


def test_device_moments_agree_with_matrix_exponentials():
    A, b, x0 = problem(np.random.default_rng(12))
    d, mass, friction, beta = len(b), 0.8, 0.4, 3.0
    p0 = np.random.default_rng(13).standard_normal(d)
    device = Langevin(A, b, mass=mass, friction=friction, beta=beta)
    F, Q = augmented(A, b, mass, friction, beta)
    Phi, C = van_loan(F, Q, 4.0)
    end = Phi @ np.concatenate((x0, p0, np.zeros(d), [1.0]))
    np.testing.assert_allclose(device.mean(4.0, np.concatenate((x0, p0))), end[: 2 * d], atol=1e-12)
    np.testing.assert_allclose(device.covariance(4.0), C[: 2 * d, : 2 * d], atol=1e-12)
    drift = -F[: 2 * d, : 2 * d]
    stationary = scipy.linalg.solve_continuous_lyapunov(drift, Q[: 2 * d, : 2 * d])
    np.testing.assert_allclose(device.stationary()[1], stationary, atol=1e-11)
    np.testing.assert_allclose(device.autocovariance(4.0), scipy.linalg.expm(-4.0 * drift) @ stationary, atol=1e-11)
    np.testing.assert_allclose(device.propagator(4.0), Phi[: 2 * d, : 2 * d], atol=1e-12)
    rest = np.concatenate((np.linalg.solve(A, b), np.zeros(d)))
    np.testing.assert_allclose(device.mean(np.inf, np.ones(2 * d)), rest, atol=1e-10)
    np.testing.assert_allclose(device.stationary()[0], rest, atol=1e-10)


# Physics ---------------------------------------------------------------------------------------------------------


def test_autocovariance_is_the_printed_one():
    lam, mass, friction, lag = 0.9, 2.0, 0.7, 3.1
    xi = friction / (2 * mass)
    omega = np.sqrt(lam / mass - xi**2)
    printed = np.exp(-xi * lag) * (np.cos(omega * lag) + xi / omega * np.sin(omega * lag)) / lam
    device = Langevin([[lam]], mass=mass, friction=friction)
    assert device.autocovariance(lag)[0, 0] == pytest.approx(printed, rel=1e-13)


def test_relaxation_time_of_each_mode_is_that_of_its_slowest_eigenvalue():
    mass, friction = 2.0, 1.0
    device = Langevin(np.diag([1.0, 0.125, 0.01]), mass=mass, friction=friction)  # the second one critical
    drift = [np.array([[0.0, -1 / mass], [lam, friction / mass]]) for lam in device.operator.rates]
    slowest = [1.0 / np.linalg.eigvals(B).real.min() for B in drift]
    np.testing.assert_allclose(device.relaxation_times, slowest, rtol=1e-6)
    assert device.relaxation_time == pytest.approx(max(slowest))
    assert device.relaxation_times[-1] == 2 * mass / friction


def test_critical_damping_relaxes_the_slowest_mode_fastest():
    device = Langevin.critically_damped(np.diag([1.0, 0.25]), mass=4.0)
    assert device.friction == critical_friction(0.25, 4.0) == 2.0
    assert device.relaxation_time == np.sqrt(4.0 / 0.25)
    for friction in (1.0, 4.0):  # either side is slower
        assert Langevin(np.diag([1.0, 0.25]), mass=4.0, friction=friction).relaxation_time > device.relaxation_time


def equilibration_time(readout_at, kappa):
    """Last time at which the start still shows by more than 1e-3, on a grid that knows nothing of kappa."""
    lam = np.geomspace(1.0 / kappa, 1.0, 12)
    grid = np.geomspace(1.0, 1e5, 2000)
    shows = np.array([np.linalg.norm(readout_at(t).memory(lam)) for t in grid]) > 1e-3
    assert not shows[-1]
    return grid[np.flatnonzero(shows)[-1]]


def test_equilibration_time_grows_as_the_root_of_the_condition_number():
    kappas = np.array([30.0, 100.0, 300.0, 1000.0, 3000.0])
    over = [equilibration_time(overdamped.Voltage, kappa) for kappa in kappas]
    critical = []
    for kappa in kappas:
        device = Langevin.critically_damped(np.diag([1.0, 1.0 / kappa]))
        critical.append(equilibration_time(device.voltage, kappa))
    assert np.polyfit(np.log(kappas), np.log(over), 1)[0] == pytest.approx(1.0, abs=0.02)
    assert np.polyfit(np.log(kappas), np.log(critical), 1)[0] == pytest.approx(0.5, abs=0.02)


# Paths -----------------------------------------------------------------------------------------------------------


def test_exact_steps_are_a_plain_recursion():
    rng = np.random.default_rng(3)
    transition, increment, factor = rng.standard_normal((4, 3)) * 0.5, rng.standard_normal((2, 3)), rng.random((3, 3))
    noise, x, p = rng.standard_normal((5, 2, 3)), rng.standard_normal(3), rng.standard_normal(3)
    xs, ps = np.empty((2, 5, 3))
    states, z = [], np.array([x, p])
    for row in noise:
        z = np.array(
            [
                transition[0] * z[0] + transition[1] * z[1] + increment[0] + factor[0] * row[0],
                transition[2] * z[0] + transition[3] * z[1] + increment[1] + factor[1] * row[0] + factor[2] * row[1],
            ]
        )
        states.append(z)
    kernels.exact_steps(transition, increment, factor, noise, x, p, xs, ps)
    np.testing.assert_allclose(xs, [s[0] for s in states], rtol=1e-13)
    np.testing.assert_allclose(ps, [s[1] for s in states], rtol=1e-13)
    np.testing.assert_array_equal(x, xs[-1])
    np.testing.assert_array_equal(p, ps[-1])


def test_integrating_steps_are_a_plain_recursion():
    rng = np.random.default_rng(4)
    matrix, increment, L = rng.standard_normal((3, 2, 3)) * 0.5, rng.standard_normal((3, 3)), rng.random((3, 3, 3))
    noise, z, area = rng.standard_normal((5, 3, 3)), rng.standard_normal((2, 3)), rng.standard_normal(3)
    x, p, integral = z[0].copy(), z[1].copy(), area.copy()
    for row in noise:
        noise_now = [sum(L[i, j] * row[j] for j in range(i + 1)) for i in range(3)]
        area = area + matrix[2, 0] * z[0] + matrix[2, 1] * z[1] + increment[2] + noise_now[2]
        z = np.array([matrix[i, 0] * z[0] + matrix[i, 1] * z[1] + increment[i] + noise_now[i] for i in range(2)])
    factor = np.array([L[i, j] for i in range(3) for j in range(i + 1)])
    kernels.integral_steps(matrix.reshape(6, 3), increment, factor, noise, x, p, integral)
    np.testing.assert_allclose([x, p, integral], [*z, area], rtol=1e-12)


def test_exact_step_has_the_covariance_of_the_law():
    device = Langevin(np.diag([0.3, 1.0, 5.0]), mass=1.0, friction=2.0, beta=2.0)
    for time in (1e-5, 0.1, 3.0, 1e3):
        xx, px, pp = device._step(time)[2]
        C = device._modes.covariance(time) / 2.0
        np.testing.assert_allclose([xx**2, xx * px, px**2 + pp**2], [C[0, 0], C[0, 1], C[1, 1]], rtol=1e-12, atol=0)


@pytest.mark.parametrize("times", [np.arange(1.0, 9.0), [0.0, 0.3, 0.4, 2.0, 2.5, 3.0], [0.7]])
def test_paths_without_noise_follow_the_mean(times):
    A, b, x0 = problem(np.random.default_rng(14))
    device = Langevin(A, b, mass=1.0, friction=0.4, beta=np.inf)
    start = np.concatenate((x0, b))
    states = device.sample(times, start, n_chains=2, rng=0)
    for k, time in enumerate(times):
        np.testing.assert_allclose(states[:, k], [device.mean(time - times[0], start)] * 2, atol=1e-12)
    np.testing.assert_array_equal(states[:, 0], [start] * 2)
    rest = device.sample(times, n_chains=2, rng=0)  # without noise its equilibrium is one state
    np.testing.assert_allclose(rest, np.broadcast_to(device.stationary()[0], rest.shape), atol=1e-12)


def test_any_number_of_workers_gives_the_same_bits():
    A, b, _ = problem(np.random.default_rng(15))
    device = Langevin(A, b, mass=1.0, friction=0.4)
    once, twice = (device.sample([1.0, 2.0, 2.5], n_chains=5, rng=1, workers=n)[0] for n in (1, 3))
    np.testing.assert_array_equal(once, twice)
    once, twice = (device.baoab(dt=0.1, n_steps=3, n_chains=70, rng=1, workers=n).average for n in (1, 2))
    np.testing.assert_array_equal(once, twice)


def baoab_map(A, mass, friction, dt):
    """The linear map of one BAOAB step on (x, p) and the covariance of its noise (beta = 1), from the kernels."""
    d = len(A)
    device = Langevin(A, mass=mass, friction=friction)

    def step(states, noise):
        class Fed:
            def standard_normal(self, out):
                out[:] = noise

        x, p = np.ascontiguousarray(states[:, :d]), np.ascontiguousarray(states[:, d:])
        splitting_steps(device, Fed(), dt, 1, x, p, np.zeros_like(x))
        return np.hstack((x, p))

    transition = step(np.eye(2 * d), np.zeros((2 * d, d))).T
    noise_std = step(np.zeros((d, 2 * d)), np.eye(d)).T
    return transition, noise_std @ noise_std.T


def test_splitting_is_of_second_order_and_keeps_the_law_of_x():
    A, _, _ = problem(np.random.default_rng(16), d=3, kappa=5.0)
    mass, friction = 1.2, 0.7
    target, errors, moments, steps = np.linalg.inv(A), [], [], (0.4, 0.2, 0.1, 0.05)
    exact = scipy.linalg.expm(
        -2.0 * np.block([[np.zeros((3, 3)), -np.eye(3) / mass], [A, friction / mass * np.eye(3)]])
    )
    for dt in steps:
        transition, noise = baoab_map(A, mass, friction, dt)
        stationary = scipy.linalg.solve_discrete_lyapunov(transition, noise)
        np.testing.assert_allclose(stationary[:3, :3], target, rtol=1e-9, atol=1e-10)
        np.testing.assert_allclose(stationary[:3, 3:], 0.0, atol=1e-10)
        moments.append(np.linalg.norm(stationary[3:, 3:] - mass * np.eye(3)))
        errors.append(np.linalg.norm(np.linalg.matrix_power(transition, round(2.0 / dt)) - exact))
        deflation = np.linalg.eigvalsh(stationary[3:, 3:]) / mass
        device = Langevin(A, mass=mass, friction=friction)
        reported = device.baoab(dt=dt, n_steps=1, rng=0).momentum_deflation
        np.testing.assert_allclose([deflation[-1], deflation[0]], reported, rtol=1e-9)
    assert np.polyfit(np.log(steps), np.log(moments), 1)[0] == pytest.approx(2.0, abs=1e-6)
    assert np.polyfit(np.log(steps), np.log(errors), 1)[0] == pytest.approx(2.0, abs=0.05)


def test_splitting_without_noise_ends_at_the_solution():
    A, b, _ = problem(np.random.default_rng(17), kappa=4.0)
    device = Langevin(A, b, mass=1.0, friction=1.0, beta=np.inf)
    r = device.baoab(dt=0.3, n_steps=10, burn_in_steps=400, n_chains=2, rng=0)
    np.testing.assert_allclose(r.average, [np.linalg.solve(A, b)] * 2, rtol=1e-10)
    np.testing.assert_allclose(r.p, 0.0, atol=1e-10)


# Bad input -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mass": 0.0, "friction": 1.0}, "mass must be positive"),
        ({"mass": 1.0, "friction": -1.0}, "friction must be positive"),
        ({"mass": 1.0, "friction": np.inf}, "friction must be positive"),
        ({"mass": 1.0, "friction": 1.0, "beta": 0.0}, "beta must be positive"),
        ({"mass": 1.0, "friction": 1.0, "b": [1.0]}, r"b must have shape \(2,\)"),
    ],
)
def test_bad_parameters_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        Langevin(np.eye(2), **options)


def test_indefinite_matrix_is_refused():
    with pytest.raises(NotPositiveDefinite, match="-1"):
        Langevin([[1.0, 2.0], [2.0, 1.0]], mass=1.0, friction=1.0)


def test_bad_runs_are_refused():
    device = Langevin(np.diag([1.0, 4.0]), mass=1.0, friction=1.0)
    with pytest.raises(ValueError, match=r"dt must be below 2 sqrt\(mass / lambda_max\) = 1"):
        device.baoab(dt=1.0, n_steps=1)
    with pytest.raises(ValueError, match=r"times must increase, got 1\.0 followed by 1\.0"):
        device.sample([1.0, 1.0])
    with pytest.raises(ValueError, match=r"x0 must have shape \(4,\) or \(3, 4\)"):
        device.sample([1.0], x0=np.zeros((2, 4)), n_chains=3)
    with pytest.raises(ValueError, match=r"x0 must have shape \(4,\) or \(3, 4\)"):
        device.baoab(dt=0.1, n_steps=1, x0=[1.0], n_chains=3)
    with pytest.raises(ValueError, match="duration must be positive"):
        device.integrator(0.0, 0.0)
    with pytest.raises(ValueError, match="time must be non-negative"):
        device.mean(-1.0, np.zeros(4))
