"""The house style: colours, sizes and labels that every figure shares. No global state is touched."""

from contextlib import contextmanager

import matplotlib
import seaborn
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

# Okabe and Ito: told apart with every common kind of colour vision
BLACK, ORANGE, SKY, GREEN, YELLOW, BLUE, RED, PINK = (
    "#000000", "#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7",
)  # fmt: skip
GREY = "#8A8A8A"
PANEL_WIDTH = 3.4  # inches: one column of a journal

RC = {
    "font.family": "DejaVu Sans",
    "font.size": 9.0,
    "axes.titlesize": 9.5,
    "axes.labelsize": 9.0,
    "xtick.labelsize": 8.0,
    "ytick.labelsize": 8.0,
    "legend.fontsize": 8.0,
    "legend.frameon": False,
    "axes.linewidth": 0.8,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#E6E6E6",
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.6,
    "lines.markersize": 4.5,
    "pdf.fonttype": 42,
    "figure.dpi": 100.0,
    "savefig.dpi": 160.0,
    "figure.constrained_layout.use": True,
}


@contextmanager
def house_style():
    """Everything inside is drawn in the house style, whatever the user's own settings."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(RC)
        yield


def panels(rows=1, columns=1, *, height=2.9, width=PANEL_WIDTH, **options):
    """A figure and its axes, each panel `width` by `height` inches, without the upper and right frame."""
    figure = Figure(figsize=(columns * width, rows * height))
    axes = figure.subplots(rows, columns, squeeze=False, **options)
    seaborn.despine(fig=figure)
    return figure, axes


def ordered_colours(n: int):
    """n colours for values with an order: dark to light, readable in grey as well."""
    return seaborn.color_palette("viridis", n + 1)[:n]


def shaded_line(ax, x, middle, low, high, **style):
    """A line with what lies between two others shaded: a mean and one standard deviation either way, quantiles."""
    ax.plot(x, middle, **style)
    ax.fill_between(x, low, high, color=style["color"], alpha=0.15, lw=0)


def plain_log(axis):
    """A logarithmic axis with numbers as they are: 0.5, 1, 2."""
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.set_major_formatter("{x:g}")
    axis.set_minor_locator(NullLocator())


def plain_ticks(axis, values):
    """Ticks at these values and nowhere else, with numbers as they are."""
    axis.set_ticks(values, [f"{value:g}" for value in values])
    axis.set_minor_locator(NullLocator())


def scientific(value: float) -> str:
    """A number for a label: 32, 440, 4.9e3 as 4.9 x 10^3."""
    if value < 1000:
        return f"{value:.3g}"
    mantissa, exponent = f"{value:.1e}".split("e")
    return rf"${mantissa}\times10^{{{int(exponent)}}}$"
