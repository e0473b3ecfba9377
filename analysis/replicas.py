"""An ensemble of devices from one data sheet: how wrong is the answer of A x = b on a machine that somebody will build?

Replica k is the device with `mismatch_seed` raised by k: entries and read-out gains off in its own way. It solves the
same problem once. Of its answer y only three numbers are kept, relative to the exact x: ``|y - x|`` (error),
``|s - x|`` (systematic) and ``|y - s|`` (noise), where s is what it would answer if it averaged for ever through a
perfect output converter. All random numbers of replica k come from the seed and k, so that nothing depends on how
replicas are cut into tasks or on who computes them. ``python -m analysis.replicas --replicas 1000000 --dask ADDRESS``;
with ``--plan`` how long that will take.
"""

import argparse
import functools
import itertools
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
import scipy.linalg

import thermolinalg as tl
from thermolinalg import checks

from .clusters import add_options, expected_seconds, overhead_seconds, workers
from .first_order import solve_mean_square
from .replica_statistics import histogram, statistics
from .sweeps import sweep
from .timing import one_thread_seconds

DIMS, COUNTS = (10, 100, 1000), (1, 16, 256, 4096)  # of a plan
SHEET = {"matrix_bits": 12, "dac_bits": 12, "adc_bits": 12, "mismatch": 1e-3}
PROBLEM_KEY, REPLICA_KEY = 0, 1  # first number of the spawn keys of the problem and of replicas


# -- replicas


@dataclass(frozen=True)
class Ensemble:
    """A problem and the data sheet of the devices that solve it.

    For a problem of your own derive a frozen dataclass with another `system`, in a module that workers can import; its
    fields are part of the key of what is kept, its source is not.

    Parameters
    ----------
    d : int
        Size of `thermolinalg.problems.with_condition`; b is normal.
    kappa : float
        Condition number.
    device : Device
        Replica k has ``mismatch_seed = device.mismatch_seed + k``.
    duration : float
        Averaging time of the integrator [RC]; the noise is about ``sqrt(2 / (beta duration))`` of x.
    seed : int
        Of problem and noise; the devices do not depend on it.

    Examples
    --------
    >>> A, b = Ensemble(d=3, kappa=4.0).system()
    >>> round(float(np.linalg.cond(A)), 9), b.shape
    (4.0, (3,))
    """

    d: int = 10
    kappa: float = 10.0
    device: tl.Device = field(default_factory=lambda: tl.Device(**SHEET))
    duration: float = 2e6
    seed: int = 0

    def system(self) -> tuple[np.ndarray, np.ndarray]:
        """A (d, d), symmetric positive definite, and b (d,)."""
        rng = np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=(PROBLEM_KEY,)))
        return tl.problems.with_condition(self.d, self.kappa, rng), rng.standard_normal(self.d)


@dataclass(frozen=True)
class Block:
    """A task: replicas first, first + 1, ..., first + count - 1."""

    ensemble: Ensemble
    first: int
    count: int


@functools.lru_cache(maxsize=1)  # a worker has many tasks of one ensemble
def _exact(ensemble: Ensemble):
    """A, b and the exact answer."""
    A, b = ensemble.system()
    tl.Dense(A).cholesky  # noqa: B018  a matrix that is not definite is an error, not a failure of replicas
    return A, b, scipy.linalg.solve(A, b, assume_a="pos")


def replica_errors(ensemble: Ensemble, k: int) -> tuple[float, float, float]:
    """Error, systematic error and noise of replica k, relative to the exact answer.

    Parameters
    ----------
    ensemble : Ensemble
    k : int

    Returns
    -------
    tuple of float
        In the order of `replica_statistics.PARTS`; nan where A as programmed is not positive definite: such a device
        has no answer.

    Raises
    ------
    NotPositiveDefinite
        A itself is not.

    Examples
    --------
    >>> error, systematic, noise = replica_errors(Ensemble(), 0)
    >>> error <= systematic + noise < 0.1
    True
    """
    A, b, x = _exact(ensemble)
    rng = np.random.default_rng(np.random.SeedSequence(ensemble.seed, spawn_key=(REPLICA_KEY, k)))
    device = replace(ensemble.device, mismatch_seed=ensemble.device.mismatch_seed + k)
    try:
        held = tl.hardware.program(tl.Dense(A), device, b[:, None], rng)
    except tl.errors.NotPositiveDefinite:
        return np.nan, np.nan, np.nan
    programmed = replace(device, matrix_bits=None, dac_bits=None, mismatch=0.0)  # what is done already
    y = tl.solve(held.operator, held.b[:, 0], duration=ensemble.duration, device=programmed, rng=rng).value
    s = device.read_gains(len(x)) * held.operator.function(np.reciprocal, held.b[:, 0])
    error, systematic, noise = (float(np.linalg.norm(v) / np.linalg.norm(x)) for v in (y - x, s - x, y - s))
    return error, systematic, noise


def block_errors(block: Block) -> np.ndarray:
    """`replica_errors` (count, 3) of the replicas of a task."""
    last = block.first + block.count
    return np.array([replica_errors(block.ensemble, k) for k in range(block.first, last)])


def replicas_per_task(d: int, seconds=1.0) -> int:
    """A power of two with which a task takes about so many seconds.

    A rule and no measurement, so that an interrupted run finds its tasks again. ``python -m analysis.replicas --plan``
    measures what a replica takes on the machine at hand.

    Examples
    --------
    >>> [replicas_per_task(d) for d in (10, 100, 1000, 10_000)]
    [1024, 512, 4, 1]
    """
    each = 7e-4 + 1.1e-7 * d**2 + 9e-11 * d**3
    return 2 ** max(0, int(np.log2(checks.positive(seconds, "seconds") / each)))


def ensemble_errors(ensemble: Ensemble, replicas, *, per_task=None) -> np.ndarray:
    """`replica_errors` of many replicas, by `sweep`: kept task by task, resumed, spread over `clusters.workers`.

    Parameters
    ----------
    ensemble : Ensemble
    replicas : int
    per_task : int, optional
        Replicas in a task; default `replicas_per_task`. The numbers do not depend on it, but what is kept does: it is
        found again with the same one.

    Returns
    -------
    (replicas, 3) ndarray
        24 bytes each.

    Raises
    ------
    ValueError
        replicas or per_task < 1.
    NotPositiveDefinite
        A is not.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from analysis.results_cache import Cache, using
    >>> with using(Cache(Path(tempfile.mkdtemp()))):
    ...     ensemble_errors(Ensemble(), 20, per_task=8).shape
    (20, 3)
    """
    replicas = checks.count(replicas, "replicas")
    size = replicas_per_task(ensemble.d) if per_task is None else checks.count(per_task, "per_task")
    blocks = [Block(ensemble, first, min(size, replicas - first)) for first in range(0, replicas, size)]
    return np.concatenate(sweep(block_errors, blocks))


# -- what is expected


def predicted_rms(ensemble: Ensemble) -> dict[str, float]:
    """Root mean square over replicas of each part, from theory.

    Systematic: the rounding of A and b, the same in all replicas, exactly; the mismatch of A by `first_order`; uneven
    gains. Noise: the standard error that `thermolinalg.solve` reports for a device without mismatch.

    Parameters
    ----------
    ensemble : Ensemble
        With rounding to nearest: stochastic rounding differs between replicas.

    Raises
    ------
    ValueError
        Stochastic rounding.
    NotPositiveDefinite
        A, or A as rounded, is not.

    Examples
    --------
    >>> found = predicted_rms(Ensemble(device=tl.Device(mismatch=1e-3), duration=2e4))
    >>> 0.001 < found["systematic"] < 0.01 < found["noise"] < 0.02
    True
    """
    device = ensemble.device
    if device.rounding != "nearest":
        raise ValueError(f'a prediction needs rounding="nearest", got {device.rounding!r}')
    A, b, x = _exact(ensemble)
    common = replace(device, mismatch=0.0, eps_sys=0.0)
    held = tl.hardware.program(tl.Dense(A), common, b[:, None], np.random.default_rng(0))
    H, c = held.operator.dense(), held.b[:, 0]
    centre = np.linalg.solve(H, c)
    square = np.sum((centre - x) ** 2) + solve_mean_square(H, c, (device.mismatch * H) ** 2)
    square += device.eps_sys**2 * np.sum(centre**2)
    answer = tl.solve(A, b, duration=ensemble.duration, device=common, rng=0)
    size = np.linalg.norm(x)
    systematic, noise = float(np.sqrt(square) / size), float(np.linalg.norm(answer.stderr) / size)
    return {"error": float(np.hypot(systematic, noise)), "systematic": systematic, "noise": noise}


# -- how long it takes


def plan(dims, counts, *, replicas=10**6, lengths=(1.0, 10.0), overhead: float | None = None, repeats=5):
    """Expected time of an ensemble, from the seconds of a replica measured here on one core.

    Parameters
    ----------
    dims, counts : iterable of int
        Sizes d; numbers of workers.
    replicas : int
    lengths : iterable of float
        Seconds of a task, for `replicas_per_task`.
    overhead : float, optional
        Seconds that each task costs the sender; default: measured, as tasks are sent at the moment.
    repeats : int
        The quickest of so many counts, and of a few replicas each.

    Returns
    -------
    DataFrame
        Columns d, replica_seconds, per_task, tasks, overhead, workers, hours.

    Raises
    ------
    ValueError
        A number that is not positive.

    Examples
    --------
    >>> plan([3], [1, 8], replicas=10**5, overhead=0.004, repeats=1).shape
    (4, 7)
    """
    replicas, overhead = checks.count(replicas, "replicas"), overhead_seconds() if overhead is None else overhead
    rows = []
    for d in dims:
        timed = Block(Ensemble(d=d), 0, max(1, replicas_per_task(d) // 64))
        seconds = one_thread_seconds(functools.partial(block_errors, timed), repeats) / timed.count
        for length, count in itertools.product(lengths, counts):
            size = replicas_per_task(d, length)
            tasks = -(-replicas // size)
            hours = expected_seconds(tasks, size * seconds, count, overhead) / 3600.0
            rows.append(
                {"d": d, "replica_seconds": seconds, "per_task": size, "tasks": tasks, "overhead": overhead}
                | {"workers": count, "hours": hours}
            )
    return pd.DataFrame(rows)


def _parser() -> argparse.ArgumentParser:
    result = argparse.ArgumentParser(prog="python -m analysis.replicas", description=__doc__.split("\n")[0])
    result.add_argument("--replicas", type=int, default=10_000, help="default: %(default)s")
    result.add_argument("--task-seconds", type=float, default=1.0, help="of a task, about (default: %(default)s)")
    for name, default in (("d", 10), ("kappa", 10.0), ("duration", 2e6), ("seed", 0)):
        result.add_argument(f"--{name}", type=type(default), default=default, help="default: %(default)s")
    for name, default in {"beta": 1.0, "mismatch": SHEET["mismatch"], "eps-sys": 0.0}.items():
        result.add_argument(f"--{name}", type=float, default=default, help="of the device (default: %(default)s)")
    result.add_argument("--bits", type=int, default=12, help="of all three converters; 0 is ideal (default: 12)")
    result.add_argument("--out", help="start of the names of csv files of statistics and histogram")
    result.add_argument("--plan", action="store_true", help="print how long so many replicas take, as measured here")
    result.add_argument("--overhead", type=float, metavar="SECONDS", help="of a task, for --plan (default: measured)")
    add_options(result)
    return result


def _print_plan(table: pd.DataFrame) -> None:
    """Hours, a column for each number of workers."""
    wide = table.pivot(index=["d", "replica_seconds", "per_task", "tasks"], columns="workers", values="hours")
    print(f"Hours by number of workers; each task costs the sender {1e3 * table['overhead'].iloc[0]:.2f} ms")
    print(wide.reset_index().to_string(index=False, float_format="%.2g"))


def main(argv=None) -> int:
    """Simulate an ensemble and print what came out; or plan it."""
    parser = _parser()
    options = parser.parse_args(argv)
    bits = {f"{name}_bits": options.bits or None for name in ("matrix", "dac", "adc")}
    try:
        device = tl.Device(beta=options.beta, mismatch=options.mismatch, eps_sys=options.eps_sys, **bits)
        ensemble = Ensemble(options.d, options.kappa, device, options.duration, options.seed)
        with workers(options.jobs, options.dask):
            if options.plan:
                _print_plan(plan(DIMS, COUNTS, replicas=options.replicas, overhead=options.overhead))
                return 0
            size = replicas_per_task(options.d, options.task_seconds)
            errors = ensemble_errors(ensemble, options.replicas, per_task=size)
        table = statistics(errors, predicted_rms(ensemble))
    except ValueError as error:
        parser.error(str(error))
    print(table.to_string(index=False, float_format="%.4g"))
    if options.out:
        table.to_csv(f"{options.out}_statistics.csv", index=False)
        histogram(errors).to_csv(f"{options.out}_histogram.csv", index=False)
    return 0


if __name__ == "__main__":
    from analysis.replicas import main  # a task's function must have a module that workers can import

    raise SystemExit(main())
