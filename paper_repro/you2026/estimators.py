"""Delta_F estimated from a batch: its noise floor, the half-batch estimate, and two degenerate choices of F."""

import numpy as np
import pandas as pd

from paper_repro import datasets, recipes
from paper_repro.logs import end_of
from paper_repro.training import Training
from thermolinalg.curvature import DenseCurvature, DiagonalCurvature, LowRankCurvature, dissipation

POINTS = ("start", "trained")


def estimators(settings, seed: np.random.SeedSequence) -> pd.DataFrame:
    """Delta_F of a batch by several estimators, at the start and after some training.

    Columns: section, point ("start", "trained"), series, batch_size, damping, value, stderr (0 where exact).

    Section "floor", the population being all samples, under its exact damped Fisher information: "true" (of the mean
    gradient), "theory" (true + D_eff / B, D_eff the effective dimension), "covariance" (true + tr(F^-1 C) / B, C the
    covariance of the gradients), "naive" (mean over batches), "halves" (mean of g1^T F^-1 g2 over pairs of half
    batches) and "own Fisher" (naive, under that of the batch itself). Section "degenerate", of one batch against the
    damping: "exact", "empirical" and "diagonal" (of the square of the batch gradient) Fisher information.
    """
    model = recipes.make_model("mlp", {"sizes": list(settings.sizes)})
    words = seed.generate_state(2)
    inputs, labels = (
        datasets.load("digits", None)
        .subset(settings.samples, 100, seed=int(words[0]))
        .take(np.arange(settings.samples), "train")
    )
    rng = np.random.default_rng(words[1])
    rows = []
    for point, theta in zip(POINTS, _points(model, settings, int(words[0])), strict=True):
        gradients = _sample_gradients(model, theta, inputs, labels)
        c = recipes.make_curvature(model, theta, inputs, labels).rows
        rows += [{"section": "floor", "point": point} | row for row in _floor(gradients, c, settings, rng)]
        chosen = rng.choice(settings.samples, settings.degenerate_batch, replace=False)
        degenerate = _degenerate(model, theta, inputs[chosen], labels[chosen], settings)
        rows += [{"section": "degenerate", "point": point} | row for row in degenerate]
    return pd.DataFrame(rows)


def _points(model, settings, seed: int):
    """Parameters at the start and after some steps of SGD."""
    run = Training(
        data="digits", model="mlp", model_options={"sizes": list(settings.sizes)}, optimizer="SGD",
        options={"learning_rate": settings.learning_rate}, batch_size=32, steps=settings.trained_steps, seed=seed,
        data_options={"n_train": settings.samples, "n_test": 100},
    )  # fmt: skip
    return model.init(seed), end_of(run)


def _sample_gradients(model, theta, inputs, labels) -> np.ndarray:
    """Gradient (n, N) of the loss of each sample."""
    rows = recipes.make_curvature(model, theta, inputs, labels[:, None], kind="empirical").rows
    return rows * np.sqrt(len(rows))


# -- the noise floor


def _floor(gradients: np.ndarray, exact_rows: np.ndarray, settings, rng) -> list[dict]:
    """Rows of one point: gradients (n, N) of all samples, rows J (n k, N) of their exact Fisher J^T J."""
    F = DenseCurvature(exact_rows.T @ exact_rows)
    modes = F.to_modes(gradients.T)
    inner = modes.T @ (modes / (F.rates + settings.damping)[:, None])  # (n, n): g_i^T (F + damping)^-1 g_j
    true, effective = float(inner.mean()), float(np.sum(F.rates / (F.rates + settings.damping)))
    scatter = float(np.diag(inner).mean()) - true
    rows = []
    for size in settings.batch_sizes:
        found = {
            "true": (true, 0.0),
            "theory": (true + effective / size, 0.0),
            "covariance": (true + scatter / size, 0.0),
        }
        found["naive"] = _mean(_batch_forms(inner, size, settings.draws, rng))
        found["halves"] = _mean(_half_forms(inner, size // 2, settings.draws, rng))
        if size <= settings.largest_own:
            found["own Fisher"] = _mean(_own(gradients, exact_rows, size, settings, rng))
        labels = {"batch_size": size, "damping": settings.damping}
        rows += [labels | {"series": name, "value": v, "stderr": e} for name, (v, e) in found.items()]
    return rows


def _weights(n: int, size: int, draws: int, rng) -> np.ndarray:
    """Weights (draws, n) that give the mean over a batch drawn with replacement."""
    return rng.multinomial(size, np.full(n, 1.0 / n), size=draws) / size


def _half_forms(inner, half: int, draws: int, rng) -> np.ndarray:
    first, second = (_weights(len(inner), half, draws, rng) for _ in range(2))
    return np.einsum("di,di->d", first @ inner, second)


def _batch_forms(inner, size: int, draws: int, rng) -> np.ndarray:
    weights = _weights(len(inner), size, draws, rng)
    return np.einsum("di,di->d", weights @ inner, weights)


def _own(gradients, exact_rows, size: int, settings, rng) -> list[float]:
    """Delta_F of batches under the exact Fisher information of the same batch."""
    n = len(gradients)
    by_sample = exact_rows.reshape(n, -1, exact_rows.shape[1])
    values = []
    for _ in range(settings.own_draws):
        chosen = rng.integers(n, size=size)
        rows = by_sample[chosen].reshape(-1, exact_rows.shape[1]) * np.sqrt(n / size)
        g = gradients[chosen].mean(axis=0)
        values.append(dissipation(LowRankCurvature(rows), g, damping=settings.damping))
    return values


def _mean(values) -> tuple[float, float]:
    return float(np.mean(values)), float(np.std(values, ddof=1) / np.sqrt(len(values)))


# -- degenerate choices


def _degenerate(model, theta, inputs, labels, settings) -> list[dict]:
    """Rows of one batch: Delta_F against the damping under three Fisher matrices of it."""
    gradient = model.loss_and_gradient(theta, inputs, labels)[1]
    fishers = {
        "exact": recipes.make_curvature(model, theta, inputs, labels),
        "empirical": recipes.make_curvature(model, theta, inputs, labels[:, None], kind="empirical"),
        "diagonal": DiagonalCurvature(gradient**2),
    }
    return [
        {"series": name, "batch_size": len(labels), "damping": damping, "stderr": 0.0}
        | {"value": dissipation(F, gradient, damping=damping)}
        for name, F in fishers.items()
        for damping in settings.dampings
    ]
