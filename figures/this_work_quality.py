"""Figures of quality: error bars, word lengths, work of ramps."""

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullLocator

from paper_repro.this_work.quality import TABLES
from paper_repro.this_work.quality_settings import SCALES

from .catalogue import FigureSpec
from .style import BLACK, BLUE, GREEN, GREY, ORANGE, PINK, RED, panels

BAND = "#E4E4E4"

# -- error bars


def draw_calibration(table):
    """Mean, standard deviation and coverage of z for every estimator, with what is expected of so many seeds."""
    places, labels, heads = _lines(table)
    n = float(table.seeds.max())
    figure, axes = panels(1, 3, height=0.165 * (len(places) + len(heads)) + 1.1, width=2.5, sharey=True)
    columns = (
        ("mean", "mean of z", 0.0, 1.0 / np.sqrt(n)),
        ("sd", "standard deviation of z", 1.0, 1.0 / np.sqrt(2.0 * n)),
        ("within_2", "share within 2 standard errors", 0.9545, np.sqrt(0.9545 * 0.0455 / n)),
    )
    for ax, (column, label, expected, error) in zip(axes[0], columns, strict=True):
        ax.axvspan(expected - 2.0 * error, expected + 2.0 * error, color=BAND, lw=0, zorder=0)
        ax.axvline(expected, color=BLACK, lw=1.0)
        off = np.abs(table[column] - expected) > 4.0 * error
        for far, colour, marker in ((False, BLUE, "o"), (True, RED, "D")):
            rows, at = table[off == far], np.asarray(places)[off == far]
            ax.errorbar(rows[column], at, xerr=2.0 * rows[f"{column}_error"], fmt=marker, color=colour, ms=3.5, lw=1.0)
        ax.set(xlabel=label)
        ax.grid(visible=False, axis="y")
    ax = axes[0, 0]
    ax.set_yticks([*places, *heads], [*labels, *heads.values()])
    for tick, at in zip(ax.get_yticklabels(), [*places, *heads], strict=True):
        tick.set(fontsize=7.5, fontweight="bold" if at in heads else "normal")
    for each in axes[0]:
        each.tick_params(axis="y", length=0)
        each.set_ylim(max(places) + 0.7, -0.7)
    handles = [
        Line2D([], [], color=BLUE, marker="o", ms=3.5, label="± 2 standard errors"),
        Line2D([], [], color=RED, marker="D", ms=3.5, label="more than 4 standard errors off"),
        Line2D([], [], color=BAND, lw=7, label=f"expected of {n:.0f} seeds, 95 %"),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=3)
    return figure


def _lines(table):
    """Place and label of each row, and of the heads of the groups."""
    places, labels, heads, at = [], [], {}, 0
    for estimator, rows in table.groupby("estimator", sort=False):
        heads[at] = estimator
        for mode in rows["mode"]:
            at += 1
            places.append(at)
            labels.append(mode)
        at += 1
    return places, labels, heads


# -- word lengths

STRATEGIES = {
    "nearest": (RED, "o", "one matrix, rounded to nearest"),
    "stochastic": (ORANGE, "s", "one matrix, rounded at random"),
    "merged": (BLUE, "D", "ensemble, merged"),
    "refined": (GREEN, "^", "refined"),
}
TITLES = {
    "solve": r"solve: $A^{-1} b$", "inv": r"inv: $A^{-1}$", "lyapunov": "lyapunov", "logdet": r"logdet: $\ln\,\det A$",
    "negexpm": r"negexpm: $e^{-A}$",
}  # fmt: skip


def draw_precision(table):
    """Error against bits, a panel for each primitive; predictions as thin lines; where noise hides rounding."""
    names = list(table.primitive.unique())
    columns = min(3, len(names))
    figure, axes = panels(-(-len(names) // columns), columns, height=2.6, width=2.7, sharex=True)
    for ax, name in zip(axes.flat, names, strict=False):
        own = table[table.primitive == name]
        for strategy, (colour, marker, _) in STRATEGIES.items():
            rows = own[(own.strategy == strategy) & (own.failed == 0.0)]
            face = "white" if strategy == "stochastic" else colour
            ax.fill_between(rows.bits, rows.lowest, rows.highest, color=colour, alpha=0.1, lw=0)
            ax.plot(rows.bits, rows.error, marker, color=colour, mfc=face, ms=5.0 if face == "white" else 3.5, zorder=3)
            if strategy == "refined":
                ax.plot(rows.bits, rows.error, color=colour, lw=0.8, ls=":")
            else:
                every = own[own.strategy == strategy]
                ax.plot(every.bits, every.predicted, color=colour, lw=1.0)
        noise = own[own.strategy == "nearest"].noise.max()
        ax.set(yscale="log", title=TITLES[name])
        ax.set_ylim(*_range(own, noise))
        ax.axhspan(ax.get_ylim()[0], noise, color=BAND, lw=0, zorder=0)
        ax.set_xticks(sorted(own.bits.unique()))
    _label_powers(axes[0, 0], table[table.primitive == names[0]])
    for ax in axes.flat[len(names) :]:
        ax.set_axis_off()
    for ax in axes.flat[max(0, len(names) - columns) : len(names)]:
        ax.set_xlabel("bits of the converter of A")
        ax.tick_params(labelbottom=True)
    figure.supylabel("error / size of the answer", fontsize=9)
    handles = [
        Line2D([], [], color=c, marker=m, mfc="white" if name == "stochastic" else c, ls="", label=label)
        for name, (c, m, label) in STRATEGIES.items()
    ]
    handles += [Line2D([], [], color=BLACK, lw=1.0, label="theory, nothing fitted")]
    handles += [Line2D([], [], color=BAND, lw=7, label="below the noise of the device")]
    if len(names) < axes.size:
        axes.flat[-1].legend(handles=handles, loc="center left")
    else:
        figure.legend(handles=handles, loc="outside lower center", ncols=3)
    return figure


def _label_powers(ax, rows):
    """The powers of the distance of levels, next to two of the lines."""
    for strategy, text in (("stochastic", r"$\propto h$"), ("merged", r"$\propto h^2$")):
        own = rows[(rows.strategy == strategy) & (rows.failed == 0.0)].sort_values("bits")
        middle = own.iloc[len(own) // 2]
        place = (middle.bits, middle.error)
        ax.annotate(text, place, (6, 6), textcoords="offset points", color=STRATEGIES[strategy][0])


def _range(rows, noise: float) -> tuple[float, float]:
    """Limits of the axis: all errors, and some of the noise where it hides them."""
    lowest = rows.lowest.min()
    bottom = min(lowest, noise) if noise > lowest / 10.0 else lowest
    return 10.0 ** np.floor(np.log10(bottom) - 0.2), 10.0 ** np.ceil(np.log10(rows.highest.max()))


# -- work of ramps

CURVES = {  # colour, line, width
    "quench": (GREY, "--", 1.2),
    "slow": (ORANGE, "--", 1.2),
    "equilibria": (PINK, ":", 1.4),
    "linear ramp": (BLACK, "-", 2.0),
    "optimal": (BLUE, "-", 1.6),
    "wasserstein": (GREEN, "-", 1.6),
}
LABELS = {
    "quench": r"quench: $D(\pi_0 \| \pi_1)$",
    "slow": "slow limit of the linear ramp",
    "equilibria": r"$W_2^2(\pi_0, \pi_1)/\tau$: slow ramps only",
    "linear ramp": "linear ramp, exact",
    "optimal": "optimal protocol, exact",
    "wasserstein": r"$W_2^2(\rho_0, \rho_\tau)/\tau$: bound of the linear ramp",
}


def draw_ramps(table):
    """Dissipated work against duration between its limits, over its bound: a matrix, and a shift."""
    figure, axes = panels(1, 2, height=3.2, width=3.6)
    titles = {"matrix": "matrix A ramped, b = 0", "shift": "drive b ramped, A = 1"}
    for ax, (case, title) in zip(axes[0], titles.items(), strict=True):
        own = table[table.case == case]
        exact = own[own.quantity == "linear ramp"]
        for quantity, (colour, line, width) in CURVES.items():
            rows = own[own.quantity == quantity].sort_values("duration")
            ax.plot(rows.duration, rows.value, color=colour, ls=line, lw=width)
        bound = own[own.quantity == "wasserstein"].sort_values("duration")
        bottom, top = exact.value.min() / 6.0, exact.value.max() * 4.0
        ax.fill_between(bound.duration, bottom, bound.value, color=GREEN, alpha=0.12, lw=0)
        paths = own[own.quantity == "paths"]
        ax.errorbar(paths.duration, paths.value, 2.0 * paths.stderr, fmt="o", color=RED, ms=4.0, zorder=5)
        ax.set(xscale="log", yscale="log", ylim=(bottom, top), title=title)
        ax.set(xlim=(exact.duration.min() / 1.3, exact.duration.max()), xlabel=r"duration $\tau$ [RC]")
        ax.xaxis.set_major_locator(LogLocator(numticks=8))
        ax.xaxis.set_minor_locator(NullLocator())
    axes[0, 0].set_ylabel(r"dissipated work [1/$\beta$]")
    handles = [
        Line2D([], [], color=c, ls=line, lw=width, label=LABELS[name]) for name, (c, line, width) in CURVES.items()
    ]
    handles.append(Line2D([], [], color=RED, marker="o", ls="", ms=4.0, label="simulated paths, ± 2 standard errors"))
    figure.legend(handles=handles, loc="outside lower center", ncols=2)
    return figure


# -- the record


def _spec(name, draw, look, note) -> FigureSpec:
    settings = {scale: figures[name] for scale, figures in SCALES.items()}
    return FigureSpec(
        id=name, paper="this_work", table=TABLES[name], settings=settings, draw=draw, look=look, note=note
    )


FIGURES = (
    _spec(
        "calibration", draw_calibration,
        "Error bars of the estimators are right: the scores z = (value - truth) / standard error lie about 0 with a "
        "standard deviation of 1.",
        "A problem and an entry of the answer are drawn for each seed; z counts with the standard error that the "
        "result reports. Bands: 95 % of what normal scores would show.",
    ),
    _spec(
        "precision_bits", draw_precision,
        "Merging differently rounded matrices squares the error of rounding: two bits of accuracy for each bit of the "
        "converter instead of one; refinement needs a few bits only.",
        "Random matrices, points: root mean square, band: smallest and largest; points only where every matrix gave an "
        "answer. Theory: perturbation to leading order in the distance h of levels. Noise as the device reports it; "
        "that of paths rules the determinant. Refined: thermal noise of beta = 1, asked for 1e-10.",
    ),
    _spec(
        "ramp_cost", draw_ramps,
        "A ramp costs less than both its limits, the quench and the slow one; the optimal protocol saves a part of it, "
        "and the distance of the equilibria over the duration is a bound of slow ramps only.",
        "Curves: moment equations and closed forms of Gaussian laws, exact. The bound counts the laws at the ends that "
        "the linear ramp really has: below it (shaded) no such ramp lies. Points: work of paths as logdet simulates "
        "them, less the free energy difference.",
    ),
)  # fmt: skip
