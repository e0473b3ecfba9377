"""A message names the argument that the caller typed, through however many functions of the library it went."""

import numpy as np
import pytest

import thermolinalg as tl
from thermolinalg import curvature as c
from thermolinalg import optimizers as o

HUGE, BITS = np.full((2, 2), 1e200), tl.Device(beta=1e6, matrix_bits=6)
F = c.DenseCurvature(np.diag([1.0, 2.0, 3.0]))
LAYER = c.KroneckerCurvature(np.diag([1.0, 2.0]), np.array([[3.0, 0.5], [0.5, 5.0]]))
NEARLY_SINGULAR = c.DenseCurvature(np.array([[1.0, 0.99], [0.99, 1.0]]))


def step(optimizer, curvature=F, **options):
    theta = np.zeros(curvature.size)
    return optimizer.step(theta, theta + 1.0, curvature, optimizer.init(theta), **options)


def layers(**options):
    return step(o.ThermodynamicKFAC(0.1, 1e-3, **options), LAYER)


def mitigated(**options):
    return tl.mitigate(tl.solve, np.eye(2), np.ones(2), **{"device": BITS, "duration": 10.0} | options)


def nonlinear(**options):
    return tl.circuits.nonlinear_average(np.eye(2), np.ones(2), dt=0.1, n_steps=10, **options)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: layers(mitigation="x"), r"^mitigation must be one of"),
        (lambda: layers(refine=True, rtol=-1.0), r"^rtol must be positive"),
        (lambda: layers(refine=True, rtol=0.1, members=2, device=BITS), r"^give refine or members"),
        (lambda: layers(members=2, n_reads=9, device=tl.Device(matrix_bits=1)), r"^matrix_bits must be at least 2"),
        (
            lambda: layers(members=2, n_reads=9, device=tl.Device(matrix_bits=6, matrix_range=0.5)),
            r"^matrix_range must hold every entry of A, up to 1, got 0.5",
        ),
        (lambda: mitigated(device=tl.Device(matrix_bits=1)), r"^matrix_bits must be at least 2"),
        (lambda: mitigated(device=tl.Device(matrix_bits=6, matrix_range=0.5)), r"^matrix_range must hold"),
        (
            lambda: step(o.TNGD(0.1, 0.0, 1.0, device=tl.Device(matrix_bits=2)), NEARLY_SINGULAR),
            r"^A = F \+ damping I \(damping=0\): A as programmed",
        ),
        (lambda: step(o.NGDT(), halves=(np.ones(3), np.ones(2))), r"^halves\[1\] must have shape \(3,\)"),
        (lambda: c.DenseCurvature.from_rows(HUGE), r"^rows must be below 1e150"),
        (lambda: c.DiagonalCurvature.from_rows(HUGE), r"^rows must be below 1e150"),
        (lambda: c.KroneckerCurvature.from_samples(HUGE, np.ones((2, 1, 2))), r"^inputs must be below 1e150"),
        (lambda: c.kronecker_factors(np.ones((2, 2)), HUGE[:, None]), r"^gradients must be below 1e150"),
        (lambda: c.LowRankCurvature(np.eye(2), gram=-np.eye(2)), r"^gram must be positive semidefinite"),
        (lambda: c.dissipation(np.eye(2), np.ones(2)), r"^curvature must be a Curvature .* DenseCurvature"),
        (lambda: c.half_batch_dissipation(F.damped(1.0), np.ones(3), np.ones(3)), r"^curvature .* give F undamped"),
        (lambda: c.excess_factor("F", np.ones(3), np.ones(3)), r"^curvature must be a Curvature .* got str"),
        (lambda: c.dissipation(F, np.ones(3), cutoff=-1), r"^cutoff must be non-negative"),
        (lambda: F.null_part(np.ones(3), cutoff=2.0), r"^cutoff must be in \[0, 1\)"),
        (lambda: tl.stats.time_average(np.arange(9.0), np.ones(9), method="batch means"), r"^n_batches = 32 needs"),
        (lambda: o.KFAC(0.1).observe(None, 1.0, 1.0), r"^state must be a State, got NoneType"),
        (lambda: o.SGD(0.1).observe({}, 1.0, 1.0), r"^state must be a State, got dict"),
        (lambda: tl.rounding_ensemble(tl.Diagonal([1.0, 2.0]), 6), r"^A is an operator, .* pass A.dense\(\)"),
        (lambda: nonlinear(feedback_bits=99), r"^feedback_bits must be at most"),
        (lambda: tl.expected_bias(np.eye(2), np.eye(3), 0.1), r"^inverse must have shape \(2, 2\)"),
        (lambda: tl.rounding_ensemble(np.eye(2), 6).bias(np.eye(3), np.eye(2)), r"^A must have shape \(2, 2\)"),
    ],
)
def test_the_argument_that_was_typed_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
