"""Tables of cost: scaling exponents, and where the device wins."""

import numpy as np
import pandas as pd

from analysis import break_even, break_even_steps, exponents
from analysis.digital_model import Machine, assumed_machine, measured_machine

from .cost_settings import ACCELERATOR, DEVICE

HERE = "this machine"


def scaling_exponents(settings, seed: np.random.SeedSequence) -> pd.DataFrame:
    """Claimed exponents compared with fitted ones, with verdicts: see `analysis.exponents.exponents` and ``judged``.

    Columns: quantity, variable, claimed, source, kind ("planned", "counted", "measured"), where; fitted, low, high;
    first, last, points, repeats; holds, decided.
    """
    return exponents.judged(exponents.exponents(settings, seed))


def machines(settings, rng) -> list[Machine]:
    """This machine as measured, and the assumed accelerator."""
    measured = measured_machine(settings.timed, settings.timing_repeats, rng, HERE, settings.streamed)
    return [measured, assumed_machine("accelerator", **ACCELERATOR)]


def break_even_solve(settings, seed: np.random.SeedSequence) -> pd.DataFrame:
    """Who solves A x = b first over d, eps and kappa: see `analysis.break_even.solve_map`.

    Columns: section ("map" or "fit"); for "map" those of `solve_points`; for "fit", the model of each machine: host,
    call, overhead, per_d2, per_d3, beyond [s], cache (a size), residual (rms, relative).
    """
    timed, *children = seed.spawn(1 + len(settings.kappas))
    hosts = machines(settings, np.random.default_rng(timed))
    families = [
        break_even.family(kappa, settings.family_sizes, settings.errors, np.random.default_rng(child))
        for kappa, child in zip(settings.kappas, children, strict=True)
    ]
    table = break_even.solve_map(settings.dims, settings.errors, families, DEVICE, hosts)
    return _with_fits(solve_points(table), hosts)


def solve_points(table: pd.DataFrame) -> pd.DataFrame:
    """A row for each point of a `solve_map`: what is drawn and judged of it.

    Columns: host, kappa, d, eps; winner and one_run (whether a run without refinement is ahead as well), loading
    counted; counted, free, held: the advantage of the device with that loading.
    """
    keys = ["host", "kappa", "d", "eps"]
    counted = table[table.loading == "counted"]
    found = counted[counted.winner.astype(bool)].set_index(keys)[["contender"]].set_axis(["winner"], axis=1)
    seconds = counted.pivot(index=keys, columns="contender", values="seconds")
    found["one_run"] = seconds["device"] < seconds[["Cholesky", "CG"]].min(axis=1)
    advantages = table.drop_duplicates([*keys, "loading"]).pivot(index=keys, columns="loading", values="advantage")
    return found.join(advantages).reset_index()


def break_even_tngd(settings, seed: np.random.SeedSequence) -> pd.DataFrame:
    """Seconds of a step of TNGD and its rivals over N and b dz: see `analysis.break_even_steps.step_map`.

    Columns: section; for "map" those of `step_points`; for "fit" as `break_even_solve`.
    """
    hosts = machines(settings, np.random.default_rng(seed))
    table = break_even_steps.step_map(
        settings.weights, settings.rows, hosts, DEVICE, dz=settings.dz, iterations=settings.iterations,
        run_time=settings.run_time,
    )  # fmt: skip
    return _with_fits(step_points(table), hosts)


def step_points(table: pd.DataFrame) -> pd.DataFrame:
    """A row for each point of a `step_map`: what is drawn and judged of it.

    Columns: host, loading, N, rows (b dz); bytes (of J); winner, the quickest way to a natural gradient; load, relax
    [s] and over_adam of TNGD.
    """
    keys = ["host", "loading", "N", "rows"]
    winners = table[table.winner.astype(bool)].set_index(keys).method.rename("winner")
    tngd = table[table.method == "TNGD"].set_index(keys)[["bytes", "load", "relax", "over_adam"]]
    return tngd.join(winners).reset_index()


def _with_fits(table, hosts) -> pd.DataFrame:
    fits = pd.concat([host.summary() for host in hosts]).rename(columns={"machine": "host"})
    return pd.concat([table.assign(section="map"), fits.assign(section="fit")], ignore_index=True)


TABLES = {
    "scaling_exponents": scaling_exponents,
    "break_even_solve": break_even_solve,
    "break_even_tngd": break_even_tngd,
}
