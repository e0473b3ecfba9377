"""Seconds of the parts of a step: the digital ones measured where this runs, those of the device modelled."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from time import perf_counter

import numpy as np
import scipy.linalg
import threadpoolctl
from scipy.sparse.linalg import LinearOperator

from paper_repro.differentiation import Model
from thermolinalg import curvature, optimizers

from .settings import DEVICE


def seconds(call: Callable, repeats: int) -> float:
    """Median wall time of a call on one BLAS thread, after one that is not counted: it compiles.

    NumPy and SciPy each have a pool of threads; when several pools are awake, their idle threads spin and take the
    cores from those at work.
    """
    taken = []
    with threadpoolctl.threadpool_limits(1, user_api="blas"):
        call()
        for _ in range(repeats):
            start = perf_counter()
            call()
            taken.append(perf_counter() - start)
    return float(np.median(taken))


def device_seconds(n_rows: int, size: int, time: float) -> dict[str, float]:
    """Seconds of one solve on the paper's device: to load J, H, J^T and the gradient, to relax, to read."""
    cost = DEVICE.cost(
        n_rows * (n_rows + 2 * size), runs=1, burn_in=time, duration=0.0, n_inputs=size, n_outputs=size, n_chains=1,
        energies=(None, None, None),
    )  # fmt: skip
    return {"load": cost.load, "relax": cost.relax, "read": cost.read}


@dataclass(frozen=True)
class Batch:
    """A batch at given parameters, and what it takes to get a natural gradient from it.

    Parameters
    ----------
    model : Model
    theta : (N,) ndarray
    inputs, labels : ndarray
    damping : float
    """

    model: Model
    theta: np.ndarray
    inputs: np.ndarray
    labels: np.ndarray
    damping: float

    def loss_and_gradient(self):
        """One backward pass."""
        return self.model.loss_and_gradient(self.theta, self.inputs, self.labels)

    def cotangents(self) -> np.ndarray:
        """Those of the exact Fisher information, (b, dz, 1, dz)."""
        outputs = self.model.outputs(self.theta, self.inputs)
        return curvature.cotangents("exact", outputs, likelihood=self.model.likelihood)

    def make_rows(self) -> np.ndarray:
        """J (b dz, N)."""
        return self.model.rows(self.theta, self.inputs, self.cotangents())

    def make_gram(self) -> np.ndarray:
        """J J^T (b dz, b dz) from what enters and leaves the layers."""
        return self.model.gram(self.theta, self.inputs, self.cotangents())

    @cached_property
    def gradient(self) -> np.ndarray:
        """(N,)."""
        return self.loss_and_gradient()[1]

    @cached_property
    def rows(self) -> np.ndarray:
        """J, kept."""
        return self.make_rows()

    @cached_property
    def operator(self) -> LinearOperator:
        """J by products alone: forward for J v, backward for J^T u."""
        c = self.cotangents()
        model, at = self.model, (self.theta, self.inputs)

        def forward(v):
            return np.einsum("bkpz,bpz->bk", c, model.jvp(*at, np.ravel(v))).ravel()

        def backward(u):
            return model.vjp(*at, np.einsum("bk,bkpz->bpz", np.reshape(u, c.shape[:2]), c))

        shape = (c.shape[0] * c.shape[1], model.size)
        return LinearOperator(shape, matvec=forward, rmatvec=backward, dtype=np.float64)

    def product_with_rows(self) -> np.ndarray:
        """J^T J g."""
        return self.rows.T @ (self.rows @ self.gradient)

    def product_without_rows(self) -> np.ndarray:
        """The same from the network itself: one forward and one backward pass."""
        return self.model.ggn_product(self.theta, self.inputs, self.gradient)

    def woodbury(self) -> np.ndarray:
        """The natural gradient by one system of size b dz."""
        return optimizers.woodbury(self.rows, self.gradient, self.damping)

    def dense(self) -> np.ndarray:
        """The natural gradient by one system of size N."""
        F = self.rows.T @ self.rows
        F[np.diag_indices(self.model.size)] += self.damping
        return scipy.linalg.solve(F, self.gradient, assume_a="pos", overwrite_a=True, check_finite=False)

    def natural_seconds(self, iterations: int, repeats: int, densest: int = 0) -> dict[str, float]:
        """Seconds of a step of natural gradient by each digital method, and of the digital part of TNGD.

        Parameters
        ----------
        iterations : int
            Of conjugate gradients on products without J, the residual at the end included.
        repeats : int
        densest : int
            Largest N for which the system of size N is solved.

        Returns
        -------
        dict
        """
        gradient = seconds(self.loss_and_gradient, repeats)
        rows = seconds(self.make_rows, repeats)
        found = {
            "gradient": gradient,
            "rows": rows,
            "TNGD": gradient + rows,
            "NGD-CG": gradient + (iterations + 1) * seconds(self.product_without_rows, repeats),
            "Woodbury": gradient + rows + seconds(self.woodbury, repeats),
        }
        if self.model.size <= densest:
            found["NGD"] = gradient + rows + seconds(self.dense, repeats)
        return found
