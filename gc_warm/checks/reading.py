"""Read YAML with the line of every value, and find rendered lines in their template."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import yaml

from gc_warm.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

Place = tuple[str, ...]


def read_text(path: Path) -> str:
    """Return a file's text, whatever its bytes are.

    Raises:
        UsageError: It cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except (OSError, ValueError) as error:
        raise UsageError(f"Cannot read {path}: {error}.") from error


@dataclass
class Document:
    """A YAML document that is a mapping, with the line of each of its values.

    Attributes:
        data: Its values.
        lines: The line of each, by its keys from the top.
        failure: Why it cannot be read, if so.
        failure_line: Where that is.
    """

    data: dict[str, Any] = field(default_factory=dict)
    lines: dict[Place, int] = field(default_factory=dict)
    failure: str = ""
    failure_line: int = 1


def read_yaml(text: str) -> Document:
    """Read a document; an unreadable one says why instead of raising."""
    try:
        data = yaml.safe_load(text)
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        return Document(
            failure=str(error.problem or error.context), failure_line=mark.line + 1 if mark else 1
        )
    except (yaml.YAMLError, ValueError, TypeError, RecursionError, OverflowError) as error:
        return Document(failure=f"{type(error).__name__}: {error}")
    if data is None:
        return Document()
    if not isinstance(data, dict):
        return Document(failure=f"it is a {type(data).__name__}, not settings with names")
    document = Document(data)
    _walk(root, (), document.lines, depth=8)
    return document


def _walk(node: yaml.Node | None, place: Place, lines: dict[Place, int], depth: int) -> None:
    if not isinstance(node, yaml.MappingNode) or not depth:
        return
    for key, value in node.value:
        if isinstance(key, yaml.ScalarNode):
            lines.setdefault((*place, key.value), key.start_mark.line + 1)
            _walk(value, (*place, key.value), lines, depth - 1)


def line_of(lines: Mapping[Place, int], place: Place) -> int:
    """Return the line of a value; if it is missing, of what it is missing in."""
    while place and place not in lines:
        place = place[:-1]
    return lines.get(place, 1)


_KEY = re.compile(r"\s*(?:- )?([\w.]+)\s*:")


def original_lines(template: str, rendered: str) -> list[int]:
    """Say from which line of its template each rendered line comes; the nearest where unsure."""
    before, after = (_comparable(text) for text in (template, rendered))
    found = [0] * len(after)
    matcher = difflib.SequenceMatcher(None, before, after, autojunk=False)
    for block in matcher.get_matching_blocks():
        for offset in range(block.size):
            found[block.b + offset] = block.a + offset + 1
    places: dict[str, list[int]] = {}
    for number, line in enumerate(before, 1):
        places.setdefault(line, []).append(number)
    nearest = 1
    for index, line in enumerate(after):
        # What stands only once is surer than an alignment: templates move text about.
        where = places.get(line, [])
        nearest = where[0] if len(where) == 1 else found[index] or nearest
        found[index] = nearest
    return found


def _comparable(text: str) -> list[str]:
    """Keep of each line what rendering does not change: a setting's name, or all of it."""
    return [
        found[0].rstrip() if (found := _KEY.match(line)) else line.strip()
        for line in text.splitlines()
    ]
