"""Read YAML with the line of every value, and find rendered lines in their template."""

from __future__ import annotations

import difflib
import itertools
import math
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import yaml

from gc_warm.checks.rules.rule import Place
from gc_warm.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

# No config is longer, or says more by repeating its anchors. Reading more would take minutes.
MAX_BYTES = 256 * 1024
MAX_VALUES = 20_000
# Beyond this many pairs of lines, aligning two texts takes too long.
MAX_PAIRS = 1_000_000


def read_text(path: Path) -> str:
    """Return a file's text, whatever its bytes are.

    Raises:
        UsageError: It cannot be read, is no file, or is too long to be a config.
    """
    data = None
    try:
        if path.is_file():  # a pipe would be waited for, and a device has no end
            with path.open("rb") as file:
                data = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        raise UsageError(f"Cannot read {path}: {error}.") from error
    if data is None:
        raise UsageError(f"Cannot read {path}: it is not a file.")
    if len(data) > MAX_BYTES:
        raise UsageError(f"Cannot read {path}: it is longer than {MAX_BYTES} bytes.")
    return data.decode("utf-8", errors="replace")


@dataclass
class Document:
    """A YAML document that is a mapping, with the line of each of its values."""

    data: dict[str, Any] = field(default_factory=dict)
    lines: dict[Place, int] = field(default_factory=dict)
    failure: str = ""  # why it cannot be read, if so
    failure_line: int = 1


def read_yaml(text: str) -> Document:
    """Read a document; an unreadable one says why instead of raising."""
    if len(text) > MAX_BYTES:
        return Document(failure=f"it is longer than {MAX_BYTES} characters")
    try:
        return _read_yaml(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        return Document(
            failure=str(error.problem or error.context), failure_line=mark.line + 1 if mark else 1
        )
    except Exception as error:  # noqa: BLE001 - PyYAML raises IndexError, KeyError and others
        return Document(failure=f"{type(error).__name__}: {error}")


def _read_yaml(text: str) -> Document:
    loader = yaml.SafeLoader(text)
    try:
        root = loader.get_single_node()
        if root is None:
            return Document()
        if (count := _count(root, {})) > MAX_VALUES:
            at_most = "more than it can hold" if count == math.inf else f"{count:g}"
            return Document(failure=f"it has too many values, anchors repeated: {at_most}")
        data = loader.construct_document(root)
    finally:
        loader.dispose()
    if data is None:
        return Document()
    if not isinstance(data, dict):
        return Document(failure=f"it is a {type(data).__name__}, not settings with names")
    document = Document(data)
    _walk(root, (), document.lines, depth=8)
    return document


def _count(node: yaml.Node, known: dict[int, float]) -> float:
    """Count values, each as often as it is repeated; infinitely many if one contains itself."""
    if not isinstance(node, yaml.CollectionNode):
        return 1
    if id(node) not in known:
        known[id(node)] = math.inf  # until it is known: it may be in itself
        parts = itertools.chain(*node.value) if isinstance(node, yaml.MappingNode) else node.value
        known[id(node)] = 1 + sum(_count(part, known) for part in parts)
    return known[id(node)]


def _walk(node: yaml.Node | None, place: Place, lines: dict[Place, int], depth: int) -> None:
    if not isinstance(node, yaml.MappingNode) or not depth:
        return
    for key, value in node.value:
        if isinstance(key, yaml.ScalarNode):
            lines.setdefault((*place, key.value), key.start_mark.line + 1)
            _walk(value, (*place, key.value), lines, depth - 1)


class Keywords(dict[Place, int]):
    """Where a Python config names each setting: the first ``name=`` in it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        for number, line in enumerate(text.splitlines(), 1):
            for name in re.findall(r"\b(\w+)\s*=", line):
                self.setdefault((name,), number)

    def __contains__(self, place: object) -> bool:
        return isinstance(place, tuple) and super().__contains__(place[-1:])

    def get(self, place: Place, default: Any = None) -> Any:
        """Return the line of a setting, wherever in the config it stands."""
        return super().get(place[-1:], default)


_KEY = re.compile(r"\s*(?:- )?([\w.]+)\s*:")


def original_lines(template: str, rendered: str) -> list[int]:
    """Return the line of the template that each rendered line comes from; the nearest if unsure."""
    before, after = (_comparable(text) for text in (template, rendered))
    found = _aligned(before, after)
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


def _aligned(before: list[str], after: list[str]) -> list[int]:
    """Return for each line the number of the equal one, in order; 0 where there is none."""
    found = [0] * len(after)
    if len(before) * len(after) > MAX_PAIRS:
        return found
    matcher = difflib.SequenceMatcher(None, before, after, autojunk=False)
    for block in matcher.get_matching_blocks():
        for offset in range(block.size):
            found[block.b + offset] = block.a + offset + 1
    return found


def _comparable(text: str) -> list[str]:
    """Keep of each line what rendering does not change: a setting's name, or all of it."""
    return [
        found[0].rstrip() if (found := _KEY.match(line)) else line.strip()
        for line in text.splitlines()
    ]
