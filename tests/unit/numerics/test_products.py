"""Sums of products: right, the same bits however they are shared out, and nothing overwritten while in use."""

import threading
import time

import numpy as np
import pytest

import thermolinalg as tl
from tests import oracles
from thermolinalg.measurement import paths
from thermolinalg.numerics import products
from thermolinalg.numerics.blocks import blocks

SETTINGS = [(1, "1"), (2, "1"), (3, "1"), (2, "2"), (4, "")]


@pytest.fixture(autouse=True)
def small_tiles(monkeypatch):
    monkeypatch.setattr(products, "TILE", 3)
    monkeypatch.setattr(products, "SMALL", 1)


def setting(monkeypatch, blas):
    for name in products.BLAS_SETTINGS:
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("OMP_NUM_THREADS", blas)


@pytest.mark.parametrize("symmetric", [True, False])
def test_sum_of_products_is_right_and_the_same_for_any_workers(symmetric, rng, monkeypatch):
    x = rng.standard_normal((5, 4, 8))
    y = x if symmetric else rng.standard_normal((5, 4, 7))
    expected = np.einsum("kni,knj->ij", x, y)
    found = []
    for workers, blas in SETTINGS:
        setting(monkeypatch, blas)
        pairs = ((later, earlier, 2) for later, earlier in zip(x, x if symmetric else y, strict=True))
        total, count = products.sum_of_products(pairs, expected.shape, symmetric, workers)
        np.testing.assert_allclose(total, expected, rtol=1e-13, atol=1e-13)
        assert count == 10
        found.append(total)
    for other in found[1:]:
        np.testing.assert_array_equal(other, found[0])
    if symmetric:
        np.testing.assert_array_equal(found[0], found[0].T)


def test_sum_of_no_products_is_zero():
    total, count = products.sum_of_products(iter(()), (2, 3), False, 2)
    assert not total.any()
    assert total.shape == (2, 3)
    assert count == 0


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_in_a_block_comes_out(workers):
    def pairs():
        yield np.ones((2, 2)), np.ones((2, 2)), 0
        raise ValueError("block 1")

    with pytest.raises(ValueError, match="block 1"):
        products.sum_of_products(pairs(), (2, 2), False, workers)


def test_the_next_block_is_drawn_while_this_one_is_multiplied():
    """The first product waits for the second block: without a thread for that it would wait for ever."""
    drawn = threading.Event()

    class Slow:
        def __init__(self, array):
            self.T = self
            self.array, self.dtype = array, array.dtype

        def __getitem__(self, key):
            assert drawn.wait(20)
            return self.array[key]

    def pairs():
        yield Slow(np.ones((2, 2))), np.ones((2, 2)), 0
        drawn.set()
        yield np.ones((2, 2)), np.ones((2, 2)), 0

    total, _ = products.sum_of_products(pairs(), (2, 2), False, 2)
    np.testing.assert_array_equal(total, np.full((2, 2), 4.0))


@pytest.mark.parametrize("blas", ["1", "2"])
def test_blocks_in_use_are_not_overwritten(blas, rng, monkeypatch):
    """Products that take longer than drawing what comes after them."""
    setting(monkeypatch, blas)
    x = rng.standard_normal((7, 2, 3))

    class Slow(np.ndarray):
        def __getitem__(self, key):
            time.sleep(0.01)
            return np.asarray(super().__getitem__(key))

    def pairs():
        for block, drawn in zip(blocks(14, 3, 2, buffers=2), x, strict=True):
            block[:] = drawn
            yield block.view(Slow), block, 0

    total, _ = products.sum_of_products(pairs(), (3, 3), False, 2)
    np.testing.assert_allclose(total, np.einsum("kni,knj->ij", x, x), rtol=1e-13)


@pytest.mark.parametrize(("m", "size"), [(7, 7), (9, 5), (5, 9)])
def test_congruent_is_right_and_the_same_for_any_workers(m, size, rng, monkeypatch):
    F, M = rng.standard_normal((size, m)), rng.standard_normal((m, m))
    found = []
    for workers, blas in SETTINGS:
        setting(monkeypatch, blas)
        found.append(products.congruent(F.__matmul__, M, size, workers))
    np.testing.assert_allclose(found[0], F @ M @ F.T, rtol=1e-12, atol=1e-12)
    for other in found[1:]:
        np.testing.assert_array_equal(other, found[0])


@pytest.mark.parametrize("device", [None, tl.Device(adc_bits=6, read_noise=0.01, rounding="stochastic")])
@pytest.mark.parametrize("n_chains", [1, 2])
def test_primitives_give_the_same_bits(device, n_chains, rng, seed, monkeypatch):
    A = oracles.random_spd(rng, 5, 10.0)
    options = {"n_reads": 5 * paths.READ_ROWS, "read_spacing": 0.5, "n_chains": n_chains, "device": device}
    found = []
    for workers, blas in SETTINGS:
        setting(monkeypatch, blas)
        found.append(
            [
                primitive(*given, rng=seed, workers=workers, **options).value
                for primitive, given in (
                    (tl.inv, (A,)),
                    (tl.negexpm, (A,)),
                    (tl.lyapunov, (A, np.diag(np.arange(1.0, 6.0)))),
                )
            ]
        )
    for other in found[1:]:
        for one, two in zip(found[0], other, strict=True):
            np.testing.assert_array_equal(one, two)


@pytest.mark.parametrize(
    ("given", "serial"),
    [
        ({}, False),
        ({"OPENBLAS_NUM_THREADS": "1"}, True),
        ({"OMP_NUM_THREADS": "1"}, True),
        ({"OMP_NUM_THREADS": "4"}, False),
        ({"OPENBLAS_NUM_THREADS": "2", "OMP_NUM_THREADS": "1"}, False),
    ],
)
def test_environment_says_whether_blas_is_serial(given, serial, monkeypatch):
    setting(monkeypatch, "")
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    assert products.blas_is_serial() is serial
