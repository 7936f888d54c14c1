"""Command lines, files and surroundings that are wrong: a line says so, and nothing crashes."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from gc_warm.commands.shared.command import Exit

BIN = Path(sys.executable).parent
LAB = """
from gc_warm import self_contained

@self_contained
def accent():
    return "\\xe9 \\ud800 \\x1b[31m"

@self_contained
def fail_if(wrong):
    if wrong:
        raise ValueError("wrong")
    return {1: "a", "1": "b"}

@self_contained
def wait():
    print("waiting", flush=True)
    import time
    time.sleep(600)
"""
ID = "4b116d3c-1703-4f8f-9f6f-39921e5864df"
NO_SERVICE = {
    "GLOBUS_SDK_ENVIRONMENT": "local",
    "GLOBUS_SDK_SERVICE_URL_AUTH": "http://127.0.0.1:1",
    "GLOBUS_SDK_SERVICE_URL_COMPUTE": "http://127.0.0.1:1",
    "GLOBUS_COMPUTE_CLIENT_ID": ID,
    "GLOBUS_COMPUTE_CLIENT_SECRET": "none",
}


@pytest.fixture
def shell(tmp_path, lab):
    """Run a line of bash in a folder with a module; return what it printed, and how it ended."""
    lab(LAB)

    def run(line, **environment):
        done = subprocess.run(
            ["bash", "-c", line],
            cwd=tmp_path,
            env={**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="surrogateescape",
            timeout=120,
            check=False,
        )
        assert "Traceback" not in done.stderr.partition("on its worker")[0]
        assert "Exception ignored" not in done.stderr
        return done

    return run


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["check", "-"], 2, "no file or folder '-'"),
        (["check", "\udcff"], 2, r"no file or folder '\udcff'"),
        (["run", "--", "-x:y"], 2, "Cannot import '-x'"),
        (["run", "\x1b[2J:f"], 2, r"'\x1b[2J'"),
        (["run", "lab:fail_if", "--args", "-"], 2, "--args is neither JSON"),
        (["run", "lab:fail_if", "--args", "@."], 2, "cannot be read from ."),
        (["run", "quits:f"], 2, "SystemExit: 3"),
        (["run", "stops:f"], 130, "Interrupted."),
        (["functions", "list", "--manifest", "binary"], 1, "Cannot read binary"),
        (["functions", "list", "--manifest", "."], 2, "is a directory"),
        (["report", "binary"], 2, "binary is no file of receipts"),
        (["demo", "lab.py", "--report", "/proc/none/a.html"], 2, "Cannot write /proc/none/a.html"),
        (["check", "/dev/null"], 2, "Error: Cannot read /dev/null: it is not a file.\n"),
        (["map", "lab:accent", "--input", "/dev/null", "--output", "o"], 2, "/dev/null is no file"),
        (["submit", "lab:accent", "--endpoint", "none"], 2, "'none' is not a valid UUID"),
    ],
)
def test_what_is_wrong_is_named_in_a_line(gc_warm, lab, arguments, code, said):
    lab(LAB)
    lab("import sys\nsys.exit(3)\n", "quits")
    lab("raise KeyboardInterrupt\n", "stops")
    Path("binary").write_bytes(bytes(range(128, 256)))
    done = gc_warm(*arguments)
    assert (code, "") == (done.code, done.out)
    assert said in done.err


@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        ("gc-warm --help >&-", 0, ""),
        ("gc-warm --version > /dev/full", 1, "Error: [Errno 28] No space left on device"),
        ("gc-warm --help | true; exit ${PIPESTATUS[1]}", 0, ""),
        ("mkdir a; cd a; rmdir ../a; gc-warm run lab:wait", 2, "The current folder is gone"),
        ("COLUMNS=1 gc-warm check --help > shown", 0, ""),
    ],
)
def test_surroundings(shell, line, code, said):
    done = shell(line)
    assert code == done.returncode
    assert said in done.stderr


@pytest.mark.slow("starts a program and its workers, for two variables")
def test_a_terminal_of_few_letters_and_no_home(shell):
    done = shell("unset HOME; gc-warm run lab:accent", PYTHONIOENCODING="ascii")
    assert (0, "") == (done.returncode, done.stderr)
    assert r"\xe9 \ud800 \x1b[31m" in done.stdout


def test_a_service_that_is_not_there(shell):
    done = shell(f"gc-warm submit lab:accent --json --endpoint {ID}", **NO_SERVICE)
    assert (1, "") == (done.returncode, done.stdout)
    assert "Error: Cannot connect" in done.stderr


def test_a_failed_call_is_a_row_of_its_own_and_no_key_is_lost(gc_warm, lab):
    lab(LAB)
    done = gc_warm("run", "lab:fail_if", "--json", "--times", 2, "--args", "[true]")
    assert 1 == done.code
    assert ["ValueError: wrong"] * 2 == [
        row["error"].strip().splitlines()[-1].strip() for row in json.loads(done.out)
    ]
    good = gc_warm("run", "lab:fail_if", "--json", "--args", "[false]")
    assert ["{1: 'a', '1': 'b'}"] == [row["result"] for row in json.loads(good.out)]


def test_ctrl_c_while_a_call_runs(tmp_path, lab):
    lab(LAB)
    process = subprocess.Popen(
        [BIN / "gc-warm", "run", "lab:wait"],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stderr.readline().endswith("waiting\n")
    started = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=60)
    assert (Exit.INTERRUPTED, "") == (process.returncode, output)
    assert "Interrupted.\n" == errors.lstrip("\n")
    assert [] == psutil.wait_procs(started, timeout=10)[1]


def test_a_shell_completes_commands(shell):
    assert 0 == shell("gc-warm completion bash | bash -n").returncode
    done = shell(
        'eval "$(gc-warm completion bash)"; complete -p gc-warm; COMP_WORDS=(gc-warm comp);'
        "COMP_CWORD=1; _gc_warm_completion gc-warm comp gc-warm; echo ${COMPREPLY[@]}"
    )
    assert ["complete -o nosort -F _gc_warm_completion gc-warm", "completion"] == (
        done.stdout.splitlines()
    )
