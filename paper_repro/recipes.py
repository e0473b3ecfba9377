"""From names and numbers to objects: the optimiser, the device, the curvature that a training run asks for."""

import json
from dataclasses import fields
from functools import cache
from importlib import import_module

import numpy as np

from thermolinalg import Device, curvature, optimizers

from . import models, transformers

MODELS = {
    "mlp": models.mlp,
    "conv_net": models.conv_net,
    "residual_conv_net": models.residual_conv_net,
    "graph_convolution": models.graph_convolution,
    "transformer": transformers.transformer,
    "vision_transformer": transformers.vision_transformer,
}
OPTIMIZERS = {
    kind.__name__: kind
    for kind in (getattr(optimizers, name) for name in optimizers.__all__)
    if isinstance(kind, type) and issubclass(kind, optimizers.Optimizer) and kind is not optimizers.Optimizer
}
SHAPES = ("low_rank", "kronecker", "diagonal", "dense")


def make_model(name: str, options: dict):
    """The network of that name; the same one for the same options, so that it is compiled once in a process."""
    if name not in MODELS:
        raise ValueError(f"unknown model {name!r}; known: {', '.join(MODELS)}")
    return _model(name, json.dumps(options, sort_keys=True))


@cache
def _model(name: str, options: str):
    return MODELS[name](**json.loads(options))


@cache
def adapted_model(model, theta: bytes, options: str):
    """The network frozen at theta with low-rank factors, see `transformers.lora`; compiled once in a process."""
    return transformers.lora(model, np.frombuffer(theta), **json.loads(options))


def make_device(sheet: dict | None) -> Device | None:
    """A device from its data sheet; ``{"preset": "tngd"}`` starts from that preset."""
    if sheet is None:
        return None
    sheet = dict(sheet)
    preset = sheet.pop("preset", None)
    known = {field.name for field in fields(Device)}
    if unknown := set(sheet) - known:
        raise ValueError(f"device has no {', '.join(sorted(unknown))}; it has {', '.join(sorted(known))}")
    if preset not in (None, "tngd"):
        raise ValueError(f"preset must be 'tngd', got {preset!r}")
    return Device(**sheet) if preset is None else Device.tngd(**sheet)


def optimizer_class(name: str):
    """The class of that name: one of `OPTIMIZERS`, or ``"module:Class"`` for one that is defined elsewhere.

    Examples
    --------
    >>> optimizer_class("thermolinalg.optimizers:Adam") is optimizer_class("Adam")
    True
    """
    module, _, elsewhere = name.partition(":")
    if elsewhere:
        return getattr(import_module(module), elsewhere)
    if name not in OPTIMIZERS:
        raise ValueError(f"unknown optimizer {name!r}; known: {', '.join(sorted(OPTIMIZERS))}, or 'module:Class'")
    return OPTIMIZERS[name]


def make_optimizer(name: str, options: dict, seed: int):
    """The optimiser of that name; `device`, `inner`, `tracking` and an adaptive `damping` are dicts of their own.

    Optimisers with noise get a generator of their own from `seed`.
    """
    kind, options = optimizer_class(name), dict(options)
    if "device" in options:
        options["device"] = make_device(options["device"])
    if "inner" in options:
        inner = dict(options["inner"])
        options["inner"] = make_optimizer(inner.pop("name"), inner, seed)
    if isinstance(options.get("tracking"), dict):
        options["tracking"] = curvature.Tracking(**options["tracking"])
    if isinstance(options.get("damping"), dict):
        options["damping"] = optimizers.LevenbergMarquardt(**options["damping"])
    if kind in (optimizers.TNGD, optimizers.ThermodynamicKFAC):
        options.setdefault("rng", np.random.default_rng((seed, 1)))
    return kind(**options)


def make_curvature(
    model, theta, inputs, labels, *, kind="exact", shape="low_rank", sharing="expand", n_draws=1, mask=None, rng=None
):
    """Curvature of the loss of a batch.

    Parameters
    ----------
    model : paper_repro.models.Model
    theta : (N,) ndarray
    inputs, labels
        A batch.
    kind : str
        As in `thermolinalg.curvature.cotangents`.
    shape : {"low_rank", "kronecker", "diagonal", "dense"}
        "kronecker": a Kronecker block for each layer that has one, a diagonal one for the other parameters.
    sharing : {"expand", "reduce"}
        For layers used at several positions, see `thermolinalg.curvature.kronecker_factors`.
    n_draws : int
        Labels drawn a prediction, for "sampled".
    mask : (b, p) array_like, optional
        Which predictions count; the mean is over those.
    rng : optional
        For "sampled".

    Returns
    -------
    thermolinalg.curvature.Curvature
    """
    if shape not in SHAPES:
        raise ValueError(f"shape must be one of {', '.join(SHAPES)}, got {shape!r}")
    outputs, given = model.outputs(theta, inputs), None
    if kind == "empirical":  # one class a prediction, also where each sample has but one
        given = np.reshape(labels, outputs.shape[:2] if model.likelihood == "softmax" else outputs.shape)
    c = curvature.cotangents(kind, outputs, likelihood=model.likelihood, labels=given, n_draws=n_draws, rng=rng)
    if mask is not None:
        counted = np.asarray(mask, dtype=float)
        c = c * counted[:, None, :, None] * np.sqrt(counted.size / counted.sum())
    if shape == "kronecker":
        return _kronecker(model, theta, inputs, c, kind, sharing)
    rows = model.rows(theta, inputs, c)
    if shape == "low_rank":
        return curvature.LowRankCurvature(rows, kind=kind)
    of = {"diagonal": curvature.DiagonalCurvature, "dense": curvature.DenseCurvature}[shape]
    return of.from_rows(rows, kind=kind)


def _kronecker(model, theta, inputs, c, kind, sharing):
    pairs, others = (iter(part) for part in model.backward(theta, inputs, c))
    blocks = []
    for layer in model.layers:
        if layer.kronecker:
            blocks.append(curvature.KroneckerCurvature.from_samples(*next(pairs), sharing=sharing, kind=kind))
        else:
            blocks.append(curvature.DiagonalCurvature.from_rows(next(others), kind=kind))
    return curvature.BlockCurvature(blocks)
