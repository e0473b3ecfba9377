"""Speed of ``solve``: ours beside the work it cannot avoid, the digital method and a plain NumPy loop."""

import resource

import numpy as np
import pytest
import scipy.linalg

import thermolinalg as tl

SIZES = (10, 100, 500, 1000)
READS = 10_000


def problem(d):
    return tl.problems.wishart(d, rng=d), np.random.default_rng(d + 1).standard_normal(d)


def plain_loop(A, b, n, rng):
    """What a script does today: exact AR(1) steps with matrices, one read after another."""
    values, vectors = np.linalg.eigh(A)
    step = (vectors * np.exp(-values)) @ vectors.T
    kick = vectors * np.sqrt(-np.expm1(-2.0 * values) / values)
    mean = vectors @ ((vectors.T @ b) / values)
    x, total = np.zeros_like(b), np.zeros_like(b)
    for _ in range(n):
        x = mean + step @ (x - mean) + kick @ rng.standard_normal(b.size)
        total += x
    return total / n


@pytest.mark.parametrize("d", SIZES)
class TestSolve:
    """One group a size; every row does the work of 10,000 reads spaced 1 RC, or less."""

    @pytest.fixture(autouse=True)
    def _group(self, benchmark, d):
        benchmark.group = f"solve d={d}"
        self.A, self.b = problem(d)

    def test_limit_eigh_alone(self, benchmark, d):
        benchmark(np.linalg.eigh, self.A)

    def test_limit_normals_alone(self, benchmark, d):
        benchmark(np.random.default_rng(0).standard_normal, (READS, d))

    def test_digital_cholesky(self, benchmark, d):
        benchmark(lambda: scipy.linalg.cho_solve(scipy.linalg.cho_factor(self.A), self.b))

    def test_ours_law(self, benchmark, d):
        benchmark(lambda: tl.solve(self.A, self.b, n_reads=READS, read_spacing=1.0, rng=0))

    def test_ours_law_operator_reused(self, benchmark, d):
        operator = tl.as_operator(self.A)
        tl.solve(operator, self.b, n_reads=READS, read_spacing=1.0, rng=0)
        benchmark(lambda: tl.solve(operator, self.b, n_reads=READS, read_spacing=1.0, rng=0))

    def test_ours_path(self, benchmark, d):
        def run():
            return tl.solve(self.A, self.b, n_reads=READS, read_spacing=1.0, simulator="path", rng=0)

        run()  # compiles
        benchmark(run)

    def test_plain_numpy_loop(self, benchmark, d):
        rng = np.random.default_rng(0)
        benchmark.pedantic(plain_loop, (self.A, self.b, READS, rng), rounds=3)


def test_krylov_million_unknowns(benchmark):
    """2-D Laplacian, law to 1e-6: time, products and the process's peak memory (which must stay under 1 GiB)."""
    benchmark.group = "solve, Krylov, 10^6 unknowns"
    operator = tl.Krylov(tl.problems.laplacian(1000, 1000), bounds=(1.96e-5, 8.0), tol=1e-6)
    b = np.ones(operator.shape[0])
    result = benchmark.pedantic(lambda: tl.solve(operator, b, duration=1e6, rng=0), rounds=1)
    benchmark.extra_info["products"] = result.products
    benchmark.extra_info["peak_MiB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"\n{result.products} products, peak {benchmark.extra_info['peak_MiB']:.0f} MiB")
