"""`RLCCircuit`: coupled LC cells as components, and the law of their currents and voltages."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import scipy.linalg

from .. import _validation
from .._typing import ArrayLike, FloatArray, RNGLike
from ..processes.ornstein_uhlenbeck import OrnsteinUhlenbeck
from .capacitances import maxwell_matrix


@dataclass(frozen=True, kw_only=True, eq=False)
class RLCCircuit:
    """Capacitively coupled LC cells with damping resistors and current noise: the circuit alone, nothing that reads it.

    `RLCSampler` is such a circuit as a board: programmed, and read by a device.

    Parameters
    ----------
    own, coupling, R, L, C, kappa_0
        As for `RLCSampler`.

    Raises
    ------
    ValueError
        A component that is not positive, a matrix that capacitors cannot make.

    See Also
    --------
    RLCSampler : The board.

    Examples
    --------
    >>> import numpy as np
    >>> parts = {"R": 1e3, "L": 1e-4, "C": 1e-9, "kappa_0": 1e-14}
    >>> circuit = RLCCircuit(own=np.full(2, 1e-9), coupling=np.array([[0.0, 5e-10], [5e-10, 0.0]]), **parts)
    >>> circuit.matrix.round(12)
    array([[ 1.5, -0.5],
           [-0.5,  1.5]])
    """

    own: FloatArray
    coupling: FloatArray
    R: float | FloatArray
    L: float | FloatArray
    C: float
    kappa_0: float

    def __post_init__(self) -> None:
        maxwell = maxwell_matrix(self.own, self.coupling)
        d = len(maxwell)
        settings: dict[str, Any] = {
            "own": _validation.vector(self.own, "own"),
            "coupling": _validation.symmetric(self.coupling, "coupling"),
            "R": _components(self.R, "R", d),
            "L": _components(self.L, "L", d),
            "C": _validation.positive(self.C, "C"),
            "kappa_0": _validation.positive(self.kappa_0, "kappa_0"),
        }
        for name, value in settings.items():
            object.__setattr__(self, name, value)

    @property
    def cells(self) -> int:
        """d."""
        return self.own.size

    @cached_property
    def maxwell(self) -> FloatArray:
        """The Maxwell capacitance matrix (d, d) [F]."""
        return maxwell_matrix(self.own, self.coupling)

    @property
    def matrix(self) -> FloatArray:
        """A = C_M / C (d, d): what the device inverts."""
        return self.maxwell / self.C

    @property
    def time_unit(self) -> float:
        """R C in seconds; of the mean resistance where they differ."""
        return float(np.mean(self.R)) * self.C

    @property
    def beta(self) -> float:
        """Inverse temperature C / (kappa_0 R) [1/V^2]: the voltages have covariance A^-1 / beta (equal resistors)."""
        return self.C / (self.kappa_0 * float(np.mean(self.R)))

    @property
    def quality_factor(self) -> float:
        """R sqrt(C / L) of a cell of the reference capacitance (mean components); modes above 1/2 oscillate."""
        return float(np.mean(self.R) * np.sqrt(self.C / np.mean(self.L)))

    @cached_property
    def process(self) -> OrnsteinUhlenbeck:
        """The state (i, v), (2d,), with time in R C, voltage in 1 / sqrt(beta) and energy equal in both halves."""
        d, inverse = self.cells, scipy.linalg.inv(self.matrix)
        conductance = np.mean(self.R) / np.broadcast_to(self.R, d)
        inductance = np.broadcast_to(self.L, d) / np.mean(self.L)
        drift = np.block(
            [
                [np.zeros((d, d)), -self.quality_factor * np.diag(1.0 / inductance)],
                [self.quality_factor * inverse, inverse * conductance],
            ]
        )
        noise = inverse @ inverse
        return OrnsteinUhlenbeck(drift, diffusion=scipy.linalg.block_diag(np.zeros((d, d)), noise + noise.T))

    @property
    def _units(self) -> tuple[float, float]:
        """Ampere and volt of one unit of the process."""
        volt = 1.0 / np.sqrt(self.beta)
        return float(volt * np.sqrt(self.C / np.mean(self.L))), float(volt)

    @property
    def relaxation_time(self) -> float:
        """Time [RC] in which what is left of the start falls by e, in the slowest mode."""
        return self.process.relaxation_time

    def stationary_covariance(self) -> tuple[FloatArray, FloatArray]:
        """Covariances (d, d) of the currents [A^2] and of the voltages [V^2] in equilibrium, for any components."""
        d, (ampere, volt), covariance = self.cells, self._units, self.process.stationary()[1]
        return covariance[:d, :d] * ampere**2, covariance[d:, d:] * volt**2

    def sample(
        self, times: ArrayLike, *, n_chains: int = 1, at_rest: bool = False, rng: RNGLike = None
    ) -> tuple[FloatArray, FloatArray]:
        """Currents and voltages at given times, from their exact law.

        Parameters
        ----------
        times : (n,) array_like
            Increasing times [RC], of any spacing.
        n_chains : int
            Independent devices.
        at_rest : bool
            Whether the first state is i = v = 0; else it is drawn from equilibrium.
        rng : {None, int, Generator, ...}, optional
            Passed to `numpy.random.default_rng`.

        Returns
        -------
        current, voltage : (n_chains, n, d) ndarray
            In ampere and volt.

        Raises
        ------
        ValueError
            Times that do not increase.
        """
        x0 = np.zeros(2 * self.cells) if at_rest else None
        state = self.process.sample(times, x0=x0, n_chains=n_chains, rng=rng)
        ampere, volt = self._units
        return ampere * state[..., : self.cells], volt * state[..., self.cells :]


def _components(value: ArrayLike, name: str, size: int) -> float | FloatArray:
    """A positive number, or one per cell."""
    if np.ndim(value) == 0:
        return _validation.positive(value, name)
    values = _validation.vector(value, name, size)
    if values.min() <= 0:
        raise ValueError(f"{name} must be positive, got {values.min():.6g} for cell {values.argmin()}")
    return values
