"""Delta_F and its parts, preconditioners, run costs and the noise of batches, by dense algebra and sampling."""

import numpy as np
import pandas as pd
import pytest

import thermolinalg as tl
from analysis import dissipation
from tests import oracles


def value(table, part):
    return float(table.set_index("part").value[part])


def test_parts_agree_with_dense_algebra(rng):
    J, g, damping = rng.standard_normal((3, 6)), rng.standard_normal(6), 0.2
    F = J.T @ J
    table = dissipation.parts(tl.curvature.LowRankCurvature(J), g, damping=damping)
    v = np.linalg.solve(F + damping * np.eye(6), g)
    assert value(table, "range") == pytest.approx(g @ np.linalg.pinv(F) @ g, rel=1e-8)
    assert value(table, "damped") == pytest.approx(g @ v, rel=1e-8)
    assert value(table, "metric") == pytest.approx(v @ F @ v, rel=1e-8)
    assert value(table, "metric") + value(table, "damping") == pytest.approx(value(table, "damped"), rel=1e-8)
    across = g - np.linalg.lstsq(J, J @ g, rcond=None)[0]
    assert value(table, "blind") == pytest.approx(across @ across, rel=1e-8)


def test_preconditioners_stay_below_their_limit_and_reach_it(rng):
    F, P = oracles.random_spd(rng, 5, 30.0), oracles.random_spd(rng, 5, 5.0)
    curvatures = tl.curvature.DenseCurvature(F), tl.curvature.DenseCurvature(P)
    values, vectors = np.linalg.eig(np.linalg.solve(P, F))
    ends = [vectors[:, k] / np.sqrt(vectors[:, k] @ P @ vectors[:, k]) for k in (values.argmin(), values.argmax())]
    worst = P @ (ends[0] + ends[1])  # P^-1/2 g halfway between the extreme modes
    table = dissipation.preconditioner_excess(*curvatures, np.vstack((worst, rng.standard_normal((100, 5)))))
    c = values.max() / values.min()
    assert table.condition_number[0] == pytest.approx(c, rel=1e-8)
    assert table.excess[0] == pytest.approx((c + 1.0) ** 2 / (4.0 * c), rel=1e-8)
    assert (table.excess <= table.limit * (1.0 + 1e-9)).all()
    assert (table.excess >= 1.0 - 1e-12).all()
    own = dissipation.preconditioner_excess(curvatures[0], curvatures[0], rng.standard_normal(5))
    assert own.excess[0] == pytest.approx(1.0, rel=1e-9)


def test_run_costs_are_those_by_hand():
    log = pd.DataFrame(
        {
            "seed": [0, 0, 0, 1], "metric_cost": [1.0, 4.0, np.nan, 9.0], "dissipation": [2.0, 1.0, np.nan, 1.0],
            "predicted_decrease": [1.0, -1.0, 5.0, 0.0], "loss": [3.0, 2.0, 0.5, 7.0],
            "clipped": ["max", None, None, None],
        }
    )  # fmt: skip
    table = dissipation.run_costs(log, by=["seed"]).set_index("seed")
    assert table.loc[0, ["steps", "action", "length", "divergence", "decrease"]].tolist() == [2, 5.0, 3.0, 2.5, 0.0]
    assert table.unevenness[0] == pytest.approx(10.0 / 9.0)
    assert table.excess[0] == pytest.approx(3.0)  # of 2 and 4
    assert table.realised.tolist() == [2.5, 0.0]
    assert table.clipped.tolist() == [0.5, 0.0]
    assert np.isnan(table.excess[1])


@pytest.mark.parametrize("damping", [0.0, 0.1])
def test_noise_floor_agrees_with_sampling_plain_batches(rng, damping):
    n, N, size = 60, 4, 8
    G = rng.standard_normal((n, N)) * [1.0, 0.5, 2.0, 0.1] + 0.2
    F = oracles.random_spd(rng, N, 20.0)
    table = dissipation.noise_floor(tl.curvature.DenseCurvature(F), G, [size], damping=damping, rng=rng)
    found = table.set_index("series")
    inverse = np.linalg.inv(F + damping * np.eye(N))
    g = G.mean(axis=0)
    assert found.value["true"] == pytest.approx(g @ inverse @ g, rel=1e-8)
    assert found.value["effective"] - found.value["true"] == pytest.approx(np.trace(inverse @ F) / size, rel=1e-8)
    batches = G[rng.integers(n, size=(4000, size))].mean(axis=1)
    plain = np.einsum("bi,ij,bj->b", batches, inverse, batches)
    assert abs(found.value["covariance"] - plain.mean()) < 5.0 * plain.std() / np.sqrt(len(plain))
    for series, expected in (("batch", "covariance"), ("halves", "true")):
        assert abs(found.value[series] - found.value[expected]) < 5.0 * found.stderr[series]
    assert found.value["batch"] - found.value["true"] > 20.0 * found.stderr["batch"]


def test_empirical_fisher_gives_one_whatever_the_gradients(rng):
    """By a dense solve; exactly 1 for fewer samples than parameters, less for more, never above."""
    for n, N in ((8, 50), (32, 60), (200, 50)):
        G = rng.standard_normal((n, N)) * rng.uniform(0.1, 10.0) + rng.standard_normal(N)
        table = dissipation.empirical_degeneracy(G, [1e-8, 1e-2])
        F, g = G.T @ G / n, G.mean(axis=0)
        by_solve = g @ np.linalg.solve(F + 1e-2 * np.eye(N), g)
        assert table.empirical[1] == pytest.approx(by_solve, rel=1e-8)
        assert (table.empirical <= 1.0 + 1e-9).all()
        if n < N:
            assert table.empirical[0] == pytest.approx(1.0, abs=1e-5)
        assert table.diagonal[0] == pytest.approx(N, rel=0.01)
    assert table.empirical[0] < 0.999


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda F: dissipation.noise_floor(F, [[1.0]], [4]), "gradients must have shape"),
        (lambda F: dissipation.noise_floor(F, [[1.0, 2.0]], [1]), "batch_size must be at least 2"),
        (lambda F: dissipation.empirical_degeneracy([[1.0, 2.0]], [0.0]), "damping must be positive"),
        (lambda F: dissipation.run_costs(pd.DataFrame({"loss": [1.0]})), "must have the column 'metric_cost'"),
        (
            lambda F: dissipation.preconditioner_excess(F, tl.curvature.DiagonalCurvature([1.0, 0.0]), [1.0, 1.0]),
            "preconditioner must be positive definite",
        ),
    ],
)
def test_bad_input_is_named(make, words):
    with pytest.raises(ValueError, match=words):
        make(tl.curvature.DiagonalCurvature([1.0, 2.0]))
