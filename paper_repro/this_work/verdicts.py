"""What is claimed, as numbers of our tables and rules: ``verdict(name, table)``; the rules are in expected.json.

Each group of figures has a module of numbers; it is named once, in `MODULES`.
"""

import json
from pathlib import Path

import pandas as pd

from paper_repro.claims import judge

from . import cost_verdicts, quality_verdicts

MODULES = (cost_verdicts, quality_verdicts)
EXPECTED = json.loads((Path(__file__).parent / "expected.json").read_text())
NUMBERS = {name: numbers for module in MODULES for name, numbers in module.NUMBERS.items()}


_judged = judge(EXPECTED, NUMBERS)


def verdict(name: str, table: pd.DataFrame) -> pd.DataFrame:
    """Which claims of a table hold, as `paper_repro.claims.judge` has it; of a map its points alone count."""
    return _judged(name, table[table.section == "map"] if "section" in table else table)
