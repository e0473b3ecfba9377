"""The same device is the same device: its errors belong to places, whatever class or order of storage A comes in."""

import numpy as np
import pytest
import scipy.sparse

import thermolinalg as tl
from tests.oracles import devices

BANDED = np.diag([2.0, 2.7, 2.2, 3.1, 2.4]) + np.diag([0.61, -0.43, 0.52, 0.37], 1) + np.diag([0.23, 0.0, -0.31], 2)
BANDED = np.triu(BANDED) + np.triu(BANDED, 1).T
FULL = BANDED + 0.11 * np.ones((5, 5))
SHEETS = {
    "mismatch": {"mismatch": 0.05, "mismatch_seed": 3},
    "nearest": {"matrix_bits": 4},
    "stochastic": {"matrix_bits": 6, "rounding": "stochastic"},
    "nearest and mismatch": {"matrix_bits": 4, "matrix_range": 3.3, "mismatch": 0.05},
    "stochastic and mismatch": {"matrix_bits": 6, "rounding": "stochastic", "mismatch": 0.05},
}


def unsorted(A):
    """Rows with their entries in reverse."""
    A = scipy.sparse.csr_array(A)
    for start, stop in zip(A.indptr[:-1], A.indptr[1:], strict=True):
        A.indices[start:stop] = A.indices[start:stop][::-1].copy()
        A.data[start:stop] = A.data[start:stop][::-1].copy()
    A.has_sorted_indices = False
    return A


def doubled(A):
    """Every entry as a sum of two halves."""
    A = scipy.sparse.coo_array(A)
    places = tuple(np.concatenate((index, index[::-1])) for index in A.coords)
    return scipy.sparse.coo_array((np.concatenate((A.data, A.data[::-1])) / 2.0, places), shape=A.shape)


def doubled_csr(A):
    """The same in compressed rows, which keep duplicates."""
    A = doubled(A)
    order = np.argsort(A.coords[0], kind="stable")
    rows = np.concatenate(([0], np.cumsum(np.bincount(A.coords[0], minlength=A.shape[0]))))
    return scipy.sparse.csr_array((A.data[order], A.coords[1][order], rows), shape=A.shape)


def with_zeros(A):
    """Zeros at places that hold nothing are stored as well."""
    rows, columns = np.indices(A.shape).reshape(2, -1)
    return scipy.sparse.csr_array(scipy.sparse.coo_array((A.ravel(), (rows, columns)), shape=A.shape))


STORED = {
    "Dense": tl.Dense,
    "list": lambda A: A.tolist(),
    "Fortran": np.asfortranarray,
    "csr": scipy.sparse.csr_array,
    "csc": scipy.sparse.csc_array,
    "coo": scipy.sparse.coo_array,
    "unsorted": unsorted,
    "duplicates": doubled,
    "duplicates, csr": doubled_csr,
    "explicit zeros": with_zeros,
}
DIAGONAL = {"Diagonal": lambda A: tl.Diagonal(np.diag(A)), "diagonal": scipy.sparse.dia_array} | STORED


def held(sheet, A, seed=0):
    """The matrix as the device holds it."""
    device = tl.Device(**sheet)
    return tl.hardware.program(tl.as_operator(A), device, rng=np.random.default_rng(seed)).operator.dense()


@pytest.mark.parametrize("sheet", SHEETS)
@pytest.mark.parametrize("stored", STORED)
def test_storage_does_not_change_what_is_programmed(stored, sheet):
    np.testing.assert_array_equal(held(SHEETS[sheet], STORED[stored](BANDED)), held(SHEETS[sheet], BANDED))


@pytest.mark.parametrize("sheet", SHEETS)
@pytest.mark.parametrize("stored", DIAGONAL)
def test_storage_does_not_change_what_is_programmed_of_a_diagonal(stored, sheet):
    A = np.diag([1.0, 2.1, 3.2, 4.0])
    np.testing.assert_array_equal(held(SHEETS[sheet], DIAGONAL[stored](A)), held(SHEETS[sheet], A))


@pytest.mark.parametrize("stored", STORED)
def test_storage_does_not_change_the_answer(stored):
    """Of a device without noise, after all that it does."""
    device = tl.Device(beta=np.inf, mismatch=0.05, eps_sys=0.1)
    b = np.arange(1.0, 6.0)
    one, other = (tl.solve(M, b, duration=1.0, burn_in=60.0, device=device) for M in (STORED[stored](BANDED), BANDED))
    np.testing.assert_allclose(one.value, other.value, rtol=1e-9)
    assert one.cost.load == other.cost.load


def test_diagonal_curvature_is_programmed_like_a_dense_one():
    device, g = tl.Device(beta=np.inf, mismatch=0.1), np.array([1.0, -2.0, 3.0])
    steps = []
    for F in (tl.curvature.DiagonalCurvature([1.0, 2.0, 3.0]), tl.curvature.DenseCurvature(np.diag([1.0, 2.0, 3.0]))):
        optimizer = tl.optimizers.TNGD(1.0, damping=0.1, run_time=np.inf, device=device, rng=0)
        steps.append(optimizer.step(np.zeros(3), g, F, optimizer.init(np.zeros(3)))[0])
    np.testing.assert_allclose(steps[0], steps[1], rtol=1e-12)


@pytest.mark.parametrize("kind", [np.asarray, scipy.sparse.csr_array])
def test_errors_of_places_do_not_depend_on_the_size(kind):
    sheet = SHEETS["mismatch"]
    np.testing.assert_array_equal(held(sheet, kind(FULL))[:3, :3], held(sheet, kind(FULL[:3, :3])))


def test_errors_do_not_depend_on_what_else_is_drawn():
    np.testing.assert_array_equal(held(SHEETS["mismatch"], FULL, seed=0), held(SHEETS["mismatch"], FULL, seed=1))


def test_devices_of_other_seeds_have_other_errors():
    one, other = (held({"mismatch": 0.05, "mismatch_seed": seed}, FULL) for seed in (3, 4))
    assert (one != other).all()


@pytest.mark.parametrize("seed", [0, 3, 2**40])
def test_errors_of_entries_are_those_of_their_places(seed):
    sheet = {"mismatch": 0.05, "mismatch_seed": seed}
    errors = (held(sheet, FULL) / FULL - 1.0) / 0.05
    for i, j in np.ndindex(errors.shape):
        assert errors[i, j] == pytest.approx(devices.place_normal(seed, 0, max(i, j), min(i, j)), abs=1e-10)


@pytest.mark.parametrize("size", [2, 5])
def test_gains_of_cells_are_those_of_their_places(size):
    device = tl.Device(beta=np.inf, eps_sys=0.05, mismatch_seed=3)
    r = tl.solve(np.eye(size), np.ones(size), duration=1.0, burn_in=60.0, device=device)
    for i, gain in enumerate(r.value):
        assert (gain - 1.0) / 0.05 == pytest.approx(devices.place_normal(3, 1, i, 0), abs=1e-10)


def test_normals_of_places_are_normal():
    """The definition itself: mean, deviation, and neighbours in each index that have nothing to do with each other."""
    z = np.array([[[devices.place_normal(0, s, i, j) for j in range(40)] for i in range(40)] for s in range(2)])
    assert abs(z.mean()) < 5 / np.sqrt(z.size)
    assert abs(z.std() - 1.0) < 5 / np.sqrt(2 * z.size)
    for a, b in ((z[0], z[1]), (z[:, 1:], z[:, :-1]), (z[:, :, 1:], z[:, :, :-1]), (z[0], z[0].T)):
        a, b = a[a != b], b[a != b]
        assert abs(np.mean(a * b)) < 5 * np.sqrt(2.0 / a.size)
