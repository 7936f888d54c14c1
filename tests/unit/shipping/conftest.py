"""A project of the user's, and a worker that has neither it nor gc_warm."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import textwrap
import types

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


# Runs each program in a fork of a process that has imported what workers have: that takes a second.
FORKING = """
import json, os, sys, types
from globus_compute_common import messagepack
from globus_compute_endpoint.engines import helper

for line in sys.stdin:
    request = json.loads(line)
    if not (pid := os.fork()):
        break
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
else:
    sys.exit()
os.chdir(request["folder"])
sys.path.insert(0, "")
for number, name in enumerate(("in", "out", "err")):
    os.dup2(os.open(name, os.O_RDWR), number)
sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w"), open(2, "w")
sys.modules["__main__"] = types.ModuleType("__main__")
exec(compile(request["program"], "<string>", "exec"), vars(sys.modules["__main__"]))
"""


@pytest.fixture(scope="session")
def forking(endpoint_python):
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    command = [endpoint_python, "-c", FORKING]
    # As in any worker, coverage.py counts nothing: where it does, threads cannot import codecs.
    env = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    with subprocess.Popen(command, cwd="/", env=env, start_new_session=True, **pipes) as process:
        yield process
        process.stdin.close()


@pytest.fixture
def on_endpoint(forking, tmp_path_factory):
    """Return a function that runs a program in a process as workers are; gives its output."""

    def run(program, given):
        folder = tmp_path_factory.mktemp("on_endpoint")
        for name, text in {"in": given, "out": "", "err": ""}.items():
            (folder / name).write_text(text)
        print(json.dumps({"program": program, "folder": str(folder)}), file=forking.stdin)
        forking.stdin.flush()
        assert "0\n" == forking.stdout.readline(), (folder / "err").read_text()
        return (folder / "out").read_text()

    return run


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


@pytest.fixture
def run_here(tmp_path, monkeypatch, capsys, workers):
    """Return a function that does as `run_script`, in this process, and with its workers.

    That is quick; what counts is that the script is ``__main__``, and has a file.
    """
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "dont_write_bytecode", sys.dont_write_bytecode)
    modules = dict(sys.modules)

    def run(text):
        file = tmp_path / "scripts" / "analysis.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        text = textwrap.dedent(text).replace("workers=1, worker_python=WORKER", "workers=WORKERS")
        file.write_text(text)
        sys.path.insert(0, str(file.parent))
        script = types.ModuleType("__main__")
        vars(script).update(__file__=str(file), WORKERS=workers)
        monkeypatch.setitem(sys.modules, "__main__", script)
        exec(compile(text, file, "exec", dont_inherit=True), vars(script))
        return capsys.readouterr().out

    yield run
    for name in {*sys.modules} - {*modules}:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", None)):
            del sys.modules[name]
