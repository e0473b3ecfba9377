"""The architectures that the optimisers train; each function returns a `Model`.

What the papers leave open is ours, and each docstring says so. No network has batch normalisation or dropout: outputs
depend on their own sample and on theta alone, without which per-sample gradients and the Fisher information of a batch
would not be what their names say.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np

from thermolinalg import checks

from .differentiation import Model
from .layers import Block, Field, Layer
from .network import Tape
from .transformers import lora, transformer, vision_transformer

__all__ = [
    "ACTIVATIONS",
    "BUILDERS",
    "Block",
    "Field",
    "Layer",
    "Model",
    "Tape",
    "conv_net",
    "graph_convolution",
    "lora",
    "mlp",
    "residual_conv_net",
    "transformer",
    "vision_transformer",
]

ACTIVATIONS: dict[str, Callable] = {
    "tanh": jnp.tanh,
    "relu": jax.nn.relu,
    "gelu": lambda z: jax.nn.gelu(z, approximate=False),
    "sigmoid": jax.nn.sigmoid,
}
GAINS = {"tanh": 1.0, "relu": np.sqrt(2.0), "gelu": np.sqrt(2.0), "sigmoid": 1.0}  # keep the scale through a layer


def mlp(sizes: Sequence[int], activation: str = "tanh", likelihood: str = "softmax") -> Model:
    """Dense layers with an activation between them.

    Parameters
    ----------
    sizes : sequence of ints
        Inputs, hidden layers, outputs; two of them make a linear model.
    activation : {"tanh", "relu", "gelu", "sigmoid"}
    likelihood : {"softmax", "bernoulli", "gaussian"}

    Returns
    -------
    Model
        Of inputs (b, sizes[0]).

    Raises
    ------
    ValueError
        For fewer than two sizes, one below 1, or an unknown word.

    Examples
    --------
    >>> model = mlp((64, 32, 10))
    >>> model.size, [layer.shape for layer in model.layers]
    (2410, [(65, 32), (33, 10)])
    """
    sizes = [checks.count(size, "sizes") for size in sizes]
    if len(sizes) < 2:
        raise ValueError(f"sizes must be at least two, inputs and outputs, got {sizes}")
    act, gain = _activation(activation)
    last = len(sizes) - 2

    def forward(tape, x):
        for i in range(last):
            x = act(tape.affine(f"dense{i}", x))
        return tape.affine(f"dense{last}", x)[None]

    blocks = [
        Block.dense(f"dense{i}", n_in, n_out, gain if i < last else 1.0)
        for i, (n_in, n_out) in enumerate(pairwise(sizes))
    ]
    name = f"mlp {'-'.join(map(str, sizes))} {activation}"
    return Model(name, forward, blocks, output_size=sizes[-1], inputs=Field((sizes[0],)), likelihood=likelihood)


def conv_net(
    image_shape: tuple[int, int, int],
    channels: int,
    kernel: int,
    hidden: int,
    classes: int,
    stride: int = 1,
    activation: str = "relu",
) -> Model:
    """One convolution and two dense layers, as in the MNIST runs of TNGD (Donatella et al., arXiv:2405.13817).

    The paper gives no sizes. Ours: no padding, no pooling.

    Parameters
    ----------
    image_shape : (height, width, channels)
    channels, kernel, stride : int
        Of the convolution: outputs, side of its square kernel, step.
    hidden, classes : int
    activation : {"tanh", "relu", "gelu", "sigmoid"}

    Returns
    -------
    Model
        Of inputs (b, height, width, channels).

    Raises
    ------
    ValueError
        For a kernel that is larger than the image, and as in `mlp`.

    Examples
    --------
    >>> model = conv_net((8, 8, 1), channels=4, kernel=3, hidden=16, classes=10)
    >>> [layer.shape for layer in model.layers]
    [(10, 4), (145, 16), (17, 10)]
    """
    height, width, depth = _image_shape(image_shape)
    channels, kernel, stride = _counts(channels=channels, kernel=kernel, stride=stride)
    hidden, classes = _counts(hidden=hidden, classes=classes)
    if kernel > min(height, width):
        raise ValueError(f"kernel must be at most {min(height, width)}, the side of the image, got {kernel}")
    act, gain = _activation(activation)

    def forward(tape, x):
        h = act(tape.affine("conv", _patches(x, kernel, stride)))
        h = act(tape.affine("dense0", h.ravel()))
        return tape.affine("dense1", h)[None]

    pixels = ((height - kernel) // stride + 1) * ((width - kernel) // stride + 1)
    blocks = [
        Block.dense("conv", kernel**2 * depth, channels, gain),
        Block.dense("dense0", pixels * channels, hidden, gain),
        Block.dense("dense1", hidden, classes),
    ]
    name = f"conv {kernel}x{kernel}x{channels} stride {stride}, dense {hidden}-{classes} {activation}"
    return Model(name, forward, blocks, output_size=classes, inputs=Field((height, width, depth)))


def residual_conv_net(
    image_shape: tuple[int, int, int], channels: int, blocks: int, classes: int, activation: str = "relu"
) -> Model:
    """A small residual network: h + scale conv(act(conv(act(h)))), 3 x 3 kernels, mean over pixels, one dense layer.

    No normalisation: the fixed scale 1 / sqrt(blocks) keeps the sum of the branches of the size of one. Neighbouring
    pixels, 2 x 2, are averaged between one block and the next.

    Parameters
    ----------
    image_shape : (height, width, channels)
        Height and width divisible by 2^(blocks - 1).
    channels : int
        The same in all blocks.
    blocks : int
    classes : int
    activation : {"tanh", "relu", "gelu", "sigmoid"}

    Returns
    -------
    Model
        Of the inputs of `conv_net`.

    Raises
    ------
    ValueError
        For an image that cannot be halved so often, and as in `mlp`.

    Examples
    --------
    >>> residual_conv_net((8, 8, 1), channels=4, blocks=2, classes=10).size
    682
    """
    height, width, depth = _image_shape(image_shape)
    channels, n, classes = _counts(channels=channels, blocks=blocks, classes=classes)
    if height % 2 ** (n - 1) or width % 2 ** (n - 1):
        raise ValueError(f"height and width must be divisible by {2 ** (n - 1)} for {n} blocks, got {image_shape}")
    act, gain = _activation(activation)

    def convolution(tape, name, h):
        return tape.affine(name, _patches(jnp.pad(h, ((1, 1), (1, 1), (0, 0))), 3, 1))

    def forward(tape, x):
        h = convolution(tape, "stem", x)
        for i in range(n):
            if i:
                h = h.reshape(h.shape[0] // 2, 2, h.shape[1] // 2, 2, channels).mean(axis=(1, 3))
            branch = convolution(tape, f"block{i}.conv0", act(h))
            h = h + convolution(tape, f"block{i}.conv1", act(branch)) / np.sqrt(n)
        return tape.affine("head", act(h).mean(axis=(0, 1)))[None]

    parts = [Block.dense("stem", 9 * depth, channels)]
    parts += [Block.dense(f"block{i}.conv{j}", 9 * channels, channels, gain) for i in range(n) for j in range(2)]
    parts += [Block.dense("head", channels, classes)]
    name = f"residual {n} blocks of {channels} channels {activation}"
    return Model(name, forward, parts, output_size=classes, inputs=Field((height, width, depth)))


def graph_convolution(
    features: int,
    hidden: int | Sequence[int],
    classes: int,
    level: str = "graph",
    likelihood: str | None = None,
    activation: str = "relu",
) -> Model:
    """Graph convolutions act(S H W + b), S the normalised adjacency (Kipf and Welling, arXiv:1609.02907, Eq. 2).

    Node level: the last convolution gives the outputs of each node. Graph level: hidden convolutions, mean over the
    nodes, one dense layer (ours). The Kronecker input of a convolution is S H, with the constant 1 for nodes and 0 for
    padding.

    Parameters
    ----------
    features : int
        Of a node.
    hidden : int or sequence of ints
        Widths of the hidden convolutions.
    classes : int
        Or number of answers.
    level : {"graph", "node"}
    likelihood : {"softmax", "bernoulli", "gaussian"}, optional
        Default "bernoulli", several yes/no answers, for graphs and "softmax" for nodes.
    activation : {"tanh", "relu", "gelu", "sigmoid"}

    Returns
    -------
    Model
        Of inputs ``{"adjacency": (b, p, p), "features": (b, p, features), "mask": (b, p)}``, the adjacency normalised,
        the mask 1 for nodes and 0 for padding. At node level the outputs of padding are 0: leave them out of the loss
        by its own mask. Padding counts as a position, with input 0, in averages over positions.

    Raises
    ------
    ValueError
        As in `mlp`.

    Examples
    --------
    >>> graph_convolution(features=9, hidden=(16, 16), classes=6).layers[-1]
    Layer(name='head', start=432, stop=534, shape=(17, 6), kronecker=True)
    """
    widths = [hidden] if np.ndim(hidden) == 0 else list(hidden)  # type: ignore[arg-type]
    widths = [checks.count(features, "features"), *(checks.count(width, "hidden") for width in widths)]
    classes = checks.count(classes, "classes")
    on_nodes = checks.choice(level, "level", ("graph", "node")) == "node"
    act, gain = _activation(activation)
    n_hidden = len(widths) - 1

    def forward(tape, x):
        S, h, mask = x["adjacency"], x["features"], x["mask"]
        for i in range(n_hidden):
            h = act(tape.affine(f"conv{i}", S @ h, mask)) * mask[:, None]
        if on_nodes:
            return tape.affine("head", S @ h, mask)
        return tape.affine("head", h.sum(axis=0) / jnp.maximum(mask.sum(), 1.0))[None]

    blocks = [Block.dense(f"conv{i}", n_in, n_out, gain) for i, (n_in, n_out) in enumerate(pairwise(widths))]
    blocks += [Block.dense("head", widths[-1], classes)]
    fields = {"adjacency": Field(("p", "p")), "features": Field(("p", widths[0])), "mask": Field(("p",))}
    name = f"graph convolution {'-'.join(map(str, widths))}-{classes} of each {level} {activation}"
    return Model(
        name,
        forward,
        blocks,
        output_size=classes,
        inputs=fields,
        likelihood=likelihood or ("softmax" if on_nodes else "bernoulli"),
    )


BUILDERS: dict[str, Callable[..., Model]] = {
    build.__name__: build
    for build in (mlp, conv_net, residual_conv_net, graph_convolution, transformer, vision_transformer)
}


def _activation(name: str) -> tuple[Callable, float]:
    """The function and the gain that weights before it begin with."""
    return ACTIVATIONS[checks.choice(name, "activation", ACTIVATIONS)], float(GAINS[name])


def _counts(**sizes) -> list[int]:
    return [checks.count(size, name) for name, size in sizes.items()]


def _image_shape(shape) -> tuple[int, int, int]:
    if np.shape(shape) != (3,):
        raise ValueError(f"image_shape must be (height, width, channels), got {shape!r}")
    height, width, depth = (checks.count(n, "image_shape") for n in shape)
    return height, width, depth


def _patches(x, kernel: int, stride: int):
    """(rows, columns, kernel^2 channels): what each output pixel of a convolution without padding sees."""
    high, wide = x.shape[0] - kernel + 1, x.shape[1] - kernel + 1
    shifts = [x[i : i + high : stride, j : j + wide : stride] for i in range(kernel) for j in range(kernel)]
    return jnp.concatenate(shifts, axis=-1)
