"""Products of reads in common modes against the same with matrices, and against many paths."""

import numpy as np
import pytest

import thermolinalg as tl
from thermolinalg.measurement.common_modes import CommonModes
from thermolinalg.processes.fourth_moments import moment_variance


@pytest.fixture
def modes():
    A = tl.problems.wishart(5, rng=1)
    rates, vectors = np.linalg.eigh(A)
    return CommonModes(vectors, rates, np.diag(np.linspace(0.5, 2.0, 5)))


@pytest.mark.parametrize("noise", [0.0, 0.3])
@pytest.mark.parametrize("lag", [0, 1])
@pytest.mark.parametrize("n", [1, 2, 7, 1000])
def test_total_variance_is_that_of_all_entries(modes, n, lag, noise):
    drift, S = ((modes.vectors * v) @ modes.vectors.T for v in (modes.rates, modes.variances))
    assert modes.independent
    expected = moment_variance(drift, S, n, lag, None, noise).sum()
    assert modes.total_variance(n, lag, noise) == pytest.approx(expected, rel=1e-12)


def test_equilibration_bias_is_what_the_mean_of_covariances_lacks(modes):
    n = 6
    covariances = [modes.variances * -np.expm1(-2.0 * k * modes.rates) for k in range(n)]
    np.testing.assert_allclose(modes.missing(n), np.diag(modes.variances - np.mean(covariances, axis=0)), rtol=1e-13)


def test_paths_have_the_law_of_the_modes(modes, rng):
    runs, n, before = 4000, 3, 0.2
    x = np.array([np.concatenate([b.copy() for b in modes.paths(rng, n, 2, before)]) for _ in range(runs)])
    for k in range(n):
        variance = modes.variances * -np.expm1(-2.0 * (before + k) * modes.rates)
        assert (np.abs(x[:, k].var(axis=0) - variance) < 5 * variance * np.sqrt(2.0 / runs)).all()
        if k:
            lagged = np.mean(x[:, k] * x[:, k - 1], axis=0)
            earlier = modes.variances * -np.expm1(-2.0 * (before + k - 1) * modes.rates)
            expected = np.exp(-modes.rates) * earlier
            assert (np.abs(lagged - expected) < 5 * np.sqrt((variance * earlier + expected**2) / runs)).all()


def test_paths_do_not_depend_on_the_size_of_blocks(modes):
    def path(rows):
        return np.concatenate([b.copy() for b in modes.paths(np.random.default_rng(0), 10, rows, np.inf)])

    np.testing.assert_array_equal(path(3), path(10))


@pytest.mark.parametrize("n", [50, 2000])
def test_plan_is_that_of_matrices(n):
    """The action on the identity has no modes to go by, and the same burn-in to within some percent."""
    A = tl.problems.wishart(4, rng=0)
    by_modes = tl.expm(-A, n_reads=n, alpha=0.1, rng=0)
    by_matrices = tl.expm_action(-A, np.eye(4), n_reads=n, alpha=0.1, rng=0)
    assert by_modes.burn_in == pytest.approx(by_matrices.burn_in, rel=0.02)
    np.testing.assert_allclose(by_modes.stderr, by_matrices.stderr, rtol=1e-9)


@pytest.mark.parametrize("noise", [0.0, 0.3])
@pytest.mark.parametrize("n", [1, 2, 7, 1000])
def test_noise_of_other_modes_than_the_drift_has_the_variance_of_matrices(n, noise, rng):
    drift, X = tl.problems.wishart(5, rng=1), rng.standard_normal((5, 5))
    process = tl.OrnsteinUhlenbeck(drift, diffusion=X @ X.T)
    modes, S = CommonModes.of(process, shared_only=False), process.stationary()[1]
    assert not modes.independent
    assert CommonModes.of(process, shared_only=True) is None
    assert modes.total_variance(n, 0, noise) == pytest.approx(
        moment_variance(drift, S, n, 0, None, noise).sum(), rel=1e-12
    )
    covariances = [process.covariance(float(k)) if k else 0.0 * S for k in range(n if n < 10 else 0)]
    if covariances:
        missing = S - np.mean(covariances, axis=0)
        np.testing.assert_allclose(modes.missing(n), modes.vectors.T @ missing @ modes.vectors, atol=1e-13)
        M = process.propagator(0.7)
        assert modes.bias(modes.missing(n), 0.7, 0) == pytest.approx(np.linalg.norm(M @ missing @ M.T), rel=1e-12)
