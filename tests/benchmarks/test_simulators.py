"""Speed of the simulators compared with their products and random numbers, and of Krylov against a factorisation."""

import resource

import numpy as np

import thermolinalg as tl
from tests.benchmarks import rivals
from tests.benchmarks.race import FULL, Race, cases, entries, replayed, show

STEPS = 200


def euler(d, chains):
    """Contenders: 200 Euler-Maruyama steps of many chains."""
    A, b = tl.problems.wishart(d, rng=d), np.ones(d)
    rng, noise = np.random.default_rng(0), np.random.default_rng(0)
    x, buffer = np.zeros((d, chains)), np.empty((STEPS, d, chains))
    return {
        "limit: products": lambda: [A @ x for _ in range(STEPS)],
        "limit: normals": lambda: noise.standard_normal(out=buffer),
        "ours": lambda: tl.euler_maruyama(A, b, dt=0.05, n_steps=STEPS, n_chains=chains, rng=0),
        "ours, one thread": lambda: tl.euler_maruyama(A, b, dt=0.05, n_steps=STEPS, n_chains=chains, rng=0, workers=1),
        "plain NumPy": lambda: rivals.plain_euler(A, b, 0.05, STEPS, chains, rng),
    }


EULER = Race(
    "Euler-Maruyama, d {d}, {chains} chains",
    euler,
    cases(d=(2, 10, 100, 500), chains=(64,)),
    ("limit: products", "limit: normals", "ours", "ours, one thread", "plain NumPy"),
)


def baoab(d, chains):
    """Contenders: 200 BAOAB steps of many chains with inertia."""
    A, b = tl.problems.wishart(d, rng=d), np.ones(d)
    rng, noise = np.random.default_rng(0), np.random.default_rng(0)
    x, buffer = np.zeros((d, chains)), np.empty((STEPS, d, chains))
    process = tl.processes.Langevin(A, b, mass=1.0, friction=1.0)
    return {
        "limit: products": lambda: [A @ x for _ in range(STEPS)],
        "limit: normals": lambda: noise.standard_normal(out=buffer),
        "ours": lambda: process.baoab(dt=0.05, n_steps=STEPS, n_chains=chains, rng=0),
        "plain NumPy": lambda: rivals.plain_baoab(A, b, 0.05, STEPS, chains, rng),
    }


BAOAB = Race(
    "BAOAB, d {d}, {chains} chains",
    baoab,
    cases(d=(2, 10, 100, 500), chains=(64,)),
    ("limit: products", "limit: normals", "ours", "plain NumPy"),
)


def rounded_reads(d, n):
    """Contenders: reads that are each rounded, averaged."""
    A, b = tl.problems.wishart(d, rng=d), np.ones(d)
    device, noise, buffer = tl.Device(adc_bits=8), np.random.default_rng(0), np.empty((n, d))
    V = np.linalg.eigh(A)[1]
    return {
        "limit: eigh": lambda: np.linalg.eigh(A),
        "limit: normals": lambda: noise.standard_normal(out=buffer),
        "limit: products": lambda: buffer @ V,
        "ours": lambda: tl.solve(A, b, n_reads=n, read_spacing=1.0, device=device, rng=0),
    }


ROUNDED = Race(
    "solve, rounded reads, d {d}, {n} reads",
    rounded_reads,
    cases(d=(10, 100, 1000), n=(10_000,)),
    ("limit: eigh", "limit: normals", "limit: products", "ours"),
)


def krylov(d):
    """Contenders: one answer by products with A alone, or by its modes."""
    A = tl.problems.with_condition(d, 10.0, rng=d)
    b = np.random.default_rng(d + 1).standard_normal(d)
    return {
        "limit: eigh": lambda: np.linalg.eigh(A),
        "ours: Krylov": lambda: tl.solve(tl.Krylov(A, bounds=(0.1, 1.0)), b, duration=1e4, rng=0),
        "ours: modes": lambda: tl.solve(A, b, duration=1e4, rng=0),
    }


KRYLOV = Race(
    "solve, Krylov, d {d}, kappa 10",
    krylov,
    cases(d=(500, 2000) if not FULL else (500, 1000, 2000, 4000)),
    ("limit: eigh", "ours: Krylov", "ours: modes"),
)


@replayed
@entries(EULER, BAOAB, ROUNDED, KRYLOV)
def test_simulator(benchmark, race, case, name):
    show(benchmark, race, case, name)


def test_krylov_million_unknowns(benchmark):
    """2-D Laplacian, law to 1e-6: time, products and the process's peak memory (which must stay under 1 GiB)."""
    benchmark.group = "solve, Krylov, 10^6 unknowns"
    operator = tl.Krylov(tl.problems.laplacian(1000, 1000), bounds=(1.96e-5, 8.0), tol=1e-6)
    b = np.ones(operator.shape[0])
    result = benchmark.pedantic(lambda: tl.solve(operator, b, duration=1e6, rng=0), rounds=1)
    benchmark.extra_info["products"] = result.products
    benchmark.extra_info["peak_MiB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
