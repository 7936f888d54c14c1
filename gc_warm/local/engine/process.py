"""The process that plays the user endpoint, as the client sees it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gc_warm.endpoint_config import own_runtime
from gc_warm.local.engine.output import EngineOutput
from gc_warm.local.output import Display
from gc_warm.local.remote import watcher
from gc_warm.local.remote.channel import Channel
from gc_warm.local.surroundings.process import describe_exit, start

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gc_warm.local.surroundings.options import Surroundings


class EngineProcess:
    """Starts the process, and ends it and all that it has started.

    Args:
        config: What it is to read, and render with what.
        surroundings: What it and its workers find around them.

    Raises:
        WorkerStartError: The Python cannot be run.
    """

    def __init__(self, config: Mapping[str, Any], surroundings: Surroundings) -> None:
        self._run_dir = Path(tempfile.mkdtemp(prefix="gc-warm-"))
        connection, theirs = socket.socketpair()
        self.channel = Channel(connection)
        lifeline, kept = os.pipe()
        self._lifeline = os.fdopen(kept, "wb", buffering=0)  # closed once, however often it is said
        display = surroundings.display or Display(output=True)
        self._output = EngineOutput(display, self._run_dir)
        try:
            # The engine starts the endpoint's own programs by name; and nobody would read what
            # ended workers printed, had they not printed it at once.
            variables = {"PYTHONUNBUFFERED": "1"}
            if surroundings.path:
                variables["PYTHONPATH"] = os.pathsep.join(surroundings.path)
            with theirs:
                python, environment = surroundings.make(self._run_dir, **variables)
                self._process = start(
                    *("host", [theirs.fileno(), lifeline]),
                    python=python,
                    environment={**environment, watcher.RUN_DIR_NAME: str(self._run_dir)},
                    folder=self._run_dir,
                    output=self._output.writer,
                )
            self._output.start(self._process.pid)
            self._send_settings({**config, "run_dir": str(self._run_dir)})
        except BaseException:
            self.clear_up()
            raise
        finally:
            os.close(lifeline)

    def _send_settings(self, settings: dict[str, Any]) -> None:
        """Send what it is to do, by a way that no other user can read: there may be secrets."""
        if settings["user_runtime"] is None:
            settings["user_runtime"] = own_runtime()
        self.channel.send(json.dumps(settings).encode())

    def close(self) -> None:
        """Have it end itself and the others, without waiting for it; takes no lock."""
        self.channel.shut(socket.SHUT_WR)

    def stop_reading(self) -> None:
        """Let who reads the channel see that nothing more will come.

        Processes that it forked may hold its side: that it has gone is not enough.
        """
        self.channel.shut(socket.SHUT_RD)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it has ended; return whether it has."""
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            return False
        return True

    def kill(self) -> None:
        """Kill whatever is left of it and of those that it started."""
        with contextlib.suppress(OSError):
            os.killpg(self._process.pid, signal.SIGKILL)
        watcher.kill_all(str(self._run_dir))

    def describe_end(self) -> str:
        """Return how it ended, and what it printed."""
        printed = self._output.end()
        return f"{describe_exit(self._process.returncode)}. It printed:\n{printed}"

    def clear_up(self) -> None:
        """Close and remove what there is besides processes."""
        self.channel.close()
        self._lifeline.close()
        self._output.end()
        shutil.rmtree(self._run_dir, ignore_errors=True)

    def after_fork(self) -> None:
        """Close this process's copies of the connections, in a fork of the client."""
        self.channel.close()
        self._lifeline.close()
        self._output.after_fork()
