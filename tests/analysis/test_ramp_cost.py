"""Work of ramps: against paths stepped in the plain, one-dimensional quadrature, and optimisation by brute force."""

import numpy as np
import pytest
import scipy.integrate
import scipy.linalg
import scipy.optimize

from analysis.gaussians import bures_squared, relative_entropy, wasserstein_squared
from analysis.ramp_cost import Ramp, ramp_bounds, ramp_cost
from tests import oracles


def spd(rng, d=3, kappa=8.0):
    return 2.0 * oracles.random_spd(rng, d, kappa)


# -- distances


def test_bures_distance_agrees_with_matrix_roots(rng):
    """Matrices that do not commute, by Schur's square root; its trace is that of the textbook."""
    S0, S1 = spd(rng, 4), spd(rng, 4)
    cross = np.trace(np.real(scipy.linalg.sqrtm(S0 @ S1)))
    assert bures_squared(S0, S1) == pytest.approx(np.trace(S0) + np.trace(S1) - 2.0 * cross, rel=1e-9)
    assert np.linalg.norm(S0 @ S1 - S1 @ S0) > 0.05


def test_bures_of_commuting_matrices_is_that_of_the_standard_deviations(rng):
    first, second = rng.uniform(0.1, 3.0, (2, 5))
    Q = np.linalg.qr(rng.standard_normal((5, 5)))[0]
    found = bures_squared(Q * first @ Q.T, Q * second @ Q.T)
    assert found == pytest.approx(np.sum((np.sqrt(first) - np.sqrt(second)) ** 2), rel=1e-9)


def test_bures_does_not_cancel():
    """The trace form loses a distance of 1e-20 in its rounding; mpmath knows it."""
    with oracles.mp.workdps(50):
        exact = (oracles.mp.sqrt(oracles.mp.mpf(1) + oracles.mp.mpf(2) ** -33) - 1) ** 2
    assert bures_squared([[1.0]], [[1.0 + 2.0**-33]]) == pytest.approx(float(exact), rel=1e-4)


def test_relative_entropy_agrees_with_sampling(rng):
    S0, S1, gap = spd(rng), spd(rng), np.array([0.3, -0.2, 0.5])
    x = rng.multivariate_normal(np.zeros(3), S0, 200_000)
    ln = [-0.5 * np.einsum("ni,ij,nj->n", y, np.linalg.inv(S), y) - 0.5 * np.linalg.slogdet(S)[1]
          for y, S in ((x, S0), (x - gap, S1))]  # fmt: skip
    difference = ln[0] - ln[1]
    error = difference.std() / np.sqrt(len(x))
    assert abs(relative_entropy(np.zeros(3), S0, gap, S1) - difference.mean()) < 5 * error


# -- the exact curve


def one_mode(first, last, tau):
    """Work of a linear ramp of one mode by quadrature, with the variance in its integral form."""

    def area(t):
        return first * t + (last - first) * t**2 / (2.0 * tau)

    def variance(t):
        inner = scipy.integrate.quad(lambda s: np.exp(-2.0 * (area(t) - area(s))), 0.0, t, epsabs=1e-13, limit=200)[0]
        return np.exp(-2.0 * area(t)) / first + 2.0 * inner

    work = scipy.integrate.quad(lambda t: 0.5 * (last - first) / tau * variance(t), 0.0, tau, epsabs=1e-11)[0]
    return work - 0.5 * np.log(last / first)


@pytest.mark.parametrize("tau", [0.1, 2.0, 15.0])
@pytest.mark.parametrize(("first", "last"), [(1.0, 4.0), (1.0, 0.2)])
def test_cost_of_one_mode_agrees_with_quadrature(first, last, tau):
    assert Ramp([[first]], [[last]]).exact(tau)[0] == pytest.approx(one_mode(first, last, tau), rel=1e-6)


@pytest.mark.parametrize(("tau", "printed"), [(1.0, 0.180261), (2.0, 0.139079), (10.0, 0.044100)])
def test_cost_of_a_moved_trap_is_the_printed_one(tau, printed):
    """L^2 (1/s) [1 - (1 - e^-s) / s] of a harmonic trap, and its optimum L^2 / (2 + s), at L^2 = 0.49."""
    trap = Ramp([[1.0]], [[1.0]], b1=[0.7])
    assert trap.exact(tau)[0] == pytest.approx(printed, abs=6e-7)
    assert trap.optimal(tau) == pytest.approx(0.49 / (2.0 + tau), rel=1e-12)
    assert trap.slow() == pytest.approx(0.49, rel=1e-12)
    assert trap.quench() == pytest.approx(0.245, rel=1e-12)


def test_cost_of_matrices_agrees_with_paths(rng):
    """A and b ramped together, not commuting: Euler paths of the plain equation, work by the midpoint of A and b."""
    A0, A1, b0, b1 = spd(rng), spd(rng), *rng.standard_normal((2, 3))
    tau, n_steps, n_paths, beta = 1.5, 400, 20_000, 2.0
    h = tau / n_steps
    x = np.linalg.solve(A0, b0) + rng.standard_normal((n_paths, 3)) @ np.linalg.cholesky(np.linalg.inv(A0) / beta).T
    work = np.zeros(n_paths)
    for k in range(n_steps):
        s = (k + 0.5) / n_steps
        half = 0.5 * (np.einsum("ni,ij,nj->n", x, A1 - A0, x) / 2.0 - x @ (b1 - b0)) / n_steps
        x = (
            x
            - h * (x @ (A0 + s * (A1 - A0)) - (b0 + s * (b1 - b0)))
            + np.sqrt(2 * h / beta) * rng.standard_normal(x.shape)
        )
        work += half + 0.5 * (np.einsum("ni,ij,nj->n", x, A1 - A0, x) / 2.0 - x @ (b1 - b0)) / n_steps
    free = [np.linalg.slogdet(A)[1] / (2.0 * beta) - b @ np.linalg.solve(A, b) / 2.0 for A, b in ((A0, b0), (A1, b1))]
    dissipated = beta * (work - (free[1] - free[0]))
    found = Ramp(A0, A1, b0, b1, beta).exact(tau)
    assert abs(found[0] - dissipated.mean()) < 5.0 * dissipated.std() / np.sqrt(n_paths) + 0.01 * found[0]
    assert dissipated.std() / np.sqrt(n_paths) < 0.03 * found[0]
    oracles.sampled_moments_agree(np.sqrt(beta) * x, found[1], found[2])


# -- limits and bounds


def test_fast_and_slow_limits_are_reached(rng):
    ramp = Ramp(spd(rng), spd(rng), *rng.standard_normal((2, 3)))
    assert ramp.exact(1e-5)[0] == pytest.approx(ramp.quench(), rel=1e-3)
    assert ramp.exact(3e3)[0] * 3e3 == pytest.approx(ramp.slow(), rel=0.02)
    assert ramp.optimal(1e6) * 1e6 == pytest.approx(ramp.equilibria(), rel=1e-4)
    assert ramp.optimal(1e-7) == pytest.approx(ramp.quench(), rel=1e-4)


def test_slow_limits_are_the_printed_ones():
    """l 1 -> 0.05, tau = 1000: 0.0385 for the linear ramp and 0.0474 for its limit, 0.01206 for the least."""
    ramp = Ramp([[1.0]], [[0.05]])
    assert ramp.exact(1000.0)[0] == pytest.approx(0.0385, abs=5e-5)
    assert ramp.slow() / 1000.0 == pytest.approx(0.0474, abs=5e-5)
    assert ramp.equilibria() / 1000.0 == pytest.approx(0.01206, abs=5e-6)


def test_bounds_hold_on_random_ramps(rng):
    for _ in range(12):
        A0, A1, b0, b1 = spd(rng), spd(rng), *rng.standard_normal((2, 3))
        table = ramp_cost(A0, A1, [0.05, 1.0, 30.0], b0=b0, b1=b1)
        wide = table.pivot(index="duration", columns="quantity", values="value")
        for name in ("optimal", "wasserstein", "wasserstein and lag"):
            assert (wide["linear ramp"] >= wide[name] * (1.0 - 1e-6)).all(), name
        assert (wide["wasserstein and lag"] >= wide["optimal"] * (1.0 - 1e-6)).all()
        assert wide["equilibria"][0.05] > wide["linear ramp"][0.05]  # and so is no bound of fast ramps


def test_table_of_bounds_has_the_values_of_the_ramp(rng):
    A0, A1 = spd(rng), spd(rng)
    table = ramp_bounds(A0, A1, [0.5, 20.0]).set_index(["duration", "bound"])
    for tau in (0.5, 20.0):
        exact = Ramp(A0, A1).exact(tau)[0]
        np.testing.assert_allclose(table.realised[tau], exact, rtol=1e-9)
        assert table.limit[tau, "optimal"] == pytest.approx(Ramp(A0, A1).optimal(tau))
    assert table.condition.str.contains("rigorous").sum() == 6


@pytest.mark.parametrize("tau", [0.3, 5.0])
def test_optimum_agrees_with_brute_force(rng, tau):
    """The least of W_2^2 / tau + D over all end laws, by a search that knows nothing of the closed form."""
    A0, A1, b1 = spd(rng, 2), spd(rng, 2), rng.standard_normal(2)
    ramp = Ramp(A0, A1, b1=b1)
    (mean0, S0), target = ramp.law(0.0), ramp.law(1.0)

    def cost(p):
        L = np.array([[np.exp(p[0]), 0.0], [p[1], np.exp(p[2])]])
        return wasserstein_squared(mean0, S0, p[3:], L @ L.T) / tau + relative_entropy(p[3:], L @ L.T, *target)

    found = scipy.optimize.minimize(cost, np.zeros(5), method="BFGS", options={"gtol": 1e-9})
    assert ramp.optimal(tau) == pytest.approx(found.fun, rel=1e-7)


def test_the_optimum_is_reached_by_a_protocol():
    """One mode, deviation linear in time, a jump at either end: its work, by quadrature, is the optimum."""
    first, last, tau = 1.0, 0.3, 2.0
    a = last + 2.0 / tau
    end = (1.0 / tau + np.sqrt(1.0 / tau**2 + a)) / a  # deviation at the end, where d(cost) / d(end) = 0
    speed = (end - 1.0) / tau

    def rate(t):  # lambda with which the variance y^2 changes as 2 y y' = -2 lambda y^2 + 2
        y = 1.0 + speed * t
        return (1.0 - y * speed) / y**2

    def power(t):
        return 0.5 * (rate(t + 1e-5) - rate(t - 1e-5)) / 2e-5 * (1.0 + speed * t) ** 2

    smooth = scipy.integrate.quad(power, 0.0, tau)[0]
    work = 0.5 * (rate(0.0) - first) + smooth + 0.5 * (last - rate(tau)) * end**2
    assert Ramp([[first]], [[last]]).optimal(tau) == pytest.approx(work - 0.5 * np.log(last / first), rel=1e-6)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Ramp([[1.0]], np.eye(2)), "A1 must have shape"),
        (lambda: Ramp([[-1.0]], [[1.0]]), "A0 must be positive definite"),
        (lambda: Ramp([[1.0]], [[1.0]], b0=[1.0, 2.0]), "b0 must have shape"),
        (lambda: ramp_cost([[1.0]], [[2.0]], [0.0]), "duration must be positive"),
    ],
)
def test_bad_input_is_named(make, words):
    with pytest.raises(ValueError, match=words):
        make()
