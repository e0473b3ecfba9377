r"""Dissipation Delta_F = g^T F^-1 g of a step, and how much more than the least a direction costs."""

import numpy as np

from .. import _validation
from .._typing import ArrayLike, FloatArray
from .base import Curvature, require_curvature, unit_scaled


def _inverse(curvature: Curvature, v: FloatArray, damping: float, cutoff: float) -> np.ndarray:
    if damping == 0.0:
        return curvature.pseudoinverse(v, cutoff)
    return curvature.damped(damping).function(lambda rates: 1.0 / rates, v)


def dissipation(curvature: Curvature, gradient: ArrayLike, *, damping: float = 0.0, cutoff: float = 1e-10) -> float:
    r"""Delta_F = g^T (F + damping I)^-1 g: the loss that a unit natural-gradient step promises, in nats.

    Parameters
    ----------
    curvature : Curvature
        F.
    gradient : (N,) array_like
        g.
    damping : float
        Zero: the pseudo-inverse, with eigenvalues up to `cutoff` times the largest taken for zero; what of g lies in
        that null space does not count (`Curvature.null_part` has it).
    cutoff : float
        Relative to the largest eigenvalue; for damping zero.

    Returns
    -------
    float

    Raises
    ------
    NotPositiveDefinite
        A damping below the rounding of F, where F is singular: nothing but rounding would come out.

    See Also
    --------
    half_batch_dissipation : Unbiased, from two half batches.
    excess_factor : What another direction costs.

    Notes
    -----
    From a mini-batch it over-states that of the mean gradient by about (effective dimension) / (batch size):
    `half_batch_dissipation` does not. Source: You (2026), NGD-T.

    Examples
    --------
    >>> import thermolinalg as tl
    >>> tl.curvature.dissipation(tl.curvature.DiagonalCurvature([4.0, 1.0]), [2.0, 1.0])
    2.0
    """
    require_curvature(curvature, "curvature")
    gradient = _validation.vector(gradient, "gradient", curvature.size)
    return half_batch_dissipation(curvature, gradient, gradient, damping=damping, cutoff=cutoff)


def half_batch_dissipation(
    curvature: Curvature, first: ArrayLike, second: ArrayLike, *, damping: float = 0.0, cutoff: float = 1e-10
) -> float:
    """Unbiased Delta_F from the gradients of two independent half batches: g1^T (F + damping I)^-1 g2.

    Parameters
    ----------
    curvature : Curvature
        Independent of both, or fixed.
    first, second : (N,) array_like
        Gradients g1 and g2.
    damping, cutoff : float
        As in `dissipation`.

    Returns
    -------
    float
        May be negative: its mean is that of the true gradient, g^T F^-1 g.

    See Also
    --------
    dissipation : From one gradient.

    Examples
    --------
    >>> import thermolinalg as tl
    >>> tl.curvature.half_batch_dissipation(tl.curvature.DiagonalCurvature([2.0]), [1.0], [3.0])
    1.5
    """
    require_curvature(curvature, "curvature")
    first = _validation.vector(first, "first", curvature.size)
    second = _validation.vector(second, "second", curvature.size)
    damping = _validation.positive(damping, "damping", zero=True)
    return float(first @ _inverse(curvature, second, damping, cutoff))


def excess_factor(curvature: Curvature, gradient: ArrayLike, direction: ArrayLike, *, cutoff: float = 1e-10) -> float:
    """Metric cost of a direction over the least at the same first-order change of the loss: R >= 1.

    ``R = (d^T F d)(g^T F^+ g) / (g^T d)^2``: 1 exactly for the natural gradient, at most
    ``(kappa + 1)^2 / (4 kappa)`` for the plain one (Kantorovich).

    Parameters
    ----------
    curvature : Curvature
        F.
    gradient, direction : (N,) array_like
        g and d; d may have any length and sign.
    cutoff : float
        As in `dissipation`. A gradient or direction with a part in the null space of F, which costs nothing, can have
        R < 1.

    Returns
    -------
    float
        nan for a direction along which the loss does not change in first order: no ratio is defined.

    See Also
    --------
    dissipation : The least cost.
    thermolinalg.optimizers.measure : R in the report of a step.

    Examples
    --------
    >>> import thermolinalg as tl
    >>> F = tl.curvature.DiagonalCurvature([4.0, 1.0])
    >>> tl.curvature.excess_factor(F, [1.0, 1.0], [1.0, 1.0])
    1.5625
    """
    require_curvature(curvature, "curvature")
    gradient = _validation.vector(gradient, "gradient", curvature.size)
    direction = _validation.vector(direction, "direction", curvature.size)
    gradient, direction = unit_scaled(gradient)[0], unit_scaled(direction)[0]
    cost, least = curvature.quadratic(direction), dissipation(curvature, gradient, cutoff=cutoff)
    return excess_of(cost, least, float(gradient @ direction))


def excess_of(cost: float, least: float, change: float) -> float:
    """R of a direction with cost d^T F d and first-order change g^T d, where Delta_F is `least`."""
    return (cost / change) * (least / change) if change else float("nan")
