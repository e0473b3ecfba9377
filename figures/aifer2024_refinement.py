"""Figure of Aifer et al., arXiv:2308.05660, on refinement: a digital residual makes accuracy cost its logarithm."""

import numpy as np
from matplotlib.lines import Line2D

from paper_repro.aifer2024.run import TABLES
from paper_repro.aifer2024.settings import SCALES

from .catalogue import FigureSpec
from .style import BLACK, BLUE, GREY, ORANGE, ordered_colours, panels

HIGHEST = 30.0  # error that is still drawn
STALL = 1.0  # contraction from which on refinement makes no progress


def draw_refinement(table):
    """Error against time; what a round wins against noise; what a round wins against bits."""
    figure, axes = panels(1, 3, height=3.5, width=3.3)
    sections = dict(list(table.groupby("section")))
    kappas = sorted(sections["noise"].kappa.unique())
    colours = dict(zip(kappas, ordered_colours(len(kappas)), strict=True))
    _draw_against_time(axes[0, 0], sections["time"])
    _draw_against_noise(axes[0, 1], sections["noise"], colours)
    _draw_against_bits(axes[0, 2], sections["bits"], colours)
    handles = [Line2D([], [], color=c, marker="o", lw=0, label=rf"$\kappa$ = {k:g}") for k, c in colours.items()]
    handles.append(Line2D([], [], color=BLACK, lw=1.1, label="prediction, nothing fitted"))
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))
    return figure


def _draw_against_time(ax, table):
    series = dict(list(table.groupby("series")))
    averaging = series.pop("averaging")
    theory, planned = series.pop("theory"), series.pop("planned")
    ax.plot(theory.seconds, theory.error, color=BLACK, lw=1.1)
    ax.plot(averaging.seconds, averaging.error, color=BLUE, marker="o", lw=0)
    ax.annotate("averaging", (averaging.seconds.iloc[-1], averaging.error.iloc[-1]), color=BLUE, ha="right",
                xytext=(0, 14), textcoords="offset points", fontsize=8)  # fmt: skip
    names = sorted(series, key=lambda name: -int(name.split()[0]))
    for name, colour in zip(names, ("#A63603", ORANGE, "#FDBE85", GREY), strict=False):
        rows = series[name]
        ax.fill_between(rows.seconds, rows.low, rows.high, color=colour, alpha=0.25, lw=0)
        ax.plot(rows.seconds, rows.error, color=colour, marker=".")
        end = rows[rows.error < HIGHEST].iloc[-1]
        ax.annotate(name, (end.seconds, end.error), color=colour, xytext=(5, 0), va="center",
                    textcoords="offset points", fontsize=8)  # fmt: skip
    ax.plot(planned.seconds, planned.error, color=BLACK, marker="x", lw=0, ms=5)
    ax.annotate("$\\times$ planned to a tolerance", (0.97, 0.03), xycoords="axes fraction", ha="right", fontsize=8)
    kappa = table.kappa.iloc[0]
    ax.set(xscale="log", yscale="log", ylim=(1e-13, HIGHEST), xlabel="device time [s]", ylabel="relative error of $x$")
    ax.set_title(rf"refinement against averaging, $\kappa$ = {kappa:g}")


def _draw_against_noise(ax, table, colours):
    for kappa, colour in colours.items():
        rows = table[table.kappa == kappa]
        ax.errorbar(rows.duration, rows.contraction, _bars(rows), color=colour, marker="o", lw=0, elinewidth=1.0)
    ax.plot(rows.duration, rows.predicted, color=BLACK, lw=1.1)
    ax.set(xscale="log", yscale="log", xlabel=r"averaging in a round, $\beta\tau$ [$RC$]")
    ax.set(title="noise: what a round leaves", ylabel="residual after / before a round")
    middle = len(rows) // 2
    ax.annotate(r"$\sqrt{2 / \beta\tau}$", (rows.duration.iloc[middle], rows.predicted.iloc[middle]), xytext=(6, 8),
                textcoords="offset points")  # fmt: skip


def _draw_against_bits(ax, table, colours):
    ax.axhspan(STALL, 10.0, color=GREY, alpha=0.2, lw=0)
    ax.text(0.97, 0.97, "stalls or diverges", transform=ax.transAxes, ha="right", va="top", color="#555555", fontsize=8)
    for kappa, height in zip(table.kappa.unique(), (6.0, 3.0), strict=False):
        rows, colour = table[table.kappa == kappa], colours[kappa]
        ax.plot(rows.bits, rows.predicted, color=colour, lw=1.1)
        ax.errorbar(rows.bits, rows.contraction, _bars(rows), color=colour, marker="o", lw=0, elinewidth=1.0)
        broken = rows[rows.predicted.isna()]
        ax.plot(broken.bits, np.full(len(broken), height), color=colour, marker="x", lw=0, ms=6)
    ax.set(yscale="log", ylim=(2e-4, 10.0), xlabel=r"bits of $A$  ($\times$: $A_q$ not definite)")
    ax.set(title="rounding: what a round leaves", ylabel="residual after / before a round")


def _bars(rows):
    return np.array([rows.contraction - rows.low, rows.high - rows.contraction])


FIGURES = (
    FigureSpec(
        id="refinement_vs_averaging",
        paper="aifer2024",
        table=TABLES["refinement_vs_averaging"],
        settings={scale: tables["refinement_vs_averaging"] for scale, tables in SCALES.items()},
        draw=draw_refinement,
        look="Averaging buys a digit with a hundred times the time; refinement with a digital residual buys ten "
        "digits in a millisecond, down to the word length at which the rounded matrix is no longer close enough.",
        note="Eigenvalues evenly spaced in the logarithm, b of independent normal entries, beta = 1 (right: a cold "
        "device, beta = 1e6, so that rounding is what is seen). Device time counts load, burn-in, averaging and reads "
        "of every round, not the residual on the host (2 d^2 operations a round). Averaging runs on an ideal matrix: "
        "rounding would end it at a floor. Crosses on the left: tl.solve(refine=True, rtol=...), which plans its own "
        "rounds. Lines on the right: spectral radius of (A_q - A) A_q^-1. Dots: medians of runs, bars: 10 to 90 % "
        "quantiles. Refinement is not in the paper: it is an addition.",
    ),
)
