"""What the paper says, as numbers of our tables and rules: ``verdict(name, table)``; the rules are in expected.json."""

import json
from functools import partial
from itertools import takewhile
from pathlib import Path

import numpy as np
import pandas as pd

from paper_repro.claims import judge, z_of

from .quantised import LATE, runs

EXPECTED = json.loads((Path(__file__).parent / "expected.json").read_text())
KEPT = 0.5  # share of K-FAC's gain that counts as most of it
REFERENCE = {"kappa": 100.0, "unit": 1e-6, "parallel": True, "interval": 1}  # the case of the model that is judged


# -- training


def losses(table, name: str, method: str, variant: str = "", bits: float | None = None) -> pd.Series:
    """A loss of each run that got to its end, by seed."""
    found = runs(table)
    found = found[(found.method == method) & (found.variant.fillna("") == variant)]
    if bits is not None:
        found = found[(found.bits == bits) & (found.rounding == "nearest")]
    return found.set_index("seed")[name]


def kfac_gain(table, name: str) -> float:
    """z of K-FAC's gain over Adam."""
    return z_of(losses(table, name, "K-FAC"), losses(table, name, "Adam"))


def share(table, name: str, variant: str = "plain", bits: float | None = 8) -> float:
    """Mean share kept of K-FAC's gain; missing where there is no gain, or where a run did not get to its end."""
    if not np.mean(losses(table, f"gain_{name}", "K-FAC")) > 0.0:
        return np.nan
    return float(losses(table, f"share_{name}", "T-KFAC", variant, bits).mean(skipna=False))


def unrounded_gain(table, name: str) -> float:
    """z of the gain over Adam of a device without rounding."""
    return z_of(losses(table, name, "T-KFAC", "ideal"), losses(table, name, "Adam"))


def share_of_unrounded(table, name: str, bits: float) -> float:
    """Mean gain over Adam over that without rounding; missing as for `share`."""
    whole = losses(table, f"gain_{name}", "T-KFAC", "ideal").mean()
    rounded = losses(table, f"gain_{name}", "T-KFAC", "plain", bits)
    return float(rounded.mean(skipna=False) / whole) if whole > 0.0 and len(rounded) else np.nan


def fewest_bits_of_unrounded(table, name: str) -> float:
    """Fewest bits from which on most of the gain without rounding is kept."""
    all_bits = sorted(table.bits[table.variant == "plain"].unique(), reverse=True)
    good = list(takewhile(lambda bits: share_of_unrounded(table, name, bits) >= KEPT, all_bits))
    return good[-1] if good else np.nan


def lost_to_rounding(table) -> float:
    """Late loss at 8 bits over that without rounding."""
    ideal = losses(table, "late", "T-KFAC", "ideal").mean()
    return float(losses(table, "late", "T-KFAC", "plain", 8).mean(skipna=False) / ideal)


def late_loss(table, method: str) -> pd.Series:
    """Mean training loss of the last quarter of the steps, by seed; missing where a run ended early."""
    rows = table[(table.method == method) & (table.step > (1.0 - LATE) * table.step.max())]
    return rows.groupby("seed").loss.mean().reindex(table.seed.unique())


def _device_over_kfac(table) -> float:
    device, digital = (late_loss(table, method).mean(skipna=False) for method in ("T-KFAC", "K-FAC"))
    return float(device / digital)


# -- time of an update


def inversion_share(table, network: str, method: str) -> float:
    """Share of the inversion in a step that inverts, at the largest width."""
    rows = table[(table.network == network) & (table.method == method) & (table.interval == 1)]
    return float(rows[(rows.part == "inversion") & (rows.width == rows.width.max())].share.item())


def totals(table, section: str, method: str) -> pd.Series:
    """Seconds of an update by n or kappa."""
    rows = table[(table.section == section) & (table.method == method)]
    return rows.groupby(section).seconds.sum()


def slope(series: pd.Series, largest: int = 3) -> float:
    """Power fitted to the largest arguments."""
    series = series.tail(largest)
    return float(np.polyfit(np.log(series.index), np.log(series), 1)[0])


def advantage(table, method: str) -> pd.Series:
    """Digital K-FAC by Cholesky over the device, by n."""
    return totals(table, "n", "Cholesky") / totals(table, "n", method)


def update_errors(table, method: str, beta: float | None = None) -> pd.Series:
    """Mean error by time; of the coldest device for "solve" unless a temperature is given."""
    rows = table[(table.section == "time") & (table.method == method)]
    rows = rows[rows.beta == (rows.beta.max() if beta is None else beta)]
    return rows.groupby("time").error.mean()


def modelled(table, column: str, workloads: str, method: str = "T-KFAC (solve)") -> float:
    """The least of a column over the workloads whose names begin so, in the reference case."""
    rows = table[(table.method == method) & table.workload.fillna("").str.startswith(workloads)]
    for name, value in REFERENCE.items():
        rows = rows[rows[name] == value]
    return float(rows[column].min())


NUMBERS = {
    "tkfac_quantised_training": {
        "second_order_helps_area": partial(kfac_gain, name="area"),
        "second_order_helps_late": partial(kfac_gain, name="late"),
        "gain_kept_without_rounding_area": partial(share, name="area", variant="ideal", bits=None),
        "gain_kept_at_8_bits_area": partial(share, name="area"),
        "gain_kept_at_8_bits_late": partial(share, name="late"),
        "split_damping_helps_area": partial(unrounded_gain, name="area"),
        "split_damping_helps_late": partial(unrounded_gain, name="late"),
        "unrounded_gain_kept_at_8_bits_area": partial(share_of_unrounded, name="area", bits=8),
        "unrounded_gain_kept_at_8_bits_late": partial(share_of_unrounded, name="late", bits=8),
        "fewest_bits_late": partial(fewest_bits_of_unrounded, name="late"),
        "nothing_lost_to_rounding_at_8_bits": lost_to_rounding,
    },
    "tkfac_architectures": {
        "device_trains_like_kfac": _device_over_kfac,
        "kfac_beats_adam": lambda t: z_of(late_loss(t, "K-FAC"), late_loss(t, "Adam")),
        "device_beats_adam": lambda t: z_of(late_loss(t, "T-KFAC"), late_loss(t, "Adam")),
    },
    "tkfac_breakdown": {
        f"inversion_dominates_{network}_{method}": partial(inversion_share, network=network, method=method)
        for network in ("MLP", "transformer")
        for method in ("Cholesky", "eigh")
    },
    "tkfac_width_scaling": {
        "advantage_grows_with_n": lambda t: slope(advantage(t, "solve")),
        "advantage_of_inversion_alone_grows_with_n": lambda t: slope(advantage(t, "invert")),
        "quadratic_in_n": lambda t: slope(totals(t, "n", "solve")),
        "quadratic_in_kappa": lambda t: slope(totals(t, "kappa", "solve")),
        "ahead_at_largest_width": lambda t: float(advantage(t, "solve").iloc[-1]),
    },
    "tkfac_update_error": {
        "solving_beats_inverting": lambda t: float(
            update_errors(t, "invert").iloc[-1] / update_errors(t, "solve").iloc[-1]
        ),
        "root_of_time": lambda t: slope(update_errors(t, "invert")),
    },
    "tkfac_speedup_model": {
        "vision_speedup": partial(modelled, column="speedup", workloads="ViT"),
        "graph_speedup": partial(modelled, column="speedup", workloads="GNN"),
        "vision_speedup_over_eigh": partial(modelled, column="speedup_eigh", workloads="ViT"),
        "graph_speedup_over_eigh": partial(modelled, column="speedup_eigh", workloads="GNN"),
        "vision_overhead": partial(modelled, column="overhead", workloads="ViT"),
    },
}

verdict = judge(EXPECTED, NUMBERS)
