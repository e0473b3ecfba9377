"""Energy against time of a solution: a larger right-hand side needs less averaging and more power.

Scaling b by s scales the answer at fixed noise, so the same relative error takes 1/s^2 of the averaging, while every
energy of the mean voltages grows as s^2 (Aifer et al., arXiv:2308.05660, state a trade-off; this form is ours).
"""

import pandas as pd

import thermolinalg as tl

ENERGIES = ("joule_heat", "stochastic_heat", "stored_energy")


def energy_time(A, b, *, rtol, scales, device=None) -> pd.DataFrame:
    """Time and each of the three energies of ``solve(A, s b, rtol=rtol)``, for each scale s.

    Parameters
    ----------
    A, b : (d, d) and (d,) array_like
        The problem at scale 1; needs a spectrum (no `Krylov`).
    rtol : float
        Relative error to reach.
    scales : iterable of float
        Multiples of b.
    device : Device, optional
        Default an ideal one at beta = 1.

    Returns
    -------
    DataFrame
        One row for each scale and energy: scale; relax, integrate and total time [s]; energy (its name, of which
        none may be added to another: see `thermolinalg.Cost`); value, mean, in `unit`.

    Raises
    ------
    ValueError
        As `thermolinalg.solve`.

    Examples
    --------
    >>> import thermolinalg as tl
    >>> A = tl.problems.wishart(10, rng=0)
    >>> table = energy_time(A, [1.0] * 10, rtol=1e-3, scales=[1.0, 10.0])
    >>> stored = table[table.energy == "stored_energy"]
    >>> bool(stored.integrate.is_monotonic_decreasing), bool(stored.value.is_monotonic_increasing)
    (True, True)
    """
    operator, rows = tl.as_operator(A), []
    for scale in scales:
        start = [scale * float(entry) for entry in b]
        cost = tl.solve(operator, start, rtol=rtol, device=device, rng=0).cost
        times = {"relax": cost.relax, "integrate": cost.integrate, "seconds": cost.seconds}
        for name in ENERGIES:
            rows.append(
                {"scale": scale} | times | {"energy": name, "value": getattr(cost, name), "unit": cost.energy_unit}
            )
    return pd.DataFrame(rows)
