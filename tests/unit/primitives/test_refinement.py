"""Iterative refinement and the device as a preconditioner, against solutions in extended precision."""

import re

import mpmath
import numpy as np
import pytest
import scipy.sparse
import scipy.sparse.linalg as sla

import thermolinalg as tl


def exact_solution(A, b):
    """A^-1 b by Gaussian elimination with 40 digits."""
    with mpmath.workdps(40):
        x = mpmath.lu_solve(mpmath.matrix(A.tolist()), mpmath.matrix(b.tolist()))
        return np.array([float(entry) for entry in x])


def relative_error(x, truth):
    return np.linalg.norm(x - truth) / np.linalg.norm(truth)


def kernel_matrix(n, seed=0):
    """RBF kernel of n random points in the plane plus 1e-2 I: dense, condition number about 1e3 to 1e4."""
    points = np.random.default_rng(seed).uniform(size=(n, 2))
    squares = ((points[:, None] - points[None]) ** 2).sum(-1)
    return np.exp(-4.0 * squares) + 1e-2 * np.eye(n)


@pytest.mark.parametrize("seed", range(3))
def test_reaches_rtol_on_an_ill_conditioned_matrix_with_a_12_bit_device(seed):
    A, b = kernel_matrix(20, seed), np.random.default_rng(seed).standard_normal(20)
    device = tl.Device(matrix_bits=12, dac_bits=12, adc_bits=12)
    r = tl.solve(A, b, refine=True, rtol=1e-12, device=device, rng=seed)
    assert relative_error(r.value, exact_solution(A, b)) < 1e-12
    assert r.rounds[-1].correction <= 1e-12 < r.rounds[-2].correction
    assert len(r.rounds) > 5


@pytest.mark.parametrize("d", [20, 150])
@pytest.mark.parametrize("kappa", [10.0, 300.0])
@pytest.mark.parametrize("beta", [1.0, 100.0])
def test_contraction_is_independent_of_condition_number_and_dimension(d, kappa, beta):
    A, b = tl.problems.with_condition(d, kappa, rng=1), np.random.default_rng(2).standard_normal(d)
    duration = 40.0 * kappa  # long beside the slowest relaxation time, kappa
    r = tl.solve(A, b, duration=duration, refine=True, rtol=1e-11, beta=beta, rng=3)
    residuals = np.array([each.residual for each in r.rounds])
    steps = np.diff(np.log(residuals[residuals > 1e-12]))
    predicted = np.sqrt(2.0 / (beta * duration))
    scatter = 3.0 / np.sqrt(2.0 * d * steps.size)  # each step is the norm of d normals; three standard errors
    assert np.exp(steps.mean()) == pytest.approx(predicted, rel=0.05 + scatter)


def test_every_column_has_its_own_scale():
    A = kernel_matrix(12)
    b = np.outer(np.random.default_rng(0).standard_normal(12), [1e-6, 1.0, 1e5])
    r = tl.solve(A, b, refine=True, rtol=1e-10, rng=0)
    for column in range(3):
        assert relative_error(r.value[:, column], exact_solution(A, b[:, column])) < 1e-8
    assert r.stderr.shape == (12, 3)


def test_stderr_is_that_of_the_last_correction():
    A, b = kernel_matrix(15), np.ones(15)
    truth = exact_solution(A, b)
    z = []
    for seed in range(100):
        r = tl.solve(A, b, refine=True, rtol=1e-6, rng=seed)
        z.append(((r.value - truth) / r.stderr)[seed % 15])
    assert abs(np.mean(z)) < 4.0 / np.sqrt(len(z))
    assert abs(np.std(z) - 1.0) < 4.0 / np.sqrt(2 * len(z))


CASES = {
    "one dimension": (np.array([[1.0]]), np.array([1.0]), 1e-4),
    "one dimension, coarse": (np.array([[1.0]]), np.array([1.0]), 1e-1),
    "three dimensions": (tl.problems.with_condition(3, 10.0, rng=0), np.ones(3), 1e-3),
    "a slow mode that b hardly drives": (np.diag([1.0, 1e-4]), np.array([1.0, 1e-9]), 1e-3),
}


@pytest.mark.parametrize("name", CASES)
def test_a_lucky_round_does_not_end_refinement(name):
    """A correction that is small by luck is not an answer: the rms error over 200 seeds is at most rtol."""
    A, b, rtol = CASES[name]
    operator, truth = tl.Dense(A), exact_solution(A, b)
    results = [tl.solve(operator, b, refine=True, rtol=rtol, rng=seed) for seed in range(200)]
    assert np.sqrt(np.mean([relative_error(r.value, truth) ** 2 for r in results])) <= rtol
    assert max(np.linalg.norm(r.stderr) / np.linalg.norm(r.value) for r in results) <= rtol


@pytest.mark.parametrize("duration", [2.0, 3.0])
def test_an_unlucky_round_does_not_end_refinement(duration):
    """Rounds so short that a fifth of them make things worse still get there."""
    operator = tl.Dense([[1.0]])
    for seed in range(100):
        assert tl.solve(operator, [1.0], refine=True, rtol=1e-3, duration=duration, rng=seed).value == pytest.approx(
            1.0, abs=6e-3
        )


def test_products_alone_need_two_small_corrections():
    A = scipy.sparse.diags_array([1.0, 3.0])
    for seed in range(20):
        r = tl.solve(A, np.ones(2), refine=True, rtol=1e-3, rng=seed)
        assert max(each.correction for each in r.rounds[-2:]) <= 1e-3
        assert relative_error(r.value, np.array([1.0, 1.0 / 3.0])) < 1e-3


def test_refinement_stops_at_the_rounding_floor():
    A = tl.problems.with_condition(50, 1e13, rng=0)
    for seed in range(5):
        with pytest.raises(tl.errors.NotConverged, match="near 1e-16 times the condition number") as error:
            tl.solve(A, np.ones(50), refine=True, rtol=1e-12, rng=seed)
        assert int(re.search(r"after (\d+) rounds", str(error.value))[1]) < 50


@pytest.mark.parametrize("unit", [1e-300, 1e-170, 1e200, 1e300])
def test_units_of_b_do_not_matter(unit):
    A, b = kernel_matrix(6), np.column_stack((np.arange(1.0, 7.0), np.ones(6)))
    one, other = (tl.solve(A, scale * b, refine=True, rtol=1e-6, rng=0) for scale in (1.0, unit))
    np.testing.assert_allclose(other.value / unit, one.value, rtol=1e-5)
    np.testing.assert_allclose(other.stderr / unit, one.stderr, rtol=0.05)


@pytest.mark.parametrize("unit", [1.0, 1e-6])
def test_a_short_burn_in_is_warned_about_once_in_the_units_of_b(unit):
    """What the first round leaves out: e^{-A t0} phi(A duration) A^-1 b, from discharged cells."""
    A, b = np.diag([1.0, 0.25]), unit * np.array([2.0, 1.0])
    with pytest.warns(tl.errors.NotEquilibrated) as seen:
        r = tl.solve(A, b, refine=True, rtol=1e-3, duration=40.0, burn_in=0.5, rng=0)
    assert len(seen) == 1
    assert len(r.rounds) > 1
    lam = np.diag(A)
    bias = np.linalg.norm(np.exp(-0.5 * lam) * (1.0 - np.exp(-40.0 * lam)) / (40.0 * lam) * b / lam)
    told = re.search(r"biases what the first round adds by (\S+) \(standard error (\S+)\)", str(seen[0].message))
    assert float(told[1]) == pytest.approx(bias, rel=0.01)
    scale = np.linalg.norm(b) / np.sqrt(2.0)
    assert float(told[2]) == pytest.approx(scale * np.sqrt(np.sum(2.0 / 40.0 / lam**2)), rel=0.2)
    with pytest.raises(ValueError, match=r"burn_in \(or \"auto\"\) must be non-negative"):
        tl.solve(A, b, refine=True, rtol=1e-3, burn_in=-1.0)


def test_converters_that_saturate_are_named():
    A, device = kernel_matrix(6), tl.Device(adc_bits=8, adc_range=1e-3)
    with pytest.raises(tl.errors.NotConverged, match=r"\d+ numbers saturated their converter; a wider adc_range helps"):
        tl.solve(A, np.ones(6), refine=True, rtol=1e-6, device=device, rng=0)
    with pytest.raises(tl.errors.NotConverged, match="every voltage was read as 0"):
        tl.solve(A, np.ones(6), refine=True, rtol=1e-6, device=tl.Device(adc_bits=8, adc_range=1e5), rng=0)


def test_too_few_bits_stop_and_say_how_many_would_do():
    A, b = kernel_matrix(40), np.ones(40)
    failing = None
    for bits in range(4, 14):
        try:
            tl.solve(A, b, refine=True, rtol=1e-9, device=tl.Device(matrix_bits=bits), rng=0)
            break
        except (tl.errors.NotConverged, tl.errors.NotPositiveDefinite) as error:
            failing = error
    assert failing is not None
    assert bits > 5
    advised = int(str(failing).rsplit("matrix_bits=", 1)[1])
    assert advised == bits  # the advice, from a spectral radius, is the word length that really was the first to do


def test_spectral_radius_predicts_the_contraction_of_a_noise_free_device():
    A, b = tl.problems.with_condition(60, 50.0, rng=5), np.random.default_rng(6).standard_normal(60)
    device = tl.Device(beta=np.inf, matrix_bits=9)
    rounded, _ = device.matrix.round(A)
    rounded = np.tril(rounded) + np.tril(rounded, -1).T
    radius = np.abs(np.linalg.eigvals((rounded - A) @ np.linalg.inv(rounded))).max()
    r = tl.solve(A, b, duration=1.0, refine=True, rtol=1e-13, device=device, rng=0)
    residuals = np.array([each.residual for each in r.rounds])
    late = residuals[(residuals < 1e-2) & (residuals > 1e-12)]
    assert radius < 1
    assert (late[-1] / late[0]) ** (1 / (late.size - 1)) <= 1.05 * radius


def test_sparse_operator_is_refined_by_products_alone():
    A = tl.problems.laplacian(15, 15)
    b = np.random.default_rng(0).standard_normal(225)
    operator = tl.Krylov(A, tol=1e-3)
    r = tl.solve(operator, b, refine=True, rtol=1e-9, rng=0)
    assert relative_error(r.value, np.linalg.solve(A.toarray(), b)) < 1e-9
    assert r.products == operator.products - 2  # two were spent on the check of symmetry


def test_matrix_is_loaded_once_and_right_hand_sides_every_round():
    A, device = kernel_matrix(10), tl.Device.tngd()
    r = tl.solve(A, np.ones(10), refine=True, rtol=1e-8, device=device, rng=0)
    n = len(r.rounds)
    assert r.cost.conversions == 100 + 2 * 10 * n
    assert r.cost.load == pytest.approx(device.load_seconds(100, 10 * n))
    assert r.cost.relax == pytest.approx(sum(each.burn_in for each in r.rounds) * 1e-6)


def test_same_seed_gives_the_same_bits_and_the_history_is_printed():
    A, b = kernel_matrix(10), np.ones(10)
    one, two = (tl.solve(A, b, refine=True, rtol=1e-8, rng=4) for _ in range(2))
    assert np.array_equal(one.value, two.value)
    assert f"{len(one.rounds)} rounds of refinement" in str(one)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "refine=True needs rtol"),
        ({"rtol": 0.0}, "rtol must be positive"),
        ({"rtol": 1e-3, "refine": "no"}, "refine must be True or False, got 'no'"),
        ({"rtol": 1e-3, "x0": np.ones(10)}, "x0 has no place in refinement"),
        ({"rtol": 1e-3, "read_spacing": 1.0}, "read_spacing goes with n_reads"),
        ({"rtol": 1e-3, "duration": 1.0, "n_reads": 3}, "exactly one of duration, n_reads"),
        ({"rtol": 1e-3, "simulator": "psychic"}, "simulator must be one of 'auto', 'law', 'path'"),
    ],
)
def test_bad_requests_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        tl.solve(kernel_matrix(10), np.ones(10), rng=0, **({"refine": True} | options))


def test_zero_right_hand_side_is_refused():
    with pytest.raises(ValueError, match="b is zero"):
        tl.solve(kernel_matrix(4), np.zeros(4), refine=True, rtol=1e-3, rng=0)


def test_rounds_too_short_for_any_progress_say_so():
    A, b = tl.problems.with_condition(20, 10.0, rng=0), np.ones(20)
    with pytest.raises(tl.errors.NotConverged, match="a longer round"):
        tl.solve(A, b, duration=1.0, beta=0.1, refine=True, rtol=1e-6, rng=0)


def outer_iterations(A, b, M):
    products = [0]

    def product(v):
        products[0] += 1
        return A @ v

    x, info = sla.gcrotmk(sla.LinearOperator(A.shape, matvec=product, dtype=float), b, M=M, rtol=1e-8, maxiter=2000)
    return x, info, products[0]


def test_preconditioner_cuts_outer_iterations():
    A, b = tl.problems.with_condition(120, 3e4, rng=0), np.random.default_rng(1).standard_normal(120)
    _, _, plain = outer_iterations(A, b, None)
    M = tl.as_preconditioner(A, device=tl.Device(matrix_bits=20, adc_bits=10, dac_bits=10), rng=0)
    x, info, preconditioned = outer_iterations(A, b, M)
    assert info == 0
    assert np.linalg.norm(A @ x - b) <= 1e-8 * np.linalg.norm(b) * 1.01
    assert preconditioned < plain / 4
    assert M.host.cost.seconds > 0


def test_preconditioner_of_zero_is_zero():
    M = tl.as_preconditioner(np.eye(3), duration=10.0, rng=0)
    assert not M.matvec(np.zeros(3)).any()


def test_refinement_leaves_a_solved_column_alone():
    b = np.column_stack((np.ones(5), np.zeros(5)))
    r = tl.solve(tl.problems.wishart(5, rng=1), b, rtol=1e-10, refine=True, rng=0)
    assert not r.value[:, 1].any()


def test_refinement_does_not_stop_before_its_error_is_below_rtol():
    """A wrong matrix whose contraction is slow and of one sign: corrections understate what is left."""
    M = tl.problems.with_condition(3, 100.0, rng=347)
    b = np.random.default_rng(347).standard_normal(3)
    r = tl.solve(M, b, duration=100.0, refine=True, rtol=1e-4, device=tl.Device(beta=1e10, matrix_bits=4), rng=0)
    error = r.value - np.linalg.solve(M, b)
    assert np.linalg.norm(error) < 1e-4 * np.linalg.norm(r.value)
    assert np.linalg.norm(error) < 10 * np.linalg.norm(r.stderr)


def test_refinement_names_a_range_that_sees_nothing():
    with pytest.raises(tl.errors.NotConverged, match="every voltage was read as 0"):
        tl.solve(
            kernel_matrix(5), np.ones(5), refine=True, rtol=1e-3, device=tl.Device(adc_bits=2, adc_range=1e6), rng=0
        )
