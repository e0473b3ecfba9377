"""Every number of the figures of quality: error bars, word lengths, work of ramps. All chosen here.

Scales: "smoke" is for tests (seconds), "default" for the gallery (two minutes together), "paper" has more repeats.
"""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """Scores of every estimator of `analysis.calibration.CASES`."""

    seeds: int = 200


@dataclass(frozen=True, kw_only=True)
class PrecisionBits:
    """Random matrices of given condition number, rounded to words of so many bits."""

    primitives: tuple[str, ...] = ("solve", "inv", "lyapunov", "logdet", "negexpm")
    bits: tuple[int, ...] = (4, 6, 8, 10, 12, 14, 16)
    d: int = 8
    condition_number: float = 5.0
    repeats: int = 8


@dataclass(frozen=True, kw_only=True)
class RampCost:
    """A ramp of the matrix, from its mean conductance as `logdet` does it, and a shift of b at fixed A = 1."""

    d: int = 4
    condition_number: float = 20.0
    shift: float = 2.0  # of b, hence of the mean voltage
    shortest: float = 0.03  # RC
    longest: float = 3000.0
    points: int = 41
    path_points: int = 7  # durations at which paths are simulated
    longest_paths: float = 100.0  # RC
    n_paths: int = 2000


SCALES = {
    "smoke": {
        "calibration": Calibration(seeds=2),
        "precision_bits": PrecisionBits(primitives=("solve", "inv"), bits=(4, 8, 12), repeats=1),
        "ramp_cost": RampCost(d=3, points=7, longest=100.0, path_points=2, longest_paths=10.0, n_paths=200),
    },
    "default": {"calibration": Calibration(), "precision_bits": PrecisionBits(), "ramp_cost": RampCost()},
    "paper": {
        "calibration": Calibration(seeds=2000),
        "precision_bits": PrecisionBits(repeats=32),
        "ramp_cost": RampCost(d=8, points=73, n_paths=20_000),
    },
}
