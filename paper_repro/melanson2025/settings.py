"""Every number of the reproduction of Melanson et al., arXiv:2312.04836, and where it comes from.

From the paper
    Eight LC cells, a switched capacitor between any two, noise current injected into each; its equations, by which the
    voltages have covariance kappa_0 R C^-1. Gaussian sampling and the inversion of an 8 x 8 matrix.
From third parties
    Inversion error of 25 to 31 % after 12 000 samples; a model that overtakes a GPU (RTX A6000) near d = 3000 and is
    ten times faster at d = 10 000; 40 to 200 uW in converters and 0.2 to 3 uW in the core of a simulated chip; a time
    scale of about 1 us. Converters of 12 MHz: not confirmed.

Left open there, and chosen here
    Component values: those of `thermolinalg.circuits.RLCSampler.spu` (1 kohm, 1 nF, 100 uH; quality factor 3.2).
    Matrices: capacitors to ground uniform from 0.5 to 1.5, between cells from 0 to 0.3, in units of 1 nF.
    Imprecision: every capacitor off by a fixed relative error, normal, of the standard deviation given.
    Model of a large device: `Model` below. Its relaxation does not grow with d, which asks for matrices that are scaled
    so; it is loaded and read over the 50 Gb/s link of the same group's arXiv:2405.13817; powers are taken for each
    cell, at the upper ends of the ranges above. Samples to produce: 10 000.
    Digital rival: Cholesky factorisation and product with normal numbers, float64, measured on the CPU that draws the
    figure and extrapolated by operation counts at the speed of the largest size measured. GPU: not measured; peak of
    its data sheet (38.7 Tflop/s in float32, 300 W) at an assumed share of one half or one tenth, nothing but
    operations counted.

Scales: "smoke" is for tests (seconds), "default" for the gallery, "paper" has more repeats.
"""

from dataclasses import dataclass, field

import numpy as np

PUBLISHED_READS = 12_000
PUBLISHED_ERRORS = (0.25, 0.31)  # a third party's reading


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """Error of the covariance against the number of samples."""

    counts: tuple[int, ...] = (30, 100, 300, 1000, 3000, 12_000, 30_000, 100_000)
    spacings: tuple[float, ...] = (0.0, 1.0)  # between reads [RC]; 0: five relaxation times, nearly independent
    repeats: int = 30


@dataclass(frozen=True, kw_only=True)
class Model:
    """Constants of the modelled device and GPU; units in the names."""

    samples: int = 10_000
    rc_seconds: float = 1e-6
    link_bits_per_second: float = 50e9
    word_bits: int = 16
    converter_hertz: float = 12e6  # one converter for each cell
    converter_watt: float = 200e-6  # for each cell
    core_watt: float = 3e-6  # for each cell
    link_joule_per_bit: float = 10e-12  # ours
    gpu_flops: float = 38.7e12
    gpu_shares: tuple[float, ...] = (0.5, 0.1)  # of the peak; ours: the real one is not known
    gpu_watt: float = 300.0


@dataclass(frozen=True, kw_only=True)
class Inversion:
    """Error of an inverse with imprecise components; time and energy against d."""

    counts: tuple[int, ...] = (100, 300, 1000, 3000, 12_000, 30_000)
    mismatches: tuple[float, ...] = (0.0, 0.05, 0.1, 0.2, 0.4)
    repeats: int = 40
    measured: tuple[int, ...] = (64, 128, 256, 512, 1024, 2048)  # d of the digital sampler
    modelled: tuple[int, ...] = tuple(int(d) for d in np.geomspace(10, 10_000, 25).round())
    timing_repeats: int = 3
    model: Model = field(default_factory=Model)


SCALES = {
    "smoke": {
        "spu_sampling": Sampling(counts=(100, 1000, 12_000), repeats=6),
        "spu_inversion": Inversion(
            counts=(1000, 12_000), mismatches=(0.0, 0.2), repeats=6, measured=(64, 256), timing_repeats=1
        ),
    },
    "default": {"spu_sampling": Sampling(), "spu_inversion": Inversion()},
    "paper": {
        "spu_sampling": Sampling(repeats=200),
        "spu_inversion": Inversion(repeats=400, measured=(64, 128, 256, 512, 1024, 2048, 4096), timing_repeats=9),
    },
}
