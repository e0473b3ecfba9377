"""A damped curvature as the operator that a device holds in its place."""

from typing import Any

import numpy as np

from ..curvature import Curvature, Damped, DenseCurvature, DiagonalCurvature, LowRankCurvature
from ..errors import NotPositiveDefinite
from ..hardware.device import Device
from ..hardware.programming import Programmed, kept_with, program, program_rows
from ..operators import Dense, Diagonal, LowRank, Modal


def program_curvature(curvature: Curvature, damping: float, device: Device, rng: np.random.Generator) -> Programmed:
    """F + damping I, which may be singular, after `matrix_bits` and `mismatch` of the device.

    A dense or diagonal F is one array of resistors with the damping in it. J^T H J is three, J, H and J^T, and the
    damping has exact resistors of its own.

    Raises
    ------
    ValueError
        A curvature that has no stored entries; mismatch where it would make J and J^T unlike.
    NotPositiveDefinite
        The device would not relax: with the smallest eigenvalue of what it holds.
    """
    target = Damped(curvature, damping, definite=False)
    held: Modal = target
    saturated = 0
    if device.matrix_bits is not None or device.mismatch:
        held, saturated = kept_with(curvature, device, lambda: _held(curvature, damping, device, rng), (damping,))
    return Programmed(held, target, device, None, {"matrix": saturated, "dac": 0, "adc": 0})


def _held(curvature: Curvature, damping: float, device: Device, rng: np.random.Generator) -> tuple[Modal, int]:
    """The operator in place of a damped curvature, and how many numbers saturated in programming it."""
    if isinstance(curvature, LowRankCurvature) and curvature.rows is not None:
        rows, H, saturated = program_rows(curvature.rows, curvature.H, device, rng)
        return _damped_rows(rows, H, damping, device), saturated
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
        machine = program(whole, device, rng=rng)
    except NotPositiveDefinite as error:
        raise NotPositiveDefinite(f"A = F + damping I (damping={damping:g}): {error}", error.eigenvalue) from None
    operator: Any = machine.operator  # a Modal, as it stands for one
    return operator, machine.clipped["matrix"]


def _damped_rows(rows: np.ndarray, H: np.ndarray | None, damping: float, device: Device) -> Modal:
    """J^T H J + damping I; H may have lost its definiteness, which the damping has to make good."""
    if H is None or H.ndim == 1:
        return Damped(LowRankCurvature(rows, H), damping, definite=False)
    n, size = rows.shape
    try:
        if n <= size and damping > 0.0:
            return LowRank(damping, rows.T, H)
        held = Dense(rows.T @ H @ rows + damping * np.eye(size))
        held.rates  # noqa: B018  definiteness is decided here, at programming
        return held
    except NotPositiveDefinite as error:
        raise NotPositiveDefinite(
            f"J^T H J + damping I as programmed (matrix_bits={device.matrix_bits}, damping={damping:g}) is not "
            f"positive definite: its smallest eigenvalue is {error.eigenvalue:.6g}; more bits are needed, or a damping "
            f"above {damping - error.eigenvalue:.3g}",
            error.eigenvalue,
        ) from None
