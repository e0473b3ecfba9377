"""Speed of ``inv``: ours beside the work it cannot avoid, the digital method and a plain NumPy loop."""

import numpy as np
import pytest

import thermolinalg as tl

SIZES = (10, 100, 500, 1000)
READS = 10_000


def plain_loop(A, n, rng):
    """What a script does today: step the modes of the device, add up outer products."""
    values, vectors = np.linalg.eigh(A)
    decay, kick = np.exp(-values), np.sqrt(-np.expm1(-2.0 * values) / values)
    y = rng.standard_normal(values.size) / np.sqrt(values)
    reads = np.empty((n, values.size))
    for k in range(n):
        reads[k] = y = decay * y + kick * rng.standard_normal(values.size)
    x = reads @ vectors.T
    return x.T @ x / n


@pytest.mark.parametrize("d", SIZES)
class TestInv:
    """One group a size; every row does the work of 10,000 reads, or less."""

    @pytest.fixture(autouse=True)
    def _group(self, benchmark, d):
        benchmark.group = f"inv d={d}"
        self.A = tl.problems.wishart(d, rng=d)

    def test_limit_eigh_normals_products(self, benchmark, d):
        noise = np.random.default_rng(0)
        buffer, square = np.empty((READS, d)), np.empty((d, d))

        def work():
            _, V = np.linalg.eigh(self.A)
            noise.standard_normal(out=buffer)
            np.matmul(buffer.T, buffer, out=square)
            return V @ square @ V.T

        benchmark(work)

    def test_digital_inverse(self, benchmark, d):
        benchmark(np.linalg.inv, self.A)

    def test_ours_law(self, benchmark, d):
        benchmark(lambda: tl.inv(self.A, n_reads=READS, rng=0))

    def test_ours_path(self, benchmark, d):
        def run():
            return tl.inv(self.A, n_reads=READS, read_spacing=1.0, rng=0)

        run()  # compiles
        benchmark(run)

    def test_ours_path_stderr_alone(self, benchmark, d):
        def fresh():
            return (tl.inv(self.A, n_reads=100, read_spacing=1.0, rng=0),), {}

        benchmark.pedantic(lambda r: r.stderr, setup=fresh, rounds=3)

    def test_plain_numpy_loop(self, benchmark, d):
        rng = np.random.default_rng(0)
        benchmark.pedantic(plain_loop, (self.A, READS, rng), rounds=3)
