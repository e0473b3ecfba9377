"""Paths of a device that is not linear: kernels, the whole recursion on the same noise, limits, and bad input."""

import numpy as np
import pytest
import scipy.sparse

import thermolinalg as tl
from tests import oracles
from thermolinalg.circuits.nonlinear import averaging_time, nonlinear_average
from thermolinalg.errors import QuantizationFloor
from thermolinalg.numerics.kernels import nonlinear as kernels

A = np.array([[2.0, 0.5], [0.5, 1.0]])
b = np.array([1.0, 0.5])


# Kernels ---------------------------------------------------------------------------------------------------------


def test_update(rng):
    x, noise, product = rng.standard_normal((3, 4, 3))
    voltage, read = np.zeros((2, 4, 3))
    v_max, bias = 0.6, rng.standard_normal(3)
    out = np.clip(x, -v_max, v_max)
    moved = [[x[c, i] + 0.1 * (bias[i] - product[c, i]) + 0.4 * noise[c, i] for i in range(3)] for c in range(4)]
    shown = [[min(v, v_max) if v > 0 else max(v, -v_max) for v in row] for row in moved]
    averages = (x + np.array(moved)) / 2, (out + np.array(shown)) / 2
    n = kernels.update(product, bias, 0.1, 0.4, noise, v_max, x, out, voltage, read)
    for found, expected in zip((x, out, voltage, read), (moved, shown, *averages), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-10)
    assert n == sum(abs(v) > v_max for row in moved for v in row) > 0


def test_wander(rng):
    z = rng.standard_normal((2, 3, 3))
    z += z.transpose(0, 2, 1)
    noise = rng.standard_normal((2, 6))
    expected = 0.7 * z
    for c in range(2):
        for k, (i, j) in enumerate([(0, 0), (1, 0), (1, 1), (2, 0), (2, 1), (2, 2)]):
            for place in {(i, j), (j, i)}:
                expected[(c, *place)] += 0.3 * noise[c, k]
    kernels.drift_components(0.7, 0.3, noise, z)
    np.testing.assert_allclose(z, expected, rtol=1e-10)


def test_wandering_product(rng):
    z, x, out = rng.standard_normal((2, 3, 3)), rng.standard_normal((2, 3)), np.empty((2, 3))
    M = rng.standard_normal((3, 3))
    kernels.drifting_product(M, 0.2, z, x, out)
    np.testing.assert_allclose(out, [(M + 0.2 * M * z[c]) @ x[c] for c in range(2)], rtol=1e-10)


# The recursion ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("matrix", [A, scipy.sparse.csr_array(A), tl.Dense(A)])
def test_without_errors_it_is_euler_maruyama(matrix):
    options = {"dt": 0.05, "n_steps": 60, "burn_in_steps": 12, "n_chains": 70, "x0": [3.0, -2.0], "beta": 2.0, "rng": 5}
    plain, run = tl.euler_maruyama(matrix, b, **options), nonlinear_average(matrix, b, **options)
    np.testing.assert_array_equal(run.chain_averages, plain.average)
    np.testing.assert_array_equal(run.final, plain.final)
    np.testing.assert_allclose(run.average, plain.average.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(run.voltage.value, run.read.value, rtol=1e-12)
    assert run.saturated_share == run.feedback_saturated_share == 0.0


def test_errors_that_vanish_change_nothing():
    options = {"dt": 0.05, "n_steps": 60, "burn_in_steps": 12, "n_chains": 40, "beta": 2.0, "rng": 5}
    run = nonlinear_average(A, b, **options, v_max=1e3, feedback_bits=44, component_drift=(0.0, 1.0))
    np.testing.assert_allclose(run.chain_averages, tl.euler_maruyama(A, b, **options).average, rtol=1e-10)


def slow_twin(rng, dt, steps, burn_in, chains, *, beta, v_max, bits, full_scale, sd, time):
    """Averages of outputs and voltages of fine and double steps, by loops over chains, on the noise of the library."""
    stream = np.random.default_rng(rng).spawn(1)[0]
    components = stream.spawn(1)[0]
    noise = stream.standard_normal((burn_in + steps, chains, 2))
    wander = components.standard_normal((burn_in + steps + 1, chains, 3))
    result = np.zeros((4, chains, 2))
    for c in range(chains):
        paths, z, matrices = {1: np.zeros(2), 2: np.zeros(2)}, wander[0, c], []
        for k in range(burn_in + steps):
            matrices.append(A * (1.0 + sd * np.array([[z[0], z[1]], [z[1], z[2]]])))
            z = np.exp(-dt / time) * z + np.sqrt(1.0 - np.exp(-2.0 * dt / time)) * wander[k + 1, c]
        for stride, x in paths.items():
            for k in range(0, burn_in + steps, stride):
                push = np.sqrt(2.0 * dt / beta) * noise[k : k + stride, c].sum(axis=0)
                feedback = oracles.quantise(matrices[k] @ np.clip(x, -v_max, v_max), bits, full_scale)
                new = x + stride * dt * (b - feedback) + push
                if k >= burn_in:
                    weight = stride / steps / 2.0
                    result[2 * stride - 2, c] += weight * (x + new)
                    result[2 * stride - 1, c] += weight * (np.clip(x, -v_max, v_max) + np.clip(new, -v_max, v_max))
                x = new
    return result


def test_all_errors_together_against_a_slow_twin():
    setting = {"beta": 1.5, "v_max": 0.9, "full_scale": 4.0, "bits": 4, "sd": 0.15, "time": 0.7}
    voltage, read, coarse_voltage, coarse_read = slow_twin(11, 0.1, 14, 6, 5, **setting)
    run = nonlinear_average(
        A, b, dt=0.1, n_steps=14, burn_in_steps=6, n_chains=5, beta=1.5, v_max=0.9, feedback_bits=4,
        feedback_range=4.0, component_drift=(0.15, 0.7), rng=11,
    )  # fmt: skip
    np.testing.assert_allclose(run.chain_averages, read, rtol=1e-10)
    for found, fine, coarse in ((run.read, read, coarse_read), (run.voltage, voltage, coarse_voltage)):
        np.testing.assert_allclose(found.value, fine.mean(axis=0), rtol=1e-10)
        np.testing.assert_allclose(found.stderr, np.std(fine, axis=0, ddof=1) / np.sqrt(5), rtol=1e-10)
        np.testing.assert_allclose(found.step_bias, (coarse - fine).mean(axis=0), rtol=1e-8)
        scatter = np.std(coarse - fine, axis=0, ddof=1) / np.sqrt(5)
        np.testing.assert_allclose(found.step_bias_stderr, scatter, rtol=1e-8)
    assert run.stderr_kind == "few chains"


def test_amplifiers_at_their_rails_discharge_a_node_linearly():
    """Without noise and input a voltage of 5.05 falls by 0.1 a step until the output leaves the rail at 1."""
    run = nonlinear_average([[1.0]], [0.0], dt=0.1, n_steps=60, n_chains=2, x0=[5.05], v_max=1.0, beta=np.inf, rng=0)
    assert run.saturated_share == pytest.approx(40 / 60)
    np.testing.assert_allclose(run.final, 0.95 * 0.9**19, rtol=1e-9)
    linear = nonlinear_average([[1.0]], [0.0], dt=0.1, n_steps=30, n_chains=2, x0=[5.05], v_max=1.0, beta=np.inf, rng=0)
    np.testing.assert_allclose(linear.voltage.value, 5.05 - 1.5, rtol=1e-9)
    np.testing.assert_allclose(linear.average, 1.0, rtol=1e-12)
    assert linear.saturated_share == 1.0


def test_feedback_range_and_saturation():
    options = {"dt": 0.1, "n_steps": 200, "n_chains": 32, "feedback_bits": 6, "rng": 1}
    assert nonlinear_average(A, b, **options).feedback_saturated_share < 1e-3
    assert nonlinear_average(A, b, **options, feedback_range=1.1).feedback_saturated_share > 0.1
    quiet = nonlinear_average(A, b, **options | {"n_steps": 600}, beta=np.inf)  # range: the largest entry of b
    settled = A @ quiet.final[0]
    step = 2.0 * 1.0 / (2**6 - 2)
    assert np.abs(settled - b).max() < step


def test_systematic_error_of_the_read_out():
    size, eps = 400, 0.05
    diagonal = tl.Diagonal(np.linspace(1.0, 2.0, size))
    options = {"dt": 0.1, "n_steps": 10, "n_chains": 32, "x0": np.ones(size)}

    def gains(seed, rng):
        device = tl.Device(beta=100.0, eps_sys=eps, mismatch_seed=seed)
        run = nonlinear_average(diagonal, np.ones(size), **options, device=device, rng=rng)
        bare = run.chain_averages.mean(axis=0)
        np.testing.assert_allclose(run.voltage.value, bare, rtol=1e-12)
        np.testing.assert_allclose(run.read.step_bias / run.voltage.step_bias, run.average / bare, rtol=1e-6)
        return (run.average / bare - 1.0) / eps

    fixed = gains(0, 0)
    np.testing.assert_allclose(gains(0, 1), fixed, atol=1e-9)  # the same device errs in the same way
    assert abs(np.corrcoef(fixed, gains(1, 0))[0, 1]) < 5 / np.sqrt(size)  # another one does not
    assert abs(fixed.mean()) < 5 / np.sqrt(size)
    assert abs(fixed.std() - 1.0) < 5 / np.sqrt(2 * size)


def test_same_bits_for_any_number_of_workers():
    options = {"dt": 0.1, "n_steps": 6, "n_chains": 130, "v_max": 1.0, "component_drift": (0.1, 1.0), "rng": 3}
    runs = [nonlinear_average(A, b, **options, workers=w) for w in (1, 2, 4)]
    for other in runs[1:]:
        np.testing.assert_array_equal(other.chain_averages, runs[0].chain_averages)
        assert other.saturated_share == runs[0].saturated_share


# Time to an error ------------------------------------------------------------------------------------------------


def test_averaging_time_of_a_covariance_entry():
    """Variance of the mean square of one mode over that time, lag by lag."""
    rate, eps = 0.4, 0.05
    time = averaging_time(eps, tau_fast=0.5, condition_number=2.0 / rate)
    spacing = 0.1
    variance = oracles.second_moment_variance(np.array([[rate]]), 1.0, round(time / spacing), spacing)[0, 0]
    np.testing.assert_allclose(np.sqrt(variance) * rate, eps, rtol=2e-3)


def test_averaging_time_leaves_room_for_the_systematic_error():
    bare = averaging_time(0.3, tau_fast=2.0, condition_number=7.0)
    assert averaging_time(0.5, tau_fast=2.0, condition_number=7.0, eps_sys=0.4) == pytest.approx(bare)
    nearly = averaging_time(0.1 * (1 + 1e-9), tau_fast=1.0, condition_number=1.0, eps_sys=0.1)
    assert nearly == pytest.approx(1e11, rel=1e-6)
    for eps in (0.1, 0.05):
        with pytest.raises(QuantizationFloor, match=r"eps_sys = 0\.1 of the read-out stays"):
            averaging_time(eps, tau_fast=1.0, condition_number=2.0, eps_sys=0.1)
    with pytest.raises(ValueError, match=r"condition_number must be at least 1, got 0\.5"):
        averaging_time(0.1, tau_fast=1.0, condition_number=0.5)


# Bad input -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dt": 0.46}, r"dt must be below 1 / lambda_max = 0\.453"),
        ({"n_steps": 5}, "n_steps must be even, got 5"),
        ({"burn_in_steps": 3}, "burn_in_steps must be even"),
        ({"n_steps": 0}, "n_steps must be at least 2"),
        ({"n_chains": 1}, "n_chains must be at least 2"),
        ({"x0": [1.0]}, r"x0 must have shape \(2,\) or \(4, 2\)"),
        ({"v_max": 0.4}, r"v_max must exceed every entry of the answer, up to 0\.428571"),
        ({"v_max": -1.0}, "v_max must be positive"),
        ({"feedback_bits": 0}, "feedback_bits must be at least 1"),
        ({"feedback_bits": 4, "feedback_range": 1.0}, "feedback_range must exceed every entry of b"),
        ({"feedback_bits": 4, "feedback_range": "max"}, "feedback_range"),
        ({"component_drift": (0.1,)}, r"component_drift must have shape \(2,\)"),
        ({"component_drift": (-0.1, 1.0)}, "relative standard deviation"),
        ({"component_drift": (0.1, 0.0)}, "correlation time"),
        ({"beta": 1.0, "device": tl.Device()}, "give beta or device"),
    ],
)
def test_bad_input(change, message):
    with pytest.raises(ValueError, match=message):
        nonlinear_average(A, b, **({"dt": 0.1, "n_steps": 4, "n_chains": 4} | change))


def test_components_that_wander_too_far_are_not_hidden():
    with (
        pytest.raises(FloatingPointError, match="a path of the nonlinear device is not finite"),
        np.errstate(all="ignore"),
    ):
        nonlinear_average(A, b, dt=0.1, n_steps=4000, n_chains=2, component_drift=(30.0, 100.0), rng=0)
