"""Contenders in processes of their own, where the number of BLAS threads is what a user gets, or one."""

import os
import subprocess
import sys
import weakref
from pathlib import Path
from time import perf_counter, sleep

ROOT = Path(__file__).parents[2]
LIMITS = tuple(f"{name}_NUM_THREADS" for name in ("OPENBLAS", "OMP", "MKL", "NUMEXPR"))
PAUSE = 0.15  # seconds before a call: threads of OpenBLAS spin for about 0.11 after the last one, whoever made it
LEAST = 0.02  # seconds: a shorter call is repeated, after one that wakes the cores


class Elsewhere:
    """A contender that waits in another process and times its calls there.

    Parameters
    ----------
    work : str
        A key of `_works`.
    d, n : int
        Size and reads.
    one_thread : bool
        Whether BLAS gets one thread; otherwise nothing is said to it, as on a user's machine.
    """

    def __init__(self, work: str, d: int, n: int, one_thread: bool):
        environment = {name: value for name, value in os.environ.items() if name not in LIMITS}
        environment |= dict.fromkeys(LIMITS, "1") if one_thread else {}
        command = [sys.executable, "-m", "tests.benchmarks.elsewhere", work, str(d), str(n)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment
        )
        weakref.finalize(self, _end, self._process)

    def seconds(self) -> float:
        """Of a call, made now."""
        print(file=self._process.stdin, flush=True)
        return float(self._process.stdout.readline())


def _end(process) -> None:
    process.stdin.close()
    process.wait()
    process.stdout.close()


def _works(d: int, n: int) -> dict:
    """What can be run by name; reads are spaced 1 RC."""
    import numpy as np

    import thermolinalg as tl

    A, b = tl.problems.wishart(d, rng=d), np.random.default_rng(d + 1).standard_normal(d)
    path = {"n_reads": n, "read_spacing": 1.0, "rng": 0}
    return {
        "solve": lambda: tl.solve(A, b, simulator="path", **path),
        "solve, one worker": lambda: tl.solve(A, b, simulator="path", workers=1, **path),
        "inv": lambda: tl.inv(A, **path),
        "inv, one worker": lambda: tl.inv(A, workers=1, **path),
    }


def _rivals(d: int, n: int) -> dict:
    """The same of thermox."""
    import numpy as np

    import thermolinalg as tl
    from tests.benchmarks import rivals

    A, b = tl.problems.wishart(d, rng=d), np.random.default_rng(d + 1).standard_normal(d)
    return {
        "solve, thermox": rivals.thermox_solve(A, b, n).get("thermox"),
        "inv, thermox": rivals.thermox_inv(A, n).get("thermox"),
    }


def _seconds(run) -> float:
    start = perf_counter()
    run()
    once = perf_counter() - start
    if once > LEAST:
        return once
    calls = int(LEAST / once) + 1
    start = perf_counter()
    for _ in range(calls):
        run()
    return (perf_counter() - start) / calls


def main(work: str, d: str, n: str) -> None:
    """Time a call for each line that comes in."""
    make = _rivals if "thermox" in work else _works
    run = make(int(d), int(n))[work]
    for _ in sys.stdin:
        sleep(PAUSE)
        print(_seconds(run), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
