"""Tables behind our own figures: ``python -m paper_repro.this_work.run``.

Each module has a ``TABLES`` of functions of settings and a seed sequence that return tidy tables; it is named once,
in `MODULES`.
"""

import sys

from paper_repro import command

from . import cost, quality
from .settings import SCALES

MODULES = (cost, quality)
TABLES = {name: table for module in MODULES for name, table in module.TABLES.items()}


def main(argv=None) -> int:
    """The command line."""
    return command.main("paper_repro.this_work.run", TABLES, SCALES, argv)


if __name__ == "__main__":
    sys.exit(main())
