"""Figures of Melanson et al., Thermodynamic Computing System for AI Applications, arXiv:2312.04836."""

import numpy as np
from matplotlib.lines import Line2D

from paper_repro.melanson2025.run import TABLES
from paper_repro.melanson2025.settings import PUBLISHED_ERRORS, PUBLISHED_READS, SCALES
from paper_repro.melanson2025.verdicts import crossing, pairs

from .catalogue import FigureSpec
from .style import BLACK, BLUE, GREEN, GREY, ORANGE, RED, SKY, ordered_colours, panels

# -- Gaussian sampling

READS = {"independent": (BLUE, "o"), "1 RC apart": (ORANGE, "s")}


def draw_sampling(table):
    """Error of the covariance against samples and against time; entries in volts."""
    figure, axes = panels(1, 3, height=3.2, width=3.0)
    samples, entries = (table[table.section == section] for section in ("samples", "entries"))
    for ax, argument in zip(axes[0], ("n", "time"), strict=False):
        for reads, (colour, marker) in READS.items():
            rows = samples[samples.reads == reads]
            ax.fill_between(rows[argument], rows.low, rows.high, color=colour, alpha=0.2, lw=0)
            ax.plot(rows[argument], rows.error, color=colour, marker=marker, lw=0)
        ax.set(xscale="log", yscale="log")
    law = samples[samples.reads == "independent"]
    axes[0, 0].plot(law.n, law.theory, color=BLACK, lw=1.1)
    axes[0, 0].set(xlabel="samples", ylabel="relative error of the covariance", title="by samples")
    axes[0, 1].set(xlabel="device time [$RC$ = 1 µs]", title="by time")
    _draw_entries(axes[0, 2], entries)
    handles = [Line2D([], [], color=c, marker=m, lw=0, label=label) for label, (c, m) in READS.items()]
    handles[0].set_label("five relaxation times apart")
    handles.append(Line2D([], [], color=BLACK, lw=1.1, label="law of independent samples (left), equality (right)"))
    figure.legend(handles=handles, loc="outside lower center", ncols=3)
    return figure


def _draw_entries(ax, table):
    ends = np.array([0.0, 1.1e3 * table.predicted.max()])
    ax.plot(ends, ends, color=BLACK, lw=1.1)
    for name, colour, rows in (("variances", BLUE, table[table.i == table.j]),
                               ("covariances", SKY, table[table.i != table.j])):  # fmt: skip
        ax.errorbar(1e3 * rows.predicted, 1e3 * rows.measured, 1e3 * rows.stderr, color=colour, marker="o", ms=3.5,
                    lw=0, elinewidth=1.0, label=name)  # fmt: skip
    ax.set(xlabel=r"$\kappa_0 R\, C^{-1}$ [$10^{-3}$ V$^2$]", ylabel=r"measured [$10^{-3}$ V$^2$]")
    ax.set_title(f"voltages, {PUBLISHED_READS} reads")
    ax.legend(loc="upper left")


# -- inversion and large devices

SERIES = {
    "CPU, measured": {"color": BLACK, "marker": "o", "lw": 0, "ms": 4},
    "CPU, extrapolated": {"color": BLACK, "lw": 1.0, "ls": ":"},
    "GPU at 50% of its peak": {"color": GREY, "lw": 1.6},
    "GPU at 10% of its peak": {"color": GREY, "lw": 1.2, "ls": "--"},
    "device, a sample each RC": {"color": BLUE, "lw": 1.6},
    "device, independent samples": {"color": GREEN, "lw": 1.6},
}


def draw_inversion(table):
    """Error of an inverse by imprecision; time and energy of sampling against d."""
    figure, axes = panels(1, 3, height=3.6, width=3.1)
    _draw_board(axes[0, 0], table[table.section == "error"])
    scaling = table[table.section == "scaling"]
    for ax, column, label in zip(axes[0, 1:], ("seconds", "joule"), ("time [s]", "energy [J]"), strict=True):
        for name, style in SERIES.items():
            rows = scaling[scaling.series == name].dropna(subset=column)
            ax.plot(rows.d, rows[column], **style)
        ax.set(xscale="log", yscale="log", xlabel="dimension $d$", ylabel=label)
    samples = int(table.value[table.name == "samples"].iloc[0])
    axes[0, 1].set_title(f"time for {samples} samples")
    axes[0, 2].set_title(f"energy for {samples} samples")
    _mark_crossings(axes[0, 1], table)
    handles = [Line2D([], [], label=name, **style) for name, style in SERIES.items()]
    figure.legend(handles=handles, loc="outside lower center", ncols=3)
    return figure


def _draw_board(ax, table):
    mismatches = sorted(table.mismatch.unique())
    for mismatch, colour in zip(mismatches, ordered_colours(len(mismatches)), strict=True):
        rows = table[table.mismatch == mismatch]
        ax.fill_between(rows.n, rows.low, rows.high, color=colour, alpha=0.15, lw=0)
        ax.plot(rows.n, rows.predicted, color=colour, lw=1.1)
        ax.plot(rows.n, rows.error, color=colour, marker="o", lw=0)
        end = rows.iloc[-1]
        text = f"off by {mismatch:.0%}" if mismatch else "exact"
        ax.annotate(text, (end.n, end.error), xytext=(6, 0), va="center", textcoords="offset points", color=colour,
                    fontsize=8)  # fmt: skip
    ax.vlines(PUBLISHED_READS, *PUBLISHED_ERRORS, color=RED, lw=6)
    ax.annotate("published", (PUBLISHED_READS, PUBLISHED_ERRORS[1]), xytext=(0, 4), textcoords="offset points",
                ha="center", color=RED, fontsize=8)  # fmt: skip
    ax.set(xscale="log", yscale="log", xlabel="samples", ylabel="relative error of the inverse")
    ax.set(title="8 x 8 board, by its capacitors", xlim=(0.8 * table.n.min(), 8.0 * table.n.max()))


def _mark_crossings(ax, table):
    rows = table[table.section == "scaling"].set_index(["series", "d"]).seconds
    for device, rival in pairs(table).values():
        d = crossing(table, device, rival)
        if np.isfinite(d):
            curve = rows[device]
            ax.plot(d, np.interp(d, curve.index, curve), color=RED, marker="o", mfc="none", ms=9, lw=0)
            ax.annotate(f"d = {d:.0f}", (d, np.interp(d, curve.index, curve)), xytext=(0, -16), ha="center",
                        textcoords="offset points", color=RED, fontsize=8)  # fmt: skip


def _settings(name: str) -> dict:
    return {scale: tables[name] for scale, tables in SCALES.items()}


FIGURES = (
    FigureSpec(
        id="spu_sampling",
        paper="melanson2025",
        table=TABLES["spu_sampling"],
        settings=_settings("spu_sampling"),
        draw=draw_sampling,
        look="The simulated board draws Gaussian samples as good as independent ones; read every RC they are hardly "
        "worse each, and reach an error many times sooner.",
        note="Eight LC cells with random capacitors, components of our choice, state drawn from the exact law. "
        "Dots: rms over boards, bands: 10 to 90 % quantiles; line: sqrt((tr^2 + F^2) / n) / F with trace and Frobenius "
        "norm of the covariance. Right: one board, bars are standard errors.",
    ),
    FigureSpec(
        id="spu_inversion",
        paper="melanson2025",
        table=TABLES["spu_inversion"],
        settings=_settings("spu_inversion"),
        draw=draw_inversion,
        timed=True,
        look="After 12 000 samples noise alone leaves 2 to 3 %: an error as large as published takes grossly wrong "
        "capacitors. Where a device overtakes a GPU rests on the wait between samples and on how much of its peak the "
        "GPU reaches: near d = 3000 at one tenth, not before 10 000 at one half.",
        note="Left: dots are medians over boards, bands 10 to 90 % quantiles, lines the law of independent samples and "
        "what wrong capacitors leave, in quadrature; red: as a third party reads the publication. Middle and right: "
        "the CPU is the one named in the json file, in float64. Device and GPU are models, whose constants are in the "
        "csv file: 1 us, 50 Gb/s, 16 bits, a 12 MHz converter of 200 uW and 3 uW of core for each cell, 10 pJ a bit on "
        "the link; 38.7 Tflop/s and 300 W, nothing but operations counted.",
    ),
)
