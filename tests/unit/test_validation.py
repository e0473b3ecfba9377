"""The checks of arguments, function by function."""

import tracemalloc

import numpy as np
import pytest

from thermolinalg import _validation, checks


def test_real_array_widens():
    for value in ([1, 2], np.array([1, 2], dtype=np.uint8), np.array([1, 2], dtype=np.float16), (True, False)):
        assert checks.real_array(value, "a").dtype == np.float64
    array = np.ones(3)
    assert checks.real_array(array, "a") is array


def test_real_array_keeps_what_blas_takes_and_copies_what_it_does_not():
    whole = np.arange(24.0).reshape(4, 6)
    for array in (whole, whole.T, whole[:, 1:4], whole[1:3].T, np.zeros((3, 1))[:, 0], np.array(2.0)):
        assert checks.real_array(array, "a") is array
    raw = np.zeros(8 * 4 + 1, dtype=np.uint8)[1:].view(np.float64)
    for array in (np.arange(8.0)[::2], whole[:, 1], whole[::-1, ::-1], whole[:, ::2], np.broadcast_to(1.0, 3), raw):
        found = checks.real_array(array, "a")
        assert found.flags.c_contiguous
        assert found.flags.aligned
        np.testing.assert_array_equal(found, array)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([1j], "a must be real, got dtype complex128"),
        (["x"], "a must hold numbers, got dtype <U1"),
        ([None], "a must hold numbers, got dtype object"),
        ([[0.0, 1.0], [np.inf, np.nan]], r"a must be finite, got inf at index \(1, 0\)"),
        (np.nan, r"a must be finite, got nan at index \(\)"),
    ],
)
def test_real_array_refuses(value, message):
    with pytest.raises(ValueError, match=message):
        checks.real_array(value, "a")


def test_vector_checks_the_shape():
    assert checks.vector([1, 2], "v", 2).shape == (2,)
    for value, size, message in (
        ([], None, r"v must have shape \(d,\), got \(0,\)"),
        ([[1.0]], None, r"v must have shape \(d,\), got \(1, 1\)"),
        ([1.0], 2, r"v must have shape \(2,\), got \(1,\)"),
    ):
        with pytest.raises(ValueError, match=message):
            checks.vector(value, "v", size)


def test_vector_is_contiguous():
    """Equal numbers give equal bits however they lie in memory: sums of BLAS depend on strides."""
    x = np.arange(6.0)
    assert checks.vector(x, "v") is x
    assert checks.vector(x[::2], "v").flags.c_contiguous
    np.testing.assert_array_equal(checks.vector(x[::2], "v"), [0.0, 2.0, 4.0])


def test_symmetric_allows_rounding_and_no_more():
    A = np.array([[1.0, 0.1 + 0.2], [0.3, 1.0]])
    assert checks.symmetric(A, "A") is A
    with pytest.raises(ValueError, match=r"max \|A - A.T\| = 1e-10 \(largest entry 1\); pass \(A \+ A.T\) / 2"):
        checks.symmetric(np.array([[1.0, 1e-10], [0.0, 1.0]]), "A")
    assert checks.symmetric(np.zeros((2, 2)), "A").sum() == 0.0


@pytest.mark.parametrize("size", [1, 255, 256, 257, 513])
def test_asymmetry_is_found_at_any_size(size, rng):
    A = rng.standard_normal((size, size))
    assert checks._asymmetry(A) == np.abs(A - A.T).max()


@pytest.mark.parametrize("at", [(0, 0), (599, 599), (64, 63), (3, 598), (598, 3), (511, 512)])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_symmetric_finds_what_is_not_finite_wherever_it_is(at, value):
    A = np.eye(600)
    A[at] = A[at[::-1]] = value
    where = rf"\({min(at)}, {max(at)}\)"
    with pytest.raises(ValueError, match=rf"A must be finite, got {value} at index {where}"):
        checks.symmetric(A, "A")
    A[at[::-1]] = 0.0 if at[0] != at[1] else value
    with pytest.raises(ValueError, match=rf"A must be finite, got {value} at index \({at[0]}, {at[1]}\)"):
        checks.symmetric(A, "A")


def test_symmetric_names_the_first_fault():
    with pytest.raises(ValueError, match=r"A must be finite, got nan at index \(0, 2\)"):
        checks.symmetric([[1.0, 2.0, np.nan]], "A")
    with pytest.raises(ValueError, match=r"A must be a square matrix of shape \(d, d\), got \(1, 2\)"):
        checks.symmetric([[1.0, 2.0]], "A")
    with pytest.raises(ValueError, match=r"max \|A - A.T\| = inf \(largest entry 1e\+308\)"):
        checks.symmetric([[0.0, 1e308], [-1e308, 0.0]], "A")  # the difference overflows, the entries do not


def test_symmetric_needs_no_second_matrix():
    A = np.eye(1500)
    tracemalloc.start()
    checks.symmetric(A, "A")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 0.5 * A.size  # not even a byte an entry


def test_positive_takes_numbers_above_zero_only():
    assert checks.positive(3, "p") == 3.0
    assert checks.positive(np.float32(0.5), "p") == 0.5
    assert checks.positive(np.int64(2), "p") == 2.0
    assert checks.positive(np.inf, "p", infinite=True) == np.inf
    assert checks.positive(0, "p", zero=True) == 0.0
    for value, message in (
        (0, "p must be positive and finite, got 0"),
        (-1.5, "p must be positive and finite, got -1.5"),
        (np.inf, "p must be positive and finite, got inf"),
        (np.nan, "p must be positive and finite, got nan"),
        (None, "p must be a number, got None"),
        (True, "p must be a number, got True"),
        ([1.0], r"p must be a number, got \[1.0\]"),
    ):
        with pytest.raises(ValueError, match=message):
            checks.positive(value, "p")
    with pytest.raises(ValueError, match="p must be non-negative and finite in volts, got -1"):
        checks.positive(-1, "p", " in volts", zero=True)
    with pytest.raises(ValueError, match="p must be positive, got nan"):
        checks.positive(np.nan, "p", infinite=True)


def test_count_takes_whole_numbers_only():
    assert checks.count(1e4, "n") == 10_000
    assert type(checks.count(np.int32(3), "n")) is int
    assert checks.count(0, "n", least=0) == 0
    for value, message in (
        (0, "n must be at least 1, got 0"),
        (2.5, "n must be an integer, got 2.5"),
        (np.nan, "n must be an integer, got nan"),
        (np.inf, "n must be an integer, got inf"),
        ("3", "n must be an integer, got '3'"),
        (True, "n must be an integer, got True"),
        (None, "n must be an integer, got None"),
    ):
        with pytest.raises(ValueError, match=message):
            checks.count(value, "n")


def test_choice_takes_listed_words_only():
    assert checks.choice("b", "word", ("a", "b")) == "b"
    for value in ("c", 1, None, ["a"]):
        with pytest.raises(ValueError, match="word must be one of 'a', 'b', got"):
            checks.choice(value, "word", ("a", "b"))


def test_exactly_one_refuses_none_and_several():
    assert _validation.exactly_one(a=None, b=0) == "b"
    with pytest.raises(ValueError, match="give exactly one of a, b; got none"):
        _validation.exactly_one(a=None, b=None)
    with pytest.raises(ValueError, match="got a and b"):
        _validation.exactly_one(a=1, b=2)


def test_finite_result_refuses_nan():
    array = np.ones(2)
    assert _validation.finite_result(array, "it") is array
    with pytest.raises(FloatingPointError, match=r"it is not finite: .*rescale A and b"):
        _validation.finite_result(np.array([1.0, np.nan]), "it")


def test_generator_passes_on_and_refuses_what_is_no_seed():
    generator = np.random.default_rng(0)
    assert checks.generator(generator) is generator
    for value in ("x", -1, 1.5):
        with pytest.raises(ValueError, match="rng must be None, an int, a SeedSequence or a Generator, got"):
            checks.generator(value)
