"""Conjugate gradient with preconditioners: against SciPy's, and in cases whose iterations are known."""

import numpy as np
import pytest
import scipy.sparse.linalg

import thermolinalg as tl
from analysis import preconditioners


@pytest.mark.parametrize("make", preconditioners.PRECONDITIONERS)
def test_iterates_are_scipys(make, rng):
    A, b = tl.problems.toeplitz(80, 0.8) + np.diag(np.linspace(0.0, 5.0, 80)), rng.standard_normal(80)
    about, theirs = make(A), []
    M = scipy.sparse.linalg.LinearOperator((80, 80), matvec=about.apply)
    scipy.sparse.linalg.cg(A, b, M=M, maxiter=6, rtol=0.0, callback=lambda x: theirs.append(x.copy()))
    for mine, other in zip(preconditioners.preconditioned_gradient(A, b, about.apply), theirs, strict=False):
        np.testing.assert_allclose(mine, other, rtol=1e-9, atol=1e-12)


def test_a_diagonal_is_solved_by_jacobi_at_once(rng):
    A, b = np.diag(np.geomspace(1.0, 1e3, 40)), rng.standard_normal(40)
    table = preconditioners.counted(A, b, [1e-8]).set_index("preconditioner")
    assert table.iterations["Jacobi"] == 1
    assert table.iterations["none"] > 20
    assert table.best["Jacobi"]
    assert table.best.sum() == 1


def test_two_blocks_are_solved_by_block_jacobi_at_once(rng):
    A = np.zeros((64, 64))
    A[:32, :32], A[32:, 32:] = (tl.problems.with_condition(32, 1e4, rng=rng) for _ in range(2))
    table = preconditioners.counted(A, rng.standard_normal(64), [1e-6]).set_index("preconditioner")
    assert table.iterations["block Jacobi"] == 1
    assert table.best["block Jacobi"]


def test_iterations_by_number_of_eigenvalues(rng):
    """Three distinct eigenvalues: three iterations."""
    A = tl.problems.with_spectrum(np.repeat([1.0, 3.0, 10.0], 10), rng=rng)
    table = preconditioners.counted(A, rng.standard_normal(30), [1e-9, 0.9]).set_index(["preconditioner", "error"])
    assert table.iterations["none", 1e-9] == 3
    assert table.iterations["none", 0.9] == 1
    assert table.operations["none", 1e-9] == 3 * (900 + 6 * 30 + 2)


def test_every_family_has_one_best_preconditioner(rng):
    table = preconditioners.best_of_families(36, [1e-2], rng)
    assert table.groupby("family").best.sum().eq(1).all()
    assert set(table[table.family == "Laplacian"].d) == {36}
    assert table[table.best & (table.family == "Toeplitz 0.9")].preconditioner.item() == "block Jacobi"


def test_what_is_not_reached_is_nan():
    A = tl.problems.with_condition(8, 1e13, rng=0)
    found = preconditioners.iterations_to(A, np.ones(8), np.linalg.solve(A, np.ones(8)), [0.0], preconditioners.none)
    assert np.isnan(found[0])
