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
    with pytest.warns(tl.errors.NotEquilibrated):
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


@pytest.mark.parametrize("options", [{"n_reads": 50, "read_spacing": 2.0}, {"n_reads": 50}, {"duration": 100.0}])
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


@pytest.mark.parametrize("options", [{"n_reads": 300, "read_spacing": 1.0}, {"duration": 30.0}])
def test_same_bits_for_any_number_of_workers(options):
    """On more modes than one tile holds, whose oscillators the threads share."""
    operator = tl.Diagonal(np.geomspace(0.05, 2.0, 300))
    options = options | {"simulator": "path", "dynamics": "underdamped", "n_chains": 2, "burn_in": 200.0}
    runs = [tl.solve(operator, np.ones(300), rng=1, workers=w, **options) for w in (1, 2, 4)]
    assert all(np.array_equal(runs[0].value, run.value) for run in runs)


def test_path_of_an_integrator_without_noise_is_the_mean():
    """On cells from light to heavy: the steps add up to the time average of the mean, from matrix exponentials."""
    for mass, friction in ((1e-3, 1.0), (1.5, 0.01), (1.5, 0.9), (100.0, 3.0)):
        inertia = tl.Inertia(mass=mass, friction=friction)
        with pytest.warns(tl.errors.NotEquilibrated):
            r = tl.solve(
                A, B, duration=7.0, burn_in=1.3, x0=2 * B, beta=np.inf, dynamics=inertia, simulator="path", rng=0
            )
        drift, _ = block_system(A, mass, friction)
        start = scipy.linalg.expm(-drift * 1.3) @ np.concatenate((2 * B - X, np.zeros(5)))
        average = np.linalg.solve(drift, start - scipy.linalg.expm(-drift * 7.0) @ start)[:5] / 7.0
        np.testing.assert_allclose(r.value, X + average, rtol=1e-9)


@pytest.mark.parametrize("friction", [0.02, 0.1, "critical", 5.0])
def test_planned_reads_keep_to_rtol(friction):
    """By the law of the reads that were planned, also where one read more does not make the average better."""
    for spacing in (0.5, 2.0, 7.0):
        for rtol in (0.05, 0.2, 0.45, 0.8):
            inertia = tl.Inertia(mass=1.0, friction=friction)
            r = tl.solve(A, B, rtol=rtol, read_spacing=spacing, dynamics=inertia, rng=0)
            assert np.linalg.norm(r.stderr) <= rtol * np.linalg.norm(X) * (1.0 + 1e-5)


# Sparse operators ------------------------------------------------------------------------------------------------

SPARSE = tl.problems.with_condition(30, 100.0, rng=3)
DRIVE, START = np.random.default_rng(4).standard_normal((2, 30))
FRICTIONS = [0.05, 2.0 * np.sqrt(2.0 / 100.0), 7.0]  # all modes oscillate; slowest critical; most creep


def krylov(**options):
    low, high = np.linalg.eigvalsh(SPARSE)[[0, -1]]
    return tl.Krylov(scipy.sparse.csr_array(SPARSE), bounds=(low * (1 - 1e-9), high * (1 + 1e-9)), **options)


@pytest.mark.filterwarnings("ignore::thermolinalg.errors.NotEquilibrated")
@pytest.mark.parametrize("friction", FRICTIONS)
@pytest.mark.parametrize("burn_in", [0.0, 3.0, 200.0])
def test_mean_of_a_sparse_operator_is_that_of_the_dense_one(friction, burn_in):
    inertia = tl.Inertia(mass=2.0, friction=friction)
    for options in ({"duration": 30.0}, {"n_reads": 9, "read_spacing": 3.0}, {"n_reads": 4}):
        options = options | {"burn_in": burn_in, "x0": START, "beta": np.inf, "dynamics": inertia, "rng": 0}
        dense = tl.solve(SPARSE, DRIVE, **options).value
        ours = tl.solve(krylov(tol=1e-10), DRIVE, **options).value
        np.testing.assert_allclose(ours, dense, atol=1e-9 * np.linalg.norm(dense))


@pytest.mark.parametrize("friction", FRICTIONS)
def test_error_bar_of_a_sparse_operator_is_the_rms_of_the_dense_one(friction):
    inertia = tl.Inertia(mass=2.0, friction=friction)
    for options in ({"duration": 30.0}, {"n_reads": 9, "read_spacing": 3.0}, {"n_reads": 4}):
        options = options | {"dynamics": inertia, "burn_in": 3e4, "rng": 0}
        rms = np.sqrt(np.mean(tl.solve(SPARSE, DRIVE, **options).stderr ** 2))
        r = tl.solve(krylov(), DRIVE, **options)
        assert r.stderr_kind == "rms"
        assert abs(r.stderr[0] / rms - 1.0) < 5 * r.stderr_error + 1e-6


@pytest.mark.parametrize("friction", FRICTIONS)
@pytest.mark.parametrize("options", [{}, {"read_spacing": 2.0}])
def test_plans_from_bounds_are_kept(friction, options):
    """What the plan from bounds would give on the dense operator: an error below rtol, a bias below a tenth of it."""
    inertia = tl.Inertia(mass=2.0, friction=friction)
    r = tl.solve(krylov(), DRIVE, rtol=0.05, dynamics=inertia, rng=0, **options)
    assert r.planning_margin > 1.0
    protocol = {"n_reads": r.n_reads, "read_spacing": r.read_spacing} if options else {"duration": r.duration}
    protocol |= {"burn_in": r.burn_in, "dynamics": inertia, "rng": 0}
    dense = tl.solve(SPARSE, DRIVE, **protocol)  # would warn if the burn-in were too short
    assert np.linalg.norm(dense.stderr) < 0.05 * np.linalg.norm(np.linalg.solve(SPARSE, DRIVE))


def test_sparse_systems_are_refined_on_cells_with_inertia():
    r = tl.solve(scipy.sparse.csr_array(SPARSE), DRIVE, rtol=1e-8, refine=True, dynamics="underdamped", rng=0)
    truth = np.linalg.solve(SPARSE, DRIVE)
    assert np.linalg.norm(r.value - truth) < 1e-8 * np.linalg.norm(truth)


def test_burn_in_of_a_sparse_operator_is_shorter_with_inertia():
    A = scipy.sparse.diags_array([np.full(399, -1.0), np.full(400, 2.0004), np.full(399, -1.0)], offsets=[-1, 0, 1])
    slow, fast = (tl.solve(A, np.ones(400), duration=1e4, dynamics=d, rng=0) for d in ("overdamped", "underdamped"))
    assert fast.burn_in < slow.burn_in / 10


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: tl.solve(A, B, duration=1.0, dynamics="critical"), "dynamics .or an Inertia. must be one of"),
        (lambda: tl.Inertia(mass=0.0), "mass must be positive"),
        (lambda: tl.Inertia(friction=-1.0), "friction .or .critical.. must be positive"),
        (
            lambda: tl.solve(scipy.sparse.csr_array(A), B, duration=1.0, dynamics="underdamped", simulator="path"),
            "a Krylov operator has none",
        ),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
