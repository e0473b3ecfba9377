"""Numbers that judge the claims on how time grows: time to an error, primitives, energy and refinement."""

import numpy as np
import pandas as pd

from .time_to_error import power

CONVENTIONS, MOTIONS = ("absolute", "relative"), ("overdamped", "underdamped")
LAST = 3  # points at the end of a curve to which a power is fitted
LAST_LYAPUNOV = 4  # the same of Lyapunov equations, whose runs scatter more
LYAPUNOV_ERROR = 0.3  # at which times are compared
AVERAGED = 50.0  # duration of a round [RC] from which on its contraction is compared with the law


# -- time to an error


def exponent(table, convention: str, motion: str, argument: str) -> float:
    """Fitted power of an argument in the time to an error."""
    rows = table[(table.section == "exponent") & (table.convention == convention) & (table.dynamics == motion)]
    return float(rows[rows.argument == argument].fitted.item())


def _exponents(convention: str, argument: str):
    return lambda table: {motion: exponent(table, convention, motion, argument) for motion in MOTIONS}


def _of_eps(table) -> dict:
    return {f"{c}, {m}": exponent(table, c, m, "eps") for c in CONVENTIONS for m in MOTIONS}


def _gained_by_inertia(table) -> dict:
    return {c: exponent(table, c, MOTIONS[0], "kappa") - exponent(table, c, MOTIONS[1], "kappa") for c in CONVENTIONS}


def _largest_error(table) -> float:
    return float(table[table.section == "time"].reached.max())


# -- primitives


def lyapunov(table) -> dict[float, pd.DataFrame]:
    """Rows of the Lyapunov equation by condition number, in the order of time."""
    return dict(list(table[table.section == "lyapunov"].sort_values("time").groupby("kappa")))


def _lyapunov_powers(table) -> dict:
    ends = {kappa: rows.tail(LAST_LYAPUNOV) for kappa, rows in lyapunov(table).items()}
    return {f"kappa = {kappa:g}": power(rows.duration, rows.error) for kappa, rows in ends.items()}


def _lyapunov_over_theory(table) -> dict:
    return {f"kappa = {k:g}": float(rows.error.iloc[-1] / rows.theory.iloc[-1]) for k, rows in lyapunov(table).items()}


def _lyapunov_power_of_kappa(table) -> float:
    found = {}
    for kappa, rows in lyapunov(table).items():
        if rows.theory.min() < LYAPUNOV_ERROR < rows.theory.max():
            found[kappa] = np.exp(np.interp(np.log(LYAPUNOV_ERROR), np.log(rows.error[::-1]), np.log(rows.time[::-1])))
    return power(list(found), list(found.values())) if len(found) > 1 else np.nan


def estimators(table, section: str) -> dict[str, pd.DataFrame]:
    """Rows of the determinant by estimator."""
    return dict(list(table[table.section == section].groupby("estimator")))


def _power_of_paths(table) -> dict:
    return {name: power(rows.n_paths, rows.error) for name, rows in estimators(table, "paths").items()}


def _error_over_reported(table) -> dict:
    return {
        f"{name}, {which} ramp": float(rows.error.iloc[k] / rows.reported.iloc[k])
        for name, rows in estimators(table, "ramp").items()
        for which, k in (("fastest", 0), ("slowest", -1))
    }


def _fast_ramps(table) -> float:
    fastest = {name: rows.iloc[0].error for name, rows in estimators(table, "ramp").items()}
    return float(fastest["jarzynski"] / fastest["bar"])


# -- energy and time


def clear(table, energy: str) -> dict[float, pd.DataFrame]:
    """Rows of an energy where the derivation is meant to hold, by condition number."""
    return dict(list(table[table.clear.astype(bool) & (table.energy == energy)].groupby("kappa")))


def _range_of_product(table) -> dict:
    return {f"kappa = {k:g}": rows["product"].max() / rows["product"].min()
            for k, rows in clear(table, "stored_energy").items()}  # fmt: skip


def _product_over_derived(table) -> dict:
    return {f"kappa = {k:g}": float((rows["product"] / rows.derived).mean())
            for k, rows in clear(table, "stored_energy").items()}  # fmt: skip


def _joule_power(table) -> dict:
    return {f"kappa = {k:g}": power(rows.scale, rows.value)
            for k, rows in clear(table, "joule_heat").items() if len(rows) > 1}  # fmt: skip


# -- refinement


def _contraction_over_law(table) -> dict:
    rows = table[(table.section == "noise") & (table.kappa == table.kappa.min()) & (table.duration >= AVERAGED)]
    return {f"{row.duration:g} RC": row.contraction / row.predicted for row in rows.itertuples()}


def _largest_over_law(table) -> dict:
    rows = table[table.section == "noise"]
    return {f"kappa = {k:g}": float((part.contraction / part.predicted).max()) for k, part in rows.groupby("kappa")}


def _averaging_power(table) -> float:
    rows = table[table.series == "averaging"].tail(LAST)
    return power(rows.seconds, rows.error)


def _sooner(table) -> float:
    """Time that averaging would take to the smallest error that refinement was asked for, over refinement's."""
    last = table[table.series == "averaging"].iloc[-1]
    asked = table[table.series == "planned"].iloc[-1]
    return float(last.seconds * (last.error / asked.error) ** 2 / asked.seconds)


def _radius_decides(table) -> float:
    rows = table[(table.section == "bits") & table.predicted.notna()]
    return float(((rows.contraction < 1.0) == (rows.predicted < 1.0)).mean())


def _over_radius(table) -> dict:
    rows = table[(table.section == "bits") & table.predicted.notna()]
    return {f"kappa = {k:g}": float((part.contraction / part.predicted).max()) for k, part in rows.groupby("kappa")}


NUMBERS = {
    "solve_time_to_error": {
        "linear_in_d": lambda t: exponent(t, "absolute", "overdamped", "d"),
        "quadratic_in_kappa": lambda t: exponent(t, "absolute", "overdamped", "kappa"),
        "inverse_square_of_error": _of_eps,
        "inertia_lowers_the_power": _gained_by_inertia,
        "relative_free_of_d": _exponents("relative", "d"),
        "relative_burn_in": lambda t: exponent(t, "relative", "overdamped", "kappa"),
        "relative_burn_in_underdamped": lambda t: exponent(t, "relative", "underdamped", "kappa"),
        "plan_keeps_its_word": _largest_error,
    },
    "primitives_convergence": {
        "lyapunov_root_of_time": _lyapunov_powers,
        "lyapunov_known_law": _lyapunov_over_theory,
        "lyapunov_linear_in_kappa": _lyapunov_power_of_kappa,
        "determinant_root_of_trajectories": _power_of_paths,
        "determinant_error_bars": _error_over_reported,
        "both_ways_beats_jarzynski": _fast_ramps,
    },
    "energy_time": {
        "one_for_one": _range_of_product,
        "product_is_derived": _product_over_derived,
        "joule_heat_free_of_b": _joule_power,
    },
    "refinement_vs_averaging": {
        "contraction_follows_law": _contraction_over_law,
        "law_is_a_bound": _largest_over_law,
        "averaging_is_root_of_time": _averaging_power,
        "refinement_is_sooner": _sooner,
        "radius_decides": _radius_decides,
        "radius_is_a_bound": _over_radius,
    },
}
