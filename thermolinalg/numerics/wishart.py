"""Second moments of independent reads from their law: Wishart matrices by Bartlett's decomposition, upside down."""

import numpy as np
import scipy.linalg

from .._typing import FloatArray
from .threads import parts

COLUMNS = 256  # columns of a triangular solution that are computed at a time


def wishart_factor(rng: np.random.Generator, d: int, n: int) -> FloatArray:
    """T (d, min(d, n)) with T T^T distributed as the sum of n products z z^T of standard normals z (d,).

    It is zero below its last diagonal.

    Bartlett's lower triangle (Anderson, "An Introduction to Multivariate Statistical Analysis", section 7.2), its rows
    and columns in reverse order: the law of z does not depend on the order of its entries.
    """
    width = min(d, n)
    T = np.zeros((d, width), order="F")
    first = d - width
    for j in range(width):
        rng.standard_normal(out=T[: first + j, j])
    T[first + np.arange(width), np.arange(width)] = np.sqrt(rng.chisquare(n - width + 1.0 + np.arange(width)))
    return T


def mean_of_products(rng: np.random.Generator, L: FloatArray, n: int) -> FloatArray:
    """Mean (d, d) of n products x x^T, x ~ N(0, (L L^T)^-1), for L (d, d) lower triangular in Fortran order.

    It is X X^T / n with L^T X = T. Both are upper triangular, which saves half of the solution and two thirds of the
    product. All by SciPy's BLAS, as the Cholesky factor.
    """
    X = wishart_factor(rng, len(L), n)
    width = X.shape[1]
    for columns in parts(width, COLUMNS):
        rows = slice(0, columns.stop + len(L) - width)  # the rest is zero
        X[rows, columns] = scipy.linalg.blas.dtrsm(1.0, L[rows, rows], X[rows, columns], lower=1, trans_a=1)
    if width < len(L):
        upper = scipy.linalg.blas.dsyrk(1.0, X)
    else:
        upper, _ = scipy.linalg.lapack.dlauum(X, overwrite_c=1)
    upper /= n
    return upper + np.triu(upper, 1).T
