"""Transformers for text and for images, and their adaptation by low-rank factors; each function returns a `Model`."""

import jax
import jax.numpy as jnp
import numpy as np

from thermolinalg import checks

from .differentiation import Model
from .layers import Block, Field

MLP_RATIO = 4  # hidden width of the dense part of a block over the width of the network
SMALL = 0.02  # standard deviation of embeddings and positions
PROJECTIONS = ("q", "k", "v", "o")  # what `lora` adapts


def transformer(vocabulary: int, width: int, heads: int, depth: int, context: int) -> Model:
    """A causal language model: what is the next character, at each place of a text.

    Blocks are h + attention(norm(h)), then h + dense(gelu(dense(norm(h)))), then a last norm and a dense layer to the
    vocabulary, not tied to the embedding. Projections of the attention have no bias (that of k would change nothing);
    norms have a gain only; positions are learned.

    Parameters
    ----------
    vocabulary : int
    width, heads : int
        Width divisible by heads.
    depth : int
        Number of blocks.
    context : int
        Longest text.

    Returns
    -------
    Model
        Of inputs (b, p), ints below `vocabulary`, p at most `context`; p predictions a sample.

    Raises
    ------
    ValueError
        For a number below 1, or a width that the heads do not divide.

    Examples
    --------
    >>> model = transformer(vocabulary=5, width=4, heads=2, depth=1, context=6)
    >>> model.outputs(model.init(0), [[0, 1, 2]]).shape
    (1, 3, 5)
    """
    vocabulary, context = checks.count(vocabulary, "vocabulary"), checks.count(context, "context")
    width, heads, depth = _sizes(width, heads, depth)

    def forward(tape, x):
        if len(x) > context:
            raise ValueError(f"inputs must have at most {context} positions, the context, got {len(x)}")
        h = tape["embedding"][x] + tape["positions"][: len(x)]
        for i in range(depth):
            h = _block(tape, f"block{i}", h, heads, causal=True)
        return tape.affine("head", _norm(h, tape["norm"]))

    blocks = [
        Block("embedding", (vocabulary, width), std=SMALL),
        Block("positions", (context, width), std=SMALL),
        *_block_parameters(width, depth),
        Block("norm", (width,), mean=1.0),
        Block.dense("head", width, vocabulary),
    ]
    name = f"transformer, width {width}, {heads} heads, {depth} blocks, context {context}"
    return Model(name, forward, blocks, output_size=vocabulary, inputs=Field(("p",), vocabulary=vocabulary))


def vision_transformer(
    image_shape: tuple[int, int, int], patch: int, width: int, heads: int, depth: int, classes: int
) -> Model:
    """A transformer whose tokens are the square patches of an image; the mean over them is classified.

    The blocks are those of `transformer`, without the causal mask. Mean instead of a class token is our choice.

    Parameters
    ----------
    image_shape : (height, width, channels)
    patch : int
        Side, which divides height and width.
    width, heads, depth : int
        As in `transformer`.
    classes : int

    Returns
    -------
    Model
        Of inputs (b, height, width, channels).

    Raises
    ------
    ValueError
        For patches that do not fit, and as in `transformer`.

    Examples
    --------
    >>> model = vision_transformer((4, 4, 1), patch=2, width=4, heads=2, depth=1, classes=3)
    >>> model.outputs(model.init(0), np.zeros((2, 4, 4, 1))).shape
    (2, 1, 3)
    """
    if np.shape(image_shape) != (3,):
        raise ValueError(f"image_shape must be (height, width, channels), got {image_shape!r}")
    high, wide, channels = (checks.count(n, "image_shape") for n in image_shape)
    patch, classes = checks.count(patch, "patch"), checks.count(classes, "classes")
    if high % patch or wide % patch:
        raise ValueError(f"patch must divide {high} and {wide}, height and width of the image, got {patch}")
    width, heads, depth = _sizes(width, heads, depth)
    tokens = (high // patch) * (wide // patch)

    def forward(tape, x):
        tiles = x.reshape(high // patch, patch, wide // patch, patch, channels).transpose(0, 2, 1, 3, 4)
        h = tape.affine("patch", tiles.reshape(tokens, -1)) + tape["positions"]
        for i in range(depth):
            h = _block(tape, f"block{i}", h, heads, causal=False)
        return tape.affine("head", _norm(h, tape["norm"]).mean(axis=0))[None]

    blocks = [
        Block.dense("patch", patch**2 * channels, width),
        Block("positions", (tokens, width), std=SMALL),
        *_block_parameters(width, depth),
        Block("norm", (width,), mean=1.0),
        Block.dense("head", width, classes),
    ]
    name = f"vision transformer, patch {patch}, width {width}, {heads} heads, {depth} blocks"
    return Model(name, forward, blocks, output_size=classes, inputs=Field((high, wide, channels)))


def lora(model: Model, theta, rank: int = 2, scale: float = 32.0) -> Model:
    """The model with its parameters frozen at theta and low-rank factors on the attention, which alone are trained.

    Each projection x W of q, k, v and the output becomes ``x W + (scale / rank) x D U`` with D (width, rank) normal of
    variance 1 / width and U (rank, width) zero to begin with, as Hu et al., LoRA (arXiv:2106.09685, section 4.1). D and
    U are Kronecker layers without bias, ``<projection>.down`` and ``<projection>.up``; the factor belongs to the input
    of U.
    Defaults: the SQuAD runs of TNGD (Donatella et al., arXiv:2405.13817); their dropout of 0.1 is left out.

    Parameters
    ----------
    model : Model
        From `transformer` or `vision_transformer`.
    theta : (N,) array_like
        Its parameters; copied.
    rank : int
        r, at most the width.
    scale : float
        alpha.

    Returns
    -------
    Model

    Raises
    ------
    ValueError
        For a model without projections of an attention, and for a rank above the width.

    Examples
    --------
    >>> base = transformer(vocabulary=5, width=4, heads=2, depth=1, context=6)
    >>> adapted = lora(base, base.init(0))
    >>> adapted.size, adapted.layers[0].name
    (64, 'block0.q.down')
    """
    rank, factor = checks.count(rank, "rank"), checks.positive(scale, "scale") / rank
    frozen = {name: array.copy() for name, array in model.arrays(theta).items()}
    adapted = [block for block in model.blocks if block.name.rpartition(".")[2] in PROJECTIONS]
    if not adapted:
        raise ValueError(f"{model.name} has no projections named {', '.join(PROJECTIONS)}; give a transformer")
    if rank > min(min(block.shape) for block in adapted):
        raise ValueError(f"rank must be at most the width, {min(adapted[0].shape)}, got {rank}")

    def forward(tape, x):
        return model.forward(_LowRank(tape, {block.name for block in adapted}, factor), x)

    blocks = []
    for block in adapted:
        n_in, n_out = block.shape
        blocks.append(Block.dense(f"{block.name}.down", n_in, rank, bias=False))
        blocks.append(Block(f"{block.name}.up", (rank, n_out), kronecker=True))
    return Model(
        f"{model.name}, low-rank factors of rank {rank}",
        forward,
        blocks,
        output_size=model.output_size,
        inputs=model.inputs,
        likelihood=model.likelihood,
        constants=model.constants | frozen,
    )


class _LowRank:
    """A tape whose adapted layers have their low-rank factors added."""

    def __init__(self, tape, adapted: set[str], factor: float):
        self.tape, self.adapted, self.factor = tape, adapted, factor

    def __getitem__(self, name: str):
        return self.tape[name]

    def affine(self, name: str, a, constant=None):
        z = self.tape.affine(name, a, constant)
        if name not in self.adapted:
            return z
        return z + self.tape.affine(f"{name}.up", self.factor * self.tape.affine(f"{name}.down", a))


def _sizes(width, heads, depth) -> tuple[int, int, int]:
    width, heads, depth = (
        checks.count(width, "width"),
        checks.count(heads, "heads"),
        checks.count(depth, "depth"),
    )
    if width % heads:
        raise ValueError(f"width must be divisible by heads, got {width} and {heads}")
    return width, heads, depth


def _block_parameters(width: int, depth: int) -> list[Block]:
    """Of all blocks; what is added to the stream begins smaller, the more blocks add to it."""
    blocks, gain = [], 1.0 / np.sqrt(2.0 * depth)
    for i in range(depth):
        blocks += [Block(f"block{i}.norm0", (width,), mean=1.0)]
        blocks += [Block.dense(f"block{i}.{name}", width, width, bias=False) for name in "qkv"]
        blocks += [
            Block.dense(f"block{i}.o", width, width, gain, bias=False),
            Block(f"block{i}.norm1", (width,), mean=1.0),
            Block.dense(f"block{i}.dense0", width, MLP_RATIO * width),
            Block.dense(f"block{i}.dense1", MLP_RATIO * width, width, gain),
        ]
    return blocks


def _block(tape, name: str, h, heads: int, causal: bool):
    """Attention and dense part of one block, for h (p, width)."""
    x = _norm(h, tape[f"{name}.norm0"])
    q, k, v = (tape.affine(f"{name}.{part}", x).reshape(len(h), heads, -1) for part in "qkv")
    scores = jnp.einsum("phd,qhd->hpq", q, k) / np.sqrt(q.shape[-1])
    if causal:
        scores = jnp.where(jnp.tril(jnp.ones((len(h), len(h)), dtype=bool)), scores, -jnp.inf)
    mixed = jnp.einsum("hpq,qhd->phd", jax.nn.softmax(scores, axis=-1), v)
    h = h + tape.affine(f"{name}.o", mixed.reshape(h.shape))
    x = jax.nn.gelu(tape.affine(f"{name}.dense0", _norm(h, tape[f"{name}.norm1"])), approximate=False)
    return h + tape.affine(f"{name}.dense1", x)


def _norm(h, gain):
    """Mean 0 and variance 1 along the last axis, times the gain."""
    centred = h - h.mean(axis=-1, keepdims=True)
    return gain * centred / jnp.sqrt((centred**2).mean(axis=-1, keepdims=True) + 1e-5)
