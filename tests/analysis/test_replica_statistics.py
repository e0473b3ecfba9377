"""Statistics of ensembles: against NumPy on the numbers themselves, standard errors against repeated samples."""

import numpy as np
import pytest

from analysis.replica_statistics import PARTS, QUANTILES, histogram, statistics


def sample(rng, n):
    """Three parts, not normal."""
    return rng.gamma(4.0, [0.01, 0.02, 0.03], (n, 3))


def test_values_are_those_of_the_replicas_with_an_answer(rng):
    errors = sample(rng, 50)
    table = statistics(np.vstack([errors, np.full((10, 3), np.nan)])).set_index(["part", "statistic"]).value
    for part, column in zip(PARTS, errors.T, strict=True):
        found = table[part]
        assert found["mean"] == pytest.approx(column.mean(), rel=1e-12)
        assert found["sd"] == pytest.approx(np.std(column, ddof=1), rel=1e-12)
        assert found["rms"] == pytest.approx(np.linalg.norm(column) / np.sqrt(50), rel=1e-12)
        assert found["q0.5"] == pytest.approx(np.median(column), rel=1e-12)
        assert found["failed"] == pytest.approx(1 / 6)


def test_standard_errors_are_the_scatter_of_samples(rng):
    tables = [statistics(sample(rng, 400)) for _ in range(100)]
    names = ["mean", "sd", "rms", *(f"q{q:g}" for q in QUANTILES[1:-1])]  # the outermost have few samples beyond
    for name in names:
        rows = [table[(table.part == "noise") & (table.statistic == name)] for table in tables]
        values, reported = (np.array([row[column].item() for row in rows]) for column in ("value", "stderr"))
        scatter = np.std(values, ddof=1)
        spread = np.hypot(scatter / np.sqrt(2 * 99), np.std(reported) / np.sqrt(100))
        assert abs(scatter - np.sqrt(np.mean(reported**2))) < 5 * spread, name


def test_predictions_stand_beside_the_root_mean_squares(rng):
    table = statistics(sample(rng, 10), dict(zip(PARTS, (1.0, 2.0, 3.0), strict=True)))
    told = table[table.predicted.notna()]
    assert told.statistic.tolist() == ["rms"] * 3
    assert dict(zip(told.part, told.predicted, strict=True)) == {"error": 1.0, "systematic": 2.0, "noise": 3.0}


def test_histogram_counts_every_replica_in_its_bin(rng):
    errors = sample(rng, 500)
    errors[:7, 1], errors[0, 0] = 0.0, np.nan
    table = histogram(errors)
    for part, column in zip(PARTS, errors.T, strict=True):
        bins = table[table.part == part]
        edges = np.append(bins.low, bins.high.iloc[-1])
        np.testing.assert_allclose(np.diff(np.log10(edges)), 0.05, rtol=1e-9)
        np.testing.assert_array_equal(np.histogram(column[column > 0.0], edges)[0], bins.replicas)
    assert table.groupby("part").replicas.sum().to_dict() == {"error": 499, "systematic": 493, "noise": 500}
    assert histogram(np.zeros((3, 3))).empty


@pytest.mark.parametrize(
    ("errors", "words"),
    [(np.ones((4, 2)), r"shape \(replicas, 3\), got \(4, 2\)"), (np.full((4, 3), np.nan), "with an answer")],
)
def test_bad_input_is_named(errors, words):
    with pytest.raises(ValueError, match=words):
        statistics(errors)
