"""The exponentials against scipy's and against rotations known in closed form; their errors against plain sums."""

import mpmath
import numpy as np
import pytest
import scipy.linalg

import thermolinalg as tl
from thermolinalg.errors import NoClosedLaw, NotEquilibrated, NotPositiveDefinite, QuantizationFloor
from thermolinalg.primitives.expm import MARGIN, expm, expm_action, negexpm

NON_NORMAL = np.array([[1.0, 3.0, 0.0], [0.0, 1.0, -2.0], [0.0, 0.0, 0.5]])
TURN = np.array([[0.0, 1.0], [-1.0, 0.0]])


def wishart(d, seed):
    G = np.random.default_rng(seed).standard_normal((d, 2 * d))
    return G @ G.T / (2 * d)


def endless_mean_square(A, lags=400):
    """n E||C - e^-A||_F^2 of successive reads: the published sum over lags, term by term."""
    R = {0: np.eye(len(A))}
    M = scipy.linalg.expm(-A)
    for k in range(1, lags):
        R[k] = R[k - 1] @ M
        R[-k] = R[k].T
    return sum(np.trace(R[k]) ** 2 + np.sum(R[k + 1] * R[k - 1].T) for k in range(2 - lags, lags - 1))


OPTIONS = [
    {"n_reads": 20_000},
    {"n_reads": 20_000, "read_spacing": 12.0},
    {"n_reads": 20_000, "burn_in": "stationary"},
    {"n_reads": 20_000, "read_spacing": None},
    {"n_reads": 20_000, "read_spacing": None, "simulator": "path"},
    {"n_reads": 1000, "n_chains": 40},
    {"n_reads": 40_000, "device": tl.Device(beta=10.0, read_noise=0.1)},
    {"n_reads": 40_000, "device": tl.Device(beta=10.0, read_noise=0.1), "read_spacing": None},
    {"n_reads": 40_000, "device": tl.Device(adc_bits=6, read_noise=0.1)},
]


@pytest.mark.parametrize(
    ("function", "A"),
    [
        (negexpm, NON_NORMAL),
        (negexpm, np.array([[1.0, 3.0], [0.0, 1.0]])),
        (expm, TURN),
        (expm, -NON_NORMAL - np.eye(3)),
        (expm, NON_NORMAL),
    ],
    ids=["non-normal", "defective", "rotation", "negative", "growing"],
)
def test_limit_of_many_reads_is_the_exponential(function, A):
    """A hundred million million pairs of reads: the noise is gone, and what is left is the exponential at 30 digits."""
    mp, sign = mpmath.mp.clone(), -1 if function is negexpm else 1
    mp.dps = 30
    exact = np.array(mp.expm(mp.matrix((sign * A).tolist())).tolist(), dtype=float)
    r = function(A, n_reads=10**14, read_spacing=None, rng=0)
    np.testing.assert_allclose(r.value, exact, rtol=0, atol=1e-5 * np.linalg.norm(exact))
    assert r.alpha == pytest.approx(MARGIN + sign * np.linalg.eigvalsh((A + A.T) / 2)[0 if sign < 0 else -1])


@pytest.mark.parametrize("alpha", [0.3, 1.0])
def test_stderr_is_the_published_sum(alpha):
    A = NON_NORMAL + np.eye(3)  # its symmetric part is definite from a shift of about 0.1 on
    r = negexpm(A, n_reads=10**6, alpha=alpha, rng=0)
    exact = np.exp(2 * alpha) * endless_mean_square(A + alpha * np.eye(3)) / 1e6
    assert np.sum(r.stderr**2) == pytest.approx(exact, rel=1e-4)  # 1 - |k|/n makes the difference


@pytest.mark.parametrize(("d", "absolute", "relative"), [(64, 1326.0, 6137.0), (128, 5281.0, 12189.0)])
def test_crossing_times_are_those_of_the_matrix_exponential_paper(d, absolute, relative):
    """Wishart panel: 12 us a read, the time at which the error crosses 8.0, and 0.9 of ||e^-A||."""
    A = wishart(d, 5)
    norm = np.linalg.norm(scipy.linalg.expm(-A))
    assert norm == pytest.approx(0.517 * np.sqrt(d), rel=0.02)
    for rtol, time in ((8.0 / norm, absolute), (0.9, relative)):
        r = negexpm(A, rtol=rtol, alpha=0.0, read_spacing=12.0, burn_in="stationary", rng=0)
        assert r.duration == pytest.approx(time, rel=0.04)
        error = np.linalg.norm(r.value - scipy.linalg.expm(-A)) / norm
        assert error == pytest.approx(rtol, rel=0.1)


def test_orthogonal_panel_needs_its_shift():
    Q = np.linalg.qr(np.random.default_rng(0).standard_normal((16, 16)))[0]
    assert negexpm(Q, n_reads=10, alpha=1.1, read_spacing=12.0, rng=0).alpha == 1.1
    with pytest.raises(NotPositiveDefinite):
        negexpm(Q, n_reads=10, alpha=0.9)


def test_times_scale_with_the_spacing_and_the_answer_does_not():
    slow, fast = (negexpm(NON_NORMAL, n_reads=50, read_spacing=s, rng=0) for s in (12.0, 1.0))
    np.testing.assert_allclose(slow.value, fast.value, rtol=1e-12)
    assert slow.burn_in == pytest.approx(12.0 * fast.burn_in, rel=1e-12)
    assert (slow.duration, fast.duration) == (600.0, 50.0)
    assert slow.cost.integrate == pytest.approx(600.0 * slow.device.time_unit)
    assert slow.cost.conversions == 9 + 6 + 3 * 51


@pytest.mark.parametrize("options", OPTIONS)
def test_columns_of_the_action_do_not_depend_on_one_another(options):
    v = np.array([1.0, -2.0, 0.5])
    fixed = {"burn_in": 600.0} | options  # an automatic one depends on the vectors
    one = expm_action(-NON_NORMAL, v, rng=4, **fixed)
    assert one.value.shape == one.stderr.shape == (3,)
    columns = expm_action(-NON_NORMAL, np.column_stack((v, [0.0, 1.0, 0.0])), rng=4, **fixed)
    np.testing.assert_allclose(columns.value[:, 0], one.value, rtol=1e-9)
    np.testing.assert_allclose(columns.stderr[:, 0], one.stderr, rtol=1e-9)


@pytest.mark.parametrize("spacing", [1.0, None])
def test_error_of_the_action_on_a_unit_vector_is_that_of_a_column(spacing):
    matrix = negexpm(NON_NORMAL, n_reads=300, read_spacing=spacing, burn_in=50.0, rng=0)
    column = expm_action(-NON_NORMAL, [0.0, 1.0, 0.0], n_reads=300, read_spacing=spacing, burn_in=50.0, rng=0)
    np.testing.assert_allclose(column.stderr, matrix.stderr[:, 1], rtol=1e-9)
    np.testing.assert_allclose(column.value, matrix.value[:, 1], rtol=1e-9)


def test_automatic_shift_serves_definite_and_indefinite_matrices():
    for A in (5.0 * np.eye(2), np.diag([-3.0, 4.0]), TURN, np.zeros((2, 2))):
        r = negexpm(A, n_reads=10**14, read_spacing=None, rng=0)
        np.testing.assert_allclose(r.value, scipy.linalg.expm(-A), rtol=0, atol=2e-5)
        assert np.linalg.eigvalsh((A + A.T) / 2)[0] + r.alpha == pytest.approx(MARGIN)
    shifted = negexpm(5.0 * np.eye(2), n_reads=10_000, rng=0)
    plain = negexpm(5.0 * np.eye(2), n_reads=10_000, alpha=0.0, rng=0)
    assert shifted.stderr.max() < 0.05 * plain.stderr.max()  # 1/margin reads less, e^4.75 of signal more
    assert "alpha = -4.75" in str(shifted)


def test_margin_is_near_its_optimum():
    """Within 30 % of the best standard error from one slow mode to a Wishart matrix of 30."""
    for A in (np.array([[1.0]]), TURN, wishart(30, 1)):
        low = np.linalg.eigvalsh((A + A.T) / 2)[0]
        errors = [np.exp(2 * (m - low)) * endless_mean_square(A + (m - low) * np.eye(len(A)))
                  for m in (MARGIN, *np.linspace(0.05, 1.0, 20))]  # fmt: skip
        assert np.sqrt(errors[0] / min(errors)) < 1.3


def test_planned_reads_reach_the_error():
    """By the standard error, which 200 seeds judge elsewhere."""
    exact = scipy.linalg.expm(-NON_NORMAL)
    for spacing in (1.0, None):
        r = negexpm(NON_NORMAL, rtol=0.2, read_spacing=spacing, rng=0)
        assert np.linalg.norm(r.stderr) / np.linalg.norm(exact) == pytest.approx(0.2, rel=0.02)
    v = np.array([1.0, 0.0, 1.0])
    r = expm_action(-NON_NORMAL, v, rtol=0.05, rng=0)
    assert np.sqrt(np.sum(r.stderr**2)) / np.linalg.norm(exact @ v) == pytest.approx(0.05, rel=0.02)


def test_start_at_zero_without_burn_in_is_warned_about_and_simulated():
    A = np.array([[0.05]])
    with pytest.warns(NotEquilibrated, match="exponential"):
        runs = [negexpm(A, n_reads=20, alpha=0.0, burn_in=0.0, n_chains=4000, rng=0) for _ in range(1)]
    # E[x_{k+1} x_k] = e^-a (1 - e^{-2 a k}) from zero
    exact = np.exp(-0.05) * np.mean(1.0 - np.exp(-0.1 * np.arange(20)))
    assert abs(runs[0].value[0, 0] - exact) < 5 * runs[0].stderr[0, 0]
    assert runs[0].stderr_kind == "chains"


def test_rounded_drift_has_a_floor():
    device = tl.Device(matrix_bits=4, dac_bits=6)
    r = negexpm(wishart(3, 2), n_reads=10**8, read_spacing=None, device=device, rng=0)
    assert np.abs(r.value - scipy.linalg.expm(-wishart(3, 2))).max() > 20 * r.stderr.max()
    with pytest.raises(QuantizationFloor):
        negexpm(wishart(3, 2), rtol=1e-4, device=device)


def test_same_bits_for_any_number_of_workers():
    runs = [negexpm(NON_NORMAL, n_reads=2500, n_chains=3, workers=w, rng=0).value for w in (1, 2, 3)]
    np.testing.assert_array_equal(runs[0], runs[1])
    np.testing.assert_array_equal(runs[0], runs[2])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: negexpm([[1.0, 4.0], [0.0, 1.0]], n_reads=5, alpha=0.0), r"symmetric part of A \+ alpha I .* is -1;"),
        (lambda: expm(TURN, n_reads=5, alpha=0.0), r"symmetric part of -A \+ alpha I .* is 0;"),
        (lambda: negexpm(np.ones((2, 3)), n_reads=5), "A must be a square matrix"),
        (lambda: negexpm([[np.inf]], n_reads=5), "A must be finite"),
        (lambda: negexpm(TURN), "exactly one of n_reads, rtol"),
        (lambda: negexpm(TURN, n_reads=5, rtol=0.1), "exactly one of n_reads, rtol"),
        (lambda: negexpm(TURN, n_reads=0), "n_reads must be at least 1"),
        (lambda: negexpm(TURN, rtol=-1.0), "rtol must be positive"),
        (lambda: negexpm(TURN, n_reads=5, read_spacing=0.0), "read_spacing must be positive"),
        (lambda: negexpm(TURN, n_reads=5, alpha="big"), "alpha"),
        (lambda: negexpm(TURN, n_reads=5, burn_in=-1.0), "burn_in"),
        (lambda: negexpm(TURN, n_reads=5, beta=np.inf), "beta = inf"),
        (lambda: expm_action(TURN, [1.0, 2.0, 3.0], n_reads=5), "v must have shape"),
        (lambda: expm_action(TURN, [0.0, 0.0], rtol=0.1), "which is zero"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_indefinite_shift_carries_its_eigenvalue():
    with pytest.raises(NotPositiveDefinite) as caught:
        negexpm([[1.0, 4.0], [0.0, 1.0]], n_reads=5, alpha=0.5)
    assert caught.value.eigenvalue == pytest.approx(-0.5)


def test_a_missing_law_is_refused():
    with pytest.raises(NoClosedLaw, match="path"):
        negexpm(TURN, n_reads=10, simulator="law")
    with pytest.raises(NoClosedLaw, match="rounded"):
        negexpm(TURN, n_reads=10, read_spacing=None, device=tl.Device(adc_bits=8), simulator="law")
