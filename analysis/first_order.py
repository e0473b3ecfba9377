"""Mean square change of ``A^-1 b`` and of ``A^-1`` by small independent errors in the entries of A, in closed form.

With G = A^-1, x = G b and errors dA_ij = dA_ji of mean zero and variance V_ij, independent in the lower triangle, the
changes are ``-G dA x`` and ``-G dA G`` to first order. Summed over entries, with M = G^2, n = diag M and o the product
by entries,

    E|G dA x|^2 = n^T V (x o x) + x^T (V o M) x - sum_i V_ii n_i x_i^2
    E|G dA G|^2 = n^T V n + sum_ij V_ij M_ij^2 - sum_i V_ii n_i^2

which takes d^3 where the numerical derivatives of `analysis.precision`, good for any primitive, take d^5. Derived here.
"""

import numpy as np

from thermolinalg import checks


def solve_mean_square(A, b, variance) -> float:
    """Expected squared norm of the change of A^-1 b.

    Parameters
    ----------
    A : (d, d) array_like
        Symmetric, not singular.
    b : (d,) array_like
    variance : float or (d, d) array_like
        Of the error of each entry; symmetric.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        A or variance is not symmetric, b does not fit.

    Examples
    --------
    >>> solve_mean_square([[2.0]], [1.0], 0.01)  # (1/2 dA 1/2)^2
    0.000625
    """
    G, M, V = _parts(A, variance)
    x = G @ checks.vector(b, "b", len(G))
    n, squares = np.diag(M), x**2
    return float(n @ V @ squares + x @ (V * M) @ x - np.sum(np.diag(V) * n * squares))


def inverse_mean_square(A, variance) -> float:
    """Expected squared Frobenius norm of the change of A^-1; arguments and errors as `solve_mean_square`.

    Examples
    --------
    >>> inverse_mean_square([[2.0]], 0.01)
    0.000625
    """
    _, M, V = _parts(A, variance)
    n = np.diag(M)
    return float(n @ V @ n + np.sum(V * M**2) - np.sum(np.diag(V) * n**2))


def _parts(A, variance):
    """A^-1, A^-2 and the variances as a matrix."""
    A = checks.symmetric(A, "A")
    V = np.full(A.shape, float(variance)) if np.ndim(variance) == 0 else checks.symmetric(variance, "variance")
    if V.shape != A.shape:
        raise ValueError(f"variance must be a number or have the shape of A, {A.shape}, got {V.shape}")
    G = np.linalg.inv(A)
    return G, G @ G.T, V
