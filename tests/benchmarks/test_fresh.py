"""What a fresh process pays: imports, the first call (which compiles), and memory at its highest."""

import json
import subprocess
import sys
from functools import cache
from importlib.util import find_spec

import pytest

from tests.benchmarks.race import CLOCK, FULL, replayed

START = "import time; start = time.perf_counter()\n"
END = "\nprint(time.perf_counter() - start)"
IMPORTS = {
    "limit: numba and scipy.linalg": "import numba, scipy.linalg",
    "ours": "import thermolinalg",
    "ours, every public name": "from thermolinalg import *",
    "thermox": "import thermox",
}
FIRST = {
    "of these, the import": "import thermolinalg as tl",
    "ours: law": "import thermolinalg as tl\ntl.solve(np.eye(10), np.ones(10), n_reads=100, read_spacing=1.0, rng=0)",
    "ours: path": (
        "import thermolinalg as tl\n"
        "tl.solve(np.eye(10), np.ones(10), n_reads=100, read_spacing=1.0, simulator='path', rng=0)"
    ),
    "ours: path, fast_rng": (
        "import thermolinalg as tl\n"
        "tl.solve(np.eye(10), np.ones(10), n_reads=100, read_spacing=1.0, simulator='path', rng=tl.fast_rng(0))"
    ),
    "thermox": (
        "import jax, thermox\n"
        "jax.jit(lambda A, b: thermox.linalg.solve(A, b))(jax.numpy.eye(10), jax.numpy.ones(10)).block_until_ready()"
    ),
}
KINDS = {
    "import": ("", IMPORTS, 7),
    "first solve in a fresh process": ("import numpy as np\n", FIRST, 3),  # import and compilation included
}
MEMORY = """
import json, re, numpy as np, thermolinalg as tl
# of this process alone: ru_maxrss would start from that of the process that started it
peak = lambda: 1024 * int(re.search(r"VmHWM:\\s*(\\d+)", open("/proc/self/status").read())[1])
tl.solve(np.eye(4), np.ones(4), n_reads=10, read_spacing=1.0, rng=0)
tl.inv(np.eye(4), n_reads=10, read_spacing=1.0, rng=0)
d = {d}
A = np.diag(np.linspace(1.0, 2.0, d)) + 0.5 / d
np.linalg.norm(A @ A[0])
before = peak()
{work}
print(json.dumps([before, peak()]))
"""
WORK = {
    "solve d 1000": (1000, "tl.solve(A, np.ones(d), duration=100.0, rng=0)", 34.0, 0.0),
    "solve d 4000": (4000, "tl.solve(A, np.ones(d), duration=100.0, rng=0)", 20.0, 0.0),
    "inv d 1000, 10^5 reads, path": (1000, "tl.inv(A, n_reads=10**5, read_spacing=1.0, rng=0)", 50.0, 32.0 * 2**20),
    "inv d 2000, 10^6 reads, law": (2000, "tl.inv(A, n_reads=10**6, rng=0)", 50.0, 32.0 * 2**20),
    "inv d 2000, 10^6 reads, path": (2000, "tl.inv(A, n_reads=10**6, read_spacing=1.0, rng=0)", 50.0, 32.0 * 2**20),
}
SLOW = ("inv d 2000, 10^6 reads, path",)


def printed(code: str) -> str:
    """What a fresh interpreter prints."""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return run.stdout.splitlines()[-1]


@cache
def in_turn(kind: str) -> dict[str, list[float]]:
    """Seconds of each statement of a kind, each time in a fresh process, round after round."""
    before, statements, rounds = KINDS[kind]
    found: dict[str, list[float]] = {name: [] for name in statements}
    for _ in range(rounds):
        for name, statement in statements.items():
            if name != "thermox" or find_spec("thermox"):
                found[name].append(float(printed(before + START + statement + END)))
    return found


def show(benchmark, kind: str, name: str) -> None:
    """The body of a test."""
    if not in_turn(kind)[name]:
        pytest.skip("pip install '.[peers]' for rows of thermox")
    benchmark.group = kind
    benchmark.extra_info["contender"] = name
    CLOCK.replay(benchmark, in_turn(kind)[name])


@replayed
@pytest.mark.parametrize("name", IMPORTS)
def test_import(benchmark, name):
    show(benchmark, "import", name)


@replayed
@pytest.mark.parametrize("name", FIRST)
def test_first_solve(benchmark, name):
    show(benchmark, "first solve in a fresh process", name)


@replayed
@pytest.mark.parametrize("name", [name for name in WORK if FULL or name not in SLOW])
def test_peak_memory(benchmark, name):
    """Bytes beyond A over d^2, in a fresh process; one call, whose time is beside the point."""
    d, work, slope, room = WORK[name]
    before, after = json.loads(printed(MEMORY.format(d=d, work=work)))
    benchmark.group = "peak memory"
    used = after - before
    benchmark.extra_info |= {
        "contender": name, "bytes_beyond_A": used, "bytes_per_entry": (used - room) / d**2, "target": slope,
        "room": room,
    }  # fmt: skip
    CLOCK.replay(benchmark, [1e-9])
