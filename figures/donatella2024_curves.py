"""How training runs are drawn for Donatella et al., arXiv:2405.13817: bands over seeds, axes, colours of methods."""

from .style import BLACK, BLUE, GREEN, GREY, ORANGE, PINK, RED, SKY, YELLOW, shaded_line

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


def band(ax, x, values, **style):
    """Mean over seeds, and one standard deviation either way; `values` has a column for each seed."""
    mean, sd = values.mean(axis=1), values.std(axis=1, ddof=1)
    shaded_line(ax, x, mean, mean - sd, mean + sd, **style)


def curves(rows, column="loss"):
    """A column for each seed, a row for each step."""
    return rows.pivot(index="step", columns="seed", values=column)
