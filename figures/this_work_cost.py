"""Figures of cost: scaling exponents, and where the device wins."""

import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FixedLocator, LogLocator, NullLocator

from paper_repro.this_work.cost import TABLES
from paper_repro.this_work.cost_settings import MEMORY, SCALES

from .catalogue import FigureSpec
from .style import BLACK, BLUE, GREEN, GREY, ORANGE, RED, panels

LIGHT, MIDDLE = "#E4E4E4", "#BDBDBD"  # digital winners

# -- exponents

VERDICTS = {"holds": (GREEN, "claim inside"), "fails": (RED, "claim outside"), "open": (GREY, "interval too wide")}
KINDS = {
    "planned": "Device, planned times", "counted": "Digital, iterations", "measured": "Digital, times on one thread"
}  # fmt: skip
REACH = 1.3  # of the axis, either way


def draw_exponents(table):
    """Fitted less claimed exponent with its interval, a line for each claim, in groups."""
    lines = []
    for kind, title in KINDS.items():
        rows = table[table.kind == kind]
        lines += [(title, None)] * (len(rows) > 0) + [(_label(row), row) for row in rows.itertuples()]
    figure, axes = panels(height=0.175 * len(lines) + 0.8, width=6.6)
    ax = axes[0, 0]
    ax.axvspan(-0.1, 0.1, color=LIGHT, lw=0, zorder=0)
    ax.axvline(0.0, color=BLACK, lw=1.0)
    for y, (_, row) in enumerate(lines):
        if row is not None:
            _draw_claim(ax, y, row)
    ax.set_ylim(len(lines) - 0.4, -0.8)
    ax.set_yticks(range(len(lines)), [label for label, _ in lines])
    for tick, (_, row) in zip(ax.get_yticklabels(), lines, strict=True):
        tick.set(fontsize=7.5, fontweight="bold" if row is None else "normal")
    ax.tick_params(axis="y", length=0)
    ax.grid(visible=False, axis="y")
    ax.set(xlim=(-REACH, REACH), xlabel="fitted less claimed exponent")
    ax.text(1.02, -0.6, "claimed   fitted", transform=ax.get_yaxis_transform(), fontsize=7.5, fontweight="bold")
    handles = [Line2D([], [], color=c, marker="o", label=label) for c, label in VERDICTS.values()]
    handles.append(Patch(color=LIGHT, label="room of 0.1"))
    figure.legend(handles=handles, loc="outside lower center", ncols=4)
    return figure


def _label(row) -> str:
    where = f" ({row.where})" if isinstance(row.where, str) and row.where else ""
    return f"{row.quantity}{where}: {row.variable}"


def _draw_claim(ax, y, row) -> None:
    colour = VERDICTS["open" if not row.decided else "holds" if row.holds else "fails"][0]
    ends = np.clip([row.low - row.claimed, row.high - row.claimed], -REACH, REACH)
    ax.plot(ends, [y, y], color=colour, lw=1.8, solid_capstyle="butt")
    ax.plot(row.fitted - row.claimed, y, "o", color=colour, ms=4)
    ax.text(1.02, y, f"{row.claimed:>6.3g}      {row.fitted:>5.2f}", transform=ax.get_yaxis_transform(), va="center",
            fontsize=7.5, color=colour)  # fmt: skip


# -- solving

CONTENDERS = {
    "CG": (LIGHT, "conjugate gradient"), "Cholesky": (MIDDLE, "Cholesky"),
    "device": (ORANGE, "device, one run"), "device, refined": (BLUE, "device, refined"),
}  # fmt: skip
BOUNDARIES = {"free": ("-", "border if loading is free"), "held": (":", "border if both sides hold the matrix")}


def draw_break_even_solve(table):
    """Who solves first over d and eps: a row for each digital machine, a column for each condition number."""
    table = table[table.section == "map"]
    hosts, kappas = list(table.host.unique()), sorted(table.kappa.unique())
    figure, axes = panels(len(hosts), len(kappas), height=2.4, width=2.3, sharex=True, sharey=True)
    for line, host in zip(axes, hosts, strict=True):
        for ax, kappa in zip(line, kappas, strict=True):
            rows = table[(table.host == host) & (table.kappa == kappa)]
            _fill(ax, rows, "d", "eps", CONTENDERS)
            for loading, (style, _) in BOUNDARIES.items():
                _boundary(ax, rows, "d", "eps", loading, style)
            _log_axes(ax)
            ax.set_title(rf"$\kappa$ = {kappa:g}" if host == hosts[0] else "")
        name = host if host != "accelerator" else "assumed accelerator"
        line[0].set_ylabel(f"against {name}\nrelative error")
    for ax in axes[-1]:
        ax.set_xlabel("size d")
    _legend(figure, CONTENDERS, BOUNDARIES)
    return figure


def _fill(ax, rows, x, y, colours) -> None:
    """The winner of each point as a cell of its colour."""
    names = list(colours)
    grid = rows.assign(code=rows.winner.map(names.index)).pivot(index=y, columns=x, values="code")
    ax.pcolormesh(_edges(grid.columns), _edges(grid.index), grid.to_numpy(float), vmin=-0.5, vmax=len(names) - 0.5,
                  cmap=ListedColormap([colour for colour, _ in colours.values()]), rasterized=True)  # fmt: skip


def _edges(values) -> np.ndarray:
    """Borders of cells around points of a logarithmic axis."""
    logs = np.log(np.asarray(values, dtype=float))
    middle = 0.5 * (logs[1:] + logs[:-1])
    return np.exp(np.concatenate([[2.0 * logs[0] - middle[0]], middle, [2.0 * logs[-1] - middle[-1]]]))


def _boundary(ax, rows, x, y, loading, style) -> None:
    """Where the advantage of the device is 1."""
    grid = rows.pivot(index=y, columns=x, values=loading)
    lead = np.log(grid.to_numpy(float))
    if lead.min() < 0.0 < lead.max():
        ax.contour(grid.columns, grid.index, lead, levels=[0.0], colors=[BLACK], linewidths=1.6, linestyles=[style])


def _log_axes(ax) -> None:
    ax.set(xscale="log", yscale="log")
    ax.grid(visible=False)
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(LogLocator(10, numticks=12))
        axis.set_minor_locator(NullLocator())


def _legend(figure, colours, lines) -> None:
    handles = [Patch(facecolor=c, edgecolor=GREY, lw=0.5, label=label) for c, label in colours.values()]
    handles += [Line2D([], [], color=BLACK, ls=style, label=label) for style, label in lines.values()]
    figure.legend(handles=handles, loc="outside lower center", ncols=3)


# -- steps of TNGD

METHODS = {
    "NGD-CG": (LIGHT, "NGD-CG"), "NGD-Woodbury": (MIDDLE, "NGD-Woodbury"), "TNGD": (ORANGE, "TNGD on the device")
}  # fmt: skip
OVER_ADAM = (2.0, 10.0, 100.0, 1000.0, 10_000.0)


def draw_break_even_tngd(table):
    """Who takes a natural-gradient step first over N and b dz: a row for each machine, with and without loading."""
    table = table[table.section == "map"]
    hosts, loadings = list(table.host.unique()), list(table.loading.unique())
    figure, axes = panels(len(hosts), len(loadings), height=2.5, width=3.3, sharex=True, sharey=True)
    for line, host in zip(axes, hosts, strict=True):
        for ax, loading in zip(line, loadings, strict=True):
            rows = table[(table.host == host) & (table.loading == loading)]
            _fill(ax, rows, "N", "rows", METHODS)
            _log_axes(ax)  # before labels are placed
            _over_adam(ax, rows)
            name = host if host != "accelerator" else "assumed accelerator"
            ax.set_title(f"{name}, {loading}")
        line[0].set_ylabel(r"$b\,d_z$")
    for ax in axes[-1]:
        ax.set_xlabel("parameters N")
        ax.xaxis.set_major_locator(FixedLocator([1e3, 1e5, 1e7, 1e9]))
    lines = {"adam": ("-", "step of TNGD over one of Adam"), "memory": ("--", "J fills 80 GB")}
    _legend(figure, METHODS, lines)
    return figure


def _over_adam(ax, rows) -> None:
    """Lines of equal time over Adam's, and where J no longer fits."""
    ratio = rows.pivot(index="rows", columns="N", values="over_adam")
    values = ratio.to_numpy(float)
    levels = [level for level in OVER_ADAM if values.min() < level < values.max()]
    if levels:
        lines = ax.contour(ratio.columns, ratio.index, values, levels=levels, colors=[BLACK], linewidths=1.0)
        ax.clabel(lines, fmt=lambda value: f"{value:g}", fontsize=7.5)
    held = rows.assign(full=rows.bytes / MEMORY).pivot(index="rows", columns="N", values="full")
    full = np.log(held.to_numpy(float))
    if full.min() < 0.0 < full.max():
        ax.contour(held.columns, held.index, full, levels=[0.0], colors=[BLACK], linewidths=1.4, linestyles=["--"])


# -- the record


def _spec(name, draw, look, note, timed=True) -> FigureSpec:
    settings = {scale: figures[name] for scale, figures in SCALES.items()}
    return FigureSpec(id=name, paper="this_work", table=TABLES[name], settings=settings, draw=draw, look=look,
                      note=note, timed=timed)  # fmt: skip


_MACHINE = (
    "Device: 1 us time constant, 16-bit words over 50 Gb/s, beta = 1. Digital times of this machine: a polynomial in "
    "the size, fitted to calls measured here (fits and residuals in the table), on the quicker choice of threads and "
    "of 32 or 64 bits; of the accelerator: assumed rates."
)
FIGURES = (
    _spec(
        "scaling_exponents", draw_exponents,
        "Most claimed exponents come out; kappa^2 for solutions only for the worst spectrum, ln(kappa)^3 for "
        "determinants for no ramp tried; digital libraries grow more slowly than their operation counts at such sizes.",
        "Least squares of logarithms with Student's 95 % interval; device times planned from exact laws, digital "
        "ones measured on one thread.",
    ),
    _spec(
        "break_even_solve", draw_break_even_solve,
        "Coloured where the device is quickest, loading counted: it beats one CPU from d of about a thousand on, by "
        "refinement wherever accuracy is wanted; compared with an accelerator, loading takes nearly all of that away.",
        f"{_MACHINE} CG iterations counted on real matrices, best of three preconditioners.",
    ),
    _spec(
        "break_even_tngd", draw_break_even_tngd,
        "With loading counted, TNGD is fastest only for small batch x outputs against one CPU and almost never against "
        "an accelerator. Even with free loading, forming J limits it.",
        f"{_MACHINE} Operation counts of a dense network with 10 outputs; 17 iterations of CG do what t = 50 RC does.",
    ),
)  # fmt: skip
