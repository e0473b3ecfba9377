"""Seconds of the parts of a digital K-FAC update, measured where this runs, on one BLAS thread."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.linalg

from paper_repro.differentiation import Model
from paper_repro.donatella2024.step_times import seconds
from thermolinalg.curvature import KroneckerCurvature, cotangents, kronecker_factors

METHODS = ("Cholesky", "eigh")
PARTS = ("gradient", "backward", "factors", "inversion", "products")


def cholesky_inverse(A: np.ndarray) -> np.ndarray:
    """A^-1 by LAPACK's potrf and potri; the lower triangle is good, which is what symm needs."""
    factor, failed = scipy.linalg.lapack.dpotrf(A, lower=1, clean=0)
    inverse, singular = scipy.linalg.lapack.dpotri(factor, lower=1)
    if failed or singular:
        raise np.linalg.LinAlgError("factor is not positive definite")
    return inverse


def product_pair(left: np.ndarray, gradient: np.ndarray, right: np.ndarray) -> np.ndarray:
    """A^-1 (grad W) G^-1 from lower triangles, by BLAS: products of symmetric matrices."""
    symm = scipy.linalg.blas.dsymm
    return symm(1.0, right, symm(1.0, left, gradient, lower=1), side=1, lower=1)


def in_eigenbasis(left, left_values, gradient, right, right_values, damping: float) -> np.ndarray:
    """The update with exact damping: four products and a division."""
    modes = left.T @ gradient @ right
    return left @ (modes / (np.multiply.outer(left_values, right_values) + damping)) @ right.T


@dataclass(frozen=True)
class LayerUpdate:
    """The damped factors and the gradient of one layer, and the two digital ways to an update."""

    A: np.ndarray
    G: np.ndarray
    gradient: np.ndarray
    damping: float

    def inversion(self, method: str) -> Callable:
        """What is done when the inverses are due."""
        if method == "Cholesky":
            return lambda: (cholesky_inverse(self.A), cholesky_inverse(self.G))
        return lambda: (np.linalg.eigh(self.A), np.linalg.eigh(self.G))

    def products(self, method: str) -> Callable:
        """What is done at every step."""
        left, right = self.inversion(method)()
        if method == "Cholesky":
            gradient = np.asfortranarray(self.gradient)
            return lambda: product_pair(left, gradient, right)
        return lambda: in_eigenbasis(left[1], left[0], self.gradient, right[1], right[0], self.damping)

    def seconds(self, method: str, repeats: int) -> dict[str, float]:
        """Of the inversion and of the products."""
        return {
            "inversion": seconds(self.inversion(method), repeats),
            "products": seconds(self.products(method), repeats),
        }


@dataclass(frozen=True)
class Update:
    """All of one K-FAC update of a network, in parts that can be timed apart.

    Parameters
    ----------
    model : Model
    theta : (N,) ndarray
    inputs, labels : ndarray
        A batch.
    damping : float
    rng : Generator
        Draws the labels of the factors from the model.
    """

    model: Model
    theta: np.ndarray
    inputs: np.ndarray
    labels: np.ndarray
    damping: float
    rng: np.random.Generator

    @cached_property
    def cotangents(self) -> np.ndarray:
        """Of labels drawn from the model, one per prediction."""
        outputs = self.model.outputs(self.theta, self.inputs)
        return cotangents("sampled", outputs, likelihood=self.model.likelihood, rng=self.rng)

    @cached_property
    def pairs(self) -> list:
        """Inputs and gradients of each Kronecker layer."""
        return self.model.kronecker_inputs(self.theta, self.inputs, self.cotangents)

    @cached_property
    def layers(self) -> list[LayerUpdate]:
        """Each Kronecker layer."""
        _, gradient = self.model.loss_and_gradient(self.theta, self.inputs, self.labels)
        of_layers = [layer for layer in self.model.layers if layer.kronecker]
        found = []
        for layer, pair in zip(of_layers, self.pairs, strict=True):
            A, G = KroneckerCurvature(*kronecker_factors(*pair)).split(self.damping)
            found.append(LayerUpdate(A, G, gradient[layer.start : layer.stop].reshape(layer.shape), self.damping))
        return found

    def seconds(self, repeats: int) -> dict[str, dict[str, float]]:
        """Of each part, for each way to invert; "backward" is the second pass, which the factors need."""
        shared = {
            "gradient": seconds(lambda: self.model.loss_and_gradient(self.theta, self.inputs, self.labels), repeats),
            "backward": seconds(lambda: self.model.kronecker_inputs(self.theta, self.inputs, self.cotangents), repeats),
            "factors": seconds(lambda: [kronecker_factors(*pair) for pair in self.pairs], repeats),
        }
        found = {}
        for method in METHODS:
            parts = [layer.seconds(method, repeats) for layer in self.layers]
            found[method] = shared | {name: sum(part[name] for part in parts) for name in ("inversion", "products")}
        return found
