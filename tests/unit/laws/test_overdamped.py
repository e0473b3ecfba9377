"""Closed forms against 150-digit arithmetic, matrix exponentials, dense covariance matrices and quadrature."""

import itertools

import numpy as np
import pytest
import scipy.integrate
from hypothesis import given
from hypothesis import strategies as st

from tests import oracles
from thermolinalg import laws

PRODUCTS = 10.0 ** np.arange(-12, 13, 3)  # values of lam * time
WIDE = (0.0, *PRODUCTS, np.inf)
COUNTS = (1, 2, 3, 7, 100, 10**4, 10**8)
ACCURACY = 1e-12


def same(value, exact):
    """Relative agreement, down to 1e-120, where the differences of the exact side end."""
    exact = float(exact)
    assert value == pytest.approx(exact, rel=ACCURACY, abs=1e-120), (value, exact)


def functions(readout, lam):
    lam = np.array([lam])
    return readout.memory(lam)[0], readout.response(lam)[0], readout.variance(lam)[0]


@pytest.mark.parametrize("lam", [1e-6, 0.3, 1e6])
def test_voltage_and_independent_reads_have_the_closed_forms_at_any_time(lam):
    for product in WIDE:
        time = product / lam
        exact = oracles.mp_readout("voltage", lam, burn_in=time)
        for value, truth in zip(functions(laws.Voltage(time), lam), exact, strict=True):
            same(value, truth)
        exact = oracles.mp_readout("independent", lam, burn_in=time, n_reads=17)
        for value, truth in zip(functions(laws.IndependentReads(time, 17), lam), exact, strict=True):
            same(value, truth)


@pytest.mark.parametrize("lam", [1e-6, 0.3, 1e6])
def test_integrator_has_the_closed_forms_at_any_times(lam):
    for start, span in itertools.product(WIDE, PRODUCTS):
        times = {"burn_in": start / lam, "duration": span / lam}
        exact = oracles.mp_readout("integrator", lam, **times)
        for value, truth in zip(functions(laws.Integrator(**times), lam), exact, strict=True):
            same(value, truth)


@pytest.mark.parametrize("n_reads", COUNTS)
def test_reads_have_the_closed_forms_at_any_times(n_reads):
    lam = 0.7
    for start, span in itertools.product(WIDE, PRODUCTS):
        times = {"burn_in": start / lam, "n_reads": n_reads, "spacing": span / lam}
        exact = oracles.mp_readout("reads", lam, **times)
        for value, truth in zip(functions(laws.Reads(**times), lam), exact, strict=True):
            same(value, truth)


@given(
    lam=st.floats(-3, 3).map(lambda u: 10.0**u),
    start=st.floats(-12, 3).map(lambda u: 10.0**u),
    span=st.floats(-12, 12).map(lambda u: 10.0**u),
    n_reads=st.integers(1, 10**6),
)
def test_closed_forms_hold_at_times_drawn_between(lam, start, span, n_reads):
    for kind, readout, extra in (
        ("integrator", laws.Integrator(start, span), {"duration": span}),
        ("reads", laws.Reads(start, n_reads, span), {"n_reads": n_reads, "spacing": span}),
    ):
        exact = oracles.mp_readout(kind, lam, burn_in=start, **extra)
        for value, truth in zip(functions(readout, lam), exact, strict=True):
            same(value, truth)


@pytest.mark.parametrize("x", [*PRODUCTS, 0.5, 0.999999, 1.0, 1.000001, 2.0])
def test_small_arguments_lose_no_digits(x):
    mp, X = oracles.mp, oracles.mp.mpf(x)
    e = mp.exp(-X)
    same(laws.phi1(x), (1 - e) / X)
    same(laws.phi2(x), (X - 1 + e) / X**2)
    same(laws.psi(x), (X - 2 * (1 - e) + (1 - e**2) / 2) / X**3)
    same(laws.rise(x, 1.0), (1 - e) / X)


def test_arrays_mixing_both_branches_equal_scalars():
    x = np.geomspace(1e-6, 1e6, 25)
    for function in (laws.phi2, laws.psi):
        np.testing.assert_array_equal(function(x), [function(np.float64(v)) for v in x])
    readout = laws.Reads(0.3, 5, 1.0)
    np.testing.assert_array_equal(readout.variance(x), [readout.variance(np.array([v]))[0] for v in x])


def test_variances_are_the_published_ones():
    """Seven digits of published forms: time average and reads from equilibrium, and from rest."""
    one = np.array([1.0])
    for duration, value in ((0.5, 0.8522453), (3.0, 0.4555082), (50.0, 0.0392)):
        assert laws.Integrator(np.inf, duration).variance(one)[0] == pytest.approx(value, abs=5e-8)
        assert laws.Integrator(np.inf, duration).variance(one)[0] == pytest.approx(value, abs=5e-8)
    for n, spacing, value in ((7, 0.3, 0.5645056), (200, 1.0, 0.01077373)):
        assert laws.Reads(np.inf, n, spacing).variance(one)[0] == pytest.approx(value, abs=5e-8)
    lam, beta = np.array([0.7]), 2.0
    integrator = laws.Integrator(0.4, 3.0)
    assert lam[0] * integrator.response(lam)[0] == pytest.approx(0.6841747, abs=5e-8)
    assert integrator.variance(lam)[0] / beta == pytest.approx(0.3247546, abs=5e-8)
    reads = laws.Reads(4 * 0.5, 9, 0.5)
    assert lam[0] * reads.response(lam)[0] == pytest.approx(0.9111938, abs=5e-8)
    assert reads.variance(lam)[0] / beta == pytest.approx(0.3160965, abs=5e-8)


@pytest.mark.parametrize("lam", [0.05, 0.7, 4.0])
@pytest.mark.parametrize("burn_in", [0.0, 0.4, 3.0])
def test_reads_have_the_variance_of_their_dense_covariance_matrix(lam, burn_in):
    for n, spacing in ((1, 0.3), (2, 0.3), (7, 0.3), (60, 0.01), (40, 5.0)):
        exact = oracles.dense_reads_variance(lam, 1.0, burn_in, n, spacing)
        assert laws.Reads(burn_in, n, spacing).variance(np.array([lam]))[0] == pytest.approx(exact, rel=1e-11)


@pytest.mark.parametrize("lam", [0.05, 0.7, 4.0])
@pytest.mark.parametrize("burn_in", [0.0, 0.4])
def test_integrator_has_the_variance_found_by_quadrature(lam, burn_in):
    for duration in (0.1, 3.0):
        exact = oracles.integrator_variance_by_quadrature(lam, 1.0, burn_in, duration)
        assert laws.Integrator(burn_in, duration).variance(np.array([lam]))[0] == pytest.approx(exact, rel=1e-9)


@pytest.mark.parametrize("product", [1e-6, 1e-3, 0.1, 0.999, 1.001, 30.0])
def test_integrator_step_is_that_of_van_loan(product):
    lam = 0.7
    step = product / lam
    _, C = oracles.linear_law(np.array([[-lam, 0.0], [1.0, 0.0]]), np.diag([2.0, 0.0]), step)
    sd_x, mixed, rest = laws.integrator_step(np.array([lam]), step)
    factor = np.array([[sd_x[0], 0.0], [mixed[0], rest[0]]])
    scale = np.sqrt(np.diag(C))
    np.testing.assert_allclose(factor @ factor.T / np.outer(scale, scale), C / np.outer(scale, scale), atol=1e-9)


def test_integrator_step_keeps_its_digits_at_any_time():
    """All three entries at 150 digits; the last is a difference of what the first two leave."""
    mp, lam = oracles.mp, 0.7
    for product in PRODUCTS:
        h, L = mp.mpf(product / lam), mp.mpf(lam)
        e = mp.exp(-L * h)
        x = (1 - e**2) / L
        integral = 2 / L**2 * (h - 2 * (1 - e) / L + (1 - e**2) / (2 * L))
        mixed = (1 - e) ** 2 / L**2
        sd_x, over, rest = (v[0] for v in laws.integrator_step(np.array([lam]), product / lam))
        same(sd_x, mp.sqrt(x))
        same(over, mixed / mp.sqrt(x))
        same(rest, mp.sqrt(integral - mixed**2 / x))


def test_energies_of_one_mode_are_those_found_by_quadrature():
    for lam, x0, b, time in (
        (0.7, 0.0, 1.3, 2.0),
        (3.0, -2.0, 0.4, 0.1),
        (0.05, 1.5, 0.0, 40.0),
        (1e-3, 1.0, 1.0, 0.5),
    ):
        A, start, drive = np.array([[lam]]), np.array([x0]), np.array([b])
        joule, bath, _ = oracles.energies_by_integration(A, drive, start, 1e12, time)
        assert laws.driven_heat(lam, x0, b, time) == pytest.approx(joule, rel=1e-8)
        assert laws.heat_from_bath(lam, x0, b, time) == pytest.approx(bath, rel=1e-8, abs=1e-11)
        assert laws.heat_from_bath(lam, x0, b, time) <= 0.0

        def power(t, lam=lam, x0=x0, b=b):
            x = scipy.integrate.solve_ivp(lambda _, y: b - lam * y, (0, max(t, 1e-12)), [x0], rtol=1e-10, atol=1e-12)
            return lam * x.y[0, -1] ** 2

        nodes, weights = np.polynomial.legendre.leggauss(24)
        by_hand = sum(w * power((1 + node) * time / 2) for node, w in zip(nodes, weights, strict=True)) * time / 2
        assert laws.driven_heat(lam, x0, b, time) == pytest.approx(by_hand, rel=1e-6)


def test_protocols_agree_with_matrix_exponentials(rng):
    """The laws as functions of a matrix: against augmented systems that know nothing of eigenvectors."""
    A, beta = oracles.random_spd(rng, 5, 50.0), 2.5
    b, x0 = rng.standard_normal((2, 5))
    protocols = {
        "voltage": (laws.Voltage(3.0), {}),
        "independent": (laws.IndependentReads(3.0, 4), {"n_reads": 4}),
        "integrator": (laws.Integrator(3.0, 20.0), {"duration": 20.0}),
        "reads": (laws.Reads(3.0, 9, 1.5), {"n_reads": 9, "spacing": 1.5}),
    }
    for kind, (readout, extra) in protocols.items():
        mean, covariance = oracles.readout_law(kind, A, b, x0, beta, burn_in=3.0, **extra)
        memory, response, variance = (
            oracles.function_of_matrix(f, A) for f in (readout.memory, readout.response, readout.variance)
        )
        np.testing.assert_allclose(memory @ x0 + response @ b, mean, atol=1e-10)
        np.testing.assert_allclose(variance / beta, covariance, atol=1e-10)


@pytest.mark.parametrize("time", [1e-6, 1.0, 1e6, 1e12, 1e17])
def test_heat_of_discharging_cells_does_not_cancel(time):
    """b = 0: lam times the integral of (x0 e^{-lam t})^2, known in closed form."""
    exact = 1e6 * -np.expm1(-2 * time) / 2
    assert laws.driven_heat(np.array([1.0]), np.array([1e3]), np.array([0.0]), time)[0] == pytest.approx(
        exact, rel=1e-9
    )
