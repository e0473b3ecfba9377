"""Linear stochastic processes: transitions, stationary laws, samples, likelihood, work and heat along paths."""

from .base import LinearProcess
from .calibration import Calibration
from .energetics import PathEnergetics, path_energetics
from .langevin import Langevin, LangevinPaths
from .ornstein_uhlenbeck import OrnsteinUhlenbeck

__all__ = [
    "Calibration",
    "Langevin",
    "LangevinPaths",
    "LinearProcess",
    "OrnsteinUhlenbeck",
    "PathEnergetics",
    "path_energetics",
]
