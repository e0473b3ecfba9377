"""The exact law of ``dx = -A x dt + sqrt(D) dW`` over a step, for any stable A and positive semidefinite D.

``x(t + h) = M x(t) + xi`` with ``M = e^{-A h}`` and ``xi ~ N(0, Q)``, ``Q = int_0^h e^{-A u} D e^{-A^T u} du``. A
Taylor series over a short step and doublings ``Q(2 h) = Q + M Q M^T``, ``M(2 h) = M^2``: only sums of positive terms,
so nothing cancels for short steps, and an infinite step gives the solution of ``A S + S A^T = D``. The symmetric part
of A plays no part. All of it is differentiable: `transition_adjoint` runs the same ladder backwards.
"""

import numpy as np
import scipy.linalg

from . import _check

REACH = 0.5  # norm of A times the short step; both series then end at machine precision after TERMS terms
TERMS = 20
FORGOTTEN = 1e-60  # size below which M is zero beside anything; further squares would be slow subnormal numbers
MOST_DOUBLINGS = 2000  # far beyond what float64 can tell from an unstable drift
PARALLEL_CHAINS = 32  # chains from which one product a step keeps BLAS busy


def square(value, name: str) -> np.ndarray:
    """A finite float64 matrix of shape (d, d)."""
    array = _check.real_array(value, name)
    if array.ndim != 2 or array.shape[0] != array.shape[1] or array.size == 0:
        raise ValueError(f"{name} must be a square matrix of shape (d, d), got {array.shape}")
    return array


def stable(value, name: str) -> tuple[np.ndarray, np.ndarray]:
    """A drift matrix and its eigenvalues, all of positive real part beyond rounding."""
    drift = square(value, name)
    eigenvalues = scipy.linalg.eigvals(drift, check_finite=False)
    worst = eigenvalues[np.argmin(eigenvalues.real)]
    if worst.real <= drift.shape[0] * np.finfo(float).eps * np.linalg.norm(drift):
        raise ValueError(
            f"{name} must be stable, but its eigenvalue {number(worst)} has no positive real part; "
            f"add a multiple of the identity above {max(-worst.real, 0.0):.3g}"
        )
    return drift, eigenvalues


def number(eigenvalue: complex) -> str:
    """An eigenvalue for a message, without an imaginary part that is zero."""
    return f"{eigenvalue.real:.6g}" + (f"{eigenvalue.imag:+.6g}j" if eigenvalue.imag else "")


def semidefinite(value, name: str, size: int) -> np.ndarray:
    """A symmetric positive semidefinite (size, size) matrix from a number, a diagonal or a matrix."""
    array = _check.real_array(value, name)
    if array.ndim < 2:
        array = np.diag(np.broadcast_to(array, size) if array.ndim == 0 else _check.vector(array, name, size))
    array = _check.symmetric(array, name)
    if array.shape != (size, size):
        raise ValueError(f"{name} must have shape ({size}, {size}), got {array.shape}")
    eigenvalues = scipy.linalg.eigvalsh(array, check_finite=False)
    if eigenvalues[0] < -size * np.finfo(float).eps * max(eigenvalues[-1], -eigenvalues[0]):
        raise ValueError(f"{name} must be positive semidefinite, but has the eigenvalue {eigenvalues[0]:.6g}")
    return (array + array.T) / 2.0


def psd_factor(Q: np.ndarray) -> np.ndarray:
    """F with F F^T = Q for symmetric Q >= 0, singular or not; entries of different scales keep their digits."""
    scale = np.sqrt(np.maximum(np.diag(Q), 0.0))
    unit = np.where(scale > 0, scale, 1.0)
    values, vectors = scipy.linalg.eigh(Q / np.outer(unit, unit), check_finite=False)
    return scale[:, None] * vectors * np.sqrt(np.maximum(values, 0.0))


# Ladder of doublings -----------------------------------------------------------------------------------------------


def _short_step(A: np.ndarray, h: float) -> tuple[float, float]:
    """The step of the series, and how many doublings lead from there to h."""
    size = float(max(np.linalg.norm(A, 1), np.linalg.norm(A, np.inf)))
    if np.isinf(h):
        return REACH / size, np.inf
    doublings = max(0, int(np.ceil(np.log2(size) + np.log2(h) - np.log2(REACH)))) if h else 0
    return float(np.ldexp(h, -doublings)), doublings


def _powers(A, step):
    """Terms of e^{-A step}."""
    terms = [np.eye(A.shape[0])]
    for j in range(1, TERMS):
        terms.append(terms[-1] @ A * (-step / j))
    return terms


def _series(A, D, step):
    """Terms of M and of Q at a short step: ``(-A s)^j / j!`` and ``s^{j+1} / (j+1)! T^j(D)``, T(X) = -A X - X A^T."""
    parts = [step * D]
    for j in range(1, TERMS):
        moved = A @ parts[-1] * (-step / (j + 1))
        parts.append(moved + moved.T)
    return _powers(A, step), parts


def _climb(A, D, h):
    """(M, Q) at every rung from the short step to h."""
    step, doublings = _short_step(A, h)
    terms, parts = _series(A, D, step)
    M, Q = sum(terms[::-1]), sum(parts[::-1])
    rungs = [(M, Q)]
    while len(rungs) <= min(doublings, MOST_DOUBLINGS):
        grown = M @ Q @ M.T
        M, Q = _squared(M), Q + (grown + grown.T) / 2.0
        rungs.append((M, Q))
        if not M.any():
            break
    return step, terms, parts, rungs


def transition(A: np.ndarray, D: np.ndarray, h: float) -> tuple[np.ndarray, np.ndarray]:
    """M = e^{-A h} and Q = int_0^h e^{-A u} D e^{-A^T u} du; h may be infinite: M = 0, Q the stationary covariance."""
    M, Q = _climb(A, D, h)[-1][-1]
    return M, _check.finite_result(Q, "the transition covariance")


def propagator(A: np.ndarray, h: float) -> np.ndarray:
    """M = e^{-A h} alone."""
    step, doublings = _short_step(A, h)
    M = sum(_powers(A, step)[::-1])
    for _ in range(int(doublings)):
        M = _squared(M)
    return M


def _squared(M):
    """M^2, or zero where that is forgotten."""
    M = M @ M
    return M if np.abs(M).max() > FORGOTTEN else np.zeros_like(M)


def stationary_covariance(A: np.ndarray, D: np.ndarray) -> np.ndarray:
    """S with A S + S A^T = D."""
    return transition(A, D, np.inf)[1]


def transition_adjoint(A, D, h, M_bar, Q_bar) -> tuple[np.ndarray, np.ndarray]:
    """Gradients by A and D of a function whose gradients by M and (symmetric) Q of `transition` are given."""
    step, terms, parts, rungs = _climb(A, D, h)
    for M, Q in rungs[-2::-1]:
        pulled = Q_bar @ M
        M_bar = M_bar @ M.T + M.T @ M_bar + 2.0 * pulled @ Q
        Q_bar = Q_bar + M.T @ pulled
    A_bar, term_bar, part_bar = np.zeros_like(A), M_bar, Q_bar
    for j in range(TERMS - 1, 0, -1):
        A_bar += terms[j - 1].T @ term_bar * (-step / j) + part_bar @ parts[j - 1] * (-2.0 * step / (j + 1))
        term_bar = M_bar + term_bar @ A.T * (-step / j)
        pulled = part_bar @ A * (-step / (j + 1))
        part_bar = Q_bar + pulled + pulled.T
    return A_bar, step * part_bar


def averaging_kernel(A: np.ndarray, time: float) -> np.ndarray:
    """K = int_0^time (time - u) e^{-A u} du, by the same ladder: K(2 t) = K + t J + M K, J = int_0^t e^{-A u} du."""
    step, doublings = _short_step(A, time)
    terms = _powers(A, step)
    M = sum(terms[::-1])
    J = sum(term * (step / (j + 1)) for j, term in reversed(list(enumerate(terms))))
    K = sum(term * (step**2 / (j + 1) / (j + 2)) for j, term in reversed(list(enumerate(terms))))
    for _ in range(int(doublings)):
        K, J, M, step = K + step * J + M @ K, J + M @ J, _squared(M), 2.0 * step
    return K


def geometric_sum(M: np.ndarray, S: np.ndarray, n: float) -> np.ndarray:
    """Sum of M^k S M^kT over 0 <= k < n, by doubling; n may be infinite where M is stable."""
    total, power, block = np.zeros_like(S), np.eye(M.shape[0]), S  # power = M^(terms in total)
    while n > 0 and M.any():
        if not np.isinf(n) and n % 2:
            total, power = total + power @ block @ power.T, power @ M
        block = block + M @ block @ M.T
        M, n = _squared(M), n if np.isinf(n) else n // 2
    return total + power @ block @ power.T if n > 0 else total


# Recurrence --------------------------------------------------------------------------------------------------------


def recurrence(M: np.ndarray, noise: np.ndarray, x: np.ndarray | None = None) -> np.ndarray:
    """All states (n, c, d) of x <- M x + noise[k] for c chains, left in `noise`; x (c, d) is the state before them.

    One chain is cut into pieces that are stepped side by side from zero; each then gets what the end of the piece
    before it becomes under M. That turns matrix-vector products into matrix products.
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
        _join(M, body)
    for k in range(pieces * length, n):
        noise[k] += noise[k - 1] @ M.T
    return noise


def _join(M, body):
    """Add to each piece what the end of the one before it becomes."""
    whole = np.linalg.matrix_power(M, body.shape[1])
    carried = np.zeros_like(body[:, 0])
    for piece in range(1, body.shape[0]):
        carried[piece] = body[piece - 1, -1] + carried[piece - 1] @ whole.T
    for k in range(body.shape[1]):
        carried = _advance(M, carried)
        body[:, k] += carried


def _advance(M, states):
    """M x for states (pieces, c, d), as one matrix product."""
    return (states.reshape(-1, states.shape[-1]) @ M.T).reshape(states.shape)
