"""What a result computes lazily is the same whenever, and on whichever copy, it is asked for."""

import dataclasses

import numpy as np
import pytest
import scipy.sparse

import thermolinalg as tl

A = scipy.sparse.csr_array(tl.problems.with_condition(20, 50.0, rng=0))
B = np.ones(20)


def test_an_rms_error_does_not_depend_on_the_order_of_access():
    first, second, third = (tl.solve(tl.Krylov(A), B, duration=50.0, rng=0) for _ in range(3))
    before = second.stderr_error
    np.testing.assert_array_equal(first.stderr, second.stderr)
    assert second.stderr_error == before == first.stderr_error
    np.testing.assert_array_equal(third.stderr, dataclasses.replace(third).stderr)


def test_a_plan_leaves_the_error_of_the_error_alone():
    r, again = (tl.solve(tl.Krylov(A), B, rtol=0.05, rng=0) for _ in range(2))
    before = r.stderr_error
    assert r.stderr.shape == (20,)
    assert r.stderr_error == before
    assert again.stderr.shape == (20,)
    assert again.stderr_error == before


def test_the_planning_margin_counts_read_noise():
    x = np.linalg.solve(A.toarray(), B)
    noise = 0.196 * np.linalg.norm(x) / np.sqrt(20)
    r = tl.solve(tl.Krylov(A), B, rtol=0.2, device=tl.Device(read_noise=noise), rng=0)
    expected = 0.2 * np.linalg.norm(r.value) / np.sqrt(np.sum(r.stderr**2))
    assert r.planning_margin == pytest.approx(expected, rel=0.05)


def test_vectors_that_the_caller_changes_later_do_not_matter():
    v = np.ones(20)
    r, kept = (tl.expm_action(-A.toarray(), v.copy() if k else v, n_reads=100, rng=0) for k in range(2))
    v *= 100.0
    np.testing.assert_array_equal(r.stderr, kept.stderr)


def test_what_is_programmed_is_taken_where_it_can_be_and_refused_where_not():
    held = tl.hardware.program(A, tl.Device(matrix_bits=12, rounding="stochastic"), rng=0)
    assert tl.solve(held, B, duration=10.0, rng=0).cost.load == 0.0
    assert tl.inv(held, n_reads=10, rng=0).value.shape == (20, 20)
    for call in (tl.lyapunov, tl.as_operator, tl.expm):
        with pytest.raises(ValueError, match=r"A is programmed on a device already.*pass A.target"):
            call(*((held, np.eye(20)) if call is tl.lyapunov else (held,)))
    with pytest.raises(ValueError, match="device must be a Device, got None"):
        tl.hardware.program(A, None)


@pytest.mark.parametrize("rounding", ["nearest", "stochastic"])
def test_a_comparator_on_cells_without_noise_says_what_it_leaves(rounding):
    """Cells 1 and 2 are still: a comparator reads them as its upper level, or at random as either."""
    device = tl.Device(adc_bits=1, rounding=rounding)
    r = tl.lyapunov(np.diag([1.0, 2.0, 3.0]), np.diag([1.0, 0.0, 0.0]), n_reads=100_000, device=device, rng=0)
    still = r.value[1:, 1:], r.stderr[1:, 1:]
    assert (np.abs(still[0]) < 5.0 * still[1]).all()


def test_a_range_of_zero_is_no_warning():
    device = tl.Device(adc_bits=4, rounding="stochastic")
    r = tl.lyapunov(np.eye(3), np.zeros((3, 3)), n_reads=5, device=device, rng=0)
    assert not r.value.any()
    assert not r.stderr.any()
