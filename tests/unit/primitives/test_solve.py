"""`solve`: what it takes, what it chooses, what it promises and what it refuses."""

import warnings

import numpy as np
import pytest
import scipy.sparse
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse.linalg import LinearOperator

import thermolinalg as tl
from tests import oracles


@pytest.fixture
def A(rng):
    return oracles.random_spd(rng, 6, 20.0)


@pytest.fixture
def b(rng):
    return rng.standard_normal(6)


READOUTS = {
    "integrator": ({"duration": 40.0}, lambda t0: {"burn_in": t0, "duration": 40.0}),
    "reads": ({"n_reads": 9, "read_spacing": 3.0}, lambda t0: {"burn_in": t0, "n_reads": 9, "spacing": 3.0}),
    "independent": ({"n_reads": 9}, lambda t0: {"burn_in": t0, "n_reads": 9}),
}


# The law of the answer ------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore::thermolinalg.errors.NotEquilibrated")
@pytest.mark.parametrize("simulator", ["law", "path"])
@pytest.mark.parametrize("kind", READOUTS)
def test_value_and_stderr_are_those_of_the_protocol(kind, simulator, A, b, rng):
    """From x0 with a burn-in that is too short: value at beta = inf, stderr at beta = 3, by matrix exponentials."""
    options, times = READOUTS[kind]
    x0 = rng.standard_normal(6)
    mean, covariance = oracles.readout_law(kind, A, b, x0, 3.0, **times(1.5))
    quiet = tl.solve(A, b, x0=x0, burn_in=1.5, beta=np.inf, simulator=simulator, **options)
    np.testing.assert_allclose(quiet.value, mean, rtol=1e-9, atol=1e-11)
    noisy = tl.solve(A, b, x0=x0, burn_in=1.5, beta=3.0, simulator=simulator, rng=rng, **options)
    np.testing.assert_allclose(noisy.stderr, np.sqrt(np.diag(covariance)), rtol=1e-9)
    assert (noisy.value != mean).all()
    assert (noisy.simulator, noisy.stderr_kind, noisy.burn_in) == (simulator, "law", 1.5)


@pytest.mark.parametrize("kind", READOUTS)
def test_columns_are_runs_of_their_own(kind, A, rng):
    b = rng.standard_normal((6, 3))
    result = tl.solve(A, b, rng=rng, **READOUTS[kind][0])
    assert result.value.shape == result.stderr.shape == (6, 3)
    z = (result.value - np.linalg.solve(A, b)) / result.stderr
    assert np.abs(z).max() < 5
    assert np.unique(z).size == 18  # no column shares its noise


@pytest.mark.parametrize("simulator", ["law", "path"])
def test_columns_of_many_chains_do_not_get_mixed_up(simulator, A, rng):
    b = rng.standard_normal((6, 3))
    for options, _ in READOUTS.values():
        quiet = tl.solve(A, b, beta=np.inf, n_chains=4, simulator=simulator, **options)
        np.testing.assert_allclose(quiet.value, np.linalg.solve(A, b), rtol=1e-9)


@pytest.mark.filterwarnings("ignore::thermolinalg.errors.NotEquilibrated")
def test_start_is_one_per_column_or_shared(A, rng):
    """x0 like b, or one start for all columns."""
    b, x0 = rng.standard_normal((6, 2)), rng.standard_normal((6, 2))
    options = {"duration": 3.0, "burn_in": 0.5, "beta": np.inf}
    for start in (x0, x0[:, 0]):
        columns = start if start.ndim == 2 else np.column_stack((start, start))
        expected = [
            oracles.readout_law("integrator", A, b[:, c], columns[:, c], 1.0, burn_in=0.5, duration=3.0)[0]
            for c in range(2)
        ]
        np.testing.assert_allclose(tl.solve(A, b, x0=start, **options).value, np.transpose(expected), rtol=1e-9)
    for kind, matrix in (("sparse", scipy.sparse.csr_array(A)), ("low rank", None)):
        U = rng.standard_normal((6, 2))
        operator = tl.LowRank(0.5, U) if kind == "low rank" else tl.Krylov(matrix, tol=1e-11)
        dense = 0.5 * np.eye(6) + U @ U.T if kind == "low rank" else A
        mean, _ = oracles.readout_law("integrator", dense, b[:, 0], x0[:, 0], 1.0, burn_in=0.5, duration=3.0)
        np.testing.assert_allclose(tl.solve(operator, b[:, 0], x0=x0[:, 0], **options).value, mean, rtol=1e-7)


@pytest.mark.parametrize("simulator", ["law", "path"])
def test_without_noise_the_answer_is_exact(simulator, A, b):
    for options, _ in READOUTS.values():
        result = tl.solve(A, b, beta=np.inf, simulator=simulator, **options)
        np.testing.assert_allclose(result.value, np.linalg.solve(A, b), rtol=1e-12)
        np.testing.assert_array_equal(result.stderr, 0.0)


def test_without_noise_and_without_a_drive_the_start_is_forgotten(A, rng):
    """Everything decays to zero; the time that takes must be a number."""
    result = tl.solve(A, np.zeros(6), x0=rng.standard_normal(6), duration=10.0, beta=np.inf)
    assert np.isfinite(result.burn_in)
    assert np.linalg.norm(result.value) < 1e-10


@pytest.mark.parametrize("simulator", ["law", "path"])
def test_answer_to_zero_is_the_noise_of_any_answer(simulator, A, b):
    zero, other = (tl.solve(A, c, duration=10.0, burn_in=500.0, simulator=simulator, rng=0) for c in (np.zeros(6), b))
    np.testing.assert_allclose(other.value - zero.value, np.linalg.solve(A, b), rtol=1e-9)
    np.testing.assert_array_equal(zero.stderr, other.stderr)


def test_chains_are_averaged(A, b):
    one, many = (tl.solve(A, b, duration=50.0, burn_in=500.0, n_chains=n, rng=0) for n in (1, 25))
    np.testing.assert_allclose(many.stderr, one.stderr / 5)
    assert many.stderr_kind == "law"
    scattered = tl.solve(A, b, duration=50.0, burn_in=500.0, n_chains=64, simulator="path", rng=0)
    assert scattered.stderr_kind == "chains"
    # a standard deviation of 64 has a relative error of 9 %
    np.testing.assert_allclose(scattered.stderr, one.stderr / 8, rtol=0.45)


# Which simulator ----------------------------------------------------------------------------------------------------


def test_auto_takes_the_law_where_there_is_one(A, b):
    rounded = tl.Device(adc_bits=8)
    for options, simulator in (
        ({"duration": 5.0}, "law"),
        ({"n_reads": 5}, "law"),
        ({"n_reads": 5, "read_spacing": 1.0}, "law"),
        ({"duration": 5.0, "device": rounded}, "law"),
        ({"rtol": 0.5, "device": rounded}, "law"),
        ({"n_reads": 5, "device": rounded}, "path"),
        ({"n_reads": 5, "read_spacing": 1.0, "device": rounded}, "path"),
        ({"n_reads": 5, "device": tl.Device(read_noise=0.1, dac_bits=8, matrix_bits=16)}, "law"),
    ):
        assert tl.solve(A, b, rng=0, **options).simulator == simulator


def test_law_where_there_is_none_names_the_path(A, b):
    for options in ({"n_reads": 5}, {"n_reads": 5, "read_spacing": 1.0}):
        with pytest.raises(tl.errors.NoClosedLaw, match=r'has no closed law.*; use simulator="path"'):
            tl.solve(A, b, device=tl.Device(adc_bits=8), simulator="law", **options)


def test_krylov_has_no_path(A, b):
    sparse = scipy.sparse.csr_array(A)
    for options in ({"simulator": "path"}, {"device": tl.Device(adc_bits=8)}):
        with pytest.raises(ValueError, match=r"a Krylov operator has none; pass A.dense\(\)"):
            tl.solve(sparse, b, n_reads=5, **options)


@pytest.mark.parametrize("make", [scipy.sparse.csr_array, lambda A: LinearOperator(A.shape, A.dot, dtype=float)])
def test_krylov_solves_with_an_rms_stderr(make, A, b, rng):
    operator = tl.Krylov(make(A), bounds=np.linalg.eigvalsh(A)[[0, -1]], tol=1e-10)
    exact = np.linalg.solve(A, b)
    np.testing.assert_allclose(tl.solve(operator, b, duration=10.0, beta=np.inf).value, exact, rtol=1e-7)
    one = tl.solve(operator, b, duration=100.0, rng=rng)
    assert one.stderr_kind == "rms"
    assert np.ptp(one.stderr) == 0.0
    _, covariance = oracles.readout_law("integrator", A, b, 0 * b, 1.0, burn_in=one.burn_in, duration=100.0)
    assert one.stderr[0] == pytest.approx(np.sqrt(np.trace(covariance) / 6), rel=0.5)  # from eight probes
    many = tl.solve(operator, b, duration=100.0, n_chains=200, rng=rng)
    assert many.stderr_kind == "chains"
    np.testing.assert_allclose(many.stderr, np.sqrt(np.diag(covariance) / 200), rtol=0.3)
    assert "matrix-vector products" in str(one)


# Burn-in ----------------------------------------------------------------------------------------------------------


def bias_of(kind, A, b, x0, t0):
    mean, covariance = oracles.readout_law(kind, A, b, x0, 1.0, **READOUTS[kind][1](t0))
    return np.linalg.norm(mean - np.linalg.solve(A, b)), np.sqrt(np.trace(covariance))


@pytest.mark.parametrize("n_chains", [1, 100])
@pytest.mark.parametrize("scale", [0.01, 1.0, 1e4])
@pytest.mark.parametrize("kind", READOUTS)
def test_burn_in_leaves_a_tenth_of_the_stderr(kind, scale, n_chains, A, b, rng):
    """The bias that is left is at most a tenth of the standard error of the answer; after a start from far away hardly
    less time would do."""
    x0, b = scale * rng.standard_normal(6), scale * b
    result = tl.solve(A, b, x0=x0, rng=0, n_chains=n_chains, **READOUTS[kind][0])
    bias, noise = bias_of(kind, A, b, x0, result.burn_in)
    error = noise / np.sqrt(n_chains)
    np.testing.assert_allclose(np.linalg.norm(result.stderr), error, rtol=1e-6)
    rounding = 1e-11 * np.linalg.norm(np.linalg.solve(A, b))  # of the bias, a difference of two answers
    assert bias <= 0.1 * error * (1 + 1e-6) + rounding
    if scale > 1.0 and n_chains == 1:  # a long burn-in, during which the noise has come to rest
        bias, noise = bias_of(kind, A, b, x0, 0.9 * result.burn_in)
        assert bias > 0.1 * noise * 0.9


@pytest.mark.parametrize("kind", READOUTS)
def test_a_burn_in_that_is_too_short_is_told_how_long_it_must_be(kind, A, b):
    options = READOUTS[kind][0]
    b = 100 * b
    pattern = r"burn_in = 0.3 RC is too short: .* biases the average by .* \(standard error .*\); burn_in = (\S+) RC is"
    with pytest.warns(tl.errors.NotEquilibrated, match=pattern) as record:
        tl.solve(A, b, burn_in=0.3, rng=0, **options)
    assert record[0].filename == __file__  # it points at the call
    text = str(record[0].message)
    needed = float(text.split("burn_in = ")[2].split()[0])
    bias, noise = bias_of(kind, A, b, 0 * b, 0.3)
    assert float(text.split("average by ")[1].split()[0]) == pytest.approx(bias, rel=1e-2)
    assert float(text.split("standard error ")[1].split(")")[0]) == pytest.approx(noise, rel=1e-2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tl.solve(A, b, burn_in=needed * 1.001, rng=0, **options)


def test_burn_in_of_krylov_holds_with_its_own_bounds(rng):
    """Default bounds: the burn-in must cover the slowest mode there really is."""
    A = tl.problems.laplacian(30, 30)
    b = np.ones(900)
    result = tl.solve(A, b, duration=1e4, rng=0)
    low = tl.problems.laplacian_eigenvalues(30, 30)[0]
    operator = tl.Krylov(A, tol=1e-10)
    bias = np.exp(-low * result.burn_in) / (low * 1e4) * np.linalg.norm(operator.function(np.reciprocal, b))
    noise = np.sqrt(900) * result.stderr[0]
    assert bias < noise / 10  # an upper bound of the bias, more or less: most of A^-1 b is the slowest mode


# rtol -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"read_spacing": 2.0}])
@pytest.mark.parametrize("columns", [None, 3])
@pytest.mark.parametrize("n_chains", [1, 4])
def test_rtol_is_what_the_law_then_has(options, columns, n_chains, A, rng):
    b = rng.standard_normal((6, columns) if columns else 6)
    result = tl.solve(A, b, rtol=0.02, n_chains=n_chains, rng=0, **options)
    _, covariance = oracles.readout_law(
        "reads" if options else "integrator", A, b if columns is None else b[:, 0], np.zeros(6), 1.0,
        burn_in=np.inf, duration=result.duration, n_reads=result.n_reads, spacing=result.read_spacing,
    )  # fmt: skip
    relative = np.sqrt((columns or 1) * np.trace(covariance) / n_chains) / np.linalg.norm(np.linalg.solve(A, b))
    if options:  # the fewest reads that do
        assert relative <= 0.02 < relative * np.sqrt(result.n_reads / (result.n_reads - 1)) * 1.001
    else:
        assert relative == pytest.approx(0.02, rel=1e-4)


def test_rtol_with_bounds_only_is_guaranteed(A, b, rng):
    """With true bounds the expected error lies below, and the result says how far."""
    operator = tl.Krylov(scipy.sparse.csr_array(A), bounds=np.linalg.eigvalsh(A)[[0, -1]], tol=1e-10)
    result = tl.solve(operator, b, rtol=0.05, rng=rng)
    _, covariance = oracles.readout_law(
        "integrator", A, b, 0 * b, 1.0, burn_in=result.burn_in, duration=result.duration
    )
    expected = np.sqrt(np.trace(covariance)) / np.linalg.norm(np.linalg.solve(A, b))
    assert expected <= 0.05
    assert result.planning_margin >= 1.0
    assert result.planning_margin == pytest.approx(0.05 / expected, rel=0.5)
    assert "planned from bounds" in str(result)
    assert tl.solve(operator, b, duration=10.0, rng=rng).planning_margin is None
    assert tl.solve(A, b, rtol=0.1, rng=rng).planning_margin is None


def test_rtol_counts_rounding_in(A, b):
    x = np.linalg.solve(A, b)
    rounded = tl.solve(A, b, rtol=0.01, device=tl.Device(adc_bits=8), rng=0)
    ideal = tl.solve(A, b, rtol=0.01, rng=0)
    step = np.abs(x).max() / 127.0
    left = 1.0 - 6 * step**2 / 12.0 / (0.01 * np.linalg.norm(x)) ** 2  # share of the mean square error for noise
    assert left < 0.99
    # long averages have a variance that falls as one over the time, but for the first few relaxation times
    assert ideal.duration / rounded.duration == pytest.approx(left, rel=0.01)
    for changes in ({"adc_bits": 4}, {"dac_bits": 4}, {"matrix_bits": 10}):
        with pytest.raises(tl.errors.QuantizationFloor, match=r"rtol = 0.001 cannot be reached: rounding"):
            tl.solve(A, b, rtol=1e-3, device=tl.Device(**changes))
    with pytest.raises(tl.errors.QuantizationFloor, match="cannot be reached"):
        tl.solve(A, b, rtol=1e-4, read_spacing=1.0, device=tl.Device(adc_bits=4, beta=1e8))


def test_rtol_of_krylov_counts_rounding_in(A, b):
    """The floor of rounding is worked out from the answer, which takes products."""
    bounds = np.linalg.eigvalsh(A)[[0, -1]]
    sparse = scipy.sparse.csr_array(A)
    for changes in ({"adc_bits": 4}, {"dac_bits": 4}):
        with pytest.raises(tl.errors.QuantizationFloor, match="cannot be reached"):
            tl.solve(tl.Krylov(sparse, bounds=bounds), b, rtol=1e-3, device=tl.Device(**changes))
    device = tl.Device(adc_bits=14, dac_bits=14, matrix_bits=14)
    result = tl.solve(tl.Krylov(sparse, bounds=bounds, tol=1e-9), b, rtol=0.02, device=device, rng=0)
    exact = np.linalg.solve(A, b)
    assert np.linalg.norm(result.value - exact) < 5 * 0.02 * np.linalg.norm(exact)
    assert result.planning_margin >= 1.0


def test_rtol_below_the_read_noise_is_refused(A, b):
    device = tl.Device(read_noise=1.0)
    with pytest.raises(tl.errors.QuantizationFloor, match=r"rtol = 0.001 lies below the read noise of one conversion"):
        tl.solve(A, b, rtol=1e-3, device=device)
    assert tl.solve(A, b, rtol=0.05, read_spacing=1.0, device=device, rng=0).n_reads > 6  # reads average it away


def test_rtol_of_a_zero_answer_or_without_noise_is_refused(A):
    with pytest.raises(ValueError, match="rtol is relative to the norm of x, which is zero; give duration or n_reads"):
        tl.solve(A, np.zeros(6), rtol=0.1)
    with pytest.raises(ValueError, match="beta = inf has none; give duration or n_reads"):
        tl.solve(A, np.ones(6), rtol=0.1, beta=np.inf)


# Converters on the way --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("device", "options"),
    [
        (tl.Device(beta=1e4, adc_bits=8, adc_range=150.0), {"duration": 100.0}),
        (tl.Device(beta=1e4, adc_bits=8, adc_range=150.0, rounding="stochastic"), {"duration": 100.0}),
        (tl.Device(beta=1e4, read_noise=0.3), {"duration": 100.0}),
        (tl.Device(beta=1e4, read_noise=0.3), {"n_reads": 20, "read_spacing": 3.0}),
        (tl.Device(beta=1e4, adc_bits=8, adc_range=150.0, read_noise=0.5), {"duration": 100.0}),
    ],
)
def test_stderr_covers_read_noise_and_rounding(device, options, A, rng):
    """Small thermal noise, so that reading decides; b changes, so that answers lie anywhere between the levels."""
    operator = tl.Dense(A)
    z = []
    for b in rng.standard_normal((300, 6)):
        result = tl.solve(operator, b, device=device, rng=rng, **options)
        assert result.clipped["adc"] == 0
        z.append((result.value - np.linalg.solve(A, b)) / result.stderr)
    assert abs(np.sqrt(np.mean(np.square(z))) - 1.0) < 5 / np.sqrt(2 * 300 * 6)


def test_beta_is_that_of_the_device(A, b):
    assert tl.solve(A, b, duration=5.0, device=tl.Device(beta=7.0), rng=0).device.beta == 7.0
    np.testing.assert_array_equal(
        tl.solve(A, b, duration=5.0, device=tl.Device(beta=7.0), rng=0).value,
        tl.solve(A, b, duration=5.0, beta=7, rng=0).value,
    )


# Seeds, types, and what belongs to the caller -------------------------------------------------------------------------


def test_the_noise_follows_the_seed(A, b, seed):
    kinds = (seed, np.random.default_rng(seed), np.random.SeedSequence(seed), np.random.PCG64(seed))
    values = [tl.solve(A, b, duration=5.0, rng=rng).value for rng in kinds]
    for value in values[1:]:
        np.testing.assert_array_equal(value, values[0])
    assert tl.solve(A, b, duration=5.0, rng=[1, 2, 3]).value.shape == (6,)
    assert not np.array_equal(tl.solve(A, b, duration=5.0).value, tl.solve(A, b, duration=5.0).value)
    generator = np.random.default_rng(seed)
    first, second = (tl.solve(A, b, duration=5.0, rng=generator).value for _ in range(2))
    assert not np.array_equal(first, second)


def test_stderr_does_not_depend_on_when_it_is_asked_for(A, b, seed):
    """A stochastic trace draws from a stream of its own."""
    operator = tl.Krylov(scipy.sparse.csr_array(A))
    early, late = (tl.solve(operator, b, duration=5.0, rng=seed) for _ in range(2))
    early_error = early.stderr
    tl.solve(operator, b, duration=5.0, rng=seed + 1)
    np.testing.assert_array_equal(early_error, late.stderr)
    assert late.stderr is late.stderr


@pytest.mark.parametrize("dtype", [np.int64, np.int8, np.float32, np.float64])
def test_integers_and_single_precision_give_float64(dtype):
    A, b = np.array([[3, 1], [1, 2]], dtype=dtype), np.array([1, -1], dtype=dtype)
    result = tl.solve(A, b, duration=1e12, x0=b, rng=0)
    assert result.value.dtype == result.stderr.dtype == np.float64
    np.testing.assert_allclose(result.value, [0.6, -0.8], atol=1e-4)


def test_arrays_of_the_caller_stay_as_they_are(A, rng):
    b, x0 = rng.standard_normal((6, 2)), rng.standard_normal((6, 2))
    sparse = scipy.sparse.csr_array(A)
    arrays = (A, b, x0, sparse.data)
    copies = [array.copy() for array in arrays]
    for array in arrays:
        array.flags.writeable = False
    coarse = tl.Device(matrix_bits=12, dac_bits=6, adc_bits=6, read_noise=0.1, mismatch=1e-3)
    for device in (tl.Device(), coarse):
        for options in ({"duration": 3.0}, {"n_reads": 3}, {"n_reads": 3, "read_spacing": 1.0}, {"rtol": 0.9}):
            for simulator in ("auto", "path"):
                tl.solve(A, b, x0=x0, device=device, simulator=simulator, rng=0, **options)
        tl.solve(sparse, b, x0=x0, duration=3.0, device=device, rng=0)
    for array, copy in zip(arrays, copies, strict=True):
        np.testing.assert_array_equal(array, copy)


@given(
    seed=st.integers(0, 2**32),
    d=st.integers(1, 6),
    scale=st.floats(-3, 3).map(lambda u: 10.0**u),
    duration=st.floats(-2, 5).map(lambda u: 10.0**u),
)
def test_matrix_and_time_scale_against_each_other(seed, d, scale, duration):
    """A and time scale against each other: A -> s A, b -> s b, times / s, same noise, same answer."""
    rng = np.random.default_rng(seed)
    A, b = oracles.random_spd(rng, d, 10.0), rng.standard_normal(d)
    one = tl.solve(A, b, duration=duration, burn_in=1000.0, beta=1.0, rng=seed)
    other = tl.solve(scale * A, scale * b, duration=duration / scale, burn_in=1000.0 / scale, beta=1 / scale, rng=seed)
    np.testing.assert_allclose(other.stderr, one.stderr, rtol=1e-7)
    assert other.burn_in * scale == pytest.approx(one.burn_in)
