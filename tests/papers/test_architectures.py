"""The networks compute what their names say: forward passes in plain NumPy, causality, low-rank adaptation."""

import ast
import doctest
import importlib
from pathlib import Path

import numpy as np
import pytest
from scipy.signal import correlate
from scipy.special import erf, expit, softmax

from paper_repro import models

pytestmark = pytest.mark.usefixtures("quick_compilation")
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def text_model():
    return models.transformer(vocabulary=5, width=4, heads=2, depth=1, context=6)


ACTIVATIONS = {
    "tanh": np.tanh,
    "relu": lambda z: np.where(z > 0, z, 0.0),
    "sigmoid": expit,
    "gelu": lambda z: z * (1 + erf(z / np.sqrt(2))) / 2,
}


def parameters(model, rng):
    """Parameters that are nowhere zero, and by name."""
    theta = model.init(rng) + 0.3 * rng.standard_normal(model.size)
    return theta, model.arrays(theta)


def affine(W, a):
    """a @ W with the bias of W, where it has one."""
    return a @ W[: a.shape[-1]] + (W[-1] if len(W) > a.shape[-1] else 0.0)


def convolve(W, image, kernel, mode):
    """Output pixels by scipy, for W (kernel^2 channels + 1, n)."""
    filters = W[:-1].reshape(kernel, kernel, image.shape[-1], -1)
    planes = [
        sum(correlate(image[..., c], filters[..., c, n], mode=mode) for c in range(image.shape[-1]))
        for n in range(filters.shape[-1])
    ]
    return np.stack(planes, axis=-1) + W[-1]


@pytest.mark.parametrize("activation", models.ACTIVATIONS)
def test_mlp(rng, activation):
    model = models.mlp((3, 4, 4, 2), activation=activation)
    theta, W = parameters(model, rng)
    x = rng.standard_normal((2, 3))
    h = ACTIVATIONS[activation](affine(W["dense0"], x))
    h = ACTIVATIONS[activation](affine(W["dense1"], h))
    np.testing.assert_allclose(model.outputs(theta, x)[:, 0], affine(W["dense2"], h), atol=1e-12)


def test_conv_net_is_one_convolution_and_two_dense_layers(rng):
    model = models.conv_net((7, 6, 2), channels=3, kernel=3, hidden=4, classes=2, stride=2)
    theta, W = parameters(model, rng)
    image = rng.standard_normal((7, 6, 2))
    h = np.maximum(convolve(W["conv"], image, 3, "valid")[::2, ::2], 0.0)
    h = np.maximum(affine(W["dense0"], h.ravel()), 0.0)
    np.testing.assert_allclose(model.outputs(theta, image[None])[0, 0], affine(W["dense1"], h), atol=1e-12)


def test_residual_conv_net(rng):
    model = models.residual_conv_net((4, 2, 2), channels=3, blocks=2, classes=2)
    theta, W = parameters(model, rng)
    image = rng.standard_normal((4, 2, 2))
    h = convolve(W["stem"], image, 3, "same")
    for i in range(2):
        if i == 1:
            h = np.array([[h[r : r + 2, 0:2].mean(axis=(0, 1))] for r in (0, 2)])
        branch = convolve(W[f"block{i}.conv0"], np.maximum(h, 0), 3, "same")
        h = h + convolve(W[f"block{i}.conv1"], np.maximum(branch, 0), 3, "same") / np.sqrt(2)
    pooled = np.maximum(h, 0).mean(axis=(0, 1))
    np.testing.assert_allclose(model.outputs(theta, image[None])[0, 0], affine(W["head"], pooled), atol=1e-12)


def test_graph_convolution_node_by_node(rng):
    model = models.graph_convolution(2, 3, 2, level="node")
    theta, W = parameters(model, rng)
    S = np.array([[0.5, 0.2, 0.0], [0.2, 0.3, 0.4], [0.0, 0.4, 0.6]])
    x = rng.standard_normal((3, 2))
    h = np.array([np.maximum(affine(W["conv0"], sum(S[i, j] * x[j] for j in range(3))), 0) for i in range(3)])
    out = np.array([affine(W["head"], sum(S[i, j] * h[j] for j in range(3))) for i in range(3)])
    inputs = {"adjacency": S[None], "features": x[None], "mask": np.ones((1, 3))}
    np.testing.assert_allclose(model.outputs(theta, inputs)[0], out, atol=1e-12)
    assert model.likelihood == "softmax"
    of_graphs = models.graph_convolution(2, 3, 2)
    assert of_graphs.likelihood == "bernoulli"
    mean = of_graphs.outputs(theta, inputs)[0, 0]
    np.testing.assert_allclose(mean, affine(W["head"], h.mean(axis=0)), atol=1e-12)


def norm(h):
    return (h - h.mean()) / np.sqrt(h.var() + 1e-5)


def block(W, name, h, heads, causal):
    """One block of a transformer, token by token and head by head."""
    x = [norm(t) * W[f"{name}.norm0"] for t in h]
    size = len(h[0]) // heads
    mixed = np.zeros_like(h)
    for token in range(len(h)):
        seen = range(token + 1 if causal else len(h))
        for head in range(heads):
            part = slice(head * size, (head + 1) * size)
            q = (x[token] @ W[f"{name}.q"])[part]
            weights = softmax([q @ (x[s] @ W[f"{name}.k"])[part] / np.sqrt(size) for s in seen])
            mixed[token, part] = sum(w * (x[s] @ W[f"{name}.v"])[part] for w, s in zip(weights, seen, strict=True))
    h = h + mixed @ W[f"{name}.o"]
    x = np.array([norm(t) * W[f"{name}.norm1"] for t in h])
    return h + affine(W[f"{name}.dense1"], ACTIVATIONS["gelu"](affine(W[f"{name}.dense0"], x)))


def test_transformer(rng, text_model):
    model = text_model
    theta, W = parameters(model, rng)
    text = rng.integers(5, size=6)
    h = block(W, "block0", W["embedding"][text] + W["positions"], heads=2, causal=True)
    out = np.array([affine(W["head"], norm(t) * W["norm"]) for t in h])
    np.testing.assert_allclose(model.outputs(theta, text[None])[0], out, atol=1e-12)


def test_vision_transformer(rng):
    model = models.vision_transformer((4, 2, 2), patch=2, width=4, heads=1, depth=1, classes=3)
    theta, W = parameters(model, rng)
    image = rng.standard_normal((4, 2, 2))
    tiles = np.stack([image[:2].ravel(), image[2:].ravel()])
    h = block(W, "block0", affine(W["patch"], tiles) + W["positions"], heads=1, causal=False)
    out = affine(W["head"], np.mean([norm(t) * W["norm"] for t in h], axis=0))
    np.testing.assert_allclose(model.outputs(theta, image[None])[0, 0], out, atol=1e-12)


def test_no_character_sees_those_after_it(rng, text_model):
    model = text_model
    theta = parameters(model, rng)[0]
    text = rng.integers(5, size=(1, 6))
    before = model.outputs(theta, text)
    for place in range(6):
        other = text.copy()
        other[0, place] = (text[0, place] + 1) % 5
        after = model.outputs(theta, other)
        np.testing.assert_array_equal(after[0, :place], before[0, :place])
        assert np.abs(after[0, place:] - before[0, place:]).max(axis=-1).min() > 0.0
    np.testing.assert_allclose(model.outputs(theta, text[:, :3]), before[:, :3], atol=1e-12)


def test_low_rank_factors(rng, text_model):
    base = text_model
    theta = parameters(base, rng)[0]
    adapted = models.lora(base, theta, rank=2, scale=32.0)
    text = rng.integers(5, size=(1, 6))
    start = adapted.init(0)
    np.testing.assert_array_equal(adapted.outputs(start, text), base.outputs(theta, text))
    factors = start + 0.1 * rng.standard_normal(adapted.size)
    parts = adapted.arrays(factors)
    merged = theta.copy()
    for layer in base.layers:
        if layer.name.rpartition(".")[2] in ("q", "k", "v", "o"):
            merged[layer.start : layer.stop] += 16.0 * (parts[f"{layer.name}.down"] @ parts[f"{layer.name}.up"]).ravel()
    np.testing.assert_allclose(adapted.outputs(factors, text), base.outputs(merged, text), atol=1e-12)
    assert all(layer.kronecker for layer in adapted.layers)
    theta[:] = 0.0  # the frozen parameters are a copy
    np.testing.assert_allclose(adapted.outputs(factors, text), base.outputs(merged, text), atol=1e-12)


REFUSED = {
    "one size": (lambda: models.mlp([3]), "sizes must be at least two"),
    "zero size": (lambda: models.mlp([3, 0]), "sizes must be at least 1, got 0"),
    "activation": (lambda: models.mlp([3, 2], activation="step"), "activation must be one of"),
    "likelihood": (lambda: models.mlp([3, 2], likelihood="poisson"), "likelihood must be one of"),
    "image": (lambda: models.conv_net((8, 8), 1, 1, 1, 1), "image_shape must be"),
    "kernel": (lambda: models.conv_net((8, 4, 1), 1, 5, 1, 1), "kernel must be at most 4"),
    "halving": (lambda: models.residual_conv_net((6, 6, 1), 2, 3, 2), "divisible by 4 for 3 blocks"),
    "level": (lambda: models.graph_convolution(2, 3, 2, level="edge"), "level must be one of"),
    "heads": (lambda: models.transformer(5, 4, 3, 1, 6), "width must be divisible by heads"),
    "tiles": (lambda: models.vision_transformer((4, 6, 1), 4, 4, 2, 1, 3), "patch must divide 4 and 6"),
    "vision image": (lambda: models.vision_transformer((4, 4), 2, 4, 2, 1, 3), "image_shape must be"),
    "no attention": (lambda: models.lora(models.mlp([3, 2]), np.zeros(8)), "no projections named q, k, v, o"),
    "rank": (lambda: models.lora(*started(), rank=5), "rank must be at most the width, 4, got 5"),
    "scale": (lambda: models.lora(*started(), scale=0.0), "scale must be positive"),
    "context": (lambda: started()[0].outputs(started()[1], np.zeros((1, 7), int)), "at most 6 positions"),
    "vocabulary": (lambda: started()[0].outputs(started()[1], [[5]]), "inputs must be from 0 to 4, got 5 to 5"),
    "floats": (lambda: started()[0].outputs(started()[1], [[0.5]]), "inputs must be ints, got dtype float64"),
}


def started():
    model = models.transformer(vocabulary=5, width=4, heads=2, depth=1, context=6)
    return model, model.init(0)


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_fit_is_refused(name):
    build, message = REFUSED[name]
    with pytest.raises(ValueError, match=message):
        build()


def test_builders_go_by_their_names():
    assert models.BUILDERS["mlp"](sizes=[3, 2]).size == 8
    assert repr(models.mlp([3, 2])) == "Model('mlp 3-2 tanh', N=8, output_size=2, likelihood='softmax')"


@pytest.mark.parametrize("module", ["layers", "differentiation", "models", "transformers"])
def test_examples_in_the_documentation(module):
    result = doctest.testmod(importlib.import_module(f"paper_repro.{module}"), optionflags=doctest.NORMALIZE_WHITESPACE)
    assert result.attempted > 0
    assert result.failed == 0


def test_jax_is_imported_by_these_files_alone():
    found = set()
    for folder in ("thermolinalg", "analysis", "paper_repro", "figures"):
        for path in (ROOT / folder).rglob("*.py"):
            if path.parent.name == "adapters":  # imported on request only
                continue
            for node in ast.walk(ast.parse(path.read_text())):
                names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
                names += [node.module or ""] if isinstance(node, ast.ImportFrom) and node.level == 0 else []
                if any(name.split(".")[0] == "jax" for name in names):
                    found.add(str(path.relative_to(ROOT)))
    assert found == {f"paper_repro/{name}.py" for name in ("differentiation", "models", "network", "transformers")}
