"""Seconds of a job on a device by its parts: the papers' model, and a complete one."""

import math
from dataclasses import dataclass

import pandas as pd

from thermolinalg import Device

PARTS = ("load", "relax", "integrate", "convert")


@dataclass(frozen=True, kw_only=True)
class Job:
    """What a device is asked for.

    Attributes
    ----------
    programmed : float
        Numbers that the matrix takes.
    inputs, outputs : float
        Numbers put in as right-hand sides and read out, of all runs together.
    burn_in, averaging : float
        Of one run [RC].
    runs : int
    """

    programmed: float
    inputs: float
    outputs: float
    burn_in: float
    averaging: float
    runs: int = 1


def dense_solve(d: int, burn_in: float, averaging: float, columns: int = 1) -> Job:
    """A dense system of size d with some right-hand sides, a run each."""
    return Job(programmed=d * d, inputs=d * columns, outputs=d * columns, burn_in=burn_in, averaging=averaging,
               runs=columns)  # fmt: skip


def paper_parts(job: Job, *, bits: int = 16, bandwidth: float = 50e9, time_unit: float = 1e-6) -> dict[str, float]:
    """Load and relaxation only: ``programmed bits / bandwidth`` and ``runs (burn_in + averaging) RC``.

    Parameters
    ----------
    job : Job
    bits : int
        Of a programmed number.
    bandwidth : float
        Of the link [bit/s].
    time_unit : float
        RC [s].

    Returns
    -------
    dict
        Seconds of load, relax; integrate and convert are 0.

    Notes
    -----
    Constants of Donatella et al., arXiv:2405.13817, App. C, which names conversion of vectors but gives no converters.

    Examples
    --------
    >>> job = dense_solve(1000, 40.0, 10.0)
    >>> {part: round(seconds * 1e6) for part, seconds in paper_parts(job).items()}  # microseconds
    {'load': 320, 'relax': 50, 'integrate': 0, 'convert': 0}
    """
    busy = job.runs * (job.burn_in + job.averaging) * time_unit
    return {"load": job.programmed * bits / bandwidth, "relax": busy, "integrate": 0.0, "convert": 0.0}


def complete_parts(
    job: Job, device: Device, *, replicas: int = 1, broadcast: bool = False, loaded: bool = False
) -> dict[str, float]:
    """All four parts, with the converters of the device and replicas of it that share the runs.

    Parameters
    ----------
    job : Job
    device : Device
        Its link, word lengths, number and rate of converters: see `thermolinalg.Device`.
    replicas : int
        Copies that hold the same matrix and run side by side; they share the link and the converters.
    broadcast : bool
        One transfer programs all replicas.
    loaded : bool
        The matrix is there already.

    Returns
    -------
    dict
        Seconds of load (the matrix), relax, integrate, convert (right-hand sides in, answers out).

    Raises
    ------
    ValueError
        replicas < 1.

    Examples
    --------
    >>> job = dense_solve(1000, 40.0, 10.0, columns=8)
    >>> slow = Device.tngd(n_converters=10, sample_rate=1e7)
    >>> {part: round(seconds * 1e6) for part, seconds in complete_parts(job, slow, replicas=4, broadcast=True).items()}
    {'load': 10000, 'relax': 80, 'integrate': 20, 'convert': 160}
    """
    if replicas < 1:
        raise ValueError(f"replicas must be at least 1, got {replicas}")
    copies = 1 if broadcast else replicas
    cost = device.cost(
        copies * job.programmed, runs=math.ceil(job.runs / replicas), burn_in=job.burn_in, duration=job.averaging,
        n_inputs=job.inputs, n_outputs=job.outputs, n_chains=1, energies=(None, None, None), loaded=loaded,
    )  # fmt: skip
    vectors = device.load_seconds(0, job.inputs)
    return {
        "load": cost.load - vectors,
        "relax": cost.relax,
        "integrate": cost.integrate,
        "convert": cost.read + vectors,
    }


def compared(jobs: dict[str, Job], devices: dict[str, Device], *, replicas: int = 1) -> pd.DataFrame:
    """Both models on some jobs and devices.

    Parameters
    ----------
    jobs, devices : dict
        By name.
    replicas : int
        Of the complete model.

    Returns
    -------
    DataFrame
        job, model ("paper" or the name of the device), part, seconds, share (of the job's seconds).

    Examples
    --------
    >>> table = compared({"d = 1000": dense_solve(1000, 40.0, 10.0)}, {"complete": Device.tngd()})
    >>> sorted(table.model.unique()), len(table)
    (['complete', 'paper'], 8)
    """
    rows = []
    for name, job in jobs.items():
        models = {"paper": paper_parts(job)}
        models |= {label: complete_parts(job, device, replicas=replicas) for label, device in devices.items()}
        for model, parts in models.items():
            total = sum(parts.values())
            rows += [
                {"job": name, "model": model, "part": part, "seconds": s, "share": s / total}
                for part, s in parts.items()
            ]  # fmt: skip
    return pd.DataFrame(rows)
