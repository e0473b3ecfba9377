"""The machine: its noise, its converters and their order, and what a run on it costs in time and energy."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import _validation
from ..numerics.places import SEEDS, place_normals
from ..results import Cost
from .converters import Quantizer

IDEAL_WORD = 64  # bits that an ideal converter moves over the link for a number: a float64
MISMATCH_STREAM, GAIN_STREAM = 0, 1  # which of the errors of a place


@dataclass(frozen=True, kw_only=True)
class Device:
    """A thermodynamic computer: coupled RC cells with noise of inverse temperature beta.

    What happens to a problem, in this order:

    1. A is rounded to `matrix_bits`, b to `dac_bits`;
    2. each programmed entry of A is off by its own fixed relative `mismatch`;
    3. the device runs: noise of strength 1/beta acts on every cell;
    4. each cell is read with its own fixed gain, 1 up to a relative `eps_sys`, and each number gets `read_noise`;
    5. and is rounded to `adc_bits`: once for an integrator, every read for a converter that samples.

    Parameters
    ----------
    beta : float
        Inverse temperature in 1/(voltage unit)^2; ``inf`` is a device without noise.
    R, C : float
        Reference resistance [ohm] and capacitance [F]; R C is the unit of time. Defaults: Donatella et al.,
        arXiv:2405.13817, App. C.
    matrix_bits, dac_bits, adc_bits : int or None
        Word lengths; None is ideal.
    matrix_range, dac_range, adc_range : "max" or float
        Full scale of each converter. "max" is auto-ranging: the largest magnitude in the array converted; for a
        stream of reads, the largest mean plus 5 standard deviations.
    rounding : "nearest" or "stochastic"
        Of all three converters; see `Quantizer`.
    mismatch : float
        Standard deviation of the relative error of a programmed entry, symmetric and fixed: the error belongs to the
        place (i, j) and to the seed, whatever the size, class or storage order of the matrix.
    mismatch_seed : int
        Tells devices with equal data sheets apart.
    eps_sys : float
        Standard deviation of the relative error of a cell's read-out, fixed like the mismatch: what no averaging
        removes.
    read_noise : float
        Standard deviation of the noise that every read adds, in voltage units.
    bandwidth : float or None
        Digital link to the converters [bit/s]; None is no limit. Ideal converters move 64-bit words.
    n_converters : int
        Converters that work in parallel.
    sample_rate : float or None
        Conversions each of them makes in a second; None is no limit.
    voltage_unit : float or None
        Volts of one unit of x; needed for energies in joules (else they come in units of C V^2).
    conversion_energy : float or None
        Joules of one conversion; nobody has published one, so None leaves converter energy unknown.

    Raises
    ------
    ValueError
        A parameter out of its range, named with its value.

    Notes
    -----
    Time to move m numbers of w bits: the larger of ``m w / bandwidth`` and ``m / (n_converters sample_rate)``.
    A dense matrix counts d^2 numbers, a sparse one its stored entries, a low-rank one r (r + 2 d) (the count of
    arXiv:2405.13817), a Kronecker product those of its factors. A column of b is a run of its own, after the last;
    chains run side by side on replicas of the device: they multiply energy, not time.

    Examples
    --------
    >>> import thermolinalg as tl
    >>> device = tl.Device(beta=100.0, adc_bits=8)
    >>> device.adc.levels
    255
    >>> f"{tl.Device.tngd().load_seconds(1000**2, 0):.2e} s"
    '3.20e-04 s'
    """

    beta: float = 1.0
    R: float = 1e3
    C: float = 1e-9
    matrix_bits: int | None = None
    dac_bits: int | None = None
    adc_bits: int | None = None
    matrix_range: float | str = "max"
    dac_range: float | str = "max"
    adc_range: float | str = "max"
    rounding: str = "nearest"
    mismatch: float = 0.0
    mismatch_seed: int = 0
    eps_sys: float = 0.0
    read_noise: float = 0.0
    bandwidth: float | None = None
    n_converters: int = 1
    sample_rate: float | None = None
    voltage_unit: float | None = None
    conversion_energy: float | None = None

    def __post_init__(self) -> None:
        _validation.positive(self.beta, "beta", infinite=True)
        for name in ("R", "C"):
            _validation.positive(getattr(self, name), name)
        for name in ("bandwidth", "sample_rate", "voltage_unit", "conversion_energy"):
            if getattr(self, name) is not None:
                _validation.positive(getattr(self, name), name)
        for name in ("mismatch", "eps_sys", "read_noise"):
            _validation.positive(getattr(self, name), name, zero=True)
        _validation.count(self.n_converters, "n_converters")
        if _validation.count(self.mismatch_seed, "mismatch_seed", least=0) >= SEEDS:
            raise ValueError(f"mismatch_seed must be below 2**64, got {self.mismatch_seed}")
        for name in ("matrix", "dac", "adc"):
            self._converter(name)

    @classmethod
    def ideal(cls, beta: float = 1.0) -> "Device":
        """Ideal converters, no mismatch, no load time: nothing but the thermal noise of inverse temperature beta."""
        return cls(beta=beta)

    @classmethod
    def tngd(cls, **changes: Any) -> "Device":
        """The device of arXiv:2405.13817, App. C: 1 kOhm, 1 nF, 16-bit converters, a 50 Gb/s link."""
        data_sheet = {"R": 1e3, "C": 1e-9, "matrix_bits": 16, "dac_bits": 16, "adc_bits": 16, "bandwidth": 50e9}
        return cls(**(data_sheet | changes))

    def _converter(self, name: str) -> Quantizer:
        bits, full_scale = getattr(self, f"{name}_bits"), getattr(self, f"{name}_range")
        if bits is not None:
            _validation.count(bits, f"{name}_bits")
        if full_scale != "max":
            _validation.positive(full_scale, f'{name}_range (or "max")')
        return Quantizer(bits, full_scale, self.rounding)

    @property
    def matrix(self) -> Quantizer:
        """Converter that programs the entries of A."""
        return self._converter("matrix")

    @property
    def dac(self) -> Quantizer:
        """Converter that puts in b."""
        return self._converter("dac")

    @property
    def adc(self) -> Quantizer:
        """Converter that reads x."""
        return self._converter("adc")

    @property
    def time_unit(self) -> float:
        """R C in seconds."""
        return self.R * self.C

    def component_errors(self, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
        """Factors (n,) by which the components at places (n,), n are off: always the same for this device."""
        if self.mismatch == 0.0:
            return np.ones(len(rows))
        return 1.0 + self.mismatch * place_normals(self.mismatch_seed, MISMATCH_STREAM, rows, columns)

    def read_gains(self, size: int) -> np.ndarray:
        """Gain (size,) with which each cell is read: always the same for this device."""
        if self.eps_sys == 0.0:
            return np.ones(size)
        cells = np.arange(size)
        return 1.0 + self.eps_sys * place_normals(self.mismatch_seed, GAIN_STREAM, cells, np.zeros_like(cells))

    def read_seconds(self, numbers: int) -> float:
        """Seconds to read out so many numbers."""
        return self._transfer_seconds(numbers, self.adc_bits)

    def _transfer_seconds(self, numbers: int, bits: int | None) -> float:
        link = 0.0 if self.bandwidth is None else numbers * (bits or IDEAL_WORD) / self.bandwidth
        return link if self.sample_rate is None else max(link, numbers / (self.n_converters * self.sample_rate))

    def load_seconds(self, matrix_numbers: int, vector_numbers: int) -> float:
        """Seconds to program so many entries of A and of right-hand sides."""
        matrix = self._transfer_seconds(matrix_numbers, self.matrix_bits)
        return matrix + self._transfer_seconds(vector_numbers, self.dac_bits)

    def cost(
        self,
        n_matrix: int,
        *,
        runs: int,
        burn_in: float,
        duration: float,
        n_inputs: int,
        n_outputs: int,
        n_chains: int,
        energies: tuple[float | None, float | None, float | None],
        loaded: bool = False,
    ) -> Cost:
        """Time and energy of `runs` runs of `burn_in` and `duration` [RC] each, on `n_chains` replicas.

        `n_matrix` counts the numbers that program the matrix (`Modal.n_programmed`), `n_inputs` and `n_outputs` those
        converted for right-hand sides and for reading out; `energies` are Joule heat, stochastic heat and stored energy
        in units of C V^2, or None where not known. With `loaded` the
        matrix is on the device already.
        """
        matrix_numbers = 0 if loaded else n_matrix
        conversions = n_chains * (matrix_numbers + n_inputs + n_outputs)
        unit = 1.0 if self.voltage_unit is None else self.C * self.voltage_unit**2
        joule, stochastic, stored = (None if e is None else n_chains * unit * e for e in energies)
        return Cost(
            load=self.load_seconds(matrix_numbers, n_inputs),
            relax=runs * burn_in * self.time_unit,
            integrate=runs * duration * self.time_unit,
            read=self.read_seconds(n_outputs),
            joule_heat=joule,
            stochastic_heat=stochastic,
            stored_energy=stored,
            energy_unit="C V^2" if self.voltage_unit is None else "J",
            conversions=conversions,
            converter_energy=None if self.conversion_energy is None else conversions * self.conversion_energy,
        )


_IDEAL = Device.ideal()
NOISELESS = Device.ideal(np.inf)


def device_of(beta: float | None, device: Device | None, default: Device = _IDEAL) -> Device:
    """The device that (beta, device) stand for: one of them, or neither for the default, an ideal one at beta = 1."""
    if beta is not None and device is not None:
        raise ValueError(f"give beta or device, not both: the device has its own beta = {getattr(device, 'beta', '?')}")
    if device is None:
        return default if beta is None else Device.ideal(beta)
    if not isinstance(device, Device):
        raise ValueError(f"device must be a Device, got {device!r}")
    return device
