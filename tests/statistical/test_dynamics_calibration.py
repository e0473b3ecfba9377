"""Error bars and plans on cells with inertia, over many seeds."""

import numpy as np
import pytest

import thermolinalg as tl

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
def test_error_bars_of_inv_are_calibrated(options):
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
