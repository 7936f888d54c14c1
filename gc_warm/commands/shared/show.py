"""How commands write what they show: numbers with units, and text that a terminal must not obey."""

from __future__ import annotations

import json
from typing import Any

KEPT = "\n\t"
"""What stays as it is in text of several lines, such as a traceback."""


def printable(text: str, keep: str = "") -> str:
    r"""Show characters that a terminal would obey, or cannot encode, by their code.

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


def _repr(value: Any) -> str:
    try:
        return repr(value)
    except Exception as error:  # noqa: BLE001  (a result is the user's, and so is its repr)
        return f"<a {type(value).__name__}, whose repr raises {type(error).__name__}>"


def as_json_text(rows: list[dict[str, Any]]) -> str:
    """Return rows as JSON; a field that JSON cannot express is shown as Python would."""
    return json.dumps([{k: _plain(v) for k, v in row.items()} for row in rows], indent=2)


def _plain(value: Any) -> Any:
    try:
        return json.loads(json.dumps(value, default=_repr, allow_nan=False))
    except (TypeError, ValueError, RecursionError):  # a key that is no text, a ring, or no number
        return _repr(value)
