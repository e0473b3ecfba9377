"""The pages of a gallery: README.md, every figure that is there with what to see in it, and claims.md."""

import importlib
import json
import re
from pathlib import Path

from analysis.results_cache import write_whole
from paper_repro.claims import NO_EVIDENCE, as_markdown

HEAD = """# Gallery

Written by `python -m figures`. The numbers behind each picture are in its csv file, how it was made in its json file.
[What the papers claim, and what of it holds](claims.md)
"""


def write_pages(specs, claims, out: Path, scale: str) -> None:
    """Both pages.

    Parameters
    ----------
    specs : collection of FigureSpec
        All figures, in the order of the gallery; those that are not there are left out.
    claims : DataFrame
        From `paper_repro.claims.ledger`.
    out : path
    scale : str
    """
    made = {spec.id: facts for spec in specs if (facts := _facts(out / f"{spec.id}.json")) is not None}
    papers: dict[str, list] = {}
    for spec in specs:
        if spec.id in made:
            papers.setdefault(spec.paper, []).append(spec)
    lines = [HEAD, *([NO_EVIDENCE, ""] if scale == "smoke" else [])]
    for paper, group in papers.items():
        links = ", ".join(f"[{spec.id}](#{spec.id})" for spec in group)
        lines.append(f"- [{title(paper)}](#{paper}): {links}")
    lines.append("")
    for paper, group in papers.items():
        lines += [f'<a id="{paper}"></a>', "", f"## {title(paper)}", ""]
        for spec in group:
            lines += _entry(spec, made[spec.id])
    write_whole(out / "README.md", "\n".join(lines).encode())
    write_whole(out / "claims.md", as_markdown(claims, scale).encode())


def title(paper: str) -> str:
    """What a drawing module says it draws: its first sentence without "Figures of" and the full stop."""
    first = (importlib.import_module(f"figures.{paper}").__doc__ or paper).splitlines()[0].split(". ")[0]
    return re.sub(r"^(The )?[Ff]igures? of ", "", first).rstrip(".")


def _facts(sidecar: Path) -> dict | None:
    try:
        return json.loads(sidecar.read_text())
    except FileNotFoundError:
        return None


def _entry(spec, made: dict) -> list[str]:
    links = ", ".join(f"[{suffix}]({spec.id}.{suffix})" for suffix in ("pdf", "csv", "json"))
    return [
        f"### {spec.id}", "", made["look"], "", f"![{spec.id}]({spec.id}.png)", "", made["note"], "",
        f"Scale {made['scale']}, seed {made['seed']}: {links}", "",
    ]  # fmt: skip
