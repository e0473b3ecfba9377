r"""Dissipation of optimisers: Delta_F = g^T F^-1 g, its parts and its noise; what directions and whole runs cost.

F is a metric on the parameters (Fisher information, or a Hessian), g the gradient, d a step; Delta_F and d^T F d are in
nats for a Fisher information: geometry of the model's law, not heat of a machine (You, 2026, NGD-T, calls them
dissipation). Bounds are in `analysis.bounds`.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import scipy.linalg

from thermolinalg import checks
from thermolinalg.curvature import Curvature, dissipation, excess_factor

from .bounds import groups, require_columns

CUTOFF = 1e-10  # relative eigenvalue up to which a metric counts as singular


def parts(curvature: Curvature, gradient, *, damping=0.0, cutoff=CUTOFF) -> pd.DataFrame:
    r"""What Delta_F is made of.

    - "range": ``g^T F^+ g``, Delta_F itself;
    - "damped": ``g^T v``, ``v = (F + damping I)^-1 g``;
    - "metric": ``v^T F v``, what the damped direction costs: never more than "damped", which overstates it by
    - "damping": ``damping |v|^2``; the two add up to "damped";
    - "blind": ``|P0 g|^2``, the squared gradient that F cannot see: no part of Delta_F, and motion there is free.

    Parameters
    ----------
    curvature : Curvature
        F.
    gradient : (N,) array_like
        g.
    damping : float
    cutoff : float
        Relative eigenvalue up to which F counts as singular.

    Returns
    -------
    DataFrame
        Columns part, value; "blind" in the unit of g squared. Without damping the middle three are left out.

    Raises
    ------
    ValueError
        Shapes that do not fit, a negative damping.

    Examples
    --------
    >>> import thermolinalg as tl
    >>> parts(tl.curvature.DiagonalCurvature([4.0, 0.0]), [2.0, 3.0]).values.tolist()
    [['range', 1.0], ['blind', 9.0]]
    """
    g = checks.vector(gradient, "gradient", curvature.size)
    rows = {"range": dissipation(curvature, g, cutoff=cutoff)}
    if damping:
        v = curvature.damped(damping).function(np.reciprocal, g)
        rows |= {"damped": float(g @ v), "metric": curvature.quadratic(v), "damping": float(damping * (v @ v))}
    rows["blind"] = float(np.sum(curvature.null_part(g, cutoff) ** 2))
    return pd.DataFrame({"part": list(rows), "value": list(rows.values())})


def preconditioner_excess(curvature: Curvature, preconditioner: Curvature, gradients, *, cutoff=CUTOFF) -> pd.DataFrame:
    r"""Cost of steps ``d = -Fh^-1 g`` with an approximate Fisher information Fh over the least: R >= 1, and its limit.

    ``R = (d^T F d)(g^T F^+ g) / (g^T d)^2 <= (c + 1)^2 / (4 c)`` with c the condition number of ``Fh^-1/2 F Fh^-1/2``
    (Kantorovich): it scores Kronecker or diagonal factors against the exact F. Fh = I is the plain gradient.

    Parameters
    ----------
    curvature : Curvature
        F, positive definite for the limit to be finite.
    preconditioner : Curvature
        Fh, positive definite.
    gradients : (N,) or (k, N) array_like
        g, one per row.
    cutoff : float

    Returns
    -------
    DataFrame
        A row for each gradient: excess (R), limit, condition_number (c; infinite for a singular F). N^3 operations.

    Raises
    ------
    ValueError
        Shapes that do not fit, a preconditioner that is singular.

    Examples
    --------
    >>> import thermolinalg as tl
    >>> F, plain = (tl.curvature.DiagonalCurvature(entries) for entries in ([4.0, 1.0], [1.0, 1.0]))
    >>> preconditioner_excess(F, plain, [1.0, 1.0]).values.tolist()
    [[1.5625, 1.5625, 4.0]]
    """
    rows = np.atleast_2d(checks.real_array(gradients, "gradients"))
    if preconditioner.rates.min() <= 0.0:
        raise ValueError(
            f"preconditioner must be positive definite, got the eigenvalue {preconditioner.rates.min():.6g}"
        )
    N = curvature.size
    half = preconditioner.function(lambda rates: rates**-0.5, np.eye(N))
    seen = half @ curvature.matvec(half)
    values = scipy.linalg.eigvalsh((seen + seen.T) / 2.0)
    c = values[-1] / values[0] if values[0] > cutoff * values[-1] else np.inf
    limit = (c + 1.0) ** 2 / (4.0 * c) if np.isfinite(c) else np.inf
    steps = [-preconditioner.function(np.reciprocal, g) for g in rows]
    excess = [excess_factor(curvature, g, d, cutoff=cutoff) for g, d in zip(rows, steps, strict=True)]
    return pd.DataFrame({"excess": excess, "limit": limit, "condition_number": c})


def run_costs(log: pd.DataFrame, by: Sequence[str] = ()) -> pd.DataFrame:
    r"""What whole training runs cost.

    Parameters
    ----------
    log : DataFrame
        A row for each step, with the columns of `thermolinalg.optimizers.Report`: metric_cost, dissipation,
        predicted_decrease; clipped and loss where there are any. Rows without a measured cost are left out.
    by : sequence of str
        Columns that tell runs apart.

    Returns
    -------
    DataFrame
        Columns of `by`; steps; action (sum of d^T F d, momentum and null part included); length (sum of its roots);
        unevenness (steps times action over length squared, at least 1; 1 for steps of equal length); divergence
        (action / 2: that of the model's laws from step to step, in second order); decrease (sum of -g^T d); realised
        (loss of the first step less that of the last; missing without losses); excess (median R, not below 1);
        clipped (share of steps at a bound of the learning rate; missing without the column).

    Raises
    ------
    ValueError
        A column that is missing.

    Examples
    --------
    >>> log = pd.DataFrame({"metric_cost": [4.0, 1.0], "dissipation": [1.0, 1.0], "predicted_decrease": [1.0, 1.0]})
    >>> run_costs(log)[["action", "length", "excess"]].values.tolist()
    [[5.0, 3.0, 2.5]]
    """
    require_columns(log, ["metric_cost", "dissipation", "predicted_decrease", *by])
    rows = []
    for labels, run in groups(log, by):
        steps = run[run["metric_cost"].notna() & run["dissipation"].notna()]
        cost, fall = steps["metric_cost"].to_numpy(float), steps["predicted_decrease"].to_numpy(float)
        action, length = cost.sum(), np.sqrt(cost).sum()
        moving = fall != 0.0
        excess = cost[moving] * steps["dissipation"].to_numpy(float)[moving] / fall[moving] ** 2
        losses = run["loss"].dropna() if "loss" in run else run["metric_cost"].head(0)
        rows.append(
            labels
            | {"steps": len(cost), "action": float(action), "length": float(length)}
            | {"unevenness": float(len(cost) * action / length**2) if length else np.nan, "divergence": action / 2.0}
            | {"decrease": float(fall.sum()), "excess": float(np.median(excess)) if excess.size else np.nan}
            | {"realised": float(losses.iloc[0] - losses.iloc[-1]) if len(losses) else np.nan}
            | {"clipped": float(steps["clipped"].notna().mean()) if "clipped" in steps else np.nan}
        )
    return pd.DataFrame(rows)


def noise_floor(
    curvature: Curvature, gradients, batch_sizes: Sequence[int], *, damping=0.0, draws=2000, rng=None
) -> pd.DataFrame:
    r"""Delta_F estimated from mini-batches, drawn with replacement, against that of all samples.

    With C the covariance of the sample gradients ``E[g_B^T F^-1 g_B] = Delta_F + tr(F^-1 C) / B``, which is ``Delta_F +
    D_eff / B`` where C = F, ``D_eff = tr (F + damping I)^-1 F``: a floor that hides a small Delta_F. Two independent
    half batches have none of it: ``E[g_1^T F^-1 g_2] = Delta_F``. F is fixed: not that of the batch itself.

    Parameters
    ----------
    curvature : Curvature
        F, of all samples.
    gradients : (n, N) array_like
        Gradients of the samples.
    batch_sizes : sequence of int
        B, at least 2.
    damping : float
        Added to F throughout; zero takes the pseudo-inverse.
    draws : int
        Batches for the two estimates.
    rng : {None, int, Generator, ...}, optional

    Returns
    -------
    DataFrame
        Columns batch_size, series, value, stderr (0 where exact): "true", "effective" (true + D_eff / B), "covariance"
        (true + tr(F^-1 C) / B), "batch" and "halves" (means over draws).

    Raises
    ------
    ValueError
        Shapes that do not fit, a batch of one sample.

    Examples
    --------
    >>> import thermolinalg as tl
    >>> g = np.random.default_rng(0).standard_normal((50, 3))
    >>> table = noise_floor(tl.curvature.DiagonalCurvature([1.0, 1.0, 1.0]), g, [10], rng=0).set_index("series")
    >>> bool(abs(table.value["batch"] - table.value["covariance"]) < 5 * table.stderr["batch"])
    True
    """
    G = checks.real_array(gradients, "gradients")
    if G.ndim != 2 or G.shape[1] != curvature.size:
        raise ValueError(f"gradients must have shape (n, {curvature.size}), got {G.shape}")
    damping, generator = checks.positive(damping, "damping", zero=True), checks.generator(rng)
    mask = curvature.range_mask(CUTOFF) if damping == 0.0 else np.ones(curvature.rates.size, dtype=bool)
    weights = np.divide(1.0, curvature.rates + damping, out=np.zeros_like(curvature.rates), where=mask)
    inner = G @ curvature.weighted(weights, np.ascontiguousarray(G.T))
    true, scatter = float(inner.mean()), float(np.diag(inner).mean() - inner.mean())
    values = curvature.eigenvalues
    seen = values > (CUTOFF * values.max() if damping == 0.0 else 0.0)
    effective = float(np.sum(values[seen] / (values[seen] + damping)))
    rows = []
    for given in batch_sizes:
        size = checks.count(given, "batch_size", least=2)
        found = {
            "true": (true, 0.0), "effective": (true + effective / size, 0.0),
            "covariance": (true + scatter / size, 0.0),
            "batch": _mean(_forms(inner, size, size, draws, generator, same=True)),
            "halves": _mean(_forms(inner, size // 2, size - size // 2, draws, generator, same=False)),
        }  # fmt: skip
        rows += [{"batch_size": size, "series": name, "value": v, "stderr": e} for name, (v, e) in found.items()]
    return pd.DataFrame(rows)


def _forms(inner, first: int, second: int, draws: int, rng, same: bool) -> np.ndarray:
    """g_1^T F^-1 g_2 of random batches of these sizes, or of one batch with itself."""
    chances = np.full(len(inner), 1.0 / len(inner))
    left = rng.multinomial(first, chances, size=draws) / first
    right = left if same else rng.multinomial(second, chances, size=draws) / second
    return np.einsum("di,di->d", left @ inner, right)


def _mean(values) -> tuple[float, float]:
    return float(np.mean(values)), float(np.std(values, ddof=1) / np.sqrt(len(values)))


def empirical_degeneracy(gradients, dampings: Sequence[float]) -> pd.DataFrame:
    r"""Delta_F under the empirical Fisher information of the same samples: near 1, whatever the loss.

    With ``F = (1/n) sum_i g_i g_i^T`` and ``g = (1/n) sum_i g_i``, ``Delta_F = (1/n) 1^T K (K + n damping I)^-1 1``,
    ``K_ij = g_i^T g_j``: never above 1, and exactly 1 without damping for linearly independent g_i. A step size that is
    a function of it is a constant. (On empirical Fisher information: Kunstner, Balles, Hennig, arXiv:1905.12558.)
    The diagonal of the squared batch gradient is worse: ``sum_i g_i^2 / (g_i^2 + damping)`` counts parameters.

    Parameters
    ----------
    gradients : (n, N) array_like
        Of the samples of one batch.
    dampings : sequence of float
        Positive.

    Returns
    -------
    DataFrame
        Columns damping, samples, parameters, empirical, diagonal.

    Raises
    ------
    ValueError
        gradients that are no matrix, a damping that is not positive.

    Examples
    --------
    >>> g = np.random.default_rng(0).standard_normal((8, 50))
    >>> table = empirical_degeneracy(g, [1e-10])
    >>> round(float(table.empirical[0]), 6), bool(table.diagonal[0] > 49.99)
    (1.0, True)
    """
    G = checks.real_array(gradients, "gradients")
    if G.ndim != 2 or G.size == 0:
        raise ValueError(f"gradients must have shape (n, N), got {G.shape}")
    n, mean = len(G), G.mean(axis=0)
    K, ones, rows = G @ G.T, np.ones(n), []
    for given in dampings:
        damping = checks.positive(given, "damping")
        gram = float(ones @ scipy.linalg.solve(K + n * damping * np.eye(n), K @ ones, assume_a="pos")) / n
        rows.append(
            {"damping": damping, "samples": n, "parameters": G.shape[1]}
            | {"empirical": gram}
            | {"diagonal": float(np.sum(mean**2 / (mean**2 + damping)))}
        )
    return pd.DataFrame(rows)
