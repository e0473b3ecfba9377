"""Linear systems: energy against time at a fixed relative error, by the size of the right-hand side."""

import numpy as np
import pandas as pd

import thermolinalg as tl
from analysis import energy

from .settings import DEVICE

CLEAR = 20.0  # what is large compared with 1: the product is then derived to within one tenth


def energy_time(settings, seed: np.random.SeedSequence) -> pd.DataFrame:
    """Each of three energies and the time to a relative error rtol, for multiples s of b.

    Scaling b by s scales x at fixed noise, so averaging takes 1/s^2 of the time and what is stored grows as s^2: their
    product is ``x^T A x tr(A^-2) / (beta rtol^2 ||x||^2)``, free of s (a derivation of ours; of the stored energy
    alone).

    Columns: kappa, those of `analysis.energy.energy_time`, rtol, product (energy times averaging time, C V^2 s),
    derived (that of the stored energy), clear (whether what is stored is mostly signal and averaging lasts for many
    slowest relaxation times: where the derivation is meant to hold).
    """
    tables = []
    for kappa, child in zip(settings.kappas, seed.spawn(len(settings.kappas)), strict=True):
        rng = np.random.default_rng(child)
        operator = tl.Dense(tl.problems.with_condition(settings.size, kappa, rng=rng))
        b = rng.standard_normal(settings.size)
        table = energy.energy_time(operator, b, rtol=settings.rtol, scales=settings.scales)
        table.insert(0, "kappa", kappa)
        x = operator.function(np.reciprocal, b[:, None])[:, 0]
        stored, thermal = 0.5 * (b @ x), 0.5 * settings.size
        averaging = 2.0 * operator.trace(lambda lam: lam**-2.0) / (settings.rtol**2 * (x @ x))
        table["rtol"] = settings.rtol
        table["product"] = table.value * table.integrate
        table["derived"] = stored * averaging * DEVICE.time_unit
        signal = table.scale**2 * stored > CLEAR * thermal
        table["clear"] = signal & (table.integrate > CLEAR * kappa * DEVICE.time_unit)
        tables.append(table)
    return pd.concat(tables, ignore_index=True)
