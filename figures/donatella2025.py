"""Figures of Donatella et al., Scalable Thermodynamic Second-order Optimization, arXiv:2502.08603."""

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import LogLocator, NullLocator

from paper_repro.donatella2025.quantised import runs
from paper_repro.donatella2025.run import TABLES
from paper_repro.donatella2025.settings import SCALES

from .catalogue import FigureSpec
from .style import BLACK, BLUE, GREEN, GREY, ORANGE, PINK, RED, SKY, ordered_colours, panels, plain_ticks, shaded_line

# -- training with few bits

REFERENCES = {"SGD": (GREY, "-"), "Adam": (ORANGE, "-"), "K-FAC": (BLACK, "-")}
REMEDIES = {  # variant, rounding: colour, marker, label
    ("plain", "nearest"): (BLUE, "o", "all numbers, nearest"),
    ("plain", "stochastic"): (SKY, "s", "all numbers, stochastic"),
    ("input", "nearest"): (RED, "v", "factors and right-hand sides only"),
    ("output", "nearest"): (GREEN, "^", "solutions only"),
    ("members", "nearest"): (PINK, "D", "ensemble of rounded factors"),
    ("refine", "nearest"): (GREY, "P", "iterative refinement"),
}
SHARES = {"area": "training loss, mean over all steps", "late": "test loss, last quarter of the steps"}


TASKS = {"digits_mlp": "dense network", "digits_conv": "convolutional network"}


def draw_quantised_training(table):
    """A row for each network: loss against steps; gain over Adam against bits, by two losses."""
    tasks, handles = list(table.task.unique()), {}
    figure, axes = panels(len(tasks), 3, height=2.8, width=4.0)
    for line, task in zip(axes, tasks, strict=True):
        of_task = table[table.task == task]
        for name, (rows, colour, style) in _curves(of_task).items():
            _band(line[0], rows, "loss", colour, style)
            handles[name] = Line2D([], [], color=colour, ls=style, label=name)
        line[0].set(xlabel="step", ylabel="training loss [nat]", yscale="log", title=TASKS[task])
        for ax, name in zip(line[1:], SHARES, strict=True):
            _draw_gains(ax, runs(of_task), name)
    for label, (colour, marker, name) in REMEDIES.items():
        handles[label] = Line2D([], [], color=colour, marker=marker, label=name)
    handles["stopped"] = Line2D([], [], color=GREY, marker="x", mew=1.6, lw=0, label="some run stopped")
    figure.legend(handles=list(handles.values()), loc="outside lower center", ncols=5)
    return figure


def _curves(table) -> dict:
    """Label to rows, colour and style of what is drawn against steps."""
    found = {name: (table[table.method == name], *style) for name, style in REFERENCES.items()}
    for label, variant, bits, style in (("not rounded", "ideal", None, ":"), ("8 bits", "plain", 8, "--")):
        rows = table[(table.variant == variant) & (table.rounding != "stochastic") & table.loss.notna()]
        found[f"T-KFAC, {label}"] = (rows if bits is None else rows[rows.bits == bits], BLUE, style)
    return found


def _band(ax, rows, column, colour, style) -> None:
    """Mean and one standard deviation over seeds."""
    points = rows.dropna(subset=[column]).groupby("step")[column].agg(["mean", "std"])
    mean, sd = points["mean"], points["std"]
    shaded_line(ax, points.index, mean, mean - sd, mean + sd, color=colour, ls=style)


def _draw_gains(ax, table, name) -> None:
    """Gain over Adam against bits, and where runs stopped."""
    column = f"gain_{name}"
    all_bits = list(np.sort(table.bits.dropna().unique()))
    table = table.assign(place=table.bits.map(all_bits.index, na_action="ignore"))
    shift = np.linspace(-0.3, 0.3, len(REMEDIES))
    for offset, ((variant, rounding), (colour, marker, _)) in zip(shift, REMEDIES.items(), strict=True):
        rows = table[(table.variant == variant) & (table.rounding == rounding)]
        points = rows.groupby("place")[column].agg(["mean", "std", "count"])
        whole = points[points["count"] == rows.groupby("place").size()]
        ax.errorbar(
            whole.index + offset, whole["mean"], whole["std"], color=colour, marker=marker, lw=1.1, elinewidth=1
        )
        stopped = rows[rows[column].isna()].groupby("place").size()
        ax.plot(stopped.index + offset, np.full(len(stopped), 0.04), color=colour, marker="x", mew=1.6, lw=0,
                transform=ax.get_xaxis_transform())  # fmt: skip
    for label, rows, style in (
        ("K-FAC", table[table.method == "K-FAC"], {"color": BLACK, "lw": 1.2}),
        ("not rounded", table[table.variant == "ideal"], {"color": BLUE, "lw": 1.2, "ls": ":"}),
        ("Adam", table[table.method == "Adam"], {"color": ORANGE, "lw": 1.2}),
    ):
        ax.axhline(rows[column].mean(), **style)
        ax.annotate(label, (1.0, rows[column].mean()), (2, 0), xycoords=("axes fraction", "data"), va="center",
                    textcoords="offset points", fontsize=8, color=style["color"], annotation_clip=False)  # fmt: skip
    ax.margins(y=0.15)
    ax.set(xlabel="bits", ylabel="gain over Adam [nat]", title=SHARES[name], xlim=(-0.6, len(all_bits) - 0.4))
    ax.set_xticks(range(len(all_bits)), [f"{b:.0f}" for b in all_bits])


# -- other architectures

ARCHITECTURES = {"digits_vision": "vision transformer, digits", "molecules_graph": "graph network, molecules"}
METHODS = REFERENCES | {"T-KFAC": (BLUE, "--")}


def draw_architectures(table):
    """Training and test loss against steps: a column for each architecture."""
    tasks = list(table.task.unique())
    figure, axes = panels(2, len(tasks), height=2.5, width=3.8)
    for line, name, label in zip(axes, ("loss", "test_loss"), ("training loss [nat]", "test loss [nat]"), strict=True):
        for ax, task in zip(line, tasks, strict=True):
            of_task = table[table.task == task]
            for method in of_task.method.unique():
                _band(ax, of_task[of_task.method == method], name, *METHODS[method])
            ax.set(xlabel="step", ylabel=label, title=ARCHITECTURES[task])
    handles = [
        Line2D([], [], color=METHODS[name][0], ls=METHODS[name][1], label=name) for name in table.method.unique()
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))
    return figure


# -- where the time of an update goes

PARTS = {
    "gradient": (GREY, "gradient"), "backward": (SKY, "second backward pass"), "factors": (GREEN, "forming factors"),
    "inversion": (RED, "inversion"), "products": (BLUE, "products with the gradient"),
}  # fmt: skip


def draw_breakdown(table):
    """Shares of a step against width: a row for each network, a column for each way and interval."""
    networks, columns = list(table.network.unique()), [("Cholesky", 1), ("eigh", 1), ("Cholesky", 10), ("eigh", 10)]
    figure, axes = panels(len(networks), len(columns), height=2.4, width=2.5, sharey=True)
    for line, network in zip(axes, networks, strict=True):
        for ax, (method, interval) in zip(line, columns, strict=True):
            rows = table[(table.network == network) & (table.method == method) & (table.interval == interval)]
            _stack(ax, rows)
            every = "every step" if interval == 1 else f"every {interval} steps"
            ax.set_title(f"{network}: {method}, {every}", fontsize=8.5)
        line[0].set_ylabel("share of a step's time")
    for ax in axes[-1]:
        ax.set_xlabel("width n")
    handles = [Patch(color=colour, label=label) for colour, label in PARTS.values()]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))
    return figure


def _stack(ax, rows) -> None:
    widths = sorted(rows.width.unique())
    shares, bottom = rows.pivot_table(index="width", columns="part", values="share"), np.zeros(len(widths))
    for part, (colour, _) in PARTS.items():
        heights = shares[part].to_numpy()
        ax.bar(range(len(widths)), heights, 0.8, bottom=bottom, color=colour)
        bottom = bottom + heights
    ax.set_xticks(range(len(widths)), [str(width) for width in widths])
    ax.axhline(0.5, color=BLACK, lw=0.8, ls=":")
    ax.grid(visible=False)
    ax.set_ylim(0.0, 1.0)


# -- width and condition number

WAYS = {
    "solve": (BLUE, "o", "device solves (method 2)"), "invert": (GREEN, "s", "device inverts (method 1)"),
    "Cholesky": (ORANGE, "^", "Cholesky, one thread"), "eigh": (RED, "v", "eigh, one thread"),
}  # fmt: skip
HOSTS = {"this CPU": (ORANGE, "one CPU thread"), "accelerator": (PINK, "assumed accelerator")}


def draw_width_scaling(table):
    """Time of an update against width and against condition number; where the device overtakes."""
    figure, axes = panels(1, 3, height=3.2, width=3.7)
    for ax, section, label in zip(axes[0], ("n", "kappa"), ("width n", r"condition number $\kappa$"), strict=False):
        _draw_times(ax, table[table.section == section], section)
        ax.set(xlabel=label, ylabel="time of the update of a layer [s]")
    first, second = (table[table.section == section] for section in ("n", "kappa"))
    axes[0, 0].set_title(rf"$\kappa$ = {first.kappa.iloc[0]:g}")
    axes[0, 1].set_title(f"n = {second.n.iloc[0]:.0f}")
    _draw_crossings(axes[0, 2], table[table.section == "crossing"])
    handles = [Line2D([], [], color=c, marker=m, label=label) for c, m, label in WAYS.values()]
    handles.append(Line2D([], [], color=BLACK, ls=":", label="guides"))
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))
    return figure


def _draw_times(ax, rows, section) -> None:
    for method, (colour, marker, _) in WAYS.items():
        times = rows[rows.method == method].groupby(section).seconds.sum()
        ax.plot(times.index, times, color=colour, marker=marker)
    load = rows[(rows.method == "solve") & rows.part.isin(["load", "read"])].groupby(section).seconds.sum()
    ax.plot(load.index, load, color=BLUE, lw=1.0, ls="--")
    ax.annotate("of which link", (load.index[-1], load.iloc[-1]), (0, 4), textcoords="offset points", color=BLUE,
                ha="right", fontsize=8)  # fmt: skip
    solve = rows[rows.method == "solve"].groupby(section).seconds.sum()
    x = solve.index.to_numpy(dtype=float)
    start = 1 if len(x) < 4 else 2
    for power in (1, 2, 3) if section == "n" else (1, 2):
        guide = 0.35 * solve.iloc[start] * (x[start:] / x[start]) ** power
        ax.plot(x[start:], guide, color=BLACK, lw=0.9, ls=":")
        ax.annotate(rf"$\propto {'n' if section == 'n' else chr(92) + 'kappa'}^{power}$", (x[-1], guide[-1]), (3, -3),
                    textcoords="offset points", fontsize=8)  # fmt: skip
    ax.set(xscale="log", yscale="log")
    plain_ticks(ax.xaxis, x)
    ax.set_xlim(x[0] / 1.2, x[-1] * 1.7)


def _draw_crossings(ax, rows) -> None:
    for host, (colour, label) in HOSTS.items():
        for interval, style in zip(sorted(rows.interval.unique()), ("-", "--"), strict=True):
            line = rows[(rows.host == host) & (rows.interval == interval)].sort_values("kappa")
            every = "every step" if interval == 1 else f"every {interval:.0f} steps"
            ax.plot(line.kappa, line.n, color=colour, ls=style, marker="o", label=f"{label}, {every}")
    ax.set(xscale="log", yscale="log", xlabel=r"condition number $\kappa$", ylabel="n from which solving is quicker")
    kappas = np.sort(rows.kappa.unique())
    plain_ticks(ax.xaxis, kappas)
    ax.legend(loc="upper left", fontsize=7, title="Cholesky; inverted and programmed", title_fontsize=7)
    ax.set_ylim(top=rows.n.max() * 100.0)
    above = ax.secondary_xaxis("top")
    above.set_xticks(kappas, [f"{(kappa - 1.0) ** -2:.0e}" for kappa in kappas], fontsize=7)
    above.xaxis.set_minor_locator(NullLocator())
    above.set_xlabel("damping / largest curvature", fontsize=8)


# -- error of an update


def draw_update_error(table):
    """Error against device time and against the share of burn-in; bits against damping."""
    figure, axes = panels(1, 3, height=3.2, width=3.7)
    runs_ = table[table.section != "bits"]
    betas = sorted(runs_[runs_.method == "solve"].beta.unique())
    series = [("invert", 1.0, ORANGE, "s")]
    series += [("solve", beta, colour, "o") for beta, colour in zip(betas, ordered_colours(len(betas)), strict=True)]
    for ax, section in zip(axes[0], ("time", "share"), strict=False):
        for method, beta, colour, marker in series:
            rows = runs_[(runs_.section == section) & (runs_.method == method) & (runs_.beta == beta)]
            points = rows.groupby(section).error.agg(["mean", "std"])
            low = np.maximum(points["mean"] - points["std"], 0.3 * points["mean"])
            ax.fill_between(points.index, low, points["mean"] + points["std"], color=colour, alpha=0.2, lw=0)
            ax.plot(points.index, points["mean"], color=colour, marker=marker)
        ax.axhline(1.0, color=BLACK, lw=0.8, ls=":")
        ax.set(yscale="log", ylabel="relative error of the update")
    fixed = runs_[runs_.section == "time"]
    axes[0, 0].set(xscale="log", xlabel="device time of the layer [RC]", title=f"burn-in {fixed.share.iloc[0]:.0%}")
    other = runs_[runs_.section == "share"]
    axes[0, 1].set(xlabel="share of each run that is burn-in", title=f"{other.time.iloc[0]:.0f} RC in all")
    _draw_bits(axes[0, 2], table[table.section == "bits"])
    handles = [Line2D([], [], color=ORANGE, marker="s", label="inverts (method 1), any temperature")]
    handles += [
        Line2D([], [], color=c, marker="o", label=rf"solves (method 2), $\beta$ = {b:g}") for _, b, c, _ in series[1:]
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=3)
    return figure


def _draw_bits(ax, rows) -> None:
    for factor, colour in (("A", BLUE), ("G", ORANGE)):
        line = rows[rows.factor == factor].sort_values("damping")
        ax.plot(line.damping, line.bits, color=colour, marker="o", label=f"{factor} stays definite")
        ax.plot(
            line.damping,
            line.formula,
            color=colour,
            ls=":",
            label=rf"$\log_2(2\sqrt{{d/3}}/\lambda_{{min}})$, {factor}",
        )
    line = rows[rows.factor == "A"].sort_values("damping")
    ax.plot(line.damping, line.bits_10, color=RED, marker="s", label="update within 10 %")
    ax.set(xscale="log", xlabel="damping", ylabel="bits of a factor", title="fewest bits, rounded to nearest")
    ax.set_ylim(top=rows.bits_10.max() + 4.0)
    ax.legend(fontsize=7)


# -- a model of large workloads

CHOICES = {  # unit, parallel: what it stands for
    (1e-6, False): "RC 1 µs, one device", (1e-6, True): "RC 1 µs, one per factor",
    (1e-9, False): "RC 1 ns, one device", (1e-9, True): "RC 1 ns, one per factor",
}  # fmt: skip
DIGITAL = ("K-FAC (eigh)", "K-FAC")


def draw_speedup_model(table):
    """Time of a step over Adam's: a panel for each workload, a line for each way to an update."""
    model = table[table.section == "model"]
    names = list(model.workload.unique())
    figure, axes = panels(1, len(names), height=3.9, width=3.7, sharey=True)
    kappas = sorted(model.kappa.dropna().unique())
    colours = dict(zip(kappas, ordered_colours(len(kappas)), strict=True))
    lines = [(name, None) for name in DIGITAL]
    lines += [(f"T-KFAC ({method})", choice) for method in ("invert", "solve") for choice in CHOICES]
    for ax, name in zip(axes[0], names, strict=True):
        for y, (method, choice) in enumerate(reversed(lines)):
            rows = model[(model.workload == name) & (model.method == method)]
            if choice is not None:
                rows = rows[(rows.unit == choice[0]) & (rows.parallel == choice[1])]
            for row in rows.itertuples():
                colour = colours.get(row.kappa, RED)
                filled = row.interval == 1
                ax.plot(row.overhead, y + (0.14 if filled else -0.14), marker="o", lw=0, ms=5, color=colour,
                        mfc=colour if filled else "none")  # fmt: skip
        ax.axvline(1.0, color=ORANGE, lw=1.2)
        ax.set(xscale="log", title=name, xlabel="modelled time of a step / Adam's")
        ax.xaxis.set_major_locator(LogLocator(numticks=8))
    labels = [method if choice is None else f"{method[8:-1]}s: {CHOICES[choice]}" for method, choice in reversed(lines)]
    axes[0, 0].set_yticks(range(len(lines)), labels)
    handles = [Line2D([], [], color=RED, marker="o", lw=0, label="digital")]
    handles += [
        Line2D([], [], color=c, marker="o", lw=0, label=rf"device, $\kappa$ = {k:g}") for k, c in colours.items()
    ]
    handles += [
        Line2D([], [], color=GREY, marker="o", lw=0, label="inverted every step"),
        Line2D([], [], color=GREY, marker="o", mfc="none", lw=0, label="every 10 steps"),
        Line2D([], [], color=ORANGE, label="Adam"),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), columnspacing=1.0)
    return figure


# -- the list


def _spec(name: str, draw, look: str, note: str, timed: bool = False) -> FigureSpec:
    settings = {scale: tables[name] for scale, tables in SCALES.items()}
    return FigureSpec(
        id=name,
        paper="donatella2025",
        table=TABLES[name],
        settings=settings,
        draw=draw,
        look=look,
        note=note,
        timed=timed,
    )


FIGURES = (
    _spec(
        "tkfac_quantised_training", draw_quantised_training,
        look="Down to 5 bits (dense) or 7 (convolutional network) rounding costs next to nothing; with fewer a rounded "
        "factor is not definite and the run stops (crosses), which no remedy prevents.",
        note="Digits of 8 x 8 pixels in batches of 16, a dense and a convolutional network; tuned settings, those of "
        "T-KFAC at 8 bits, used at every word length. Mean and one standard deviation over seeds, which all methods "
        "share. Gain: by how much a loss lies below Adam's; the csv file has its share of K-FAC's. Device noise is "
        "far below the rounding (beta = 1e6).",
    ),
    _spec(
        "tkfac_architectures", draw_architectures,
        look="Thermodynamic K-FAC trains like K-FAC: ahead of Adam on a small vision transformer, behind it on a graph "
        "network.",
        note="Toy networks, 60 steps in batches of 32; six settings tried a method, judged on held-out data by one "
        "seed. Mean and one standard deviation over seeds. The device is not rounded; it splits the damping between "
        "the factors, which K-FAC does not.",
    ),
    _spec(
        "tkfac_breakdown", draw_breakdown, timed=True,
        look="Where the time of a K-FAC step goes against width; the dotted line is one half.",
        note="Medians of repeats on the CPU of the json file, in float64, factors and products on one BLAS thread, "
        "the passes of the network by JAX with its own: perceptrons in batches of 64 samples and GPT-like "
        "transformers of one block on 256 tokens, labels for the factors drawn from the model. Small batches favour "
        "the inversion, whose cost does not depend on them.",
    ),
    _spec(
        "tkfac_width_scaling", draw_width_scaling, timed=True,
        look="On the device the time of an n x n layer grows as n for solving and as kappa at most, digitally as n^3; "
        "right: the width from which solving is quicker.",
        note="Device time is that of the exact law of the read-outs: the shortest burn-in and averaging that reach 10 "
        "% error, RC = 1 µs, one device, beta = 1e6, and 16-bit words over 50 Gb/s. Eigenvalues evenly spaced in the "
        "logarithm, both factors alike, largest entry at full scale. Digital: measured on one BLAS thread of the CPU "
        "named in the json file. Left and middle: inverted and programmed every step. Right: digital time as n^3 from "
        "the largest width; the accelerator (1e12 flop/s for Cholesky, 1e14 for products) is an assumption.",
    ),
    _spec(
        "tkfac_update_error", draw_update_error,
        look="At equal device time a cold device that solves injects far less error than one that inverts, a warm one "
        "more; damping decides how many bits a factor needs.",
        note="First layer of a perceptron after a few steps of Adam, pi-split damping 0.01 left and middle. Solving: "
        "all columns one after the other, equally long runs, integrated. Inverting: half of the time for each factor, "
        "one trajectory each. Mean and one standard deviation over repeats. Converters are ideal left and middle.",
    ),
    _spec(
        "tkfac_speedup_model", draw_speedup_model,
        look="A model, nothing measured: whether a thermodynamic K-FAC step is near Adam's depends on RC and on how "
        "many devices share the layers.",
        note="Operation counts on published layer shapes, an assumed accelerator, and the device's timing law; every "
        "assumption with its source is in the csv file (section assumption). Device and host do not overlap. To the "
        "same target K-FAC is reported to take 50 to 75 % of the steps (arXiv:2311.00636): columns low and high.",
    ),
)  # fmt: skip
