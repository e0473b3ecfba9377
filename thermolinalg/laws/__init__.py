"""Closed forms of the device output: functions of an eigenvalue, one page of physics each.

`thermolinalg.laws` itself has those of overdamped cells; `laws.underdamped` those of cells with inertia, `laws.bounds`
what bounds of the spectrum alone imply. `laws.readout` says what the protocols of both have in common.
"""

from .overdamped import (
    IndependentReads,
    Integrator,
    Reads,
    Voltage,
    driven_heat,
    heat_from_bath,
    integrator_step,
    phi1,
    phi2,
    psi,
    rise,
)
from .readout import Protocol
from .underdamped import critical_friction

__all__ = [
    "IndependentReads",
    "Integrator",
    "Protocol",
    "Reads",
    "Voltage",
    "critical_friction",
    "driven_heat",
    "heat_from_bath",
    "integrator_step",
    "phi1",
    "phi2",
    "psi",
    "rise",
]
