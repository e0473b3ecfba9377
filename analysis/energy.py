"""Energy of a solution: against time, and against a digital machine.

A larger right-hand side needs less averaging and more power.

Scaling b by s scales the answer at fixed noise, so the same relative error takes 1/s^2 of the averaging, while every
energy of the mean voltages grows as s^2 (Aifer et al., arXiv:2308.05660, state a trade-off; this form is ours).
"""

from dataclasses import replace

import numpy as np
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
        none may be added to another: see `thermolinalg.results.Cost`); value, mean, in `unit`.

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


def conversion_budget(dims, rates, *, eps, device, seconds, watts, loaded=False) -> pd.DataFrame:
    """What one conversion may cost before a solution on the device takes more energy than a digital one.

    Nobody has published the energy of a converter for such a device, so it is solved for:
    ``(watts seconds - heat) / conversions``, with the Joule heat of the mean currents over the run and
    ``d^2 + 2 d`` conversions (2 d with the matrix loaded). Heat of white right-hand sides adds up over modes, so that a
    spectrum of any number of modes stands for all sizes.

    Parameters
    ----------
    dims : sequence of int
        Sizes d of a dense matrix.
    rates : (m,) array_like
        Eigenvalues that represent its spectrum, in units of the reference conductance.
    eps : float
        Relative error of x, b with entries of rms 1.
    device : Device
        With a `voltage_unit`.
    seconds : callable
        d to the seconds of the digital solution.
    watts : float
        Power of the digital machine while it solves.
    loaded : bool
        The matrix is on the device already.

    Returns
    -------
    DataFrame
        d, digital [J], heat [J], conversions, budget [J for a conversion; negative where heat alone is too much].

    Raises
    ------
    ValueError
        A device without a voltage unit.

    Examples
    --------
    >>> device = tl.Device(voltage_unit=1.0)
    >>> table = conversion_budget([100], [0.5, 1.0], eps=0.1, device=device, seconds=lambda d: 1e-3, watts=10.0)
    >>> int(table.conversions.item()), bool(table.budget.item() < 0.01 / 10_200)
    (10200, True)
    """
    if device.voltage_unit is None:
        raise ValueError("energies in joules need a device with a voltage_unit")
    rates = np.asarray(rates, dtype=float)
    ideal = replace(device, matrix_bits=None, dac_bits=None, adc_bits=None, mismatch=0.0)
    heat = tl.solve(tl.Diagonal(rates), np.ones(rates.size), rtol=eps, device=ideal, rng=0).cost.joule_heat
    rows = []
    for d in dims:
        joules, conversions = watts * float(seconds(d)), 2 * d + (0 if loaded else d * d)
        spent = heat * d / rates.size
        rows.append({"d": int(d), "digital": joules, "heat": spent, "conversions": int(conversions),
                     "budget": (joules - spent) / conversions})  # fmt: skip
    return pd.DataFrame(rows)
