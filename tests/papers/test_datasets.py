"""The matrices from real data and from physics: size, condition number, definiteness, and what they are."""

import numpy as np
import pytest

from paper_repro import datasets

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


def test_unknown_name():
    with pytest.raises(ValueError, match="mikota_64"):
        datasets.load("hilbert")
