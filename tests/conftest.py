"""One BLAS thread and one process, results in a cache of the run's own, reproducible seeds that nobody picks."""

import os

for _name in ("OPENBLAS", "OMP", "MKL", "NUMEXPR"):  # before NumPy loads its BLAS
    os.environ[f"{_name}_NUM_THREADS"] = "1"
os.environ["LOKY_MAX_CPU_COUNT"] = "1"  # figures one after the other unless a test asks for more

import atexit  # noqa: E402
import shutil  # noqa: E402
import tempfile  # noqa: E402
import zlib  # noqa: E402

import hypothesis  # noqa: E402
import numpy as np  # noqa: E402
import pytest  # noqa: E402

os.environ["THERMOLINALG_RESULTS"] = tempfile.mkdtemp(prefix="thermolinalg-results-")  # not the user's
atexit.register(shutil.rmtree, os.environ["THERMOLINALG_RESULTS"], ignore_errors=True)

SEED = int(os.environ.get("THERMOLINALG_SEED", "0"))  # other values try the whole suite on other random numbers

# The default run is reproducible; another seed lets the property tests wander as well.
hypothesis.settings.register_profile(
    "house", deadline=None, max_examples=25, database=None, derandomize=SEED == 0, print_blob=False
)
hypothesis.settings.load_profile("house")


@pytest.fixture
def seed(request) -> int:
    """A seed that follows from the name of the test, so that it was not chosen because it passes."""
    return zlib.crc32(request.node.nodeid.encode()) + (SEED << 32)


@pytest.fixture
def rng(seed) -> np.random.Generator:
    """A generator of the test's own."""
    return np.random.default_rng(seed)
