from __future__ import annotations

import sys
import textwrap

import psutil
import pytest

from gc_warm import WarmProcess, serve_command


@pytest.fixture
def python(tmp_path):
    """Return a function that makes the command of a small program in Python."""
    count = 0

    def make(text):
        nonlocal count
        count += 1
        path = tmp_path / f"program_{count}.py"
        path.write_text(textwrap.dedent(text))
        return [sys.executable, "-S", "-E", str(path)]

    return make


@pytest.fixture
def warm_process():
    """Return a function that makes a `WarmProcess`, closed in the end."""
    made = []

    def make(command, **options):
        made.append(WarmProcess(command, **options))
        return made[-1]

    yield make
    for process in made:
        process.close()


@pytest.fixture
def served(warm_process, tmp_path):
    """Return a function that serves ``answer`` of some source in a program of its own."""

    def make(text, *, workers=1, idle_timeout=None, **options):
        (tmp_path / "served.py").write_text(textwrap.dedent(text))
        command = serve_command(
            "served:answer", path=str(tmp_path), workers=workers, idle_timeout=idle_timeout
        )
        return warm_process(command, **options)

    return make


@pytest.fixture
def gone():
    """Return a function that waits until processes have ended, and says whether they have."""

    def wait(*pids, seconds=10):
        alive = [psutil.Process(pid) for pid in pids if psutil.pid_exists(pid)]
        _, left = psutil.wait_procs(alive, timeout=seconds)
        return not [each for each in left if each.status() != psutil.STATUS_ZOMBIE]

    return wait
