"""Single precision: its name, and what paths can be stepped in it."""

import numpy as np

LEAST_CHANGE = 3e-5  # rate times spacing from which on a step in single precision keeps the rate to 1e-3
SINGLE_RANGE = 1e30  # largest variance of a read, and inverse of the smallest, whose products it holds


def precision_of(dtype) -> np.dtype:
    """float64 or float32, of a type or its name."""
    for known in (np.float64, np.float32):
        if dtype in (known, np.dtype(known), np.dtype(known).name):
            return np.dtype(known)
    raise ValueError(f"dtype must be float64 or float32, got {dtype!r}")


def require_single(extremes: tuple[float, float], beta: float, spacing: float | None) -> None:
    """Refuse reads, `spacing` apart or independent, that single precision cannot hold or cannot tell apart."""
    for variance in (1.0 / (beta * rate) for rate in extremes):
        if not 1.0 / SINGLE_RANGE <= variance <= SINGLE_RANGE:
            raise ValueError(
                f"dtype=float32 cannot hold products of reads of variance {variance:.3g}; rescale A or beta, or use "
                "dtype=float64"
            )
    if spacing is not None and extremes[0] * spacing < LEAST_CHANGE:
        raise ValueError(
            f"dtype=float32 cannot tell the slowest mode of one read from that of the next: lambda_min times the "
            f"spacing of the reads is {extremes[0] * spacing:.3g}, and must be at least {LEAST_CHANGE:.0e}; use "
            "dtype=float64"
        )
