"""Figure of Aifer et al., Error Mitigation for Thermodynamic Computing, arXiv:2401.16231."""

import numpy as np
from matplotlib.lines import Line2D

from paper_repro.aifer2024_mitigation.run import TABLES
from paper_repro.aifer2024_mitigation.settings import SCALES

from .catalogue import FigureSpec
from .style import BLACK, BLUE, GREEN, GREY, ORANGE, RED, panels

METHODS = {
    "single": ("one rounding", ORANGE, "o"),
    "random": ("8 random roundings merged", GREY, "v"),
    "merged": ("ensemble with mean A merged", BLUE, "s"),
    "corrected": ("the same, known bias removed", GREEN, "D"),
}
PROBLEMS = {"inv": "inverse", "solve": "linear system"}


def draw_mitigation(table):
    """Inverse and linear system against bits, at the largest size; the board of eight cells."""
    figure, axes = panels(1, 3, height=3.5, width=3.2)
    bits = table[table.section == "bits"]
    d, small = bits.d.max(), bits.d.min()
    for ax, (problem, title) in zip(axes[0], PROBLEMS.items(), strict=False):
        _draw_bits(ax, bits[(bits.problem == problem) & (bits.d == d)])
        ax.set(title=f"{title}, d = {d}", xlabel="bits of a component", yscale="log")
    axes[0, 0].set_ylabel("relative error")
    _draw_powers(axes[0, 0], bits[(bits.problem == "inv") & (bits.d == d)])
    _draw_smaller(axes[0, 0], bits[(bits.problem == "inv") & (bits.d == small)], small)
    _draw_board(axes[0, 2], table[table.section == "board"])
    handles = [Line2D([], [], color=c, marker=m, lw=0, label=label) for label, c, m in METHODS.values()]
    handles.append(Line2D([], [], color=BLACK, lw=1.0, label="prediction"))
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), columnspacing=1.2)
    return figure


def _draw_bits(ax, table):
    for method, (_, colour, marker) in METHODS.items():
        rows = table[table.method == method].dropna(subset="error")
        ax.plot(rows.bits, rows.predicted, color=BLACK, lw=1.0)
        ax.fill_between(rows.bits, rows.low, rows.high, color=colour, alpha=0.25, lw=0)
        ax.plot(rows.bits, rows.error, color=colour, marker=marker, lw=0)


def _draw_powers(ax, table):
    """How much a bit wins, compared with the two laws."""
    for method, text, shift in (("single", "a bit: half", (4, 8)), ("merged", "a bit: a quarter", (-7, -3))):
        rows = table[table.method == method].dropna(subset="error")
        at = rows.iloc[len(rows) // 2 - 1]
        ax.annotate(text, (at.bits, at.error), xytext=shift, textcoords="offset points", fontsize=8,
                    ha="left" if shift[0] > 0 else "right", color=METHODS[method][1])  # fmt: skip


def _draw_smaller(ax, table, d):
    for method in ("single", "merged"):
        rows = table[table.method == method].dropna(subset="error")
        ax.plot(rows.bits, rows.error, color=METHODS[method][1], lw=0.9, ls=":")
    ax.text(0.03, 0.03, f"dotted: d = {d}", transform=ax.transAxes, fontsize=8)


def _draw_board(ax, table):
    for mismatch, style in zip(sorted(table.mismatch.unique()), ("-", "--"), strict=False):
        for method in ("single", "merged"):
            rows = table[(table.mismatch == mismatch) & (table.method == method)].dropna(subset="error")
            _, colour, marker = METHODS[method] if method == "single" else METHODS["random"]
            full = {"mfc": "white"} if mismatch else {}
            ax.plot(rows.bits, rows.error, color=colour, marker=marker, ls=style, lw=1.0, **full)
            if not mismatch:
                ax.fill_between(rows.bits, rows.low, rows.high, color=colour, alpha=0.2, lw=0)
    reads, largest = int(table.reads.iloc[0]), table.mismatch.max()
    ax.set(yscale="log", xlabel="bits of a capacitor", title=f"8 LC cells, {reads} reads")
    ax.set_xticks(np.unique(table.bits))
    ax.axhspan(0.25, 0.31, color=RED, alpha=0.2, lw=0)
    ax.annotate("board as published", (0.97, 0.28), xycoords=("axes fraction", "data"), ha="right", va="center",
                color=RED, fontsize=8)  # fmt: skip
    ax.text(0.03, 0.03, f"hollow: capacitors off by {largest:.0%}", transform=ax.transAxes, fontsize=8)


FIGURES = (
    FigureSpec(
        id="mitigation_bits",
        paper="aifer2024_mitigation",
        table=TABLES["mitigation_bits"],
        settings={scale: tables["mitigation_bits"] for scale, tables in SCALES.items()},
        draw=draw_mitigation,
        look="One rounding leaves an error that halves with every bit; a merged ensemble whose mean is the matrix "
        "leaves one that falls to a quarter, as predicted, and what is left can be removed; merging random roundings "
        "stays linear.",
        note="Wishart matrices with 2d degrees of freedom. Left and middle: errors of exact inverses of what is "
        "programmed; dots: medians over matrices, bands: 10 to 90 % quantiles; where dots are missing a rounded matrix "
        "is not positive definite: members of an ensemble err more than the nearest rounding, so that it needs more "
        "bits. Lines: rms to first order; A^-1 E[dA A^-1 dA] A^-1 of the ensemble. Right: eight LC "
        "cells with rounded capacitors, noise of the reads included, one programming against eight random ones of an "
        "eighth of the reads each. Red: error of the board without mitigation as a third party reads the "
        "publication; how imprecise its capacitors are is not known.",
    ),
)
