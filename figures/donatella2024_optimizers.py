"""Figures of Donatella et al., arXiv:2405.13817: all optimisers with tuned settings, against steps and time."""

from .donatella2024_curves import METHODS
from .style import panels, plain_log, shaded_line

TASKS = {"digits_mlp": "dense network", "digits_conv": "convolutional network"}
PARTS = ["digital_seconds", "load_seconds", "relax_seconds", "read_seconds"]


def draw_optimizers(table):
    """A row for each task: loss and test error against steps."""
    return _draw(table[table.section == "curve"].assign(seconds_of_step=1.0), "step")


def draw_optimizers_in_time(table):
    """The same against time."""
    figure = _draw(table.assign(seconds_of_step=table[PARTS].sum(axis=1)), "digital + device time [s]")
    for ax in figure.axes:
        ax.set_xscale("log")
    return figure


def _draw(table, label):
    tasks = list(table.task.unique())
    figure, axes = panels(len(tasks), 2, height=2.7, width=3.6, sharex="col")
    for row, task in zip(axes, tasks, strict=True):
        of_task = table[table.task == task]
        of_task = of_task.assign(error=100.0 * (1.0 - of_task.test_accuracy), error_sd=100.0 * of_task.test_accuracy_sd)
        for method, rows in of_task.groupby("method", sort=False):
            _draw_method(row, method, rows)
        for ax in row:
            ax.set_yscale("log")
            plain_log(ax.yaxis)
        row[0].set(title=f"{TASKS[task]}: training", ylabel="training loss [nat]")
        row[1].set(title=f"{TASKS[task]}: test", ylabel="test error [%]")
    for ax in axes[-1]:
        ax.set_xlabel(label)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4)
    return figure


def _draw_method(axes, method, rows):
    colour, line = METHODS[method]
    style = {"color": colour, "ls": line, "label": method, "lw": 2.2 if method == "TNGD" else 1.4}
    for ax, column in zip(axes, ("loss", "error"), strict=True):
        mean, high = rows[column], rows[column] + rows[f"{column}_sd"]  # the axis is logarithmic: as far down as up
        shaded_line(ax, rows.step * rows.seconds_of_step, mean, mean**2 / high, high, **style)
