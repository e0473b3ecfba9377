"""The digital rivals solve what they are timed on."""

from itertools import islice

import numpy as np
import pytest

from analysis import timing
from thermolinalg import problems

A = problems.with_condition(20, 10.0, rng=0)
b = np.linspace(-1.0, 2.0, 20)
x = np.linalg.solve(A, b)


def test_cholesky_is_timed_and_right():
    assert np.allclose(timing.cholesky_solve(A, b), x, rtol=1e-12)
    assert 0 < timing.cholesky_seconds(A, b, repeats=3) < 1


def test_conjugate_gradients_are_timed_and_converge():
    errors = list(islice(timing.conjugate_gradient_errors(A, b, x), 20))
    assert errors[-1] < 1e-12
    exact = (np.linalg.norm(x - (b @ b) / (b @ A @ b) * b)) / np.linalg.norm(x)  # the first is steepest descent
    assert errors[0] == pytest.approx(exact, rel=1e-12)
    seconds = timing.conjugate_gradient_seconds(A, b, iterations=7, repeats=3)
    assert seconds.shape == (7,)
    assert np.all(np.diff(seconds) > 0)


def test_time_to_an_error_grows_and_may_not_exist():
    loose, tight = (timing.conjugate_gradient_seconds_to(rtol, A, b, x, repeats=9) for rtol in (0.5, 1e-8))
    assert 0 < loose < tight
    hilbert_like = problems.with_condition(8, 1e14, rng=0)
    with np.errstate(all="ignore"):
        assert np.isnan(timing.conjugate_gradient_seconds_to(0.0, hilbert_like, np.ones(8), np.ones(8), repeats=3))
