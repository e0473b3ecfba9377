"""Any optimiser of the library as a PyTorch optimiser."""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch

from .. import checks
from ..curvature import Curvature
from ..optimizers import Optimizer, Report, State


class Torch(torch.optim.Optimizer):
    """A `torch.optim.Optimizer` whose steps are those of an optimiser of the library.

    Parameters
    ----------
    params : iterable of Parameters
        One group, real, on any device; they are flattened in their order, as a curvature must be.
    optimizer : Optimizer
        Of `thermolinalg.optimizers`. Where it has a `learning_rate`, that is the group's ``lr``, which schedulers may
        change.

    Attributes
    ----------
    report : Report or None
        Of the last step.

    Raises
    ------
    ValueError
        Several parameter groups; a parameter without a gradient, in `step`.

    Examples
    --------
    >>> import torch, thermolinalg as tl  # doctest: +SKIP
    >>> from thermolinalg.adapters.torch import Torch  # doctest: +SKIP
    >>> optimizer = Torch(net.parameters(), tl.optimizers.SGD(0.1))  # doctest: +SKIP
    """

    def __init__(self, params: Iterable[torch.nn.Parameter], optimizer: Optimizer) -> None:
        if not isinstance(optimizer, Optimizer):
            raise ValueError(f"optimizer must be one of thermolinalg.optimizers, got {type(optimizer).__name__}")
        self.optimizer = optimizer
        rate = getattr(optimizer, "learning_rate", None)
        super().__init__(params, {} if rate is None else {"lr": rate})
        if len(self.param_groups) > 1:
            raise ValueError(f"one parameter group is what there can be, got {len(self.param_groups)}")
        self._state = optimizer.init(self._flat([p.detach() for p in self._params], "params"))

    @property
    def report(self) -> Report | None:
        """Of the last step."""
        return self._state.report

    @property
    def _params(self) -> list:
        return self.param_groups[0]["params"]

    @staticmethod
    def _flat(tensors: Iterable[torch.Tensor], name: str) -> np.ndarray:
        return checks.vector(np.concatenate([t.reshape(-1).to("cpu", torch.float64).numpy() for t in tensors]), name)

    @torch.no_grad()
    def step(
        self, closure: Callable[[], Any] | None = None, *, curvature: Curvature | None = None, **options: Any
    ) -> Any:
        """One step.

        Parameters
        ----------
        closure : callable, optional
            Computes the loss and the gradients anew.
        curvature, **options
            Of the optimiser's `step`.

        Returns
        -------
        The loss that closure returned, or None.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        missing = sum(p.grad is None for p in self._params)
        if missing:
            raise ValueError(f"{missing} parameters have no gradient; call backward first, or leave them out")
        if "lr" in self.param_groups[0]:
            rule: Any = self.optimizer  # which has a rate, as there is an lr
            rule.learning_rate = float(self.param_groups[0]["lr"])
        theta = self._flat(self._params, "params")
        theta, self._state = self.optimizer.step(
            theta, self._flat([p.grad for p in self._params], "gradients of params"), curvature, self._state, **options
        )
        start = 0
        for p in self._params:
            p.copy_(torch.from_numpy(theta[start : start + p.numel()]).reshape(p.shape))
            start += p.numel()
        return loss

    def state_dict(self) -> dict[str, Any]:
        """That of PyTorch, and all the optimiser needs to go on."""
        arrays = {name: torch.from_numpy(np.array(value)) for name, value in self._state.arrays.items()}
        return super().state_dict() | {"thermolinalg": {"step": self._state.step, "arrays": arrays}}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """From `state_dict`."""
        state_dict = dict(state_dict)
        own = state_dict.pop("thermolinalg")
        super().load_state_dict(state_dict)
        self._state = State(step=own["step"], arrays={name: value.numpy() for name, value in own["arrays"].items()})
