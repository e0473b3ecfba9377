"""The estimators of the table of `test_device_fields`: how each is run, and what it tends to by `oracles.devices`.

A problem is a function of the seed. Most are the same for every seed; those of numbers that are converted once, or
whose rounding noise does not dither away, are drawn anew so that the place between two levels varies.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

import thermolinalg as tl
from tests import oracles
from tests.oracles import devices

A = np.array([[1.5, 0.55, -0.4], [0.55, 1.2, 0.25], [-0.4, 0.25, 1.8]])
G = np.array([[1.1, -0.4], [-0.4, 1.6]])
X = np.array([6.7, -3.9, 8.1])
DRIFT = np.array([[0.7, 0.5, -0.2], [-0.4, 0.5, 0.3], [0.1, -0.3, 0.8]])
NOISE = np.array([[1.2, 0.6, 0.4], [0.6, 2.3, -0.6], [0.4, -0.6, 1.4]])
VECTOR = np.array([2.0, -1.0, 0.5])
SHIFT, DAMPING = 0.4, 0.04
BURN_IN = 60.0  # RC: nothing is left of the start
SOLVE_READS, SOLVE_SPACING, SOLVE_TIME = 120, 2.0, 40.0
MOMENT_READS, PAIRS = 1600, 1500
RAMP = {"duration": 4.0, "n_steps": 8, "n_paths": 500}
REFERENCE = 0.5
STEP_READS, EULER_STEP = 20, 0.1


class Score(NamedTuple):
    """What one run gave, of an estimator that returns no `Estimate`."""

    value: np.ndarray
    stderr: np.ndarray
    stderr_kind: str = "law"


@dataclass(frozen=True)
class Estimator:
    """An estimator of the table.

    Attributes
    ----------
    run : callable
        (problem, device, simulator, n_chains, seed) -> Estimate or Score.
    limit : callable
        (problem, device, n_chains, simulator) -> what the value tends to.
    variants : tuple
        Pairs of simulator and n_chains.
    problem, ensemble : callable
        Seed -> problem: the same for all seeds, and one that varies.
    """

    run: Callable
    limit: Callable
    variants: tuple
    problem: Callable
    ensemble: Callable | None = None


BOTH = (("law", 1), ("path", 1), ("law", 40), ("path", 40))
PATHS = (("path", 1), ("path", 40))


def per_chain(number, n_chains):
    """Reads of one chain: together the chains have as many as one alone."""
    return number // n_chains


# Solutions -----------------------------------------------------------------------------------------------------------


def fixed_solution(seed):
    """A x = b with the same x for all seeds."""
    return A, A @ X


def spread_solution(half):
    """A x = b with x uniform in +-half: a whole number of steps, so that all places between levels are as likely."""

    def problem(seed):
        return A, A @ np.random.default_rng(seed).uniform(-half, half, 3)

    return problem


def solve_options(protocol, n_chains):
    """Arguments of `solve` for a protocol."""
    if protocol == "integrator":
        return {"duration": SOLVE_TIME}
    reads = {"n_reads": per_chain(SOLVE_READS, n_chains)}
    return reads if protocol == "independent" else reads | {"read_spacing": SOLVE_SPACING}


def run_solve(protocol):
    """A run of `solve`."""

    def run(problem, device, simulator, n_chains, seed):
        options = solve_options(protocol, n_chains)
        return tl.solve(
            *problem, **options, burn_in=BURN_IN, device=device, simulator=simulator, n_chains=n_chains, rng=seed
        )

    return run


def solve_limit(protocol):
    """Its limit; a number that is converted has the noise of a read, or of the integral."""

    def limit(problem, device, n_chains, simulator):
        matrix, b = problem
        held, g = devices.programmed(device, matrix), devices.gains(device, len(b))
        covariance = np.linalg.inv(held) / device.beta
        if protocol == "integrator":
            covariance = oracles.integrator_law(held, b, 0.0 * b, device.beta, BURN_IN, SOLVE_TIME)[1]
        return devices.solve_limit(device, matrix, b, np.sqrt(g**2 * np.diag(covariance) + device.read_noise**2))

    return limit


def solution(protocol, half):
    """`solve` by a protocol."""
    return Estimator(run_solve(protocol), solve_limit(protocol), BOTH, fixed_solution, spread_solution(half))


# Second moments ------------------------------------------------------------------------------------------------------


def integration_time(n_chains):
    """Of the integrator of products."""
    return 800.0 if n_chains == 1 else 200.0


def inverse_options(protocol, n_chains):
    """Arguments of `inv` for a protocol."""
    if protocol == "duration":
        return {"duration": integration_time(n_chains)}
    reads = {"n_reads": per_chain(MOMENT_READS, n_chains)}
    return reads if protocol == "independent" else reads | {"read_spacing": 2.0}


def run_inverse(protocol):
    """A run of `inv`."""

    def run(problem, device, simulator, n_chains, seed):
        options = inverse_options(protocol, n_chains)
        return tl.inv(
            problem, **options, burn_in=BURN_IN, device=device, simulator=simulator, n_chains=n_chains, rng=seed
        )

    return run


def inverse_limit(problem, device, n_chains, simulator):
    """The limit of `inv` by reads."""
    return devices.inverse_limit(device, problem)


def integrated_limit(problem, device, n_chains, simulator):
    """The limit of `inv` by an integrator, converted once."""
    limit = devices.integrated_inverse_limit(device, problem)
    if device.adc_bits is None:
        return limit
    noise = 0.1 * np.diag(limit).mean()  # of one chain, nearly
    return devices.converted_once_limit(device, limit, noise)


STEP = 0.35  # between levels, of the integrator of products


def spread_inverse(seed):
    """A matrix whose inverse has entries in all places between two levels, equally likely."""
    rng = np.random.default_rng(seed)
    S = np.diag(rng.uniform(1.5 * STEP, 2.5 * STEP, 3))
    S[np.tril_indices(3, -1)] = rng.uniform(-0.5 * STEP, 0.5 * STEP, 3)
    S = np.tril(S) + np.tril(S, -1).T
    B = np.linalg.inv(S)
    return (B + B.T) / 2.0


def run_lyapunov(spacing):
    """A run of `lyapunov`."""

    def run(problem, device, simulator, n_chains, seed):
        return tl.lyapunov(
            *problem, n_reads=per_chain(MOMENT_READS, n_chains), read_spacing=spacing, burn_in="stationary",
            device=device, simulator=simulator, n_chains=n_chains, rng=seed,
        )  # fmt: skip

    return run


def lyapunov_limit(problem, device, n_chains, simulator):
    """The limit of `lyapunov`."""
    return devices.second_moment_limit(device, *problem)


def run_exponential(primitive, spacing, *vectors):
    """A run of an exponential of -DRIFT + SHIFT; the drift of the device is DRIFT."""
    sign = 1.0 if primitive is tl.negexpm else -1.0

    def run(problem, device, simulator, n_chains, seed):
        return primitive(
            sign * (problem - SHIFT * np.eye(3)), *vectors, n_reads=per_chain(PAIRS, n_chains), read_spacing=spacing,
            alpha=SHIFT, burn_in="stationary", device=device, simulator=simulator, n_chains=n_chains, rng=seed,
        )  # fmt: skip

    return run


def exponential_limit(*vectors):
    """Its limit: e^alpha times the products of reads one spacing apart."""

    def limit(problem, device, n_chains, simulator):
        moment = np.exp(SHIFT) * devices.second_moment_limit(device, problem, problem + problem.T, 1)
        return moment @ vectors[0] if vectors else moment

    return limit


def exponential(primitive, spacing, variants, *vectors):
    """An exponential by pairs of reads."""
    run = run_exponential(primitive, spacing, *vectors)
    return Estimator(run, exponential_limit(*vectors), variants, lambda seed: DRIFT)


# Work and optimisers -------------------------------------------------------------------------------------------------


def run_logdet(problem, device, simulator, n_chains, seed):
    """A run of `logdet`."""
    r = tl.logdet(problem, REFERENCE, **RAMP, device=device, rng=seed)
    return Score(np.array([r.value]), np.array([r.stderr]), "paths")


def logdet_limit(problem, device, n_chains, simulator):
    """Its limit for endless paths."""
    return np.array([devices.logdet_limit(device, problem, REFERENCE, RAMP["duration"], RAMP["n_steps"])])


GRADIENT = (A + DAMPING * np.eye(3)) @ X
LAYER = np.array([[1.3, -0.5], [0.7, 0.9], [-1.1, 0.35]])  # gradient of a layer of shape (3, 2)


def moved(optimizer, gradient, curvature):
    """What one step of rate 1 takes off."""
    start = np.zeros(gradient.size)
    theta, _ = optimizer.step(start, gradient.ravel(), curvature, optimizer.init(start))
    return -theta.reshape(gradient.shape)


@functools.cache
def natural_gradient_law(device, simulator):
    """Mean and deviation of the estimate of TNGD."""
    step = 0.0 if simulator == "law" else EULER_STEP
    return devices.natural_gradient_law(device, A, DAMPING, GRADIENT, STEP_READS, step)


def run_tngd(problem, device, simulator, n_chains, seed):
    """The estimate of a step of TNGD; its deviation is that of the exact law, for it reports none."""
    path = {"run_time": 12.0, "simulator": "path", "time_step": EULER_STEP}
    run = {"run_time": np.inf} if simulator == "law" else path
    optimizer = tl.optimizers.TNGD(
        1.0, DAMPING, start="zero", device=device, n_reads=STEP_READS, read_spacing=6.0, rng=seed, **run
    )
    value = moved(optimizer, GRADIENT, tl.curvature.DenseCurvature(A))
    return Score(value, natural_gradient_law(device, simulator)[1])


@functools.cache
def kfac_law(method, device):
    """Mean and deviation of the step of thermodynamic K-FAC."""
    factors = [factor + np.sqrt(DAMPING) * np.eye(len(factor)) for factor in (A, G)]
    if method == "solve":
        return devices.kfac_solve_law(device, *factors, LAYER, STEP_READS)
    return devices.kfac_inverse_law(device, *factors, LAYER, MOMENT_READS)


def run_kfac(method):
    """A step of thermodynamic K-FAC; it reports no error either."""
    n_reads = STEP_READS if method == "solve" else MOMENT_READS

    def run(problem, device, simulator, n_chains, seed):
        optimizer = tl.optimizers.ThermodynamicKFAC(
            1.0, DAMPING, device=device, method=method, n_reads=n_reads, burn_in=BURN_IN, split="even", rng=seed
        )
        value = moved(optimizer, LAYER, tl.curvature.KroneckerCurvature(A, G))
        return Score(value, kfac_law(method, device)[1])

    return run


def kfac(method):
    """Thermodynamic K-FAC by a method."""

    def limit(problem, device, n_chains, simulator):
        return kfac_law(method, device)[0]

    return Estimator(run_kfac(method), limit, (("auto", 1),), lambda seed: None)


# All -----------------------------------------------------------------------------------------------------------------

ESTIMATORS = {
    "solve, integrator": solution("integrator", 4.0),
    "solve, spaced reads": solution("spaced", 10.0),
    "solve, independent reads": solution("independent", 10.0),
    "inv, independent reads": Estimator(run_inverse("independent"), inverse_limit, BOTH, lambda seed: A),
    "inv, spaced reads": Estimator(run_inverse("spaced"), inverse_limit, PATHS, lambda seed: A),
    "inv, duration": Estimator(run_inverse("duration"), integrated_limit, PATHS, lambda seed: A, spread_inverse),
    "lyapunov, independent reads": Estimator(run_lyapunov(None), lyapunov_limit, BOTH, lambda seed: (DRIFT, NOISE)),
    "lyapunov, spaced reads": Estimator(run_lyapunov(2.0), lyapunov_limit, PATHS, lambda seed: (DRIFT, NOISE)),
    "expm": exponential(tl.expm, 1.0, PATHS),
    "negexpm": exponential(tl.negexpm, None, BOTH),
    "expm_action": exponential(tl.expm_action, 1.0, PATHS, VECTOR),
    "logdet": Estimator(run_logdet, logdet_limit, (("auto", 1),), lambda seed: A),
    "TNGD": Estimator(
        run_tngd,
        lambda problem, device, n_chains, simulator: natural_gradient_law(device, simulator)[0],
        (("law", 1), ("euler", 1)),
        lambda seed: None,
    ),
    "K-FAC, solve": kfac("solve"),
    "K-FAC, invert": kfac("invert"),
}
