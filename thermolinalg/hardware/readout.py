"""How voltages are read: gains of the cells, read noise, the converter, its full scale and what its rounding does."""

import numpy as np

from ..operators import Modal
from .device import READ_RANGE_SDS, Device


def convert_reads(rng, device: Device, reads, full_scale):
    """Steps 4 and 5 of the device on a block of reads (any shape): read noise, then the converter."""
    if device.eps_sys:
        reads = device.read_gains(len(reads))[:, None] * reads
    if device.read_noise:
        reads = reads + device.read_noise * rng.standard_normal(reads.shape)
    return device.adc.round(reads, rng, full_scale)


def read_range(operator: Modal, device: Device) -> float:
    """Full scale of a converter for the stream of reads; 0 for an ideal one."""
    if device.adc_bits is None:
        return 0.0
    if device.adc_range != "max":
        return float(device.adc_range)
    variance = operator.diagonal(np.reciprocal) / device.beta + device.read_noise**2
    return float(READ_RANGE_SDS * np.sqrt(variance.max()))


def rounding_bias(operator: Modal, device: Device) -> np.ndarray | float:
    """Bias (d, d) of the covariance of rounded reads, times beta, after the host took h^2/12 off the diagonal.

    Rounding changes the scale of a normal number by a gain and its variance by more or less than h^2/12 once a step
    is not small beside its deviation, or its range is.
    """
    if device.adc_bits is None:
        return 0.0
    full_scale = read_range(operator, device)
    covariance = operator.function(np.reciprocal, np.eye(operator.shape[0])) / device.beta
    variance = np.diag(covariance) + device.read_noise**2
    gain, square = device.adc.response_to_noise(full_scale, np.sqrt(variance))
    bias = (np.outer(gain, gain) - 1.0) * covariance
    bias[np.diag_indices_from(bias)] = square - variance - device.adc.error_variance(full_scale)
    return device.beta * bias
