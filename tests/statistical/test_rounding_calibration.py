"""Error bars where converters round: what averaging over reads or chains removes, and what it does not."""

import numpy as np
import pytest

import thermolinalg as tl

pytestmark = pytest.mark.long

A = tl.problems.wishart(6, rng=11)
B = np.random.default_rng(12).standard_normal(6)
X = np.linalg.solve(A, B)


def z_scores(run, truth, seeds=80):
    """One entry a seed, each with its stated error."""
    z = []
    for seed in range(seeds):
        r = run(seed)
        z.append(((r.value - truth) / r.stderr).ravel()[seed % truth.size])
    return np.array(z)


@pytest.mark.parametrize("n_chains", [1, 16, 64])
@pytest.mark.parametrize("simulator", ["law", "path"])
def test_chains_share_the_rounding_error_of_an_integrator(n_chains, simulator):
    """Next to no noise: every chain rounds to the same level, and no number of chains makes that better."""
    device = tl.Device(beta=1e8, adc_bits=6)
    z = []
    for seed in range(80):  # a right-hand side of its own for every seed, so that the rounding error varies
        scale = 1 + seed / 80
        r = tl.solve(A, scale * B, duration=100.0, device=device, n_chains=n_chains, simulator=simulator, rng=seed)
        z.append(((r.value - scale * X) / r.stderr)[seed % 6])
    z = np.array(z)
    assert 0.6 < np.sqrt(np.mean(z**2)) < 1.5  # a uniform error is bounded: its scores have no tails
    assert np.abs(z).max() < 4


@pytest.mark.parametrize("n_chains", [1, 16, 64])
def test_noise_and_rounding_of_reads_over_chains(n_chains):
    device = tl.Device(adc_bits=6)
    z = z_scores(lambda s: tl.solve(A, B, n_reads=50, device=device, n_chains=n_chains, rng=s), X)
    assert abs(z.mean()) < 4 / np.sqrt(80) + 0.3
    assert 0.6 < z.std() < 1.4


@pytest.mark.parametrize("bits", [1, 2, 3, 4, 6])
def test_inverse_from_coarse_reads_says_how_wrong_it_is(bits):
    """A step as wide as the noise biases the covariance; the stated error knows by how much."""
    device = tl.Device(adc_bits=bits)
    z = z_scores(lambda s: tl.inv(A, n_reads=4000, device=device, rng=s), np.linalg.inv(A), seeds=40)
    assert np.sqrt(np.mean(z**2)) < 1.5
    assert bits < 4 or np.sqrt(np.mean(z**2)) > 0.6


def test_coarse_reads_of_modes_of_very_different_size_are_refused_a_small_error():
    with pytest.raises(tl.errors.QuantizationFloor, match="rounding, mismatch and eps_sys alone leave"):
        tl.inv(np.diag([1.0, 100.0]), rtol=0.001, device=tl.Device(adc_bits=3), rng=0)


def test_rtol_counts_the_rounding_of_every_read():
    device = tl.Device(adc_bits=5)
    errors = [
        np.linalg.norm(tl.solve(A, B, rtol=0.1, read_spacing=5.0, device=device, rng=s).value - X) for s in range(200)
    ]
    assert np.sqrt(np.mean(np.square(errors))) == pytest.approx(0.1 * np.linalg.norm(X), rel=0.15)


def test_fast_modes_have_error_bars_of_their_own():
    """Rates 1e-4 and 1: the entry of the fast one must not drown in the other's variance."""
    M = tl.Diagonal([1e-4, 1.0])
    runs = [tl.inv(M, n_reads=1000, read_spacing=1.0, rng=s) for s in range(200)]
    scatter = np.std([r.value[1, 1] for r in runs])
    assert runs[0].stderr[1, 1] == pytest.approx(scatter, rel=0.2)


@pytest.mark.parametrize("options", [{"n_reads": 4000}, {"n_reads": 4000, "read_spacing": 2.0}, {"duration": 3000.0}])
@pytest.mark.parametrize("bits", [2, 3, 5])
@pytest.mark.parametrize("n_chains", [1, 40])
def test_lyapunov_from_coarse_converters_says_how_wrong_it_is(bits, options, n_chains):
    drift = np.array([[1.0, 0.5], [-0.3, 2.0]])
    noise = np.array([[1.0, 0.2], [0.2, 0.5]])
    eye = np.eye(2)
    truth = np.linalg.solve(np.kron(drift, eye) + np.kron(eye, drift), noise.ravel()).reshape(2, 2)
    device = tl.Device(adc_bits=bits)
    z = z_scores(
        lambda s: tl.lyapunov(drift, noise, device=device, n_chains=n_chains, rng=s, **options), truth, seeds=12
    )
    assert np.sqrt(np.mean(z**2)) < 2.5
    assert np.abs(z).max() < 5
