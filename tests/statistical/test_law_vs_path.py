"""Twenty random problems: the closed law, draws from it, and paths have the same mean and covariance.

The truth is that of `oracles`: matrix exponentials of augmented systems. The closed law must equal it to rounding;
draws and paths within five standard errors, after whitening, so that every direction counts.
"""

import numpy as np
import pytest
import scipy.linalg
import scipy.sparse

import thermolinalg as tl
from tests import oracles
from thermolinalg import laws
from thermolinalg.measurement import paths
from thermolinalg.measurement.linear_problem import ModalProblem

pytestmark = pytest.mark.long

KINDS = ("voltage", "independent", "integrator", "reads")
SAMPLES = 3000


def random_problem(number, rng):
    """Matrix, drive, start and protocol, all random; the first four problems are the extreme ones."""
    d = {0: 60, 1: 2, 2: 40, 3: 10}.get(number, int(rng.integers(2, 61)))
    kappa = {0: 1e4, 1: 1e4, 2: 3.0, 3: 1e3}.get(number, float(10.0 ** rng.uniform(0, 4)))
    A = oracles.random_spd(rng, d, kappa)
    b, x0 = rng.standard_normal((2, d))
    beta = float(10.0 ** rng.uniform(-1, 1))
    protocol = {"burn_in": float(10.0 ** rng.uniform(-1, np.log10(kappa) + 0.5))}
    kind = KINDS[number % 4]
    if kind == "integrator":
        protocol["duration"] = float(10.0 ** rng.uniform(-1, np.log10(kappa) + 1))
    if kind in ("reads", "independent"):
        protocol["n_reads"] = int(rng.integers(2, 30))
    if kind == "reads":
        protocol["spacing"] = float(10.0 ** rng.uniform(-1, np.log10(kappa)))
    return A, b, x0 * np.sqrt(kappa), beta, kind, protocol


def readout_of(kind, protocol):
    if kind == "voltage":
        return laws.IndependentReads(protocol["burn_in"], 1)
    types = {"independent": laws.IndependentReads, "integrator": laws.Integrator, "reads": laws.Reads}
    return types[kind](**protocol)


@pytest.mark.parametrize("number", range(20))
def test_law_and_path_agree(number, rng):
    A, b, x0, beta, kind, protocol = random_problem(number, rng)
    mean, covariance = oracles.readout_law(kind, A, b, x0, beta, **protocol)
    operator, readout = tl.Dense(A), readout_of(kind, protocol)
    problem = ModalProblem(operator, b[:, None], x0[:, None], tl.Device(beta=beta))

    law_mean = operator.function(readout.response, b) + operator.function(readout.memory, x0)
    np.testing.assert_allclose(law_mean, mean, atol=1e-8 * np.linalg.norm(mean))
    law_covariance = operator.function(readout.variance, np.eye(len(b))) / beta
    np.testing.assert_allclose(law_covariance, covariance, atol=1e-8 * np.linalg.norm(covariance))

    draws = problem.sample(readout, SAMPLES, rng)[:, :, 0]
    oracles.sampled_moments_agree(draws, mean, covariance)
    modes = paths.mode_averages(operator.rates, problem.origin, problem.drive, readout, beta, SAMPLES, rng, 2)
    oracles.sampled_moments_agree(np.array([operator.from_modes(m)[:, 0] for m in modes]), mean, covariance)


@pytest.mark.parametrize("kind", ["LowRank", "Kronecker", "Diagonal"])
def test_structured_operators_draw_the_same_law(kind, rng):
    """More mode coordinates than dimensions, or two small factors: what comes out is the law of the dense matrix."""
    operator = {
        "LowRank": tl.LowRank(0.3, rng.standard_normal((9, 3)), [0.5, 1.0, 2.0]),
        "Kronecker": tl.Kronecker(oracles.random_spd(rng, 3, 5.0), oracles.random_spd(rng, 3, 9.0), 0.05),
        "Diagonal": tl.Diagonal(rng.uniform(0.05, 2.0, 9)),
    }[kind]
    b, x0 = rng.standard_normal((2, 9))
    problem = ModalProblem(operator, b[:, None], x0[:, None], tl.Device(beta=2.0))
    for name, protocol in (
        ("integrator", {"burn_in": 0.7, "duration": 12.0}),
        ("reads", {"burn_in": 0.7, "n_reads": 6, "spacing": 2.0}),
    ):
        readout = readout_of(name, protocol)
        mean, covariance = oracles.readout_law(name, operator.dense(), b, x0, 2.0, **protocol)
        oracles.sampled_moments_agree(problem.sample(readout, SAMPLES, rng)[:, :, 0], mean, covariance)
        modes = paths.mode_averages(operator.rates, problem.origin, problem.drive, readout, 2.0, SAMPLES, rng, 2)
        oracles.sampled_moments_agree(np.array([operator.from_modes(m)[:, 0] for m in modes]), mean, covariance)


@pytest.mark.filterwarnings("ignore::thermolinalg.errors.NotEquilibrated")
def test_krylov_draws_the_same_law(rng):
    A = oracles.random_spd(rng, 8, 20.0)
    b, x0 = rng.standard_normal((2, 8))
    operator = tl.Krylov(scipy.sparse.csr_array(A), tol=1e-10)
    run = tl.solve(operator, b, x0=x0, duration=6.0, burn_in=0.5, beta=2.0, n_chains=2000, rng=rng)
    mean, covariance = oracles.readout_law("integrator", A, b, x0, 2.0, burn_in=0.5, duration=6.0)
    assert (np.abs(run.value - mean) < 5 * np.sqrt(np.diag(covariance) / 2000)).all()
    spread = np.sqrt(2.0 / 2000)
    assert (np.abs(run.stderr**2 * 2000 / np.diag(covariance) - 1.0) < 5 * spread).all()


def test_time_average_from_equilibrium_has_the_published_covariance(rng):
    """(2 / (beta tau)) A^-2 [I - (I - e^{-A tau}) (A tau)^-1], by its matrices as printed, against 10 000 draws."""
    A, beta, tau, n = oracles.random_spd(rng, 5, 30.0), 1.5, 20.0, 10_000
    inverse, one = np.linalg.inv(A), np.eye(5)
    printed = 2.0 / (beta * tau) * inverse @ inverse @ (one - (one - scipy.linalg.expm(-A * tau)) @ inverse / tau)
    b = rng.standard_normal(5)
    operator = tl.Dense(A)
    problem = ModalProblem(operator, b[:, None], np.zeros((5, 1)), tl.Device(beta=beta))
    readout = laws.Integrator(1e6, tau)
    for samples in (
        problem.sample(readout, n, rng)[:, :, 0],
        np.array([
            operator.from_modes(m)[:, 0]
            for m in paths.mode_averages(operator.rates, problem.origin, problem.drive, readout, beta, n, rng, 2)
        ]),
    ):  # fmt: skip
        oracles.sampled_moments_agree(samples, np.linalg.solve(A, b), printed)


@pytest.mark.parametrize("kappa", [3.0, 100.0])
def test_residual_is_independent_of_the_matrix(kappa, rng):
    """E ||A xbar - b||^2 -> 2 d / (beta tau) for long averages."""
    d, beta, tau, n = 20, 3.0, 1e4 * kappa, 400
    A, b = oracles.random_spd(rng, d, kappa), rng.standard_normal(d)
    operator = tl.Dense(A)
    residuals = [np.sum((A @ tl.solve(operator, b, duration=tau, beta=beta, rng=rng).value - b) ** 2) for _ in range(n)]
    expected = 2.0 * d / (beta * tau)
    assert abs(np.mean(residuals) / expected - 1.0) < 5 * np.sqrt(2.0 / (d * n))


def test_relative_error_of_isotropic_right_hand_sides_is_independent_of_the_spectrum(rng):
    """E ||xbar - x||^2 / E ||x||^2 -> 2 / (beta sigma^2 tau)."""
    d, tau, n = 20, 1e6, 400
    A = oracles.random_spd(rng, d, 50.0)
    operator, errors, sizes = tl.Dense(A), [], []
    for b in 2.0 * rng.standard_normal((n, d)):
        x = np.linalg.solve(A, b)
        errors.append(np.sum((tl.solve(operator, b, duration=tau, rng=rng).value - x) ** 2))
        sizes.append(np.sum(x**2))
    ratio = np.mean(errors) / np.mean(sizes)
    error = ratio * np.hypot(np.std(errors) / np.mean(errors), np.std(sizes) / np.mean(sizes)) / np.sqrt(n)
    assert abs(ratio - 2.0 / (4.0 * tau)) < 5 * error
