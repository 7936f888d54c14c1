"""A project of the user's, and a worker that has neither it nor gc_warm."""

from __future__ import annotations

import importlib
import subprocess
import sys
import textwrap

import pytest

from gc_warm import LocalExecutor, Workers


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Return a function that writes modules of a project by their paths, and imports the last."""
    folder = tmp_path / "project"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    before = set(sys.modules)

    def forget():
        for name in set(sys.modules) - before:
            file = getattr(sys.modules[name], "__file__", None)
            if file is None or str(folder) in file:
                del sys.modules[name]

    def write(files):
        for path, text in files.items():
            place = folder / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(textwrap.dedent(text))
        importlib.invalidate_caches()
        forget()
        name = path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        return importlib.import_module(name) if path.endswith(".py") else None

    write.folder = folder
    yield write
    forget()


@pytest.fixture(scope="session")
def workers(endpoint_python):
    """Return workers of which each executor gets new ones, forked from the same process."""
    with Workers(1, worker_python=endpoint_python) as workers:
        yield workers


@pytest.fixture
def one_worker(workers):
    """Return an executor with a single fresh worker process."""
    with LocalExecutor(workers=workers) as executor:
        yield executor


@pytest.fixture
def run_script(tmp_path, endpoint_python):
    """Return a function that runs a script with an executor called `executor`; gives its output."""

    def run(text, name="analysis.py", arguments=(), folder=None):
        file = tmp_path / "scripts" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(textwrap.dedent(text).replace("WORKER", repr(str(endpoint_python))))
        command = [sys.executable, *(arguments or [file])]
        ended = subprocess.run(
            command,
            capture_output=True,
            text=True,
            cwd=folder or file.parent,
            timeout=120,
            check=False,
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout

    return run
