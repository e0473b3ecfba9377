"""`RLCSampler`: LC cells coupled by switched capacitors, the circuit of the stochastic processing unit."""

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from .. import _validation
from .._typing import ArrayLike, FloatArray, RNGLike
from .._validation import warn
from ..hardware.device import Device, device_of
from ..hardware.programming import program_capacitors
from ..measurement.circuit_source import CircuitSource
from ..measurement.second_moments import SecondMoment
from ..measurement.source import Products
from ..results import Estimate
from .capacitances import CapacitiveForm, capacitors
from .rlc_circuit import RLCCircuit

SPU_CELLS = 8
FORGETTING = 5.0  # relaxation times between reads that are taken to be independent
SATURATED_SHARE = 1e-4  # of conversions beyond which samples come with a warning; an automatic range has 6e-7


@dataclass(frozen=True, kw_only=True, eq=False)
class RLCSampler(RLCCircuit):
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
    device : Device, optional
        How the voltages are read (`adc_bits`, `adc_range` and `read_noise` in volt, `eps_sys`), how `program` sets the
        capacitors (`matrix_bits`, `matrix_range` in units of C, `mismatch`: each acts on every capacitor), the link
        and the energy of a conversion; default ideal. Its beta, R, C and voltage unit are those of the circuit:
        leave them at their defaults.
    saturated_capacitors : int
        How many capacitors `program` could not make large enough.

    Raises
    ------
    ValueError
        A component that is not positive, a matrix that capacitors cannot make, a device at odds with the circuit.

    See Also
    --------
    capacitive_form : Prepares matrices that capacitors cannot make as they are.
    thermolinalg.inv : The standard network.

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
    >>> board = Device(adc_bits=10, read_noise=5e-3)
    >>> device = RLCSampler.program(A, R=1e3, L=1e-4, C=1e-9, kappa_0=1e-14, device=board)
    >>> r = device.inv(n_reads=20_000, read_spacing=1.0, rng=0)
    >>> bool(np.all(abs(r.value - np.linalg.inv(A)) < 5 * r.stderr))
    True
    """

    device: Device = field(default_factory=Device)
    saturated_capacitors: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        device_of(None, self.device)
        self.data_sheet  # noqa: B018  says so if the two do not fit

    @cached_property
    def data_sheet(self) -> Device:
        """The device with the beta, R, C and voltage unit that the circuit has."""
        circuit: dict[str, Any] = {"beta": self.beta, "R": float(np.mean(self.R)), "C": self.C, "voltage_unit": 1.0}
        for name, value in circuit.items():
            given = getattr(self.device, name)
            if given not in (value, getattr(Device, name)):
                raise ValueError(f"leave {name} of the device at its default, for the circuit has {value}; got {given}")
        return replace(self.device, **circuit)

    @classmethod
    def program(
        cls, A: ArrayLike, *, R: float | FloatArray, L: float | FloatArray, C: float, kappa_0: float,
        device: Device | None = None, rng: RNGLike = None,
    ) -> "RLCSampler":  # fmt: skip
        """The device that holds A (d, d), ``C_M = C A``; `capacitive_form` prepares matrices that do not fit as is.

        `device` rounds each capacitor and gives it its own error; `rng` serves its stochastic rounding.
        """
        own, coupling = capacitors(A)
        device = device_of(None, device)
        own, coupling, saturated = program_capacitors(own, coupling, device, _validation.generator(rng))
        C = _validation.positive(C, "C")
        return cls(
            own=C * own, coupling=C * coupling, R=R, L=L, C=C, kappa_0=kappa_0, device=device,
            saturated_capacitors=saturated,
        )  # fmt: skip

    @classmethod
    def spu(cls, A: ArrayLike, **changes: Any) -> "RLCSampler":
        """A board of 8 cells that holds A (8, 8), like the stochastic processing unit.

        From the publication: the circuit and its equations, eight cells, a switched capacitor between any two, and
        noise that is injected. It gives no component values that we could find, so these are ours, and keywords
        change them: R = 1 kohm and C = 1 nF, hence R C = 1 us, the scale at which such boards are clocked; L = 100 uH,
        hence a cell of 0.5 MHz and quality factor 3.2; kappa_0 = 1e-14 A^2 s, hence 0.1 V rms in a cell of 1 nF (noise
        of the laboratory's making: that of the resistors themselves would be 2 uV); capacitors of any value, and
        ideal converters, unless a `device` is given.

        Examples
        --------
        The experiment of the publication, 12 000 reads of a board, through a converter of 8 bits:

        >>> import numpy as np
        >>> A = 2.0 * np.eye(8) - 0.1
        >>> board = RLCSampler.spu(A, device=Device(adc_bits=8, read_noise=2e-3, matrix_bits=10, mismatch=0.01))
        >>> covariance = np.cov(board.gaussian_samples(12_000, rng=0).T)
        >>> r = board.inv(n_reads=12_000, read_spacing=1.0, rng=0)
        >>> errors = [np.linalg.norm(found @ A - np.eye(8)) for found in (covariance, r.value)]
        >>> bool(max(errors) < 0.3)
        True
        """
        shape = np.shape(A)
        if shape != (SPU_CELLS, SPU_CELLS):
            raise ValueError(f"A must have shape ({SPU_CELLS}, {SPU_CELLS}), the cells of the board, got {shape}")
        return cls.program(A, **({"R": 1e3, "L": 1e-4, "C": 1e-9, "kappa_0": 1e-14} | changes))

    def gaussian_samples(
        self, n_samples: int, *, read_spacing: float | None = None, form: CapacitiveForm | None = None,
        rng: RNGLike = None,
    ) -> FloatArray:  # fmt: skip
        """Samples of N(0, A^-1): voltages of one device in equilibrium, read one after the other, times sqrt(beta).

        They are as the `device` reads them: its gains, read noise and rounding are in them.

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

        Warns
        -----
        UserWarning
            More than 1e-4 of the conversions saturate.
        """
        source, generator = self._source(form), _validation.generator(rng)
        moments = SecondMoment(source=source, products=Products(n=1), device=self.data_sheet)
        spacing = FORGETTING * self.relaxation_time if read_spacing is None else read_spacing
        times = _validation.positive(spacing, "read_spacing") * np.arange(_validation.count(n_samples, "n_samples"))
        voltages = self.process.sample(times, rng=generator)[0][:, self.cells :]
        samples, clipped = moments.readout.read(generator, voltages)
        if clipped > SATURATED_SHARE * times.size * self.cells:
            count, top = times.size * self.cells, moments.readout.full_scale
            warn(f"{clipped} of {count} conversions saturate at adc_range = {top:.3g} V")
        return samples

    def inv(
        self, *, n_reads: int, read_spacing: float, burn_in: str | float = "auto", form: CapacitiveForm | None = None,
        n_chains: int = 1, rng: RNGLike = None, workers: int | None = None,
    ) -> Estimate:  # fmt: skip
        """Estimate A^-1 by the mean of ``beta v v^T`` over correlated reads of the voltages.

        The device starts at i = v = 0. The mean of v is known to be zero and not estimated. The variance that read
        noise and rounding add is known to the host, which subtracts it.

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
            from 32 chains on their scatter, with what coarse rounding leaves; not with what gains and capacitors are
            off; ``cost`` in seconds.

        Raises
        ------
        ValueError
            Resistors that differ: the covariance is then not that of A^-1.

        Warns
        -----
        NotEquilibrated
            A given burn_in is too short; says how long it must be.
        """
        products = Products(
            n=_validation.count(n_reads, "n_reads"), spacing=_validation.positive(read_spacing, "read_spacing")
        )
        moments = SecondMoment(
            source=self._source(form), products=products, device=self.data_sheet,
            n_chains=_validation.count(n_chains, "n_chains"),
        )  # fmt: skip
        clipped = {"matrix": self.saturated_capacitors, "dac": 0}
        generator = _validation.generator(rng)
        return moments.settled(burn_in, "A^-1").estimate("path", generator, workers, clipped=clipped)

    def _source(self, form: CapacitiveForm | None) -> CircuitSource:
        """The voltages, and what the host makes of them."""
        if np.ptp(self.R) > 0:
            raise ValueError(
                f"R must be equal in all cells for the covariance to be that of A^-1, got {self.R}; "
                "stationary_covariance() tells what it is"
            )
        if form is None:
            return CircuitSource(self.process, np.eye(self.cells))
        if not isinstance(form, CapacitiveForm) or form.readout.shape[1] != self.cells:
            raise ValueError(f"form must be a CapacitiveForm of {self.cells} cells, got {form!r}")
        return CircuitSource(self.process, form.readout)
