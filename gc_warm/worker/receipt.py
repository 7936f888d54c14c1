"""What one call cost, and on which worker it ran."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from typing import Any, Generic, NamedTuple, TypeVar

T = TypeVar("T")


class Build(NamedTuple):
    """A warm state that a call built.

    Attributes:
        state: The initialiser, as ``module.name``.
        arguments: Its arguments, as text.
        seconds: How long the build took.
    """

    state: str
    arguments: str
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Receipt:
    """What one call of a self-contained function cost.

    Attributes:
        host: Name of the machine.
        pid: Process id of the worker.
        rank: The worker's rank in its block (``PARSL_WORKER_RANK``), if it has one.
        block: The block it belongs to (``PARSL_WORKER_BLOCK_ID``), if it has one.
        task_id: The task that made the call (``GC_TASK_UUID``), if any.
        started: When the call began, in seconds since the epoch.
        seconds: How long the call took, builds included.
        cold_starts: How many warm states the call built.
        build_seconds: How long these builds took.
        hits: How many times the call found a state warm.
        builds: The warm states that the call built, in order.
        node_cold_starts: How many folders of the node the call filled.
        node_build_seconds: How long it took to fill these.
        node_bytes: How large they are, in bytes.
        node_wait_seconds: How long the call waited for other processes of the node: for a folder
            that one of them was filling, or for its turn to build.
    """

    host: str
    pid: int
    rank: str | None
    block: str | None
    task_id: str | None
    started: float
    seconds: float
    cold_starts: int
    build_seconds: float
    hits: int
    builds: tuple[Build, ...]
    node_cold_starts: int = 0
    node_build_seconds: float = 0.0
    node_bytes: int = 0
    node_wait_seconds: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """Return the receipt as plain data, ready for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Receipted(Generic[T]):
    """A call's result and its receipt."""

    value: T
    receipt: Receipt


def worker_identity() -> dict[str, Any]:
    """Name the worker that runs this, in the fields of a `Receipt`."""
    return {
        "host": os.uname().nodename,
        "pid": os.getpid(),
        "rank": os.environ.get("PARSL_WORKER_RANK"),
        "block": os.environ.get("PARSL_WORKER_BLOCK_ID"),
        "task_id": os.environ.get("GC_TASK_UUID"),
    }
