"""A simulation that writes what it has when the worker ends."""

from collections.abc import Iterator
from pathlib import Path

from gc_warm import self_contained, warm


@warm
def journal(path: str) -> Iterator[list[str]]:
    lines: list[str] = []
    yield lines
    Path(path).write_text("\n".join([*lines, "the end"]))


@self_contained
def note(path: str, line: str) -> int:
    journal(path).append(line)
    return len(journal(path))
