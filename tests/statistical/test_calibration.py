"""Error bars that are neither too small nor too large, over 200 seeds in every mode.

For each seed the problem is drawn anew, and so is one entry of the answer (drawn before the run, hence a fixed random
projection on a unit vector); its score is z = (value - truth) / stderr with the standard error that the result reports.
Where the law of the whole answer is known in closed form (solve), a random projection u of all entries is scored as
well, against sqrt(u^T C u) with the covariance C of `oracles`: that judges what entry-wise errors do not say. Scores
have mean 0 and standard deviation 1 within four of their own errors.
"""

import numpy as np
import pytest
import scipy.sparse

import thermolinalg as tl
from tests import oracles

pytestmark = pytest.mark.long

SEEDS = 200
D = 12


def dense(rng):
    return tl.Dense(oracles.random_spd(rng, D, 30.0))


OPERATORS = {
    "Dense": dense,
    "LowRank": lambda rng: tl.LowRank(0.2, rng.standard_normal((D, 4)), rng.uniform(0.1, 1.0, 4)),
    "Kronecker": lambda rng: tl.Kronecker(oracles.random_spd(rng, 3, 5.0), oracles.random_spd(rng, 4, 6.0), 0.05),
    "Diagonal": lambda rng: tl.Diagonal(rng.uniform(0.05, 1.0, D)),
    "Krylov": lambda rng: tl.Krylov(scipy.sparse.csr_array(oracles.random_spd(rng, D, 30.0)), tol=1e-8),
}

QUIET = tl.Device(beta=10.0, adc_bits=10)
SOLVE = {
    "duration": ("Dense", {"duration": 200.0}),
    "short duration": ("Dense", {"duration": 0.1}),
    "independent reads": ("Dense", {"n_reads": 40}),
    "spaced reads": ("Dense", {"n_reads": 40, "read_spacing": 2.0}),
    "rtol": ("Dense", {"rtol": 0.05}),
    "rtol, reads": ("Dense", {"rtol": 0.05, "read_spacing": 1.0}),
    "path, duration": ("Dense", {"duration": 200.0, "simulator": "path"}),
    "path, independent reads": ("Dense", {"n_reads": 40, "simulator": "path"}),
    "path, spaced reads": ("Dense", {"n_reads": 40, "read_spacing": 2.0, "simulator": "path"}),
    "chains": ("Dense", {"duration": 50.0, "n_chains": 5}),
    "scattered chains": ("Dense", {"n_reads": 10, "read_spacing": 1.0, "n_chains": 40, "simulator": "path"}),
    "LowRank": ("LowRank", {"duration": 200.0}),
    "LowRank, path": ("LowRank", {"n_reads": 20, "read_spacing": 1.0, "simulator": "path"}),
    "Kronecker": ("Kronecker", {"duration": 200.0}),
    "Kronecker, path": ("Kronecker", {"duration": 50.0, "simulator": "path"}),
    "Diagonal": ("Diagonal", {"n_reads": 20, "read_spacing": 3.0}),
    "Krylov": ("Krylov", {"duration": 100.0, "n_chains": 40}),
    "Krylov, reads": ("Krylov", {"n_reads": 20, "read_spacing": 1.0, "n_chains": 40}),
    "rounded reads": ("Dense", {"n_reads": 40, "read_spacing": 2.0, "device": QUIET}),
    "rounded independent reads": ("Dense", {"n_reads": 40, "device": QUIET}),
    "coarse reads": ("Dense", {"n_reads": 40, "read_spacing": 2.0, "device": tl.Device(adc_bits=5)}),
    "stochastic reads": ("Dense", {"n_reads": 40, "device": tl.Device(adc_bits=5, rounding="stochastic")}),
    "read noise": ("Dense", {"duration": 200.0, "device": tl.Device(read_noise=0.5)}),
    "columns": ("Dense", {"duration": 200.0, "columns": 3}),
}


@pytest.mark.parametrize("mode", SOLVE)
def test_scores_of_solve_are_calibrated(mode, rng):
    kind, options = SOLVE[mode]
    options = dict(options)
    columns = options.pop("columns", None)
    z = []
    for _ in range(SEEDS):
        operator = OPERATORS[kind](rng)
        b = rng.standard_normal((D, columns) if columns else D)
        entry = tuple(rng.integers(0, b.shape))
        truth = np.linalg.solve(operator.dense(), b)
        result = tl.solve(operator, b, rng=rng, **options)
        z.append((result.value[entry] - truth[entry]) / result.stderr[entry])
    oracles.assert_calibrated(z)


def test_rms_stderr_of_one_krylov_chain_is_calibrated(rng):
    """One number for all entries: its square is the mean square error, on average over entries and seeds."""
    ratios = []
    for _ in range(SEEDS):
        operator = OPERATORS["Krylov"](rng)
        b = rng.standard_normal(D)
        result = tl.solve(operator, b, duration=100.0, rng=rng)
        assert result.stderr_kind == "rms"
        truth = np.linalg.solve(operator.dense(), b)
        ratios.append(np.mean(np.square((result.value - truth) / result.stderr)))
    assert abs(np.mean(ratios) - 1.0) < 5 * np.std(ratios) / np.sqrt(SEEDS)
    assert np.std(ratios) / np.sqrt(SEEDS) < 0.1


JOINT = {
    "duration": ({"duration": 200.0}, "integrator"),
    "path, duration": ({"duration": 200.0, "simulator": "path"}, "integrator"),
    "independent reads": ({"n_reads": 25}, "independent"),
    "spaced reads": ({"n_reads": 25, "read_spacing": 2.0}, "reads"),
    "path, spaced reads": ({"n_reads": 25, "read_spacing": 2.0, "simulator": "path"}, "reads"),
}


@pytest.mark.parametrize("kind", ["Dense", "LowRank", "Kronecker"])
@pytest.mark.parametrize("mode", JOINT)
def test_scores_of_solve_are_calibrated_in_all_entries_at_once(mode, kind, rng):
    options, protocol = JOINT[mode]
    z = []
    for _ in range(SEEDS):
        operator = OPERATORS[kind](rng)
        b, u = rng.standard_normal((2, D))
        A = operator.dense()
        result = tl.solve(operator, b, rng=rng, **options)
        _, covariance = oracles.readout_law(
            protocol, A, b, np.zeros(D), 1.0, burn_in=result.burn_in, duration=result.duration,
            n_reads=result.n_reads, spacing=result.read_spacing,
        )  # fmt: skip
        z.append(u @ (result.value - np.linalg.solve(A, b)) / np.sqrt(u @ covariance @ u))
    oracles.assert_calibrated(z)


# Enough reads that the mean of their products is close to normal: its excess kurtosis, some 12 / n, widens nothing.
INV = {
    "independent reads": ("Dense", {"n_reads": 1000}),
    "independent reads, path": ("Dense", {"n_reads": 1000, "simulator": "path"}),
    "independent reads, LowRank": ("LowRank", {"n_reads": 1000}),
    "independent reads, Kronecker": ("Kronecker", {"n_reads": 1000}),
    "spaced reads": ("Dense", {"n_reads": 10_000, "read_spacing": 1.0}),
    "spaced reads, LowRank": ("LowRank", {"n_reads": 5000, "read_spacing": 1.0}),
    "duration": ("Dense", {"duration": 5000.0}),
    "rtol": ("Dense", {"rtol": 0.05}),
    "rtol, reads": ("Dense", {"rtol": 0.08, "read_spacing": 2.0}),
    "chains": ("Dense", {"n_reads": 250, "n_chains": 4}),
    "scattered chains": ("Dense", {"n_reads": 500, "read_spacing": 1.0, "n_chains": 40}),
    "rounded reads": ("Dense", {"n_reads": 1000, "device": tl.Device(adc_bits=8)}),
    "read noise": ("Dense", {"n_reads": 1000, "device": tl.Device(read_noise=0.5)}),
}
SMALL = {
    "Dense": lambda rng: tl.Dense(oracles.random_spd(rng, 5, 10.0)),
    "LowRank": lambda rng: tl.LowRank(0.3, rng.standard_normal((5, 2))),
    "Kronecker": lambda rng: tl.Kronecker(oracles.random_spd(rng, 2, 4.0), oracles.random_spd(rng, 3, 5.0), 0.05),
}


@pytest.mark.parametrize("mode", INV)
def test_scores_of_inv_are_calibrated(mode, rng):
    kind, options = INV[mode]
    z = []
    for _ in range(SEEDS):
        operator = SMALL[kind](rng)
        truth = np.linalg.inv(operator.dense())
        entry = tuple(rng.integers(0, truth.shape))
        result = tl.inv(operator, rng=rng, **options)
        z.append((result.value[entry] - truth[entry]) / result.stderr[entry])
    oracles.assert_calibrated(z)


RTOL = {
    "Dense": ("Dense", {}),
    "Dense, path": ("Dense", {"simulator": "path"}),
    "Dense, reads": ("Dense", {"read_spacing": 1.0}),
    "Dense, chains": ("Dense", {"n_chains": 4}),
    "LowRank": ("LowRank", {}),
    "Kronecker": ("Kronecker", {}),
    "Diagonal": ("Diagonal", {}),
    "16-bit converters": ("Dense", {"device": tl.Device(beta=2.0, matrix_bits=16, dac_bits=16, adc_bits=16)}),
    "8-bit converter": ("Dense", {"device": tl.Device(adc_bits=8)}),
}


@pytest.mark.parametrize("rtol", [0.1, 0.01])
@pytest.mark.parametrize("mode", RTOL)
def test_rtol_of_solve_is_hit(mode, rtol, rng):
    """Root mean square of the relative error over 200 seeds within 15 % of the one asked for."""
    kind, options = RTOL[mode]
    if mode == "8-bit converter" and rtol < 0.05:
        rtol = 0.02  # below that lies the floor of rounding
    squares = []
    for _ in range(SEEDS):
        operator = OPERATORS[kind](rng)
        b = rng.standard_normal(D)
        truth = np.linalg.solve(operator.dense(), b)
        value = tl.solve(operator, b, rtol=rtol, rng=rng, **options).value
        squares.append(np.sum((value - truth) ** 2) / np.sum(truth**2))
    assert np.sqrt(np.mean(squares)) == pytest.approx(rtol, rel=0.15)


@pytest.mark.parametrize("kind", SMALL)
@pytest.mark.parametrize("options", [{}, {"read_spacing": 1.0}, {"simulator": "path"}, {"n_chains": 4}])
def test_rtol_of_inv_is_hit(kind, options, rng):
    squares = []
    for _ in range(SEEDS):
        operator = SMALL[kind](rng)
        truth = np.linalg.inv(operator.dense())
        value = tl.inv(operator, rtol=0.1, rng=rng, **options).value
        squares.append(np.sum((value - truth) ** 2) / np.sum(truth**2))
    assert np.sqrt(np.mean(squares)) == pytest.approx(0.1, rel=0.15)


def test_krylov_stays_within_rtol(rng):
    """With bounds only: never above, and below by the factor that the result states."""
    squares, margins = [], []
    for _ in range(SEEDS):
        A = oracles.random_spd(rng, D, 10.0)
        operator = tl.Krylov(scipy.sparse.csr_array(A), tol=1e-8)
        b = rng.standard_normal(D)
        truth = np.linalg.solve(A, b)
        result = tl.solve(operator, b, rtol=0.1, rng=rng)
        squares.append(np.sum((result.value - truth) ** 2) / np.sum(truth**2))
        margins.append(result.planning_margin)
    assert min(margins) > 1.0
    assert np.sqrt(np.mean(squares)) < 0.1
    scaled = np.sqrt(np.mean(np.multiply(squares, np.square(margins))))
    assert scaled == pytest.approx(0.1, rel=0.15)
