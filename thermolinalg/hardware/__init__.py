"""The machine: its data sheet, converters, programming and read-out."""

from .converters import Quantizer
from .device import Device
from .programming import Programmed, fewest_bits, program, program_array

__all__ = ["Device", "Programmed", "Quantizer", "fewest_bits", "program", "program_array"]
