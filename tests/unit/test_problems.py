"""Matrices with known answers: their answers."""

import numpy as np
import pytest
import scipy.linalg

import thermolinalg as tl
from thermolinalg import problems


def test_wishart_has_mean_identity_and_its_condition_number(rng):
    """Symmetric, positive definite, mean I, and the condition number of its ensemble."""
    A = problems.wishart(400, rng=rng)
    np.testing.assert_allclose(A, A.T, atol=1e-15)
    values = np.linalg.eigvalsh(A)
    assert values[0] > 0
    assert 25 < values[-1] / values[0] < 45  # tends to 34
    samples = np.array([problems.wishart(3, 10, rng=rng) for _ in range(2000)])
    error = samples.std(axis=0) / np.sqrt(2000)
    assert (np.abs(samples.mean(axis=0) - np.eye(3)) < 5 * error).all()
    variance = (1.0 + np.eye(3)) / 10.0
    np.testing.assert_allclose(samples.var(axis=0), variance, rtol=0.25)


def test_with_spectrum_has_the_spectrum(rng):
    values = np.array([0.1, 1.0, 1.0, 30.0])
    A = problems.with_spectrum(values, rng=rng)
    np.testing.assert_array_equal(A, A.T)
    np.testing.assert_allclose(np.linalg.eigvalsh(A), values, rtol=1e-12)


def test_eigenvectors_are_uniform(rng):
    """Haar: each entry of the projector on an eigenvector has mean 1/d on the diagonal and 0 off it."""
    samples = np.array([problems.with_spectrum([1e-9, 1e-9, 1.0], rng=rng) for _ in range(3000)])
    error = samples.std(axis=0) / np.sqrt(3000)
    assert (np.abs(samples.mean(axis=0) - np.eye(3) / 3) < 5 * error).all()
    # fourth moment of one component of a uniform unit vector in three dimensions: 1/5
    squares = samples[:, 0, 0] ** 2
    assert abs(squares.mean() - 0.2) < 5 * squares.std() / np.sqrt(3000)


def test_with_condition_spreads_the_spectrum_evenly_in_logarithm(rng):
    A = problems.with_condition(7, 300.0, rng=rng)
    values = np.linalg.eigvalsh(A)
    assert values[-1] / values[0] == pytest.approx(300.0)
    np.testing.assert_allclose(np.diff(np.log(values)), np.log(300.0) / 6, rtol=1e-9)
    assert values[-1] == pytest.approx(1.0)
    assert problems.with_condition(1, 1.0, rng=rng).shape == (1, 1)


@pytest.mark.parametrize("grid", [(5,), (3, 4), (2, 3, 4), (1, 1, 1)])
def test_laplacian_is_that_of_the_grid(grid):
    """Entry by entry: 2 for each axis on the diagonal, -1 between neighbours of the grid."""
    A = problems.laplacian(*grid).toarray()
    points = list(np.ndindex(*grid))
    for i, p in enumerate(points):
        for j, q in enumerate(points):
            distance = np.abs(np.subtract(p, q)).sum()
            assert A[i, j] == (2 * len(grid) if distance == 0 else -1 if distance == 1 else 0)
    np.testing.assert_allclose(problems.laplacian_eigenvalues(*grid), np.linalg.eigvalsh(A), atol=1e-12)


def test_laplacian_of_a_million_points_is_sparse():
    A = problems.laplacian(1000, 1000)
    assert A.shape == (10**6, 10**6)
    assert A.nnz == 5 * 10**6 - 4000
    assert A.dtype == np.float64
    values = problems.laplacian_eigenvalues(64)
    assert problems.laplacian_eigenvalues(1024).max() / problems.laplacian_eigenvalues(1024).min() == pytest.approx(
        4.3e5, rel=0.02
    )
    assert values.size == 64


@pytest.mark.parametrize("d", [1, 2, 5, 9])
def test_mikota_has_its_frequencies_and_inverse(d):
    """Eigenfrequencies 1, 2, .., d with masses 1/i, and the inverse in closed form."""
    K = problems.mikota(d)
    masses = np.diag(1.0 / np.arange(1, d + 1))
    np.testing.assert_allclose(scipy.linalg.eigvalsh(K, masses), np.arange(1, d + 1) ** 2.0, rtol=1e-9)
    compliance = np.cumsum(1.0 / (d + 1.0 - np.arange(1, d + 1)))
    exact = np.array([[compliance[min(i, j)] for j in range(d)] for i in range(d)])
    np.testing.assert_allclose(np.linalg.inv(K), exact, rtol=1e-9)


def test_condition_numbers_that_are_on_record():
    values = np.linalg.eigvalsh(problems.mikota(64))
    assert values[-1] / values[0] == pytest.approx(1.0e4, rel=0.1)
    values = np.linalg.eigvalsh(problems.toeplitz(64))
    assert values[-1] / values[0] == pytest.approx(3.2e2, rel=0.02)


def test_toeplitz_has_a_tridiagonal_inverse():
    A = problems.toeplitz(6, 0.7)
    i, j = np.indices((6, 6))
    np.testing.assert_allclose(A, 0.7 ** np.abs(i - j))
    inverse = np.linalg.inv(A)
    np.testing.assert_allclose(inverse[np.abs(i - j) > 1], 0.0, atol=1e-12)


def test_problems_follow_the_seed(seed):
    for make in (lambda r: problems.wishart(4, rng=r), lambda r: problems.with_condition(4, 9.0, rng=r)):
        np.testing.assert_array_equal(make(seed), make(seed))
        assert not np.array_equal(make(None), make(None))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: problems.wishart(0), "d must be at least 1, got 0"),
        (lambda: problems.wishart(4, 3), "degrees must be at least 4, got 3"),
        (lambda: problems.wishart(4, rng="x"), "rng must be None, an int"),
        (lambda: problems.with_spectrum([1.0, 0.0]), "eigenvalues must be positive, got 0.0"),
        (lambda: problems.with_spectrum([[1.0]]), r"eigenvalues must have shape \(d,\), got \(1, 1\)"),
        (lambda: problems.with_condition(3, 0.5), "kappa must be at least 1, got 0.5"),
        (lambda: problems.laplacian(), "a Laplacian has 1 to 3 axes, got 0"),
        (lambda: problems.laplacian(2, 2, 2, 2), "a Laplacian has 1 to 3 axes, got 4"),
        (lambda: problems.laplacian(3, 0), "points along an axis must be at least 1, got 0"),
        (lambda: problems.laplacian_eigenvalues(2.5), "points along an axis must be an integer, got 2.5"),
        (lambda: problems.mikota(0), "d must be at least 1"),
        (lambda: problems.toeplitz(3, 1.0), "rho must lie between 0 and 1, got 1.0"),
        (lambda: problems.toeplitz(3, -0.5), "rho must be positive"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_all_are_taken_by_solve(rng):
    for A in (problems.wishart(5, rng=rng), problems.laplacian(5), problems.mikota(5), problems.toeplitz(5)):
        assert tl.solve(A, np.ones(5), duration=10.0, rng=0).value.shape == (5,)
