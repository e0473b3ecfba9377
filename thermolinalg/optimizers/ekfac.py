"""EKFAC: K-FAC whose eigenvalues are second moments of the sample gradients along the kept eigenbasis."""

from dataclasses import replace

from ..curvature import Tracking
from .damping import LevenbergMarquardt
from .kfac import KFAC


class EKFAC(KFAC):
    """K-FAC with the products of eigenvalues replaced by what the sample gradients measure along each basis vector.

    In the Kronecker eigenbasis Q of the average factors, found anew now and then, the eigenvalues are a moving average
    of the diagonal of Q^T S Q, taken afresh at *every* step, with S the sum of outer products of the sample gradients.
    They need not factor, and for a given Q no others are nearer to S.

    The samples are those that a curvature carries: Kronecker blocks must come from `KroneckerCurvature.from_samples`.
    Everything else is as for `KFAC`, but factors cannot be damped one by one.

    Parameters
    ----------
    learning_rate : float
    damping : float or LevenbergMarquardt
    tracking : Tracking, optional
        Its `eigenvalues` are "samples" here, whatever it says.
    momentum : float
    kl_clip : float, optional
        See `KFAC`.

    Raises
    ------
    ValueError
        A parameter out of its range; at a step, a Kronecker block without samples.

    See Also
    --------
    KFAC : Eigenvalues from the factors.
    thermolinalg.curvature.KroneckerCurvature.from_samples : A curvature with its samples.
    thermolinalg.optimizers : What learning_rate, damping, momentum, tracking, device and rng mean for all of them.

    Notes
    -----
    What an average becomes when the basis changes is not in the paper: see `Tracking`. Source: George et al.,
    arXiv:1806.03884, Alg. 1, with running averages.

    Examples
    --------
    >>> import numpy as np, thermolinalg as tl
    >>> F = tl.curvature.KroneckerCurvature.from_samples(np.array([[2.0], [0.0]]), np.array([[[1.0]], [[3.0]]]))
    >>> optimizer = tl.optimizers.EKFAC(learning_rate=1.0, damping=1.0)  # a = 2 meets g = 1: second moment 4, not 20
    >>> optimizer.step(np.zeros(1), np.array([10.0]), F, optimizer.init(np.zeros(1)))[0]
    array([-2.])
    """

    def __init__(
        self,
        learning_rate: float,
        damping: float | LevenbergMarquardt = 1e-3,
        *,
        tracking: Tracking | None = None,
        momentum: float = 0.0,
        kl_clip: float | None = None,
    ) -> None:
        super().__init__(learning_rate, damping, tracking=tracking, momentum=momentum, kl_clip=kl_clip)
        self.tracking = replace(self.tracking, eigenvalues="samples")
