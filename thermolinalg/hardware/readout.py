"""The read-out chain: gains of the cells, read noise, the converter, its full scale, and what its rounding leaves.

It acts on voltages in this order, step 4 and 5 of `Device`. What it adds to a variance averages out with the number of
reads; what it does to a mean does not.
"""

import numpy as np

from .._typing import FloatArray
from .device import Device

READ_RANGE_SDS = 5.0  # an auto-ranging converter for a stream of reads covers the mean plus so many deviations


def require_noise(device: Device, name: str) -> None:
    """Refuse a device without noise for what is read from noise."""
    if np.isinf(device.beta):
        raise ValueError(f"{name} reads the covariance of thermal noise, and a device with beta = inf has none")


def gains_of(device: Device, size: int) -> FloatArray | None:
    """Gains (size,) of the cells; None where all are 1."""
    return None if device.eps_sys == 0.0 else device.read_gains(size)


def reads_are_exact(device: Device) -> bool:
    """Whether a read is the voltage itself, gains apart."""
    return device.adc_bits is None and device.read_noise == 0.0


def convert_reads(
    rng: np.random.Generator, device: Device, voltages: FloatArray, full_scale: float | None
) -> tuple[FloatArray, int]:
    """Reads of voltages (d, ...): gains, read noise, the converter; and how many saturated."""
    if device.eps_sys:
        voltages = device.read_gains(len(voltages))[:, None] * voltages
    if device.read_noise:
        voltages = voltages + device.read_noise * rng.standard_normal(voltages.shape)
    return device.adc.round(voltages, rng, full_scale)


def convert_moment(rng: np.random.Generator, device: Device, moment: FloatArray) -> tuple[FloatArray, int, float]:
    """One conversion of an analog average of products (d, d) [volt^2]; how many saturated, and the full scale.

    Read noise and rounding are symmetric, as the average is: a pair of entries is one number.
    """
    if device.read_noise:
        noise = device.read_noise * rng.standard_normal(moment.shape)
        moment = moment + np.tril(noise) + np.tril(noise, -1).T
    rounded, clipped = device.adc.round(moment, rng)
    lower = np.tril(rounded)
    return lower + np.tril(rounded, -1).T, clipped, float(device.adc.range_of(moment))


def stream_range(device: Device, mean: FloatArray | float, sd: FloatArray) -> float:
    """Full scale of a converter for a stream of reads of this mean and deviation (..., d); 0 for an ideal one."""
    if device.adc_bits is None:
        return 0.0
    if device.adc_range != "max":
        return float(device.adc_range)
    return float((np.abs(mean) + READ_RANGE_SDS * sd).max())


def added_variance(device: Device, full_scale: float) -> float:
    """Variance [volt^2] that read noise and rounding add to every read of a stream."""
    return device.read_noise**2 + float(device.adc.error_variance(full_scale))


def rounding_bias_of_products(
    device: Device, full_scale: float, variances: FloatArray, products: FloatArray, lag: int
) -> FloatArray | float:
    """Bias (d, d) [volt^2] of mean products of rounded reads, after the host took the rounding variance off at lag 0.

    Rounding changes the scale of a normal number by a gain and its variance by more or less than h^2/12 once a step
    is not small compared with its deviation, or its range is.

    Parameters
    ----------
    full_scale : float
        Of the converter [volt].
    variances : (d,) ndarray
        Of the voltages as their cells are read, without read noise.
    products : (d, d) ndarray
        Mean of the products of exact reads.
    lag : int
        Whether the two factors are one read (0) or two (1).
    """
    if device.adc_bits is None:
        return 0.0
    variance = variances + device.read_noise**2
    still = variance == 0.0  # cells that no noise reaches are read as 0, where there is such a level
    gain, square = device.adc.response_to_noise(full_scale, np.sqrt(np.where(still, 1.0, variance)))
    gain, square = np.where(still, 1.0, gain), np.where(still, 0.0, square)
    bias = (np.outer(gain, gain) - 1.0) * products
    if device.adc_bits == 1 and still.any():  # a comparator has no level at 0
        square = np.where(still, full_scale**2, square)
        if device.rounding == "nearest":
            bias = bias + np.outer(still, still) * full_scale**2
    if lag == 0:
        bias[np.diag_indices_from(bias)] = square - variance - device.adc.error_variance(full_scale)
    return bias
