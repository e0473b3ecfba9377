"""Any optimiser of the library as an Optax gradient transformation."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import optax
from jax.flatten_util import ravel_pytree

from .. import checks
from .._typing import FloatArray
from ..optimizers import Optimizer, State

jax.tree_util.register_pytree_node(  # the report is not part of what a run needs to go on, and is dropped
    State, lambda s: ((s.step, s.arrays), None), lambda _, parts: State(step=parts[0], arrays=parts[1])
)


def as_optax(optimizer: Optimizer) -> optax.GradientTransformationExtraArgs:
    """An Optax transformation whose updates are the optimiser's steps.

    Parameters
    ----------
    optimizer : Optimizer
        Of `thermolinalg.optimizers`.

    Returns
    -------
    optax.GradientTransformationExtraArgs
        ``update(gradients, state, params, curvature=None, metric=None, ...)`` with pytrees in, and out; extra arguments
        go to the optimiser's `step`. Curvatures are of the parameters in the order of `jax.flatten_util.ravel_pytree`.
        The state is the optimiser's `State`, a pytree, with the last `report`.

    Raises
    ------
    TypeError
        From `update` inside `jax.jit`: the optimisers are NumPy code, so only the gradient can be compiled.
    ValueError
        From `update` without params, which every step here needs.

    Examples
    --------
    >>> import jax.numpy as jnp, optax, thermolinalg as tl  # doctest: +SKIP
    >>> from thermolinalg.adapters.optax import as_optax  # doctest: +SKIP
    >>> transformation = as_optax(tl.optimizers.SGD(0.1))  # doctest: +SKIP
    """
    if not isinstance(optimizer, Optimizer):
        raise ValueError(f"optimizer must be an Optimizer of thermolinalg.optimizers, got {type(optimizer).__name__}")

    def init(params: Any) -> State:
        return optimizer.init(_flat(params, "params")[0])

    def update(gradients: Any, state: State, params: Any = None, **extra: Any) -> tuple[Any, State]:
        if params is None:
            raise ValueError("update needs params: the optimisers of thermolinalg compute the step at a point")
        flat_params, unravel = _flat(params, "params")
        flat_gradient, _ = _flat(gradients, "gradients")
        curvature = extra.pop("curvature", None)
        arrays = {name: np.asarray(array) for name, array in state.arrays.items()}  # tree functions make JAX arrays
        state = State(step=int(state.step), arrays=arrays, report=state.report)
        theta, state = optimizer.step(flat_params, flat_gradient, curvature, state, **extra)
        return unravel(theta - flat_params), state

    return optax.GradientTransformationExtraArgs(init, update)


def _flat(tree: Any, name: str) -> tuple[FloatArray, Callable[[FloatArray], Any]]:
    """One float64 vector, and the way back to a pytree with the dtypes of its leaves."""
    flat, unravel = ravel_pytree(tree)
    if isinstance(flat, jax.core.Tracer):
        raise TypeError(
            "the optimisers of thermolinalg are NumPy code: compile the gradient, and call update outside jit"
        )
    array = np.asarray(flat)
    if array.dtype.kind not in "fc":  # such as bfloat16, which NumPy does not know
        array = array.astype(float)
    return checks.vector(array, name), lambda vector: unravel(vector.astype(flat.dtype))
