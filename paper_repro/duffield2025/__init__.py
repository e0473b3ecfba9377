"""Duffield et al., Thermodynamic Matrix Exponentials and Thermodynamic Parallelism, arXiv:2311.12759.

Phys. Rev. Research 7, 013147 (2025).
"""
