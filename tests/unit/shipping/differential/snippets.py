"""All snippets."""

from __future__ import annotations

from . import classes, data, functions  # noqa: F401  (they fill the table)
from .kinds import add

SNIPPETS = tuple(add.found)
ORDINARY = tuple(each for each in SNIPPETS if each.ordinary)
