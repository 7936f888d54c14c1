"""Locks between the processes of a node, which end with the process that holds them.

They are ``flock`` locks, which belong to an open file. Any thread of any process may wait for one,
and however a holder ends, the kernel lets the next go on. Three things could keep a lock longer
than that: a program that the holder starts does not inherit the file; a child that it forks closes
its copy; and a frame that was cut off frees the lock when it goes, even if no ``finally`` ran.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import threading
import time
from typing import TYPE_CHECKING, Any, TypeVar

from gc_warm.errors.node import DiskFullError, NodeFolderError, NodeTimeoutError
from gc_warm.worker.weak import WeakBag

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from typing_extensions import Self

T = TypeVar("T")

VARIABLE = "GC_WARM_NODE_DIR"
ADVICE = f"Set {VARIABLE} to a folder of your own on a disk of the node."
FULL = {errno.ENOSPC, errno.EDQUOT}

# While it waits, a process looks this often, in seconds. An exception that is injected into a
# thread, as GC_TASK_TIMEOUT does, arrives between two looks.
SLICE = 0.05


class Lock:
    """A lock on a file. It may be held by one, or shared by several.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.thread = threading.get_ident()
        self._file = -1

    @property
    def held(self) -> bool:
        """Whether this object holds it; a forked child's copy does not."""
        return self._file >= 0

    def take(self, *, shared: bool = False, make: bool = False) -> bool:
        """Take the lock if that can be done at once; return whether it was.

        Args:
            shared: With others who share it.
            make: Make the file if it is not there; without a file, the lock cannot be taken.

        Raises:
            DiskFullError: There is no space for the file.
            NodeFolderError: It cannot be opened, or this file system has no locks.
        """
        flags = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC | (os.O_CREAT if make else 0)
        kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
        if not shared:
            _exclusive.add(self)  # first, so that no child keeps the file
        try:
            self._file = os.open(self.path, flags, 0o600)
            fcntl.flock(self._file, kind | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(self._file), self.path.stat()):
                return True  # else somebody has just removed the file
        except FileNotFoundError:
            pass
        except OSError as error:
            if self._file < 0 or error.errno not in {errno.EAGAIN, errno.EACCES}:
                raise self._failure(error) from error
        self.free()
        return False

    def free(self) -> None:
        """Let others have it."""
        file, self._file = self._file, -1
        _exclusive.discard(self)
        if file >= 0:
            os.close(file)

    def _failure(self, error: OSError) -> NodeFolderError:
        opened = self._file >= 0
        self.free()
        if opened:
            return NodeFolderError(_no_locks(self.path, str(error)))
        kind = DiskFullError if error.errno in FULL else NodeFolderError
        return kind(f"The lock {self.path} cannot be opened: {error.strerror}. {ADVICE}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *details: object) -> None:
        self.free()

    def __del__(self) -> None:
        with contextlib.suppress(OSError, AttributeError, TypeError):  # at the end of Python
            self.free()

    def say(self, what: str) -> None:
        """Write into the file who holds the lock, for those who wait."""
        note = {"what": what, "pid": os.getpid(), "host": os.uname().nodename, "since": time.time()}
        with contextlib.suppress(OSError):  # the disk may be full
            os.ftruncate(self._file, 0)
            os.pwrite(self._file, json.dumps(note).encode(), 0)

    def touch(self) -> None:
        """Set the file's time to now."""
        os.utime(self._file)


_exclusive: WeakBag[Lock] = WeakBag()


def _after_fork() -> None:
    """Close what a child has inherited of its parent's locks: these are its parent's alone.

    What is shared stays: a child uses what its parent does.
    """
    for lock in _exclusive:
        is_of_this_thread = lock.thread == threading.get_ident()
        lock.free()
        if is_of_this_thread:  # the child is inside what the lock is for
            _exclusive.add(lock)


os.register_at_fork(after_in_child=_after_fork)


def held_by_this_thread() -> list[Path]:
    """Return the locks that this thread holds alone, or held when it was forked."""
    return [lock.path for lock in _exclusive if lock.thread == threading.get_ident()]


def require_locks(folder: Path) -> None:
    """Test whether of two that want the same lock in a folder only one gets it.

    Raises:
        NodeFolderError: Both get it, or neither.
    """
    path = folder / f".try-{os.getpid()}-{time.monotonic_ns()}"
    try:
        with Lock(path) as one, Lock(path) as other:
            if not one.take(make=True) or other.take():
                raise NodeFolderError(_no_locks(folder, "two processes would hold the same lock"))
    finally:
        path.unlink(missing_ok=True)


def _no_locks(where: Path, why: str) -> str:
    return f"File locks do not work at {where} ({why}), so processes cannot take turns. {ADVICE}"


# Waiting


def wait_for(attempt: Callable[[], T | None], seconds: float, complaint: Callable[[], str]) -> T:
    """Try until there is a result.

    Args:
        attempt: Returns the result, or None.
        seconds: For how long.
        complaint: Returns the message of the error.

    Raises:
        NodeTimeoutError: There was none in that time.
    """
    deadline = time.monotonic() + seconds
    pause = 0.001
    while True:
        found = attempt()
        if found is not None:
            return found
        left = deadline - time.monotonic()
        if left <= 0:
            raise NodeTimeoutError(complaint())
        time.sleep(min(pause, left))
        pause = min(2 * pause, SLICE)


def holder_of(path: Path) -> dict[str, Any]:
    """Return what the last holder of a lock said; nothing if that cannot be read."""
    try:
        note = json.loads(path.read_text(encoding="utf-8"))
        return {name: note[name] for name in ("what", "pid", "host", "since")}
    except (OSError, ValueError, TypeError, KeyError):
        return {}


def describe_holder(path: Path) -> str:
    """Return who holds a lock, and since when."""
    note = holder_of(path)
    try:
        since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(note["since"]))
    except (KeyError, TypeError, ValueError, OverflowError, OSError):
        return "a process that did not say which"
    return f"process {note['pid']} on {note['host']}, since {since}, for {note['what']}"
