"""A place of its own for each test, and programs that share it."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import pytest

from gc_warm.worker.node import place


@pytest.fixture(autouse=True)
def base(tmp_path, monkeypatch):
    """Set the folder that the place is in."""
    folder = tmp_path / "node"
    monkeypatch.setenv("GC_WARM_NODE_DIR", str(folder))
    return folder


@pytest.fixture
def folders(base):
    """Return a function that lists what lies in the entries, but for their locks."""

    def list_them():
        found = (place.path() / "folders").glob("*/*")
        return sorted(each.name for each in found if each.name != "lock")

    return list_them


class Programs:
    """Small programs that use the same place; those that run yet are killed in the end."""

    def __init__(self, folder):
        self.folder = folder
        self.running = []

    def start(self, text, *arguments, **options):
        path = self.folder / f"program_{len(self.running)}.py"
        path.write_text(textwrap.dedent(text))
        command = [sys.executable, str(path), *map(str, arguments)]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        self.running.append(subprocess.Popen(command, text=True, **{**pipes, **options}))
        return self.running[-1]

    def run(self, text, *arguments, **options):
        program = self.start(text, *arguments, **options)
        out, err = program.communicate(timeout=60)
        assert 0 == program.returncode, err
        return out

    def start_many(self, number, text, *arguments):
        return [self.start(text, *arguments) for _ in range(number)]


@pytest.fixture
def programs(tmp_path):
    made = Programs(tmp_path)
    yield made
    for each in made.running:
        if each.poll() is None:
            each.kill()
        each.communicate()


@pytest.fixture
def log(tmp_path):
    """Return a file to which processes add lines, and a function that reads them."""
    path = tmp_path / "log"
    path.touch()
    os.environ["LOG"] = str(path)
    yield lambda: path.read_text().split()
    del os.environ["LOG"]
