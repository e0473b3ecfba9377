"""`OrnsteinUhlenbeck`: linear stochastic dynamics of any stable drift and any noise, exact at any times."""

from functools import cached_property

import numpy as np
import scipy.linalg

from .. import _validation, laws
from .._typing import ArrayLike, FloatArray, IntArray, RNGLike
from ..numerics.kernels import ou
from . import likelihood, transitions
from .base import LinearProcess
from .calibration import Calibrated
from .symmetric_drift import DriftModes, shared_modes


class OrnsteinUhlenbeck(Calibrated, LinearProcess):
    """The process ``dx = -A (x - m) dt + sqrt(D) dW``, for any stable drift A and any noise covariance D.

    A need not be symmetric, nor commute with D, nor D be regular. The state after a step h is ``m + M (x - m) + xi``
    with ``M = e^{-A h}`` and ``xi ~ N(0, Q)``, ``Q = int_0^h e^{-A u} D e^{-A^T u} du`` computed without
    cancellation for any h; samples at any times have the exact law of the process.

    Parameters
    ----------
    drift : (d, d) array_like
        A, in 1/RC: all its eigenvalues have a positive real part.
    mean : (d,) array_like, optional
        m; default 0.
    diffusion : float, (d,) or (d, d) array_like, optional
        D, symmetric positive semidefinite, in voltage^2/RC: a multiple of the identity, a diagonal or a matrix.
        Default 2, the noise of a device at beta = 1.

    Attributes
    ----------
    drift, diffusion : (d, d) ndarray
    center : (d,) ndarray
        The mean m. These and the arrays of `stationary` are the process's own, and cannot be written to.
    eigenvalues : (d,) ndarray
        Of the drift; complex where they are.

    See Also
    --------
    Langevin : cells with inertia.
    thermolinalg.lyapunov : the stationary covariance as a device estimates it.

    Raises
    ------
    ValueError
        An unstable drift, with its eigenvalue; a diffusion that is not symmetric or not semidefinite; wrong shapes.

    Notes
    -----
    Where drift and diffusion are symmetric and commute, everything is done in their common modes, at a cost of d
    instead of d^2 a step. Where the drift alone is symmetric, its modes give the transition, unless their rounding
    would hide small entries of drift or diffusion. The law is the same; the noise is not.

    References
    ----------
    Gardiner, "Stochastic Methods", section 4.5; Van Loan, IEEE Trans. Automat. Contr. 23 (1978) 395.

    Examples
    --------
    >>> import numpy as np, thermolinalg as tl
    >>> process = tl.OrnsteinUhlenbeck([[1.0, 1.5], [0.0, 1.0]])
    >>> mean, covariance = process.stationary()
    >>> covariance
    array([[ 2.125, -0.75 ],
           [-0.75 ,  1.   ]])
    >>> process.sample([0.0, 0.5, 2.0], n_chains=3, rng=0).shape
    (3, 3, 2)
    """

    def __init__(self, drift: ArrayLike, mean: ArrayLike | None = None, diffusion: ArrayLike | None = None) -> None:
        checked, self._known = _validation.stable(drift, "drift")
        d = checked.shape[0]
        self.drift = _own(checked)
        self.center = _own(np.zeros(d) if mean is None else _validation.vector(mean, "mean", d))
        self.diffusion = _own(_validation.semidefinite(2.0 if diffusion is None else diffusion, "diffusion", d))

    @property
    def dimension(self) -> int:
        """d."""
        return self.center.size

    @cached_property
    def eigenvalues(self) -> FloatArray:
        """Eigenvalues (d,) of the drift."""
        if self._known is not None:
            return _own(self._known)
        if self.modes is not None:
            return _own(np.sort(self.modes[1]))
        if self.drift_modes is not None:
            return self.drift_modes.rates
        return _own(scipy.linalg.eigvalsh(self.drift))

    @property
    def relaxation_time(self) -> float:
        """Time [RC] in which the slowest mode falls by 1/e."""
        return float(1.0 / self.eigenvalues.real.min())

    @cached_property
    def modes(self) -> tuple[FloatArray, FloatArray, FloatArray] | None:
        """Eigenvectors (d, d), rates (d,) and noise (d,) of common modes of drift and diffusion; None without them."""
        found = shared_modes(self.drift, self.diffusion)
        return None if found is None else (_own(found[0]), _own(found[1]), _own(found[2]))

    @cached_property
    def drift_modes(self) -> DriftModes | None:
        """Modes of the drift where it is symmetric and the diffusion does not share them, if they lose no digits."""
        return None if self.modes is not None else DriftModes.of(self.drift, self.diffusion)

    def transition(self, h: float) -> tuple[FloatArray, FloatArray]:
        """M = e^{-A h} and Q, the covariance of the noise of a step h [RC], both (d, d); h may be infinite."""
        h = _validation.positive(h, "h", infinite=True, zero=True)
        if self.modes is None and self.drift_modes is None:
            return transitions.transition(self.drift, self.diffusion, h)
        return self.propagator(h), self.covariance(h)

    def propagator(self, h: float) -> FloatArray:
        """M = e^{-A h} (d, d) alone; h [RC] may be infinite."""
        h = _validation.positive(h, "h", infinite=True, zero=True)
        if h == 0.0:
            return np.eye(self.dimension)
        if self.modes is not None:
            V, rates, _ = self.modes
            return (V * np.exp(-rates * h)) @ V.T
        if self.drift_modes is not None:
            return self.drift_modes.propagators(np.array([h]))[0]
        return transitions.propagator(self.drift, h)

    def covariance(self, t: float) -> FloatArray:
        """Covariance (d, d) of the state a time t [RC] after a known start: Q of `transition`."""
        t = _validation.positive(t, "t", infinite=True, zero=True)
        if self.modes is not None:
            V, rates, noise = self.modes
            with np.errstate(over="ignore", invalid="ignore"):
                noise_std = V * np.sqrt(noise / 2.0 * laws.rise(rates, 2.0 * t))
                return _validation.finite_result(noise_std @ noise_std.T, "the transition covariance")
        if self.drift_modes is not None:
            return self.drift_modes.noises(np.array([t]))[0]
        return transitions.transition(self.drift, self.diffusion, t)[1]

    @cached_property
    def _stationary_covariance(self) -> FloatArray:
        return _own(self.covariance(np.inf))

    def stationary(self) -> tuple[FloatArray, FloatArray]:
        """Mean (d,) and covariance (d, d) of the stationary law: A S + S A^T = D."""
        return self.center, self._stationary_covariance

    def time_average(self, duration: float) -> tuple[FloatArray, FloatArray]:
        """Mean (d,) and covariance (d, d) of the average of x over `duration` [RC] of the stationary process.

        The average is normal. Its covariance is ``(K S + S K^T) / duration^2`` with ``K = int_0^duration
        (duration - u) e^{-A u} du``, for any drift.
        """
        duration = _validation.positive(duration, "duration")
        kernel = transitions.averaging_kernel(self.drift, duration) @ self._stationary_covariance
        return self.center, _validation.finite_result(kernel + kernel.T, "the covariance of the time average")

    def sample(
        self, times: ArrayLike, x0: ArrayLike | None = None, *, n_chains: int = 1, rng: RNGLike = None
    ) -> FloatArray:
        """Sample trajectories from their exact law.

        Parameters
        ----------
        times : (n,) array_like
            Increasing times [RC], equally spaced or not; the first is the time of the start.
        x0 : (d,) or (n_chains, d) array_like, optional
            State at ``times[0]``; by default sampled from the stationary law.
        n_chains : int
            Independent trajectories.
        rng : {None, int, array_like[ints], SeedSequence, BitGenerator, Generator}, optional
            Passed to `numpy.random.default_rng`.

        Returns
        -------
        (n_chains, n, d) ndarray

        Raises
        ------
        ValueError
            Times that do not increase, x0 of another shape.

        Examples
        --------
        >>> import numpy as np, thermolinalg as tl
        >>> process = tl.OrnsteinUhlenbeck([[1.0]], mean=[3.0])
        >>> x = process.sample(np.arange(1000.0), rng=0)
        >>> bool(abs(x.mean() - 3.0) < 5 * np.sqrt(process.time_average(1000.0)[1][0, 0]))
        True
        """
        at, n_chains = _validation.vector(times, "times"), _validation.count(n_chains, "n_chains")
        steps, kinds = likelihood.distinct_steps(at)
        noise = _validation.generator(rng).standard_normal((at.size, n_chains, self.dimension))
        given = self._start(x0, n_chains)
        start = None if given is None else np.broadcast_to(given - self.center, noise.shape[1:])
        simulate = _simulate_states if self.modes is None else _simulate_modes
        states = simulate(self, steps, kinds, noise, start) + self.center
        if given is not None:
            states[0] = given
        return _validation.finite_result(states.transpose(1, 0, 2), "the trajectory")

    def step_laws(self, steps: FloatArray) -> tuple[FloatArray, FloatArray]:
        """M and Q, both (k, d, d), of the steps (k,) [RC], where there are no common modes."""
        if self.drift_modes is None:
            return transitions.step_laws(self.drift, self.diffusion, steps)[1:]
        return self.drift_modes.propagators(steps), self.drift_modes.noises(steps)

    def __repr__(self) -> str:
        return f"OrnsteinUhlenbeck(dimension={self.dimension}, relaxation_time={self.relaxation_time:.3g})"


def _own(array: FloatArray) -> FloatArray:
    """A copy that nobody can write to."""
    array = np.array(array)
    array.setflags(write=False)
    return array


def _simulate_states(
    process: OrnsteinUhlenbeck, steps: FloatArray, kinds: IntArray, noise: FloatArray, x0: FloatArray | None
) -> FloatArray:
    """States (n, chains, d) less the mean, from standard normals of that shape, with a transition per distinct step."""
    noise[0] = noise[0] @ transitions.psd_factor(process.stationary()[1]).T if x0 is None else x0
    if len(steps) == 1:
        M, Q = process.transition(steps[0])
        noise[1:] = noise[1:] @ transitions.psd_factor(Q).T
        return transitions.recurrence(M, noise)
    at_once = max(1, transitions.NUMBERS_AT_ONCE // process.dimension**2)
    for start in range(0, len(kinds), at_once):
        some, which = np.unique(kinds[start : start + at_once], return_inverse=True)
        M, Q = process.step_laws(steps[some])
        forward, noise_std = np.swapaxes(M, 1, 2), np.swapaxes(transitions.psd_factor(Q), 1, 2)
        for k, place in enumerate(which, start=start):
            noise[k + 1] = noise[k] @ forward[place] + noise[k + 1] @ noise_std[place]
    return noise


def _simulate_modes(
    process: OrnsteinUhlenbeck, steps: FloatArray, kinds: IntArray, noise: FloatArray, x0: FloatArray | None
) -> FloatArray:
    """The same in the common modes of drift and diffusion."""
    assert process.modes is not None
    V, rates, strength = process.modes
    noise[0] = noise[0] * np.sqrt(strength / (2.0 * rates)) if x0 is None else x0 @ V
    decay = np.exp(-np.multiply.outer(steps, rates))
    noise_std = np.sqrt(strength / 2.0 * laws.rise(rates, 2.0 * steps[:, None]))
    if len(steps) == 1:
        chains, d = noise.shape[1:]
        wide, wide_std = np.tile(decay[0], chains), np.tile(noise_std[0], chains)
        rows = noise.reshape(len(noise), chains * d)
        ou.state_steps(wide, np.zeros(chains * d), wide_std, rows[1:], rows[0].copy())
    else:
        for k, kind in enumerate(kinds):
            noise[k + 1] = decay[kind] * noise[k] + noise_std[kind] * noise[k + 1]
    return noise @ V.T
