"""The figure of Duffield et al., Thermodynamic Matrix Exponentials, arXiv:2311.12759."""

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from paper_repro.duffield2025.run import MEASURES, TABLES
from paper_repro.duffield2025.settings import SCALES

from .catalogue import FigureSpec
from .style import BLACK, BLUE, GREY, ORANGE, ordered_colours, panels

FAMILIES = {"Wishart": "Wishart A", "orthogonal": "orthogonal A, shifted"}
ERRORS = {
    "absolute": r"error $\|C - e^{-A}\|_F$",
    "relative": r"error over $\|e^{-A}\|_F$",
}
# colour, marker, power law, corner in which it stands
CROSSINGS = {
    "absolute": (BLUE, "o", r"absolute error: $\propto d^2$", {"xy": (0.98, 0.04), "ha": "right", "va": "bottom"}),
    "relative": (ORANGE, "s", r"relative error: $\propto d$", {"xy": (0.03, 0.97), "ha": "left", "va": "top"}),
}
TIME = "device time [µs]"


def draw_exponential_error(table):
    """A row for each family: absolute and relative error against time, and the crossing times against d."""
    families = list(table.family.unique())
    figure, axes = panels(len(families), 3, height=2.8, width=3.3)
    for row, family in zip(axes, families, strict=True):
        of_family = table[table.family == family]
        for ax, measure in zip(row, MEASURES, strict=False):
            _draw_curves(ax, of_family[of_family.measure == measure])
            ax.set(title=f"{FAMILIES[family]}: {measure} error", ylabel=ERRORS[measure])
        _draw_crossings(row[2], of_family[of_family.series == "crossing"])
        row[2].set_title(f"{FAMILIES[family]}: time to threshold")
    for ax, label in zip(axes[-1], (TIME, TIME, "d"), strict=True):
        ax.set_xlabel(label)
    handles = _legend(table)
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), columnspacing=1.4)
    return figure


def _draw_curves(ax, rows):
    """Error against time for each size, and where it crosses the threshold."""
    sizes = sorted(rows.d.unique())
    crossings = rows[rows.series == "crossing"].set_index("d")
    threshold = crossings.error.iloc[0]
    ax.axhline(threshold, color=BLACK, lw=1.0, ls="--")
    ax.annotate(
        f"threshold {threshold:g}", (0.01, threshold), (0, -3), xycoords=("axes fraction", "data"),
        textcoords="offset points", va="top", fontsize=8,
    )  # fmt: skip
    for d, colour in zip(sizes, ordered_colours(len(sizes)), strict=True):
        curve = rows[(rows.d == d) & (rows.series == "error")]
        low, high = curve.error - curve.error_sd, curve.error + curve.error_sd
        ax.fill_between(curve.time, low, high, color=colour, alpha=0.25, lw=0)
        ax.plot(curve.time, curve.error, color=colour)
        ax.plot(curve.time, curve.error_theory, color=BLACK, lw=0.8, ls=":")
        ax.plot(crossings.time[d], crossings.error[d], color=colour, marker="o", ms=6, mec=BLACK, mew=0.8, lw=0)
    ax.set(xscale="log", yscale="log")


def _draw_crossings(ax, rows):
    """Crossing time against d: repeats, theory, published, and the power law of each measure."""
    for measure, (colour, marker, label, place) in CROSSINGS.items():
        found = rows[rows.measure == measure].sort_values("d")
        ax.plot(found.d, found.time_theory, color=colour, lw=1.2)
        ax.errorbar(found.d, found.time, found.time_sd, color=colour, marker=marker, ms=5, lw=0, elinewidth=1.5)
        ax.plot(found.d, found.time_published, color=BLACK, marker="x", ms=9, mew=1.3, lw=0)
        ax.annotate(label, xycoords="axes fraction", color=colour, **place)
    sizes = np.sort(rows.d.unique())
    ax.set(xscale="log", yscale="log", ylabel="crossing time [µs]", xlim=(sizes[0] / 1.3, sizes[-1] * 1.3))
    ax.set_xticks(sizes, [str(d) for d in sizes])
    ax.minorticks_off()


def _legend(table):
    sizes = sorted(table.d.unique())
    colours = ordered_colours(len(sizes))
    handles = [Line2D([], [], color=c, label=f"d = {d}") for d, c in zip(sizes, colours, strict=True)]
    handles += [
        Patch(color=GREY, alpha=0.4, lw=0, label="± 1 sd of repeats"),
        Line2D([], [], color=BLACK, lw=0.8, ls=":", label="theory, nothing fitted"),
        Line2D([], [], color=BLACK, marker="x", ms=8, mew=1.3, lw=0, label="published crossing"),
    ]
    return handles


FIGURES = (
    FigureSpec(
        id="exponential_error_vs_time",
        paper="duffield2025",
        table=TABLES["exponential_error_vs_time"],
        settings={scale: tables["exponential_error_vs_time"] for scale, tables in SCALES.items()},
        draw=draw_exponential_error,
        look="The time to a fixed absolute error of a matrix exponential grows as d^2, to a fixed relative error as d; "
        "crosses are the published times. The thresholds are loose: the relative one is 90 % of the answer's norm.",
        note="One trajectory from x = 0, a read each 12 µs, C the mean of the products of successive reads, times "
        "e^alpha. Lines and bands: mean and one standard deviation over repeats, each with a matrix of its own. "
        "Dotted, and lines on the right: exact theory for these matrices and this start. Crosses: crossing times of "
        "the published figure (known for the Wishart family only). Time is simulated physical time of the averaging "
        "alone: loading and reading out are not counted.",
    ),
)
