"""Converters: levels, rounding, saturation, and the error that averaging leaves."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import thermolinalg as tl
from tests import oracles


@pytest.mark.parametrize("bits", [1, 2, 3, 5, 8])
def test_levels_are_as_many_and_as_far_apart_as_stated(bits):
    """All levels that ever come out: as many, as far apart and as symmetric as the data sheet says."""
    q = tl.hardware.Quantizer(bits, full_scale=3.0)
    out = np.unique(q.round(np.linspace(-3.0, 3.0, 20_001))[0])
    assert out.size == q.levels == (2 if bits == 1 else 2**bits - 1)
    np.testing.assert_allclose(np.diff(out), q.step(3.0), rtol=1e-9)
    np.testing.assert_allclose(out, -out[::-1], atol=1e-15)
    assert out[-1] == 3.0
    assert (0.0 in out) == (bits > 1)


@given(
    bits=st.integers(1, 10),
    full_scale=st.floats(1e-3, 1e3),
    x=st.lists(st.floats(-2.0, 2.0), min_size=1, max_size=20),
)
def test_nearest_level_wins(bits, full_scale, x):
    """Against trying all levels; ties (a float away from the middle) may go either way."""
    x = np.array(x) * full_scale
    out, clipped = tl.hardware.Quantizer(bits, full_scale).round(x)
    truth = oracles.quantise(x, bits, full_scale)
    np.testing.assert_allclose(np.abs(out - x), np.abs(truth - x), atol=1e-9 * full_scale)
    assert clipped == np.count_nonzero(np.abs(x) > full_scale * (1 + 1e-12))


def test_saturation_is_counted_and_clipped():
    out, clipped = tl.hardware.Quantizer(4, full_scale=1.0).round([[0.5, 7.0], [-1.5, 1.0]])
    assert clipped == 2
    np.testing.assert_allclose(out[[0, 1], [1, 0]], [1.0, -1.0])
    assert tl.hardware.Quantizer(4).round([0.5, 7.0, -1.5])[1] == 0  # auto-ranging never saturates
    assert tl.hardware.Quantizer(4).round([0.5, 7.0], full_scale=1.0)[1] == 1  # but a range set beforehand does


def test_auto_range_is_the_largest_magnitude(rng):
    x = rng.standard_normal(50)
    q = tl.hardware.Quantizer(6)
    assert q.range_of(x) == np.abs(x).max()
    out, _ = q.round(x)
    np.testing.assert_allclose(out, oracles.quantise(x, 6, np.abs(x).max()), atol=1e-14)
    assert tl.hardware.Quantizer(6, 2.5).range_of(x) == 2.5


def test_ideal_converter_changes_nothing(rng):
    x = rng.standard_normal(5)
    q = tl.hardware.Quantizer()
    out, clipped = q.round(x)
    np.testing.assert_array_equal(out, x)
    assert out is not x
    assert (clipped, q.levels, q.step(1.0), q.error_variance(1.0)) == (0, None, 0.0, 0.0)
    np.testing.assert_array_equal(q.averaged_error_variance(1.0, [0.0, 1.0]), 0.0)


def test_all_zeros_stay_zeros():
    out, clipped = tl.hardware.Quantizer(8).round(np.zeros(3))
    np.testing.assert_array_equal(out, 0.0)
    assert clipped == 0


def test_one_bit_gives_the_sign_at_full_scale():
    """One bit: the sign, at full scale."""
    out, clipped = tl.hardware.Quantizer(1, full_scale=2.0).round([0.1, -0.1, 1.9, -5.0])
    np.testing.assert_array_equal(out, [2.0, -2.0, 2.0, -2.0])
    assert clipped == 1


@pytest.mark.parametrize("bits", [1, 2, 5])
def test_stochastic_rounding_is_unbiased(bits, rng):
    """The mean over roundings is the input, and only the two levels next to it are ever used."""
    q = tl.hardware.Quantizer(bits, full_scale=1.0, rounding="stochastic")
    x = np.linspace(-1.0, 1.0, 23)
    out = np.array([q.round(x, rng)[0] for _ in range(4000)])
    step = q.step(1.0)
    assert (np.abs(out - x) < step * (1 + 1e-9)).all()
    error = out.std(axis=0, ddof=1) / np.sqrt(len(out))
    assert (np.abs(out.mean(axis=0) - x) <= 5 * error + 1e-12).all()
    between = np.abs(x / step - q.step(1.0) * 0 - np.rint(x / step - (bits == 1) / 2) - (bits == 1) / 2) > 1e-9
    assert (out.std(axis=0)[between] > 0).all()


def test_rounding_leaves_the_input_alone(rng):
    x = rng.standard_normal(6)
    before = x.copy()
    for rounding in ("nearest", "stochastic"):
        tl.hardware.Quantizer(3, rounding=rounding).round(x, rng)
    np.testing.assert_array_equal(x, before)


@pytest.mark.parametrize("rounding", ["nearest", "stochastic"])
def test_error_variance_is_that_of_evenly_spread_numbers(rounding, rng):
    """Mean square error of 2e5 numbers spread evenly."""
    q = tl.hardware.Quantizer(4, full_scale=1.0, rounding=rounding)
    x = rng.uniform(-1.0, 1.0, 200_000)
    squares = (q.round(x, rng)[0] - x) ** 2
    assert abs(squares.mean() - q.error_variance(1.0)) < 5 * squares.std() / np.sqrt(x.size)


@pytest.mark.parametrize("ratio", [0.0, 0.03, 0.1, 0.3, 0.6])
def test_rounding_error_after_averaging_is_that_of_dithered_reads(ratio):
    q = tl.hardware.Quantizer(5, full_scale=1.0)
    step = q.step(1.0)
    exact = oracles.averaged_rounding_error(step, ratio * step)
    value = q.averaged_error_variance(1.0, np.array([ratio * step]))[0]
    assert value == pytest.approx(exact, rel=0.01, abs=1e-9 * step**2)


def test_rounding_error_after_averaging_keeps_the_shape():
    q = tl.hardware.Quantizer(5, full_scale=1.0)
    sd = np.array([[0.0, 1e-3], [1e-2, 1.0]])
    left = q.averaged_error_variance(1.0, sd)
    assert left.shape == sd.shape
    assert left[0, 0] == pytest.approx(q.step(1.0) ** 2 / 12, rel=1e-12)
    assert (np.diff(left.ravel()) < 0).all()
    stochastic = tl.hardware.Quantizer(5, full_scale=1.0, rounding="stochastic")
    np.testing.assert_array_equal(stochastic.averaged_error_variance(1.0, sd), 0.0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bits": 0}, "bits must be at least 1, got 0"),
        ({"bits": 2.5}, "bits must be an integer, got 2.5"),
        ({"bits": True}, "bits must be an integer, got True"),
        ({"bits": 4, "full_scale": 0.0}, r'full_scale \(or "max"\) must be positive and finite, got 0.0'),
        ({"bits": 4, "full_scale": "min"}, r'full_scale \(or "max"\) must be a number'),
        ({"bits": 4, "rounding": "up"}, "rounding must be one of 'nearest', 'stochastic', got 'up'"),
    ],
)
def test_bad_input_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        tl.hardware.Quantizer(**options)


def test_stochastic_rounding_needs_a_generator():
    with pytest.raises(ValueError, match="stochastic rounding needs rng"):
        tl.hardware.Quantizer(4, rounding="stochastic").round([0.1])
