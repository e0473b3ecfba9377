"""The fast generator: published answers of Philox, the transform by NumPy, streams that no splitting changes."""

import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import thermolinalg as tl
from thermolinalg.numerics import random
from thermolinalg.numerics.kernels import normals

u64 = np.uint64

# Random123, kat_vectors: counter, key and answer of philox4x32, ten rounds, as 32-bit words
ANSWERS = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((0xFFFFFFFF,) * 4, (0xFFFFFFFF,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344), (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]  # fmt: skip


@pytest.mark.parametrize(("counter", "key", "answer"), ANSWERS)
def test_philox_gives_the_published_answers(counter, key, answer):
    a, b = np.empty(1, u64), np.empty(1, u64)
    first = u64(counter[0] | counter[1] << 32)
    normals.philox(u64(key[0]), u64(key[1]), u64(counter[2]), u64(counter[3]), first, a, b)
    assert (int(a[0]), int(b[0])) == (answer[0] | answer[1] << 32, answer[2] | answer[3] << 32)


def test_counters_follow_one_another():
    name = [u64(k) for k in (1, 2, 3, 4)]
    a, b, one, other = (np.empty(n, u64) for n in (8, 8, 1, 1))
    normals.philox(*name, u64(2**33 - 3), a, b)  # over the border between two words of the counter
    for i in range(8):
        normals.philox(*name, u64(2**33 - 3 + i), one, other)
        assert (a[i], b[i]) == (one[0], other[0])


def test_transform_is_that_of_box_and_muller(rng):
    n = normals.HALF
    exponents = rng.integers(-52, 1, n)
    u = np.minimum((1.0 + rng.random(n)) * 2.0**exponents, 1.0)
    u[:4] = 1.0, 2.0**-52, 1.0 - 2.0**-53, 0.5
    angle = 1.0 + rng.random(n)
    angle[:16] = 1.0 + np.arange(16) / 16.0  # the borders of the quarters
    power, length, out = np.empty(n), np.empty(n), np.empty(2 * n)
    bits = u.copy().view(u64)
    normals.split(bits, power)
    normals.radius(bits.view(np.float64), power, length)
    normals.turn(length, angle, out)
    np.testing.assert_allclose(length, np.sqrt(-2.0 * np.log(u)), rtol=2e-15, atol=1e-15)
    turns = 2.0 * np.pi * (angle - 1.5)
    np.testing.assert_allclose(out[:n], length * np.cos(turns), atol=2e-14)
    np.testing.assert_allclose(out[n:], length * np.sin(turns), atol=2e-14)


def test_same_numbers_however_they_are_asked_for():
    whole = tl.fast_rng(5).standard_normal(3000)
    g = tl.fast_rng(5)
    parts = [g.standard_normal(n) for n in (1, 0, 1023, 7, 1969)]
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    out = np.empty((30, 100))
    assert tl.fast_rng(5).standard_normal(out=out) is out
    np.testing.assert_array_equal(out.ravel(), whole)
    assert tl.fast_rng(5).standard_normal() == whole[0]


def test_single_precision_is_the_same_numbers_rounded():
    whole, n = tl.fast_rng(5).standard_normal(30_000), random.ROUNDED_AT_ONCE
    assert whole.size > 3 * n
    found = tl.fast_rng(5).standard_normal(30_000, dtype=np.float32)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, whole.astype(np.float32))
    g, out = tl.fast_rng(5), np.empty((7, 11), np.float32)
    parts = [g.standard_normal(dtype=np.float32), g.standard_normal(dtype=np.float32, out=out), g.standard_normal(3)]
    assert parts[1] is out
    np.testing.assert_array_equal(np.concatenate([np.ravel(part) for part in parts[:2]]), found[:78])
    np.testing.assert_array_equal(parts[2], whole[78:81])


def test_seeds_and_children_have_streams_of_their_own():
    parent = tl.fast_rng(0)
    children = parent.spawn(2)
    assert all(isinstance(child, tl.numerics.random.FastGenerator) for child in children)
    streams = [g.standard_normal(100) for g in (parent, *children, *children[0].spawn(1), tl.fast_rng(1))]
    for i, one in enumerate(streams):
        for other in streams[:i]:
            assert not np.intersect1d(one, other).size
    again = tl.fast_rng(0).spawn(2)[1].standard_normal(100)
    np.testing.assert_array_equal(again, streams[2])


def test_other_methods_are_those_of_numpy():
    assert tl.fast_rng(3).integers(2**60) == np.random.default_rng(3).integers(2**60)
    g = tl.fast_rng(3)
    assert np.random.default_rng(g) is g


def test_bits_do_not_depend_on_threads():
    streams = tl.fast_rng(2).spawn(4)
    serial = [g.standard_normal(2000) for g in tl.fast_rng(2).spawn(4)]
    with ThreadPoolExecutor(4) as pool:
        np.testing.assert_array_equal(list(pool.map(lambda g: g.standard_normal(2000), streams)), serial)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dtype": np.int64}, "dtype must be float64 or float32, got int64"),
        ({"out": np.empty(4, np.float32)}, "out must be a C-contiguous array of dtype float64"),
        ({"out": np.empty((4, 4))[:, ::2]}, "out must be a C-contiguous array of dtype float64"),
        ({"size": 3, "out": np.empty(4)}, r"size 3 and the shape of out \(4,\) differ"),
    ],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        tl.fast_rng(0).standard_normal(**options)


def test_bad_seeds_and_pickling_are_refused():
    with pytest.raises(ValueError, match="rng must be None, an int"):
        tl.fast_rng("seed")
    with pytest.raises(TypeError, match="cannot be pickled; send its seed"):
        pickle.dumps(tl.fast_rng(0))


@pytest.mark.parametrize("workers", [1, 2])
def test_a_path_with_fast_noise_is_right_and_the_same_for_any_workers(workers):
    A, b = tl.problems.wishart(4, rng=0), np.ones(4)
    r = tl.solve(A, b, n_reads=400, read_spacing=1.0, simulator="path", rng=tl.fast_rng(0), n_chains=2, workers=workers)
    same = tl.solve(A, b, n_reads=400, read_spacing=1.0, simulator="path", rng=tl.fast_rng(0), n_chains=2, workers=1)
    np.testing.assert_array_equal(r.value, same.value)
    assert (np.abs(r.value - np.linalg.solve(A, b)) < 5 * r.stderr).all()
