"""Programming: what the machine really holds of a matrix, after the rounding of its words and its own fixed errors.

The error of an entry belongs to its place (i, j) and to the seed of the device: the same device holds the same matrix
whatever class or storage order it came in, and whatever else was drawn. A pair of equal entries is one component. An
entry that is zero is no component: nothing is programmed there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
import scipy.linalg
import scipy.sparse

from .. import _validation
from .._typing import FloatArray, IntArray, RNGLike
from ..errors import NotPositiveDefinite
from ..numerics.places import place_uniforms
from ..operators import Dense, Diagonal, Krylov, Matrix, Modal, Operator, as_operator
from .converters import MOST_BITS, Quantizer
from .device import Device, device_of

T = TypeVar("T")
KEPT_PROGRAMMED = 2  # programmed versions that are kept with an operator
DENSE_ADVICE = 2000  # size up to which a sparse matrix is made dense to find out how many bits would do


@dataclass(frozen=True)
class Programmed:
    """A problem as the machine holds it, which can be run again and again without loading it anew.

    Attributes
    ----------
    operator : Modal or Krylov
        The matrix held.
    target : Modal or Krylov
        The matrix that was wanted.
    device : Device
    b : (d, k) ndarray or None
        The right-hand sides after the DAC.
    clipped : dict
        Numbers that saturated a converter: keys "matrix", "dac", "adc".
    """

    operator: Operator
    target: Operator
    device: Device
    b: FloatArray | None
    clipped: dict[str, int]

    @property
    def shape(self) -> tuple[int, int]:
        """(d, d)."""
        return self.operator.shape


def program(operator: Matrix, device: Device, b: FloatArray | None = None, rng: RNGLike = None) -> Programmed:
    """The operator, and the right-hand sides, that the machine holds.

    Parameters
    ----------
    operator : (d, d) array_like, sparse array, LinearOperator or operator
        Symmetric positive definite; kept with an operator is what a device holds of it, unless rounding is random.
    device : Device
    b : (d, k) ndarray, optional
        Right-hand sides; each column is a conversion of its own.
    rng : {None, int, Generator, ...}, optional
        Needed by stochastic rounding.

    Returns
    -------
    Programmed

    Raises
    ------
    ValueError
        An operator that has no stored entries to round or to be off.
    NotPositiveDefinite
        The machine would not relax; with the eigenvalue and the word length that would do.

    Examples
    --------
    >>> import numpy as np, thermolinalg as tl
    >>> device = tl.Device(mismatch=0.1)
    >>> dense = tl.hardware.program(tl.as_operator(np.diag([1.0, 2.0, 3.0])), device).operator.dense()
    >>> diagonal = tl.hardware.program(tl.Diagonal([1.0, 2.0, 3.0]), device).operator.dense()
    >>> bool((dense == diagonal).all())
    True
    """
    if not isinstance(device, Device):
        raise ValueError(f"device must be a Device, got {device!r}")
    operator, generator = as_operator(operator), None if rng is None else _validation.generator(rng)
    clipped = {"matrix": 0, "dac": 0, "adc": 0}
    if b is not None and device.dac_bits is not None:
        b, clipped["dac"] = device.dac.convert(b, generator, axis=0)
    if device.matrix_bits is None and device.mismatch == 0.0:
        return Programmed(operator, operator, device, b, clipped)
    held, clipped["matrix"] = _kept(operator, device, generator)
    return Programmed(held, operator, device, b, clipped)


def device_for(A: Any, beta: float | None, device: Device | None) -> Device:
    """The device that (beta, device) stand for, or that A is programmed on already."""
    if not isinstance(A, Programmed):
        return device_of(beta, device)
    if beta is not None or device not in (None, A.device):
        raise ValueError("A is programmed on a device already, and runs there; leave beta and device out")
    return A.device


def on_device(A: Any, device: Device, b: FloatArray | None, rng: np.random.Generator) -> tuple[Programmed, bool]:
    """A matrix (or what is programmed already) with right-hand sides on the device, and whether it was there before."""
    if not isinstance(A, Programmed):
        return program(as_operator(A), device, b, rng), False
    clipped = dict.fromkeys(A.clipped, 0)
    if b is not None and device.dac_bits is not None:
        b, clipped["dac"] = device.dac.convert(b, rng, axis=0)
    return replace(A, b=b, clipped=clipped), True


def with_modes(A: Matrix | Programmed) -> Modal | Programmed:
    """A matrix, or what is programmed already, with a spectrum: what is known by products alone is made dense."""
    if isinstance(A, Programmed):
        operator = modal(A.operator)
        return replace(A, operator=operator, target=operator if A.target is A.operator else modal(A.target))
    return modal(as_operator(A))


def modal(operator: Operator) -> Modal:
    """The operator itself, or, where it is known by products alone, as a dense one."""
    if isinstance(operator, Modal):
        return operator
    array = operator.dense()
    return Dense((array + array.T) / 2.0)


def _kept(operator: Operator, device: Device, rng: np.random.Generator | None) -> tuple[Operator, int]:
    """The programmed operator, kept with the given one: it is factorised once."""
    return kept_with(operator, device, lambda: _programmed(operator, device, rng))


def kept_with(owner: Any, device: Device, make: Callable[[], T], key: tuple = ()) -> T:
    """What `make` programs for an owner on a device (and a key), kept with it unless rounding is random."""
    if device.rounding == "stochastic" and device.matrix_bits is not None:
        return make()
    sheet = (*key, device.matrix_bits, device.matrix_range, device.mismatch, device.mismatch_seed)
    if sheet not in owner.programmed:
        while len(owner.programmed) >= KEPT_PROGRAMMED:
            del owner.programmed[next(iter(owner.programmed))]
        owner.programmed[sheet] = make()
    return owner.programmed[sheet]


def _programmed(operator: Operator, device: Device, rng: np.random.Generator | None) -> tuple[Operator, int]:
    if isinstance(operator, Diagonal):
        return _programmed_diagonal(operator, device, rng)
    if isinstance(operator, Krylov) and operator.is_sparse:
        return _programmed_sparse(operator, device, rng)
    if isinstance(operator, Dense):
        return _programmed_dense(operator, device, rng)
    raise ValueError(
        f"matrix_bits and mismatch act on stored entries, which {type(operator).__name__} has none of; "
        "pass A.dense(), or a device with matrix_bits=None and mismatch=0"
    )


def _programmed_diagonal(operator: Diagonal, device: Device, rng: np.random.Generator | None) -> tuple[Diagonal, int]:
    places = np.arange(operator.rates.size)

    def entries(machine: Device) -> tuple[FloatArray, int]:
        return program_entries(operator.rates, places, places, machine, rng)

    held, clipped = entries(device)
    if held.min() <= 0:
        bits = fewest_bits(device, lambda finer: entries(finer)[0].min() > 0)
        raise _not_definite(operator, device, held.min(), bits)
    return Diagonal(held), clipped


def _programmed_sparse(operator: Krylov, device: Device, rng: np.random.Generator | None) -> tuple[Krylov, int]:
    lower = scipy.sparse.tril(operator.sparse()).tocsr()
    lower.sum_duplicates()
    lower = lower.tocoo()
    entries, clipped = program_entries(lower.data, lower.row, lower.col, device, rng)
    lower = scipy.sparse.coo_array((entries, (lower.row, lower.col)), shape=lower.shape)
    held = (lower + scipy.sparse.tril(lower, -1).T).tocsr()
    held.eliminate_zeros()
    machine = Krylov(held, bounds=_widened(operator, held), tol=operator.tol, max_products=operator.max_products)
    try:
        machine.bounds  # noqa: B018  definiteness is decided here, at programming
    except NotPositiveDefinite as error:
        operator.bounds  # noqa: B018  a matrix that was indefinite before says so itself
        advice = _bits_for_array(operator.dense(), device) if operator.shape[0] <= DENSE_ADVICE else None
        raise _not_definite(operator, device, error.eigenvalue, advice) from None
    return machine, clipped


def _programmed_dense(operator: Dense, device: Device, rng: np.random.Generator | None) -> tuple[Dense, int]:
    held, clipped = program_array(operator.dense(), device, rng)
    machine = Dense(held)
    try:
        machine.cholesky  # noqa: B018  definiteness is decided here, at programming, not in the middle of a run
    except NotPositiveDefinite as error:
        operator.bounds  # noqa: B018  a matrix that was indefinite before it was programmed says so itself
        bits = _bits_for_array(operator.dense(), device)
        raise _not_definite(operator, device, error.eigenvalue, bits) from None
    return machine, clipped


def program_entries(
    values: FloatArray, rows: IntArray, columns: IntArray, device: Device, rng: np.random.Generator | None = None
) -> tuple[FloatArray, int]:
    """Entries (n,) at places (n,), n components, after rounding and mismatch, and how many saturated."""
    entries, saturated = _rounded(values, rows, columns, device.matrix, rng)
    return entries * device.component_errors(rows, columns), saturated


def _rounded(
    values: FloatArray, rows: IntArray, columns: IntArray, converter: Quantizer, rng: np.random.Generator | None
) -> tuple[FloatArray, int]:
    """Rounded entries; of stochastic rounding one key is drawn, and the place decides."""
    if converter.bits is None:
        return values, 0
    up, there = None, values != 0.0
    if converter.rounding == "stochastic":
        if rng is None:
            raise ValueError("stochastic rounding needs rng")
        up = place_uniforms(int(rng.integers(2**63)), 0, rows[there], columns[there])
    out = np.zeros_like(values)
    out[there], saturated = converter.round(values[there], uniforms=up) if there.any() else (0.0, 0)
    return out, saturated


def program_array(A: FloatArray, device: Device, rng: np.random.Generator | None = None) -> tuple[FloatArray, int]:
    """An array (d, d), symmetric or not, after rounding and mismatch, and how many components saturated.

    Parameters
    ----------
    A : (d, d) ndarray
        Equal entries of a symmetric array are one component.
    device : Device
    rng : Generator, optional
        Needed by stochastic rounding.

    Returns
    -------
    ((d, d) ndarray, int)

    Examples
    --------
    >>> import numpy as np, thermolinalg as tl
    >>> tl.hardware.program_array(np.array([[1.0, 0.3], [0.3, 1.0]]), tl.Device(matrix_bits=2))
    (array([[1., 0.],
           [0., 1.]]), 0)
    """
    if device.matrix_bits is None and device.mismatch == 0.0:
        return A, 0
    if np.array_equal(A, A.T):
        rows, columns = np.tril_indices(len(A))
        entries, clipped = program_entries(A[rows, columns], rows, columns, device, rng)
        return _mirrored(len(A), rows, columns, entries), clipped
    rows, columns = (places.ravel() for places in np.indices(A.shape))
    entries, clipped = program_entries(A.ravel(), rows, columns, device, rng)
    return entries.reshape(A.shape), clipped


def program_rows(
    rows: FloatArray, H: FloatArray | None, device: Device, rng: np.random.Generator | None = None
) -> tuple[FloatArray, FloatArray | None, int]:
    """J and H of ``J^T H J`` as three arrays of resistors, J, H and J^T, set them, and how many components saturated.

    The host rounds J once and sends the same words to two of the arrays.

    Parameters
    ----------
    rows : (n, N) ndarray
        J.
    H : (n,), (n, n) or (b, z, z) ndarray, optional
        Weights, a symmetric matrix, or blocks of one between the rows; None is the identity.
    device : Device
    rng : Generator, optional
        Needed by stochastic rounding.

    Returns
    -------
    rows : (n, N) ndarray
    H : (n,) or (n, n) ndarray or None
        A matrix may have lost its definiteness.
    saturated : int

    Raises
    ------
    ValueError
        Mismatch, which would make J and J^T unlike.
    """
    if device.mismatch:
        raise ValueError(
            f"mismatch={device.mismatch:g} would make the arrays of J and J^T unlike and J^T H J not symmetric, which "
            "is not simulated; use a device with mismatch=0, or the matrix as a dense one"
        )
    held, saturated = device.matrix.round(rows, rng)
    saturated *= 2
    if H is None:
        return held, None, saturated
    if H.ndim == 1:
        weights, more = device.matrix.round(H, rng)
        return held, weights, saturated + more
    blocks = H[None] if H.ndim == 2 else H
    between, more = program_array(scipy.linalg.block_diag(*blocks), device, rng)
    return held, between, saturated + more


def program_noise(noise: FloatArray, device: Device, rng: np.random.Generator | None = None) -> tuple[FloatArray, int]:
    """A noise covariance (d, d) as the converters of the inputs set it, and how many entries saturated."""
    if device.dac_bits is None:
        return noise, 0
    rows, columns = np.tril_indices(len(noise))
    entries, clipped = _rounded(noise[rows, columns], rows, columns, device.dac, rng)
    return _mirrored(len(noise), rows, columns, entries), clipped


def _mirrored(size: int, rows: IntArray, columns: IntArray, entries: FloatArray) -> FloatArray:
    """The symmetric array (size, size) with these entries in its lower triangle."""
    held = np.zeros((size, size))
    held[rows, columns] = entries
    held[columns, rows] = entries
    return held


def program_capacitors(
    own: FloatArray, coupling: FloatArray, device: Device, rng: np.random.Generator | None = None
) -> tuple[FloatArray, FloatArray, int]:
    """Capacitors as a device sets them: each rounded to its `matrix_bits` and off by its `mismatch`.

    Parameters
    ----------
    own : (d,) ndarray
        Wanted capacitances to ground.
    coupling : (d, d) ndarray
        Wanted capacitances between cells.
    device : Device
        Its `matrix_range` is in the unit of the capacitances; "max": the largest of them.
    rng : Generator, optional
        Needed by stochastic rounding.

    Returns
    -------
    own : (d,) ndarray
    coupling : (d, d) ndarray
    saturated : int
        How many could not be made large enough.

    Raises
    ------
    ValueError
        A capacitance to ground that is not positive as programmed; says how many bits would do.
    """
    wanted = coupling + np.diag(own)
    held, saturated = program_array(wanted, device, rng)
    own = held.diagonal()
    if own.min() <= 0:
        i = int(own.argmin())
        bits = fewest_bits(device, lambda finer: program_array(wanted, finer)[0].diagonal().min() > 0)
        remedy = f"matrix_bits={bits} would do" if bits else "no word length helps: a smaller mismatch is needed"
        raise ValueError(
            f"the capacitor of cell {i} to ground is {own[i]:.3g} as programmed (matrix_bits={device.matrix_bits}, "
            f"mismatch={device.mismatch:g}) and must be positive; {remedy}"
        )
    return own, held - np.diag(own), saturated


def fewest_bits(device: Device, good: Callable[[Device], bool]) -> int | None:
    """Fewest bits from `matrix_bits` on with which this device, rounding to nearest, is good; None if none is.

    A device for which `good` raises `NotPositiveDefinite` is not.
    """
    for bits in range(device.matrix_bits or MOST_BITS, MOST_BITS + 1):
        try:
            if good(replace(device, matrix_bits=bits, rounding="nearest")):
                return bits
        except NotPositiveDefinite:
            continue
    return None


def _bits_for_array(A: FloatArray, device: Device) -> int | None:
    return fewest_bits(device, lambda finer: Dense(program_array(A, finer)[0]).cholesky is not None)


def _not_definite(operator: Operator, device: Device, eigenvalue: float, bits: int | None) -> NotPositiveDefinite:
    """The error for programming that left an eigenvalue that is not positive, with the bits that would do."""
    remedy = "no word length helps: a smaller mismatch, a wider range, or more damping on A, is needed"
    if bits is not None:
        remedy = f"matrix_bits={bits} would do"
    return NotPositiveDefinite(
        f"A as programmed (matrix_bits={device.matrix_bits}, mismatch={device.mismatch:g}) is not positive definite: "
        f"its smallest eigenvalue is {eigenvalue:.6g}, that of A itself {operator.bounds[0]:.6g}; {remedy}",
        float(eigenvalue),
    )


def _widened(operator: Krylov, held: Any) -> tuple[float, float] | None:
    """Bounds that were given for an operator, as far as they hold for what was programmed in its place."""
    shift = float(abs(held - operator.sparse()).sum(axis=1).max())  # no eigenvalue moves further
    low, high = operator.bounds if operator.bounds_given else (0.0, 0.0)
    return (low - shift, high + shift) if low > shift else None
