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
    """Seconds of `ours` compared with those of all of `others` together, in a group; without others, seconds alone."""

    group: str
    ours: str
    others: tuple[str, ...] = ()
    label: str = ""


@dataclass(frozen=True)
class Target:
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


def _limits() -> list[Target]:
    solve, inv = f"solve, d 1000, {READS}", f"inv, d 1000, {READS}"
    euler = Case("Euler-Maruyama, d 500, 64 chains", "ours, one thread", (PRODUCTS, NORMALS))
    krylov = Case("solve, Krylov, d 2000, kappa 10", "ours: Krylov", (EIGH,))
    path, covariance = Case(solve, ALONE, (EIGH, NORMALS)), Case(inv, ALONE, (EIGH, NORMALS, PRODUCTS))
    return [
        Target("`solve` by law, d = 1000, over `eigh` alone", (Case(solve, LAW, (EIGH,)),), 1.15, stretch=1.05),
        Target("`solve` by path, d = 1000, over `eigh` and the normals", (path,), 1.3, stretch=1.15),
        Target("`inv` by path, d = 1000, over `eigh`, normals and products", (covariance,), 1.4, stretch=1.2),
        Target("Euler-Maruyama, 64 chains, d = 500, over products and normals", (euler,), 1.5, stretch=1.25),
        Target("`eigh` over Krylov `solve`, d = 2000, kappa = 10", (krylov,), 10.0, True, 20.0),
    ]


def _thermox() -> list[Target]:
    solve, inv, negexpm = (name + ", d {d}, " + READS for name in ("solve", "inv", "negexpm"))
    sizes, small = (100, 500, 1000), (100, 500)

    def target(text, group, at, ours, *factors, bound=()):
        least, most = (*factors, None, None)[:2]
        return Target(text, _by_size(group, at, ours, "thermox"), least, True, most, bound=bound)

    return [
        target("`solve` by law", solve, sizes, LAW, 20.0),
        target("... of 100,000 reads, d = 500", "solve, d {d}, 100000 reads", (500,), LAW, 20.0, 100.0),
        target("`solve` by path", solve, sizes, PATH, 8.0, 12.0, bound=(EIGH, NORMALS)),
        target("... with `fast_rng`", solve, sizes, FAST, 20.0, 30.0, bound=(EIGH, NORMALS_FAST)),
        target("... all threads to both, d = 1000", "all threads: " + solve, (1000,), PATH),
        target("`inv` by law, d = 1000", inv, (1000,), LAW, 50.0, 70.0),
        target("`inv` by path", inv, sizes, PATH, 5.0, 8.0, bound=(EIGH, NORMALS, PRODUCTS)),
        target("... with `fast_rng`", inv, sizes, FAST, 10.0, 13.0, bound=(EIGH, NORMALS_FAST, PRODUCTS)),
        target("... all threads to both, d = 1000", "all threads: " + inv, (1000,), PATH),
        target("`negexpm`", negexpm, small, PATH, 5.0, bound=(EIGH, NORMALS, PRODUCTS)),
        target("... with `fast_rng`", negexpm, small, FAST, 9.0, bound=(EIGH, NORMALS_FAST, PRODUCTS)),
    ]


def _threads() -> list[Target]:
    found = []
    for name in ("solve", "inv"):
        group, sizes = f"all threads: {name}, d {{d}}, {READS}", (2, 10, 100, 500, 1000, 2000)
        for text, ours in ((f"`{name}` by path, BLAS on one thread", OWN), ("... BLAS as it comes", PATH)):
            found += [
                Target(text, _by_size(group, sizes[3:], ours, ALONE), 0.75),
                Target("... worst of all sizes", _by_size(group, sizes, ours, ALONE), 1.0, worst=True),
            ]
    return found


def _start() -> list[Target]:
    libraries = ("limit: numba and scipy.linalg",)
    imports, everything = Case("import", "ours", libraries), Case("import", "ours, every public name", libraries)
    call = f"a call of solve, d 10, {READS}"
    first = tuple(Case(FRESH, name, (), name.removeprefix("ours: ")) for name in (LAW, PATH, FAST))
    share = tuple(Case(FRESH, IMPORT, (case.ours,), case.label) for case in first)
    return [
        Target("`import`, over Numba and scipy.linalg", (imports,), 1.2),
        Target("... and every public name, which load at first use", (everything,), 1.2),
        Target("first `solve` of a process, import and compilation included", first, 3.0, stretch=1.5),
        Target("... share of `import` in it", share),
        Target("a warm call of `solve` by law, d = 10", (Case(call, LAW),), 300e-6, stretch=100e-6),
        Target("... operator reused", (Case(call, f"{LAW}, operator reused"),), 300e-6, stretch=100e-6),
    ]


def _steps() -> list[Target]:
    parts = ("limit: Gram matrix", "limit: one product J^T J v")
    tngd = tuple(Case(f"TNGD step, N {n}, b dz 640", "ours", parts, f"N = {n:,}") for n in (1000, 10**5, 10**6))
    found = [Target("TNGD, over its Gram matrix and one product J^T J v", tngd)]
    for method in ("solve", "invert"):
        ours, limit = f"ours: thermodynamic K-FAC, {method}", ("limit: eigh of both factors",)
        cases = tuple(Case(f"K-FAC step, n {n}", ours, limit, f"n = {n}") for n in (64, 512, 2048))
        found.append(Target(f"thermodynamic K-FAC ({method}), over `eigh` of its factors", cases))
    return found


PARTS = {
    "Over the work that cannot be avoided": _limits(),
    "Times faster than thermox": _thermox(),
    "All threads over one": _threads(),
    "Start and overhead": _start(),
    "Optimiser steps": _steps(),
}
