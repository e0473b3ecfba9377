"""`logdet` and `det`: references, protocols, labels, costs and refusals; calibration is in tests/statistical."""

import copy
import pickle
import re
import warnings

import numpy as np
import pytest
import scipy.integrate
import scipy.linalg
import scipy.sparse

from thermolinalg.errors import NoClosedLaw, NotPositiveDefinite, UnreliableWork
from thermolinalg.hardware.device import Device
from thermolinalg.hardware.programming import program
from thermolinalg.measurement import schedules
from thermolinalg.measurement.ramps import EulerRamp, ModeRamp, reversible_rates
from thermolinalg.operators import Dense, Diagonal, Kronecker, Krylov, LowRank
from thermolinalg.primitives.logdet import det, logdet
from thermolinalg.results import Estimate

A3 = np.array([[2.0, 0.4, 0.1], [0.4, 1.5, -0.2], [0.1, -0.2, 1.2]])
OTHER = np.array([[1.0, -0.3, 0.0], [-0.3, 1.4, 0.2], [0.0, 0.2, 1.8]])
QUICK = {"duration": 10.0, "n_paths": 300, "n_steps": 20}


@pytest.mark.parametrize("estimator", ["jarzynski", "bar", "gaussian"])
@pytest.mark.parametrize("A0", [None, 1.1, OTHER, Diagonal([1.0, 1.5, 2.0])])
def test_answer_lies_within_five_stderr(estimator, A0):
    plain = isinstance(A0, np.ndarray | Diagonal)  # these do not commute with A3: Euler steps, which must be short
    r = logdet(A3, A0, estimator=estimator, duration=20.0, n_paths=300, n_steps=120 if plain else 40, rng=31)
    assert r.stepping == ("euler" if plain else "exact")
    truth = np.linalg.slogdet(A3)[1]
    assert abs(r.value - truth) < 5 * r.stderr
    assert 0 < r.stderr < 0.2
    assert 0 < r.effective_paths <= 300
    assert (r.reverse_work is None) == (estimator != "bar")
    assert r.work.shape == (300,)


def test_reference_determinant_is_digital():
    assert logdet(A3, rng=0, **QUICK).reference == pytest.approx(3 * np.log(np.trace(A3) / 3))
    assert logdet(A3, 2.0, rng=0, **QUICK).reference == pytest.approx(3 * np.log(2.0))
    r = logdet(A3, OTHER, rng=0, **QUICK | {"n_steps": 40})
    assert r.reference == pytest.approx(np.linalg.slogdet(OTHER)[1])
    assert r.stepping == "euler"


def test_any_operator_has_a_determinant():
    U = np.random.default_rng(32).standard_normal((5, 2))
    cases = [
        (LowRank(0.8, 0.5 * U), 0.8 * np.eye(5) + 0.25 * U @ U.T),
        (Kronecker(np.diag([1.0, 1.5]), OTHER[:2, :2]), np.kron(np.diag([1.0, 1.5]), OTHER[:2, :2])),
        (scipy.sparse.csr_array(A3), A3),
        (Diagonal([1.0, 2.0]), np.diag([1.0, 2.0])),
    ]
    for operator, matrix in cases:
        r = logdet(operator, rng=33, **QUICK)
        assert abs(r.value - np.linalg.slogdet(matrix)[1]) < 5 * r.stderr
        assert r.work.size == 300


def test_determinant_is_the_exponential():
    logarithm, plain = (f(A3, rng=5, **QUICK) for f in (logdet, det))
    assert plain.value == pytest.approx(np.exp(logarithm.value))
    assert plain.stderr == pytest.approx(plain.value * logarithm.stderr)
    with pytest.raises(FloatingPointError, match="determinant is not finite"):
        det(1e200 * np.eye(3), duration=1e-200, n_paths=100, rng=0)


def test_any_number_of_workers_gives_the_same_bits():
    for A0 in (None, OTHER):
        once, twice = (logdet(A3, A0, rng=6, workers=n, **QUICK | {"n_steps": 40}).work for n in (1, 3))
        np.testing.assert_array_equal(once, twice)


def test_answer_does_not_depend_on_temperature():
    cold, warm = (logdet(A3, rng=7, beta=beta, **QUICK) for beta in (100.0, 1.0))
    assert cold.value == warm.value
    assert cold.dissipated_work == warm.dissipated_work
    assert cold.cost.stored_energy == pytest.approx(warm.cost.stored_energy / 100.0)


# Protocols -------------------------------------------------------------------------------------------------------


def mean_dissipation(rate, slope, l0, l1, duration):
    """Mean work less free energy of one mode, by integrating d<x^2>/dt = 2 - 2 l <x^2> along a continuous ramp."""

    def moments(t, y):
        return [2.0 - 2.0 * rate(t) * y[0], 0.5 * slope(t) * y[0]]

    y = scipy.integrate.solve_ivp(moments, (0.0, duration), [1.0 / l0, 0.0], method="LSODA", rtol=1e-10, atol=1e-13)
    return y.y[1, -1] - 0.5 * np.log(l1 / l0)


def ramp_dissipation(ramp):
    """The same for the steps of a ramp of modes, from the recursion of <x^2>."""
    h, total, second = ramp.duration / ramp.n_steps, 0.0, 1.0 / ramp.rates[0]
    for old, new in zip(ramp.rates[:-1], ramp.rates[1:], strict=True):
        total = total + 0.5 * (new - old) * second
        second = 1.0 / new + np.exp(-2.0 * h * new) * (second - 1.0 / new)
    return float(np.sum(total - 0.5 * np.log(ramp.rates[-1] / ramp.rates[0])))


@pytest.mark.parametrize(("protocol", "printed", "slow"), [("optimal", 0.01188, 0.01206), ("linear", 0.0385, 0.0474)])
def test_dissipation_of_both_protocols_is_the_known_one(protocol, printed, slow):
    l0, l1, tau = 1.0, 0.05, 1000.0
    if protocol == "linear":
        continuous = mean_dissipation(lambda t: l0 + (l1 - l0) * t / tau, lambda t: (l1 - l0) / tau, l0, l1, tau)
    else:
        a, c = l0**-0.5, (l1**-0.5 - l0**-0.5) / tau
        continuous = mean_dissipation(
            lambda t: (a + c * t) ** -2.0, lambda t: -2 * c * (a + c * t) ** -3.0, l0, l1, tau
        )
    assert continuous == pytest.approx(printed, rel=2e-3)
    ramp = ModeRamp.planned(np.array([l0]), np.array([l1]), tau, None, protocol)
    assert ramp.n_steps == 2000
    assert ramp_dissipation(ramp) == pytest.approx(continuous, rel=0.02)
    fine = ModeRamp.planned(np.array([l0]), np.array([l1]), tau, 20_000, protocol)
    assert ramp_dissipation(fine) == pytest.approx(continuous, rel=1e-3)
    assert ramp.slow_limit() == pytest.approx(slow, rel=1e-3)
    assert ramp.bound() == pytest.approx(0.01206, rel=1e-3)


def test_steps_converge_to_the_continuous_ramp_at_second_order():
    l0, l1, tau = 0.8, 2.0, 3.0
    slope = (l1 - l0) / tau
    continuous = mean_dissipation(lambda t: l0 + slope * t, lambda t: slope, l0, l1, tau)
    steps = np.array([8, 16, 32, 64])
    gaps = [ramp_dissipation(ModeRamp.planned(np.array([l0]), np.array([l1]), tau, n, "linear")) - continuous
            for n in steps]  # fmt: skip
    assert np.polyfit(np.log(steps), np.log(np.abs(gaps)), 1)[0] == pytest.approx(-2.0, abs=0.05)


def test_slow_limit_of_noncommuting_matrices_is_reached():
    """Against the relaxation of the covariance: S' = 2 - A S - S A, W = int tr(A' S) / 2, for a slow ramp."""
    A0, A, tau = OTHER[:2, :2], A3[:2, :2], 400.0
    change = (A - A0) / tau

    def moments(t, y):
        S, M = y[:4].reshape(2, 2), A0 + t * change
        return np.append((2 * np.eye(2) - M @ S - S @ M).ravel(), 0.5 * np.trace(change @ S))

    start = np.append(np.linalg.inv(A0).ravel(), 0.0)
    work = scipy.integrate.solve_ivp(moments, (0.0, tau), start, method="LSODA", rtol=1e-11, atol=1e-14).y[-1, -1]
    dissipated = work - 0.5 * (np.linalg.slogdet(A)[1] - np.linalg.slogdet(A0)[1])
    ramp = EulerRamp.planned(Dense(A0), Dense(A), tau, 2000)
    assert ramp.slow_limit() == pytest.approx(dissipated, rel=0.02)
    S0, S1 = np.linalg.inv(A0), np.linalg.inv(A)
    root = scipy.linalg.sqrtm(S0)
    wasserstein = np.trace(S0 + S1 - 2 * scipy.linalg.sqrtm(root @ S1 @ root)) / tau
    assert ramp.bound() == pytest.approx(wasserstein, rel=1e-8)
    assert ramp.bound() < ramp.slow_limit()


def test_commuting_limits_agree_with_the_general_ones():
    modes = ModeRamp.planned(np.array([1.0, 1.0, 1.0]), np.linalg.eigvalsh(A3), 5.0, 10, "linear")
    matrices = EulerRamp.planned(Diagonal([1.0, 1.0, 1.0]), Dense(A3), 5.0, 40)
    assert matrices.slow_limit() == pytest.approx(modes.slow_limit(), rel=1e-9)
    assert matrices.bound() == pytest.approx(modes.bound(), rel=1e-7)


def test_shared_modes_are_found():
    values, V = np.linalg.eigh(A3)
    seen = reversible_rates(Dense(V @ np.diag([1.0, 3.0, 2.0]) @ V.T), Dense(A3))
    np.testing.assert_allclose(seen[0], [1.0, 3.0, 2.0], rtol=1e-12)
    np.testing.assert_allclose(seen[1], values, rtol=1e-12)
    assert reversible_rates(Dense(OTHER), Dense(A3)) is None
    diagonals = reversible_rates(Diagonal([1.0, 2.0]), Diagonal([5.0, 4.0]))
    np.testing.assert_array_equal(diagonals, [[1.0, 2.0], [5.0, 4.0]])


def test_optimal_is_labelled_and_dissipates_less():
    linear, optimal = (logdet(A3, 4.0, protocol=p, rng=8, **QUICK) for p in ("linear", "optimal"))
    assert optimal.slow_limit == optimal.bound < linear.slow_limit
    assert linear.bound == pytest.approx(optimal.bound)
    assert "a bound: it uses the spectrum" in str(optimal)
    assert "bound" not in str(linear)


# Warnings, cost, device ------------------------------------------------------------------------------------------


def test_warns_where_the_average_is_dominated_by_few_paths(monkeypatch):
    monkeypatch.setattr(schedules, "MOST_NORMALS", 10**6)  # no long search for a duration to name
    many = np.diag(np.repeat([0.3, 3.0], 6))
    with pytest.warns(UnreliableWork, match=r"of 300 paths rule the Jarzynski average .*: take a"):
        logdet(many, duration=0.5, n_paths=300, n_steps=5, rng=9)
    with pytest.warns(UnreliableWork, match="forward and reverse paths overlap"):
        logdet(np.diag(np.repeat([0.01, 3.0], 20)), duration=0.1, n_paths=300, n_steps=2, estimator="bar", rng=9)
    with pytest.warns(UnreliableWork, match="third cumulant"):
        logdet([[0.1]], 1.0, duration=0.5, n_paths=300, n_steps=5, estimator="gaussian", rng=9)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        logdet(many, duration=300.0, n_paths=300, n_steps=100, rng=9)


@pytest.mark.parametrize("estimator", ["jarzynski", "bar", "gaussian"])
def test_default_settings_serve_an_ordinary_problem(estimator):
    """No duration is given, and no warning comes: it would be an error."""
    r = logdet(A3, estimator=estimator, rng=12)
    assert r.stderr < 0.1
    assert r.n_paths == 1000
    assert r.dissipated_work < 1.2


def test_default_settings_serve_a_reference_with_other_modes():
    r = logdet(A3, OTHER, n_paths=200, rng=13)
    assert abs(r.value - np.linalg.slogdet(A3)[1]) < 5 * r.stderr
    assert r.stepping == "euler"


@pytest.mark.parametrize("estimator", ["jarzynski", "bar", "gaussian"])
def test_the_duration_that_a_warning_names_is_enough(estimator):
    hard = {"jarzynski": (np.repeat([0.5, 1.5], 20), 300), "bar": (np.repeat([0.5, 1.5], 50), 60)}
    rates, n_paths = hard.get(estimator, ([0.1], 300))
    with pytest.warns(UnreliableWork) as caught:
        logdet(np.diag(rates), 1.0, duration=0.02, n_paths=n_paths, estimator=estimator, rng=14)
    named = float(re.search(r"a duration of (\S+) RC", str(caught[0].message)).group(1))
    r = logdet(np.diag(rates), 1.0, duration=named, n_paths=n_paths, estimator=estimator, rng=15)
    assert r.dissipated_work - 3 * r.dissipated_stderr < 1.0
    assert r.slow_limit > 0.0


def test_a_ramp_that_takes_too_long_to_simulate_is_not_planned(monkeypatch):
    monkeypatch.setattr(schedules, "MOST_NORMALS", 10**6)
    hard = np.diag([1e-3, 1.0])
    with pytest.raises(ValueError, match=r'slow enough to be trusted .* estimator="bar", which bears'):
        logdet(hard)
    with pytest.raises(ValueError, match="can be simulated; give a duration, more paths, or a reference"):
        logdet(hard, estimator="bar")
    with pytest.warns(UnreliableWork, match="take a slower ramp, more paths"):
        logdet(hard, duration=1.0, n_paths=100, rng=16)


def test_error_that_is_asked_for_plans_paths_or_the_duration():
    fine = logdet(A3, atol=0.004, rng=17)
    assert fine.n_paths > 1000
    assert fine.stderr == pytest.approx(0.004, rel=0.15)
    given = logdet(A3, atol=0.01, duration=40.0, rng=17)
    assert given.duration == 40.0
    assert given.stderr < 0.0115
    few = logdet(A3, atol=0.02, n_paths=200, rng=17)
    assert few.n_paths == 200
    assert few.stderr == pytest.approx(0.02, rel=0.25)
    both = logdet(A3, atol=0.004, estimator="bar", rng=17)
    assert both.stderr < 0.0046


def test_a_multiple_of_the_identity_is_no_work():
    for estimator in ("jarzynski", "bar", "gaussian"):
        r = logdet(0.1 * np.eye(3), estimator=estimator, rng=0)
        assert r.value == pytest.approx(3 * np.log(0.1), rel=1e-14)
        assert abs(r.work).max() < 1e-14


@pytest.mark.parametrize("scale", [1e-8, 1e8, 1e-140, 1e140])
def test_scale_of_the_matrix_only_shifts_the_answer(scale):
    for options in ({}, {"stepping": "euler", "n_paths": 100}):
        plain, scaled = (logdet(c * A3, rng=18, **options) for c in (1.0, scale))
        assert scaled.value - 3 * np.log(scale) == pytest.approx(plain.value, abs=1e-6 + 3 * plain.stderr)
        assert scaled.duration * scale == pytest.approx(plain.duration)
        assert scaled.slow_limit == pytest.approx(plain.slow_limit)


def test_cost_counts_every_path_and_both_matrices():
    device = Device(beta=4.0, bandwidth=1e9, matrix_bits=16, dac_bits=16)
    r = logdet(A3, OTHER, estimator="bar", device=device, rng=10, **QUICK | {"n_steps": 40})
    assert r.cost.integrate == pytest.approx(600 * 10.0 * 1e-6)
    assert r.cost.relax == pytest.approx(600 * r.burn_in * 1e-6)
    assert r.cost.load == pytest.approx(2 * 9 * 16 / 1e9)
    assert r.cost.conversions == 9 + 9 + 600
    fine = logdet(A3, OTHER, estimator="bar", device=device, rng=10, **QUICK | {"n_steps": 400})
    assert fine.cost.stored_energy == pytest.approx(3 / (2 * 4.0), rel=5 * np.sqrt(2 / (3 * 600)) + 0.03)
    assert r.cost.joule_heat == 0.0


def test_device_rounds_the_work_and_adds_read_noise():
    read = logdet(A3, device=Device(adc_bits=3, adc_range=0.3), rng=11, **QUICK)
    np.testing.assert_allclose(read.work * 10, np.round(read.work * 10), atol=1e-12)
    assert read.clipped["adc"] > 0
    noisy = logdet(A3, device=Device(read_noise=0.1), rng=11, **QUICK)
    assert np.std(noisy.work - logdet(A3, rng=11, **QUICK).work) == pytest.approx(0.1, rel=0.2)


def test_energies_are_means_of_the_paths_and_obey_the_first_law():
    """What enters as work and heat is stored; a run starts with d / 2 in equilibrium, up to its fluctuations."""
    for estimator, runs in (("jarzynski", 4000), ("bar", 8000)):
        r = logdet(A3, 2.0, estimator=estimator, duration=2.0, n_steps=40, n_paths=4000, rng=19)
        both = [w for w in (r.work, r.reverse_work) if w is not None]
        start = r.cost.stored_energy - r.cost.stochastic_heat / runs - np.mean(both)
        assert abs(start - 1.5) < 5 * np.sqrt(1.5 / runs)


def test_lowering_a_stiffness_takes_heat_up_and_the_way_back_gives_it_off():
    down, up = (logdet(last, first, duration=20.0, n_paths=1000, rng=20).cost.stochastic_heat / 1000
                for last, first in ((np.eye(2), 4.0), (4.0 * np.eye(2), 1.0)))  # fmt: skip
    assert down == pytest.approx(np.log(4.0), abs=0.2)  # slow: the energy stays, and heat is minus the work
    assert up == pytest.approx(-np.log(4.0), abs=0.2)
    both = logdet(np.eye(2), 4.0, duration=20.0, n_paths=1000, rng=20, estimator="bar").cost.stochastic_heat / 2000
    assert abs(both) < 0.2


# The result ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("function", [logdet, det])
def test_result_is_an_estimate_of_a_number(function):
    device = Device(beta=2.0, adc_bits=8, adc_range=0.3)
    r = function(A3, OTHER, device=device, rng=21, **QUICK | {"n_steps": 40})
    assert isinstance(r, Estimate)
    assert r.value.shape == r.stderr.shape == ()
    assert isinstance(r.value, float)
    assert str(r).startswith(f"WorkEstimate: {float(r.value):.6g} +- {float(r.stderr):.2g} (jarzynski)")
    assert (r.stderr_kind, r.simulator, r.n_chains, r.device) == ("paths", "path", 1, device)
    assert (r.duration, r.n_reads, set(r.clipped)) == (10.0, None, {"matrix", "dac", "adc"})
    assert f"saturated: {r.clipped['adc']} in adc" in str(r)
    assert "does not cover what adc_bits" in str(r)
    assert r.to_frame().shape == (1, 2)


@pytest.mark.parametrize("function", [logdet, det])
def test_bounds_and_cost_are_computed_lazily_and_survive_pickling(function):
    r = function(A3, OTHER, rng=22, **QUICK | {"n_steps": 40})
    late = ("slow_limit", "bound", "cost", "burn_in", "stderr_source")
    assert all(callable(vars(r)[name]) for name in late)
    for twin in (copy.copy(r), copy.deepcopy(r), pickle.loads(pickle.dumps(r))):
        for name in (*late[:-1], "value", "stderr", "reference", "n_steps", "protocol", "estimator", "stepping"):
            assert getattr(twin, name) == getattr(r, name)
        np.testing.assert_array_equal(twin.work, r.work)
    assert r.bound is r.bound
    with pytest.raises(AttributeError):
        r.bound = 0.0


def test_a_matrix_on_the_device_is_not_loaded_again():
    device = Device(matrix_bits=6, mismatch=0.02, bandwidth=1e9, dac_bits=16)
    held = program(Dense(A3), device)
    once, again = logdet(A3, device=device, rng=23, **QUICK), logdet(held, rng=23, **QUICK)
    assert once.value == again.value
    assert once.cost.load == pytest.approx((9 * 6 + 3 * 16) / 1e9)
    assert again.cost.load == pytest.approx(3 * 16 / 1e9)  # the reference
    assert det(held, rng=23, **QUICK).cost.load == again.cost.load
    products = program(Krylov(scipy.sparse.csr_array(A3)), Device())
    assert logdet(products, rng=23, **QUICK).value == pytest.approx(logdet(A3, rng=23, **QUICK).value)
    with pytest.raises(ValueError, match="programmed on a device already"):
        logdet(held, beta=1.0, **QUICK)


def test_work_has_paths_and_no_law():
    path, auto = (logdet(A3, rng=24, simulator=simulator, **QUICK) for simulator in ("path", "auto"))
    assert path.value == auto.value
    with pytest.raises(NoClosedLaw, match='no closed law that is drawn at once; use simulator="path"'):
        logdet(A3, simulator="law", **QUICK)
    with pytest.raises(ValueError, match="simulator must be one of 'auto', 'law', 'path'"):
        logdet(A3, simulator="exact", **QUICK)


# Bad input -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((A3,), {"duration": 0.0}, "duration must be positive"),
        ((A3,), {"atol": 0.1}, "at most two of duration, n_paths and atol"),
        ((A3,), {"atol": 0.0, "n_paths": None}, "atol must be positive"),
        ((A3, OTHER), {"atol": 0.1, "n_paths": None}, "atol needs the modes of A"),
        ((A3,), {"atol": 0.1, "n_paths": None, "estimator": "gaussian"}, 'estimator="gaussian" has a bias'),
        ((A3,), {"duration": None, "n_paths": 20}, "n_paths must be at least 60 where no duration"),
        ((A3,), {"atol": 1e-6, "n_paths": None}, "more than can be simulated"),
        ((np.diag([0.1, 1.0]),), {"duration": None, "n_steps": 2}, "in 2 steps slow enough"),
        ((A3,), {"duration": np.inf}, "duration must be positive"),
        ((A3,), {"n_paths": 1}, "n_paths must be at least 2"),
        ((A3,), {"n_steps": 0}, "n_steps must be at least 1"),
        ((A3,), {"protocol": "fast"}, "protocol must be one of 'linear', 'optimal'"),
        ((A3,), {"estimator": "mean"}, "estimator must be one of"),
        ((A3,), {"stepping": "big"}, "stepping must be one of"),
        ((A3,), {"beta": np.inf}, "beta = inf has none"),
        ((A3,), {"beta": 1.0, "device": Device()}, "give beta or device"),
        ((A3, -1.0), {}, "A0 must be positive"),
        ((A3, np.eye(2)), {}, r"A0 must have shape \(3, 3\)"),
        ((A3, OTHER), {"protocol": "optimal"}, "A0 does not commute with A"),
        ((A3, OTHER), {"stepping": "exact"}, "A0 does not commute with A"),
        ((A3,), {"protocol": "optimal", "stepping": "euler"}, "drives the modes"),
        ((A3,), {"stepping": "euler", "n_steps": 2}, "n_steps must be at least 12 for stable Euler steps"),
        (([[1.0, np.nan], [np.nan, 1.0]],), {}, "A must be finite"),
    ],
)
def test_bad_input_is_refused(arguments, options, message):
    with pytest.raises(ValueError, match=message):
        logdet(*arguments, **QUICK | options)


def test_indefinite_matrices_are_refused():
    indefinite = [[1.0, 2.0, 0.0], [2.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    for arguments in ((indefinite,), (A3, indefinite)):
        with pytest.raises(NotPositiveDefinite, match="-1"):
            logdet(*arguments, **QUICK)
