"""`inv` with dtype=float32: what single precision changes, and what it is refused for."""

import mpmath
import numpy as np
import pytest

import thermolinalg as tl
from tests import oracles
from thermolinalg.measurement import paths

HALF_SPACING = 2.0**-25  # half the distance of the single-precision numbers just below 1


@pytest.mark.parametrize("change", [3e-5, 1e-3, 0.1, 2.0, 30.0])
def test_a_rounded_step_keeps_the_stationary_variance(change, rng):
    """kick^2 / (1 - decay^2) = 1 / (beta rate) to the rounding of the kick; rates are off as the docstring says."""
    rates, spacing, beta = change * (1.0 + rng.random(50)), 1.0, 2.0
    step = paths._rounded(*paths._steps(rates, np.zeros(50), spacing, beta), np.dtype(np.float32))
    assert all(part.dtype == np.float32 for part in step)
    for rate, decay, kick in zip(rates, step[0], step[2], strict=True):
        decay, kick = mpmath.mpf(float(decay)), mpmath.mpf(float(kick))
        assert abs(kick**2 / (1 - decay**2) * beta * rate - 1) < 3e-7
        if rate < 1.0:
            assert abs(-mpmath.log(decay) / rate - 1) <= 1.01 * HALF_SPACING / (rate * decay)


@pytest.mark.parametrize("options", [{"read_spacing": 0.5}, {"simulator": "path"}])
@pytest.mark.parametrize("d", [5, 70])
def test_the_same_noise_gives_nearly_the_same_answer(d, options, rng):
    A = oracles.random_spd(rng, d, 20.0)
    double, single = (
        tl.inv(A, n_reads=3000, dtype=dtype, rng=tl.fast_rng(0), **options) for dtype in (np.float64, np.float32)
    )
    assert single.value.dtype == np.float64
    gap = np.linalg.norm(single.value - double.value) / np.linalg.norm(double.value)
    assert 0.0 < gap < 1e-6
    np.testing.assert_array_equal(single.stderr, double.stderr)


@pytest.mark.long
def test_scores_of_single_precision_are_calibrated(rng):
    """z-scores of all entries of 300 runs, against the exact inverse."""
    A = oracles.random_spd(rng, 3, 8.0)
    runs = [tl.inv(A, n_reads=200, read_spacing=1.0, dtype="float32", rng=rng) for _ in range(300)]
    z = np.array([(run.value - np.linalg.inv(A)) / run.stderr for run in runs])
    assert (np.abs(z.mean(axis=0)) < 5 / np.sqrt(300) + 0.1).all()  # 0.1: what the burn-in may leave
    spread = z.var(axis=0)
    kurtosis = ((z - z.mean(axis=0)) ** 4).mean(axis=0) / spread**2
    assert (np.abs(spread - 1.0) < 5 * np.sqrt((kurtosis - 1.0) / 300)).all()


def test_converted_reads_of_single_precision_lie_within_the_stderr(rng):
    A = oracles.random_spd(rng, 4, 8.0)
    result = tl.inv(A, n_reads=3000, read_spacing=1.0, dtype="float32", device=tl.Device(adc_bits=8), rng=rng)
    assert (np.abs(result.value - np.linalg.inv(A)) < 5 * result.stderr).all()


@pytest.mark.parametrize("dtype", [np.float32, "float32", np.dtype("float32")])
def test_all_names_of_the_precision_are_one(dtype, rng):
    A = oracles.random_spd(rng, 3, 8.0)
    values = [tl.inv(A, n_reads=50, read_spacing=1.0, dtype=t, rng=0).value for t in (dtype, np.float32)]
    np.testing.assert_array_equal(*values)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dtype": np.float16}, "dtype must be float64 or float32, got <class 'numpy.float16'>"),
        ({"dtype": "single-ish"}, "dtype must be float64 or float32, got 'single-ish'"),
        ({"read_spacing": None}, "dtype=float32 is for overdamped paths"),
        ({"dynamics": "underdamped"}, "dtype=float32 is for overdamped paths"),
        ({"beta": 1e40}, "dtype=float32 cannot hold products of reads of variance 1e-40; rescale A or beta"),
        ({"beta": 1e-40, "simulator": "path", "read_spacing": None}, "of variance 1e[+]40"),
        ({"read_spacing": 1e-5}, "lambda_min times the spacing of the reads is 1e-05, and must be at least 3e-05"),
    ],
)
def test_bad_input_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        tl.inv(np.diag([1.0, 2.0]), **({"n_reads": 10, "read_spacing": 1.0, "dtype": "float32", "rng": 0} | options))
