"""The primitives as functions of the matrix that a device holds: exact, and as the library simulates them."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy.linalg

import thermolinalg as tl
from thermolinalg import checks

LEAST_PATHS = 100  # of a share of the effort, for the determinant: fewer say nothing of their own error
REFINED_TO = 1e-10  # relative error that refinement is asked for


@dataclass(frozen=True)
class Effort:
    """How long the device averages: long enough that rounding is what one sees, where that can be simulated.

    Attributes
    ----------
    beta : float
        Inverse temperature for `solve`.
    duration : float
        Of `solve` [RC].
    n_reads : int
        Independent reads of `inv`, `lyapunov` and `negexpm`, whose law is drawn at once.
    n_paths, ramp, ramp_steps : int, float, int
        Paths of `logdet`, duration of the ramp [RC] and steps of it; noise falls as the root of paths times steps.
    """

    beta: float = 1e20
    duration: float = 1e3
    n_reads: int = 10**14
    n_paths: int = 1000
    ramp: float = 1e4
    ramp_steps: int = 100


@dataclass(frozen=True)
class Primitive:
    """A primitive with its problem fixed.

    Attributes
    ----------
    name : str
    A : (d, d) ndarray
    answer : callable
        (d, d) to the answer of a noiseless device that holds it.
    run : callable
        (matrix, generator, share of the effort) to a result of the library.
    refine : callable or None
        (device, generator) to a refined result, where there is one.
    """

    name: str
    A: np.ndarray
    answer: Callable[[np.ndarray], np.ndarray]
    run: Callable
    refine: Callable | None = None

    @property
    def truth(self) -> np.ndarray:
        """The exact answer."""
        return self.answer(self.A)


def problem(name: str, A, *, effort: Effort | None = None, rng=None) -> Primitive:
    """A primitive on A; b of `solve` and the noise covariance of `lyapunov` are drawn.

    The noise of `negexpm`, H + H^T, is set from the numbers that the device holds, by a host that knows them. A
    `Device` with matrix_bits rounds the drift alone, and errs more for it.

    Parameters
    ----------
    name : {"solve", "inv", "lyapunov", "logdet", "negexpm"}
    A : (d, d) array_like
        Symmetric positive definite.
    effort : Effort, optional
    rng : {None, int, Generator, ...}, optional

    Returns
    -------
    Primitive

    Raises
    ------
    ValueError
        An unknown name; A not symmetric.

    Examples
    --------
    >>> problem("inv", [[2.0]]).truth
    array([[0.5]])
    """
    A, effort, generator = checks.symmetric(A, "A"), effort or Effort(), checks.generator(rng)
    return KNOWN[checks.choice(name, "name", KNOWN)](A, effort, generator)


def _solve(A, effort, rng) -> Primitive:
    b = rng.standard_normal(len(A))

    def run(H, generator, share):
        return tl.solve(H, b, duration=share * effort.duration, beta=effort.beta, rng=generator)

    def refine(device, generator):
        return tl.solve(A, b, rtol=REFINED_TO, refine=True, device=device, rng=generator)

    return Primitive("solve", A, lambda H: np.linalg.solve(H, b), run, refine)


def _inv(A, effort, rng) -> Primitive:
    def run(H, generator, share):
        return tl.inv(H, n_reads=_shared(effort.n_reads, share), rng=generator)

    return Primitive("inv", A, np.linalg.inv, run)


def _lyapunov(A, effort, rng) -> Primitive:
    root = rng.standard_normal(A.shape)
    R = root @ root.T / len(A)

    def run(H, generator, share):
        return tl.lyapunov(H, R, n_reads=_shared(effort.n_reads, share), rng=generator)

    return Primitive("lyapunov", A, lambda H: scipy.linalg.solve_continuous_lyapunov(H, R), run)


def _logdet(A, effort, rng) -> Primitive:
    def run(H, generator, share):
        paths = max(LEAST_PATHS, round(share * effort.n_paths))
        with warnings.catch_warnings():  # of few paths: their error bar is reported as well
            warnings.simplefilter("ignore", tl.errors.UnreliableWork)
            return tl.logdet(
                H, duration=effort.ramp, n_paths=paths, n_steps=effort.ramp_steps, estimator="bar",
                rng=generator,
            )  # fmt: skip

    return Primitive("logdet", A, lambda H: np.array(np.linalg.slogdet(H)[1]), run)


def _negexpm(A, effort, rng) -> Primitive:
    def run(H, generator, share):
        reads = _shared(effort.n_reads, share)
        return tl.negexpm(H, n_reads=reads, read_spacing=None, alpha=0.0, rng=generator)

    return Primitive("negexpm", A, lambda H: scipy.linalg.expm(-H), run)


KNOWN = {"solve": _solve, "inv": _inv, "lyapunov": _lyapunov, "logdet": _logdet, "negexpm": _negexpm}


def _shared(total: int, share: float) -> int:
    return max(1, round(total * share))
