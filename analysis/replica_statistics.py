"""Distribution of the errors of an ensemble of devices: moments and quantiles with standard errors, histogram."""

import numpy as np
import pandas as pd

from thermolinalg import checks

from .calibration import summary

PARTS = ("error", "systematic", "noise")
QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
BINS_PER_DECADE = 20


def statistics(errors, predicted: dict[str, float] | None = None) -> pd.DataFrame:
    """Mean, standard deviation, root mean square and quantiles of each part over the replicas that have an answer.

    Parameters
    ----------
    errors : (replicas, 3) array_like
        Of `replicas.ensemble_errors`.
    predicted : dict, optional
        Of `replicas.predicted_rms`.

    Returns
    -------
    DataFrame
        Columns part, statistic ("mean", "sd", "rms", "failed" and quantiles as "q0.5"), value, stderr (of quantiles by
        order statistics), predicted (of rms; else missing). "failed" is the share of replicas without an answer.

    Raises
    ------
    ValueError
        Not of this shape, or fewer than 2 replicas with an answer.

    Examples
    --------
    >>> table = statistics([[3.0, 1.0, 2.0], [5.0, 1.0, 4.0], [np.nan] * 3]).set_index(["part", "statistic"])
    >>> float(table.value["error", "mean"]), float(table.value["noise", "failed"].round(3))
    (4.0, 0.333)
    """
    errors = np.asarray(errors, dtype=float)
    if errors.ndim != 2 or errors.shape[1] != len(PARTS):
        raise ValueError(f"errors must have shape (replicas, {len(PARTS)}), got {errors.shape}")
    answered = errors[np.isfinite(errors).all(axis=1)]
    n = checks.count(len(answered), "number of replicas with an answer", least=2)
    share = 1.0 - n / len(errors)
    rows = []
    for part, values in zip(PARTS, answered.T, strict=True):
        moments, rms = summary(values), float(np.sqrt(np.mean(values**2)))
        found = {name: (moments[name], moments[f"{name}_error"]) for name in ("mean", "sd")}
        found["rms"] = (rms, float(np.std(values**2, ddof=1) / (2.0 * rms * np.sqrt(n))) if rms else 0.0)
        found |= {f"q{q:g}": _quantile(values, q) for q in QUANTILES}
        found["failed"] = (share, float(np.sqrt(share * (1.0 - share) / len(errors))))
        rows += [{"part": part, "statistic": name, "value": v, "stderr": e} for name, (v, e) in found.items()]
    table = pd.DataFrame(rows).assign(predicted=np.nan)
    for part, value in (predicted or {}).items():
        table.loc[(table["part"] == part) & (table["statistic"] == "rms"), "predicted"] = value
    return table


def _quantile(values, q: float) -> tuple[float, float]:
    """A quantile, and half the distance of those a standard error of the rank to each side."""
    wide = np.sqrt(q * (1.0 - q) / len(values))
    low, high = np.quantile(values, np.clip([q - wide, q + wide], 0.0, 1.0))
    return float(np.quantile(values, q)), float(high - low) / 2.0


def histogram(errors) -> pd.DataFrame:
    """Counts of each part in bins of a twentieth of a decade, whose edges are the same for all ensembles.

    Parameters
    ----------
    errors : (replicas, 3) array_like
        Of `replicas.ensemble_errors`.

    Returns
    -------
    DataFrame
        Columns part, low, high, replicas; from the first bin that is not empty to the last. Zeros and replicas without
        an answer are in none.

    Examples
    --------
    >>> table = histogram([[0.011, 0.01, 0.001]] * 3)
    >>> table.replicas.tolist(), bool(((table.low <= table.high)).all())
    ([3, 3, 3], True)
    """
    tables = []
    for part, values in zip(PARTS, np.asarray(errors, dtype=float).T, strict=True):
        places = np.floor(BINS_PER_DECADE * np.log10(values[values > 0.0])).astype(int)
        if not places.size:
            continue
        bins = np.arange(places.min(), places.max() + 1)
        edges = 10.0 ** (np.append(bins, bins[-1] + 1) / BINS_PER_DECADE)
        counts = np.bincount(places - places.min(), minlength=bins.size)
        tables.append(pd.DataFrame({"part": part, "low": edges[:-1], "high": edges[1:], "replicas": counts}))
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=["part", "low", "high", "replicas"])
