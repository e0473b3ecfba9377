"""Figures of Aifer et al., arXiv:2308.05660: convergence of Lyapunov equations and determinants; energy and time."""

import numpy as np
from matplotlib.lines import Line2D

from paper_repro.aifer2024.run import TABLES
from paper_repro.aifer2024.settings import SCALES

from .catalogue import FigureSpec
from .style import BLACK, BLUE, GREEN, GREY, ORANGE, ordered_colours, panels

ESTIMATORS = {
    "jarzynski": ("Jarzynski", BLUE, "o"),
    "gaussian": ("Gaussian: mean less half the variance", ORANGE, "s"),
    "bar": ("Bennett, both ways", GREEN, "^"),
}


def draw_primitives(table):
    """Lyapunov equation against time; determinant against trajectories, and against the time of a ramp."""
    figure, axes = panels(1, 3, height=3.4, width=3.2)
    sections = dict(list(table.groupby("section")))
    _draw_lyapunov(axes[0, 0], sections["lyapunov"])
    _draw_estimators(axes[0, 1], sections["paths"], "n_paths")
    _draw_estimators(axes[0, 2], sections["ramp"], "duration")
    ramp, paths = sections["paths"].duration.iloc[0], sections["ramp"].n_paths.iloc[0]
    axes[0, 1].set(xlabel="trajectories", ylabel=r"error of $\ln \det A$", title=f"determinant, ramps of {ramp:g} $RC$")
    axes[0, 2].set(xlabel="time of a ramp [$RC$]", title=f"determinant, {int(paths)} trajectories")
    handles = [Line2D([], [], color=c, marker=m, lw=0, label=label) for label, c, m in ESTIMATORS.values()]
    handles.append(Line2D([], [], color=GREY, lw=1.1, label="lines: theory (left), reported standard error (others)"))
    figure.legend(handles=handles, loc="outside lower center", ncols=4)
    return figure


def _draw_lyapunov(ax, table):
    kappas = sorted(table.kappa.unique())
    for kappa, colour in zip(kappas, ordered_colours(len(kappas)), strict=True):
        rows = table[table.kappa == kappa]
        ax.plot(rows.time, rows.theory, color=colour, lw=1.2)
        ax.vlines(rows.time, rows.low, rows.high, color=colour, lw=2.5, alpha=0.4)
        ax.plot(rows.time, rows.error, color=colour, marker="o", lw=0, label=rf"$\kappa$ = {kappa:g}")
    ax.set(xscale="log", yscale="log", xlabel="device time [$RC$]", ylabel="relative error of $S$")
    ax.set_title("Lyapunov equation")
    ax.legend(loc="lower left")


def _draw_estimators(ax, table, argument):
    for name, (_, colour, marker) in ESTIMATORS.items():
        rows = table[table.estimator == name]
        ax.plot(rows[argument], rows.reported, color=colour, lw=1.1)
        ax.plot(rows[argument], rows.error, color=colour, marker=marker, lw=0)
    ax.set(xscale="log", yscale="log")


# -- energy against time

ENERGIES = {
    "stored_energy": "stored in the cells",
    "joule_heat": "Joule heat of the mean currents",
    "stochastic_heat": "heat exchanged with the bath",
}


def draw_energy_time(table):
    """A panel for each energy, which are never added: energy against time by the size of b."""
    figure, axes = panels(1, 3, height=3.3, width=3.0, sharex=True)
    kappas = sorted(table.kappa.unique())
    for ax, (energy, title) in zip(axes[0], ENERGIES.items(), strict=True):
        for kappa, colour in zip(kappas, ordered_colours(len(kappas)), strict=True):
            rows = table[(table.energy == energy) & (table.kappa == kappa)]
            _draw_energy(ax, rows, colour)
        ax.set(xscale="log", yscale="log", xlabel="burn-in and averaging [s]", title=title)
    axes[0, 0].set_ylabel("energy [$C V^2$, $V^2 = 1/\\beta$]")
    colours = zip(kappas, ordered_colours(len(kappas)), strict=True)
    handles = [Line2D([], [], color=c, marker="o", lw=0, label=rf"$\kappa$ = {k:g}") for k, c in colours]
    handles.append(Line2D([], [], color=BLACK, lw=1.1, label="derived: energy x time is constant"))
    handles.append(Line2D([], [], color=GREY, marker="o", mfc="white", lw=0, label="taken up from the bath"))
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))
    return figure


def _draw_energy(ax, rows, colour):
    time, taken = rows.relax + rows.integrate, (rows.energy == "stochastic_heat") & (rows.value > 0.0)
    size = np.abs(rows.value)
    ax.plot(time, size, color=colour, lw=0.8, alpha=0.6)
    ax.plot(time[~taken], size[~taken], color=colour, marker="o", ms=4, lw=0)
    ax.plot(time[taken], size[taken], color=colour, marker="o", ms=4, mfc="white", lw=0)
    if rows.energy.iloc[0] == "stored_energy":
        clear = rows[rows.clear]
        ax.plot(clear.integrate, clear.derived / clear.integrate, color=BLACK, lw=1.1)


def _settings(name: str) -> dict:
    return {scale: tables[name] for scale, tables in SCALES.items()}


FIGURES = (
    FigureSpec(
        id="primitives_convergence",
        paper="aifer2024",
        table=TABLES["primitives_convergence"],
        settings=_settings("primitives_convergence"),
        draw=draw_primitives,
        look="Errors of Lyapunov equations and determinants fall as one over the root of time or of the number of "
        "trajectories; for fast ramps only the estimator that drives both ways can be trusted.",
        note="Dots: rms over repeats; bars: 10 to 90 % quantiles. Left: symmetric A of norm 1, eigenvalues evenly "
        "spaced in the logarithm, noise matrix Wishart, one trajectory with a continuous integrator; lines: fourth "
        "moments in equilibrium, nothing fitted. Middle and right: Wishart matrix with 2d degrees of freedom, driven "
        "linearly from its mean diagonal; the error of ln det A is the relative error of det A; all trajectories "
        "count, Bennett's are half of them driven backwards. A dot above its line is an error bar too small: that of "
        "the second estimator is a bias which no number of trajectories removes.",
    ),
    FigureSpec(
        id="energy_time",
        paper="aifer2024",
        table=TABLES["energy_time"],
        settings=_settings("energy_time"),
        draw=draw_energy_time,
        look="A larger b trades time for stored energy one for one, until the burn-in is all that is left of the time; "
        "the Joule heat of an answer does not depend on the size of b until then.",
        note="Each dot is tl.solve to 0.3 % with b multiplied by a number from 0.03 to 100, d = 50, eigenvalues evenly "
        "spaced in the logarithm, beta = 1. Three energies that are never added: stored in the capacitors at the end, "
        "Joule heat of the mean currents over the whole run, heat exchanged with the bath (taken up for small b, given "
        "off for large). The line is x^T A x tr(A^-2) / (beta rtol^2 |x|^2), a derivation of ours, over the averaging "
        "time; drawn where what is stored is mostly signal and averaging is long.",
    ),
)
