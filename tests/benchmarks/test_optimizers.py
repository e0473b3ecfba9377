"""Speed of optimiser steps compared with the algebra inside them."""

import numpy as np

import thermolinalg as tl
from tests.benchmarks.race import FULL, Race, cases, entries, replayed, show

c, o = tl.curvature, tl.optimizers


def tngd(size, rows):
    """Contenders: a step of TNGD with J of `rows` x `size` in memory, and the parts of it."""
    rng = np.random.default_rng(0)
    J = rng.standard_normal((rows, size))
    gradient, theta = J.mean(axis=0), np.zeros(size)
    gram = J @ J.T
    F = c.LowRankCurvature(J, gram=gram)
    optimizer = o.TNGD(0.1, 0.01, 50.0, beta=1e6, rng=0)
    state = optimizer.init(theta)
    return {
        "limit: Gram matrix": lambda: J @ J.T,
        "limit: eigh of the Gram matrix": lambda: np.linalg.eigh(gram),
        "limit: one product J^T J v": lambda: J.T @ (J @ gradient),
        "ours": lambda: optimizer.step(theta, gradient, c.LowRankCurvature(J), state),
        "ours, Gram matrix given": lambda: optimizer.step(theta, gradient, c.LowRankCurvature(J, gram=gram), state),
        "ours, factorisation kept": lambda: optimizer.step(theta, gradient, F, state),
    }


TNGD = Race(
    "TNGD step, N {size}, b dz {rows}",
    tngd,
    cases(size=(1000, 100_000) if not FULL else (1000, 100_000, 1_000_000), rows=(640,)),
    (
        "limit: Gram matrix", "limit: eigh of the Gram matrix", "limit: one product J^T J v", "ours",
        "ours, Gram matrix given", "ours, factorisation kept",
    ),
)  # fmt: skip


def kfac(n):
    """Contenders: a step of (thermodynamic) K-FAC for one n x n layer, and the eigendecompositions of K-FAC."""
    rng = np.random.default_rng(0)
    A, G = (tl.problems.wishart(n, rng=seed) for seed in (0, 1))
    gradient, theta = rng.standard_normal(n * n), np.zeros(n * n)
    device = tl.Device(beta=1e6)
    optimizers = {
        "ours: K-FAC": o.KFAC(0.1, 0.01),
        "ours: thermodynamic K-FAC, solve": o.ThermodynamicKFAC(0.1, 0.01, device=device, duration=100.0, rng=0),
        "ours: thermodynamic K-FAC, invert": o.ThermodynamicKFAC(
            0.1, 0.01, device=device, method="invert", n_reads=1000, rng=0
        ),
    }

    def step(optimizer):
        state = optimizer.init(theta)
        return lambda: optimizer.step(theta, gradient, c.KroneckerCurvature(A, G), state)

    return {
        "limit: eigh of both factors": lambda: (np.linalg.eigh(A), np.linalg.eigh(G)),
        "digital: Cholesky of both factors": lambda: (np.linalg.cholesky(A), np.linalg.cholesky(G)),
    } | {name: step(optimizer) for name, optimizer in optimizers.items()}


KFAC = Race(
    "K-FAC step, n {n}",
    kfac,
    cases(n=(64, 512) if not FULL else (64, 512, 2048)),
    (
        "limit: eigh of both factors", "digital: Cholesky of both factors", "ours: K-FAC",
        "ours: thermodynamic K-FAC, solve", "ours: thermodynamic K-FAC, invert",
    ),
)  # fmt: skip


@replayed
@entries(TNGD, KFAC)
def test_optimizer(benchmark, race, case, name):
    show(benchmark, race, case, name)
