"""Who may import whom inside local/: by reading, so that what stands in functions counts, too."""

import ast
from pathlib import Path

import pytest

import gc_warm.local

HERE = Path(gc_warm.local.__file__).parent


def imported(room):
    """Return what the modules of a room import, as it is written, with a dot where relative."""
    found = set()
    for path in HERE.joinpath(room).glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Import():
                    found |= {alias.name for alias in node.names}
                case ast.ImportFrom():
                    found.add("." * node.level + (node.module or ""))
    return found


def test_what_runs_elsewhere_stands_apart():
    names = imported("remote")
    assert [] == [name for name in names if name.startswith(("gc_warm", ".."))]
    assert ".channel" in names


@pytest.mark.parametrize(("room", "other"), [("pool", "engine"), ("engine", "pool")])
def test_pool_and_engine_do_not_know_each_other(room, other):
    names = imported(room)
    assert [] == [name for name in names if name.startswith(f"gc_warm.local.{other}")]
    assert "gc_warm.local.backend" in names
