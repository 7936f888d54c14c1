"""The command line: in this process, which is quick, or as one of its own."""

import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from gc_warm.cli import main

GC_WARM = Path(sys.executable).with_name("gc-warm")


class Done(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def gc_warm(tmp_path, monkeypatch, capsys):
    """Return a function that runs the command line here, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setenv("COLUMNS", "100")
    argv, modules = sys.argv, {*sys.modules}

    def run(*arguments):
        sys.argv = ["gc-warm", *map(str, arguments)]
        try:
            with pytest.raises(SystemExit) as ended:
                main()
        finally:
            sys.argv = argv
            _forget_modules_of(tmp_path, {*sys.modules} - modules)
        done = Done(int(ended.value.code), *capsys.readouterr())
        assert "Traceback" not in done.err.partition("on its worker")[0]
        return done

    return run


def _forget_modules_of(folder, names):
    """The next command imports them anew."""
    for name in names:
        if getattr(sys.modules[name], "__file__", None) == str(folder / f"{name}.py"):
            del sys.modules[name]


@pytest.fixture
def gc_warm_process(tmp_path):
    """Return a function that runs it as a process."""

    def run(*arguments, env=None, stdin=""):
        done = subprocess.run(
            [GC_WARM, *map(str, arguments)],
            cwd=tmp_path,
            env={**os.environ, **(env or {})},
            input=stdin,
            capture_output=True,
            text=True,
            errors="surrogateescape",
            timeout=120,
            check=False,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture
def lab(tmp_path):
    """Return a function that writes a module of the user's."""

    def write(text, name="lab"):
        (tmp_path / f"{name}.py").write_text(text)

    return write
