"""TNGD on a device with converters: rounding of what goes in, of what is held, of what comes out."""

import numpy as np
import pytest
from scipy.sparse.linalg import aslinearoperator

import thermolinalg as tl
from tests import oracles
from thermolinalg.curvature import DenseCurvature, DiagonalCurvature, KroneckerCurvature, LowRankCurvature
from thermolinalg.optimizers.tngd import TNGD

N = 5


def estimate(F, g, damping=0.3, time=1.5, beta=np.inf, rng=None, **options):
    """Minus the displacement of one step at learning rate 1, and the report."""
    names = ("start", "n_reads", "read_spacing", "simulator", "time_step")
    mine = {name: options.pop(name) for name in names if name in options}
    optimizer = TNGD(1.0, damping, time, device=tl.Device(beta=beta, **options), rng=rng, **mine)
    theta, state = optimizer.step(np.zeros(len(g)), g, F, optimizer.init(g))
    return -theta, state.report


def rounded(x, bits):
    return oracles.quantise(x, bits, np.abs(x).max())


def problem(rng):
    rows = rng.standard_normal((3, N))
    return rows, rng.standard_normal(N)


def law(A, g, x0=None, time=1.5):
    return oracles.voltage_law(A, g, g if x0 is None else x0, 1.0, time)[0]


@pytest.mark.parametrize("bits", [3, 8])
def test_gradient_is_rounded_going_in(bits, rng):
    rows, g = problem(rng)
    A = rows.T @ rows + 0.3 * np.eye(N)
    x, _ = estimate(LowRankCurvature(rows), g, dac_bits=bits)
    np.testing.assert_allclose(x, law(A, rounded(g, bits)), rtol=1e-9, atol=1e-12)  # the start is rounded as well
    x, _ = estimate(LowRankCurvature(rows), g, dac_bits=bits, start="zero")
    np.testing.assert_allclose(x, law(A, rounded(g, bits), np.zeros(N)), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("simulator", ["law", "path"])
@pytest.mark.parametrize("bits", [4, 9])
def test_every_read_is_rounded_coming_out(bits, simulator, rng):
    rows, g = problem(rng)
    A = rows.T @ rows + 0.3 * np.eye(N)
    reads = [law(A, g, time=t) for t in (1.5, 1.7, 1.9)]
    options = {"simulator": simulator, "time_step": 1e-3 if simulator == "path" else 0.1}
    one, _ = estimate(LowRankCurvature(rows), g, adc_bits=bits, **options)
    mean, _ = estimate(LowRankCurvature(rows), g, adc_bits=bits, n_reads=3, read_spacing=0.2, **options)
    # Euler's own error may push a read over the edge of a cell, but not further than into the next one
    slack = 0.0 if simulator == "law" else 2.1 * np.abs(reads[0]).max() / (2**bits - 2) + 1e-2
    np.testing.assert_allclose(one, rounded(reads[0], bits), rtol=1e-9, atol=1e-12 + slack)
    np.testing.assert_allclose(mean, np.mean([rounded(r, bits) for r in reads], axis=0), rtol=1e-9, atol=1e-12 + slack)


def test_what_is_carried_is_a_voltage_and_not_its_word(rng):
    rows, g = problem(rng)
    optimizer = TNGD(1.0, 0.3, 1.5, device=tl.Device(beta=np.inf, adc_bits=3))
    _, state = optimizer.step(g, g, LowRankCurvature(rows), optimizer.init(g))
    exact = law(rows.T @ rows + 0.3 * np.eye(N), g)
    np.testing.assert_allclose(state.arrays["voltages"], exact, rtol=1e-9, atol=1e-12)


def test_gains_and_read_noise_act_on_what_is_read(rng):
    rows, g = problem(rng)
    A, F = rows.T @ rows + 0.3 * np.eye(N), LowRankCurvature(rows)
    gains = tl.Device(eps_sys=0.1).read_gains(N)
    x, _ = estimate(F, g, eps_sys=0.1)
    np.testing.assert_allclose(x, gains * law(A, g), rtol=1e-9, atol=1e-12)
    draws = [estimate(F, g, read_noise=0.5, n_reads=4, rng=int(s))[0] for s in rng.integers(2**60, size=1000)]
    mean = np.mean([law(A, g, time=1.5 + j) for j in range(4)], axis=0)
    oracles.sampled_moments_agree(np.array(draws), mean, 0.5**2 / 4 * np.eye(N))


@pytest.mark.parametrize("bits", [4, 10])
def test_dense_and_diagonal_curvatures_are_rounded_with_their_damping(bits, rng):
    rows, g = problem(rng)
    A = rounded(rows.T @ rows + 2.0 * np.eye(N), bits)
    x, _ = estimate(DenseCurvature(rows.T @ rows), g, 2.0, matrix_bits=bits)
    np.testing.assert_allclose(x, law(A, g), rtol=1e-9, atol=1e-12)
    entries = rng.uniform(0.0, 1.0, N)
    x, _ = estimate(DiagonalCurvature(entries), g, 2.0, matrix_bits=bits)
    np.testing.assert_allclose(x, law(np.diag(rounded(entries + 2.0, bits)), g), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("H", [None, "weights", "matrix", "blocks", "wide"])
@pytest.mark.parametrize("bits", [4, 10])
def test_low_rank_curvatures_are_rounded_array_by_array(bits, H, rng):
    n = 8 if H == "wide" else 4
    rows, g = rng.standard_normal((n, N)), rng.standard_normal(N)
    root = rng.standard_normal((n // 2, 2, 2))
    blocks = root @ root.transpose(0, 2, 1)
    full = np.zeros((n, n))
    for i, block in enumerate(blocks):
        full[2 * i : 2 * i + 2, 2 * i : 2 * i + 2] = block
    given = {None: None, "weights": blocks[:, 0, 0].repeat(2), "matrix": full, "blocks": blocks, "wide": blocks}[H]
    dense = {None: np.eye(n), "weights": np.diag(blocks[:, 0, 0].repeat(2))}.get(H, full)
    J = rounded(rows, bits)
    A = J.T @ rounded(dense, bits) @ J + 9.0 * np.eye(N)
    x, _ = estimate(LowRankCurvature(rows, given), g, 9.0, 0.2, matrix_bits=bits)
    np.testing.assert_allclose(x, law(A, g, time=0.2), rtol=1e-8, atol=1e-11)


def test_stochastic_rounding_is_drawn_anew_at_every_step(rng):
    rows, g = problem(rng)
    F = LowRankCurvature(rows)
    draws = {estimate(F, g, matrix_bits=3, rounding="stochastic", rng=s)[0][0] for s in range(4)}
    assert len(draws) == 4
    assert estimate(F, g, matrix_bits=3, rounding="stochastic", rng=0)[0][0] in draws


def test_few_programs_are_kept(rng):
    rows, g = problem(rng)
    F = LowRankCurvature(rows)
    for bits in (3, 4, 5):
        estimate(F, g, matrix_bits=bits)
    assert len(F.programmed) == 2


def test_saturation_is_counted(rng):
    rows, g = problem(rng)
    F = LowRankCurvature(rows)
    _, report = estimate(F, g, dac_bits=8, dac_range=0.5 * np.sort(np.abs(g))[-2])
    assert report.details["saturated"] >= 2
    _, report = estimate(F, g, matrix_bits=8, matrix_range=float(np.abs(rows).max() / 1.01))
    assert report.details["saturated"] == 2  # the largest entry, in J and in J^T
    _, report = estimate(F, g, adc_bits=8, adc_range=1e-6, n_reads=3)
    assert report.details["saturated"] == 3 * N


def test_too_few_bits_for_a_stable_device(rng):
    v = np.array([1.0, 0.9, 0.2])
    with pytest.raises(tl.errors.NotPositiveDefinite, match=r"as programmed \(matrix_bits=3.*matrix_bits=\d+ would do"):
        estimate(DenseCurvature(np.outer(v, v)), v, 1e-3, matrix_bits=3)
    with pytest.raises(tl.errors.NotPositiveDefinite, match=r"matrix_bits=3.*matrix_bits=\d+ would do"):
        estimate(DiagonalCurvature([1.0, 0.0]), np.ones(2), 0.01, matrix_bits=3)
    H = np.array([[1.0, 0.9], [0.9, 0.82]])  # of determinant 0.01; at 3 bits [[3, 3], [3, 2]] / 3
    F, g = LowRankCurvature(np.eye(2, 6), H), np.ones(6)
    with pytest.raises(tl.errors.NotPositiveDefinite, match="more bits are needed, or a damping above") as caught:
        estimate(F, g, 1e-4, matrix_bits=3)
    assert caught.value.eigenvalue < 0.0
    enough = 1.01 * (1e-4 - caught.value.eigenvalue)
    assert np.isfinite(estimate(F, g, enough, matrix_bits=3)[0]).all()
    with pytest.raises(tl.errors.NotPositiveDefinite, match="damping=0"):
        estimate(F, g, 0.0, matrix_bits=3)


def test_what_cannot_be_rounded_is_refused_with_a_way_out(rng):
    rows, g = problem(rng)
    with pytest.raises(ValueError, match=r"KroneckerCurvature has none of here; pass DenseCurvature\(F.dense\(\)\)"):
        estimate(KroneckerCurvature(np.eye(1), np.eye(N)), g, matrix_bits=8)
    products = LowRankCurvature(aslinearoperator(rows), gram=rows @ rows.T)
    with pytest.raises(ValueError, match="a LowRankCurvature of an array of rows"):
        estimate(products, g, matrix_bits=8)
    with pytest.raises(ValueError, match=r"mismatch=0.1 would make the arrays of J and J\^T unlike"):
        estimate(LowRankCurvature(rows), g, mismatch=0.1)
    x, _ = estimate(DenseCurvature(rows.T @ rows), g, mismatch=0.01)
    held, _ = tl.hardware.program_array(rows.T @ rows + 0.3 * np.eye(N), tl.Device(mismatch=0.01))
    np.testing.assert_allclose(x, law(held, g), rtol=1e-9, atol=1e-12)
