"""thermolinalg: linear algebra on simulated thermodynamic computers, exact in law and honest about cost."""

import importlib
from typing import TYPE_CHECKING

from . import problems
from .capacitances import CapacitiveForm, capacitive_form, capacitors, maxwell_matrix
from .determinant import WorkEstimate, det, logdet
from .device import Device
from .dynamics import Inertia
from .energetics import PathEnergetics, path_energetics
from .errors import (
    NoClosedLaw,
    NotConverged,
    NotEquilibrated,
    NotPositiveDefinite,
    QuantizationFloor,
    UnreliableStderr,
    UnreliableWork,
)
from .exponential import expm, expm_action, negexpm
from .fast_rng import FastGenerator, fast_rng
from .inverse import inv
from .linear import solve
from .lyapunov_equation import lyapunov
from .mitigation import RoundingEnsemble, expected_bias, mitigate, rounding_ensemble
from .nonlinear import NodeAverage, NonlinearAverage, averaging_time, nonlinear_average
from .operators import Dense, Diagonal, Kronecker, Krylov, LowRank, as_operator
from .paths import EulerPaths, euler_maruyama
from .processes import OrnsteinUhlenbeck
from .quantization import Quantizer
from .refinement import as_preconditioner
from .results import Cost, Estimate, Round
from .rlc import RLCSampler
from .statistics import autocorrelation_time, batch_means, effective_sample_size, time_average
from .underdamped import Underdamped, UnderdampedPaths, critical_friction
from .warm_starts import WarmStart, warm_start

if TYPE_CHECKING:
    from . import curvature, optimizers

__version__ = "0.1.0"

__all__ = [
    "CapacitiveForm",
    "Cost",
    "Dense",
    "Device",
    "Diagonal",
    "Estimate",
    "EulerPaths",
    "FastGenerator",
    "Inertia",
    "Kronecker",
    "Krylov",
    "LowRank",
    "NoClosedLaw",
    "NodeAverage",
    "NonlinearAverage",
    "NotConverged",
    "NotEquilibrated",
    "NotPositiveDefinite",
    "OrnsteinUhlenbeck",
    "PathEnergetics",
    "QuantizationFloor",
    "Quantizer",
    "RLCSampler",
    "Round",
    "RoundingEnsemble",
    "Underdamped",
    "UnderdampedPaths",
    "UnreliableStderr",
    "UnreliableWork",
    "WarmStart",
    "WorkEstimate",
    "as_operator",
    "as_preconditioner",
    "autocorrelation_time",
    "averaging_time",
    "batch_means",
    "capacitive_form",
    "capacitors",
    "critical_friction",
    "curvature",
    "det",
    "effective_sample_size",
    "euler_maruyama",
    "expected_bias",
    "expm",
    "expm_action",
    "fast_rng",
    "inv",
    "logdet",
    "lyapunov",
    "maxwell_matrix",
    "mitigate",
    "negexpm",
    "nonlinear_average",
    "optimizers",
    "path_energetics",
    "problems",
    "rounding_ensemble",
    "solve",
    "time_average",
    "warm_start",
]


def __getattr__(name: str):
    """Training is imported when it is first used."""
    if name in ("curvature", "optimizers"):
        return importlib.import_module(f".{name}", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(__all__))
