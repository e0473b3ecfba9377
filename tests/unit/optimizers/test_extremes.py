"""All optimisers at the edges of float64: steps scale with the gradient, failures change nothing and say what to do."""

import numpy as np
import pytest

from thermolinalg.curvature import BlockCurvature, DenseCurvature, DiagonalCurvature, KroneckerCurvature
from thermolinalg.optimizers import (
    KFAC,
    NGDT,
    SGD,
    TNGD,
    Adam,
    LevenbergMarquardt,
    NaturalGradient,
    SignSGD,
    State,
    ThermodynamicKFAC,
    measure,
)

SIZE = 6
LINEAR = {  # their first step is linear in the gradient
    "SGD": lambda: SGD(0.1, momentum=0.9),
    "natural": lambda: NaturalGradient(0.1, 0.01),
    "cg": lambda: NaturalGradient(0.1, 0.01, method="cg"),
    "TNGD": lambda: TNGD(0.1, 0.01, 2.0, delay=0.5),
    "KFAC": lambda: KFAC(0.1, 0.01, split="pi"),
    "solve": lambda: ThermodynamicKFAC(0.1, 0.01),
    "invert": lambda: ThermodynamicKFAC(0.1, 0.01, method="invert"),
}
OTHERS = {
    "SignSGD": lambda: SignSGD(0.1, momentum=0.5),
    "Adam": lambda: Adam(0.1),
    "TNGD-Adam": lambda: TNGD(damping=0.1, inner=Adam(0.1), beta=10.0, rng=0),
    "NGDT": lambda: NGDT(damping=0.1, momentum=0.5),
    "KFAC-LM": lambda: KFAC(0.1, LevenbergMarquardt(0.1), kl_clip=1e-3),
}


def curvature(rng):
    """Two blocks, positive definite."""
    A, G, D = (m @ m.T + np.eye(2) for m in rng.standard_normal((3, 2, 2)))
    return BlockCurvature([KroneckerCurvature(A, G), DenseCurvature(D)])


def first(optimizer, g, F, **options):
    theta, state = optimizer.step(np.zeros(SIZE), g, F, optimizer.init(np.zeros(SIZE)), **options)
    return theta, state


@pytest.mark.parametrize("scale", [1e-300, 1e-160, 1e-100, 1e100, 1e160, 1e300])
@pytest.mark.parametrize("make", LINEAR.values(), ids=LINEAR)
def test_a_step_and_its_report_scale_with_the_gradient(make, scale, rng):
    F, g = curvature(rng), rng.standard_normal(SIZE)
    step, plain = first(make(), g, F, metric=F)
    scaled, state = first(make(), scale * g, F, metric=F)
    np.testing.assert_allclose(scaled / scale, step, rtol=1e-10)
    report, plain = state.report, plain.report
    assert report.excess == pytest.approx(plain.excess, rel=1e-10)
    assert report.gradient_norm / scale == pytest.approx(plain.gradient_norm)
    assert report.step_norm / scale == pytest.approx(plain.step_norm)
    for name in ("dissipation", "metric_cost", "predicted_decrease"):
        expected = getattr(plain, name) * scale * scale  # inf where that is above the largest float, 0 below the least
        assert getattr(report, name) == pytest.approx(expected, rel=1e-10 if scale > 1e-101 else 1e-2, abs=0.0)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("make", (LINEAR | OTHERS).values(), ids=LINEAR | OTHERS)
def test_what_is_not_finite_is_refused_and_changes_nothing(make, bad, rng):
    F, g, optimizer = curvature(rng), rng.standard_normal(SIZE), make()
    theta, state = first(optimizer, g, F)
    before = {name: array.tobytes() for name, array in state.arrays.items()}
    wrong = np.where(np.arange(SIZE) == 2, bad, g)
    with pytest.raises(ValueError, match="gradient must be finite"):
        optimizer.step(theta, wrong, F, state)
    assert {name: array.tobytes() for name, array in state.arrays.items()} == before


@pytest.mark.parametrize("make", (LINEAR | OTHERS).values(), ids=LINEAR | OTHERS)
def test_a_step_depends_on_its_arguments_alone_and_keeps_none_of_them(make, rng):
    F, g = curvature(rng), rng.standard_normal(SIZE)
    optimizer, start = make(), rng.standard_normal(SIZE)
    theta, state = optimizer.step(start, g, F, optimizer.init(start))
    before = {name: array.copy() for name, array in state.arrays.items()}
    once, again = (optimizer.step(theta, g, F, state) for _ in range(2))
    copied = optimizer.step(theta.copy(), np.repeat(g, 2)[::2], F, State(step=state.step, arrays=before))
    start[:], g[:], theta[:] = 7.0, 7.0, 7.0
    for other in (again, copied):
        np.testing.assert_array_equal(once[0], other[0])
        for name, array in once[1].arrays.items():
            np.testing.assert_array_equal(array, other[1].arrays[name])
    for name, array in before.items():
        np.testing.assert_array_equal(state.arrays[name], array)


def unaligned(array):
    """A copy that begins one byte after a multiple of eight."""
    raw = np.zeros(array.nbytes + 1, dtype=np.uint8)[1:].view(array.dtype)
    raw[:] = array.ravel()
    return raw.reshape(array.shape)


@pytest.mark.parametrize("make", (LINEAR | OTHERS).values(), ids=LINEAR | OTHERS)
def test_no_digit_of_a_run_depends_on_how_its_arrays_lie_in_memory(make, rng):
    A, G, D = (m @ m.T + np.eye(len(m)) for m in map(rng.standard_normal, [(7, 7), (11, 11), (5, 5)]))
    F = BlockCurvature([KroneckerCurvature(A, G), DenseCurvature(D)])
    theta, g = rng.standard_normal((2, F.size))
    optimizer = make()
    theta, state = optimizer.step(theta, g, F, optimizer.init(theta))
    once = optimizer.step(theta, g, F, state)
    for lie in (lambda x: np.repeat(x, 2)[::2], lambda x: x[::-1].copy()[::-1], unaligned):
        arrays = {name: np.array(array, order="F") for name, array in state.arrays.items()}
        other = optimizer.step(lie(theta), lie(g), F, State(step=1, arrays=arrays))
        np.testing.assert_array_equal(once[0], other[0])
        for name, array in once[1].arrays.items():
            np.testing.assert_array_equal(array, other[1].arrays[name])


def test_a_state_holds_its_arrays_in_c_order_and_keeps_those_that_are(rng):
    plain, turned = rng.standard_normal((2, 3)), np.asfortranarray(rng.standard_normal((2, 3)))
    arrays = State(arrays={"plain": plain, "turned": turned, "number": np.array(1.0)}).arrays
    assert arrays["plain"] is plain
    assert arrays["turned"].flags.c_contiguous
    np.testing.assert_array_equal(arrays["turned"], turned)
    assert arrays["number"].shape == ()


@pytest.mark.parametrize("name", ["Adam", "TNGD-Adam", "KFAC-LM"])
def test_a_memory_that_overflows_is_refused(name, rng):
    with pytest.raises(FloatingPointError, match=r"is not finite: .*1e.160|Delta_F"):
        first(OTHERS[name](), np.full(SIZE, 1e160), curvature(rng))


def test_parameters_that_overflow_are_refused():
    theta = np.array([1.7e308])
    with pytest.raises(FloatingPointError, match="the step of SGD is not finite"):
        SGD(1.0).step(theta, -theta, None, SGD(1.0).init(theta))


def test_excess_of_nearly_orthogonal_directions_has_no_division_by_zero():
    report = measure([1.0, 1e-170], [1e-10, 1.0], DiagonalCurvature([1.0, 1.0]))
    assert report.excess == pytest.approx(1e20)
    report = measure([1e-180, 1.0], [1.0, 0.0], DiagonalCurvature([1.0, 1.0]))
    assert report.excess == np.inf  # 1e360


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda o, s: o.step(np.ones(2), np.ones(2), s), "the order is .* write state="),
        (lambda o, s: o.step(np.ones(2), np.ones(2)), "begin with state = optimizer.init"),
        (lambda o, s: o.step(np.ones(2), np.ones(2), np.eye(2), s), "wrap a matrix in DenseCurvature"),
        (lambda o, s: o.step(np.ones(2), np.ones(2), DenseCurvature(np.eye(2)).damped(1.0), s), "give F undamped"),
        (lambda o, s: measure(np.ones(2), np.ones(3)), "gradient must have shape"),
        (lambda o, s: measure(np.ones(2), np.ones(2), DenseCurvature(np.eye(3))), "metric is of 3 parameters"),
    ],
)
def test_wrong_calls_say_what_to_do(call, words):
    optimizer = NaturalGradient(0.1)
    with pytest.raises(ValueError, match=words):
        call(optimizer, optimizer.init(np.ones(2)))
