"""Closed forms of first order against numerical derivatives of every entry, and against random matrices."""

import numpy as np
import pytest

from analysis.first_order import inverse_mean_square, solve_mean_square
from analysis.precision import Response
from analysis.rounded_primitives import problem
from tests import oracles


@pytest.mark.parametrize("name", ["solve", "inv"])
def test_first_order_agrees_with_derivatives_of_every_entry(rng, name):
    A = oracles.random_spd(rng, 5, 6.0)
    task = problem(name, A, rng=rng)
    root = rng.random((5, 5))
    for variance in (0.01, root + root.T):
        weights = np.broadcast_to(variance, (5, 5))
        ours = inverse_mean_square(A, variance) if name == "inv" else solve_mean_square(A, A @ task.truth, variance)
        assert ours == pytest.approx(np.sum(weights * Response.of(task).first), rel=1e-4)


def test_first_order_agrees_with_random_matrices(rng):
    A, b = oracles.random_spd(rng, 4, 5.0), rng.standard_normal(4)
    sd = 1e-6 * np.abs(A)
    solved, inverted = [], []
    for _ in range(2000):
        dA = np.tril(sd * rng.standard_normal(A.shape))
        H = A + dA + np.tril(dA, -1).T
        solved.append(np.sum((np.linalg.solve(H, b) - np.linalg.solve(A, b)) ** 2))
        inverted.append(np.sum((np.linalg.inv(H) - np.linalg.inv(A)) ** 2))
    for found, expected in ((solved, solve_mean_square(A, b, sd**2)), (inverted, inverse_mean_square(A, sd**2))):
        assert abs(np.mean(found) - expected) < 5 * np.std(found) / np.sqrt(len(found))


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="variance must be a number or have the shape of A"):
        inverse_mean_square(np.eye(2), np.eye(3))
    with pytest.raises(ValueError, match="b must have shape"):
        solve_mean_square(np.eye(2), [1.0], 0.1)
