"""Error mitigation: an ensemble of differently rounded matrices whose mean is A, and the answers merged.

One rounded matrix A + dA biases the inverse by -A^-1 dA A^-1, linear in the converter's step h. Over an ensemble with
mean A that term cancels; what is left is ``+ A^-1 E[dA A^-1 dA] A^-1``, quadratic in h, known to the host and
subtractable. (Aifer et al., arXiv:2401.16231, claim the quadratic law; the ensembles here and the bias are ours.)
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Any

import numpy as np

from .. import _validation
from .._typing import ArrayLike, FloatArray, RNGLike
from ..errors import NotPositiveDefinite
from ..hardware.converters import Quantizer
from ..hardware.device import Device, device_of
from ..hardware.programming import Programmed, program
from ..operators import Dense
from ..results import Estimate

PRIMITIVES, METHODS = ("solve", "inv"), ("digits", "stochastic")
MOST_DIGITS = 50


@dataclass(frozen=True, eq=False)
class RoundingEnsemble:
    """Rounded versions of one symmetric matrix.

    Attributes
    ----------
    weights : (m,) ndarray
        Weights of the members, summing to 1.
    matrices : tuple of (d, d) ndarray
        The members; every entry is a level of the converter next to that of A.
    step : float
        Distance of neighbouring levels.
    """

    weights: np.ndarray
    matrices: tuple[np.ndarray, ...]
    step: float

    def mean(self) -> np.ndarray:
        """Weighted mean (d, d) of the members."""
        return np.einsum("k,kij->ij", self.weights, np.array(self.matrices))

    def program(self, device: Device, rng: np.random.Generator | None = None) -> "ProgrammedEnsemble":
        """The ensemble on a device with cells for all of its members, which `mitigate` runs without loading them anew.

        Raises
        ------
        NotPositiveDefinite
            A member that is not definite; with its number and the eigenvalue.
        """
        machines = []
        for k, member in enumerate(self.matrices):
            with _member(k):
                machines.append(program(Dense(member), device, rng=rng))
        return ProgrammedEnsemble(self.weights, tuple(machines), device)

    def bias(self, A: ArrayLike, inverse: ArrayLike) -> np.ndarray:
        """Bias (d, d) of the merged inverse to second order: sum_k p_k A^-1 dA_k A^-1 dA_k A^-1.

        Positive semidefinite. `inverse` is A^-1 or an estimate of it; the bias of a merged solution is this times b.
        The expansion fails where a perturbation is comparable with the smallest eigenvalue.
        """
        A, inverse = _validation.symmetric(A, "A"), _validation.symmetric(inverse, "inverse")
        d = len(self.matrices[0])
        _require_size(A, "A", d)
        _require_size(inverse, "inverse", d)
        middle = np.zeros_like(A)
        for weight, member in zip(self.weights, self.matrices, strict=True):
            error = member - A
            middle += weight * (error @ inverse @ error)
        return inverse @ middle @ inverse


@dataclass(frozen=True, eq=False)
class ProgrammedEnsemble:
    """A rounding ensemble that a device holds: what `RoundingEnsemble.program` returns.

    Attributes
    ----------
    weights : (m,) ndarray
        Weights of the members, summing to 1.
    members : tuple of Programmed
    device : Device

    See Also
    --------
    mitigate : Runs a primitive on every member.
    """

    weights: np.ndarray
    members: tuple[Programmed, ...]
    device: Device


@contextmanager
def _member(k: int) -> Iterator[None]:
    """Says which member of an ensemble is not definite."""
    try:
        yield
    except NotPositiveDefinite as error:
        raise NotPositiveDefinite(f"member {k} of the rounding ensemble: {error}", error.eigenvalue) from None


def rounding_ensemble(
    A: ArrayLike,
    bits: int,
    *,
    members: int = 8,
    method: str = "digits",
    full_scale: str | float = "max",
    rng: RNGLike = None,
) -> RoundingEnsemble:
    """Matrices that a converter of so many bits can hold and whose weighted mean is A.

    Parameters
    ----------
    A : (d, d) array_like
        Symmetric.
    bits : int
        Word length of the converter; see `Quantizer` for its levels.
    members : int
        Size of the ensemble.
    method : "digits" or "stochastic"
        "digits": member k of weight 2^-k rounds an entry up where the k-th binary digit of its fraction of a step
        is 1, so the weighted mean is A to ``step 2^-members`` in every entry. "stochastic": members of equal weight,
        each rounded up with the probability of the fraction, independently in every entry of the lower triangle; the
        mean is A only on average.
    full_scale : "max" or float
        Range of the converter.
    rng : {None, int, Generator, ...}, optional
        For "stochastic".

    Returns
    -------
    RoundingEnsemble

    Raises
    ------
    ValueError
        A not symmetric, bits below 2 (a comparator has no level next to every number), members < 1, or
        more than 50 digits.

    See Also
    --------
    mitigate : Runs a primitive on every member.
    expected_bias : What the ensemble leaves.

    Examples
    --------
    >>> import numpy as np, thermolinalg as tl
    >>> A = tl.problems.wishart(4, rng=0)
    >>> e = tl.rounding_ensemble(A, 6, members=30)
    >>> bool(abs(e.mean() - A).max() < 1e-8), bool(abs(e.matrices[0] - A).max() > 1e-3)
    (True, True)
    """
    A = _validation.symmetric(A, "A")
    bits, members = _validation.count(bits, "bits", least=2), _validation.count(members, "members")
    _validation.choice(method, "method", METHODS)
    if method == "digits" and members > MOST_DIGITS:
        raise ValueError(f"members must be at most {MOST_DIGITS}, got {members}: float64 has no more digits")
    converter = Quantizer(bits, full_scale)
    top = converter.range_of(A)
    if top < np.abs(A).max():
        raise ValueError(f"full_scale must hold every entry of A, up to {np.abs(A).max():.6g}, got {top:.6g}")
    step = float(converter.step(top))
    codes = np.tril(A) / step if step else np.zeros_like(A)
    floor = np.floor(codes)
    fraction = codes - floor
    if method == "digits":
        weights, ups = _digits(fraction, members)
    else:
        generator = _validation.generator(rng)
        weights = np.full(members, 1.0 / members)
        ups = [generator.random(A.shape) < fraction for _ in range(members)]
    lower = [np.tril(step * (floor + up)) for up in ups]
    return RoundingEnsemble(weights, tuple(low + np.tril(low, -1).T for low in lower), step)


def _require_size(matrix: FloatArray, name: str, d: int) -> None:
    if len(matrix) != d:
        raise ValueError(f"{name} must have shape ({d}, {d}), got {matrix.shape}")


def _digits(fraction: np.ndarray, members: int) -> tuple[np.ndarray, list[np.ndarray]]:
    """Weights 1/2, 1/4, .., and once more the last one; and the binary digits of the fractions, rounded to that."""
    weights = 0.5 ** np.minimum(np.arange(1, members + 1), max(members - 1, 1))
    weights[0] = 1.0 if members == 1 else weights[0]
    units = 2 ** (members - 1)
    code = np.rint(fraction * units).astype(np.int64)  # 0 .. units: the sum of the weights times `units`
    ups = []
    for weight in weights:
        share = int(weight * units)
        # take the largest share that fits; the two last members have equal shares, so `units` itself fits too
        up = code >= share
        code -= share * up
        ups.append(up)
    return weights, ups


def expected_bias(A: ArrayLike, inverse: ArrayLike, step: float) -> np.ndarray:
    """Expectation of the bias of a merged inverse over independent stochastic roundings of the upper triangle.

    Parameters
    ----------
    A : (d, d) array_like
        Symmetric.
    inverse : (d, d) array_like
        A^-1 or an estimate of it.
    step : float
        Distance of neighbouring levels.

    Returns
    -------
    (d, d) ndarray
        ``A^-1 E[dA A^-1 dA] A^-1`` with ``E dA_ij^2 = V_ij = step^2 f (1 - f)``, f the fractional part of A_ij / step.

    Raises
    ------
    ValueError
        A or inverse not symmetric, step not positive.

    See Also
    --------
    RoundingEnsemble.bias : The bias of one ensemble.

    Examples
    --------
    >>> import numpy as np, thermolinalg as tl
    >>> A = tl.problems.wishart(4, rng=0)
    >>> bias = tl.expected_bias(A, np.linalg.inv(A), 0.01)
    >>> bool(np.linalg.eigvalsh(bias).min() >= 0)
    True
    """
    A, inverse = _validation.symmetric(A, "A"), _validation.symmetric(inverse, "inverse")
    _require_size(inverse, "inverse", len(A))
    step = _validation.positive(step, "step")
    fraction = A / step - np.floor(A / step)
    V = step**2 * fraction * (1.0 - fraction)
    middle = inverse * V
    middle[np.diag_indices_from(middle)] = V @ np.diag(inverse)
    return inverse @ middle @ inverse


def mitigate(
    primitive: Callable[..., Estimate],
    A: ArrayLike | ProgrammedEnsemble,
    *args: Any,
    device: Device | None = None,
    members: int = 8,
    method: str = "digits",
    rng: RNGLike = None,
    **protocol: Any,
) -> Estimate:
    """Run a primitive on every member of a rounding ensemble and merge the answers.

    The time of the protocol is shared out by weight: member k of weight p_k gets ``p_k duration`` or ``p_k n_reads``
    (rounded, and at least one), so the merged answer is the mean of as many samples as one run would have taken, give
    or take one read per member. Each member pays its own load and burn-in. Rounding must be small compared with the
    smallest eigenvalue, condition number times relative step well below 1: where it is not, a member may be worse than
    the matrix rounded to nearest.

    Parameters
    ----------
    primitive : callable
        `solve` or `inv`.
    A : (d, d) array_like or ProgrammedEnsemble
        Symmetric positive definite; or a rounding ensemble that is on a device already, which then costs no loading.
    *args
        What the primitive takes after A.
    device : Device
        With `matrix_bits`, the word length of the ensemble. Left out for what is programmed already.
    members, method
        As in `rounding_ensemble`; of no use for what is programmed already.
    rng : {None, int, Generator, ...}, optional
        Passed to `numpy.random.default_rng`.
    **protocol
        Keywords of the primitive; duration or n_reads, not rtol.

    Returns
    -------
    Estimate
        ``value`` the weighted mean, ``stderr`` that of the noise, ``cost`` of all runs one after another; times and
        reads are those of all members together.

    Raises
    ------
    ValueError
        A device without matrix_bits, a protocol with rtol, fewer reads than leave one for the lightest member.
    NotPositiveDefinite
        A member that is not definite; with its number and the eigenvalue.

    See Also
    --------
    rounding_ensemble : The matrices alone.
    thermolinalg.solve : `refine=True` removes rounding by another way.

    Examples
    --------
    >>> import numpy as np, thermolinalg as tl
    >>> A, b, device = tl.problems.wishart(8, rng=0), np.ones(8), tl.Device(beta=1e12, matrix_bits=8)
    >>> plain = tl.solve(A, b, duration=1e3, device=device, rng=0).value
    >>> merged = tl.mitigate(tl.solve, A, b, duration=1e3, device=device, rng=0).value
    >>> error = [np.linalg.norm(x - np.linalg.solve(A, b)) for x in (plain, merged)]
    >>> bool(error[1] < 0.3 * error[0])
    True
    """
    if getattr(primitive, "__name__", None) not in PRIMITIVES:
        raise ValueError(f"primitive must be solve or inv, got {primitive!r}")
    if protocol.get("rtol") is not None or protocol.get("refine"):
        raise ValueError("mitigate shares out duration or n_reads; rtol and refine have no share")
    generator = _validation.generator(rng)
    weights, machines, device = _ensemble(A, device, members, method, generator)
    if protocol.get("n_reads") is not None:
        n_reads, lightest = _validation.count(protocol["n_reads"], "n_reads"), float(weights.min())
        if n_reads * lightest < 0.5:
            raise ValueError(
                f"n_reads = {n_reads} leaves no read for a member of weight {lightest:.3g}; "
                f"use n_reads >= {int(np.ceil(0.5 / lightest))}, or fewer members"
            )
    parts = []
    for k, (weight, machine) in enumerate(zip(weights, machines, strict=True)):
        with _member(k):
            parts.append(
                primitive(machine, *args, device=device, rng=generator.spawn(1)[0], **_share(protocol, float(weight)))
            )
    return _merged(weights, parts, device)


def _ensemble(
    A: ArrayLike | ProgrammedEnsemble, device: Device | None, members: int, method: str, rng: np.random.Generator
) -> tuple[np.ndarray, tuple, Device]:
    """Weights, members and device; members that are not on it yet have entries that its own rounding leaves alone."""
    if isinstance(A, ProgrammedEnsemble):
        if device not in (None, A.device):
            raise ValueError("A is programmed on a device already, and runs there; leave device out")
        return A.weights, A.members, A.device
    device = device_of(None, device)
    ensemble = ensemble_for(device, A, members, method, rng)
    return ensemble.weights, ensemble.matrices, device


def ensemble_for(device: Device, A: ArrayLike, members: int, method: str, rng: np.random.Generator) -> RoundingEnsemble:
    """The ensemble of the words of a device."""
    if device.matrix_bits == 1:
        raise ValueError("matrix_bits must be at least 2 for an ensemble, got 1: a comparator has no levels to average")
    if device.matrix_bits is None:
        raise ValueError("device must have matrix_bits: without rounding of A there is nothing to mitigate")
    A = _validation.symmetric(A, "A")
    if device.matrix_range != "max" and float(device.matrix_range) < np.abs(A).max():
        raise ValueError(
            f"matrix_range must hold every entry of A, up to {np.abs(A).max():.6g}, got {device.matrix_range}"
        )
    bits, full_scale = device.matrix_bits, device.matrix_range
    return rounding_ensemble(A, bits, members=members, method=method, full_scale=full_scale, rng=rng)


def _share(protocol: dict, weight: float) -> dict:
    share = dict(protocol)
    if share.get("duration") is not None:
        share["duration"] = _validation.positive(share["duration"], "duration") * weight
    if share.get("n_reads") is not None:
        share["n_reads"] = max(1, round(share["n_reads"] * weight))  # half a read is a read
    return share


def _merged(weights: FloatArray, parts: list[Estimate], device: Device) -> Estimate:
    def stderr() -> FloatArray:
        return np.sqrt(sum((w * part.stderr) ** 2 for w, part in zip(weights, parts, strict=True)))

    first, reads = parts[0], [part.n_reads for part in parts if part.n_reads is not None]
    return Estimate(
        value=sum(w * part.value for w, part in zip(weights, parts, strict=True)), stderr_source=stderr,
        stderr_kind=first.stderr_kind, burn_in=sum(part.burn_in for part in parts),
        duration=sum(part.duration for part in parts), n_reads=sum(reads) if reads else None,
        read_spacing=first.read_spacing, n_chains=first.n_chains, simulator=first.simulator, device=device,
        cost=reduce(add, [part.cost for part in parts]),
        clipped={name: sum(part.clipped[name] for part in parts) for name in first.clipped},
    )  # fmt: skip
