"""Conjugate gradient with its best preconditioner: iterations counted on real matrices.

Three are tried: none, the diagonal (Jacobi), and Cholesky factors of diagonal blocks (block Jacobi). "Best" takes the
fewest operations, the product with a dense A and the preconditioner's own work and set-up counted.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
import pandas as pd
import scipy.linalg

import thermolinalg as tl

from .complexity import cholesky

BLOCK = 32
MOST = 4  # iterations that are tried, in units of d


@dataclass(frozen=True)
class Preconditioner:
    """How to apply M^-1, and its operations: once, and in each iteration."""

    name: str
    apply: Callable[[np.ndarray], np.ndarray]
    setup: float
    each: float


def none(A) -> Preconditioner:
    """The identity."""
    return Preconditioner("none", lambda r: r, 0.0, 0.0)


def jacobi(A) -> Preconditioner:
    """The diagonal of A."""
    inverse = 1.0 / np.diag(A)
    return Preconditioner("Jacobi", lambda r: inverse * r, float(len(A)), float(len(A)))


def block_jacobi(A, block: int = BLOCK) -> Preconditioner:
    """Diagonal blocks of A by their Cholesky factors."""
    parts = [slice(start, min(start + block, len(A))) for start in range(0, len(A), block)]
    factors = [scipy.linalg.cho_factor(A[part, part]) for part in parts]

    def apply(r):
        return np.concatenate([scipy.linalg.cho_solve(f, r[p]) for f, p in zip(factors, parts, strict=True)])

    sizes = np.array([part.stop - part.start for part in parts], dtype=float)
    return Preconditioner(
        "block Jacobi", apply, sum(cholesky(int(n)) for n in sizes), float(np.sum(sizes * (sizes + 1)))
    )


PRECONDITIONERS = (none, jacobi, block_jacobi)


def preconditioned_gradient(A, b, apply) -> Iterator[np.ndarray]:
    """Iterates from x = 0, one array that changes in place (Golub & Van Loan, algorithm of preconditioned CG)."""
    x, r = np.zeros_like(b), b.copy()
    z = apply(r)
    p, square = z.copy(), r @ z
    while True:
        product = A @ p
        step = square / (p @ product)
        x += step * p
        r -= step * product
        z = apply(r)
        previous, square = square, r @ z
        p *= square / previous
        p += z
        yield x


def iterations_to(A, b, truth, errors, make) -> list[float]:
    """Iterations to each relative error ||x - truth|| / ||truth||; nan where 4 d are too few."""
    norm, wanted = np.linalg.norm(truth), min(errors)
    history = []
    with np.errstate(invalid="ignore", divide="ignore"):
        for x in islice(preconditioned_gradient(A, b, make(A).apply), MOST * len(b)):
            history.append(np.linalg.norm(x - truth) / norm)
            if not history[-1] > wanted:
                break
    reached = np.array(history)
    return [float(np.argmax(reached <= e) + 1) if np.any(reached <= e) else np.nan for e in errors]


def counted(A, b, errors) -> pd.DataFrame:
    """Iterations and operations with each preconditioner.

    Parameters
    ----------
    A : (d, d) ndarray
        Symmetric positive definite.
    b : (d,) ndarray
    errors : sequence of float
        Relative errors of x to reach.

    Returns
    -------
    DataFrame
        error, preconditioner, iterations (nan where not reached), operations, best (the fewest operations at that
        error).

    Examples
    --------
    >>> A = np.diag(np.geomspace(1.0, 1e4, 50)) + 0.01
    >>> table = counted(A, np.ones(50), [1e-6])
    >>> table[table.best].preconditioner.item()
    'Jacobi'
    """
    truth, d, rows = np.linalg.solve(A, b), len(b), []
    for make in PRECONDITIONERS:
        about = make(A)
        for error, n in zip(errors, iterations_to(A, b, truth, errors, make), strict=True):
            operations = about.setup + n * (d * d + 6 * d + 2 + about.each)
            rows.append({"error": error, "preconditioner": about.name, "iterations": n, "operations": operations})
    table = pd.DataFrame(rows)
    least = table.groupby("error").operations.transform("min")
    ties = table[table.operations == least].groupby("error").head(1).index
    return table.assign(best=table.index.isin(ties))


def families(d: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Dense matrices of `thermolinalg.problems`; Laplacian on the nearest square grid."""
    side = round(d**0.5)
    return {
        "Wishart": tl.problems.wishart(d, rng=rng),
        "log spectrum, kappa 100": tl.problems.with_condition(d, 1e2, rng=rng),
        "log spectrum, kappa 10^4": tl.problems.with_condition(d, 1e4, rng=rng),
        "Toeplitz 0.9": tl.problems.toeplitz(d, 0.9),
        "Mikota": tl.problems.mikota(d),
        "Laplacian": tl.problems.laplacian(side, side).toarray(),
    }


def best_of_families(d: int, errors, rng: np.random.Generator) -> pd.DataFrame:
    """`counted` for each family, b white.

    Parameters
    ----------
    d : int
    errors : sequence of float
    rng : Generator

    Returns
    -------
    DataFrame
        family, d, kappa, and the columns of `counted`.
    """
    tables = []
    for name, A in families(d, rng).items():
        table = counted(A, rng.standard_normal(len(A)), errors)
        tables.append(table.assign(family=name, d=len(A), kappa=np.linalg.cond(A)))
    return pd.concat(tables, ignore_index=True)
