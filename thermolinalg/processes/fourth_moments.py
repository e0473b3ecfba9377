"""Exact variance of averaged products ``mean of x_{k+lag} x_k^T`` over correlated reads of a linear device.

By Wick's theorem each entry has variance ``(1/n) sum_{|k|<n} (1 - |k|/n) f(k)`` with, for reads in equilibrium,
``f(k)_ab = G_k[a,a] G_k[b,b] + G_{k+lag}[a,b] G_{k-lag}[b,a]`` and ``G_k = e^{-A k} S`` (G_-k its transpose). The first
DIRECT lags are summed one by one. Beyond, f is smooth: it is interpolated on panels of growing length, at NODES points
each, and the interpolant is summed over the integers; the panels stop growing where f oscillates.
"""

from collections.abc import Sequence

import numpy as np
import scipy.linalg
from numpy.polynomial import chebyshev

from .._typing import FloatArray, Numbers
from .symmetric_drift import mode_propagators, symmetric_modes
from .transitions import propagators

DIRECT = 64
NODES = 20
PHASE = 4.0  # radians of the fastest oscillation of G over a panel: 20 points resolve f to 1e-10
TAIL = 1e-11  # relative size of what is left out at the end
CHUNK = 65_536  # lags that are handled at a time


def moment_variance(
    drift: FloatArray, S: FloatArray, n: float, lag: int = 0, V: FloatArray | None = None, noise: float = 0.0
) -> FloatArray:
    """Variance (d, d) of each entry of the average of n products, or (d, k) of the average times V (d, k).

    `drift` is per read spacing; S the stationary covariance; `noise` an independent variance that every read
    has in addition; n may be infinite: then n times the variance, n large.
    """
    terms = _Terms(drift, S, lag, V, noise)
    total, G = terms.at_zero(), _first_lags(terms)
    last = n - 1
    direct = DIRECT if terms.panel_limit > DIRECT else np.inf
    k = 1
    while k <= last and k < direct and not terms.negligible(G[lag], total, k, n):
        noisy = G[0] + terms.extra if k == lag else G[0]
        total = total + 2.0 * (1.0 - k / n) * terms.at(noisy, G[lag], G[2 * lag])
        G = [terms.M @ g for g in G] if lag == 0 else [*G[1:], terms.M @ G[-1]]
        k += 1
    if k <= last and k >= direct:
        total = total + _panels(terms, k, n, total)
    return total if np.isinf(n) else total / n


def _first_lags(terms: "_Terms") -> list[FloatArray]:
    """G_{k-lag} .. G_{k+lag} at k = 1."""
    G = [terms.S] if terms.lag else [terms.M @ terms.S]
    while len(G) < 2 * terms.lag + 1:
        G.append(terms.M @ G[-1])
    return G


class _Terms:
    """f(k) from G at k - lag, k and k + lag, for lag 0 or 1."""

    def __init__(self, drift: FloatArray, S: FloatArray, lag: int, V: FloatArray | None, noise: float) -> None:
        self.drift, self.S, self.lag, self.V = drift, S, lag, V
        self.modes = symmetric_modes(drift)
        self.M = self.propagators(np.ones(1))[0]
        self.extra = noise * np.eye(len(S))
        eigenvalues = scipy.linalg.eigvals(drift, check_finite=False) if self.modes is None else self.modes[0]
        turning = np.abs(eigenvalues.imag).max()
        self.panel_limit = np.inf if turning == 0 else PHASE / turning
        self.tail_length = 1.0 + 0.5 / eigenvalues.real.min()

    def propagators(self, times: FloatArray) -> Sequence[FloatArray] | FloatArray:
        """e^{-A t} (d, d) for each of the times (k,)."""
        return propagators(self.drift, times) if self.modes is None else mode_propagators(*self.modes, times)

    def at_zero(self) -> FloatArray:
        """f(0)."""
        S = self.S + self.extra
        if self.lag == 0:
            return self.at(S, S, S)
        forward = self.M @ self.S
        return self.at(forward.T, S, forward)

    def at(self, before: FloatArray, now: FloatArray, after: FloatArray) -> FloatArray:
        """f where G_{k-lag}, G_k and G_{k+lag} are these."""
        if self.V is None:
            return np.outer(np.diag(now), np.diag(now)) + after * before.T
        along = np.einsum("aj,ab,bj->j", self.V, now, self.V, optimize=True)
        return np.outer(np.diag(now), along) + (after @ self.V) * (before.T @ self.V)

    def after(self, before: FloatArray) -> FloatArray:
        """f where G_{k-lag} is this."""
        now = self.M @ before if self.lag else before
        return self.at(before, now, self.M @ now if self.lag else now)

    def negligible(self, now: FloatArray, total: FloatArray, k: int, n: float) -> bool:
        """Whether all lags from k on add nothing to the digits that count."""
        left = np.abs(now).max() ** 2 * (1.0 if self.V is None else np.sum(self.V**2, axis=0).max())
        return bool(left * min(self.tail_length, n - k) <= TAIL * total.max())


def _panels(terms: _Terms, start: int, n: float, so_far: FloatArray) -> Numbers:
    """Twice the sum of (1 - k/n) f(k) over start <= k < n."""
    length: int = start
    total: float | FloatArray = 0.0
    points = (1.0 + chebyshev.chebpts1(NODES)) / 2.0
    # e^{-A (u - lag)} at the nodes u of the panel; doubling or shifting u takes products only
    powers = list(terms.propagators(start + length * points - terms.lag))
    shift = None
    while start < n:
        weights = _weights(start, length, n)
        total = total + 2.0 * sum(w * terms.after(P @ terms.S) for w, P in zip(weights, powers, strict=True))
        start += length
        if start >= n or terms.negligible(powers[-1] @ terms.S, so_far, start, n):
            break
        if shift is None and 2 * length <= terms.panel_limit:
            length *= 2
            powers = [P @ P for P in powers] if terms.lag == 0 else [P @ P @ terms.M for P in powers]
        else:
            shift = terms.propagators(np.array([length]))[0] if shift is None else shift
            powers = [P @ shift for P in powers]
    return total


def _weights(start: int, length: int, n: float) -> FloatArray:
    """Weights (NODES,) that sum (1 - k/n) f(k) over the integers of a panel from f at its Chebyshev points."""
    end = min(start + length, n)
    sums = np.zeros(NODES)
    for first in range(start, int(end), CHUNK):
        k = np.arange(first, min(first + CHUNK, end), dtype=float)
        x = 2.0 * (k - start) / length - 1.0
        sums += chebyshev.chebvander(x, NODES - 1).T @ (1.0 - k / n)
    basis = chebyshev.chebvander(chebyshev.chebpts1(NODES), NODES - 1)
    return basis @ (sums * np.concatenate(([1.0], np.full(NODES - 1, 2.0)))) / NODES
