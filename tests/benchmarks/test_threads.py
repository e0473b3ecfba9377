"""Speed on all threads compared with one: of ours alone, BLAS on one, and as a user gets them by default."""

from importlib.util import find_spec

from tests.benchmarks.elsewhere import Elsewhere
from tests.benchmarks.race import FULL, Race, cases, entries, replayed, show

READS = 10_000
RIVAL = 1000  # the size at which thermox is run too


def _race(primitive: str) -> Race:
    """Paths of a primitive."""

    def start(d, n):
        found = {
            "ours: path, one thread": Elsewhere(f"{primitive}, one worker", d, n, one_thread=True),
            "ours: path, BLAS on one thread": Elsewhere(primitive, d, n, one_thread=True),
            "ours: path": Elsewhere(primitive, d, n, one_thread=False),
        }
        if d == RIVAL and find_spec("thermox"):
            found["thermox"] = Elsewhere(f"{primitive}, thermox", d, n, one_thread=False)
        return found

    sizes = (2, 10, 100, 500, 1000) if not FULL else (2, 10, 100, 500, 1000, 2000)
    names = ("ours: path, one thread", "ours: path, BLAS on one thread", "ours: path", "thermox")
    return Race("all threads: " + primitive + ", d {d}, {n} reads", start, cases(d=sizes, n=(READS,)), names)


SOLVE, INV = _race("solve"), _race("inv")


@replayed
@entries(SOLVE, INV)
def test_threads(benchmark, race, case, name):
    show(benchmark, race, case, name)
