"""Figures of Aifer et al., arXiv:2308.05660, on how time grows: with d, kappa, the error, the energy spent."""

from matplotlib.lines import Line2D

from paper_repro.aifer2024.run import TABLES
from paper_repro.aifer2024.settings import SCALES

from .catalogue import FigureSpec
from .style import BLUE, GREY, ORANGE, panels

# -- linear systems: time to a given error

ARGUMENTS = {"d": "dimension $d$", "kappa": r"condition number $\kappa$", "eps": r"error $\epsilon$"}
CONVENTIONS = {
    "absolute": ("absolute error, worst case", r"rms $\|\hat x - x\| = \epsilon$"),
    "relative": ("relative error, random b", r"rms $\|\hat x - x\| / \|x\| = \epsilon$"),
}
MOTIONS = {"overdamped": (BLUE, "o"), "underdamped": (ORANGE, "s")}


def draw_time_to_error(table):
    """A row for each notion of error, a panel for each argument: time, its burn-in and the power it follows."""
    figure, axes = panels(2, 3, height=2.9, width=2.7)
    times, powers = (table[table.section == section] for section in ("time", "exponent"))
    for row, (convention, (title, formula)) in zip(axes, CONVENTIONS.items(), strict=True):
        for ax, (argument, label) in zip(row, ARGUMENTS.items(), strict=True):
            chosen = {"argument": argument, "convention": convention}
            _draw_times(ax, _of(times, chosen), argument)
            _write_powers(ax, _of(powers, chosen), label.split("$")[1])
            ax.set_xlabel(label)
        row[0].set_ylabel("device time [$RC$]")
        row[0].set_title(f"{title}: {formula}", loc="left")
        row[2].invert_xaxis()  # harder to the right everywhere
    figure.legend(handles=_time_legend(), loc="outside lower center", ncols=3)
    return figure


def _of(table, chosen: dict):
    for column, value in chosen.items():
        table = table[table[column] == value]
    return table


def _draw_times(ax, table, argument):
    for motion, (colour, marker) in MOTIONS.items():
        rows = table[table.dynamics == motion]
        ax.plot(rows[argument], rows.time, color=colour, marker=marker)
        ax.plot(rows[argument], rows.burn_in, color=colour, ls=":", lw=1.1)
    low, high = table.burn_in.min(), table.time.max()
    ax.set(xscale="log", yscale="log", ylim=(low / 3.0, high * (high / low) ** 0.45))


def _write_powers(ax, table, symbol):
    for i, (motion, (colour, _)) in enumerate(MOTIONS.items()):
        row = table[table.dynamics == motion].iloc[0]
        power = round(row.fitted, 2) + 0.0  # no minus before a zero
        text = rf"power of ${symbol}$: {power:.2f} ({row.says} {row.expected:g})"
        ax.text(0.04, 0.97 - 0.1 * i, text, color=colour, transform=ax.transAxes, va="top", fontsize=8)


def _time_legend():
    lines = [Line2D([], [], color=colour, marker=m, label=motion) for motion, (colour, m) in MOTIONS.items()]
    return [*lines, Line2D([], [], color=GREY, ls=":", lw=1.1, label="of which burn-in")]


def _settings(name: str) -> dict:
    return {scale: tables[name] for scale, tables in SCALES.items()}


FIGURES = (
    FigureSpec(
        id="solve_time_to_error",
        paper="aifer2024",
        table=TABLES["solve_time_to_error"],
        settings=_settings("solve_time_to_error"),
        draw=draw_time_to_error,
        look="For an absolute error in the worst case time grows as d kappa^2 / eps^2; for a relative error and a "
        "random b neither d nor kappa lengthens the averaging, and kappa is left in the burn-in alone.",
        note="Times that solve(rtol=...) plans at beta = 1, from the exact law; powers are fitted to the three hardest "
        "points. Top: b of norm 1, all eigenvalues but one at 1/kappa. Bottom: b of independent normal entries, "
        "eigenvalues evenly spaced in the logarithm. Where not on the axis d = 64, kappa = 10, error 0.1. Underdamped: "
        "unit mass, the slowest mode critically damped, hence a friction of 2/sqrt(kappa), which shortens averaging "
        "as well. The burn-in leaves a tenth of the standard error, which adds a logarithm of kappa to its power; for "
        "large kappa the error is smaller than asked for as soon as the slow modes have settled.",
    ),
)
