"""Fill one folder: completely, or nothing of it remains."""

from __future__ import annotations

import contextlib
import json
import os
import time
from dataclasses import dataclass
from types import NoneType
from typing import TYPE_CHECKING, Any

from gc_warm.errors import UsageError
from gc_warm.errors.node import DiskFullError, NodeFolderError
from gc_warm.worker.node.bill import note
from gc_warm.worker.node.entry import evict, forget_earlier_boots, remove, sizes_of
from gc_warm.worker.node.lock import FULL, Lock

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from gc_warm.worker.node.entry import Entry, Generation

_NEARLY_FULL = 1 << 20  # bytes: a build that fails with fewer left has filled the disk
DEFAULT_WAIT = 1800.0  # seconds


@dataclass(frozen=True)
class Options:
    """What `node_folder` was given; see there."""

    maxbytes: int | None = None
    max_age: float | None = None
    wait: float = DEFAULT_WAIT
    version: str | None = None
    mutable: bool = False

    def __post_init__(self) -> None:
        for name, kinds, expected in (
            ("maxbytes", (int, NoneType), "a number of bytes, a whole number"),
            ("max_age", (int, float, NoneType), "a number of seconds"),
            ("wait", (int, float), "a number of seconds"),
            ("version", (str, NoneType), "a text"),
            ("mutable", (bool,), "True or False"),
        ):
            value = getattr(self, name)
            valid = isinstance(value, kinds) and (bool in kinds or type(value) is not bool)
            if not valid or (isinstance(value, int | float) and not value >= 0):
                raise UsageError(f"{name} must be {expected}, not {value!r}.")


@dataclass
class Filling:
    """What fills a folder, and with what limits.

    Attributes:
        name: The initialiser's.
        arguments: As people read them.
        write: Fills the folder that it is given.
        options: The initialiser's.
        seconds: How long filling it took.
    """

    name: str
    arguments: str
    write: Callable[[Path], object]
    options: Options
    seconds: float = 0.0

    def run(self, entry: Entry, lock: Lock) -> tuple[Generation, Lock] | None:
        """Fill the folder of an entry whose lock is held.

        Returns:
            What was filled, and what keeps it; None in a child that was forked meanwhile.

        Raises:
            DiskFullError: There is no space, even without what nobody uses.
            NodeFolderError: What was filled is not a folder, or is too large.
        """
        lock.say(f"{self.name}({self.arguments})")
        entry.tidy(self.options.max_age)
        with contextlib.suppress(OSError):
            forget_earlier_boots()
        try:
            return self._once(entry, lock)
        except DiskFullError:
            if not evict(None):  # what nobody uses may be what fills the disk
                raise
        return self._once(entry, lock)

    def _once(self, entry: Entry, lock: Lock) -> tuple[Generation, Lock] | None:
        began, built = time.perf_counter(), time.time()
        folder = None
        try:
            folder = entry.begin()
            content = folder / "content"
            content.mkdir(0o700)
            self.write(content)
            self._require_folder(content)
            sizes = sizes_of(content)
            seconds, total = time.perf_counter() - began, sum(sizes.values())
            self._require_small(total)
            about = {
                "initialiser": self.name,
                "arguments": self.arguments,
                "built": built,
                "seconds": seconds,
                "bytes": total,
                "files": len(sizes),
            }
            (folder / "sizes.json").write_text(json.dumps({} if self.options.mutable else sizes))
            (folder / "about.json").write_text(json.dumps(about))
            use = Lock(folder / "use")
            use.take(shared=True, make=True)  # before others can see it, and remove it
            if not lock.held:  # this is a child, forked meanwhile
                return None
            generation = entry.complete(folder)
        except BaseException as error:
            if lock.held:
                self._clean_up(entry, folder, error)
            raise
        self.seconds += seconds
        note({"node_cold_starts": 1, "node_build_seconds": seconds, "node_bytes": total})
        if self.options.maxbytes is not None:
            evict(self.name, self.options.maxbytes)
        return generation, use

    def _clean_up(self, entry: Entry, folder: Path | None, error: BaseException) -> None:
        """Remove what could not be completed; if the disk is full, say so."""
        full = not isinstance(error, NodeFolderError) and _is_full(error, entry.path)
        written = sum(sizes_of(folder).values()) if full and folder else 0
        if folder:
            remove(folder)
        if full:
            raise DiskFullError(
                f"The disk of {entry.path} is full: {self.name} had written {written:,} bytes, "
                "which were removed. `gc-warm node list` shows what else is there; "
                "GC_WARM_NODE_DIR chooses another disk."
            ) from error

    def _require_folder(self, content: Path) -> None:
        if content.is_symlink() or not content.is_dir():
            raise NodeFolderError(
                f"{self.name} must fill the folder that it gets, not remove or replace it."
            )

    def _require_small(self, total: int) -> None:
        if self.options.maxbytes is not None and total > self.options.maxbytes:
            raise NodeFolderError(
                f"A folder of {self.name} has {total:,} bytes, but all of its folders together may "
                f"have only maxbytes={self.options.maxbytes:,}."
            )


def _is_full(error: BaseException | None, path: Path) -> bool:
    """Return whether a failure is that of a full disk, which some libraries hide in a message."""
    with contextlib.suppress(OSError):
        status = os.statvfs(path)
        if isinstance(error, Exception) and status.f_bavail * status.f_frsize < _NEARLY_FULL:
            return True
    while error is not None:
        number: Any = getattr(error, "errno", None)
        if number in FULL or any(f"[Errno {each}]" in str(error) for each in FULL):
            return True
        error = error.__cause__ or error.__context__
    return False
