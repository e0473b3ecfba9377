"""What is claimed, as numbers of our tables and rules: ``verdict(name, table)``; the rules are in expected.json.

Each group of figures has a module of numbers; it is named once, in `MODULES`.
"""

import json
from pathlib import Path

import pandas as pd

from paper_repro.claims import verdicts

from . import cost_verdicts, quality_verdicts

MODULES = (cost_verdicts, quality_verdicts)
EXPECTED = json.loads((Path(__file__).parent / "expected.json").read_text())
NUMBERS = {name: numbers for module in MODULES for name, numbers in module.NUMBERS.items()}


def verdict(name: str, table: pd.DataFrame) -> pd.DataFrame:
    """Which claims of a table hold.

    Parameters
    ----------
    name : str
        Of `run.TABLES`.
    table : DataFrame
        From it.

    Returns
    -------
    DataFrame
        A row for each claim and case: claim, statement, source, case, ours (the number that decides), rule, holds.
    """
    rows = table[table.section == "map"] if "section" in table else table
    return pd.DataFrame(verdicts(EXPECTED[name], NUMBERS[name], rows))
