"""Natural gradient by a digital solve, against dense solves."""

import numpy as np
import pytest

import thermolinalg as tl
from thermolinalg.curvature import Curvature, DenseCurvature, DiagonalCurvature, LowRankCurvature
from thermolinalg.optimizers.natural import NaturalGradient, woodbury
from thermolinalg.optimizers.protocol import State

N = 8


class Products(Curvature):
    """A curvature that can do nothing but F x."""

    def __init__(self, F):
        self._F, self.shape = F, F.shape

    def matvec(self, v):
        return self._F @ v


def problem(rng, n=3):
    rows = rng.standard_normal((n, N))
    return rows, rng.standard_normal(N)


def step(optimizer, F, g, state=None):
    theta, state = optimizer.step(np.zeros(N), g, F, optimizer.init(g) if state is None else state)
    return -theta, state


@pytest.mark.parametrize("damping", [1e-3, 1.0])
def test_exact_step_solves(damping, rng):
    rows, g = problem(rng)
    x = np.linalg.solve(rows.T @ rows + damping * np.eye(N), g)
    for F in (LowRankCurvature(rows), DenseCurvature(rows.T @ rows)):
        moved, state = step(NaturalGradient(0.5, damping), F, g)
        np.testing.assert_allclose(moved, 0.5 * x, rtol=1e-9)
    assert (state.report.learning_rate, state.report.damping, state.arrays) == (0.5, damping, {})


def test_no_damping_needs_a_definite_curvature(rng):
    rows, g = problem(rng, 12)
    moved, _ = step(NaturalGradient(1.0, 0.0), LowRankCurvature(rows), g)
    np.testing.assert_allclose(moved, np.linalg.solve(rows.T @ rows, g), rtol=1e-9)
    with pytest.raises(tl.errors.NotPositiveDefinite, match="give a larger damping"):
        step(NaturalGradient(1.0, 0.0), LowRankCurvature(rows[:3]), g)


@pytest.mark.parametrize("method", ["exact", "cg"])
def test_momentum_is_a_geometric_sum(method, rng):
    rows, _ = problem(rng)
    gradients = rng.standard_normal((4, N))
    A = rows.T @ rows + 0.5 * np.eye(N)
    optimizer, state = NaturalGradient(0.1, 0.5, method=method, momentum=0.7), None
    for g in gradients:
        moved, state = step(optimizer, LowRankCurvature(rows), g, state)
    expected = np.linalg.solve(A, np.array([0.343, 0.49, 0.7, 1.0]) @ gradients)
    np.testing.assert_allclose(moved, 0.1 * expected, rtol=1e-8)


@pytest.mark.parametrize("warm_start", [False, True])
@pytest.mark.parametrize("iterations", [1, 2, 5])
def test_conjugate_gradients_minimise_over_the_krylov_space(iterations, warm_start, rng):
    """Each iterate minimises x^T A x / 2 - g^T x over x0 + span(r, A r, ..): a dense least-squares problem."""
    B = rng.standard_normal((N, N))
    F, damping, gradients = B @ B.T / N, 0.1, rng.standard_normal((2, N))
    A = F + damping * np.eye(N)
    optimizer = NaturalGradient(1.0, damping, method="cg", iterations=iterations, warm_start=warm_start)
    state, x = None, np.zeros(N)
    for g in gradients:
        moved, state = step(optimizer, Products(F), g, state)
        x0 = x if warm_start else np.zeros(N)
        K = [g - A @ x0]
        while len(K) < iterations:
            K.append(A @ K[-1])
        K = np.linalg.qr(np.array(K).T)[0]
        x = x0 + K @ np.linalg.solve(K.T @ A @ K, K.T @ (g - A @ x0))
        np.testing.assert_allclose(moved, x, rtol=1e-7, atol=1e-10)
        details = state.report.details
        assert details["residual"] == pytest.approx(np.linalg.norm(g - A @ x) / np.linalg.norm(g), rel=1e-6)
        assert (details["iterations"], details["products"]) == (iterations, iterations + 1 + warm_start)


def test_conjugate_gradients_end_at_the_solution(rng):
    rows, g = problem(rng)
    moved, state = step(NaturalGradient(1.0, 0.3, method="cg", iterations=500), LowRankCurvature(rows), g)
    np.testing.assert_allclose(moved, np.linalg.solve(rows.T @ rows + 0.3 * np.eye(N), g), rtol=1e-9)
    assert state.report.details["residual"] < 1e-13
    moved, state = step(NaturalGradient(1.0, 0.3, method="cg"), LowRankCurvature(rows), np.zeros(N))
    np.testing.assert_array_equal(moved, 0.0)
    assert (state.report.details["iterations"], state.report.details["residual"]) == (0, 0.0)


@pytest.mark.parametrize("scale", [1e-300, 1e-160, 1e160, 1e300])
@pytest.mark.parametrize("warm_start", [False, True])
def test_conjugate_gradients_scale_with_the_gradient(scale, warm_start, rng):
    rows, g = problem(rng)
    optimizer = NaturalGradient(1.0, 0.1, method="cg", warm_start=warm_start)
    F, exact = LowRankCurvature(rows), np.linalg.solve(rows.T @ rows + 0.1 * np.eye(N), g)
    theta, state = optimizer.step(np.zeros(N), scale * g, F, optimizer.init(g))
    np.testing.assert_allclose(-theta / scale, exact, rtol=1e-9)
    theta, state = optimizer.step(np.zeros(N), scale * g, F, state)
    np.testing.assert_allclose(-theta / scale, exact, rtol=1e-9)
    assert state.report.details["residual"] < 1e-9


def test_woodbury_refuses_a_damping_that_is_lost_in_rounding():
    with pytest.raises(tl.errors.NotPositiveDefinite, match="damping=1e-300"):
        woodbury(np.ones((2, 4)), np.ones(4), 1e-300)  # J J^T of fours: Cholesky meets an exact zero


def test_conjugate_gradients_refuse_what_is_not_definite():
    optimizer = NaturalGradient(1.0, 0.0, method="cg")
    with pytest.raises(tl.errors.NotPositiveDefinite, match=r"met a direction v with .* = 0;"):
        step(optimizer, DiagonalCurvature(np.zeros(N)), np.ones(N))
    with pytest.raises(tl.errors.NotPositiveDefinite, match="= -1;"):
        step(optimizer, Products(-np.eye(N)), np.ones(N))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"learning_rate": 0.0}, "learning_rate must be positive"),
        ({"learning_rate": 1.0, "damping": -1.0}, "damping must be non-negative"),
        ({"learning_rate": 1.0, "method": "lu"}, "method must be one of"),
        ({"learning_rate": 1.0, "iterations": 0}, "iterations must be at least 1"),
        ({"learning_rate": 1.0, "warm_start": True}, "warm_start is for method='cg'"),
        ({"learning_rate": 1.0, "momentum": 1.0}, r"momentum must be in \[0, 1\)"),
    ],
)
def test_bad_parameters_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        NaturalGradient(**options)


def test_bad_input_changes_nothing(rng):
    rows, g = problem(rng)
    F, optimizer = LowRankCurvature(rows), NaturalGradient(1.0, 0.1, momentum=0.5)
    _, state = step(optimizer, F, g)
    before = state.arrays["momentum"].copy()
    with pytest.raises(ValueError, match="gradient must be finite"):
        step(optimizer, F, np.full(N, np.nan), state)
    with pytest.raises(ValueError, match="needs a curvature"):
        step(optimizer, None, g, state)
    with pytest.raises(ValueError, match="state belongs to other parameters"):
        step(optimizer, F, g, State(arrays={"momentum": np.zeros(3)}))
    np.testing.assert_array_equal(state.arrays["momentum"], before)


@pytest.mark.parametrize("H", ["none", "weights", "matrix", "blocks"])
def test_woodbury_is_the_dense_solve(H, rng):
    rows, g = problem(rng, 4)
    p = np.array([0.7, 0.3])
    blocks = np.stack([np.diag(p) - np.outer(p, p)] * 2)  # singular, as the Hessian of a softmax is
    full = np.kron(np.eye(2), blocks[0])
    given = {"none": None, "weights": np.arange(4.0), "matrix": full, "blocks": blocks}[H]
    dense = {"none": np.eye(4), "weights": np.diag(np.arange(4.0))}.get(H, full)
    A = rows.T @ dense @ rows + 0.2 * np.eye(N)
    np.testing.assert_allclose(woodbury(rows, g, 0.2, given), np.linalg.solve(A, g), rtol=1e-9, atol=1e-12)


def test_woodbury_refuses_what_does_not_fit(rng):
    rows, g = problem(rng, 4)
    for H in (np.ones(3), np.ones((3, 3)), np.ones((2, 3, 3)), np.float64(2.0)):
        with pytest.raises(ValueError, match=r"H must have shape \(4,\)"):
            woodbury(rows, g, 0.2, H)
    with pytest.raises(ValueError, match="damping must be positive"):
        woodbury(rows, g, 0.0)
    with pytest.raises(ValueError, match="g must have shape"):
        woodbury(rows, g[:3], 0.2)
