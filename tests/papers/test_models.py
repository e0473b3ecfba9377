"""Derivatives of the networks against finite differences, and the identities that rows and factors obey."""

import os
import zlib
from functools import cache

import numpy as np
import pytest
from scipy.special import expit, log_softmax, softmax

import thermolinalg as tl
from paper_repro import models
from paper_repro.differentiation import Model
from paper_repro.layers import Block, Field, layer_gram

pytestmark = pytest.mark.usefixtures("quick_compilation")
B, K = 3, 2  # samples, cotangents a sample
SEED = int(os.environ.get("THERMOLINALG_SEED", "0"))  # as in conftest


def texts(rng, b=B):
    return rng.integers(5, size=(b, 4))


def graphs(rng, b=B):
    """Symmetric weights, the last node of the first graph being padding."""
    weights = rng.random((b, 4, 4))
    mask = np.ones((b, 4))
    mask[0, 3] = 0.0
    weights = (weights + weights.transpose(0, 2, 1)) * mask[:, :, None] * mask[:, None]
    return {"adjacency": weights, "features": rng.standard_normal((b, 4, 3)) * mask[..., None], "mask": mask}


def floats(*shape):
    return lambda rng, b=B: rng.standard_normal((b, *shape))


def base():
    return models.transformer(vocabulary=5, width=4, heads=2, depth=1, context=6)


CASES = {  # smooth activations, for the finite differences
    "mlp": (lambda: models.mlp((4, 5, 3)), floats(4)),
    "conv": (lambda: models.conv_net((4, 3, 2), 3, 2, 2, 3, activation="gelu"), floats(4, 3, 2)),
    "residual": (lambda: models.residual_conv_net((4, 4, 1), 2, 2, 3, activation="tanh"), floats(4, 4, 1)),
    "graph": (lambda: models.graph_convolution(3, (4, 3), 2, activation="sigmoid"), graphs),
    "node": (lambda: models.graph_convolution(3, 4, 2, level="node", activation="tanh"), graphs),
    "text": (base, texts),
    "lora": (lambda: models.lora(base(), base().init(0), rank=2), texts),
    "vision": (lambda: models.vision_transformer((4, 4, 1), 2, 4, 2, 1, 3), floats(4, 4, 1)),
    "regression": (lambda: models.mlp((3, 4, 2), likelihood="gaussian"), floats(3)),
}


LARGE = ("residual", "text", "lora", "vision")  # they take long to compile


def slope(f, theta, u, step=2e-5):
    """Derivative of f along u from four values, in error by a multiple of step^4."""
    near, far = (f(theta + h * u) - f(theta - h * u) for h in (step, 2 * step))
    return (8 * near - far) / (12 * step)


@cache
def case(name):
    """A model, parameters, a batch, cotangents and labels."""
    rng = np.random.default_rng(zlib.crc32(name.encode()) + (SEED << 32))
    model = CASES[name][0]()
    theta = model.init(rng) + 0.3 * rng.standard_normal(model.size)
    inputs = CASES[name][1](rng)
    f = model.outputs(theta, inputs)
    cotangents = rng.standard_normal((B, K, *f.shape[1:]))
    labels = {
        "softmax": rng.integers(model.output_size, size=f.shape[:2]),
        "bernoulli": rng.integers(2, size=f.shape).astype(float),
        "gaussian": rng.standard_normal(f.shape),
    }[model.likelihood]
    return model, theta, inputs, cotangents, labels


def slopes(name, directions):
    """The Jacobian times directions (n, N) by differences, (b, p, z, n)."""
    model, theta, inputs = case(name)[:3]
    return np.stack([slope(lambda t: model.outputs(t, inputs), theta, u) for u in directions], axis=-1)


@cache
def jacobian(name):
    """(b, p, z, N)."""
    return slopes(name, np.eye(case(name)[0].size))


@cache
def rows_of(name):
    """The rows one by one, differentiated in all parameters together; those of large networks are from `test_rows`."""
    model, theta, inputs, c = case(name)[:4]
    if name in LARGE:
        return model.rows(theta, inputs, c)
    alone = np.eye(B)[:, :, None, None]
    return np.stack([model.vjp(theta, inputs, alone[i] * c[i, j]) for i in range(B) for j in range(K)])


def one(inputs, i):
    """The batch of sample i alone."""
    return {k: v[i : i + 1] for k, v in inputs.items()} if isinstance(inputs, dict) else inputs[i : i + 1]


def negative_log_likelihood(likelihood, f, y):
    """Of each prediction, in NumPy."""
    if likelihood == "softmax":
        return -np.take_along_axis(log_softmax(f, axis=-1), y[..., None], axis=-1)[..., 0]
    if likelihood == "bernoulli":
        return -(y * np.log(expit(f)) + (1 - y) * np.log(expit(-f))).sum(axis=-1)
    return ((y - f) ** 2).sum(axis=-1) / 2


def hessian(likelihood, f):
    """(b, p, z, z), from the definition of each likelihood."""
    if likelihood == "gaussian":
        return np.broadcast_to(np.eye(f.shape[-1]), (*f.shape, f.shape[-1]))
    mean = softmax(f, axis=-1) if likelihood == "softmax" else expit(f)
    diagonal = mean if likelihood == "softmax" else mean * (1 - mean)
    H = diagonal[..., None] * np.eye(f.shape[-1])
    return H - mean[..., None] * mean[..., None, :] if likelihood == "softmax" else H


@pytest.mark.parametrize("name", CASES)
class TestRows:
    """The Jacobian of every architecture, whole and layer by layer."""

    def test_layers_cover_the_parameters(self, name):
        model, theta = case(name)[:2]
        assert [layer.start for layer in model.layers] == [0, *(layer.stop for layer in model.layers[:-1])]
        assert model.layers[-1].stop == model.size
        assert all(np.prod(layer.shape) == layer.stop - layer.start for layer in model.layers)
        np.testing.assert_array_equal(np.concatenate([a.ravel() for a in model.arrays(theta).values()]), theta)

    def test_rows(self, name, rng):
        """Along directions in which no parameter stands still: an error in any column shows."""
        model, theta, inputs, c, _ = case(name)
        rows = model.rows(theta, inputs, c)
        assert rows.shape == (B * K, model.size)
        u = rng.standard_normal((6, model.size)) / np.sqrt(model.size)
        expected = np.einsum("bkpz,bpzn->bkn", c, slopes(name, u)).reshape(B * K, -1)
        np.testing.assert_allclose(rows @ u.T, expected, atol=1e-8, rtol=1e-7)
        if name not in LARGE:
            np.testing.assert_allclose(rows, rows_of(name), atol=1e-12, rtol=1e-10)

    def test_inputs_and_gradients_of_the_layers_make_the_rows(self, name):
        model, theta, inputs, c, _ = case(name)
        rows = rows_of(name)
        kronecker = [layer for layer in model.layers if layer.kronecker]
        others = [layer for layer in model.layers if not layer.kronecker]
        pairs, blocks = model.backward(theta, inputs, c)
        for layer, (a, g) in zip(kronecker, pairs, strict=True):
            assert (a.shape[0], a.shape[2]) == (B, layer.shape[0])
            assert g.shape == (B, K, a.shape[1], layer.shape[1])
            block = np.einsum("bsn,bksr->bknr", a, g).reshape(B * K, -1)
            np.testing.assert_allclose(block, rows[:, layer.start : layer.stop], atol=1e-12, rtol=1e-10)
        for layer, block in zip(others, blocks, strict=True):
            np.testing.assert_allclose(block, rows[:, layer.start : layer.stop], atol=1e-12, rtol=1e-10)
        np.testing.assert_array_equal(model.kronecker_inputs(theta, inputs, c)[0][1], pairs[0][1])
        np.testing.assert_allclose(model.gram(theta, inputs, c), rows @ rows.T, atol=1e-11, rtol=1e-10)


@pytest.mark.parametrize("name", ["mlp", "graph", "node", "regression"])
class TestDerivatives:
    """What else is differentiated, the same way for every architecture: each likelihood, one or several outputs."""

    def test_products_with_the_jacobian(self, name, rng):
        model, theta, inputs, c, _ = case(name)
        J, v = jacobian(name), rng.standard_normal(model.size)
        jvp, vjp = model.jvp(theta, inputs, v), model.vjp(theta, inputs, c[:, 0])
        np.testing.assert_allclose(jvp, J @ v, atol=1e-6, rtol=1e-6)
        assert np.sum(jvp * c[:, 0]) == pytest.approx(vjp @ v, rel=1e-11, abs=1e-11)
        np.testing.assert_allclose(vjp, np.einsum("bpz,bpzn->n", c[:, 0], J), atol=1e-6, rtol=1e-6)

    def test_loss_and_gradient(self, name, rng):
        model, theta, inputs, _, labels = case(name)
        mask = np.arange(labels.shape[0] * labels.shape[1]).reshape(labels.shape[:2]) % 3 != 1
        loss, gradient = model.loss_and_gradient(theta, inputs, labels)
        each = negative_log_likelihood(model.likelihood, model.outputs(theta, inputs), labels)
        assert loss == pytest.approx(each.mean(), rel=1e-12)
        assert model.loss(theta, inputs, labels) == pytest.approx(loss, rel=1e-12)
        assert model.loss(theta, inputs, labels, mask=mask) == pytest.approx(each[mask].mean(), rel=1e-12)
        v = rng.standard_normal((5, model.size)) / np.sqrt(model.size)
        found = [slope(lambda t: model.loss(t, inputs, labels), theta, u) for u in v]
        np.testing.assert_allclose(v @ gradient, found, atol=1e-7, rtol=1e-6)

    def test_per_sample_gradients(self, name):
        model, theta, inputs, _, labels = case(name)
        mask = np.ones(labels.shape[:2])
        mask[0, 0] = 0.0
        gradients = model.per_sample_gradients(theta, inputs, labels, mask=mask)
        np.testing.assert_allclose(
            gradients.mean(axis=0), model.loss_and_gradient(theta, inputs, labels, mask=mask)[1], atol=1e-12
        )
        # the gradient in the outputs is mean minus target for each of the likelihoods
        f = model.outputs(theta, inputs)
        mean = {"softmax": lambda: softmax(f, axis=-1), "bernoulli": lambda: expit(f), "gaussian": lambda: f}
        target = np.eye(model.output_size)[labels] if model.likelihood == "softmax" else labels
        residual = (mean[model.likelihood]() - target) * mask[..., None] * B / mask.sum()
        expected = np.einsum("bpz,bpzn->bn", residual, jacobian(name))
        np.testing.assert_allclose(gradients, expected, atol=1e-6, rtol=1e-6)

    def test_generalised_gauss_newton(self, name, rng):
        model, theta, inputs = case(name)[:3]
        J, v = jacobian(name), rng.standard_normal(model.size)
        f = model.outputs(theta, inputs)
        H, p = hessian(model.likelihood, f), f.shape[1]
        product = model.ggn_product(theta, inputs, v)
        np.testing.assert_allclose(product, np.einsum("bpzn,bpzy,bpy->n", J, H, J @ v) / (B * p), atol=2e-6, rtol=1e-6)


@pytest.mark.parametrize("name", ["mlp", "graph", "regression"])
def test_gauss_newton_of_the_curvature_of_the_library(name, rng):
    model, theta, inputs = case(name)[:3]
    v = rng.standard_normal(model.size)
    c = tl.curvature.cotangents("exact", model.outputs(theta, inputs), likelihood=model.likelihood)
    F = tl.curvature.LowRankCurvature(model.rows(theta, inputs, c), gram=model.gram(theta, inputs, c))
    np.testing.assert_allclose(F.matvec(v), model.ggn_product(theta, inputs, v), atol=1e-11, rtol=1e-9)


@pytest.mark.parametrize(("s", "n", "k", "r"), [(1, 3, 2, 2), (6, 2, 2, 3), (2, 9, 5, 4)])
def test_gram_of_a_layer(rng, s, n, k, r):
    a, g = rng.standard_normal((4, s, n)), rng.standard_normal((4, k, s, r))
    expected = np.einsum("isn,jtn,iksr,jltr->ikjl", a, a, g, g).reshape(4 * k, 4 * k)
    np.testing.assert_allclose(layer_gram(a, g), expected, atol=1e-11)


def test_kronecker_factors_of_one_sample_are_its_curvature(rng):
    model, theta, inputs = case("mlp")[:3]
    x = one(inputs, 0)
    c = tl.curvature.cotangents("exact", model.outputs(theta, x))
    rows = model.rows(theta, x, c)
    for layer, (a, g) in zip(model.layers, model.kronecker_inputs(theta, x, c), strict=True):
        block = rows[:, layer.start : layer.stop]
        F = tl.curvature.KroneckerCurvature.from_samples(a, g)
        v = rng.standard_normal(layer.stop - layer.start)
        np.testing.assert_allclose(F.matvec(v), block.T @ (block @ v), atol=1e-12)


def test_accuracy():
    model, theta, inputs, _, labels = case("text")
    right = model.outputs(theta, inputs).argmax(axis=-1) == labels
    assert model.accuracy(theta, inputs, labels) == pytest.approx(right.mean())
    mask = np.zeros(labels.shape, dtype=bool)
    mask[1, 2] = True
    assert model.accuracy(theta, inputs, labels, mask=mask) == pytest.approx(float(right[1, 2]))
    model, theta, inputs, _, labels = case("graph")
    right = (model.outputs(theta, inputs) > 0) == (labels == 1.0)
    assert model.accuracy(theta, inputs, labels) == pytest.approx(right.mean())
    with pytest.raises(ValueError, match="loss only"):
        case("regression")[0].accuracy(np.zeros(26), np.zeros((1, 3)), np.zeros((1, 2)))


def test_one_prediction_needs_no_axis():
    model, theta, inputs, _, labels = case("mlp")
    assert model.loss(theta, inputs, labels[:, 0]) == model.loss(theta, inputs, labels)


def test_masked_gauss_newton_is_that_of_the_predictions_that_count():
    model, theta, inputs = case("node")[:3]
    v = np.ones(model.size)
    first = np.zeros((B, 4))
    first[1] = 1.0
    alone = model.ggn_product(theta, one(inputs, 1), v)
    np.testing.assert_allclose(model.ggn_product(theta, inputs, v, mask=first), alone, atol=1e-12)


def test_padding_does_not_change_a_graph(rng):
    model, theta = case("graph")[:2]
    small = graphs(rng)
    wide = {k: np.pad(v, [(0, 0)] + [(0, 2 if n == 4 else 0) for n in v.shape[1:]]) for k, v in small.items()}
    np.testing.assert_allclose(model.outputs(theta, wide), model.outputs(theta, small), atol=1e-12)


def test_initial_parameters():
    model = models.mlp((400, 50, 3), activation="relu")
    theta = model.init(7)
    np.testing.assert_array_equal(theta, model.init(7))
    assert not np.array_equal(theta, model.init(8))
    W = model.arrays(theta)["dense0"]
    assert not W[-1].any()
    assert W[:-1].std() == pytest.approx(np.sqrt(2 / 400), rel=5 / np.sqrt(2 * 400 * 50))


def test_values_do_not_compile_again_and_shapes_do():
    traced = []

    def forward(tape, x):
        traced.append(x.shape)
        return tape.affine("dense", x)[None]

    model = Model("counted", forward, [Block.dense("dense", 2, 2)], output_size=2, inputs=Field((2,)))
    for scale in (0.0, 1.0, 2.0):
        model.loss_and_gradient(np.full(model.size, scale), np.full((3, 2), scale), [0, 1, 1])
    model.loss_and_gradient(np.zeros(model.size), np.zeros((3, 2)), [0, 1, 1], mask=[[1], [0], [1]])
    assert len(traced) == 1
    model.loss_and_gradient(np.zeros(model.size), np.zeros((2, 2)), [0, 1])
    assert len(traced) == 2


def test_arrays_belong_to_the_caller():
    model, theta, inputs, c, labels = case("mlp")
    gradient = model.loss_and_gradient(theta, inputs, labels)[1]
    again = gradient.copy()
    gradient += 1.0
    np.testing.assert_array_equal(model.loss_and_gradient(theta, inputs, labels)[1], again)
    assert gradient.dtype == model.rows(theta, inputs.astype(np.float32), c).dtype == np.float64


BAD = {
    "theta short": (dict(theta=np.zeros(3)), r"theta must have shape \(43,\), got \(3,\)"),
    "theta NaN": (dict(theta=np.full(43, np.nan)), "theta must be finite"),
    "inputs shape": (dict(inputs=np.zeros((3, 5))), r"inputs must have shape \(b, 4\) with b = 3, got \(3, 5\)"),
    "one sample": (dict(inputs=np.zeros(4)), r"inputs must have shape \(b, 4\), got \(4,\)"),
    "no sample": (dict(inputs=np.zeros((0, 4))), "inputs must have shape"),
    "inputs NaN": (dict(inputs=np.full((3, 4), np.nan)), "inputs must be finite"),
    "label above": (dict(labels=[0, 1, 3]), "labels must be from 0 to 2, got 0 to 3"),
    "label below": (dict(labels=[0, -1, 2]), "labels must be from 0 to 2"),
    "label float": (dict(labels=[0.0, 1.0, 2.0]), "labels must be ints"),
    "labels few": (dict(labels=[0, 1]), "labels must be for 3 x 1 predictions"),
    "labels flat": (dict(labels=3), "labels must have shape"),
    "mask shape": (dict(mask=np.ones((3, 2))), "mask must be for 3 x 1 predictions"),
    "mask empty": (dict(mask=np.zeros((3, 1))), "not all False"),
    "mask values": (dict(mask=np.full((3, 1), 0.5)), "mask must be"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_arguments_of_a_loss(name):
    change, message = BAD[name]
    model = case("mlp")[0]
    arguments = dict(theta=np.zeros(model.size), inputs=np.zeros((3, 4)), labels=[0, 1, 2]) | change
    with pytest.raises(ValueError, match=message):
        model.loss_and_gradient(**arguments)


def test_bad_arguments_of_products():
    model, theta, inputs = case("mlp")[:3]
    for method in (model.rows, model.kronecker_inputs, model.gram):
        with pytest.raises(ValueError, match=r"cotangents must have shape \(b, k, p, 3\)"):
            method(theta, inputs, np.zeros((3, 3)))
        with pytest.raises(ValueError, match="one entry for each of the 3 samples, got 2"):
            method(theta, inputs, np.zeros((2, 1, 1, 3)))
        with pytest.raises(ValueError, match="must agree with outputs"):
            method(theta, inputs, np.zeros((3, 1, 2, 3)))
    with pytest.raises(ValueError, match="must agree with outputs"):
        model.vjp(theta, inputs, np.zeros((3, 2, 3)))
    with pytest.raises(ValueError, match="v must have shape"):
        model.jvp(theta, inputs, np.zeros(2))
    with pytest.raises(ValueError, match="v must have shape"):
        model.ggn_product(theta, inputs, np.zeros(2))


def test_bad_samples(rng):
    model, theta, inputs = case("graph")[:3]
    with pytest.raises(ValueError, match=r"inputs\['mask'\] must have shape \(b, p\) with b = 3, p = 4, got \(3, 2\)"):
        model.outputs(theta, inputs | {"mask": np.ones((3, 2))})
    with pytest.raises(ValueError, match="inputs must be a dict with adjacency, features, mask, got one with mask"):
        model.outputs(theta, {"mask": np.ones((3, 2))})
    with pytest.raises(ValueError, match="got ndarray"):
        model.outputs(theta, np.zeros(3))
    with pytest.raises(ValueError, match="labels must be probabilities"):
        model.loss(theta, inputs, np.full((3, 1, 2), 2.0))
    with pytest.raises(ValueError, match=r"labels must have shape \(b, 2\) or \(b, p, 2\), got \(3, 1, 4\)"):
        model.loss(theta, inputs, np.zeros((3, 1, 4)))


def test_what_overflows_raises():
    model, theta, inputs, _, labels = case("regression")
    with pytest.raises(FloatingPointError, match="loss of mlp 3-4-2 tanh is not finite"):
        model.loss(1e200 * theta, inputs, labels)
    with pytest.raises(FloatingPointError, match="outputs of mlp 3-4-2 tanh is not finite"):
        model.outputs(np.full(model.size, 1e308), inputs)


def test_blocks_are_refused():
    def twice(tape, x):
        return tape.affine("dense", tape.affine("dense", x))[None]

    dense = Block.dense("dense", 2, 2)
    with pytest.raises(ValueError, match="used twice"):
        Model("tied", twice, [dense], output_size=2, inputs=Field((2,))).outputs(np.zeros(6), np.zeros((1, 2)))
    for blocks in ([], [dense, dense]):
        with pytest.raises(ValueError, match="names of their own"):
            Model("bad", twice, blocks, output_size=2, inputs=Field((2,)))
