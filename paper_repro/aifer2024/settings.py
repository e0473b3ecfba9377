"""Every number of the reproduction of Aifer et al., and where it comes from.

From the paper and its group
    Sizes d = 100, 1000, 5000, a panel each, error against time beside Cholesky and conjugate gradient: main figure.
    Device: R = 1 kOhm, C = 1 nF, 16-bit words over a 50 Gb/s link (same group, arXiv:2405.13817, App. C).
    Law of the device: dx = -(A x - b) dt + sqrt(2/beta) dW.

Left open there, and chosen here
    Matrix family: Wishart with 2 d degrees of freedom, the one in the group's later code (condition number near 34).
    Signal and noise: b of independent normal entries with standard deviation 1, and beta = 1. A b that is s times
    larger cuts the averaging time by s^2 and costs s^2 times the power.
    Burn-in: until what is left of the start is a tenth of the standard error; it is part of the device's time.
    Digital times: measured on the CPU that draws the figure (the paper used a GPU), float64.
    Inverse: matrices of norm 1 with eigenvalues evenly spaced in the logarithm, d = 32.
    Real matrices: scaled so that the largest entry is 1 (the reference conductance) and b has rms 1.

Scales: "smoke" is for tests (seconds), "default" for the gallery (minutes), "paper" has the same sizes with more
repeats and points.
"""

from dataclasses import dataclass

import numpy as np

import thermolinalg as tl

DEVICE = tl.Device.tngd()
WORD_LENGTHS = (16, 20, 24, 32)  # tried in turn, for matrix, inputs and outputs alike, where 16 bits are too few


@dataclass(frozen=True, kw_only=True)
class SolveError:
    """Error of a linear system against time."""

    sizes: tuple[int, ...] = (100, 1000, 5000)
    durations: tuple[float, ...] = tuple(np.geomspace(1.0, 1e7, 22))  # [RC]
    repeats: int = 20
    iterations: int = 40  # of conjugate gradient
    timing_repeats: int = 9

    def timings(self, d: int) -> int:
        """Repeats of a measured time: fewer for what takes seconds."""
        return min(self.timing_repeats, 5) if d > 2000 else self.timing_repeats


@dataclass(frozen=True, kw_only=True)
class InverseError:
    """Error of an inverse against time."""

    size: int = 32
    kappas: tuple[float, ...] = (5.0, 30.0, 100.0, 300.0, 1000.0)
    durations: tuple[float, ...] = tuple(np.geomspace(3.0, 1e5, 10))  # [RC]
    reads: tuple[int, ...] = (2, 6, 20, 60, 200, 600, 2000, 6000, 20000)
    longest: float = 3e6  # [RC]; reads that take longer are left out
    repeats: int = 20


@dataclass(frozen=True, kw_only=True)
class RealMatrices:
    """Time and energy to a given error."""

    systems: tuple[str, ...] = (
        "digits_correlation",
        "laplacian_32",
        "digits_kernel_256",
        "mikota_64",
        "digits_second_moment",
        "breast_cancer_correlation_damped",
        "digits_kernel_1024",
        "breast_cancer_correlation",
    )
    rtol: float = 0.01
    word_lengths: tuple[int, ...] = WORD_LENGTHS
    repeats: int = 20
    timing_repeats: int = 15


SCALES = {
    "smoke": {
        "solve_error_vs_time": SolveError(
            sizes=(30, 100, 1000), durations=tuple(np.geomspace(10.0, 1e6, 6)), repeats=4, timing_repeats=3
        ),
        "inverse_error_vs_time": InverseError(
            size=8, kappas=(5.0, 30.0), durations=(30.0, 300.0, 3000.0), reads=(20, 200, 2000), repeats=10
        ),
        "real_matrices": RealMatrices(
            systems=("laplacian_8", "digits_correlation", "breast_cancer_correlation"), repeats=12, timing_repeats=3
        ),
    },
    "default": {
        "solve_error_vs_time": SolveError(),
        "inverse_error_vs_time": InverseError(),
        "real_matrices": RealMatrices(),
    },
    "paper": {
        "solve_error_vs_time": SolveError(
            durations=tuple(np.geomspace(1.0, 1e7, 43)), repeats=100, iterations=60, timing_repeats=25
        ),
        "inverse_error_vs_time": InverseError(durations=tuple(np.geomspace(3.0, 1e6, 12)), longest=1e7, repeats=100),
        "real_matrices": RealMatrices(repeats=200, timing_repeats=51),
    },
}
