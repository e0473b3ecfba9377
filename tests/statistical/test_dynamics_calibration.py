"""Error bars and plans on cells with inertia, over many seeds."""

import numpy as np
import pytest
import scipy.sparse

import thermolinalg as tl
from tests import oracles

pytestmark = pytest.mark.long

A = tl.problems.with_condition(5, 30.0, rng=0)
B = np.random.default_rng(1).standard_normal(5)
X = np.linalg.solve(A, B)


@pytest.mark.parametrize(
    "options",
    [
        {"n_reads": 400},
        {"n_reads": 400, "read_spacing": 3.0},
        {"n_reads": 400, "simulator": "path"},
        {"duration": 600.0},
    ],
)
def test_scores_of_inv_are_calibrated(options):
    truth, z = np.linalg.inv(A), []
    for seed in range(100):
        r = tl.inv(A, dynamics=tl.Inertia(mass=1.0, friction=0.5), rng=seed, **options)
        z.append(((r.value - truth) / r.stderr).ravel()[seed % 25])
    assert abs(np.mean(z)) < 4 / np.sqrt(100)
    assert abs(np.std(z) - 1) < 4 / np.sqrt(200) * 1.3  # a little more: products of normals have heavier tails


def test_rtol_is_hit():
    for options in ({}, {"read_spacing": 2.0}):
        errors = [
            np.linalg.norm(tl.solve(A, B, rtol=0.05, dynamics="underdamped", rng=s, **options).value - X)
            for s in range(200)
        ]
        assert np.sqrt(np.mean(np.square(errors))) == pytest.approx(0.05 * np.linalg.norm(X), rel=0.15)


@pytest.mark.parametrize(("friction", "simulator"), [(0.1, "path"), ("critical", "path"), (5.0, "path"), (0.1, "law")])
def test_scores_of_the_integrator_are_calibrated(friction, simulator):
    inertia, z = tl.Inertia(mass=1.0, friction=friction), []
    for seed in range(200):
        r = tl.solve(A, B, duration=40.0, dynamics=inertia, simulator=simulator, rng=seed)
        z.append(((r.value - X) / r.stderr)[seed % 5])
    oracles.assert_calibrated(z)


@pytest.mark.filterwarnings("ignore::thermolinalg.errors.NotEquilibrated")
@pytest.mark.parametrize("options", [{"duration": 20.0}, {"n_reads": 9, "read_spacing": 2.0}, {"n_reads": 3}])
def test_sparse_operators_draw_the_law_of_dense_ones(options):
    """Mean and spread of 200 chains, on the way to equilibrium, from a start of their own."""
    options = options | {"burn_in": 3.0, "x0": 2.0 * B, "beta": 2.0, "dynamics": tl.Inertia(mass=1.0, friction=0.3)}
    run = tl.solve(tl.Krylov(scipy.sparse.csr_array(A), tol=1e-8), B, n_chains=200, rng=5, **options)
    mean = tl.solve(A, B, rng=0, **options | {"beta": np.inf}).value
    sd = tl.solve(A, B, rng=0, **options).stderr
    assert run.stderr_kind == "chains"
    assert (np.abs(run.value - mean) < 5 * sd / np.sqrt(200)).all()
    assert (np.abs(run.stderr * np.sqrt(200) / sd - 1.0) < 5 / np.sqrt(400)).all()
