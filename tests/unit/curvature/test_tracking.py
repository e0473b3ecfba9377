"""Moving averages of curvatures: undamped, unbiased from the first batch on, in eigenbases that are kept."""

import io

import numpy as np
import pytest

from thermolinalg.curvature import (
    BlockCurvature,
    DenseCurvature,
    DiagonalCurvature,
    KroneckerCurvature,
    LowRankCurvature,
    Tracking,
)

P, R = 4, 3


def batch(rng, s=1):
    """Three blocks: a layer with samples, a full matrix, a diagonal."""
    inputs, gradients = rng.standard_normal((12, s, P)), rng.standard_normal((12, 2, s, R))
    rows = rng.standard_normal((5, 3))
    layer = KroneckerCurvature.from_samples(inputs, gradients)
    return BlockCurvature([layer, DenseCurvature(rows.T @ rows), DiagonalCurvature(rng.random(2))])


def run(tracking, batches, arrays=None):
    history = [{} if arrays is None else arrays]
    for F in batches:
        history.append(tracking.update(history[-1], F))
    return history[1:]


def weighted_mean(values, decay):
    weights = decay ** np.arange(len(values))[::-1]
    return np.tensordot(weights / weights.sum(), np.array(values), 1)


def refreshed(history):
    """At which batches (from 0) the basis of the first block changed."""
    bases = [arrays["VA0"] for arrays in history]
    return [0] + [i for i in range(1, len(bases)) if not np.array_equal(bases[i], bases[i - 1])]


@pytest.mark.parametrize("decay", [0.0, 0.5, 0.95])
def test_average_is_unbiased_and_undamped(rng, decay):
    batches = [batch(rng) for _ in range(6)]
    history = run(Tracking(decay=decay, interval=1), batches)
    for n, arrays in enumerate(history, 1):
        layer, full, entries = Tracking(decay=decay).curvature(arrays).blocks
        A, G = (weighted_mean([getattr(F.blocks[0], name) for F in batches[:n]], decay) for name in "AG")
        np.testing.assert_allclose(layer.A, A, rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(layer.G, G, rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(layer.dense(), np.kron(A, G), atol=1e-12)  # a fresh basis every time
        np.testing.assert_allclose(full.dense(), weighted_mean([F.blocks[1].dense() for F in batches[:n]], decay))
        np.testing.assert_allclose(entries.rates, weighted_mean([F.blocks[2].rates for F in batches[:n]], decay))


def test_no_damping_gathers_in_the_average(rng):
    """Damping that is added to the stored factor would tend to 20 times itself at decay 0.95; here none is stored."""
    F, tracking, arrays = batch(rng), Tracking(decay=0.95, interval=50), {}
    for _ in range(200):
        arrays = tracking.update(arrays, F)
        tracking.curvature(arrays).damped(0.1).function(np.reciprocal, np.ones(F.size))
    np.testing.assert_allclose(tracking.curvature(arrays).dense(), F.dense(), atol=1e-11)


def test_constant_curvature_comes_back_at_once(rng):
    F = batch(rng)
    for arrays in run(Tracking(decay=0.99), [F, F, F]):
        np.testing.assert_allclose(Tracking().curvature(arrays).dense(), F.dense(), atol=1e-12)


def test_bases_are_renewed_once_per_interval(rng):
    history = run(Tracking(interval=3), [batch(rng) for _ in range(8)])
    assert refreshed(history) == [0, 3, 6]


def test_a_stale_basis_is_renewed_when_it_costs_too_much(rng):
    """One direction all along, then another: the basis is found anew when the second outweighs what is allowed."""

    def layer(angle):
        u = np.array([np.cos(angle), np.sin(angle)])
        return KroneckerCurvature(np.eye(2) + 5.0 * np.outer(u, u), np.diag([1.0, 2.0]))

    tracking, limit = Tracking(decay=0.5, staleness=0.2), 0.2
    batches = [layer(0.0)] * 5 + [layer(0.7)] * 5
    history = run(tracking, batches)
    expected, mean, basis = [], None, None
    for n in range(len(batches)):
        mean = weighted_mean([F.A for F in batches[: n + 1]], 0.5)
        inside = None if basis is None else basis.T @ mean @ basis
        if basis is None or np.linalg.norm(inside - np.diag(np.diag(inside))) > limit * np.linalg.norm(inside):
            expected.append(n)
            basis = np.linalg.eigh(mean)[1]
    assert refreshed(history) == expected
    assert 1 < len(expected) < 5


def test_eigenvalues_in_a_kept_basis_are_the_ones_asked_for(rng):
    batches = [batch(rng) for _ in range(3)]
    options = {name: Tracking(decay=0.5, interval=100, eigenvalues=name) for name in ("cached", "current", "samples")}
    layers = {name: option.curvature(run(option, batches)[-1]).blocks[0] for name, option in options.items()}
    first = batches[0].blocks[0]
    Q = np.kron(*first.bases)
    cached = np.kron(np.linalg.eigvalsh(first.A), np.linalg.eigvalsh(first.G))
    np.testing.assert_allclose(layers["cached"].dense(), Q @ np.diag(cached) @ Q.T, atol=1e-12)
    A, G = (weighted_mean([getattr(F.blocks[0], name) for F in batches], 0.5) for name in "AG")
    current = np.diag(Q.T @ np.kron(A, G) @ Q)
    np.testing.assert_allclose(layers["current"].dense(), Q @ np.diag(current) @ Q.T, atol=1e-12)
    S = weighted_mean([np.einsum("nka,nkb->ab", *[_per_sample(F.blocks[0])] * 2) for F in batches], 0.5)
    np.testing.assert_allclose(layers["samples"].dense(), Q @ np.diag(np.diag(Q.T @ S @ Q)) @ Q.T, atol=1e-12)


def _per_sample(layer):
    inputs, gradients = layer.samples
    return np.einsum("nsp,nksr->nkpr", inputs, gradients).reshape(len(inputs), -1, P * R)


def test_second_moments_are_carried_to_a_new_basis(rng):
    """As the diagonal, in the new basis, of the matrix that they stood for in the old one."""
    tracking = Tracking(decay=0.5, interval=2, eigenvalues="samples")
    batches = [batch(rng, s=2) for _ in range(3)]
    history = run(tracking, batches)
    before, after = (tracking.curvature(arrays).blocks[0] for arrays in history[1:])
    Q = np.kron(*after.bases)
    carried = np.diag(Q.T @ before.dense() @ Q)
    rows = _per_sample(batches[2].blocks[0]).reshape(-1, P * R) @ Q
    weight = 0.5 * float(history[1]["weight"])
    np.testing.assert_allclose(after.rates, (weight * carried + 0.5 * (rows**2).sum(axis=0)) / (weight + 0.5))


def test_a_relabelled_basis_changes_nothing(rng):
    """Signs and order of the eigenvectors are arbitrary: carrying over is blind to them."""
    tracking = Tracking(decay=0.9, interval=1, eigenvalues="samples")
    F = batch(rng)
    arrays = tracking.update({}, F)
    flipped = dict(arrays)
    order = rng.permutation(P)
    flipped["VA0"], flipped["s0"] = -arrays["VA0"][:, order], arrays["s0"][order]
    ours, other = (tracking.curvature(tracking.update(kept, F)).dense() for kept in (arrays, flipped))
    np.testing.assert_allclose(ours, other, atol=1e-12)


@pytest.mark.parametrize("eigenvalues", ["cached", "current", "samples"])
def test_a_run_goes_on_from_a_file(rng, eigenvalues):
    tracking = Tracking(interval=2, eigenvalues=eigenvalues)
    batches = [batch(rng) for _ in range(7)]
    straight = run(tracking, batches)[-1]
    file = io.BytesIO()
    np.savez(file, **run(tracking, batches[:3])[-1])
    file.seek(0)
    with np.load(file) as kept:
        resumed = run(tracking, batches[3:], dict(kept))[-1]
    assert straight.keys() == resumed.keys()
    for name, value in straight.items():
        np.testing.assert_array_equal(resumed[name], value)


def test_arrays_of_others_are_left_alone(rng):
    F, tracking = batch(rng), Tracking()
    mixed = tracking.update({"momentum": np.ones(3)}, F)
    assert "momentum" not in mixed
    again = tracking.update(mixed | {"momentum": np.ones(3)}, F)
    assert again.keys() == mixed.keys()
    assert int(again["count"]) == 2


def test_update_changes_nothing_it_was_given(rng):
    tracking = Tracking(interval=1)
    arrays = tracking.update({}, batch(rng))
    copies = {name: value.copy() for name, value in arrays.items()}
    tracking.update(arrays, batch(rng))
    for name, value in copies.items():
        np.testing.assert_array_equal(arrays[name], value)


def test_a_single_curvature_is_one_block(rng):
    F = DiagonalCurvature([1.0, 2.0])
    np.testing.assert_allclose(Tracking().curvature(Tracking().update({}, F)).dense(), F.dense())


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"decay": 1.0}, "decay must be in"),
        ({"decay": -0.1}, "decay must be non-negative"),
        ({"interval": 0}, "interval must be at least 1"),
        ({"staleness": 0.0}, "staleness must be positive"),
        ({"eigenvalues": "new"}, "eigenvalues must be one of"),
    ],
)
def test_bad_options_are_named(options, words):
    with pytest.raises(ValueError, match=words):
        Tracking(**options)


def test_what_cannot_be_averaged_is_named(rng):
    tracking = Tracking()
    with pytest.raises(ValueError, match=r"block 0 .* is a LowRankCurvature, which has no average"):
        tracking.update({}, LowRankCurvature(np.eye(2)))
    layer = KroneckerCurvature(np.eye(2), np.eye(3))
    arrays = tracking.update({}, layer)
    for other in (KroneckerCurvature(np.eye(3), np.eye(2)), DiagonalCurvature(np.ones(6)), DenseCurvature(np.eye(6))):
        with pytest.raises(ValueError, match="block 0 of the curvature is unlike that of earlier steps"):
            tracking.update(arrays, other)
    with pytest.raises(ValueError, match="curvature has 2 blocks, that of earlier steps 1"):
        tracking.update(arrays, BlockCurvature([layer, layer]))
    with pytest.raises(ValueError, match="from_samples"):
        Tracking(eigenvalues="samples").update({}, layer)
