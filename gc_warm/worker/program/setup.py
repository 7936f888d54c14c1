"""What is started: a program that was found here, its environment, its limits and its folders."""

from __future__ import annotations

import errno
import importlib
import os
import platform
import shlex
import shutil
import tempfile
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gc_warm.errors import UsageError
from gc_warm.errors.programs import ProgramMissingError
from gc_warm.worker.program.framing import Framing, JsonLines
from gc_warm.worker.state.initialiser import require

_SHOWN = 60
_TMPFS = Path("/dev/shm")  # noqa: S108  (folders in it are made by mkdtemp, for us alone)
_PATH = str, os.PathLike
_TIME = (
    "a positive number of seconds or None",
    lambda time: time is None or (isinstance(time, int | float) and time > 0),
)
_COUNT = (
    "a positive whole number or None",
    lambda count: count is None or (type(count) is int and count > 0),
)
# What each option of `WarmProcess` must be. Types of ours that travelled are known by what they do.
_OPTIONS: dict[str, tuple[str, Any]] = {
    "command": (
        "a list of the program and its arguments",
        lambda command: (
            isinstance(command, Sequence)
            and not isinstance(command, str | bytes)
            and command
            and all(isinstance(part, _PATH) for part in command)
        ),
    ),
    "timeout": _TIME,
    "start_timeout": _TIME,
    "concurrency": ("a positive whole number", lambda count: type(count) is int and count > 0),
    "env": ("a dict or None", lambda env: env is None or isinstance(env, Mapping)),
    "cwd": ("a path or None", lambda cwd: cwd is None or isinstance(cwd, _PATH)),
    "umask": (
        "from 0 to 0o777 or None",
        lambda umask: umask is None or (type(umask) is int and not umask & ~0o777),
    ),
    "limits": ("Limits(...) or None", lambda own: own is None or hasattr(own, "as_shell")),
    "restarts": ("RestartPolicy(...) or None", lambda own: own is None or hasattr(own, "budget")),
    "max_calls": _COUNT,
    "max_rss": _COUNT,
    "idle_timeout": _TIME,
    "timer": ("a function that returns seconds", callable),
}


def require_options(options: Mapping[str, Any]) -> None:
    """Refuse options of `WarmProcess`, all or some by their names, that make no sense."""
    for name, (expected, is_valid) in _OPTIONS.items():
        if name in options:
            require(is_valid(options[name]), name, expected, options[name])
    for name, value in (options.get("env") or {}).items():
        if not (isinstance(name, str) and (value is None or isinstance(value, str))):
            kind = type(value).__name__  # the value may be a secret
            raise UsageError(f"env must have text or None for every name, not {kind} for {name!r}.")


@dataclass(frozen=True)
class Limits:
    """What a program, and each process that it starts, may use; None for no limit.

    Attributes:
        memory: Address space, in bytes.
        cpu_seconds: Time on the processor, in seconds.
        open_files: Number of open files.
        file_size: Size of a file it writes, in bytes.
    """

    memory: int | None = None
    cpu_seconds: int | None = None
    open_files: int | None = None
    file_size: int | None = None

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            valid = value is None or (type(value) is int and value >= 0)
            require(valid, name, "a whole number that is not negative, or None", value)

    def as_shell(self) -> str:
        """Return the commands that set the limits."""
        amounts = {
            "v": self.memory and self.memory // 1024,
            "t": self.cpu_seconds,
            "n": self.open_files,
            "f": self.file_size and self.file_size // 512,
        }
        lines = [f"ulimit -{flag} {n} || exit 126" for flag, n in amounts.items() if n is not None]
        return "".join(f"{line}\n" for line in lines)


@dataclass(frozen=True)
class Setup:
    """How a program is started; made by `prepare`.

    Attributes:
        command: Absolute path of the program, and its arguments.
        environment: All of its environment.
        own_temporary: Whether its working directory is its ``TMPDIR``, too.
        with_stderr: Whether standard error goes where standard output goes.
        pty: Whether it gets a terminal.
        umask: Its umask, or -1 for this process's.
        limits: What it may use.
    """

    command: tuple[str, ...]
    environment: dict[str, str]
    own_temporary: bool
    with_stderr: bool
    pty: bool
    umask: int
    limits: Limits

    def __str__(self) -> str:
        """Return the command for messages: as one would type it, long arguments shortened."""
        program, *arguments = self.command
        flat = (" ".join(part.split()) if "\n" in part else part for part in arguments)
        short = (part if len(part) <= _SHOWN else f"{part[:_SHOWN]}..." for part in flat)
        return shlex.join([program, *short])


def choose_framing(
    framing: Framing | str | None, command: Sequence[str | os.PathLike[str]]
) -> tuple[Framing, Sequence[str | os.PathLike[str]]]:
    """Return the framing that was asked for, and the command with the options that it needs.

    Raises:
        UsageError: It is neither a framing nor the name of one.
    """
    if framing is None:
        return JsonLines(), command
    if isinstance(framing, str):
        # Travels with what mentions a framing: see gc_warm/shipping/bundle.py.
        try:
            known: Any = importlib.import_module("gc_warm.worker.program.known")
        except ModuleNotFoundError:
            raise UsageError(
                f"framing={framing!r} did not travel. Write framing= where WarmProcess is called."
            ) from None
        framing, command = known.named(framing, command)
    if not isinstance(framing, Framing):
        raise UsageError(
            f"framing must be one, such as Sentinel(...), or the name of one, not {framing!r}."
        )
    return framing, command


def prepare(
    command: Sequence[str | os.PathLike[str]],
    *,
    env: Mapping[str, str | None] | None,
    own_folder: bool,
    with_stderr: bool,
    pty: bool,
    umask: int | None,
    limits: Limits | None,
) -> Setup:
    """Find a program, and return how it is started.

    The options are those of `WarmProcess`, and whether the program gets a folder of its own.

    Raises:
        ProgramMissingError: There is no such program here.
    """
    changes = env or {}
    changed = {**os.environ, **({"TERM": "dumb"} if pty else {}), **changes}
    environment = {name: value for name, value in changed.items() if value is not None}
    program = _resolve(os.fspath(command[0]), environment)
    return Setup(
        command=(program, *(os.fspath(part) for part in command[1:])),
        environment=environment,
        own_temporary=own_folder and "TMPDIR" not in changes,
        with_stderr=with_stderr,
        pty=pty,
        umask=-1 if umask is None else umask,
        limits=limits or Limits(),
    )


def _resolve(program: str, environment: dict[str, str]) -> str:
    """Return the absolute path of a program: a worker changes its directory for every task."""
    path = environment.get("PATH", os.defpath)
    found = shutil.which(program, path=path)
    if found is None:
        where = "does not exist" if os.sep in program else f"is not in PATH={path}"
        reason = f"{where} on {platform.node()}, or is not executable"
        raise ProgramMissingError(program, reason)
    return os.path.abspath(found)  # noqa: PTH100  (links stay: programs look at their own name)


class Folders:
    """A private folder, with the working directory in it, and one for large data.

    Only this user may look into them. They go when this object does.

    Args:
        cwd: The working directory to use instead of a private one.
        keep: Leave the private folder in the end.

    Attributes:
        work: The program's working directory.
        log: The file for its standard error.
    """

    def __init__(self, cwd: Path | None, *, keep: bool) -> None:
        self._private = Path(tempfile.mkdtemp(prefix="gc-warm-program-"))
        in_memory = _TMPFS.is_dir() and os.access(_TMPFS, os.W_OK | os.X_OK)
        where = _TMPFS if in_memory else None
        self._shared = Path(tempfile.mkdtemp(prefix="gc-warm-shared-", dir=where))
        self._keep = keep
        self.log = self._private / "stderr"
        self.work = self._private / "work" if cwd is None else cwd
        if cwd is None:
            self.work.mkdir()
        self.remove = weakref.finalize(self, _remove, self.to_remove())

    def to_remove(self) -> tuple[str, str]:
        """Return which folders go in the end; "" for one that is kept."""
        return "" if self._keep else str(self._private), str(self._shared)

    def make_shared(self, size: int) -> Path:
        """Make an empty folder, with room for so many bytes, for the data of one call.

        Raises:
            OSError: There is nowhere so much room.
        """
        for place in (self._shared, self._private):
            if shutil.disk_usage(place).free > size:
                return Path(tempfile.mkdtemp(dir=place))
        raise OSError(
            errno.ENOSPC, f"No room for {size:,} bytes in {self._shared} or {self._private}"
        )


def _remove(folders: tuple[str, ...]) -> None:
    for folder in filter(None, folders):
        shutil.rmtree(folder, ignore_errors=True)
