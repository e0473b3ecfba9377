"""Determinants from work: calibrated over 200 seeds where dissipation is below 1 / beta, and warned about beyond."""

import warnings

import numpy as np
import pytest
import scipy.optimize
import scipy.special

from thermolinalg import problems
from thermolinalg.errors import UnreliableWork
from thermolinalg.hardware.device import Device
from thermolinalg.primitives.logdet import logdet

pytestmark = pytest.mark.long


def spd(rng, d, low, high):
    Q = np.linalg.qr(rng.standard_normal((d, d)))[0]
    A = Q @ np.diag(np.geomspace(low, high, d)) @ Q.T
    return (A + A.T) / 2.0


RNG = np.random.default_rng(41)
A, OTHER = spd(RNG, 4, 0.4, 1.6), spd(RNG, 4, 0.5, 1.2)
TRUTH = np.linalg.slogdet(A)[1]


def z_scores(truth, *arguments, **options):
    """(value - truth) / stderr of 200 seeds; the results as well."""
    results = [logdet(*arguments, rng=seed, workers=1, **options) for seed in range(200)]
    return np.array([(r.value - truth) / r.stderr for r in results]), results


def assert_calibrated(z):
    assert abs(z.mean()) < 0.28
    assert abs(z.std(ddof=1) - 1.0) < 0.20


@pytest.mark.parametrize("estimator", ["jarzynski", "bar", "gaussian"])
@pytest.mark.parametrize("protocol", ["linear", "optimal"])
def test_slow_ramps_are_calibrated(estimator, protocol):
    z, _ = z_scores(TRUTH, A, duration=60.0, n_steps=150, n_paths=500, estimator=estimator, protocol=protocol)
    assert_calibrated(z)


@pytest.mark.parametrize("estimator", ["jarzynski", "bar"])
def test_matrices_that_do_not_commute_are_calibrated(estimator):
    z, _ = z_scores(TRUTH, A, OTHER, duration=20.0, n_steps=120, n_paths=400, estimator=estimator)
    assert_calibrated(z)


@pytest.mark.parametrize("estimator", ["jarzynski", "bar"])
def test_a_coarse_ramp_is_calibrated_too(estimator):
    """Six exact steps: far from the continuous ramp, and the equality still holds."""
    z, results = z_scores(np.log([0.9, 1.4, 2.0]).sum(), np.diag([0.9, 1.4, 2.0]), 1.0,
                          duration=2.0, n_steps=6, n_paths=500, estimator=estimator)  # fmt: skip
    assert_calibrated(z)
    assert np.mean([r.dissipated_work for r in results]) > 0.02


def test_jarzynski_up_to_a_dissipation_of_one():
    """Stiffening many modes: dissipation just below 1 / beta, no warning (it would be an error), calibrated."""
    target = np.diag(np.repeat([1.5, 2.5], 10))
    z, results = z_scores(10 * np.log(1.5 * 2.5), target, 1.0, duration=2.2, n_steps=24, n_paths=2000)
    assert_calibrated(z)
    assert 0.7 < np.mean([r.dissipated_work for r in results]) < 0.95


@pytest.mark.parametrize(("duration", "n_modes"), [(1.3, 10), (0.3, 10), (2.0, 40)])
def test_beyond_a_dissipation_of_one_the_warning_always_fires(duration, n_modes):
    target = np.diag(np.repeat([1.5, 2.5], n_modes))
    dissipated, fired = [], 0
    for seed in range(40):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            r = logdet(target, 1.0, duration=duration, n_steps=12, n_paths=1000, rng=seed, workers=1)
        fired += any(issubclass(w.category, UnreliableWork) for w in caught)
        dissipated.append(r.dissipated_work)
    assert np.mean(dissipated) > 1.0
    assert fired == 40


def test_bar_is_calibrated_where_jarzynski_is_not():
    """A fast ramp that lowers an eigenvalue tenfold: e^{-w} has no variance, and few paths rule its average."""
    target, truth = np.diag([0.1, 1.0, 1.9]), np.log(0.1 * 1.9)
    options = {"duration": 2.0, "n_steps": 8, "n_paths": 500}
    z, _ = z_scores(truth, target, 1.0, estimator="bar", **options)
    assert_calibrated(z)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        z, results = z_scores(truth, target, 1.0, **options)
    assert abs(z.mean()) > 0.28
    assert len(caught) > 0.9 * len(results)


def exact_dissipation(rates, first, duration, n_steps):
    """Mean work less free energy of a linear ramp of n steps: <x^2> of each mode from jump to jump."""
    total, old, second = 0.0, first + 0.0 * rates, 1.0 / (first + 0.0 * rates)
    for fraction in [*(np.arange(n_steps) + 0.5) / n_steps, 1.0]:
        new = first + fraction * (rates - first)
        total = total + 0.5 * (new - old) * second
        old, second = new, 1.0 / new + np.exp(-2.0 * duration / n_steps * new) * (second - 1.0 / new)
    return float(np.sum(total - 0.5 * np.log(rates / first)))


@pytest.mark.parametrize("estimator", ["jarzynski", "bar"])
def test_dissipated_work_is_calibrated(estimator):
    options = {"duration": 20.0, "n_steps": 50}
    truth = exact_dissipation(np.linalg.eigvalsh(A), np.trace(A) / 4, **options)
    _, results = z_scores(TRUTH, A, n_paths=4000, estimator=estimator, **options)
    assert_calibrated(np.array([(r.dissipated_work - truth) / r.dissipated_stderr for r in results]))


def test_dissipation_of_the_known_protocols_is_the_printed_one():
    for protocol, printed in (("optimal", 0.01188), ("linear", 0.0385)):
        r = logdet([[0.05]], 1.0, duration=1000.0, n_paths=4000, n_steps=4000, protocol=protocol, rng=42)
        assert abs(r.dissipated_work - printed) < 5 * r.dissipated_stderr
        assert r.dissipated_stderr < 0.1 * printed
        assert r.value == pytest.approx(np.log(0.05), abs=5 * r.stderr)


def test_work_distributions_cross_at_the_free_energy_difference():
    """Crooks: ln p(w) - ln p_R(-w) is a line of slope 1 through zero at w = dF."""
    r = logdet(A, 1.5, duration=6.0, n_steps=20, n_paths=200_000, estimator="bar", rng=43)
    difference = 0.5 * (TRUTH - r.reference)
    edges = np.linspace(difference - 1.0, difference + 1.0, 21)
    forward, backward = np.histogram(r.work, edges)[0], np.histogram(-r.reverse_work, edges)[0]
    kept = (forward > 100) & (backward > 100)
    assert kept.sum() >= 8
    centres = 0.5 * (edges[1:] + edges[:-1])[kept] - difference
    ratio = np.log(forward[kept] / backward[kept])
    weight = 1.0 / np.sqrt(1.0 / forward[kept] + 1.0 / backward[kept])
    (slope, crossing), covariance = np.polyfit(centres, ratio, 1, w=weight, cov="unscaled")
    assert abs(slope - 1.0) < 4 * np.sqrt(covariance[0, 0]) < 0.2
    assert abs(crossing) < 4 * np.sqrt(covariance[1, 1]) < 0.1


@pytest.mark.parametrize(
    ("estimator", "options"),
    [
        ("jarzynski", {"atol": 0.008}),
        ("jarzynski", {"atol": 0.012, "n_paths": 400}),
        ("bar", {"atol": 0.03}),
        ("bar", {"atol": 0.05, "n_paths": 400}),
    ],
)
def test_the_error_that_is_asked_for_is_hit(estimator, options):
    """Root mean square over 200 seeds, where the paths or the duration follow from it."""
    z, results = z_scores(TRUTH, A, estimator=estimator, **options)
    assert_calibrated(z)
    errors = np.array([r.value - TRUTH for r in results])
    assert np.sqrt(np.mean(errors**2)) == pytest.approx(options["atol"], rel=0.2)


@pytest.mark.parametrize("estimator", ["jarzynski", "bar", "gaussian"])
def test_default_settings_are_calibrated_and_never_warn(estimator):
    """No duration is given; a warning would be an error."""
    z, results = z_scores(TRUTH, A, estimator=estimator)
    assert_calibrated(z)
    assert max(r.dissipated_work for r in results) < 1.0 + 0.2 * (estimator == "bar")


def test_an_ordinary_larger_problem_does_not_warn():
    matrix = problems.wishart(50, rng=1)
    r = logdet(matrix, estimator="bar", rng=0)
    assert abs(r.value - np.linalg.slogdet(matrix)[1]) < 5 * r.stderr
    r = logdet(matrix, n_steps=400, rng=0)
    assert abs(r.value - np.linalg.slogdet(matrix)[1]) < 5 * r.stderr < 0.5


# Devices ---------------------------------------------------------------------------------------------------------

RATES, FIRST, FAST = np.array([0.8, 1.3, 2.1]), 0.5, {"duration": 4.0, "n_steps": 8, "n_paths": 500}


def sampled_work(rng, first, last, n):
    """Work of n paths of one mode, as the quadratic form of the normals that drive it."""
    n_steps, step = FAST["n_steps"], FAST["duration"] / FAST["n_steps"]
    rates = first + np.concatenate(([0.0], (np.arange(n_steps) + 0.5) / n_steps, [1.0])) * (last - first)
    states = np.zeros((n_steps + 1, n_steps + 1))
    states[0, 0] = first**-0.5
    for k, rate in enumerate(rates[1:-1]):
        states[k + 1] = np.exp(-step * rate) * states[k]
        states[k + 1, k + 1] = np.sqrt((1.0 - np.exp(-2.0 * step * rate)) / rate)
    weights = np.linalg.eigvalsh(states.T @ np.diag(np.diff(rates)) @ states) / 2.0
    return sum(weight * rng.standard_normal(n) ** 2 for weight in weights)


def limit_of(device, estimator, n=1_000_000):
    """ln det from endless paths as this device reads them: a million draws, gain, noise and rounding by hand."""
    rng, reads = np.random.default_rng(44), []
    for forward in (True, False):
        ends = [(FIRST, rate) if forward else (rate, FIRST) for rate in RATES]
        work = sum(sampled_work(rng, *pair, n) for pair in ends) / device.beta
        volts = device.read_gains(1)[0] * work + device.read_noise * rng.standard_normal(n)
        if device.adc_bits is not None:
            step = device.adc_range / (2 ** (device.adc_bits - 1) - 1)
            up = 0.5 if device.rounding == "nearest" else rng.random(n)
            volts = np.clip(np.floor(volts / step + up) * step, -device.adc_range, device.adc_range)
        reads.append(device.beta * volts)
    work, reverse = reads

    def gap(f):
        return np.mean(1.0 / (1.0 + np.exp(work - f))) - np.mean(1.0 / (1.0 + np.exp(reverse + f)))

    known = {"gaussian": work.mean() - work.var() / 2.0, "jarzynski": -np.log(np.mean(np.exp(-work)))}
    found = scipy.optimize.brentq(gap, -20.0, 20.0) if estimator == "bar" else known[estimator]
    return len(RATES) * np.log(FIRST) + 2.0 * found


SHEETS = {
    "gain": {"eps_sys": 0.3},
    "gain and noise": {"eps_sys": 0.3, "read_noise": 0.22, "beta": 2.0},
    "gain and converter": {"eps_sys": 0.3, "adc_bits": 4, "adc_range": 7.0},
    "gain and stochastic converter": {"eps_sys": 0.3, "adc_bits": 4, "adc_range": 10.0, "rounding": "stochastic"},
}


@pytest.mark.parametrize("estimator", ["jarzynski", "bar", "gaussian"])
@pytest.mark.parametrize("sheet", SHEETS.values(), ids=SHEETS)
def test_stderr_follows_how_the_work_is_read(sheet, estimator):
    device = Device(**sheet)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnreliableWork)  # the Gaussian estimate is off: so is its limit
        z, _ = z_scores(limit_of(device, estimator), np.diag(RATES), FIRST, estimator=estimator, device=device, **FAST)
    assert_calibrated(z)


@pytest.mark.parametrize("estimator", ["jarzynski", "bar", "gaussian"])
def test_rounding_that_noise_does_not_dither_is_in_the_stderr(estimator):
    """Work of a deviation of 0.1 steps: nearly all paths round alike. Problems spread evenly between levels."""
    device, z = Device(adc_bits=4, adc_range=2.1), []
    for seed in range(200):
        rate = np.exp(2.0 * np.random.default_rng(seed).uniform(0.45, 0.75) / 8.0)  # work of 1.5 to 2.5 steps
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UnreliableWork)  # work on two levels is not normal
            r = logdet(rate * np.eye(8), 1.0, duration=50.0, n_steps=100, n_paths=100, estimator=estimator,
                       device=device, rng=seed, workers=1)  # fmt: skip
        z.append((r.value - 8.0 * np.log(rate)) / r.stderr)
    assert_calibrated(np.array(z))
