"""Donatella et al., arXiv:2502.08603: shares, gains and verdicts from made-up tables."""

import numpy as np
import pandas as pd
import pytest

from paper_repro.donatella2025 import quantised, verdicts


def made_up(losses: dict, task="digits_mlp") -> pd.DataFrame:
    """Two seeds of each of some runs, with these losses; T-KFAC rounded to nearest."""
    rows = [
        {"task": task, "method": method, "variant": variant, "rounding": "nearest" if variant == "plain" else "",
         "bits": bits, "seed": seed, "step": 10, "loss": loss, "test_loss": loss, "test_accuracy": 0.5,
         "area": loss, "late": loss, "stopped": ""}
        for (method, variant, bits), found in losses.items()
        for seed, loss in enumerate(found)
    ]  # fmt: skip
    return quantised.with_gains(pd.DataFrame(rows))


ADAM, KFAC, IDEAL = ("Adam", "", np.nan), ("K-FAC", "", np.nan), ("T-KFAC", "ideal", np.nan)
EIGHT, SIX, FOUR = (("T-KFAC", "plain", bits) for bits in (8.0, 6.0, 4.0))


def test_shares_of_a_gain():
    table = made_up(
        {
            ADAM: [1.0, 1.2],
            KFAC: [0.5, 0.6],
            IDEAL: [0.6, 0.75],
            EIGHT: [0.8, 0.9],
            SIX: [0.7, 0.8],
            FOUR: [0.9, np.nan],
        }
    )
    assert verdicts.share(table, "area") == pytest.approx(0.25 / 0.55)
    assert verdicts.share_of_unrounded(table, "area", 8) == pytest.approx(0.25 / 0.425)
    assert verdicts.fewest_bits_of_unrounded(table, "late") == 6
    assert np.isnan(verdicts.share(table, "area", bits=4))
    assert verdicts.lost_to_rounding(table) == pytest.approx(0.85 / 0.675)
    assert verdicts.unrounded_gain(table, "area") == pytest.approx(0.425 / 0.025)


def test_no_share_of_a_gain_that_is_not_there():
    table = made_up({ADAM: [1.0, 1.0], KFAC: [1.5, 1.4], IDEAL: [1.1, 1.0], EIGHT: [2.0, 2.0]})
    assert np.isnan(verdicts.share(table, "area"))
    assert np.isnan(verdicts.share_of_unrounded(table, "area", 8))
    assert np.isnan(verdicts.fewest_bits_of_unrounded(table, "area"))


def test_every_task_is_judged_by_its_own_runs():
    """Gains, shares and verdicts of one network do not know the other."""
    good = {ADAM: [1.0, 1.2], KFAC: [0.5, 0.6], IDEAL: [0.6, 0.75], EIGHT: [0.6, 0.7]}
    bad = {ADAM: [1.0, 1.2], KFAC: [1.1, 1.4], IDEAL: [0.6, 0.75], EIGHT: [0.6, 0.7]}
    both = pd.concat([made_up(good), made_up(bad, "digits_conv")], ignore_index=True)
    assert len(quantised.runs(both)) == 2 * 2 * 4
    found = verdicts.verdict("tkfac_quantised_training", both).set_index(["claim", "task"])
    assert found.holds["gain_kept_at_8_bits_area", "digits_mlp"]
    assert not found.holds["gain_kept_at_8_bits_area", "digits_conv"]
    assert np.isnan(found.ours["gain_kept_at_8_bits_area", "digits_conv"])
    alone = verdicts.verdict("tkfac_quantised_training", made_up(good)).set_index("claim").ours
    pd.testing.assert_series_equal(found.ours.xs("digits_mlp", level="task"), alone)


def test_late_losses_of_other_architectures():
    """Last quarter of the steps; a run that ended early has none, and no claim rests on it."""
    rows = [
        {"task": "molecules_graph", "method": method, "seed": seed, "step": step, "loss": loss * (1.0 + (step < 40))}
        for method, found in {"Adam": (1.0, 1.2), "K-FAC": (0.5, 0.6), "T-KFAC": (0.55, 0.66)}.items()
        for seed, loss in enumerate(found)
        for step in (10, 20, 30, 40)
    ]
    table = pd.DataFrame(rows)
    found = verdicts.verdict("tkfac_architectures", table).set_index("claim").ours
    assert found["device_trains_like_kfac"] == pytest.approx(1.1)
    assert found["kfac_beats_adam"] == pytest.approx(0.55 / 0.05)
    stopped = table[~((table.method == "T-KFAC") & (table.seed == 1) & (table.step > 20))]
    assert np.isnan(verdicts.verdict("tkfac_architectures", stopped).set_index("claim").ours["device_beats_adam"])


def test_slopes():
    series = pd.Series({2.0: 5.0, 4.0: 20.0, 8.0: 80.0, 1.0: 7.0}).sort_index()
    assert verdicts.slope(series) == pytest.approx(2.0)
