"""What `lyapunov` and the exponentials take for a matrix, and what they refuse before any read."""

import numpy as np
import pytest
import scipy.sparse
from scipy.sparse.linalg import aslinearoperator

import thermolinalg as tl

A = np.array([[1.0, 2.0], [-1.0, 3.0]])
B = np.array([[2.0, 0.5], [0.5, 1.0]])


@pytest.mark.parametrize("form", [scipy.sparse.csr_array, scipy.sparse.coo_matrix, aslinearoperator])
def test_sparse_matrices_and_operators_are_made_dense(form):
    runs = [tl.lyapunov(M, R, n_reads=100, rng=0).value for M, R in ((A, B), (form(A), form(B)))]
    np.testing.assert_array_equal(*runs)
    for function in (tl.expm, tl.negexpm):
        np.testing.assert_array_equal(*[function(M, n_reads=100, rng=0).value for M in (A, form(A))])
    np.testing.assert_array_equal(*[tl.expm_action(M, [1.0, 2.0], n_reads=100, rng=0).value for M in (A, form(A))])


@pytest.mark.parametrize("operator", [tl.Dense(B), tl.Krylov(scipy.sparse.csr_array(B))])
def test_operators_of_the_library_are_made_dense(operator):
    np.testing.assert_array_equal(*[tl.negexpm(M, n_reads=100, rng=0).value for M in (B, operator)])


@pytest.mark.parametrize("wide", [scipy.sparse.eye_array(6000, format="csr"), aslinearoperator(scipy.sparse.eye(6000))])
def test_large_sparse_matrices_are_not(wide):
    for run in (lambda: tl.negexpm(wide, n_reads=10), lambda: tl.lyapunov(wide, 1.0, n_reads=10)):
        with pytest.raises(ValueError, match=r"A must be dense here, and with shape \(6000, 6000\) is too large"):
            run()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: tl.negexpm(A, duration=10.0), "give n_reads, the averaging time over read_spacing"),
        (lambda: tl.expm(A, duration=10.0), "duration is not for exponentials"),
        (lambda: tl.expm_action(A, [1.0, 1.0], duration=10.0, n_reads=5), "duration is not for exponentials"),
        (lambda: tl.negexpm(A, rtol=1e-7), r"rtol = 1e-07 would take .* reads to simulate .* drawn at once"),
        (lambda: tl.lyapunov(A, 1.0, rtol=1e-7, read_spacing=0.1), "rtol = 1e-07 would take"),
        (lambda: tl.lyapunov(A, 1.0, duration=1e12), r"duration = 1e\+12 RC would take"),
    ],
)
def test_what_cannot_be_run_is_refused_with_a_way_out(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_independent_reads_have_no_limit():
    assert tl.lyapunov(A, 1.0, rtol=1e-7, rng=0).n_reads > 10**12


@pytest.mark.parametrize("options", [{}, {"read_spacing": 1.0}])
@pytest.mark.parametrize("noise", [0.0, np.diag([1.0, 0.0])])
def test_cells_that_no_noise_reaches_are_read_as_zero(options, noise):
    r = tl.lyapunov(np.diag([1.0, 2.0]), noise, n_reads=2000, device=tl.Device(adc_bits=5), rng=0, **options)
    exact = np.diag(np.diag(np.broadcast_to(noise, (2, 2)))) / 2.0
    assert np.isfinite(r.stderr).all()
    assert (np.abs(r.value - exact) <= 5 * r.stderr).all()
