"""Refinement on real data: the kernel of handwritten digits, 12 bits, twelve digits of accuracy."""

import numpy as np
import pytest

import thermolinalg as tl
from paper_repro import datasets


@pytest.fixture(scope="module")
def kernel():
    """RBF kernel of the first 512 digits plus 1e-2 I, and +1 for images of a zero, -1 for the others."""
    system = datasets.digits_kernel(512)
    assert system.kappa == pytest.approx(1.3e4, rel=0.05)
    return system.array, system.b


def solution(A, b):
    """Newton correction in extended precision, far below 1e-12."""
    x = np.linalg.solve(A, b).astype(np.longdouble)
    for _ in range(4):
        x = x + np.linalg.solve(A, (b - A.astype(np.longdouble) @ x).astype(float))
    return x.astype(float)


def test_twelve_bits_reach_twelve_digits(kernel):
    A, b = kernel
    truth = solution(A, b)
    device = tl.Device(matrix_bits=12, dac_bits=12, adc_bits=12)
    r = tl.solve(A, b, refine=True, rtol=1e-12, device=device, rng=0)
    assert np.linalg.norm(r.value - truth) < 1e-12 * np.linalg.norm(truth)


def test_ten_bits_stop_and_name_a_word_length_that_does(kernel):
    A, b = kernel
    with pytest.raises(
        (tl.errors.NotConverged, tl.errors.NotPositiveDefinite), match="refinement converges with matrix_bits="
    ) as error:
        tl.solve(A, b, refine=True, rtol=1e-12, device=tl.Device(matrix_bits=10), rng=0)
    advised = int(str(error.value).rsplit("=", 1)[1])
    assert advised in (11, 12)
    tl.solve(A, b, refine=True, rtol=1e-12, device=tl.Device(matrix_bits=advised), rng=0)
