"""Every derivative that an optimiser asks of a network: `Model`, NumPy outside, automatic differentiation inside.

Importing this module imports `network`, which switches JAX to 64 bits.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

import jax
import numpy as np

from thermolinalg import checks
from thermolinalg.curvature.cotangents import LIKELIHOODS

from .layers import Block, Field, Layer, check_inputs, check_labels, check_weights, layer_gram
from .network import Network, losses, same_predictions


class Model:
    r"""A network with parameters theta, one flat array, and the derivatives of its outputs and of its loss.

    The loss is minus the logarithm of the likelihood, in nats, averaged over the b p predictions of a batch; it sums
    over the answers of one prediction ("bernoulli") and over its components (``|y - f|^2 / 2``, "gaussian"). A mask
    (b, p) says which predictions count, where not all do; the mean is over those.

    Parameters
    ----------
    name : str
    forward : callable
        ``forward(tape, x)`` -> (p, z): outputs for one sample x, with the parameters read from a `network.Tape`.
    blocks : sequence of Block
        The parameters, in the order in which theta holds them.
    output_size : int
        z.
    inputs : Field or dict of Field
        What a sample is.
    likelihood : {"softmax", "bernoulli", "gaussian"}
    constants : dict of arrays, optional
        Parameters that are not trained, read from the tape like the others.

    Attributes
    ----------
    size : int
        N, the number of parameters.
    layers : tuple of Layer
        Contiguous, covering 0 to N. The block ``theta[start:stop].reshape(shape)`` of a Kronecker layer is the matrix
        (n_in + 1, n_out), bias last, so that its curvature is A x G, A over inputs, G over pre-activation gradients.

    Raises
    ------
    ValueError
        Every method, for theta of a wrong length or not finite, inputs or labels of the wrong shape or range.
    FloatingPointError
        Every method, for a result that is not finite.

    Notes
    -----
    A function is compiled when it is first called and again for every new shape of its arguments, never for new values.
    Keep a model: another one made in the same way compiles anew. The arrays that come back are the caller's own.

    Examples
    --------
    >>> def line(tape, x):
    ...     return tape.affine("slope", x)[None]
    >>> block = Block.dense("slope", 1, 1)
    >>> model = Model("line", line, [block], output_size=1, inputs=Field((1,)), likelihood="gaussian")
    >>> model.rows([2.0, 1.0], [[3.0], [5.0]], np.ones((2, 1, 1, 1)))
    array([[3., 1.], [5., 1.]])
    """

    def __init__(
        self,
        name: str,
        forward: Callable,
        blocks: Sequence[Block],
        *,
        output_size: int,
        inputs: Field | Mapping[str, Field],
        likelihood: str = "softmax",
        constants: Mapping[str, np.ndarray] | None = None,
    ):
        self.name, self.forward, self.inputs = name, forward, inputs
        self.blocks, self.constants = tuple(blocks), dict(constants or {})
        names = [block.name for block in self.blocks] + list(self.constants)
        if not self.blocks or len(set(names)) < len(names):
            raise ValueError(f"blocks must be one or more, with names of their own, got {names}")
        self.output_size = checks.count(output_size, "output_size")
        self.likelihood = checks.choice(likelihood, "likelihood", LIKELIHOODS)
        ends = pairwise(np.cumsum([0, *(block.size for block in self.blocks)]).tolist())
        self.layers = tuple(
            Layer(block.name, start, stop, block.shape, block.kronecker)
            for block, (start, stop) in zip(self.blocks, ends, strict=True)
        )
        self.size = self.layers[-1].stop
        self._network = Network(forward, self.layers, self.likelihood)
        self._compiled: dict[str, Callable] = {}

    def __repr__(self) -> str:
        return f"Model({self.name!r}, N={self.size}, output_size={self.output_size}, likelihood={self.likelihood!r})"

    def init(self, seed) -> np.ndarray:
        """Parameters (N,) to begin with: anything `numpy.random.default_rng` takes, drawn by NumPy alone."""
        rng = checks.generator(seed)
        return np.concatenate([block.draw(rng).ravel() for block in self.blocks])

    def arrays(self, theta) -> dict[str, np.ndarray]:
        """The parameters by the name of their layer, each in its shape: views of theta."""
        return self._network.split(checks.vector(theta, "theta", self.size))

    # What a caller asks for

    def outputs(self, theta, inputs) -> np.ndarray:
        """(b, p, z): logits, or means for "gaussian"."""
        return self._call("outputs", theta, inputs)

    def loss(self, theta, inputs, labels, *, mask=None) -> float:
        """The mean loss of a batch, nats."""
        f, labels, weights = self._outputs_and_targets(theta, inputs, labels, mask)
        return self._finite("loss", theta, float(np.sum(weights * losses(self.likelihood, f, labels))))

    def loss_and_gradient(self, theta, inputs, labels, *, mask=None) -> tuple[float, np.ndarray]:
        """The mean loss of a batch and its gradient (N,)."""
        value, gradient = self._call("loss_and_gradient", theta, inputs, *self._targets(labels, mask))
        return float(value), gradient

    def accuracy(self, theta, inputs, labels, *, mask=None) -> float:
        """Share of predictions whose largest logit is that of the label; of answers on the right side ("bernoulli")."""
        if self.likelihood == "gaussian":
            raise ValueError('accuracy is for classes; a "gaussian" model has a loss only')
        f, labels, weights = self._outputs_and_targets(theta, inputs, labels, mask)
        right = (
            f.argmax(axis=-1) == labels if self.likelihood == "softmax" else ((f > 0) == (labels > 0.5)).mean(axis=-1)
        )
        return float(np.sum(weights * right))

    def per_sample_gradients(self, theta, inputs, labels, *, mask=None) -> np.ndarray:
        """(b, N): gradients whose mean is that of the batch; without a mask, each of the mean loss of its sample."""
        return self._call("per_sample_gradients", theta, inputs, *self._targets(labels, mask))

    def rows(self, theta, inputs, cotangents) -> np.ndarray:
        """(b k, N): J_s^T c for each sample s and each of its cotangents c, given as (b, k, p, z)."""
        pairs, others = self.backward(theta, inputs, cotangents)
        pair, other = iter(pairs), iter(others)
        out = np.empty((*np.shape(cotangents)[:2], self.size))
        for layer in self.layers:
            block = out[..., layer.start : layer.stop]
            if layer.kronecker:
                a, g = next(pair)
                np.matmul(a.transpose(0, 2, 1)[:, None], g, out=block.reshape(*out.shape[:2], *layer.shape))
            else:
                block[:] = next(other).reshape(block.shape)
        return self._finite("rows", theta, out.reshape(-1, self.size))

    def jvp(self, theta, inputs, v) -> np.ndarray:
        """J v, (b, p, z)."""
        return self._call("jvp", theta, inputs, checks.vector(v, "v", self.size))

    def vjp(self, theta, inputs, u) -> np.ndarray:
        """J^T u, (N,), for u (b, p, z)."""
        return self._call("vjp", theta, inputs, checks.real_array(u, "u"))

    def ggn_product(self, theta, inputs, v, *, mask=None) -> np.ndarray:
        """J^T H J v / (b p), H the Hessian of the loss in the outputs: a jvp and a vjp (arXiv:2405.13817, Eq. 9)."""
        v, weights = checks.vector(v, "v", self.size), None if mask is None else check_weights(mask)
        return self._call("ggn_product", theta, inputs, v, weights)

    def kronecker_inputs(self, theta, inputs, cotangents) -> list[tuple[np.ndarray, np.ndarray]]:
        """For each Kronecker layer its inputs a (b, s, n_in + 1) and the gradients g (b, k, s, n_out) at s positions.

        g is the gradient of ``sum(c * outputs)`` in the pre-activations, for each cotangent c of (b, k, p, z). The rows
        of the layer are ``sum_s a_s g_s^T``, exactly. Positions are the pixels of the output of a convolution, whose
        inputs are patches; tokens; nodes; s = 1 for a dense layer. The constant 1 is last; without bias there is none.
        """
        return self.backward(theta, inputs, cotangents)[0]

    def backward(self, theta, inputs, cotangents) -> tuple[list[tuple[np.ndarray, np.ndarray]], list[np.ndarray]]:
        """`kronecker_inputs`, and for each of the other layers its columns of `rows`, (b k, stop - start), at once."""
        return self._call("backward", theta, inputs, self._cotangents(cotangents))

    def gram(self, theta, inputs, cotangents) -> np.ndarray:
        """(b k, b k): J J^T for the rows of `rows`, layer by layer, without all of J at once.

        A layer adds ``sum_{s,t} (a_s . a_t)(g_s . g_t)``, or the products of its own rows where that is less work.
        """
        pairs, others = self.backward(theta, inputs, cotangents)
        total = np.zeros((np.shape(cotangents)[0] * np.shape(cotangents)[1],) * 2)
        for a, g in pairs:
            total += layer_gram(a, g)
        for rows in others:
            total += rows @ rows.T
        return total

    # The door: NumPy arrays are checked, the function is compiled once, what comes out is finite

    def _call(self, name: str, theta, inputs, *rest):
        theta = checks.vector(theta, "theta", self.size)
        inputs = check_inputs(inputs, self.inputs)
        if name not in self._compiled:
            self._compiled[name] = jax.jit(getattr(self._network, name))
        result = self._compiled[name](self.constants, theta, inputs, *rest)
        return self._finite(name.replace("_", " "), theta, jax.tree.map(np.array, result))

    def _finite(self, what: str, theta, result):
        if not all(np.isfinite(array).all() for array in jax.tree.leaves(result)):
            raise FloatingPointError(
                f"{what} of {self.name} is not finite, with parameters up to {np.abs(theta).max():.3g}: training has "
                "diverged or the inputs overflow; take shorter steps or rescale the inputs"
            )
        return result

    def _targets(self, labels, mask):
        """Labels, and weights (b, p) that sum to one."""
        labels = check_labels(labels, self.likelihood, self.output_size)
        return labels, check_weights(np.ones(labels.shape[:2]) if mask is None else mask)

    def _outputs_and_targets(self, theta, inputs, labels, mask):
        f, targets = self.outputs(theta, inputs), self._targets(labels, mask)
        same_predictions(f, *targets)
        return f, *targets

    def _cotangents(self, cotangents) -> np.ndarray:
        c = checks.real_array(cotangents, "cotangents")
        if c.ndim != 4 or c.size == 0 or c.shape[3] != self.output_size:
            raise ValueError(f"cotangents must have shape (b, k, p, {self.output_size}), got {c.shape}")
        return c
