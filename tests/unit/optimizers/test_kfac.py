"""K-FAC against dense solves with matrices that are built here."""

import io
from itertools import pairwise

import numpy as np
import pytest
import scipy.linalg

import thermolinalg as tl
from thermolinalg.curvature import (
    BlockCurvature,
    DenseCurvature,
    DiagonalCurvature,
    KroneckerCurvature,
    LowRankCurvature,
    Tracking,
)
from thermolinalg.optimizers import State
from thermolinalg.optimizers.kfac import KFAC

P, R, N = 4, 3, 21  # two layers (4 x 3 and 2 x 2), a full block of 3 and a diagonal one of 2


def semidefinite(rng, d, rank=None):
    rows = rng.standard_normal((2 * d if rank is None else rank, d))
    return rows.T @ rows / len(rows)


def batch(rng):
    """The blocks' matrices: ((A, G), (A, G), full, diagonal)."""
    layers = [tuple(semidefinite(rng, d) for d in shape) for shape in ((P, R), (2, 2))]
    return [*layers, semidefinite(rng, 3), rng.random(2)]


def curvature(matrices):
    first, second, full, entries = matrices
    return BlockCurvature(
        [KroneckerCurvature(*first), KroneckerCurvature(*second), DenseCurvature(full), DiagonalCurvature(entries)]
    )


def damped_layer(A, G, damping, split):
    """The damped matrix of a layer, written out."""
    left, right = np.eye(len(A)), np.eye(len(G))
    if split == "exact":
        return np.kron(A, G) + damping * np.kron(left, right)
    if split == "each":
        return np.kron(A + damping * left, G + damping * right)
    pi = np.sqrt((np.trace(A) / len(A)) / (np.trace(G) / len(G))) if split == "pi" else 1.0
    return np.kron(A + pi * np.sqrt(damping) * left, G + np.sqrt(damping) / pi * right)


def damped_matrix(matrices, damping, split="exact"):
    first, second, full, entries = matrices
    return scipy.linalg.block_diag(
        damped_layer(*first, damping, split),
        damped_layer(*second, damping, split),
        full + damping * np.eye(3),
        np.diag(entries + damping),
    )


def first_step(optimizer, g, F, theta=None, **options):
    theta = np.zeros(len(g)) if theta is None else theta
    return optimizer.step(theta, g, F, optimizer.init(theta), **options)


@pytest.mark.parametrize("split", ["exact", "pi", "even", "each"])
@pytest.mark.parametrize("damping", [1e-3, 0.3])
def test_a_step_is_a_dense_solve(rng, split, damping):
    matrices, g, start = batch(rng), rng.standard_normal(N), rng.standard_normal(N)
    theta, state = first_step(KFAC(0.5, damping, split=split), g, curvature(matrices), start)
    natural = np.linalg.solve(damped_matrix(matrices, damping, split), g)
    np.testing.assert_allclose(theta, start - 0.5 * natural, rtol=1e-12, atol=1e-12 * np.linalg.norm(natural))
    report = state.report
    assert report.learning_rate == 0.5
    assert report.damping == damping
    assert report.clipped is None
    assert report.details["damped_dissipation"] == pytest.approx(g @ natural, rel=1e-11)


def test_null_space_of_deficient_factors_is_damped_exactly(rng):
    A, G, g = semidefinite(rng, P, 2), semidefinite(rng, R, 1), rng.standard_normal(P * R)
    theta, _ = first_step(KFAC(1.0, 1e-2), g, KroneckerCurvature(A, G))
    np.testing.assert_allclose(theta, -np.linalg.solve(np.kron(A, G) + 1e-2 * np.eye(12), g), rtol=1e-11, atol=1e-10)


def test_condition_number_is_reported(rng):
    matrices, g = batch(rng), rng.standard_normal(N)
    for split in ("exact", "pi"):
        _, state = first_step(KFAC(1.0, 1e-2, split=split), g, curvature(matrices))
        parts = [damped_matrix(matrices, 1e-2, split)]
        if split == "pi":  # one layer is never solved together with another
            ends = np.cumsum([0, 12, 4, 3, 2])
            parts = [parts[0][i:j, i:j] for i, j in pairwise(ends)]
        assert state.report.details["condition_number"] == pytest.approx(max(map(np.linalg.cond, parts)), rel=1e-9)


def test_one_step_solves_a_problem_whose_hessian_is_a_kronecker_product(rng):
    A, G, best = semidefinite(rng, P), semidefinite(rng, R), rng.standard_normal(P * R)
    H = np.kron(A, G)
    start = rng.standard_normal(P * R)
    theta, state = first_step(KFAC(1.0, 0.0), H @ (start - best), KroneckerCurvature(A, G), start)
    np.testing.assert_allclose(theta, best, atol=1e-9)
    assert state.report.predicted_decrease == pytest.approx((start - best) @ H @ (start - best), rel=1e-9)


class Reference:
    """K-FAC with a moving average and eigenbases kept for `interval` batches, by dense matrices."""

    def __init__(self, decay, interval, damping, learning_rate, momentum):
        self.decay, self.interval, self.damping = decay, interval, damping
        self.learning_rate, self.momentum = learning_rate, momentum
        self.seen, self.kept, self.m = [], None, 0.0

    def displacement(self, matrices, g):
        if len(self.seen) % self.interval == 0:
            self.kept = len(self.seen) + 1
        self.seen.append(matrices)
        old, now = self.average(self.kept), self.average(len(self.seen))
        M = damped_matrix([*old[:2], *now[2:]], self.damping)
        self.m = self.momentum * self.m + np.linalg.solve(M, g)
        return -self.learning_rate * self.m

    def average(self, n):
        weights = self.decay ** np.arange(n)[::-1]
        weights /= weights.sum()

        def mean(pick):
            return sum(w * pick(matrices) for w, matrices in zip(weights, self.seen, strict=False))

        layers = [tuple(mean(lambda m, i=i, j=j: m[i][j]) for j in range(2)) for i in range(2)]
        return [*layers, mean(lambda m: m[2]), mean(lambda m: m[3])]


@pytest.mark.parametrize(("interval", "momentum"), [(1, 0.0), (3, 0.9)])
def test_a_run_is_that_of_dense_matrices(rng, interval, momentum):
    """Eigenvalues and bases are those of the last refreshment, blocks without a basis those of now."""
    reference = Reference(0.8, interval, 1e-2, 0.1, momentum)
    optimizer = KFAC(0.1, 1e-2, tracking=Tracking(decay=0.8, interval=interval), momentum=momentum)
    theta = np.zeros(N)
    state = optimizer.init(theta)
    for _ in range(8):
        matrices, g, before = batch(rng), rng.standard_normal(N), theta
        theta, state = optimizer.step(theta, g, curvature(matrices), state)
        expected = reference.displacement(matrices, g)
        np.testing.assert_allclose(theta - before, expected, rtol=1e-9, atol=1e-10 * np.linalg.norm(expected))


def test_no_damping_is_stored(rng):
    matrices, g = batch(rng), rng.standard_normal(N)
    F, optimizer = curvature(matrices), KFAC(0.1, damping=5.0, tracking=Tracking(decay=0.95, interval=2))
    theta, state = np.zeros(N), optimizer.init(np.zeros(N))
    for _ in range(60):
        theta, state = optimizer.step(theta, g, F, state)
    A = state.arrays["F.A0"] / state.arrays["F.weight"]
    np.testing.assert_allclose(A, matrices[0][0], rtol=1e-11, atol=1e-12)


def test_kl_clip_holds_the_length_of_the_step(rng):
    matrices, g = batch(rng), rng.standard_normal(N)
    F, M, c = curvature(matrices), damped_matrix(matrices, 1e-2), 1e-3
    theta, state = first_step(KFAC(1.0, 1e-2, kl_clip=c), g, F)
    assert theta @ M @ theta == pytest.approx(c, rel=1e-10)
    natural = np.linalg.solve(M, g)
    np.testing.assert_allclose(theta, -natural * np.sqrt(c / (g @ natural)), rtol=1e-9, atol=1e-12)
    assert state.report.clipped == "max"
    assert state.report.learning_rate == pytest.approx(np.sqrt(c / (g @ natural)), rel=1e-10)
    free, plain = KFAC(1e-4, 1e-2, kl_clip=c), KFAC(1e-4, 1e-2)
    np.testing.assert_array_equal(first_step(free, g, F)[0], first_step(plain, g, F)[0])
    assert first_step(free, g, F)[1].report.clipped is None


def test_kl_clip_at_a_rate_of_zero_moves_nothing(rng):
    optimizer = KFAC(1.0, 0.1, kl_clip=1e-3)
    optimizer.learning_rate = 0.0  # as a schedule of another framework may begin
    theta, state = first_step(optimizer, np.ones(2), DiagonalCurvature([1.0, 2.0]))
    assert not theta.any()
    assert state.report.clipped is None


def test_kl_clip_of_a_length_above_the_largest_float_is_refused():
    with pytest.raises(FloatingPointError, match=r"Delta_F .* is inf"):
        first_step(KFAC(1.0, 0.1, kl_clip=1e-3), np.full(1, 1e160), DiagonalCurvature([1.0]))


def test_kl_clip_of_a_zero_gradient_moves_nothing(rng):
    theta, state = first_step(KFAC(1.0, 1e-2, kl_clip=1.0), np.zeros(N), curvature(batch(rng)))
    np.testing.assert_array_equal(theta, np.zeros(N))
    assert state.report.clipped is None


def test_report_uses_the_metric_that_is_given(rng):
    matrices, g = batch(rng), rng.standard_normal(N)
    F = curvature(matrices)
    theta, state = first_step(KFAC(0.3, 1e-8), g, F, metric=F)
    M = damped_matrix(matrices, 0.0)
    assert state.report.metric_cost == pytest.approx(theta @ M @ theta, rel=1e-9)
    assert state.report.dissipation == pytest.approx(g @ np.linalg.solve(M, g), rel=1e-6)
    assert state.report.excess == pytest.approx(1.0, abs=1e-4)


def run(optimizer, batches, gradients, theta, state):
    for matrices, g in zip(batches, gradients, strict=True):
        theta, state = optimizer.step(theta, g, curvature(matrices), state)
    return theta, state


def test_a_run_goes_on_from_a_file(rng):
    def make():
        return KFAC(0.1, 1e-2, momentum=0.9, tracking=Tracking(interval=4), kl_clip=0.5)

    batches, gradients = [batch(rng) for _ in range(9)], rng.standard_normal((9, N))
    theta, state = run(make(), batches, gradients, np.ones(N), make().init(np.ones(N)))
    half, middle = run(make(), batches[:5], gradients[:5], np.ones(N), make().init(np.ones(N)))
    file = io.BytesIO()
    np.savez(file, **middle.arrays)
    file.seek(0)
    with np.load(file) as arrays:
        kept = State(step=middle.step, arrays=dict(arrays))
    resumed, end = run(make(), batches[5:], gradients[5:], half, kept)
    np.testing.assert_array_equal(resumed, theta)
    assert end.arrays.keys() == state.arrays.keys()
    for name, value in state.arrays.items():
        assert value.dtype.kind in "fi"
        np.testing.assert_array_equal(end.arrays[name], value)


# What is refused ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"learning_rate": 0.0}, "learning_rate must be positive"),
        ({"damping": -1.0}, "damping must be non-negative"),
        ({"damping": 0.0, "split": "pi"}, "damping must be positive"),
        ({"split": "both"}, "split must be one of"),
        ({"momentum": 1.0}, "momentum must be in"),
        ({"kl_clip": 0.0}, "kl_clip must be positive"),
        ({"tracking": 0.95}, "tracking must be a Tracking, got float"),
        ({"tracking": Tracking(eigenvalues="samples"), "split": "pi"}, "need split=\"exact\", got split='pi'"),
    ],
)
def test_bad_options_are_named(options, words):
    with pytest.raises(ValueError, match=words):
        KFAC(**({"learning_rate": 0.1} | options))


def test_bad_steps_are_named_and_change_nothing(rng):
    F, g = curvature(batch(rng)), rng.standard_normal(N)
    optimizer = KFAC(0.1, momentum=0.5)
    theta, state = first_step(optimizer, g, F)
    before = {name: value.copy() for name, value in state.arrays.items()}
    start = theta.copy()
    bad = [
        (g[:-1], F, "gradient must have shape"),
        (np.where(np.arange(N) == 3, np.nan, g), F, "gradient must be finite"),
        (g, None, "KFAC needs a curvature at every step"),
        (g, np.eye(N), "curvature must be a Curvature"),
        (g, DiagonalCurvature(np.ones(N - 1)), "curvature is of 20 parameters, theta has 21"),
        (g, DiagonalCurvature(np.ones(N)), "curvature has 1 blocks, that of earlier steps 4"),
    ]
    for gradient, given, words in bad:
        with pytest.raises(ValueError, match=words):
            optimizer.step(theta, gradient, given, state)
    assert state.arrays.keys() == before.keys()
    for name, value in before.items():
        np.testing.assert_array_equal(state.arrays[name], value)
    np.testing.assert_array_equal(theta, start)


def test_low_rank_curvature_is_refused(rng):
    for F in (LowRankCurvature(np.ones((2, 4))), BlockCurvature([LowRankCurvature(np.ones((2, 4)))])):
        with pytest.raises(ValueError, match=r"block 0 .* LowRankCurvature, which has no average.*give KroneckerCurv"):
            first_step(KFAC(0.1), np.ones(4), F)


def test_damping_zero_with_a_deficient_factor_is_refused(rng):
    F = KroneckerCurvature(semidefinite(rng, P, 2), semidefinite(rng, R))
    with pytest.raises(tl.errors.NotPositiveDefinite, match=r"damping=0.*smallest eigenvalue"):
        first_step(KFAC(0.1, 0.0), np.ones(P * R), F)


def test_a_step_that_overflows_is_refused():
    with pytest.raises(FloatingPointError, match="the step of KFAC"), np.errstate(over="ignore"):
        first_step(KFAC(1e300, 1e-10), np.full(1, 1e300), DiagonalCurvature([0.0]))
