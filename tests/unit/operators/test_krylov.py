"""Functions of a sparse matrix from products alone, against closed-form eigenvectors and dense algebra."""

import tracemalloc

import numpy as np
import pytest
import scipy.fft
import scipy.sparse
from scipy.sparse.linalg import LinearOperator

import thermolinalg as tl
from tests import oracles
from thermolinalg import laws
from thermolinalg.operators import krylov


def grid_laplacian(n):
    """Five-point Laplacian with Dirichlet boundaries, assembled entry by entry."""
    rows, columns, entries = [], [], []
    for i in range(n):
        for j in range(n):
            for di, dj, value in ((0, 0, 4.0), (1, 0, -1.0), (-1, 0, -1.0), (0, 1, -1.0), (0, -1, -1.0)):
                if 0 <= i + di < n and 0 <= j + dj < n:
                    rows.append(i * n + j)
                    columns.append((i + di) * n + j + dj)
                    entries.append(value)
    return scipy.sparse.csr_array((entries, (rows, columns)), shape=(n * n, n * n))


def grid_function(f, n, v):
    """f(A) v for that Laplacian: its eigenvectors are products of sines, so a fast sine transform diagonalises it."""
    line = 2.0 - 2.0 * np.cos(np.pi * np.arange(1, n + 1) / (n + 1))
    modes = scipy.fft.dstn(v.reshape(n, n), type=1, norm="ortho")
    return scipy.fft.idstn(f(line[:, None] + line[None, :]) * modes, type=1, norm="ortho").ravel()


@pytest.fixture(scope="module")
def grid():
    """10^4 unknowns, condition number 4134."""
    return grid_laplacian(100)


@pytest.mark.parametrize(
    ("name", "f"),
    [
        ("inverse", lambda lam: 1.0 / lam),
        ("inverse square root", lambda lam: lam**-0.5),
        ("decay", lambda lam: np.exp(-2.0 * lam)),
        ("response", laws.Integrator(5.0, 300.0).response),
        ("noise", lambda lam: np.sqrt(laws.Integrator(5.0, 300.0).variance(lam))),
    ],
)
def test_function_of_a_grid_agrees_with_closed_form_eigenvectors(grid, rng, name, f):
    operator = tl.Krylov(grid, tol=1e-8)
    v = rng.standard_normal(10_000)
    exact = grid_function(f, 100, v)
    assert np.linalg.norm(operator.function(f, v) - exact) < 1e-7 * np.linalg.norm(exact)


def test_a_tighter_tolerance_costs_more_and_gives_more(grid, rng):
    v = rng.standard_normal(10_000)
    exact = grid_function(np.reciprocal, 100, v)
    errors, products = [], []
    for tol in (1e-2, 1e-5, 1e-9):
        operator = tl.Krylov(grid, tol=tol)
        before = operator.products
        error = np.linalg.norm(operator.function(np.reciprocal, v) - exact) / np.linalg.norm(exact)
        assert error < 10 * tol
        errors.append(error)
        products.append(operator.products - before)
    assert errors == sorted(errors, reverse=True)
    assert products == sorted(products)


def counting(A):
    """A as a LinearOperator that counts its products itself."""
    count = [0]

    def product(v):
        count[0] += 1
        return A @ v

    return LinearOperator(A.shape, matvec=product, dtype=float), count


def test_every_product_is_counted(rng):
    A = oracles.random_spd(rng, 30, 50.0)
    counted, count = counting(A)
    operator = tl.Krylov(counted, tol=1e-8)
    operator.function(np.sqrt, rng.standard_normal((30, 2)))
    operator.quadratic_form(np.sqrt, rng.standard_normal(30))
    operator.bounds  # noqa: B018
    operator.dense()
    operator.matvec(rng.standard_normal((30, 4)))
    assert operator.products == count[0]


def test_an_estimate_says_how_many_products_it_used(rng):
    A = oracles.random_spd(rng, 30, 50.0)
    counted, count = counting(A)
    operator = tl.Krylov(counted)
    before = count[0]
    first = tl.solve(operator, np.ones(30), duration=100.0, rng=0)
    assert first.products == count[0] - before > 0
    before = count[0]
    second = tl.solve(operator, np.ones(30), duration=100.0, rng=0)
    assert second.products == count[0] - before > 0
    assert tl.solve(A, np.ones(30), duration=100.0, rng=0).products is None


def test_memory_is_a_few_vectors(grid, rng):
    """Hundreds of steps, yet no basis: the operator keeps nothing but what it was given."""
    operator, v = tl.Krylov(grid, tol=1e-10), rng.standard_normal(10_000)
    before = operator.products
    tracemalloc.start()
    operator.function(np.reciprocal, v)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    steps = (operator.products - before) // 2
    assert steps > 200
    # the eigenvectors of the tridiagonal matrix are steps x steps, more than once; a basis would be steps x 10 000
    assert peak < 20 * v.nbytes + 6 * 8 * steps**2 < steps * v.nbytes


@pytest.mark.parametrize(("share", "floor", "room"), [(0.25, 0, 30), (0.1, 0, 12), (0.0, 0, 0), (0.0, 2**20, 1092)])
def test_what_the_basis_has_room_for_is_not_computed_again(share, floor, room, monkeypatch, rng):
    """A step costs a product, and a second one where its vector is no longer there; the answer is the same."""
    A, v = oracles.random_spd(rng, 120, 1e3), rng.standard_normal(120)
    exact = oracles.function_of_matrix(np.sqrt, A) @ v
    steps = []

    def root(lam):
        steps.append(lam.size)  # Ritz values: one a step
        return np.sqrt(lam)

    monkeypatch.setattr(krylov, "BASIS_SHARE", share)
    monkeypatch.setattr(krylov, "BASIS_FLOOR", floor)
    operator = tl.Krylov(A, tol=1e-8)
    assert operator.products == 0  # every entry has been compared with its mirror image
    result = operator.function(root, v)
    assert np.linalg.norm(result - exact) < 1e-7 * np.linalg.norm(exact)
    assert steps[-1] > 40
    assert operator.products == 2 * steps[-1] - min(max(room, 1), steps[-1])
    monkeypatch.setattr(krylov, "BASIS_FLOOR", 2**30)
    np.testing.assert_array_equal(tl.Krylov(A, tol=1e-8).function(np.sqrt, v), result)


@pytest.mark.parametrize("order", ["rows", "columns", "every other"])
def test_dense_matrices_are_taken_in_any_layout(order, rng):
    A, v = oracles.random_spd(rng, 40, 50.0), rng.standard_normal(40)
    A = (A + A.T) / 2.0
    spread = np.zeros((80, 80))
    spread[::2, ::2] = A
    given = {"rows": A, "columns": np.asfortranarray(A), "every other": spread[::2, ::2]}[order]
    exact = oracles.function_of_matrix(np.sqrt, A) @ v
    np.testing.assert_allclose(tl.Krylov(given, tol=1e-10).function(np.sqrt, v), exact, rtol=1e-8)


def test_what_a_linear_operator_returns_is_left_alone(rng):
    """Its own argument, or an array that it goes on using."""
    A, held = oracles.random_spd(rng, 12, 9.0), np.zeros(12)

    def product(v):
        held[:] = A @ v
        return held

    v = rng.standard_normal(12)
    exact = oracles.function_of_matrix(np.sqrt, A) @ v
    buffered = tl.Krylov(LinearOperator((12, 12), matvec=product, dtype=float), tol=1e-11)
    np.testing.assert_allclose(buffered.function(np.sqrt, v), exact, rtol=1e-9)
    identity = tl.Krylov(LinearOperator((12, 12), matvec=lambda v: v, dtype=float))
    np.testing.assert_allclose(identity.function(lambda lam: 3.0 * lam, v), 3.0 * v, rtol=1e-12)


@pytest.mark.parametrize("form", [np.asarray, scipy.sparse.csr_array])
def test_products_that_overflow_say_so(form):
    with pytest.raises(ValueError, match=r"A v must be finite, got -?inf"):
        tl.Krylov(form(np.full((4, 4), 1e308))).function(np.sqrt, np.ones(4))


def test_quadratic_form_is_that_of_the_dense_function(rng):
    A, v = oracles.random_spd(rng, 25, 40.0), rng.standard_normal(25)
    operator = tl.Krylov(scipy.sparse.csr_array(A), tol=1e-10)
    exact = v @ oracles.function_of_matrix(np.sqrt, A) @ v
    assert operator.quadratic_form(np.sqrt, v) == pytest.approx(exact, rel=1e-8)
    with pytest.raises(ValueError, match=r"v must have shape \(25,\), got \(25, 2\)"):
        operator.quadratic_form(np.sqrt, np.ones((25, 2)))


def test_trace_lies_within_its_error(rng):
    """The error bar is honest: over 60 sets of probes the scores have the spread of Student's t."""
    A = oracles.random_spd(rng, 20, 10.0)
    operator = tl.Krylov(scipy.sparse.csr_array(A), tol=1e-10)
    exact = np.trace(oracles.function_of_matrix(np.sqrt, A))
    results = [operator.trace_with_error(np.sqrt, 16, rng) for _ in range(60)]
    z = np.array([(trace - exact) / error for trace, error in results])
    assert abs(z.mean()) < 5 * 1.08 / np.sqrt(60)
    assert 0.7 < z.std() < 1.6
    assert operator.trace(np.sqrt) == operator.trace_with_error(np.sqrt, 8)[0]


@pytest.mark.parametrize("kappa", [1.0, 10.0, 1e4])
def test_bounds_enclose_the_spectrum(rng, kappa):
    for d in (1, 5, 60):
        A = oracles.random_spd(rng, d, kappa)
        low, high = tl.Krylov(scipy.sparse.csr_array(A)).bounds
        values = np.linalg.eigvalsh(A)
        assert low <= values[0] * (1 + 1e-9)
        assert high >= values[-1] * (1 - 1e-9)


def test_bounds_of_a_grid_are_near_its_ends(grid):
    low, high = tl.Krylov(grid).bounds
    exact = 8.0 * np.sin(np.pi / 202) ** 2
    assert 0.7 * exact < low <= exact
    assert 8.0 - exact <= high < 1.1 * (8.0 - exact)


def test_bounds_see_what_a_constant_vector_does_not():
    """Pairs of cells: sums relax at 1 .. 2, differences at 0.1 and 30 as well."""
    sums, differences = np.linspace(1.0, 2.0, 20), np.linspace(0.1, 30.0, 20)
    own, coupled = (sums + differences) / 2.0, (sums - differences) / 2.0
    A = scipy.sparse.block_array(
        [[scipy.sparse.diags_array(m) for m in row] for row in ((own, coupled), (coupled, own))]
    )
    low, high = tl.Krylov(scipy.sparse.csr_array(A)).bounds
    assert 0.05 < low <= 0.1
    assert 30.0 <= high < 40.0


def test_given_bounds_are_used_as_they_are():
    operator = tl.Krylov(scipy.sparse.eye_array(4), bounds=(0.5, 2))
    assert operator.bounds == (0.5, 2.0)
    assert operator.products == 2  # the look at the symmetry


@pytest.mark.parametrize(("bounds", "met"), [((1.0, 2.0), "20"), ((5.0, 30.0), "1"), ((2.0, 3.0), "1")])
def test_bounds_that_do_not_hold_are_found_out_at_either_end(bounds, met):
    operator = tl.Krylov(scipy.sparse.diags_array([1.0, 20.0]), bounds=bounds)
    with pytest.raises(ValueError, match=rf"bounds .* do not hold: Lanczos met the Ritz value {met}$"):
        operator.function(np.sqrt, [1.0, 1.0])
    exact = tl.Krylov(scipy.sparse.diags_array([1.0, 20.0]), bounds=(1.0, 20.0))
    np.testing.assert_allclose(exact.function(np.sqrt, [1.0, 1.0]), np.sqrt([1.0, 20.0]))


@pytest.mark.parametrize("f", [lambda lam: np.full_like(lam, np.nan), lambda lam: lam * np.inf])
def test_functions_that_are_not_finite_are_refused(f):
    operator, held = tl.Krylov(scipy.sparse.diags_array([1.0, 2.0, 4.0])), tl.Diagonal([1.0, 2.0, 4.0])
    for call in (operator.function, operator.quadratic_form, held.function, lambda f, _: held.trace(f)):
        with pytest.raises(ValueError, match=r"f must be finite on the spectrum of A, got (nan|inf) at"):
            call(f, np.ones(3))


@pytest.mark.parametrize("unit", [1e-170, 1e-300, 1e170, 1e300])
def test_vectors_whose_squares_overflow_are_taken(unit):
    operator = tl.Krylov(scipy.sparse.diags_array([1.0, 4.0, 9.0]))
    np.testing.assert_allclose(operator.function(np.sqrt, unit * np.ones(3)), unit * np.array([1.0, 2.0, 3.0]))
    assert operator.quadratic_form(np.sqrt, np.zeros(3)) == 0.0


def test_not_converged_says_how_far_it_got(grid, rng):
    operator = tl.Krylov(grid, tol=1e-10, max_products=60)
    with pytest.raises(
        tl.errors.NotConverged, match=r"Lanczos reached a change of .* after 60 products, not tol = 1e-10"
    ):
        operator.function(np.reciprocal, rng.standard_normal(10_000))
    assert operator.products <= 62 + 2


def test_indefinite_matrices_are_found_out(rng):
    A = oracles.random_spd(rng, 20, 10.0) - 0.4 * np.eye(20)
    operator = tl.Krylov(scipy.sparse.csr_array(A))
    with pytest.raises(
        tl.errors.NotPositiveDefinite, match="A is not positive definite: Lanczos met the Ritz value -"
    ) as e:
        operator.function(np.sqrt, np.ones(20))
    assert np.linalg.eigvalsh(A)[0] - 1e-12 <= e.value.eigenvalue < 0
    assert f"{e.value.eigenvalue:.6g}" in str(e.value)


@pytest.mark.parametrize("size", [3, 8, 30])
def test_singular_matrices_are_found_out(size):
    """The Laplacian of a path with free ends has the null vector of ones."""
    line = scipy.sparse.diags_array([-1.0, 2.0, -1.0], offsets=[-1, 0, 1], shape=(size, size)).tolil()
    line[0, 0] = line[-1, -1] = 1.0
    operator = tl.Krylov(scipy.sparse.csr_array(line))
    with pytest.raises(tl.errors.NotPositiveDefinite, match=r"eigenvalue|Ritz value"):
        tl.solve(operator, np.arange(size) + 1.0, duration=10.0, rng=0)


def test_a_zero_column_stays_zero(rng):
    A = oracles.random_spd(rng, 10, 5.0)
    operator = tl.Krylov(A, tol=1e-11)
    v = np.column_stack((rng.standard_normal(10), np.zeros(10)))
    result = operator.function(np.sqrt, v)
    np.testing.assert_allclose(result[:, 0], oracles.function_of_matrix(np.sqrt, A) @ v[:, 0], atol=1e-9)
    np.testing.assert_array_equal(result[:, 1], 0.0)


def test_eigenvectors_end_the_iteration_at_once():
    operator = tl.Krylov(scipy.sparse.diags_array([1.0, 2.0, 3.0, 4.0]))
    before = operator.products
    np.testing.assert_allclose(operator.function(np.sqrt, [0.0, 0.0, 0.0, 5.0]), [0, 0, 0, 10.0])
    assert operator.products == before + 1


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: tl.Krylov(scipy.sparse.csr_array(np.ones((2, 3)))), r"A must be square, got shape \(2, 3\)"),
        (lambda: tl.Krylov(scipy.sparse.csr_array([[1.0, 1.0], [0.0, 1.0]])), r"A must be symmetric, but \|u\^T A v"),
        (lambda: tl.Krylov(np.array([[1.0, 1.0], [0.0, 1.0]])), r"A must be symmetric, but max \|A - A.T\| = 1"),
        (lambda: tl.Krylov(scipy.sparse.csr_array([[1.0, np.nan], [np.nan, 1.0]])), "A.data must be finite, got nan"),
        (lambda: tl.Krylov(scipy.sparse.csr_array([[1.0j]])), "A.data must be real"),
        (lambda: tl.Krylov(scipy.sparse.coo_array([[np.inf]])), "A.data must be finite, got inf"),
        (lambda: tl.Krylov(LinearOperator((2, 2), matvec=lambda v: v * 1j, dtype=complex)), "A v must be real"),
        (lambda: tl.Krylov(LinearOperator((2, 2), matvec=lambda v: v * np.nan, dtype=float)), "A v must be finite"),
        (lambda: tl.Krylov(scipy.sparse.eye_array(2), bounds=(2, 1)), r"bounds must be \(low, high\) with low <= high"),
        (lambda: tl.Krylov(scipy.sparse.eye_array(2), bounds=(0, 1)), "bounds must be positive and finite, got 0"),
        (lambda: tl.Krylov(scipy.sparse.eye_array(2), tol=0), "tol must be positive"),
        (lambda: tl.Krylov(scipy.sparse.eye_array(2), max_products=1), "max_products must be at least 2, got 1"),
    ],
)
def test_bad_input_is_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_integer_matrices_give_floats():
    operator = tl.Krylov(scipy.sparse.csr_array(np.diag([1, 4])))
    result = operator.function(np.sqrt, [1, 1])
    assert result.dtype == np.float64
    np.testing.assert_allclose(result, [1.0, 2.0])


def test_too_few_products_for_bounds_are_not_converged():
    """Two steps at most: nothing to compare with when the limit is reached."""
    operator = tl.Krylov(scipy.sparse.diags_array(np.linspace(1.0, 2.0, 50)), max_products=2)
    with pytest.raises(tl.errors.NotConverged, match="change of inf after 2 products"):
        operator.function(np.sqrt, np.ones(50))


def test_every_sparse_format_is_taken(rng):
    A = oracles.random_spd(rng, 6, 5.0)
    exact = oracles.function_of_matrix(np.sqrt, A) @ np.ones(6)
    for form in ("csr", "csc", "coo", "dia", "bsr", "lil", "dok"):
        operator = tl.Krylov(scipy.sparse.csr_array(A).asformat(form), tol=1e-10)
        np.testing.assert_allclose(operator.function(np.sqrt, np.ones(6)), exact, rtol=1e-8)


def test_the_sparse_matrix_is_at_hand_only_where_there_is_one():
    assert tl.Krylov(scipy.sparse.eye_array(2)).is_sparse
    assert not tl.Krylov(LinearOperator((2, 2), matvec=lambda v: v, dtype=float)).is_sparse


@pytest.mark.parametrize("kind", [np.asarray, scipy.sparse.csr_array, scipy.sparse.linalg.aslinearoperator])
@pytest.mark.parametrize("scale", [1e-250, 1e-170, 1e-152, 1e120])
def test_answers_do_not_depend_on_the_scale(kind, scale, rng):
    entries, v = np.geomspace(1e-3, 1.0, 60), rng.standard_normal(60)
    found = tl.Krylov(kind(np.diag(scale * entries)), tol=1e-8).function(np.reciprocal, v)
    np.testing.assert_allclose(found * scale, v / entries, rtol=1e-6)


@pytest.mark.parametrize("time", [5e3, 2e4, 1e5])
def test_slow_modes_of_a_decaying_function_are_waited_for(time):
    """e^{-At} v is nothing on all but the slowest modes; the first look sees only zeros."""
    n = 300
    grid = np.arange(1, n + 1) / (n + 1)
    S = np.sqrt(2 / (n + 1)) * np.sin(np.pi * np.outer(np.arange(1, n + 1), grid))
    lam = tl.problems.laplacian_eigenvalues(n)
    v = np.random.default_rng(0).standard_normal(n)
    exact = S.T @ (np.exp(-lam * time) * (S @ v))
    found = tl.Krylov(tl.problems.laplacian(n), tol=1e-9).function(lambda x: np.exp(-x * time), v)
    assert np.linalg.norm(found - exact) < 1e-6 * np.linalg.norm(exact)


def test_a_function_that_vanishes_is_known():
    operator = tl.Krylov(tl.problems.laplacian(200))
    assert not operator.function(lambda x: np.zeros_like(x), np.ones(200)).any()
