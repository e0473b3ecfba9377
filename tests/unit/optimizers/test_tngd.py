"""TNGD against dense linear algebra: its two ends, what it carries from step to step, what converters do to it."""

import numpy as np
import pytest

import thermolinalg as tl
from tests import oracles
from thermolinalg.curvature import (
    BlockCurvature,
    DenseCurvature,
    DiagonalCurvature,
    KroneckerCurvature,
    LowRankCurvature,
)
from thermolinalg.optimizers import SGD, Adam
from thermolinalg.optimizers.protocol import State
from thermolinalg.optimizers.tngd import TNGD

N = 6
MODES = ["carry", "gradient", "zero"]


def curvatures(rng):
    """Every shape with its matrix; all singular."""
    rows, A, G = rng.standard_normal((4, N)), np.ones((2, 2)), np.diag([2.0, 1.0, 0.0])
    H = np.array([[2.0, -2.0], [-2.0, 2.0]])
    blocks = np.zeros((N, N))
    blocks[:3, :3], blocks[3:, 3:] = 1.0, np.diag([2.0, 0.0, 1.0])
    parts = [DenseCurvature(blocks[:3, :3]), DiagonalCurvature([2.0, 0.0, 1.0])]
    return {
        "low rank": (LowRankCurvature(rows), rows.T @ rows),
        "with H": (LowRankCurvature(rows, np.stack([H, H])), rows.T @ np.kron(np.eye(2), H) @ rows),
        "more rows than N": (LowRankCurvature(np.tile(rows, (2, 1))), 2.0 * rows.T @ rows),
        "dense": (DenseCurvature(rows.T @ rows), rows.T @ rows),
        "diagonal": (DiagonalCurvature([3.0, 2.0, 1.0, 0.5, 0.1, 0.0]), np.diag([3.0, 2.0, 1.0, 0.5, 0.1, 0.0])),
        "kronecker": (KroneckerCurvature(A, G), np.kron(A, G)),
        "blocks": (BlockCurvature(parts), blocks),
    }  # fmt: skip


SHAPES = list(curvatures(np.random.default_rng(0)))


def problems(rng, n_steps=3):
    """Low-rank curvatures of successive batches, their matrices and gradients."""
    rows = rng.standard_normal((n_steps, 3, N))
    return [(LowRankCurvature(J), J.T @ J, g) for J, g in zip(rows, rng.standard_normal((n_steps, N)), strict=True)]


def take(optimizer, batches, state=None):
    """Displacements over the learning rate, one for each (curvature, matrix, gradient); the last state."""
    theta = np.zeros(batches[0][2].size)
    state, moves = optimizer.init(theta) if state is None else state, []
    for F, _, g in batches:
        moved, state = optimizer.step(theta, g, F, state)
        moves.append((moved - theta) / state.report.learning_rate)
    return np.array(moves), state


def relaxed(A, g, x0, time):
    return oracles.voltage_law(A, g, x0, 1.0, time)[0] if time else x0


@pytest.mark.parametrize("shape", SHAPES)
def test_ends_are_natural_gradient_and_sgd(shape, rng):
    F, dense = curvatures(rng)[shape]
    g, theta = rng.standard_normal(N), rng.standard_normal(N)
    natural = np.linalg.solve(dense + 0.01 * np.eye(N), g)
    for time, start in ((np.inf, "carry"), (np.inf, "gradient"), (np.inf, "zero"), (3e4, "gradient")):
        optimizer = TNGD(0.5, damping=0.01, run_time=time, start=start)
        moved, state = optimizer.step(theta, g, F, optimizer.init(theta))
        np.testing.assert_allclose(theta - moved, 0.5 * natural, atol=1e-10 * np.abs(natural).max(), rtol=0)
    optimizer = TNGD(0.5, damping=0.01, run_time=0.0, start="gradient")
    moved, state = optimizer.step(theta, g, F, optimizer.init(theta))
    expected, _ = SGD(0.5).step(theta, g, None, State())
    np.testing.assert_allclose(moved, expected, rtol=1e-10)
    assert (state.report.damping, state.report.learning_rate) == (0.01, 0.5)


@pytest.mark.parametrize("start", MODES)
@pytest.mark.parametrize("shape", SHAPES)
def test_finite_time_without_damping_filters_every_shape(shape, start, rng):
    """Spectral filters of every shape, null space included: the mean there grows as time times the gradient."""
    F, dense = curvatures(rng)[shape]
    g = rng.standard_normal(N)
    moves, _ = take(TNGD(1.0, damping=0.0, run_time=2.0, start=start), [(F, dense, g)])
    x0 = np.zeros(N) if start == "zero" else g
    expected = relaxed(dense, g, x0, 2.0)
    np.testing.assert_allclose(-moves[0], expected, atol=1e-10 * np.abs(expected).max())


@pytest.mark.parametrize("shape", SHAPES)
def test_noise_is_that_of_the_law(shape, rng):
    """800 seeds, also in the null space, without damping."""
    F, dense = curvatures(rng)[shape]
    g = rng.standard_normal(N)
    steps = []
    for seed in rng.integers(2**60, size=800):
        optimizer = TNGD(1.0, damping=0.0, run_time=1.5, beta=50.0, rng=int(seed))
        steps.append(optimizer.step(np.zeros(N), g, F, State(arrays=optimizer._start(g)))[0])
    mean, covariance = oracles.voltage_law(dense, g, g, 50.0, 1.5)
    oracles.sampled_moments_agree(-np.array(steps), mean, covariance)


def test_noise_over_reads_on_the_way_is_that_of_the_law(rng):
    F, dense = curvatures(rng)["low rank"]
    A, g = dense + 0.5 * np.eye(N), rng.standard_normal(N)
    seeds, options = rng.integers(2**60, size=800), {"run_time": 0.6, "n_reads": 4, "read_spacing": 0.8}
    steps = [take(TNGD(1.0, 0.5, beta=9.0, rng=int(s), **options), [(F, A, g)])[0][0] for s in seeds]
    oracles.sampled_moments_agree(-np.array(steps), *oracles.reads_law(A, g, g, 9.0, 0.6, 4, 0.8))


@pytest.mark.parametrize("delay", [0.0, 0.9])
@pytest.mark.parametrize("timing", ["current", "stale"])
@pytest.mark.parametrize("simulator", ["law", "path"])
def test_steps_are_a_device_followed_through_time(simulator, timing, delay, rng):
    """One state, uploads as they come: read after `run_time`, the delay passes before the next upload."""
    batches, time, damping = problems(rng, 4), 1.3, 0.2
    estimates, x = [], batches[0][2]
    for _, F, g in batches:
        A = F + damping * np.eye(N)
        x = relaxed(A, g, x, time)
        estimates.append(x)
        x = relaxed(A, g, x, delay)
    expected = [batches[0][2], *estimates[:-1]] if timing == "stale" else estimates

    def moves(**options):
        optimizer = TNGD(0.1, damping, time, delay=delay, curvature_timing=timing, **options)
        return take(optimizer, batches)[0]

    if simulator == "law":
        np.testing.assert_allclose(-moves(), expected, rtol=1e-9, atol=1e-12)
    else:
        one, two, three = (-moves(simulator="path", time_step=h) for h in (0.02, 0.01, 0.005))
        extrapolated = one / 3.0 - 2.0 * two + 8.0 / 3.0 * three
        assert np.abs(three - expected).max() > 1e-4
        np.testing.assert_allclose(extrapolated, expected, atol=1e-4)


@pytest.mark.parametrize("start", ["gradient", "zero"])
@pytest.mark.parametrize("timing", ["current", "stale"])
def test_a_device_that_is_reset_remembers_nothing(timing, start, rng):
    batches = problems(rng)
    expected = [relaxed(F, g, g if start == "gradient" else np.zeros(N), 0.8) for _, F, g in batches]
    if timing == "stale":
        expected = [batches[0][2], *expected[:-1]]
    moves, state = take(TNGD(1.0, 0.0, 0.8, start=start, curvature_timing=timing), batches)
    np.testing.assert_allclose(-moves, expected, rtol=1e-9, atol=1e-12)
    assert set(state.arrays) == ({"estimate"} if timing == "stale" else set())


def test_carried_state_is_momentum_in_the_null_space(rng):
    """Gradients in the range of J^T: what is left of an earlier batch in null(G) decays by e^{-damping time}."""
    rows, time, damping = rng.standard_normal((3, N)), 7.0, 0.03
    null = np.linalg.svd(rows)[2][3:]
    first, F = rng.standard_normal(N), LowRankCurvature(rows)
    batches = [(F, None, first)] + [(F, None, rows.T @ rng.standard_normal(3)) for _ in range(4)]
    moves, state = take(TNGD(0.1, damping, time), batches)
    along = -moves @ null.T
    np.testing.assert_allclose(along[2:] / along[1:-1], np.exp(-damping * time), rtol=1e-10)
    np.testing.assert_allclose(null @ state.arrays["voltages"], along[-1], rtol=1e-10)
    # the delay is time under the old problem: the same decay
    moves, _ = take(TNGD(0.1, damping, time, delay=5.0), batches)
    along = -moves @ null.T
    np.testing.assert_allclose(along[2:] / along[1:-1], np.exp(-damping * 12.0), rtol=1e-10)


def test_carried_state_is_a_moving_average_mode_by_mode(rng):
    mu, damping, time = np.array([4.0, 1.0, 0.1, 0.01, 0.0, 0.0]), 0.05, 3.0
    gradients = rng.standard_normal((5, N))
    memory = np.exp(-(mu + damping) * time)
    average = gradients[0]
    for g in gradients:
        average = memory * average + (1.0 - memory) / (mu + damping) * g
    moves, _ = take(TNGD(1.0, damping, time), [(DiagonalCurvature(mu), None, g) for g in gradients])
    np.testing.assert_allclose(-moves[-1], average, rtol=1e-12)


def test_the_rate_is_that_of_the_inner_rule():
    for optimizer in (TNGD(0.5), TNGD(inner=Adam(0.5))):
        assert optimizer.learning_rate == optimizer.inner.learning_rate == 0.5
        optimizer.learning_rate = 0.25
        report = optimizer.step(np.ones(1), np.ones(1), DiagonalCurvature([1.0]), optimizer.init(np.ones(1)))[1].report
        assert report.learning_rate == 0.25


def test_inner_rule_is_the_rule_on_the_estimate(rng):
    batches, theta = problems(rng, 4), rng.standard_normal(N)
    ours, alone = TNGD(inner=Adam(0.1, 0.5, 0.9), damping=0.1, run_time=2.0), Adam(0.1, 0.5, 0.9)
    plain, reference = ours.init(theta), alone.init(theta)
    estimates, _ = take(TNGD(1.0, 0.1, 2.0), batches)
    mine = other = theta
    for (F, _, g), estimate in zip(batches, -estimates, strict=True):
        mine, plain = ours.step(mine, g, F, plain)
        other, reference = alone.step(other, estimate, None, reference)
        assert plain.report.gradient_norm == pytest.approx(np.linalg.norm(g), rel=1e-12)
    np.testing.assert_allclose(mine, other, rtol=1e-10)
    assert set(plain.arrays) == {"inner_mean", "inner_square", "voltages"}


@pytest.mark.parametrize(
    "options",
    [
        {"inner": Adam(0.1), "curvature_timing": "stale", "delay": 0.5, "n_reads": 3, "beta": 10.0},
        {"inner": SGD(0.1, momentum=0.9), "device": tl.Device(beta=5.0, adc_bits=6, dac_bits=8), "n_reads": 2},
        {"inner": SGD(0.1), "start": "zero", "simulator": "path", "time_step": 0.05, "beta": 3.0},
    ],
    ids=["adam", "converters", "path"],
)
def test_saved_and_restored_runs_go_on_alike(options, rng, tmp_path):
    batches, seed = problems(rng, 6), int(rng.integers(2**32))

    def optimizer():
        return TNGD(damping=0.1, run_time=1.0, rng=seed, **options)

    whole, _ = take(optimizer(), batches)
    first, state = take(optimizer(), batches[:3])
    np.savez(tmp_path / "state.npz", **state.arrays)
    with np.load(tmp_path / "state.npz") as file:
        restored = State(step=3, arrays=dict(file))
    rest, _ = take(optimizer(), batches[3:], restored)
    np.testing.assert_array_equal(np.vstack((first, rest)), whole)


def test_a_sweep_over_times_factorises_once(rng, monkeypatch):
    F, g, calls = DenseCurvature(curvatures(rng)["dense"][1]), rng.standard_normal(N), []
    eigh = np.linalg.eigh, tl.curvature.base.scipy.linalg.eigh
    for module, plain in zip((np.linalg, tl.curvature.base.scipy.linalg), eigh, strict=True):
        monkeypatch.setattr(module, "eigh", lambda *a, plain=plain, **k: calls.append(1) or plain(*a, **k))
    for device in (tl.Device(beta=1e3), tl.Device(beta=1e3, matrix_bits=12)):
        calls.clear()
        for time in (1.0, 5.0, np.inf):
            optimizer = TNGD(0.1, 0.1, time, device=device)
            optimizer.step(g, g, F, optimizer.init(g))
        assert len(calls) == 1


def test_report_counts_the_seconds_of_the_device():
    """The counts of arXiv:2405.13817, App. C, by hand: b dz (b dz + 2 N) numbers at 16 bits over 50 Gb/s."""
    rows, size = 4, 100
    F = LowRankCurvature(np.eye(rows, size))
    optimizer = TNGD(0.1, 0.1, 50.0, delay=2.0, n_reads=3, read_spacing=4.0, device=tl.Device.tngd(beta=1e6))
    _, state = take(optimizer, [(F, None, np.ones(size))])
    details = state.report.details
    assert details["load_seconds"] == pytest.approx(16 * (rows * (rows + 2 * size) + size) / 50e9, rel=1e-12)
    assert details["relax_seconds"] == pytest.approx(60e-6, rel=1e-12)
    assert details["read_seconds"] == pytest.approx(16 * 3 * size / 50e9, rel=1e-12)
    parts = ("load_seconds", "relax_seconds", "read_seconds")
    assert state.report.device_seconds == pytest.approx(sum(details[name] for name in parts), rel=1e-12)
    assert details["saturated"] == 0.0
    _, state = take(TNGD(0.1, 0.1, np.inf), [(F, None, np.ones(size))])
    assert state.report.device_seconds == np.inf


# Edge cases ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("timing", ["current", "stale"])
@pytest.mark.parametrize("time", [0.0, 2.0, np.inf])
def test_zero_gradient_from_a_fresh_state_moves_nothing(time, timing, rng):
    F, _ = curvatures(rng)["low rank"]
    moves, state = take(TNGD(0.1, 0.1, time, curvature_timing=timing), [(F, None, np.zeros(N))] * 2)
    np.testing.assert_array_equal(moves, 0.0)
    assert state.report.predicted_decrease == 0.0


@pytest.mark.parametrize("F", [LowRankCurvature(np.zeros((2, N))), DenseCurvature(np.zeros((N, N)))], ids=repr)
def test_curvature_of_rank_zero_is_damping_alone(F, rng):
    g = rng.standard_normal(N)
    np.testing.assert_allclose(take(TNGD(1.0, 0.2, np.inf), [(F, None, g)])[0][0], -g / 0.2, rtol=1e-12)
    np.testing.assert_allclose(take(TNGD(1.0, 0.0, 3.0), [(F, None, g)])[0][0], -4.0 * g, rtol=1e-12)
    with pytest.raises(tl.errors.NotPositiveDefinite, match="give a positive damping, or a finite run_time"):
        take(TNGD(1.0, 0.0, np.inf), [(F, None, g)])


def test_infinite_time_without_damping_needs_a_definite_curvature(rng):
    rows, g = rng.standard_normal((8, N)), rng.standard_normal(N)
    for F in (LowRankCurvature(rows), DenseCurvature(rows.T @ rows)):
        moves, _ = take(TNGD(1.0, 0.0, np.inf), [(F, None, g)])
        np.testing.assert_allclose(-moves[0], np.linalg.solve(rows.T @ rows, g), rtol=1e-9)


def test_what_fails_changes_nothing(rng):
    batches = problems(rng)
    optimizer = TNGD(0.1, 0.1, 1.0, curvature_timing="stale", rng=1)
    _, state = take(optimizer, batches)
    before = {name: array.copy() for name, array in state.arrays.items()}
    theta, (F, _, g) = np.ones(N), batches[0]
    bad = g.copy()
    bad[2] = np.nan
    with pytest.raises(ValueError, match=r"gradient must be finite, got nan at index \(2,\)"):
        optimizer.step(theta, bad, F, state)
    with pytest.raises(ValueError, match=r"gradient must have shape \(6,\), got \(5,\)"):
        optimizer.step(theta, g[:5], F, state)
    with pytest.raises(ValueError, match="curvature is of 3 parameters, theta has 6"):
        optimizer.step(theta, g, DiagonalCurvature(np.ones(3)), state)
    with pytest.raises(ValueError, match="TNGD needs a curvature"):
        optimizer.step(theta, g, None, state)
    with pytest.raises(FloatingPointError, match="estimate on the device is not finite"), np.errstate(all="ignore"):
        TNGD(0.1, 0.0, 50.0, curvature_timing="stale").step(
            theta, np.full(N, 1e307), DiagonalCurvature(theta - 1.0), state
        )
    assert set(state.arrays) == set(before)
    for name, array in state.arrays.items():
        np.testing.assert_array_equal(array, before[name])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "exactly one of learning_rate, inner; got none"),
        ({"learning_rate": 0.1, "inner": Adam()}, "got learning_rate and inner"),
        ({"inner": "adam"}, "inner must be an optimizer that needs a gradient only, got 'adam'"),
        ({"inner": TNGD(0.1)}, "inner must be an optimizer that needs a gradient only"),
        ({"learning_rate": 0.1, "damping": -1.0}, "damping must be non-negative"),
        ({"learning_rate": 0.1, "run_time": -1.0}, "run_time must be non-negative in units of RC, got -1.0"),
        ({"learning_rate": 0.1, "delay": -1.0}, "delay must be non-negative"),
        ({"learning_rate": 0.1, "delay": 1.0, "start": "zero"}, "needs start='carry'"),
        ({"learning_rate": 0.1, "start": "reset"}, "start must be one of"),
        ({"learning_rate": 0.1, "curvature_timing": "late"}, "curvature_timing must be one of"),
        ({"learning_rate": 0.1, "beta": 1.0, "device": tl.Device()}, "give beta or device, not both"),
        ({"learning_rate": 0.1, "beta": 0.0}, "beta must be positive"),
        ({"learning_rate": 0.1, "n_reads": 0}, "n_reads must be at least 1"),
        ({"learning_rate": 0.1, "read_spacing": 0.0}, "read_spacing must be positive"),
        ({"learning_rate": 0.1, "simulator": "euler"}, "simulator must be one of"),
        ({"learning_rate": 0.1, "simulator": "path", "run_time": np.inf}, "path' needs a finite run_time"),
        ({"learning_rate": 0.1, "time_step": 0.0}, "time_step must be positive"),
    ],
)  # fmt: skip
def test_bad_parameters_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        TNGD(**options)


def test_paths_count_their_products_and_refuse_an_unstable_step():
    F = DiagonalCurvature([9.0, 1.0])
    _, state = take(TNGD(0.1, 1.0, 2.0, simulator="path", time_step=0.15), [(F, None, np.ones(2))])
    assert state.report.details["products"] == 14.0
    with pytest.raises(ValueError, match="time_step lambda_max = 3"):
        take(TNGD(0.1, 1.0, simulator="path", time_step=0.3), [(F, None, np.ones(2))])
