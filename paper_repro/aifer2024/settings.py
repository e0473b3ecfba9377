"""Every number of the reproduction of Aifer et al., and where it comes from.

From the paper and its group
    Main figure: error against time compared with Cholesky and conjugate gradient; d = 100, 1000, 5000, a panel each.
    Device: R = 1 kOhm, C = 1 nF, 16-bit words over a 50 Gb/s link (same group, arXiv:2405.13817, App. C).
    Law of the device: dx = -(A x - b) dt + sqrt(2/beta) dW.

Left open there, and chosen here
    Matrix family: Wishart with 2 d degrees of freedom, the one in the group's later code (condition number near 34).
    Signal and noise: b of independent normal entries with standard deviation 1, and beta = 1. A b that is s times
    larger cuts the averaging time by s^2 and costs s^2 times the power.
    Burn-in: until what is left of the start is a tenth of the standard error; it is part of the device's time.
    Digital times: measured on the CPU that draws the figure (the paper used a GPU), float64.
    Inverse: matrices of norm 1 with eigenvalues evenly spaced in the logarithm, d = 32.
    Time to an error: the worst spectrum (all eigenvalues but one at 1/kappa) for an absolute error and b of norm 1;
        evenly spaced in the logarithm for a relative one. Underdamped: unit mass, slowest mode critically damped.
    Lyapunov equations: symmetric A as for inverses, d = 16. Determinants: Wishart, d = 16, driven linearly from the
        mean diagonal. The paper's matrices, times and numbers of trajectories are not known to us.
    Energy against time and refinement: ours. Refinement is not in the paper.
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


@dataclass(frozen=True, kw_only=True)
class TimeToError:
    """Time to a given error against d, kappa and the error."""

    sizes: tuple[int, ...] = (16, 64, 256, 1024)
    kappas: tuple[float, ...] = (3.0, 10.0, 30.0, 100.0, 300.0, 1e3, 3e3, 1e4, 3e4, 1e5)
    absolute: tuple[float, ...] = (3.0, 1.0, 0.3, 0.1, 0.03)  # in voltage units, for b of norm 1
    relative: tuple[float, ...] = (0.3, 0.1, 0.03, 0.01, 0.003)
    size: int = 64  # where d is not the argument
    kappa: float = 10.0
    draws: int = 40  # of b
    fit_points: int = 3  # the largest d or kappa, the smallest errors

    def targets(self, convention: str) -> tuple[float, ...]:
        """Errors to reach."""
        return self.absolute if convention == "absolute" else self.relative

    def target(self, convention: str) -> float:
        """The error where it is not the argument."""
        return 0.1


@dataclass(frozen=True, kw_only=True)
class Refinement:
    """Refinement against averaging."""

    size: int = 200
    kappas: tuple[float, ...] = (10.0, 100.0, 1000.0)  # the first is that of error against time
    duration: float = 50.0  # [RC] of a round where it is not the argument
    durations: tuple[float, ...] = tuple(np.geomspace(10.0, 1e8, 15))  # [RC] of plain averaging
    rounds: int = 16
    shown_bits: tuple[int, ...] = (16, 8, 7, 6)
    tolerances: tuple[float, ...] = (1e-2, 1e-4, 1e-6, 1e-8, 1e-10)
    round_durations: tuple[float, ...] = (5.0, 15.0, 50.0, 150.0, 500.0, 1500.0, 5000.0)  # [RC]
    rounded_kappas: tuple[float, ...] = (10.0, 100.0)
    bits: tuple[int, ...] = (4, 5, 6, 7, 8, 9, 10, 11, 12, 14, 16)
    cold: float = 1e6  # beta where rounding is looked at: what is left of the noise is a contraction of 2e-4
    repeats: int = 10


@dataclass(frozen=True, kw_only=True)
class Primitives:
    """Convergence of Lyapunov equations and determinants."""

    size: int = 16  # of the Lyapunov equation; its noise matrix is Wishart with 2 d degrees of freedom
    kappas: tuple[float, ...] = (5.0, 30.0, 100.0)
    durations: tuple[float, ...] = tuple(np.geomspace(30.0, 3e4, 7))  # [RC]
    lyapunov_repeats: int = 40
    det_size: int = 16  # Wishart with 2 d degrees of freedom, from its mean diagonal
    paths: tuple[int, ...] = (30, 100, 300, 1000, 3000)  # in all; "bar" runs half of them backwards
    ramp: float = 30.0  # [RC], where the number of paths is the argument: no single path rules e^-w
    n_paths: int = 300
    ramps: tuple[float, ...] = (0.3, 1.0, 3.0, 10.0, 30.0, 100.0)  # [RC]
    repeats: int = 40


@dataclass(frozen=True, kw_only=True)
class EnergyTime:
    """Energy against time."""

    size: int = 50
    kappas: tuple[float, ...] = (5.0, 30.0, 300.0)
    rtol: float = 0.003
    scales: tuple[float, ...] = tuple(np.geomspace(0.03, 100.0, 21))  # multiples of b


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
        "solve_time_to_error": TimeToError(
            sizes=(16, 64, 256),
            kappas=(1e3, 1e4, 1e5),
            absolute=(1.0, 0.3, 0.1),
            relative=(0.1, 0.03, 0.01),
            draws=20,
        ),
        "refinement_vs_averaging": Refinement(
            size=100,
            kappas=(10.0, 100.0),
            durations=tuple(np.geomspace(100.0, 1e6, 4)),
            rounds=10,
            shown_bits=(16, 6),
            tolerances=(1e-4, 1e-8),
            round_durations=(50.0, 500.0),
            bits=(4, 6, 8, 10, 12),
            repeats=4,
        ),
        "primitives_convergence": Primitives(
            size=6,
            kappas=(5.0,),
            durations=(100.0, 1000.0),
            lyapunov_repeats=10,
            det_size=6,
            paths=(100, 1000),
            ramps=(1.0, 30.0),
            repeats=10,
        ),
        "energy_time": EnergyTime(size=20, kappas=(5.0, 30.0), scales=tuple(np.geomspace(0.1, 30.0, 8))),
    },
    "default": {
        "solve_error_vs_time": SolveError(),
        "inverse_error_vs_time": InverseError(),
        "real_matrices": RealMatrices(),
        "solve_time_to_error": TimeToError(),
        "refinement_vs_averaging": Refinement(),
        "primitives_convergence": Primitives(),
        "energy_time": EnergyTime(),
    },
    "paper": {
        "solve_error_vs_time": SolveError(
            durations=tuple(np.geomspace(1.0, 1e7, 43)), repeats=100, iterations=60, timing_repeats=25
        ),
        "inverse_error_vs_time": InverseError(durations=tuple(np.geomspace(3.0, 1e6, 12)), longest=1e7, repeats=100),
        "real_matrices": RealMatrices(repeats=200, timing_repeats=51),
        "solve_time_to_error": TimeToError(sizes=(16, 64, 256, 1024, 4096), draws=400),
        "refinement_vs_averaging": Refinement(size=500, rounds=24, repeats=40),
        "primitives_convergence": Primitives(
            durations=tuple(np.geomspace(30.0, 3e5, 9)),
            lyapunov_repeats=100,
            paths=(30, 100, 300, 1000, 3000, 10000),
            repeats=200,
        ),
        "energy_time": EnergyTime(scales=tuple(np.geomspace(0.01, 1000.0, 31))),
    },
}
