"""What ends an engine for certain: a process that waits for the end of the engine's own.

The engine's process ends all that it has started, when it ends itself or when the client has gone.
Killed, it cannot; and then a process pool's workers, each of which holds the pool's pipes open,
would wait for ever. So it starts this first. Run by its path, it needs the standard library only.
"""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import select
import shutil
import signal
import sys
import time

RUN_DIR_NAME = "GC_WARM_RUN_DIR"
"""The variable that names the folder of an engine in the environment of its processes."""

ENDING_SECONDS = 1.2
"""Time that an engine's process has to end the others and itself when the client has gone."""

# Nothing that all systems have wakes a process when its parent ends: the pipes that it would see
# closed are open in the parent's forks, too.
LOOK_SECONDS = 0.1
_KILL_SECONDS = 2.0


def kill_all(run_dir: str) -> None:
    """Kill all processes of an engine but this one, until none are left.

    These are the ones whose environment names its folder, those of their sessions, and all their
    descendants.
    """
    marker = f"{RUN_DIR_NAME}={run_dir}\0".encode()
    deadline = time.monotonic() + _KILL_SECONDS
    while (victims := _find(marker) - {os.getpid()}) and time.monotonic() < deadline:
        for pid in victims:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.01)  # a killed process is seen for a moment


def _find(marker: bytes) -> set[int]:
    parents, sessions, found = {}, {}, set()
    for entry in pathlib.Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            # After the program's name, in which anything may stand: state, parent, group, session.
            stat = (entry / "stat").read_bytes().rpartition(b")")[2].split()
            pid = int(entry.name)
            if stat[0] not in {b"Z", b"X"}:
                parents[pid], sessions[pid] = int(stat[1]), int(stat[3])
                if marker in (entry / "environ").read_bytes() + b"\0":
                    found.add(pid)
    own = {sessions[pid] for pid in found}
    found |= {pid for pid, session in sessions.items() if session in own}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def watch(run_dir: str, host: int, lifeline: int) -> None:
    """Wait until the client or the engine's process has gone; then see that all go.

    Args:
        run_dir: The engine's folder. The client removes it, if it can.
        host: The engine's process, this one's parent.
        lifeline: The end of a pipe whose other end is the client's.
    """
    while os.getppid() == host:
        if select.select([lifeline], [], [], LOOK_SECONDS)[0]:
            _wait_for_end(host)
            break
    kill_all(run_dir)
    select.select([lifeline], [], [])
    shutil.rmtree(run_dir, ignore_errors=True)


def _wait_for_end(host: int) -> None:
    deadline = time.monotonic() + ENDING_SECONDS
    while os.getppid() == host and time.monotonic() < deadline:
        time.sleep(LOOK_SECONDS)


def main() -> None:
    """Watch over an engine, whatever signals come."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    watch(**json.loads(sys.argv[1]))
