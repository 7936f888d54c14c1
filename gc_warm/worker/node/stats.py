"""What is in a node's place, for people and programs."""

from __future__ import annotations

from typing import Any

from gc_warm.errors.node import NodeFolderError
from gc_warm.worker.node import place
from gc_warm.worker.node.entry import entries, evict
from gc_warm.worker.node.lock import Lock, holder_of


def node_stats() -> dict[str, Any]:
    """Return what the processes of this node share, as plain data ready for JSON.

    This makes and changes nothing.

    Returns:
        ``place``, where it is; ``folders``, a list with each folder's ``initialiser``,
        ``arguments``, ``path``, ``bytes``, ``files``, ``built`` and ``used`` (seconds since the
        epoch), ``seconds`` (that filling it took) and ``in_use``; ``building``, a list with what is
        being filled now: ``what``, and by which ``pid`` and ``host``, ``since`` when.

    Raises:
        NodeFolderError: GC_WARM_NODE_DIR is not an absolute path.
    """
    folders, building = [], []
    for entry in entries():
        lock = Lock(entry.lock)
        if _is_taken(lock):
            building.append(holder_of(entry.lock))
        for each in entry.generations():
            about = {name: each.about().get(name) for name in _SHOWN}
            in_use = _is_taken(Lock(each.lock))
            folders.append(
                {**about, "path": str(each.content), "used": each.used(), "in_use": in_use}
            )
    return {"place": str(place.path()), "folders": folders, "building": building}


_SHOWN = ("initialiser", "arguments", "bytes", "files", "built", "seconds")


def _is_taken(lock: Lock) -> bool:
    try:
        with lock:
            return lock.path.exists() and not lock.take()
    except (OSError, NodeFolderError):  # something else has been put there
        return False


def clear(initialiser: str | None = None) -> int:
    """Remove the folders of this node that nobody uses, and what builders that were killed left.

    Args:
        initialiser: Whose; None for all.

    Returns:
        How many were removed.
    """
    removed = evict(initialiser)
    for entry in entries() if initialiser is None else ():
        entry.forget()
    return removed
