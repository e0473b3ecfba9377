"""The machine: what it holds, the order of its steps, its time and its energy."""

import re

import numpy as np
import pytest
import scipy.linalg
import scipy.sparse

import thermolinalg as tl
from tests import oracles


def held_matrix(device, A, seed=0):
    """What the machine holds when told A."""
    return tl.hardware.program(tl.as_operator(A), device, rng=np.random.default_rng(seed)).operator.dense()


# The order of operations ------------------------------------------------------------------------------------------


def test_the_matrix_is_rounded_before_mismatch(rng):
    """A as held is not on the grid, but without the factors that mismatch alone gives it is."""
    A = oracles.random_spd(rng, 6, 5.0)
    factors = held_matrix(tl.Device(mismatch=0.01), A) / A
    held = held_matrix(tl.Device(matrix_bits=6, mismatch=0.01), A)
    rounded = oracles.quantise(A, 6, np.abs(A).max())
    np.testing.assert_allclose(held, rounded * factors, rtol=1e-12, atol=1e-15)
    other_order = oracles.quantise(A * factors, 6, np.abs(A * factors).max())
    assert np.abs(held - other_order).max() > 1e-3


def test_the_right_hand_side_is_rounded(rng):
    A, b = oracles.random_spd(rng, 6, 5.0), rng.standard_normal(6)
    device = tl.Device(beta=np.inf, dac_bits=4)
    expected = np.linalg.solve(A, oracles.quantise(b, 4, np.abs(b).max()))
    np.testing.assert_allclose(tl.solve(A, b, duration=1.0, device=device).value, expected, rtol=1e-10)


def test_read_noise_comes_before_the_converter(rng):
    """What comes out lies on the levels, and not always on the same ones."""
    A = oracles.random_spd(rng, 6, 5.0)
    b = A @ rng.uniform(-6.0, 6.0, 6)  # well inside the range
    device = tl.Device(beta=np.inf, read_noise=0.5, adc_bits=4, adc_range=8.0)
    outputs = np.array([tl.solve(A, b, duration=1.0, device=device, rng=rng).value for _ in range(30)])
    codes = outputs / (8.0 / 7.0)
    np.testing.assert_allclose(codes, np.rint(codes), atol=1e-9)
    assert (outputs.std(axis=0) > 0).all()
    quiet = tl.solve(A, b, duration=1.0, device=tl.Device(beta=np.inf, adc_bits=4, adc_range=8.0))
    np.testing.assert_allclose(quiet.value, oracles.quantise(np.linalg.solve(A, b), 4, 8.0), atol=1e-12)


def test_the_whole_chain_has_the_stated_order(rng):
    """No noise: converter(A_held^-1 converter(b)), each step by hand."""
    A, b = oracles.random_spd(rng, 6, 5.0), rng.standard_normal(6)
    device = tl.Device(beta=np.inf, matrix_bits=8, dac_bits=6, adc_bits=7, mismatch=0.01, mismatch_seed=3)
    factors = held_matrix(tl.Device(mismatch=0.01, mismatch_seed=3), A) / A
    held = oracles.quantise(A, 8, np.abs(A).max()) * factors
    answer = np.linalg.solve(held, oracles.quantise(b, 6, np.abs(b).max()))
    expected = oracles.quantise(answer, 7, np.abs(answer).max())
    result = tl.solve(A, b, duration=1.0, device=device)
    np.testing.assert_allclose(result.value, expected, atol=1e-10)
    assert result.clipped == {"matrix": 0, "dac": 0, "adc": 0}


def test_reads_are_rounded_one_by_one_and_an_integrator_once(rng):
    """The mean of many noisy rounded reads lies between the levels; the integrator's output on one."""
    A, b = np.eye(3), np.array([0.3, 0.5, -0.7])
    device = tl.Device(beta=4.0, adc_bits=4, adc_range=3.0)
    level = 3.0 / 7.0
    once = tl.solve(A, b, duration=50.0, device=device, rng=rng).value / level
    np.testing.assert_allclose(once, np.rint(once), atol=1e-9)
    each = tl.solve(A, b, n_reads=101, device=device, rng=rng)
    assert each.simulator == "path"
    codes = each.value / level * 101
    np.testing.assert_allclose(codes, np.rint(codes), atol=1e-6)
    assert (np.abs(each.value / level - np.rint(each.value / level)) > 1e-6).any()


def test_saturation_is_counted_where_it_happens(rng):
    A, b = np.diag([1.0, 2.0, 0.5]), np.array([1.0, -3.0, 0.1])
    device = tl.Device(
        beta=np.inf, matrix_bits=8, matrix_range=1.5, dac_bits=8, dac_range=0.5, adc_bits=8, adc_range=0.3
    )
    result = tl.solve(A, b, duration=1.0, device=device)
    # 2 > 1.5; |1| and |-3| > 0.5; then x = 0.5, -0.5 / 1.5 and 0.1 / 0.5 = 0.2 against 0.3
    assert result.clipped == {"matrix": 1, "dac": 2, "adc": 2}
    np.testing.assert_allclose(result.value[:2], [0.3, -0.3])
    assert "saturated: 1 in matrix, 2 in dac, 2 in adc" in str(result)


# Mismatch -------------------------------------------------------------------------------------------------------------


def test_mismatch_belongs_to_the_device(rng):
    A = oracles.random_spd(rng, 8, 3.0)
    device = tl.Device(mismatch=0.02)
    held = held_matrix(device, A, seed=1)
    np.testing.assert_array_equal(held, held_matrix(device, A, seed=2))
    np.testing.assert_array_equal(held, held.T)
    np.testing.assert_allclose(held_matrix(device, 3.0 * A), 3.0 * held, rtol=1e-12)
    assert np.abs(held_matrix(tl.Device(mismatch=0.02, mismatch_seed=1), A) - held).max() > 1e-3


def test_mismatch_has_the_stated_size():
    A = np.full((100, 100), 0.001) + np.eye(100)
    factors = (held_matrix(tl.Device(mismatch=0.02), A) / A)[np.tril_indices(100)] - 1.0
    assert abs(factors.std() / 0.02 - 1.0) < 5 / np.sqrt(2 * factors.size)
    assert abs(factors.mean()) < 5 * 0.02 / np.sqrt(factors.size)


def test_sparse_and_diagonal_matrices_are_programmed_entry_by_entry(rng):
    A = scipy.sparse.csr_array(tl.problems.laplacian(6) + scipy.sparse.eye_array(6) * 0.3)
    device = tl.Device(matrix_bits=5, mismatch=0.01)
    held = tl.hardware.program(tl.as_operator(A), device, rng=rng).operator
    assert held.is_sparse
    dense = held.dense()
    np.testing.assert_array_equal(dense, dense.T)
    assert ((dense != 0) == (A.toarray() != 0)).all()
    rounded = oracles.quantise(A.toarray(), 5, 2.3) * (A.toarray() != 0)
    assert np.abs(dense / np.where(rounded == 0, 1, rounded) - (rounded != 0)).max() < 0.05
    entries = np.array([1.0, 0.42, 0.77])
    held = tl.hardware.program(tl.Diagonal(entries), tl.Device(matrix_bits=5), rng=rng).operator
    assert isinstance(held, tl.Diagonal)
    np.testing.assert_allclose(held.rates, oracles.quantise(entries, 5, 1.0))


def test_structured_operators_have_no_stored_entries(rng):
    for operator in (tl.LowRank(1.0, np.ones((3, 1))), tl.Kronecker(np.eye(2), np.eye(2))):
        for device in (tl.Device(matrix_bits=8), tl.Device(mismatch=0.1)):
            with pytest.raises(ValueError, match=rf"stored entries, which {type(operator).__name__} has none of"):
                tl.solve(operator, np.ones(operator.shape[0]), duration=1.0, device=device)
        tl.solve(operator, np.ones(operator.shape[0]), duration=1.0, device=tl.Device(dac_bits=8, adc_bits=8), rng=0)


def test_stochastic_rounding_keeps_the_matrix_symmetric(rng):
    A = oracles.random_spd(rng, 8, 3.0)
    device = tl.Device(matrix_bits=6, rounding="stochastic")
    first, second = held_matrix(device, A, 1), held_matrix(device, A, 2)
    np.testing.assert_array_equal(first, first.T)
    assert not np.array_equal(first, second)


# Definiteness after programming ---------------------------------------------------------------------------------------


def definite(A):
    return np.linalg.eigvalsh(A)[0] > 0


@pytest.mark.parametrize("kappa", [100.0, 1e3, 1e5])
def test_the_word_length_that_would_do_does_and_one_bit_less_does_not(kappa, rng):
    A = oracles.random_spd(rng, 12, kappa)
    coarse = 2
    smallest = np.linalg.eigvalsh(oracles.quantise(A, coarse, np.abs(A).max()))[0]
    assert smallest < 1e-12
    with pytest.raises(tl.errors.NotPositiveDefinite, match="as programmed") as caught:
        tl.solve(A, np.ones(12), duration=1.0, device=tl.Device(matrix_bits=coarse))
    bits = int(re.search(r"matrix_bits=(\d+) would do", str(caught.value))[1])
    assert bits > coarse
    tl.solve(A, np.ones(12), duration=1.0, device=tl.Device(matrix_bits=bits), rng=0)
    with pytest.raises(tl.errors.NotPositiveDefinite):
        tl.solve(A, np.ones(12), duration=1.0, device=tl.Device(matrix_bits=bits - 1))
    assert caught.value.eigenvalue == pytest.approx(smallest, abs=1e-9)
    own = re.search(r"smallest eigenvalue is (\S+), that of A itself (\S+);", str(caught.value))
    assert float(own[1]) == pytest.approx(smallest, rel=1e-4, abs=1e-9)
    assert float(own[2]) == pytest.approx(1 / kappa, rel=1e-4)


def test_a_diagonal_that_rounds_to_zero_is_refused_with_a_word_length():
    with pytest.raises(
        tl.errors.NotPositiveDefinite, match=r"smallest eigenvalue is 0, that of A itself 0.01; matrix_bits=\d+"
    ):
        tl.solve(tl.Diagonal([1.0, 0.01]), np.ones(2), duration=1.0, device=tl.Device(matrix_bits=4))


def test_advice_for_a_long_diagonal_needs_no_dense_matrix():
    entries = np.ones(200_000)
    entries[7] = 0.01
    with pytest.raises(tl.errors.NotPositiveDefinite, match=r"matrix_bits=7 would do"):  # 0.01 > 0.5 / 63, not 0.5 / 31
        tl.solve(tl.Diagonal(entries), np.ones(200_000), duration=1.0, device=tl.Device(matrix_bits=4))


def test_a_matrix_that_was_indefinite_before_says_so_itself():
    with pytest.raises(tl.errors.NotPositiveDefinite, match=r"^A is not positive definite"):
        tl.solve(np.diag([1.0, -1.0]), np.ones(2), duration=1.0, device=tl.Device(matrix_bits=8))


def test_mismatch_that_makes_it_indefinite_names_itself(rng):
    A = oracles.random_spd(rng, 20, 1e4)
    with pytest.raises(
        tl.errors.NotPositiveDefinite, match=r"mismatch=0.3.*a smaller mismatch, .* or more damping on A, is needed"
    ):
        tl.solve(A, np.ones(20), duration=1.0, device=tl.Device(mismatch=0.3))


def test_advice_about_bits_is_sound_when_mismatch_is_to_blame(rng):
    """Rounded to 12 bits A is definite; the mismatch breaks it. Then 12 bits is no remedy."""
    A = oracles.random_spd(rng, 20, 100.0)
    assert definite(oracles.quantise(A, 12, np.abs(A).max()))
    with pytest.raises(tl.errors.NotPositiveDefinite) as caught:
        tl.solve(A, np.ones(20), duration=1.0, device=tl.Device(matrix_bits=12, mismatch=0.3))
    assert "matrix_bits=12 would do" not in str(caught.value)


def test_no_word_length_helps_a_range_that_is_too_small():
    """Saturation of the diagonal, not rounding, breaks this one."""
    A = np.full((3, 3), 0.9) + np.diag([1.0, 1.0, 2.0])
    A[0, 1] = A[1, 0] = -1.2
    assert definite(A)
    device = tl.Device(matrix_bits=8, matrix_range=0.5)
    assert tl.hardware.fewest_bits(device, lambda d: definite(tl.hardware.program_array(A, d)[0])) is None
    with pytest.raises(tl.errors.NotPositiveDefinite, match="no word length helps"):
        tl.solve(A, np.ones(3), duration=1.0, device=device)


# Time and energy ------------------------------------------------------------------------------------------------------


def test_published_device_has_its_constants():
    device = tl.Device.tngd()
    assert (device.R, device.C, device.bandwidth) == (1e3, 1e-9, 50e9)
    assert (device.matrix_bits, device.dac_bits, device.adc_bits) == (16, 16, 16)
    assert device.time_unit == pytest.approx(1e-6)
    for d, seconds in ((100, 3.2e-6), (1000, 0.32e-3), (5000, 8e-3), (10_000, 32e-3)):
        assert device.load_seconds(d * d, 0) == pytest.approx(seconds)
    changed = tl.Device.tngd(beta=5.0, adc_bits=None)
    assert (changed.beta, changed.adc_bits, changed.dac_bits) == (5.0, None, 16)


def test_seconds_of_a_solution_add_up(rng):
    A, b = oracles.random_spd(rng, 10, 4.0), rng.standard_normal((10, 3))
    cost = tl.solve(A, b, duration=200.0, burn_in=30.0, device=tl.Device.tngd(beta=1e4), rng=0).cost
    assert cost.load == pytest.approx((100 + 30) * 16 / 50e9)
    assert cost.relax == pytest.approx(3 * 30e-6)
    assert cost.integrate == pytest.approx(3 * 200e-6)
    assert cost.read == pytest.approx(30 * 16 / 50e9)
    assert cost.seconds == pytest.approx(cost.load + cost.relax + cost.integrate + cost.read)
    assert cost.conversions == 100 + 30 + 30


def test_seconds_of_reads_and_of_chains_add_up(rng):
    A, b = oracles.random_spd(rng, 10, 4.0), rng.standard_normal(10)
    device = tl.Device(R=2e3, C=5e-9, bandwidth=1e9, sample_rate=1e6, n_converters=4, conversion_energy=2e-12)
    spaced = tl.solve(A, b, n_reads=50, read_spacing=2.0, burn_in=40.0, device=device, rng=0).cost
    assert device.time_unit == pytest.approx(1e-5)
    assert spaced.relax == pytest.approx(40e-5)
    assert spaced.integrate == pytest.approx(100e-5)
    assert spaced.load == pytest.approx(100 / 4e6 + 10 / 4e6)  # conversions are slower than the link of 64-bit words
    assert spaced.read == pytest.approx(500 / 4e6)
    apart = tl.solve(A, b, n_reads=50, burn_in=40.0, device=device, rng=0).cost
    assert apart.relax == pytest.approx(50 * 40e-5)
    assert apart.integrate == 0.0
    chains = tl.solve(A, b, n_reads=50, burn_in=40.0, device=device, n_chains=3, rng=0).cost
    assert chains.seconds == pytest.approx(apart.seconds)
    assert chains.conversions == 3 * apart.conversions == 3 * (100 + 10 + 500)
    assert chains.joule_heat == pytest.approx(3 * apart.joule_heat)
    assert chains.converter_energy == pytest.approx(chains.conversions * 2e-12)
    assert tl.solve(A, b, duration=1.0, rng=0).cost.converter_energy is None


def test_numbers_to_load_are_counted_by_kind_of_matrix(rng):
    """What the device is told of each kind of matrix."""
    device, b = tl.Device(bandwidth=64.0), np.ones(12)  # one ideal word a second
    line = tl.problems.laplacian(12)
    for A, numbers in (
        (oracles.random_spd(rng, 12, 4.0), 144),
        (tl.Diagonal(np.ones(12)), 12),
        (tl.LowRank(1.0, rng.standard_normal((12, 3))), 3 * (3 + 24)),
        (tl.Kronecker(np.eye(3), np.eye(4)), 9 + 16),
        (line, line.nnz),
        (scipy.sparse.linalg.aslinearoperator(line), 144),
    ):
        assert tl.solve(A, b, duration=1.0, device=device, rng=0).cost.load == pytest.approx(numbers + 12)


@pytest.mark.filterwarnings("ignore::thermolinalg.errors.NotEquilibrated")
@pytest.mark.parametrize("time", [0.5, 6.0, 60.0])
def test_energies_are_those_of_the_equations_of_the_moments(time, rng):
    A = oracles.random_spd(rng, 4, 6.0)
    b, x0 = rng.standard_normal((2, 4))
    beta = 3.0
    joule, bath, stored = oracles.energies_by_integration(A, b, x0, beta, time)
    cost = tl.solve(A, b, x0=x0, burn_in=0.2 * time, duration=0.8 * time, beta=beta, rng=0).cost
    assert cost.joule_heat == pytest.approx(joule, rel=1e-7)
    assert cost.stochastic_heat == pytest.approx(bath, rel=1e-7)
    assert cost.stored_energy == pytest.approx(stored, rel=1e-7)
    assert cost.energy_unit == "C V^2"


def test_energies_of_columns_and_reads_add_up_in_either_unit(rng):
    """Heats of columns add up and independent reads repeat them; what is stored is the mean over the runs. A voltage
    unit turns C V^2 into joules."""
    A, b = oracles.random_spd(rng, 4, 6.0), rng.standard_normal((4, 2))
    truth = np.sum([oracles.energies_by_integration(A, column, np.zeros(4), 50.0, 40.0) for column in b.T], axis=0)
    cost = tl.solve(A, b, burn_in=40.0, n_reads=5, beta=50.0, rng=0).cost
    found = (cost.joule_heat, cost.stochastic_heat, cost.stored_energy)
    expected = truth * [5.0, 5.0, 0.5]
    np.testing.assert_allclose(found, expected, rtol=1e-7)
    device = tl.Device(beta=50.0, voltage_unit=1e-3)
    cost = tl.solve(A, b, burn_in=40.0, n_reads=5, device=device, rng=0).cost
    np.testing.assert_allclose(
        (cost.joule_heat, cost.stochastic_heat, cost.stored_energy), expected * 1e-9 * 1e-6, rtol=1e-7
    )
    assert cost.energy_unit == "J"


@pytest.mark.filterwarnings("ignore::thermolinalg.errors.NotEquilibrated")
def test_energies_of_a_low_rank_problem_count_no_mode_twice(rng):
    """More mode coordinates than dimensions: the energies must not count any twice."""
    U, b, x0 = rng.standard_normal((5, 2)), rng.standard_normal(5), rng.standard_normal(5)
    A = 0.4 * np.eye(5) + U @ U.T
    truth = oracles.energies_by_integration(A, b, x0, 2.0, 9.0)
    cost = tl.solve(tl.LowRank(0.4, U), b, x0=x0, burn_in=1.0, duration=8.0, beta=2.0, rng=0).cost
    np.testing.assert_allclose((cost.joule_heat, cost.stochastic_heat, cost.stored_energy), truth, rtol=1e-7)


def test_energy_of_an_inversion_comes_from_the_bath(rng):
    """From rest without a drive: no current on average, and the bath gives what is stored."""
    A = oracles.random_spd(rng, 4, 6.0)
    cost = tl.inv(A, n_reads=7, beta=2.0, rng=0).cost
    _, bath, stored = oracles.energies_by_integration(A, np.zeros(4), np.zeros(4), 2.0, 500.0)
    assert cost.joule_heat == 0.0
    assert cost.stochastic_heat == pytest.approx(7 * bath, rel=1e-6)
    assert cost.stored_energy == pytest.approx(stored, rel=1e-6)


def test_energies_of_a_sparse_matrix_are_said_to_be_unknown(rng):
    A, b = oracles.random_spd(rng, 4, 6.0), rng.standard_normal(4)
    cost = tl.solve(scipy.sparse.csr_array(A), b, duration=1e7, beta=1e6, rng=0).cost
    assert (cost.joule_heat, cost.stochastic_heat, cost.stored_energy) == (None, None, None)
    assert "energies not known" in str(cost)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"beta": 0.0}, "beta must be positive, got 0.0"),
        ({"beta": -1.0}, "beta must be positive, got -1.0"),
        ({"beta": np.nan}, "beta must be positive, got nan"),
        ({"beta": "hot"}, "beta must be a number, got 'hot'"),
        ({"R": 0.0}, "R must be positive and finite, got 0.0"),
        ({"C": np.inf}, "C must be positive and finite, got inf"),
        ({"matrix_bits": 0}, "matrix_bits must be at least 1, got 0"),
        ({"dac_bits": -3}, "dac_bits must be at least 1, got -3"),
        ({"adc_bits": 7.5}, "adc_bits must be an integer, got 7.5"),
        ({"adc_range": -1.0}, r'adc_range \(or "max"\) must be positive and finite, got -1.0'),
        ({"dac_range": "auto"}, r'dac_range \(or "max"\) must be a number'),
        ({"rounding": "floor"}, "rounding must be one of 'nearest', 'stochastic', got 'floor'"),
        ({"mismatch": -0.1}, "mismatch must be non-negative and finite, got -0.1"),
        ({"mismatch_seed": -1}, "mismatch_seed must be at least 0, got -1"),
        ({"read_noise": np.inf}, "read_noise must be non-negative and finite, got inf"),
        ({"bandwidth": 0.0}, "bandwidth must be positive"),
        ({"n_converters": 0}, "n_converters must be at least 1, got 0"),
        ({"sample_rate": -1.0}, "sample_rate must be positive"),
        ({"voltage_unit": 0}, "voltage_unit must be positive"),
        ({"conversion_energy": 0}, "conversion_energy must be positive"),
    ],
)
def test_bad_input_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        tl.Device(**options)


def test_ideal_device_is_nothing_but_noise(rng):
    assert tl.Device.ideal(3.0) == tl.Device(beta=3.0)
    A, b = oracles.random_spd(rng, 3, 4.0), rng.standard_normal(3)
    same = [tl.solve(A, b, duration=9.0, rng=0, **o).value for o in ({"beta": 3.0}, {"device": tl.Device.ideal(3.0)})]
    np.testing.assert_array_equal(*same)
    cost = tl.solve(A, b, duration=9.0, rng=0).cost
    assert (cost.load, cost.read) == (0.0, 0.0)


def test_a_device_is_frozen():
    with pytest.raises(AttributeError):
        tl.Device().beta = 2.0
    with pytest.raises(TypeError):
        tl.Device(2.0)


def test_anything_but_a_device_is_refused():
    with pytest.raises(ValueError, match="device must be a Device, got 'chip'"):
        tl.solve(np.eye(2), np.ones(2), duration=1.0, device="chip")
