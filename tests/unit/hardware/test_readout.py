"""Read-outs with gains of their own: an error that no averaging removes, planned for and refined away."""

import numpy as np
import pytest
import scipy.linalg

import thermolinalg as tl

A = tl.problems.wishart(6, rng=4)
B = np.random.default_rng(5).standard_normal(6)
X = np.linalg.solve(A, B)
DEVICE = tl.Device(eps_sys=0.02)
GAINS = DEVICE.read_gains(6)


def test_gains_are_fixed_and_of_the_stated_size():
    many = tl.Device(eps_sys=0.02).read_gains(20_000) - 1.0
    assert np.array_equal(many, tl.Device(eps_sys=0.02, beta=7.0).read_gains(20_000) - 1.0)
    assert many.std() == pytest.approx(0.02, rel=5 / np.sqrt(40_000))
    assert not np.array_equal(many, tl.Device(eps_sys=0.02, mismatch_seed=1).read_gains(20_000) - 1.0)
    assert np.array_equal(tl.Device().read_gains(3), np.ones(3))


@pytest.mark.parametrize(
    "options",
    [
        {"duration": 1e6},
        {"duration": 1e6, "simulator": "path"},
        {"n_reads": 4000, "read_spacing": 5.0, "device": tl.Device(eps_sys=0.02, adc_bits=12)},
    ],
)
def test_solve_tends_to_the_answer_times_the_gains(options):
    r = tl.solve(A, B, rng=0, **({"device": DEVICE} | options))
    assert np.all(np.abs(r.value - GAINS * X) < 5 * r.stderr)


@pytest.mark.parametrize(
    "options",
    [
        {"n_reads": 10**6},
        {"n_reads": 5000, "read_spacing": 2.0},
        {"duration": 5000.0},
        {"n_reads": 5000, "device": tl.Device(eps_sys=0.02, read_noise=0.1)},
    ],
)
def test_inv_tends_to_the_inverse_times_both_gains(options):
    r = tl.inv(A, rng=0, **({"device": DEVICE} | options))
    assert np.all(np.abs(r.value - np.outer(GAINS, GAINS) * np.linalg.inv(A)) < 5 * r.stderr)


def test_a_relative_error_below_the_floor_is_refused_and_one_above_is_hit():
    for run in (
        lambda rtol: tl.solve(A, B, rtol=rtol, device=DEVICE, rng=0),
        lambda rtol: tl.inv(A, rtol=rtol, device=DEVICE, rng=0),
    ):
        with pytest.raises(tl.errors.QuantizationFloor, match="eps_sys alone leave"):
            run(0.003)
    errors = [np.linalg.norm(tl.solve(A, B, rtol=0.05, device=DEVICE, rng=s).value - X) for s in range(200)]
    assert np.sqrt(np.mean(np.square(errors))) == pytest.approx(0.05 * np.linalg.norm(X), rel=0.15)


def test_refinement_removes_the_error_of_the_gains():
    r = tl.solve(A, B, rtol=1e-10, refine=True, device=DEVICE, rng=0)
    assert np.linalg.norm(r.value - X) < 1e-10 * np.linalg.norm(X)


@pytest.mark.parametrize(
    "options",
    [
        {"n_reads": 10**6},
        {"n_reads": 5000, "read_spacing": 2.0},
        {"duration": 5000.0},
        {"n_reads": 5000, "device": tl.Device(eps_sys=0.02, read_noise=0.1)},
        {"n_reads": 5000, "read_spacing": 2.0, "device": tl.Device(eps_sys=0.02, adc_bits=9)},
    ],
)
def test_lyapunov_tends_to_the_answer_times_both_gains(options):
    drift, noise = A + np.triu(A, 1) - np.tril(A, -1), np.diag([1.0, 2.0, 3.0, 1.0, 2.0, 3.0])
    identity = np.eye(6)
    exact = np.linalg.solve(np.kron(drift, identity) + np.kron(identity, drift), noise.ravel()).reshape(6, 6)
    r = tl.lyapunov(drift, noise, rng=0, **({"device": DEVICE} | options))
    assert np.all(np.abs(r.value - np.outer(GAINS, GAINS) * exact) < 5 * r.stderr)


@pytest.mark.parametrize("options", [{"read_spacing": None, "n_reads": 10**6}, {"n_reads": 5000}])
def test_exponentials_tend_to_the_answer_times_both_gains(options):
    exact = scipy.linalg.expm(-A)
    r = tl.negexpm(A, rng=0, device=DEVICE, **options)
    assert np.all(np.abs(r.value - np.outer(GAINS, GAINS) * exact) < 5 * r.stderr)
    r = tl.expm_action(-A, B, rng=0, device=DEVICE, **options)
    assert np.all(np.abs(r.value - GAINS * (exact @ (GAINS * B))) < 5 * r.stderr)


def test_floor_of_the_gains_is_known_to_lyapunov_and_exponentials():
    for run in (
        lambda: tl.lyapunov(A, 2.0, rtol=0.003, device=DEVICE),
        lambda: tl.negexpm(A, rtol=0.003, device=DEVICE),
    ):
        with pytest.raises(tl.errors.QuantizationFloor, match="eps_sys alone leave"):
            run()


def test_work_is_read_with_one_gain():
    plain, off = (
        tl.logdet(A, duration=50.0, n_paths=100, device=device, estimator="bar", rng=0)
        for device in (None, tl.Device(eps_sys=0.02))
    )
    gain = tl.Device(eps_sys=0.02).read_gains(1)[0]
    np.testing.assert_allclose(off.work, gain * plain.work, rtol=1e-12)
    np.testing.assert_allclose(off.reverse_work, gain * plain.reverse_work, rtol=1e-12)
    assert "does not cover what eps_sys" in str(off)
    assert "does not cover" not in str(plain)
