"""What the pytest plugin costs a project that does not use it."""

from __future__ import annotations

import functools
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.measure import Ratio, medians

if TYPE_CHECKING:
    from collections.abc import Iterator

_IMPORTS = "import pytest"


def session(folder: str, *options: str) -> None:
    """Run a session of one test that does nothing."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)


def python(program: str) -> None:
    """Run a program."""
    subprocess.run([sys.executable, "-c", program], check=True)


def run() -> Iterator[Ratio]:
    """Yield the ratios with the plugin to without it."""
    with tempfile.TemporaryDirectory(prefix="gc-warm-bench-") as folder:
        Path(folder, "test_nothing.py").write_text("def test_nothing(): pass\n")
        sessions = medians(
            {
                "with": functools.partial(session, folder),
                "without": functools.partial(session, folder, "-p", "no:gc_warm"),
            },
            calls=15,
            warm_up=1,
        )
    imports = medians(
        {
            "with": functools.partial(python, f"{_IMPORTS}, gc_warm.pytest_plugin"),
            "without": functools.partial(python, _IMPORTS),
        },
        calls=15,
        warm_up=1,
    )
    yield _ratio("pytest session, plugin unused", sessions)
    yield _ratio("import of the plugin, after pytest's", imports)


def _ratio(name: str, seconds: dict[str, float]) -> Ratio:
    ours, other = 1e3 * seconds["with"], 1e3 * seconds["without"]
    return Ratio(name, ours, other, "without it", "ms", "<= 1.2")
