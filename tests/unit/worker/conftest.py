"""What tests of warm state share."""

from __future__ import annotations

import importlib
import sys
import textwrap
import threading
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest

from gc_warm import WarmProcess, enable, serve_command


class Clock:
    """A timer that only tests move."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture(autouse=True)
def _warmth():
    yield
    enable()


@pytest.fixture
def user_module(tmp_path, monkeypatch):
    """Return a function that writes a module of the user's and imports it."""
    monkeypatch.syspath_prepend(tmp_path)
    written = []

    def write(name, text):
        (tmp_path / f"{name}.py").write_text(textwrap.dedent(text))
        importlib.invalidate_caches()
        written.append(name)
        return importlib.import_module(name)

    yield write
    for name in written:
        sys.modules.pop(name, None)


@pytest.fixture
def in_threads():
    """Return a function that runs another in threads which start together."""

    def run_in_threads(number, function):
        barrier = threading.Barrier(number)

        def run(index):
            barrier.wait()
            try:
                return function(index)
            except Exception as error:
                return error

        with ThreadPoolExecutor(number) as pool:
            return list(pool.map(run, range(number)))

    return run_in_threads


@pytest.fixture
def background():
    """Return a function that calls another in a thread of its own; all are awaited at the end."""
    with ThreadPoolExecutor(16) as pool:
        yield pool.submit


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
