"""One external program while it runs: its start, its pipes, and its end, whatever happens.

Between this process and the program there is nothing but pipes. A small shell sets the program up
and then becomes it. Before, it leaves a watcher behind, which waits on a pipe that only this
process holds open: when this process ends, however it ends, the pipe does too, and the watcher
kills the program's whole session and removes its folders.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

from gc_warm.errors.programs import ProgramStartError

if TYPE_CHECKING:
    from gc_warm.worker.program.setup import Folders, Setup

# Called with two folders to remove, the file for standard error, the terminal and the command; all
# but the command may be "". Its standard error is the pipe that tells the watcher when to act, and
# becomes descriptor 3.
_WATCHED = """
private=$1 shared=$2 log=$3 terminal=$4
shift 4
exec 3<&2
if [ -n "$terminal" ]; then exec 0<>"$terminal" 1>&0; fi
if [ -n "$log" ]; then exec 2>>"$log"; else exec 2>&1; fi
( (
    trap '' HUP INT QUIT TERM
    read -r word <&3 && exit
    session=$$
    read -r me word </proc/self/stat
    for again in 1 2; do
        for stat in /proc/[0-9]*/stat; do
            read -r line <"$stat" || continue
            pid=${line%% *}
            set -- ${line##*) }
            if [ "$4" = "$session" ] && [ "$pid" != "$me" ]; then kill -KILL "$pid"; fi
        done
    done
    rm -rf -- "$private" "$shared"
    kill -KILL 0
) </dev/null >/dev/null 2>&1 & )
exec 3<&-
"""
_TAIL = 4096
_LOG_LIMIT = 4 * 1024 * 1024
_TO_DIE = 5.0  # seconds: a killed process may hang in the kernel, and nobody waits forever for that


class Child:
    """A program that was started.

    Attributes:
        setup: How.
        log: The file for its standard error.
        requests: Descriptor to write requests to; never blocks.
        answers: Descriptor to read answers from; never blocks.
        exited: Descriptor that is readable when the program has ended; -1 if there is none.
        started: When it was started, by `time.monotonic`.

    Raises:
        ProgramStartError: It could not be started.
    """

    def __init__(self, setup: Setup, folders: Folders) -> None:
        self.setup = setup
        self.log = folders.log
        self._log_start = self.log.stat().st_size if self.log.exists() else 0
        self.exited = -1
        self.started = time.monotonic()
        held, self._lifeline = os.pipe()
        theirs, self.requests, self.answers, terminal = _terminal() if setup.pty else _pipes()
        try:
            self._process = _start(setup, folders, theirs, held, terminal)
        except (OSError, ValueError) as error:  # ValueError: of the environment or the command
            self.abandon()
            reason = f"could not be started: {error}"
            raise ProgramStartError(str(setup), reason) from error
        finally:
            for descriptor in {*theirs, held}:
                os.close(descriptor)
        self.pid = self._process.pid
        with contextlib.suppress(AttributeError, OSError):  # neither is everywhere
            self.exited = os.pidfd_open(self.pid)

    def is_alive(self) -> bool:
        """Return whether the program runs."""
        return self._process.poll() is None

    def wait(self, seconds: float) -> bool:
        """Wait until the program has ended, for so many seconds; return whether it has."""
        seconds = max(0.0, seconds)
        if self.exited >= 0 and self._process.returncode is None:
            poll = select.poll()
            poll.register(self.exited, select.POLLIN)
            # Where it has ended, all that is left to wait for is that another thread notes that.
            seconds = _TO_DIE if poll.poll(seconds * 1000) else 0.0
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)
        return self._process.returncode is not None

    def stop(self, seconds: float) -> None:
        """End the program within `seconds`: by the end of its input, SIGTERM, and then SIGKILL."""
        if self.setup.pty:
            self._signal_group(signal.SIGHUP)
        elif self.requests >= 0:
            os.close(self.requests)
            self.requests = -1
        if not self.wait(seconds / 2):
            self._signal_group(signal.SIGTERM)
            self.wait(seconds / 2)
        self.kill()

    def kill(self) -> None:
        """Kill the program and all that it has started."""
        self._signal_group(signal.SIGKILL)
        if self._lifeline >= 0:
            _kill_session(self.pid)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_TO_DIE)

    def how_it_ended(self) -> str:
        """Return how the program ended, with its exit status or its signal's name."""
        status = self._process.poll()
        if status is None:
            return "is still running"
        if status >= 0:
            return f"exited with status {status}"
        names = {each.value: each.name for each in signal.Signals}
        return f"was killed by {names.get(-status, f'signal {-status}')}"

    def stderr_tail(self) -> str:
        """Return the last lines that it wrote to standard error."""
        with contextlib.suppress(OSError), self.log.open("rb") as file:
            file.seek(max(self._log_start, os.fstat(file.fileno()).st_size - _TAIL))
            return file.read().decode(errors="replace").strip()
        return ""

    def shorten_log(self) -> None:
        """Keep no more than the end of a long standard error."""
        with contextlib.suppress(OSError):
            if self.log.stat().st_size > _LOG_LIMIT:
                tail = self.stderr_tail()
                self._log_start = 0
                self.log.write_text(f"{tail}\n", encoding="utf-8", errors="replace")

    def rss(self) -> int:
        """Return how much memory the program itself has resident, in bytes; 0 if unknown."""
        try:
            fields = Path(f"/proc/{self.pid}/statm").read_text(encoding="ascii").split()
        except OSError:
            return 0
        return int(fields[1]) * os.sysconf("SC_PAGE_SIZE") if len(fields) > 1 else 0

    def close(self) -> None:
        """Kill what still runs, and close all descriptors."""
        if self._lifeline < 0:
            return
        self.kill()
        with contextlib.suppress(OSError):
            os.write(self._lifeline, b"keep\n")  # the folders are still needed here
        self.abandon()

    def _signal_group(self, number: signal.Signals) -> None:
        # The watcher is in the group while the lifeline is open, so the number is not another's.
        if self._lifeline >= 0:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, number)

    def abandon(self) -> None:
        """Close our descriptors: no more, in a forked child, for the program is its parent's."""
        for descriptor in {self.requests, self.answers, self.exited, self._lifeline} - {-1}:
            os.close(descriptor)
        self.requests = self.answers = self.exited = self._lifeline = -1


def _start(
    setup: Setup, folders: Folders, theirs: tuple[int, int], held: int, terminal: str
) -> subprocess.Popen[bytes]:
    """Start the shell that becomes the program."""
    log = "" if setup.with_stderr else str(folders.log)
    temporary = {"TMPDIR": str(folders.work)} if setup.own_temporary else {}
    script = f'{_WATCHED}{setup.limits.as_shell()}exec "$@"\n'
    return subprocess.Popen(  # noqa: S603  (to run the user's program is what this is for)
        ["/bin/sh", "-c", script, "gc-warm", *folders.to_remove(), log, terminal, *setup.command],
        stdin=theirs[0],
        stdout=theirs[1],
        stderr=held,
        cwd=folders.work,
        env={**setup.environment, **temporary},
        umask=setup.umask,
        start_new_session=True,
    )


def _pipes() -> tuple[tuple[int, int], int, int, str]:
    """Return the program's two descriptors, ours for requests and answers, and no terminal."""
    their_input, requests = os.pipe()
    answers, their_output = os.pipe()
    os.set_blocking(requests, False)
    os.set_blocking(answers, False)
    return (their_input, their_output), requests, answers, ""


def _terminal() -> tuple[tuple[int, int], int, int, str]:
    """Return the same for a terminal that neither changes nor echoes anything."""
    import pty
    import tty

    ours, theirs = pty.openpty()
    tty.setraw(theirs)
    os.set_blocking(ours, False)
    return (theirs, theirs), ours, ours, os.ttyname(theirs)


def _kill_session(session: int) -> None:
    """Kill the processes of a session, those in groups of their own too."""
    for _ in range(10):
        found = _session_members(session)
        if not found:
            return
        for pid in found:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)


def _session_members(session: int) -> list[int]:
    """Return the processes of a session that are alive, where there is a /proc to ask."""
    found = Path("/proc").glob("[1-9]*")
    return [int(process.name) for process in found if _session_of(process) == session]


def _session_of(process: Path) -> int:
    """Return the session of a process; -1 if it has ended."""
    try:
        stat = (process / "stat").read_bytes()
    except OSError:
        return -1
    state, _, _, session = stat[stat.rindex(b")") + 2 :].split()[:4]
    return -1 if state in b"ZX" else int(session)
