"""Symmetric positive definite matrices as operators that apply functions of themselves.

For symmetric A the device is a bundle of independent modes, so the device output is ``f(A) b + g(A) xi``.
An operator holds whatever makes ``f(A) v`` cheap for its kind of matrix:

=============  ==============================================  =================
operator       holds                                           cost of f(A) v
=============  ==============================================  =================
`Diagonal`     d numbers                                       d
`Dense`        the eigendecomposition, once                    d^2
`LowRank`      sigma I + U S U^T, orthonormal U (d, r)         d r
`Kronecker`    eigendecompositions of both factors             d (dA + dB)
`Krylov`       a matrix-vector product                         k products
=============  ==============================================  =================

All but `Krylov` share one mechanism, `Modal`: coordinates in which A is diagonal.
"""

from .base import Modal
from .dense import Dense, Matrix, Operator, as_operator
from .krylov import Krylov
from .structured import Diagonal, Kronecker, LowRank

__all__ = ["Dense", "Diagonal", "Kronecker", "Krylov", "LowRank", "Matrix", "Modal", "Operator", "as_operator"]
