"""Every data set by its name; the matrices: size, condition number, definiteness, and what they are."""

import doctest
import importlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from paper_repro import datasets

ROOT = Path(__file__).resolve().parents[2]

KAPPA = {  # size, condition number
    "digits_kernel_64": (64, 5.2e2),
    "digits_kernel_256": (256, 4.9e3),
    "digits_kernel_1024": (1024, 3.0e4),
    "digits_second_moment": (64, 1.0e4),
    "digits_covariance": (64, 7.0e2),
    "digits_correlation": (61, 1.5e2),
    "breast_cancer_correlation": (30, 1.0e5),
    "breast_cancer_correlation_damped": (30, 1.2e4),
    "laplacian_8": (64, 32.0),
    "laplacian_32": (1024, 441.0),
    "mikota_64": (64, 1.0e4),
}


@pytest.mark.parametrize("name", datasets.SYSTEMS)
def test_size_and_condition(name):
    system = datasets.load(name)
    d, kappa = KAPPA[name]
    assert system.array.shape == (d, d)
    assert system.b.shape == (d,)
    assert system.array.dtype == system.b.dtype == np.float64
    assert np.array_equal(system.array, system.array.T)
    assert system.kappa == pytest.approx(kappa, rel=0.05)
    assert np.linalg.cond(system.array) == pytest.approx(system.kappa, rel=1e-6)
    assert np.linalg.norm(system.b) > 0
    assert system.b_meaning
    assert system.source
    assert system.licence


def test_kernel_entry():
    from sklearn.datasets import load_digits
    from sklearn.metrics.pairwise import rbf_kernel

    images = load_digits().data[:64] / 16.0
    kernel = rbf_kernel(images, gamma=1.0 / (64 * images.var())) + 1e-2 * np.eye(64)
    assert np.allclose(datasets.load("digits_kernel_64").array, kernel, atol=1e-12)


def test_regression_is_least_squares():
    from sklearn.datasets import load_breast_cancer

    inputs, label = load_breast_cancer(return_X_y=True)
    inputs = (inputs - inputs.mean(axis=0)) / inputs.std(axis=0)
    weights = np.linalg.lstsq(inputs, label - label.mean(), rcond=None)[0]
    system = datasets.load("breast_cancer_correlation")
    assert np.allclose(np.linalg.solve(system.array, system.b), weights, rtol=1e-6, atol=1e-8)


def test_an_unknown_name_is_refused():
    with pytest.raises(ValueError, match=r"mikota_64.*karate_club"):
        datasets.load("hilbert")


def test_load_passes_options_and_root(tmp_path):
    data = datasets.load("digits", root=tmp_path, shape="image")  # a root is no error where no file is read
    assert data.train_inputs.shape[1:] == (8, 8, 1)
    with pytest.raises(datasets.MissingData, match=str(tmp_path)):
        datasets.load("mnist", root=tmp_path)
    with pytest.raises(ValueError, match="takes no options, got n"):
        datasets.load("mikota_64", root=tmp_path, n=3)


@pytest.mark.parametrize("name", sorted(set(datasets.LEARNING) - {"mnist", "cifar10"}))
def test_learning_data_are_the_same_every_time(name):
    first, second = datasets.load(name), datasets.load(name)
    assert first.sha256 == second.sha256
    assert first.balance().shape == (first.n_classes,)
    assert first.source
    assert first.licence


def test_import_is_light():
    heavy = ("sklearn", "pandas", "jax", "pydoc_data")
    code = f"import sys, paper_repro.datasets; print([m for m in {heavy} if m in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert run.stdout.strip() == "[]"


MODULES = ("", ".files", ".graphs", ".images", ".learning", ".matrices", ".molecules", ".text")


@pytest.mark.parametrize("module", MODULES)
def test_examples_run(module):
    module = importlib.import_module(datasets.__name__ + module)
    assert doctest.testmod(module, extraglobs={"np": np}).failed == 0


def test_public_names_exist():
    assert all(hasattr(datasets, name) for name in datasets.__all__)
    assert len(set(datasets.__all__)) == len(datasets.__all__)
