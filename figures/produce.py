"""From a figure's record to its four files: png, pdf, csv and the json that says how they came about."""

import hashlib
import io
import json
import os
import platform
import subprocess
import time
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

import threadpoolctl

from paper_repro.command import seed_of

from .catalogue import FigureSpec
from .style import house_style

PACKAGES = ("numpy", "scipy", "numba", "pandas", "matplotlib", "seaborn")
INDEX_HEAD = """# Gallery

Written by `python -m figures`. The numbers behind each picture are in its csv file, how it was made in its json file.
"""
METADATA = {"png": {"Software": None}, "pdf": {"CreationDate": None}}  # what would make the bytes vary


@dataclass(frozen=True, kw_only=True)
class Job:
    """What all figures of one command have in common."""

    command: str
    scale: str
    seed: int
    out: Path
    commit: dict


def produce(spec: FigureSpec, job: Job) -> None:
    """Compute, draw and write one figure."""
    wall, cpu = time.perf_counter(), time.process_time()
    seed, settings = seed_of(spec.id, job.seed), spec.settings[job.scale]
    table = spec.table(settings, seed)
    csv = table.to_csv(index=False, lineterminator="\n").encode()
    pictures = render(spec.draw, table)
    sidecar = {
        "figure": spec.id, "paper": spec.paper, "look": spec.look, "note": spec.note, "command": job.command,
        "scale": job.scale, "settings": asdict(settings), "seed": job.seed, "seed_entropy": seed.entropy,
        "spawn_key": list(seed.spawn_key), "measures_time": spec.timed, "git": job.commit, **environment(),
        "wall_seconds": time.perf_counter() - wall, "cpu_seconds": time.process_time() - cpu,
        "csv_sha256": hashlib.sha256(csv).hexdigest(),
    }  # fmt: skip
    files = pictures | {"csv": csv, "json": (json.dumps(sidecar, indent=1) + "\n").encode()}
    for suffix, content in files.items():
        write_whole(job.out / f"{spec.id}.{suffix}", content)


def render(draw, table) -> dict[str, bytes]:
    """The picture in each format."""
    contents = {}
    with house_style():
        figure = draw(table)
        for suffix, metadata in METADATA.items():
            buffer = io.BytesIO()
            figure.savefig(buffer, format=suffix, metadata=metadata)
            contents[suffix] = buffer.getvalue()
    return contents


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that it is there whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        aside.write_bytes(content)
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)


def environment() -> dict:
    """Versions, BLAS and its threads, processor."""
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


def git_state(folder: Path) -> dict:
    """Commit of the checkout and whether it was changed since; None where there is no git."""

    def git(*arguments):
        return subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=True).stdout

    try:
        return {"commit": git("rev-parse", "HEAD").strip(), "dirty": bool(git("status", "--porcelain").strip())}
    except (OSError, subprocess.CalledProcessError):
        return {"commit": None, "dirty": None}


def write_index(specs, out: Path) -> None:
    """The README of a gallery: every figure that is there, with what to see in it."""
    lines = [INDEX_HEAD]
    for spec in specs:
        sidecar = out / f"{spec.id}.json"
        if not sidecar.exists():
            continue
        made = json.loads(sidecar.read_text())
        links = ", ".join(f"[{suffix}]({spec.id}.{suffix})" for suffix in ("pdf", "csv", "json"))
        lines += [f"## {spec.id}", "", made["look"], "", f"![{spec.id}]({spec.id}.png)", "", made["note"], ""]
        lines += [f"Scale {made['scale']}, seed {made['seed']}: {links}", ""]
    write_whole(out / "README.md", "\n".join(lines).encode())
