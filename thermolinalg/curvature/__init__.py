r"""Curvature of a loss: positive semidefinite metrics F on the parameters, diagonal in coordinates that are cheap.

A curvature has two names. Its **kind** says which matrix it estimates and lies in the output gradients from which it is
built (`cotangents`); its **shape** says what is kept of it:

=====================  ==================================================  =====================
shape                  holds                                               cost of f(F) v
=====================  ==================================================  =====================
`DiagonalCurvature`    N numbers                                           N
`DenseCurvature`       the (N, N) matrix and its eigendecomposition        N^2
`LowRankCurvature`     rows J (n, N), H (n, n): F = J^T H J                n N
`KroneckerCurvature`   factors A (p, p), G (r, r) of a layer: F = A x G    N (p + r)
`BlockCurvature`       one of these for each block of the parameters       their sum
=====================  ==================================================  =====================

Functions of F, its null space included, are ``from_modes(f(rates) * to_modes(v))`` as for the operators of linear
algebra. No curvature holds a damping: ``F.damped(damping)`` is the positive definite operator that a solver takes, and
shares the factorisation.
"""

from .base import Curvature, Damped
from .blocks import BlockCurvature
from .cotangents import cotangents
from .dissipation import dissipation, excess_factor, half_batch_dissipation
from .full import DenseCurvature, DiagonalCurvature
from .kronecker import KroneckerCurvature, kronecker_factors
from .low_rank import LowRankCurvature
from .tracking import Tracking

__all__ = [
    "BlockCurvature",
    "Curvature",
    "Damped",
    "DenseCurvature",
    "DiagonalCurvature",
    "KroneckerCurvature",
    "LowRankCurvature",
    "Tracking",
    "cotangents",
    "dissipation",
    "excess_factor",
    "half_batch_dissipation",
    "kronecker_factors",
]
