"""Every number of the reproduction of Aifer et al., arXiv:2401.16231, and where it comes from.

From the paper
    Component imprecision makes an error that is linear in it; an ensemble of imprecise systems, got from different
    rounding events and merged, makes it quadratic. Numerics beyond d = 1000. On a board of eight cells the error of an
    inversion fell by 20 %.

Left open there, and chosen here
    The estimator. Ours: members of weights 1/2, 1/4, .. whose weighted mean is A, entry by entry, to a 2^-members part
    of a step ("digits"); and for comparison eight members rounded up or down at random. Averages of their inverses.
    Matrices: Wishart with 2 d degrees of freedom (condition number near 34). Step: largest entry over 2^(bits-1) - 1.
    Rounding is seen apart from noise: errors of the exact inverse of what is programmed; the rows "noise" of
    the table add that of a finite number of reads, on a device that shares its reads out between the members.
    Board: eight LC cells of Melanson et al. (arXiv:2312.04836), each capacitor rounded to so many bits and, with
    "mismatch", off by a fixed relative error that no rounding knows of. Capacitors to ground uniform from 0.5 to 1.5,
    between cells from 0 to 0.3 (in units of the reference). 12 000 reads, the number published for that board. How
    imprecise the real board is, and how many programmings were merged, is not known: eight here.

Scales: "smoke" is for tests (seconds), "default" for the gallery, "paper" has more
repeats.
"""

from dataclasses import dataclass

PUBLISHED_ERROR = 0.28  # of the board without mitigation: middle of 25 to 31 %, a third party's reading


@dataclass(frozen=True, kw_only=True)
class MitigationBits:
    """Errors of inverse and solution against bits, and on the board."""

    sizes: tuple[int, ...] = (16, 64, 256, 1000)
    bits: tuple[int, ...] = (6, 7, 8, 9, 10, 11, 12, 13, 14)
    bits_of_large: tuple[int, ...] = (8, 10, 11, 12, 13, 14)  # from d = 1000 on
    members: int = 14
    random_members: int = 8
    matrices: tuple[int, ...] = (20, 10, 5, 1)  # drawn for each size
    reads: int = 10**7  # of the device with noise, at the smallest size
    board_bits: tuple[int, ...] = (2, 3, 4, 5, 6, 7, 8)
    mismatches: tuple[float, ...] = (0.0, 0.05)
    board_reads: int = 12_000
    board_members: int = 8
    boards: int = 20  # matrices drawn

    def bits_of(self, d: int) -> tuple[int, ...]:
        """Word lengths: fewer for what takes seconds."""
        return self.bits_of_large if d >= 1000 else self.bits


SCALES = {
    "smoke": {
        "mitigation_bits": MitigationBits(
            sizes=(8, 32),
            bits=(8, 10, 12, 14),
            matrices=(8, 4),
            reads=10**6,
            board_bits=(3, 4, 6),
            boards=4,
        )
    },
    "default": {"mitigation_bits": MitigationBits()},
    "paper": {
        "mitigation_bits": MitigationBits(bits_of_large=tuple(range(6, 15)), matrices=(100, 50, 20, 10), boards=100),
    },
}
