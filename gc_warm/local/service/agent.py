"""The real endpoint agent, started in a private home and stopped without leaving a trace."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import yaml

from gc_warm.errors import GcWarmError, UsageError
from gc_warm.local.service.guard import USER_DIR, end_all, start_guard, user_dir
from gc_warm.logs import tail

if TYPE_CHECKING:
    from collections.abc import Callable

LOOK_SECONDS = 0.05
STOP_SECONDS = 30.0
_PREFIX = "gc-warm-agent-"
_FILES = ("user_config_template.yaml.j2", "user_config_schema.json")
# The sample configs, in an installed gc-warm and in its checkout.
_SAMPLES = [Path(__file__).parents[above] / "endpoint_configs" for above in (2, 3)]


class Agent:
    """A running ``globus-compute-endpoint``.

    Its home, where it and its user endpoints keep their files, is a temporary folder. This holds
    for root, too: ``user_environment.yaml`` names the home that the agent would otherwise take
    from the passwd file.

    Args:
        config_dir: A folder with ``config.yaml`` and the files that belong to it.
        environment: The variables that make the agent use a service.
        stopped: Called with the agent once it is stopped.

    Attributes:
        id: The endpoint's id.
        home: The temporary folder.
    """

    def __init__(
        self, config_dir: Path, environment: dict[str, str], *, stopped: Callable[[Agent], None]
    ) -> None:
        self.id: UUID
        self._program = _find_program()
        self._source = config_dir
        self._stopped = stopped
        self._process: subprocess.Popen[bytes] | None = None
        self._guard: subprocess.Popen[bytes] | None = None
        self.home = Path(tempfile.mkdtemp(prefix=_PREFIX))
        self._folder = self.home / ".globus_compute" / _name(config_dir)
        self._environment = {**os.environ, **environment, **self._private()}
        self._environment.pop("GLOBUS_COMPUTE_ENDPOINT_DIR", None)

    def _private(self) -> dict[str, str]:
        path = os.pathsep.join([str(self._program.parent), os.environ.get("PATH", os.defpath)])
        return {
            "HOME": str(self.home),
            USER_DIR: str(user_dir(self.home)),
            "PATH": path,
            "TMPDIR": tempfile.gettempdir(),
        }

    def start(self, *, is_online: Callable[[UUID], bool], timeout: float) -> None:
        """Start the agent, and wait until it is online.

        Raises:
            UsageError: The folder is not a config.
            GcWarmError: The agent ended, or was not online in time.
        """
        try:
            self._configure()
            self._guard = start_guard(self.home)
            with (self.home / "output.txt").open("wb") as output:
                self._process = subprocess.Popen(  # noqa: S603 - it is the agent
                    [self._program, "start", self._folder.name],
                    env=self._environment,
                    cwd=self.home,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,  # the agent kills its whole process group
                )
            self._wait(is_online, timeout)
        except BaseException:
            self.stop()
            raise

    def _configure(self) -> None:
        config = _read_yaml(self._source / "config.yaml")
        variables = _read_yaml(self._source / "user_environment.yaml")
        if not (self._source / _FILES[0]).exists():
            raise UsageError(f"{self._source} has no {_FILES[0]}: is it an endpoint's folder?")
        if "engine" in config:
            raise UsageError(
                f"{self._source}/config.yaml has an engine, which belongs in {_FILES[0]}. "
                "To move it there, run: globus-compute-endpoint migrate-to-template-capable"
            )
        self._folder.mkdir(parents=True, mode=0o700)
        for name in _FILES:
            if (self._source / name).exists():
                shutil.copy(self._source / name, self._folder)
        # A privileged agent insists on an e-mail address.
        config = {"email": "nobody@localhost", **config, "environment": "local"}
        variables = {**self._private(), **variables}
        (self._folder / "config.yaml").write_text(yaml.safe_dump(config))
        (self._folder / "user_environment.yaml").write_text(yaml.safe_dump(variables))

    def _wait(self, is_online: Callable[[UUID], bool], timeout: float) -> None:
        assert self._process is not None
        deadline = time.monotonic() + timeout
        registered = self._folder / "endpoint.json"
        while True:
            with contextlib.suppress(FileNotFoundError, ValueError, KeyError):
                self.id = UUID(json.loads(registered.read_text())["endpoint_id"])
                if is_online(self.id):
                    return
            try:
                code = self._process.wait(LOOK_SECONDS)
            except subprocess.TimeoutExpired:
                code = None
            if code is not None:
                raise GcWarmError(f"The endpoint ended with exit code {code}.\n{self.log()}")
            if time.monotonic() > deadline:
                text = f"The endpoint was not online after {timeout:g} s.\n{self.log()}"
                raise GcWarmError(text)

    def log(self) -> str:
        """Return the last lines of the endpoint's and its user endpoints' logs."""
        paths = [self.home / "output.txt", *sorted(self.home.glob(".globus_compute/*/*.log"))]
        return "\n".join(f"--- {path.name} ({path.parent.name})\n{tail(path)}" for path in paths)

    def stop(self) -> None:
        """Stop the agent and all that it started, and remove its files."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait()
        # If the agent was killed, what it started still runs.
        end_all(self.home)
        if self._guard is not None:
            self._guard.communicate(b"stopped")
            self._guard = None
        self._process = None
        with contextlib.suppress(ValueError):
            self._stopped(self)


def find_config(config: str | os.PathLike[str], root: Path) -> Path:
    """Return the folder of an endpoint's config.

    Args:
        config: The folder, or the name of one in the project's ``endpoint_configs`` or among
            gc-warm's samples.
        root: The project's folder.

    Raises:
        UsageError: There is no such folder.
    """
    samples = [root / "endpoint_configs", *_SAMPLES]
    for folder in (Path(config), root / config, *(each / config for each in samples)):
        if (folder / _FILES[0]).is_file():
            return folder.resolve()
    known = sorted({path.parent.name for each in samples for path in each.glob("*/*.yaml.j2")})
    named = f", nor one of {', '.join(known)}" if known else ""
    raise UsageError(f"{str(config)!r} is not a folder with a {_FILES[0]}{named}.")


def _find_program() -> Path:
    beside = Path(sys.executable).parent / "globus-compute-endpoint"
    found = beside if beside.exists() else shutil.which("globus-compute-endpoint")
    if not found:
        raise UsageError(
            "globus-compute-endpoint is not installed. Run: pip install 'gc-warm[endpoint]'"
        )
    return Path(found)


def _name(folder: Path) -> str:
    return folder.resolve().name.replace(" ", "-").lstrip(".") or "endpoint"


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        found = yaml.safe_load(path.read_text()) if path.exists() else {}
    except yaml.YAMLError as error:
        raise UsageError(f"{path} is not YAML: {error}") from error
    if not isinstance(found, dict | None):
        raise UsageError(f"{path} is not a mapping.")
    return found or {}
