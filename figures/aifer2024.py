"""Figures of Aifer et al., Thermodynamic Linear Algebra, arXiv:2308.05660."""

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from paper_repro.aifer2024.run import TABLES
from paper_repro.aifer2024.settings import SCALES

from . import aifer2024_primitives, aifer2024_refinement, aifer2024_scaling
from .catalogue import FigureSpec
from .style import BLACK, BLUE, GREEN, GREY, ORANGE, RED, SKY, YELLOW, ordered_colours, panels, scientific

# -- linear systems: error against time


def draw_solve_error(table):
    """A panel for each size: relative error against time."""
    sizes = table.d.unique()
    figure, axes = panels(1, len(sizes), sharey=True, height=3.5)
    for ax, d in zip(axes[0], sizes, strict=True):
        _draw_size(ax, table[table.d == d])
        ax.set_xlabel("time [s]")
    axes[0, 0].set(ylabel=r"relative error $\|\hat x - x\| / \|x\|$", ylim=(1e-4, 2.0), yscale="log")
    figure.legend(handles=_solve_legend(), loc="outside lower center", ncols=7, columnspacing=1.2, handlelength=1.8)
    return figure


def _draw_size(ax, table):
    series = dict(list(table.groupby("series")))
    device, gradient = series["device"], series["conjugate gradient"]
    lead = series.get("device leads")
    if lead is not None:
        ax.axvspan(*lead.seconds, color=SKY, alpha=0.3, lw=0)
    ax.axhline(series["rounding floor"].error.item(), color=RED, lw=1.0, ls=":")
    ax.axvline(series["load"].seconds.item(), color=GREY, lw=1.0, ls=":")
    ax.axvline(series["Cholesky"].seconds.item(), color=ORANGE, ls="--")
    ax.step(gradient.seconds, gradient.error, where="post", color=BLACK)
    ax.plot(series["theory"].seconds, series["theory"].error, color=GREEN, lw=1.1)
    ax.fill_between(device.seconds, device.low, device.high, color=BLUE, alpha=0.25, lw=0)
    ax.plot(device.seconds, device.error, color=BLUE, marker="o", ms=3.5, lw=0)
    ax.set(xscale="log", xlim=(1e-6, 20.0), xticks=10.0 ** np.arange(-6, 2))
    ax.minorticks_off()
    ax.set_title(f"d = {table.d.iloc[0]}\n{_lead_text(lead)}")


def _lead_text(lead) -> str:
    if lead is None:
        return "device never leads"
    return "device leads from {} to {}".format(*map(_duration, lead.seconds))


def _duration(seconds: float) -> str:
    factor, unit = next(pair for pair in ((1.0, "s"), (1e-3, "ms"), (0.0, "µs")) if seconds >= pair[0])
    value = seconds / (factor or 1e-6)
    return f"{value:.0f} {unit}" if value >= 10 else f"{value:.2g} {unit}"


def _solve_legend():
    return [
        Line2D([], [], color=BLUE, marker="o", ms=3.5, lw=0, label="device (simulated)"),
        Line2D([], [], color=GREEN, lw=1.1, label=r"theory $\sqrt{2/\beta\tau}$"),
        Line2D([], [], color=BLACK, label="conjugate gradient (measured)"),
        Line2D([], [], color=ORANGE, ls="--", label="Cholesky (measured)"),
        Line2D([], [], color=GREY, lw=1.0, ls=":", label="matrix loaded"),
        Line2D([], [], color=RED, lw=1.0, ls=":", label="16-bit floor"),
        Patch(color=SKY, alpha=0.3, lw=0, label="device leads"),
    ]


# -- inverses: error against time

READOUTS = {
    "continuous": "one trajectory, integrated\n(path simulator)",
    "restarts": "independent reads, restarted each time\n(drawn from the law)",
}


def draw_inverse_error(table):
    """A panel for each way to read: relative error of the inverse against time, a colour for each kappa."""
    figure, axes = panels(1, 2, sharex=True, sharey=True, height=3.4, width=3.8)
    kappas = sorted(table.kappa.unique())
    for ax, (readout, title) in zip(axes[0], READOUTS.items(), strict=True):
        for kappa, colour in zip(kappas, ordered_colours(len(kappas)), strict=True):
            rows = table[(table.readout == readout) & (table.kappa == kappa)]
            ax.plot(rows.time, rows.theory, color=colour, lw=1.2)
            ax.plot(rows.time, rows.error, color=colour, marker="o", lw=0, label=f"{kappa:g}")
            ax.vlines(rows.time, rows.low, rows.high, color=colour, lw=2.5, alpha=0.4)
        ax.set(title=title, xlabel=r"device time, burn-in included [$RC$ = 1 µs]", xscale="log", yscale="log")
    axes[0, 0].set_ylabel(r"relative error $\|\widehat{A^{-1}} - A^{-1}\|_F / \|A^{-1}\|_F$")
    handles, labels = axes[0, 0].get_legend_handles_labels()
    handles += [Line2D([], [], color=GREY, lw=1.2)]
    figure.legend(handles, [rf"$\kappa$ = {label}" for label in labels] + ["theory"], loc="outside right center")
    return figure


# -- real matrices: time and energy to a given error

TIMES = {
    "total": ("device, all together", BLUE, "o"),
    "load": ("load", GREY, "s"),
    "relax": ("relax", SKY, "^"),
    "integrate": ("integrate", YELLOW, "D"),
    "cholesky": ("Cholesky, exact (measured)", ORANGE, "|"),
    "gradient": ("conjugate gradient (measured)", BLACK, "|"),
}


def draw_real_matrices(table):
    """A row for each matrix: times, Joule heat, error reached."""
    height, goal = 1.5 + 0.42 * len(table), f"{table.rtol.iloc[0]:.0%}"
    figure, axes = panels(1, 3, sharey=True, height=height, width=3.6, width_ratios=(1.6, 0.8, 0.8))
    times, heat, reached = axes[0]
    rows = np.arange(len(table))[::-1]
    _draw_times(times, table, rows)
    times.set_title(f"time to {goal}")
    heat.plot(table.joule_heat, rows, color=BLUE, marker="o", ms=7, lw=0)
    heat.set(xscale="log", xlabel=r"Joule heat [$C V^2$, $V^2 = 1/\beta$]", title=f"energy to {goal}")
    _draw_reached(reached, table, rows)
    figure.legend(*times.get_legend_handles_labels(), loc="outside upper center", ncols=6)
    return figure


def _draw_times(ax, table, rows):
    for column, (label, colour, marker) in TIMES.items():
        style = {"ms": 13, "mew": 2.5} if marker == "|" else {"ms": 9 if column == "total" else 4.5}
        ax.plot(table[column], rows, color=colour, marker=marker, lw=0, label=label, **style)
    ax.hlines(rows, table.cholesky, table.total, color=BLUE, lw=0.8, alpha=0.4)
    ax.set(xscale="log", xlabel="time [s]", xlim=(3e-10, 1e6))
    ax.set_yticks(rows, [_row_label(row) for row in table.itertuples()])
    for label, refusal in zip(ax.get_yticklabels(), table.refusal, strict=True):
        label.set_color(RED if refusal else BLACK)


def _row_label(row) -> str:
    bits = f"needs {row.bits} bits" if row.refusal else f"{row.bits} bits"
    return f"{row.name}\nd = {row.d}, $\\kappa$ = {scientific(row.kappa)}, {bits}"


def _draw_reached(ax, table, rows):
    rtol = table.rtol.iloc[0]
    ax.axvline(100 * rtol, color=BLACK, lw=1.0, ls="--")
    ax.hlines(rows, 100 * table.low, 100 * table.high, color=BLUE, lw=4, alpha=0.3)
    ax.plot(100 * table.error, rows, color=BLUE, marker="o", ms=5, lw=0)
    ax.set(title="check", xlabel="error reached [%]", xlim=(0, 100 * max(2.0 * rtol, 1.05 * table.high.max())))


FIGURES = (
    FigureSpec(
        id="solve_error_vs_time",
        paper="aifer2024",
        table=TABLES["solve_error_vs_time"],
        settings={scale: tables["solve_error_vs_time"] for scale, tables in SCALES.items()},
        draw=draw_solve_error,
        timed=True,
        look="Shaded: when the simulated device has a smaller error than conjugate gradient and Cholesky on this CPU.",
        note="Device time is simulated physical time (load, relaxation, integration, read-out; 16 bits, 50 Gb/s), "
        "digital time is measured on the CPU named in the json file, in float64. Wishart matrices with 2d degrees of "
        "freedom, b of independent standard normal entries, beta = 1. Dots: median of runs; band: 10 to 90 % "
        "quantiles. Below the dotted red line no averaging helps: it is the rounding of the matrix to 16 bits.",
    ),
    FigureSpec(
        id="inverse_error_vs_time",
        paper="aifer2024",
        table=TABLES["inverse_error_vs_time"],
        settings={scale: tables["inverse_error_vs_time"] for scale, tables in SCALES.items()},
        draw=draw_inverse_error,
        look="The error of an inverse falls as one over the root of time, later for larger condition numbers, and "
        "one long trajectory beats independent reads that must each relax anew.",
        note="Matrices of norm 1 with eigenvalues evenly spaced in the logarithm. Dots: rms over runs; bars: 10 to "
        "90 % quantiles; lines: theory of the rms in equilibrium, with nothing fitted (the shortest runs are not there "
        "yet). Left: dense reads stand for a continuous integrator and are stepped along a path. Right: independent "
        "reads, whose sum is drawn from its Wishart law.",
    ),
    FigureSpec(
        id="real_matrices",
        paper="aifer2024",
        table=TABLES["real_matrices"],
        settings={scale: tables["real_matrices"] for scale, tables in SCALES.items()},
        draw=draw_real_matrices,
        timed=True,
        look="The device's time to 1 % spans seven decades, from milliseconds to hours: what counts is how strongly b "
        "drives the slow modes, not the condition number alone. Digital solvers need microseconds to milliseconds.",
        note="Largest entry of A scaled to the reference conductance, b to rms 1, beta = 1; the right-hand sides are "
        "named in the csv file. Device time is simulated physical time, parts below a nanosecond are off the scale. "
        "Cholesky (to full accuracy) and conjugate gradient (to 1 %) are measured on the CPU named in the json file, "
        "on dense matrices; a sparse solver would be quicker on the Laplacian and the chain. Red: 16 bits "
        "alone leave more than 1 %. Right: dots are the rms error over runs, bars the 10 to 90 % quantiles. "
        "Joule heat is that of the mean currents, with V^2 = 1/beta; a larger b saves time and costs power.",
    ),
    *aifer2024_scaling.FIGURES,
    *aifer2024_refinement.FIGURES,
    *aifer2024_primitives.FIGURES,
)
