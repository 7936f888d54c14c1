"""Our own source as it travels: smaller, and doing the same."""

from __future__ import annotations

import ast
import dataclasses
from pathlib import Path

import pytest

import gc_warm
from gc_warm.shipping.shrink import shrink

WORKER = Path(gc_warm.__file__).parent / "worker"


def test_what_travels_is_half_as_long():
    texts = [path.read_text() for path in WORKER.rglob("*.py")]
    assert len("".join(map(shrink, texts))) < 0.55 * len("".join(texts))


@pytest.mark.parametrize("path", sorted(WORKER.rglob("*.py")), ids=str)
def test_what_travels_reads_everywhere(path):
    tree = ast.parse(shrink(path.read_text()))
    # Python 3.12 writes f-strings that older ones cannot read.
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.JoinedStr)]


SOURCE = '''
"""A module."""
from __future__ import annotations
import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, cast, overload
if TYPE_CHECKING:
    import numpy

@dataclass
class Point:
    """A point."""
    x: int
    name: str = "p"
    if TYPE_CHECKING:
        def ghost(self) -> int: ...
    def shout(self, *, width: int = 4) -> str:
        """Shout."""
        text: str = f"{self.name!r:>{4}} {{}} {self.x:03d}%"
        return text

class Pair(NamedTuple):
    first: int
    second: str

@overload
def f(x: int) -> int: ...
@overload
def f(x: str) -> str: ...
def f(x):
    # a comment
    y: int
    y = cast("int", x)
    return os.path.join("a", str(y)), """a # b
      c"""
def empty() -> None:
    """Nothing."""
def sums(values):
    global total
    total = 0
    for value in values:
        longer = value + total
        total = longer
    return [value * 2 for value in values], total
def counter():
    count = 0
    def add():
        nonlocal count
        count += 1
        return count
    return add
'''


def test_it_does_the_same():
    short = shrink(SOURCE.replace(":>{4}}", ":>4}"))
    names = {"__name__": __name__}
    exec(short, names)
    point = names["Point"](3)
    assert ("x", "name") == tuple(field.name for field in dataclasses.fields(point))
    assert " 'p' {} 003%" == point.shout()
    assert not hasattr(point, "ghost")
    assert (1, "b") == names["Pair"](1, "b")
    assert ("a/3", "a # b\n      c") == names["f"](3)
    assert names["empty"]() is None
    assert ([2, 4], 3) == names["sums"]([1, 2])
    assert 3 == names["total"]
    add = names["counter"]()
    assert [1, 2] == [add(), add()]


def test_what_is_for_readers_and_type_checkers_stays_behind():
    short = shrink(SOURCE.replace(":>{4}}", ":>4}"))
    for word in ("comment", "Shout", "overload", "TYPE_CHECKING", "cast", "json", "future"):
        assert word not in short
