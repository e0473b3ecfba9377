"""Figure of Donatella et al., arXiv:2405.13817: what a step costs, digitally and on the device."""

import numpy as np

from .style import BLACK, BLUE, GREEN, GREY, ORANGE, PINK, RED, SKY, YELLOW, panels

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
        _draw_sum(ax, total, y, label="sum" if y == 0 else None)
    sweeps = {"one factorisation": "one eigh", "one each": "eigh each", "Euler": "Euler"}
    for y, (series, label) in enumerate(sweeps.items(), start=len(names)):
        _draw_sum(ax, sweep[series], y)
        names[series] = f"sweep of t, {label}"
    ax.set_yticks(range(len(names)), names.values())
    ax.invert_yaxis()
    ax.margins(x=0.18)
    ax.set(xscale="log", xlabel="time of a step [ms]", title=rf"simulating t = {rows.time.iloc[0]:g} $RC$")


def _draw_sum(ax, seconds, y, label=None):
    ax.plot(1e3 * seconds, y, color=BLACK, marker="|", ms=16, mew=2.0, lw=0, label=label)
    at = (1e3 * seconds, y)
    ax.annotate(f"{1e3 * seconds:.3g}", at, (6, 0), textcoords="offset points", va="center", fontsize=8)


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
