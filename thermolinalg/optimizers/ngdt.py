r"""NGD-T: natural-gradient steps whose length is set by a dissipation budget."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from .. import _validation
from .._typing import ArrayLike, Arrays, FloatArray
from .._validation import fraction
from ..curvature import Curvature, Tracking
from .damping import definite_rates
from .protocol import Move, Optimizer, State, require_finite_dissipation

RULES = ("kl", "slow", "flow")
INVERSES = ("truncation", "tikhonov", "flooring", "soft")
SOFT_ORDER = 6


class NGDT(Optimizer):
    r"""``theta <- theta - eta m``: m the (averaged) natural gradient, eta from a budget over Delta_F = g^T F^-1 g.

    Parameters
    ----------
    rule : {"kl", "slow", "flow"}
        ======  ==========================  ===============================  ====================
        rule    eta                         the budget buys                  unit of the budget
        ======  ==========================  ===============================  ====================
        kl      sqrt(2 Q / Delta_F)         d^T F d / 2, a KL divergence     nats
        slow    sqrt(Q duration / Delta_F)  d^T F d / duration               kT tau_r
        flow    eta0 Q / Delta_F            eta Delta_F, the loss decrease   units of loss
        ======  ==========================  ===============================  ====================

        "flow" is the rule of the author's public code; which one the paper prints is not known to us. "kl" is the
        default: it is the one whose cost is what the speed-cost bound bounds.
    budget : float
        Q, for one step.
    eta_max, eta_min : float
        Bounds of eta; a step that meets one is reported as clipped. Above 1 a step overshoots the minimum of the
        quadratic model, and all three rules do when Delta_F gets small: eta_max = 1 is then the Newton step.
    eta0 : float
        Of rule "flow".
    duration : float
        Of rule "slow", in relaxation times.
    inverse : {"truncation", "tikhonov", "flooring", "soft"}
        What stands for F^-1 where F is singular, by eigenvalue lam, with tau = cutoff lam_max:
        1/lam above tau and 0 below; 1/(lam + damping); 1/max(lam, tau); 1/lam / (1 + (tau/lam)^6).
        Default "tikhonov" where a damping is given, else "truncation".
    cutoff : float
        Relative; also tells the null space for `null_ratio`. In a Kronecker eigenbasis it acts on products of
        eigenvalues, and on all blocks alike.
    damping : float
        Of "tikhonov"; there Delta_F = g^T (F + damping I)^-1 g overstates the metric cost, never understates it.
    null_ratio : float
        Step along P0 g, the part of the gradient that F cannot see, over that along F^+ g. 0 switches it off. A step
        with it is the natural step of ``F + P0 / null_ratio``, and Delta_F counts ``null_ratio |P0 g|^2`` accordingly.
    momentum : float
        ``m <- momentum m + (1 - momentum) v``; eta is still that of the present v, so the realised cost differs.
    tracking : Tracking, optional
        Average the curvature over batches, with cached eigenbases (for Kronecker, diagonal and dense blocks). Default:
        the curvature of each step as it comes.
    dissipation_decay : float
        Of the moving average of Delta_F from half batches, see `step`.

    Raises
    ------
    ValueError
        A parameter out of its range; null_ratio with an inverse that leaves no null space.
    NotPositiveDefinite
        At a step: F singular and a damping below its rounding.
    FloatingPointError
        At a step: Delta_F above float64, which says nothing on the length of the step.

    See Also
    --------
    NaturalGradient : A fixed rate.
    thermolinalg.curvature.dissipation : Delta_F.
    thermolinalg.curvature.half_batch_dissipation : Delta_F without the noise of the batch.
    thermolinalg.optimizers : What learning_rate, damping, momentum, tracking, device and rng mean for all of them.

    Notes
    -----
    The report measures each step under the undamped F of that step unless a metric is given, and `details` has
    ``predicted_cost`` = eta^2 Delta_F and ``budget_used``, what the step really cost in the unit of the rule.

    Source: You (2026), NGD-T, doi:10.21203/rs.3.rs-8626621/v1, and its public code for "flow"; "kl" and "slow" follow
    from the quench and slow-driving costs, and are known as KL clipping (Ba et al. 2017).

    Examples
    --------
    >>> import numpy as np, thermolinalg as tl
    >>> optimizer = tl.optimizers.NGDT(rule="kl", budget=0.02)
    >>> F = tl.curvature.DiagonalCurvature([4.0, 1.0])
    >>> theta, state = optimizer.step(np.zeros(2), np.array([4.0, 3.0]), F, optimizer.init(np.zeros(2)))
    >>> round(state.report.metric_cost / 2, 12), round(state.report.excess, 12), state.report.clipped
    (0.02, 1.0, None)
    """

    needs = "curvature"

    def __init__(
        self,
        rule: str = "kl",
        budget: float = 1e-3,
        *,
        eta_max: float = 1.0,
        eta_min: float = 0.0,
        eta0: float = 1.0,
        duration: float = 1.0,
        inverse: str | None = None,
        cutoff: float = 1e-8,
        damping: float = 0.0,
        null_ratio: float = 0.0,
        momentum: float = 0.0,
        tracking: Tracking | None = None,
        dissipation_decay: float = 0.9,
    ) -> None:
        self.rule = _validation.choice(rule, "rule", RULES)
        self.budget = _validation.positive(budget, "budget")
        self.eta_max = _validation.positive(eta_max, "eta_max")
        self.eta_min = _validation.positive(eta_min, "eta_min", zero=True)
        if self.eta_min > self.eta_max:
            raise ValueError(f"eta_min must not be above eta_max, got {eta_min!r} and {eta_max!r}")
        self.eta0, self.duration = _validation.positive(eta0, "eta0"), _validation.positive(duration, "duration")
        self.damping = _validation.positive(damping, "damping", zero=True)
        default = "tikhonov" if self.damping else "truncation"
        self.inverse = _validation.choice(default if inverse is None else inverse, "inverse", INVERSES)
        if (self.inverse == "tikhonov") != (self.damping > 0.0):
            raise ValueError(f'damping belongs to inverse="tikhonov", got damping={damping!r} with {self.inverse!r}')
        self.cutoff = fraction(cutoff, "cutoff")
        self.null_ratio = _validation.positive(null_ratio, "null_ratio", zero=True)
        if self.null_ratio and self.inverse in ("tikhonov", "flooring"):
            raise ValueError(f"null_ratio needs a null space, and inverse={self.inverse!r} leaves none; set it to 0")
        self.momentum = fraction(momentum, "momentum")
        if tracking is not None and not isinstance(tracking, Tracking):
            raise ValueError(f"tracking must be a Tracking, got {type(tracking).__name__}")
        self.tracking = tracking
        self.dissipation_decay = fraction(dissipation_decay, "dissipation_decay")

    def step(
        self,
        theta: ArrayLike,
        gradient: ArrayLike,
        curvature: Curvature | None = None,
        state: State | None = None,
        *,
        metric: Curvature | None = None,
        halves: Sequence[ArrayLike] | np.ndarray | None = None,
    ) -> tuple[FloatArray, State]:
        """As `Optimizer.step`, with Delta_F from two half batches if those are given.

        Parameters
        ----------
        theta, gradient, curvature, state, metric
            See `Optimizer.step`.
        halves : ((N,), (N,)) array_like, optional
            Gradients of two independent halves of the batch: eta then follows a moving average of the unbiased
            ``g1^T F^-1 g2``, where the Delta_F of one batch has a noise floor of about (effective dimension) / (batch
            size). Where the average is not positive, eta follows that of the batch, which is never too small. The step
            itself has the noise in it, so its metric cost exceeds the budget of rules "kl" and "slow" by the ratio of
            the two.
        """
        pair = None
        if halves is not None:
            if not isinstance(halves, Sequence | np.ndarray) or len(halves) != 2:
                raise ValueError(f"halves must be two gradients, got {halves!r}")
            first, second = halves
            size = np.size(np.asarray(theta))
            pair = _validation.vector(first, "halves[0]", size), _validation.vector(second, "halves[1]", size)
        return self._step(theta, gradient, curvature, state, metric, partial(self._move, halves=pair))

    def _start(self, theta: FloatArray) -> Arrays:
        return {"momentum": np.zeros_like(theta)} if self.momentum else {}

    def _move(
        self,
        theta: FloatArray,
        gradient: FloatArray,
        curvature: Any,
        state: State,
        halves: tuple[FloatArray, FloatArray] | None = None,
    ) -> Move:
        arrays: Arrays = {}
        if self.tracking is not None:
            kept = {name[2:]: value for name, value in state.arrays.items() if name.startswith("F.")}
            tracked = self.tracking.update(kept, curvature)
            arrays |= {f"F.{name}": value for name, value in tracked.items()}
            curvature = self.tracking.curvature(tracked)
        if gradient.any() and not curvature.rates.any() and not (self.damping or self.null_ratio):
            raise ValueError("curvature has rank zero: give a damping, or a null_ratio to step along the gradient")
        weights = self._weights(curvature)
        direction = natural = curvature.weighted(weights, gradient)
        dissipation = float(gradient @ natural)
        if halves is not None:
            average, arrays["dissipation"] = self._averaged(curvature, weights, halves, state)
            dissipation = average if average > 0.0 else dissipation
        elif "dissipation" in state.arrays:  # the average outlives a step without halves
            arrays["dissipation"] = state.arrays["dissipation"]
        eta, clipped = self._eta(dissipation)
        if self.momentum:
            direction = self.momentum * state.arrays["momentum"] + (1.0 - self.momentum) * natural
            arrays["momentum"] = direction
        displacement = -eta * direction
        details = {
            "predicted_cost": eta * dissipation * eta,
            "budget_used": self._spent(displacement, gradient, curvature),
            "regulator_dissipation": dissipation,
        }
        facts = {"learning_rate": eta, "clipped": clipped, "damping": self.damping, "details": details}
        return Move(displacement, arrays, facts | {"metric": curvature})

    def _weights(self, curvature: Curvature) -> np.ndarray:
        """What each mode of the gradient is multiplied with: the inverse, and null_ratio in the null space."""
        rates = curvature.rates
        above, floor = curvature.range_mask(self.cutoff), self.cutoff * rates.max(initial=0.0)
        if self.inverse == "tikhonov":
            return 1.0 / definite_rates(curvature, self.damping, 'give a larger damping, or inverse="truncation"')
        if self.inverse == "flooring":
            if floor == 0.0:
                raise ValueError("inverse='flooring' has no floor: cutoff or the whole curvature is zero")
            return 1.0 / np.maximum(rates, floor)
        weights = np.zeros_like(rates)
        np.divide(1.0, rates, out=weights, where=above)
        if self.inverse == "soft":  # below the floor in powers of rates / floor, which cannot overflow
            weights[above] /= 1.0 + (floor / rates[above]) ** SOFT_ORDER
            below = rates[~above] / floor if floor > 0.0 else np.zeros(np.count_nonzero(~above))
            weights[~above] = below ** (SOFT_ORDER - 1) / (1.0 + below**SOFT_ORDER) / (floor or 1.0)
        return np.where(above, weights, weights + self.null_ratio)

    def _averaged(
        self, curvature: Curvature, weights: FloatArray, halves: tuple[FloatArray, FloatArray], state: State
    ) -> tuple[float, FloatArray]:
        """Moving average of g1^T F^-1 g2, and the array that carries it: weighted sum, sum of weights."""
        now = float(halves[0] @ curvature.weighted(weights, halves[1]))
        total, weight = state.arrays.get("dissipation", np.zeros(2))
        decay = self.dissipation_decay
        carried = np.array([decay * total + (1.0 - decay) * now, decay * weight + 1.0 - decay])
        return float(carried[0] / carried[1]), carried

    def _eta(self, dissipation: float) -> tuple[float, str | None]:
        """The regulated rate, and which bound it met."""
        if dissipation <= 0.0:
            return self.eta_max, "max"
        require_finite_dissipation(dissipation)
        eta = {
            "kl": np.sqrt(2.0 * self.budget / dissipation),
            "slow": np.sqrt(self.budget * self.duration / dissipation),
            "flow": self.eta0 * self.budget / dissipation,
        }[self.rule]
        if eta > self.eta_max:
            return self.eta_max, "max"
        return (self.eta_min, "min") if eta < self.eta_min else (float(eta), None)

    def _spent(self, displacement: FloatArray, gradient: FloatArray, curvature: Curvature) -> float:
        """What a step cost in the unit of the rule's budget."""
        if self.rule == "flow":
            return -float(gradient @ displacement)
        return curvature.quadratic(displacement) / (2.0 if self.rule == "kl" else self.duration)
