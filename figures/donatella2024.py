"""Figures of Donatella et al., Thermodynamic Natural Gradient Descent, arXiv:2405.13817."""

import numpy as np
from matplotlib.ticker import LogLocator, NullLocator

from paper_repro.donatella2024.run import TABLES
from paper_repro.donatella2024.settings import SCALES

from .catalogue import FigureSpec
from .style import BLACK, BLUE, GREEN, GREY, ORANGE, PINK, RED, SKY, YELLOW, ordered_colours, panels

TASKS = {"digits_mlp": "dense network", "digits_conv": "convolutional network"}
# colour, line style: dashed for methods without curvature, dotted for settings of the paper
METHODS = {
    "SGD": (GREY, "--"),
    "Adam": (BLACK, "--"),
    "signSGD": (YELLOW, "--"),
    "Adam(0,0)": (PINK, "--"),
    "NGD": (BLUE, "-"),
    "NGD-CG": (SKY, "-"),
    "K-FAC": (GREEN, "-"),
    "TNGD": (RED, "-"),
    "TNGD-Adam": (ORANGE, "-"),
    "Adam (paper)": (BLACK, ":"),
    "TNGD (paper)": (RED, ":"),
}
PARTS = ["digital_seconds", "load_seconds", "relax_seconds", "read_seconds"]


def band(ax, x, values, **style):
    """Mean over seeds, and one standard deviation either way; `values` has a column for each seed."""
    mean, sd = values.mean(axis=1), values.std(axis=1, ddof=1)
    ax.plot(x, mean, **style)
    ax.fill_between(x, mean - sd, mean + sd, color=style["color"], alpha=0.15, lw=0)


def plain_log(axis):
    """A logarithmic axis with numbers as they are: 0.5, 1, 2."""
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_locator(NullLocator())


def curves(rows, column="loss"):
    """A column for each seed, a row for each step."""
    return rows.pivot(index="step", columns="seed", values=column)


# -- all optimisers


def draw_optimizers(table):
    """A row for each task: loss and test error against steps and against time."""
    tasks = list(table.task.unique())
    figure, axes = panels(len(tasks), 4, height=2.7, width=2.9, sharex="col")
    for row, task in zip(axes, tasks, strict=True):
        for method, rows in table[table.task == task].groupby("method", sort=False):
            _draw_method(row, method, rows.assign(error=100.0 * (1.0 - rows.test_accuracy)))
        means = table[table.task == task].groupby(["method", "step"])[["loss", "test_accuracy"]].mean()
        for ax, lowest in zip(row, 2 * (means.loss.min(), 100.0 * (1.0 - means.test_accuracy.max())), strict=True):
            ax.set(yscale="log", ylim=(0.6 * lowest, None))  # a band may reach down to 0
            plain_log(ax.yaxis)
        row[0].set(title=f"{TASKS[task]}: training", ylabel="training loss [nat]")
        row[1].set(title="test", ylabel="test error [%]")
        row[2].set(title="training", ylabel="training loss [nat]", xscale="log")
        row[3].set(title="test", ylabel="test error [%]", xscale="log")
    for ax, label in zip(axes[-1], ("step", "step", *("digital + device time [s]",) * 2), strict=True):
        ax.set_xlabel(label)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=6)
    return figure


def _draw_method(axes, method, rows):
    colour, line = METHODS[method]
    seconds = rows[PARTS].iloc[0].sum()
    style = {"color": colour, "ls": line, "label": method, "lw": 2.2 if method == "TNGD" else 1.4}
    for i, column in enumerate(("loss", "error")):
        values = curves(rows, column)
        band(axes[i], values.index, values, **style)
        band(axes[2 + i], values.index * seconds, values, **style)


# -- carried state

STARTS = {
    "carry": ("carried", RED, "o", "-"),
    "null momentum": ("exact, momentum in the\nnull space only", GREEN, "s", "--"),
    "momentum": ("exact, momentum\nin all directions", BLUE, "D", "--"),
    "gradient": ("started at the gradient", ORANGE, "^", "-"),
    "zero": ("started at 0", GREY, "v", "-"),
}


def draw_carried_state(table):
    """Loss against steps for each t, carried and not; for each delay; and the late loss against t."""
    figure, axes = panels(1, 4, height=3.2, width=3.0)
    top = 1.1 * table[table.step == table.step.min()].loss.median()
    for ax, start in zip(axes[0], ("gradient", "carry"), strict=False):
        _draw_times(ax, table[(table.series == start) & (table.delay == 0.0)])
        ax.set_title(f"voltages {STARTS[start][0]}")
    _draw_delays(axes[0, 2], table)
    exact = curves(table[table.series == "exact"])
    for ax in axes[0, :3]:
        band(ax, exact.index, exact, color=BLACK, ls="--", lw=1.2, label="exact")
        ax.set(xlabel="step", ylabel="training loss [nat]", ylim=(0.0, top))
        ax.legend(title="t", loc="lower left")
    axes[0, 2].get_legend().set_title("start, delay")
    _draw_late(axes[0, 3], table)
    return figure


def _draw_times(ax, rows):
    times = sorted(rows.time.unique())
    for time, colour in zip(times, ordered_colours(len(times)), strict=True):
        values = curves(rows[rows.time == time])
        band(ax, values.index, values, color=colour, label=rf"{time:g} $RC$")


def _draw_delays(ax, table):
    first = table[table.series == "carry"].time.min()
    fresh = curves(table[(table.series == "gradient") & (table.time == first)])
    band(ax, fresh.index, fresh, color=ORANGE, label="gradient, 0")
    rows = table[(table.series == "carry") & (table.time == first)]
    delays = sorted(rows.delay.unique())
    for delay, colour in zip(delays, ordered_colours(len(delays)), strict=True):
        values = curves(rows[rows.delay == delay])
        band(ax, values.index, values, color=colour, label=rf"carried, {delay:g} $RC$")
    ax.set_title(rf"t = {first:g} $RC$, with a delay")


def _draw_late(ax, table):
    """Late loss against t for each start and momentum; runs that diverged are named in the legend."""
    for series, (label, colour, marker, line) in STARTS.items():
        rows = table[(table.series == series) & (table.delay == 0.0)]
        runs = rows.groupby(["time", "seed"]).late_loss.first().unstack()
        lost = runs.index[~np.isfinite(runs).all(axis=1)]
        if lost.size:
            label += f"\n(diverged: t = {', '.join(f'{time:g}' for time in lost)} $RC$)"
        kept = runs.drop(index=lost)
        mean, sd = kept.mean(axis=1), kept.std(axis=1, ddof=1)
        ax.errorbar(kept.index, mean, sd, color=colour, marker=marker, ls=line, label=label, capsize=2)
    exact = table[table.series == "exact"].groupby("seed").late_loss.first()
    ax.axhline(exact.mean(), color=BLACK, ls="--", lw=1.2, label="exact")
    ax.set(xscale="log", yscale="log", xlabel=r"t [$RC$]", ylabel="late training loss [nat]", title="end, against t")
    plain_log(ax.xaxis)
    plain_log(ax.yaxis)
    ax.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))


# -- noise


def draw_noise(table):
    """Loss against steps for each noise, voltages carried and not, and the late loss against noise."""
    starts = list(table.start.unique())
    figure, axes = panels(1, 1 + len(starts), height=3.0, width=3.1)
    kappas = sorted(table.kappa0.unique())
    colours = dict(zip(kappas, (BLACK, *ordered_colours(len(kappas) - 1)), strict=True))
    for ax, start in zip(axes[0], starts, strict=False):
        for kappa0, colour in colours.items():
            values = curves(table[(table.start == start) & (table.kappa0 == kappa0)])
            label = "no noise" if kappa0 == 0.0 else rf"$\kappa_0$ = {kappa0:g}"
            band(ax, values.index, values, color=colour, ls="--" if kappa0 == 0.0 else "-", label=label)
        ax.set(xlabel="step", ylabel="training loss [nat]", title=f"voltages {STARTS[start][0]}")
        ax.set_ylim(0.0, 1.2 * table.loss.max())
    axes[0, 0].legend(loc="lower left")
    ax = axes[0, -1]
    for start in starts:
        label, colour, marker, _ = STARTS[start]
        runs = table[table.start == start].groupby(["kappa0", "seed"]).test_accuracy.last().unstack()
        quiet, noisy = 100.0 * (1.0 - runs.loc[0.0]), 100.0 * (1.0 - runs.drop(index=0.0))
        ax.errorbar(
            noisy.index, noisy.mean(axis=1), noisy.std(axis=1, ddof=1), color=colour, marker=marker, label=label
        )
        ax.axhline(quiet.mean(), color=colour, ls="--", lw=1.0)
    ax.set(xscale="log", xlabel=r"noise variance $\kappa_0$", ylabel="test error at the end [%]", title="test")
    ax.set_ylim(0.0, 100.0)
    ax.legend(loc="upper left")
    return figure


# -- what a step costs

STEPS = {
    "NGD": ("dense", BLACK, "s"),
    "NGD-CG": ("conjugate gradients", SKY, "v"),
    "Woodbury": ("Woodbury", BLUE, "D"),
    "TNGD": ("TNGD: digital + device", RED, "o"),
}
COLOURS = {
    "Jacobian": SKY, "Gram": BLUE, "eigh": ORANGE, "products": GREEN, "total": GREY, "load": GREY, "relax": YELLOW,
    "read": PINK,
}  # fmt: skip


def draw_step_cost(table):
    """Parts of a simulated step; parts of a solve on the device; run time against N and dz."""
    figure, axes = panels(2, 2, height=2.7, width=4.6)
    _draw_bars(axes[0, 0], table)
    _draw_device(axes[0, 1], table)
    _draw_runtime(axes[1, 0], table, "N", "parameters N")
    _draw_runtime(axes[1, 1], table, "dz", "outputs dz")
    for ax in (*axes[0], axes[1, 1]):
        ax.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure


def _draw_bars(ax, table):
    """One bar a way to simulate: its parts side by side in the logarithm of time, the sum as a number."""
    names = {
        "law, J": "law, from J", "law, no J": "law, from layers", "Euler, J": "Euler, from J",
        "Euler, no J": "Euler, from layers",
    }  # fmt: skip
    rows = table[table.section == "parts"]
    sweep = table[table.section == "t_sweep"].set_index("series").seconds
    for y, series in enumerate(names):
        for part, seconds in rows[rows.series == series][["part", "seconds"]].itertuples(index=False):
            ax.plot(1e3 * seconds, y, color=COLOURS[part], marker="o", ms=7, lw=0, label=part if y == 0 else None)
        total = rows[rows.series == series].seconds.sum()
        ax.plot(1e3 * total, y, color=BLACK, marker="|", ms=16, mew=2.0, lw=0, label="sum" if y == 0 else None)
    sweeps = {"one factorisation": "one eigh", "one each": "eigh each", "Euler": "Euler"}
    for y, (series, label) in enumerate(sweeps.items(), start=len(names)):
        ax.plot(1e3 * sweep[series], y, color=BLACK, marker="|", ms=16, mew=2.0, lw=0)
        names[series] = f"sweep of t, {label}"
    ax.set_yticks(range(len(names)), names.values())
    ax.invert_yaxis()
    ax.set(xscale="log", xlabel="time of a step [ms]", title=rf"simulating t = {rows.time.iloc[0]:g} $RC$")


def _draw_runtime(ax, table, section, label):
    rows = table[table.section == section]
    for series, (name, colour, marker) in STEPS.items():
        of_series = rows[rows.series == series]
        total = of_series.groupby(section).seconds.sum()
        ax.plot(total.index, total, color=colour, marker=marker, label=name)
    device = rows[(rows.series == "TNGD") & (rows.part != "digital")].groupby(section).seconds.sum()
    ax.plot(device.index, device, color=RED, ls=":", marker="o", mfc="none", label="its device part")
    ax.set(xscale="log", yscale="log", xlabel=label, ylabel="time of a step [s]", title=f"against {section}")
    ticks = sorted(rows[section].unique())
    ax.set_ylim(0.5 * device.min(), None)
    if section == "dz":
        ax.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        ax.minorticks_off()


def _draw_device(ax, table):
    rows = table[table.section == "device"]
    cases = list(rows.groupby(["dz", "N"]))
    for y, (_, case) in enumerate(cases):
        left = 0.0
        for part, seconds in case[["part", "seconds"]].itertuples(index=False):
            ax.plot(1e3 * seconds, y, color=COLOURS[part], marker="o", ms=8, lw=0, label=part if y == 0 else None)
            left += seconds
        ax.annotate(
            f"{1e3 * left:.3g} ms", (1e3 * left, y), (0, 8), textcoords="offset points", ha="center", fontsize=8
        )
    exponents = [round(np.log10(size)) for (_, size), _ in cases]
    names = [rf"$N = 10^{exponent}$" + f"\ndz = {dz}" for ((dz, _), _), exponent in zip(cases, exponents, strict=True)]
    ax.set_yticks(range(len(cases)), names)
    ax.set(xscale="log", xlabel="device time [ms]", title="modelled solve, b = 32", ylim=(len(cases) - 0.4, -0.6))


def _spec(name, draw, look, note, timed=False) -> FigureSpec:
    settings = {scale: tables[name] for scale, tables in SCALES.items()}
    return FigureSpec(
        id=name,
        paper="donatella2024",
        table=TABLES[name],
        settings=settings,
        draw=draw,
        timed=timed,
        look=look,
        note=note,
    )


FIGURES = (
    _spec(
        "tngd_optimizers",
        draw_optimizers,
        "Step by step TNGD (thick red) is ahead of Adam on the dense network; K-FAC ends below both. Against time "
        "Adam is ahead: each step of TNGD needs the whole Jacobian, whatever the device does with it.",
        "Digits, batches of 16; the same tuning budget for every method, on data held out of training; dotted: the "
        "paper's own learning rates and damping, untuned. Lines and bands: mean and one standard deviation over "
        "seeds, each point of the training loss the mean of the batches since the last. Time is the measured wall "
        "time of the digital part, on the CPU named in the json file and each method in its quickest form, plus, "
        "for TNGD, modelled device time (load, 50 RC, read; 16 bits, 50 Gb/s). What the simulation of the device "
        "takes is in the csv file and not in the picture. TNGD-Adam: Adam without memory (its betas 0) on the "
        "estimate of TNGD. Bands down to the axis: some runs of NGD and NGD-CG broke down.",
        timed=True,
    ),
    _spec(
        "tngd_carried_state",
        draw_carried_state,
        "Started at the gradient, TNGD improves with t and ends at exact natural gradient. Carried from step to "
        "step, the voltages beat it, most at short t: as momentum in the null space of each curvature does, and "
        "not as momentum in all directions.",
        "Convolutional network on digits, batches of 16; learning rate 0.01 and damping 0.01 of the paper, no "
        "noise. Lines and bands: mean and one standard deviation over seeds, each point the mean of the last "
        "batches. Third panel: in a delay the device relaxes on under the old curvature and gradient; the first "
        "curve starts at the gradient, without a delay. Right: mean loss of the last steps. The momentum is "
        "exp(-damping t) per step of an exact solve.",
    ),
    _spec(
        "tngd_noise",
        draw_noise,
        "Carried voltages keep the noise where no curvature holds it: kappa0 = 0.01 costs accuracy, 0.0001 hardly "
        "any. Started at the gradient, no noise up to 0.1 shows.",
        "Convolutional network on digits, batches of 16, t = 1 RC, one read a step; learning rate 0.01 and damping "
        "0.01 of the paper. Lines and bands or bars: mean and one standard deviation over seeds; dashed: without "
        "noise. Both take the same number of steps, of which those from a fresh start are far shorter.",
    ),
    _spec(
        "tngd_step_cost",
        draw_step_cost,
        "On the device loading takes 80 to 8000 times as long as the dynamics, and in a step of TNGD the digital "
        "Jacobian takes longer than the device.",
        "Digital times are medians measured on the CPU named in the json file, device times modelled (16 bits, 50 "
        "Gb/s, RC = 1 us). Upper left: one step of 50 RC simulated by its exact law and by 500 Euler steps, with "
        "the Jacobian J as an array and without it, and four values of t in a row. Below: digital solves from the "
        "gradient on, conjugate gradients with 200 products without J; random images, a convolutional network, 16 "
        "samples, 20 outputs (left), 32 hidden units (right).",
        timed=True,
    ),
)
