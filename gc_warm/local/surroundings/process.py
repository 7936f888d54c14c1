"""How a process of ours is started, and how it ended."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import subprocess
from pathlib import Path
from typing import IO, TYPE_CHECKING

from gc_warm.errors.client import WorkerStartError
from gc_warm.local import remote

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_MAIN = str(Path(remote.__file__).with_name("__main__.py").resolve())
_FIRST = 3
_UMASK = 0o077  # the endpoint agent's, too: what a task writes is for its user alone


def start(
    module: str,
    descriptors: Sequence[int],
    *arguments: str,
    python: str,
    environment: Mapping[str, str],
    folder: Path,
    output: IO[bytes],
) -> subprocess.Popen[bytes]:
    """Start one of the modules of `gc_warm.local.remote`.

    Args:
        module: Its name.
        descriptors: What it inherits; its first arguments are their numbers there.
        arguments: Its other arguments.
        python: The interpreter.
        environment: All of its environment.
        folder: Its working directory.
        output: What it prints to.

    Raises:
        WorkerStartError: `python` cannot be run.
    """
    with _above_standard(*descriptors) as inherited:
        try:
            return subprocess.Popen(  # noqa: S603 - running the user's Python is the purpose
                [python, _MAIN, module, *map(str, inherited), *arguments],
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=inherited,
                umask=_UMASK,
                start_new_session=True,  # so that Ctrl-C in a terminal does not reach workers
            )
        except OSError as error:
            raise WorkerStartError(f"Cannot run {python!r} for workers: {error}.") from error


@contextlib.contextmanager
def _above_standard(*descriptors: int) -> Iterator[list[int]]:
    """Lend copies of descriptors whose numbers are not those of standard streams.

    Where standard streams are closed, whatever is opened next gets their numbers; a program that
    inherits it would take it for its own standard streams.
    """
    copies: list[int] = []
    try:
        for descriptor in descriptors:
            copies.append(fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, _FIRST))  # noqa: PERF401
        yield copies
    finally:
        for copy in copies:
            os.close(copy)


def describe_exit(code: int) -> str:
    """Return how a process ended, given its exit code as `subprocess` has it."""
    if code >= 0:
        return f"exited with status {code}"
    try:
        return f"was killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"was killed by signal {-code}"
