"""Where a device solves A x = b sooner than a digital machine: seconds of every contender over d, kappa and eps.

Matrices: dense, eigenvalues evenly spaced in the logarithm, random axes, scaled so that the largest entry is the
reference conductance. b is white with entries of rms 1 in the unit in which beta is given; eps is the error of x
relative to its norm. Device times are planned from exact laws, digital times come from a `Machine`, iterations of
conjugate gradient are counted on real matrices.
"""

from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import pandas as pd

import thermolinalg as tl
from thermolinalg.measurement.refinement import CONTRACTIONS

from . import device_times, preconditioners
from .device_seconds import complete_parts, dense_solve
from .digital_model import Machine

MODES = 128  # of the spectrum that stands for every size: relative errors do not know d
PEAK = 4.0  # largest over rms of the entries of b and of x
SINGLE = 1e-6  # relative error of 32-bit arithmetic over kappa, with room
SLOW = 0.9  # a contraction that refinement gives up on
LOADING = ("counted", "free", "held")  # the matrix: programmed now; programmed, not counted; held by both sides
DEVICE, DIGITAL = ("device", "device, refined"), ("Cholesky", "CG", "at hand")


@dataclass(frozen=True, eq=False)
class Family:
    """What is known of the matrices of one condition number.

    Attributes
    ----------
    kappa : float
    sizes : tuple of int
        Sizes of the matrices looked at, ascending; larger ones are taken to be like the last.
    peaks : tuple of float
        Largest entry over the largest eigenvalue, for each size.
    iterations : DataFrame
        d, error, preconditioner, iterations, setup and each (operations): of the best preconditioner.
    """

    kappa: float
    sizes: tuple[int, ...]
    peaks: tuple[float, ...]
    iterations: pd.DataFrame = field(repr=False)

    def like(self, d: int) -> int:
        """The size looked at that stands for size d."""
        return max((n for n in self.sizes if n <= d), default=self.sizes[0])

    def rates(self, d: int) -> np.ndarray:
        """Eigenvalues in units of the reference conductance: `MODES` of them."""
        peak = self.peaks[self.sizes.index(self.like(d))]
        return device_times.log_spectrum(MODES, self.kappa) / peak


def family(kappa: float, sizes, errors, rng: np.random.Generator) -> Family:
    """Matrices of some sizes with a condition number: their largest entries, and conjugate gradient on them."""
    peaks, tables = [], []
    for d in sorted(int(n) for n in sizes):
        A = tl.problems.with_condition(d, kappa, rng=rng)
        peaks.append(float(np.abs(A).max()))
        table = preconditioners.counted(A, rng.standard_normal(d), errors)
        tables.append(table[table.best].assign(d=d))
    return Family(float(kappa), tuple(sorted(int(n) for n in sizes)), tuple(peaks), pd.concat(tables))


def rounding_floor(d: int, rates, bits: int) -> float:
    """Relative error that rounding of A, b and x to so many bits leaves: mean squares added.

    Entries of A off by at most h/2, h = 2 / (2^bits - 1), leave ``h sqrt(tr(A^-2) / 12)``; those of b and x, of peak
    `PEAK` times their rms, each PEAK h / sqrt(12).

    Examples
    --------
    >>> rounding_floor(300, [0.1], 16) > 3 * rounding_floor(30, [0.1], 16)
    True
    """
    lsb = 2.0 / (2.0**bits - 1.0)
    matrix = d * float(np.mean(np.asarray(rates) ** -2.0))
    return lsb * float(np.sqrt((matrix + 2.0 * PEAK**2) / 12.0))


def device_seconds(d: int, eps: float, family: Family, device: tl.Device, *, loaded: bool) -> float:
    """Seconds of one run to eps: `thermolinalg.solve` with ``rtol``; nan below the rounding floor."""
    plan = _single_run(d, eps, family, device)
    if plan is None:
        return np.nan
    return sum(complete_parts(dense_solve(d, plan.burn_in, plan.averaging), device, loaded=loaded).values())


@lru_cache(maxsize=8192)
def _single_run(d: int, eps: float, family: Family, device: tl.Device) -> device_times.Planned | None:
    rates = family.rates(d)
    budget = eps**2 - rounding_floor(d, rates, device.matrix_bits or 53) ** 2
    return device_times.solve_times(rates, float(np.sqrt(budget)), beta=device.beta) if budget > 0.0 else None


def refined_seconds(
    d: int, eps: float, family: Family, device: tl.Device, host: Machine, *, loaded: bool
) -> tuple[float, int, float]:
    """Seconds, rounds and contraction of refinement to eps, the quickest contraction; nan where none converges.

    A round of averaging ``2 / (beta c^2)`` shrinks the error by c; rounding of A, ``||dA|| = h sqrt(d/3)``, leaves
    ``||dA|| / lambda_min`` of it as well. Between rounds the host forms a residual, one product in 64 bits.

    Returns
    -------
    (float, int, float)
    """
    rates = family.rates(d)
    lsb = 2.0 / (2.0 ** (device.matrix_bits or 53) - 1.0)
    left = lsb * np.sqrt(d / 3.0) / rates.min()
    best = (np.nan, 0, np.nan)
    for c in CONTRACTIONS:
        if c + left >= SLOW:
            continue
        rounds = max(1, int(np.ceil(np.log(eps) / np.log(c + left) - 1e-9)))
        one = _round(family, family.like(d), float(c), device.beta)
        parts = complete_parts(dense_solve(d, one.burn_in, one.averaging), device, loaded=True)
        seconds = rounds * sum(parts.values()) + (rounds - 1) * host.seconds("product", d)
        seconds += 0.0 if loaded else device.load_seconds(d * d, 0)
        if not seconds >= best[0]:
            best = (float(seconds), rounds, float(c))
    return best


@lru_cache(maxsize=8192)
def _round(family: Family, size: int, contraction: float, beta: float) -> device_times.Planned:
    return device_times.refined_round(family.rates(size), beta, contraction)


def cholesky_seconds(d: int, eps: float, kappa: float, host: Machine) -> float:
    """A solution by Cholesky: in 64 bits, or in 32 with as many corrections in 64 as eps asks for, if quicker."""
    double, shrink = host.seconds("Cholesky", d), SINGLE * kappa
    if shrink >= 0.1:
        return double
    more = max(0, int(np.ceil(np.log(eps) / np.log(shrink) - 1e-9)) - 1)
    correction = host.seconds("product", d) + host.seconds("substitution", d)
    return min(double, host.seconds("Cholesky, single", d) + more * correction)


def at_hand_seconds(d: int, eps: float, kappa: float, host: Machine) -> float:
    """A solution with what a digital machine may keep: substitution in a factor, or a product with the inverse."""
    calls = ["substitution", "product"] + ["product, single"] * (eps >= SINGLE * kappa)
    return min(host.seconds(call, d) for call in calls)


def gradient_seconds(d: int, eps: float, family: Family, host: Machine) -> float:
    """A solution by conjugate gradient with its best preconditioner, in 32 bits where eps allows."""
    table = family.iterations
    row = table[(table.d == family.like(d)) & np.isclose(table.error, eps)]
    if row.empty or not np.isfinite(row.iterations.item()):
        return np.nan
    call = "product, single" if eps >= SINGLE * family.kappa else "product"
    iterations = min(row.iterations.item(), d)
    overhead = row.operations.item() / (row.iterations.item() * family.like(d) ** 2)  # vectors, preconditioner
    return iterations * overhead * host.seconds(call, d)


def contenders(d: int, eps: float, family: Family, device: tl.Device, host: Machine, loading: str) -> dict[str, float]:
    """Seconds of every contender at one point; nan where it cannot reach eps.

    "counted": the device is programmed first. "free": the same, not counted. "held": the matrix is on the device from
    before and the digital machine has factor and inverse at hand.
    """
    loaded = loading != "counted"
    found = {
        "device": device_seconds(d, eps, family, device, loaded=loaded),
        "device, refined": refined_seconds(d, eps, family, device, host, loaded=loaded)[0],
    }
    if loading == "held":
        return found | {"at hand": at_hand_seconds(d, eps, family.kappa, host)}
    return found | {
        "Cholesky": cholesky_seconds(d, eps, family.kappa, host), "CG": gradient_seconds(d, eps, family, host)
    }  # fmt: skip


def solve_map(dims, errors, families, device: tl.Device, hosts, loadings=LOADING) -> pd.DataFrame:
    """Seconds of every contender over d, eps and kappa.

    Parameters
    ----------
    dims : sequence of int
    errors : sequence of float
        Those that the families were made with.
    families : sequence of Family
    device : Device
    hosts : sequence of Machine
    loadings : sequence of str
        Some of `LOADING`.

    Returns
    -------
    DataFrame
        host, loading, kappa, d, eps, contender, seconds, winner (bool, one at each point), advantage (seconds of the
        quickest digital contender over those of the quickest of the device).
    """
    rows = []
    for host in hosts:
        for loading in loadings:
            for each in families:
                for d in dims:
                    for eps in errors:
                        found = contenders(int(d), float(eps), each, device, host, loading)
                        rows += _rows(found, host=host.name, loading=loading, kappa=each.kappa, d=int(d), eps=eps)
    return pd.DataFrame(rows)


def _rows(found: dict[str, float], **point) -> list[dict]:
    winner = min((name for name in found if np.isfinite(found[name])), key=found.get)
    ours = np.nanmin([found[name] for name in DEVICE] + [np.inf])
    theirs = np.nanmin([seconds for name, seconds in found.items() if name in DIGITAL])
    return [
        point | {"contender": name, "seconds": s, "winner": name == winner, "advantage": float(theirs / ours)}
        for name, s in found.items()
    ]


def crossings(table: pd.DataFrame, along: str = "d") -> pd.DataFrame:
    """Values of d (or eps) at which the advantage of the device passes 1, between points of a map.

    Parameters
    ----------
    table : DataFrame
        Of `solve_map`.
    along : "d" or "eps"

    Returns
    -------
    DataFrame
        The other coordinates; value (interpolated in logarithms); direction ("wins from here on" or "loses ...").

    Examples
    --------
    >>> points = {"host": "h", "loading": "counted", "kappa": 10.0, "eps": 0.1}
    >>> table = pd.DataFrame([points | {"d": d, "advantage": (d / 300) ** 2} for d in (100, 200, 400)])
    >>> round(crossings(table).value.item(), 6)
    300.0
    """
    keys = [name for name in ("host", "loading", "kappa", "d", "eps") if name != along]
    rows = []
    for point, part in table.groupby(keys):
        line = part.drop_duplicates(along).sort_values(along)
        x, lead = np.log(line[along].to_numpy(float)), np.log(line.advantage.to_numpy(float))
        for i in np.flatnonzero((lead[:-1] < 0.0) != (lead[1:] < 0.0)):
            ends = np.isfinite(lead[i : i + 2]).all()
            share = lead[i] / (lead[i] - lead[i + 1]) if ends else 0.5
            rows.append(dict(zip(keys, point, strict=True)) | {
                "value": float(np.exp(x[i] + share * (x[i + 1] - x[i]))),
                "direction": f"{'wins' if lead[i] < 0.0 else 'loses'} from here on",
            })  # fmt: skip
    return pd.DataFrame(rows, columns=[*keys, "value", "direction"])
