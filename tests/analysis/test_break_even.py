"""Where the device wins: crossings by hand, refinement against real runs, floors against rounded matrices."""

import numpy as np
import pandas as pd
import pytest

import thermolinalg as tl
from analysis import break_even, break_even_steps, complexity
from analysis.digital_model import CALLS, Fit, Machine, assumed_machine

IDEAL = tl.Device(beta=1.0, R=1.0, C=1e-6)


def machine(**fits) -> Machine:
    """A machine on which all calls take forever but those that are named."""
    return Machine("by hand", {call: Fit(fits.get(call, (1e9, 0.0, 0.0))) for call in CALLS})


def flat_family(kappa, errors, iterations=10.0) -> break_even.Family:
    """A family whose largest entry is its largest eigenvalue, with a number of iterations made up."""
    table = pd.DataFrame({"d": 30, "error": errors, "preconditioner": "none", "iterations": iterations,
                          "operations": iterations * 30.0**2})  # fmt: skip
    return break_even.Family(kappa, (30,), (1.0,), table)


def test_crossing_with_cholesky_is_that_by_hand():
    """A device without load needs (2 / eps^2 + burn-in) us; Cholesky at 1e-11 d^3 takes as long at d = 1260."""
    family, eps = flat_family(2.0, [0.01]), 0.01
    dims = np.geomspace(100, 10_000, 41).astype(int)
    host = machine(Cholesky=(0.0, 0.0, 1e-11))
    table = break_even.solve_map(dims, [eps], [family], IDEAL, [host], ["free"])
    single = table[table.contender == "device"].seconds
    assert single.max() == pytest.approx(0.02, rel=0.01)  # burn-in is a few us
    found = break_even.crossings(table)
    assert found.value.item() == pytest.approx((0.02 / 1e-11) ** (1 / 3), rel=0.005)  # refinement waits for its host
    assert found.direction.item() == "wins from here on"


def test_crossing_with_loading_is_that_by_hand():
    """Loading at 16 d^2 / 50e9 s against conjugate gradient at 10 products of c d^2 s: never, or from some size on."""
    family, eps = flat_family(2.0, [0.5]), 0.5
    device = tl.Device.tngd()
    dims, link = np.geomspace(100, 100_000, 31).astype(int), 16 / 50e9
    slow, quick = (machine(**{"product, single": (0.0, c, 0.0), "product": (0.0, 2 * c, 0.0)})
                   for c in (0.2 * link, 0.05 * link))  # fmt: skip
    never = break_even.solve_map(dims, [eps], [family], device, [quick], ["counted"])
    assert break_even.crossings(never).empty
    assert never.advantage.max() < 0.5
    table = break_even.solve_map(dims, [eps], [family], device, [slow], ["counted"])
    fixed = table[table.contender == "device"].seconds.iloc[0] - link * dims[0] ** 2 - 2 * link * dims[0]
    roots = np.roots([link, -2 * link, -fixed])  # 2 link d^2 = link d^2 + 2 link d + fixed
    assert break_even.crossings(table).value.item() == pytest.approx(roots.max(), rel=0.02)


def test_loading_is_what_it_costs_and_the_winner_is_the_quickest():
    """Counted less free: 16 bits of d^2 numbers at 50 Gb/s."""
    family, dims = flat_family(10.0, [0.1]), [100, 1000]
    table = break_even.solve_map(dims, [0.1], [family], tl.Device.tngd(), [machine()])
    seconds = table[table.contender == "device"].pivot(index="d", columns="loading", values="seconds")
    np.testing.assert_allclose(seconds.counted - seconds.free, 16.0 * seconds.index**2 / 50e9, rtol=1e-6)
    least = table.groupby(["loading", "d"]).seconds.transform("min")
    assert (table.winner == (table.seconds == least)).all()


def test_refined_time_is_that_of_a_real_run(seed):
    """Rounds and device time of thermolinalg's refinement with the planned round, within a round more."""
    d, kappa, eps = 60, 50.0, 1e-6
    A = tl.problems.with_condition(d, kappa, rng=seed)
    A /= np.abs(A).max()
    peak = 1.0 / np.linalg.eigvalsh(A).max()
    family = break_even.Family(kappa, (d,), (peak,), pd.DataFrame())
    host = machine(product=(0.0, 0.0, 0.0))
    seconds, rounds, contraction = break_even.refined_seconds(d, eps, family, IDEAL, host, loaded=True)
    run = tl.solve(A, np.random.default_rng(seed).standard_normal(d), rtol=eps, refine=True,
                   duration=2.0 / contraction**2, device=IDEAL, rng=seed)  # fmt: skip
    assert abs(len(run.rounds) - rounds) <= 2  # the last ones only tell that the first were enough
    assert run.cost.seconds / len(run.rounds) == pytest.approx(seconds / rounds, rel=0.25)


def test_refinement_gives_up_on_too_few_bits():
    family = flat_family(1000.0, [0.1])
    coarse = tl.Device.tngd(matrix_bits=8)
    assert np.isnan(break_even.refined_seconds(1000, 1e-3, family, coarse, machine(), loaded=True)[0])


def test_rounding_floor_is_what_rounding_does(rng):
    """Twenty rounded Wishart matrices; dA is not small beside nothing here, so that first order is enough."""
    errors, d, bits = [], 40, 14
    A = tl.problems.wishart(d, rng=rng)
    A /= np.abs(A).max()
    for _ in range(20):
        shift = rng.uniform(-0.5, 0.5, (d, d)) * 2.0 / (2.0**bits - 1.0)
        b = rng.standard_normal(d)
        x = np.linalg.solve(A, b)
        errors.append(np.sum((np.linalg.solve(A + np.tril(shift) + np.tril(shift, -1).T, b) - x) ** 2) / np.sum(x**2))
    matrix_only = break_even.rounding_floor(d, np.linalg.eigvalsh(A), bits) ** 2
    matrix_only -= 2.0 * break_even.PEAK**2 / 12.0 * (2.0 / (2.0**bits - 1.0)) ** 2
    assert np.sqrt(np.mean(errors)) == pytest.approx(np.sqrt(matrix_only), rel=0.35)


def test_one_run_below_the_floor_is_refused():
    family = flat_family(100.0, [1e-6])
    assert np.isnan(break_even.device_seconds(1000, 1e-6, family, tl.Device.tngd(), loaded=False))


def test_cholesky_in_32_bits_with_corrections():
    host = machine(**{"Cholesky": (8.0, 0.0, 0.0), "Cholesky, single": (4.0, 0.0, 0.0), "product": (0.5, 0.0, 0.0),
                      "substitution": (0.25, 0.0, 0.0)})  # fmt: skip
    assert break_even.cholesky_seconds(10, 1e-3, 10.0, host) == 4.0
    assert break_even.cholesky_seconds(10, 1e-9, 10.0, host) == 4.75  # 1e-5, then 1e-10
    assert break_even.cholesky_seconds(10, 1e-14, 10.0, host) == 5.5
    assert break_even.cholesky_seconds(10, 1e-3, 1e6, host) == 8.0


def test_best_digital_method_at_hand_is_the_quickest():
    host = machine(**{"product": (3.0, 0.0, 0.0), "product, single": (1.0, 0.0, 0.0), "substitution": (2.0, 0.0, 0.0)})
    assert break_even.at_hand_seconds(10, 0.1, 10.0, host) == 1.0
    assert break_even.at_hand_seconds(10, 1e-8, 10.0, host) == 2.0


def test_families_count_on_real_matrices(rng):
    family = break_even.family(20.0, (20, 40), [0.1, 1e-4], rng)
    assert family.like(1000) == 40
    assert family.like(30) == 20
    assert family.like(5) == 20
    assert all(1.0 / 20 < peak <= 1.0 for peak in family.peaks)
    assert len(family.iterations) == 4
    tight = family.iterations[(family.iterations.d == 40) & (family.iterations.error == 1e-4)].iterations.item()
    assert tight <= np.ceil(0.5 * np.sqrt(20.0) * np.log(2.0 * np.sqrt(20.0) / 1e-4))  # Chebyshev, 2-norm from A-norm


# -- steps


def test_bandwidth_of_break_even_is_that_by_hand():
    """Passes saved: (4 c - 2 dz) b N products and vectors; moved: 16 bits of b dz (b dz + 2 N) and 2 N numbers."""
    host = assumed_machine("h", products=2e12, factorisations=1e12, memory=4e30, overhead=0.0)
    N, b, dz, c = 10**8, 32, 10, 20
    net = complexity.Network(N, b, dz)
    saved = ((4 * c * b * N + c * b * dz**2) - (b * N + 2 * dz * b * N)) * 1e-12
    moved = 16.0 * (320 * (320 + 2 * N) + 2 * N)
    rate = break_even_steps.break_even_bandwidth(net, host, c, tl.Device.tngd())
    assert rate == pytest.approx(moved / saved, rel=1e-6)
    for factor, wins in ((0.9, False), (1.1, True)):
        device = tl.Device.tngd(bandwidth=factor * rate)
        table = break_even_steps.step_map([N], [320], [host], device, dz=dz, iterations=c, run_time=0.0)
        line = table[(table.loading == "load counted") & (table.method == "TNGD")]
        assert bool(line.winner.item()) is wins


def test_more_passes_than_gradient_has_no_break_even():
    host = assumed_machine("h", products=2e12, factorisations=1e12, memory=2e12, overhead=0.0)
    assert break_even_steps.break_even_bandwidth(complexity.Network(10**6, 4, 500), host, 5, tl.Device.tngd()) == np.inf


def test_degree_of_a_flow_reaches_the_accuracy():
    """The Chebyshev series of e^{-t x} on [0, 1], cut after the degree, is within the accuracy."""
    t, accuracy = 50.0, 0.01
    x = np.linspace(0.0, 1.0, 2001)
    degree = break_even_steps.flow_degree(t, accuracy)
    series = np.polynomial.Chebyshev.interpolate(lambda u: np.exp(-t * u), 200, domain=[0, 1])
    errors = [np.abs(series.truncate(n + 1)(x) - np.exp(-t * x)).max() for n in (degree, degree // 2)]
    assert errors[0] <= accuracy < errors[1]


def test_parts_of_a_step_add_up():
    host = assumed_machine("h", products=1e12, factorisations=1e12, memory=1e12, overhead=1e-5)
    table = break_even_steps.step_map(
        [1000, 10_000], [10, 100], [host], tl.Device.tngd(), dz=10, iterations=5, run_time=50.0
    )
    parts = table[["digital", "load", "relax", "integrate", "convert"]].sum(axis=1)
    assert parts.to_numpy() == pytest.approx(table.seconds.to_numpy())
    assert table.groupby(["host", "loading", "N", "rows"]).winner.sum().eq(1).all()
    assert table[table.method == "Adam"].over_adam.eq(1.0).all()
    tngd = table[table.method == "TNGD"].set_index(["loading", "N", "rows"])
    assert tngd.load["load counted", 10_000, 100] == pytest.approx(100 * (100 + 20_000) * 16 / 50e9)
    assert tngd.load["load free", 10_000, 100] == 0.0
    assert tngd.relax.unique() == pytest.approx([50e-6])
