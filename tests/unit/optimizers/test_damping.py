"""Levenberg and Marquardt's damping: the rule by hand, the ratio from losses computed here, runs of it."""

import io

import numpy as np
import pytest

from tests import oracles
from thermolinalg.curvature import DenseCurvature, DiagonalCurvature, LowRankCurvature
from thermolinalg.optimizers import SGD, TNGD, NaturalGradient, State
from thermolinalg.optimizers.damping import DampedOptimizer, LevenbergMarquardt
from thermolinalg.optimizers.kfac import KFAC
from thermolinalg.optimizers.protocol import Move


class Newton(DampedOptimizer):
    """The least an optimiser must do to take part, with any curvature."""

    needs = "curvature"

    def __init__(self, damping):
        self._set_damping(damping)

    def _move(self, theta, gradient, curvature, state):
        damping = self._damping(state)
        d = -curvature.damped(damping).function(np.reciprocal, gradient)
        return Move(d, self._model(d, gradient, curvature, state), {"damping": damping})


def step_and_observe(optimizer, loss, gradient, curvature, theta, state):
    after, state = optimizer.step(theta, gradient(theta), curvature, state)
    return after, state, optimizer.observe(state, loss(theta), loss(after))


@pytest.mark.parametrize(
    ("ratio", "expected"),
    [(0.9, 0.5), (0.75, 1.0), (0.5, 1.0), (0.25, 1.0), (0.2, 2.0), (-3.0, 2.0), (float("nan"), 1.0)],
)
def test_damping_moves_by_the_rule_of_levenberg_and_marquardt(ratio, expected):
    assert LevenbergMarquardt(1.0, factor=0.5).follow(1.0, ratio) == expected


def test_damping_never_falls_below_its_minimum():
    assert LevenbergMarquardt(1.0, factor=0.5, minimum=0.8).follow(1.0, 1.0) == 0.8


@pytest.mark.parametrize("make", [Newton, lambda damping: KFAC(0.7, damping, momentum=0.5)])
def test_reduction_ratio_is_that_of_its_definition(rng, make):
    """A loss that is no quadratic: rho from the losses and the model, written out."""
    M = oracles.random_spd(rng, 5, 10.0)

    def loss(x):
        return 0.5 * x @ M @ x + np.sum(np.cos(x))

    def gradient(x):
        return M @ x - np.sin(x)

    rule = LevenbergMarquardt(0.3, factor=0.5, interval=1, threshold=0.75)
    optimizer, F = make(rule), DenseCurvature(M)
    theta = rng.standard_normal(5)
    state, damping = optimizer.init(theta), 0.3
    for _ in range(6):
        after, stepped, state = step_and_observe(optimizer, loss, gradient, F, theta, state)
        assert stepped.report.damping == pytest.approx(damping, rel=1e-12)
        d = after - theta
        ratio = (loss(after) - loss(theta)) / (gradient(theta) @ d + 0.5 * d @ M @ d)
        assert state.report.details["reduction_ratio"] == pytest.approx(ratio, rel=1e-7)
        damping *= 0.5 if ratio > 0.75 else 2.0 if ratio < 0.25 else 1.0
        assert float(state.arrays["damping"]) == pytest.approx(damping, rel=1e-12)
        theta = after


def test_damping_falls_on_a_quadratic_loss(rng):
    """The model is the loss: rho is 1 at every step, and damping goes down to its minimum."""
    M = oracles.random_spd(rng, 5, 10.0)
    optimizer = Newton(LevenbergMarquardt(1.0, factor=0.5, interval=2, minimum=0.1))
    theta, dampings = rng.standard_normal(5), []
    state = optimizer.init(theta)
    for _ in range(10):
        theta, stepped, state = step_and_observe(
            optimizer, lambda x: 0.5 * x @ M @ x, lambda x: M @ x, DenseCurvature(M), theta, state
        )
        dampings.append(stepped.report.damping)
    assert dampings == [1.0, 1.0, 0.5, 0.5, 0.25, 0.25, 0.125, 0.125, 0.1, 0.1]


def test_damping_rises_until_a_curvature_that_is_too_small_is_made_up_for():
    """F a tenth of the Hessian: undamped, every step overshoots ninefold; with damping the loss comes down."""
    H, F = 10.0, DiagonalCurvature([1.0])
    optimizer = Newton(LevenbergMarquardt(1e-3, factor=0.5, interval=1))
    theta = np.ones(1)
    state, losses = optimizer.init(theta), []
    for _ in range(40):
        theta, _, state = step_and_observe(optimizer, lambda x: 0.5 * H * x @ x, lambda x: H * x, F, theta, state)
        losses.append(0.5 * H * theta @ theta)
    assert losses[0] > 100.0
    assert float(state.arrays["damping"]) > 1.0
    assert losses[-1] < 1e-6


def test_observing_is_optional_and_for_all(rng):
    for optimizer in (SGD(0.1), KFAC(0.1, 1e-2), Newton(0.1)):
        theta, state = optimizer.step(np.ones(2), np.ones(2), DiagonalCurvature([1.0, 2.0]), optimizer.init(np.ones(2)))
        assert optimizer.observe(state, 1.0, 0.5) is state
        assert "damping" not in state.arrays
    adaptive = KFAC(0.1, LevenbergMarquardt(0.5))
    theta, state = np.ones(2), adaptive.init(np.ones(2))
    for _ in range(3):
        theta, state = adaptive.step(theta, np.ones(2), DiagonalCurvature([1.0, 2.0]), state)
    assert state.report.damping == 0.5


def test_the_state_before_is_not_touched(rng):
    optimizer = Newton(LevenbergMarquardt(1.0, interval=1))
    _, state = optimizer.step(np.ones(2), np.ones(2), DenseCurvature(np.eye(2)), optimizer.init(np.ones(2)))
    after = optimizer.observe(state, 1.0, 0.2)
    assert float(state.arrays["damping"]) == 1.0 != float(after.arrays["damping"])
    assert "reduction_ratio" not in state.report.details


def test_a_step_that_changes_nothing_says_nothing(rng):
    optimizer = Newton(LevenbergMarquardt(1.0, interval=1))
    _, state = optimizer.step(np.ones(2), np.zeros(2), DenseCurvature(np.eye(2)), optimizer.init(np.ones(2)))
    after = optimizer.observe(state, 1.0, 1.0)
    assert float(after.arrays["damping"]) == 1.0
    assert np.isnan(after.report.details["reduction_ratio"])


def test_it_works_with_low_rank_curvature(rng):
    J, g = rng.standard_normal((3, 8)), rng.standard_normal(8)
    optimizer = Newton(LevenbergMarquardt(0.5, interval=1))
    d, state = optimizer.step(np.zeros(8), g, LowRankCurvature(J), optimizer.init(np.zeros(8)))
    np.testing.assert_allclose(state.arrays["model"], [g @ d, d @ J.T @ J @ d], rtol=1e-9)


def test_a_run_goes_on_from_a_file(rng):
    M = oracles.random_spd(rng, 4, 10.0)

    def run(theta, state, n):
        optimizer = KFAC(0.5, LevenbergMarquardt(1.0, interval=3))
        state = optimizer.init(theta) if state is None else state
        for _ in range(n):
            theta, _, state = step_and_observe(
                optimizer, lambda x: 0.5 * x @ M @ x, lambda x: M @ x, DenseCurvature(M), theta, state
            )
        return theta, state

    straight, end = run(np.ones(4), None, 10)
    half, middle = run(np.ones(4), None, 4)
    file = io.BytesIO()
    np.savez(file, **middle.arrays)
    file.seek(0)
    with np.load(file) as arrays:
        kept = State(step=middle.step, arrays=dict(arrays))
    resumed, state = run(half, kept, 6)
    np.testing.assert_array_equal(resumed, straight)
    assert float(state.arrays["damping"]) == float(end.arrays["damping"]) < 1.0


def test_a_loaded_state_can_be_observed_without_its_report():
    optimizer = Newton(LevenbergMarquardt(1.0, factor=0.5, interval=1))
    _, state = optimizer.step(np.ones(1), np.ones(1), DenseCurvature(np.eye(1)), optimizer.init(np.ones(1)))
    loaded = State(step=state.step, arrays=state.arrays)
    assert float(optimizer.observe(loaded, 1.0, 0.625).arrays["damping"]) == 0.5
    assert optimizer.observe(loaded, 1.0, 0.625).report is None


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"initial": 0.0}, "initial must be positive"),
        ({"factor": 1.0}, "factor must be in"),
        ({"factor": 0.0}, "factor must be positive"),
        ({"threshold": 0.4}, "threshold must be in"),
        ({"threshold": 1.0}, "threshold must be in"),
        ({"interval": 0}, "interval must be at least 1"),
        ({"minimum": 2.0}, "initial must not be below minimum"),
    ],
)
def test_bad_options_are_named(options, words):
    with pytest.raises(ValueError, match=words):
        LevenbergMarquardt(**({"initial": 1.0} | options))


def test_bad_observations_are_named():
    optimizer = Newton(LevenbergMarquardt(1.0))
    state = optimizer.init(np.ones(1))
    with pytest.raises(ValueError, match="nothing to observe before the first step"):
        optimizer.observe(state, 1.0, 0.5)
    with pytest.raises(ValueError, match="loss_after must be finite, got nan"):
        optimizer.observe(state, 1.0, float("nan"))
    with pytest.raises(ValueError, match="damping must be a number"):
        Newton("auto")


@pytest.mark.parametrize(
    "make",
    [lambda rule: NaturalGradient(0.5, rule), lambda rule: TNGD(0.5, rule, run_time=np.inf)],
    ids=["natural", "tngd"],
)
def test_natural_gradients_follow_the_rule_too(make):
    """A quadratic loss with its Hessian as F: the model is exact, rho = 1, and the damping falls by its factor."""
    hessian = np.diag([4.0, 1.0])
    optimizer = make(LevenbergMarquardt(1.0, factor=0.5, interval=1))
    theta = np.array([1.0, -2.0])
    after, state = optimizer.step(theta, hessian @ theta, DenseCurvature(hessian), optimizer.init(theta))
    np.testing.assert_allclose(after - theta, -0.5 * np.linalg.solve(hessian + np.eye(2), hessian @ theta), rtol=1e-12)
    state = optimizer.observe(state, *(0.5 * x @ hessian @ x for x in (theta, after)))
    assert state.report.details["reduction_ratio"] == pytest.approx(1.0, rel=1e-12)
    _, state = optimizer.step(after, hessian @ after, DenseCurvature(hessian), state)
    assert state.report.damping == 0.5
