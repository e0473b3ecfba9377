"""`inv`: its laws, its simulators, its error bars and its refusals."""

import warnings

import numpy as np
import pytest
import scipy.sparse
import scipy.stats

import thermolinalg as tl
from tests import oracles


@pytest.fixture
def A(rng):
    return oracles.random_spd(rng, 4, 8.0)


OPERATORS = {
    "Dense": lambda rng: tl.Dense(oracles.random_spd(rng, 4, 8.0)),
    "Diagonal": lambda rng: tl.Diagonal(rng.uniform(0.5, 2.0, 4)),
    "LowRank": lambda rng: tl.LowRank(0.5, rng.standard_normal((4, 2))),
    "Kronecker": lambda rng: tl.Kronecker(oracles.random_spd(rng, 2, 3.0), oracles.random_spd(rng, 2, 3.0), 0.1),
    "Krylov": lambda rng: tl.Krylov(scipy.sparse.csr_array(oracles.random_spd(rng, 4, 8.0))),
}
MODES = {
    "independent, law": {"n_reads": 400},
    "independent, path": {"n_reads": 400, "simulator": "path"},
    "spaced": {"n_reads": 2000, "read_spacing": 1.0},
    "duration": {"duration": 1000.0},
    "rtol": {"rtol": 0.05},
    "rtol, spaced": {"rtol": 0.1, "read_spacing": 2.0},
    "chains": {"n_reads": 100, "n_chains": 4},
    "spaced chains": {"n_reads": 500, "read_spacing": 1.0, "n_chains": 4},
    "many chains": {"n_reads": 100, "read_spacing": 1.0, "n_chains": 40},
}


@pytest.mark.parametrize("kind", OPERATORS)
@pytest.mark.parametrize("mode", MODES)
def test_answer_lies_within_five_stderr(kind, mode, rng):
    operator = OPERATORS[kind](rng)
    result = tl.inv(operator, rng=rng, beta=2.0, **MODES[mode])
    exact = np.linalg.inv(operator.dense())
    assert result.value.shape == result.stderr.shape == exact.shape
    assert (np.abs(result.value - exact) < 5 * result.stderr + 1e-14).all()
    assert (result.value != exact)[result.stderr > 1e-10].all()


@pytest.mark.parametrize("mode", MODES)
def test_the_answer_is_symmetric(mode, A):
    for device in (tl.Device(), tl.Device(adc_bits=8, read_noise=0.1)):
        value = tl.inv(A, rng=0, device=device, **MODES[mode]).value
        np.testing.assert_array_equal(value, value.T)


def moments_of(operator, rng, n, **options):
    samples = np.array([tl.inv(operator, rng=rng, **options).value for _ in range(n)])
    return samples.mean(axis=0), samples.var(axis=0, ddof=1), samples


@pytest.mark.parametrize("simulator", ["law", "path"])
@pytest.mark.parametrize("n_reads", [1, 3, 20])
def test_independent_reads_are_wishart(simulator, n_reads, A, rng):
    """Fewer reads than dimensions included: first two moments of each entry, and the rank."""
    S, n = np.linalg.inv(A), 800
    mean, variance, samples = moments_of(tl.Dense(A), rng, n, n_reads=n_reads, simulator=simulator)
    exact = (np.outer(np.diag(S), np.diag(S)) + S**2) / n_reads
    bias_allowed = 0.1 * np.sqrt(exact)  # of the burn-in, by its rule
    assert (np.abs(mean - S) < 5 * np.sqrt(exact / n) + bias_allowed).all()
    kurtosis = scipy.stats.kurtosis(samples, axis=0, fisher=False)
    assert (np.abs(variance / exact - 1.0) < 5 * np.sqrt((kurtosis - 1) / n) + 0.05).all()
    assert all(np.linalg.matrix_rank(value, tol=1e-10) == min(n_reads, 4) for value in samples[:10])


@pytest.mark.parametrize("kind", ["Dense", "LowRank", "Kronecker", "Diagonal"])
def test_stderr_of_correlated_reads_is_the_sum_over_lags(kind, rng):
    """Against Wick's theorem summed over all lags, on the dense matrix."""
    operator = OPERATORS[kind](rng)
    for n, spacing in ((1, 1.0), (7, 0.4), (60, 2.0)):
        result = tl.inv(operator, n_reads=n, read_spacing=spacing, beta=2.0, rng=0)
        exact = 4.0 * oracles.second_moment_variance(operator.dense(), 2.0, n, spacing)
        assert result.stderr_kind == "law"
        np.testing.assert_allclose(result.stderr, np.sqrt(exact), rtol=1e-4, atol=1e-9)
        chains = tl.inv(operator, n_reads=n, read_spacing=spacing, beta=2.0, rng=0, n_chains=4)
        np.testing.assert_allclose(chains.stderr, result.stderr / 2, rtol=1e-9, atol=1e-12)


def test_stderr_of_independent_reads_is_that_of_a_wishart_matrix(A):
    S = np.linalg.inv(A)
    result = tl.inv(A, n_reads=50, n_chains=2, rng=0)
    np.testing.assert_allclose(result.stderr, np.sqrt((np.outer(np.diag(S), np.diag(S)) + S**2) / 100), rtol=1e-9)


def test_stderr_from_the_scatter_of_chains_is_that_of_the_law(A, rng):
    result = tl.inv(A, n_reads=50, read_spacing=1.0, n_chains=400, beta=2.0, rng=rng)
    assert result.stderr_kind == "chains"
    exact = 2.0 * np.sqrt(oracles.second_moment_variance(A, 2.0, 50, 1.0) / 400)
    np.testing.assert_allclose(result.stderr, exact, rtol=0.25)


def test_a_duration_stands_for_the_continuous_integral(A):
    """Dense reads: their variance is that of the integral within 2.1 %, and never below it."""
    result = tl.inv(A, duration=60.0, rng=0)
    continuous = np.sqrt(oracles.second_moment_variance(A, 1.0, 6000, 0.01))
    assert (result.stderr > continuous * 0.999).all()
    assert (result.stderr < continuous * np.sqrt(1.021) * 1.001).all()
    assert result.duration == pytest.approx(60.0)
    assert result.read_spacing * result.n_reads == pytest.approx(60.0)
    assert result.read_spacing <= 0.25 / np.linalg.eigvalsh(A)[-1] * (1 + 1e-12)


@pytest.mark.filterwarnings("ignore::thermolinalg.errors.NotEquilibrated")
@pytest.mark.parametrize("simulator", ["law", "path"])
def test_a_short_burn_in_is_in_the_law(simulator, A, rng):
    """Mean of x x^T a given time after the start: the solution of the moment equations."""
    _, covariance = oracles.voltage_law(A, np.zeros(4), np.zeros(4), 1.0, 0.8)
    result = tl.inv(A, n_reads=4000, burn_in=0.8, simulator=simulator, rng=rng)
    error = np.sqrt((np.outer(np.diag(covariance), np.diag(covariance)) + covariance**2) / 4000)
    assert (np.abs(result.value - covariance) < 5 * error).all()


@pytest.mark.filterwarnings("ignore::thermolinalg.errors.NotEquilibrated")
def test_a_short_burn_in_of_spaced_reads_is_in_the_law(A, rng):
    covariances = [oracles.voltage_law(A, np.zeros(4), np.zeros(4), 1.0, 0.3 + 0.5 * k)[1] for k in range(3)]
    expected = sum(covariances) / 3
    result = tl.inv(A, n_reads=3, read_spacing=0.5, burn_in=0.3, n_chains=3000, rng=rng)
    assert (np.abs(result.value - expected) < 5 * result.stderr).all()


# Burn-in and rtol ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{"n_reads": 50}, {"n_reads": 50, "read_spacing": 1.0}, {"duration": 50.0}])
@pytest.mark.parametrize("n_chains", [1, 64])
def test_burn_in_leaves_a_tenth_of_the_stderr(options, n_chains, A):
    """Frobenius norm of the bias at most a tenth of that of the standard error."""
    result = tl.inv(A, rng=0, n_chains=n_chains, **options)
    S, bias = np.linalg.inv(A), 0.0
    spacing = result.read_spacing or 0.0
    reads = result.n_reads if result.read_spacing else 1
    for k in range(reads):
        bias = (
            bias + (oracles.voltage_law(A, np.zeros(4), np.zeros(4), 1.0, result.burn_in + k * spacing)[1] - S) / reads
        )
    spread = oracles.second_moment_variance(A, 1.0, reads, spacing) / (1 if reads > 1 else result.n_reads) / n_chains
    assert np.linalg.norm(bias) <= 0.1 * np.sqrt(spread.sum()) * (1 + 1e-9)


@pytest.mark.parametrize("options", [{"n_reads": 50}, {"n_reads": 50, "read_spacing": 1.0}])
def test_a_burn_in_that_is_too_short_is_told_how_long_it_must_be(options, A):
    with pytest.warns(tl.errors.NotEquilibrated, match=r"burn_in = 0.1 RC is too short: .* biases A\^-1 by") as record:
        tl.inv(A, burn_in=0.1, rng=0, **options)
    needed = float(str(record[0].message).split("burn_in = ")[2].split()[0])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tl.inv(A, burn_in=needed * 1.001, rng=0, **options)


@pytest.mark.parametrize("n_chains", [1, 5])
@pytest.mark.parametrize("spacing", [None, 1.0])
def test_rtol_takes_the_fewest_reads_that_do(spacing, n_chains, A):
    result = tl.inv(A, rtol=0.1, read_spacing=spacing, n_chains=n_chains, rng=0)
    S = np.linalg.inv(A)

    def relative(n):
        variance = oracles.second_moment_variance(A, 1.0, n if spacing else 1, spacing or 1.0)
        return np.sqrt(variance.sum() / n_chains / (1 if spacing else n)) / np.linalg.norm(S)

    assert relative(result.n_reads) <= 0.1 * (1 + 1e-9) < relative(result.n_reads - 1) * 1.0001


def test_rtol_below_the_rounding_of_the_matrix_is_refused(A):
    device = tl.Device(matrix_bits=5)
    with pytest.raises(tl.errors.QuantizationFloor, match=r"rtol = 0.001 cannot be reached"):
        tl.inv(A, rtol=1e-3, device=device)
    fine = tl.inv(A, rtol=0.1, device=tl.Device(matrix_bits=12), rng=0)
    assert fine.n_reads == pytest.approx(tl.inv(A, rtol=0.1, rng=0).n_reads, rel=0.05)


@pytest.mark.parametrize("spacing", [None, 2.0])
@pytest.mark.parametrize("bits", [1, 2])
def test_rtol_below_the_rounding_of_coarse_reads_is_refused(bits, spacing, A):
    """Steps wider than the noise: the error of rounding has no known variance then, and does not average out."""
    with pytest.raises(tl.errors.QuantizationFloor, match=r"rtol = 0.02 cannot be reached"):
        tl.inv(A, rtol=0.02, read_spacing=spacing, device=tl.Device(adc_bits=bits), rng=0)


@pytest.mark.parametrize("spacing", [None, 2.0])
def test_rtol_counts_read_noise_in(spacing, A, rng):
    """Noise of reading larger than the signal: rms error over 100 runs against the one asked for."""
    device = tl.Device(beta=1.0, read_noise=4.0)
    S = np.linalg.inv(A)
    operator = tl.Dense(A)
    errors = [
        np.linalg.norm(tl.inv(operator, rtol=0.1, read_spacing=spacing, device=device, rng=rng).value - S)
        for _ in range(100)
    ]
    assert np.sqrt(np.mean(np.square(errors))) / np.linalg.norm(S) < 0.1 * 1.15


# Which simulator, and converters ------------------------------------------------------------------------------------


def test_auto_takes_the_law_where_there_is_one(A):
    for options, simulator in (
        ({"n_reads": 5}, "law"),
        ({"rtol": 0.5}, "law"),
        ({"n_reads": 5, "device": tl.Device(read_noise=0.1, matrix_bits=16)}, "law"),
        ({"n_reads": 5, "device": tl.Device(adc_bits=8)}, "path"),
        ({"n_reads": 5, "read_spacing": 1.0}, "path"),
        ({"rtol": 0.5, "read_spacing": 1.0}, "path"),
        ({"duration": 5.0}, "path"),
    ):
        assert tl.inv(A, rng=0, **options).simulator == simulator


def test_law_where_there_is_none_names_the_path(A):
    for options, what in (
        ({"duration": 5.0}, r"correlated reads \(duration or read_spacing\)"),
        ({"n_reads": 5, "read_spacing": 1.0}, r"correlated reads \(.*\)"),
        ({"n_reads": 5, "device": tl.Device(adc_bits=8)}, r"rounded reads \(adc_bits\)"),
    ):
        with pytest.raises(
            tl.errors.NoClosedLaw, match=rf'average of products of {what} has no closed law; use simulator="path"'
        ):
            tl.inv(A, simulator="law", **options)


READING = {
    "read noise, law": (tl.Device(beta=4.0, read_noise=0.4), {"n_reads": 300}),
    "read noise, path": (tl.Device(beta=4.0, read_noise=0.4), {"n_reads": 300, "simulator": "path"}),
    "read noise, spaced": (tl.Device(beta=4.0, read_noise=0.4), {"n_reads": 300, "read_spacing": 2.0}),
    "rounded": (tl.Device(beta=4.0, adc_bits=5), {"n_reads": 300}),
    "rounded, stochastic": (tl.Device(beta=4.0, adc_bits=5, rounding="stochastic"), {"n_reads": 300}),
    "rounded, fixed range": (tl.Device(beta=4.0, adc_bits=5, adc_range=6.0), {"n_reads": 300, "read_spacing": 2.0}),
    "both": (tl.Device(beta=4.0, adc_bits=5, read_noise=0.2), {"n_reads": 300}),
    "integrator, read noise": (tl.Device(beta=4.0, read_noise=0.05), {"duration": 600.0}),
    "integrator, rounded": (tl.Device(beta=4.0, adc_bits=7, adc_range=1.5), {"duration": 6000.0}),
}


@pytest.mark.parametrize("name", READING)
def test_read_noise_is_subtracted_and_in_the_stderr(name, rng):
    """120 answers: no bias beyond their errors, and a scatter that is the one stated."""
    device, options = READING[name]
    z = []
    for _ in range(120):
        A = oracles.random_spd(rng, 3, 4.0)
        result = tl.inv(A, device=device, rng=rng, **options)
        z.append(((result.value - np.linalg.inv(A)) / result.stderr)[np.tril_indices(3)])
    z = np.array(z)
    assert (np.abs(z.mean(axis=0)) < 5 / np.sqrt(120)).all()
    assert abs(np.sqrt(np.mean(z**2)) - 1.0) < 0.2  # six entries that hang together: some 400 degrees of freedom


def test_integrator_of_products_is_converted_once(A):
    device = tl.Device(adc_bits=6, adc_range=20.0, beta=1.0)
    codes = tl.inv(A, duration=50.0, device=device, rng=0).value / (20.0 / 31.0)
    np.testing.assert_allclose(codes, np.rint(codes), atol=1e-9)


def test_saturated_reads_are_counted(A):
    device = tl.Device(adc_bits=6, adc_range=0.5)
    result = tl.inv(A, n_reads=100, device=device, rng=0)
    assert 100 < result.clipped["adc"] < 400
    assert tl.inv(A, n_reads=10, rng=0).clipped == {"matrix": 0, "dac": 0, "adc": 0}


def test_the_matrix_as_programmed_is_inverted(A, rng):
    device = tl.Device(matrix_bits=4, beta=1.0)
    held = oracles.quantise(A, 4, np.abs(A).max())
    result = tl.inv(A, n_reads=10**8, device=device, rng=rng)
    np.testing.assert_allclose(result.value, np.linalg.inv(held), rtol=2e-2, atol=2e-3)
    assert np.abs(np.linalg.inv(held) - np.linalg.inv(A)).max() > 0.05


def test_cost_does_not_grow_with_independent_reads(A):
    """A billion reads: as many products as one."""
    result = tl.inv(A, n_reads=1e9, rng=0)
    assert result.n_reads == 10**9
    np.testing.assert_allclose(result.value, np.linalg.inv(A), rtol=1e-3, atol=1e-3)


def test_cost_counts_times_and_conversions(A):
    device = tl.Device.tngd(adc_bits=None)
    result = tl.inv(A, n_reads=50, burn_in=40.0, device=device, rng=0)
    assert result.cost.relax == pytest.approx(50 * 40e-6)
    assert result.cost.integrate == 0.0
    assert result.cost.conversions == 16 + 200
    result = tl.inv(A, n_reads=50, read_spacing=2.0, burn_in=40.0, device=device, rng=0)
    assert (result.cost.relax, result.cost.integrate) == pytest.approx((40e-6, 100e-6))
    result = tl.inv(A, duration=20.0, burn_in=40.0, device=device, rng=0)
    assert result.cost.conversions == 16 + 10
    assert result.duration == pytest.approx(20.0)


# Seeds, types, refusals -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
def test_the_noise_follows_the_seed(mode, A, seed):
    first = tl.inv(A, rng=seed, **MODES[mode]).value
    np.testing.assert_array_equal(first, tl.inv(A, rng=seed, **MODES[mode]).value)
    np.testing.assert_array_equal(first, tl.inv(A, rng=np.random.default_rng(seed), **MODES[mode]).value)
    assert not np.array_equal(first, tl.inv(A, rng=seed + 1, **MODES[mode]).value)
    assert not np.array_equal(tl.inv(A, **MODES[mode]).value, tl.inv(A, **MODES[mode]).value)


@pytest.mark.parametrize("dtype", [np.int64, np.float32])
def test_integers_and_single_precision_give_float64(dtype):
    result = tl.inv(np.array([[2, 1], [1, 3]], dtype=dtype), n_reads=10, rng=0)
    assert result.value.dtype == result.stderr.dtype == np.float64


@pytest.mark.parametrize("mode", MODES)
def test_arrays_of_the_caller_stay_as_they_are(mode, A):
    before = A.copy()
    A.flags.writeable = False
    tl.inv(A, rng=0, **MODES[mode]).stderr  # noqa: B018
    np.testing.assert_array_equal(A, before)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"A": np.ones((2, 3))}, r"A must be a square matrix of shape \(d, d\), got \(2, 3\)"),
        ({"A": [[1.0, np.nan], [np.nan, 1.0]]}, "A must be finite, got nan"),
        ({"A": [[1.0, 1j], [-1j, 1.0]]}, "A must be real, got dtype complex128"),
        ({"A": [[1.0, 0.5], [0.0, 1.0]]}, r"A must be symmetric, but max \|A - A.T\| = 0.5"),
        ({"A": [[1.0, 2.0], [2.0, 1.0]]}, "A is not positive definite: its smallest eigenvalue is -1 "),
        ({"A": np.ones((2, 2))}, "A is singular to working precision"),
        ({"n_reads": None}, "give exactly one of duration, n_reads, rtol; got none"),
        ({"duration": 1.0}, "give exactly one of duration, n_reads, rtol; got duration and n_reads"),
        ({"n_reads": None, "duration": 1.0, "read_spacing": 1.0}, "read_spacing goes with n_reads or rtol"),
        ({"n_reads": None, "duration": 0.0}, "duration must be positive and finite, got 0.0"),
        ({"n_reads": 0}, "n_reads must be at least 1, got 0"),
        ({"n_reads": None, "rtol": -1.0}, "rtol must be positive and finite, got -1.0"),
        ({"read_spacing": -1.0}, "read_spacing must be positive and finite, got -1.0"),
        ({"burn_in": -1.0}, r'burn_in \(or "auto"\) must be non-negative'),
        ({"burn_in": "none"}, "burn_in .* must be one of 'auto', 'stationary', got 'none'"),
        ({"beta": np.inf}, "a device with beta = inf has none"),
        ({"beta": 0.0}, "beta must be positive, got 0.0"),
        ({"beta": 1.0, "device": tl.Device()}, "give beta or device, not both"),
        ({"simulator": "euler"}, "simulator must be one of 'auto', 'law', 'path', got 'euler'"),
        ({"n_chains": -1}, "n_chains must be at least 1, got -1"),
        ({"rng": "x"}, "rng must be None, an int"),
        ({"device": tl.Device(matrix_bits=2), "A": [[1.0, 0.6], [0.6, 0.4]]}, r"as programmed \(matrix_bits=2"),
    ],
)
def test_bad_input_is_refused(options, message):
    arguments = {"A": np.eye(2), "n_reads": 5} | options
    matrix = arguments.pop("A")
    with pytest.raises(ValueError, match=message):
        tl.inv(matrix, **{key: value for key, value in arguments.items() if value is not None})
