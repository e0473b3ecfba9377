"""Corners of `solve`: pickles, ranges of columns, plans from bounds, what is printed, messages."""

import pickle

import numpy as np
import pytest
import scipy.sparse

import thermolinalg as tl
from thermolinalg import laws
from thermolinalg.measurement import paths

A = tl.problems.wishart(5, rng=1)
B = np.random.default_rng(2).standard_normal(5)


@pytest.mark.parametrize("run", [
    lambda: tl.solve(A, B, duration=10.0, rng=0),
    lambda: tl.solve(scipy.sparse.csr_array(A), B, duration=10.0, rng=0),
    lambda: tl.inv(A, n_reads=20, read_spacing=1.0, rng=0),
])  # fmt: skip
def test_estimates_survive_a_pickle(run):
    r, twin = run(), pickle.loads(pickle.dumps(run()))
    assert np.array_equal(r.value, twin.value)
    assert np.array_equal(r.stderr, twin.stderr)
    assert r.stderr_error == twin.stderr_error
    assert str(twin.cost) == str(r.cost)


def test_columns_have_converter_ranges_of_their_own():
    b = np.column_stack((B, 1e-6 * B))
    r = tl.solve(A, b, duration=1.0, device=tl.Device(beta=np.inf, dac_bits=8, adc_bits=8), rng=0)
    x = np.linalg.solve(A, b)
    for column in range(2):
        assert np.linalg.norm(r.value[:, column] - x[:, column]) < 0.05 * np.linalg.norm(x[:, column])


def test_krylov_with_a_converter_plans_from_its_answer():
    L = tl.problems.laplacian(30)
    r = tl.solve(L, np.ones(30), rtol=0.1, device=tl.Device(adc_bits=8), rng=0)
    x = np.linalg.solve(L.toarray(), np.ones(30))
    assert np.linalg.norm(r.value - x) < 0.1 * np.linalg.norm(x)
    with pytest.raises(ValueError, match="a Krylov operator has none"):
        tl.solve(L, np.ones(30), rtol=0.1, read_spacing=1.0, device=tl.Device(adc_bits=8), rng=0)


def test_a_plan_from_bounds_is_not_absurd():
    """The noise is bounded, the answer is not: the excess is that of the trace alone."""
    L = tl.problems.laplacian(30, 30)
    r = tl.solve(L, np.ones(900), rtol=0.01, rng=0)
    assert 1.0 < r.planning_margin < 50.0
    assert np.linalg.norm(r.value - np.linalg.solve(L.toarray(), np.ones(900))) < 0.01 * np.linalg.norm(r.value)


def test_given_bounds_follow_a_sparse_matrix_onto_the_device():
    L = tl.problems.laplacian(20) + 0.5 * scipy.sparse.eye_array(20)
    operator = tl.Krylov(L, bounds=(0.5, 4.5))
    held = tl.hardware.program(operator, tl.Device(matrix_bits=10), rng=np.random.default_rng(0)).operator
    exact = np.linalg.eigvalsh(held.dense())
    assert held.bounds_given
    assert 0.4 < held.bounds[0] <= exact[0]
    assert exact[-1] <= held.bounds[1] < 4.6


def test_print_says_what_the_stderr_leaves_out():
    r = tl.solve(A, B, duration=10.0, device=tl.Device(matrix_bits=10, mismatch=1e-3), rng=0)
    assert "does not cover what matrix_bits, mismatch of the device do" in str(r)
    assert "does not cover" not in str(tl.solve(A, B, duration=10.0, rng=0))


def test_rms_stderr_tells_its_own_error():
    r = tl.solve(tl.problems.laplacian(50), np.ones(50), duration=1e4, rng=0)
    assert r.stderr_kind == "rms"
    assert 0 < r.stderr_error < 0.5
    assert tl.solve(A, B, duration=1.0, rng=0).stderr_error is None


def test_a_sparse_matrix_that_rounding_breaks_says_so():
    M = scipy.sparse.csr_array(tl.problems.toeplitz(40, 0.99))
    with pytest.raises(tl.errors.NotPositiveDefinite, match=r"A as programmed .*matrix_bits=\d+ would do"):
        tl.solve(M, np.ones(40), duration=1.0, device=tl.Device(matrix_bits=5), rng=0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: tl.solve(A, B, duration=1.0, rng=np.random.RandomState(0)), "rng must be None, an int"),
        (lambda: tl.Device(adc_bits=2000), "bits must be at most 52"),
        (lambda: tl.solve(tl.Krylov(tl.problems.laplacian(9), bounds=(2, 5)), np.ones(9), duration=1.0), "do not hold"),
        (lambda: tl.mitigate(tl.logdet, A, device=tl.Device(matrix_bits=8)), "primitive must be solve or inv"),
        (lambda: tl.Krylov(tl.problems.laplacian(5), bounds=(1, 2, 3)), "bounds must be .low, high."),
        (lambda: tl.Krylov(tl.problems.laplacian(5)).trace(np.exp, probes=1), "probes must be at least 2"),
        (lambda: tl.hardware.Quantizer(4).round([np.nan, 1.0]), "x must be finite"),
        (lambda: tl.inv(A, duration=1e12, rng=0), "independent reads .* are drawn at once"),
        (lambda: tl.mitigate(tl.inv, A, n_reads=2.5, device=tl.Device(matrix_bits=8)), "n_reads must be an integer"),
    ],
)
def test_messages_name_the_value_and_the_remedy(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_cost_is_that_of_what_was_asked_though_the_arrays_have_changed_since():
    """With a diagonal A entries are modes: nothing else would stand between the caller's arrays and the cost."""
    b, x0 = np.array([1.0, 2.0]), np.array([3.0, -1.0])
    r = tl.solve(tl.Diagonal([1.0, 4.0]), b, x0=x0, duration=10.0, burn_in=20.0, rng=0)
    b[:], x0[:] = np.nan, np.nan
    cost = tl.solve(np.diag([1.0, 4.0]), [1.0, 2.0], x0=[3.0, -1.0], duration=10.0, burn_in=20.0, rng=0).cost
    for name in ("joule_heat", "stochastic_heat", "stored_energy", "relax", "integrate"):
        assert getattr(r.cost, name) == pytest.approx(getattr(cost, name), rel=1e-13), name


@pytest.mark.parametrize("operator", [tl.Dense(A), tl.LowRank(0.5, np.ones((5, 2)) + np.eye(5, 2))])
def test_many_chains_of_many_columns_are_the_mean_of_rotations_one_by_one(operator):
    b = np.column_stack((B, B[::-1], np.ones(5)))
    r = tl.solve(operator, b, n_reads=7, read_spacing=0.5, burn_in=60.0, simulator="path", n_chains=4, rng=3)
    drive = operator.to_modes(b)
    readout = laws.Reads(60.0, 7, 0.5)
    rng = np.random.default_rng(3)
    modes = paths.mode_averages(operator.rates, np.zeros_like(drive), drive, readout, 1.0, 4, rng, None)
    alone = [[operator.from_modes(chain[:, column]) for column in range(3)] for chain in modes]
    np.testing.assert_allclose(r.value, np.mean(alone, axis=0).T, rtol=0, atol=1e-12)
