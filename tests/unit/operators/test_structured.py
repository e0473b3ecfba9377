"""`LowRank` and `Kronecker`: what is special about their structure."""

import tracemalloc

import numpy as np
import pytest

import thermolinalg as tl
from tests import oracles

# Low rank -------------------------------------------------------------------------------------------------------------


def test_low_rank_survives_nearly_parallel_columns(rng):
    """Columns that differ by 1e-5: their Gram matrix has condition number 1e10 and more."""
    U = rng.standard_normal((30, 1)) + 1e-5 * rng.standard_normal((30, 4))
    A = 0.5 * np.eye(30) + U @ U.T
    operator = tl.LowRank(0.5, U)
    assert operator.rank == 4
    np.testing.assert_allclose(operator.dense(), A, atol=1e-12 * np.linalg.norm(A))
    noise = operator.from_modes(np.eye(operator.rates.size))
    np.testing.assert_allclose(noise @ noise.T, np.eye(30), atol=1e-12)  # orthogonality survived
    v = rng.standard_normal(30)
    np.testing.assert_allclose(operator.function(np.reciprocal, v), np.linalg.solve(A, v), rtol=1e-9)


def test_low_rank_survives_columns_at_the_edge_of_rounding(rng):
    """Columns that differ by 3e-7: at the limit of what a Gram matrix can tell apart."""
    U = rng.standard_normal((30, 1)) + 3e-7 * rng.standard_normal((30, 4))
    operator = tl.LowRank(0.5, U)
    np.testing.assert_allclose(operator.dense(), 0.5 * np.eye(30) + U @ U.T, atol=1e-11 * np.linalg.norm(U) ** 2)
    noise = operator.from_modes(np.eye(operator.rates.size))
    np.testing.assert_allclose(noise @ noise.T, np.eye(30), atol=1e-11)


def test_low_rank_survives_columns_of_very_different_length(rng):
    """A weight may make up for a short column: U S U^T is what counts."""
    U = rng.standard_normal((12, 2)) * [1.0, 1e-8]
    S = np.array([1.0, 1e16])
    A = np.eye(12) + (U * S) @ U.T
    np.testing.assert_allclose(tl.LowRank(1.0, U, S).dense(), A, atol=1e-9 * np.linalg.norm(A))


def test_low_rank_drops_dependent_columns(rng):
    u = rng.standard_normal((10, 2))
    U = np.column_stack((u, u @ [1.0, -2.0]))
    operator = tl.LowRank(0.5, U)
    assert operator.rank == 2
    np.testing.assert_allclose(operator.dense(), 0.5 * np.eye(10) + U @ U.T, atol=1e-12)


def test_low_rank_of_zero_columns_is_a_multiple_of_the_identity():
    """U = 0 leaves sigma I."""
    operator = tl.LowRank(0.5, np.zeros((6, 2)))
    assert operator.rank == 0
    assert operator.bounds == (0.5, 0.5)
    np.testing.assert_allclose(operator.dense(), 0.5 * np.eye(6))
    np.testing.assert_allclose(operator.diagonal(np.sqrt), np.full(6, np.sqrt(0.5)))
    np.testing.assert_allclose(tl.solve(operator, np.ones(6), duration=1.0, beta=np.inf).value, 2.0 * np.ones(6))


def test_low_rank_never_forms_the_matrix(rng):
    """d = 200 000: a d x d array would take 320 GB; memory stays at a few times U's."""
    d, r = 200_000, 3
    U, weights = rng.standard_normal((d, r)), np.array([0.5, 1.0, 2.0])
    b = rng.standard_normal(d)
    tracemalloc.start()
    operator = tl.LowRank(0.7, U, weights)
    answer = tl.solve(operator, b, duration=10.0, rng=0)
    diagonal = operator.diagonal(np.reciprocal)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20 * U.nbytes
    # Woodbury's identity, written out
    core = np.linalg.inv(np.diag(1.0 / weights) + U.T @ U / 0.7)
    exact = b / 0.7 - U @ (core @ (U.T @ b)) / 0.49
    np.testing.assert_allclose(operator.function(np.reciprocal, b), exact, atol=1e-9)
    np.testing.assert_allclose(diagonal, 1 / 0.7 - np.einsum("ij,jk,ik->i", U, core, U) / 0.49, rtol=1e-9)
    z = (answer.value - exact) / answer.stderr
    assert abs(z.mean()) < 5 / np.sqrt(d)
    assert abs(z.std() - 1.0) < 5 / np.sqrt(2 * d)


def test_low_rank_weights_may_be_negative_as_long_as_the_sum_is_definite(rng):
    Q = np.linalg.qr(rng.standard_normal((8, 2)))[0]
    operator = tl.LowRank(1.0, Q, [-0.5, 2.0])
    np.testing.assert_allclose(np.sort(operator.eigenvalues)[[0, -1]], [0.5, 3.0], rtol=1e-12)
    with pytest.raises(
        tl.errors.NotPositiveDefinite, match=r"sigma I \+ U S U\^T is not positive definite.*-1"
    ) as caught:
        tl.LowRank(1.0, Q, [-2.0, 2.0])
    assert caught.value.eigenvalue == pytest.approx(-1.0)


@pytest.mark.parametrize(
    ("sigma", "U", "S", "message"),
    [
        (0.0, np.ones((3, 1)), None, "sigma must be positive and finite, got 0.0"),
        (1.0, np.ones(3), None, r"U must have shape \(d, r\) with 1 <= r <= d, got \(3,\)"),
        (1.0, np.ones((2, 3)), None, r"got \(2, 3\); use Dense for r > d"),
        (1.0, np.ones((3, 0)), None, r"got \(3, 0\)"),
        (1.0, np.ones((3, 2)), np.ones(3), r"S must have shape \(2,\) or \(2, 2\), got \(3,\)"),
        (1.0, np.ones((3, 2)), [[1.0, 2.0], [0.0, 1.0]], r"S must be symmetric, but max \|S - S.T\| = 2"),
        (1.0, [[np.nan]], None, r"U must be finite, got nan at index \(0, 0\)"),
    ],
)
def test_low_rank_refuses_bad_input(sigma, U, S, message):
    with pytest.raises(ValueError, match=message):
        tl.LowRank(sigma, U, S)


# Kronecker ------------------------------------------------------------------------------------------------------------


def test_kronecker_acts_on_row_major_vectors(rng):
    A, B = oracles.random_spd(rng, 3, 5.0), oracles.random_spd(rng, 4, 5.0)
    V = rng.standard_normal((3, 4))
    np.testing.assert_allclose(tl.Kronecker(A, B).matvec(V.ravel()), (A @ V @ B.T).ravel(), atol=1e-12)
    assert tl.Kronecker(A, B).n_programmed == 3**2 + 4**2


def test_kronecker_factors_may_be_singular_when_damped(rng):
    a = rng.standard_normal((4, 1))
    B = oracles.random_spd(rng, 3, 5.0)
    with pytest.raises(tl.errors.NotPositiveDefinite, match=r"A x B \+ damping I is singular to working precision"):
        tl.Kronecker(a @ a.T, B)
    damped = tl.Kronecker(a @ a.T, B, damping=0.1)
    np.testing.assert_allclose(damped.dense(), np.kron(a @ a.T, B) + 0.1 * np.eye(12), atol=1e-12)


def test_kronecker_of_two_negative_factors_is_positive():
    assert tl.Kronecker([[-2.0]], [[-3.0]]).bounds == (6.0, 6.0)


def test_kronecker_refuses_bad_input():
    with pytest.raises(ValueError, match="damping must be non-negative and finite, got -1"):
        tl.Kronecker(np.eye(2), np.eye(2), damping=-1)
    with pytest.raises(ValueError, match=r"B must be a square matrix of shape \(d, d\), got \(2, 3\)"):
        tl.Kronecker(np.eye(2), np.ones((2, 3)))
    with pytest.raises(tl.errors.NotPositiveDefinite, match="smallest eigenvalue is -2"):
        tl.Kronecker(np.diag([-1.0, 1.0]), 2.0 * np.eye(2))
