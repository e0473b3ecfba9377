"""EKFAC against dense matrices of the sample gradients."""

import io

import numpy as np
import pytest

from thermolinalg.curvature import BlockCurvature, DenseCurvature, DiagonalCurvature, KroneckerCurvature, Tracking
from thermolinalg.optimizers import State
from thermolinalg.optimizers.ekfac import EKFAC
from thermolinalg.optimizers.kfac import KFAC

B, K, P, R = 10, 2, 4, 3
N = P * R + 2


def samples(rng, s=1):
    """Inputs and gradients that depend on each other, so that no Kronecker product is their curvature."""
    inputs = rng.standard_normal((B, s, P))
    return inputs, rng.standard_normal((B, K, s, R)) * inputs[:, None, :, :1]


def curvature(data, entries):
    return BlockCurvature([KroneckerCurvature.from_samples(*data), DiagonalCurvature(entries)])


def sample_matrix(data):
    """Sum of outer products of the sample gradients, by loops."""
    inputs, gradients = data
    S = np.zeros((P * R, P * R))
    for a, of_sample in zip(inputs, gradients, strict=True):
        for g in of_sample:
            row = sum(np.outer(a_t, g_t) for a_t, g_t in zip(a, g, strict=True)).ravel()
            S += np.outer(row, row)
    return S


def eigenbasis(data):
    """Eigenvectors of the factors, written out."""
    inputs, gradients = data
    a, g = inputs.reshape(-1, P), gradients.reshape(-1, R)
    return np.kron(np.linalg.eigh(a.T @ a)[1], np.linalg.eigh(g.T @ g)[1])


def first_step(optimizer, g, F):
    return optimizer.step(np.zeros(len(g)), g, F, optimizer.init(np.zeros(len(g))))


@pytest.mark.parametrize("s", [1, 3])
def test_first_step_is_a_dense_solve(rng, s):
    data, entries, g = samples(rng, s), rng.random(2), rng.standard_normal(N)
    theta, state = first_step(EKFAC(0.5, 1e-2), g, curvature(data, entries))
    Q = eigenbasis(data)
    M = Q @ np.diag(np.diag(Q.T @ sample_matrix(data) @ Q) + 1e-2) @ Q.T
    natural = np.append(np.linalg.solve(M, g[:-2]), g[-2:] / (entries + 1e-2))
    np.testing.assert_allclose(theta, -0.5 * natural, rtol=1e-10, atol=1e-11)
    assert state.report.details["damped_dissipation"] == pytest.approx(g @ natural, rel=1e-10)


@pytest.mark.parametrize("s", [1, 2])
def test_second_moments_follow_every_batch_in_a_kept_basis(rng, s):
    """Basis of the first batch, moments of all of them, in a run against dense matrices with weighted means."""
    decay, damping = 0.7, 1e-2
    batches, entries = [samples(rng, s) for _ in range(5)], rng.random((5, 2))
    optimizer = EKFAC(1.0, damping, tracking=Tracking(decay=decay, interval=100))
    theta, state, Q = np.zeros(N), optimizer.init(np.zeros(N)), eigenbasis(batches[0])
    for n, data in enumerate(batches, 1):
        g, before = rng.standard_normal(N), theta
        theta, state = optimizer.step(theta, g, curvature(data, entries[n - 1]), state)
        weights = decay ** np.arange(n)[::-1]
        weights /= weights.sum()
        S = sum(w * sample_matrix(one) for w, one in zip(weights, batches, strict=False))
        M = Q @ np.diag(np.diag(Q.T @ S @ Q) + damping) @ Q.T
        expected = -np.append(np.linalg.solve(M, g[:-2]), g[-2:] / (weights @ entries[:n] + damping))
        np.testing.assert_allclose(theta - before, expected, rtol=1e-9, atol=1e-10)


def test_it_is_exact_where_the_eigenbasis_is(rng):
    """Inputs and gradients along coordinate axes: the curvature is diagonal, no product, and EKFAC has all of it."""
    rows, columns = rng.permutation(P), np.array([0, 1, 2, 0])
    inputs = np.eye(P)[rows] * rng.uniform(1.0, 2.0, (P, 1))
    gradients = (np.eye(R)[columns] * rng.uniform(1.0, 2.0, (P, 1)))[:, None]
    F, g = KroneckerCurvature.from_samples(inputs, gradients), rng.standard_normal(P * R)
    S = sum(np.outer(row, row) for row in (np.outer(a, c[0]).ravel() for a, c in zip(inputs, gradients, strict=True)))
    exact = -np.linalg.solve(S + 0.1 * np.eye(P * R), g)
    np.testing.assert_allclose(first_step(EKFAC(1.0, 0.1), g, F)[0], exact, rtol=1e-10, atol=1e-12)
    unseen = R * rows[0] + 1  # the input of the first sample, the gradient of the second: K-FAC multiplies the two
    kfac = first_step(KFAC(1.0, 0.1), g, F)[0]
    assert abs(kfac[unseen]) < 0.5 * abs(exact[unseen]) == pytest.approx(5.0 * abs(g[unseen]))


def test_independent_inputs_give_kfac(rng):
    """One input for all samples: the curvature is the Kronecker product, and the two optimisers agree."""
    inputs, gradients = np.tile(rng.standard_normal(P), (B, 1)), rng.standard_normal((B, K, R))
    F, g = KroneckerCurvature.from_samples(inputs, gradients), rng.standard_normal(P * R)
    ekfac, kfac = (first_step(make(1.0, 0.1), g, F)[0] for make in (EKFAC, KFAC))
    np.testing.assert_allclose(ekfac, kfac, rtol=1e-10, atol=1e-11)


def test_options_are_those_of_kfac(rng):
    F, g = curvature(samples(rng), rng.random(2)), rng.standard_normal(N)
    _, state = first_step(EKFAC(1.0, 1e-2, kl_clip=1e-3), g, F)
    assert state.report.clipped == "max"
    optimizer = EKFAC(1.0, 1e-2, momentum=0.5)
    first, state = first_step(optimizer, g, F)
    second, _ = optimizer.step(first, g, F, state)
    np.testing.assert_allclose(second - first, 1.5 * first, rtol=1e-8, atol=1e-9)  # the same batch twice
    assert optimizer.tracking == Tracking(eigenvalues="samples")
    with pytest.raises(TypeError):
        EKFAC(1.0, split="pi")


def test_a_run_goes_on_from_a_file(rng):
    batches, gradients = [curvature(samples(rng), rng.random(2)) for _ in range(7)], rng.standard_normal((7, N))

    def run(theta, state, steps):
        optimizer = EKFAC(0.1, 1e-2, momentum=0.9, tracking=Tracking(interval=3))
        state = optimizer.init(theta) if state is None else state
        for i in steps:
            theta, state = optimizer.step(theta, gradients[i], batches[i], state)
        return theta, state

    straight, _ = run(np.zeros(N), None, range(7))
    half, middle = run(np.zeros(N), None, range(4))
    file = io.BytesIO()
    np.savez(file, **middle.arrays)
    file.seek(0)
    with np.load(file) as arrays:
        resumed, _ = run(half, State(step=middle.step, arrays=dict(arrays)), range(4, 7))
    np.testing.assert_array_equal(resumed, straight)


def test_bad_steps_are_named_and_change_nothing(rng):
    F, g = curvature(samples(rng), rng.random(2)), rng.standard_normal(N)
    optimizer = EKFAC(0.1)
    theta, state = first_step(optimizer, g, F)
    before = {name: value.copy() for name, value in state.arrays.items()}
    without = BlockCurvature([KroneckerCurvature(F.blocks[0].A, F.blocks[0].G), F.blocks[1]])
    bad = [
        (g, without, "from_samples"),
        (g, DenseCurvature(np.eye(N)), "curvature has 1 blocks"),
        (np.full(N, np.nan), F, "gradient must be finite"),
        (g[1:], F, "gradient must have shape"),
    ]
    for gradient, given, words in bad:
        with pytest.raises(ValueError, match=words):
            optimizer.step(theta, gradient, given, state)
    for name, value in before.items():
        np.testing.assert_array_equal(state.arrays[name], value)
