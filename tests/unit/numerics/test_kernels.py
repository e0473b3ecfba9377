"""Each kernel against plain loops over lists, on the same noise."""

import inspect

import numpy as np
import pytest

from tests import oracles
from thermolinalg.numerics.kernels import euler, ou

STEPS, SIZE = 40, 5


def coefficients(rng, count):
    """A decay below 1 and further coefficients, one column per mode."""
    return rng.uniform(0.2, 0.99, SIZE), *rng.standard_normal((count - 1, SIZE))


def test_average_steps_are_a_plain_loop(rng):
    decay, increment, noise_std = coefficients(rng, 3)
    noise, x, total = rng.standard_normal((STEPS, SIZE)), rng.standard_normal(SIZE), rng.standard_normal(SIZE)
    states = oracles.ou_states(decay, increment, noise_std, noise, list(x))
    expected = total + states.sum(axis=0)
    before = noise.copy()
    ou.average_steps(decay, increment, noise_std, noise, x, total)
    np.testing.assert_allclose(x, states[-1], rtol=1e-10)
    np.testing.assert_allclose(total, expected, rtol=1e-10)
    np.testing.assert_array_equal(noise, before)


def test_state_steps_are_a_plain_loop(rng):
    decay, increment, noise_std = coefficients(rng, 3)
    noise, x = rng.standard_normal((STEPS, SIZE)), rng.standard_normal(SIZE)
    states = oracles.ou_states(decay, increment, noise_std, noise, list(x))
    ou.state_steps(decay, increment, noise_std, noise, x)
    np.testing.assert_allclose(noise, states, rtol=1e-10)
    np.testing.assert_allclose(x, states[-1], rtol=1e-10)


def test_integral_steps_are_a_plain_loop(rng):
    decay, increment, noise_std, gain, drift, mixed, rest = coefficients(rng, 7)
    noise = rng.standard_normal((STEPS, 2, SIZE))
    x, integral = rng.standard_normal((2, SIZE))
    end, area = oracles.ou_integral(decay, increment, noise_std, gain, drift, mixed, rest, noise, x, integral)
    ou.integral_steps(decay, increment, noise_std, gain, drift, mixed, rest, noise, x, integral)
    np.testing.assert_allclose(x, end, rtol=1e-10)
    np.testing.assert_allclose(integral, area, rtol=1e-10)


def test_euler_update_is_the_equation_by_hand(rng):
    A, b = oracles.random_spd(rng, SIZE, 10.0), rng.standard_normal(SIZE)
    x, total = rng.standard_normal((2, 3, SIZE))
    noise, step, noise_std = rng.standard_normal((3, SIZE)), 0.1, 0.3
    moved = x + step * (b - x @ A) + noise_std * noise
    expected = total + (x + moved) / 2.0
    euler.update(np.ascontiguousarray(x @ A), b, step, noise_std, noise, x, total)
    np.testing.assert_allclose(x, moved, rtol=1e-10)
    np.testing.assert_allclose(total, expected, rtol=1e-10)


@pytest.mark.parametrize("kernel", [ou.average_steps, ou.state_steps, ou.integral_steps, euler.update])
def test_compiled_and_interpreted_agree(kernel, rng):
    """The function under the decorator gives the same numbers (and is the same function with the JIT off)."""
    interpreted = getattr(kernel, "py_func", kernel)
    shapes = {"noise": (4, 2, SIZE) if "integral" in kernel.__name__ else (4, SIZE)}
    if kernel is euler.update:
        shapes = {name: (4, SIZE) for name in ("product", "noise", "x", "total")} | {"step": (), "noise_std": ()}
    arguments = [
        rng.standard_normal(shapes.get(name, (SIZE,))) if shapes.get(name) != () else 0.25
        for name in inspect.signature(interpreted).parameters
    ]
    twins = [np.copy(a) if isinstance(a, np.ndarray) else a for a in arguments]
    kernel(*arguments)
    interpreted(*twins)
    for one, other in zip(arguments, twins, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12)


def test_no_steps_change_nothing(rng):
    decay, increment, noise_std = coefficients(rng, 3)
    x, total = rng.standard_normal((2, SIZE))
    before = x.copy(), total.copy()
    ou.average_steps(decay, increment, noise_std, np.empty((0, SIZE)), x, total)
    np.testing.assert_array_equal((x, total), before)


def test_nan_in_the_noise_reaches_the_result(rng):
    """Bad numbers are seen at the end, not lost on the way."""
    decay, increment, noise_std = coefficients(rng, 3)
    noise, x, total = rng.standard_normal((3, SIZE)), np.zeros(SIZE), np.zeros(SIZE)
    noise[1, 2] = np.nan
    ou.average_steps(decay, increment, noise_std, noise, x, total)
    assert np.isnan(total).tolist() == [False, False, True, False, False]
