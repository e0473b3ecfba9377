r"""Bounds of what motion costs, and what was paid, side by side: of steps, of training logs, of paths, of erasure.

Rows have the columns bound, limit (what the bound says), realised (what was paid), ratio (realised over limit: 1 where
the bound is tight) and condition (what it bounds, and when it is rigorous). The geometric ones follow from
Cauchy-Schwarz and hold for any positive semidefinite metric F. Their unit is nats: geometry of the model's law. They
become heat only for the control parameters of a system in a bath, and there for slow driving alone. Bounds of the work
of a network, rigorous for any speed, are in `analysis.ramp_cost`.
"""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from thermolinalg import checks
from thermolinalg.curvature import Curvature, dissipation

BOLTZMANN = 1.380649e-23  # J/K, exact by definition of the kelvin
ROUNDING = 1e-9  # relative: a bound that is missed by less holds
SPEED_COST = "of any step or velocity, to first order in the loss; rigorous where g has no part in the null space of F"
WHOLE_RUN = "of all runs with this Delta_F and this sum of first-order decreases; rigorous as the one for each step"
EQUAL_STEPS = "of all runs of as many steps and this length; rigorous; tight for steps of equal length"
ACTION = "of all clocks along this path; rigorous; tight at constant speed"
GEODESIC = "of all paths between the same ends; rigorous; tight for a geodesic at constant speed"


def side_by_side(bound: str, limit: float, realised: float, condition: str) -> dict:
    """One row of a table of bounds."""
    limit, realised = float(limit), float(realised)
    ratio = realised / limit if limit > 0.0 else np.nan
    return {"bound": bound, "limit": limit, "realised": realised, "ratio": ratio, "condition": condition}


def holds(table: pd.DataFrame) -> pd.Series:
    """Whether each bound of a table is obeyed, up to rounding.

    Examples
    --------
    >>> holds(pd.DataFrame([side_by_side("of an example", 2.0, 1.0, "none"), side_by_side("", 1.0, 1.0, "")])).tolist()
    [False, True]
    """
    return table["realised"] >= table["limit"] * (1.0 - ROUNDING)


def speed_cost(curvature: Curvature, gradient, directions, *, cutoff=1e-10) -> pd.DataFrame:
    """``v^T F v >= (g^T v)^2 / Delta_F``, ``Delta_F = g^T F^+ g``, for each direction v.

    From ``g^T v = (F^-1/2 g)^T (F^1/2 v)`` and Cauchy-Schwarz; equality for v along F^-1 g only. The claim that natural
    gradient flow dissipates least at a given decrease of the loss (You, 2026, NGD-T) is this inequality.

    Parameters
    ----------
    curvature : Curvature
        F.
    gradient : (N,) array_like
        g.
    directions : (N,) or (k, N) array_like
        v, one per row.
    cutoff : float
        Relative eigenvalue up to which F counts as singular.

    Returns
    -------
    DataFrame
        A row for each direction, in nats for a Fisher information F and g in nats.

    Raises
    ------
    ValueError
        Shapes that do not fit, a gradient that is zero.

    Examples
    --------
    >>> import thermolinalg as tl
    >>> F = tl.curvature.DiagonalCurvature([4.0, 1.0])
    >>> speed_cost(F, [1.0, 1.0], [[0.25, 1.0], [1.0, 1.0]]).ratio.tolist()
    [1.0, 1.5625]
    """
    g = checks.vector(gradient, "gradient", curvature.size)
    rows = np.atleast_2d(checks.real_array(directions, "directions"))
    least = dissipation(curvature, g, cutoff=cutoff)
    if least <= 0.0:
        raise ValueError("gradient must have a part outside the null space of the curvature, got Delta_F = 0")
    return pd.DataFrame(
        [side_by_side("speed-cost", (g @ v) ** 2 / least, curvature.quadratic(v), SPEED_COST) for v in rows]
    )


def log_bounds(log: pd.DataFrame, by: Sequence[str] = ()) -> pd.DataFrame:
    r"""What the steps of training runs cost, against what they had to.

    - "each step": ``sum_k d_k^T F d_k >= sum_k (g_k^T d_k)^2 / Delta_k``, the sum of `speed_cost` over the steps;
    - "whole run": ``sum_k d_k^T F d_k >= (sum_k |g_k^T d_k|)^2 / sum_k Delta_k``: looser, tight for steps
      ``d_k = -eta F^-1 g_k`` of one eta;
    - "K steps": ``sum_k d_k^T F d_k / 2 >= L^2 / (2 K)``, ``L = sum_k |d_k|_F``: the divergence of small steps, in
      second order, against the length of the path. (Cauchy-Schwarz for K numbers; on processes in K steps see Nulton
      et al., J. Chem. Phys. 83, 334 (1985).)

    Parameters
    ----------
    log : DataFrame
        A row for each step, with the columns of `thermolinalg.optimizers.Report`: metric_cost (d^T F d),
        dissipation (Delta_F), predicted_decrease (-g^T d). Rows without a measured cost are left out.
    by : sequence of str
        Columns that tell runs apart.

    Returns
    -------
    DataFrame
        Columns of `by`, steps, and those of the module's tables; in nats.

    Raises
    ------
    ValueError
        A column that is missing; a run without measured steps.

    Examples
    --------
    >>> log = pd.DataFrame({"metric_cost": [4.0, 1.0], "dissipation": [1.0, 1.0], "predicted_decrease": [2.0, 1.0]})
    >>> log_bounds(log)[["bound", "limit", "realised"]].values.tolist()
    [['each step', 5.0, 5.0], ['whole run', 4.5, 5.0], ['K steps', 2.25, 2.5]]
    """
    require_columns(log, ["metric_cost", "dissipation", "predicted_decrease", *by])
    rows = []
    for labels, run in groups(log, by):
        steps = run[run["metric_cost"].notna() & run["dissipation"].notna()]
        if steps.empty:
            raise ValueError(f"log has no step with metric_cost and dissipation in run {labels}; train with a metric")
        cost, least, fall = (
            steps[name].to_numpy(float) for name in ("metric_cost", "dissipation", "predicted_decrease")
        )
        total, length, moving = cost.sum(), np.sqrt(cost).sum(), least > 0.0
        found = (
            ("each step", np.sum(fall[moving] ** 2 / least[moving]), total, SPEED_COST),
            ("whole run", np.abs(fall).sum() ** 2 / least.sum() if moving.any() else 0.0, total, WHOLE_RUN),
            ("K steps", length**2 / (2.0 * len(cost)), total / 2.0, EQUAL_STEPS),
        )
        rows += [labels | {"steps": len(cost)} | side_by_side(*row) for row in found]
    return pd.DataFrame(rows)


def path_bounds(metric: Callable, path, times, *, distance: float | None = None) -> pd.DataFrame:
    r"""Action of a path of parameters against its length: ``int |th'|_F^2 dt >= L^2 / tau >= d^2 / tau``.

    ``L = int |th'|_F dt``; the first by Cauchy-Schwarz with the constant 1, the second because no path is shorter than
    the geodesic distance d. The path is taken as straight between the points, F halfway: for points close enough
    together. Times a relaxation time it is the excess work of slow driving (Sivak and Crooks, Phys. Rev. Lett. 108,
    190602 (2012)), a statement of linear response: a fast drive may cost less.

    Parameters
    ----------
    metric : callable
        theta (N,) to F (N, N).
    path : (n, N) array_like
        Points.
    times : (n,) array_like
        Increasing.
    distance : float, optional
        Geodesic distance of the ends, where it is known; adds the second row.

    Returns
    -------
    DataFrame
        Rows "length" and "distance", in nats over the unit of time.

    Raises
    ------
    ValueError
        Shapes that do not fit, times that do not increase.

    Examples
    --------
    >>> table = path_bounds(lambda theta: [[1.0]], [[0.0], [1.0], [3.0]], [0.0, 1.0, 2.0], distance=3.0)
    >>> table[["limit", "realised"]].values.tolist()
    [[4.5, 5.0], [4.5, 5.0]]
    """
    points, clock = checks.real_array(path, "path"), checks.vector(times, "times")
    if points.ndim != 2 or len(points) != clock.size or clock.size < 2:
        raise ValueError(f"path must have shape ({clock.size}, N) with at least 2 points, got {points.shape}")
    spans = np.diff(clock)
    if np.any(spans <= 0.0):
        raise ValueError("times must increase")
    moves, halfway = np.diff(points, axis=0), (points[1:] + points[:-1]) / 2.0
    squares = np.array(
        [d @ np.asarray(metric(theta), dtype=float) @ d for d, theta in zip(moves, halfway, strict=True)]
    )
    duration, action = clock[-1] - clock[0], np.sum(squares / spans)
    rows = [side_by_side("length", np.sqrt(squares).sum() ** 2 / duration, action, ACTION)]
    if distance is not None:
        far = checks.positive(distance, "distance", zero=True)
        rows.append(side_by_side("distance", far**2 / duration, action, GEODESIC))
    return pd.DataFrame(rows)


def speed_limit(length: float, decrease: float, rate: float) -> float:
    r"""Least time of a gradient flow ``th' = -rate F^-1 grad L`` that lowers a loss along a path of length L_F.

    The flow dissipates its loss, ``dL/dt = -|th'|_F^2 / rate``, so with Cauchy-Schwarz ``tau >= L_F^2 / (rate (L_0 -
    L_tau))``. F = I is plain gradient flow. Rigorous for the flow; discrete steps obey "K steps" of `log_bounds`.

    Parameters
    ----------
    length : float
        L_F of the path, or any lower bound of it, as the distance of its ends.
    decrease : float
        L_0 - L_tau, positive.
    rate : float
        Positive.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        An argument that is not positive.

    Examples
    --------
    >>> speed_limit(1.0, 0.5, 1.0)
    2.0
    """
    length, decrease = checks.positive(length, "length", zero=True), checks.positive(decrease, "decrease")
    return length**2 / (checks.positive(rate, "rate") * decrease)


def landauer(bits=1.0, *, temperature=300.0) -> float:
    """Least heat of erasing so many bits, ``bits k_B T ln 2`` [J] (Landauer, 1961); reached by slow erasure only.

    Rigorous for symmetric bits and one bath. Finite time adds C / tau with a C of the device.

    Parameters
    ----------
    bits : float
        Entropy that is erased [bit].
    temperature : float
        [K].

    Returns
    -------
    float

    Raises
    ------
    ValueError
        A negative number of bits, a temperature that is not positive.

    Examples
    --------
    >>> f"{landauer():.3e}"
    '2.871e-21'
    """
    bits = checks.positive(bits, "bits", zero=True)
    return bits * BOLTZMANN * checks.positive(temperature, "temperature") * float(np.log(2.0))


def require_columns(log: pd.DataFrame, names: Sequence[str]) -> None:
    """Refuse a log that lacks a column."""
    missing = [name for name in names if name not in log]
    if missing:
        raise ValueError(f"log must have the column {missing[0]!r}; it has {', '.join(map(str, log.columns))}")


def groups(log: pd.DataFrame, by: Sequence[str]):
    """(labels, rows) of each run of a log, in the order of the log."""
    if not by:
        yield {}, log
        return
    for key, rows in log.groupby(list(by), sort=False):
        yield dict(zip(by, key, strict=True)), rows
