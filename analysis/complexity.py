"""Operations, memory and device numbers of each optimiser's step and each primitive, compared with digital rivals.

One operation is one multiplication, division or square root: a multiply-add counts once, half of the usual flops.
``python -m analysis.complexity`` prints the counts, with ``--measure`` claimed exponents compared with fitted ones.
"""

import argparse
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd

TNGD_SOURCE = "Donatella et al., arXiv:2405.13817, Table 1"
KFAC_SOURCE = "Donatella et al., arXiv:2502.08603; counts ours"


# -- parts


def cholesky(n: int) -> float:
    """Operations to factorise a symmetric (n, n) matrix: n (n^2 - 1)/6 products, n (n - 1)/2 divisions, n roots."""
    return n * (n * n - 1) / 6 + n * (n - 1) / 2 + n


def triangular(n: int) -> float:
    """Operations to solve one triangular system: n (n - 1)/2 products and n divisions."""
    return n * (n + 1) / 2


def cholesky_solve(n: int, columns: int = 1) -> float:
    """Operations to factorise and to solve for some right-hand sides."""
    return cholesky(n) + 2 * columns * triangular(n)


def gram(n: int, length: int) -> float:
    """Operations for the lower half of X X^T, X (n, length)."""
    return length * n * (n + 1) / 2


def conjugate_gradient(n: int, iterations: int, product: float | None = None) -> float:
    """Operations of so many iterations from x = 0; a product with A takes n^2 unless told."""
    return n + iterations * ((n * n if product is None else product) + 5 * n + 2)


@dataclass(frozen=True)
class Network:
    """A dense network without biases, each weight used once for a sample.

    Attributes
    ----------
    N : int
        Weights.
    b, dz : int
        Batch size, outputs.
    first : int
        Weights of the first layer, through which nothing is propagated back.
    """

    N: int
    b: int
    dz: int
    first: int = 0

    @classmethod
    def of_widths(cls, widths, b: int) -> "Network":
        """The network whose layers have these widths, inputs first."""
        sizes = [int(p) * int(r) for p, r in pairwise(widths)]
        return cls(sum(sizes), b, int(widths[-1]), sizes[0])

    @property
    def rows(self) -> int:
        """Rows of J: b dz."""
        return self.b * self.dz

    @property
    def forward(self) -> float:
        """Operations of a forward pass."""
        return self.b * self.N

    @property
    def backward(self) -> float:
        """Operations of a backward pass: errors through all layers but the first, a product for each weight."""
        return self.b * (2 * self.N - self.first)

    @property
    def gradient(self) -> float:
        """Operations of a gradient."""
        return self.forward + self.backward

    @property
    def jacobian(self) -> float:
        """Operations of J (b dz, N): a backward pass for every output."""
        return self.forward + self.dz * self.backward

    @property
    def ggn_product(self) -> float:
        """Operations of J^T H_L J v with the activations at hand: a pass each way with tangents, H_L between."""
        return 2 * self.backward + self.b * self.dz**2


# -- optimisers


@dataclass(frozen=True)
class Step:
    """What one step of a method takes.

    Attributes
    ----------
    method : str
    operations : float
        On the digital side.
    memory : float
        Numbers that the digital side holds besides the weights and activations.
    model_calls : float
        As counted by arXiv:2405.13817.
    programmed, inputs, outputs, runs, time : float
        Of the device: matrix entries, numbers put in and read out, runs, and RC times of all of them together.
    order, source : str
        The leading order, and who says so.
    """

    method: str
    operations: float
    memory: float
    model_calls: float
    programmed: float = 0.0
    inputs: float = 0.0
    outputs: float = 0.0
    runs: float = 0.0
    time: float = 0.0
    order: str = ""
    source: str = TNGD_SOURCE


def first_order_steps(net: Network) -> list[Step]:
    """SGD: N operations besides the gradient; Adam: 10 N (two averages, a root and a division)."""
    return [
        Step("SGD", net.gradient + net.N, net.N, 1, order="b N"),
        Step("Adam", net.gradient + 10 * net.N, 3 * net.N, 1, order="b N"),
    ]


def natural_gradient_steps(net: Network, iterations: int, time: float) -> list[Step]:
    """NGD, NGD-CG, NGD-Woodbury and TNGD: all solve (J^T H J + lambda I) x = g; J holds the root of H in its rows.

    Woodbury: ``x = (g - J^T (lambda I + J J^T)^-1 J g) / lambda``. TNGD programs ``b dz (b dz + 2 N)`` numbers.
    """
    N, m = net.N, net.rows
    product = net.ggn_product + N
    woodbury = gram(m, N) + 2 * m * N + cholesky_solve(m) + N
    return [
        Step("NGD", net.gradient + net.jacobian + gram(N, m) + cholesky_solve(N), N * (N + 1) / 2 + m * N + N, m,
             order="N^3 + b dz N^2"),
        Step("NGD-CG", net.gradient + conjugate_gradient(N, iterations, product), 5 * N, 2 * iterations,
             order="c b N"),
        Step("NGD-Woodbury", net.gradient + net.jacobian + woodbury, m * N + m * (m + 1) / 2 + N, m,
             order="b^2 dz^2 N + b^3 dz^3"),
        Step("TNGD", net.gradient + net.jacobian, m * N + m * net.dz + N, m, programmed=m * (m + 2 * N), inputs=N,
             outputs=N, runs=1, time=time, order="b dz N + t"),
    ]  # fmt: skip


def kronecker_steps(net: Network, widths, time: float) -> list[Step]:
    """K-FAC and its two ways to a device; factors and their use at every step, for layers p -> r.

    Method 1 reads inverses from the device, and the products ``G^-1 (grad W) A^-1`` stay digital. Method 2 solves with
    the columns of the gradient, p + r runs, and with what they give.
    """
    layers = [(int(p), int(r)) for p, r in pairwise(widths)]
    factors = sum(gram(p, net.b) + gram(r, net.b) for p, r in layers)
    held = sum(p * (p + 1) / 2 + r * (r + 1) / 2 for p, r in layers) + net.N
    digital = sum(cholesky_solve(p, r) + cholesky_solve(r, p) for p, r in layers)
    products = sum(p * r * (p + r) for p, r in layers)
    squares, runs = sum(p * p + r * r for p, r in layers), sum(p + r for p, r in layers)
    base = net.gradient + factors
    return [
        Step("K-FAC", base + digital, held, 1, order="b n^2 + n^3", source=KFAC_SOURCE),
        Step("T-KFAC (invert)", base + products, held + squares, 1, programmed=squares, outputs=squares,
             runs=2 * len(layers), time=2 * len(layers) * time, order="b n^2 + n^3 + device",
             source=KFAC_SOURCE),
        Step("T-KFAC (solve)", base, held, 1, programmed=squares, inputs=2 * net.N, outputs=2 * net.N, runs=runs,
             time=runs * time, order="b n^2 + n t", source=KFAC_SOURCE),
    ]  # fmt: skip


def step_counts(widths, *, b: int, c: int = 20, t: float = 50.0) -> pd.DataFrame:
    """Counts of one step of each optimiser on a dense network.

    Parameters
    ----------
    widths : sequence of int
        Inputs, hidden layers, outputs (dz).
    b : int
        Batch size.
    c : int
        Iterations of NGD-CG.
    t : float
        Time of one run of the device [RC].

    Returns
    -------
    DataFrame
        A row for each method; columns as `Step` has attributes.

    Raises
    ------
    ValueError
        A size that is not a positive integer.

    Examples
    --------
    >>> table = step_counts((64, 32, 10), b=16).set_index("method")
    >>> int(table.programmed["TNGD"])  # b dz (b dz + 2 N)
    783360
    """
    for name, values in (("widths", widths), ("b", (b,)), ("c", (c,))):
        if any(int(value) != value or value < 1 for value in values):
            raise ValueError(f"{name} must be positive integers, got {values}")
    if len(widths) < 2:
        raise ValueError(f"widths must name inputs and outputs, got {widths}")
    net = Network.of_widths(widths, b)
    steps = first_order_steps(net) + natural_gradient_steps(net, c, t) + kronecker_steps(net, widths, t)
    return pd.DataFrame([vars(step) for step in steps])


# -- primitives


@dataclass(frozen=True)
class Primitive:
    """What one digital method takes for a primitive; `exact` says whether the count is whole or its leading term."""

    primitive: str
    method: str
    operations: float
    memory: float
    order: str
    exact: bool
    source: str


GOLUB = "Golub & Van Loan, Matrix Computations"
HIGHAM = "Higham, SIAM J. Matrix Anal. Appl. 26, 1179 (2005)"


def digital_primitives(d: int, iterations: int, squarings: int = 0) -> list[Primitive]:
    """Digital ways to each primitive.

    Leading terms: a symmetric eigendecomposition takes 9 d^3 flops, a Schur decomposition 25 d^3; Bartels and
    Stewart's method adds two products each way and d^3/2 + d^3/2 operations of substitution; Pade approximation of the
    exponential 6 products, a solve with d columns and the squarings.
    """
    triangle, square = d * (d + 1) / 2, float(d * d)
    inverse = cholesky(d) + d * (d + 1) * (d + 2) / 3  # of the factor, and the product of that
    return [
        Primitive("solve", "Cholesky", cholesky_solve(d), triangle, "d^3", True, "counted"),
        Primitive("solve", "CG", conjugate_gradient(d, iterations), square + 4 * d, "d^2 sqrt(kappa)", True, "counted"),
        Primitive("inv", "Cholesky", inverse, square, "d^3", False, GOLUB),
        Primitive("logdet", "Cholesky", cholesky(d), triangle, "d^3", True, "counted, less d logarithms"),
        Primitive("lyapunov", "Bartels-Stewart", 12.5 * d**3 + 4 * d**3 + d**3, 3 * square, "d^3", False, GOLUB),
        Primitive("lyapunov", "eigh (symmetric A)", 4.5 * d**3 + 4 * d**3 + square, 3 * square, "d^3", False, GOLUB),
        Primitive("expm", "scaling and squaring", (6 + squarings + 4 / 3) * d**3, 5 * square, "d^3", False, HIGHAM),
        Primitive("expm", "eigh (symmetric A)", 4.5 * d**3 + d**3, 2 * square, "d^3", False, GOLUB),
    ]


@dataclass(frozen=True)
class DevicePrimitive:
    """Claimed order of a primitive on the device, and the numbers that go in and out for a dense A."""

    primitive: str
    order: str
    inputs: float
    outputs: float


def device_primitives(d: int) -> list[DevicePrimitive]:
    """The primitives of arXiv:2308.05660 and 2311.12759; underdamped orders have a smaller power of kappa."""
    triangle = d * (d + 1) / 2
    return [
        DevicePrimitive("solve", "d kappa^2 eps^-2", d, d),
        DevicePrimitive("inv", "d^2 kappa eps^-2", 0, triangle),
        DevicePrimitive("lyapunov", "d^2 kappa eps^-2", triangle, triangle),
        DevicePrimitive("logdet", "d kappa ln(kappa)^3 eps^-2", 0, 1),
        DevicePrimitive("expm", "d^2 eps^-2", triangle, d * d),
    ]


def primitive_counts(d: int, *, iterations: int = 50, squarings: int = 0) -> pd.DataFrame:
    """Counts of each primitive for a dense matrix of size d: the device compared with its digital rivals.

    Parameters
    ----------
    d : int
    iterations : int
        Of conjugate gradient.
    squarings : int
        Of the exponential: about log2(||A|| / 5.4).

    Returns
    -------
    DataFrame
        primitive, method, operations (0 for the device), memory [numbers], programmed, inputs, outputs (numbers
        converted for the device), order, exact, source.

    Examples
    --------
    >>> table = primitive_counts(3).set_index(["primitive", "method"])
    >>> float(table.operations["solve", "Cholesky"])  # 4 + 3 + 3 to factorise, 12 to substitute
    22.0
    """
    rows = [vars(each) for each in digital_primitives(d, iterations, squarings)]
    for each in device_primitives(d):
        for dynamics in ("overdamped", "underdamped"):
            order = each.order if dynamics == "overdamped" else "smaller power of kappa"
            rows.append({
                "primitive": each.primitive, "method": f"device, {dynamics}", "operations": 0.0, "memory": 0.0,
                "programmed": float(d * d), "inputs": each.inputs, "outputs": each.outputs, "order": order,
                "exact": True, "source": "Aifer et al., arXiv:2308.05660; Duffield et al., arXiv:2311.12759",
            })  # fmt: skip
    table = pd.DataFrame(rows)
    return table.fillna({"programmed": 0.0, "inputs": 0.0, "outputs": 0.0})


# -- command line


def main(argv: Iterable[str] | None = None) -> int:
    """Print counts, or fit exponents with --measure."""
    parser = argparse.ArgumentParser(prog="python -m analysis.complexity", description=__doc__.split("\n")[0])
    parser.add_argument("--measure", action="store_true", help="fit exponents and print them next to the claimed ones")
    parser.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    options = parser.parse_args(argv if argv is None else list(argv))
    if options.measure:
        from . import exponents  # fits import what is counted here

        table = exponents.exponents(exponents.Sizes(), np.random.SeedSequence(options.seed))
        print(exponents.judged(table).to_string(float_format="%.2f"))
        return 0
    print(step_counts((64, 32, 10), b=16).drop(columns="source").to_string(float_format="%.4g"))
    print(primitive_counts(1000).drop(columns="source").to_string(float_format="%.4g"))
    from . import device_times  # plans times of what is counted here

    print("\nTimes planned for d = 64, kappa = 100, error 0.01 [RC]")
    print(device_times.primitive_times(64, 100.0, 0.01).to_string(float_format="%.4g"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
