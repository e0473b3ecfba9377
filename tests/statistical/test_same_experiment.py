"""One experiment has one description, whichever primitive asks for it: error, burn-in, device time and heat agree.

inv(A) is lyapunov(A, 2 I), and e^A is e^A applied to the columns of the identity.
"""

import numpy as np
import pytest

import thermolinalg as tl

A = np.array([[1.5, 0.55, -0.4], [0.55, 1.2, 0.25], [-0.4, 0.25, 1.8]])
SLOW = np.diag([1.0, 0.1, 0.01]) + 0.001
SETTLED = 60.0  # RC, after which nothing is left of the start
PROTOCOLS = {
    "independent reads": {"n_reads": 800},
    "spaced reads": {"n_reads": 800, "read_spacing": 2.0},
    "duration": {"duration": 300.0},
}
PAIRS = {"independent pairs": None, "successive reads": 1.0}
DEVICES = {
    "ideal": {},
    "eps_sys": {"eps_sys": 0.3},
    "read_noise": {"read_noise": 0.9, "beta": 4.0},
    "eps_sys and read_noise": {"eps_sys": 0.3, "read_noise": 0.9},
    "adc_bits": {"adc_bits": 4, "adc_range": 9.0},
    "stochastic rounding": {"adc_bits": 4, "adc_range": 9.0, "rounding": "stochastic"},
    "eps_sys and adc_bits": {"eps_sys": 0.3, "adc_bits": 4, "adc_range": 9.0},
    "mismatch": {"mismatch": 0.1},
    "matrix_bits": {"matrix_bits": 4},
}


def two_inverses(matrix, **options):
    """The same experiment by both primitives."""
    return tl.inv(matrix, rng=0, **options), tl.lyapunov(matrix, 2.0 * np.eye(len(matrix)), rng=0, **options)


def two_exponentials(matrix, **options):
    """The same experiment by both primitives."""
    return tl.expm(matrix, rng=0, **options), tl.expm_action(matrix, np.eye(len(matrix)), rng=0, **options)


def assert_same_protocol(one, other):
    """Burn-in, seconds and heats within 2 %: what is known in one is known in the other."""
    assert one.burn_in == pytest.approx(other.burn_in, rel=0.02)
    assert one.duration == pytest.approx(other.duration, rel=0.02)
    for name in ("load", "relax", "integrate", "read", "joule_heat", "stochastic_heat", "stored_energy"):
        first, second = (getattr(r.cost, name) for r in (one, other))
        assert (first is None) == (second is None), name
        if first is not None:
            assert first == pytest.approx(second, rel=0.02), name


@pytest.mark.parametrize("n_chains", [1, 8])
@pytest.mark.parametrize("sheet", DEVICES)
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_inverse_and_lyapunov_have_the_same_stderr(protocol, sheet, n_chains):
    device = tl.Device(**DEVICES[sheet])
    one, other = two_inverses(A, **PROTOCOLS[protocol], burn_in=SETTLED, device=device, n_chains=n_chains)
    np.testing.assert_allclose(one.stderr, other.stderr, rtol=1e-6)


@pytest.mark.parametrize("sheet", DEVICES)
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_inverse_and_lyapunov_are_both_symmetric(protocol, sheet):
    for r in two_inverses(A, **PROTOCOLS[protocol], device=tl.Device(**DEVICES[sheet])):
        np.testing.assert_array_equal(r.value, r.value.T)


@pytest.mark.parametrize("matrix", [A, SLOW], ids=["kappa 4", "kappa 100"])
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_inverse_and_lyapunov_take_the_same_time_and_heat(protocol, matrix):
    assert_same_protocol(*two_inverses(matrix, **PROTOCOLS[protocol]))


@pytest.mark.parametrize("sheet", DEVICES)
@pytest.mark.parametrize("protocol", PAIRS)
def test_exponential_and_its_action_have_the_same_stderr(protocol, sheet):
    options = {"n_reads": 800, "read_spacing": PAIRS[protocol], "burn_in": "stationary"}
    one, other = two_exponentials(-A, **options, device=tl.Device(**DEVICES[sheet]))
    np.testing.assert_allclose(one.stderr, other.stderr, rtol=1e-6)


@pytest.mark.parametrize("matrix", [A, SLOW], ids=["kappa 4", "kappa 100"])
@pytest.mark.parametrize("protocol", PAIRS)
def test_exponential_and_its_action_take_the_same_time_and_heat(protocol, matrix):
    assert_same_protocol(*two_exponentials(-matrix, n_reads=800, read_spacing=PAIRS[protocol]))
