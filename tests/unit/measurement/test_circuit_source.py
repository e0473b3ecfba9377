"""The RLC board as it is programmed and read: capacitors, gains, read noise and converters against plain arithmetic."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.linalg

import thermolinalg as tl
from tests import oracles
from thermolinalg.circuits.capacitances import CapacitiveForm
from thermolinalg.circuits.rlc import RLCSampler
from thermolinalg.hardware.programming import program_capacitors

A = np.array([[1.5, -0.6, -0.1], [-0.6, 1.2, -0.2], [-0.1, -0.2, 0.9]])
INVERSE = np.linalg.inv(A)
PARTS = {"R": 1e3, "L": 1e-4, "C": 1e-9, "kappa_0": 1e-14}
VOLT = 0.1  # sqrt(kappa_0 R / C)


def board(matrix=A, **sheet):
    return RLCSampler.program(matrix, **PARTS, device=tl.Device(**sheet))


# Capacitors ------------------------------------------------------------------------------------------------------


def test_capacitors_are_rounded_one_by_one():
    held = board(matrix_bits=5)
    own = oracles.quantise(A.sum(axis=1), 5, 0.8)  # the largest capacitor is the first to ground
    couplings = oracles.quantise(-A[np.tril_indices(3, -1)], 5, 0.8)
    np.testing.assert_allclose(held.own / 1e-9, own, rtol=1e-12)
    np.testing.assert_allclose(held.coupling[np.tril_indices(3, -1)] / 1e-9, couplings, rtol=1e-12)
    np.testing.assert_array_equal(held.coupling, held.coupling.T)
    assert held.saturated_capacitors == 0
    assert board(matrix_bits=5, matrix_range=0.55).saturated_capacitors == 3
    assert board(matrix_bits=5, matrix_range=0.55).inv(n_reads=3, read_spacing=1.0, rng=0).clipped["matrix"] == 3


def test_mismatch_is_relative_and_the_same_for_the_same_board():
    wanted = tl.problems.with_condition(80, 3.0, rng=0)
    wanted = 100.0 * np.eye(80) - np.abs(wanted)
    ratios = [
        (lambda own: own / wanted.sum(axis=1) - 1.0)(board(wanted, mismatch=0.01, mismatch_seed=seed).own / 1e-9)
        for seed in (0, 0, 1)
    ]
    np.testing.assert_array_equal(ratios[0], ratios[1])
    assert abs(np.corrcoef(ratios[0], ratios[2])[0, 1]) < 5 / np.sqrt(80)
    assert ratios[0].std() == pytest.approx(0.01, rel=5 / np.sqrt(160))


def test_stochastic_rounding_of_capacitors_is_right_on_average():
    boards = [RLCSampler.program(A, **PARTS, device=tl.Device(matrix_bits=5, rounding="stochastic"), rng=s).matrix
              for s in range(400)]  # fmt: skip
    error = np.std(boards, axis=0) / 20.0
    assert (np.abs(np.mean(boards, axis=0) - A) <= 5 * error + 1e-12).all()
    assert error.max() > 0


def test_cells_that_rounding_disconnects_from_ground_are_refused():
    thin = np.array([[1.0, -0.99], [-0.99, 2.0]])
    with pytest.raises(
        ValueError, match=r"cell 0 to ground is 0 as programmed \(matrix_bits=4.*matrix_bits=7 would do"
    ):
        board(thin, matrix_bits=4)
    with pytest.raises(ValueError, match="no word length helps"):
        program_capacitors(np.ones(2), np.zeros((2, 2)), tl.Device(mismatch=1e4, mismatch_seed=1))


def test_beta_and_units_of_the_circuit_replace_those_of_the_device():
    device = tl.Device(adc_bits=8)
    plain = RLCSampler.program(A, **PARTS, device=device)
    assert plain.data_sheet.beta == plain.beta == pytest.approx(100.0)
    assert plain.data_sheet.adc_bits == 8
    assert replace(plain, kappa_0=2e-14).data_sheet.beta == pytest.approx(50.0)
    RLCSampler.program(A, **PARTS, device=tl.Device(beta=plain.beta))
    with pytest.raises(ValueError, match="leave beta of the device at its default, for the circuit has"):
        RLCSampler.program(A, **PARTS, device=tl.Device(beta=3.0))
    with pytest.raises(ValueError, match="leave C of the device"):
        RLCSampler.program(A, **PARTS, device=tl.Device(C=2e-9))
    with pytest.raises(ValueError, match="device must be a Device"):
        RLCSampler.program(A, **PARTS | {"device": "SPU"})


# Samples ---------------------------------------------------------------------------------------------------------


def test_samples_are_levels_of_the_converter(rng):
    step = 0.6 / 15  # volt: a third of a standard deviation, which dithers the rest
    samples = board(adc_bits=5, adc_range=0.6).gaussian_samples(20_000, read_spacing=40.0, rng=rng)
    levels = samples * VOLT / step
    np.testing.assert_allclose(levels, np.rint(levels), atol=1e-9)
    assert np.abs(levels).max() <= 15 + 1e-9
    oracles.sampled_moments_agree(samples, np.zeros(3), INVERSE + (step / VOLT) ** 2 / 12 * np.eye(3))


def test_samples_carry_gains_and_read_noise(rng):
    device = board(eps_sys=0.2, read_noise=0.05)
    gains = tl.Device(eps_sys=0.2).read_gains(3)
    expected = np.outer(gains, gains) * INVERSE + (0.05 / VOLT) ** 2 * np.eye(3)
    oracles.sampled_moments_agree(device.gaussian_samples(20_000, read_spacing=40.0, rng=rng), np.zeros(3), expected)


def test_saturated_samples_are_reported():
    with pytest.warns(UserWarning, match=r"conversions saturate at adc_range = 0\.1 V"):
        samples = board(adc_bits=8, adc_range=0.1).gaussian_samples(500, rng=0)
    assert np.abs(samples).max() == pytest.approx(1.0)


# Inverse ---------------------------------------------------------------------------------------------------------


def thermal_variance(n_reads, spacing):
    """Wick's theorem, lag by lag, for the mean of beta v v^T of three ideal cells, times and voltages in own units."""
    quality = np.sqrt(10.0)
    F = np.block([[np.zeros((3, 3)), quality * np.eye(3)], [-quality * INVERSE, -INVERSE]])
    noise = np.zeros((6, 6))
    noise[3:, 3:] = 2.0 * INVERSE @ INVERSE
    G, step, total = scipy.linalg.solve_continuous_lyapunov(F, -noise), scipy.linalg.expm(F * spacing), 0.0
    for lag in range(n_reads):
        v = G[3:, 3:]
        total = total + (1 if lag == 0 else 2) * (n_reads - lag) * (np.outer(np.diag(v), np.diag(v)) + v * v.T)
        G = step @ G
    return total / n_reads**2


@pytest.mark.parametrize("sheet", [{"read_noise": 0.05}, {"adc_bits": 9, "adc_range": 0.8}])
def test_standard_error_counts_what_every_read_adds(sheet):
    """The scatter of products of thermal and white noise, term by term."""
    n, spacing = 300, 0.7
    white = (0.05 if "read_noise" in sheet else 0.8 / 255 / np.sqrt(12)) ** 2 / VOLT**2
    r = board(**sheet).inv(n_reads=n, read_spacing=spacing, rng=0)
    S = np.diag(INVERSE)
    extra = white * (np.add.outer(S, S) + white) + np.eye(3) * (2 * white * INVERSE + white**2)
    np.testing.assert_allclose(r.stderr**2, thermal_variance(n, spacing) + extra / n, rtol=2e-6)


@pytest.mark.long
def test_noise_of_reads_through_a_form_is_in_the_stderr():
    """A read-out that is not orthogonal: white noise of the cells is mixed by it."""
    mix = np.array([[0.5, 1.0, 0.0], [0.0, 2.0, -1.0]])
    form = CapacitiveForm(matrix=A, readout=mix)
    runs = [board(read_noise=0.1).inv(n_reads=200, read_spacing=1.0, form=form, rng=s) for s in range(200)]
    truth = mix @ INVERSE @ mix.T
    scores = np.array([(r.value - truth) / r.stderr for r in runs])
    oracles.assert_calibrated(scores[np.arange(200), np.arange(200) % 2, np.arange(200) // 2 % 2])


def test_gains_are_in_the_value_and_in_its_scatter():
    gains = tl.Device(eps_sys=0.3).read_gains(3)
    r = board(eps_sys=0.3).inv(n_reads=20_000, read_spacing=1.0, rng=0)
    ideal = board().inv(n_reads=20_000, read_spacing=1.0, rng=0)
    np.testing.assert_allclose(r.stderr, np.abs(np.outer(gains, gains)) * ideal.stderr, rtol=1e-7)
    np.testing.assert_allclose(r.value, np.outer(gains, gains) * ideal.value, rtol=1e-9)  # the same noise


def test_coarse_reads_do_not_claim_more_than_they_know():
    """Two bits: the error that no averaging removes is in the error bar."""
    r = board(adc_bits=2).inv(n_reads=200_000, read_spacing=1.0, rng=0)
    error = np.abs(r.value - INVERSE)
    assert (error < 5 * r.stderr).all()
    assert error.max() > 20 * board().inv(n_reads=200_000, read_spacing=1.0, rng=0).stderr.max()


def test_cost_counts_conversions_and_clipped_reads():
    sheet = {"adc_bits": 12, "adc_range": 0.15, "sample_rate": 12e6, "conversion_energy": 1e-12, "read_noise": 1e-3}
    r = board(**sheet).inv(n_reads=1000, read_spacing=1.0, n_chains=2, rng=0)
    assert r.clipped["adc"] > 100
    assert r.cost.read == pytest.approx(3 * 1000 / 12e6)
    assert r.cost.converter_energy == pytest.approx(2 * (9 + 3000) * 1e-12)
    assert r.cost.energy_unit == "J"


def test_same_bits_for_any_number_of_workers():
    runs = [
        board(adc_bits=6, read_noise=0.01).inv(n_reads=50, read_spacing=1.0, n_chains=40, rng=7, workers=w)
        for w in (1, 2, 4)
    ]
    for other in runs[1:]:
        np.testing.assert_array_equal(other.value, runs[0].value)
        assert other.clipped == runs[0].clipped
