"""Our own figures of quality: drawn at smoke scale, the same table twice, rules that forged tables break."""

import numpy as np
import pandas as pd
import pytest

from figures.produce import render
from figures.this_work_quality import FIGURES
from paper_repro.command import seed_of
from paper_repro.this_work.quality import TABLES
from paper_repro.this_work.quality_settings import SCALES
from paper_repro.this_work.quality_verdicts import NUMBERS
from paper_repro.this_work.verdicts import EXPECTED, verdict

NAMES = ("calibration", "precision_bits", "ramp_cost")


@pytest.fixture(scope="module")
def tables():
    """Computed once."""
    return {name: TABLES[name](SCALES["smoke"][name], seed_of(name, 1)) for name in NAMES}


def held(name, table):
    """Which claims hold, by name."""
    return verdict(name, table).set_index("claim").holds


def test_every_picture_is_drawn(tables):
    assert tuple(spec.id for spec in FIGURES) == NAMES == tuple(TABLES)
    for spec in FIGURES:
        assert render(spec.draw, tables[spec.id])["png"].startswith(b"\x89PNG")


@pytest.mark.parametrize("name", ["precision_bits", "ramp_cost"])
def test_same_seed_same_table(tables, name):
    again = TABLES[name](SCALES["smoke"][name], seed_of(name, 1))
    assert again.to_csv(index=False) == tables[name].to_csv(index=False)


def test_every_claim_has_a_number_and_a_rule():
    for name in NAMES:
        assert set(NUMBERS[name]) == set(EXPECTED[name])


# -- calibration


def fair(seeds=200):
    """A table of an estimator that is right."""
    error = 1.0 / np.sqrt(seeds)
    return pd.DataFrame({"mean": [0.5 * error], "mean_error": error, "sd": 1.02, "within_2": 0.95})


def test_rules_of_calibration():
    assert held("calibration", fair()).all()
    for column, value, claim in (("mean", 0.4, "unbiased"), ("sd", 1.3, "right_size"), ("sd", 0.7, "right_size"),
                                 ("within_2", 0.8, "covers")):  # fmt: skip
        broken = held("calibration", fair().assign(**{column: value}))
        assert broken[broken].index.tolist() == [c for c in broken.index if c != claim]


# -- word lengths


def forged(merged_power=2.0, factor=1.0, refined=1e-11):
    """A table of answers of given powers, off theory by a factor."""
    rows = []
    for strategy, power in (("nearest", 1.0), ("merged", merged_power)):
        for bits in (8, 9, 10):
            predicted = 2.0 ** (-power * bits)
            rows.append({"strategy": strategy, "bits": bits, "predicted": predicted, "error": factor * predicted})
    rows.append({"strategy": "refined", "bits": 8, "predicted": np.nan, "error": refined})
    return pd.DataFrame(rows).assign(primitive="solve", failed=0.0, noise=1e-9)


def test_rules_of_precision():
    assert held("precision_bits", forged()).all()
    assert not held("precision_bits", forged(merged_power=1.5))["merging_is_quadratic"]
    off = held("precision_bits", forged(factor=2.0))
    assert not off[["theory_of_one_rounding", "theory_of_merging"]].any()
    assert not held("precision_bits", forged(refined=1e-8))["refinement_needs_few_bits"]


def test_what_noise_hides_does_not_count():
    """Points under the noise would bend the slope."""
    table = forged()
    hidden = (table.strategy == "merged") & (table.bits == 10)
    flat = table.assign(error=np.where(hidden, 1e-5, table.error), noise=np.where(hidden, 1e-5, table.noise))
    assert held("precision_bits", flat).all()
    assert not held("precision_bits", flat.assign(noise=1e-9))["merging_is_quadratic"]


def test_merging_beats_one_rounding(tables):
    table = tables["precision_bits"].set_index(["primitive", "strategy", "bits"]).error
    for primitive in ("solve", "inv"):
        assert table[primitive, "merged", 12] < table[primitive, "nearest", 12] / 20


# -- ramps


def test_rules_of_ramps(tables):
    table = tables["ramp_cost"]
    found = held("ramp_cost", table)
    assert found[["bound_holds", "optimum_is_least", "equilibria_bound_nothing_fast", "quench_limit"]].all()
    cheaper = table.assign(value=np.where(table.quantity == "linear ramp", 0.5 * table.value, table.value))
    broken = held("ramp_cost", cheaper)
    assert not broken[["bound_holds", "optimum_is_least", "quench_limit", "slow_limit"]].any()
    late = table[table.duration > 50.0]
    assert not held("ramp_cost", late)["quench_limit"]


def test_paths_lie_on_the_exact_curve(tables):
    table = tables["ramp_cost"]
    assert held("ramp_cost", table)["paths_agree"]
    moved = table.assign(value=np.where(table.quantity == "paths", 1.5 * table.value, table.value))
    assert not held("ramp_cost", moved)["paths_agree"]
