"""Where a node's processes share: in a folder for this user, this node and this boot.

The place may lie in a folder that all users can write to, or that several nodes see. So its name
holds the user and the node, and nothing in it is used unless nobody else could have put it there.
What was written before the node was booted may have been cut short by a power cut: it is in another
place, so nothing needs to be flushed to the disk.
"""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
from pathlib import Path

from gc_warm.errors.node import DiskFullError, NodeFolderError
from gc_warm.worker.node.lock import ADVICE, FULL, VARIABLE, require_locks

# Folders on a node's own disk, as sites call them; see docs/once-per-node.md.
OF_SCHEDULERS = (
    *("SLURM_TMPDIR", "PBS_JOBFS", "LOCAL_SCRATCH", "LOCALWORKDIR", "SNIC_TMP"),
    "_CONDOR_SCRATCH_DIR",
)

_tried: set[Path] = set()  # where locks work


def base() -> Path:
    """Return the folder that everything is in.

    Raises:
        NodeFolderError: What was set is not an absolute path: tasks run in folders of their own.
    """
    wanted = os.environ.get(VARIABLE, "")
    if wanted and not Path(wanted).is_absolute():
        raise NodeFolderError(f"{VARIABLE} must be an absolute path, not {wanted!r}.")
    scratch = (Path(os.environ[name]) for name in OF_SCHEDULERS if name in os.environ)
    usable = (each for each in scratch if each.is_absolute() and os.access(each, os.W_OK))
    return Path(wanted or next(filter(Path.is_dir, usable), tempfile.gettempdir())).resolve()


def path() -> Path:
    """Return the place, which need not exist."""
    return base() / f"gc-warm-{os.geteuid()}" / _node()


def _node() -> str:
    """Return what tells this node, since it was booted, from others that see the same folder."""
    boot = ""
    with contextlib.suppress(OSError):  # only Linux has it
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii")[:8]
    return f"{os.uname().nodename.replace('/', '_')}-{boot}"


def root() -> Path:
    """Return the place; make it if it is not there.

    Raises:
        NodeFolderError: It may be another user's, has no locks, or cannot be made.
    """
    here = path()
    try:
        around = here.parent.parent
        around.mkdir(0o700, parents=True, exist_ok=True)
        _require_safe(around)
        for folder in (here.parent, here, here / "folders", here / "turns"):
            own(folder)
        if here not in _tried:
            require_locks(here)
            _tried.add(here)
    except OSError as error:
        kind = DiskFullError if error.errno in FULL else NodeFolderError
        raise kind(f"{here} cannot be made: {error}. {ADVICE}") from error
    return here


def own(folder: Path) -> None:
    """Make a folder for this user alone if it is not there.

    Raises:
        NodeFolderError: What is there is something else.
    """
    while True:
        with contextlib.suppress(FileExistsError):
            folder.mkdir(0o700)
        with contextlib.suppress(FileNotFoundError):  # another process has just removed it
            found = folder.lstat()
            break
    if not _is_ours(found):
        raise NodeFolderError(
            f"{folder} is {stat.filemode(found.st_mode)} and belongs to the user {found.st_uid}. "
            "It must be a folder that you alone can use (drwx------), or another user could have "
            f"put it there: remove it. {ADVICE}"
        )


def is_own(folder: Path) -> bool:
    """Return whether a path is a folder, not a link to one, that this user alone can use."""
    try:
        return _is_ours(folder.lstat())
    except FileNotFoundError:
        return False


def _is_ours(found: os.stat_result) -> bool:
    return (
        stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o077
    )


def _require_safe(folder: Path) -> None:
    """Refuse a folder in which others could put something in the place of what is ours."""
    found = folder.stat()
    theirs = found.st_uid not in _trusted()
    if theirs or (found.st_mode & 0o022 and not found.st_mode & stat.S_ISVTX):
        raise NodeFolderError(
            f"{folder} is {stat.filemode(found.st_mode)} and belongs to the user {found.st_uid}: "
            f"others could replace what you put there. {ADVICE}"
        )


def _trusted() -> set[int]:
    """Return who may own the folder around ours: root, which a container may know as nobody."""
    trusted = {0, os.geteuid()}
    with contextlib.suppress(OSError):
        if Path("/proc/self/uid_map").read_text(encoding="ascii").split()[:2] != ["0", "0"]:
            trusted.add(int(Path("/proc/sys/kernel/overflowuid").read_text(encoding="ascii")))
    return trusted
