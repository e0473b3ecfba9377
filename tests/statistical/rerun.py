"""Judge a row of the table of `test_device_fields` by many seeds: python -m tests.statistical.rerun "row" --seeds 2000.

Prints mean and standard deviation of z with their standard errors, of one entry a seed and of each entry. A row is
named as in the test; a name that fits no row lists those that contain it.
"""

import argparse

import numpy as np
import scipy.stats

from tests.statistical.test_device_fields import SCORED, in_turn, scores


def report(label: str, z: np.ndarray) -> str:
    """Mean and standard deviation of z, each with its standard error; that of the latter knows the kurtosis."""
    spread = z.std(ddof=1)
    error = spread * np.sqrt((2.0 + scipy.stats.kurtosis(z)) / (4.0 * z.size))
    return (
        f"{label:>10}: mean {z.mean():+.3f} +- {spread / np.sqrt(z.size):.3f}, "
        f"standard deviation {spread:.3f} +- {error:.3f}"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("row", help="name of a row, as the test has it")
    parser.add_argument("--seeds", type=int, default=2000)
    options = parser.parse_args()
    if options.row not in SCORED:
        print(f"no row {options.row!r}; rows that contain it:")
        print(*(name for name in SCORED if options.row in name), sep="\n")
        return 2
    z = scores(SCORED[options.row], options.seeds)
    print(f"{options.row}, {options.seeds} seeds")
    print(report("in turn", in_turn(z)))
    for k, entry in enumerate(z.T):
        print(report(f"entry {k}", entry))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
