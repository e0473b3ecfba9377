"""Cotangents against finite differences of the log-likelihoods, written out here."""

import numpy as np
import pytest

import thermolinalg as tl
from tests.oracles import mp
from thermolinalg.curvature import cotangents
from thermolinalg.curvature.cotangents import LIKELIHOODS

B, P, Z = 3, 2, 4


def minus_log_likelihood(likelihood, f, y):
    """Of one prediction f (z,): y is a class, or (z,) numbers."""
    if likelihood == "softmax":
        return -np.log(np.exp(f[int(y)]) / np.exp(f).sum())
    if likelihood == "bernoulli":
        q = 1.0 / (1.0 + np.exp(-f))
        return -np.sum(y * np.log(q) + (1.0 - y) * np.log(1.0 - q))
    return 0.5 * np.sum((y - f) ** 2)


def draw_labels(rng, likelihood, outputs):
    if likelihood == "softmax":
        return rng.integers(outputs.shape[-1], size=outputs.shape[:-1])
    y = rng.standard_normal(outputs.shape)
    return (y > 0.0).astype(float) if likelihood == "bernoulli" else y


def derivatives(likelihood, f, y, h=1e-3):
    """Gradient and Hessian of minus log-likelihood in f by differences that are exact to fourth order in h."""
    z = len(f)
    e = h * np.eye(z)

    def loss(d):
        return minus_log_likelihood(likelihood, f + d, y)

    gradient = np.array([(8 * (loss(d) - loss(-d)) - (loss(2 * d) - loss(-2 * d))) / (12 * h) for d in e])

    def second(u, v, k):
        return (loss(k * (u + v)) - loss(k * (u - v)) - loss(k * (v - u)) + loss(-k * (u + v))) / (4 * k**2 * h**2)

    hessian = np.array([[(4 * second(u, v, 1) - second(u, v, 2)) / 3 for v in e] for u in e])
    return gradient, hessian


def of_each_sample(c):
    """Sum of outer products of the cotangents of each sample, (b, p z, p z)."""
    flat = c.reshape(*c.shape[:2], -1)
    return np.einsum("bki,bkj->bij", flat, flat)


def exact_hessians(likelihood, outputs):
    """(b, p z, p z) of the mean of minus log-likelihood over all b p predictions, block diagonal in positions."""
    b, p, z = outputs.shape
    out = np.zeros((b, p, z, p, z))
    for i in range(b):
        for t in range(p):
            out[i, t, :, t] = derivatives(likelihood, outputs[i, t], 0.0)[1] / (b * p)
    return out.reshape(b, p * z, p * z)


@pytest.mark.parametrize("kind", ["exact", "ggn"])
@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_outer_products_add_up_to_the_hessian(rng, kind, likelihood):
    outputs = rng.standard_normal((B, P, Z))
    expected = exact_hessians(likelihood, outputs)
    c = cotangents(kind, outputs, likelihood=likelihood)
    assert c.shape == (B, P * Z, P, Z)
    np.testing.assert_allclose(of_each_sample(c), expected, atol=1e-8)
    flat = cotangents(kind, outputs[:, 0], likelihood=likelihood)
    assert flat.shape == (B, Z, Z)
    np.testing.assert_allclose(of_each_sample(flat), expected[:, :Z, :Z] * P, atol=1e-8)


@pytest.mark.parametrize("positions", [False, True])
@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_sampled_is_unbiased_for_exact(rng, likelihood, positions):
    outputs = rng.standard_normal((B, P, Z) if positions else (B, Z))
    expected = exact_hessians(likelihood, outputs if positions else outputs[:, None])
    n, n_draws = 1500, 2
    total, square = np.zeros_like(expected), np.zeros_like(expected)
    for _ in range(n):
        c = cotangents("sampled", outputs, likelihood=likelihood, n_draws=n_draws, rng=rng)
        assert c.shape == (B, n_draws, *outputs.shape[1:])
        M = of_each_sample(c)
        total, square = total + M, square + M**2
    stderr = np.sqrt((square / n - (total / n) ** 2) / (n - 1))
    # an entry that is the same for every draw (a class against itself where z = 2, say) has no stderr to speak of
    assert np.all(np.abs(total / n - expected) <= 5.0 * stderr + 1e-8)


@pytest.mark.parametrize("positions", [False, True])
@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_empirical_cotangents_are_the_gradients_of_the_samples(rng, likelihood, positions):
    outputs = rng.standard_normal((B, P, Z) if positions else (B, Z))
    labels = draw_labels(rng, likelihood, outputs)
    several = (outputs, labels) if positions else (outputs[:, None], labels[:, None])
    gradients = [[derivatives(likelihood, f, y)[0] for f, y in zip(*pair, strict=True)]
                 for pair in zip(*several, strict=True)]  # fmt: skip
    gradients = np.reshape(gradients, (B, -1)) / np.sqrt(B * (P if positions else 1))
    c = cotangents("empirical", outputs, likelihood=likelihood, labels=labels)
    assert c.shape == (B, 1, *outputs.shape[1:])
    np.testing.assert_allclose(c.reshape(B, -1), gradients, atol=1e-9)


def test_sampled_labels_are_distributed_as_the_model(rng):
    """Frequencies of the classes, read off the sign of the cotangents, within 5 stderr."""
    logits = np.array([[0.0, 1.0, -1.0]])
    probability = np.exp(logits[0]) / np.exp(logits[0]).sum()
    n = 20_000
    c = cotangents("sampled", logits, n_draws=n, rng=rng)[0]
    frequency = np.mean(c < 0.0, axis=0)
    assert np.all(np.abs(frequency - probability) < 5.0 * np.sqrt(probability * (1 - probability) / n))


def test_sampled_cotangents_follow_the_seed(rng):
    outputs = rng.standard_normal((B, Z))
    same = [cotangents("sampled", outputs, rng=7) for _ in range(2)]
    np.testing.assert_array_equal(*same)
    assert not np.array_equal(same[0], cotangents("sampled", outputs, rng=8))


@pytest.mark.parametrize("positions", [False, True])
def test_a_given_hessian_is_reproduced(rng, positions):
    outputs = rng.standard_normal((B, P, Z) if positions else (B, Z))
    roots = rng.standard_normal((*outputs.shape, 2))  # rank 2
    hessian = np.einsum("...ik,...jk->...ij", roots, roots)
    c = cotangents("ggn", outputs, hessian=hessian)
    n = outputs[..., 0].size
    blocks = np.einsum("bktz,bktw->btzw", *[c.reshape(B, -1, P if positions else 1, Z)] * 2)
    np.testing.assert_allclose(blocks.reshape(hessian.shape), hessian / n, atol=1e-12)
    assert np.linalg.norm(of_each_sample(c)) == pytest.approx(np.linalg.norm(hessian) / n)  # nothing off the blocks


@pytest.mark.parametrize("output", [-40.0, 30.0, 36.0, 40.0, 600.0])
def test_very_sure_predictions_keep_their_digits(output):
    mean = 1 / (1 + mp.exp(-mp.mpf(output)))
    root = cotangents("exact", [[output]], likelihood="bernoulli")[0, 0, 0]
    assert root**2 == pytest.approx(float(mean / (1 + mp.exp(mp.mpf(output)))), rel=1e-12, abs=0.0)


def test_hessians_of_single_precision_are_symmetric_to_its_rounding(rng):
    rows = rng.standard_normal((2, 3, 3))
    H = (rows @ rows.transpose(0, 2, 1)).astype(np.float32)
    H[:, 0, 1] *= 1.0 + 2.0**-22
    c = cotangents("ggn", np.zeros((2, 3)), hessian=H)
    np.testing.assert_allclose(np.einsum("bkz,bky->bzy", c, c), H / 2.0, atol=1e-5)


def test_very_sure_predictions_stay_finite():
    for likelihood in ("softmax", "bernoulli"):
        assert np.isfinite(cotangents("exact", [[1e4, -1e4]], likelihood=likelihood)).all()


def empirical_problem(rng, b, N, z=3):
    """A model linear in its parameters, its rows for the empirical Fisher, and the gradient of its mean loss."""
    J, theta = rng.standard_normal((b, z, N)), 0.1 * rng.standard_normal(N)
    labels = rng.integers(z, size=b)
    rows = np.einsum("bkz,bzn->bkn", cotangents("empirical", J @ theta, labels=labels), J).reshape(b, N)
    output_gradients = np.array([derivatives("softmax", f, y)[0] for f, y in zip(J @ theta, labels, strict=True)])
    return rows, np.einsum("bz,bzn->n", output_gradients, J) / b


def test_empirical_fisher_is_degenerate(rng):
    """g^T F^-1 g is 1 for independent sample gradients, whatever the data; less with damping or more samples than N."""
    rows, gradient = empirical_problem(rng, 8, 50)
    F = tl.curvature.LowRankCurvature(rows)
    assert tl.curvature.dissipation(F, gradient) == pytest.approx(1.0, abs=1e-8)
    damped = [tl.curvature.dissipation(F, gradient, damping=damping) for damping in (1.0, 1e-3, 1e-5, 1e-7)]
    assert np.all(np.diff(damped) > 0.0)
    assert damped[-1] == pytest.approx(1.0, abs=1e-6)
    rows, gradient = empirical_problem(rng, 60, 20)
    assert tl.curvature.dissipation(tl.curvature.LowRankCurvature(rows), gradient) < 0.99


def test_exact_fisher_contains_the_gradient(rng):
    """For the exact Fisher information of the same batch the gradient has no part in the null space."""
    b, z, N = 4, 3, 30
    J, theta = rng.standard_normal((b, z, N)), rng.standard_normal(N)
    rows = np.einsum("bkz,bzn->bkn", cotangents("exact", J @ theta), J).reshape(-1, N)
    labels = rng.integers(z, size=b)
    g = np.sum([J[i].T @ derivatives("softmax", J[i] @ theta, labels[i])[0] for i in range(b)], axis=0)
    F = tl.curvature.LowRankCurvature(rows)
    assert F.rank == b * (z - 1)
    assert np.linalg.norm(F.null_part(g)) < 1e-8 * np.linalg.norm(g)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("fisher", [[0.0, 1.0]]), "kind must be one of"),
        (("exact", [0.0, 1.0]), "outputs must have shape"),
        (("exact", np.ones((0, 2))), "outputs must have shape"),
        (("exact", [[np.nan, 1.0]]), "outputs must be finite"),
        (("exact", [[0.0, 1.0]], {"likelihood": "poisson"}), "likelihood must be one of"),
        (("sampled", [[0.0, 1.0]], {"n_draws": 0}), "n_draws must be at least 1"),
        (("empirical", [[0.0, 1.0]]), "needs labels"),
        (("empirical", [[0.0, 1.0]], {"labels": [2]}), "labels must be classes 0 to 1, got 2 to 2"),
        (("empirical", [[0.0, 1.0]], {"labels": [0.5]}), "labels must be classes 0 to 1, whole numbers, got 0.5"),
        (("empirical", [[0.0, 1.0]], {"labels": [-1]}), "labels must be classes"),
        (("empirical", [[0.0, 1.0]], {"labels": [0.5]}), "labels must be classes"),
        (("empirical", [[0.0, 1.0]], {"labels": [0, 1]}), "labels must be one class for each prediction"),
        (("empirical", np.ones((3, 2, 4)), {"labels": np.ones((2, 3))}), "labels must be one class"),
        (("empirical", np.ones((3, 2)), {"labels": np.ones((2, 3)), "likelihood": "gaussian"}), "shape of outputs"),
        (("empirical", [[0.0]], {"labels": [[2.0]], "likelihood": "bernoulli"}), "probabilities 0 to 1"),
        (("exact", [[0.0, 1.0]], {"hessian": np.eye(2)[None]}), 'hessian is for kind="ggn"'),
        (("sampled", [[0.0, 1.0]], {"hessian": np.eye(2)[None]}), 'hessian is for kind="ggn"'),
        (("ggn", [[0.0, 1.0]], {"hessian": np.eye(2)}), "hessian must hold one"),
        (("ggn", np.ones((3, 2, 2)), {"hessian": np.ones((2, 3, 2, 2))}), "hessian must hold one"),
        (("ggn", [[0.0, 1.0]], {"hessian": -np.eye(2)[None]}), "hessian must be positive semidefinite"),
        (("ggn", [[0.0, 1.0]], {"hessian": [[[1.0, 2.0], [0.0, 1.0]]]}), "hessian must be symmetric"),
    ],
)
def test_bad_input_is_named(arguments, words):
    kind, outputs, *options = arguments
    with pytest.raises(ValueError, match=words):
        cotangents(kind, outputs, **(options[0] if options else {}))
