"""Aifer et al., Thermodynamic Linear Algebra, arXiv:2308.05660 (npj Unconventional Computing 1, 13, 2024)."""
