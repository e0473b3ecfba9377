"""Tables behind the figures of Melanson et al., arXiv:2312.04836: ``python -m paper_repro.melanson2025.run``."""

import sys

from paper_repro import command

from .inversion import spu_inversion
from .sampling import spu_sampling
from .settings import SCALES

TABLES = {"spu_sampling": spu_sampling, "spu_inversion": spu_inversion}


def main(argv=None) -> int:
    """The command line."""
    return command.main("paper_repro.melanson2025.run", TABLES, SCALES, argv)


if __name__ == "__main__":
    sys.exit(main())
