"""Every operator against plain linear algebra on its dense matrix."""

import numpy as np
import pytest
import scipy.linalg
import scipy.sparse
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse.linalg import LinearOperator

import thermolinalg as tl
from tests import oracles
from thermolinalg.operators import Modal, dense

FUNCTIONS = {
    "identity": lambda lam: lam,
    "inverse": lambda lam: 1.0 / lam,
    "square root": np.sqrt,
    "decay": lambda lam: np.exp(-3.0 * lam),
}


def make(kind, rng):
    """An operator of each kind with the matrix it stands for, put together from its definition."""
    if kind == "Diagonal":
        entries = rng.uniform(0.1, 3.0, 7)
        return tl.Diagonal(entries), np.diag(entries)
    if kind == "Dense":
        A = oracles.random_spd(rng, 8, 100.0)
        return tl.Dense(A), A
    if kind == "LowRank":
        U, weights = rng.standard_normal((9, 3)), rng.uniform(0.2, 2.0, 3)
        return tl.LowRank(0.3, U, weights), 0.3 * np.eye(9) + U @ np.diag(weights) @ U.T
    if kind == "LowRank, full S":
        U, S = rng.standard_normal((9, 4)), oracles.random_spd(rng, 4, 10.0)
        return tl.LowRank(0.3, U, S), 0.3 * np.eye(9) + U @ S @ U.T
    if kind == "LowRank, r = d":
        U = rng.standard_normal((5, 5))
        return tl.LowRank(0.3, U), 0.3 * np.eye(5) + U @ U.T
    A, B = oracles.random_spd(rng, 3, 10.0), oracles.random_spd(rng, 4, 20.0)
    if kind == "Kronecker":
        return tl.Kronecker(A, B), np.kron(A, B)
    if kind == "Kronecker, damped":
        return tl.Kronecker(A, B, damping=0.2), np.kron(A, B) + 0.2 * np.eye(12)
    sparse = scipy.sparse.csr_array(oracles.random_spd(rng, 8, 30.0))
    return tl.Krylov(sparse, tol=1e-12), sparse.toarray()


MODAL = (
    "Diagonal",
    "Dense",
    "LowRank",
    "LowRank, full S",
    "LowRank, r = d",
    "Kronecker",
    "Kronecker, damped",
)
EVERY = (*MODAL, "Krylov")


@pytest.mark.parametrize("kind", EVERY)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_function_is_that_of_the_dense_matrix(kind, name, rng):
    operator, A = make(kind, rng)
    truth = oracles.function_of_matrix(FUNCTIONS[name], A)
    for v in (rng.standard_normal(len(A)), rng.standard_normal((len(A), 3))):
        before = v.copy()
        result = operator.function(FUNCTIONS[name], v)
        assert result.shape == v.shape
        np.testing.assert_allclose(result, truth @ v, rtol=1e-9, atol=1e-9 * np.abs(truth).max())
        np.testing.assert_array_equal(v, before)


@pytest.mark.parametrize("kind", EVERY)
def test_products_are_those_of_the_dense_matrix(kind, rng):
    operator, A = make(kind, rng)
    assert operator.shape == A.shape
    for v in (rng.standard_normal(len(A)), rng.standard_normal((len(A), 3))):
        np.testing.assert_allclose(operator.matvec(v), A @ v, rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(operator.dense(), A, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("kind", MODAL)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_trace_and_diagonal_are_those_of_the_dense_function(kind, name, rng):
    operator, A = make(kind, rng)
    truth = oracles.function_of_matrix(FUNCTIONS[name], A)
    assert operator.trace(FUNCTIONS[name]) == pytest.approx(np.trace(truth), rel=1e-9)
    np.testing.assert_allclose(operator.diagonal(FUNCTIONS[name]), np.diag(truth), rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("kind", MODAL)
def test_eigenvalues_and_bounds_are_those_of_the_dense_matrix(kind, rng):
    operator, A = make(kind, rng)
    values = np.linalg.eigvalsh(A)
    np.testing.assert_allclose(np.sort(operator.eigenvalues), values, rtol=1e-9)
    assert operator.bounds == pytest.approx((values[0], values[-1]), rel=1e-9)


@pytest.mark.parametrize("kind", MODAL)
def test_mode_coordinates_invert_and_make_the_noise_of_a_function(kind, rng):
    """There and back is the identity, and white noise in the modes with sd g comes out with covariance g(A)^2."""
    operator, A = make(kind, rng)
    v = rng.standard_normal(len(A))
    np.testing.assert_allclose(operator.from_modes(operator.to_modes(v)), v, atol=1e-11)
    out = operator.from_modes(np.diag(np.sqrt(1.0 / operator.rates)))
    np.testing.assert_allclose(out @ out.T, np.linalg.inv(A), rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("kind", EVERY)
def test_repr_names_the_operator_and_its_size(kind, rng):
    operator, A = make(kind, rng)
    assert type(operator).__name__ in repr(operator)
    assert str(A.shape) in repr(operator)


@pytest.mark.parametrize("kind", EVERY)
def test_vectors_of_wrong_shape_are_refused(kind, rng):
    operator, A = make(kind, rng)
    with pytest.raises(ValueError, match=rf"v must have shape \({len(A)},\) or \({len(A)}, k\), got \(2,\)"):
        operator.function(np.sqrt, np.ones(2))


@given(seed=st.integers(0, 2**32), d=st.integers(1, 8), log_kappa=st.floats(0, 6))
def test_functions_of_one_matrix_multiply(seed, d, log_kappa):
    """f(A) g(A) v = (f g)(A) v and tr f(A) = sum of its diagonal, for any matrix."""
    rng = np.random.default_rng(seed)
    operator = tl.Dense(oracles.random_spd(rng, d, 10.0**log_kappa))
    v = rng.standard_normal(d)
    both = operator.function(lambda lam: np.exp(-lam) / lam, v)
    one = operator.function(np.reciprocal, operator.function(lambda lam: np.exp(-lam), v))
    np.testing.assert_allclose(one, both, atol=1e-10 * np.linalg.norm(both))
    assert operator.diagonal(np.sqrt).sum() == pytest.approx(operator.trace(np.sqrt), rel=1e-12)


# Definiteness and other refusals --------------------------------------------------------------------------------------


def test_indefinite_matrix_names_the_eigenvalue(rng):
    A = oracles.random_spd(rng, 6, 10.0) - 0.5 * np.eye(6)
    smallest = np.linalg.eigvalsh(A)[0]
    with pytest.raises(tl.errors.NotPositiveDefinite, match=rf"A is not positive definite.*{smallest:.4g}") as caught:
        tl.Dense(A).function(np.sqrt, np.ones(6))
    assert caught.value.eigenvalue == pytest.approx(smallest, rel=1e-10)
    assert isinstance(caught.value, ValueError)
    assert isinstance(caught.value, np.linalg.LinAlgError)


def test_shift_named_in_the_message_makes_the_matrix_definite(rng):
    A = oracles.random_spd(rng, 6, 10.0) - 0.5 * np.eye(6)
    with pytest.raises(tl.errors.NotPositiveDefinite) as caught:
        tl.Dense(A).bounds  # noqa: B018
    shift = float(str(caught.value).split("above ")[1].split(",")[0])
    assert tl.Dense(A + 1.01 * shift * np.eye(6)).bounds[0] > 0


def test_singular_matrix_is_called_singular(rng):
    u = rng.standard_normal((5, 3))
    with pytest.raises(tl.errors.NotPositiveDefinite, match="A is singular to working precision"):
        tl.Dense(u @ u.T).bounds  # noqa: B018
    with pytest.raises(tl.errors.NotPositiveDefinite, match="the diagonal matrix is singular"):
        tl.Diagonal([1.0, 0.0])
    with pytest.raises(tl.errors.NotPositiveDefinite, match=r"smallest eigenvalue is -3"):
        tl.Diagonal([1.0, -3.0])


@pytest.mark.parametrize("eigenvalue", [0.0, -0.5])
def test_cholesky_names_the_eigenvalue_too(eigenvalue):
    A = np.array([[1.0, 1.0 - eigenvalue, 0.0], [1.0 - eigenvalue, 1.0, 0.0], [0.0, 0.0, 1.0]])
    with pytest.raises(tl.errors.NotPositiveDefinite, match="smallest eigenvalue is") as caught:
        tl.Dense(A).cholesky  # noqa: B018
    assert caught.value.eigenvalue == pytest.approx(eigenvalue, abs=1e-13)


@pytest.mark.parametrize(
    ("A", "message"),
    [
        (np.ones(3), r"A must be a square matrix of shape \(d, d\), got \(3,\)"),
        (np.ones((2, 3)), r"got \(2, 3\)"),
        (np.ones((0, 0)), r"got \(0, 0\)"),
        ([[1.0, np.nan], [np.nan, 1.0]], r"A must be finite, got nan at index \(0, 1\)"),
        ([[1.0, 0.0], [0.0, np.inf]], r"A must be finite, got inf at index \(1, 1\)"),
        ([[1.0 + 0j, 0.0], [0.0, 1.0]], "A must be real, got dtype complex128"),
        ([["a", "b"], ["c", "d"]], "A must hold numbers"),
        ([[1.0, 0.5], [0.25, 1.0]], r"A must be symmetric, but max \|A - A.T\| = 0.25 \(largest entry 1\)"),
    ],
)
def test_bad_matrices_are_refused(A, message):
    with pytest.raises(ValueError, match=message):
        tl.as_operator(A)


def test_asymmetry_is_found_wherever_it_is(rng):
    """Larger than the tile by which it is looked for; in the last corner."""
    A = np.eye(600)
    A[599, 3] = 1e-3
    with pytest.raises(ValueError, match=r"max \|A - A.T\| = 0.001"):
        tl.Dense(A)


def test_rounding_of_float32_is_not_called_asymmetry():
    A = np.array([[1.0, 1.0 / 3.0], [np.nextafter(np.float32(1 / 3), np.float32(1)), 1.0]], dtype=np.float32)
    assert tl.Dense(A).dense().dtype == np.float64
    with pytest.raises(ValueError, match="A must be symmetric"):
        tl.Dense(A.astype(float))


# Which operator, and how often it is factorised -----------------------------------------------------------------------


def test_as_operator_takes_every_kind(rng):
    A = oracles.random_spd(rng, 4, 5.0)
    assert isinstance(tl.as_operator(A), tl.Dense)
    assert isinstance(tl.as_operator(A.tolist()), tl.Dense)
    assert isinstance(tl.as_operator(scipy.sparse.csr_array(A)), tl.Krylov)
    assert isinstance(tl.as_operator(scipy.sparse.coo_matrix(A)), tl.Krylov)
    assert isinstance(tl.as_operator(LinearOperator((4, 4), matvec=lambda v: A @ v, dtype=float)), tl.Krylov)
    for kind in EVERY:
        operator, _ = make(kind, rng)
        assert tl.as_operator(operator) is operator


@pytest.fixture
def factorisations(monkeypatch):
    """Counts every eigendecomposition, whichever way it is asked for."""
    calls = []

    def counted(function):
        def call(*args, **kwargs):
            calls.append(args[0].shape)
            return function(*args, **kwargs)

        return call

    for module in (np.linalg, scipy.linalg):
        for name in ("eigh", "eigvalsh", "cholesky"):
            monkeypatch.setattr(module, name, counted(getattr(module, name)))
    return calls


def test_a_factorisation_is_kept(factorisations, rng):
    operator = tl.Dense(oracles.random_spd(rng, 20, 10.0))
    tl.solve(operator, np.ones(20), duration=10.0, rng=0)
    first = len(factorisations)
    assert first >= 1
    tl.solve(operator, np.arange(20.0), n_reads=10, rng=1)
    tl.solve(operator, np.ones((20, 2)), rtol=0.1, rng=1)
    assert len(factorisations) == first


def test_solve_factorises_once(factorisations, rng):
    tl.solve(oracles.random_spd(rng, 20, 10.0), np.ones(20), rtol=0.1, rng=0).stderr  # noqa: B018
    assert factorisations == [(20, 20)]


def test_structured_operators_factorise_small_matrices_only(factorisations, rng):
    tl.solve(tl.LowRank(1.0, rng.standard_normal((50, 3))), np.ones(50), duration=10.0, rng=0)
    tl.solve(tl.Kronecker(oracles.random_spd(rng, 5, 9.0), np.eye(6), 0.1), np.ones(30), duration=10.0, rng=0)
    assert factorisations
    assert max(shape[0] for shape in factorisations) <= 6


def test_bounds_of_a_large_matrix_need_no_spectrum(factorisations, monkeypatch, rng):
    """Where no spectrum is held, the extremes come from Lanczos; they agree with the spectrum."""
    monkeypatch.setattr(dense, "LANCZOS_FROM", 10)
    A = oracles.random_spd(rng, 40, 300.0)
    operator = tl.Dense(A)
    bounds = operator.bounds
    assert (40, 40) not in [shape for shape in factorisations[1:]]  # one Cholesky factor, nothing else of that size
    assert bounds == pytest.approx(tuple(np.linalg.eigvalsh(A)[[0, -1]]), rel=1e-4)
    assert operator.eigenvalues.size == 40
    assert operator.bounds == pytest.approx(bounds, rel=1e-4)


def test_the_driver_for_large_matrices_gives_the_same(monkeypatch, rng):
    A = oracles.random_spd(rng, 12, 30.0)
    usual = tl.Dense(A).function(np.sqrt, np.ones(12))
    monkeypatch.setattr(dense, "EVR_FROM", 5)
    np.testing.assert_allclose(tl.Dense(A).function(np.sqrt, np.ones(12)), usual, rtol=1e-10)


def test_the_driver_for_a_thousand_unknowns_gives_the_same(monkeypatch, rng):
    A = oracles.random_spd(rng, 12, 30.0)
    monkeypatch.setattr(dense, "LEAN_FROM", 5)
    operator, exact = tl.Dense(A), oracles.function_of_matrix(np.sqrt, A)
    np.testing.assert_allclose(operator.function(np.sqrt, np.eye(12)), exact, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(operator.diagonal(np.sqrt), np.diag(exact), rtol=1e-9)


# What belongs to the caller ---------------------------------------------------------------------------------------


def test_arrays_of_the_caller_stay_as_they_are(rng):
    A, B = oracles.random_spd(rng, 4, 5.0), oracles.random_spd(rng, 3, 5.0)
    U, S, entries = rng.standard_normal((6, 2)), oracles.random_spd(rng, 2, 3.0), rng.uniform(1, 2, 5)
    arrays = (A, B, U, S, entries)
    copies = [array.copy() for array in arrays]
    for array in arrays:
        array.flags.writeable = False
    made = (tl.Dense(A), tl.Kronecker(A, B, 0.1), tl.LowRank(0.5, U, S), tl.Diagonal(entries))
    for operator in made:
        d = operator.shape[0]
        operator.function(np.sqrt, np.ones(d))
        operator.diagonal(np.sqrt)
        tl.solve(operator, np.ones(d), n_reads=3, read_spacing=1.0, simulator="path", rng=0)
        tl.inv(operator, n_reads=5, rng=0)
        tl.inv(operator, duration=2.0, rng=0)
    for array, copy in zip(arrays, copies, strict=True):
        np.testing.assert_array_equal(array, copy)


def test_a_diagonal_keeps_numbers_of_its_own():
    entries = np.array([1.0, 2.0])
    operator = tl.Diagonal(entries)
    entries[0] = 100.0
    assert operator.bounds == (1.0, 2.0)


def test_integers_and_narrow_floats_are_widened():
    for dtype in (np.int8, np.int64, np.float32, bool):
        operator = tl.as_operator(np.eye(3, dtype=dtype))
        assert operator.function(np.sqrt, np.ones(3, dtype=np.float32)).dtype == np.float64


def test_the_bare_mechanism_says_what_is_missing():
    bare = Modal()
    for method in (bare.to_modes, bare.from_modes, bare.diagonal):
        with pytest.raises(NotImplementedError):
            method(np.ones(2))


def test_products_take_lists_and_columns_in_any_order(rng):
    A = oracles.random_spd(rng, 4, 10.0)
    v = rng.standard_normal((4, 3))
    operator = tl.Dense(A)
    np.testing.assert_allclose(operator.matvec(v[:, 0].tolist()), A @ v[:, 0], rtol=1e-13)
    for columns in (v, np.asfortranarray(v), np.repeat(v, 2, axis=1)[:, ::2], v[:, :1]):
        np.testing.assert_allclose(operator.matvec(columns), A @ columns, rtol=1e-12, atol=1e-14)


def test_eigenvalues_are_found_without_eigenvectors(rng):
    A = oracles.random_spd(rng, 6, 10.0)
    operator = tl.Dense(A)
    np.testing.assert_allclose(operator.spectrum, np.linalg.eigvalsh(A), rtol=1e-12)
    assert "_decomposition" not in vars(operator)
    with pytest.raises(tl.errors.NotPositiveDefinite, match="smallest eigenvalue is -1"):
        _ = tl.Dense(np.diag([1.0, -1.0])).spectrum
