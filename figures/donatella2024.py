"""Figures of Donatella et al., Thermodynamic Natural Gradient Descent, arXiv:2405.13817."""

import numpy as np

from paper_repro.donatella2024.run import TABLES
from paper_repro.donatella2024.settings import SCALES

from .catalogue import FigureSpec
from .donatella2024_curves import band, curves
from .donatella2024_finetuning import draw_finetuning
from .donatella2024_optimizers import draw_optimizers, draw_optimizers_in_time
from .donatella2024_step_cost import draw_step_cost
from .style import BLACK, BLUE, GREEN, GREY, ORANGE, RED, ordered_colours, panels, plain_log

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
        "Step by step TNGD (thick red) ends below Adam on both networks, K-FAC still lower on the convolutional one.",
        "Digits, batches of 16; the same tuning budget for every method, on data held out of training; dotted: the "
        "paper's own learning rates and damping, untuned. Lines and bands: mean and one standard deviation over "
        "seeds, as a factor; each point of the training loss is the mean of the batches since the last. TNGD-Adam: "
        "Adam without memory (its betas 0) on the estimate of TNGD. Some runs of NGD and NGD-CG broke down.",
    ),
    _spec(
        "tngd_optimizers_in_time",
        draw_optimizers_in_time,
        "Against time Adam is ahead of TNGD (thick red): each step of TNGD needs the whole Jacobian, whatever the "
        "device does with it.",
        "The runs of tngd_optimizers. Time is the measured wall time of the digital part, on one BLAS thread of the "
        "CPU named in the json file and each method in its quickest form, plus, for TNGD, modelled device time (load, "
        "50 RC, read; 16 bits, 50 Gb/s). What the simulation of the device takes is in the csv file and not in the "
        "picture.",
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
        "tngd_finetuning",
        draw_finetuning,
        "With the paper's settings TNGD-Adam (thick) is ahead of Adam, as the paper finds. Tuned, Adam is ahead of it. "
        "Its lead over signs of the raw gradient is that of momentum: all but gone with voltages started anew, larger "
        "for a shorter t, which forgets less.",
        "A small transformer for characters, pre-trained on Python's help topics about the language; low-rank factors "
        "of its attention are fitted to 256 texts of the topics about types, batches of 16. Lines and bands or bars: "
        "mean and one standard deviation over seeds of the loss minus that of the pre-trained network, on the same "
        "batches (each point the mean of 5) and test texts. Tuned: six settings a method, judged by the training loss. "
        "The paper's: rates 0.001 (Adam, TNGD-Adam, signSGD) and 0.01 (TNGD), damping 1, voltages carried. Third "
        "panel: t, carried unless it says anew; signs of the gradient, and with momentum exp(-0.1), what the shortest "
        "t keeps.",
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
