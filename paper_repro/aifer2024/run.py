"""Tables behind the figures of Aifer et al., arXiv:2308.05660: ``python -m paper_repro.aifer2024.run --scale smoke``.

Each function takes its settings and a seed sequence and returns a tidy table. Device times are simulated physical
times; digital times are measured where this runs.
"""

import sys

from paper_repro import command

from .energy_times import energy_time
from .inverse_errors import continuous_inverse_error as continuous_inverse_error
from .inverse_errors import inverse_error_vs_time
from .primitives import primitives_convergence
from .real_systems import real_matrices
from .refining import refinement_vs_averaging
from .settings import SCALES
from .solve_errors import solve_error_vs_time
from .time_to_error import solve_time_to_error

TABLES = {
    "solve_error_vs_time": solve_error_vs_time,
    "inverse_error_vs_time": inverse_error_vs_time,
    "real_matrices": real_matrices,
    "solve_time_to_error": solve_time_to_error,
    "primitives_convergence": primitives_convergence,
    "energy_time": energy_time,
    "refinement_vs_averaging": refinement_vs_averaging,
}


def main(argv=None) -> int:
    """The command line."""
    return command.main("paper_repro.aifer2024.run", TABLES, SCALES, argv)


if __name__ == "__main__":
    sys.exit(main())
