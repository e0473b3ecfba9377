"""What there is to draw: the record of one figure and the list of all."""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ORDER = (  # of the gallery
    "aifer2024", "duffield2025", "melanson2025", "aifer2024_mitigation", "donatella2024", "donatella2025", "you2026",
    "this_work",
)  # fmt: skip
PAPERS = tuple(name for name in ORDER if (Path(__file__).parent / f"{name}.py").exists())


@dataclass(frozen=True, kw_only=True)
class FigureSpec:
    """One figure: how its table is computed, how it is drawn, what to see in it.

    Attributes
    ----------
    id : str
        Unique name; also that of its files.
    paper : str
        The drawing module and the folder in `paper_repro`; "this_work": comparisons of our own.
    table : callable
        (settings, seed sequence) to a tidy table.
    settings : dict
        Settings of each scale.
    draw : callable
        Table to matplotlib Figure.
    timed : bool
        Whether it measures time on this machine: then it runs alone, and its bytes vary from measurement to
        measurement.
    look : str
        One sentence: what to see.
    note : str
        How it was made.
    """

    id: str
    paper: str
    table: Callable
    settings: dict
    draw: Callable
    look: str
    note: str
    timed: bool = False


def all_figures() -> dict[str, FigureSpec]:
    """All figures by id, in the order of the gallery."""
    figures = [spec for paper in PAPERS for spec in importlib.import_module(f"figures.{paper}").FIGURES]
    return {spec.id: spec for spec in figures}


def select(names) -> list[FigureSpec]:
    """The figures of these papers and ids; all for none. Raises ValueError, with what is known, for a stranger."""
    figures = all_figures()
    unknown = [name for name in names if name not in figures and name not in PAPERS]
    if unknown:
        raise ValueError(
            f"unknown paper or figure: {', '.join(unknown)}; "
            f"known papers: {', '.join(PAPERS)}; known figures: {', '.join(figures)}"
        )
    return [spec for spec in figures.values() if not names or spec.id in names or spec.paper in names]
