"""Optimisers on flat arrays and curvatures: one protocol, no framework.

    state = optimizer.init(theta)
    theta, state = optimizer.step(theta, gradient, curvature, state)
    state.report

theta and gradient are flat float arrays, the curvature one of `thermolinalg.curvature` (None where none is needed), the
state a value with a `Report` of the step.

Arguments that optimisers share mean the same in all of them and are explained here alone.

learning_rate : float
    Positive; the factor in front of the direction, in units of theta per unit of direction. An attribute of the same
    name may be changed between steps, as schedules do.
damping : float or LevenbergMarquardt
    Added to the diagonal of F at use, in units of F, never to the curvature itself. Non-negative; zero only where F is
    positive definite. A `LevenbergMarquardt` adapts it to the loss that `Optimizer.observe` is told.
momentum : float
    In [0, 1); 0 keeps none. Heavy ball, ``m <- momentum m + v``, unless the class says otherwise.
weight_decay : float
    Non-negative; pulls theta to zero.
tracking : Tracking, optional
    How curvatures are averaged over batches and how long eigenbases are kept; see `thermolinalg.curvature.Tracking`.
device : Device, optional
    Data sheet of the simulated machine; default an ideal one at beta = inf. Times are in units of RC, costs in seconds
    and joules in the report.
rng : {None, int, SeedSequence, Generator}, optional
    Passed to `numpy.random.default_rng`; fixes the noise of all steps. The noise of step k depends on `rng` and k
    alone, so a run that is resumed is the same run. None is fresh entropy.
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
