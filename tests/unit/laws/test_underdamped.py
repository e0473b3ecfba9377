"""Laws of damped oscillators: closed forms and read-outs against the textbook sums at 90 digits."""

from dataclasses import replace

import mpmath
import numpy as np
import pytest

from thermolinalg import laws as overdamped
from thermolinalg.laws import underdamped as laws
from thermolinalg.laws.underdamped import critical_friction

mp = mpmath.mp.clone()
mp.dps = 90

# friction over its critical value: nearly free, oscillating, at and next to critical, creeping
DAMPINGS = (1e-6, 0.03, 0.6, 1 - 1e-3, 1 - 1e-8, 1 - 1e-12, 1.0, 1 + 1e-12, 1 + 1e-8, 1 + 1e-3, 1.7, 30.0, 1e5)
TIMES = np.geomspace(1e-8, 1e8, 13)


def exponentials(lam, mass, friction):
    """g(t) = sum of c e^{-a t}, as pairs (c, a): the textbook sum, whatever cancels at 90 digits."""
    lam, mass, friction = mp.mpf(lam), mp.mpf(mass), mp.mpf(friction)
    xi = friction / (2 * mass)
    delta = mp.sqrt(mp.mpc(xi**2 - lam / mass))
    delta = delta if abs(delta) > mp.mpf(10) ** -25 else mp.mpf(10) ** -25
    return [(1 / (2 * delta), xi - delta), (-1 / (2 * delta), xi + delta)]


def derivative(terms):
    return [(-c * a, a) for c, a in terms]


def integral(terms):
    return [(sum(c / a for c, a in terms), mp.mpf(0))] + [(-c / a, a) for c, a in terms]


def shifted(terms, time):
    return [(c * mp.exp(-a * time), a) for c, a in terms]


def value(terms, time):
    return mp.re(sum(c * mp.exp(-a * time) for c, a in terms))


def product_integral(first, second, time):
    """Integral over [0, time] of the product of two sums of exponentials."""
    total = mp.mpf(0)
    for c, a in first:
        for e, b in second:
            total += c * e * (time if a + b == 0 else (1 - mp.exp(-(a + b) * time)) / (a + b))
    return mp.re(total)


@pytest.mark.parametrize("damping", DAMPINGS)
@pytest.mark.parametrize(("lam", "mass"), [(1.0, 1.0), (0.37, 4.1)])
def test_answers_and_noise_agree_with_many_digits(damping, lam, mass):
    friction = damping * critical_friction(lam, mass)
    modes = laws.Modes(np.array([lam]), mass, friction)
    g = exponentials(lam, mass, friction)
    for time in TIMES / lam:
        exact = mp.mpf(time)
        truth_g, truth_dg = value(g, exact), value(derivative(g), exact)
        truth_f = truth_dg + mp.mpf(friction) / mass * truth_g
        ours = [v[0] for v in (*modes.answers(time), modes.integral(time))]
        envelope = np.exp(-modes.slow[0] * time)
        largest = float(abs(truth_g)) + envelope * min(time, 1.0 / max(modes.delta[0], 1e-300))
        # rounding of rate * time is rounding of a phase, and of an exponent
        tolerance = 4e-15 * (1.0 + modes.fast[0] * time) if modes.oscillates[0] else 4e-15 * (1 + modes.slow[0] * time)
        floor = 1e-290
        assert abs(ours[0] - float(truth_f)) <= tolerance * (envelope + modes.xi * largest) + floor
        assert abs(ours[1] - float(truth_g)) <= tolerance * largest + floor
        assert abs(ours[2] - float(truth_dg)) <= tolerance * (envelope + modes.xi * largest) + floor
        rise = value(integral(g), exact)
        assert abs(ours[3] - float(rise)) <= 2e-14 * float(rise) + tolerance * envelope * mass / lam * (
            time * lam > 0.1
        )
        xx, xp, pp = (modes.covariance(time)[i, j, 0] for i, j in ((0, 0), (0, 1), (1, 1)))
        strength = 2 * mp.mpf(friction)
        assert xx == pytest.approx(float(strength / mass**2 * product_integral(g, g, exact)), rel=2e-14)
        assert pp == pytest.approx(float(strength * product_integral(derivative(g), derivative(g), exact)), rel=2e-14)
        truth_xp = float(strength / mass * product_integral(g, derivative(g), exact))
        assert abs(xp - truth_xp) <= 1e-13 * np.sqrt(xx * pp) * (1.0 + 0.05 * modes.fast[0] * time * envelope)


@pytest.mark.parametrize("damping", [1e-4, 0.6, 1.0, 1 + 1e-12, 1.7, 1e4])
@pytest.mark.parametrize("burn_in", [0.0, 1e-6, 2.0, 1e4])
def test_integrator_agrees_with_many_digits(damping, burn_in):
    lam, mass = 0.7, 1.3
    friction = damping * critical_friction(lam, mass)
    g = exponentials(lam, mass, friction)
    rise = [(c / mp.mpf(mass), a) for c, a in integral(g)]
    start = mp.mpf(burn_in)
    phase = 4e-16 * laws.Modes([lam], mass, friction).fast[0] * (burn_in if damping < 1 else 0.0)  # its rounding
    for duration in (1e-8, 1e-3, 1.0, 50.0, 1e6):
        readout = laws.Integrator(burn_in=burn_in, duration=duration, mass=mass, friction=friction)
        tau = mp.mpf(duration)
        response = product_integral(shifted(rise, start), [(mp.mpf(1), mp.mpf(0))], tau) / tau
        late = shifted(rise, tau)
        before = product_integral(late, late, start) - 2 * product_integral(late, rise, start)
        before += product_integral(rise, rise, start)
        noise = 2 * mp.mpf(friction) / tau**2 * (before + product_integral(rise, rise, tau))
        scale = float(1 / mp.mpf(lam))
        assert readout.response(lam) == pytest.approx(
            float(response), rel=3e-13, abs=scale * (phase + 1e-15 * min(duration, 1))
        )
        assert readout.memory(lam) == pytest.approx(float(1 - lam * response), abs=3e-13 + phase)
        assert readout.variance(lam) == pytest.approx(float(noise), rel=3e-13)


# At the ends of these ranges the textbook sums lose 200 digits, so they are given more.


@pytest.fixture
def more_digits():
    with mp.workdps(260):
        yield


EXTREME_DAMPINGS = (1e-9, 1 - 1e-8, 1.0, 1e3, 1e9)
EXTREME_TIMES = np.geomspace(1e-12, 1e12, 5)


@pytest.mark.usefixtures("more_digits")
@pytest.mark.parametrize("damping", EXTREME_DAMPINGS)
@pytest.mark.parametrize("mass", [1e-12, 1.0, 1e12])
@pytest.mark.parametrize("burn_in", [0.0, 1.0])
def test_integrator_keeps_its_digits_at_extremes_of_time_mass_and_friction(damping, mass, burn_in):
    """Eigenvalue 1, times from 1e-12 to 1e12, in units of the oscillation at that mass as well."""
    friction = damping * critical_friction(1.0, mass)
    g = exponentials(1.0, mass, friction)
    rise = [(c / mp.mpf(mass), a) for c, a in integral(g)]
    start = mp.mpf(burn_in)
    phase = 4e-16 * burn_in * np.sqrt(1.0 / mass) if damping < 1 else 0.0  # rounding of the phase at the burn-in
    for duration in EXTREME_TIMES:
        readout = laws.Integrator(burn_in=burn_in, duration=duration, mass=mass, friction=friction)
        tau = mp.mpf(duration)
        response = product_integral(shifted(rise, start), [(mp.mpf(1), mp.mpf(0))], tau) / tau
        late = shifted(rise, tau)
        before = product_integral(late, late, start) - 2 * product_integral(late, rise, start)
        before += product_integral(rise, rise, start)
        noise = 2 * mp.mpf(friction) / tau**2 * (before + product_integral(rise, rise, tau))
        tolerance = {"rel": 1e-13 + 10 * phase, "abs": 0.0}
        lam = np.ones(1)
        assert readout.response(lam)[0] == pytest.approx(float(response), **tolerance)
        assert readout.variance(lam)[0] == pytest.approx(float(noise), **tolerance)
        assert readout.memory(lam)[0] == pytest.approx(float(1 - response), rel=1e-12, abs=1e-13 + 10 * phase)


@pytest.mark.usefixtures("more_digits")
@pytest.mark.parametrize("damping", EXTREME_DAMPINGS)
@pytest.mark.parametrize("spacing", EXTREME_TIMES)
def test_reads_keep_their_digits_at_extremes_of_time_and_friction(damping, spacing):
    """Three reads, the last but one and the last `spacing` apart: sums over pairs of reads at many digits."""
    friction = damping * critical_friction(1.0, 1.0)
    g = exponentials(1.0, 1.0, friction)
    readout = laws.Reads(burn_in=1.0, n_reads=3, spacing=spacing, mass=1.0, friction=friction)
    times = [mp.mpf(1) + k * mp.mpf(spacing) for k in range(3)]
    pairs = [(min(s, t), abs(s - t)) for s in times for t in times]
    noise = 2 * mp.mpf(friction) * sum(product_integral(g, shifted(g, lag), early) for early, lag in pairs) / 9
    response = sum(value(integral(g), t) for t in times) / 3
    phase = 4e-16 * spacing * np.exp(-damping * spacing) if damping < 1 else 0.0
    assert readout.variance(np.ones(1))[0] == pytest.approx(float(noise), rel=1e-13 + 10 * phase, abs=0.0)
    assert readout.response(np.ones(1))[0] == pytest.approx(float(response), rel=1e-13 + 10 * phase, abs=0.0)


@pytest.mark.usefixtures("more_digits")
@pytest.mark.parametrize("damping", EXTREME_DAMPINGS)
def test_factor_of_a_step_with_its_integral_keeps_its_digits(damping):
    """Cholesky factor of the noise of (x, p, int x), from the Gram matrix of their answers to a push at many digits."""
    friction, mass = damping * critical_friction(0.37, 4.1), mp.mpf(4.1)
    g = exponentials(0.37, 4.1, friction)
    answers = [[(c / mass, a) for c, a in g], derivative(g), [(c / mass, a) for c, a in integral(g)]]
    modes = laws.Modes([0.37], 4.1, friction)
    for time in EXTREME_TIMES:
        C = mp.matrix(3, 3)
        for i in range(3):
            for j in range(3):
                C[i, j] = mp.mpf(friction) * product_integral(answers[i], answers[j], mp.mpf(time))  # beta = 2
        truth = mp.cholesky(C)
        ours = laws.integrating_step(modes, time, np.zeros(1), 2.0)[2][:, 0]
        places = [(0, 0), (1, 0), (1, 1), (2, 0), (2, 1), (2, 2)]
        for found, (i, j) in zip(ours, places, strict=True):
            scale = float(mp.sqrt(C[i, i]) if i != j else truth[i, i])
            assert abs(found - float(truth[i, j])) <= 1e-13 * scale


def test_discriminant_is_exact_next_to_critical():
    for lam in (0.37, 1.0, 3.3e5):
        for epsilon in (0.0, 1e-15, -1e-15, 1e-12, -1e-12):
            friction = 2.0 * np.sqrt(1.7 * lam) * (1.0 + epsilon)
            truth = mp.mpf(friction) ** 2 - 4 * mp.mpf(1.7) * mp.mpf(lam)
            assert laws.discriminant(lam, 1.7, friction) == pytest.approx(float(truth), rel=1e-15)


# Limits ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mass", [0.01, 1.0, 30.0])
def test_long_averages_have_the_same_variance_for_any_mass(mass):
    lam, friction, duration = 0.4, 0.3, 1e7
    readout = laws.Integrator(burn_in=0.0, duration=duration, mass=mass, friction=friction)
    assert readout.variance(lam) == pytest.approx(2 * friction / duration / lam**2, rel=1e-4)


def test_light_cells_are_overdamped():
    lam = np.geomspace(1e-3, 1.0, 5)
    light = {"mass": 1e-10, "friction": 1.0}
    pairs = [
        (laws.Voltage(burn_in=2.0, **light), overdamped.Voltage(2.0)),
        (laws.Integrator(burn_in=2.0, duration=7.0, **light), overdamped.Integrator(2.0, 7.0)),
        (laws.Reads(burn_in=2.0, n_reads=5, spacing=0.7, **light), overdamped.Reads(2.0, 5, 0.7)),
        (laws.IndependentReads(burn_in=2.0, n_reads=5, **light), overdamped.IndependentReads(2.0, 5)),
    ]
    for ours, limit in pairs:
        for name in ("memory", "response", "variance"):
            np.testing.assert_allclose(getattr(ours, name)(lam), getattr(limit, name)(lam), rtol=2e-9)


@pytest.mark.parametrize("kind", ["Voltage", "Integrator", "Reads", "IndependentReads"])
def test_infinite_burn_in_is_equilibrium(kind):
    extra = {
        "Integrator": {"duration": 3.0},
        "Reads": {"n_reads": 4, "spacing": 1.0},
        "IndependentReads": {"n_reads": 4},
    }
    lam = np.array([0.2, 1.0, 3.0])
    readout = getattr(laws, kind)(burn_in=np.inf, mass=0.7, friction=1.1, **extra.get(kind, {}))
    np.testing.assert_array_equal(readout.memory(lam), 0.0)
    np.testing.assert_array_equal(readout.memory_bound(lam), 0.0)
    np.testing.assert_allclose(readout.response(lam), 1.0 / lam, rtol=1e-13)
    np.testing.assert_allclose(readout.variance(lam), replace(readout, burn_in=200.0).variance(lam), rtol=1e-12)


@pytest.mark.parametrize("friction", [0.05, 1.0, 2.0, 9.0])
def test_memory_bound_holds_and_falls(friction):
    lam = np.geomspace(1e-2, 4.0, 40)
    readout = laws.Integrator(burn_in=0.0, duration=1.3, mass=1.0, friction=friction)
    last = np.full_like(lam, np.inf)
    for t0 in np.linspace(0.0, 60.0, 241):
        now = replace(readout, burn_in=t0)
        bound = now.memory_bound(lam)
        assert (np.abs(now.memory(lam)) <= bound * (1 + 1e-12) + 1e-15).all()
        assert (bound <= last * (1 + 1e-12)).all()
        last = bound
