"""The exact law of ``dx = -A x dt + sqrt(D) dW`` over a step, for any stable A and positive semidefinite D.

``x(t + h) = M x(t) + xi`` with ``M = e^{-A h}`` and ``xi ~ N(0, Q)``, ``Q = int_0^h e^{-A u} D e^{-A^T u} du``. A
Taylor series over a short step and doublings ``Q(2 h) = Q + M Q M^T``, ``M(2 h) = M^2``; an infinite step gives the
solution of ``A S + S A^T = D``. What is doubled is ``E = M - I``: ``E(2 h) = 2 E + E^2``, ``Q(2 h) = 2 Q + E Q + Q E^T
+ E Q E^T``, which keeps the digits of a slow mode next to fast ones; M itself is squared once it has decayed. The
symmetric part of A plays no part. All of it is differentiable: `transition_adjoint` runs the same ladder backwards.
"""

import numpy as np

from .. import _validation
from .._typing import FloatArray, IntArray

REACH = 0.5  # norm of A times the short step; both series then end at machine precision after TERMS terms
TERMS = 20
DECAYED = 0.5  # size of M below which its own digits count, not those of E
FORGOTTEN = 1e-60  # size below which M is zero compared with anything; further squares would be slow subnormal numbers
MOST_DOUBLINGS = 4000  # far beyond what float64 can tell from an unstable drift
PARALLEL_CHAINS = 32  # chains from which one product a step keeps BLAS busy
NUMBERS_AT_ONCE = 1 << 20  # entries of the laws of different steps that are computed together


def psd_factor(Q: FloatArray) -> FloatArray:
    """F with F F^T = Q for symmetric Q >= 0 (.., d, d), singular or not; entries of any scale keep their digits."""
    scale = np.sqrt(np.maximum(np.diagonal(Q, axis1=-2, axis2=-1), 0.0))
    unit = np.where(scale > 0, scale, 1.0)
    values, vectors = np.linalg.eigh(Q / unit[..., :, None] / unit[..., None, :])
    return scale[..., :, None] * vectors * np.sqrt(np.maximum(values, 0.0))[..., None, :]


# Ladder of doublings -----------------------------------------------------------------------------------------------


class _Series:
    """Taylor series of E and Q over short steps of any number of steps h (k,) at once, and the doublings to each."""

    def __init__(self, A: FloatArray, h: FloatArray) -> None:
        self.size = float(max(np.linalg.norm(A, 1), np.linalg.norm(A, np.inf)))
        self.A = A / self.size
        with np.errstate(divide="ignore"):
            self.doublings = np.maximum(np.ceil(np.log2(self.size) + np.log2(h) - np.log2(REACH)), 0.0)
        finite = np.isfinite(h)
        short = np.ldexp(np.where(finite, h, 1.0), -np.where(finite, self.doublings, 0.0).astype(int))
        reach = np.where(finite, short * self.size, REACH)  # at most REACH, but for rounding
        self.step = np.where(finite, short, REACH / self.size)
        self.weights = reach[:, None] ** np.arange(TERMS)
        powers = [np.eye(len(A))]
        for j in range(1, TERMS):
            powers.append(powers[-1] @ self.A / -j)
        self.powers = np.array(powers)  # (-A)^j / j!, A of unit size

    def increments(self) -> FloatArray:
        """E = e^{-A s} - I (k, d, d)."""
        return np.tensordot(self.weights[:, 1:], self.powers[1:], 1)

    def parts(self, D: FloatArray) -> FloatArray:
        """Terms of Q / s: T^j(D) / (j+1)!, T(X) = -A X - X A^T."""
        parts = [D]
        for j in range(1, TERMS):
            moved = self.A @ parts[-1] / -(j + 1)
            parts.append(moved + moved.T)
        return np.array(parts)

    def noises(self, parts: FloatArray) -> FloatArray:
        """Q (k, d, d)."""
        return np.tensordot(self.step[:, None] * self.weights, parts, 1)


def _doubled(E: FloatArray, M: FloatArray) -> tuple[FloatArray, FloatArray]:
    """E and M over twice the time."""
    E = 2.0 * E + E @ E
    small = np.abs(M).max(axis=(-2, -1), keepdims=True) < DECAYED
    grown = E + np.eye(E.shape[-1])
    return E, np.where(small, _squared(M), grown) if small.any() else grown


def _squared(M: FloatArray) -> FloatArray:
    """M^2, or zero where that is forgotten."""
    M = M @ M
    return np.where(np.abs(M).max(axis=(-2, -1), keepdims=True) > FORGOTTEN, M, 0.0)


def _gathered(E: FloatArray, Q: FloatArray) -> FloatArray:
    """Q + M Q M^T for M = I + E and symmetric Q."""
    moved = E @ Q
    half = Q + moved + moved @ np.swapaxes(E, -1, -2) / 2.0
    return half + np.swapaxes(half, -1, -2)  # symmetric to the last digit, or what is not would be doubled too


def _climb(
    A: FloatArray, D: FloatArray, h: FloatArray
) -> tuple[
    _Series, FloatArray, tuple[FloatArray, FloatArray, FloatArray], list[tuple[IntArray, FloatArray, FloatArray]]
]:
    """Series, its terms of Q, (E, M, Q) at the steps h, and what was doubled on the way: places, E and Q."""
    series = _Series(A, h)
    parts, rungs = series.parts(D), []
    with np.errstate(over="ignore", invalid="ignore"):  # results are looked at in the end
        E, Q = series.increments(), series.noises(parts)
        M = E + np.eye(len(A))
        for done in range(MOST_DOUBLINGS):
            on = np.flatnonzero((series.doublings > done) & M.any(axis=(1, 2)))
            if not on.size:
                break
            rungs.append((on, E[on], Q[on]))
            Q[on] = _gathered(E[on], Q[on])
            E[on], M[on] = _doubled(E[on], M[on])
    _validation.finite_result(Q, "the transition covariance")
    return series, parts, (E, M, Q), rungs


def step_laws(A: FloatArray, D: FloatArray, h: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """``M - I``, M and Q, each (k, d, d), for the steps h (k,), which may be infinite."""
    return _climb(A, D, h)[2]


def transition(A: FloatArray, D: FloatArray, h: float) -> tuple[FloatArray, FloatArray]:
    """M = e^{-A h} and Q = int_0^h e^{-A u} D e^{-A^T u} du; h may be infinite: M = 0, Q the stationary covariance."""
    _, M, Q = step_laws(A, D, np.array([h], dtype=float))
    return M[0], Q[0]


def propagators(A: FloatArray, h: FloatArray) -> list[FloatArray]:
    """M = e^{-A h} alone (d, d) for each of the steps h (k,)."""
    series = _Series(A, h)
    found = []
    for E, left in zip(series.increments(), series.doublings, strict=True):
        M = E + np.eye(len(A))
        while left > 0 and M.any():
            (E, M), left = _doubled(E, M), left - 1
        found.append(M)
    return found


def propagator(A: FloatArray, h: float) -> FloatArray:
    """M = e^{-A h} alone."""
    return propagators(A, np.array([h], dtype=float))[0]


def stationary_covariance(A: FloatArray, D: FloatArray) -> FloatArray:
    """S with A S + S A^T = D."""
    return transition(A, D, np.inf)[1]


def steady_state(E: FloatArray, Q: FloatArray) -> FloatArray:
    """S with S = M S M^T + Q for a stable M = I + E."""
    M = E + np.eye(len(E))
    for _ in range(MOST_DOUBLINGS):
        if not M.any():
            break
        Q = _gathered(E, Q)
        E, M = _doubled(E, M)
    return Q


def transition_adjoint(
    A: FloatArray, D: FloatArray, h: FloatArray, E_bar: FloatArray, Q_bar: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Gradients by A and D of a function of `step_laws`: given those by E (or M) and by symmetric Q, (k, d, d)."""
    series, parts, _, rungs = _climb(A, D, h)
    E_bar, Q_bar = E_bar.copy(), Q_bar.copy()
    for on, E, Q in rungs[::-1]:
        back, e, q = np.swapaxes(E, 1, 2), E_bar[on], Q_bar[on]
        E_bar[on] = 2.0 * e + e @ back + back @ e + 2.0 * q @ (Q + E @ Q)
        Q_bar[on] = _gathered(back, q)
    term_bars = np.tensordot(series.weights, E_bar, (0, 0))
    part_bars = np.tensordot(series.step[:, None] * series.weights, Q_bar, (0, 0))
    A_bar, term_bar, part_bar = np.zeros_like(A), term_bars[-1], part_bars[-1]
    for j in range(TERMS - 1, 0, -1):
        A_bar -= series.powers[j - 1].T @ term_bar / j + part_bar @ parts[j - 1] * (2.0 / (j + 1))
        term_bar = term_bars[j - 1] - term_bar @ series.A.T / j
        pulled = part_bar @ series.A / -(j + 1)
        part_bar = part_bars[j - 1] + pulled + pulled.T
    return A_bar / series.size, part_bar


def averaging_kernel(A: FloatArray, time: float) -> FloatArray:
    """K = int_0^time (time - u) e^{-A u} du / time^2, by the same ladder as J = int_0^time e^{-A u} du / time."""
    series = _Series(A, np.array([time]))
    j, E = np.arange(TERMS), series.increments()[0]
    M = E + np.eye(len(A))
    J = np.tensordot(series.weights[0] / (j + 1), series.powers, 1)
    K = np.tensordot(series.weights[0] / (j + 1) / (j + 2), series.powers, 1)
    for _ in range(int(series.doublings[0])):
        K, J = (2.0 * K + J + E @ K) / 4.0, J + E @ J / 2.0
        E, M = _doubled(E, M)
    return K


def geometric_sum(M: FloatArray, S: FloatArray, n: float) -> FloatArray:
    """Sum of M^k S M^kT over 0 <= k < n, by doubling; n may be infinite where M is stable."""
    total, power, block = np.zeros_like(S), np.eye(M.shape[0]), S  # power = M^(terms in total)
    while n > 0 and M.any():
        if not np.isinf(n) and n % 2:
            total, power = total + power @ block @ power.T, power @ M
        block = block + M @ block @ M.T
        M, n = _squared(M), n if np.isinf(n) else n // 2
    return total + power @ block @ power.T if n > 0 else total


# Recurrence --------------------------------------------------------------------------------------------------------


def recurrence(
    M: FloatArray, noise: FloatArray, x: FloatArray | None = None, powers: dict[int, FloatArray] | None = None
) -> FloatArray:
    """All states (n, c, d) of x <- M x + noise[k] for c chains, left in `noise`; x (c, d) is the state before them.

    One chain is cut into pieces that are stepped side by side from zero; each then gets what the end of the piece
    before it becomes under M. That turns matrix-vector products into matrix products. `powers` keeps the power of M
    that this takes, for whoever steps block after block.
    """
    n, chains, d = noise.shape
    if x is not None:
        noise[0] += x @ M.T
    pieces = 1 if chains >= PARALLEL_CHAINS else int(np.sqrt(n))
    length = n // pieces
    body = noise[: pieces * length].reshape(pieces, length, chains, d)
    for k in range(1, length):
        body[:, k] += _advance(M, body[:, k - 1])
    if pieces > 1:
        powers = {} if powers is None else powers
        if length not in powers:
            powers[length] = np.linalg.matrix_power(M, length)
        _join(M, powers[length], body)
    for k in range(pieces * length, n):
        noise[k] += noise[k - 1] @ M.T
    return noise


def _join(M: FloatArray, whole: FloatArray, body: FloatArray) -> None:
    """Add to each piece what the end of the one before it becomes; `whole` is M to the length of a piece."""
    carried = np.zeros_like(body[:, 0])
    for piece in range(1, body.shape[0]):
        carried[piece] = body[piece - 1, -1] + carried[piece - 1] @ whole.T
    for k in range(body.shape[1]):
        carried = _advance(M, carried)
        body[:, k] += carried


def _advance(M: FloatArray, states: FloatArray) -> FloatArray:
    """M x for states (pieces, c, d), as one matrix product."""
    return (states.reshape(-1, states.shape[-1]) @ M.T).reshape(states.shape)
