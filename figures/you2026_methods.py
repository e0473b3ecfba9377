"""Drawings of You (2026) that compare optimisers: curves, costs, the plane of speed and cost, other networks."""

import numpy as np
from matplotlib.lines import Line2D

from paper_repro.you2026.settings import UNDAMPED

from .style import BLACK, BLUE, GREEN, GREY, ORANGE, PINK, RED, SKY, YELLOW, panels, plain_log, shaded_line

# colour, line style, marker: dashed for methods without curvature
METHODS = {
    "SGD": (GREY, "--", "o"),
    "Adam": (BLACK, "--", "s"),
    "signSGD": (YELLOW, "--", "^"),
    "NGD": (BLUE, "-", "o"),
    "K-FAC": (GREEN, "-", "s"),
    "TNGD": (RED, ":", "^"),
    "T-KFAC": (PINK, ":", "v"),
    "NGD-T": (ORANGE, "-", "D"),
    "NGD-T (K-FAC)": (ORANGE, "-.", "P"),
    UNDAMPED: (SKY, "-", "X"),
}
NATS = "[nat]"
SEVERAL = "mean, ± 1 sd of seeds"


def across_seeds(rows, x: str, column: str):
    """Mean and standard deviation over seeds by x."""
    grouped = rows.groupby(x)[column]
    return grouped.mean(), grouped.std(ddof=1)


def draw_band(ax, rows, x: str, column: str, scale: str, **style):
    """Mean over seeds, and one standard deviation either way: of the logarithm where the axis is logarithmic."""
    to, back = (np.log, np.exp) if scale == "log" else (np.asarray, np.asarray)
    mean, sd = across_seeds(rows.assign(**{column: to(rows[column])}), x, column)
    shaded_line(ax, mean.index, back(mean), back(mean - sd), back(mean + sd), **style)


def draw_points(ax, rows, x: str, column: str, **style):
    """Means over seeds with bars of one standard deviation, joined."""
    mean, sd = across_seeds(rows, x, column)
    ax.errorbar(mean.index, mean, sd, capsize=2, elinewidth=1.0, **style)


# -- all optimisers under one metric

CURVES = (
    ("test_loss", "test loss"),
    ("metric_cost", rf"metric cost of a step $d^T F d$ {NATS}"),
    ("excess", r"excess $R = \Delta_F\, d^T F d / (g^T d)^2$"),
)
TASKS = {
    "digits_mlp": "dense network",
    "digits_conv": "convolutional network",
    "digits_residual": "residual network, digits",
    "topics_transformer": "transformer, text",
    "molecules_graph": "graph network, molecules",
}


def draw_dissipation(table):
    """A row for each network: curves against the step, and the cost of reaching a loss."""
    tasks = list(table.task.unique())
    figure, axes = panels(len(tasks), 4, height=2.9, width=3.1)
    for line, task in zip(axes, tasks, strict=True):
        of_task = table[table.task == task]
        course = of_task[of_task.series == "course"]
        for ax, (column, label) in zip(line, CURVES, strict=False):
            for method, rows in course.groupby("method", sort=False):
                colour, style, _ = METHODS[method]
                draw_band(ax, rows, "step", column, "log", color=colour, ls=style)
            ax.set(xlabel="step", ylabel=label, yscale="log", title=TASKS[task])
        plain_log(line[0].yaxis)
        line[2].axhline(1.0, color=BLACK, lw=0.8)
        line[2].set_ylim(0.8, 3.0 * course.excess.quantile(0.97))
        _draw_reached(line[3], of_task[of_task.series == "training"], "training loss")
        line[3].set_title(TASKS[task])
    figure.legend(handles=_handles(table.method.unique()), loc="outside lower center", ncols=5, handlelength=2.6)
    return figure


def _handles(methods, markers=True):
    return [
        Line2D([], [], color=colour, ls=style, marker=marker if markers else None, label=name)
        for name, (colour, style, marker) in ((name, METHODS[name]) for name in methods)
    ]


def _draw_reached(ax, rows, what: str):
    """Total cost against steps until each level: a point for each, the lowest level filled."""
    levels = sorted(rows.level.unique(), reverse=True)
    for method, of_method in rows.groupby("method", sort=False):
        colour, line, marker = METHODS[method]
        everywhere = of_method[of_method.groupby("level").step.transform(lambda steps: steps.notna().all())]
        logs = np.log(everywhere[["step", "total_cost"]].astype(float)).groupby(everywhere.level).agg(["mean", "std"])
        (x, x_bars), (y, y_bars) = (
            _geometric(logs.sort_index(ascending=False)[name]) for name in ("step", "total_cost")
        )
        ax.errorbar(x, y, y_bars, x_bars, color=colour, ls=line, lw=0.8, elinewidth=0.8)
        for level in x.index:
            face = colour if level == levels[-1] else "white"
            ax.plot(x[level], y[level], marker, color=colour, mfc=face, ms=6)
    ax.set(xscale="log", yscale="log", xlabel=f"steps to a {what} of " + " and ".join(f"{level:g}" for level in levels))
    ax.set_ylabel(rf"metric cost until then {NATS}")
    plain_log(ax.xaxis)
    _draw_products(ax)


def _geometric(logs):
    """Mean, and bars of one standard deviation, from those of the logarithm."""
    mean = np.exp(logs["mean"])
    spread = np.exp(logs["std"].fillna(0.0))
    return mean, np.array([mean - mean / spread, mean * spread - mean])


def _draw_products(ax):
    """Lines of equal cost times steps, a decade apart."""
    (left, right), (low, high) = ax.get_xlim(), ax.get_ylim()
    for power in range(int(np.floor(np.log10(left * low))), int(np.ceil(np.log10(right * high))) + 1):
        ax.plot([left, right], [10.0**power / left, 10.0**power / right], color=GREY, lw=0.6, ls=":", zorder=0)
    ax.set(xlim=(left, right), ylim=(low, high))


# -- speed and cost


NETWORKS = {"digits_mlp": BLUE, "digits_conv": ORANGE}


def draw_speed_cost(table):
    """Each method's steps in the plane of speed and cost, a colour for each network, over those of all others."""
    methods = list(table.method.unique())
    columns = min(5, len(methods))
    figure, axes = panels(-(-len(methods) // columns), columns, height=2.6, width=2.4, sharex=True, sharey=True)
    plane = table.assign(speed=table.decrease**2, product=table.dissipation * table.metric_cost)
    plane = plane[plane.speed > 0.0]
    low, high = plane.speed.quantile(0.005), plane["product"].quantile(0.99)
    for ax, method in zip(axes.flat, methods, strict=False):
        ax.plot(plane.speed, plane["product"], ".", color="#DDDDDD", ms=2, mew=0, rasterized=True)
        medians = []
        for task, own in plane[plane.method == method].groupby("task", sort=False):
            ax.plot(own.speed, own["product"], ".", color=NETWORKS[task], ms=3, mew=0, rasterized=True)
            medians.append(f"{(own['product'] / own.speed).median():.3g}")
        ax.plot([low, high], [low, high], color=BLACK, lw=1.0)
        ax.fill_between([low, high], low / 10.0, [low, high], color=GREY, alpha=0.15, lw=0)
        ax.set_title(f"{method}\nmedian R = {', '.join(medians)}", fontsize=8.5)
        ax.set(xscale="log", yscale="log", xlim=(low, high), ylim=(low, high * 2.0))
    for ax in axes.flat[len(methods) :]:
        ax.set_visible(False)
    axes[0, 0].annotate("not possible", (0.96, 0.05), xycoords="axes fraction", ha="right", fontsize=8)
    handles = [
        Line2D([], [], color=NETWORKS[task], marker="o", lw=0, label=TASKS[task]) for task in table.task.unique()
    ]
    figure.legend(handles=handles, loc="outside upper right", ncols=len(handles))
    figure.supxlabel(rf"(loss decrease)$^2$, $(g^T d)^2$ {NATS}$^2$", fontsize=9)
    figure.supylabel(rf"$\Delta_F \; d^T F d$ {NATS}$^2$", fontsize=9)
    return figure


# -- other architectures


def draw_architectures(table):
    """A column for each architecture: loss against the step, and against the metric cost so far."""
    tasks = list(table.task.unique())
    figure, axes = panels(2, len(tasks), height=2.7, width=3.4, sharey="col")
    handles = _handles(table.method.unique(), markers=False)
    for column, task in zip(axes.T, tasks, strict=True):
        for method, rows in table[table.task == task].groupby("method", sort=False):
            colour, style, _ = METHODS[method]
            draw_band(column[0], rows, "step", "loss", "log", color=colour, ls=style)
            for _, of_seed in rows.groupby("seed"):
                column[1].plot(of_seed.total_cost, of_seed.loss, color=colour, ls=style, lw=1.2)
        column[0].set(xlabel="step", ylabel="training loss [nat]", yscale="log", title=TASKS[task])
        column[1].set(xlabel=rf"metric cost so far, $\sum d^T F d$ {NATS}", ylabel="training loss [nat]", xscale="log")
        for ax in column:
            plain_log(ax.yaxis)
    figure.legend(handles=handles, loc="outside lower center", ncols=5, handlelength=2.6)
    return figure
