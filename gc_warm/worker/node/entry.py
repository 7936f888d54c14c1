"""One entry of the place: a folder with all its generations, each complete or not there at all.

    folders/weights-1f2e.../          an initialiser's folder for some arguments
        lock                          held by whoever fills it
        building-x7/                  being filled; if nobody holds the lock, its builder was killed
        3/                            a generation: it got this name when it was complete
            content/                  what users are given
            use                       shared by whoever uses it; taken alone to remove it
            about.json, sizes.json
        gone-k2/                      being removed

A generation becomes complete, and is removed, by being renamed, which happens as a whole or not at
all. So even if two processes hold the same lock, neither gets part of a folder.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import stat
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gc_warm.errors.node import NodeFolderError
from gc_warm.worker.node import place
from gc_warm.worker.node.lock import Lock

if TYPE_CHECKING:
    from collections.abc import Iterator

_MOMENT = 5.0  # seconds
_NO_TIME_TRAVEL = 60.0  # seconds that a clock may be set back without making folders look too old
_LEFT_OVER = ("building-", "gone-")
found_whole: set[tuple[Path, int]] = set()  # generations, by this process


class Entry:
    """One entry, by the path of its folder: see the module."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lock = path / "lock"

    def generations(self) -> list[Generation]:
        """Return what is complete, newest first."""
        try:
            names = [each.name for each in self.path.iterdir()]
        except OSError:
            return []
        numbers = sorted((int(name) for name in names if name.isdecimal()), reverse=True)
        return [Generation(self.path / str(number)) for number in numbers]

    def use(self, max_age: float | None) -> tuple[Generation, Lock] | None:
        """Return the newest generation, if it is whole and not too old, and what keeps it."""
        for found in self.generations():
            lock = found.keep()
            if lock is None:
                continue
            if not found.is_too_old(max_age) and found.is_whole():
                lock.touch()
                return found, lock
            lock.free()
        return None

    def begin(self) -> Path:
        """Return a new folder for a builder to fill."""
        return Path(tempfile.mkdtemp(prefix="building-", dir=self.path))

    def complete(self, folder: Path) -> Generation:
        """Make what was filled the newest generation; unless another has, where locks failed."""
        number = max([0, *(int(each.path.name) for each in self.generations())]) + 1
        try:
            folder.rename(self.path / str(number))
        except OSError as error:
            if error.errno not in {errno.ENOTEMPTY, errno.EEXIST}:
                raise
            remove(folder)
        return Generation(self.path / str(number))

    def tidy(self, max_age: float | None) -> None:
        """Remove what was left over, and what is of no use (lock held)."""
        self._remove_what_was_left_over()
        newest = True
        for each in self.generations():
            if not newest or each.is_too_old(max_age) or not each.is_whole():
                each.remove()
            else:
                newest = False

    def forget(self) -> None:
        """Remove the entry itself, if there is nothing in it and nobody builds."""
        with Lock(self.lock) as lock, contextlib.suppress(OSError, NodeFolderError):
            if lock.take(make=True):
                self._remove_what_was_left_over()
                if [*self.path.iterdir()] == [self.lock]:
                    self.lock.unlink()
                    self.path.rmdir()

    def _remove_what_was_left_over(self) -> None:
        for each in self.path.iterdir():
            if each.name.startswith(_LEFT_OVER):
                remove(each)


class Generation:
    """What is complete in one entry: see the module."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.content = path / "content"
        self.lock = path / "use"

    def keep(self) -> Lock | None:
        """Return a lock that keeps it from being removed; None if it is just being removed."""
        lock = Lock(self.lock)
        deadline = time.monotonic() + _MOMENT
        with contextlib.suppress(NodeFolderError):  # somebody has put something else there
            while self.lock.exists() and time.monotonic() < deadline:
                if lock.take(shared=True):
                    return lock
                time.sleep(0.001)  # others check whether it is used, which takes no time
        return None

    def about(self) -> dict[str, Any]:
        """Return what its builder wrote about it; nothing if that cannot be read."""
        found = _read(self.path / "about.json")
        return found if isinstance(found, dict) else {}

    def size(self) -> int:
        """Return how many bytes it had when it was built."""
        size = self.about().get("bytes")
        return size if isinstance(size, int) else 0

    def is_too_old(self, max_age: float | None) -> bool:
        """Return whether it was built too long ago; or in the future, so its age is unknown."""
        if max_age is None:
            return False
        try:
            age = time.time() - float(self.about()["built"])
        except (KeyError, TypeError, ValueError):
            return True
        return not -_NO_TIME_TRAVEL <= age < max_age

    def is_whole(self) -> bool:
        """Return whether it holds all the files that it was built with, at their sizes.

        It does, unless something has changed it, such as a program that cleans temporary folders.
        """
        try:
            content = self.content.lstat()
            if not stat.S_ISDIR(content.st_mode) or content.st_uid != os.geteuid():
                return False
            mark = self.path, content.st_ino
            if mark not in found_whole:
                sizes: dict[str, int] = _read(self.path / "sizes.json")
                if any((self.content / name).lstat().st_size != sizes[name] for name in sizes):
                    return False
                found_whole.add(mark)
        except (OSError, TypeError, ValueError):
            return False
        return True

    def used(self) -> float:
        """Return when it was last asked for, in seconds since the epoch."""
        try:
            return self.lock.stat().st_mtime
        except OSError:
            return 0.0

    def remove(self) -> None:
        """Remove it, if nobody uses it."""
        with Lock(self.lock) as lock, contextlib.suppress(OSError):
            try:
                is_used = not lock.take(make=True)
            except NodeFolderError:  # it is not a file: nobody can use it
                is_used = False
            if not is_used:
                gone = Path(tempfile.mkdtemp(prefix="gone-", dir=self.path.parent))
                self.path.rename(gone / "it")
                remove(gone)


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None


def sizes_of(folder: Path) -> dict[str, int]:
    """Return the size of each file or link below a folder, by its path in it."""
    found = {}
    top = len(str(folder)) + 1
    for above, folders, names in os.walk(folder, onerror=_complain):
        for name in folders + names:  # links to folders are among these
            status = os.lstat(f"{above}/{name}")
            if stat.S_ISREG(status.st_mode) or stat.S_ISLNK(status.st_mode):
                found[f"{above}/{name}"[top:]] = status.st_size
    return found


def _complain(error: OSError) -> None:
    if not isinstance(error, PermissionError):  # what cannot be looked into is not compared
        raise error


def remove(path: Path) -> None:
    """Remove a file or a folder, even if what is in it is read-only."""
    with contextlib.suppress(OSError, RecursionError):
        if path.is_symlink() or not path.is_dir():
            path.unlink()
            return
        shutil.rmtree(path, ignore_errors=True)
        if path.exists():
            for above, _, _ in os.walk(path):  # no folder is a link here
                Path(above).chmod(0o700)
                for each in Path(above).iterdir():
                    if each.is_dir() and not each.is_symlink():
                        each.chmod(0o700)
            shutil.rmtree(path, ignore_errors=True)


# All entries


def entries(where: Path | None = None) -> Iterator[Entry]:
    """Yield all entries of a place, which need not exist; by default of this node's."""
    folder = (where or place.path()) / "folders"
    with contextlib.suppress(OSError):
        if all(map(place.is_own, (folder.parents[1], folder.parent, folder))):
            yield from (Entry(each) for each in sorted(folder.iterdir()) if place.is_own(each))


def evict(wanted: str | None, limit: int = 0) -> int:
    """Remove generations that nobody uses, the least recently used first.

    Args:
        wanted: The initialiser whose generations count; None for all.
        limit: How many bytes they may have together; 0 removes even the empty ones.

    Returns:
        How many were removed.
    """
    found = [
        (each, entry)
        for entry in entries()
        for each in entry.generations()
        if wanted is None or each.about().get("initialiser") == wanted
    ]
    total = sum(each.size() for each, _ in found)
    removed = 0
    for each, entry in sorted(found, key=lambda pair: pair[0].used()):
        if limit and total <= limit:
            break
        size = each.size()
        each.remove()
        if not each.path.exists():
            total -= size
            removed += 1
            entry.forget()
    return removed


def forget_earlier_boots() -> None:
    """Remove what is left from before this node was booted: nothing there is used again.

    If another node has the same name, and sees the same folder, what it uses stays.
    """
    here = place.path()
    host = here.name.rpartition("-")[0]
    for other in here.parent.iterdir():
        if other.name != here.name and other.name.rpartition("-")[0] == host:
            for entry in entries(other):
                for each in entry.generations():
                    each.remove()
                entry.forget()
            if not [*entries(other)]:
                remove(other)
