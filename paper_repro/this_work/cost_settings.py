"""Every number of the figures of cost, and where it comes from.

From the papers' group
    Device: R = 1 kOhm, C = 1 nF, 16-bit words over a 50 Gb/s link (arXiv:2405.13817, App. C). t = 50 RC for a step of
    TNGD (its Fig. 3).

Ours
    beta = 1 with a b of rms 1, as in the reproduction of Aifer et al. Matrices: eigenvalues evenly spaced in the
    logarithm, largest entry the reference conductance; looked at up to the largest of `family_sizes`, and taken to be
    like that beyond.
    Digital times of "this machine": fitted to calls measured where the figure is drawn, on the quicker choice of
    threads, in 64 and 32 bits. "accelerator": assumed, the order of magnitude of one in a data centre.
    Iterations of NGD-CG: those that do what gradient flow of t = 50 RC does to 1 %, a network of largest eigenvalue 1.
    A number of J takes 4 bytes, and a network has three layers.
"""

from dataclasses import dataclass

import numpy as np

import thermolinalg as tl
from analysis.break_even_steps import flow_degree
from analysis.exponents import Sizes

DEVICE = tl.Device.tngd()
TIME = 50.0  # [RC]
ACCELERATOR = {"products": 1e14, "factorisations": 1e12, "memory": 2e12, "overhead": 1e-5}  # flop/s, byte/s, s
MEMORY = 80e9  # bytes of an accelerator
TIMED, STREAMED = (64, 128, 256, 512, 724, 1000, 1448), (2048, 2896, 4096)


@dataclass(frozen=True, kw_only=True)
class Solve:
    """Where the device solves A x = b sooner."""

    kappas: tuple[float, ...] = (10.0, 34.0, 100.0, 1000.0)  # 34: large Wishart matrices with 2 d degrees
    dims: tuple[int, ...] = tuple(int(d) for d in np.geomspace(30, 30_000, 19).round())
    errors: tuple[float, ...] = tuple(np.geomspace(1e-6, 0.3, 17))
    family_sizes: tuple[int, ...] = (30, 64, 139, 300, 600)
    timed: tuple[int, ...] = TIMED
    streamed: tuple[int, ...] = STREAMED  # products with vectors only
    timing_repeats: int = 5


@dataclass(frozen=True, kw_only=True)
class Steps:
    """Where a step of TNGD takes less time than the same natural gradient done digitally."""

    weights: tuple[int, ...] = tuple(int(n) for n in np.geomspace(1e3, 1e9, 19).round())
    rows: tuple[int, ...] = tuple(int(10 * n) for n in np.geomspace(1, 10_000, 17).round())
    dz: int = 10
    run_time: float = TIME
    iterations: int = flow_degree(TIME, 0.01)
    timed: tuple[int, ...] = TIMED
    streamed: tuple[int, ...] = STREAMED  # products with vectors only
    timing_repeats: int = 5


SCALES: dict = {
    "smoke": {
        "scaling_exponents": Sizes(
            dims=(16, 32, 64), small_dims=(8, 16, 32), kappas=(100.0, 300.0, 1000.0), errors=(0.1, 0.03, 0.01),
            repeats=1, dense=(100, 150, 220), streamed=(300, 400, 500), spectral=(40, 60, 90), rows=(16, 32, 64),
            weights=(500, 1000, 2000), reads=(1000, 2000, 4000), ranks=(8, 16, 32),
        ),
        "break_even_solve": Solve(
            kappas=(10.0, 100.0), dims=(30, 100, 1000, 10_000), errors=(1e-4, 0.01, 0.1), family_sizes=(30, 100),
            timed=(64, 128, 256), streamed=(), timing_repeats=1,
        ),
        "break_even_tngd": Steps(
            weights=(10**3, 10**5, 10**7), rows=(10, 640, 10_000), timed=(64, 128, 256), streamed=(), timing_repeats=1
        ),
    },
    "default": {"scaling_exponents": Sizes(), "break_even_solve": Solve(), "break_even_tngd": Steps()},
    "paper": {
        "scaling_exponents": Sizes(
            dims=(32, 64, 128, 256, 512, 1024), small_dims=(8, 12, 16, 24, 32, 48, 64), repeats=5,
            kappas=tuple(np.geomspace(100.0, 30_000.0, 9)), errors=tuple(np.geomspace(0.1, 0.001, 7)),
            dense=(500, 700, 1000, 1400, 2000, 2800, 4000), spectral=(150, 220, 330, 480, 700, 1000, 1400),
        ),
        "break_even_solve": Solve(
            dims=tuple(int(d) for d in np.geomspace(30, 30_000, 37).round()), errors=tuple(np.geomspace(1e-6, 0.3, 33)),
            family_sizes=(30, 64, 139, 300, 600, 1200), timed=(*TIMED, 2048, 2896), streamed=(4096, 5793),
            timing_repeats=15,
        ),
        "break_even_tngd": Steps(timed=(*TIMED, 2048, 2896), streamed=(4096, 5793), timing_repeats=15),
    },
}  # fmt: skip
