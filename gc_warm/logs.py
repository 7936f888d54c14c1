"""The end of a log file, for messages."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def tail(path: Path, size: int = 4000) -> str:
    """Return the end of a text file.

    Args:
        path: The file.
        size: How much of it at most, in bytes.

    Returns:
        The text, without blanks around it; empty if the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - size))
            return file.read().decode(errors="replace").strip()
    except OSError:
        return ""
