"""The RLC sampler and the matrices that its capacitors hold."""

import numpy as np
import pytest
import scipy.linalg

from tests import oracles
from thermolinalg.circuits.capacitances import CapacitiveForm, capacitive_form, capacitors, maxwell_matrix
from thermolinalg.circuits.rlc import RLCSampler
from thermolinalg.errors import NotEquilibrated, NotPositiveDefinite

PARTS = {"R": 1e3, "L": 1e-4, "C": 1e-9, "kappa_0": 1e-14}


def board(rng, d=4):
    """Capacitances of about 1 nF."""
    coupling = np.tril(rng.uniform(0.0, 0.4e-9, (d, d)), -1)
    return rng.uniform(0.5e-9, 2e-9, d), coupling + coupling.T


def circuit(device):
    """Drift and noise covariance of (i, v) in SI units, from Kirchhoff's laws cell by cell."""
    d = len(device.own)
    R, L = np.broadcast_to(device.R, d), np.broadcast_to(device.L, d)
    C = np.zeros((d, d))
    for i in range(d):
        C[i, i] += device.own[i]
        for j in range(d):
            if i != j:
                C[i, i] += device.coupling[i, j]
                C[i, j] -= device.coupling[i, j]
    inverse = np.linalg.inv(C)
    F = np.zeros((2 * d, 2 * d))
    F[:d, d:], F[d:, :d], F[d:, d:] = np.diag(1.0 / L), -inverse, -inverse @ np.diag(1.0 / R)
    Q = np.zeros((2 * d, 2 * d))
    Q[d:, d:] = 2.0 * device.kappa_0 * inverse @ inverse.T
    return F, Q


# Capacitors ------------------------------------------------------------------------------------------------------


def test_capacitors_of_a_maxwell_matrix_are_those_it_was_made_of(rng):
    own, coupling = board(rng, 6)
    matrix = maxwell_matrix(own, coupling)
    np.testing.assert_allclose(matrix @ np.ones(6), own, rtol=1e-12)  # equal voltages: no charge on the couplings
    again, couplings = capacitors(matrix)
    np.testing.assert_allclose(again, own, rtol=1e-12)
    np.testing.assert_array_equal(couplings, coupling)


@pytest.mark.parametrize(
    ("own", "coupling", "message"),
    [
        ([1.0, -1.0], np.zeros((2, 2)), "own must be positive, got -1 for cell 1"),
        ([1.0, 1.0], [[0.0, -0.5], [-0.5, 0.0]], "must not be negative, got -0.5 between cells 0 and 1"),
        ([1.0, 1.0], [[0.0, 0.5], [0.5, 0.2]], "zero diagonal, got 0.2 for cell 1"),
        ([1.0, 1.0], np.zeros((3, 3)), r"coupling must have shape \(2, 2\), got \(3, 3\)"),
        ([1.0, 1.0], [[0.0, 0.5], [0.4, 0.0]], "coupling must be symmetric"),
    ],
)
def test_bad_components_are_refused(own, coupling, message):
    with pytest.raises(ValueError, match=message):
        maxwell_matrix(own, coupling)


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        ([[2.0, 0.5], [0.5, 2.0]], r"matrix\[0, 1\] = 0.5 must not be positive"),
        ([[1.0, -1.5], [-1.5, 4.0]], "row 0 of matrix sums to -0.5"),
        ([[1.0, -0.5], [-0.4, 1.0]], "matrix must be symmetric"),
    ],
)
def test_matrices_that_no_capacitors_make_are_refused(matrix, message):
    with pytest.raises(ValueError, match=message):
        capacitors(matrix)


def frustrated(rng, d):
    """Dominated by its diagonal only after scaling, with signs that no flips repair."""
    signs = np.tril(rng.choice([-1.0, 1.0], (d, d)), -1)
    signs[1, 0] = signs[2, 0] = signs[2, 1] = 1.0
    A = np.diag(rng.uniform(3.0, 4.0, d)) + (signs + signs.T) * 2.5 / d
    scales = np.exp(rng.uniform(-1.5, 1.5, d))
    return scales[:, None] * A * scales


def balanced(rng, d):
    """A Maxwell matrix whose cells are flipped and scaled."""
    own, coupling = board(rng, d)
    signs = rng.choice([-1.0, 1.0], d)
    signs[:2] = -1.0, 1.0
    scales = signs * np.exp(rng.uniform(-1.5, 1.5, d))
    return scales[:, None] * maxwell_matrix(own, coupling) * scales * 1e9


@pytest.mark.parametrize(("make", "cells"), [(balanced, 6), (frustrated, 12)])
def test_capacitive_form_has_the_inverse_of_the_matrix(make, cells, rng):
    A = make(rng, 6)
    with pytest.raises(ValueError, match="capacitive_form"):
        capacitors(A)
    form = capacitive_form(A)
    assert form.matrix.shape == (cells, cells)
    capacitors(form.matrix)  # can be programmed
    inverse = form.readout @ np.linalg.inv(form.matrix) @ form.readout.T
    np.testing.assert_allclose(inverse @ A, np.eye(6), atol=1e-11)


def test_a_matrix_that_fits_is_left_alone(rng):
    matrix = maxwell_matrix(*board(rng))
    form = capacitive_form(matrix)
    np.testing.assert_array_equal(form.matrix, matrix)
    np.testing.assert_array_equal(form.readout, np.eye(4))


def test_cells_without_couplings_are_their_own_forms():
    form = capacitive_form(np.diag([1.0, 2.0]))
    np.testing.assert_array_equal(form.matrix, np.diag([1.0, 2.0]))


def test_a_matrix_without_capacitive_form_is_refused_with_a_remedy():
    A = np.full((4, 4), 0.6) + 0.4 * np.eye(4)  # definite, but 1 - 3 * 0.6 < 0
    with pytest.raises(ValueError, match=r"eigenvalue -0\.8; add a multiple of the identity above 0\.8"):
        capacitive_form(A)
    capacitors(capacitive_form(A + 0.81 * np.eye(4)).matrix)
    with pytest.raises(NotPositiveDefinite):
        capacitive_form([[1.0, 2.0], [2.0, 1.0]])


# The circuit -----------------------------------------------------------------------------------------------------


def test_stationary_law_of_equal_resistors_is_that_of_the_capacitances(rng):
    device = RLCSampler(own=(parts := board(rng))[0], coupling=parts[1], **PARTS | {"L": rng.uniform(1e-5, 1e-3, 4)})
    F, Q = circuit(device)
    S = oracles.linear_law(F, Q, 300e-6)[1]  # 300 RC: nothing left of the start
    current, voltage = device.stationary_covariance()
    np.testing.assert_allclose(voltage, S[4:, 4:], rtol=1e-9)
    np.testing.assert_allclose(current, S[:4, :4], atol=1e-9 * current.max())
    np.testing.assert_allclose(voltage, 1e-14 * 1e3 * np.linalg.inv(maxwell_matrix(*parts)), rtol=1e-9)
    np.testing.assert_allclose(current, 1e-14 * 1e3 * np.diag(1.0 / device.L), atol=1e-9 * current.max())
    np.testing.assert_allclose(voltage * device.beta @ device.matrix, np.eye(4), atol=1e-9)


def test_stationary_law_of_any_resistors_solves_its_lyapunov_equation(rng):
    own, coupling = board(rng)
    device = RLCSampler(own=own, coupling=coupling, **PARTS | {"R": rng.uniform(500.0, 2000.0, 4)})
    F, Q = circuit(device)
    S = oracles.linear_law(F, Q, 600e-6)[1]
    current, voltage = device.stationary_covariance()
    np.testing.assert_allclose(voltage, S[4:, 4:], rtol=1e-9)
    np.testing.assert_allclose(current, S[:4, :4], atol=1e-9 * current.max())
    assert np.abs(voltage * device.beta @ device.matrix - np.eye(4)).max() > 0.05  # not the inverse
    for read in (lambda: device.inv(n_reads=10, read_spacing=1.0), lambda: device.gaussian_samples(2)):
        with pytest.raises(ValueError, match="R must be equal in all cells"):
            read()


def test_relaxation_time_is_that_of_the_slowest_eigenvalue(rng):
    own, coupling = board(rng)
    device = RLCSampler(own=own, coupling=coupling, **PARTS)
    rates = -np.linalg.eigvals(circuit(device)[0]).real
    np.testing.assert_allclose(device.relaxation_time * device.time_unit, 1.0 / rates.min(), rtol=1e-9)
    assert device.time_unit == pytest.approx(1e-6)
    assert device.quality_factor == pytest.approx(np.sqrt(10.0))
    # the ring-down of one cell: 2 R C where it oscillates
    assert RLCSampler.program([[3.0]], **PARTS).relaxation_time == pytest.approx(6.0)


def test_samples_on_the_way_have_the_covariance_of_the_law(rng):
    """Covariance of (i, v) on the way from rest, in volts and amperes at times in seconds."""
    device = RLCSampler.program([[1.5, -0.6], [-0.6, 1.2]], **PARTS)
    current, voltage = device.sample([0.0, 0.3, 0.8], n_chains=20_000, at_rest=True, rng=rng)
    assert not current[:, 0].any()
    assert not voltage[:, 0].any()
    F, Q = circuit(device)
    for k, time in ((1, 0.3), (2, 0.8)):
        covariance = oracles.linear_law(F, Q, time * 1e-6)[1]
        states = np.hstack((current[:, k], voltage[:, k]))
        oracles.sampled_moments_agree(states, np.zeros(4), covariance)


def test_gaussian_samples_have_the_inverse_as_covariance(rng):
    A = np.array([[1.5, -0.6], [-0.6, 1.2]])
    samples = RLCSampler.program(A, **PARTS).gaussian_samples(20_000, read_spacing=40.0, rng=rng)
    oracles.sampled_moments_agree(samples, np.zeros(2), np.linalg.inv(A))
    default = RLCSampler.program(A, **PARTS).gaussian_samples(3, rng=1)
    assert default.shape == (3, 2)


def test_gaussian_samples_of_a_form_have_the_inverse_as_covariance(rng):
    A = frustrated(rng, 3)
    form = capacitive_form(A)
    device = RLCSampler.program(form.matrix, **PARTS)
    spacing = 20.0 * device.relaxation_time
    oracles.sampled_moments_agree(
        device.gaussian_samples(20_000, read_spacing=spacing, form=form, rng=rng), np.zeros(3), np.linalg.inv(A)
    )


# Inverse ---------------------------------------------------------------------------------------------------------


def products_variance(device, n_reads, spacing):
    """Variance of the mean of beta v v^T by Wick's theorem, lag by lag, from the circuit in SI units."""
    F, Q = circuit(device)
    d = device.cells
    S = oracles.linear_law(F, Q, 600e-6)[1]
    step = scipy.linalg.expm(F * spacing * device.time_unit)
    total, G = np.zeros((d, d)), S
    for lag in range(n_reads):
        v = G[d:, d:]
        total += (1 if lag == 0 else 2) * (n_reads - lag) * (np.outer(np.diag(v), np.diag(v)) + v * v.T)
        G = step @ G
    return device.beta**2 * total / n_reads**2


@pytest.mark.parametrize("spacing", [0.1, 1.0])
def test_stderr_of_oscillating_reads_is_the_sum_over_lags(spacing, rng):
    device = RLCSampler(own=(parts := board(rng, 3))[0], coupling=parts[1], **PARTS | {"L": 2e-5})
    r = device.inv(n_reads=700, read_spacing=spacing, rng=0)
    np.testing.assert_allclose(r.stderr**2, products_variance(device, 700, spacing), rtol=1e-7)
    assert r.stderr_kind == "law"


def test_inverse_of_the_board_lies_within_its_stderr(rng):
    own, coupling = board(rng, 8)
    device = RLCSampler.spu(maxwell_matrix(own, coupling) / 1e-9)
    r = device.inv(n_reads=12_000, read_spacing=1.0, rng=rng)
    truth = np.linalg.inv(maxwell_matrix(own, coupling) / 1e-9)
    assert (np.abs(r.value - truth) < 5 * r.stderr).all()
    np.testing.assert_array_equal(r.value, r.value.T)
    assert r.cost.integrate == pytest.approx(12_000e-6)  # seconds: 12000 reads 1 RC = 1 us apart
    assert r.cost.relax == pytest.approx(r.burn_in * 1e-6)
    assert r.cost.conversions == 64 + 8 * 12_000


def test_inverse_through_a_form_lies_within_its_stderr(rng):
    A = frustrated(rng, 4)
    form = capacitive_form(A)
    r = RLCSampler.spu(form.matrix).inv(n_reads=20_000, read_spacing=1.0, form=form, rng=rng)
    assert r.value.shape == (4, 4)
    assert (np.abs(r.value - np.linalg.inv(A)) < 5 * r.stderr).all()


def test_burn_in_from_rest_leaves_a_tenth_of_the_stderr(rng):
    """The expected error of the start, from the law in SI units, at the burn-in that "auto" chooses."""
    device = RLCSampler(own=(parts := board(rng, 3))[0], coupling=parts[1], **PARTS)
    n, spacing = 40, 0.5
    r = device.inv(n_reads=n, read_spacing=spacing, rng=0)
    F, Q = circuit(device)
    S = oracles.linear_law(F, Q, 600e-6)[1]
    missing = np.zeros((3, 3))
    for k in range(n):
        _, C = oracles.linear_law(F, Q, (r.burn_in + k * spacing) * device.time_unit)
        missing += device.beta * (S - C)[3:, 3:] / n
    share = np.linalg.norm(missing) / np.linalg.norm(r.stderr)
    assert 0.09 < share <= 0.1
    with pytest.warns(NotEquilibrated, match="burn_in = 0.01 RC is too short"):
        device.inv(n_reads=n, read_spacing=spacing, burn_in=0.01, rng=0)


def test_same_bits_for_any_number_of_workers():
    device = RLCSampler.program([[1.5, -0.6], [-0.6, 1.2]], **PARTS)
    runs = [device.inv(n_reads=50, read_spacing=1.0, n_chains=40, rng=7, workers=w) for w in (1, 2, 4)]
    assert runs[0].stderr_kind == "chains"
    for other in runs[1:]:
        np.testing.assert_array_equal(other.value, runs[0].value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"R": 0.0}, "R must be positive"),
        ({"R": [1e3, -1.0]}, "R must be positive, got -1 for cell 1"),
        ({"L": [1e-4]}, r"L must have shape \(2,\)"),
        ({"C": np.inf}, "C must be positive and finite"),
        ({"kappa_0": -1.0}, "kappa_0 must be positive"),
    ],
)
def test_components_out_of_range_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        RLCSampler.program([[1.5, -0.6], [-0.6, 1.2]], **PARTS | change)


def test_bad_requests_are_refused():
    device = RLCSampler.program([[1.5, -0.6], [-0.6, 1.2]], **PARTS)
    with pytest.raises(ValueError, match=r"A must have shape \(8, 8\)"):
        RLCSampler.spu(np.eye(4))
    with pytest.raises(ValueError, match="n_reads must be at least 1"):
        device.inv(n_reads=0, read_spacing=1.0)
    with pytest.raises(ValueError, match="read_spacing must be positive"):
        device.inv(n_reads=5, read_spacing=0.0)
    with pytest.raises(ValueError, match="form must be a CapacitiveForm of 2 cells"):
        device.inv(n_reads=5, read_spacing=1.0, form=CapacitiveForm(matrix=np.eye(3), readout=np.eye(3)))
