"""Tables behind the figures of Donatella et al., arXiv:2502.08603: ``python -m paper_repro.donatella2025.run``.

Each function takes its settings and a seed sequence and returns a tidy table. Digital times are measured where this
runs; device times are those of the simulated device; `tkfac_speedup_model` is a model throughout.
"""

import sys
from itertools import product

import numpy as np
import pandas as pd

from paper_repro import command, models

from . import workloads
from .architectures import architectures
from .device_times import invert_times, log_spectrum, solve_error, solve_times
from .layer_times import LayerUpdate, Update
from .quantised import quantised_training
from .settings import SCALES
from .speedup_model import speedup_model
from .update_error import update_error

ASSUMED = workloads.Hardware()

# -- where the time of an update goes


def breakdown(settings, seed: np.random.SeedSequence) -> pd.DataFrame:
    """Seconds of each part of a K-FAC update against width, measured.

    Columns: network ("MLP", "transformer"), width, N, positions (samples times places), method ("Cholesky": inverses
    of damped factors; "eigh": eigenbases, exact damping), interval (steps between inversions), part, seconds (a step;
    the inversion divided by the interval), share (of the step). Times are on one BLAS thread.
    """
    rng, rows = np.random.default_rng(seed), []
    for network, width in [
        *(("MLP", width) for width in settings.mlp_widths),
        *(("transformer", width) for width in settings.transformer_widths),
    ]:
        update = (mlp_update if network == "MLP" else transformer_update)(width, settings, rng)
        positions = len(update.pairs[0][0]) * update.pairs[0][0].shape[1]
        labels = {"network": network, "width": width, "N": update.model.size, "positions": positions}
        for method, parts in update.seconds(settings.repeats).items():
            for interval in settings.intervals:
                step = parts | {"inversion": parts["inversion"] / interval}
                total = sum(step.values())
                rows += [
                    labels | {"method": method, "interval": interval, "part": part, "seconds": s, "share": s / total}
                    for part, s in step.items()
                ]
    return pd.DataFrame(rows)


def mlp_update(width: int, settings, rng) -> Update:
    """Noise for images of 64 pixels, 10 classes."""
    model = models.mlp([64, *[width] * (settings.mlp_depth - 1), 10])
    inputs = rng.standard_normal((settings.batch_size, 64))
    labels = rng.integers(0, 10, settings.batch_size)
    return Update(model, model.init(rng), inputs, labels, settings.damping, rng)


def transformer_update(width: int, settings, rng) -> Update:
    """Random text."""
    model = models.transformer(settings.vocabulary, width, settings.heads, settings.blocks, settings.context)
    text = rng.integers(0, settings.vocabulary, (settings.texts, settings.context + 1))
    return Update(model, model.init(rng), text[:, :-1], text[:, 1:], settings.damping, rng)


# -- the update of one layer against its width and condition number


def width_scaling(settings, seed: np.random.SeedSequence) -> pd.DataFrame:
    """Seconds of the update of an n x n layer: on the device by both methods, and digitally here.

    Columns: section ("n", "kappa", "crossing"), n, kappa (of each damped factor), damping (of the product over its
    largest eigenvalue before damping, both factors alike: 1 / (kappa - 1)^2), method ("solve", "invert", "Cholesky",
    "eigh"), part, seconds (an update, inversions and programming every step), error (of the simulated solutions; else
    missing). Digital times are on one BLAS thread.
    Parts: "load", "settle", "average", "read" of the device, with 16-bit words over 50 Gb/s; "inversion",
    "products" of the host. "invert" leaves the products to the host.
    For "crossing": host ("this CPU": n^3 from the largest width; "accelerator": the rates of `workloads.Hardware`,
    assumed), interval (steps between programmings, and between digital inversions by Cholesky), n (from which on
    "solve" is the quicker).
    """
    rng, rows = np.random.default_rng(seed), []
    host = {n: host_seconds(n, settings, rng) for n in sorted({*settings.widths, settings.width})}
    cases = [("n", n, settings.condition_number) for n in settings.widths]
    cases += [("kappa", settings.width, kappa) for kappa in settings.condition_numbers]
    for section, n, kappa in cases:
        labels = {"section": section, "n": n, "kappa": kappa, "damping": 1.0 / (kappa - 1.0) ** 2}
        for method, parts, error in layer_costs(n, kappa, host[n], settings, rng):
            labels |= {"method": method, "error": error}
            rows += [labels | {"part": part, "seconds": value} for part, value in parts.items()]
    return pd.DataFrame(rows + crossing_rows(rows, settings))


def crossing_rows(rows, settings) -> list[dict]:
    """The width from which on the device solves more quickly than the host, for each condition number."""
    largest = max(settings.widths)
    hosts = {
        "this CPU": {row["part"]: row["seconds"] / largest**3 for row in rows
                     if (row["section"], row["n"], row["method"]) == ("n", largest, "Cholesky")},
        "accelerator": {"inversion": 2.0 / ASSUMED.factorisations, "products": 4.0 / ASSUMED.products},
    }  # fmt: skip
    found = []
    for kappa in settings.condition_numbers:
        parts = {row["part"]: row["seconds"] for row in rows
                 if (row["section"], row["kappa"], row["method"]) == ("kappa", kappa, "solve")}  # fmt: skip
        column = (parts["settle"] + parts["average"]) / settings.width
        for host, interval in product(hosts, settings.intervals):
            rate = hosts[host]["inversion"] / interval + hosts[host]["products"]
            labels = {"section": "crossing", "kappa": kappa, "damping": 1.0 / (kappa - 1.0) ** 2, "method": "solve"}
            found.append(labels | {"host": host, "interval": interval, "n": crossing(column, rate, interval)})
    return found


def crossing(column: float, rate: float, interval: int) -> float:
    """The n at which ``column n + (2 / interval + 4) n^2`` words over the link take as long as ``rate n^3``."""
    square = workloads.link_seconds(2.0 / interval + 4.0)
    return float((square + np.sqrt(square**2 + 4.0 * rate * column)) / (2.0 * rate))


def host_seconds(n: int, settings, rng) -> dict[str, dict[str, float]]:
    """Of the inversion of two factors and of the products, by Cholesky and by eigendecomposition."""
    A, G = (x @ x.T / n + np.eye(n) for x in rng.standard_normal((2, n, n)))
    layer = LayerUpdate(A, G, rng.standard_normal((n, n)), 1.0)
    return {method: layer.seconds(method, settings.repeats) for method in ("Cholesky", "eigh")}


def layer_costs(n: int, kappa: float, host, settings, rng):
    """(method, parts, error) of each way to one update."""
    rates = log_spectrum(n, kappa, rng)
    columns = rng.standard_normal((n, settings.columns))
    columns /= np.abs(columns).max()
    times = solve_times(rates, settings.rtol, settings.beta, float(np.sqrt(np.mean(columns**2))))
    error = solve_error(rates, times, settings.beta, columns, rng)
    unit, factors, gradient = workloads.UNIT, 2 * n * n, 2 * n * n
    settle, average = (2 * n * unit * t for t in times)
    link = workloads.link_seconds
    solve = {"load": link(factors + gradient), "settle": settle, "average": average, "read": link(gradient)}
    settle, average = (2 * unit * t for t in invert_times(rates, settings.rtol))
    invert = {"load": link(factors), "settle": settle, "average": average, "read": link(factors)}
    invert["products"] = host["Cholesky"]["products"]
    yield "solve", solve, error
    yield "invert", invert, np.nan
    for method, parts in host.items():
        yield method, parts, np.nan


TABLES = {
    "tkfac_quantised_training": quantised_training,
    "tkfac_architectures": architectures,
    "tkfac_breakdown": breakdown,
    "tkfac_width_scaling": width_scaling,
    "tkfac_update_error": update_error,
    "tkfac_speedup_model": speedup_model,
}


def main(argv=None) -> int:
    """The command line."""
    return command.main("paper_repro.donatella2025.run", TABLES, SCALES, argv)


if __name__ == "__main__":
    sys.exit(main())
