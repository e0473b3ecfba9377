"""Bounds of protocols over a spectrum: they hold at every eigenvalue between its ends, and are met where possible."""

import numpy as np
import pytest

from thermolinalg import laws
from thermolinalg.laws import underdamped


def protocols(rng):
    """Constructors of protocols with random times, by their burn-in, overdamped and with inertia."""
    times = {"duration": 10.0 ** rng.uniform(-3, 4)}
    spaced = {"n_reads": int(rng.integers(1, 40)), "spacing": 10.0 ** rng.uniform(-2, 3)}
    fresh = {"n_reads": int(rng.integers(1, 40))}
    return [("Integrator", times), ("Reads", spaced), ("IndependentReads", fresh)]


def physics(rng, low):
    mass = 10.0 ** rng.uniform(-3, 3)
    return {"mass": mass, "friction": 2.0 * np.sqrt(mass * low) * 10.0 ** rng.uniform(-2, 2)}


@pytest.mark.parametrize("inertial", [True, False])
def test_bounds_hold_between_the_ends(inertial, rng):
    for _ in range(60):
        low = 10.0 ** rng.uniform(-4, 0)
        high = low * 10.0 ** rng.uniform(0, 4)
        lam = np.geomspace(low, high, 80)
        burn_in = 10.0 ** rng.uniform(-3, 4)
        extra = physics(rng, low) if inertial else {}
        for name, times in protocols(rng):
            kind = getattr(underdamped if inertial else laws, name)
            now, settled = (kind(burn_in=t, **times, **extra) for t in (burn_in, np.inf))
            memory = np.abs(now.memory(lam)).max()
            assert memory <= now.memory_at_most(low) * (1 + 1e-9) + 1e-14
            assert settled.variance(lam).max() <= settled.variance_at_most(low) * (1 + 1e-9)
            assert now.variance(lam).min() >= now.variance_at_least(low, high) * (1 - 1e-9)
            slowest, fastest = now.bounded_decay_rates(low, high)
            rates = now.decay_rates(lam)
            assert slowest <= rates[0] * (1 + 1e-12)
            assert fastest >= rates[1] * (1 - 1e-12)


@pytest.mark.parametrize("friction", [0.2, 0.7])  # critical at the low end; all but the fastest modes creep
def test_bounds_are_met_where_the_slowest_mode_creeps(friction):
    low, high = 0.01, 1.0
    inertia = {"mass": 1.0, "friction": friction}
    for protocol in (
        underdamped.Integrator(burn_in=np.inf, duration=30.0, **inertia),
        underdamped.Reads(burn_in=np.inf, n_reads=9, spacing=3.0, **inertia),
    ):
        largest = protocol.variance(np.geomspace(low, high, 200)).max()
        assert protocol.variance_at_most(low) == pytest.approx(largest, rel=1e-9)
    early = underdamped.Reads(burn_in=5.0, n_reads=9, spacing=3.0, **inertia)
    largest = np.abs(early.memory(np.geomspace(low, high, 200))).max()
    assert early.memory_at_most(low) == pytest.approx(largest, rel=1e-9)


@pytest.mark.parametrize("friction", [1e-3, 0.2, 30.0])
def test_bounds_of_a_long_integrator_are_near_whatever_the_friction(friction):
    """Long averages have the variance 2 gamma / (time lam^2)."""
    low, high, time = 0.01, 0.3, 1e9
    protocol = underdamped.Integrator(burn_in=np.inf, duration=time, mass=1.0, friction=friction)
    most = protocol.variance_at_most(low) * time * low**2 / (2.0 * friction)
    least = protocol.variance_at_least(low, high) * time * high**2 / (2.0 * friction)
    assert 0.999 < most < 1.1
    assert 0.9 < least < 1.001
