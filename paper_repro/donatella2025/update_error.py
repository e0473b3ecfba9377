"""Error that the device injects into the update of one layer: methods 1 and 2 at equal device time."""

import warnings

import numpy as np
import pandas as pd

import thermolinalg as tl
from paper_repro import datasets, recipes
from paper_repro.donatella2024.curves import run_seeds
from paper_repro.logs import end_of
from paper_repro.tuning import tuned

METHODS = ("invert", "solve")


def update_error(settings, seed: np.random.SeedSequence) -> pd.DataFrame:
    """Relative error of an update against time, burn-in and temperature, and the word length that a damping needs.

    Columns: section ("time", "share", "bits"); then method ("invert": method 1, "solve": method 2), time [RC] (of all
    runs of the layer together), share (of each run that is burn-in), beta, damping, kappa (larger one of the two
    damped factors), repeat, error (relative, Frobenius). For "bits": factor ("A", "G"), damping, kappa, bits (fewest
    with which the rounded factor is definite), formula (what the bound of a dense perturbation says), bits_10 (fewest
    with which the update is within 10 %, both factors rounded; in rows of "A").
    """
    rng = np.random.default_rng(seed)
    block, gradient = trained_layer(settings, seed)
    rows = [row for damping in settings.dampings for row in bits_rows(block, gradient, damping)]
    layer = DampedLayer(block, gradient, settings.damping)
    for section, time, share in [
        *(("time", time, settings.share) for time in settings.times),
        *(("share", settings.time, share) for share in settings.shares),
    ]:
        for method in METHODS:
            betas = settings.betas if method == "solve" else (1.0,)  # an inverse does not know the temperature
            for beta in betas:
                labels = {"section": section, "method": method, "time": time, "share": share, "beta": beta}
                labels |= {"damping": settings.damping, "kappa": layer.kappa}
                for repeat in range(settings.repeats):
                    error = layer.error(method, time, share, beta, rng)
                    rows.append(labels | {"repeat": repeat, "error": error})
    return pd.DataFrame(rows)


def trained_layer(settings, seed):
    """The Kronecker block of one layer after a few steps of Adam, and the gradient of its weights (p, r)."""
    run = tuned(settings.task, "Adam", steps=settings.warm_steps, seed=run_seeds(seed, 1)[0])
    theta = end_of(run)
    data, model = datasets.load(run.data, None, **run.data_options), recipes.make_model(run.model, run.model_options)
    inputs, labels = data.take(np.arange(settings.batch_size), "train")
    F = recipes.make_curvature(model, theta, inputs, labels, kind="exact", shape="kronecker")
    _, gradient = model.loss_and_gradient(theta, inputs, labels)
    block = F.blocks[settings.layer]
    return block, gradient[F.slices[settings.layer]].reshape(block.layer_shape)


class DampedLayer:
    """Damped factors, each with its largest entry scaled to 1, and the exact update."""

    def __init__(self, block, gradient: np.ndarray, damping: float):
        self.factors = [factor / np.abs(factor).max() for factor in block.split(damping)]
        self.gradient = gradient
        self.exact = np.linalg.solve(self.factors[1], np.linalg.solve(self.factors[0], gradient).T).T
        self.kappa = max(np.linalg.cond(factor) for factor in self.factors)

    def error(self, method: str, time: float, share: float, beta: float, rng) -> float:
        """Relative error of one update in so much device time [RC], of which a share of each run is burn-in."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", tl.errors.NotEquilibrated)  # too short a burn-in is what is being looked at
            update = (self._solved if method == "solve" else self._inverted)(time, share, beta, rng)
        return self.distance(update)

    def distance(self, update: np.ndarray) -> float:
        """From the exact update, relative."""
        return float(np.linalg.norm(update - self.exact) / np.linalg.norm(self.exact))

    def _solved(self, time, share, beta, rng):
        """Columns on A, then rows of the answer on G; all runs equally long."""
        each, value = time / sum(self.gradient.shape), self.gradient
        for factor in self.factors:
            size = np.abs(value).max()
            protocol = {"burn_in": share * each, "duration": (1.0 - share) * each}
            value = size * tl.solve(factor, value / size, beta=beta, rng=rng, **protocol).value.T
        return value

    def _inverted(self, time, share, beta, rng):
        """Half of the time for each factor, in one trajectory; the host multiplies."""
        protocol = {"burn_in": share * time / 2.0, "duration": (1.0 - share) * time / 2.0}
        left, right = (tl.inv(factor, beta=beta, rng=rng, workers=1, **protocol).value for factor in self.factors)
        return left @ self.gradient @ right


def bits_rows(block, gradient, damping: float) -> list[dict]:
    """The fewest bits with which a device can hold each damped factor, and with which the update is within 10 %."""
    layer = DampedLayer(block, gradient, damping)

    def update(device):
        held = [tl.hardware.program_array(factor, device)[0] for factor in layer.factors]
        return np.linalg.solve(held[1], np.linalg.solve(held[0], layer.gradient).T).T

    def definite(factor):
        return lambda device: np.linalg.eigvalsh(tl.hardware.program_array(factor, device)[0])[0] > 0.0

    coarse = tl.Device(matrix_bits=2)
    within = tl.hardware.fewest_bits(
        coarse, lambda device: all(definite(f)(device) for f in layer.factors) and layer.distance(update(device)) < 0.1
    )
    rows = []
    for name, factor in zip("AG", layer.factors, strict=True):
        d, lowest = len(factor), np.linalg.eigvalsh(factor)[0]
        rows.append(
            {
                "section": "bits", "factor": name, "damping": damping, "kappa": np.linalg.cond(factor),
                "bits": tl.hardware.fewest_bits(coarse, definite(factor)),
                "formula": np.log2(2.0 * np.sqrt(d / 3.0) / lowest),
                "bits_10": within if name == "A" else np.nan,
            }
        )  # fmt: skip
    return rows
