"""Linear systems: device time to a given error against d, kappa and the error, under two notions of error."""

import numpy as np
import pandas as pd

import thermolinalg as tl

from .repeats import spread

ARGUMENTS = ("d", "kappa", "eps")
CONVENTIONS = ("absolute", "relative")
DYNAMICS = ("overdamped", "underdamped")
# (convention, dynamics, argument): exponent of the time, and who says so
EXPONENTS = {
    ("absolute", "overdamped"): ({"d": 1.0, "kappa": 2.0, "eps": -2.0}, "claimed"),
    ("absolute", "underdamped"): ({"d": 1.0, "kappa": 1.5, "eps": -2.0}, "derived"),
    ("relative", "overdamped"): ({"d": 0.0, "kappa": 1.0, "eps": -2.0}, "derived"),
    ("relative", "underdamped"): ({"d": 0.0, "kappa": 0.5, "eps": -2.0}, "derived"),
}


def solve_time_to_error(settings, seed: np.random.SeedSequence) -> pd.DataFrame:
    """Burn-in and averaging until the rms error of x is eps, and the powers of d, kappa and eps that they follow.

    Convention "absolute": eps = rms ||x - A^-1 b|| for b of norm 1 and the spectrum that is the worst for it (one
    eigenvalue 1, all others 1/kappa). "relative": eps = rms ||x - A^-1 b|| / rms ||A^-1 b|| for b of independent normal
    entries and eigenvalues evenly spaced in the logarithm. Nothing depends on the eigenvectors.

    Columns: section ("time" or "exponent"), argument, convention, dynamics. For "time": d, kappa, eps; burn_in,
    duration and time (their sum) [RC]; reached (rms over draws of b of the error over eps), low, high (its 10 and 90 %
    quantiles). For "exponent": fitted (to the time), expected, says ("claimed" by the paper, as reported, or
    "derived" here).
    """
    rows = []
    for argument in ARGUMENTS:
        for convention in CONVENTIONS:
            for dynamics in DYNAMICS:
                labels = {"argument": argument, "convention": convention, "dynamics": dynamics}
                series = _series(labels, settings, np.random.default_rng(seed.spawn(1)[0]))
                rows += [*series, _exponent_row(labels, series, settings.fit_points)]
    return pd.DataFrame(rows)


def _series(labels, settings, rng) -> list[dict]:
    points = {"d": settings.sizes, "kappa": settings.kappas, "eps": settings.targets(labels["convention"])}
    rows = []
    for value in points[labels["argument"]]:
        case = {"d": settings.size, "kappa": settings.kappa, "eps": settings.target(labels["convention"])}
        case[labels["argument"]] = value
        rows.append({"section": "time"} | labels | case | _times(labels, case, settings.draws, rng))
    return rows


def spectrum(convention: str, d: int, kappa: float) -> np.ndarray:
    """Eigenvalues (d,) from 1/kappa to 1: the worst for an absolute error, or evenly spaced in the logarithm."""
    if convention == "relative":
        return np.geomspace(1.0 / kappa, 1.0, d)
    rates = np.full(d, 1.0 / kappa)
    rates[-1] = 1.0
    return rates


def _times(labels, case, draws, rng) -> dict:
    """Times of the run that a plan for all right-hand sides together asks for; each of them is a run of its own."""
    operator = tl.Diagonal(spectrum(labels["convention"], case["d"], case["kappa"]))
    b, eps = rng.standard_normal((case["d"], draws)), case["eps"]
    if labels["convention"] == "absolute":
        b /= np.linalg.norm(b, axis=0)
    truth = b / operator.rates[:, None]
    goal = eps * np.sqrt(draws) if labels["convention"] == "absolute" else eps * np.linalg.norm(truth)
    run = tl.solve(operator, b, rtol=goal / np.linalg.norm(truth), dynamics=labels["dynamics"], rng=rng)
    reached = spread(np.linalg.norm(run.value - truth, axis=0) / (goal / np.sqrt(draws)))
    times = {"burn_in": run.burn_in, "duration": run.duration, "time": run.burn_in + run.duration}
    return times | {"reached": reached["error"], "low": reached["low"], "high": reached["high"]}


def _exponent_row(labels, series, fit_points: int) -> dict:
    argument = labels["argument"]
    hardest = sorted(series, key=lambda row: row[argument], reverse=argument != "eps")[:fit_points]
    exponents, says = EXPONENTS[labels["convention"], labels["dynamics"]]
    return {"section": "exponent"} | labels | {
        "fitted": power([row[argument] for row in hardest], [row["time"] for row in hardest]),
        "expected": exponents[argument],
        "says": says,
    }  # fmt: skip


def power(x, y) -> float:
    """The power of x that y follows, by least squares in logarithms."""
    return float(np.polyfit(np.log(x), np.log(y), 1)[0])
