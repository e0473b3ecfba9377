"""`RLCSampler`: LC cells coupled by switched capacitors, the circuit of the stochastic processing unit."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.linalg

from . import _check, planning
from ._chains import run_chains
from .capacitances import CapacitiveForm, capacitors, maxwell_matrix
from .device import Device
from .linear_run import CHAINS_FOR_SCATTER
from .moments import moment_variance
from .paths import READ_ROWS, blocks
from .processes import OrnsteinUhlenbeck
from .results import Estimate
from .transitions import geometric_sum, psd_factor, recurrence

SPU_CELLS = 8
FORGETTING = 5.0  # relaxation times between reads that are taken to be independent


@dataclass(frozen=True, kw_only=True, eq=False)
class RLCSampler:
    """Capacitively coupled LC cells with damping resistors and current noise.

    The currents i of the inductors and the voltages v of the cells obey ::

        di = L^-1 v dt
        dv = -C_M^-1 R^-1 v dt - C_M^-1 i dt + sqrt(2 kappa_0) C_M^-1 dW

    with the Maxwell matrix C_M of the capacitors. For equal resistors the voltages are N(0, kappa_0 R C_M^-1) in
    equilibrium, the currents N(0, kappa_0 R L^-1), independent of them: the device inverts ``A = C_M / C``. Its state
    at any times is drawn from the exact law.

    Times are in units of ``R C`` (`time_unit`, in seconds), as everywhere; currents, voltages and components are in
    SI units.

    Parameters
    ----------
    own : (d,) array_like
        Capacitance of each cell to ground [F], positive.
    coupling : (d, d) array_like
        Capacitance between cells [F]: symmetric, not negative, zero diagonal; 0 is an open switch.
    R : float or (d,) array_like
        Resistance across each cell [ohm].
    L : float or (d,) array_like
        Inductance of each cell [H].
    C : float
        Reference capacitance [F]: the capacitance that stands for an entry 1 of A.
    kappa_0 : float
        Strength of the current noise [A^2 s].

    Raises
    ------
    ValueError
        A component that is not positive, a matrix that capacitors cannot make.

    References
    ----------
    Melanson et al., arXiv:2312.04836, Nature Commun. 16, 3757 (2025), equations (4) and (5).

    Examples
    --------
    >>> import numpy as np
    >>> A = np.array([[1.5, -0.5], [-0.5, 1.5]])
    >>> device = RLCSampler.program(A, R=1e3, L=1e-4, C=1e-9, kappa_0=1e-14)
    >>> current, voltage = device.sample([0.0, 1.0, 2.5], n_chains=4, rng=0)
    >>> voltage.shape
    (4, 3, 2)
    >>> r = device.inv(n_reads=20_000, read_spacing=1.0, rng=0)
    >>> bool(np.all(abs(r.value - np.linalg.inv(A)) < 5 * r.stderr))
    True
    """

    own: np.ndarray
    coupling: np.ndarray
    R: float | np.ndarray
    L: float | np.ndarray
    C: float
    kappa_0: float

    def __post_init__(self):
        maxwell = maxwell_matrix(self.own, self.coupling)
        d = len(maxwell)
        settings = {
            "own": _check.vector(self.own, "own"),
            "coupling": _check.symmetric(self.coupling, "coupling"),
            "R": _components(self.R, "R", d),
            "L": _components(self.L, "L", d),
            "C": _check.positive(self.C, "C"),
            "kappa_0": _check.positive(self.kappa_0, "kappa_0"),
        }
        for name, value in settings.items():
            object.__setattr__(self, name, value)

    @classmethod
    def program(cls, A, *, R, L, C, kappa_0) -> "RLCSampler":
        """The device that holds A (d, d), ``C_M = C A``; `capacitive_form` prepares matrices that do not fit as is."""
        own, coupling = capacitors(A)
        C = _check.positive(C, "C")
        return cls(own=C * own, coupling=C * coupling, R=R, L=L, C=C, kappa_0=kappa_0)

    @classmethod
    def spu(cls, A, **changes) -> "RLCSampler":
        """A board of 8 cells that holds A (8, 8), like the stochastic processing unit.

        The publication gives the circuit and no component values that we could find. These are ours, and keywords
        change them: R = 1 kohm and C = 1 nF, hence R C = 1 us, the scale at which such boards are clocked; L = 100 uH,
        hence a cell of 0.5 MHz and quality factor 3.2; kappa_0 = 1e-14 A^2 s, hence 0.1 V rms in a cell of 1 nF (noise
        of the laboratory's making: that of the resistors themselves would be 2 uV).
        """
        shape = np.shape(A)
        if shape != (SPU_CELLS, SPU_CELLS):
            raise ValueError(f"A must have shape ({SPU_CELLS}, {SPU_CELLS}), the cells of the board, got {shape}")
        return cls.program(A, **({"R": 1e3, "L": 1e-4, "C": 1e-9, "kappa_0": 1e-14} | changes))

    @property
    def cells(self) -> int:
        """d."""
        return self.own.size

    @cached_property
    def maxwell(self) -> np.ndarray:
        """The Maxwell capacitance matrix (d, d) [F]."""
        return maxwell_matrix(self.own, self.coupling)

    @property
    def matrix(self) -> np.ndarray:
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

    def stationary_covariance(self) -> tuple[np.ndarray, np.ndarray]:
        """Covariances (d, d) of the currents [A^2] and of the voltages [V^2] in equilibrium, for any components."""
        d, (ampere, volt), covariance = self.cells, self._units, self.process.stationary()[1]
        return covariance[:d, :d] * ampere**2, covariance[d:, d:] * volt**2

    def sample(self, times, *, n_chains=1, at_rest=False, rng=None) -> tuple[np.ndarray, np.ndarray]:
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

    def gaussian_samples(self, n_samples, *, read_spacing=None, form=None, rng=None) -> np.ndarray:
        """Samples of N(0, A^-1): voltages of one device in equilibrium, read one after the other, times sqrt(beta).

        Parameters
        ----------
        n_samples : int
            Reads.
        read_spacing : float, optional
            Time between reads [RC]; default 5 relaxation times, which leaves correlations of e^-5 at most, times what
            a non-normal drift may add. Nearer reads have the same law each, but are correlated.
        form : CapacitiveForm, optional
            Where the device holds ``form.matrix``: samples for the matrix that this stands for.
        rng : {None, int, Generator, ...}, optional
            Passed to `numpy.random.default_rng`.

        Returns
        -------
        (n_samples, d) ndarray

        Raises
        ------
        ValueError
            Resistors that differ: the law is then not that of A^-1.
        """
        readout = self._readout(form)
        spacing = FORGETTING * self.relaxation_time if read_spacing is None else read_spacing
        times = _check.positive(spacing, "read_spacing") * np.arange(_check.count(n_samples, "n_samples"))
        return self.process.sample(times, rng=rng)[0] @ readout.T

    def inv(self, *, n_reads, read_spacing, burn_in="auto", form=None, n_chains=1, rng=None, workers=None) -> Estimate:
        """Estimate A^-1 by the mean of ``beta v v^T`` over correlated reads of the voltages.

        The device starts at i = v = 0. The mean of v is known to be zero and not estimated.

        Parameters
        ----------
        n_reads : int
            Reads of each chain.
        read_spacing : float
            Time between reads [RC].
        burn_in : "auto" or float
            Time before the first read [RC]; "auto": the bias left from the start is at most a tenth of the standard
            error.
        form : CapacitiveForm, optional
            Where the device holds ``form.matrix``: the inverse of the matrix that this stands for.
        n_chains : int
            Replicas of the device, averaged.
        rng : {None, int, Generator, ...}, optional
            Passed to `numpy.random.default_rng`.
        workers : int, optional
            Threads over chains; any number gives the same bits.

        Returns
        -------
        Estimate
            ``value`` (d, d) without unit; ``stderr`` from the law of reads in equilibrium, summed over all lags, or
            from 32 chains on their scatter; ``cost`` in seconds.

        Raises
        ------
        ValueError
            Resistors that differ: the covariance is then not that of A^-1.

        Warns
        -----
        NotEquilibrated
            A given burn_in is too short; says how long it must be.
        """
        readout = self._readout(form)
        n_reads, n_chains = _check.count(n_reads, "n_reads"), _check.count(n_chains, "n_chains")
        spacing = _check.positive(read_spacing, "read_spacing")
        M, Q = self.process.transition(spacing)
        variance = self._moment_variance(readout, spacing, n_reads) / n_chains
        transient = self._transient(readout, M, n_reads, variance)
        burn_in = planning.resolve_burn_in(burn_in, transient, "A^-1")
        first, kick = psd_factor(self.process.covariance(burn_in)), psd_factor(Q)

        def chain(generator, _):
            return _mean_product(generator, M, first, kick, readout, n_reads)

        moments = run_chains(chain, _check.generator(rng), range(n_chains), workers)
        stderr, kind = np.sqrt(variance), "law"
        if n_chains >= CHAINS_FOR_SCATTER:
            stderr, kind = np.std(moments, axis=0, ddof=1) / np.sqrt(n_chains), "chains"
        device = Device(beta=self.beta, R=float(np.mean(self.R)), C=self.C)
        return Estimate(
            value=_check.finite_result(sum(moments) / n_chains, "the covariance"), stderr_source=stderr,
            stderr_kind=kind, burn_in=burn_in, duration=n_reads * spacing, n_reads=n_reads, read_spacing=spacing,
            n_chains=n_chains, simulator="path", device=device,
            cost=device.cost(
                self.maxwell.size, runs=1, burn_in=burn_in, duration=n_reads * spacing, n_inputs=0,
                n_outputs=self.cells * n_reads, n_chains=n_chains, energies=(0.0, None, None),
            ),
        )  # fmt: skip

    def _readout(self, form) -> np.ndarray:
        """(d, 2 cells): what the host makes of the state."""
        if np.ptp(self.R) > 0:
            raise ValueError(
                f"R must be equal in all cells for the covariance to be that of A^-1, got {self.R}; "
                "stationary_covariance() tells what it is"
            )
        if form is None:
            return np.eye(self.cells, 2 * self.cells, self.cells)
        if not isinstance(form, CapacitiveForm) or form.readout.shape[1] != self.cells:
            raise ValueError(f"form must be a CapacitiveForm of {self.cells} cells, got {form!r}")
        return np.hstack((np.zeros_like(form.readout), form.readout))

    def _moment_variance(self, readout, spacing, n_reads):
        """Variance (d, d) of each entry of the mean product, in coordinates whose first are those that are read."""
        basis = np.vstack((readout, scipy.linalg.null_space(readout).T))
        drift = basis @ self.process.drift @ scipy.linalg.inv(basis) * spacing
        covariance = basis @ self.process.stationary()[1] @ basis.T
        d = len(readout)
        return moment_variance(drift, covariance, n_reads)[:d, :d]

    def _transient(self, readout, M, n_reads, variance) -> planning.Transient:
        """How the start at rest biases the mean product."""
        process = self.process
        missing = geometric_sum(M, process.stationary()[1], n_reads) / n_reads

        def bias(t0):
            memory = readout @ process.propagator(t0)
            return float(np.linalg.norm(memory @ missing @ memory.T))

        error = float(np.sqrt(variance.sum()))
        scale = float(np.linalg.norm(readout @ process.stationary()[1] @ readout.T))
        rates = process.eigenvalues.real
        return planning.Transient(bias, lambda t0: error, scale, 2.0 * rates.min(), 2.0 * rates.max())


def _components(value, name: str, size: int) -> float | np.ndarray:
    """A positive number, or one for each cell."""
    if np.ndim(value) == 0:
        return _check.positive(value, name)
    values = _check.vector(value, name, size)
    if values.min() <= 0:
        raise ValueError(f"{name} must be positive, got {values.min():.6g} for cell {values.argmin()}")
    return values


def _mean_product(rng, M, first, kick, readout, n_reads) -> np.ndarray:
    """Mean of y y^T over reads y = readout x of one path whose first state has covariance first first^T."""
    total = np.zeros((len(readout), len(readout)))
    state = None
    for noise in blocks(n_reads, len(M), READ_ROWS):
        rng.standard_normal(out=noise)
        start = first @ noise[0]
        noise[:] = noise @ kick.T
        if state is None:
            noise[0] = start
        recurrence(M, noise[:, None], state)
        state = noise[-1:].copy()
        reads = noise @ readout.T
        total += reads.T @ reads
    return (total + total.T) / (2.0 * n_reads)
