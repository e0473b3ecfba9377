"""What a device holds in place of a damped curvature when its resistors are programmed with words of few bits."""

from typing import Any, NamedTuple

import numpy as np
import scipy.linalg

from ..curvature import Curvature, DenseCurvature, DiagonalCurvature, LowRankCurvature
from ..errors import NotPositiveDefinite
from ..hardware import programming
from ..hardware.device import Device
from ..operators import Dense, Diagonal, LowRank, Modal


class Held(NamedTuple):
    """The matrix ``operator + damping I`` that the device holds, and how many numbers saturated in programming it."""

    operator: Modal
    damping: float
    saturated: int = 0


def program(curvature: Curvature, damping: float, device: Device, rng: np.random.Generator) -> Held:
    """F + damping I after `matrix_bits` and `mismatch` of the device; found once for a curvature and a device.

    A dense or diagonal F is one array of resistors with the damping in it. J^T H J is three, J, H and J^T; the host
    rounds J once and sends the same words to two of them, and the damping has exact resistors of its own.

    Raises
    ------
    ValueError
        A curvature that has no stored entries; mismatch where it would make J and J^T unlike.
    NotPositiveDefinite
        The device would not relax: with the smallest eigenvalue of what it holds.
    """
    if device.matrix_bits is None and device.mismatch == 0.0:
        return Held(curvature, damping)
    if device.rounding == "stochastic" and device.matrix_bits is not None:
        return _program(curvature, damping, device, rng)
    key = (damping, device.matrix_bits, device.matrix_range, device.mismatch, device.mismatch_seed)
    kept = curvature.programmed
    if key not in kept:
        while len(kept) >= programming.KEPT_PROGRAMMED:
            del kept[next(iter(kept))]
        kept[key] = _program(curvature, damping, device, rng)
    return kept[key]


def _program(curvature: Curvature, damping: float, device: Device, rng: np.random.Generator) -> Held:
    if isinstance(curvature, LowRankCurvature) and curvature.rows is not None:
        return _program_rows(curvature, damping, device, rng)
    whole: Modal
    if isinstance(curvature, DiagonalCurvature):
        whole = Diagonal(curvature.rates + damping)
    elif isinstance(curvature, DenseCurvature):
        whole = Dense(curvature.dense() + damping * np.eye(curvature.size))
    else:
        raise ValueError(
            f"matrix_bits and mismatch act on stored entries, which this {type(curvature).__name__} has none of here; "
            "pass DenseCurvature(F.dense()), a LowRankCurvature of an array of rows, "
            "or a device with matrix_bits=None and mismatch=0"
        )
    try:
        programmed = programming.program(whole, device, rng=rng)
    except NotPositiveDefinite as error:
        raise NotPositiveDefinite(f"A = F + damping I (damping={damping:g}): {error}", error.eigenvalue) from None
    operator: Any = programmed.operator  # a Modal, as it stands for one
    return Held(operator, 0.0, programmed.clipped["matrix"])


def _program_rows(curvature: LowRankCurvature, damping: float, device: Device, rng: np.random.Generator) -> Held:
    """J^T H J from rounded J and H; H may lose its definiteness, which the damping has to make good."""
    if device.mismatch:
        raise ValueError(
            f"mismatch={device.mismatch:g} would make the arrays of J and J^T unlike and F not symmetric, which is not "
            "simulated; use a device with mismatch=0, or DenseCurvature"
        )
    assert curvature.rows is not None  # a product alone has no entries to round
    rows, saturated = device.matrix.round(curvature.rows, rng)
    saturated *= 2
    if curvature.H is None or curvature.H.ndim == 1:
        weights, more = (None, 0) if curvature.H is None else device.matrix.round(curvature.H, rng)
        return Held(LowRankCurvature(rows, weights), damping, saturated + more)
    blocks = curvature.H[None] if curvature.H.ndim == 2 else curvature.H
    H, more = programming.program_array(scipy.linalg.block_diag(*blocks), device, rng)
    n, size = rows.shape
    try:
        if n <= size and damping > 0.0:
            held: Modal = LowRank(damping, rows.T, H)
        else:
            held = Dense(rows.T @ H @ rows + damping * np.eye(size))
            held.rates  # noqa: B018  definiteness is decided here, at programming
    except NotPositiveDefinite as error:
        raise NotPositiveDefinite(
            f"J^T H J + damping I as programmed (matrix_bits={device.matrix_bits}, damping={damping:g}) is not "
            f"positive definite: its smallest eigenvalue is {error.eigenvalue:.6g}; more bits are needed, or a damping "
            f"above {damping - error.eigenvalue:.3g}",
            error.eigenvalue,
        ) from None
    return Held(held, 0.0, saturated + more)
