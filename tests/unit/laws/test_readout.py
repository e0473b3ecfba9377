"""Protocols of read-outs: one interface for both dynamics, and second moments against sums over pairs of reads."""

import numpy as np
import pytest
import scipy.linalg

from thermolinalg.laws import overdamped, underdamped
from thermolinalg.laws.readout import Protocol
from thermolinalg.measurement import paths
from thermolinalg.measurement.dynamics import Inertia, Overdamped
from thermolinalg.operators import Diagonal

LAM = np.array([0.3, 0.7, 2.0])
DYNAMICS = {"overdamped": Overdamped(), "underdamped": Inertia(mass=0.8, friction=0.5).on(Diagonal(LAM))}
PROTOCOLS = {
    "integrator": (lambda d: d.integrator(1.5, 6.0), (1, 1, 6.0, None, None, True, False)),
    "reads": (lambda d: d.reads(1.5, 5, 0.4), (5, 1, 2.0, 5, 0.4, False, False)),
    "independent": (lambda d: d.reads(1.5, 5, None), (5, 5, 0.0, 5, None, False, True)),
}


@pytest.mark.parametrize("dynamics", DYNAMICS)
@pytest.mark.parametrize("name", PROTOCOLS)
def test_what_a_protocol_says_of_itself(name, dynamics):
    make, expected = PROTOCOLS[name]
    protocol = make(DYNAMICS[dynamics])
    assert isinstance(protocol, Protocol)
    said = (
        protocol.conversions, protocol.runs, protocol.span, protocol.n_reads, protocol.spacing,
        protocol.converted_once, protocol.independent,
    )  # fmt: skip
    assert said == expected
    assert protocol.overdamped is (dynamics == "overdamped")
    later = protocol.with_burn_in(9.0)
    assert (later.burn_in, protocol.burn_in, type(later)) == (9.0, 1.5, type(protocol))


@pytest.mark.parametrize("dynamics", DYNAMICS)
@pytest.mark.parametrize("name", PROTOCOLS)
def test_laws_as_functions_of_the_burn_in_are_the_laws(name, dynamics):
    protocol = PROTOCOLS[name][0](DYNAMICS[dynamics])
    for t0 in (0.0, 2.5, np.inf):
        np.testing.assert_allclose(
            protocol.variance_after(LAM)(t0), protocol.with_burn_in(t0).variance(LAM), rtol=1e-13
        )
        left = protocol.memory_after(LAM, np.ones(3))(t0)
        assert (left >= np.abs(protocol.with_burn_in(t0).memory(LAM)) * (1 - 1e-12)).all()


@pytest.mark.parametrize("dynamics", DYNAMICS)
@pytest.mark.parametrize("spacing", [0.4, None])
def test_pair_variances_are_sums_over_pairs_of_reads(dynamics, spacing):
    protocol = DYNAMICS[dynamics].reads(np.inf, 6, spacing)
    found = protocol.pair_variances(LAM)
    total = np.zeros((3, 3))
    for k in range(6):
        for j in range(6):
            if spacing is None and k != j:
                continue
            r = np.array([autocovariance(lam, dynamics, abs(k - j) * (spacing or 0.0)) for lam in LAM])
            total += np.multiply.outer(r, r) / 36
    np.testing.assert_allclose(found, total, rtol=1e-11)
    np.testing.assert_array_equal(protocol.pair_variances(LAM, slice(1, 2), slice(1, None)), found[1:2, 1:])


def autocovariance(lam, dynamics, lag):
    """That of x in equilibrium, by the exponential of the drift of (x) or of (x, p)."""
    if dynamics == "overdamped":
        return np.exp(-lam * lag) / lam
    drift = np.array([[0.0, -1.0 / 0.8], [lam, 0.5 / 0.8]])
    return scipy.linalg.expm(-drift * lag)[0, 0] / lam


@pytest.mark.parametrize("dynamics", DYNAMICS)
@pytest.mark.parametrize("spacing", [0.4, None])
def test_second_moment_memory_bounds_what_a_start_at_rest_lacks(dynamics, spacing):
    one = DYNAMICS[dynamics].reads(0.0, 1, None)
    protocol = DYNAMICS[dynamics].reads(0.0, 6, spacing)
    for t0 in (0.0, 0.7, 3.0):
        times = t0 + np.arange(6) * (spacing or 0.0)
        lacks = 1.0 / LAM - np.mean([one.with_burn_in(t).variance(LAM) for t in times], axis=0)
        most = protocol.second_moment_memory(LAM)(t0)
        assert (most >= lacks - 1e-14).all()
        if spacing is None or dynamics == "overdamped":
            np.testing.assert_allclose(most, lacks, rtol=1e-12, atol=1e-14)


def test_a_protocol_without_reads_has_no_blocks_of_them(rng):
    for protocol in (overdamped.Integrator(1.0, 2.0), underdamped.Voltage(burn_in=1.0, mass=1.0, friction=1.0)):
        with pytest.raises(TypeError, match="has no reads"):
            paths.read_blocks(protocol, rng, LAM, LAM, LAM, 1.0, 8)
