"""Every shape of curvature against dense matrices, and what each refuses."""

import tracemalloc

import numpy as np
import pytest
import scipy.linalg
from scipy.sparse.linalg import aslinearoperator

import thermolinalg as tl
from thermolinalg.curvature import (
    BlockCurvature,
    Curvature,
    DenseCurvature,
    DiagonalCurvature,
    KroneckerCurvature,
    LowRankCurvature,
)


def semidefinite(rng, d, rank=None):
    rows = rng.standard_normal((d if rank is None else rank, d))
    return rows.T @ rows


def blocks_of(rng, n_blocks, z):
    return np.stack([semidefinite(rng, z, z - 1) for _ in range(n_blocks)])


def low_rank(rng, n=5, N=12, H=None):
    J = rng.standard_normal((n, N))
    full = np.eye(n) if H is None else np.diag(H) if H.ndim == 1 else H if H.ndim == 2 else scipy.linalg.block_diag(*H)
    return LowRankCurvature(J, H), J.T @ full @ J


def as_operator(rng):
    J, H = rng.standard_normal((4, 12)), semidefinite(rng, 4)
    return LowRankCurvature(aslinearoperator(J), H, gram=J @ J.T), J.T @ H @ J


def dependent_rows(rng):
    J = rng.standard_normal((3, 12))
    J = np.vstack([J, J[0] + J[1], 2.0 * J[2], np.zeros(12)])
    return LowRankCurvature(J), J.T @ J


def kronecker(rng, left=None, right=None):
    A, G = semidefinite(rng, 3, left), semidefinite(rng, 4, right)
    return KroneckerCurvature(A, G), np.kron(A, G)


def stale(rng, values=None):
    """In bases that diagonalise neither factor, F is Q diag(Q^T (A x G) Q) Q^T, or has the eigenvalues given."""
    A, G = semidefinite(rng, 3), semidefinite(rng, 4)
    bases = tuple(np.linalg.qr(rng.standard_normal((d, d)))[0] for d in (3, 4))
    Q = np.kron(*bases)
    diagonal = np.diag(Q.T @ np.kron(A, G) @ Q)
    if values == "factors":
        values = rng.random(3), rng.random(4)
        diagonal = np.kron(*values)
    elif values == "products":
        values = rng.random((3, 4))
        diagonal = values.ravel()
    return KroneckerCurvature(A, G, bases=bases, values=values), Q @ np.diag(diagonal) @ Q.T


def block(rng):
    parts = [kronecker(rng, left=2), low_rank(rng, 2, 5), dense(rng, 3), diagonal(rng)]
    return BlockCurvature([F for F, _ in parts]), scipy.linalg.block_diag(*[M for _, M in parts])


def dense(rng, d=12, rank=None):
    F = semidefinite(rng, d, rank)
    return DenseCurvature(F), F


def diagonal(rng):
    entries = np.append(rng.random(4), 0.0)
    return DiagonalCurvature(entries), np.diag(entries)


SHAPES = {
    "diagonal": diagonal,
    "diagonal from rows": lambda rng: _from_rows(rng, DiagonalCurvature),
    "dense": dense,
    "dense, deficient": lambda rng: dense(rng, 8, 5),
    "dense from rows": lambda rng: _from_rows(rng, DenseCurvature),
    "low rank": low_rank,
    "low rank, weights": lambda rng: low_rank(rng, H=np.array([1.0, 0.0, 2.0, 0.5, 3.0])),
    "low rank, H": lambda rng: low_rank(rng, H=semidefinite(rng, 5)),
    "low rank, deficient H": lambda rng: low_rank(rng, H=semidefinite(rng, 5, 2)),
    "low rank, blocks": lambda rng: low_rank(rng, n=6, H=blocks_of(rng, 2, 3)),
    "low rank, one block": lambda rng: low_rank(rng, n=3, H=blocks_of(rng, 1, 3)),
    "low rank, operator": as_operator,
    "low rank, dependent rows": dependent_rows,
    "low rank, n > N": lambda rng: low_rank(rng, n=17, N=6),
    "low rank, n = N": lambda rng: low_rank(rng, n=6, N=6),
    "low rank, one row": lambda rng: low_rank(rng, n=1),
    "rank zero": lambda rng: (LowRankCurvature(np.zeros((2, 5))), np.zeros((5, 5))),
    "rank zero, blocks": lambda rng: (LowRankCurvature(np.ones((4, 5)), np.zeros((2, 2, 2))), np.zeros((5, 5))),
    "Kronecker": kronecker,
    "Kronecker, deficient A": lambda rng: kronecker(rng, left=2),
    "Kronecker, deficient A and G": lambda rng: kronecker(rng, left=1, right=2),
    "Kronecker, stale": stale,
    "Kronecker, given values": lambda rng: stale(rng, "factors"),
    "Kronecker, given products": lambda rng: stale(rng, "products"),
    "blocks": block,
}


def _from_rows(rng, shape):
    J = rng.standard_normal((4, 7))
    full = J.T @ J
    return shape.from_rows(J, "empirical"), full if shape is DenseCurvature else np.diag(np.diag(full))


@pytest.fixture(params=list(SHAPES))
def pair(request, rng):
    """A curvature, and the matrix that it stands for."""
    return SHAPES[request.param](rng)


@pytest.mark.parametrize("columns", [(), (3,)])
def test_functions_are_those_of_the_matrix(pair, rng, columns):
    F, M = pair
    v = rng.standard_normal((len(M), *columns))
    scale = max(np.linalg.norm(M, 2), 1.0)
    assert F.shape == M.shape
    assert F.size == len(M)
    np.testing.assert_allclose(F.matvec(v), M @ v, atol=1e-12 * scale)
    np.testing.assert_allclose(F.function(lambda rates: rates, v), M @ v, atol=1e-12 * scale)
    np.testing.assert_allclose(
        F.function(lambda rates: 1.0 / (rates + 0.3), v),
        np.linalg.solve(M + 0.3 * np.eye(len(M)), v),
        atol=1e-12 * scale,
    )
    np.testing.assert_allclose(
        F.function(lambda rates: np.exp(-rates), v), scipy.linalg.expm(-M) @ v, atol=1e-12 * scale
    )
    null = scipy.linalg.null_space(M, rcond=1e-10)
    np.testing.assert_allclose(F.null_part(v), null @ (null.T @ v), atol=1e-11)
    exact = np.linalg.pinv(M, rcond=1e-10) @ v
    np.testing.assert_allclose(F.pseudoinverse(v), exact, atol=1e-11 * max(np.linalg.norm(exact), 1.0))


def test_eigenvalues_trace_and_diagonal_are_those_of_the_matrix(pair, rng):
    F, M = pair
    scale = max(np.linalg.norm(M, 2), 1.0)
    v = rng.standard_normal(len(M))
    assert F.quadratic(v) == pytest.approx(v @ M @ v, abs=1e-12 * scale * (v @ v))
    np.testing.assert_allclose(np.sort(F.eigenvalues), np.linalg.eigvalsh(M), atol=1e-12 * scale)
    np.testing.assert_allclose(F.dense(), M, atol=1e-12 * scale)
    inverse = np.linalg.inv(M + 0.3 * np.eye(len(M)))
    np.testing.assert_allclose(F.diagonal(lambda rates: 1.0 / (rates + 0.3)), np.diag(inverse), atol=1e-12 * scale)
    assert F.trace(lambda rates: 1.0 / (rates + 0.3)) == pytest.approx(np.trace(inverse), rel=1e-11)
    noise = F.from_modes(np.eye(F.rates.size))  # white noise in the modes is white noise
    np.testing.assert_allclose(noise @ noise.T, np.eye(len(M)), atol=1e-11)
    assert f"N={len(M)}" in repr(F)


def test_damped_is_the_damped_matrix(pair, rng):
    F, M = pair
    damped, matrix = F.damped(0.7), M + 0.7 * np.eye(len(M))
    v = rng.standard_normal((len(M), 2))
    scale = np.linalg.norm(matrix, 2)
    np.testing.assert_allclose(damped.matvec(v), matrix @ v, atol=1e-12 * scale)
    np.testing.assert_allclose(damped.function(np.reciprocal, v), np.linalg.solve(matrix, v), atol=1e-12 * scale)
    np.testing.assert_allclose(np.sort(damped.eigenvalues), np.linalg.eigvalsh(matrix), atol=1e-12 * scale)
    np.testing.assert_allclose(damped.bounds, np.linalg.eigvalsh(matrix)[[0, -1]], atol=1e-12 * scale)
    np.testing.assert_allclose(damped.diagonal(np.reciprocal), np.diag(np.linalg.inv(matrix)), atol=1e-12 * scale)
    assert damped.n_programmed == F.n_programmed > 0


def test_damped_goes_through_the_device(pair, rng):
    F, M = pair
    g = rng.standard_normal(len(M))
    matrix = M + 0.1 * np.eye(len(M))
    exact = np.linalg.solve(matrix, g)
    cold = tl.solve(F.damped(0.1), g, duration=1e9, beta=np.inf)
    np.testing.assert_allclose(cold.value, exact, atol=1e-6 * np.linalg.norm(exact))
    warm = tl.solve(F.damped(0.1), g, duration=1000.0, rng=rng)
    assert np.all(np.abs(warm.value - exact) < 5.1 * warm.stderr)  # 0.1: what the burn-in may leave
    inverse = tl.inv(F.damped(0.1), n_reads=2000, rng=rng)
    assert np.all(np.abs(inverse.value - np.linalg.inv(matrix)) < 5.1 * inverse.stderr)


def test_numbers_to_program_are_counted_by_shape(rng):
    assert diagonal(rng)[0].n_programmed == 5
    assert dense(rng, 6)[0].n_programmed == 36
    assert low_rank(rng, 5, 12)[0].n_programmed == 5 * (5 + 24)
    assert kronecker(rng)[0].n_programmed == 9 + 16
    F = block(rng)[0]
    assert F.n_programmed == sum(part.n_programmed for part in F.blocks)


# Low rank -----------------------------------------------------------------------------------------------------------


def test_tiny_damping_loses_no_more_than_it_must(rng):
    """Relative error near (machine epsilon) mu_max / damping; the oracle takes the singular values of J itself."""
    J = rng.standard_normal((6, 40))
    F, v = LowRankCurvature(J), rng.standard_normal(40)
    _, s, Vt = np.linalg.svd(J, full_matrices=False)
    for damping in (1e-3, 1e-6, 1e-9):
        along = Vt @ v
        exact = Vt.T @ (along / (s**2 + damping)) + (v - Vt.T @ along) / damping
        error = np.linalg.norm(F.damped(damping).function(np.reciprocal, v) - exact) / np.linalg.norm(exact)
        assert error < 20.0 * np.finfo(float).eps * s[0] ** 2 / damping


def test_low_rank_needs_no_array_as_large_as_its_rows(rng):
    """N = 20 000: a square array would take 3.2 GB, and a copy of J 8 MB."""
    n, N = 50, 20_000
    J, v = rng.standard_normal((n, N)), rng.standard_normal(N)
    tracemalloc.start()
    F = LowRankCurvature(J)
    solution = F.damped(0.1).function(np.reciprocal, v)
    F.null_part(v), F.pseudoinverse(v), F.quadratic(v), F.matvec(v), F.trace(np.sqrt)
    entries = F.diagonal(lambda rates: 1.0 / (rates + 0.1))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 0.75 * J.nbytes
    core = np.linalg.inv(0.1 * np.eye(n) + J @ J.T)
    np.testing.assert_allclose(solution, (v - J.T @ (core @ (J @ v))) / 0.1, atol=1e-9)
    np.testing.assert_allclose(entries, (1.0 - np.einsum("ni,nm,mi->i", J, core, J, optimize=True)) / 0.1, atol=1e-9)


def test_rank_is_counted(rng):
    assert dependent_rows(rng)[0].rank == 3
    assert low_rank(rng, n=17, N=6)[0].rank == 6
    assert LowRankCurvature(np.zeros((2, 5))).rank == 0
    assert low_rank(rng, H=semidefinite(rng, 5, 2))[0].rank == 2


# What is refused ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: DiagonalCurvature([1.0, -2.0]), "entries must be non-negative, got -2 at 1"),
        (lambda: DiagonalCurvature([[1.0]]), "entries must have shape"),
        (lambda: DiagonalCurvature([1.0], kind="fisher"), "kind must be one of"),
        (lambda: DiagonalCurvature.from_rows(np.ones(3)), "rows must have shape"),
        (lambda: DenseCurvature([[1.0, 2.0], [0.0, 1.0]]), "F must be symmetric"),
        (lambda: DenseCurvature([[1.0, 2.0], [2.0, 1.0]]).rates, "F must be positive semidefinite, but has"),
        (lambda: LowRankCurvature(np.full((1, 2), np.nan)), "rows must be finite"),
        (lambda: LowRankCurvature(np.ones((0, 2))), "rows must have shape"),
        (lambda: LowRankCurvature(aslinearoperator(np.eye(2))), "give gram"),
        (lambda: LowRankCurvature(np.eye(2), gram=np.eye(3)), "gram must have shape"),
        (lambda: LowRankCurvature(np.eye(2), gram=-np.eye(2)), "gram must be positive semidefinite"),
        (lambda: LowRankCurvature(np.eye(2), H=[1.0, -1.0]), "H must be non-negative, got -1 at 1"),
        (lambda: LowRankCurvature(np.eye(2), H=np.ones(3)), "H must have shape"),
        (lambda: LowRankCurvature(np.eye(2), H=np.ones((3, 1, 1))), "H must have shape"),
        (lambda: LowRankCurvature(np.eye(2), H=np.array([[1.0, 5.0], [0.0, 1.0]])), "H must be symmetric"),
        (lambda: LowRankCurvature(np.eye(2), H=-np.eye(2)), "H must be positive semidefinite"),
        (lambda: BlockCurvature([]), "blocks must be one or more"),
        (lambda: BlockCurvature([np.eye(2)]), "blocks must be one or more"),
        (lambda: DiagonalCurvature([1.0]).damped(-1.0), "damping must be non-negative"),
        (lambda: DiagonalCurvature([1.0]).matvec(np.ones(2)), "v must have shape"),
        (lambda: DenseCurvature(np.eye(2)).matvec(np.ones(3)), "v must have shape"),
        (lambda: DenseCurvature(np.eye(2)).quadratic(np.ones((2, 2))), "v must have shape"),
        (lambda: LowRankCurvature(np.eye(2)).function(np.sqrt, np.ones(3)), "v must have shape"),
    ],
)
def test_bad_input_is_named(make, words):
    with pytest.raises(ValueError, match=words):
        make()


def test_damping_zero_needs_a_definite_curvature(rng):
    F, M = kronecker(rng)
    v = rng.standard_normal(len(M))
    np.testing.assert_allclose(F.damped(0.0).function(np.reciprocal, v), np.linalg.solve(M, v), rtol=1e-7)
    J = rng.standard_normal((17, 6))
    full_rank, v = LowRankCurvature(J).damped(0.0), rng.standard_normal(6)
    np.testing.assert_allclose(full_rank.function(np.reciprocal, v), np.linalg.solve(J.T @ J, v), rtol=1e-9)
    np.testing.assert_allclose(full_rank.diagonal(np.reciprocal), np.diag(np.linalg.inv(J.T @ J)), rtol=1e-9)
    for singular in (dependent_rows(rng)[0], diagonal(rng)[0], dense(rng, 40, 39)[0], kronecker(rng, left=2)[0]):
        with pytest.raises(tl.errors.NotPositiveDefinite, match="damping=0"):
            singular.damped(0.0)
        assert singular.damped(1e-6).bounds[0] >= 1e-6


def test_kind_of_curvature_is_kept_and_reported(rng):
    assert DiagonalCurvature([1.0]).kind is None
    F = DenseCurvature(np.eye(2), kind="ggn")
    assert F.kind == "ggn"
    assert "ggn" in repr(F)
    assert BlockCurvature([F, F]).kind == "ggn"
    assert BlockCurvature([F, DiagonalCurvature([1.0])]).kind is None
    assert isinstance(F, Curvature)


def test_rows_whose_gram_matrix_overflows_are_refused():
    with pytest.raises(ValueError, match=r"rows must be below 1e150: .* the largest is 1e"):
        LowRankCurvature(np.full((2, 3), 1e160))


def test_a_diagonal_shares_no_memory_with_its_caller(rng):
    entries = np.ones(3)
    F = DiagonalCurvature(entries)
    entries[0] = -1.0
    np.testing.assert_array_equal(F.rates, np.ones(3))


@pytest.mark.parametrize("shape", [(4, 4), (2, 2, 2)])
def test_rounding_of_single_precision_is_no_asymmetry(shape, rng):
    rows = rng.standard_normal((*shape[:-1], 3))
    H = (rows @ np.swapaxes(rows, -1, -2)).astype(np.float32)
    H[..., 0, 1] *= 1.0 + 2.0**-22  # as far apart as single precision rounds
    J = rng.standard_normal((4, 5))
    full = scipy.linalg.block_diag(*H) if H.ndim == 3 else H
    np.testing.assert_allclose(LowRankCurvature(J, H).dense(), J.T @ full.astype(float) @ J, atol=1e-5)
    with pytest.raises(ValueError, match="H must be symmetric"):
        LowRankCurvature(J, H.astype(float))


def test_rounding_of_single_precision_is_no_indefiniteness(rng):
    rows = rng.standard_normal((5, 30)).astype(np.float32)
    F = DenseCurvature(rows.T @ rows)
    assert np.linalg.eigvalsh(F.dense())[0] < 0.0 <= F.rates.min()
