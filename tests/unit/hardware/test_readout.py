"""Read-outs with gains of their own: an error that no averaging removes, planned for and refined away."""

import numpy as np
import pytest

import thermolinalg as tl

A = tl.problems.wishart(6, rng=4)
B = np.random.default_rng(5).standard_normal(6)
X = np.linalg.solve(A, B)
DEVICE = tl.Device(eps_sys=0.02)


def test_gains_are_fixed_and_of_the_stated_size():
    many = tl.Device(eps_sys=0.02).read_gains(20_000) - 1.0
    assert np.array_equal(many, tl.Device(eps_sys=0.02, beta=7.0).read_gains(20_000) - 1.0)
    assert many.std() == pytest.approx(0.02, rel=5 / np.sqrt(40_000))
    assert not np.array_equal(many, tl.Device(eps_sys=0.02, mismatch_seed=1).read_gains(20_000) - 1.0)
    assert np.array_equal(tl.Device().read_gains(3), np.ones(3))


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
