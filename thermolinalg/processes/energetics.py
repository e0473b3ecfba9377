"""Work and heat along a path, so that the first law is a test.

Three energies are never mixed: Joule heat (of driven currents, in `Cost`), the stochastic heat that a path takes up
from the bath, and the energy stored in the network. Here are the last two.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .. import _validation
from .._typing import ArrayLike, FloatArray
from ..numerics.kernels import work as kernels


@dataclass(frozen=True, kw_only=True, eq=False)
class PathEnergetics:
    """What `path_energetics` returns: each (n_chains,), or a number for a single path.

    Attributes
    ----------
    work : ndarray
        Done on the network by whoever changes A and b.
    heat : ndarray
        Stochastic heat taken up from the bath (negative: given off), by the midpoint product.
    energy_change : ndarray
        Of ``x^T A x / 2 - b^T x`` from the first read, before anything changes, to the last: by the first law the sum
        of the two, but neither is computed from it.
    """

    work: FloatArray
    heat: FloatArray
    energy_change: FloatArray


def path_energetics(xs: ArrayLike, A: ArrayLike | Sequence[ArrayLike], b: ArrayLike | None = None) -> PathEnergetics:
    """Work and stochastic heat along paths of a network whose A and b are changed from outside.

    At read k the controls jump to ``A[k], b[k]`` while x stands still: work. Then x moves to the next read under
    them: heat, the sum of force times displacement with the force taken halfway, ``(A x - b) o dx`` in the sense of
    Stratonovich. With reads so far apart that the network relaxes in between, this is still exact.

    Parameters
    ----------
    xs : (n, d) or (n_chains, n, d) array_like
        Reads of paths.
    A : (d, d) array_like, or a sequence of n of them
        Constant, or in force from each read on.
    b : (d,) or (n, d) array_like, optional
        Constant, or in force from each read on; default 0.

    Returns
    -------
    PathEnergetics

    Raises
    ------
    ValueError
        Shapes that do not fit; a matrix that is not symmetric.

    Examples
    --------
    >>> import numpy as np
    >>> e = path_energetics([[1.0], [0.5], [0.2]], [[[1.0]], [[2.0]], [[4.0]]])
    >>> [round(float(v), 6) for v in (e.work, e.heat, e.energy_change)]
    [0.165, -0.585, -0.42]
    """
    xs = _validation.real_array(xs, "xs")
    if xs.ndim not in (2, 3) or xs.shape[-2] < 2 or xs.size == 0:
        raise ValueError(f"xs must have shape (n, d) or (n_chains, n, d) with n >= 2, got {xs.shape}")
    paths = np.ascontiguousarray(np.moveaxis(xs.reshape(-1, *xs.shape[-2:]), 1, 0))
    n, d = xs.shape[-2:]
    matrices, sides = _controls(A, n, d), _drives(b, n, d)

    def force(k: int, x: FloatArray) -> FloatArray:
        return np.ascontiguousarray(x @ matrices[k]) - sides[k]

    def energy(k: int, x: FloatArray) -> FloatArray:
        return np.einsum("ci,ci->c", x, 0.5 * (x @ matrices[k]) - sides[k])

    work, heat = np.zeros((2, paths.shape[1]))
    for k in range(n - 1):
        if k:
            work += energy(k, paths[k]) - energy(k - 1, paths[k])
        kernels.path_steps(paths[k], paths[k + 1], force(k, paths[k]), force(k, paths[k + 1]), heat)
    work += energy(n - 1, paths[-1]) - energy(n - 2, paths[-1])
    change = energy(n - 1, paths[-1]) - energy(0, paths[0])
    shape = xs.shape[:-2]
    return PathEnergetics(work=work.reshape(shape), heat=heat.reshape(shape), energy_change=change.reshape(shape))


def _controls(A: ArrayLike | Sequence[ArrayLike], n: int, d: int) -> Sequence[FloatArray]:
    given = _validation.real_array(A, "A")
    if given.shape not in ((d, d), (n, d, d)):
        raise ValueError(f"A must have shape ({d}, {d}) or ({n}, {d}, {d}), got {given.shape}")
    if given.ndim == 2:
        return [_validation.symmetric(given, "A")] * n
    return [_validation.symmetric(matrix, f"A[{k}]") for k, matrix in enumerate(given)]


def _drives(b: ArrayLike | None, n: int, d: int) -> FloatArray:
    given = np.zeros(d) if b is None else _validation.real_array(b, "b")
    if given.shape not in ((d,), (n, d)):
        raise ValueError(f"b must have shape ({d},) or ({n}, {d}), got {given.shape}")
    return np.broadcast_to(given, (n, d))
