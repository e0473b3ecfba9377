"""Kronecker factors of a layer: from samples, in stale bases, damped in parts, with second moments of samples."""

import itertools

import numpy as np
import pytest

import thermolinalg as tl
from thermolinalg.curvature import KroneckerCurvature, cotangents, kronecker_factors


def factors(rng, p=4, r=3, samples=20):
    a, g = rng.standard_normal((samples, p)) * 0.7 ** np.arange(p), rng.standard_normal((samples, r))
    return a.T @ a / samples, 0.1 * g.T @ g / samples


def orthogonal(rng, d):
    return np.linalg.qr(rng.standard_normal((d, d)))[0]


def sample_gradients(inputs, gradients):
    """vec of the (p, r) weight gradients, one per sample and cotangent, by loops."""
    b, k, s, r = gradients.shape
    out = []
    for i, j in itertools.product(range(b), range(k)):
        W = np.zeros((inputs.shape[2], r))
        for t in range(s):
            W += np.outer(inputs[i, t], gradients[i, j, t])
        out.append(W.ravel())
    return np.array(out)


# Factors from samples -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sharing", ["expand", "reduce"])
def test_factors_are_the_sums_by_loops(rng, sharing):
    b, k, s, p, r = 5, 2, 3, 4, 2
    inputs, gradients = rng.standard_normal((b, s, p)), rng.standard_normal((b, k, s, r))
    A, G = np.zeros((p, p)), np.zeros((r, r))
    for i in range(b):
        if sharing == "reduce":
            mean = sum(inputs[i, t] for t in range(s)) / s
            A += np.outer(mean, mean) / b
        for t in range(s if sharing == "expand" else 0):
            A += np.outer(inputs[i, t], inputs[i, t]) / (b * s)
        for j in range(k):
            if sharing == "reduce":
                total = sum(gradients[i, j, t] for t in range(s))
                G += np.outer(total, total)
            for t in range(s if sharing == "expand" else 0):
                G += np.outer(gradients[i, j, t], gradients[i, j, t])
    for ours, loops in zip(kronecker_factors(inputs, gradients, sharing), (A, G), strict=True):
        np.testing.assert_allclose(ours, loops, rtol=1e-12)


def test_one_sample_is_exact(rng):
    """One input for all samples: A x G is the curvature itself, which is J^T J of the layer's own Jacobian."""
    b, p, r = 6, 3, 4
    a, outputs = rng.standard_normal(p), rng.standard_normal((b, r))
    c = cotangents("exact", outputs)
    J = sample_gradients(np.tile(a, (b, 1, 1)), c[:, :, None])
    F = KroneckerCurvature(*kronecker_factors(np.tile(a, (b, 1)), c))
    np.testing.assert_allclose(F.dense(), J.T @ J, atol=1e-14)


def test_factors_estimate_the_curvature_of_independent_inputs(rng):
    """Inputs independent of gradients: the mean of S over batches is that of A x G, entry by entry within 5 stderr."""
    b, p, r, n = 200, 2, 2, 300
    differences = []
    for _ in range(n):
        a, g = rng.standard_normal((b, p)) @ [[1.0, 0.5], [0.0, 1.0]], rng.standard_normal((b, 1, r)) / np.sqrt(b)
        J = sample_gradients(a[:, None], g[:, :, None])
        differences.append(J.T @ J - KroneckerCurvature(*kronecker_factors(a, g)).dense())
    z = np.mean(differences, axis=0) / (np.std(differences, axis=0, ddof=1) / np.sqrt(n))
    assert np.abs(z).max() < 5.0


# Bases --------------------------------------------------------------------------------------------------------------


def test_staleness_is_the_relative_error_of_the_kept_diagonal(rng):
    A, G = factors(rng)
    bases = orthogonal(rng, 4), orthogonal(rng, 3)
    for measured, basis, S in zip(KroneckerCurvature(A, G, bases=bases).staleness(), bases, (A, G), strict=True):
        kept = sum((v @ S @ v) * np.outer(v, v) for v in basis.T)
        assert measured == pytest.approx(np.linalg.norm(S - kept) / np.linalg.norm(S), rel=1e-12)
    assert max(KroneckerCurvature(A, G).staleness()) < 1e-14
    assert KroneckerCurvature(np.zeros((4, 4)), G).staleness()[0] == 0.0


def test_kept_diagonal_is_the_nearest(rng):
    """No other diagonal in the given bases is nearer to the matrix."""
    A, G = factors(rng)
    bases = orthogonal(rng, 4), orthogonal(rng, 3)
    F = KroneckerCurvature(A, G, bases=bases)
    error = np.linalg.norm(F.dense() - np.kron(A, G))
    for _ in range(20):
        other = np.abs(F.rates + 0.1 * rng.standard_normal(12)).reshape(4, 3)
        assert np.linalg.norm(KroneckerCurvature(A, G, bases=bases, values=other).dense() - np.kron(A, G)) > error


@pytest.mark.parametrize("s", [1, 3])
def test_second_moments_are_the_diagonal_of_the_samples(rng, s):
    b, k, p, r = 7, 2, 4, 3
    inputs, gradients = rng.standard_normal((b, s, p)), rng.standard_normal((b, k, s, r))
    F = KroneckerCurvature.from_samples(inputs, gradients, kind="sampled")
    J = sample_gradients(inputs, gradients)
    for bases in (None, (orthogonal(rng, p), orthogonal(rng, r))):
        Q = np.kron(*(F.bases if bases is None else bases))
        np.testing.assert_allclose(F.second_moments(bases).ravel(), np.diag(Q.T @ J.T @ J @ Q), rtol=1e-11)
    np.testing.assert_array_equal(F.A, kronecker_factors(inputs, gradients)[0])
    assert F.kind == "sampled"


def test_second_moments_are_nearer_than_the_product(rng):
    """The point of EKFAC: in the same basis, S is no farther from them than from A x G."""
    inputs, gradients = rng.standard_normal((9, 4)), rng.standard_normal((9, 1, 3))
    F = KroneckerCurvature.from_samples(inputs, gradients)
    J = sample_gradients(inputs[:, None], gradients[:, :, None])
    corrected = KroneckerCurvature(F.A, F.G, bases=F.bases, values=F.second_moments())
    assert np.linalg.norm(corrected.dense() - J.T @ J) < np.linalg.norm(F.dense() - J.T @ J)


# Damping ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("damping", [1e-4, 1e-2, 1.0])
def test_exact_damping_is_a_dense_solve(rng, damping):
    A, G = factors(rng)
    W = rng.standard_normal((4, 3))
    natural = KroneckerCurvature(A, G).damped(damping).function(np.reciprocal, W.ravel())
    dense = np.kron(A, G) + damping * np.eye(12)
    np.testing.assert_allclose(natural, np.linalg.solve(dense, W.ravel()), rtol=1e-12, atol=1e-12)
    # in the words of the papers: columns stacked, G x A, vec(G X A) = (A x G) vec X
    stacked = np.linalg.solve(np.kron(G, A) + damping * np.eye(12), W.ravel(order="F"))
    np.testing.assert_allclose(natural.reshape(4, 3), stacked.reshape(4, 3, order="F"), rtol=1e-12, atol=1e-12)


def test_dissipation_of_a_layer_splits_into_curvature_and_damping(rng):
    """g^T g_nat = g_nat^T F g_nat + damping |g_nat|^2."""
    A, G = factors(rng)
    F, g = KroneckerCurvature(A, G), rng.standard_normal(12)
    natural = F.damped(1e-2).function(np.reciprocal, g)
    dissipation = tl.curvature.dissipation(F, g, damping=1e-2)
    assert dissipation == pytest.approx(g @ natural, rel=1e-13)
    assert dissipation == pytest.approx(natural @ np.kron(A, G) @ natural + 1e-2 * natural @ natural, rel=1e-12)


def cross_terms(F, damping, pi):
    """Trace norm of what factored damping adds beyond damping I."""
    A, G, root = F.A, F.G, np.sqrt(damping)
    left, right = A + pi * root * np.eye(len(A)), G + root / pi * np.eye(len(G))
    excess = np.kron(left, right) - np.kron(A, G) - damping * np.eye(F.size)
    return np.linalg.svd(excess, compute_uv=False).sum()


@pytest.mark.parametrize("scale", [1e-2, 1.0, 100.0])
def test_pi_minimises_the_cross_terms(rng, scale):
    A, G = factors(rng)
    F = KroneckerCurvature(scale**2 * A, G)
    grid = np.exp(np.linspace(np.log(1e-4), np.log(1e4), 4001))
    best = grid[np.argmin([cross_terms(F, 1e-2, pi) for pi in grid])]
    left, right = F.split(1e-2, "pi")
    pi = (left - F.A)[0, 0] / 0.1
    assert pi == pytest.approx(best, rel=3e-3)  # half a step of the grid is 2.3e-3
    np.testing.assert_allclose(right - F.G, 0.1 / pi * np.eye(3), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(F.shares(1e-2), (pi * 0.1, 0.1 / pi), rtol=1e-9)


def test_only_pi_is_blind_to_how_the_scale_is_shared(rng):
    A, G = factors(rng)
    products = {how: [np.kron(*KroneckerCurvature(c * A, G / c).split(1e-2, how)) for c in (1.0, 50.0)]
                for how in ("pi", "even", "each")}  # fmt: skip
    np.testing.assert_allclose(*products["pi"], rtol=1e-11)
    for how in ("even", "each"):
        assert np.abs(np.subtract(*products[how])).max() > 0.1


def test_each_damps_small_directions_by_the_square(rng):
    damping = 1e-3
    F = KroneckerCurvature(np.diag([1.0, 1e-9]), np.diag([1.0, 1e-9]))
    largest = {how: 1.0 / np.linalg.eigvalsh(np.kron(*F.split(damping, how)))[0] for how in ("pi", "even", "each")}
    assert largest["each"] == pytest.approx(1.0 / damping**2, rel=1e-4)
    assert largest["pi"] == pytest.approx(1.0 / damping, rel=1e-4)
    assert largest["even"] == pytest.approx(1.0 / damping, rel=1e-4)


def test_factored_damping_is_never_too_little(rng):
    F = KroneckerCurvature(*factors(rng))
    for how in ("pi", "even"):
        excess = np.kron(*F.split(1e-2, how)) - np.kron(F.A, F.G) - 1e-2 * np.eye(12)
        assert np.linalg.eigvalsh(excess)[0] > 0.0


def test_trace_ratio_is_the_root_of_the_mean_traces(rng):
    A, G = factors(rng)
    assert KroneckerCurvature(A, G).trace_ratio() == pytest.approx(np.sqrt(np.trace(A) / 4 / (np.trace(G) / 3)))
    assert KroneckerCurvature(0.0 * A, G).trace_ratio() == 1.0
    assert KroneckerCurvature(A, 0.0 * G).trace_ratio() == 1.0
    given = KroneckerCurvature(A, G, bases=(np.eye(4), np.eye(3)), values=(np.ones(4), np.full(3, 4.0)))
    assert given.trace_ratio() == 0.5


# What is refused ----------------------------------------------------------------------------------------------------

I2, I3 = np.eye(2), np.eye(3)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: KroneckerCurvature(np.ones((2, 3)), I2), "A must be a square matrix"),
        (lambda: KroneckerCurvature(I2, [[1.0, 1.0], [0.0, 1.0]]), "G must be symmetric"),
        (lambda: KroneckerCurvature(-I2, I2).rates, "A must be positive semidefinite"),
        (lambda: KroneckerCurvature(I2, I3, bases=(I3, I2)), "bases must have shapes"),
        (lambda: KroneckerCurvature(I2, I3, values=(np.ones(2), np.ones(3))), "values belong to bases"),
        (lambda: KroneckerCurvature(I2, I3, bases=(I2, I3), values=(np.ones(3), np.ones(3))), "values must have shape"),
        (lambda: KroneckerCurvature(I2, I3, bases=(I2, I3), values=np.ones((3, 2))), "products must have shape"),
        (lambda: KroneckerCurvature(I2, I3, bases=(I2, I3), values=-np.ones((2, 3))), "values must be non-negative"),
        (lambda: KroneckerCurvature(I2, I3, bases=(I2, I3), values=(-np.ones(2), np.ones(3))), "must be non-negative"),
        (lambda: KroneckerCurvature(I2, I3, samples=(np.ones((5, 3)), np.ones((5, 1, 2)))), "samples must be of 2"),
        (lambda: KroneckerCurvature(I2, I3).second_moments(), "from_samples"),
        (lambda: KroneckerCurvature(I2, I3).split(0.0), "damping must be positive"),
        (lambda: KroneckerCurvature(I2, I3).split(0.1, "exact"), "how must be one of"),
        (lambda: KroneckerCurvature(I2, I3).matvec(np.ones(5)), "v must have shape"),
        (lambda: kronecker_factors(np.ones((5, 2)), np.ones((4, 1, 3))), "must agree in samples"),
        (lambda: kronecker_factors(np.ones((5, 2, 2)), np.ones((5, 1, 3, 3))), "must agree in samples"),
        (lambda: kronecker_factors(np.ones(5), np.ones((5, 1, 3))), "must agree in samples"),
        (lambda: kronecker_factors(np.ones((5, 2)), np.ones((5, 0, 3))), "must agree in samples"),
        (lambda: kronecker_factors(np.ones((5, 2)), np.ones((5, 1, 3)), "mean"), "sharing must be one of"),
    ],
)
def test_bad_input_is_named(make, words):
    with pytest.raises(ValueError, match=words):
        make()
