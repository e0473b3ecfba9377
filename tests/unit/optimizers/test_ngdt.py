"""NGD-T against dense linear algebra: what a step costs, what stands for the inverse, what the regulator does."""

import numpy as np
import pytest

import thermolinalg as tl
from thermolinalg.curvature import (
    BlockCurvature,
    DenseCurvature,
    DiagonalCurvature,
    KroneckerCurvature,
    LowRankCurvature,
)
from thermolinalg.optimizers import NGDT, SGD, Adam


def take(optimizer, gradient, F, **options):
    theta = np.zeros(len(gradient))
    theta, state = optimizer.step(theta, gradient, F, optimizer.init(theta), **options)
    return theta, state.report


def rank_deficient(rng, rank=4, size=9):
    """F with eigenvalues 1 to 10 on a random subspace: dense, its projector on the null space, its rows."""
    basis = np.linalg.qr(rng.standard_normal((size, rank)))[0]
    rows = np.sqrt(np.linspace(1.0, 10.0, rank))[:, None] * basis.T
    return rows.T @ rows, np.eye(size) - basis @ basis.T, rows


def curvatures(rng):
    """One of each shape, positive definite or with the gradient in its range: (curvature, dense F, gradient)."""
    dense, _, rows = rank_deficient(rng)
    yield LowRankCurvature(rows), dense, dense @ rng.standard_normal(9)
    full = dense + np.eye(9)
    yield DenseCurvature(full), full, rng.standard_normal(9)
    A, G = full[:3, :3], full[3:6, 3:6]
    yield KroneckerCurvature(A, G), np.kron(A, G), rng.standard_normal(9)
    blocks = np.zeros((11, 11))
    blocks[:9, :9], blocks[9:, 9:] = np.kron(A, G), np.diag([2.0, 5.0])
    yield BlockCurvature([KroneckerCurvature(A, G), DiagonalCurvature([2.0, 5.0])]), blocks, rng.standard_normal(11)


@pytest.mark.parametrize("case", range(4))
def test_an_unclipped_step_of_rule_kl_costs_its_budget(rng, case):
    F, dense, gradient = list(curvatures(rng))[case]
    d, report = take(NGDT(rule="kl", budget=1e-3), gradient, F)
    assert report.clipped is None
    assert d @ dense @ d / 2.0 == pytest.approx(1e-3, rel=1e-10)
    assert report.details["budget_used"] == pytest.approx(1e-3, rel=1e-10)
    assert report.metric_cost == pytest.approx(d @ dense @ d, rel=1e-10)
    assert report.dissipation == pytest.approx(gradient @ np.linalg.pinv(dense) @ gradient, rel=1e-10)
    assert report.excess == pytest.approx(1.0, rel=1e-10)
    assert report.null_fraction == pytest.approx(0.0, abs=1e-7)


def test_other_rules_spend_their_budgets(rng):
    dense, _, rows = rank_deficient(rng)
    gradient = dense @ rng.standard_normal(9)
    d, report = take(NGDT(rule="slow", budget=1e-3, duration=5.0), gradient, LowRankCurvature(rows))
    assert d @ dense @ d / 5.0 == pytest.approx(1e-3, rel=1e-10)
    assert report.details["budget_used"] == pytest.approx(1e-3, rel=1e-10)
    d, report = take(NGDT(rule="flow", budget=1e-3, eta0=0.5), gradient, LowRankCurvature(rows))
    assert -gradient @ d == pytest.approx(0.5e-3, rel=1e-10)
    assert report.details["budget_used"] == pytest.approx(0.5e-3, rel=1e-10)


@pytest.mark.parametrize("rule", ["kl", "slow", "flow"])
def test_the_cap_is_the_newton_step(rng, rule):
    F, dense, gradient = list(curvatures(rng))[1]
    d, report = take(NGDT(rule=rule, budget=1e6), gradient, F)
    assert report.clipped == "max"
    np.testing.assert_allclose(d, -np.linalg.solve(dense, gradient), rtol=1e-10)


def test_the_floor_is_reported(rng):
    F, _, gradient = list(curvatures(rng))[1]
    report = take(NGDT(budget=1e-12, eta_min=0.1), gradient, F)[1]
    assert (report.clipped, report.learning_rate) == ("min", 0.1)


@pytest.mark.parametrize(
    "optimizer", [SGD(0.1), Adam(0.1), NGDT(damping=1.0, budget=1e9)], ids=lambda o: type(o).__name__
)
def test_no_other_direction_has_a_smaller_excess(rng, optimizer):
    F, dense, gradient = list(curvatures(rng))[1]
    d, report = take(optimizer, gradient, F, metric=F)
    by_hand = (d @ dense @ d) * (gradient @ np.linalg.solve(dense, gradient)) / (gradient @ d) ** 2
    assert report.excess == pytest.approx(by_hand, rel=1e-9)
    assert report.excess > 1.001


def inverse_by_hand(dense, how, tau, damping=0.0):
    values, vectors = np.linalg.eigh(dense)
    held = values > 1e-9 * values[-1]
    safe = np.where(held, values, 1.0)
    weights = {
        "truncation": np.where(values > tau, 1.0 / safe, 0.0),
        "tikhonov": 1.0 / (values + damping),
        "flooring": 1.0 / np.maximum(values, tau),
        "soft": np.where(held, safe**5 / (safe**6 + tau**6), 0.0),
    }[how]
    return vectors @ np.diag(weights) @ vectors.T


@pytest.mark.parametrize("how", ["truncation", "tikhonov", "flooring", "soft"])
@pytest.mark.parametrize("case", range(4))
def test_each_substitute_for_the_inverse_is_its_dense_form(rng, how, case):
    F, dense, gradient = list(curvatures(rng))[case]
    damping = 0.3 if how == "tikhonov" else 0.0
    tau = 0.25 * np.linalg.eigvalsh(dense)[-1]
    d, _ = take(NGDT(budget=1e9, inverse=how, cutoff=0.25, damping=damping), gradient, F)
    np.testing.assert_allclose(d, -inverse_by_hand(dense, how, tau, damping) @ gradient, rtol=1e-9, atol=1e-12)


def test_flooring_is_truncation_with_a_step_in_the_null_space(rng):
    _, _, rows = rank_deficient(rng)
    gradient, F = rng.standard_normal(9), LowRankCurvature(rows)
    tau = 0.2 * F.rates.max()
    floored, _ = take(NGDT(budget=1e9, inverse="flooring", cutoff=0.2), gradient, F)
    hybrid, _ = take(NGDT(budget=1e9, null_ratio=1.0 / tau, cutoff=0.2), gradient, F)
    np.testing.assert_allclose(floored, hybrid, rtol=1e-10)


def test_the_fallback_is_the_natural_step_of_an_extended_metric(rng):
    dense, P0, rows = rank_deficient(rng)
    gradient, ratio, budget = rng.standard_normal(9), 0.2, 1e-3
    d, report = take(NGDT(budget=budget, null_ratio=ratio), gradient, LowRankCurvature(rows))
    extended = dense + P0 / ratio
    np.testing.assert_allclose(
        d / np.linalg.norm(d),
        -np.linalg.solve(extended, gradient) / np.linalg.norm(np.linalg.solve(extended, gradient)),
        rtol=1e-9,
    )
    assert d @ extended @ d / 2.0 == pytest.approx(budget, rel=1e-9)
    assert report.null_fraction == pytest.approx(np.linalg.norm(P0 @ gradient) / np.linalg.norm(gradient), rel=1e-9)
    assert report.metric_cost == pytest.approx(d @ dense @ d, rel=1e-9)  # the null part costs nothing in F


def test_the_null_space_of_a_product_is_that_of_either_factor(rng):
    basis = np.linalg.qr(rng.standard_normal((3, 3)))[0]
    A, G = basis @ np.diag([0.0, 1.0, 2.0]) @ basis.T, np.diag([0.0, 3.0])
    gradient = rng.standard_normal(6)
    d, _ = take(NGDT(budget=1e9, null_ratio=0.5), gradient, KroneckerCurvature(A, G))
    dense = np.kron(A, G)
    inverse = np.linalg.pinv(dense, hermitian=True)
    P0 = np.eye(6) - inverse @ dense
    np.testing.assert_allclose(d, -(inverse + 0.5 * P0) @ gradient, rtol=1e-9, atol=1e-12)


def test_damping_overstates_the_cost(rng):
    F, dense, gradient = list(curvatures(rng))[1]
    d, report = take(NGDT(damping=0.7, budget=1e-3), gradient, F)
    v = np.linalg.solve(dense + 0.7 * np.eye(9), gradient)
    eta = report.learning_rate
    assert report.details["predicted_cost"] == pytest.approx(eta**2 * gradient @ v, rel=1e-10)
    assert d @ dense @ d == pytest.approx(eta**2 * (gradient @ v - 0.7 * v @ v), rel=1e-10)
    assert report.details["budget_used"] < 1e-3


def test_momentum_averages_directions_and_the_cost_is_the_realised_one(rng):
    F, dense, g1 = list(curvatures(rng))[1]
    g2 = rng.standard_normal(9)
    optimizer = NGDT(budget=1e-3, momentum=0.9)
    theta, state = optimizer.step(np.zeros(9), g1, F, optimizer.init(np.zeros(9)))
    after, state = optimizer.step(theta, g2, F, state)
    m = 0.9 * 0.1 * np.linalg.solve(dense, g1) + 0.1 * np.linalg.solve(dense, g2)
    eta = np.sqrt(2e-3 / (g2 @ np.linalg.solve(dense, g2)))
    np.testing.assert_allclose(after - theta, -eta * m, rtol=1e-9)
    assert state.report.details["budget_used"] == pytest.approx(eta**2 * m @ dense @ m / 2.0, rel=1e-9)


def test_tracking_averages_the_curvature(rng):
    A, G = np.diag([1.0, 2.0]), np.diag([3.0, 1.0])
    optimizer = NGDT(budget=1e9, tracking=tl.curvature.Tracking(decay=0.5, interval=1))
    theta, state = optimizer.step(np.zeros(4), np.ones(4), KroneckerCurvature(A, G), optimizer.init(np.zeros(4)))
    after, state = optimizer.step(theta, np.ones(4), KroneckerCurvature(3.0 * A, G), state)
    mean = np.kron((0.25 * A + 0.5 * 3.0 * A) / 0.75, G)
    np.testing.assert_allclose(after - theta, -np.linalg.solve(mean, np.ones(4)), rtol=1e-10)


def test_half_batches_take_the_noise_floor_away(rng):
    """E[g1^T F^-1 g2] is that of the mean gradient; one batch has tr(F^-1 C) more."""
    F, dense, mean = list(curvatures(rng))[1]
    noise, optimizer = 3.0, NGDT(budget=1e-3, dissipation_decay=0.0)
    true = mean @ np.linalg.solve(dense, mean)
    samples, naive = np.empty((2, 400))
    for i in range(400):
        halves = mean + noise * rng.standard_normal((2, 9))
        start = optimizer.init(np.zeros(9))
        _, state = optimizer.step(np.zeros(9), halves.mean(axis=0), F, start, halves=halves)
        samples[i], naive[i] = state.arrays["dissipation"][0], state.report.dissipation
    assert abs(samples.mean() - true) < 5.0 * samples.std() / 20.0
    floor = noise**2 / 2.0 * np.trace(np.linalg.inv(dense))
    assert abs(naive.mean() - true - floor) < 5.0 * naive.std() / 20.0


def test_half_batches_are_averaged_over_steps_and_give_way_where_they_promise_nothing():
    optimizer, F = NGDT(budget=1e-3, dissipation_decay=0.5), DiagonalCurvature([1.0, 1.0])
    theta, state = optimizer.step(np.zeros(2), np.ones(2), F, optimizer.init(np.zeros(2)), halves=([2.0, 0], [2.0, 0]))
    _, state = optimizer.step(theta, np.ones(2), F, state, halves=([1.0, 0.0], [1.0, 0.0]))
    assert state.report.details["regulator_dissipation"] == pytest.approx((0.25 * 4.0 + 0.5 * 1.0) / 0.75)
    report = take(optimizer, np.ones(2), F, halves=([1.0, 0.0], [-1.0, 0.0]))[1]
    assert report.details["regulator_dissipation"] == report.dissipation == 2.0


def test_the_average_outlives_a_step_without_halves():
    optimizer, F = NGDT(budget=1e-3, dissipation_decay=0.5), DiagonalCurvature([1.0, 1.0])
    theta, state = optimizer.step(np.zeros(2), np.ones(2), F, optimizer.init(np.zeros(2)), halves=([2.0, 0], [2.0, 0]))
    theta, state = optimizer.step(theta, np.ones(2), F, state)
    assert state.report.details["regulator_dissipation"] == 2.0
    _, state = optimizer.step(theta, np.ones(2), F, state, halves=([1.0, 0.0], [1.0, 0.0]))
    assert state.report.details["regulator_dissipation"] == pytest.approx((0.25 * 4.0 + 0.5 * 1.0) / 0.75)


@pytest.mark.parametrize("rule", ["kl", "slow", "flow"])
def test_a_dissipation_above_the_largest_float_is_refused(rule):
    with pytest.raises(FloatingPointError, match=r"Delta_F .* is inf"):
        take(NGDT(rule), np.full(2, 1e160), DiagonalCurvature([1.0, 2.0]))


@pytest.mark.parametrize("make", [LowRankCurvature, lambda rows: DenseCurvature(rows.T @ rows)])
def test_a_damping_that_is_lost_in_rounding_is_refused(make, rng):
    rows = rng.standard_normal((2, 5))
    with pytest.raises(tl.errors.NotPositiveDefinite, match="truncation"):
        take(NGDT(damping=1e-300), rows.T @ np.ones(2), make(rows))


def test_a_large_cap_of_a_small_gradient_stays_finite():
    details = take(NGDT(budget=1e300, eta_max=1e200), np.array([1e-160]), DiagonalCurvature([1.0]))[1].details
    assert details["predicted_cost"] == pytest.approx(1e80, rel=1e-3)  # 1e-320 has four digits


def test_soft_cut_off_limits_the_weights_of_small_eigenvalues():
    d, report = take(NGDT(inverse="soft", null_ratio=0.1), np.ones(4), DiagonalCurvature([1.0, 1e-310, 1e-9, 0.0]))
    weights = np.array([1.0, 0.1, 1e9 / (1.0 + 1e6) + 0.1, 0.1])
    np.testing.assert_allclose(-d / report.learning_rate, weights, rtol=1e-12)


def run_down(rule, s0, sf, steps):
    """Total metric cost of a rule on L = |theta|^2 / 2 with F = I, from length s0 to sf."""
    budget = (s0 - sf) ** 2 / (2.0 * steps**2) if rule == "kl" else (s0**2 - sf**2) / (2.0 * steps)
    optimizer = NGDT(rule=rule, budget=budget)
    theta, F, cost, taken = np.array([s0]), DiagonalCurvature([1.0]), 0.0, 0
    state = optimizer.init(theta)
    while abs(theta[0]) > sf * (1.0 + 1e-9):
        theta, state = optimizer.step(theta, theta, F, state)
        cost, taken = cost + state.report.metric_cost, taken + 1
    return cost, taken


@pytest.mark.parametrize(("ratio", "excess"), [(0.5, 1.040), (0.3, 1.118)])
def test_the_linear_rule_costs_more_than_the_square_root_at_equal_steps(ratio, excess):
    root, n_root = run_down("kl", 1.0, ratio, 1000)
    linear, n_linear = run_down("flow", 1.0, ratio, 1000)
    assert abs(n_root - 1000) <= 1
    assert abs(n_linear - 1000) <= 20
    assert linear * n_linear / (root * n_root) == pytest.approx(excess, rel=5e-3)


def test_a_zero_gradient_is_a_zero_step_and_a_zero_curvature_says_what_to_do():
    F = DiagonalCurvature([0.0, 0.0])
    assert not take(NGDT(), np.zeros(2), F)[0].any()
    assert not take(NGDT(), np.zeros(2), DiagonalCurvature([1.0, 2.0]))[0].any()
    with pytest.raises(ValueError, match="rank zero: give a damping"):
        take(NGDT(), np.ones(2), F)
    np.testing.assert_allclose(take(NGDT(damping=0.5, budget=1e9), np.ones(2), F)[0], -2.0)
    with pytest.raises(ValueError, match="no floor"):
        take(NGDT(inverse="flooring"), np.zeros(2), F)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"budget": 0.0}, "budget must be positive"),
        ({"budget": -1.0}, "budget must be positive"),
        ({"rule": "fast"}, "rule must be one of"),
        ({"eta_min": 2.0}, "eta_min must not be above eta_max"),
        ({"damping": 0.1, "inverse": "soft"}, "damping belongs to"),
        ({"inverse": "tikhonov"}, "damping belongs to"),
        ({"null_ratio": 0.1, "damping": 0.1}, "null_ratio needs a null space"),
        ({"cutoff": 1.0}, "cutoff must be in"),
        ({"tracking": 3}, "tracking must be a Tracking"),
    ],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        NGDT(**options)


def test_bad_steps_change_nothing():
    F, optimizer = DiagonalCurvature([1.0, 2.0]), NGDT(momentum=0.5)
    theta, state = optimizer.step(np.zeros(2), np.ones(2), F, optimizer.init(np.zeros(2)))
    kept = state.arrays["momentum"].copy()
    with pytest.raises(ValueError, match="gradient must be finite, got nan"):
        optimizer.step(theta, [np.nan, 0.0], F, state)
    with pytest.raises(ValueError, match="NGDT needs a curvature"):
        optimizer.step(theta, np.ones(2), None, state)
    with pytest.raises(ValueError, match="curvature is of 3 parameters, theta has 2"):
        optimizer.step(theta, np.ones(2), DiagonalCurvature(np.ones(3)), state)
    with pytest.raises(ValueError, match=r"gradient must have shape \(2,\)"):
        optimizer.step(theta, np.ones(3), F, state)
    with pytest.raises(ValueError, match="halves must be two gradients"):
        optimizer.step(theta, np.ones(2), F, state, halves=(np.ones(2),))
    with pytest.raises(ValueError, match="state belongs to other parameters"):
        optimizer.step(np.zeros(3), np.ones(3), DiagonalCurvature(np.ones(3)), state)
    np.testing.assert_array_equal(state.arrays["momentum"], kept)
    assert state.step == 1


def test_the_state_is_all_that_a_run_needs_to_go_on(rng):
    F, _, gradient = list(curvatures(rng))[2]
    optimizer = NGDT(momentum=0.5, tracking=tl.curvature.Tracking(), dissipation_decay=0.9)
    halves = (gradient, gradient + 0.1)
    theta, state = optimizer.step(np.zeros(9), gradient, F, optimizer.init(np.zeros(9)), halves=halves)
    copy = tl.optimizers.State(step=state.step, arrays={k: v.copy() for k, v in state.arrays.items()})
    ahead, again = (optimizer.step(theta, 2.0 * gradient, F, s, halves=halves)[0] for s in (state, copy))
    np.testing.assert_array_equal(ahead, again)
