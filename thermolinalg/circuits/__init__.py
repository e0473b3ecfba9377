"""Machines that are not the standard RC network: the RLC board, capacitor networks, amplifiers that saturate."""

from .capacitances import CapacitiveForm, capacitive_form, capacitors, maxwell_matrix
from .nonlinear import NodeAverage, NonlinearAverage, averaging_time, nonlinear_average
from .rlc import RLCSampler

__all__ = [
    "CapacitiveForm",
    "NodeAverage",
    "NonlinearAverage",
    "RLCSampler",
    "averaging_time",
    "capacitive_form",
    "capacitors",
    "maxwell_matrix",
    "nonlinear_average",
]
