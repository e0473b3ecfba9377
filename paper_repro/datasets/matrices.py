"""Matrices from real data and from physics, each with a right-hand side that means something.

Nothing is downloaded: the data sets come with scikit-learn, which is imported only when one of them is asked for.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from thermolinalg import problems

DIGITS = {"source": "UCI optical recognition of handwritten digits, in scikit-learn", "licence": "CC BY 4.0"}
BREAST_CANCER = {"source": "UCI breast cancer Wisconsin (diagnostic), in scikit-learn", "licence": "CC BY 4.0"}
MODEL = {"source": "thermolinalg.problems", "licence": "MIT"}


@dataclass(frozen=True, eq=False)
class LinearSystem:
    """A matrix and a right-hand side, with where they come from.

    Attributes
    ----------
    name : str
    array : (d, d) ndarray
        Symmetric positive definite, float64.
    b : (d,) ndarray
        Right-hand side.
    b_meaning : str
        What b is, and so what the solution is.
    kappa : float
        Condition number.
    source, licence : str
    """

    name: str
    array: np.ndarray
    b: np.ndarray
    b_meaning: str
    kappa: float
    source: str
    licence: str


def _system(name, array, b, b_meaning, origin) -> LinearSystem:
    array = (array + array.T) / 2.0  # symmetric to the last bit
    eigenvalues = np.linalg.eigvalsh(array)
    return LinearSystem(name, array, b, b_meaning, float(eigenvalues[-1] / eigenvalues[0]), **origin)


def _digits():
    from sklearn.datasets import load_digits

    images, digit = load_digits(return_X_y=True)
    return images / 16.0, np.where(digit == 0, 1.0, -1.0)


def _breast_cancer():
    from sklearn.datasets import load_breast_cancer

    return load_breast_cancer(return_X_y=True)


def digits_kernel(n=256) -> LinearSystem:
    """RBF kernel of the first n digits, gamma = 1 / (64 var), plus 1e-2 I: kernel ridge classification."""
    images, label = _digits()
    images, label = images[:n], label[:n]
    squares = np.sum(images**2, axis=1)
    distances = np.maximum(squares[:, None] + squares - 2.0 * images @ images.T, 0.0)
    kernel = np.exp(-distances / (64.0 * images.var())) + 1e-2 * np.eye(n)
    return _system(f"digits RBF kernel {n}", kernel, label, "+1 for images of a zero, -1 for the others", DIGITS)


def _regression(name, moment, inputs, label, origin) -> LinearSystem:
    b = inputs.T @ (label - label.mean()) / len(label)
    return _system(name, moment, b, "covariance of each input with the label: normal equations of a regression", origin)


def digits_second_moment() -> LinearSystem:
    """Second moment of the pixels / 16, plus 1e-3 I."""
    images, label = _digits()
    moment = images.T @ images / len(images) + 1e-3 * np.eye(64)
    return _regression("digits second moment + 1e-3 I", moment, images, label, DIGITS)


def digits_covariance() -> LinearSystem:
    """Covariance of the pixels / 16, plus 1e-3 I."""
    images, label = _digits()
    return _regression("digits covariance + 1e-3 I", np.cov(images.T) + 1e-3 * np.eye(64), images, label, DIGITS)


def digits_correlation() -> LinearSystem:
    """Correlation of the 61 pixels that are not constant."""
    images, label = _digits()
    inputs = _standardised(images[:, images.std(axis=0) > 0])
    return _regression("digits correlation", np.corrcoef(inputs.T), inputs, label, DIGITS)


def breast_cancer_correlation(damping=0.0) -> LinearSystem:
    """Correlation of the 30 features, plus damping I."""
    inputs, label = _breast_cancer()
    inputs = _standardised(inputs)
    suffix = f" + {damping:g} I" if damping else ""
    moment = np.corrcoef(inputs.T) + damping * np.eye(30)
    return _regression("breast cancer correlation" + suffix, moment, inputs, label, BREAST_CANCER)


def _standardised(inputs):
    return (inputs - inputs.mean(axis=0)) / inputs.std(axis=0)


def laplacian(n=32) -> LinearSystem:
    """Negative Laplacian on an n x n grid, Dirichlet boundary, as a dense matrix: Poisson's equation."""
    array = problems.laplacian(n, n).toarray()
    return _system(f"Laplacian {n} x {n}", array, np.ones(n * n), "uniform source", MODEL)


def mikota(d=64) -> LinearSystem:
    """Stiffness of Mikota's chain of d springs: displacement under a load."""
    return _system(f"Mikota chain {d}", problems.mikota(d), np.ones(d), "the same force on every mass", MODEL)


SYSTEMS: dict[str, Callable[[], LinearSystem]] = {
    "digits_kernel_64": lambda: digits_kernel(64),
    "digits_kernel_256": lambda: digits_kernel(256),
    "digits_kernel_1024": lambda: digits_kernel(1024),
    "digits_second_moment": digits_second_moment,
    "digits_covariance": digits_covariance,
    "digits_correlation": digits_correlation,
    "breast_cancer_correlation": breast_cancer_correlation,
    "breast_cancer_correlation_damped": lambda: breast_cancer_correlation(1e-3),
    "laplacian_8": lambda: laplacian(8),
    "laplacian_32": lambda: laplacian(32),
    "mikota_64": mikota,
}
