"""What tests of warm state share."""

from __future__ import annotations

import importlib
import sys
import textwrap
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from gc_warm import enable


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
