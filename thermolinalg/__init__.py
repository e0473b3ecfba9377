"""thermolinalg: linear algebra on simulated thermodynamic computers, exact in law and honest about cost."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from . import curvature, optimizers, problems
    from . import errors as errors
    from . import laws as laws
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
    from .fast_generator import FastGenerator, fast_rng
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

# What `__getattr__` imports, and from where; the imports above say the same to type checkers and editors.
_MODULES = ("curvature", "errors", "laws", "optimizers", "problems")
_NAMES = {
    "capacitances": "CapacitiveForm capacitive_form capacitors maxwell_matrix",
    "determinant": "WorkEstimate det logdet",
    "device": "Device",
    "dynamics": "Inertia",
    "energetics": "PathEnergetics path_energetics",
    "errors": (
        "NoClosedLaw NotConverged NotEquilibrated NotPositiveDefinite QuantizationFloor UnreliableStderr UnreliableWork"
    ),
    "exponential": "expm expm_action negexpm",
    "fast_generator": "FastGenerator fast_rng",
    "inverse": "inv",
    "linear": "solve",
    "lyapunov_equation": "lyapunov",
    "mitigation": "RoundingEnsemble expected_bias mitigate rounding_ensemble",
    "nonlinear": "NodeAverage NonlinearAverage averaging_time nonlinear_average",
    "operators": "Dense Diagonal Kronecker Krylov LowRank as_operator",
    "paths": "EulerPaths euler_maruyama",
    "processes": "OrnsteinUhlenbeck",
    "quantization": "Quantizer",
    "refinement": "as_preconditioner",
    "results": "Cost Estimate Round",
    "rlc": "RLCSampler",
    "statistics": "autocorrelation_time batch_means effective_sample_size time_average",
    "underdamped": "Underdamped UnderdampedPaths critical_friction",
    "warm_starts": "WarmStart warm_start",
}
_HOME = {name: module for module, names in _NAMES.items() for name in names.split()}


def __getattr__(name: str):
    """Import a public name when it is first used (PEP 562): most callers need few, and some not even Numba."""
    if name in _HOME:
        value = getattr(import_module(f".{_HOME[name]}", __name__), name)
    elif name in _MODULES:
        value = import_module(f".{name}", __name__)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(__all__))
