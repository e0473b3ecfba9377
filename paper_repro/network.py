"""What JAX traces of a network: its outputs, its loss and their derivatives, as pure functions of arrays.

Importing this module switches JAX to 64 bits for the whole process, here and nowhere else.
"""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp

from .layers import Layer

jax.config.update("jax_enable_x64", True)


class Tape:
    """The parameters as a network sees them; it keeps what enters the Kronecker layers.

    ``tape["norm"]`` is an array of parameters, ``tape.affine("dense0", a)`` the output of a Kronecker layer. Taps, one
    for each Kronecker layer, are added to the pre-activations: zeros whose gradient is that of the pre-activations.
    """

    def __init__(self, arrays, taps=None):
        self.arrays, self.taps = arrays, taps or {}
        self.inputs: dict[str, jax.Array] = {}

    def __getitem__(self, name: str):
        return self.arrays[name]

    def affine(self, name: str, a, constant=None):
        """Pre-activations (..., n_out) of inputs a (..., n_in): ``a @ W``, or ``[a, constant] @ W`` with a bias.

        The constant is 1 unless it is given, of shape (...): 0 where there is no position, as at padded nodes.
        """
        if name in self.inputs:
            raise ValueError(f"layer {name!r} is used twice; its curvature would not be that of one layer")
        W = self.arrays[name]
        if len(W) == a.shape[-1] + 1:
            ones = (jnp.ones(a.shape[:-1]) if constant is None else constant)[..., None]
            z = a @ W[:-1] + ones * W[-1]
            a = jnp.concatenate((a, ones), axis=-1)
        else:
            z = a @ W
        self.inputs[name] = a
        return z + self.taps[name] if name in self.taps else z


class Network:
    """A forward pass and its derivatives, to be compiled: every method takes constants and theta (N,) first.

    Derivatives are taken in the blocks of theta, which spares padding to N. Nothing is checked here but that shapes
    agree, which is known when JAX traces.
    """

    def __init__(self, forward: Callable, layers: tuple[Layer, ...], likelihood: str):
        self.forward, self.layers, self.likelihood = forward, layers, likelihood

    def split(self, theta) -> dict:
        """The blocks of theta by the name of their layer, each in its shape."""
        return {layer.name: theta[layer.start : layer.stop].reshape(layer.shape) for layer in self.layers}

    def _join(self, blocks):
        return jnp.concatenate([blocks[layer.name].ravel() for layer in self.layers])

    def _sample(self, blocks, constants, x, taps=None):
        tape = Tape({**constants, **blocks}, taps)
        return self.forward(tape, x), tape.inputs

    def _batch(self, constants, blocks, inputs):
        return jax.vmap(lambda x: self._sample(blocks, constants, x)[0])(inputs)

    def outputs(self, constants, theta, inputs):
        """(b, p, z)."""
        return self._batch(constants, self.split(theta), inputs)

    def _mean_loss(self, blocks, constants, inputs, labels, weights):
        f = self._batch(constants, blocks, inputs)
        same_predictions(f, labels, weights)
        return jnp.sum(weights * losses(self.likelihood, f, labels))

    def loss_and_gradient(self, constants, theta, inputs, labels, weights):
        """The mean loss and its gradient (N,)."""
        value, gradient = jax.value_and_grad(self._mean_loss)(self.split(theta), constants, inputs, labels, weights)
        return value, self._join(gradient)

    def per_sample_gradients(self, constants, theta, inputs, labels, weights):
        """(b, N), with the b of the mean taken out."""
        blocks = self.split(theta)
        same_predictions(jax.eval_shape(self.outputs, constants, theta, inputs), labels, weights)

        def loss(blocks, x, y, w):
            f = self._sample(blocks, constants, x)[0]
            return len(labels) * jnp.sum(w * losses(self.likelihood, f, y))

        return jax.vmap(lambda *sample: self._join(jax.grad(loss)(blocks, *sample)))(inputs, labels, weights)

    def jvp(self, constants, theta, inputs, v):
        """J v, (b, p, z)."""
        return jax.jvp(lambda theta: self.outputs(constants, theta, inputs), (theta,), (v,))[1]

    def vjp(self, constants, theta, inputs, u):
        """J^T u, (N,)."""
        f, back = jax.vjp(lambda blocks: self._batch(constants, blocks, inputs), self.split(theta))
        same_shape("u (b, p, z)", u, f)
        return self._join(back(u)[0])

    def ggn_product(self, constants, theta, inputs, v, weights):
        """J^T H J v with the weights (b, p) of the predictions; None for equal ones."""

        def network(blocks):
            return self._batch(constants, blocks, inputs)

        blocks = self.split(theta)
        f, along = jax.jvp(network, (blocks,), (self.split(v),))
        _, back = jax.vjp(network, blocks)
        if weights is None:
            weights = jnp.full(f.shape[:2], 1.0 / (f.shape[0] * f.shape[1]))
        same_predictions(f, weights, weights)
        return self._join(back(weights[..., None] * _hessian_product(self.likelihood, f, along))[0])

    def backward(self, constants, theta, inputs, cotangents):
        """Inputs and gradients of the Kronecker layers; rows (b k, n) of each of the other layers.

        Outer products that make rows of the former are left to the caller: JAX on a CPU is five times slower at them.
        """
        blocks = self.split(theta)
        dense = [layer.name for layer in self.layers if layer.kronecker]
        other = {layer.name: blocks[layer.name] for layer in self.layers if not layer.kronecker}

        def sample(x, c):
            entering = jax.eval_shape(lambda x: self._sample(blocks, constants, x)[1], x)
            taps = {name: jnp.zeros((*entering[name].shape[:-1], blocks[name].shape[1])) for name in dense}
            f, back, a = jax.vjp(
                lambda taps, other: self._sample({**blocks, **other}, constants, x, taps), taps, other, has_aux=True
            )
            same_shape("cotangents (b, k, p, z)", c[0], f)
            g, rest = jax.vmap(back)(c)
            pairs = [(a[n].reshape(-1, a[n].shape[-1]), g[n].reshape(len(c), -1, blocks[n].shape[1])) for n in dense]
            return pairs, [rest[name].reshape(len(c), -1) for name in other]

        same_batch("cotangents", cotangents, inputs)
        pairs, rest = jax.vmap(sample)(inputs, cotangents)
        return pairs, [rows.reshape(-1, rows.shape[-1]) for rows in rest]


def same_shape(name: str, given, wanted) -> None:
    """Refuse an array that is not of the shape of the outputs."""
    if given.shape != wanted.shape:
        raise ValueError(f"{name} must agree with outputs of shape {wanted.shape}, got {given.shape}")


def same_batch(name: str, array, inputs) -> None:
    """Refuse an array that does not have one entry per sample."""
    b = len(jax.tree.leaves(inputs)[0])
    if len(array) != b:
        raise ValueError(f"{name} must have one entry for each of the {b} samples, got {len(array)}")


def same_predictions(f, labels, weights) -> None:
    """Refuse labels or weights for other predictions than those of the outputs f (b, p, z)."""
    for name, array in (("labels", labels), ("mask", weights)):
        if array.shape[:2] != f.shape[:2]:
            raise ValueError(f"{name} must be for {f.shape[0]} x {f.shape[1]} predictions, got shape {array.shape}")


@partial(jax.jit, static_argnums=0)
def losses(likelihood: str, f, labels):
    """Minus log likelihood of each prediction, (..., p)."""
    if likelihood == "softmax":
        return -jnp.take_along_axis(jax.nn.log_softmax(f), labels[..., None], axis=-1)[..., 0]
    if likelihood == "bernoulli":
        return jnp.sum(jax.nn.softplus(f) - labels * f, axis=-1)
    return jnp.sum((labels - f) ** 2, axis=-1) / 2.0


def _hessian_product(likelihood: str, f, u):
    """H u for each prediction, H the Hessian of its loss in f."""
    if likelihood == "softmax":
        mean = jax.nn.softmax(f)
        return mean * (u - jnp.sum(mean * u, axis=-1, keepdims=True))
    return u * jax.nn.sigmoid(f) * jax.nn.sigmoid(-f) if likelihood == "bernoulli" else u
