"""From a figure's record to its four files: png, pdf, csv and the json that says how they came about.

The table is taken from the results cache if it is there; the files are left alone if nothing they depend on changed.
"""

import hashlib
import inspect
import io
import json
import subprocess
import time
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

from analysis.keys import REPRODUCTIONS, ROOT, digest, key_of, plain
from analysis.machine import environment
from analysis.results_cache import active, write_whole
from analysis.sweeps import remember
from paper_repro.command import seed_of

from .catalogue import FigureSpec
from .style import house_style

HERE = Path(__file__).resolve().parent
METADATA = {"png": {"Software": None}, "pdf": {"CreationDate": None}}  # what would make the bytes vary
DRAWING = ("style.py", "produce.py")
DRAWN_WITH = ("matplotlib", "seaborn", "pandas")


@dataclass(frozen=True, kw_only=True)
class Job:
    """What all figures of one command have in common."""

    command: str
    scale: str
    seed: int
    out: Path
    commit: dict


def produce(spec: FigureSpec, job: Job) -> str:
    """Compute, draw and write one figure, as far as that is not done; in a word, what was done."""
    seed, settings = seed_of(spec.id, job.seed), spec.settings[job.scale]
    cache = active()
    key = key_of(spec.table, settings, seed, figure=spec.id, timed=cache.timed)
    picture_key = drawing_key(spec, key, job.scale)
    if not cache.fresh and is_made(spec.id, job.out, picture_key):
        return "unchanged"
    known = cache.read(key) is not None
    made = remember(cache, key, lambda: compute(spec, settings, seed, job))
    table = made.pop("table")
    csv = table.to_csv(index=False, lineterminator="\n").encode()
    files = render(spec.draw, table) | {"csv": csv}
    sidecar = {
        "figure": spec.id, "paper": spec.paper, "look": spec.look, "note": spec.note, "command": job.command,
        "scale": job.scale, "settings": asdict(settings), "seed": job.seed, "seed_entropy": seed.entropy,
        "spawn_key": list(seed.spawn_key), "measures_time": spec.timed, "git": job.commit, **made, "table_key": key,
        "picture_key": picture_key, "csv_sha256": sha256(csv), "png_sha256": sha256(files["png"]),
        "pdf_sha256": sha256(files["pdf"]),
    }  # fmt: skip
    files["json"] = (json.dumps(sidecar, indent=1) + "\n").encode()  # the last to be written: it vouches for the others
    for suffix, content in files.items():
        write_whole(job.out / f"{spec.id}.{suffix}", content)
    return "drawn from the cache" if known else "computed"


def compute(spec: FigureSpec, settings, seed, job: Job) -> dict:
    """The table and how it was computed."""
    wall, cpu = time.perf_counter(), time.process_time()
    table = spec.table(settings, seed)
    spent = {"wall_seconds": time.perf_counter() - wall, "cpu_seconds": time.process_time() - cpu}
    computed = {"command": job.command, "git": job.commit}
    return {"table": table, "computed": computed, **environment(), **spent}


def drawing_key(spec: FigureSpec, table_key: str, scale: str) -> str:
    """Key of the files: of the table, its scale, what draws it, and the paper's sources, which drawings may use."""
    files = [HERE / name for name in DRAWING] + sorted(HERE.glob(f"{spec.paper}*.py"))
    files += sorted((ROOT / REPRODUCTIONS / spec.paper).rglob("*.py"))
    own = Path(inspect.getfile(spec.draw)).read_bytes()
    facts = [table_key, digest(files), sha256(own), plain([spec.look, spec.note, scale])]
    return sha256(json.dumps(facts + [version(name) for name in DRAWN_WITH]).encode())


def is_made(name: str, out: Path, picture_key: str) -> bool:
    """Whether the files of a figure are those of this key, and whole."""
    try:
        sidecar = json.loads((out / f"{name}.json").read_text())
        if sidecar["picture_key"] != picture_key:
            return False
        suffixes = (*METADATA, "csv")
        return all(sha256((out / f"{name}.{end}").read_bytes()) == sidecar[f"{end}_sha256"] for end in suffixes)
    except (OSError, ValueError, KeyError):
        return False


def sha256(content: bytes) -> str:
    """In hexadecimal."""
    return hashlib.sha256(content).hexdigest()


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


def git_state(folder: Path) -> dict:
    """Commit of the checkout and whether it was changed since; None where there is no git."""

    def git(*arguments):
        return subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=True).stdout

    try:
        return {"commit": git("rev-parse", "HEAD").strip(), "dirty": bool(git("status", "--porcelain").strip())}
    except (OSError, subprocess.CalledProcessError):
        return {"commit": None, "dirty": None}
