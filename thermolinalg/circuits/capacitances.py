"""Maxwell capacitance matrices: which matrices a network of capacitors holds, and how it may stand for others.

Cell i has a capacitor to ground, `own`[i], and one to every other cell, `coupling`[i, j]. Charges and voltages are
related by the Maxwell matrix, ``C_ii = own_i + sum_j coupling_ij`` and ``C_ij = -coupling_ij``: symmetric, with
off-diagonals that are not positive and row sums that are.
"""

from dataclasses import dataclass

import numpy as np
import scipy.linalg

from .. import _validation
from .._typing import ArrayLike, FloatArray
from ..operators import Dense

__all__ = ["CapacitiveForm", "capacitive_form", "capacitors", "maxwell_matrix"]


def maxwell_matrix(own: ArrayLike, coupling: ArrayLike) -> np.ndarray:
    """The Maxwell matrix of capacitors to ground and between cells.

    Parameters
    ----------
    own : (d,) array_like
        Capacitance of each cell to ground, positive.
    coupling : (d, d) array_like
        Capacitance between cells: symmetric, not negative, with a zero diagonal; same unit as `own`.

    Returns
    -------
    (d, d) ndarray
        ``diag(own + coupling 1) - coupling``; positive definite.

    Raises
    ------
    ValueError
        A capacitance that is negative, a cell without capacitance to ground, a coupling of a cell with itself.

    See Also
    --------
    capacitors : The inverse.

    Examples
    --------
    >>> maxwell_matrix([1.0, 2.0], [[0.0, 0.5], [0.5, 0.0]])
    array([[ 1.5, -0.5],
           [-0.5,  2.5]])
    """
    own, coupling = _validation.vector(own, "own"), _validation.symmetric(coupling, "coupling")
    d = own.size
    if coupling.shape != (d, d):
        raise ValueError(f"coupling must have shape ({d}, {d}), got {coupling.shape}")
    if own.min() <= 0:
        i = int(own.argmin())
        raise ValueError(f"own must be positive, got {own[i]:.6g} for cell {i}")
    if coupling.min() < 0:
        row, column = np.unravel_index(coupling.argmin(), coupling.shape)
        raise ValueError(
            f"coupling must not be negative, got {coupling[row, column]:.6g} between cells {row} and {column}"
        )
    if np.diag(coupling).any():
        i = int(np.diag(coupling).argmax())
        raise ValueError(f"coupling must have a zero diagonal, got {coupling[i, i]:.6g} for cell {i}")
    return np.diag(own + coupling.sum(axis=1)) - coupling


def capacitors(matrix: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Capacitances to ground and between cells that make up a Maxwell matrix: the inverse of `maxwell_matrix`.

    Parameters
    ----------
    matrix : (d, d) array_like
        Symmetric, off-diagonals not positive, row sums positive; any unit.

    Returns
    -------
    own : (d,) ndarray
    coupling : (d, d) ndarray

    Raises
    ------
    ValueError
        A matrix that no capacitors make, with the offending entry or row; `capacitive_form` may help.

    See Also
    --------
    maxwell_matrix : The inverse.
    capacitive_form : For matrices that no capacitors make.

    Examples
    --------
    >>> own, coupling = capacitors([[1.5, -0.5], [-0.5, 2.5]])
    >>> own
    array([1., 2.])
    """
    matrix = _validation.symmetric(matrix, "matrix")
    coupling = -matrix
    np.fill_diagonal(coupling, 0.0)
    if coupling.min() < 0:
        row, column = np.unravel_index(coupling.argmin(), coupling.shape)
        raise ValueError(
            f"matrix[{row}, {column}] = {matrix[row, column]:.6g} must not be positive: a capacitor between two cells "
            "can only lower an off-diagonal; capacitive_form(matrix) flips signs or doubles the cells where that helps"
        )
    own = matrix.sum(axis=1)
    if own.min() <= 0:
        i = int(own.argmin())
        raise ValueError(
            f"row {i} of matrix sums to {own[i]:.6g}, the capacitance of that cell to ground, and must be positive; "
            "capacitive_form(matrix) rescales the cells where that helps"
        )
    return own, coupling + 0.0  # no negative zeros


@dataclass(frozen=True, kw_only=True, eq=False)
class CapacitiveForm:
    """A Maxwell matrix that stands for a matrix that capacitors cannot hold.

    Attributes
    ----------
    matrix : (n, n) ndarray
        What to program; n = d, or 2 d where cells are doubled.
    readout : (d, n) ndarray
        Combination of the cells' voltages that the host forms: ``A^-1 = readout matrix^-1 readout^T``.
    """

    matrix: np.ndarray
    readout: np.ndarray


def capacitive_form(A: ArrayLike) -> CapacitiveForm:
    """A network of capacitors that stands for a symmetric positive definite matrix, if there is one.

    Three devices, in this order, each only where needed:

    1. *Signs and scales.* Where signs can be given to the cells such that ``s_i s_j A_ij <= 0`` for all pairs, the
       host flips the voltages of the negative cells. Rows that do not sum to a positive number are scaled:
       ``y_i A_ij y_j`` with y such that they do, which always exists then.
    2. *Doubled cells.* Where no signs will do, each cell gets a partner with the opposite voltage, and a positive
       off-diagonal becomes a coupling to the partner. The difference of partners, over sqrt 2, has covariance A^-1.
    3. Neither helps where the comparison matrix, ``A_ii`` on and ``-|A_ij|`` off the diagonal, is not positive
       definite: that is the limit. Hidden cells do not shift it, for what a network of capacitors looks like from
       some of its cells (a Schur complement) is again one.

    The scales cost the host a solution of a linear system; those of an earlier, similar matrix serve as well.

    Parameters
    ----------
    A : (d, d) array_like
        Symmetric positive definite.

    Returns
    -------
    CapacitiveForm

    Raises
    ------
    ValueError
        A that no form can hold; says how much must be added to its diagonal.
    NotPositiveDefinite
        With the offending eigenvalue.

    See Also
    --------
    capacitors : The values of the components.
    RLCSampler : The board they go on.

    Examples
    --------
    >>> import numpy as np
    >>> A = np.array([[2.0, 1.0, -0.5], [1.0, 2.0, 0.5], [-0.5, 0.5, 2.0]])
    >>> form = capacitive_form(A)
    >>> form.readout.shape
    (3, 3)
    >>> np.allclose(form.readout @ np.linalg.inv(form.matrix) @ form.readout.T, np.linalg.inv(A))
    True
    """
    A = _validation.symmetric(A, "A")
    Dense(A).cholesky  # noqa: B018  an indefinite matrix says so itself
    signs = _balancing_signs(A)
    if signs is not None:
        flipped = signs[:, None] * A * signs
        scales = _scales(flipped)
        return CapacitiveForm(matrix=_scaled(flipped, scales), readout=np.diag(signs * scales))
    comparison = -np.abs(A)
    np.fill_diagonal(comparison, np.diag(A))
    smallest = float(scipy.linalg.eigvalsh(comparison, check_finite=False)[0])
    if smallest <= 0:
        raise ValueError(
            "no network of capacitors can stand for A: its comparison matrix (-|A_ij| off the diagonal) has the "
            f"eigenvalue {smallest:.6g}; add a multiple of the identity above {-smallest:.3g} to A"
        )
    scales = _scales(comparison)
    across = np.maximum(A, 0.0)
    np.fill_diagonal(across, 0.0)
    half = np.diag(scales)
    doubled = np.block([[A - across, -across], [-across, A - across]])
    readout = np.hstack((half, -half)) / np.sqrt(2.0)
    return CapacitiveForm(matrix=_scaled(doubled, np.tile(scales, 2)), readout=readout)


def _balancing_signs(A: FloatArray) -> np.ndarray | None:
    """Signs s (d,) with s_i s_j A_ij <= 0 off the diagonal, from neighbour to neighbour; None if there are none."""
    d = len(A)
    links = -np.sign(A)
    np.fill_diagonal(links, 0.0)
    signs = np.zeros(d)
    for root in range(d):
        if signs[root]:
            continue
        signs[root], front = 1.0, [root]
        while front:
            i = front.pop()
            for j in np.flatnonzero(links[i]):
                if signs[j] == 0:
                    signs[j] = signs[i] * links[i, j]
                    front.append(int(j))
    return signs if (np.outer(signs, signs) * links >= 0).all() else None


def _scales(matrix: FloatArray) -> np.ndarray:
    """y > 0 such that ``matrix y`` is positive: all ones where they serve."""
    d = len(matrix)
    if matrix.sum(axis=1).min() > 0:
        return np.ones(d)
    y = scipy.linalg.solve(matrix, np.ones(d), assume_a="pos", check_finite=False)
    return y / y.max()


def _scaled(matrix: FloatArray, scales: FloatArray) -> np.ndarray:
    return scales[:, None] * matrix * scales
