"""How commands write what they show: tables, JSON, and text that a terminal must not obey."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

KEPT = "\n\t"
"""What stays as it is in text of several lines, such as a traceback."""


def printable(text: str, keep: str = "") -> str:
    r"""Return text with what a terminal would obey, or cannot encode, as escape sequences.

    Args:
        text: Any text, such as what came from a worker.
        keep: Characters that stay as they are, such as ``"\n"``.
    """
    return "".join(
        each if each.isprintable() or each in keep else each.encode("unicode_escape").decode()
        for each in text
    )


def shown(value: Any) -> str:
    """Return a value as Python shows it, in one line that a terminal does not obey."""
    return printable(_repr(value))


def shortened(text: str, limit: int = 200) -> str:
    """Return text in one line, which ends with "..." where it was cut off."""
    flat = " ".join(text.split())
    return flat if len(flat) <= limit else f"{flat[:limit]}..."


def _repr(value: Any) -> str:
    try:
        return repr(value)
    except Exception as error:  # noqa: BLE001  (a result is the user's, and so is its repr)
        return f"<a {type(value).__name__}, whose repr raises {type(error).__name__}>"


def show_table(
    columns: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    left: Sequence[str] = (),
    lines: bool = False,
) -> None:
    """Print a table.

    Args:
        columns: The heading of each column.
        rows: The text of each cell, row by row.
        left: The columns of text; the others have numbers, which are aligned to the right.
        lines: Whether there are lines between the rows.
    """
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(show_lines=lines)
    for column in columns:
        table.add_column(column, justify="left" if column in left else "right", overflow="fold")
    for row in rows:
        table.add_row(*(escape(printable(cell, KEPT)) for cell in row))
    Console().print(table)


def as_json_text(rows: list[dict[str, Any]]) -> str:
    """Return rows as JSON; what JSON cannot express is text, as Python would show it."""
    return json.dumps([{k: _plain(v) for k, v in row.items()} for row in rows], indent=2)


def _plain(value: Any) -> Any:
    try:
        return _expressed(value)
    except RecursionError:  # a ring
        return _repr(value)


def _expressed(value: Any) -> Any:
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {str(key): _expressed(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_expressed(each) for each in value]
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    return _repr(value)
