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
from gc_warm.errors.client import WorkerStartError
from gc_warm.local.engine.output import EngineOutput
from gc_warm.local.remote import host, watcher
from gc_warm.local.surroundings.environment import UMASK, endpoint_environment, variables_of
from gc_warm.local.surroundings.process import above_standard, describe_exit
from gc_warm.local.surroundings.python import find_python, make_python

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gc_warm.local.output import Display


class HostProcess:
    """Starts the process, and ends it and all that it has started.

    Args:
        config: What it is to read, and render with what.
        python: The interpreter; by default this one's packages, as an endpoint has them.
        path: Folders that come first on the workers' ``sys.path``.
        environment: What it has in its environment besides `INHERITED_NAMES`.
        packages: What it has of this Python nevertheless.
        display: Gets what it and its workers print.

    Raises:
        WorkerStartError: `python` cannot be run.
    """

    def __init__(
        self,
        config: Mapping[str, Any],
        *,
        python: str | os.PathLike[str] | None,
        path: Sequence[str],
        environment: Mapping[str, str],
        packages: Sequence[str],
        display: Display,
    ) -> None:
        named = find_python(python)
        self._run_dir = Path(tempfile.mkdtemp(prefix="gc-warm-"))
        self._connection, theirs = socket.socketpair()
        self.channel = host.Channel(self._connection)
        lifeline, kept = os.pipe()
        self._lifeline = os.fdopen(kept, "wb", buffering=0)  # closed once, however often it is said
        self._output = EngineOutput(display, self._run_dir)
        try:
            with theirs:
                made = named or make_python(self._run_dir / "python", packages)
                variables = self._variables(made, path, environment)
                with above_standard(theirs.fileno(), lifeline) as inherited:
                    self._process = self._start(made, inherited, variables)
            self._output.start(self._process.pid)
            self._send_settings({**config, "run_dir": str(self._run_dir)})
        except BaseException:
            self.clear_up()
            raise
        finally:
            os.close(lifeline)

    def _variables(
        self, python: str, path: Sequence[str], environment: Mapping[str, str]
    ) -> dict[str, str]:
        # The engine starts the endpoint's own programs by name.
        variables = {**endpoint_environment(self._run_dir), **variables_of(python)}
        if path:
            variables["PYTHONPATH"] = os.pathsep.join(path)
        variables["PYTHONUNBUFFERED"] = "1"  # or nobody would read what ended workers printed
        return {**variables, **environment, watcher.RUN_DIR_NAME: str(self._run_dir)}

    def _send_settings(self, settings: dict[str, Any]) -> None:
        """Send what it is to do, by a way that no other user can read: there may be secrets."""
        if settings["user_runtime"] is None:
            settings["user_runtime"] = own_runtime()
        self.channel.send(json.dumps(settings).encode())

    def _start(
        self, python: str, inherited: list[int], variables: dict[str, str]
    ) -> subprocess.Popen[bytes]:
        try:
            return subprocess.Popen(  # noqa: S603 - running the user's Python is the purpose
                [python, str(Path(host.__file__).resolve()), *map(str, inherited)],
                cwd=self._run_dir,
                env=variables,
                stdin=subprocess.DEVNULL,
                stdout=self._output.writer,
                stderr=self._output.writer,
                pass_fds=inherited,
                umask=UMASK,
                start_new_session=True,
            )
        except OSError as error:
            raise WorkerStartError(f"Cannot run {python!r} for workers: {error}.") from error

    def hang_up(self) -> None:
        """Have it end itself and the others, without waiting for it; takes no lock."""
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_WR)

    def stop_reading(self) -> None:
        """Let who reads the channel see that nothing more will come.

        Processes that it forked may hold its side: that it has gone is not enough.
        """
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_RD)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it has ended; return whether it has."""
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            return False
        return True

    def destroy(self) -> None:
        """Kill whatever is left of it and of those that it started."""
        with contextlib.suppress(OSError):
            os.killpg(self._process.pid, signal.SIGKILL)
        watcher.kill_all(str(self._run_dir))

    def describe_end(self) -> str:
        """Say how it ended, and what it printed."""
        printed = self._output.end()
        return f"{describe_exit(self._process.returncode)}. It printed:\n{printed}"

    def clear_up(self) -> None:
        """Let go of what there is besides processes."""
        self._connection.close()
        self._lifeline.close()
        self._output.end()
        shutil.rmtree(self._run_dir, ignore_errors=True)

    def forget(self) -> None:
        """Drop this process's copies of the connections, in a fork of the client."""
        with contextlib.suppress(OSError):
            os.close(self._connection.detach())
        self._lifeline.close()
        self._output.forget()
