"""`OrnsteinUhlenbeck`: linear stochastic dynamics of any stable drift and any noise, exact at any times."""

from functools import cached_property

import numpy as np
import scipy.linalg

from .. import _validation, laws
from ..numerics.kernels import ou
from . import likelihood, transitions
from .symmetric_drift import DriftModes, shared_modes


class OrnsteinUhlenbeck:
    """The process ``dx = -A (x - m) dt + sqrt(D) dW``, for any stable drift A and any noise covariance D.

    A need not be symmetric, nor commute with D, nor D be regular. The state after a step h is ``m + M (x - m) + xi``
    with ``M = e^{-A h}`` and ``xi ~ N(0, Q)``, ``Q = int_0^h e^{-A u} D e^{-A^T u} du`` worked out without
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

    def __init__(self, drift, mean=None, diffusion=None):
        drift, self._known = _validation.stable(drift, "drift")
        d = drift.shape[0]
        self.drift = _own(drift)
        self.center = _own(np.zeros(d) if mean is None else _validation.vector(mean, "mean", d))
        self.diffusion = _own(_validation.semidefinite(2.0 if diffusion is None else diffusion, "diffusion", d))

    @property
    def dimension(self) -> int:
        """d."""
        return self.center.size

    @cached_property
    def eigenvalues(self) -> np.ndarray:
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
    def modes(self) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
        """Eigenvectors (d, d), rates (d,) and noise (d,) of common modes of drift and diffusion; None without them."""
        found = shared_modes(self.drift, self.diffusion)
        return None if found is None else (_own(found[0]), _own(found[1]), _own(found[2]))

    @cached_property
    def drift_modes(self) -> DriftModes | None:
        """Modes of the drift where it is symmetric and the diffusion does not share them, if they lose no digits."""
        return None if self.modes is not None else DriftModes.of(self.drift, self.diffusion)

    def transition(self, h) -> tuple[np.ndarray, np.ndarray]:
        """M = e^{-A h} and Q, the covariance of the noise of a step h [RC], both (d, d); h may be infinite."""
        h = _validation.positive(h, "h", infinite=True, zero=True)
        if self.modes is None and self.drift_modes is None:
            return transitions.transition(self.drift, self.diffusion, h)
        return self.propagator(h), self.covariance(h)

    def propagator(self, h) -> np.ndarray:
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

    def covariance(self, t) -> np.ndarray:
        """Covariance (d, d) of the state a time t [RC] after a known start: Q of `transition`."""
        t = _validation.positive(t, "t", infinite=True, zero=True)
        if self.modes is not None:
            V, rates, noise = self.modes
            with np.errstate(over="ignore", invalid="ignore"):
                kick = V * np.sqrt(noise / 2.0 * laws.rise(rates, 2.0 * t))
                return _validation.finite_result(kick @ kick.T, "the transition covariance")
        if self.drift_modes is not None:
            return self.drift_modes.noises(np.array([t]))[0]
        return transitions.transition(self.drift, self.diffusion, t)[1]

    @cached_property
    def _stationary_covariance(self) -> np.ndarray:
        return _own(self.covariance(np.inf))

    def stationary(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean (d,) and covariance (d, d) of the stationary law: A S + S A^T = D."""
        return self.center, self._stationary_covariance

    def mean(self, t, x0) -> np.ndarray:
        """Mean (d,) of the state a time t [RC] after the start at x0 (d,)."""
        x0 = _validation.vector(x0, "x0", self.dimension)
        return self.center + self.propagator(t) @ (x0 - self.center)

    def autocovariance(self, lag) -> np.ndarray:
        """E[(x(t + lag) - m) (x(t) - m)^T] (d, d) in the stationary state; lag [RC] of either sign."""
        given = np.asarray(lag)
        if given.ndim or given.dtype.kind not in "iuf" or np.isnan(given):
            raise ValueError(f"lag must be one number [RC], got {lag!r}")
        forward = self.propagator(abs(float(given))) @ self._stationary_covariance
        return forward if given >= 0 else forward.T

    def time_average(self, duration) -> tuple[np.ndarray, np.ndarray]:
        """Mean (d,) and covariance (d, d) of the average of x over `duration` [RC] of the stationary process.

        The average is normal. Its covariance is ``(K S + S K^T) / duration^2`` with ``K = int_0^duration
        (duration - u) e^{-A u} du``, for any drift.
        """
        duration = _validation.positive(duration, "duration")
        kernel = transitions.averaging_kernel(self.drift, duration) @ self._stationary_covariance
        return self.center, _validation.finite_result(kernel + kernel.T, "the covariance of the time average")

    def sample(self, times, x0=None, n_chains=1, rng=None) -> np.ndarray:
        """Draw trajectories from the exact law.

        Parameters
        ----------
        times : (n,) array_like
            Increasing times [RC], equally spaced or not; the first is the time of the start.
        x0 : (d,) or (n_chains, d) array_like, optional
            State at ``times[0]``; by default drawn from the stationary law.
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
        times = _validation.vector(times, "times")
        n_chains, rng = _validation.count(n_chains, "n_chains"), _validation.generator(rng)
        steps, kinds = likelihood.distinct_steps(times)
        noise = rng.standard_normal((times.size, n_chains, self.dimension))
        if x0 is not None:
            x0 = _validation.real_array(x0, "x0")
            if x0.shape not in ((self.dimension,), (n_chains, self.dimension)):
                raise ValueError(
                    f"x0 must have shape ({self.dimension},) or ({n_chains}, {self.dimension}), got {x0.shape}"
                )
        start = None if x0 is None else np.broadcast_to(x0 - self.center, noise.shape[1:])
        walk = self._walk_states if self.modes is None else self._walk_modes
        states = walk(steps, kinds, noise, start) + self.center
        if x0 is not None:
            states[0] = x0
        return _validation.finite_result(states.transpose(1, 0, 2), "the trajectory")

    def _walk_states(self, steps, kinds, noise, x0):
        """States (n, c, d) less the mean, from white noise of that shape, one transition for each distinct step."""
        noise[0] = noise[0] @ transitions.psd_factor(self._stationary_covariance).T if x0 is None else x0
        if len(steps) == 1:
            M, Q = self.transition(steps[0])
            noise[1:] = noise[1:] @ transitions.psd_factor(Q).T
            return transitions.recurrence(M, noise)
        at_once = max(1, transitions.NUMBERS_AT_ONCE // self.dimension**2)
        for start in range(0, len(kinds), at_once):
            some, which = np.unique(kinds[start : start + at_once], return_inverse=True)
            M, Q = self._step_laws(steps[some])
            forward, kick = np.swapaxes(M, 1, 2), np.swapaxes(transitions.psd_factor(Q), 1, 2)
            for k, place in enumerate(which, start=start):
                noise[k + 1] = noise[k] @ forward[place] + noise[k + 1] @ kick[place]
        return noise

    def _step_laws(self, steps):
        """M and Q, both (k, d, d), of the steps (k,), where there are no common modes."""
        if self.drift_modes is None:
            return transitions.step_laws(self.drift, self.diffusion, steps)[1:]
        return self.drift_modes.propagators(steps), self.drift_modes.noises(steps)

    def _walk_modes(self, steps, kinds, noise, x0):
        """The same in the common modes of drift and diffusion."""
        V, rates, strength = self.modes
        noise[0] = noise[0] * np.sqrt(strength / (2.0 * rates)) if x0 is None else x0 @ V
        decay = np.exp(-np.multiply.outer(steps, rates))
        kick = np.sqrt(strength / 2.0 * laws.rise(rates, 2.0 * steps[:, None]))
        if len(steps) == 1:
            chains, d = noise.shape[1:]
            wide = [np.tile(row, chains) for row in (decay[0], np.zeros(d), kick[0])]
            rows = noise.reshape(len(noise), chains * d)
            ou.state_steps(*wide, rows[1:], rows[0].copy())
        else:
            for k, kind in enumerate(kinds):
                noise[k + 1] = decay[kind] * noise[k] + kick[kind] * noise[k + 1]
        return noise @ V.T

    def log_prob(self, times, xs, start="given") -> float:
        """Log-density of trajectories: of all that follows the first state, or with it.

        Parameters
        ----------
        times : (n,) array_like
            Increasing times [RC].
        xs : (n, d) or (chains, n, d) array_like
            States at those times; independent trajectories add up.
        start : "given" or "stationary"
            Whether the first state is a condition, or was drawn from the stationary law and counts.

        Returns
        -------
        float

        Raises
        ------
        ValueError
            A transition covariance that is singular, where there is no density.
        FloatingPointError
            A log-density beyond the range of float64.

        Examples
        --------
        >>> import numpy as np, thermolinalg as tl
        >>> process = tl.OrnsteinUhlenbeck([[1.0]])
        >>> round(process.log_prob([0.0], [[0.0]], start="stationary"), 6)
        -0.918939
        """
        data = self._observations(times, xs, start)
        return likelihood.log_likelihood(data, self.drift, self.center, self.diffusion, start)

    def log_prob_gradient(self, times, xs, start="given") -> likelihood.Gradient:
        """Gradient of `log_prob` by drift, mean and diffusion; same parameters and errors."""
        data = self._observations(times, xs, start)
        return likelihood.log_likelihood_gradient(data, self.drift, self.center, self.diffusion, start)

    def _observations(self, times, xs, start):
        _validation.choice(start, "start", likelihood.STARTS)
        times, xs = likelihood.trajectories(times, xs, self.dimension)
        return likelihood.Observations.of(xs, *likelihood.distinct_steps(times))

    @classmethod
    def fit(cls, times, xs) -> likelihood.Calibration:
        """The process of largest likelihood for equally spaced data, with standard errors.

        Drift, mean and diffusion are all free. The likelihood is that of the data given the first state of each
        chain; its maximum is known in closed form (regression of each state on the one before, then a matrix
        logarithm), and the standard errors come from its curvature there.

        Parameters
        ----------
        times : (n,) array_like
            Equally spaced times [RC].
        xs : (n, d) or (chains, n, d) array_like
            States at those times; independent trajectories add up.

        Returns
        -------
        Calibration
            ``process`` and the standard errors of its parameters.

        Raises
        ------
        ValueError
            Unequal spacing, too few data, or data that no stable process explains (each says why).

        Warns
        -----
        UnreliableStderr
            Data of fewer than 20 relaxation times of the slowest mode fitted, or so coarse that its fastest mode is
            within 3 / sqrt(steps) of being forgotten over one step. The curvature of the likelihood then says less
            than the standard errors: over 5 relaxation times the mean is off by 1.7 of them (rms), and at a spacing
            of 5 relaxation times drift and noise by 2.

        Notes
        -----
        The logarithm is the principal one: the true drift must not turn a mode by more than half a circle a step,
        or the fit is that of a slower process (aliasing). The drift is biased upwards by a few 1 / (total time).

        Examples
        --------
        >>> import numpy as np, thermolinalg as tl
        >>> times = 0.5 * np.arange(4000)
        >>> data = tl.OrnsteinUhlenbeck([[1.0]], mean=[2.0]).sample(times, rng=0)
        >>> r = tl.OrnsteinUhlenbeck.fit(times, data)
        >>> bool(abs(r.process.center[0] - 2.0) < 5 * r.mean_stderr[0])
        True
        """
        times, xs = likelihood.trajectories(times, xs)
        step = np.array([likelihood.equal_step(times)])
        z, origin, scale = likelihood.standardised(xs)
        data = likelihood.Observations.of(z, step, np.zeros(times.size - 1, dtype=int))
        estimate = likelihood.maximum_likelihood(data)
        own = likelihood.parameter_covariance(data, *estimate)
        drift, mean, diffusion = estimate
        process = cls(drift * np.divide.outer(scale, scale), origin + scale * mean, diffusion * np.outer(scale, scale))
        lower = np.tril_indices(scale.size)
        units = np.concatenate((np.divide.outer(scale, scale).ravel(), scale, np.outer(scale, scale)[lower]))
        covariance = own * np.outer(units, units)
        d, sd = scale.size, np.sqrt(np.diag(own)) * units
        by_diffusion = np.zeros((d, d))
        by_diffusion[lower] = sd[d * d + d :]
        likelihood.warn_if_unreliable(drift, step[0], data.total)
        return likelihood.Calibration(
            process=process, drift_stderr=sd[: d * d].reshape(d, d), mean_stderr=sd[d * d : d * d + d],
            diffusion_stderr=by_diffusion + np.tril(by_diffusion, -1).T, covariance=covariance,
            log_prob=likelihood.log_likelihood(data, *estimate, "given") - data.total * float(np.log(scale).sum()),
            n_steps=data.total,
        )  # fmt: skip

    def __repr__(self) -> str:
        return f"OrnsteinUhlenbeck(dimension={self.dimension}, relaxation_time={self.relaxation_time:.3g})"


def _own(array: np.ndarray) -> np.ndarray:
    """A copy that nobody can write to."""
    array = np.array(array)
    array.setflags(write=False)
    return array
