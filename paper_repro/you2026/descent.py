"""The linear rule eta = Q / Delta_F against equal steps, on a quadratic whose Hessian is the metric."""

import numpy as np
import pandas as pd

import thermolinalg as tl


def excess_of_linear_rule(ratio: float) -> float:
    """Metric cost of the linear rule over that of equal metric lengths, in as many steps: rho(r).

    With s the metric length to go, ds/dt = -Q / s for one step of time, so that a descent from s0 to r s0 takes
    ``N = s0^2 (1 - r^2) / (2 Q)`` steps and costs ``Q ln(1/r)``; N equal steps cost ``s0^2 (1 - r)^2 / N``. For small
    Q.

    Parameters
    ----------
    ratio : float
        r, in (0, 1).

    Returns
    -------
    float

    Examples
    --------
    >>> round(excess_of_linear_rule(0.5), 3), round(excess_of_linear_rule(0.01), 3)
    (1.04, 2.349)
    """
    return float((1.0 + ratio) * np.log(1.0 / ratio) / (2.0 * (1.0 - ratio)))


def linear_excess(settings) -> pd.DataFrame:
    """Descents by the linear rule, and by the "kl" rule in as many steps to the same loss.

    Columns: ratio (reached), steps, linear_cost, equal_cost (sums of d^T F d), end_error (relative difference of the
    loss at which the two end), excess_measured, excess_theory.
    """
    return pd.DataFrame([_descents(ratio, settings) for ratio in settings.ratios])


def _descents(ratio: float, settings) -> dict:
    F = tl.curvature.DiagonalCurvature(settings.spectrum)
    theta = np.ones(F.size)
    start = np.sqrt(F.quadratic(theta))
    costs, reached = _descend(F, theta, "flow", settings.last_eta * (ratio * start) ** 2, until=ratio * start)
    length = (start - reached) / len(costs)
    equal, end = _descend(F, theta, "kl", length**2 / 2.0, steps=len(costs))
    return {
        "ratio": reached / start, "steps": len(costs), "linear_cost": sum(costs), "equal_cost": sum(equal),
        "end_error": abs(end / reached - 1.0), "excess_measured": sum(costs) / sum(equal),
        "excess_theory": excess_of_linear_rule(reached / start),
    }  # fmt: skip


def _descend(F, theta, rule: str, budget: float, until: float = 0.0, steps: int | None = None):
    """Metric cost of each step, and the metric length to go at the end."""
    optimizer = tl.optimizers.NGDT(rule=rule, budget=budget)
    state, costs = optimizer.init(theta), []
    left = np.sqrt(F.quadratic(theta))
    while left > until if steps is None else len(costs) < steps:
        theta, state = optimizer.step(theta, F.matvec(theta), F, state)
        costs.append(state.report.metric_cost)
        left = np.sqrt(F.quadratic(theta))
    return costs, float(left)
