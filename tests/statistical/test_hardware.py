"""Hardware: the RLC sampler, devices that are not linear, warm starts; z-scores over 200 seeds against exact laws."""

import numpy as np
import pytest
import scipy.integrate

import thermolinalg as tl
from tests import oracles
from thermolinalg.circuits.capacitances import capacitive_form, maxwell_matrix
from thermolinalg.circuits.nonlinear import averaging_time, nonlinear_average
from thermolinalg.circuits.rlc import RLCSampler
from thermolinalg.primitives.warm_start import warm_start

pytestmark = pytest.mark.long

SEEDS = range(200)


def assert_calibrated(z):
    """Mean 0 and standard deviation 1 within four of their own errors over 200 seeds."""
    z = np.asarray(z)
    assert z.shape == (200,)
    assert abs(z.mean()) < 0.28, f"mean of z is {z.mean():.3f}"
    assert abs(z.std(ddof=1) - 1.0) < 0.20, f"standard deviation of z is {z.std(ddof=1):.3f}"


def entry_score(r, truth, seed):
    """z of the entry that a seed stands for, the entries in turn."""
    place = list(np.ndindex(truth.shape))[seed % truth.size]
    return (r.value[place] - truth[place]) / r.stderr[place]


# The RLC sampler -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {"n_reads": 3000, "read_spacing": 1.0},
        {"n_reads": 6000, "read_spacing": 0.1},
        {"n_reads": 200, "read_spacing": 0.5, "n_chains": 48},
    ],
)
def test_inverse_by_the_rlc_sampler_is_calibrated(options):
    rng = np.random.default_rng(5)
    coupling = np.tril(rng.uniform(0.0, 0.3, (4, 4)), -1)
    A = maxwell_matrix(rng.uniform(0.5, 2.0, 4), coupling + coupling.T)
    device = RLCSampler.program(A, R=1e3, L=2e-5, C=1e-9, kappa_0=1e-14)
    truth = np.linalg.inv(A)
    assert_calibrated([entry_score(device.inv(**options, rng=seed), truth, seed) for seed in SEEDS])


@pytest.mark.parametrize(
    "sheet",
    [
        {"adc_bits": 8, "read_noise": 0.05},
        {"adc_bits": 4},
        {"adc_bits": 4, "rounding": "stochastic"},
        {"read_noise": 0.2},
    ],
)
def test_inverse_through_converters_is_calibrated(sheet):
    """Thermal noise of 0.1 V, as the standard error has it."""
    A = maxwell_matrix([0.7, 1.2, 0.9], [[0.0, 0.3, 0.1], [0.3, 0.0, 0.2], [0.1, 0.2, 0.0]])
    board = RLCSampler.program(A, R=1e3, L=1e-4, C=1e-9, kappa_0=1e-14, device=tl.Device(**sheet))
    truth = np.linalg.inv(A)
    runs = (board.inv(n_reads=2000, read_spacing=0.7, rng=seed) for seed in SEEDS)
    assert_calibrated([entry_score(r, truth, seed) for seed, r in enumerate(runs)])


def test_inverse_by_doubled_cells_is_calibrated():
    A = np.array([[2.0, 0.6, -0.5], [0.6, 1.5, 0.7], [-0.5, 0.7, 2.5]])
    A[0, 2] = A[2, 0] = 0.5  # three positive off-diagonals: no signs will do
    form, truth = capacitive_form(A), np.linalg.inv(A)
    assert form.matrix.shape == (6, 6)
    device = RLCSampler.program(form.matrix, R=1e3, L=1e-4, C=1e-9, kappa_0=1e-14)
    runs = (device.inv(n_reads=3000, read_spacing=0.7, form=form, rng=seed) for seed in SEEDS)
    assert_calibrated([entry_score(r, truth, seed) for seed, r in enumerate(runs)])


def test_successive_samples_have_the_correlation_of_the_circuit(rng):
    """Pairs of reads 0.4 RC apart: joint covariance of (v(0), v(t)) from the circuit's equations in SI units."""
    A = np.array([[1.5, -0.6], [-0.6, 1.2]])
    R, L, C, kappa_0 = 1e3, 1e-4, 1e-9, 1e-14
    inverse = np.linalg.inv(C * A)
    F, Q = np.zeros((4, 4)), np.zeros((4, 4))
    F[:2, 2:], F[2:, :2], F[2:, 2:] = np.eye(2) / L, -inverse, -inverse / R
    Q[2:, 2:] = 2.0 * kappa_0 * inverse @ inverse
    S = oracles.linear_law(F, Q, 400e-6)[1]
    step, _ = oracles.linear_law(F, Q, 0.4e-6)
    joint = np.block([[S, S @ step.T], [step @ S, S]])
    current, voltage = RLCSampler.program(A, R=R, L=L, C=C, kappa_0=kappa_0).sample(
        [0.0, 0.4], n_chains=40_000, rng=rng
    )
    states = np.hstack((current[:, 0], voltage[:, 0], current[:, 1], voltage[:, 1]))
    oracles.sampled_moments_agree(states, np.zeros(8), joint)


# Amplifiers that clip --------------------------------------------------------------------------------------------

RATE, INPUT, RAIL, BETA = 1.3, 0.3, 0.7, 1.5  # slowest decay 4 / (BETA (RATE RAIL - INPUT)^2) = 7 RC


def node_law(force, edges, wanted):
    """Expectations of one node of density exp(-beta potential), slope of the potential ``force``: plain quadrature."""
    x = np.unique(np.concatenate([np.linspace(-30.0, 30.0, 600_001), edges]))
    potential = scipy.integrate.cumulative_simpson(force(x), x=x, initial=0.0)
    weight = np.exp(-BETA * (potential - potential.min()))
    total = np.trapezoid(weight, x)
    return [float(np.trapezoid(f(x) * weight, x) / total) for f in wanted]


def clipped_node():
    """Mean voltage and share of time beyond the rails."""
    mean, beyond = node_law(
        lambda x: RATE * np.clip(x, -RAIL, RAIL) - INPUT, [-RAIL, RAIL], [lambda x: x, lambda x: np.abs(x) > RAIL]
    )
    return mean, beyond


def corrected_score(average, truth):
    """z of the value less the bias of the step, the two errors taken to be independent."""
    return float(((average.value - average.step_bias - truth) / np.hypot(average.stderr, average.step_bias_stderr))[0])


def test_clipping_of_one_node_agrees_with_quadrature():
    mean, _ = clipped_node()
    assert mean > 1.2 * INPUT / RATE  # clipping matters
    scores, outputs = [], []
    for seed in SEEDS:
        r = nonlinear_average(
            [[RATE]], [INPUT], dt=0.1, n_steps=800, burn_in_steps=500, n_chains=64, v_max=RAIL, beta=BETA, rng=seed
        )
        scores.append(corrected_score(r.voltage, mean))
        outputs.append((r.average[0] - INPUT / RATE) / r.stderr[0])
    assert_calibrated(scores)
    assert_calibrated(outputs)


def stepped_node(dt):
    """The same two of the recursion itself: stationary vector of its transition density on a grid."""
    x = np.linspace(-12.0, 40.0, 2601)
    centre = x + dt * (INPUT - RATE * np.clip(x, -RAIL, RAIL))
    density = np.exp(-((x[:, None] - centre) ** 2) * BETA / (4.0 * dt))
    density /= density.sum(axis=0)
    balance = density - np.eye(x.size)
    balance[-1] = 1.0  # in place of an equation that follows from the others: the total
    weight = np.linalg.solve(balance, np.eye(x.size)[-1])
    return np.array([weight @ x, weight @ (np.abs(x) > RAIL)])


def test_bias_of_the_step_is_reported():
    """The mean voltage, the share at the rails and the reported bias are those of the recursion at this step."""
    exact = {dt: stepped_node(dt) for dt in (0.05, 0.1, 0.2, 0.4)}
    found = []
    for seed in range(50):
        r = nonlinear_average(
            [[RATE]], [INPUT], dt=0.2, n_steps=1000, burn_in_steps=300, n_chains=64, v_max=RAIL, beta=BETA, rng=seed
        )
        found.append((r.voltage.value[0], r.saturated_share, r.voltage.step_bias[0]))
    error = np.std(found, axis=0, ddof=1) / np.sqrt(50)
    truth = np.array([*exact[0.2], exact[0.4][0] - exact[0.2][0]])
    assert (np.abs(np.mean(found, axis=0) - truth) < 5 * error).all()
    limit = np.array(clipped_node())
    assert abs(exact[0.2][1] - limit[1]) > 5 * error[1]  # the test has the power to see the bias
    assert truth[2] > 10 * error[2]
    order = np.polyfit(np.log([0.05, 0.1, 0.2]), [np.log(exact[dt][0] - limit[0]) for dt in (0.05, 0.1, 0.2)], 1)[0]
    assert abs(order - 1.0) < 0.1  # so that the difference to double steps estimates the bias


def test_outputs_of_clipping_amplifiers_average_to_the_answer():
    """In three coupled nodes, at any step: the mean drift of a steady state is zero."""
    A = np.array([[2.0, 0.5, -0.3], [0.5, 1.5, 0.2], [-0.3, 0.2, 1.0]])
    b = np.array([0.6, -0.4, 0.5])
    answer = np.linalg.solve(A, b)
    scores = []
    for seed in SEEDS:
        r = nonlinear_average(A, b, dt=0.1, n_steps=400, burn_in_steps=400, n_chains=64, v_max=1.4, rng=seed)
        direction = np.random.default_rng(1000 + seed).standard_normal(3)
        spread = np.sqrt(direction @ np.cov(r.chain_averages.T) @ direction / 64)
        scores.append(direction @ (r.average - answer) / spread)
    assert 0.2 < r.saturated_share < 0.6
    assert_calibrated(scores)


# Feedback through a converter ------------------------------------------------------------------------------------


def test_quantised_feedback_of_one_node_agrees_with_quadrature():
    levels = np.linspace(-2.0, 2.0, 7)  # three bits

    def force(x):
        return levels[np.argmin(np.abs(levels[:, None] - RATE * x), axis=0)] - INPUT

    edges = (levels[:-1] + levels[1:]) / 2.0 / RATE
    mean = node_law(force, edges, [lambda x: x])[0]
    assert abs(mean / (INPUT / RATE) - 1.0) > 0.02
    scores = []
    for seed in SEEDS:
        r = nonlinear_average(
            [[RATE]], [INPUT], dt=0.05, n_steps=600, burn_in_steps=200, n_chains=64, feedback_bits=3,
            feedback_range=2.0, beta=BETA, x0=[mean], rng=seed,
        )  # fmt: skip
        scores.append(corrected_score(r.read, mean))
    assert_calibrated(scores)


# Components that drift ------------------------------------------------------------------------------------------


def drifting_mean(rate, drive, sd, time, dt, order=40):
    """Stationary mean of one node: moments E[x He_k(z)] of the recursion, a linear system with the last left out."""
    decay = np.exp(-dt / time) ** np.arange(order)
    M = np.diag(1.0 - dt * rate * np.ones(order))
    for k in range(order):
        if k + 1 < order:
            M[k, k + 1] = -dt * rate * sd
        if k:
            M[k, k - 1] = -dt * rate * sd * k
    push = np.zeros(order)
    push[0] = dt * drive
    return float(np.linalg.solve(np.eye(order) - decay[:, None] * M, push)[0])


def test_component_drift_has_the_predicted_moments():
    rate, drive, sd, time, dt = 1.0, 2.0, 0.25, 4.0, 0.1
    mean = drifting_mean(rate, drive, sd, time, dt)
    assert mean > 1.03 * drive / rate
    scores = []
    for seed in SEEDS:
        r = nonlinear_average(
            [[rate]], [drive], dt=dt, n_steps=400, burn_in_steps=200, n_chains=64, component_drift=(sd, time),
            beta=20.0, x0=[mean], rng=seed,
        )  # fmt: skip
        scores.append((r.average[0] - mean) / r.stderr[0])
    assert_calibrated(scores)


# Systematic errors -----------------------------------------------------------------------------------------------


def test_systematic_errors_add_to_the_standard_error():
    """Over devices of equal data sheets: the square of the error is that of the noise plus that of the read-out."""
    A, b, eps = np.array([[2.0, 0.5], [0.5, 1.0]]), np.array([1.0, 0.5]), 0.1
    answer = np.linalg.solve(A, b)
    scores, shares = [], []
    for seed in SEEDS:
        device = tl.Device(eps_sys=eps, mismatch_seed=seed)
        r = nonlinear_average(A, b, dt=0.1, n_steps=400, burn_in_steps=100, n_chains=64, device=device, rng=seed)
        total = np.hypot(r.stderr, eps * answer)
        scores.append(((r.average - answer) / total)[seed % 2])
        shares.append((r.stderr / total)[seed % 2])
    assert 0.2 < np.mean(shares) < 0.98  # both count
    assert_calibrated(scores)


def test_averaging_time_reaches_its_error():
    """Relative error of a mean square over that time, systematic error included, in 4000 devices."""
    eps, eps_sys, rate = 0.2, 0.12, 0.5
    time = averaging_time(eps, tau_fast=0.4, condition_number=1.0 / rate / 0.4, eps_sys=eps_sys)
    reads = round(time / 0.1)
    rng = np.random.default_rng(3)
    x = tl.OrnsteinUhlenbeck([[rate]]).sample(0.1 * np.arange(reads), n_chains=4000, rng=rng)[..., 0]
    read = np.mean(x**2, axis=1) * (1.0 + eps_sys * rng.standard_normal(4000))
    square = (read * rate - 1.0) ** 2
    expected = (1.0 + eps**2 - eps_sys**2) * (1.0 + eps_sys**2) - 1.0  # eps^2, but that the two errors multiply
    assert abs(square.mean() - expected) < 5 * square.std() / np.sqrt(4000)
    assert abs(expected / eps**2 - 1.0) < 0.01


# Warm starts -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_slow", [0, 2])
def test_paths_from_a_warm_start_have_the_law(n_slow, rng):
    """Euler-Maruyama paths whose start is drawn: Euler's own moments, with the slow modes in equilibrium at first."""
    values = np.array([0.02, 0.05, 0.5, 1.0])
    vectors = np.linalg.qr(rng.standard_normal((4, 4)))[0]
    A, dt, chains = (vectors * values) @ vectors.T, 0.1, 20_000
    A = (A + A.T) / 2.0
    drive = np.array([0.1, 0.1, 1.0, 1.0])
    start = warm_start(A, vectors @ drive, n_slow=n_slow)
    x0 = start.draw(chains, rng)
    run = tl.euler_maruyama(
        A, vectors @ drive, dt=dt, n_steps=1, burn_in_steps=19, n_chains=chains, x0=x0, rng=rng, workers=2
    )
    slow = vectors[:, :n_slow]
    begin = slow @ (drive / values)[:n_slow]
    mean, noise, _, _ = oracles.euler_moments(A, vectors @ drive, begin, 1.0, dt, 1, 19)
    memory = np.linalg.matrix_power(np.eye(4) - dt * A, 20)
    covariance = noise + memory @ (slow / values[:n_slow]) @ slow.T @ memory.T
    oracles.sampled_moments_agree(run.final, mean, covariance)
