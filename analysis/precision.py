r"""Error of an answer against the word length of the converter that programs A, and what theory says it should be.

Strategies: "nearest", one matrix rounded to nearest; "stochastic", one matrix rounded at random; "merged", an ensemble
of rounded matrices whose mean is A, the answers averaged by weight (Aifer et al., arXiv:2401.16231; for `solve` and
`inv` that is `thermolinalg.mitigate`); "refined", iterative refinement with exact residuals. But for the last, noise
is averaged away as far as the device can do it, and reported apart.

Let f(H) be what a noiseless device answers that holds H in place of A, h the distance of levels, dA_ij independent in
the lower triangle with variance V_ij, and E_ij the symmetric unit matrices. To leading order in h

- one rounding errs by the derivative of f, ``E|df|^2 = sum_ij V_ij |Df[E_ij]|^2``, linear in h: V = h^2 / 12 for
  nearest, ``h^2 r (1 - r)`` for stochastic rounding, r the remainder of the entry;
- merging cancels it and leaves ``(1/2) sum_ij V_ij D^2 f[E_ij, E_ij]``, quadratic in h: for the inverse the bias
  ``A^-1 E[dA A^-1 dA] A^-1`` of `thermolinalg.expected_bias`.

The derivatives are taken numerically. Refinement reaches what it is asked for where the spectral radius of ``(H - A)
H^-1`` is below 1.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import scipy.linalg

import thermolinalg as tl
from thermolinalg import checks

from .rounded_primitives import Effort, Primitive, problem

STRATEGIES = ("nearest", "stochastic", "merged", "refined")
MEMBERS = 16  # of an ensemble: its mean is A to 2^-16 of a level
DIFFERENCE = 1e-3  # of the smallest eigenvalue, for numerical derivatives


# -- theory


@dataclass(frozen=True)
class Response:
    """How an answer moves with the entries of the lower triangle of the matrix that a device holds.

    Attributes
    ----------
    first : (d, d) ndarray
        Squared norm of the derivative by each entry; zero above the diagonal.
    second : (d, d, ...) ndarray
        Second derivative by each entry.
    """

    first: np.ndarray
    second: np.ndarray

    @classmethod
    def of(cls, task: Primitive) -> "Response":
        """Response at the exact matrix, by central differences."""
        A, d = task.A, len(task.A)
        size = DIFFERENCE * float(scipy.linalg.eigvalsh(A)[0])
        first, second = np.zeros((d, d)), np.zeros((d, d, *task.truth.shape))
        for i, j in zip(*np.tril_indices(d), strict=True):
            E = np.zeros((d, d))
            E[i, j] = E[j, i] = size
            up, down = task.answer(A + E), task.answer(A - E)
            first[i, j] = np.sum((up - down) ** 2) / (2.0 * size) ** 2
            second[i, j] = (up - 2.0 * task.truth + down) / size**2
        return cls(first, second)

    def one_rounding(self, variance) -> float:
        """Root mean square error of one matrix with errors of this variance (number or (d, d)) in its entries."""
        return float(np.sqrt(np.sum(variance * self.first)))

    def merged(self, variance) -> float:
        """Norm of the bias that is left by an ensemble with errors of this variance and mean zero."""
        weights = np.broadcast_to(variance, self.first.shape)
        return float(np.linalg.norm(0.5 * np.einsum("ij,ij...->...", weights, self.second)))


def predicted_error(task: Primitive, bits: int, strategy: str, *, response: Response | None = None) -> float:
    """Error that theory expects of a strategy, relative to the norm of the answer.

    Parameters
    ----------
    task : Primitive
    bits : int
        Word length, at least 2.
    strategy : {"nearest", "stochastic", "merged"}
    response : Response, optional
        That of the task, where it is known already.

    Returns
    -------
    float
        To leading order in the distance h of levels: h for one rounding, h^2 for merging.

    Raises
    ------
    ValueError
        An unknown strategy, bits < 2.

    Examples
    --------
    >>> task = problem("inv", tl.problems.with_condition(4, 3.0, rng=0))
    >>> 0.49 < predicted_error(task, 9, "nearest") / predicted_error(task, 8, "nearest") < 0.51
    True
    """
    bits = checks.count(bits, "bits", least=2)
    checks.choice(strategy, "strategy", STRATEGIES[:3])
    response = Response.of(task) if response is None else response
    step = tl.hardware.Quantizer(bits).step(np.abs(task.A).max())
    remainder = task.A / step - np.floor(task.A / step)
    random = step**2 * remainder * (1.0 - remainder)
    if strategy == "merged":
        error = response.merged(random)
    else:
        error = response.one_rounding(random if strategy == "stochastic" else step**2 / 12.0)
    return error / float(np.linalg.norm(task.truth))


# -- measurement


def measured_error(task: Primitive, bits: int, strategy: str, *, rng=None) -> dict:
    """Error of one answer of a device with so many bits, relative to the norm of the exact one.

    Parameters
    ----------
    task : Primitive
    bits : int
        At least 2.
    strategy : str
        One of `STRATEGIES`; "refined" for `solve` only.
    rng : {None, int, Generator, ...}, optional

    Returns
    -------
    dict
        error and noise (norms of the error and of its reported standard error, relative); both missing where the
        rounded matrix is not positive definite or refinement does not converge.

    Raises
    ------
    ValueError
        An unknown strategy, refinement of another primitive.

    Examples
    --------
    >>> task = problem("inv", tl.problems.with_condition(4, 3.0, rng=0))
    >>> measured_error(task, 12, "merged", rng=0)["error"] < measured_error(task, 12, "nearest", rng=0)["error"] / 30
    True
    """
    checks.choice(strategy, "strategy", STRATEGIES)
    generator = checks.generator(rng)
    rounding = "stochastic" if strategy == "stochastic" else "nearest"
    if strategy == "refined" and task.refine is None:
        raise ValueError(f"strategy 'refined' is for solve, got {task.name}")
    device = tl.Device(matrix_bits=bits, rounding=rounding)
    try:
        if strategy == "merged":
            value, stderr = _merged(task, bits, generator)
        elif strategy == "refined":
            value, stderr = _both(task.refine(device, generator))
        else:
            value, stderr = _held(task, tl.hardware.program_array(task.A, device, generator)[0], generator)
    except (tl.errors.NotPositiveDefinite, tl.errors.NotConverged):
        return {"error": np.nan, "noise": np.nan}
    size = np.linalg.norm(task.truth)
    return {"error": float(np.linalg.norm(value - task.truth) / size), "noise": float(np.linalg.norm(stderr) / size)}


def _both(result) -> tuple[np.ndarray, np.ndarray]:
    return np.asarray(result.value), np.asarray(result.stderr)


def _held(task: Primitive, H: np.ndarray, rng, share: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Answer and standard error of a device that holds H, or NotPositiveDefinite."""
    tl.Dense(H).cholesky  # noqa: B018  `lyapunov` would take an indefinite drift for a bad input
    return _both(task.run(H, rng, share))


def _merged(task: Primitive, bits: int, rng) -> tuple[np.ndarray, np.ndarray]:
    """Answers of the ensemble by weight, for any primitive."""
    ensemble = tl.rounding_ensemble(task.A, bits, members=MEMBERS)
    value, variance = np.zeros_like(task.truth), np.zeros_like(task.truth)
    for weight, member in zip(ensemble.weights, ensemble.matrices, strict=True):
        part, stderr = _held(task, member, rng.spawn(1)[0], float(weight))
        value, variance = value + weight * part, variance + (weight * stderr) ** 2
    return value, np.sqrt(variance)


def error_against_bits(
    name: str, bits: Sequence[int], *, strategies=STRATEGIES, d=8, condition_number=5.0, repeats=8,
    effort: Effort | None = None, seed: np.random.SeedSequence | None = None,
) -> pd.DataFrame:  # fmt: skip
    """Error of a primitive against word length for each strategy, over random matrices, with its prediction.

    Parameters
    ----------
    name : str
        Of `problem`.
    bits : sequence of int
        Word lengths of the converter of A, at least 2.
    strategies : iterable of str
        "refined" is skipped where there is no refinement.
    d, condition_number, repeats : int, float, int
        Random matrices of `thermolinalg.problems.with_condition`.
    effort : Effort, optional
    seed : SeedSequence, optional

    Returns
    -------
    DataFrame
        Columns primitive, bits, strategy; error (root mean square over the matrices that gave an answer), lowest and
        highest; failed (share without an answer); noise (root mean square); predicted (root mean square; missing for
        "refined"). All relative to the norm of the exact answer.

    Raises
    ------
    ValueError
        As `problem` and `measured_error`.

    Examples
    --------
    >>> table = error_against_bits("inv", [6, 8], repeats=2, strategies=["nearest", "merged"])
    >>> table.shape, table.failed.tolist()
    ((4, 9), [0.0, 0.0, 0.0, 0.0])
    """
    seed = np.random.SeedSequence(0) if seed is None else seed
    tasks, generators = [], []
    for k in range(checks.count(repeats, "repeats")):
        generator = np.random.default_rng(np.random.SeedSequence(seed.entropy, spawn_key=(*seed.spawn_key, k)))
        A = tl.problems.with_condition(d, condition_number, generator)
        tasks.append(problem(name, A, effort=effort, rng=generator))
        generators.append(generator)
    responses, rows = [Response.of(task) for task in tasks], []
    for strategy in strategies:
        if strategy == "refined" and tasks[0].refine is None:
            continue
        for word in bits:
            found = pd.DataFrame(
                measured_error(task, word, strategy, rng=g) for task, g in zip(tasks, generators, strict=True)
            )
            predicted = np.nan
            if strategy != "refined":
                pairs = zip(tasks, responses, strict=True)
                predicted = _rms([predicted_error(task, word, strategy, response=r) for task, r in pairs])
            rows.append(
                {"primitive": name, "bits": word, "strategy": strategy, "error": _rms(found["error"])}
                | {"lowest": found["error"].min(), "highest": found["error"].max()}
                | {"failed": float(found["error"].isna().mean()), "noise": _rms(found["noise"]), "predicted": predicted}
            )
    return pd.DataFrame(rows)


def _rms(values) -> float:
    """Root mean square of the numbers that are not missing; missing where there are none."""
    given = np.asarray(values, dtype=float)
    given = given[np.isfinite(given)]
    return float(np.sqrt(np.mean(given**2))) if given.size else np.nan
