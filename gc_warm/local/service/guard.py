"""Ends an endpoint when the program that started it has died and could not stop it.

The guard is a process of its own, started by this file's path. It reads from a pipe, which tells it
that the program has stopped the endpoint or has died.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

USER_DIR = "GLOBUS_COMPUTE_USER_DIR"
END_SECONDS = 10.0


def user_dir(home: Path) -> Path:
    """Return the folder where an endpoint keeps its files; `USER_DIR` names it."""
    return home / ".globus_compute"


def start_guard(home: Path) -> subprocess.Popen[bytes]:
    """Start a guard: if this program dies, it ends the endpoint and removes its files.

    Returns:
        The guard. It ends without doing anything when something is written to it.
    """
    return subprocess.Popen(  # noqa: S603 - it is this file
        [sys.executable, __file__, home],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def end_all(home: Path) -> None:
    """End all processes of an endpoint, and remove its files."""
    _end(home, psutil.Process.terminate)
    _end(home, psutil.Process.kill)
    shutil.rmtree(home, ignore_errors=True)


def _end(home: Path, end: Callable[[psutil.Process], None]) -> None:
    left = list(_left(home))
    for process in left:
        with contextlib.suppress(psutil.NoSuchProcess):
            end(process)
    psutil.wait_procs(left, timeout=END_SECONDS)


def _left(home: Path) -> Iterator[psutil.Process]:
    """Find the processes of an endpoint, whoever their parents are now.

    All of them have the endpoint's folder in their environment. Those that changed their titles
    have lost their environment, but write to files in that folder.
    """
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            inside = process.environ().get(USER_DIR) == str(user_dir(home))
            if inside or any(home in Path(file.path).parents for file in process.open_files()):
                yield process


def guard(home: Path) -> None:
    """Wait until the program has stopped the endpoint or has died; if it died, end the rest."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    if not os.read(sys.stdin.fileno(), 1):
        end_all(home)


if __name__ == "__main__":
    guard(Path(sys.argv[1]))
