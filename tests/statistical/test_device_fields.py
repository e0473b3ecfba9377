"""Every estimator on every field of the data sheet: z-scores over 200 seeds against what this very device tends to.

z = (value - m) / stderr, where m is the limit of `oracles.devices` for endless averaging on the same device, of one
entry a seed, the entries in turn. Mean 0 and standard deviation 1 within the bands of `oracles.assert_calibrated`.
The seeds are 0 to 199. A row that fails is judged by `python -m tests.statistical.rerun`, never by other seeds.

A standard error covers noise and the rounding of reads. Where the noise dithers (a step between levels no wider than
about 2.8 of its deviations, or stochastic rounding), m is the limit with the rounding in it. Where it does not, the
standard error has the rounding as an rms over all places between two levels: such rows (`ensemble`) draw a new problem
for every seed, evenly over the places, and m is the limit without the converter.
"""

import dataclasses
import functools
from typing import NamedTuple

import numpy as np
import pytest

import thermolinalg as tl
from tests import oracles
from tests.statistical.device_estimators import ESTIMATORS, A, X

SEEDS = 200
LEAST_POWER = 1.0  # share of itself by which leaving a field out moves the mean of |z| or the deviation of z


class Cell(NamedTuple):
    """A data sheet that shows a field, and whether its problems vary with the seed."""

    sheet: dict
    ensemble: bool = False


class Row(NamedTuple):
    """One row of the table."""

    estimator: str
    field: str  # the field under test; in brackets another one that acts with it
    simulator: str
    n_chains: int

    @property
    def name(self) -> str:
        """Name for `rerun`."""
        return f"{self.estimator} | {self.field} | {self.simulator} | {self.n_chains}"

    @property
    def fields(self) -> list[str]:
        """The field, or the two that act together."""
        return self.field.replace("(", "").replace(")", "").split()

    @property
    def cell(self) -> Cell:
        """Its data sheet."""
        return TABLE[self.estimator][self.field]

    @property
    def device(self) -> tl.Device:
        """Its device."""
        return tl.Device(**self.cell.sheet)


GAINS = {"eps_sys": 0.3}
MISMATCH = {"mismatch": 0.1, "mismatch_seed": 5}


def cells(read_noise, beta, levels, stochastic, matrix_range, dac_range=None, base=None):
    """Cells of an estimator by field: the sheets of read noise and beta, of both roundings, the full scales."""
    base = base or {}
    gains, mismatch = Cell(GAINS | base), Cell(MISMATCH | base)
    found = {"eps_sys": gains, "mismatch": mismatch, "mismatch_seed": mismatch, "read_noise": read_noise, "beta": beta}
    found |= {"adc_bits": levels, "adc_range": levels, "rounding": stochastic}
    matrix = Cell({"matrix_bits": 4, "matrix_range": matrix_range} | base)
    found |= {"matrix_bits": matrix, "matrix_range": matrix}
    if dac_range is not None:
        inputs = Cell({"dac_bits": 4, "dac_range": dac_range} | base)
        found |= {"dac_bits": inputs, "dac_range": inputs}
    found |= {
        "eps_sys (read_noise)": beside(gains, read_noise, "read_noise"),
        "eps_sys (adc_bits)": beside(gains, stochastic, "adc_range"),
        "mismatch (matrix_bits)": Cell(MISMATCH | matrix.sheet),
    }
    return found


def beside(cell, other, size):
    """Both sheets, with less of the other: noise behind a small gain would no longer dither its rounding."""
    return Cell(other.sheet | cell.sheet | {size: 0.7 * other.sheet[size]}, other.ensemble)


def converter(full_scale, rounding="nearest", ensemble=False, **others):
    """A cell with a converter of 4 bits."""
    return Cell({"adc_bits": 4, "adc_range": full_scale, "rounding": rounding} | others, ensemble)


def of_solutions(read_noise, full_scale):
    """Cells of `solve`: too little noise to dither."""
    rounded = [converter(full_scale, rounding, True) for rounding in ("nearest", "stochastic")]
    return cells(Cell({"read_noise": read_noise}), Cell({"beta": 1 / 16}), *rounded, matrix_range=1.3, dac_range=7.0)


def of_moments(read_noise, full_scale, matrix_range, dac_range=None):
    """Cells of second moments. Of ideal reads they do not depend on beta, hence the read noise beside it.

    A step of 2.8 deviations: noise dithers stochastic rounding, whose variance then outweighs that of the voltages.
    """
    noise, rounded = Cell({"read_noise": read_noise, "beta": 4.0}), converter(full_scale, "stochastic")
    return cells(noise, noise, rounded, rounded, matrix_range, dac_range)


TABLE = {
    "solve, integrator": of_solutions(0.4, 14.0),
    "solve, spaced reads": of_solutions(3.0, 35.0),
    "solve, independent reads": of_solutions(3.0, 35.0),
    "inv, independent reads": of_moments(0.9, 17.5, 1.3),
    "inv, spaced reads": of_moments(0.9, 17.5, 1.3),
    "inv, duration": cells(
        *2 * [Cell({"read_noise": 0.06, "beta": 4.0})],
        converter(7 * 0.35, ensemble=True),
        converter(7 * 0.35, "stochastic", True),
        1.3,
    ),
    "lyapunov, independent reads": of_moments(0.9, 21.5, 0.45, 1.3),
    "lyapunov, spaced reads": of_moments(0.9, 21.5, 0.45, 1.3),
    "expm": of_moments(1.0, 23.0, 0.45, 0.9),
    "negexpm": of_moments(1.0, 23.0, 0.45, 0.9),
    "expm_action": of_moments(1.0, 23.0, 0.45, 0.9),
    "logdet": cells(
        *2 * [Cell({"read_noise": 0.22, "beta": 2.0})], converter(14.0), converter(14.0, "stochastic"), 1.3
    ),
    "TNGD": cells(
        Cell({"read_noise": 1.8}), Cell({"beta": 1 / 16}), converter(35.0), converter(42.0, "stochastic"), 1.3, 7.0
    ),
    "K-FAC, solve": cells(
        Cell({"read_noise": 0.15, "beta": 250.0}),
        Cell({"beta": 250.0}),
        *2 * [converter(4.2, "stochastic", beta=250.0)],
        matrix_range=0.8,
        dac_range=0.8,
        base={"beta": 250.0},
    ),
    "K-FAC, invert": of_moments(1.2, 24.0, 0.8),
}

# The second solution converts what the first gave: next to no noise, so that no number is near the edge of two levels.
TABLE["K-FAC, solve"] |= dict.fromkeys(("dac_bits", "dac_range"), Cell({"dac_bits": 4, "dac_range": 0.8, "beta": 1e5}))
# An auto-ranging converter covers what is read, gains and all.
for reads in ("solve, spaced reads", "solve, independent reads"):
    TABLE[reads]["eps_sys (adc_range)"] = Cell(GAINS | {"adc_bits": 12, "beta": 1e4})
for once in ("solve, integrator", "inv, duration"):
    del TABLE[once]["eps_sys (adc_bits)"]  # its gains would be lost beside the rounding of one conversion
    TABLE[once]["adc_bits (rounding)"] = TABLE[once]["rounding"]

WITHOUT_EFFECT = {
    "R": "the unit of time",
    "C": "the unit of time and energy",
    "bandwidth": "time to move numbers",
    "n_converters": "time to move numbers",
    "sample_rate": "time to move numbers",
    "voltage_unit": "the unit of energies",
    "conversion_energy": "energy",
}
NO_INPUTS = "there is no right-hand side: only the matrix is programmed"
REASONS = {
    (estimator, field): NO_INPUTS
    for estimator in ("inv, independent reads", "inv, spaced reads", "inv, duration", "logdet", "K-FAC, invert")
    for field in ("dac_bits", "dac_range")
}
NO_LAW = ["inv, spaced reads", "inv, duration", "lyapunov, spaced reads", "expm", "expm_action"]
# One conversion: the two roundings differ by a factor of sqrt(2), and by their mean if many chains show it.
TOO_ALIKE = [("solve, integrator", 1), ("inv, duration", 1), ("inv, duration", 40)]
TOLD_ELSEWHERE = {("inv, duration", "rounding"): "as above; stochastic rounding is in the row `adc_bits (rounding)`"}
CHAINS_AS_WELL = [("inv, duration", "adc_bits (rounding)")]  # else rows of two fields have one chain


def refused(row: Row) -> bool:
    """Whether the library says that there is no closed law: of reads each rounded."""
    if row.simulator != "law" or row.estimator in ("solve, integrator", "TNGD"):
        return False
    return row.device.adc_bits is not None


def all_rows() -> list[Row]:
    """The table, a row for each simulator and number of chains."""
    return [
        Row(estimator, field, *variant)
        for estimator, by_field in TABLE.items()
        for field in by_field
        for variant in ESTIMATORS[estimator].variants
        if not (field == "rounding" and (estimator, variant[1]) in TOO_ALIKE)
        and not ("(" in field and variant[1] > 1 and (estimator, field) not in CHAINS_AS_WELL)
    ]


ROWS = {row.name: row for row in all_rows()}
SCORED = {name: row for name, row in ROWS.items() if not refused(row)}


def short() -> set[str]:
    """The first row of each estimator and field, but paths of many chains."""
    first: dict = {}
    for name, row in SCORED.items():
        if "(" not in row.field and (row.simulator, row.n_chains) != ("path", 40):
            first.setdefault((row.estimator, row.field), name)
    return set(first.values())


def marked():
    """Rows for `parametrize`: all but the first of each estimator and field take long."""
    kept = short()
    return [pytest.param(row, id=name, marks=() if name in kept else pytest.mark.long) for name, row in SCORED.items()]


# Scores --------------------------------------------------------------------------------------------------------------


@functools.cache
def runs(estimator, device, ensemble, simulator, n_chains, seeds):
    """Values and standard errors (seeds, ...) of an estimator on a device; a law is the same for all seeds."""
    kind = ESTIMATORS[estimator]
    problem = kind.ensemble if ensemble else kind.problem
    results = [kind.run(problem(seed), device, simulator, n_chains, seed) for seed in range(seeds)]
    value = np.array([r.value for r in results])
    if results[0].stderr_kind == "law" and not ensemble:
        return value, np.broadcast_to(results[0].stderr, value.shape)
    return value, np.array([r.stderr for r in results])


@functools.cache
def limits(estimator, device, ensemble, simulator, n_chains, seeds):
    """What the values tend to (seeds, ...), or (1, ...) where it is the same for all."""
    kind = ESTIMATORS[estimator]
    problem = kind.ensemble if ensemble else kind.problem
    return np.array(
        [kind.limit(problem(seed), device, n_chains, simulator) for seed in range(seeds if ensemble else 1)]
    )


def target(row: Row, device, seeds=SEEDS):
    """The limit that a row is held against: in an ensemble without the converter."""
    if row.cell.ensemble:
        device = dataclasses.replace(device, adc_bits=None)
    return limits(row.estimator, device, row.cell.ensemble, row.simulator, row.n_chains, seeds)


def scores(row: Row, seeds=SEEDS):
    """z of all entries (seeds, size)."""
    value, stderr = runs(row.estimator, row.device, row.cell.ensemble, row.simulator, row.n_chains, seeds)
    with np.errstate(divide="ignore"):  # an error of zero is for the caller to see
        return ((value - target(row, row.device, seeds)) / stderr).reshape(seeds, -1)


def in_turn(z):
    """One entry a seed."""
    return z[np.arange(len(z)), np.arange(len(z)) % z.shape[1]]


@pytest.mark.parametrize("row", marked())
def test_value_and_stderr_are_those_of_the_device(row):
    z = scores(row)
    assert np.isfinite(z).all(), f"standard error 0 in a share {np.mean(~np.isfinite(z)):.2g} of the entries"
    oracles.assert_calibrated(in_turn(z))
    if "eps_sys" in row.field:  # gains differ from cell to cell: right on average is not enough
        for entry in z.T:
            oracles.assert_calibrated(entry)


def without(row: Row):
    """The device of a row with the field under test left out, or both where two act together."""
    return dataclasses.replace(row.device, **{field: getattr(tl.Device(), field) for field in row.fields})


def unaware(row: Row):
    """Limit and standard error of a description that leaves the field out; of a rounding, with its place."""
    off, ensemble = without(row), row.cell.ensemble
    if row.field == "rounding":
        limit = limits(row.estimator, off, ensemble, row.simulator, row.n_chains, SEEDS)
    else:
        limit = target(row, off)
    simulator = "path" if row.simulator == "law" and off.adc_bits is not None else row.simulator
    kind = ESTIMATORS[row.estimator]
    problem = kind.ensemble if ensemble else kind.problem
    return limit, kind.run(problem(0), off, simulator, row.n_chains, 0).stderr


def power(row: Row):
    """By what factor, less 1, the mean of |z| or its deviation moves with the limit, error or both without the field.

    The values are normal about the right limit with the right error, so that the library's values play no part.
    """
    _, stderr = runs(row.estimator, row.device, row.cell.ensemble, row.simulator, row.n_chains, SEEDS)
    xi, right = np.random.default_rng(0).standard_normal(stderr.shape), target(row, row.device)
    stderr = np.median(stderr, axis=0)
    limit, error = unaware(row)
    moves = []
    for z in (xi + (right - limit) / stderr, xi * stderr / error, (xi * stderr + right - limit) / error):
        z, plain = in_turn(z.reshape(SEEDS, -1)), in_turn(xi.reshape(SEEDS, -1))
        ratios = [np.abs(z).mean() / np.abs(plain).mean(), z.std() / plain.std()]
        moves += [max(ratio, 1.0 / ratio) - 1.0 for ratio in ratios]
    return max(moves)


@pytest.mark.parametrize("row", marked())
def test_leaving_a_field_out_would_show(row):
    assert power(row) >= LEAST_POWER


# Completeness --------------------------------------------------------------------------------------------------------


def test_every_field_of_a_device_is_in_the_table_or_has_no_effect():
    fields = {field.name for field in dataclasses.fields(tl.Device)}
    tested = {field for by_field in TABLE.values() for field in by_field if "(" not in field}
    assert tested | set(WITHOUT_EFFECT) == fields
    assert not tested & set(WITHOUT_EFFECT)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_every_pair_has_a_row_or_a_reason(estimator):
    for field in {field.name for field in dataclasses.fields(tl.Device)} - set(WITHOUT_EFFECT):
        scored = any(row.estimator == estimator and row.field == field for row in SCORED.values())
        assert scored != ((estimator, field) in REASONS | TOLD_ELSEWHERE), field


@pytest.mark.parametrize("name", [name for name, row in ROWS.items() if refused(row)])
def test_rows_without_a_law_are_refused(name):
    row, kind = ROWS[name], ESTIMATORS[ROWS[name].estimator]
    with pytest.raises(tl.errors.NoClosedLaw):
        kind.run(kind.problem(0), row.device, "law", row.n_chains, 0)


@pytest.mark.parametrize("estimator", NO_LAW)
def test_estimators_without_a_law_are_refused(estimator):
    kind = ESTIMATORS[estimator]
    with pytest.raises(tl.errors.NoClosedLaw):
        kind.run(kind.problem(0), tl.Device(), "law", 1, 0)


@pytest.mark.parametrize(("estimator", "field"), REASONS)
def test_fields_with_a_reason_change_nothing(estimator, field):
    kind = ESTIMATORS[estimator]
    variant = kind.variants[0]
    sheet = {"dac_bits": 2} | ({"dac_range": 0.1} if field == "dac_range" else {})
    plain, other = (kind.run(kind.problem(0), tl.Device(**s), *variant, 0) for s in ({}, sheet))
    np.testing.assert_array_equal(plain.value, other.value)
    np.testing.assert_array_equal(plain.stderr, other.stderr)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_fields_without_effect_change_nothing(estimator):
    kind = ESTIMATORS[estimator]
    variant = kind.variants[0]
    sheet = {"R": 7.0, "C": 3e-6, "bandwidth": 1e3, "n_converters": 5, "sample_rate": 10.0, "voltage_unit": 0.1}
    sheet["conversion_energy"] = 1e-9
    assert set(sheet) == set(WITHOUT_EFFECT)
    plain, other = (kind.run(kind.problem(0), tl.Device(**s), *variant, 0) for s in ({}, sheet))
    np.testing.assert_array_equal(plain.value, other.value)
    np.testing.assert_array_equal(plain.stderr, other.stderr)


def test_mismatch_of_low_rank_rows_is_refused():
    optimizer = tl.optimizers.TNGD(1.0, device=tl.Device(mismatch=0.1), rng=0)
    with pytest.raises(ValueError, match="mismatch"):
        optimizer.step(X, X, tl.curvature.LowRankCurvature(A[:2]), optimizer.init(X))
    with pytest.raises(ValueError, match="mismatch"):
        tl.solve(tl.LowRank(1.0, A[:, :2]), X, duration=1.0, device=tl.Device(mismatch=0.1))


def test_endless_reads_of_kfac_tend_to_the_limit_of_the_device():
    """Without n_reads the inverses are the limit of many reads: what the read-out does stays in them."""
    kind = ESTIMATORS["K-FAC, invert"]
    for sheet in (GAINS, MISMATCH, {"matrix_bits": 4}):
        device = tl.Device(**sheet)
        optimizer = tl.optimizers.ThermodynamicKFAC(1.0, 0.04, device=device, method="invert", split="even", rng=0)
        value = moved_by(optimizer)
        np.testing.assert_allclose(value, kind.limit(None, device, 1, "auto"), rtol=1e-10, err_msg=str(sheet))


def moved_by(optimizer):
    """A step of the layer of the table."""
    from tests.statistical.device_estimators import LAYER, G, moved

    return moved(optimizer, LAYER, tl.curvature.KroneckerCurvature(A, G))
