"""A digital machine as a few numbers, fitted to what is measured here or assumed, for sizes one would rather not time.

A call on size d takes ``c0 + c2 d^2 + c3 d^3 + e max(0, d^2 - D^2)`` with coefficients that are not negative: overhead,
memory traffic, arithmetic, and what traffic costs more beyond a cache that a matrix of size D fills. They are fitted
by least squares of relative errors, D among the sizes measured; `Fit.residual` is the root mean square of those.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import islice

import numpy as np
import pandas as pd
from scipy.optimize import nnls

from . import timing

POWERS = (0, 2, 3)
LARGEST_PRODUCT = 1000  # of a matrix product that is timed
ITERATIONS = 8  # of conjugate gradient that are timed
CALLS = ("Cholesky", "Cholesky, single", "product", "product, single", "substitution", "matrix product, single")


@dataclass(frozen=True)
class Fit:
    """Seconds of a call as a polynomial in its size.

    Attributes
    ----------
    coefficients : tuple of float
        Of the powers 0, 2 and 3.
    residual : float
        Root mean square of the relative residuals; nan for a model that is assumed.
    beyond, cache : float
        e and D.
    """

    coefficients: tuple[float, float, float]
    residual: float = float("nan")
    beyond: float = 0.0
    cache: float = float("inf")

    def seconds(self, d) -> np.ndarray:
        """Seconds at size d."""
        d = np.asarray(d, dtype=float)
        cached = sum(c * d**p for c, p in zip(self.coefficients, POWERS, strict=True))
        return cached + (self.beyond * np.maximum(0.0, d**2 - self.cache**2) if self.beyond else 0.0)

    @property
    def per_entry(self) -> float:
        """Seconds of an entry of a matrix too large for any cache."""
        return self.coefficients[1] + self.beyond


def fit(sizes, seconds, powers=POWERS, *, cache: bool = False) -> Fit:
    """The model with coefficients >= 0 that fits best: relative errors squared.

    Parameters
    ----------
    sizes, seconds : (n,) array_like
    powers : tuple of int
        Those of 0, 2 and 3 that may enter.
    cache : bool
        Whether traffic may cost more from one of the sizes on.

    Returns
    -------
    Fit

    Raises
    ------
    ValueError
        Fewer measurements than coefficients.

    Examples
    --------
    >>> d = np.array([100, 200, 400, 800])
    >>> found = fit(d, 1e-5 + 2e-11 * d**3.0)
    >>> [round(c * 1e11, 3) for c in found.coefficients], found.residual < 1e-6
    ([1000000.0, 0.0, 2.0], True)
    """
    sizes, seconds = np.asarray(sizes, dtype=float), np.asarray(seconds, dtype=float)
    if sizes.size < len(powers) + cache:
        raise ValueError(f"{len(powers) + cache} coefficients need as many sizes, got {sizes.size}")
    found = [_fitted(sizes, seconds, powers, np.inf)]
    found += [_fitted(sizes, seconds, powers, size) for size in np.unique(sizes)[1:-1] if cache]
    return min(found, key=lambda each: each.residual)


def _fitted(sizes, seconds, powers, cache: float) -> Fit:
    """The fit with a given D."""
    columns = [sizes**p for p in powers]
    if np.isfinite(cache):
        columns.append(np.maximum(0.0, sizes**2 - cache**2))
    weighted = np.array(columns).T / seconds[:, None]
    scale = np.linalg.norm(weighted, axis=0)
    values = nnls(weighted / scale, np.ones(sizes.size))[0] / scale
    by_power = dict(zip(powers, values, strict=False))
    constant, square, cube = (float(by_power.get(p, 0.0)) for p in POWERS)
    coefficients = (constant, square, cube)
    beyond = float(values[-1]) if np.isfinite(cache) else 0.0
    model = Fit(coefficients, beyond=beyond, cache=cache)
    residual = float(np.sqrt(np.mean((model.seconds(sizes) / seconds - 1.0) ** 2)))
    return Fit(coefficients, residual, beyond, cache)


@dataclass(frozen=True)
class Machine:
    """A digital machine.

    Attributes
    ----------
    name : str
    fits : dict
        `Fit` for each of `CALLS`: a solution by Cholesky, an iteration of conjugate gradient (a product), substitution
        in a factor at hand; "single" in 32 bits. "matrix product" is one of (d, d) matrices.
    measured : DataFrame or None
        What was fitted: call, d, seconds.
    """

    name: str
    fits: dict[str, Fit]
    measured: pd.DataFrame | None = field(default=None, repr=False, compare=False)

    def seconds(self, call: str, d) -> float:
        """Seconds of a call at size d."""
        return float(self.fits[call].seconds(d))

    @property
    def per_operation(self) -> float:
        """Seconds of a multiply-add in large matrix products, in 32 bits."""
        return self.fits["matrix product, single"].coefficients[2]

    @property
    def per_streamed(self) -> float:
        """Seconds of a multiply-add of a large matrix with a vector, in 32 bits: that of moving a number."""
        return self.fits["product, single"].per_entry

    @property
    def overhead(self) -> float:
        """Seconds of a call, however small."""
        return self.fits["product, single"].coefficients[0]

    def summary(self) -> pd.DataFrame:
        """A row for each call: coefficients and residual."""
        return pd.DataFrame([
            {"machine": self.name, "call": call, "overhead": f.coefficients[0], "per_d2": f.coefficients[1],
             "per_d3": f.coefficients[2], "beyond": f.beyond, "cache": f.cache, "residual": f.residual}
            for call, f in self.fits.items()
        ])  # fmt: skip


def _calls(d: int, rng) -> dict[str, tuple[Callable, int]]:
    """Each call on size d, and how many of what is asked for it holds."""
    A = rng.standard_normal((d, d))
    A = (A + A.T) / 2.0 + 3.0 * np.sqrt(d) * np.eye(d)
    b = rng.standard_normal(d)
    single, c = A.astype(np.float32), b.astype(np.float32)
    factor = timing.cholesky_factor(A)
    calls: dict[str, tuple[Callable, int]] = {
        "Cholesky": (lambda: timing.cholesky_solve(A, b), 1),
        "Cholesky, single": (lambda: timing.cholesky_solve(single, c), 1),
        "substitution": (lambda: timing.substitute(factor, b), 1),
    }
    return calls | ({"matrix product, single": (lambda: single @ single, 1)} if d <= LARGEST_PRODUCT else {})


def _products(d: int) -> dict[str, tuple[Callable, int]]:
    """Iterations of conjugate gradient on size d; a matrix that is quick to make."""
    A = np.full((d, d), 1e-3)
    A[np.diag_indices(d)] += np.linspace(1.0, 2.0, d)
    found = {}
    for call, kind in (("product", np.float64), ("product, single", np.float32)):
        matrix, b = A.astype(kind), np.linspace(1.0, 2.0, d, dtype=kind)
        found[call] = (lambda m=matrix, v=b: list(islice(timing.conjugate_gradient(m, v), ITERATIONS)), ITERATIONS)
    return found


def measured_machine(sizes, repeats: int, rng: np.random.Generator, name: str = "this machine", streamed=()) -> Machine:
    """The machine that this runs on: each call measured on some sizes, with the quicker choice of BLAS threads.

    Parameters
    ----------
    sizes : sequence of int
        At least 3 up to 1000, beyond which matrix products are not timed.
    repeats : int
        Of each measurement; the least counts: see `timing.least_seconds`.
    rng : Generator
    name : str
    streamed : sequence of int
        Further sizes of products with vectors, beyond the caches.

    Returns
    -------
    Machine
    """
    rows = []
    for d in (*sizes, *streamed):
        calls = _products(int(d)) | (_calls(int(d), rng) if d in sizes else {})
        for call, (run, n) in calls.items():
            rows.append({"call": call, "d": int(d), "seconds": timing.least_seconds(run, repeats) / n})
    table, fits = pd.DataFrame(rows), {}
    for call in CALLS:
        part, streams = table[table.call == call], call.startswith("product")
        powers = (0, 2) if streams or call == "substitution" else POWERS
        fits[call] = fit(part.d, part.seconds, powers, cache=streams and len(part) > len(powers))
    return Machine(name, fits, table)


def assumed_machine(name: str, *, products: float, factorisations: float, memory: float, overhead: float) -> Machine:
    """A machine from a data sheet.

    Parameters
    ----------
    name : str
    products, factorisations : float
        Rates of matrix products in 32 bits and of Cholesky factorisations in 64 [flop/s].
    memory : float
        Rate at which a matrix is read [byte/s].
    overhead : float
        Of a call [s].

    Returns
    -------
    Machine
        Factorisations and products with vectors are twice as fast in 32 bits.

    Examples
    --------
    >>> gpu = assumed_machine("GPU", products=1e13, factorisations=1e12, memory=1e12, overhead=1e-5)
    >>> round(gpu.seconds("product", 1000) * 1e6)  # 10 us and 8 MB
    18
    """
    double, number = 8.0 / memory, 1.0 / (3.0 * factorisations)
    return Machine(name, {
        "Cholesky": Fit((2 * overhead, 2 * double, number)),
        "Cholesky, single": Fit((2 * overhead, double, number / 2)),
        "product": Fit((overhead, double, 0.0)),
        "product, single": Fit((overhead, double / 2, 0.0)),
        "substitution": Fit((2 * overhead, double, 0.0)),
        "matrix product, single": Fit((overhead, 0.0, 2.0 / products)),
    })  # fmt: skip
