"""Error mitigation: the ensemble's mean is A, first order cancels, the bias is the predicted one."""

import numpy as np
import pytest
import scipy.sparse

import thermolinalg as tl

A = tl.problems.wishart(12, rng=3)
INVERSE = np.linalg.inv(A)


def merged_inverse(ensemble):
    return sum(w * np.linalg.inv(M) for w, M in zip(ensemble.weights, ensemble.matrices, strict=True))


@pytest.mark.parametrize("members", [1, 2, 5, 12, 40])
def test_digit_ensemble_has_mean_A_to_its_last_digit(members):
    e = tl.rounding_ensemble(A, 6, members=members)
    assert e.weights.sum() == pytest.approx(1.0, abs=1e-15)
    assert np.abs(e.mean() - A).max() <= e.step * 0.5**members * 1.001 + 1e-15


@pytest.mark.parametrize("method", ["digits", "stochastic"])
def test_members_are_symmetric_neighbouring_levels(method):
    e = tl.rounding_ensemble(A, 5, members=7, method=method, rng=0)
    top = np.abs(A).max()
    for M in e.matrices:
        assert np.array_equal(M, M.T)
        assert np.abs(M - A).max() < e.step
        codes = M / e.step
        assert np.allclose(codes, np.rint(codes), atol=1e-9)
        assert np.abs(M).max() <= top * (1 + 1e-12)
        again, clipped = tl.hardware.Quantizer(5).round(M)  # the device's own rounding leaves a member alone
        assert np.allclose(again, M, rtol=0, atol=1e-12)
        assert clipped == 0


def test_stochastic_ensemble_is_unbiased():
    e = tl.rounding_ensemble(A, 5, members=4000, method="stochastic", rng=1)
    fraction = A / e.step - np.floor(A / e.step)
    error = e.step * np.sqrt(fraction * (1 - fraction) / 4000)
    assert np.all(np.abs(e.mean() - A) <= 5 * error + 1e-12)


@pytest.mark.parametrize(("method", "members"), [("digits", 20), ("stochastic", 3000)])
def test_halving_the_step_divides_the_merged_bias_by_four(method, members):
    bits = np.arange(9, 13) if method == "digits" else np.arange(7, 10)
    steps, merged, single = [], [], []
    for b in bits:
        e = tl.rounding_ensemble(A, int(b), members=members, method=method, rng=0)
        steps.append(e.step)
        merged.append(np.trace(merged_inverse(e) - INVERSE))
        single.append(np.linalg.norm(np.linalg.inv(tl.hardware.Quantizer(int(b)).round(A)[0]) - INVERSE))
    slope = np.polyfit(np.log(steps), np.log(merged), 1)[0]
    assert slope == pytest.approx(2.0, abs=0.35)
    assert np.polyfit(np.log(steps), np.log(single), 1)[0] == pytest.approx(1.0, abs=0.5)
    assert np.all(np.array(merged) > 0)  # Jensen: the merged inverse is too large


def test_predicted_bias_is_the_bias_and_can_be_subtracted():
    e = tl.rounding_ensemble(A, 11, members=20)
    left = merged_inverse(e) - INVERSE
    corrected = left - e.bias(A, INVERSE)
    assert np.linalg.norm(corrected) < 0.05 * np.linalg.norm(left)
    assert np.linalg.eigvalsh(e.bias(A, INVERSE)).min() > -1e-15


def test_expected_bias_is_the_mean_over_stochastic_roundings():
    step = tl.hardware.Quantizer(9).step(np.abs(A).max())
    expected = tl.expected_bias(A, INVERSE, step)
    draws = np.array(
        [tl.rounding_ensemble(A, 9, members=1, method="stochastic", rng=seed).bias(A, INVERSE) for seed in range(800)]
    )
    error = draws.std(axis=0, ddof=1) / np.sqrt(len(draws))
    assert np.all(np.abs(draws.mean(axis=0) - expected) < 5 * error)


@pytest.mark.parametrize("primitive", [tl.solve, tl.inv])
def test_mitigated_estimates_are_within_their_errors_of_the_ensemble_mean(primitive):
    device, b = tl.Device(matrix_bits=8), np.ones(12)
    e = tl.rounding_ensemble(A, 8, members=6)
    args, truth = ((b,), merged_inverse(e) @ b) if primitive is tl.solve else ((), merged_inverse(e))
    z = []
    for seed in range(60):
        r = tl.mitigate(primitive, A, *args, members=6, device=device, n_reads=4000, rng=seed)
        z.append(((r.value - truth) / r.stderr).ravel()[seed % truth.size])
    assert abs(np.mean(z)) < 4 / np.sqrt(60)
    assert abs(np.std(z) - 1) < 4 / np.sqrt(120)


def test_time_is_shared_out_by_weight_and_every_member_is_loaded():
    device = tl.Device.tngd(matrix_bits=9)
    r = tl.mitigate(tl.solve, A, np.ones(12), members=4, device=device, duration=800.0, rng=0)
    assert r.duration == pytest.approx(800.0)
    assert r.cost.integrate == pytest.approx(800e-6)
    assert r.cost.load == pytest.approx(4 * device.load_seconds(144, 12))


def test_reads_are_shared_out_by_weight():
    for n_reads, shares in ((64, (32, 16, 8, 4, 2, 2)), (16, (8, 4, 2, 1, 1, 1))):
        r = tl.mitigate(tl.inv, A, members=6, n_reads=n_reads, device=tl.Device(matrix_bits=8), rng=0)
        assert r.n_reads == sum(shares)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: tl.rounding_ensemble([[1.0, 2.0], [0.0, 1.0]], 4), "A must be symmetric"),
        (lambda: tl.rounding_ensemble(A, 1), "bits must be at least 2"),
        (lambda: tl.rounding_ensemble(scipy.sparse.eye_array(3), 4), r"A is sparse, .* pass A.toarray\(\)"),
        (lambda: tl.rounding_ensemble(A, 4, members=0), "members must be at least 1"),
        (lambda: tl.rounding_ensemble(A, 4, members=51), "members must be at most 50"),
        (lambda: tl.rounding_ensemble(A, 4, method="dice"), "method must be one of 'digits', 'stochastic'"),
        (lambda: tl.rounding_ensemble(A, 4, full_scale=0.1), "full_scale must hold every entry of A"),
        (lambda: tl.mitigate(tl.inv, A, n_reads=10, device=tl.Device()), "device must have matrix_bits"),
        (lambda: tl.mitigate(tl.inv, A, rtol=0.1, device=tl.Device(matrix_bits=4)), "rtol and refine have no share"),
        (lambda: tl.expected_bias(A, INVERSE, 0.0), "step must be positive"),
        (
            lambda: tl.mitigate(tl.inv, A, members=6, n_reads=15, device=tl.Device(matrix_bits=8)),
            "n_reads = 15 leaves no read for a member of weight 0.0312; use n_reads >= 16, or fewer members",
        ),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_an_indefinite_member_is_named():
    B = tl.problems.with_condition(12, 1e4, rng=0)
    with pytest.raises(tl.errors.NotPositiveDefinite, match="member 0 of the rounding ensemble"):
        tl.mitigate(tl.inv, B, n_reads=100, device=tl.Device(matrix_bits=4), rng=0)
