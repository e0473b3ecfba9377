"""What a network is made of and fed with, in plain NumPy: blocks of parameters, fields of a sample, labels, masks."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from thermolinalg import checks


@dataclass(frozen=True)
class Layer:
    """Where the parameters of a layer are in theta.

    Parameters
    ----------
    name : str
    start, stop : int
        ``theta[start:stop]``.
    shape : tuple of ints
    kronecker : bool
        Whether ``theta[start:stop].reshape(shape)`` is the row-major matrix W (n_in + 1, n_out) of ``[a, 1] @ W``, or
        (n_in, n_out) without a bias. Embeddings, positions and gains of norms are not.
    """

    name: str
    start: int
    stop: int
    shape: tuple[int, ...]
    kronecker: bool


@dataclass(frozen=True)
class Block:
    """An array of parameters and the normal law that they are drawn from to begin with.

    Parameters
    ----------
    name : str
    shape : tuple of ints
    kronecker : bool
        As in `Layer`.
    std, mean : float
    bias : bool
        The last row is a bias, zero to begin with.

    Examples
    --------
    >>> Block.dense("dense0", 64, 32).shape
    (65, 32)
    """

    name: str
    shape: tuple[int, ...]
    kronecker: bool = False
    std: float = 0.0
    mean: float = 0.0
    bias: bool = False

    @classmethod
    def dense(cls, name: str, n_in: int, n_out: int, gain: float = 1.0, bias: bool = True) -> "Block":
        """A Kronecker layer with weights of variance gain^2 / n_in and bias 0."""
        return cls(name, (n_in + bias, n_out), True, gain / np.sqrt(n_in), bias=bias)

    @property
    def size(self) -> int:
        """Number of parameters."""
        return int(np.prod(self.shape))

    def draw(self, rng: np.random.Generator) -> np.ndarray:
        """The parameters to begin with."""
        array = self.mean + self.std * rng.standard_normal(self.shape)
        if self.bias:
            array[-1] = 0.0
        return array


@dataclass(frozen=True)
class Field:
    """An array of a sample.

    Parameters
    ----------
    shape : tuple of ints and strings
        A string is a length that the batch is free to choose, the same wherever it stands.
    vocabulary : int, optional
        For ints from 0 to below this; None for real numbers.
    """

    shape: tuple[int | str, ...]
    vocabulary: int | None = None


def check_inputs(inputs, fields: Field | Mapping[str, Field]):
    """The batch as float64 or int64 arrays; entries of a dict that are not asked for are left out.

    >>> check_inputs([[1, 2]], Field((2,)))
    array([[1., 2.]])
    """
    lengths: dict[str, int] = {}
    if isinstance(fields, Field):
        return _field(inputs, "inputs", fields, lengths)
    if not isinstance(inputs, Mapping) or not fields.keys() <= inputs.keys():
        got = f"one with {', '.join(inputs)}" if isinstance(inputs, Mapping) else type(inputs).__name__
        raise ValueError(f"inputs must be a dict with {', '.join(fields)}, got {got}")
    return {key: _field(inputs[key], f"inputs[{key!r}]", field, lengths) for key, field in fields.items()}


def _field(value, name: str, field: Field, lengths: dict[str, int]) -> np.ndarray:
    """One array of a batch; `lengths` are those of the arrays before it and of this one."""
    array = np.asarray(value)
    wanted = ("b", *field.shape)
    fits = array.ndim == len(wanted) and array.size > 0
    for length, got in zip(wanted, array.shape, strict=True) if fits else ():
        fits = fits and got == (lengths.setdefault(length, got) if isinstance(length, str) else length)
    if not fits:
        known = ", ".join(f"{key} = {length}" for key, length in lengths.items())
        shape = ", ".join(map(str, wanted)) + ("," if len(wanted) == 1 else "")
        raise ValueError(f"{name} must have shape ({shape}){' with ' if known else ''}{known}, got {array.shape}")
    if field.vocabulary is None:
        return checks.real_array(array, name)
    return _classes(array, name, field.vocabulary)


def _classes(array: np.ndarray, name: str, number: int) -> np.ndarray:
    if array.dtype.kind not in "iu":
        raise ValueError(f"{name} must be ints, got dtype {array.dtype}")
    if array.min() < 0 or array.max() >= number:
        raise ValueError(f"{name} must be from 0 to {number - 1}, got {array.min()} to {array.max()}")
    return array.astype(np.int64)


def check_labels(labels, likelihood: str, output_size: int) -> np.ndarray:
    """Labels (b, p), ints, for "softmax", or (b, p, z), floats; without p they are for one prediction a sample.

    >>> check_labels([3, 1], "softmax", 4).shape
    (2, 1)
    """
    array = np.asarray(labels)
    dimensions = 2 if likelihood == "softmax" else 3
    shape = "(b,) or (b, p)" if likelihood == "softmax" else f"(b, {output_size}) or (b, p, {output_size})"
    fits = array.ndim in (dimensions - 1, dimensions) and array.size > 0
    if not fits or (likelihood != "softmax" and array.shape[-1] != output_size):
        raise ValueError(f"labels must have shape {shape}, got {array.shape}")
    if likelihood == "softmax":
        array = _classes(array, "labels", output_size)
    else:
        array = checks.real_array(array, "labels")
        if likelihood == "bernoulli" and (array.min() < 0.0 or array.max() > 1.0):
            raise ValueError(f"labels must be probabilities 0 to 1, got {array.min():g} to {array.max():g}")
    return array if array.ndim == dimensions else array[:, None]


def check_weights(mask) -> np.ndarray:
    """Weights (b, p) that sum to one, equal where the mask is 1 and 0 elsewhere."""
    array = np.asarray(mask)
    if array.ndim != 2 or not np.isin(array, (0, 1)).all() or not array.any():
        raise ValueError(f"mask must be (b, p), True or False for each prediction, not all False; shape {array.shape}")
    return array / np.count_nonzero(array)


def layer_gram(a: np.ndarray, g: np.ndarray) -> np.ndarray:
    """Products of the rows ``sum_s a_s g_s^T`` of a layer, (b k, b k), for a (b, s, n) and g (b, k, s, r).

    In the cheaper way: ``sum_{s,t} (a_s . a_t)(g_s . g_t)``, sample by sample, or through the rows of this layer.

    >>> layer_gram(np.array([[[2.0]], [[3.0]]]), np.ones((2, 1, 1, 1)))
    array([[4., 6.], [6., 9.]])
    """
    (b, s, n), (k, r) = a.shape, g.shape[1::2]
    if s == 1:
        a, rows = a[:, 0], g.reshape(b * k, r)
        return ((a @ a.T)[:, None, :, None] * (rows @ rows.T).reshape(b, k, b, k)).reshape(b * k, b * k)
    if 2 * k * s * n * r + b * k * k * n * r < b * (s * s * (n + k * r) + k * k * s * r):  # multiplications, twice
        rows = (a.transpose(0, 2, 1)[:, None] @ g).reshape(b * k, n * r)
        return rows @ rows.T
    out = np.empty((b, k, b, k))
    by_position = g.transpose(0, 2, 1, 3).reshape(b, s, k * r)
    for i in range(b):  # each with itself and those before
        between = a[i] @ a[: i + 1].transpose(0, 2, 1)
        mixed = (between @ by_position[: i + 1]).reshape(i + 1, s, k, r)
        out[i, :, : i + 1] = np.tensordot(g[i], mixed, axes=((1, 2), (1, 3)))
        out[: i + 1, :, i] = out[i, :, : i + 1].transpose(1, 2, 0)
    return out.reshape(b * k, b * k)
