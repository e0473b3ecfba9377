"""Figure of Donatella et al., arXiv:2405.13817: fine-tuning of a language model by low-rank factors."""

from .donatella2024_curves import METHODS, band, curves
from .style import BLACK, BLUE, GREY, ORANGE, YELLOW, ordered_colours, panels


def draw_finetuning(table):
    """What fine-tuning wins on the batches: tuned, with the paper's settings, for each t; what it wins in the end."""
    table = table.assign(start=table.start.fillna(""))
    sections = dict(list(table.groupby("section", sort=False)))
    before = sections["pre-trained"]
    tuned, paper = _won(sections["tuned"], before), _won(sections["paper"], before)
    figure, axes = panels(1, 4, height=3.3, width=3.0)
    longest = paper.time.max()
    chosen = (paper.start == "") | ((paper.start == "carry") & (paper.time == longest))
    _draw_methods(axes[0, 0], tuned)
    _draw_methods(axes[0, 1], paper[chosen])
    _draw_times(axes[0, 2], paper)
    _draw_ends(axes[0, 3], tuned)
    titles = ("tuned", rf"the paper's settings, t = {longest:g} $RC$", "TNGD-Adam, the paper's settings", "tuned, end")
    for ax, title in zip(axes[0], titles, strict=True):
        ax.set_title(title)
    low = min(
        part.groupby(["method", "start", "time", "step"], dropna=False).won.mean().min() for part in (tuned, paper)
    )
    for ax in axes[0, :3]:
        ax.axhline(0.0, color=GREY, lw=1.0)
        ax.set(xlabel="step", ylim=(1.6 * low, -0.25 * low))
        ax.legend(loc="lower left", ncols=2, columnspacing=0.8, handlelength=1.5)
    axes[0, 0].set_ylabel("training loss, change by\nfine-tuning [nat]")
    return figure


def _won(rows, before):
    """Columns won, late_won, test_won: losses minus those of the pre-trained network, on the same batches and tests."""
    keys = ["seed", "step"]
    joined = rows.merge(before[[*keys, "loss", "test_loss"]], on=keys, suffixes=("", "_before"))
    pairs = {"won": "loss", "test_won": "test_loss"}
    joined = joined.assign(**{name: joined[column] - joined[f"{column}_before"] for name, column in pairs.items()})
    return joined.assign(late_won=joined.late_loss - joined.seed.map(before.groupby("seed").late_loss.last()))


def _draw_methods(ax, rows):
    for method, of_method in rows.groupby("method", sort=False):
        colour, line = METHODS[method]
        values = curves(of_method, "won")
        band(ax, values.index, values, color=colour, ls=line, label=method, lw=2.2 if method == "TNGD-Adam" else 1.4)


def _draw_times(ax, rows):
    """Times in dark to light, and then what has no curvature in it."""
    carried = rows[(rows.method == "TNGD-Adam") & (rows.start == "carry")]
    times = sorted(carried.time.unique())
    for time, colour in zip(times, ordered_colours(len(times)), strict=True):
        values = curves(carried[carried.time == time], "won")
        band(ax, values.index, values, color=colour, label=rf"{time:g} $RC$")
    anew = rows[(rows.start == "gradient") & (rows.time == rows.time.max())]
    momentum = rows[rows.start == "momentum"]
    for part, colour, line, label in (
        (anew, ORANGE, "-", rf"{anew.time.iloc[0]:g} $RC$, anew"),
        (rows[(rows.method == "signSGD") & (rows.start == "")], YELLOW, "--", "signs"),
        (momentum[momentum.time == momentum.time.min()], BLUE, "--", "signs, momentum"),
    ):
        values = curves(part, "won")
        band(ax, values.index, values, color=colour, ls=line, label=label)


def _draw_ends(ax, rows):
    """Late training loss and last test loss of each method, against the network that all start from."""
    names = list(rows.method.unique())
    for y, name in enumerate(names):
        runs = rows[rows.method == name].sort_values("step").groupby("seed")[["late_won", "test_won"]].last()
        for column, marker, fill in (("late_won", "o", METHODS[name][0]), ("test_won", "s", "white")):
            ax.errorbar(
                runs[column].mean(), y, xerr=runs[column].std(ddof=1), color=METHODS[name][0], marker=marker, mfc=fill,
                capsize=2, lw=1.2,
            )  # fmt: skip
    for marker, fill, label in (("o", BLACK, "training"), ("s", "white", "test")):
        ax.plot([], [], color=BLACK, marker=marker, mfc=fill, lw=0, label=label)
    ax.axvline(0.0, color=GREY, lw=1.0)
    ax.set_yticks(range(len(names)), names)
    ax.set(xlabel="loss, change by fine-tuning [nat]", ylim=(len(names) - 0.2, -0.5))
    ax.legend(loc="lower center", ncols=2)
