"""Work, heat and free energy: the first law as a test, fluctuation theorems exactly, estimators on known work."""

import numpy as np
import pytest
import scipy.integrate

from thermolinalg.measurement import free_energy
from thermolinalg.measurement.ramps import EulerRamp, ModeRamp
from thermolinalg.numerics.kernels import work as kernels
from thermolinalg.operators import Dense, Diagonal
from thermolinalg.processes.energetics import path_energetics


def spd(rng, d):
    G = rng.standard_normal((d, 3 * d))
    return G @ G.T / (3 * d)


class Fed:
    """Stands for a generator: hands out rows of given noise (n, paths, d) one after the other."""

    def __init__(self, noise):
        self.noise, self.used = noise, 0

    def standard_normal(self, size=None, out=None):
        if out is None:
            row = self.noise[self.used]
            self.used += 1
            return row.T.copy() if size != row.shape else row.copy()
        rows = out.reshape(-1, *self.noise.shape[1:])
        rows[:] = self.noise[self.used : self.used + len(rows)]
        self.used += len(rows)
        return out


def tile_of(ramp):
    """Work and heat of one tile of paths as a function of their noise (n_steps + 1, paths, d)."""

    def run(noise):
        paths = noise.shape[1]
        if isinstance(ramp, EulerRamp):
            return ramp._tile(Fed(noise), paths)[:2]
        step, during = ramp.duration / ramp.n_steps, ramp.rates[1:-1]
        decay, noise_std = np.exp(-step * during), np.sqrt(-np.expm1(-2.0 * step * during) / during)
        work, heat, x = ramp._tile(Fed(noise), paths, decay, noise_std)
        return (work + 0.5 * (ramp.rates[-1] - ramp.rates[-2]) * x**2).sum(axis=1), heat.sum(axis=1)

    return run


def quadratic_form(run, size, shape):
    """The symmetric K with work = xi^T K xi for the noise xi that drives a path, by polarisation."""
    pairs = [(i, j) for i in range(size) for j in range(i, size)]
    probes = np.zeros((len(pairs), size))
    for row, (i, j) in zip(probes, pairs, strict=True):
        row[i] = row[j] = 1.0
    noise = np.ascontiguousarray(probes.reshape(len(pairs), *shape).transpose(1, 0, 2))
    values = dict(zip(pairs, run(noise)[0], strict=True))
    K = np.zeros((size, size))
    for i, j in pairs:
        K[i, j] = K[j, i] = values[i, i] if i == j else 0.5 * (values[i, j] - values[i, i] - values[j, j])
    return K


def ramps(n_steps):
    rng = np.random.default_rng(21)
    A0, A = spd(rng, 2), spd(rng, 2) * 0.6
    l0, l1 = np.array([1.0, 0.7]), np.array([0.6, 2.0])
    return [
        pytest.param(ModeRamp.planned(l0, l1, 1.7, n_steps, "linear"), np.log(l1 / l0).sum(), id=f"linear-{n_steps}"),
        pytest.param(ModeRamp.planned(l0, l1, 1.7, n_steps, "optimal"), np.log(l1 / l0).sum(), id=f"optimal-{n_steps}"),
        pytest.param(
            EulerRamp.planned(Dense(A0), Dense(A), 0.5 * n_steps, n_steps),
            np.linalg.slogdet(A)[1] - np.linalg.slogdet(A0)[1], id=f"euler-{n_steps}",
        ),
    ]  # fmt: skip


@pytest.mark.parametrize(("ramp", "log_ratio"), [case for n in (1, 2, 5) for case in ramps(n)])
def test_jarzynski_and_crooks_hold_exactly_for_any_number_of_steps(ramp, log_ratio):
    """Work is a quadratic form of normal noise, so its generating function is a determinant: no sampling."""
    shape = (ramp.n_steps + 1, 2)
    size = 2 * shape[0]
    forward, backward = (quadratic_form(tile_of(r), size, shape) for r in (ramp, ramp.reversed()))

    def generating(K, s):
        """<e^{-s w}> with w = xi^T K xi."""
        M = np.eye(size) + 2.0 * s * K
        assert np.linalg.eigvalsh(M).min() > 0
        return np.linalg.det(M) ** -0.5

    boltzmann = np.exp(-0.5 * log_ratio)
    assert generating(forward, 1.0) == pytest.approx(boltzmann, rel=1e-11)
    for s in (0.2, 0.5, 0.9):  # Crooks' theorem for the generating functions of both work distributions
        assert generating(forward, s) == pytest.approx(boltzmann * generating(backward, 1.0 - s), rel=1e-11)
    assert np.trace(forward) > 0.5 * log_ratio  # the second law: mean work above the free energy difference


def test_wrong_work_would_be_noticed():
    """Euler's steps with the work of the true matrix, as if its equilibrium were exact, break the equality."""
    ramp, log_ratio = EulerRamp.planned(Diagonal([1.0]), Diagonal([2.0]), 1.0, 2), np.log(2.0)
    s, h, noise = (0.25, 0.75), 0.5, np.eye(3)

    def naive(xi):
        x, work, rate = xi[0], 0.0, 1.0
        for fraction, kick in zip(s, xi[1:], strict=True):
            work, rate = work + 0.5 * (1.0 + fraction - rate) * x**2, 1.0 + fraction
            x = x - h * rate * x + np.sqrt(2 * h) * kick
        return work + 0.5 * (2.0 - rate) * x**2

    K = np.array([[0.5 * (naive(a + b) - naive(a) - naive(b)) for a in noise] for b in noise])
    ours = quadratic_form(tile_of(EulerRamp(Dense([[1.0]]), Dense([[2.0]]), 1.0, 2)), 3, (3, 1))
    free_energies = [np.linalg.slogdet(np.eye(3) + 2 * k)[1] for k in (K, ours)]
    assert free_energies[1] == pytest.approx(log_ratio, rel=1e-12)
    assert abs(free_energies[0] - log_ratio) > 0.05
    assert ramp.n_steps == 2


# The first law ---------------------------------------------------------------------------------------------------


def test_first_law_along_paths():
    rng = np.random.default_rng(22)
    n, d = 6, 3
    xs, b = rng.standard_normal((4, n, d)), rng.standard_normal((n, d))
    A = np.array([spd(rng, d) for _ in range(n)])
    e = path_energetics(xs, A, b)
    energy = [[0.5 * x @ A[k] @ x - b[k] @ x for k, x in ((0, path[0]), (-1, path[-1]))] for path in xs]
    np.testing.assert_allclose(e.energy_change, [last - first for first, last in energy], rtol=1e-12)
    np.testing.assert_allclose(e.work + e.heat, e.energy_change, rtol=1e-12)
    assert (np.abs(e.heat) > 0.1).all()
    by_hand = sum(xs[0, k] @ (A[k] - A[k - 1]) @ xs[0, k] / 2 - (b[k] - b[k - 1]) @ xs[0, k] for k in range(1, n))
    assert e.work[0] == pytest.approx(by_hand, rel=1e-12)
    one = path_energetics(xs[0], A, b)
    assert np.shape(one.work) == ()
    assert one.work == pytest.approx(e.work[0], rel=1e-14)


def test_nothing_driven_does_no_work():
    rng = np.random.default_rng(23)
    A, xs = spd(rng, 3), rng.standard_normal((5, 3))
    e = path_energetics(xs, A)
    assert e.work == 0.0
    assert e.heat == pytest.approx(0.5 * (xs[-1] @ A @ xs[-1] - xs[0] @ A @ xs[0]), rel=1e-12)


def test_heat_is_the_stratonovich_integral():
    """A smooth path, where the midpoint sum must converge to the line integral of the force."""
    A, b = np.array([[2.0, 0.5], [0.5, 1.0]]), np.array([0.3, -0.2])

    def path(t):
        return np.array([np.sin(3 * t), t**2 - 0.4 * np.cos(t)])

    def power(t):
        return (A @ path(t) - b) @ np.array([3 * np.cos(3 * t), 2 * t + 0.4 * np.sin(t)])

    xs = np.array([path(t) for t in np.linspace(0.0, 1.3, 50)])
    assert path_energetics(xs, A, b).heat == pytest.approx(scipy.integrate.quad(power, 0.0, 1.3)[0], rel=1e-10)


@pytest.mark.parametrize("kind", ["modes", "matrix"])
def test_first_law_of_the_ramp_kernels(kind):
    rng = np.random.default_rng(24)
    if kind == "modes":
        rates, decay, noise_std = rng.random((5, 3)) + 0.5, rng.random((4, 3)), rng.random((4, 3))
        x = rng.standard_normal((2, 3))
        start = 0.5 * rates[0] * x**2
        work, heat = np.zeros((2, 2, 3))
        kernels.ramp_steps(rates, decay, noise_std, rng.standard_normal((4, 2, 3)), x, work, heat)
        np.testing.assert_allclose(work + heat, 0.5 * rates[-1] * x**2 - start, rtol=1e-12)
        return
    A0, A = spd(rng, 3), spd(rng, 3)
    ramp = EulerRamp(Dense(A0), Dense(A), 2.0, 7)
    noise = rng.standard_normal((8, 5, 3))
    work, heat = tile_of(ramp)(noise)
    # the same path as a plain loop: its true energies, and what the shadow matrix makes of them
    h, fractions = 2.0 / 7, (np.arange(7) + 0.5) / 7
    values, V = np.linalg.eigh(A0)
    xs = [noise[0] @ (V / np.sqrt(values)) @ V.T]
    for s, xi in zip(fractions, noise[1:], strict=True):
        xs.append(xs[-1] - h * xs[-1] @ (A0 + s * (A - A0)) + np.sqrt(2 * h) * xi)
    matrices = [A0 + s * (A - A0) for s in fractions]
    shadows = [A0] + [m - 0.5 * h * m @ m for m in matrices] + [A]
    jumps = sum(np.einsum("ci,ij,cj->c", x, new - old, x) / 2
                for x, old, new in zip(xs, shadows[:-1], shadows[1:], strict=True))  # fmt: skip
    np.testing.assert_allclose(work, jumps, rtol=1e-10)
    gains = sum(np.einsum("ci,ij,cj->c", new, m, new) / 2 - np.einsum("ci,ij,cj->c", old, m, old) / 2
                for old, new, m in zip(xs[:-1], xs[1:], matrices, strict=True))  # fmt: skip
    np.testing.assert_allclose(heat, gains, rtol=1e-10)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([[1.0]], [[1.0]]), r"xs must have shape \(n, d\)"),
        (([[1.0], [2.0]], [[1.0, 2.0]]), r"A must have shape \(1, 1\) or \(2, 1, 1\)"),
        (([[1.0], [2.0]], [[1.0]], [[1.0]]), r"b must have shape \(1,\) or \(2, 1\)"),
        (([[1.0, 1.0], [2.0, 1.0]], [np.eye(2), [[1.0, 1.0], [0.0, 1.0]]]), r"A\[1\] must be symmetric"),
        (([[np.nan], [2.0]], [[1.0]]), "xs must be finite"),
    ],
)
def test_bad_paths_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        path_energetics(*arguments)


# Estimators ------------------------------------------------------------------------------------------------------


def test_estimators_on_work_known_in_closed_form():
    """Normal work of mean f + v/2 and variance v both ways obeys Crooks: every estimator must find f."""
    rng, f, v, n = np.random.default_rng(25), 1.3, 0.8, 40_000
    forward, reverse = (sign * f + v / 2 + np.sqrt(v) * rng.standard_normal(n) for sign in (1, -1))
    for free in (free_energy.jarzynski(forward), free_energy.gaussian(forward), free_energy.bar(forward, reverse)):
        assert abs(free.difference - f) < 5 * free.stderr
        dissipated, error = free.dissipation(forward)
        assert abs(dissipated - v / 2) < 5 * error
    assert free_energy.jarzynski(forward).stderr == pytest.approx(np.sqrt((np.exp(v) - 1) / n), rel=0.05)
    assert free_energy.gaussian(forward).stderr == pytest.approx(np.sqrt((v + v**2 / 2) / n), rel=0.05)
    assert free_energy.jarzynski(forward).effective_paths == pytest.approx(n * np.exp(-v), rel=0.05)
    assert free_energy.bar(forward, reverse).stderr < free_energy.jarzynski(forward).stderr


def test_shares_are_the_slopes_in_an_error_that_all_work_has_in_common():
    rng, h = np.random.default_rng(28), 1e-5
    forward, reverse = 1.0 + rng.standard_normal(500), 0.5 + 1.5 * rng.standard_normal(500)
    both = free_energy.bar(forward, reverse)
    slopes = [(free_energy.bar(forward + a * h, reverse + b * h).difference - both.difference) / h
              for a, b in ((1, 0), (0, 1))]  # fmt: skip
    assert np.abs(slopes) == pytest.approx(both.shares, rel=1e-3)
    assert 0.3 < both.shares[0] < 0.7
    for estimate in (free_energy.jarzynski, free_energy.gaussian):
        assert estimate(forward).shares == (1.0,)
        assert (estimate(forward + h).difference - estimate(forward).difference) / h == pytest.approx(1.0, rel=1e-6)


def test_work_without_overlap_is_refused():
    with pytest.raises(
        FloatingPointError, match="do not overlap at all: least forward work 900, least reverse work 800"
    ):
        free_energy.bar(np.array([900.0, 1000.0]), np.array([800.0, 1e3]))


def test_equal_work_has_no_error():
    work = np.full(10, 2.5)
    for free in (free_energy.jarzynski(work), free_energy.gaussian(work), free_energy.bar(work, -work)):
        assert free.difference == pytest.approx(2.5, abs=1e-11)
        assert free.stderr == pytest.approx(0.0, abs=1e-11)
    assert free_energy.effective_paths(work) == pytest.approx(10.0)
    assert free_energy.skewness_shift(work) == 0.0


def test_huge_work_does_not_overflow():
    work = np.array([5000.0, 5001.0, 5002.0])
    free = free_energy.jarzynski(work)
    assert free.difference == pytest.approx(5000.0 - np.log((1 + np.exp(-1) + np.exp(-2)) / 3))
    assert free_energy.bar(work, -work).difference == pytest.approx(5001.0, abs=0.5)
