"""Aifer et al., arXiv:2308.05660: every figure at smoke scale, its numbers against values and oracles of their own."""

import json
from dataclasses import asdict
from hashlib import sha256
from importlib import import_module
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import integrate

import paper_repro.aifer2024
from figures.catalogue import all_figures
from paper_repro.aifer2024 import inverse_errors, run, settings, solve_errors

EXPECTED = json.loads((Path(paper_repro.aifer2024.__file__).parent / "expected.json").read_text())
FIGURES = (
    "solve_error_vs_time", "inverse_error_vs_time", "real_matrices", "solve_time_to_error", "primitives_convergence",
    "energy_time", "refinement_vs_averaging",
)  # fmt: skip
figures_main = import_module("figures.__main__").main


@pytest.fixture(scope="module")
def gallery(tmp_path_factory):
    """All figures of the paper, made once."""
    out = tmp_path_factory.mktemp("gallery")
    assert figures_main(["aifer2024", "--scale", "smoke", "--out", str(out)]) == 0
    return out


@pytest.fixture
def table(gallery, request):
    """The table of the figure that the test names."""
    return pd.read_csv(gallery / f"{request.param}.csv")


def of(name):
    """Run the test on the table of a figure."""
    return pytest.mark.parametrize("table", [name], indirect=True, ids=[name])


def matches(value, expectation):
    """Whether a value meets an entry of expected.json."""
    if "factor" in expectation:
        return expectation["value"] / expectation["factor"] <= value <= expectation["value"] * expectation["factor"]
    tolerances = {"rel" if key == "rtol" else "abs": expectation[key] for key in ("rtol", "atol") if key in expectation}
    return value == pytest.approx(expectation["value"], **tolerances)


# -- files


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_is_written_whole(gallery, name):
    assert (gallery / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    assert (gallery / f"{name}.pdf").read_bytes().startswith(b"%PDF")
    assert f"![{name}]({name}.png)" in (gallery / "README.md").read_text()
    sidecar = json.loads((gallery / f"{name}.json").read_text())
    assert sidecar["csv_sha256"] == sha256((gallery / f"{name}.csv").read_bytes()).hexdigest()
    assert sidecar["scale"] == "smoke"
    assert sidecar["seed"] == sidecar["seed_entropy"][0] == 2308
    assert sidecar["command"].startswith("python -m figures aifer2024 --scale smoke")
    assert {"python", "numpy", "scipy", "numba", "matplotlib"} <= set(sidecar["versions"])
    assert sidecar["blas"]
    assert sidecar["cpu"]["model"]
    assert sidecar["wall_seconds"] > 0
    assert {"commit", "dirty"} == set(sidecar["git"])
    assert sidecar["settings"] == json.loads(json.dumps(asdict(settings.SCALES["smoke"][name])))


def test_nothing_else_is_left(gallery):
    names = {f"{name}.{suffix}" for name in FIGURES for suffix in ("png", "pdf", "csv", "json")}
    assert {path.name for path in gallery.iterdir()} == names | {"README.md", "claims.md"}


# -- linear systems


@of("solve_error_vs_time")
def test_errors_of_solve_are_the_published_ones(table):
    expected = EXPECTED["solve_error_vs_time"]
    large = table[table.d == 1000].set_index("series")
    device = large.loc["device"]
    at_1ms = np.exp(np.interp(np.log(1e-3), np.log(device.seconds), np.log(device.error)))
    assert matches(at_1ms, expected["error_at_1ms_d1000"])
    long = device[(device.duration >= 1e3) & (device.duration <= 1e5)]
    assert len(long) == 3
    for scaled in long.error * np.sqrt(settings.DEVICE.beta * long.duration):
        assert matches(scaled, expected["error_times_root_beta_duration"])
    assert matches(large.loc["load"].seconds, expected["load_seconds_d1000"])
    assert matches(large.loc["rounding floor"].error, expected["rounding_floor_d1000"])


@of("solve_error_vs_time")
def test_device_time_is_load_and_averaging(table):
    device = table[table.series == "device"]
    load = 16 * (device.d**2 + device.d) / 50e9
    least = load + device.duration * 1e-6
    assert np.all(device.seconds > least)
    assert np.all(device.seconds < least + 1e-4)  # relaxation: tens of RC = 1 us


@of("solve_error_vs_time")
def test_digital_rivals_keep_to_their_bounds(table):
    for _, rows in table.groupby("d"):
        gradient = rows[rows.series == "conjugate gradient"]
        assert np.all(np.diff(gradient.seconds) > 0)
        # Chebyshev's bound, kappa at most 40 in this ensemble, error measured in x: a factor sqrt(kappa) more
        kappa, k = 40.0, 30
        bound = 2.0 * np.sqrt(kappa) * ((np.sqrt(kappa) - 1) / (np.sqrt(kappa) + 1)) ** k
        assert gradient.error.iloc[k - 1] < bound
        assert rows[rows.series == "Cholesky"].error.item() < 1e-12


def test_lead_ends_where_a_rival_is_quicker():
    times, errors = np.array([1.0, 10.0, 100.0]), np.array([0.5, 0.05, 0.005])
    device = pd.DataFrame({"series": "device", "seconds": times, "error": errors})
    gradient = pd.DataFrame({"series": "conjugate gradient", "seconds": [20.0, 40.0], "error": [0.02, 1e-9]})
    exact = pd.DataFrame({"series": "Cholesky", "seconds": [1000.0], "error": [0.0]})
    ends = solve_errors._lead(pd.concat([device, gradient, exact])).seconds
    assert ends.tolist() == pytest.approx([1.0, 40.0], rel=0.01)
    exact.seconds = 5.0
    assert solve_errors._lead(pd.concat([device, gradient, exact])).seconds.max() == pytest.approx(5.0, rel=0.01)
    exact.seconds = 0.5
    assert solve_errors._lead(pd.concat([device, gradient, exact])).empty


# -- inverses


@pytest.mark.parametrize("kappa", [5, 30])
def test_inverse_theory_has_the_published_long_time_limit(kappa):
    rates, duration = np.geomspace(1.0 / kappa, 1.0, 6), 80.0 * kappa
    mean_square = inverse_errors.continuous_inverse_error(rates, duration) ** 2 * np.sum(rates**-2.0)
    assert matches(mean_square, EXPECTED["inverse_error_vs_time"][f"mean_square_kappa{kappa}"])


def test_inverse_theory_holds_at_finite_times():
    """Against the double integral of the fourth moments, mode by mode."""
    rates, duration = np.array([0.3, 1.0]), 4.0
    total = 0.0
    for i, j in np.ndindex(2, 2):

        def correlation(s, t, i=i, j=j):
            first, second, cross = (np.exp(-rates[k] * abs(s - t)) / rates[k] for k in (i, j, i))
            return first * second + (cross**2 if i == j else 0.0)

        for low, high in ((0.0, lambda t: t), (lambda t: t, duration)):
            total += integrate.dblquad(correlation, 0.0, duration, low, high)[0] / duration**2
    error = inverse_errors.continuous_inverse_error(rates, duration)
    assert error**2 * np.sum(rates**-2.0) == pytest.approx(total, rel=1e-8)


def test_theory_of_restarts_agrees_with_sampling():
    """Against a plain Monte Carlo of the mean of 4 products."""
    rates = np.array([0.3, 1.0, 2.0])
    x = np.random.default_rng(5).standard_normal((20_000, 4, 3)) / np.sqrt(rates)
    error = np.einsum("kni,knj->kij", x, x) / 4 - np.diag(1.0 / rates)
    rms = np.sqrt(np.mean(np.sum(error**2, axis=(1, 2))) / np.sum(rates**-2.0))
    assert inverse_errors.restarts_inverse_error(rates, 4) == pytest.approx(rms, rel=0.03)


@of("inverse_error_vs_time")
def test_errors_of_inv_are_the_published_ones(table):
    long = table[(table.duration >= 300) | (table.n_reads > 0)]
    ratio = np.log(long.error / long.theory)
    assert abs(ratio.mean()) < 0.1
    assert ratio.abs().max() < 0.5
    reads = table[table.readout == "restarts"]
    for _, rows in reads.groupby("kappa"):
        slope = np.polyfit(np.log(rows.n_reads), np.log(rows.error), 1)[0]
        assert matches(slope, EXPECTED["inverse_error_vs_time"]["slope"])


# -- real matrices


@of("real_matrices")
def test_real_matrices_reach_rtol_or_are_refused(table):
    expected = EXPECTED["real_matrices"]
    assert len(table) == 3
    for reached in table.error / table.rtol:
        assert matches(reached, expected["error_over_rtol"])
    rows = table.set_index("name")
    assert rows.loc["breast cancer correlation", "refusal"] == "QuantizationFloor"
    assert rows.loc["breast cancer correlation", "bits"] == expected["bits_breast_cancer_correlation"]["value"]
    assert np.all(rows.drop("breast cancer correlation").bits == 16)
    parts = rows[["load", "relax", "integrate", "read"]].sum(axis=1)
    assert np.allclose(parts, rows.total, rtol=1e-12)
    assert np.all(rows.cholesky < 0.1)
    assert np.all(rows.gradient < 1.0)


@of("real_matrices")
def test_averaging_time_and_heat_of_a_regression(table):
    """Textbook formulas: tau = 2 tr(A^-2) / (beta rtol^2 ||x||^2), in units of 1 us, and heat x^T A x a unit time."""
    from sklearn.datasets import load_digits

    images, digit = load_digits(return_X_y=True)
    frame = pd.DataFrame(images).loc[:, images.std(axis=0) > 0]
    A, b = frame.corr().to_numpy(), frame.corrwith(pd.Series(digit == 0)).to_numpy()
    x = np.linalg.solve(A, b / np.sqrt(np.mean(b**2)))
    duration = 2.0 * np.sum(np.linalg.inv(A) ** 2) / (1e-4 * (x @ x))
    row = table.set_index("name").loc["digits correlation"]
    assert row.integrate == pytest.approx(1e-6 * duration, rel=0.02)
    assert row.joule_heat == pytest.approx(duration * (x @ A @ x), rel=0.02)


# -- the commands


def read(folder, name):
    """The bytes of the files of a figure that must not vary."""
    return [(folder / f"{name}.{suffix}").read_bytes() for suffix in ("csv", "png", "pdf")]


def test_same_seed_same_bytes(gallery, tmp_path):
    name = "inverse_error_vs_time"
    assert not all_figures()[name].timed
    for folder, options in (("same", ["--jobs", "2", "--force"]), ("other", ["--seed", "1"])):
        assert figures_main([name, "--scale", "smoke", "--out", str(tmp_path / folder), *options]) == 0
    assert read(tmp_path / "same", name) == read(gallery, name)
    assert read(tmp_path / "other", name)[0] != read(gallery, name)[0]
    assert not list(tmp_path.rglob("real_matrices*"))


def test_list_names_every_figure(capsys):
    assert figures_main(["--list"]) == 0
    listed = capsys.readouterr().out
    assert all(name in listed for name in FIGURES)
    assert {line.split()[0] for line in listed.splitlines()} >= {"aifer2024"}


@pytest.mark.parametrize("main", [figures_main, lambda argv: run.main(argv)], ids=["figures", "tables"])
def test_an_unknown_name_is_refused_with_those_there_are(main, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["no_such_thing"])
    assert stop.value.code == 2
    message = capsys.readouterr().err
    assert "no_such_thing" in message
    assert all(name in message for name in FIGURES)


def test_a_failure_does_not_stop_the_rest(monkeypatch, tmp_path, capsys):
    module = import_module("figures.__main__")
    produce = module.produce

    def broken(spec, job):
        if spec.id == "inverse_error_vs_time":
            raise RuntimeError("out of paint")
        produce(spec, job)

    monkeypatch.setattr(module, "produce", broken)
    status = figures_main(["inverse_error_vs_time", "real_matrices", "--scale", "smoke", "--out", str(tmp_path)])
    assert status == 1
    assert "out of paint" in capsys.readouterr().out
    assert (tmp_path / "real_matrices.png").exists()
    assert not list(tmp_path.glob("inverse*"))


def test_tables_command(tmp_path, capsys, gallery):
    name = "inverse_error_vs_time"
    assert run.main([name, "--scale", "smoke", "--out", str(tmp_path)]) == 0
    assert (tmp_path / f"{name}.csv").read_bytes() == (gallery / f"{name}.csv").read_bytes()
    assert run.main([name, "--scale", "smoke"]) == 0
    assert "kappa" in capsys.readouterr().out
    assert run.main(["--list"]) == 0
    assert set(FIGURES) == set(capsys.readouterr().out.split())


def test_files_are_whole_or_not_there(tmp_path, monkeypatch):
    produce = import_module("figures.produce")
    target = tmp_path / "a.csv"
    produce.write_whole(target, b"old")

    def fail(*_):
        raise OSError("disk is gone")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(OSError, match="disk is gone"):
        produce.write_whole(target, b"new")
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


def test_no_git_is_no_trouble(tmp_path):
    assert import_module("figures.produce").git_state(tmp_path)["commit"] is None
