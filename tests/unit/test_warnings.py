"""Every warning names the line of the caller, through however many modules of the library it passes."""

import inspect
import warnings

import numpy as np
import pytest

import thermolinalg as tl

A, b = np.array([[2.0, 0.5], [0.5, 1.0]]), np.array([1.0, -1.0])


def short_solve():
    tl.solve(A, b, duration=1.0, burn_in=1e-3, rng=0)


def short_inv():
    tl.inv(A, n_reads=100, burn_in=1e-3, rng=0)


def short_lyapunov():
    tl.lyapunov(A, np.eye(2), n_reads=100, burn_in=0.01, rng=0)


def short_exponential():
    tl.negexpm(A, n_reads=100, read_spacing=None, burn_in=0.01, rng=0)


def short_refinement():
    tl.solve(A, b, refine=True, rtol=1e-3, burn_in=0.01, duration=10.0, rng=0)


def few_paths():
    tl.logdet(10.0 * A, n_paths=20, duration=0.1, rng=0)


def short_record():
    tl.stats.time_average(np.arange(200.0), np.cumsum(np.random.default_rng(0).standard_normal(200)))


def short_fit():
    times = 4.0 * np.arange(200)
    tl.OrnsteinUhlenbeck.fit(times, tl.OrnsteinUhlenbeck([[1.0]]).sample(times, rng=0))


def saturated_board():
    device = tl.Device(adc_bits=8, adc_range=0.1)
    board = tl.circuits.RLCSampler.program(
        [[1.0, -0.2], [-0.2, 1.0]], R=1e3, L=1e-4, C=1e-9, kappa_0=1e-14, device=device
    )
    board.gaussian_samples(1000, rng=0)


def optimiser():
    F = tl.curvature.KroneckerCurvature(np.diag([1.0, 2.0]), np.diag([3.0, 5.0]))
    rule = tl.optimizers.ThermodynamicKFAC(0.1, damping=1e-3, device=tl.Device(beta=1e6), burn_in=1e-3, rng=0)
    rule.step(np.zeros(4), np.ones(4), F, rule.init(np.zeros(4)))


CALLS = (
    short_solve, short_inv, short_lyapunov, short_exponential, short_refinement, few_paths, short_record,
    short_fit, saturated_board, optimiser,
)  # fmt: skip


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.__name__)
def test_warnings_name_the_line_of_the_caller(call):
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        call()
    lines, first = inspect.getsourcelines(call)
    assert seen
    for warning in seen:
        assert warning.filename == __file__
        assert first < warning.lineno < first + len(lines)
