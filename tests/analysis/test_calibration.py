"""Tables of z-scores from laws that are known, so that the checker itself is checked; every estimator has a case."""

import inspect

import numpy as np
import pytest
import scipy.stats

import thermolinalg as tl
from analysis.calibration import CASES, Case, calibration_table, scores, summary

ROOT = np.random.SeedSequence(7)


def example(name, shift=0.0, spread=1.0):
    return Case("example", name, lambda rng: (shift + spread * rng.standard_normal(), 0.0, 1.0))


def test_summary_has_the_moments_of_the_sample():
    """Against scipy's moments, on a sample that is skewed."""
    z = np.random.default_rng(0).exponential(size=500)
    found = summary(z)
    assert found["mean"] == pytest.approx(np.mean(z))
    assert found["sd"] == pytest.approx(np.std(z, ddof=1))
    assert found["mean_error"] == pytest.approx(scipy.stats.sem(z))
    jackknife = np.array([np.std(np.delete(z, k), ddof=1) for k in range(500)])
    assert found["sd_error"] == pytest.approx(np.sqrt(499.0 * jackknife.var()), rel=0.05)
    assert found["within_1"] == np.mean(z <= 1.0)


def test_errors_of_the_summary_are_right_themselves():
    """Of 400 tables of normal scores: the scatter of each number is the error that it reports."""
    rng = np.random.default_rng(1)
    tables = [summary(rng.standard_normal(100)) for _ in range(400)]
    for name in ("mean", "sd", "within_1", "within_2"):
        values = np.array([t[name] for t in tables])
        reported = np.sqrt(np.mean([t[f"{name}_error"] ** 2 for t in tables]))
        assert values.std() == pytest.approx(reported, rel=0.2)


def test_wrong_error_bars_are_found():
    table = calibration_table([example("fair"), example("shifted", 0.5), example("boasting", spread=2.0)], seeds=300)
    fair, shifted, boasting = (row for row in table.itertuples())
    assert abs(fair.mean) < 5 * fair.mean_error
    assert abs(fair.sd - 1.0) < 5 * fair.sd_error
    assert shifted.mean > 5 * shifted.mean_error
    assert boasting.sd - 1.0 > 5 * boasting.sd_error
    assert boasting.within_2 == pytest.approx(scipy.stats.norm.cdf(1.0) * 2.0 - 1.0, abs=5 * boasting.within_2_error)


def test_scores_depend_on_the_case_alone():
    """Neither on the other cases, nor on how many seeds there are."""
    first, second = example("first"), example("second")
    alone = scores(second, 5, ROOT)
    assert scores(second, 9, ROOT).head(5).equals(alone)
    assert not scores(first, 5, ROOT).equals(alone)
    both = calibration_table([first, second], seeds=5, seed=ROOT)
    assert both["mean"][1] == pytest.approx(alone.z.mean())


def test_every_estimator_has_a_case():
    """Public functions of the library whose result has a standard error: none is forgotten."""
    functions = {name: getattr(tl, name) for name in tl.__all__ if inspect.isfunction(getattr(tl, name))}
    made = {name for name, f in functions.items() if "Estimate" in str(inspect.signature(f).return_annotation)}
    elsewhere = {
        "expm": "negexpm of the negative", "det": "exponential of logdet", "mitigate": "merges those of solve and inv",
        "nonlinear_average": "of a device that is not linear",
    }  # fmt: skip
    assert "solve" in made
    assert made - {case.estimator for case in CASES} <= set(elsewhere)
    assert len({case.name for case in CASES}) == len(CASES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_cases_draw_fresh_problems_with_positive_error_bars(case):
    table = scores(case, 2, ROOT)
    assert (table.stderr > 0.0).all()
    assert table.value[0] != table.value[1]
    assert table.z.abs().max() < 6.0


def test_too_few_seeds_are_refused():
    with pytest.raises(ValueError, match="seeds must be at least 2"):
        calibration_table([example("fair")], seeds=1)
