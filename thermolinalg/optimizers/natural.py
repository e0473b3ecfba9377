"""Natural gradient descent by a digital solve: what thermodynamic devices have to be compared with."""

from typing import Any

import numpy as np
import scipy.linalg

from .. import _validation
from .._typing import ArrayLike, Arrays, FloatArray
from .._validation import fraction
from ..curvature import Curvature
from ..curvature.base import norm, real_rows, unit_scaled
from ..errors import NotPositiveDefinite
from .damping import DampedOptimizer, LevenbergMarquardt, definite_rates
from .protocol import Move, State


class NaturalGradient(DampedOptimizer):
    """``v = (F + damping I)^-1 g``, ``m <- momentum m + v``, ``theta <- theta - learning_rate m``.

    Parameters
    ----------
    learning_rate : float
    damping : float or LevenbergMarquardt
    method : {"exact", "cg"}
        "exact": by the modes of F, which for rows J is the solve by Woodbury's identity. "cg": so many `iterations` of
        conjugate gradients, with nothing but products F x; the answer of a few of them is not the natural gradient.
    iterations : int
        Of "cg"; fewer where the residual reaches rounding before.
    warm_start : bool
        "cg" starts at the solution of the step before, not at zero.
    momentum : float

    Raises
    ------
    ValueError
        A parameter out of its range.
    NotPositiveDefinite
        At a step: F + damping I is singular.

    See Also
    --------
    TNGD : The same direction from a simulated device.
    KFAC : One Kronecker product per layer.
    woodbury : One digital solve, as timings take it.
    thermolinalg.optimizers : What learning_rate, damping, momentum, tracking, device and rng mean for all of them.

    Notes
    -----
    Details of the report for "cg": `iterations`, `residual` (``|g - (F + damping I) v| / |g|``, from v itself) and
    `products` with F.

    Source: Amari, Neural Computation 10, 251 (1998); Hestenes and Stiefel, J. Res. Natl. Bur. Stand. 49, 409 (1952).

    Examples
    --------
    >>> import numpy as np, thermolinalg as tl
    >>> F = tl.curvature.LowRankCurvature(np.array([[3.0, 0.0]]))
    >>> optimizer = tl.optimizers.NaturalGradient(learning_rate=1.0, damping=1.0)
    >>> optimizer.step(np.zeros(2), np.array([10.0, 1.0]), F, optimizer.init(np.zeros(2)))[0]
    array([-1., -1.])
    """

    needs = "curvature"

    def __init__(
        self,
        learning_rate: float,
        damping: float | LevenbergMarquardt = 0.01,
        *,
        method: str = "exact",
        iterations: int = 20,
        warm_start: bool = False,
        momentum: float = 0.0,
    ) -> None:
        self.learning_rate = _validation.positive(learning_rate, "learning_rate")
        self._set_damping(damping)
        self.method = _validation.choice(method, "method", ("exact", "cg"))
        self.iterations = _validation.count(iterations, "iterations")
        self.warm_start = bool(warm_start)
        if warm_start and method != "cg":
            raise ValueError("warm_start is for method='cg'; the exact solve has nothing to start from")
        self.momentum = fraction(momentum, "momentum")

    def _start(self, theta: FloatArray) -> Arrays:
        names = ["momentum"] * (self.momentum > 0.0) + ["solution"] * self.warm_start
        return super()._start(theta) | {name: np.zeros_like(theta) for name in names}

    def _move(self, theta: FloatArray, gradient: FloatArray, curvature: Any, state: State) -> Move:
        damping = self._damping(state)
        details: dict[str, float] = {}
        arrays: Arrays = {}
        if self.method == "exact":
            rates = definite_rates(curvature, damping, "give a larger damping")
            solution = curvature.weighted(1.0 / rates, gradient)
        else:
            x0 = state.arrays["solution"] if self.warm_start else None
            solution, details = conjugate_gradients(curvature, gradient, damping, self.iterations, x0)
        if self.warm_start:
            arrays["solution"] = solution
        direction = solution
        if self.momentum:
            direction = arrays["momentum"] = self.momentum * state.arrays["momentum"] + solution
        displacement = -self.learning_rate * direction
        facts = {"learning_rate": self.learning_rate, "damping": damping, "details": details}
        return Move(displacement, arrays | self._model(displacement, gradient, curvature, state), facts)


def conjugate_gradients(
    curvature: Curvature, g: FloatArray, damping: float, iterations: int, x0: FloatArray | None = None
) -> tuple[np.ndarray, dict]:
    """Conjugate gradients on ``(F + damping I) x = g``: x (N,) and what `NaturalGradient` reports of it.

    Raises
    ------
    NotPositiveDefinite
        A direction along which F + damping I is not positive.
    """

    def product(v: FloatArray) -> FloatArray:
        return curvature.matvec(v) + damping * v

    residual, scale = unit_scaled(g if x0 is None else g - product(x0))  # x - x0 in units of scale from here on
    size, x = norm(g), np.zeros_like(g)
    enough = np.finfo(float).eps * (size / scale)
    direction, square, done, highest = residual.copy(), float(residual @ residual), 0, 0.0
    while done < iterations and np.sqrt(square) > enough:
        image = product(direction)
        curving = float(direction @ image)
        rayleigh = curving / float(direction @ direction)
        highest = max(highest, rayleigh)
        if rayleigh <= np.finfo(float).eps * highest:
            raise NotPositiveDefinite(
                f"F + damping I is not positive definite (damping={damping:g}): conjugate gradients met a direction v "
                f"with v^T (F + damping I) v / v^T v = {rayleigh:.3g}; give a larger damping",
                rayleigh,
            )
        length = square / curving
        x += length * direction
        residual -= length * image
        square, last = float(residual @ residual), square
        direction = residual + (square / last) * direction
        done += 1
    x = scale * x if x0 is None else x0 + scale * x
    left = norm(g - product(x))
    products = done + 1 + (x0 is not None)
    facts = {"iterations": done, "residual": left / size if size > 0.0 else left, "products": products}
    return x, facts


def woodbury(rows: ArrayLike, g: ArrayLike, damping: float, H: ArrayLike | None = None) -> np.ndarray:
    """``(J^T H J + damping I)^-1 g`` by one (n, n) solve: the rival in timings, with no eigenvectors.

    Parameters
    ----------
    rows : (n, N) array_like
        J.
    g : (N,) array_like
        Gradient.
    damping : float
        Positive.
    H : (n,), (n, n) or (b, z, z) array_like, optional
        As for `LowRankCurvature`; default the identity, for which the solve is a Cholesky factorisation.

    Returns
    -------
    (N,) ndarray

    Raises
    ------
    ValueError
        Shapes that do not fit; damping not positive.
    NotPositiveDefinite
        A damping that is lost in the rounding of a singular J J^T.

    See Also
    --------
    NaturalGradient : The optimiser; by the modes of F.
    thermolinalg.curvature.LowRankCurvature : F from the same rows.

    Notes
    -----
    ``[g - J^T (damping I + H J J^T)^-1 H J g] / damping``. Source: Donatella et al., arXiv:2405.13817, Eqs. 10 to 12,
    with its misprints put right.

    Examples
    --------
    >>> import numpy as np, thermolinalg as tl
    >>> tl.optimizers.woodbury(np.array([[3.0, 0.0]]), [10.0, 1.0], damping=1.0)
    array([1., 1.])
    """
    rows = real_rows(rows)
    n, size = rows.shape
    g, damping = _validation.vector(g, "g", size), _validation.positive(damping, "damping")
    gram, along = rows @ rows.T, rows @ g
    if H is not None:
        H = _validation.real_array(H, "H")
        if H.ndim not in (1, 2, 3) or int(np.prod(H.shape[:-1] if H.ndim > 1 else H.shape)) != n:
            raise ValueError(f"H must have shape ({n},), ({n}, {n}) or (b, z, z) with b z = {n}, got {H.shape}")
        full = np.diag(H) if H.ndim == 1 else scipy.linalg.block_diag(*(H[None] if H.ndim == 2 else H))
        gram, along = full @ gram, full @ along
    gram[np.diag_indices(n)] += damping
    try:
        inner = scipy.linalg.solve(gram, along, assume_a="pos" if H is None else "gen", check_finite=False)
    except np.linalg.LinAlgError:
        raise NotPositiveDefinite(
            f"H J J^T + damping I is singular to working precision (damping={damping:g}); give a larger damping",
            damping,
        ) from None
    return (g - rows.T @ inner) / damping
