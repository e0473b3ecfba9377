"""Word lengths: theory against closed forms, measurement against theory, merging against the library's own."""

import numpy as np
import pytest
import scipy.linalg

import thermolinalg as tl
from analysis.precision import Response, error_against_bits, measured_error, predicted_error
from analysis.rounded_primitives import KNOWN, problem
from tests import oracles


def matrix(rng):
    return oracles.random_spd(rng, 4, 4.0)


def unit(i, j, d=4):
    E = np.zeros((d, d))
    E[i, j] = E[j, i] = 1.0
    return E


def closed_forms(name, task, A):
    """First and second derivative along E, each in a form of its own."""
    inverse = np.linalg.inv(A)

    def frechet(E):
        block = scipy.linalg.expm(np.block([[-A, -E, 0 * A], [0 * A, -A, -E], [0 * A, 0 * A, -A]]))
        return block[:4, 4:8], 2.0 * block[:4, 8:]

    def along(E):
        if name == "logdet":
            return np.trace(inverse @ E), -np.trace(inverse @ E @ inverse @ E)
        if name == "negexpm":
            return frechet(E)
        if name == "lyapunov":
            first = scipy.linalg.solve_continuous_lyapunov(A, -(E @ task.truth + task.truth @ E))
            return first, scipy.linalg.solve_continuous_lyapunov(A, -2.0 * (E @ first + first @ E))
        right = inverse if name == "inv" else task.truth
        return -inverse @ E @ right, 2.0 * inverse @ E @ inverse @ E @ right

    return along


@pytest.mark.parametrize("name", KNOWN)
def test_response_agrees_with_closed_forms(rng, name):
    A = matrix(rng)
    task = problem(name, A, rng=rng)
    response, along = Response.of(task), closed_forms(name, task, A)
    for i, j in ((0, 0), (2, 1), (3, 0)):
        first, second = along(unit(i, j))
        assert response.first[i, j] == pytest.approx(np.sum(np.square(first)), rel=1e-4)
        np.testing.assert_allclose(response.second[i, j], second, rtol=1e-4, atol=1e-6 * np.abs(second).max())
    assert response.first[0, 1] == 0.0


def test_merged_prediction_of_the_inverse_is_the_librarys_bias(rng):
    A = matrix(rng)
    step = tl.hardware.Quantizer(8).step(np.abs(A).max())
    bias = tl.expected_bias(A, np.linalg.inv(A), step)
    expected = np.linalg.norm(bias) / np.linalg.norm(np.linalg.inv(A))
    assert predicted_error(problem("inv", A), 8, "merged") == pytest.approx(expected, rel=1e-3)


def test_one_rounding_of_the_inverse_by_sampling(rng):
    """First-order theory against random matrices whose entries are off by h^2 / 12."""
    A, step = matrix(rng), 1e-4
    task = problem("inv", A)
    squares = []
    for _ in range(2000):
        dA = np.tril(rng.uniform(-step / 2, step / 2, A.shape))
        squares.append(np.sum((np.linalg.inv(A + dA + np.tril(dA, -1).T) - task.truth) ** 2))
    error = np.std(squares) / np.sqrt(len(squares))
    assert abs(np.mean(squares) - Response.of(task).one_rounding(step**2 / 12.0) ** 2) < 5 * error


@pytest.mark.parametrize("name", ["solve", "inv"])
def test_merging_is_the_librarys(rng, name):
    """The merge for any primitive gives what `mitigate` gives, up to noise."""
    A = matrix(rng)
    task = problem(name, A, rng=rng)
    ours = measured_error(task, 7, "merged", rng=rng)["error"]
    device = tl.Device(beta=1e20, matrix_bits=7) if name == "solve" else tl.Device(matrix_bits=7)
    arguments = (A @ task.truth,) if name == "solve" else ()
    protocol = {"duration": 1e3} if name == "solve" else {"n_reads": 10**14}
    theirs = tl.mitigate(getattr(tl, name), A, *arguments, device=device, members=16, rng=rng, **protocol).value
    assert ours == pytest.approx(np.linalg.norm(theirs - task.truth) / np.linalg.norm(task.truth), rel=0.01)


def test_merging_costs_no_noise(rng):
    """Members share the reads by weight: as noisy as one run of all reads."""
    task = problem("inv", matrix(rng))
    noise = [measured_error(task, 14, strategy, rng=rng)["noise"] for strategy in ("nearest", "merged")]
    assert noise[1] == pytest.approx(noise[0], rel=0.02)


@pytest.mark.parametrize(("strategy", "power"), [("nearest", 1.0), ("stochastic", 1.0), ("merged", 2.0)])
@pytest.mark.parametrize("name", ["solve", "inv", "lyapunov", "negexpm"])
def test_errors_have_the_predicted_powers_and_sizes(name, strategy, power):
    """Halving the step divides the error by two, by four where it is merged; theory has the size within a third."""
    table = error_against_bits(name, [6, 8, 10], strategies=[strategy], d=5, condition_number=3.0, repeats=8)
    assert -np.polyfit(table.bits, np.log2(table.error), 1)[0] == pytest.approx(power, abs=0.2)
    assert np.exp(np.mean(np.log(table.error / table.predicted))) == pytest.approx(1.0, abs=0.33)
    assert ((table.lowest <= table.error) & (table.error <= table.highest)).all()


def test_a_device_that_rounds_the_drift_alone_errs_more(rng):
    """Of an exponential: noise from the exact numbers no longer fits the drift that is held."""
    ratios = []
    for _ in range(10):
        A = matrix(rng)
        truth = scipy.linalg.expm(-A)
        value = tl.negexpm(
            A, n_reads=10**14, read_spacing=None, alpha=0.0, device=tl.Device(matrix_bits=8), rng=rng
        ).value
        ours = measured_error(problem("negexpm", A), 8, "nearest", rng=rng)["error"]
        ratios.append(np.linalg.norm(value - truth) / np.linalg.norm(truth) / ours)
    assert np.median(ratios) > 1.5


def test_refinement_needs_few_bits_and_says_where_they_are_too_few():
    table = error_against_bits("solve", [3, 8], d=8, condition_number=200.0, repeats=3, strategies=["refined"])
    assert table.failed[0] == 1.0
    assert np.isnan(table.error[0])
    table = error_against_bits("solve", [8], repeats=3, strategies=["refined"])
    assert table.failed[0] == 0.0
    assert table.error[0] < 2e-10


def test_a_determinant_shows_rounding_above_its_noise(rng):
    task = problem("logdet", tl.problems.toeplitz(4, 0.6))
    coarse = measured_error(task, 4, "nearest", rng=rng)
    held = tl.hardware.program_array(task.A, tl.Device(matrix_bits=4))[0]
    expected = abs(np.linalg.slogdet(held)[1] / np.linalg.slogdet(task.A)[1] - 1.0)
    assert abs(coarse["error"] - expected) < 5 * coarse["noise"]
    assert expected > 5 * coarse["noise"]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: problem("sqrt", np.eye(2)), "name must be one of"),
        (lambda: predicted_error(problem("inv", np.eye(2)), 1, "nearest"), "bits must be at least 2"),
        (lambda: predicted_error(problem("inv", np.eye(2)), 8, "refined"), "strategy must be one of"),
        (lambda: measured_error(problem("inv", np.eye(2)), 8, "refined"), "'refined' is for solve, got inv"),
    ],
)
def test_bad_input_is_named(make, words):
    with pytest.raises(ValueError, match=words):
        make()
