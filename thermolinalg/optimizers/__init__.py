"""Optimisers on flat arrays and curvatures: one protocol, no framework. See `thermolinalg.optimizers.protocol`."""

from .adam import Adam
from .ngdt import NGDT
from .protocol import Optimizer, Report, State, measure
from .sgd import SGD
from .signsgd import SignSGD
from .thermodynamic_kfac import ThermodynamicKFAC

__all__ = ["NGDT", "SGD", "Adam", "Optimizer", "Report", "SignSGD", "State", "ThermodynamicKFAC", "measure"]
