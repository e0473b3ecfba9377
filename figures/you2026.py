"""Figures of You (2026), NGD-T, doi:10.21203/rs.3.rs-8626621/v1."""

import numpy as np

from paper_repro.you2026.descent import excess_of_linear_rule
from paper_repro.you2026.run import TABLES
from paper_repro.you2026.settings import SCALES

from .catalogue import FigureSpec
from .style import BLACK, BLUE, GREEN, GREY, ORANGE, RED, SKY, ordered_colours, panels, plain_log, plain_ticks
from .you2026_methods import (
    METHODS,
    NATS,
    SEVERAL,
    draw_architectures,
    draw_dissipation,
    draw_points,
    draw_speed_cost,
)

# -- rules and budgets

RULES = {
    "kl": (BLUE, "o", r"kl: $\eta = \sqrt{2Q/\Delta_F}$"),
    "slow": (SKY, "s", r"slow: $\eta = \sqrt{Q\tau/\Delta_F}$"),
    "flow": (RED, "D", r"flow: $\eta = Q/\Delta_F$"),
}


def draw_budget(table):
    """Loss, error and clipping against the budget, and the excess of the linear rule."""
    figure, axes = panels(1, 4, height=3.0, width=3.0)
    training = table[table.section == "training"].assign(error=100.0 * (1.0 - table.test_accuracy))
    labels = (("late_loss", "training loss at the end"), ("error", "test error [%]"), ("clipped", "share of steps at"))
    for ax, (column, label) in zip(axes[0], labels, strict=False):
        for rule, (colour, marker, name) in RULES.items():
            rows = training[training.rule == rule]
            finite = rows[np.isfinite(rows[column])]
            draw_points(ax, finite, "budget", column, color=colour, marker=marker, label=name)
        ax.set(xscale="log", xlabel="budget Q [nat]", ylabel=label)
    for ax in axes[0, :2]:
        ax.set_yscale("log")
        plain_log(ax.yaxis)
    axes[0, 1].set_ylim(bottom=2.0)
    axes[0, 2].set(ylim=(-0.03, 1.03), ylabel=r"share of steps at $\eta_{max} = 1$")
    axes[0, 2].legend(loc="upper left")
    _draw_excess(axes[0, 3], table[table.section == "quadratic"])
    return figure


def _draw_excess(ax, rows):
    """Theory as a line, descents as points."""
    ratios = np.geomspace(rows.ratio.min() / 1.2, 0.95, 200)
    ax.plot(ratios, [excess_of_linear_rule(r) for r in ratios], color=BLACK, lw=1.0, label=r"theory $\rho(r)$")
    ax.plot(rows.ratio, rows.excess_measured, "D", color=RED, label="descents on a quadratic")
    ax.set(
        xscale="log", xlabel=r"$r$: metric length left, end / start", ylabel="metric cost, flow / kl in as many steps"
    )
    ax.legend(loc="best")


# -- the null space

FISHERS = {
    "exact": (BLUE, "o", "exact, same batch"),
    "Kronecker": (GREEN, "s", "Kronecker, same batch"),
    "another batch": (RED, "^", "exact, another batch"),
    "one label a sample": (ORANGE, "D", "one label a sample"),
}


def draw_null(table):
    """Loss and steps against the null ratio for each cut-off; how much each Fisher does not see."""
    figure, axes = panels(1, 3, height=3.0, width=3.5)
    training, blindness = table[table.section == "training"], table[table.section == "blindness"]
    ratios = sorted(training.null_ratio.unique())
    cutoffs = sorted(training.cutoff.unique())
    for cutoff, colour, marker in zip(cutoffs, ordered_colours(len(cutoffs)), "osD^v", strict=False):
        rows = training[training.cutoff == cutoff]
        rows = rows.assign(place=rows.null_ratio.map(ratios.index))
        style = {"color": colour, "marker": marker, "label": f"cut-off {cutoff:g}"}
        draw_points(axes[0, 0], rows[np.isfinite(rows.late_loss)], "place", "late_loss", **style)
        everywhere = rows.groupby("place").steps_to_level.transform(lambda steps: steps.notna().all())
        draw_points(axes[0, 1], rows[everywhere.astype(bool)], "place", "steps_to_level", **style)
    for ax, label in zip(
        axes[0], ("training loss at the end", f"steps to a training loss of {training.level.iloc[0]:g}"), strict=False
    ):
        ax.set(xlabel="null ratio", ylabel=label, xlim=(-0.3, len(ratios) - 0.7))
        ax.set_xticks(range(len(ratios)), [f"{ratio:g}" for ratio in ratios])
    axes[0, 0].legend(loc="best")
    for name, (colour, marker, label) in FISHERS.items():
        rows = blindness[blindness.fisher == name]
        draw_points(axes[0, 2], rows, "cutoff", "null_fraction", color=colour, marker=marker, label=label)
    axes[0, 2].set(
        xscale="log", ylim=(-0.03, 1.03), xlabel="cut-off, of the largest eigenvalue", ylabel=r"$|P_0 g| / |g|$"
    )
    axes[0, 2].legend(loc="upper left")
    return figure


# -- caching

PARTS = {
    "model_seconds": (GREY, "gradient"),
    "curvature_seconds": (BLUE, "curvature"),
    "optimizer_seconds": (ORANGE, "optimiser"),
}


def draw_caching(table):
    """Loss and the parts of a step's time for each way to keep a basis, and for other methods."""
    figure, axes = panels(1, 2, height=3.2, width=4.2, sharey=True)
    table = table.assign(case=[_case_name(row) for row in table.itertuples()])
    cases = list(table.case.unique())
    places, left = np.arange(len(cases)), np.zeros(len(cases))
    losses = table.groupby("case").late_loss.agg(["mean", "std"]).loc[cases]
    colours = [BLACK if case in METHODS else ORANGE for case in cases]
    for place, colour, mean, sd in zip(places, colours, losses["mean"], losses["std"], strict=True):
        axes[0, 0].errorbar(mean, place, xerr=sd, color=colour, marker="o", capsize=2)
    for column, (colour, label) in PARTS.items():
        widths = 1e3 * table.groupby("case")[column].median().loc[cases].to_numpy()
        axes[0, 1].barh(places, widths, left=left, color=colour, label=label, height=0.65)
        left += widths
    axes[0, 0].set(xlabel="training loss at the end")
    axes[0, 1].set(xlabel="time of a step [ms]")
    axes[0, 1].legend(loc="best")
    axes[0, 0].set_yticks(places, cases)
    axes[0, 0].invert_yaxis()
    return figure


def _case_name(row) -> str:
    if row.series == "reference":
        return row.method
    return f"bases kept {row.value:g} steps" if row.series == "interval" else f"kept to an error of {row.value:g}"


# -- estimators

FLOOR = {
    "naive": (RED, "o", "", r"batch: $g_B^T F^{-1} g_B$"),
    "halves": (BLUE, "s", "", r"half batches: $g_1^T F^{-1} g_2$"),
    "own Fisher": (ORANGE, "D", "", "batch, with the batch's own $F$"),
    "theory": (BLACK, "", "--", r"$\Delta_F + D_{eff}/B$"),
    "covariance": (BLACK, "", ":", r"$\Delta_F + tr(F^{-1} C)/B$"),
    "true": (BLACK, "", "-", r"$\Delta_F$ of all samples"),
}
DEGENERATE = {"exact": (BLUE, "o"), "empirical": (RED, "s"), "diagonal": (ORANGE, "D")}


def draw_estimators(table):
    """The noise floor at two points, and degenerate Fisher matrices."""
    figure, axes = panels(1, 3, height=3.2, width=3.6)
    for ax, point in zip(axes[0], ("start", "trained"), strict=False):
        of_point = table[(table.section == "floor") & (table.point == point)]
        for series, (colour, marker, line, label) in FLOOR.items():
            rows = of_point[of_point.series == series]
            bars = None if line else 2.0 * rows.stderr
            ax.errorbar(
                rows.batch_size, rows.value, bars, color=colour, marker=marker, ls=line, lw=1.2, label=label
            )  # fmt: skip
        sizes = sorted(of_point.batch_size.unique())
        ax.set(xscale="log", yscale="log", xlabel="batch size B", ylabel=rf"$\Delta_F$ {NATS}")
        plain_ticks(ax.xaxis, sizes)
        ax.set_title("at the start" if point == "start" else "after training")
        plain_log(ax.yaxis)
    floors = table[table.section == "floor"].value
    for ax in axes[0, :2]:
        ax.set_ylim(floors.min() / 1.3, floors.max() * 1.3)
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside lower left", ncols=6, columnspacing=1.2)
    degenerate = table[(table.section == "degenerate") & (table.point == "trained")]
    for series, (colour, marker) in DEGENERATE.items():
        rows = degenerate[degenerate.series == series]
        axes[0, 2].plot(rows.damping, rows.value, color=colour, marker=marker, label=f"{series} Fisher")
    axes[0, 2].axhline(1.0, color=BLACK, lw=0.8, ls=":")
    axes[0, 2].set(xscale="log", yscale="log", xlabel="damping", ylabel=rf"$\Delta_F$ of one batch {NATS}")
    axes[0, 2].set_title("three Fisher matrices of one batch")
    axes[0, 2].legend(loc="best")
    return figure


def spec(name: str, draw, look: str, note: str, timed: bool = False) -> FigureSpec:
    """The record of one figure."""
    settings = {scale: tables[name] for scale, tables in SCALES.items()}
    return FigureSpec(
        id=name, paper="you2026", table=TABLES[name], settings=settings, draw=draw, look=look, note=note, timed=timed
    )


FIGURES = (
    spec(
        "ngdt_dissipation_training",
        draw_dissipation,
        "Under one metric NGD-T pays little more than the least cost of each step, Adam a few times that; to a loss "
        "of the training set TNGD gets at the least total cost.",
        "Digits, a dense and a convolutional network; settings tuned with the same budget for every method. Every step "
        "of every method is measured under the exact Fisher information F of its batch. Curves: blocks of steps, mean "
        "and one standard deviation of seeds, of the logarithm (R: medians of blocks; its axis ends below the first "
        "blocks of K-FAC); runs that diverged end early. "
        "Right: steps and total cost at the end of the first block whose mean training loss is not above a level "
        "(filled: the lower one); only where all seeds reached it. Dotted: equal cost times steps, which is at least "
        "the squared metric length of a path. The csv file has Delta_F, clipping and levels of the test loss too. The "
        "cost is in nats of the model's distribution, not heat of a machine.",
    ),
    spec(
        "ngdt_speed_cost",
        draw_speed_cost,
        "No step gets below the bound (g^T d)^2 <= Delta_F d^T F d; the undamped natural gradient lies on it, other "
        "methods above, those on Kronecker factors and without curvature most.",
        "Every step of the runs of ngdt_dissipation_training; in grey those of all methods. R is the height over the "
        "line: the cost of a step over the least for the same first-order decrease; medians in the order of the "
        "networks; one step in a hundred lies beyond the frame. The few steps of NGD-T, undamped, above the line are "
        "those of runs about to diverge: Delta_F counts eigenvalues down to 1e-10 of the largest, the truncation of "
        "the steps ends at 1e-8.",
    ),
    spec(
        "ngdt_budget_sweep",
        draw_budget,
        "At their best budgets, which lie more than a decade apart, the rules train alike; the author's default of "
        "1e-3 is far too small for the linear rule here; on a quadratic it costs rho(r) times as much as equal steps.",
        "Digits, dense network, Tikhonov damping, eta at most 1. Points: " + SEVERAL + ". Rule slow at Q with a "
        "duration of one relaxation time is rule kl at Q/2. Runs that diverged are not drawn. Right: a quadratic whose "
        "Hessian is F, eta0 = 1; the theory is for small steps, nothing fitted.",
    ),
    spec(
        "ngdt_null_fallback",
        draw_null,
        "With one label drawn per sample F misses most of the gradient; the author's null ratio of 0.01 changes "
        "little, larger ones help; the exact F of the same batch misses nothing until the cut-off bites.",
        "Left and middle: NGD-T, truncated F from one label a sample, rule kl; points: " + SEVERAL + " of those that "
        "did not diverge (left), and only where all seeds reached the loss (middle). Right: part of the batch gradient "
        "in the null space, at the first parameters.",
    ),
    spec(
        "ngdt_caching",
        draw_caching,
        "Keeping the eigenbases saves time of the optimiser at little cost in loss; a step of NGD-T still takes many "
        "times that of Adam here.",
        "NGD-T with Kronecker factors, bases kept for so many steps, or until keeping them costs a factor more than "
        "that relative error. Digits, a dense network of 2410 parameters, measured where this ran, in NumPy: the "
        "ratio to Adam is that of a small network. Points: " + SEVERAL + "; times: medians of seeds.",
        timed=True,
    ),
    spec(
        "ngdt_estimators",
        draw_estimators,
        "Delta_F of one batch is mostly noise, about (effective dimension) / B; two half batches have none of it; the "
        "empirical Fisher gives 1 whatever the state of training.",
        "Left, middle: batches drawn with replacement, F the exact Fisher information of all samples, damped; bars are "
        "two standard errors; nothing is fitted. Right: one batch, after training; "
        "diagonal: of the squared batch gradient.",
    ),
    spec(
        "ngdt_architectures",
        draw_architectures,
        "On three other networks NGD-T on Kronecker factors trains like Adam or better in as many steps, but at more "
        "metric cost: the budget that it keeps is one under its own factors.",
        "Toy networks, 60 steps in batches of 32; six settings tried a method, judged on held-out data by one seed. "
        "Above: blocks of steps, mean and one standard deviation of the logarithm over seeds. Below: each seed. "
        "Every step is measured under the Fisher information of its batch: exact for the graph network, for the "
        "others an unbiased estimate from labels that no optimiser sees. Kronecker factors from one label a "
        "prediction, averaged over steps.",
    ),
)
