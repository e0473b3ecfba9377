"""What every measurement shares: the choice of the simulator, chains and their scatter, the error bar, the `Estimate`.

A kind of measurement says how its output is sampled from its law and simulated along paths, and what a run takes; an
average also how large the noise of one chain is and what rounding leaves. All else is here.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, ClassVar

import numpy as np

from .. import _validation
from ..errors import NoClosedLaw
from ..hardware.device import Device
from ..results import Cost, Estimate

SIMULATORS = ("auto", "law", "path")
CHAINS_FOR_SCATTER = 32  # chains from which the standard error can be taken from their scatter


@dataclass(frozen=True)
class Outcome:
    """What was read.

    Attributes
    ----------
    value : ndarray
        Mean over the chains.
    chains : (n_chains, ...) ndarray or None
        Each of them; None where the law gives their mean alone.
    clipped : int
        Conversions that saturated.
    full_scale : float or ndarray
        Of a converter that converts the outcome itself; 0 for none.
    """

    value: np.ndarray
    chains: np.ndarray | None
    clipped: int
    full_scale: float | np.ndarray = 0.0


@dataclass(frozen=True)
class Run:
    """What a run takes: its times, and the numbers that go in and out.

    Attributes
    ----------
    burn_in, duration : float
        [RC].
    repeats : int
        Runs one after the other, each with a burn-in of its own.
    n_matrix, n_inputs, n_outputs : int
        Numbers that program the matrix, and that are converted on the way in and out.
    energies : tuple
        Joule heat, stochastic heat and stored energy in C V^2; None where not known.
    """

    burn_in: float
    duration: float
    repeats: int
    n_matrix: int
    n_inputs: int
    n_outputs: int
    energies: tuple[float | None, float | None, float | None]


@dataclass(frozen=True, kw_only=True, eq=False)
class Measurement(ABC):
    """A programmed problem with its protocol settled.

    Attributes
    ----------
    device : Device
    n_chains : int
        Independent replicas, averaged.
    loaded : bool
        Whether the matrix is on the device from an earlier call.
    """

    result: ClassVar[type[Estimate]] = Estimate

    device: Device
    n_chains: int = 1
    loaded: bool = False

    @abstractmethod
    def no_law(self) -> str | None:
        """Why the output has no closed law; None where it has one."""

    def no_path(self) -> str | None:
        """Why the output has no path; None where it has one."""
        return None

    @abstractmethod
    def sample(self, rng: np.random.Generator) -> Outcome:
        """The output drawn from its law."""

    @abstractmethod
    def simulate(self, rng: np.random.Generator, workers: int | None) -> Outcome:
        """The output of simulated paths."""

    @abstractmethod
    def times(self) -> dict[str, Any]:
        """Fields burn_in, duration, n_reads and read_spacing of the `Estimate`."""

    @abstractmethod
    def run(self) -> Run:
        """What the run of one chain takes."""

    def choose(self, simulator: str) -> str:
        """The simulator that "auto" stands for, or the one asked for if it can serve."""
        _validation.choice(simulator, "simulator", SIMULATORS)
        reason = self.no_law() if simulator != "path" else None
        if simulator == "law" and reason is not None:
            raise NoClosedLaw(f'{reason}; use simulator="path"' if self.no_path() is None else reason)
        chosen = simulator
        if simulator == "auto":
            chosen = "law" if reason is None else "path"
        if chosen == "path" and (refusal := self.no_path()) is not None:
            raise ValueError(refusal)
        return chosen

    def measure(self, chosen: str, rng: np.random.Generator, workers: int | None) -> Outcome:
        """The output by a simulator that `choose` gave."""
        return self.sample(rng) if chosen == "law" else self.simulate(rng, workers)

    @abstractmethod
    def error(self, outcome: Outcome, chosen: str, rng: np.random.Generator) -> tuple[Callable[[], np.ndarray], str]:
        """What computes the standard error when asked, and its kind."""

    def details(self, outcome: Outcome) -> dict[str, Any]:
        """Fields of the result beyond those of every `Estimate`, or in place of them."""
        return {}

    def cost(self) -> Cost:
        """Time and mean energies of the run."""
        return self._cost_of(self.run())

    def _cost_of(self, run: Run) -> Cost:
        return self.device.cost(
            run.n_matrix, runs=run.repeats, burn_in=run.burn_in, duration=run.duration, n_inputs=run.n_inputs,
            n_outputs=run.n_outputs, n_chains=self.n_chains, energies=run.energies, loaded=self.loaded,
        )  # fmt: skip

    def estimate(
        self, simulator: str, rng: np.random.Generator, workers: int | None = None, *, clipped: dict[str, int],
        kind: type[Estimate] | None = None, scale: float = 1.0, shape: tuple[int, ...] | None = None, **extra: Any,
    ) -> Any:  # fmt: skip
        """Run the device; the answer is what is read times `scale`, in a `shape` of its own."""
        chosen = self.choose(simulator)
        outcome = self.measure(chosen, rng, workers)
        error, source = self.error(outcome, chosen, rng)
        value = _validation.finite_result(outcome.value if scale == 1.0 else scale * outcome.value, "the read-out")
        shape = value.shape if shape is None else shape
        fields: dict[str, Any] = {
            "value": value.reshape(shape)[()], "stderr_source": lambda: (scale * error()).reshape(shape)[()],
            "stderr_kind": source, "n_chains": self.n_chains, "simulator": chosen, "device": self.device,
            "cost": self.cost, "clipped": clipped | {"adc": outcome.clipped},
        }  # fmt: skip
        return (kind or self.result)(**fields | self.times() | self.details(outcome) | extra)


@dataclass(frozen=True, kw_only=True, eq=False)
class Average(Measurement):
    """A measurement whose chains are averaged: of means and of second moments."""

    @property
    def variance_kind(self) -> str:
        """`Estimate.stderr_kind` of `noise_variance`."""
        return "law"

    @abstractmethod
    def noise_variance(self, probe: np.random.Generator | None) -> np.ndarray:
        """Variance of each entry of one chain by thermal and read noise."""

    @abstractmethod
    def rounding_variances(
        self, noise: Callable[[], np.ndarray], outcome: Outcome
    ) -> tuple[np.ndarray | float, np.ndarray | float]:
        """Mean square rounding error that all chains share, and that each chain has of its own.

        `noise` computes `noise_variance` when it is needed.
        """

    def error(self, outcome: Outcome, chosen: str, rng: np.random.Generator) -> tuple[Callable[[], np.ndarray], str]:
        """What computes the standard error when asked, and its kind.

        Noise averages out over chains; of the rounding error only the part that noise dithers does.
        """
        dithered = self.device.adc_bits is not None and self.device.rounding == "stochastic"  # chains may all agree
        scatter = self.n_chains >= CHAINS_FOR_SCATTER and (chosen == "path" or self.variance_kind == "rms")
        spread = None
        if scatter and outcome.chains is not None and not (dithered and self.variance_kind == "law"):
            spread = outcome.chains.std(axis=0, ddof=1)
        probe = self._probe(rng) if self.variance_kind == "rms" else None
        outcome = replace(outcome, chains=None)  # which are not needed any more

        def evaluate() -> np.ndarray:
            common: np.ndarray | float = 0.0
            own: np.ndarray | float = 0.0
            rounds = self.device.adc_bits is not None
            noise = cache(lambda: self.noise_variance(None if probe is None else probe()))
            if rounds:
                common, own = self.rounding_variances(noise, outcome)
            each = noise() + own if spread is None else spread**2
            variance = each / self.n_chains + common
            return _validation.finite_result(np.sqrt(np.broadcast_to(variance, outcome.value.shape)), "stderr")

        return evaluate, self.variance_kind if spread is None else "chains"

    @staticmethod
    def _probe(rng: np.random.Generator) -> Callable[[], np.random.Generator]:
        """What makes a generator of the error's own, of the same kind: the same one whenever it is asked."""
        seed = rng.bit_generator.seed_seq.spawn(1)[0]  # type: ignore[attr-defined]  # the stub knows no SeedSequence
        kind, bits = type(rng), type(rng.bit_generator)
        return lambda: kind(bits(seed))
