"""Look up values in a table that is read once, and again when the file has changed."""

import csv
from pathlib import Path

from gc_warm import self_contained, warm


@warm(maxsize=4)
def table(path: str, changed: float) -> dict[str, float]:
    """Read the table; `changed` is part of the key, so a new file is a new state."""
    with Path(path).open(newline="", encoding="utf-8") as file:
        return {name: float(mass) for name, mass in csv.reader(file)}


@self_contained
def mass(path: str, formula: list[str]) -> float:
    masses = table(path, Path(path).stat().st_mtime)
    return sum(masses[isotope] for isotope in formula)
