"""Table behind the figure of Aifer et al., arXiv:2401.16231: ``python -m paper_repro.aifer2024_mitigation.run``."""

import sys

import numpy as np
import pandas as pd

from paper_repro import command

from .board import board_rows
from .rounding_errors import rounding_rows
from .settings import SCALES


def mitigation_bits(settings, seed: np.random.SeedSequence) -> pd.DataFrame:
    """Error of inverse and solution against bits, of one rounding and of merged ones.

    Columns: section, problem ("inv", "solve"), method ("single": rounded to nearest; "random": eight random roundings
    merged; "merged": an ensemble whose mean is A; "corrected": that, less its known bias), d, bits; error (relative;
    median), low, high (10 and 90 % quantiles over matrices); missing where a rounded matrix is not positive definite.
    Section "bits": rounding alone; step; predicted: rms to first order, or the bias A^-1 E[dA A^-1 dA] A^-1. "noise":
    the device in `reads` reads. "board": eight LC cells; mismatch, reads, made (share of boards that could be made).
    """
    bits_seed, board_seed = seed.spawn(2)
    return pd.DataFrame(rounding_rows(settings, bits_seed) + board_rows(settings, board_seed))


TABLES = {"mitigation_bits": mitigation_bits}


def main(argv=None) -> int:
    """The command line."""
    return command.main("paper_repro.aifer2024_mitigation.run", TABLES, SCALES, argv)


if __name__ == "__main__":
    sys.exit(main())
