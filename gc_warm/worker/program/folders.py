"""The folders that a program has of its own."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
import weakref
from pathlib import Path

_TMPFS = Path("/dev/shm")  # noqa: S108  (folders in it are made by mkdtemp, for us alone)


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
        self._shared = _make_shared()
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
        """Make an empty folder for the data of one call.

        Args:
            size: How many bytes it must have room for.

        Raises:
            OSError: There is nowhere so much room.
        """
        for place in (self._shared, self._private):
            if shutil.disk_usage(place).free > size:
                return Path(tempfile.mkdtemp(dir=place))
        raise OSError(
            errno.ENOSPC, f"No room for {size:,} bytes in {self._shared} or {self._private}"
        )

    def abandon(self) -> None:
        """Leave the folders to the parent, in a forked child."""
        self.remove.detach()


def _make_shared() -> Path:
    in_memory = _TMPFS.is_dir() and os.access(_TMPFS, os.W_OK | os.X_OK)
    return Path(tempfile.mkdtemp(prefix="gc-warm-shared-", dir=_TMPFS if in_memory else None))


def _remove(folders: tuple[str, ...]) -> None:
    for folder in filter(None, folders):
        shutil.rmtree(folder, ignore_errors=True)
