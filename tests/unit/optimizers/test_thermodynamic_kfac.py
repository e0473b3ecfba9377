"""Thermodynamic K-FAC against dense K-FAC: the ideal device, its noise, its rounding, and its bill."""

import numpy as np
import pytest

import thermolinalg as tl
from thermolinalg.curvature import BlockCurvature, DiagonalCurvature, KroneckerCurvature, LowRankCurvature, Tracking
from thermolinalg.optimizers import State, ThermodynamicKFAC, factor_device

DAMPING = 0.05
SIZE = 5 * 3 + 2 + 2 * 4  # parameters of the two layers and the gain below


def factor(rng, n):
    rows = rng.standard_normal((3 * n, n)) / np.arange(1.0, n + 1.0)
    return rows.T @ rows / (3 * n)


def network(rng, scale=1.0):
    """Two layers with a gain between them."""
    layers = [KroneckerCurvature(scale * factor(rng, p), scale * factor(rng, r)) for p, r in ((5, 3), (2, 4))]
    return BlockCurvature([layers[0], DiagonalCurvature([0.5, 2.0]), layers[1]])


def step_by_hand(F, gradient):
    """-F^-1 g with the pi split written out."""
    out = []
    for block, where in zip(F.blocks, F.slices, strict=True):
        g = gradient[where]
        if isinstance(block, DiagonalCurvature):
            out.append(g / (block.rates + DAMPING))
            continue
        A, G = block.A, block.G
        pi = np.sqrt(np.trace(A) / len(A) / (np.trace(G) / len(G)))
        A = A + pi * np.sqrt(DAMPING) * np.eye(len(A))
        G = G + np.sqrt(DAMPING) / pi * np.eye(len(G))
        out.append(np.linalg.solve(np.kron(A, G), g))
    return -np.concatenate(out)


def take(optimizer, F, gradient):
    theta, state = optimizer.step(np.zeros(SIZE), gradient, F, optimizer.init(np.zeros(SIZE)))
    return theta, state


def error(step, exact):
    return np.linalg.norm(step - exact) / np.linalg.norm(exact)


@pytest.fixture
def problem(rng):
    F, gradient = network(rng), rng.standard_normal(SIZE)
    return F, gradient, step_by_hand(F, gradient)


@pytest.mark.parametrize("method", ["solve", "invert"])
def test_an_ideal_device_takes_the_step_of_kfac(problem, method):
    F, gradient, exact = problem
    step, state = take(ThermodynamicKFAC(1.0, DAMPING, method=method), F, gradient)
    np.testing.assert_allclose(step, exact, rtol=1e-11)
    kfac = tl.optimizers.KFAC(1.0, DAMPING, split="pi")
    np.testing.assert_allclose(step, kfac.step(np.zeros(SIZE), gradient, F, kfac.init(np.zeros(SIZE)))[0], rtol=1e-11)
    assert state.report.details["programmed_layers"] == 2


def test_noise_has_the_step_of_kfac_as_its_mean(problem):
    F, gradient, exact = problem
    direction = np.cos(np.arange(SIZE))
    z = np.empty(200)
    for seed in range(200):
        optimizer = ThermodynamicKFAC(1.0, DAMPING, device=tl.Device(beta=1e3), duration=20.0, rng=seed)
        step, _ = take(optimizer, F, gradient)
        z[seed] = direction @ (step - exact)
    assert abs(z.mean()) < 5.0 * z.std(ddof=1) / np.sqrt(200)
    assert z.std() > 0.0


def test_the_error_of_an_inverse_falls_with_the_reads(problem):
    F, gradient, exact = problem

    def rms(n_reads):
        options = {"device": tl.Device(), "method": "invert", "n_reads": n_reads}
        return np.sqrt(
            np.mean(
                [
                    error(take(ThermodynamicKFAC(1.0, DAMPING, rng=s, **options), F, gradient)[0], exact) ** 2
                    for s in range(40)
                ]
            )
        )

    assert rms(400) / rms(40_000) == pytest.approx(10.0, rel=0.5)


@pytest.mark.parametrize(
    ("method", "which"),
    [
        ("solve", "matrix_bits"),
        ("solve", "dac_bits"),
        ("solve", "adc_bits"),
        ("invert", "matrix_bits"),
        ("invert", "adc_bits"),
    ],
)
def test_more_bits_are_nearer_to_kfac(problem, method, which):
    F, gradient, exact = problem
    errors = []
    for bits in (6, 10, 14):
        device = tl.Device(beta=np.inf, **{which: bits})
        errors.append(error(take(ThermodynamicKFAC(1.0, DAMPING, device=device, method=method), F, gradient)[0], exact))
    assert 0.0 < errors[2] < errors[1] < errors[0]
    assert errors[0] / errors[2] > 30.0  # 8 bits are a factor 256


def test_bits_too_few_for_definiteness_say_which_layer_and_how_many_would_do(rng):
    F = KroneckerCurvature(np.ones((6, 6)) + 1e-3 * np.diag(np.arange(6.0)), np.eye(2))
    optimizer = ThermodynamicKFAC(1.0, 1e-5, device=tl.Device(beta=np.inf, matrix_bits=4, matrix_range=1.2))
    state = optimizer.init(np.zeros(12))
    with pytest.raises(tl.errors.NotPositiveDefinite, match=r"matrix_bits=\d+ would do") as caught:
        optimizer.step(np.zeros(12), np.ones(12), F, state)
    assert caught.value.__notes__ == ["layer 0 of shape (6, 2) of the curvature"]
    assert state.step == 0


def test_mitigation_and_refinement_take_rounding_away(problem):
    F, gradient, exact = problem
    device = tl.Device(beta=1e10, matrix_bits=8)
    plain, merged, refined = (
        error(
            take(ThermodynamicKFAC(1.0, DAMPING, device=device, duration=1e3, rng=0, **options), F, gradient)[0], exact
        )
        for options in ({}, {"members": 8}, {"refine": True, "rtol": 1e-8})
    )
    assert merged < 0.3 * plain
    assert refined < 1e-7 < plain
    inverted, merged = (
        error(
            take(
                ThermodynamicKFAC(
                    1.0, DAMPING, device=tl.Device(matrix_bits=6), method="invert", n_reads=10**8, rng=0, **options
                ),
                F,
                gradient,
            )[0],
            exact,
        )
        for options in ({}, {"members": 8})
    )
    assert merged < 0.5 * inverted


def test_factors_are_programmed_when_they_are_refreshed_and_paid_for_then(rng, problem):
    F, gradient, _ = problem
    device = tl.Device.tngd(beta=1e12, voltage_unit=1.0)
    optimizer = ThermodynamicKFAC(0.1, DAMPING, device=device, tracking=Tracking(interval=2), rng=0)
    theta, state = take(optimizer, F, gradient)
    first = state.report
    theta, state = optimizer.step(theta, gradient, network(rng), state)
    second = state.report
    theta, state = optimizer.step(theta, gradient, network(rng), state)
    third = state.report
    programmed = [report.details["programmed_layers"] for report in (first, second, third)]
    assert programmed == [2, 0, 2]
    numbers = 5**2 + 3**2 + 2**2 + 4**2
    assert first.details["loading_seconds"] == pytest.approx(16 * numbers / 50e9)
    assert second.details["loading_seconds"] == 0.0
    assert first.device_seconds > second.device_seconds > 0.0
    assert first.device_joules > 0.0


@pytest.mark.parametrize("options", [{}, {"members": 3}, {"refine": True, "rtol": 1e-3}, {"method": "invert"}], ids=str)
def test_the_seconds_of_a_step_are_those_of_its_estimates_which_load_no_matrix(options, problem, monkeypatch):
    F, gradient, _ = problem
    estimates, device = [], tl.Device.tngd(beta=1e8, matrix_bits=14, voltage_unit=1.0)
    for name in ("solve", "inv"):
        primitive = getattr(factor_device, name)

        def recorded(*args, primitive=primitive, **protocol):
            estimates.append(primitive(*args, **protocol))
            return estimates[-1]

        recorded.__name__ = name
        monkeypatch.setattr(factor_device, name, recorded)
    optimizer = ThermodynamicKFAC(
        0.1, DAMPING, device=device, n_reads=400, tracking=Tracking(interval=5), rng=0, **options
    )
    theta, state = take(optimizer, F, gradient)
    for programmed in (2, 0):
        costs = [estimate.cost for estimate in estimates]
        report = state.report
        assert report.details["programmed_layers"] == programmed
        loading = report.details["loading_seconds"]
        assert (loading > 0.0) == (programmed > 0)
        assert report.device_seconds == pytest.approx(loading + sum(cost.seconds for cost in costs), rel=1e-12)
        assert report.device_joules == pytest.approx(sum(cost.joule_heat for cost in costs), rel=1e-12)
        if optimizer.method == "invert":  # without a right-hand side there is nothing at all to put in
            assert all(cost.load == 0.0 for cost in costs)
        elif not options:  # 16 bits over 50 Gb/s for each entry of the right-hand sides
            assert sum(cost.load for cost in costs) == pytest.approx(16 * 2 * (5 * 3 + 2 * 4) / 50e9, rel=1e-12)
        estimates.clear()
        theta, state = optimizer.step(theta, gradient, F, state)


def test_two_steps_with_the_same_factors_load_and_program_them_once(problem, monkeypatch):
    F, gradient, _ = problem
    calls, program = [], factor_device.program
    monkeypatch.setattr(factor_device, "program", lambda *args, **rest: calls.append(1) or program(*args, **rest))
    device = tl.Device.tngd(beta=1e8)
    optimizer = ThermodynamicKFAC(0.1, DAMPING, device=device, burn_in=1e3, tracking=Tracking(interval=2), rng=0)
    theta, state = take(optimizer, F, gradient)
    assert len(calls) == 4
    theta, again = optimizer.step(theta, gradient, F, state)
    assert len(calls) == 4
    loads = [report.details["loading_seconds"] for report in (state.report, again.report)]
    assert loads == [pytest.approx(16 * (5**2 + 3**2 + 2**2 + 4**2) / 50e9), 0.0]
    assert again.report.device_seconds == pytest.approx(state.report.device_seconds - loads[0], rel=1e-12)


@pytest.mark.parametrize("options", [{}, {"members": 3, "mitigation": "stochastic", "duration": 50.0}], ids=str)
def test_a_random_rounding_stays_until_the_refresh_and_a_resumed_run_has_the_same(options, rng, problem):
    F, gradient, _ = problem
    device = tl.Device(beta=np.inf, matrix_bits=8, rounding="nearest" if options else "stochastic")

    def optimizer():
        return ThermodynamicKFAC(0.1, DAMPING, device=device, tracking=Tracking(interval=2), rng=7, **options)

    first = optimizer()
    theta, state = take(first, F, gradient)
    again, later = first.step(np.zeros(SIZE), gradient, F, state)
    np.testing.assert_array_equal(again, theta)
    copy = State(step=state.step, arrays={name: value.copy() for name, value in state.arrays.items()})
    np.testing.assert_array_equal(optimizer().step(np.zeros(SIZE), gradient, F, copy)[0], again)
    assert np.abs(first.step(np.zeros(SIZE), gradient, F, later)[0] - again).max() > 0.0


def test_devices_share_the_layers(problem):
    F, gradient, _ = problem
    one, two, three = (
        take(ThermodynamicKFAC(1.0, DAMPING, device=tl.Device.tngd(beta=1e12), n_devices=n, rng=0), F, gradient)[
            1
        ].report
        for n in (1, 2, 3)
    )
    assert one.device_seconds > two.device_seconds > one.device_seconds / 2.0
    assert two.device_seconds == three.device_seconds


def test_an_inverse_serves_until_the_factors_are_refreshed(rng, problem):
    F, gradient, _ = problem
    optimizer = ThermodynamicKFAC(
        1.0, DAMPING, device=tl.Device(), method="invert", n_reads=50, tracking=Tracking(interval=3), rng=1
    )
    theta, state = take(optimizer, F, gradient)
    after, state = optimizer.step(theta, gradient, network(rng), state)
    np.testing.assert_allclose(after - theta, theta, rtol=1e-12)
    assert state.report.device_seconds == 0.0


def test_any_number_of_workers_gives_the_same_bits_and_a_state_is_enough_to_go_on(rng, problem):
    F, gradient, _ = problem
    ends = []
    for workers in (1, 2):
        options = {"device": tl.Device(beta=1e4), "momentum": 0.5, "workers": workers, "rng": 3}
        optimizer, other = ThermodynamicKFAC(0.1, DAMPING, **options), ThermodynamicKFAC(0.1, DAMPING, **options)
        theta, state = take(optimizer, F, gradient)
        copy = State(step=state.step, arrays={name: value.copy() for name, value in state.arrays.items()})
        ends += [other.step(theta, gradient, F, copy)[0], optimizer.step(theta, gradient, F, state)[0]]
    for end in ends[1:]:
        np.testing.assert_array_equal(end, ends[0])


@pytest.mark.parametrize("method", ["solve", "invert"])
def test_without_a_kronecker_block_the_host_does_it_all(method):
    optimizer = ThermodynamicKFAC(1.0, 1.0, method=method)
    F = DiagonalCurvature([1.0, 3.0])
    theta, state = optimizer.step(np.zeros(2), np.array([2.0, 4.0]), F, optimizer.init(np.zeros(2)))
    np.testing.assert_allclose(theta, [-1.0, -1.0])
    assert (state.report.device_seconds, state.report.details["programmed_layers"]) == (0.0, 0)


def test_a_zero_gradient_is_a_zero_step(problem):
    F, _, _ = problem
    for method in ("solve", "invert"):
        optimizer = ThermodynamicKFAC(1.0, DAMPING, device=tl.Device(), method=method, n_reads=10)
        assert not take(optimizer, F, np.zeros(SIZE))[0].any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"damping": 0.0}, "damping must be positive"),
        ({"method": "guess"}, "method must be one of"),
        ({"method": "invert", "duration": 1.0}, "belong to method"),
        ({"method": "invert", "refine": True, "rtol": 1e-3}, "belong to method"),
        ({"refine": True}, "refine=True and rtol go together"),
        ({"rtol": 1e-3}, "refine=True and rtol go together"),
        ({"refine": 1e-3}, "refine must be True or False, got 0.001"),
        ({"duration": 1.0, "n_reads": 3}, "at most one of duration and n_reads"),
        ({"device": 3}, "device must be a Device"),
        ({"device": tl.Device(), "beta": 1.0}, "give beta or device, not both"),
        ({"members": 4, "method": "invert", "device": tl.Device(matrix_bits=8)}, "members > 0 needs n_reads"),
        ({"members": 4}, "members > 0 needs a device with matrix_bits"),
        ({"members": 4, "refine": True, "rtol": 0.1, "device": tl.Device(matrix_bits=8)}, "not both"),
        ({"tracking": 1}, "tracking must be a Tracking"),
        ({"tracking": Tracking(eigenvalues="samples")}, "the device holds the factors themselves"),
        ({"split": "half"}, "split must be one of"),
    ],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        ThermodynamicKFAC(**({"learning_rate": 0.1, "damping": 0.1} | options))


def test_bad_steps_are_refused(problem):
    F, gradient, _ = problem
    optimizer = ThermodynamicKFAC(1.0, DAMPING)
    state = optimizer.init(np.zeros(SIZE))
    with pytest.raises(ValueError, match="needs a curvature"):
        optimizer.step(np.zeros(SIZE), gradient, None, state)
    with pytest.raises(ValueError, match="LowRankCurvature, which has no average"):
        optimizer.step(np.zeros(SIZE), gradient, LowRankCurvature(np.ones((2, SIZE))), state)
    with pytest.raises(ValueError, match="gradient must be finite"):
        optimizer.step(np.zeros(SIZE), np.full(SIZE, np.nan), F, state)
