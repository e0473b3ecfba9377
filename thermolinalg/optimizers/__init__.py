"""Optimisers on flat arrays and curvatures: one protocol, no framework.

    state = optimizer.init(theta)
    theta, state = optimizer.step(theta, gradient, curvature, state)
    state.report

theta and gradient are flat float arrays, the curvature one of `thermolinalg.curvature` (None where none is needed), the
state a value with a `Report` of the step.
"""

from .adam import Adam
from .damping import LevenbergMarquardt
from .ekfac import EKFAC
from .kfac import KFAC
from .natural import NaturalGradient, woodbury
from .ngdt import NGDT
from .protocol import Optimizer, Report, State, measure
from .sgd import SGD
from .signsgd import SignSGD
from .thermodynamic_kfac import ThermodynamicKFAC
from .tngd import TNGD

__all__ = [
    "EKFAC",
    "KFAC",
    "NGDT",
    "SGD",
    "TNGD",
    "Adam",
    "LevenbergMarquardt",
    "NaturalGradient",
    "Optimizer",
    "Report",
    "SignSGD",
    "State",
    "ThermodynamicKFAC",
    "measure",
    "woodbury",
]
