"""Ensembles of devices: each replica against dense NumPy, their moments against brute force, any cut, any workers."""

from dataclasses import dataclass

import numpy as np
import pytest

import thermolinalg as tl
from analysis import replicas
from analysis.replicas import Block, Ensemble, block_errors, ensemble_errors, predicted_rms, replica_errors
from analysis.results_cache import Cache, using
from analysis.sweeps import sweep
from tests import oracles


def kept(path):
    return using(Cache(path))


def mean_square(errors):
    """Mean squares of the three parts with their standard errors."""
    squares = errors**2
    return squares.mean(axis=0), squares.std(axis=0, ddof=1) / np.sqrt(len(squares))


@dataclass(frozen=True)
class Indefinite(Ensemble):
    """A problem of the user's own, that no device can hold."""

    def system(self):
        return np.diag([1.0, -1.0]), np.ones(2)


# -- one replica


@pytest.mark.parametrize("rounding", ["nearest", "stochastic"])
def test_a_replica_is_what_solve_gives_on_that_device(rounding):
    device = tl.Device(
        beta=50.0, matrix_bits=9, dac_bits=8, adc_bits=7, rounding=rounding, mismatch=0.01, mismatch_seed=5,
        eps_sys=0.01, read_noise=0.1,
    )  # fmt: skip
    ensemble = Ensemble(d=6, kappa=5.0, device=device, duration=300.0, seed=3)
    A, b = ensemble.system()
    x = np.linalg.solve(A, b)
    for k in (0, 7):
        rng = np.random.default_rng(np.random.SeedSequence(3, spawn_key=(replicas.REPLICA_KEY, k)))
        twin = tl.Device(**(vars(device) | {"mismatch_seed": 5 + k}))
        y = tl.solve(A, b, duration=300.0, device=twin, rng=rng).value
        expected = np.linalg.norm(y - x) / np.linalg.norm(x)
        assert replica_errors(ensemble, k)[0] == pytest.approx(expected, rel=1e-12)


def test_the_systematic_part_is_that_of_the_programmed_matrix():
    device = tl.Device(matrix_bits=8, dac_bits=7, mismatch=0.02, eps_sys=0.01)
    ensemble = Ensemble(d=7, kappa=6.0, device=device)
    A, b = ensemble.system()
    x, c = np.linalg.solve(A, b), device.dac.round(b)[0]
    for k in (0, 4):
        twin = tl.Device(**(vars(device) | {"mismatch_seed": k}))
        s = twin.read_gains(7) * np.linalg.solve(tl.hardware.program_array(A, twin)[0], c)
        expected = np.linalg.norm(s - x) / np.linalg.norm(x)
        assert replica_errors(ensemble, k)[1] == pytest.approx(expected, rel=1e-10)


def test_a_device_that_cannot_hold_the_matrix_has_no_answer():
    device = tl.Device(mismatch=0.3)
    errors = block_errors(Block(Ensemble(d=4, kappa=50.0, device=device), 0, 40))
    A, _ = Ensemble(d=4, kappa=50.0).system()
    held = [tl.hardware.program_array(A, tl.Device(mismatch=0.3, mismatch_seed=k))[0] for k in range(40)]
    definite = np.array([np.linalg.eigvalsh(H)[0] > 0.0 for H in held])
    assert 0 < definite.sum() < 40
    np.testing.assert_array_equal(np.isfinite(errors), definite[:, None] * np.ones(3, dtype=bool))


def test_a_matrix_that_is_not_definite_is_an_error():
    with pytest.raises(tl.errors.NotPositiveDefinite):
        replica_errors(Indefinite(), 0)


# -- many


def test_noise_has_the_mean_square_of_the_averaged_voltage(seed):
    """Without mismatch all replicas are one device: its law by augmented matrix exponentials."""
    ensemble = Ensemble(d=4, kappa=5.0, device=tl.Device(beta=20.0), duration=30.0, seed=seed)
    A, b = ensemble.system()
    errors = block_errors(Block(ensemble, 0, 500))
    np.testing.assert_allclose(errors[:, 1], 0.0, atol=1e-12)
    burn_in = tl.solve(A, b, duration=30.0, beta=20.0, rng=0).burn_in
    mean, covariance = oracles.integrator_law(A, b, np.zeros(4), 20.0, burn_in, 30.0)
    x = np.linalg.solve(A, b)
    expected = (np.trace(covariance) + np.sum((mean - x) ** 2)) / np.sum(x**2)
    found, error = mean_square(errors)
    assert abs(found[2] - expected) < 5 * error[2]
    assert predicted_rms(ensemble)["noise"] ** 2 == pytest.approx(expected, rel=0.02)  # burn-in left: a tenth of noise


def test_the_systematic_part_has_the_moments_of_random_matrices(seed, rng):
    """A + dA with independent relative errors, drawn and solved by NumPy alone."""
    ensemble = Ensemble(d=5, kappa=4.0, device=tl.Device(mismatch=0.05), duration=1e4, seed=seed)
    A, b = ensemble.system()
    x, brute = np.linalg.solve(A, b), []
    for _ in range(3000):
        relative = np.tril(0.05 * rng.standard_normal((5, 5)))
        relative += np.tril(relative, -1).T
        brute.append(np.linalg.norm(np.linalg.solve(A * (1.0 + relative), b) - x) / np.linalg.norm(x))
    ours = block_errors(Block(ensemble, 0, 500))[:, 1]
    for power in (1, 2):
        p, q = ours**power, np.array(brute) ** power
        assert abs(p.mean() - q.mean()) < 5 * np.hypot(p.std() / np.sqrt(len(p)), q.std() / np.sqrt(len(q)))


def test_prediction_holds_for_all_parts(seed):
    device = tl.Device(beta=10.0, matrix_bits=8, dac_bits=9, adc_bits=10, mismatch=2e-3, eps_sys=3e-3)
    ensemble = Ensemble(d=8, kappa=5.0, device=device, duration=5e3, seed=seed)
    found, error = mean_square(block_errors(Block(ensemble, 0, 600)))
    for value, wide, expected in zip(found, error, predicted_rms(ensemble).values(), strict=True):
        assert abs(value - expected**2) < 5 * wide
    assert found[1] > found[2] / 100  # neither part is lost in the other
    assert found[2] > found[1] / 100


def test_predictions_know_what_they_cannot():
    with pytest.raises(ValueError, match="needs rounding="):
        predicted_rms(Ensemble(device=tl.Device(matrix_bits=8, rounding="stochastic")))


# -- cut and spread


def test_any_cut_and_any_workers_give_the_same_bits(tmp_path):
    ensemble = Ensemble(d=5)
    with kept(tmp_path / "whole"):
        whole = ensemble_errors(ensemble, 24, per_task=24)
    with kept(tmp_path / "cut"):
        np.testing.assert_array_equal(ensemble_errors(ensemble, 24, per_task=7), whole)
    with kept(tmp_path / "two"), replicas.workers(jobs=2):
        np.testing.assert_array_equal(ensemble_errors(ensemble, 24, per_task=5), whole)
    assert len(np.unique(whole)) == whole.size  # no two replicas share anything


@pytest.mark.filterwarnings("default")  # of dask's own
def test_a_cluster_of_two_gives_the_same_bits(tmp_path):
    distributed = pytest.importorskip("distributed", reason="dask is not installed; see the extra [dask]")
    ensemble, quiet = Ensemble(d=5), {"dashboard_address": None, "silence_logs": "ERROR"}
    here = block_errors(Block(ensemble, 0, 24))
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=True, **quiet) as cluster,
        kept(tmp_path),
        replicas.workers(dask=cluster.scheduler_address),
    ):
        np.testing.assert_array_equal(ensemble_errors(ensemble, 24, per_task=3), here)


def test_an_interrupted_ensemble_goes_on(tmp_path, monkeypatch):
    """What was finished is found again: the tasks left are the only ones that are computed."""
    ensemble, done = Ensemble(d=3), []
    with kept(tmp_path):
        sweep(block_errors, [Block(ensemble, first, 5) for first in (0, 5, 10)])
        original = replicas.replica_errors
        monkeypatch.setattr(replicas, "replica_errors", lambda e, k: done.append(k) or original(e, k))
        ensemble_errors(ensemble, 23, per_task=5)
    assert done == list(range(15, 23))


def test_a_task_is_about_a_second():
    """The rule follows d down to one replica, and is a power of two."""
    sizes = [replicas.replicas_per_task(d) for d in (1, 10, 30, 100, 300, 1000, 3000)]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] == 1
    assert all(size & (size - 1) == 0 for size in sizes)
    assert replicas.replicas_per_task(100, 16.0) == 16 * replicas.replicas_per_task(100)


# -- command


def test_command_prints_and_writes_the_ensemble(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("THERMOLINALG_RESULTS", str(tmp_path / "cache"))
    arguments = ["--replicas", "30", "--d", "3", "--duration", "1e3", "--out", str(tmp_path / "small")]
    assert replicas.main(arguments) == 0
    assert "systematic" in capsys.readouterr().out
    assert (tmp_path / "small_statistics.csv").read_text().startswith("part,statistic,value,stderr,predicted\n")
    assert (tmp_path / "small_histogram.csv").read_text().startswith("part,low,high,replicas\n")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--replicas", "0"], "replicas must be at least 1"),
        (["--task-seconds", "0"], "seconds must be positive"),
        (["--jobs", "0"], "jobs must be at least 1"),
        (["--mismatch", "-1"], "mismatch must be non-negative"),
        (["--replicas", "1"], "number of replicas with an answer must be at least 2"),
    ],
)
def test_options_are_checked(arguments, told, capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("THERMOLINALG_RESULTS", str(tmp_path / "cache"))
    with pytest.raises(SystemExit) as stop:
        replicas.main(["--d", "2", *arguments])
    assert stop.value.code == 2
    assert told in capsys.readouterr().err
