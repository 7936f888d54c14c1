"""A call of a warm process: against the bare pipe, a new program each time, and data by file."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.measure import Ratio, alternate, medians
from gc_warm import JsonLines, WarmProcess, serve_command
from gc_warm.worker.program.known import OPTIONS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

REQUEST = {"name": "abc", "values": [1.0, 2.0, 3.0], "options": {"steps": 10, "kind": "fast"}}
MEAN = Path(__file__).parents[1] / "tests" / "examples" / "mean.c"
# Each known program: its arguments, a request, and the same for a program that runs once.
PROGRAMS: dict[str, tuple[list[str], str, list[str], str]] = {
    "bc": (["bc", "-q"], "2^100", ["bc", "-q"], "2^100\n"),
    "gnuplot": (["gnuplot"], "print 1 + 1", ["gnuplot", "-e", "print 1 + 1"], ""),
    "octave": (["octave-cli"], "1 + 1", ["octave-cli", "--eval", "1 + 1"], ""),
    "r": (["R"], "1 + 1", ["R", *OPTIONS["r"], "-e", "1 + 1"], ""),
    "sqlite3": (["sqlite3"], "select 1;", ["sqlite3", "", "select 1;"], ""),
    "uci": (["stockfish"], "isready", ["stockfish"], "isready\nquit\n"),
}


class Pipe:
    """What everybody does without a library: write a line, read a line."""

    def __init__(self, command: list[str]) -> None:
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        while b"ready" not in self._out.readline():
            pass

    @property
    def _out(self) -> Any:
        return self._process.stdout

    def call(self, request: Any) -> Any:
        """Make one round trip."""
        line = json.dumps({"id": 1, "request": request}).encode() + b"\n"
        stdin: Any = self._process.stdin
        stdin.write(line)
        stdin.flush()
        return json.loads(self._out.readline())["result"]

    def close(self) -> None:
        """End the program."""
        self._process.communicate()


def run() -> Iterator[Ratio]:
    """Yield the ratios."""
    os.environ["PATH"] += f"{os.pathsep}/usr/games"
    with tempfile.TemporaryDirectory(prefix="gc-warm-bench-") as folder:
        yield from _against_the_pipe(Path(folder))
    for name in PROGRAMS:
        if shutil.which(PROGRAMS[name][0][0]):
            yield _against_starting(name)
    with tempfile.TemporaryDirectory(prefix="gc-warm-bench-") as folder:
        yield from _pipe_or_file(Path(folder))


def _against_the_pipe(folder: Path) -> Iterator[Ratio]:
    (folder / "echo.py").write_text("def answer(request):\n    return request\n")
    programs: dict[str, tuple[list[str], Any]] = {
        "Python": (serve_command("echo:answer", path=str(folder)), REQUEST)
    }
    if compiler := shutil.which("cc"):
        target = folder / "mean"
        subprocess.run([compiler, "-O2", "-o", target, MEAN], check=True)
        programs["C"] = ([str(target)], [1.0, 2.0, 3.0, 4.0])
    for language, (command, request) in programs.items():
        with WarmProcess(command) as process, contextlib.closing(Pipe(command)) as pipe:
            subjects = {
                "ours": functools.partial(process.call, request),
                "pipe": functools.partial(pipe.call, request),
            }
            alternate(subjects, calls=100, rounds=1)
            times = {k: 1e6 * t for k, t in alternate(subjects, calls=500, rounds=20).items()}
            name = f"call of a program in {language}"
            yield Ratio(name, times["ours"], times["pipe"], "bare pipe", "µs", "<= 1.5")


def _against_starting(name: str) -> Ratio:
    command, request, once, text = PROGRAMS[name]

    def start() -> None:
        subprocess.run(once, input=text.encode(), capture_output=True, check=True)

    with WarmProcess(command, framing=name) as process:
        subjects: dict[str, Callable[[], object]] = {
            "ours": functools.partial(process.call, request),
            "other": start,
        }
        times = medians(subjects, calls=10, warm_up=2)
    return Ratio(
        f"call of {command[0]}", 1e3 * times["ours"], 1e3 * times["other"], "start it", "ms"
    )


LENGTH = "def length(request):\n    return len(request)\n"
LENGTH_OF_FILE = """
def length(path):
    with open(path, "rb") as file:
        return len(file.read())
"""


def _pipe_or_file(folder: Path) -> Iterator[Ratio]:
    """Send text of several sizes, by the pipe as JSON and by a file in shared memory."""
    (folder / "by_pipe.py").write_text(LENGTH)
    (folder / "by_file.py").write_text(LENGTH_OF_FILE)
    serve = functools.partial(serve_command, path=str(folder), python=sys.executable)
    framing = JsonLines()
    with (
        WarmProcess(serve("by_pipe:length"), framing=framing) as pipe,
        WarmProcess(serve("by_file:length"), framing=framing) as file,
    ):
        for size in (1_000, 10_000, 100_000, 1_000_000, 10_000_000):
            text = "x" * size
            subjects: dict[str, Callable[[], object]] = {
                "pipe": functools.partial(pipe.call, text),
                "file": functools.partial(_by_file, file, text.encode()),
            }
            times = {k: 1e6 * t for k, t in medians(subjects, calls=15, warm_up=2).items()}
            yield Ratio(f"{size:,} bytes by file", times["file"], times["pipe"], "by pipe", "µs")


def _by_file(process: WarmProcess, data: bytes) -> object:
    with process.shared(len(data)) as folder:
        path = folder / "data"
        path.write_bytes(data)
        return process.call(str(path))
