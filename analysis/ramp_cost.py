r"""Work that a ramp of a thermal network dissipates: exact for any duration, between its limits, above its bounds.

The network ``dx = -(A x - b) dt + sqrt(2/beta) dW`` starts in equilibrium with (A0, b0); the host takes A and b to
(A1, b1). Dissipated work is mean work less the free energy difference, here always in units of 1/beta. A law is normal,
of mean m and covariance S, and pi_i is the equilibrium of (A_i, b_i).

- Linear ramp, exact: with the lags ``U = S - A^-1``, ``d = m - A^-1 b`` and time in units of the duration tau
  (beta = 1), ``U' = -tau (A U + U A) + A^-1 A' A^-1``, ``d' = -tau A d - x'``, ``A x' = b' - A' A^-1 b`` and
  ``W_diss = int [tr(A' U) + d^T A' d] / 2 - d^T A x' dt``.
- Quench (tau -> 0): ``D(pi_0 || pi_1)``.
- Slow ramp (tau -> inf): ``(1/tau) int [tr(A' X) / 2 + |x'|^2]`` with ``A X + X A = A^-1 A' A^-1``.
- Any protocol with the same ends: ``W_diss >= W_2^2(rho_0, rho_tau) / tau + D(rho_tau || pi_1)``, rho the laws that
  the network really has (Aurell et al., J. Stat. Phys. 147, 487 (2012); the second term is what relaxes at the end).
  Its minimum over rho_tau is reached, with jumps at both ends, and is the least dissipation of all protocols; for one
  mode it is that of Schmiedl and Seifert, Phys. Rev. Lett. 98, 108301 (2007). The closed form for matrices is ours.
"""

import numpy as np
import pandas as pd
import scipy.integrate
import scipy.linalg

from thermolinalg import checks

from .bounds import side_by_side
from .gaussians import relative_entropy, root, wasserstein_squared

NODES = 64  # of the quadrature in time of the slow limit
RTOL, ATOL = 1e-9, 1e-12  # of the moment equations; ATOL is relative to the quench
CONDITIONS = {
    "linear ramp": "exact",
    "quench": "the limit of short ramps",
    "slow": "the limit of long ramps; a fast ramp costs less",
    "optimal": "least of all protocols of this duration; rigorous",
    "wasserstein": "bound from the laws at both ends of this ramp; rigorous",
    "wasserstein and lag": "the same and the relative entropy left at the end; rigorous",
    "equilibria": "bound from the equilibria at both ends; of slow ramps only",
}


class Ramp:
    """A linear ramp of (A, b), in units in which beta is 1.

    Parameters
    ----------
    A0, A1 : (d, d) array_like
        Symmetric positive definite.
    b0, b1 : (d,) array_like, optional
        Default 0.
    beta : float
        Scales b: mean voltages count against thermal ones.

    Raises
    ------
    ValueError
        Shapes that do not fit, a matrix that is not symmetric or not positive definite.

    Examples
    --------
    >>> trap = Ramp([[1.0]], [[1.0]], b1=[0.7])
    >>> round(trap.exact(1.0)[0], 6), round(trap.optimal(1.0), 6)
    (0.180261, 0.163333)
    """

    def __init__(self, A0, A1, b0=None, b1=None, beta=1.0):
        self.first, self.last = definite(A0, "A0"), definite(A1, "A1")
        d = len(self.first)
        if len(self.last) != d:
            raise ValueError(f"A1 must have shape ({d}, {d}) like A0, got {self.last.shape}")
        scale = np.sqrt(checks.positive(beta, "beta"))
        sides = (("b0", b0), ("b1", b1))
        self.start, self.end = (np.zeros(d) if b is None else scale * checks.vector(b, name, d) for name, b in sides)
        self.change, self.push = self.last - self.first, self.end - self.start

    def law(self, s: float) -> tuple[np.ndarray, np.ndarray]:
        """Mean and covariance of the equilibrium at the fraction s of the ramp."""
        A = self.first + s * self.change
        return np.linalg.solve(A, self.start + s * self.push), np.linalg.inv(A)

    def exact(self, duration: float) -> tuple[float, np.ndarray, np.ndarray]:
        """Dissipated work, and mean and covariance of the law at the end, by integration of the moment equations."""
        d, identity = len(self.first), np.eye(len(self.first))

        def rate(s, state):
            U, lag = state[: d * d].reshape(d, d), state[d * d : -1]
            A = self.first + s * self.change
            inverse = np.linalg.solve(A, identity)
            force = self.push - self.change @ (inverse @ (self.start + s * self.push))
            product = A @ U
            dU = inverse @ self.change @ inverse - duration * (product + product.T)
            dlag = -duration * (A @ lag) - inverse @ force
            power = 0.5 * np.sum(self.change * U) + 0.5 * lag @ self.change @ lag - lag @ force
            return np.concatenate((dU.ravel(), dlag, [power]))

        scale = max(self.quench(), 1e-300)
        found = scipy.integrate.solve_ivp(
            rate, (0.0, 1.0), np.zeros(d * d + d + 1), method="LSODA", rtol=RTOL, atol=ATOL * scale, t_eval=[1.0]
        )
        if not found.success:
            raise FloatingPointError(f"the moment equations were not solved at duration {duration:g}: {found.message}")
        state, (mean, covariance) = found.y[:, -1], self.law(1.0)
        U = state[: d * d].reshape(d, d)
        return float(state[-1]), mean + state[d * d : -1], covariance + (U + U.T) / 2.0

    def quench(self) -> float:
        """Dissipated work of a jump."""
        return relative_entropy(*self.law(0.0), *self.law(1.0))

    def slow(self) -> float:
        """Dissipated work times duration in the limit of slow linear ramps."""
        nodes, weights = np.polynomial.legendre.leggauss(NODES)
        return float(sum(0.5 * w * self._slow_power(0.5 * (s + 1.0)) for s, w in zip(nodes, weights, strict=True)))

    def _slow_power(self, s: float) -> float:
        A = self.first + s * self.change
        mean, inverse = self.law(s)
        lag = scipy.linalg.solve_continuous_lyapunov(A, inverse @ self.change @ inverse)
        speed = inverse @ (self.push - self.change @ mean)
        return 0.5 * np.sum(self.change * lag) + speed @ speed

    def optimal(self, duration: float) -> float:
        """Least dissipated work of any protocol of this duration: min of W_2^2(pi_0, rho) / tau + D(rho || pi_1).

        With ``M = I + tau A1 / 2`` and ``c = tau / 2`` the law at the end has the covariance M^-1/2 X M^-1/2,
        ``X - 2 c + c^2 X^-1 = M^-1/2 A0^-1 M^-1/2``, and the mean ``M^-1 (m_0 + c b1)``.
        """
        (mean0, S0), target = self.law(0.0), self.law(1.0)
        c = 0.5 * duration
        M = np.eye(len(S0)) + c * self.last
        back = np.linalg.inv(root(M))
        values, vectors = scipy.linalg.eigh(back @ S0 @ back)
        X = c + 0.5 * (values + np.sqrt(values * (values + 4.0 * c)))  # the root above c
        half = back @ vectors
        covariance, mean = (half * X) @ half.T, np.linalg.solve(M, mean0 + c * self.end)
        moved = wasserstein_squared(mean0, S0, mean, covariance) / duration
        return moved + relative_entropy(mean, covariance, *target)

    def equilibria(self) -> float:
        """Squared Wasserstein distance of the two equilibria: least dissipation times duration of slow ramps."""
        return wasserstein_squared(*self.law(0.0), *self.law(1.0))


def ramp_cost(A0, A1, durations, *, b0=None, b1=None, beta=1.0) -> pd.DataFrame:
    """Dissipated work of a linear ramp compared with its limits and the bounds, for each duration.

    Parameters
    ----------
    A0, A1, b0, b1, beta
        As in `Ramp`.
    durations : iterable of float
        tau [RC].

    Returns
    -------
    DataFrame
        Columns duration [RC], quantity, value [1/beta], condition. Quantities: "linear ramp", "quench", "slow",
        "optimal", "wasserstein", "wasserstein and lag", "equilibria"; equations: docstring of this module.

    Raises
    ------
    ValueError
        As `Ramp`; a duration that is not positive.

    Examples
    --------
    >>> table = ramp_cost([[1.0]], [[4.0]], [0.1, 10.0]).pivot(index="quantity", columns="duration", values="value")
    >>> bool((table.loc["linear ramp"] > table.loc["optimal"]).all())
    True
    >>> bool(table.loc["equilibria", 0.1] > table.loc["linear ramp", 0.1])  # so it is no bound of a fast ramp
    True
    """
    ramp, rows = Ramp(A0, A1, b0, b1, beta), []
    quench, slow, equilibria = ramp.quench(), ramp.slow(), ramp.equilibria()
    for given in durations:
        tau = checks.positive(given, "duration")
        work, mean, covariance = ramp.exact(tau)
        moved = wasserstein_squared(*ramp.law(0.0), mean, covariance) / tau
        values = {
            "linear ramp": work, "quench": quench, "slow": slow / tau, "optimal": ramp.optimal(tau),
            "wasserstein": moved, "wasserstein and lag": moved + relative_entropy(mean, covariance, *ramp.law(1.0)),
            "equilibria": equilibria / tau,
        }  # fmt: skip
        rows += [
            {"duration": tau, "quantity": name, "value": float(value), "condition": CONDITIONS[name]}
            for name, value in values.items()
        ]
    return pd.DataFrame(rows)


def ramp_bounds(A0, A1, durations, *, b0=None, b1=None, beta=1.0) -> pd.DataFrame:
    """What a linear ramp dissipates against each bound, side by side.

    Parameters
    ----------
    A0, A1, durations, b0, b1, beta
        As in `ramp_cost`.

    Returns
    -------
    DataFrame
        Columns duration [RC], bound, limit, realised [1/beta], ratio, condition, as in `analysis.bounds`. The bounds
        "optimal", "wasserstein" and "wasserstein and lag" are rigorous; "equilibria" is broken by fast ramps.

    Raises
    ------
    ValueError
        As `ramp_cost`.

    Examples
    --------
    >>> from analysis.bounds import holds
    >>> table = ramp_bounds([[1.0]], [[4.0]], [0.1, 100.0])
    >>> table[~holds(table)][["duration", "bound"]].values.tolist()
    [[0.1, 'equilibria']]
    """
    table, rows = ramp_cost(A0, A1, durations, b0=b0, b1=b1, beta=beta), []
    for tau, own in table.groupby("duration", sort=False):
        values = own.set_index("quantity")["value"]
        for name in ("optimal", "wasserstein", "wasserstein and lag", "equilibria"):
            row = side_by_side(name, values[name], values["linear ramp"], CONDITIONS[name])
            rows.append({"duration": tau} | row)
    return pd.DataFrame(rows)


def definite(value, name: str) -> np.ndarray:
    """A symmetric positive definite float64 matrix."""
    A = checks.symmetric(value, name)
    smallest = float(scipy.linalg.eigvalsh(A)[0])
    if smallest <= 0.0:
        raise ValueError(f"{name} must be positive definite, but has the eigenvalue {smallest:.6g}; add damping to it")
    return A
