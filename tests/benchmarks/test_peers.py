"""thermox, jitted and warm, in the groups of `test_solve.py` and `test_inv.py`; skipped where it is not installed.

Its own defaults: 10,000 steps of 1 RC from x = 0, in float32; the 64-bit rows are at the precision of ours.
"""

import numpy as np
import pytest

import thermolinalg as tl

thermox = pytest.importorskip("thermox", reason="pip install '.[peers]' for rows of thermox")
jax = pytest.importorskip("jax")

SIZES = (100, 500, 1000)


@pytest.mark.parametrize("bits", [32, 64])
@pytest.mark.parametrize("d", SIZES)
class TestThermox:
    """10,000 reads spaced 1 RC, as many as ours."""

    @pytest.fixture(autouse=True)
    def _problem(self, request, d, bits):
        if request.config.getoption("benchmark_disable") and not request.config.getoption("benchmark_enable"):
            pytest.skip("only timed: compiling and one call take up to a minute")
        with jax.enable_x64(bits == 64):
            self.A = jax.numpy.asarray(tl.problems.wishart(d, rng=d))
            self.b = jax.numpy.asarray(np.random.default_rng(d + 1).standard_normal(d))
            assert self.A.dtype == f"float{bits}"
            yield

    def time(self, benchmark, function, *arguments):
        run = jax.jit(function)
        answer = run(*arguments).block_until_ready()  # compiles
        benchmark.pedantic(lambda: run(*arguments).block_until_ready(), rounds=3)
        assert np.isfinite(answer).all()

    def test_thermox_solve(self, benchmark, d, bits):
        benchmark.group = f"solve d={d}"
        self.time(benchmark, lambda A, b: thermox.linalg.solve(A, b), self.A, self.b)

    def test_thermox_inv(self, benchmark, d, bits):
        benchmark.group = f"inv d={d}"
        self.time(benchmark, lambda A: thermox.linalg.inv(A), self.A)
