"""A model of the step of K-FAC on large workloads: layer shapes, assumed hardware, operation counts. No measurement."""

from dataclasses import dataclass

from thermolinalg import Device

DEVICE = Device.tngd()  # arXiv:2405.13817, App. C
WORD, LINK, UNIT = DEVICE.matrix_bits, DEVICE.bandwidth, DEVICE.time_unit  # bits, bit/s, s


@dataclass(frozen=True)
class Layer:
    """A dense layer with p inputs (the constant of the bias included) and r outputs."""

    p: int
    r: int
    copies: int = 1


@dataclass(frozen=True, kw_only=True)
class Workload:
    """Layers, and how many positions each of them meets in a batch (samples times tokens or nodes).

    Attributes
    ----------
    layers : tuple of Layer
    positions : int
    source : str
        Where the numbers are from.
    """

    layers: tuple[Layer, ...]
    positions: int
    source: str

    @property
    def n_factors(self) -> int:
        """Two for each layer."""
        return 2 * sum(layer.copies for layer in self.layers)

    @property
    def n_parameters(self) -> int:
        """Of these layers."""
        return sum(layer.copies * layer.p * layer.r for layer in self.layers)


def vision_transformer(width: int, depth: int, hidden: int, patch: int, side: int, classes: int, batch: int, source):
    """Dense layers of a vision transformer whose three projections are one layer; the head counts all tokens."""
    tokens = (side // patch) ** 2 + 1
    block = (Layer(width + 1, 3 * width, depth), Layer(width + 1, width, depth), Layer(width + 1, hidden, depth),
             Layer(hidden + 1, width, depth))  # fmt: skip
    layers = (Layer(3 * patch**2 + 1, width), *block, Layer(width + 1, classes))
    return Workload(layers=layers, positions=batch * tokens, source=source)


def graph_network(width: int, depth: int, batch: int, nodes: int, tasks: int, source) -> Workload:
    """Two dense layers a message-passing step, and a read-out."""
    layers = (Layer(width + 1, width, 2 * depth), Layer(width + 1, tasks))
    return Workload(layers=layers, positions=batch * nodes, source=source)


_VIT = "ViT-S/16: width 384, depth 12, MLP 1536, 1000 classes, images of 224; batch 1024 is ours"
_GRAPH = "5 steps of two dense layers, 128 tasks, 26 nodes a molecule (ogbg-molpcba); batch 512 and the layout are ours"
WORKLOADS = {
    "ViT-S/16": vision_transformer(384, 12, 1536, patch=16, side=224, classes=1000, batch=1024, source=_VIT),
    "GNN, width 256": graph_network(256, 5, batch=512, nodes=26, tasks=128, source=_GRAPH),
    "GNN, width 512": graph_network(512, 5, batch=512, nodes=26, tasks=128, source=_GRAPH),
}


@dataclass(frozen=True, kw_only=True)
class Hardware:
    """What is assumed of the digital side: ours, the order of magnitude of one data-centre accelerator.

    Attributes
    ----------
    products, factorisations : float
        Rates of matrix products and of Cholesky factorisations and eigendecompositions [flop/s].
    eigh_flops : float
        Operations of an eigendecomposition over n^3; a Cholesky inverse has one.
    steps_low, steps_high : float
        Steps of K-FAC over those of a first-order method to the same target (arXiv:2311.00636, abstract).
    """

    products: float = 1e14
    factorisations: float = 1e12
    eigh_flops: float = 9.0
    steps_low: float = 0.5
    steps_high: float = 0.75


def link_seconds(numbers: float) -> float:
    """To move so many words to or from the device."""
    return DEVICE.load_seconds(1, 0) * numbers


def digital_parts(workload: Workload, hardware: Hardware, interval: int, eigh: bool = False) -> dict[str, float]:
    """Seconds of the digital parts of a step of K-FAC, the inversion amortised over `interval` steps."""
    gradient = factors = inversion = products = 0.0
    for layer in workload.layers:
        p, r, m = layer.p, layer.r, workload.positions
        gradient += layer.copies * 6.0 * m * p * r
        factors += layer.copies * m * (p**2 + r**2)  # symmetric: half the products
        inversion += layer.copies * (p**3 + r**3) * (hardware.eigh_flops if eigh else 1.0)
        products += layer.copies * 2.0 * p * r * (p + r) * (2.0 if eigh else 1.0)
    return {
        "gradient": gradient / hardware.products,
        "factors": factors / hardware.products,
        "inversion": inversion / hardware.factorisations / interval,
        "products": products / hardware.products,
    }


def device_parts(workload: Workload, method: str, column: float, inverse: float, interval: int, parallel: bool):
    """Seconds of the device's parts of a step.

    Parameters
    ----------
    workload : Workload
    method : "solve" or "invert"
    column : float
        Seconds of one run of "solve".
    inverse : float
        Seconds of an inversion for each unit of n.
    interval : int
        Steps between two programmings of the factors.
    parallel : bool
        A device for each factor; those of a layer still work one after the other for "solve".

    Returns
    -------
    dict
        "device" (settling and averaging) and "load" (programming, gradients in, solutions or inverses out).
    """
    busy, moved = [], 0.0
    for layer in workload.layers:
        p, r = layer.p, layer.r
        programmed = (p**2 + r**2) / interval
        if method == "solve":
            busy += [(p + r) * column] * layer.copies
            moved += layer.copies * (programmed + 4.0 * p * r)
        else:
            busy += [n * inverse / interval for n in (p, r)] * layer.copies
            moved += layer.copies * 2.0 * programmed
    return {"device": max(busy) if parallel else sum(busy), "load": link_seconds(moved)}
