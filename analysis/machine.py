"""The machine that numbers were computed on."""

import os
import platform
from importlib.metadata import version
from pathlib import Path

import threadpoolctl

PACKAGES = ("numpy", "scipy", "numba", "pandas", "matplotlib", "seaborn")


def environment() -> dict:
    """Versions, BLAS and its threads, processor.

    Examples
    --------
    >>> sorted(environment())
    ['blas', 'cpu', 'versions']
    """
    blas = [
        {"library": pool["internal_api"], "version": pool["version"], "threads": pool["num_threads"]}
        for pool in threadpoolctl.threadpool_info()
    ]
    return {
        "versions": {"python": platform.python_version()} | {name: version(name) for name in PACKAGES},
        "blas": blas,
        "cpu": {"model": processor(), "cores": os.cpu_count(), "load_average": os.getloadavg()[0]},
    }


def processor() -> str:
    """Name of the CPU."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def timing_name() -> str:
    """What measured times are taken to depend on: the processor, its cores and the system's name for the machine."""
    return f"{processor()}, {os.cpu_count()} cores, {platform.node()}"
