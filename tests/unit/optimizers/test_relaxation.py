"""The device of TNGD: its exact law against augmented exponentials, dense covariances, 150 digits and Euler steps."""

from itertools import pairwise

import numpy as np
import pytest
import scipy.integrate

import thermolinalg as tl
from tests import oracles
from tests.oracles import mp
from thermolinalg.curvature import Damped, DenseCurvature, DiagonalCurvature, KroneckerCurvature, LowRankCurvature
from thermolinalg.measurement.relaxation import Relaxation, Schedule, joint_law
from thermolinalg.optimizers.damping import definite_rates

BETA = 2.0
SCHEDULES = [
    Schedule(run_time=0.7),
    Schedule(run_time=0.7, delay=0.4),
    Schedule(run_time=0.7, n_reads=3, spacing=0.3),
    Schedule(run_time=0.7, n_reads=4, spacing=0.2, delay=0.5),
    Schedule(run_time=0.0, n_reads=3, spacing=0.3, delay=0.1),
]


def dense_joint_law(A, b, x0, beta, schedule):
    """Mean and covariance of (mean of reads, end), from the covariance of all the voltages at all the times."""
    d, n = len(b), schedule.n_reads
    times = [schedule.run_time + j * schedule.spacing for j in range(n)]
    times.append(times[-1] + schedule.delay)
    laws = [oracles.voltage_law(A, b, x0, beta, t) for t in times]
    mean = np.concatenate([m for m, _ in laws])
    covariance = np.empty((n + 1, d, n + 1, d))
    for i in range(n + 1):
        for j in range(i, n + 1):
            later = oracles.linear_law(-A, np.zeros((d, d)), times[j] - times[i])[0] if j > i else np.eye(d)
            covariance[j, :, i, :] = later @ laws[i][1]
            covariance[i, :, j, :] = covariance[j, :, i, :].T
    take = np.zeros((2, n + 1))
    take[0, :n], take[1, n] = 1.0 / n, 1.0
    M = np.kron(take, np.eye(d))
    return M @ mean, M @ covariance.reshape(mean.size, mean.size) @ M.T


def replicas(G, m):
    """I_m x G: m independent copies of a small matrix, as one curvature that is not factorised."""
    values, vectors = np.linalg.eigh(G)
    return KroneckerCurvature(np.eye(m), G, bases=(np.eye(m), vectors), values=(np.ones(m), np.maximum(values, 0.0)))


def relaxation(F, damping, g, x0, schedule, device, time_step=0.1):
    operator = Damped(F, damping, definite=False)
    return Relaxation(
        device=device, operator=operator, g=g, x0=x0, schedule=schedule, time_step=time_step, n_programmed=0
    )


def by_law(F, damping, g, x0, schedule, device, rng):
    out = relaxation(F, damping, g, x0, schedule, device).sample(rng)
    return out.value, out.voltages


def by_path(F, damping, g, x0, schedule, device, rng, time_step):
    out = relaxation(F, damping, g, x0, schedule, device, time_step).simulate(rng, None)
    return out.value, out.voltages


def singular(rng, size=4, rank=2):
    rows = rng.standard_normal((rank, size))
    return rows.T @ rows


@pytest.mark.parametrize("schedule", SCHEDULES, ids=str)
def test_joint_law_of_a_mode_is_that_of_all_its_voltages(schedule):
    rates = np.array([1e-3, 0.3, 1.0, 7.0])
    memory, response, factor = joint_law(rates, schedule)
    for i, rate in enumerate(rates):
        A = np.array([[rate]])
        free, covariance = dense_joint_law(A, np.zeros(1), np.ones(1), 1.0, schedule)
        driven, _ = dense_joint_law(A, np.ones(1), np.zeros(1), 1.0, schedule)
        L = np.array([[factor[0, i], 0.0], [factor[1, i], factor[2, i]]])
        np.testing.assert_allclose(memory[:, i], free, rtol=1e-11)
        np.testing.assert_allclose(response[:, i], driven, rtol=1e-11)
        np.testing.assert_allclose(L @ L.T, covariance, rtol=1e-10, atol=1e-15)


def test_joint_law_from_equilibrium_is_that_of_a_long_time():
    rates = np.array([0.1, 0.7, 3.0])
    options = {"n_reads": 3, "spacing": 0.4, "delay": 0.3}
    memory, response, factor = joint_law(rates, Schedule(run_time=np.inf, **options))
    np.testing.assert_array_equal(memory, 0.0)
    for i, rate in enumerate(rates):
        late = Schedule(run_time=400.0, **options)
        mean, covariance = dense_joint_law(np.array([[rate]]), np.ones(1), np.zeros(1), 1.0, late)
        L = np.array([[factor[0, i], 0.0], [factor[1, i], factor[2, i]]])
        np.testing.assert_allclose(response[:, i], mean, rtol=1e-11)
        np.testing.assert_allclose(L @ L.T, covariance, rtol=1e-10)


@pytest.mark.parametrize("rate", [1e-12, 1e-6, 1e-2, 1.0, 30.0])
def test_covariance_with_the_end_keeps_its_digits(rate):
    schedule = Schedule(run_time=0.5, n_reads=5, spacing=0.25, delay=0.125)
    _, _, factor = joint_law(np.array([rate]), schedule)
    s, times = mp.mpf(rate), [mp.mpf(0.5) + mp.mpf(0.25) * j for j in range(5)]
    end = times[-1] + mp.mpf(0.125)
    exact = sum(mp.exp(-s * (end - t)) * (1 - mp.exp(-2 * s * t)) / s for t in times) / 5
    assert factor[0, 0] * factor[1, 0] == pytest.approx(float(exact), rel=1e-13)
    variance = (1 - mp.exp(-2 * s * end)) / s
    assert factor[1, 0] ** 2 + factor[2, 0] ** 2 == pytest.approx(float(variance), rel=1e-13)


@pytest.mark.parametrize("delay", [1e-12, 1e-8, 0.1, 1e12])
def test_noise_since_the_read_keeps_its_digits(delay):
    rate = 0.01
    factor = joint_law(np.array([rate]), Schedule(run_time=50.0, delay=delay))[2]
    exact = (1 - mp.exp(-2 * mp.mpf(rate) * mp.mpf(delay))) / mp.mpf(rate)
    assert factor[2, 0] ** 2 == pytest.approx(float(exact), rel=1e-13, abs=0.0)


@pytest.mark.parametrize("damping", [0.0, 0.5])
@pytest.mark.parametrize("schedule", SCHEDULES, ids=str)
def test_draws_have_the_joint_law(schedule, damping, rng):
    """Also in the null space without damping, where the noise grows like free diffusion."""
    F, m = singular(rng), 1000
    A, b, x0 = F + damping * np.eye(4), rng.standard_normal(4), rng.standard_normal(4)
    mean, covariance = dense_joint_law(A, b, x0, BETA, schedule)
    held, device, samples = replicas(F, m), tl.Device(beta=BETA), []
    for _ in range(5):
        reads, end = by_law(held, damping, np.tile(b, m), np.tile(x0, m), schedule, device, rng)
        samples.append(np.hstack((reads.reshape(m, 4), end.reshape(m, 4))))
    samples = np.vstack(samples)
    if schedule.n_reads == 1 and schedule.delay == 0.0:  # the read is the end
        np.testing.assert_array_equal(samples[:, :4], samples[:, 4:])
        samples, mean, covariance = samples[:, :4], mean[:4], covariance[:4, :4]
    oracles.sampled_moments_agree(samples, mean, covariance)


@pytest.mark.parametrize("device", [tl.Device(beta=BETA, read_noise=0.3), tl.Device(beta=BETA, eps_sys=0.2)])
def test_reads_taken_one_by_one_have_the_same_joint_law(device, rng):
    F, m, schedule = singular(rng), 1000, SCHEDULES[3]
    b, x0 = rng.standard_normal(4), rng.standard_normal(4)
    mean, covariance = dense_joint_law(F + 0.5 * np.eye(4), b, x0, BETA, schedule)
    covariance[:4, :4] += device.read_noise**2 / schedule.n_reads * np.eye(4)
    gains, samples = device.read_gains(4 * m), []
    for _ in range(5):
        reads, end = by_law(replicas(F, m), 0.5, np.tile(b, m), np.tile(x0, m), schedule, device, rng)
        samples.append(np.hstack(((reads / gains).reshape(m, 4), end.reshape(m, 4))))
    oracles.sampled_moments_agree(np.vstack(samples), mean, covariance)


@pytest.mark.parametrize("time", [0.0, 0.3, 5.0, 80.0])
@pytest.mark.parametrize("start", ["carry", "gradient", "zero"])
def test_mean_follows_the_differential_equation(start, time, rng):
    rows = rng.standard_normal((3, 6))
    g = rng.standard_normal(6)
    x0 = {"carry": rng.standard_normal(6), "gradient": g, "zero": np.zeros(6)}[start]
    A = rows.T @ rows + 0.05 * np.eye(6)
    exact = x0
    if time:
        exact = scipy.integrate.solve_ivp(
            lambda _, x: g - A @ x, (0.0, time), x0, method="Radau", jac=-A, rtol=1e-11, atol=1e-12
        ).y[:, -1]
    for F in (LowRankCurvature(rows), DenseCurvature(rows.T @ rows)):
        estimate, voltages = by_law(F, 0.05, g, x0, Schedule(run_time=time), tl.Device(beta=np.inf), rng)
        np.testing.assert_allclose(estimate, exact, atol=1e-8 * np.abs(exact).max())
        np.testing.assert_array_equal(estimate, voltages)


def test_infinite_time_is_the_stationary_law(rng):
    F, m, damping = singular(rng), 1000, 0.3
    A, b = F + damping * np.eye(4), rng.standard_normal(4)
    schedule, samples = Schedule(run_time=np.inf), []
    for _ in range(5):
        g, x0 = np.tile(b, m), np.zeros(4 * m)
        samples.append(by_law(replicas(F, m), damping, g, x0, schedule, tl.Device(beta=BETA), rng)[0].reshape(m, 4))
    oracles.sampled_moments_agree(np.vstack(samples), np.linalg.solve(A, b), np.linalg.inv(A) / BETA)


def euler_samples(F, damping, b, x0, schedule, time_step, rng, m):
    run = relaxation(F, damping, np.tile(b, m), np.tile(x0, m), schedule, tl.Device(beta=BETA), time_step)
    out = run.simulate(rng, None)
    return np.hstack((out.value.reshape(m, -1), out.voltages.reshape(m, -1))), out.products


def test_euler_steps_tend_to_the_law(rng):
    """Noise-free means extrapolated in the step; covariances of the finest step within their errors."""
    F, m, schedule = singular(rng), 1000, SCHEDULES[3]
    F /= np.linalg.norm(F, 2)  # what is left after extrapolation, of order (h mu_max)^2, is below the sampling error
    b, x0 = rng.standard_normal(4), rng.standard_normal(4)
    ideal = tl.Device(beta=np.inf)
    law = np.hstack(by_law(DenseCurvature(F), 0.2, b, x0, schedule, ideal, rng))
    runs = [np.hstack(by_path(DenseCurvature(F), 0.2, b, x0, schedule, ideal, rng, h)) for h in (0.02, 0.01, 0.005)]
    extrapolated = [2.0 * fine - coarse for coarse, fine in pairwise(runs)]
    errors = [np.linalg.norm(x - law) for x in (runs[1], *extrapolated)]
    assert errors[1] < errors[0] / 10.0
    assert errors[2] < errors[1] / 3.0  # second order after extrapolation
    third = (4.0 * extrapolated[1] - extrapolated[0]) / 3.0
    np.testing.assert_allclose(third, law, atol=1e-6)

    _, covariance = dense_joint_law(F + 0.2 * np.eye(4), b, x0, BETA, schedule)
    held, pairs = replicas(F, m), []
    for _ in range(4):  # 2 C(h/2) - C(h) has no error of first order; variances of the two add up
        fine, n_fine = euler_samples(held, 0.2, b, x0, schedule, 0.05, rng, m)
        coarse, n_coarse = euler_samples(held, 0.2, b, x0, schedule, 0.1, rng, m)
        assert (n_fine, n_coarse) == (14 + 3 * 4 + 10, 7 + 3 * 2 + 5)
        pairs.append((fine, coarse))
    fine, coarse = (np.vstack(samples) for samples in zip(*pairs, strict=True))
    estimate = 2.0 * np.cov(fine.T) - np.cov(coarse.T)
    scale = np.sqrt(np.diag(covariance))
    correlation = covariance / np.outer(scale, scale)
    z = (estimate - covariance) / np.outer(scale, scale) * np.sqrt(len(fine) / 5.0 / (1.0 + correlation**2))
    assert np.abs(z).max() < 5.0


def test_euler_step_is_the_recursion_of_the_paper(rng):
    """Every step by hand, noise from the same generator; the last one of a duration is no longer than the others."""
    F, b, x0 = singular(rng), rng.standard_normal(4), rng.standard_normal(4)
    schedule, device = Schedule(run_time=0.1), tl.Device(beta=BETA)
    estimate, _ = by_path(DenseCurvature(F), 0.1, b, x0, schedule, device, np.random.default_rng(1), 0.03)
    noise, x = np.random.default_rng(1), x0
    for _ in range(4):
        x = x - 0.025 * (F @ x + 0.1 * x - b) + np.sqrt(2.0 * 0.025 / BETA) * noise.standard_normal(4)
    np.testing.assert_allclose(estimate, x, rtol=1e-12)


def test_unstable_euler_step_is_refused_with_its_value():
    def chosen(time_step, simulator="path", run_time=1.0):
        F, schedule = DiagonalCurvature([3.9, 1.0]), Schedule(run_time=run_time)
        return relaxation(F, 0.1, np.ones(2), None, schedule, tl.Device(), time_step).choose(simulator)

    with pytest.raises(ValueError, match=r"below 2 / lambda_max = 0.5 .* got 0.5: time_step lambda_max = 2, with"):
        chosen(0.5)
    assert [chosen(0.499), chosen(0.5, "law"), chosen(0.1, "auto")] == ["path", "law", "law"]
    with pytest.raises(ValueError, match="needs a finite run_time"):
        chosen(0.1, run_time=np.inf)


@pytest.mark.parametrize("n_reads", [1, 4])
@pytest.mark.parametrize(
    "options", [{}, {"eps_sys": 0.2, "read_noise": 0.3}, {"adc_bits": 5, "adc_range": 4.0}], ids=str
)
def test_stderr_is_the_scatter_of_relaxations(options, n_reads):
    """z-scores over 400 seeds about the mean of the law, gains and dithered rounding included."""
    F, g, x0 = DenseCurvature(np.array([[2.0, 0.5], [0.5, 1.0]])), np.array([1.0, -0.4]), np.array([0.3, 0.9])
    device = tl.Device(beta=4.0, **options)
    run = relaxation(F, 0.1, g, x0, Schedule(run_time=0.8, n_reads=n_reads, spacing=0.5), device)
    exact = relaxation(F, 0.1, g, x0, run.schedule, tl.Device(beta=np.inf)).sample(None).value
    estimates = [run.estimate("auto", np.random.default_rng(seed), clipped={}) for seed in range(400)]
    assert {e.simulator for e in estimates} == {"law"}
    z = np.array([(e.value - device.read_gains(2) * exact) / e.stderr for e in estimates])
    assert np.all(np.abs(z.mean(axis=0)) < 0.28)
    assert np.all(np.abs(z.std(axis=0) - 1.0) < 0.20)


def test_rates_at_equilibrium_are_those_of_a_definite_matrix(rng):
    F = LowRankCurvature(rng.standard_normal((8, 5)))  # full rank: the coordinates of its null space hold nothing
    inverse = np.linalg.inv(F.dense())
    v = rng.standard_normal(5)
    np.testing.assert_allclose(F.weighted(1.0 / definite_rates(F, 0.0, ""), v), inverse @ v, rtol=1e-9)
    with pytest.raises(tl.errors.NotPositiveDefinite, match=r"smallest eigenvalue is 0 .* do this") as caught:
        definite_rates(DiagonalCurvature([2.0, 0.0]), 0.0, "do this")
    assert caught.value.eigenvalue == 0.0
