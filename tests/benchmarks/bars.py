"""What the benchmarks are held to, part by part of the table in the README. All of it is fixed before it is run."""

from dataclasses import dataclass

READS = "10000 reads"
EIGH, NORMALS, PRODUCTS = "limit: eigh", "limit: normals", "limit: products"
NORMALS_FAST = "limit: normals, fast_rng"
LAW, PATH, ALONE, FAST = "ours: law", "ours: path", "ours: path, one thread", "ours: path, fast_rng"
OWN = "ours: path, BLAS on one thread"
FRESH, IMPORT = "first solve in a fresh process", "of these, the import"


@dataclass(frozen=True)
class Case:
    """Seconds of `ours` beside those of all of `others` together, in a group; without others, seconds alone."""

    group: str
    ours: str
    others: tuple[str, ...] = ()
    label: str = ""


@dataclass(frozen=True)
class Bar:
    """A row: one ratio or time, or one for each of several sizes, each of which has to meet it.

    Attributes
    ----------
    factor : float, optional
        At most so many times the others' seconds; at least so many times faster, if `faster`; at most so many seconds,
        where there are no others. None: shown, and held to nothing.
    stretch : float, optional
        Is named only where all sizes reach it.
    worst : bool
        Show the worst case alone. It fails only if three quarters of its rounds do, for it is the unluckiest of many.
    bound : tuple of str
        Contenders of the group without which there is no answer, on one thread: where a rival is not beaten by enough,
        by how much they alone would beat it.
    """

    text: str
    cases: tuple[Case, ...]
    factor: float | None = None
    faster: bool = False
    stretch: float | None = None
    worst: bool = False
    bound: tuple[str, ...] = ()


def _by_size(group: str, sizes, ours: str, *others: str) -> tuple[Case, ...]:
    """A case for each d, of a group with {d} in its name."""
    return tuple(Case(group.format(d=d), ours, others, f"d = {d}") for d in sizes)


def _limits() -> list[Bar]:
    solve, inv = f"solve, d 1000, {READS}", f"inv, d 1000, {READS}"
    euler = Case("Euler-Maruyama, d 500, 64 chains", "ours, one thread", (PRODUCTS, NORMALS))
    krylov = Case("solve, Krylov, d 2000, kappa 10", "ours: Krylov", (EIGH,))
    path, covariance = Case(solve, ALONE, (EIGH, NORMALS)), Case(inv, ALONE, (EIGH, NORMALS, PRODUCTS))
    return [
        Bar("`solve` by law, d = 1000, over `eigh` alone", (Case(solve, LAW, (EIGH,)),), 1.15, stretch=1.05),
        Bar("`solve` by path, d = 1000, over `eigh` and the normals", (path,), 1.3, stretch=1.15),
        Bar("`inv` by path, d = 1000, over `eigh`, normals and products", (covariance,), 1.4, stretch=1.2),
        Bar("Euler-Maruyama, 64 chains, d = 500, over products and normals", (euler,), 1.5, stretch=1.25),
        Bar("`eigh` over Krylov `solve`, d = 2000, kappa = 10", (krylov,), 10.0, True, 20.0),
    ]


def _thermox() -> list[Bar]:
    solve, inv, negexpm = (name + ", d {d}, " + READS for name in ("solve", "inv", "negexpm"))
    sizes, small = (100, 500, 1000), (100, 500)

    def bar(text, group, at, ours, *factors, bound=()):
        least, most = (*factors, None, None)[:2]
        return Bar(text, _by_size(group, at, ours, "thermox"), least, True, most, bound=bound)

    return [
        bar("`solve` by law", solve, sizes, LAW, 20.0),
        bar("... of 100,000 reads, d = 500", "solve, d {d}, 100000 reads", (500,), LAW, 20.0, 100.0),
        bar("`solve` by path", solve, sizes, PATH, 8.0, 12.0, bound=(EIGH, NORMALS)),
        bar("... with `fast_rng`", solve, sizes, FAST, 20.0, 30.0, bound=(EIGH, NORMALS_FAST)),
        bar("... all threads to both, d = 1000", "all threads: " + solve, (1000,), PATH),
        bar("`inv` by law, d = 1000", inv, (1000,), LAW, 50.0, 70.0),
        bar("`inv` by path", inv, sizes, PATH, 5.0, 8.0, bound=(EIGH, NORMALS, PRODUCTS)),
        bar("... with `fast_rng`", inv, sizes, FAST, 10.0, 13.0, bound=(EIGH, NORMALS_FAST, PRODUCTS)),
        bar("... all threads to both, d = 1000", "all threads: " + inv, (1000,), PATH),
        bar("`negexpm`", negexpm, small, PATH, 5.0, bound=(EIGH, NORMALS, PRODUCTS)),
        bar("... with `fast_rng`", negexpm, small, FAST, 9.0, bound=(EIGH, NORMALS_FAST, PRODUCTS)),
    ]


def _threads() -> list[Bar]:
    found = []
    for name in ("solve", "inv"):
        group, sizes = f"all threads: {name}, d {{d}}, {READS}", (2, 10, 100, 500, 1000, 2000)
        for text, ours in ((f"`{name}` by path, BLAS on one thread", OWN), ("... BLAS as it comes", PATH)):
            found += [
                Bar(text, _by_size(group, sizes[3:], ours, ALONE), 0.75),
                Bar("... worst of all sizes", _by_size(group, sizes, ours, ALONE), 1.0, worst=True),
            ]
    return found


def _start() -> list[Bar]:
    libraries = ("limit: numba and scipy.linalg",)
    imports, everything = Case("import", "ours", libraries), Case("import", "ours, every public name", libraries)
    call = f"a call of solve, d 10, {READS}"
    first = tuple(Case(FRESH, name, (), name.removeprefix("ours: ")) for name in (LAW, PATH, FAST))
    share = tuple(Case(FRESH, IMPORT, (case.ours,), case.label) for case in first)
    return [
        Bar("`import`, over Numba and scipy.linalg", (imports,), 1.2),
        Bar("... and every public name, which load at first use", (everything,), 1.2),
        Bar("first `solve` of a process, import and compilation included", first, 3.0, stretch=1.5),
        Bar("... share of `import` in it", share),
        Bar("a warm call of `solve` by law, d = 10", (Case(call, LAW),), 300e-6, stretch=100e-6),
        Bar("... operator reused", (Case(call, f"{LAW}, operator reused"),), 300e-6, stretch=100e-6),
    ]


def _steps() -> list[Bar]:
    parts = ("limit: Gram matrix", "limit: one product J^T J v")
    tngd = tuple(Case(f"TNGD step, N {n}, b dz 640", "ours", parts, f"N = {n:,}") for n in (1000, 10**5, 10**6))
    found = [Bar("TNGD, over its Gram matrix and one product J^T J v", tngd)]
    for method in ("solve", "invert"):
        ours, limit = f"ours: thermodynamic K-FAC, {method}", ("limit: eigh of both factors",)
        cases = tuple(Case(f"K-FAC step, n {n}", ours, limit, f"n = {n}") for n in (64, 512, 2048))
        found.append(Bar(f"thermodynamic K-FAC ({method}), over `eigh` of its factors", cases))
    return found


PARTS = {
    "Over the work that cannot be avoided": _limits(),
    "Times faster than thermox": _thermox(),
    "All threads over one": _threads(),
    "Start and overhead": _start(),
    "Optimiser steps": _steps(),
}
