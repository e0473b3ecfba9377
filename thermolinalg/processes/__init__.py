"""Linear stochastic processes: transitions, stationary laws, samples, likelihood, work and heat along paths."""

from .energetics import PathEnergetics, path_energetics
from .langevin import Langevin, LangevinPaths
from .likelihood import Calibration
from .ornstein_uhlenbeck import OrnsteinUhlenbeck

__all__ = ["Calibration", "Langevin", "LangevinPaths", "OrnsteinUhlenbeck", "PathEnergetics", "path_energetics"]
