"""Wishart matrices: laws of the factor, and of products of reads with a given precision matrix."""

import numpy as np
import pytest
import scipy.linalg
import scipy.special

from tests import oracles
from thermolinalg.numerics import wishart


def test_the_factor_has_the_known_determinant_and_trace(rng):
    """Determinant and trace of Bartlett's factor: products and sums of chi squares with known means."""
    d, n = 3, 7
    products = [T @ T.T for T in (wishart.wishart_factor(rng, d, n) for _ in range(4000))]
    logs = np.linalg.slogdet(products)[1]
    exact = sum(scipy.special.digamma((n - i) / 2) + np.log(2) for i in range(d))
    assert abs(logs.mean() - exact) < 5 * logs.std() / np.sqrt(4000)
    traces = np.trace(products, axis1=1, axis2=2)
    assert abs(traces.mean() - d * n) < 5 * np.sqrt(2 * d * n / 4000)


@pytest.mark.parametrize(("d", "n"), [(5, 2), (5, 5), (5, 9), (1, 1)])
def test_the_factor_is_triangular(d, n, rng):
    T = wishart.wishart_factor(rng, d, n)
    assert T.shape == (d, min(d, n))
    first = d - T.shape[1]
    assert all((T[: first + j + 1, j] != 0).all() and not T[first + j + 1 :, j].any() for j in range(T.shape[1]))


@pytest.mark.parametrize(("d", "n"), [(7, 3), (7, 7), (7, 100), (1, 4)])
@pytest.mark.parametrize("columns", [1, 3, 256])
def test_products_are_those_of_the_factor(d, n, columns, seed, monkeypatch):
    """X X^T / n of L^T X = T, with a general solver and the same noise, for any width of the columns."""
    monkeypatch.setattr(wishart, "COLUMNS", columns)
    A = oracles.random_spd(np.random.default_rng(seed), d, 10.0)
    L = scipy.linalg.cholesky(A, lower=True)
    found = wishart.mean_of_products(np.random.default_rng(seed + 1), L, n)
    X = np.linalg.solve(L.T, wishart.wishart_factor(np.random.default_rng(seed + 1), d, n))
    np.testing.assert_allclose(found, X @ X.T / n, rtol=1e-11, atol=1e-13)
    np.testing.assert_array_equal(found, found.T)


@pytest.mark.parametrize("n", [2, 6])
def test_products_have_the_moments_of_the_law(n, rng):
    """Mean S and variances (S_ii S_jj + S_ij^2) / n of products of n independent reads, S = A^-1."""
    A, repeats = oracles.random_spd(rng, 4, 8.0), 4000
    S, L = np.linalg.inv(A), scipy.linalg.cholesky(A, lower=True)
    samples = np.array([wishart.mean_of_products(rng, L, n) for _ in range(repeats)])
    exact = (np.outer(np.diag(S), np.diag(S)) + S**2) / n
    assert (np.abs(samples.mean(axis=0) - S) < 5 * np.sqrt(exact / repeats)).all()
    kurtosis = ((samples - S) ** 4).mean(axis=0) / exact**2
    assert (np.abs(samples.var(axis=0) / exact - 1.0) < 5 * np.sqrt((kurtosis - 1.0) / repeats)).all()
