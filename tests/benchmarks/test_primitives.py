"""Speed of the primitives: ours compared with the work they cannot avoid, digital methods, plain NumPy and thermox.

Every contender of a group does the work of the same number of reads spaced 1 RC, or less: "law" draws the average at
once. ``FULL=1`` adds sizes and numbers of reads that take long.
"""

import numpy as np
import scipy.linalg
import scipy.sparse.linalg

import thermolinalg as tl
from tests.benchmarks import rivals
from tests.benchmarks.race import FULL, Calls, Race, cases, entries, replayed, show

READS = 10_000


def system(d):
    """A Wishart matrix and a right-hand side."""
    return tl.problems.wishart(d, rng=d), np.random.default_rng(d + 1).standard_normal(d)


def limits(A, n, lag=0):
    """What the work cannot do without: a factorisation, random numbers, products of reads `lag` apart."""
    d, noise, fast = len(A), np.random.default_rng(0), tl.fast_rng(0)
    V, buffer = np.linalg.eigh(A)[1], np.empty((n, d))
    noise.standard_normal(out=buffer)
    return {
        "limit: eigh": lambda: np.linalg.eigh(A),
        "limit: normals": lambda: noise.standard_normal(out=buffer),
        "limit: normals, fast_rng": lambda: fast.standard_normal(out=buffer),
        "limit: products": lambda: V @ (buffer[lag:].T @ buffer[: n - lag]) @ V.T,
    }


# -- A x = b


def solve(d, n):
    """Contenders."""
    A, b = system(d)
    rng, operator = np.random.default_rng(0), tl.as_operator(A)
    limit = limits(A, n) if n * d <= 10**7 else {}
    limit.pop("limit: products", None)
    found = limit | {
        "digital: Cholesky": lambda: scipy.linalg.cho_solve(scipy.linalg.cho_factor(A), b),
        "digital: CG": lambda: scipy.sparse.linalg.cg(A, b, rtol=1e-6),
        "ours: law": lambda: tl.solve(A, b, n_reads=n, read_spacing=1.0, rng=0),
        "ours: law, operator reused": lambda: tl.solve(operator, b, n_reads=n, read_spacing=1.0, rng=0),
        "ours: path": lambda: tl.solve(A, b, n_reads=n, read_spacing=1.0, simulator="path", rng=0),
        "ours: path, one thread": lambda: tl.solve(
            A, b, n_reads=n, read_spacing=1.0, simulator="path", rng=0, workers=1
        ),
        "ours: path, fast_rng": lambda: tl.solve(
            A, b, n_reads=n, read_spacing=1.0, simulator="path", rng=tl.fast_rng(0)
        ),
    }
    if n * d <= 10**7 or FULL:
        found["plain NumPy"] = lambda: rivals.plain_solve(A, b, n, rng)
    if d >= 100 and n >= READS and d <= 1000:
        found |= rivals.thermox_solve(A, b, n)
    return found


SOLVE = Race(
    "solve, d {d}, {n} reads",
    solve,
    cases(d=(2, 10, 100, 500, 1000, 2000), n=(READS,))
    + cases(d=(2, 10, 100) if not FULL else (2, 10, 100, 500, 1000, 2000), n=(1000,))
    + cases(d=(2, 10, 500) if not FULL else (2, 10, 100, 500, 1000, 2000), n=(100_000,)),
    (
        "limit: eigh", "limit: normals", "limit: normals, fast_rng", "digital: Cholesky", "digital: CG", "ours: law",
        "ours: law, operator reused", "ours: path", "ours: path, one thread", "ours: path, fast_rng", "plain NumPy",
        "thermox",
    ),
)  # fmt: skip


def short_solve(d, n):
    """Contenders: calls so small that what they cost is Python, one after another."""
    A, b = system(d)
    operator, common = tl.as_operator(A), {"n_reads": n, "read_spacing": 1.0, "rng": 0}
    runs = {
        "limit: eigh": lambda: np.linalg.eigh(A),
        "ours: law": lambda: tl.solve(A, b, **common),
        "ours: law, operator reused": lambda: tl.solve(operator, b, **common),
    }
    return {name: Calls(run, 50) for name, run in runs.items()}


SHORT_SOLVE = Race(
    "a call of solve, d {d}, {n} reads",
    short_solve,
    cases(d=(10,), n=(READS,)),
    ("limit: eigh", "ours: law", "ours: law, operator reused"),
)


# -- A^-1


def inv(d, n):
    """Contenders."""
    A, _ = system(d)
    rng = np.random.default_rng(0)
    found = (limits(A, n) if n * d <= 10**7 else {}) | {
        "digital: inverse": lambda: np.linalg.inv(A),
        "ours: law": lambda: tl.inv(A, n_reads=n, rng=0),
        "ours: path": lambda: tl.inv(A, n_reads=n, read_spacing=1.0, rng=0),
        "ours: path, one thread": lambda: tl.inv(A, n_reads=n, read_spacing=1.0, rng=0, workers=1),
        "ours: path, fast_rng": lambda: tl.inv(A, n_reads=n, read_spacing=1.0, rng=tl.fast_rng(0)),
    }
    if n * d <= 10**7 or FULL:
        found["plain NumPy"] = lambda: rivals.plain_inv(A, n, rng)
    if 100 <= d <= 1000 and n == READS:
        found |= rivals.thermox_inv(A, n)
    return found


INV = Race(
    "inv, d {d}, {n} reads",
    inv,
    cases(d=(2, 10, 100, 500, 1000, 2000), n=(READS,))
    + cases(d=(2, 10, 100) if not FULL else (2, 10, 100, 500, 1000, 2000), n=(1000,))
    + cases(d=(2, 10) if not FULL else (2, 10, 100, 500, 1000, 2000), n=(100_000,)),
    (
        "limit: eigh", "limit: normals", "limit: normals, fast_rng", "limit: products", "digital: inverse", "ours: law",
        "ours: path", "ours: path, one thread", "ours: path, fast_rng", "plain NumPy", "thermox",
    ),
)  # fmt: skip


# -- exponentials, Lyapunov equations, determinants


def negexpm(d, n):
    """Contenders."""
    A, _ = system(d)
    rng = np.random.default_rng(0)
    return (
        limits(A, n, lag=1)
        | {
            "digital: expm": lambda: scipy.linalg.expm(-A),
            "ours: path": lambda: tl.negexpm(A, n_reads=n, alpha=0.0, rng=0),
            "ours: path, fast_rng": lambda: tl.negexpm(A, n_reads=n, alpha=0.0, rng=tl.fast_rng(0)),
            "plain NumPy": lambda: rivals.plain_negexpm(A, n, rng),
        }
        | (rivals.thermox_negexpm(A, n) if d >= 100 else {})
    )


NEGEXPM = Race(
    "negexpm, d {d}, {n} reads",
    negexpm,
    cases(d=(2, 10, 100, 500), n=(READS,)),
    (
        "limit: eigh", "limit: normals", "limit: normals, fast_rng", "limit: products", "digital: expm", "ours: path",
        "ours: path, fast_rng", "plain NumPy", "thermox",
    ),
)  # fmt: skip


def lyapunov(d, n):
    """Contenders."""
    A, _ = system(d)
    R, rng = np.diag(np.linspace(1.0, 2.0, d)), np.random.default_rng(0)
    return {
        "digital: Bartels-Stewart": lambda: scipy.linalg.solve_continuous_lyapunov(A, R),
        "ours: law": lambda: tl.lyapunov(A, R, n_reads=n, rng=0),
        "ours: path": lambda: tl.lyapunov(A, R, n_reads=n, read_spacing=1.0, rng=0),
        "plain NumPy": lambda: rivals.plain_lyapunov(A, R, n, rng),
    }


LYAPUNOV = Race(
    "lyapunov, d {d}, {n} reads",
    lyapunov,
    cases(d=(2, 10, 100, 500), n=(READS,)),
    ("digital: Bartels-Stewart", "ours: law", "ours: path", "plain NumPy"),
)


def logdet(d, paths):
    """Contenders: ramps slow enough to be trusted, in 200 steps."""
    A, _ = system(d)
    rng, noise, buffer = np.random.default_rng(0), np.random.default_rng(0), np.empty((paths * 200, d))
    duration = 20.0 * d + 100.0
    common = {"duration": duration, "n_steps": 200, "n_paths": paths}
    return {
        "limit: normals": lambda: noise.standard_normal(out=buffer),
        "digital: Cholesky": lambda: np.linalg.slogdet(A),
        "ours": lambda: tl.logdet(A, rng=0, **common),
        "ours: one thread": lambda: tl.logdet(A, rng=0, workers=1, **common),
        "plain NumPy": lambda: rivals.plain_work(A, duration, 200, paths, rng),
    }


LOGDET = Race(
    "logdet, d {d}, {paths} paths",
    logdet,
    cases(d=(2, 10, 100, 1000), paths=(100,)),
    ("limit: normals", "digital: Cholesky", "ours", "ours: one thread", "plain NumPy"),
)


@replayed
@entries(SOLVE, SHORT_SOLVE, INV, NEGEXPM, LYAPUNOV, LOGDET)
def test_primitive(benchmark, race, case, name):
    show(benchmark, race, case, name)
