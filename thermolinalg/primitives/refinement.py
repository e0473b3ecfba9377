"""`as_preconditioner`: the device's noisy answers inside a flexible iteration."""

import numpy as np
from scipy.sparse.linalg import LinearOperator

from .. import _validation
from .._typing import FloatArray, RNGLike
from ..hardware.device import Device
from ..hardware.programming import Programmed, device_for
from ..measurement.dynamics import Inertia
from ..measurement.refinement import Host
from ..measurement.request import Request
from ..operators import Matrix, as_operator
from .shared_docstrings import documented


@documented
def as_preconditioner(
    A: Matrix | Programmed,
    *,
    duration: float | None = None,
    n_reads: int | None = None,
    read_spacing: float | None = None,
    burn_in: str | float = "auto",
    beta: float | None = None,
    device: Device | None = None,
    dynamics: str | Inertia = "overdamped",
    simulator: str = "auto",
    rng: RNGLike = None,
    workers: int | None = None,
) -> LinearOperator:
    """The device as a preconditioner: a LinearOperator whose product with r is the device's noisy answer A^-1 r.

    Every product is a run of its own, with noise of its own, so the preconditioner changes from product to product.
    Use it inside a *flexible* iteration, such as `scipy.sparse.linalg.gcrotmk` or `lgmres`; plain ``cg`` and
    ``gmres`` assume a fixed one and may stall at the noise.

    Parameters
    ----------
    @A
    duration, n_reads, read_spacing, burn_in
        The protocol of one product, as in `solve`; by default an integrator of the duration [RC] that wins most
        digits a time.
    @beta
    @device
    @dynamics
    @simulator
    @rng
    @workers

    Returns
    -------
    LinearOperator
        With the attribute ``host``, whose ``cost`` adds up what the device spent.

    Raises
    ------
    ValueError, NotPositiveDefinite
        As `solve`.

    See Also
    --------
    solve : With ``refine=True``, where the host forms exact residuals.

    References
    ----------
    Noisy analog preconditioners need flexible iterations: Shah et al., arXiv:2606.17227.

    Examples
    --------
    >>> import numpy as np, thermolinalg as tl
    >>> from scipy.sparse.linalg import gcrotmk
    >>> A = tl.problems.with_condition(30, 1e3, rng=0)
    >>> x, info = gcrotmk(A, np.ones(30), M=tl.as_preconditioner(A, rng=0), rtol=1e-8)
    >>> info, bool(np.linalg.norm(A @ x - 1) < 1e-7)
    (0, True)
    """
    target = A if isinstance(A, Programmed) else as_operator(A)
    request = Request.of_round(duration, n_reads, read_spacing)
    generator = _validation.generator(rng)
    host = Host(target, request, burn_in, device_for(A, beta, device), dynamics, simulator, 1, generator, workers)

    def product(r: FloatArray) -> FloatArray:
        r = np.asarray(r, dtype=float).reshape(-1, 1)
        return host.answer(r)[0][:, 0] if r.any() else np.zeros(r.shape[0])

    operator = LinearOperator(target.shape, matvec=product, dtype=float)
    operator.host = host
    return operator
