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
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gc_warm.errors.client import WorkerStartError
from gc_warm.local import host, watcher
from gc_warm.local.endpoint_environment import UMASK, endpoint_environment
from gc_warm.local.template import describe_exit, find_python, inherited_environment, tail

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class HostProcess:
    """Starts the process, and ends it and all that it has started.

    Args:
        config: What it is to read, and render with what.
        python: The interpreter; by default this one's.
        path: Folders that come first on the workers' ``sys.path``.
        environment: What it has in its environment besides `INHERITED_NAMES`.

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
    ) -> None:
        self._python = find_python(python)
        self._run_dir = Path(tempfile.mkdtemp(prefix="gc-warm-"))
        self._connection, theirs = socket.socketpair()
        self.channel = host.Channel(self._connection)
        lifeline, kept = os.pipe()
        self._lifeline = os.fdopen(kept, "wb", buffering=0)  # closed once, however often it is said
        settings = {
            **config,
            "channel": theirs.fileno(),
            "lifeline": lifeline,
            "run_dir": str(self._run_dir),
        }
        try:
            with theirs:
                if settings["user_runtime"] is None:
                    settings["user_runtime"] = _own_runtime()
                self._process = self._start(settings, self._variables(path, environment))
        except BaseException:
            self.clear_up()
            raise
        finally:
            os.close(lifeline)

    def _variables(self, path: Sequence[str], environment: Mapping[str, str]) -> dict[str, str]:
        variables = {**endpoint_environment(self._run_dir), **inherited_environment()}
        # The engine starts the endpoint's own programs by name.
        variables["PATH"] = os.pathsep.join(
            [str(Path(self._python).parent), variables.get("PATH", os.defpath)]
        )
        if path:
            variables["PYTHONPATH"] = os.pathsep.join(path)
        return {**variables, **environment, watcher.RUN_DIR_NAME: str(self._run_dir)}

    def _start(
        self, settings: dict[str, Any], variables: dict[str, str]
    ) -> subprocess.Popen[bytes]:
        try:
            with self._log.open("wb") as output:
                return subprocess.Popen(  # noqa: S603 - running the user's Python is the purpose
                    [self._python, str(Path(host.__file__).resolve()), json.dumps(settings)],
                    cwd=self._run_dir,
                    env=variables,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    pass_fds=[settings["channel"], settings["lifeline"]],
                    umask=UMASK,
                    start_new_session=True,
                )
        except OSError as error:
            raise WorkerStartError(f"Cannot run {self._python!r} for workers: {error}.") from error

    @property
    def _log(self) -> Path:
        return self._run_dir / "host.err"

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
        printed = tail(self._log)
        return f"{describe_exit(self._process.returncode)}. It printed:\n{printed}"

    def clear_up(self) -> None:
        """Let go of what there is besides processes."""
        self._connection.close()
        self._lifeline.close()
        shutil.rmtree(self._run_dir, ignore_errors=True)

    def forget(self) -> None:
        """Drop this process's copies of the connections, in a fork of the client."""
        with contextlib.suppress(OSError):
            os.close(self._connection.detach())
        self._lifeline.close()


def _own_runtime() -> dict[str, Any]:
    from globus_compute_sdk.sdk.batch import create_user_runtime

    runtime: dict[str, Any] = json.loads(json.dumps(asdict(create_user_runtime())))
    return runtime
