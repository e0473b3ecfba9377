"""Operation counts against numbers that count their own multiplications, in naive code that knows no formula."""

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest

from analysis import complexity


class Counted:
    """An exact number that counts products and divisions of all of its kind."""

    operations = 0

    def __init__(self, value):
        self.value = Fraction(value)

    def __add__(self, other):
        return Counted(self.value + other.value)

    def __sub__(self, other):
        return Counted(self.value - other.value)

    def __mul__(self, other):
        Counted.operations += 1
        return Counted(self.value * other.value)

    def __truediv__(self, other):
        Counted.operations += 1
        return Counted(self.value / other.value)


def count(call) -> int:
    """Operations that a call takes."""
    Counted.operations = 0
    call()
    return Counted.operations


def array(rng, *shape):
    """Random counted numbers."""
    return np.vectorize(Counted, otypes=[object])(rng.integers(1, 9, shape))


def dot(x, y):
    """Sum of products."""
    total = Counted(0)
    for a, b in zip(x, y, strict=True):
        total = total + a * b
    return total


def product(A, B):
    """A B, entry by entry."""
    return np.array([[dot(row, column) for column in B.T] for row in A], dtype=object)


def factorise(A):
    """L of a symmetric matrix, column by column; a root counts as one operation and returns its argument."""
    n, L = len(A), np.full(A.shape, Counted(0), dtype=object)
    for j in range(n):
        for i in range(j, n):
            rest = A[i, j]
            for k in range(j):
                rest = rest - L[i, k] * L[j, k]
            if i == j:
                Counted.operations += 1
                L[i, j] = rest if rest.value else Counted(1)
            else:
                L[i, j] = rest / L[j, j]


def substitute(n, columns=1):
    """Forward substitution with a lower triangle of ones."""
    one = Counted(1)
    for _ in range(columns):
        x = []
        for i in range(n):
            rest = one
            for j in range(i):
                rest = rest - one * x[j]
            x.append(rest / one)


@pytest.mark.parametrize("n", [1, 2, 5, 9])
def test_operations_of_cholesky_are_those_of_plain_loops(n):
    rng = np.random.default_rng(n)
    A = array(rng, n, n)
    assert complexity.cholesky(n) == count(lambda: factorise(A + A.T))
    assert complexity.triangular(n) == count(lambda: substitute(n))
    assert complexity.cholesky_solve(n, 3) == complexity.cholesky(n) + count(lambda: substitute(n, 6))


def test_cholesky_is_a_third_of_a_cube_of_flops():
    """Textbooks count n^3/3 flops, two for a multiply-add."""
    assert 2 * complexity.cholesky(3000) == pytest.approx(3000**3 / 3, rel=2e-3)


def test_operations_of_a_gram_matrix_are_those_of_plain_loops():
    X = array(np.random.default_rng(0), 4, 7)
    assert complexity.gram(4, 7) == count(lambda: [dot(X[i], X[j]) for i in range(4) for j in range(i + 1)])


def test_operations_of_conjugate_gradients_are_those_of_plain_loops():
    A, b = array(np.random.default_rng(0), 5, 5), array(np.random.default_rng(1), 5)

    def run(iterations):
        x, r, p = b, b, b
        square = dot(r, r)
        for _ in range(iterations):
            Ap = product(A, p[:, None])[:, 0]
            step = square / (dot(p, Ap) + Counted(1))
            x = x + p * step
            r = r - Ap * step
            before, square = square, dot(r, r)
            p = r + p * (square / (before + Counted(1)))

    assert complexity.conjugate_gradient(5, 3) == count(lambda: run(3))


class Net:
    """A linear network with counted weights, one sample at a time."""

    def __init__(self, widths, rng):
        self.weights = [array(rng, r, p) for p, r in pairwise(widths)]
        self.widths = widths

    def forward(self, x):
        """Activations of all layers."""
        found = [x]
        for W in self.weights:
            found.append(product(W, found[-1][:, None])[:, 0])
        return found

    def backward(self, activations, error):
        """A gradient for each layer."""
        for layer in reversed(range(len(self.weights))):
            np.multiply.outer(error, activations[layer])
            if layer:
                error = product(self.weights[layer].T, error[:, None])[:, 0]


@pytest.mark.parametrize("widths", [(3, 4, 2), (2, 3)])
def test_operations_of_a_network_are_those_of_plain_loops(widths):
    rng = np.random.default_rng(0)
    net, b = Net(widths, rng), 3
    samples = [array(rng, widths[0]) for _ in range(b)]
    model = complexity.Network.of_widths(widths, b)
    assert sum(W.size for W in net.weights) == model.N
    assert model.rows == b * widths[-1]
    assert model.forward == count(lambda: [net.forward(x) for x in samples])
    kept = [net.forward(x) for x in samples]
    error = array(rng, widths[-1])
    assert model.backward == count(lambda: [net.backward(a, error) for a in kept])
    each_output = count(lambda: [net.backward(a, error) for a in kept for _ in range(widths[-1])])
    assert model.jacobian == model.forward + each_output


def test_woodbury_is_counted_from_its_parts():
    """Everything after J and the gradient, in naive code: J J^T + lambda, J g, two triangles, J^T u, over lambda."""
    widths, b = (2, 3, 2), 2
    net = complexity.Network.of_widths(widths, b)
    table = complexity.step_counts(widths, b=b).set_index("method")
    rng = np.random.default_rng(0)
    m, N = net.rows, net.N
    J, g = array(rng, m, N), array(rng, N)

    def solve():
        K = np.array([[dot(J[i], J[j]) if j <= i else Counted(0) for j in range(m)] for i in range(m)], dtype=object)
        product(J, g[:, None])
        factorise(K)
        substitute(m, 2)
        product(J.T, g[:m, None])
        [value / Counted(2) for value in g]

    assert table.operations["NGD-Woodbury"] == net.gradient + net.jacobian + count(solve)


def test_device_numbers_of_the_papers():
    """b dz (b dz + 2 N) resistors: 1.32e7 for b = 32, 20 outputs and 10^4 parameters, 4.2 ms at 50 Gb/s."""
    step = complexity.natural_gradient_steps(complexity.Network(10_000, 32, 20), 20, 50.0)[-1]
    assert step.programmed == 640 * (640 + 20_000)
    assert step.programmed * 16 / 50e9 == pytest.approx(4.2e-3, rel=0.01)
    assert (step.inputs, step.outputs, step.time) == (10_000, 10_000, 50.0)
    kfac = complexity.step_counts((64, 32, 10), b=4).set_index("method")
    assert kfac.programmed["T-KFAC (solve)"] == 64**2 + 32**2 + 32**2 + 10**2
    assert kfac.outputs["T-KFAC (solve)"] == 2 * (64 * 32 + 32 * 10)
    assert kfac.runs["T-KFAC (solve)"] == 64 + 32 + 32 + 10
    assert kfac.outputs["T-KFAC (invert)"] == kfac.programmed["T-KFAC (invert)"]


@pytest.mark.parametrize(
    ("method", "of_N", "of_rows"),
    [("Adam", 1, None), ("NGD", 3, 0), ("NGD-CG", 1, None), ("NGD-Woodbury", 1, 2), ("TNGD", 1, None)],
)
def test_orders_are_those_of_table_1(method, of_N, of_rows):
    """Doubling N or b dz in the regime where the term that is quoted rules."""

    def operations(N, b, dz=10):
        net = complexity.Network(N, b, dz)
        steps = complexity.first_order_steps(net) + complexity.natural_gradient_steps(net, 20, 1.0)
        return next(s.operations for s in steps if s.method == method)

    assert np.log2(operations(2 * 10**9, 16) / operations(10**9, 16)) == pytest.approx(of_N, abs=0.02)
    if of_rows is not None:
        ratio = operations(10**8, 20_000) / operations(10**8, 10_000)
        assert np.log2(ratio) == pytest.approx(of_rows, abs=0.1)


def test_every_primitive_has_counts_for_device_and_rival():
    table = complexity.primitive_counts(50, iterations=7).set_index(["primitive", "method"])
    assert table.operations["solve", "Cholesky"] == complexity.cholesky_solve(50)
    assert table.operations["solve", "CG"] == complexity.conjugate_gradient(50, 7)
    assert table.outputs["inv", "device, overdamped"] == 50 * 51 / 2
    for name in ("solve", "inv", "lyapunov", "logdet", "expm"):
        assert {"device, overdamped", "device, underdamped"} < set(table.loc[name].index)


@pytest.mark.parametrize("bad", [{"widths": (3,)}, {"widths": (3, 0)}, {"b": 0}, {"c": 1.5}])
def test_bad_input_is_refused(bad):
    with pytest.raises(ValueError, match=next(iter(bad))):
        complexity.step_counts(**({"widths": (3, 2), "b": 1} | bad))


def test_command_prints_the_table(capsys):
    assert complexity.main([]) == 0
    printed = capsys.readouterr().out
    assert "T-KFAC (solve)" in printed
    assert "Bartels-Stewart" in printed
