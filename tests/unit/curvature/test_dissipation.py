"""Delta_F, its noise floor, and how much more than the least a direction costs."""

import numpy as np
import pytest

import thermolinalg as tl
from tests import oracles
from thermolinalg.curvature import (
    DenseCurvature,
    DiagonalCurvature,
    KroneckerCurvature,
    LowRankCurvature,
    dissipation,
    excess_factor,
    half_batch_dissipation,
)


@pytest.mark.parametrize("damping", [0.0, 0.3])
def test_dissipation_is_that_of_a_dense_solve(rng, damping):
    A, G, g = oracles.random_spd(rng, 3, 20.0), oracles.random_spd(rng, 4, 20.0), rng.standard_normal(12)
    expected = g @ np.linalg.solve(np.kron(A, G) + damping * np.eye(12), g)
    assert dissipation(KroneckerCurvature(A, G), g, damping=damping) == pytest.approx(expected, rel=1e-10)


def test_null_space_does_not_count_at_damping_zero(rng):
    J, u = rng.standard_normal((3, 10)), rng.standard_normal(10)
    F = LowRankCurvature(J)
    g = J.T @ rng.standard_normal(3)
    across = u - J.T @ np.linalg.solve(J @ J.T, J @ u)
    assert dissipation(F, g + across) == pytest.approx(dissipation(F, g), rel=1e-10)
    assert dissipation(F, g + across, damping=0.1) > dissipation(F, g, damping=0.1) + 1.0


@pytest.mark.parametrize("damping", [0.0, 0.05])
def test_half_batches_are_unbiased_and_one_batch_is_not(rng, damping):
    """Sample gradients of covariance F: the batch of both halves is biased by tr((F + damping)^-1 F) / B."""
    N, batch, n = 6, 40, 4000
    M = oracles.random_spd(rng, N, 30.0)
    F, mean = DenseCurvature(M), 0.1 * rng.standard_normal(N)
    true = mean @ np.linalg.solve(M + damping * np.eye(N), mean)
    bias = np.trace(np.linalg.solve(M + damping * np.eye(N), M)) / batch
    root = np.linalg.cholesky(M) / np.sqrt(batch / 2)
    first, second = (mean + rng.standard_normal((n, N)) @ root.T for _ in range(2))
    halves = [half_batch_dissipation(F, a, b, damping=damping) for a, b in zip(first, second, strict=True)]
    whole = [dissipation(F, (a + b) / 2.0, damping=damping) for a, b in zip(first, second, strict=True)]
    for values, expected in ((halves, true), (whole, true + bias)):
        assert abs(np.mean(values) - expected) < 5.0 * np.std(values, ddof=1) / np.sqrt(n)
    assert np.mean(whole) - true > 20.0 * np.std(whole, ddof=1) / np.sqrt(n)


def test_excess_is_that_of_its_definition_and_least_for_natural_gradient(rng):
    M, g, d = oracles.random_spd(rng, 6, 50.0), rng.standard_normal(6), rng.standard_normal(6)
    F = DenseCurvature(M)
    expected = (d @ M @ d) * (g @ np.linalg.inv(M) @ g) / (g @ d) ** 2
    assert excess_factor(F, g, d) == pytest.approx(expected, rel=1e-10)
    assert excess_factor(F, g, -3.0 * d) == pytest.approx(expected, rel=1e-10)
    assert excess_factor(F, g, np.linalg.solve(M, g)) == pytest.approx(1.0, rel=1e-10)


def test_kantorovich_bounds_plain_descent_and_is_attained(rng):
    kappa = 50.0
    M = oracles.random_spd(rng, 6, kappa)
    F, bound = DenseCurvature(M), (kappa + 1.0) ** 2 / (4.0 * kappa)
    vectors = np.linalg.eigh(M)[1]
    worst = vectors[:, 0] + vectors[:, -1]
    assert excess_factor(F, worst, worst) == pytest.approx(bound, rel=1e-9)
    ratios = [excess_factor(F, g, g) for g in rng.standard_normal((200, 6))]
    assert 1.0 <= min(ratios) < max(ratios) <= bound


def test_preconditioner_is_bounded_by_its_condition_number(rng):
    """Preconditioned by P, descent costs at most (c + 1)^2 / (4 c) with c = cond(P^-1/2 F P^-1/2)."""
    M, P = oracles.random_spd(rng, 5, 20.0), oracles.random_spd(rng, 5, 20.0)
    values = np.abs(np.linalg.eigvals(np.linalg.solve(P, M)))
    c = values.max() / values.min()
    ratios = [excess_factor(DenseCurvature(M), g, np.linalg.solve(P, g)) for g in rng.standard_normal((100, 5))]
    assert max(ratios) <= (c + 1.0) ** 2 / (4.0 * c)


def test_excess_does_not_depend_on_the_lengths():
    F, g, d = DiagonalCurvature([4.0, 1.0]), np.array([1.0, 1.0]), np.array([1.0, 1.0])
    for scale in (1e-300, 1e-100, 1e100, 1e300):
        assert excess_factor(F, scale * g, d) == pytest.approx(1.5625)
        assert excess_factor(F, g, -scale * d) == pytest.approx(1.5625)


def test_a_damping_that_is_lost_in_rounding_is_refused():
    F = LowRankCurvature(np.array([[1.0, 2.0, 3.0]]))
    with pytest.raises(tl.errors.NotPositiveDefinite, match="damping=1e-300"):
        dissipation(F, [1.0, 2.0, 3.0], damping=1e-300)


def test_excess_without_a_change_of_the_loss_is_nan():
    assert np.isnan(excess_factor(DiagonalCurvature([1.0, 1.0]), [1.0, 0.0], [0.0, 1.0]))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda F: dissipation(F, [1.0]), "gradient must have shape"),
        (lambda F: dissipation(F, [1.0, np.inf]), "gradient must be finite"),
        (lambda F: dissipation(F, [1.0, 1.0], damping=-1.0), "damping must be non-negative"),
        (lambda F: half_batch_dissipation(F, [1.0, 1.0], [1.0]), "second must have shape"),
        (lambda F: excess_factor(F, [1.0, 1.0], [1.0]), "direction must have shape"),
    ],
)
def test_bad_input_is_named(make, words):
    with pytest.raises(ValueError, match=words):
        make(DiagonalCurvature([1.0, 2.0]))
