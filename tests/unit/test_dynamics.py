"""`solve` and `inv` on cells with inertia: the right law, its error bars, and when the burn-in is shorter."""

import numpy as np
import pytest
import scipy.linalg
import scipy.sparse

import thermolinalg as tl

A = tl.problems.with_condition(5, 30.0, rng=0)
B = np.random.default_rng(1).standard_normal(5)
X = np.linalg.solve(A, B)


def block_system(A, mass, friction):
    """Drift of z = (x, p) and its noise covariance rate at beta = 1."""
    d, eye = len(A), np.eye(len(A))
    drift = np.block([[np.zeros((d, d)), -eye / mass], [A, friction / mass * eye]])
    noise = np.zeros((2 * d, 2 * d))
    noise[d:, d:] = 2.0 * friction * eye
    return drift, noise


@pytest.mark.parametrize("inertia", [tl.Inertia(mass=2.0, friction=0.7), tl.Inertia(mass=0.3), "underdamped"])
def test_mean_of_reads_is_that_of_the_block_system(inertia):
    """Noise-free spaced reads, one matrix exponential for each read as the oracle."""
    with pytest.warns(tl.NotEquilibrated):
        r = tl.solve(A, B, n_reads=7, read_spacing=0.9, burn_in=1.3, beta=np.inf, dynamics=inertia, x0=2 * B, rng=0)
    inertia = tl.Inertia() if inertia == "underdamped" else inertia
    friction = 2 * np.sqrt(inertia.mass / 30.0) if inertia.friction == "critical" else inertia.friction
    drift, _ = block_system(A, inertia.mass, friction)
    start = np.concatenate((2 * B - X, np.zeros(5)))
    reads = [X + (scipy.linalg.expm(-drift * (1.3 + 0.9 * k)) @ start)[:5] for k in range(7)]
    np.testing.assert_allclose(r.value, np.mean(reads, axis=0), rtol=1e-9)


def test_stderr_of_the_integrator_is_a_double_integral_of_the_autocovariance():
    r = tl.solve(A, B, duration=8.0, burn_in=np.float64(900.0), dynamics=tl.Inertia(mass=1.5, friction=0.9), rng=0)
    drift, noise = block_system(A, 1.5, 0.9)
    stationary = scipy.linalg.solve_continuous_lyapunov(drift, noise)
    lags, weights = np.polynomial.legendre.leggauss(60)
    lags, weights = 4.0 * (lags + 1.0), 4.0 * weights
    total = sum(
        w * (1 - t / 8.0) * (scipy.linalg.expm(-drift * t) @ stationary)[:5, :5]
        for t, w in zip(lags, weights, strict=True)
    )
    np.testing.assert_allclose(r.stderr**2, np.diag(total + total.T) / 8.0, rtol=1e-8)


def test_burn_in_grows_as_the_square_root_of_the_condition_number():
    kappas = np.array([1e2, 1e3, 1e4, 1e5])
    times = {"overdamped": [], "underdamped": []}
    for kappa in kappas:
        M = tl.problems.with_condition(8, kappa, rng=2)
        for dynamics, found in times.items():
            found.append(tl.inv(M, n_reads=1000, dynamics=dynamics, rng=0).burn_in)
    slopes = {name: np.polyfit(np.log(kappas), np.log(found), 1)[0] for name, found in times.items()}
    assert slopes["overdamped"] == pytest.approx(1.0, abs=0.02)
    assert slopes["underdamped"] == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize("options", [{"n_reads": 50, "read_spacing": 2.0}, {"n_reads": 50}])
def test_path_and_law_of_solve_agree(options):
    law, path = (
        tl.solve(A, B, dynamics=tl.Inertia(mass=2.0, friction=0.8), simulator=s, n_chains=400, rng=3, **options)
        for s in ("law", "path")
    )
    assert path.stderr_kind == "chains"
    assert np.all(np.abs(law.value - path.value) < 5 * np.hypot(law.stderr, path.stderr))
    np.testing.assert_allclose(path.stderr, law.stderr, rtol=5 / np.sqrt(2 * 400))


def test_rounded_reads_and_refinement_work_with_inertia():
    device = tl.Device(adc_bits=8, beta=4.0)
    r = tl.solve(A, B, n_reads=3000, read_spacing=2.0, device=device, dynamics="underdamped", rng=0)
    assert r.simulator == "path"
    assert np.all(np.abs(r.value - X) < 5 * r.stderr)
    fine = tl.solve(A, B, rtol=1e-9, refine=True, dynamics="underdamped", rng=0)
    assert np.linalg.norm(fine.value - X) < 1e-9 * np.linalg.norm(X)
    assert fine.cost.joule_heat is None


def test_same_bits_for_any_number_of_workers():
    runs = [
        tl.solve(
            A, B, n_reads=300, read_spacing=1.0, simulator="path", dynamics="underdamped", n_chains=5, rng=1, workers=w
        )
        for w in (1, 2, 4)
    ]
    assert all(np.array_equal(runs[0].value, run.value) for run in runs)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: tl.solve(A, B, duration=1.0, dynamics="critical"), "dynamics .or an Inertia. must be one of"),
        (lambda: tl.Inertia(mass=0.0), "mass must be positive"),
        (lambda: tl.Inertia(friction=-1.0), "friction .or .critical.. must be positive"),
        (lambda: tl.solve(scipy.sparse.csr_array(A), B, duration=1.0, dynamics="underdamped"), "needs a spectrum"),
        (
            lambda: tl.solve(A, B, duration=1.0, dynamics="underdamped", simulator="path"),
            "no integrator for underdamped dynamics",
        ),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()
