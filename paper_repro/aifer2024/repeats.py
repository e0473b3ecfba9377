"""Errors of repeated runs: relative distance from the truth, rms and quantiles over repeats."""

import numpy as np


def relative_error(estimate, truth) -> float:
    """||estimate - truth|| / ||truth||."""
    return float(np.linalg.norm(estimate - truth) / np.linalg.norm(truth))


def spread(errors) -> dict:
    """Root mean square of errors, and their 10 and 90 % quantiles: error, low, high."""
    errors = np.asarray(errors)
    low, high = np.quantile(errors, (0.1, 0.9))
    return {"error": float(np.sqrt(np.mean(errors**2))), "low": float(low), "high": float(high)}
