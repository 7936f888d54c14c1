"""How programs are started, and how they ended."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_FIRST = 3


@contextlib.contextmanager
def above_standard(*descriptors: int) -> Iterator[list[int]]:
    """Lend copies of descriptors that no standard stream will take the place of.

    Where standard streams are closed, whatever is opened next gets their numbers; and a program
    that is started with it would find its own standard streams there.

    Args:
        descriptors: What to copy.

    Yields:
        The copies, which programs inherit only if they are named.
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
    """Say how a process ended, given its exit code as `subprocess` has it."""
    if code >= 0:
        return f"exited with status {code}"
    try:
        return f"was killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"was killed by signal {-code}"
