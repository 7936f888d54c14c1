"""Arguments as people read them."""

from __future__ import annotations

import reprlib
from typing import Any


def label_of(args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    """Write the arguments of a call, and not too much of each."""
    named = (f"{name}={_short(value)}" for name, value in kwargs.items())
    return ", ".join([*map(_short, args), *named])


def _short(value: object) -> str:
    try:
        return reprlib.repr(value)
    except ValueError:  # Python does not write an int of more than 4,300 digits
        return f"<{type(value).__name__} that is too long to write>"
