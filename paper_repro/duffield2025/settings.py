"""Every number of the reproduction of Duffield et al., and where it comes from.

From the paper's figure of the error of e^-A against time and the settings of its code
    Two panels: A = G G^T / (2d), G Gaussian (d, 2d), with alpha = 0; A uniform in the orthogonal group, alpha = 1.1.
    d = 64, 128, 256, 512; 10^4 reads, dt = 12 us apart; start at x = 0, no burn-in; beta = gamma = 1; 10 repeats.
    Thresholds of ||C - e^-A||_F: 8.0 (Wishart) and 19.0 (orthogonal); of that over ||e^-A||_F: 0.9 in both.
    Times axis from 30 us. Bands: one standard deviation over repeats.

Left open there, and chosen here
    Whether repeats share their matrix: each has a matrix of its own, so that the scatter includes the ensemble's.
    Reads: x = 0 is the first of them; n products end n dt after the start.
    Crossing time: of each repeat, from when on its error stays below the threshold (before the first products the
    error is ||e^-A||_F, which for small d lies below the absolute threshold, so that the first time below it would
    be the start). Mean and standard deviation over repeats are given.
    Theory: the exact mean square error of each repeat's own matrix for a start at x = 0, nothing fitted.

Scales: "smoke" is for tests (seconds): small sizes, reads until all have crossed; "default" for the gallery: all
sizes and reads, half the repeats; "paper" is the paper's own size.
"""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One family of matrices, its shift and the errors whose crossing is timed."""

    family: str
    alpha: float
    absolute: float
    relative: float = 0.9


@dataclass(frozen=True, kw_only=True)
class ExponentialError:
    """Error of e^-A against time."""

    panels: tuple[Panel, ...] = (
        Panel(family="Wishart", alpha=0.0, absolute=8.0),
        Panel(family="orthogonal", alpha=1.1, absolute=19.0),
    )
    sizes: tuple[int, ...] = (64, 128, 256, 512)
    n_reads: int = 10_000
    read_spacing: float = 12.0  # us
    repeats: int = 10
    earliest: float = 30.0  # us
    points: int = 60  # of each curve, evenly spaced in the logarithm of time


SCALES = {
    "smoke": {"exponential_error_vs_time": ExponentialError(sizes=(64, 128), n_reads=1500, repeats=20)},
    "default": {"exponential_error_vs_time": ExponentialError(repeats=5)},
    "paper": {"exponential_error_vs_time": ExponentialError()},
}
