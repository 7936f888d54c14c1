"""What one call cost, and on which worker it ran."""

from __future__ import annotations

import os
import time
from dataclasses import asdict, dataclass
from typing import Any, Generic, ParamSpec, TypeVar, cast

from gc_warm.worker.scope import settle, task_scope
from gc_warm.worker.task import SelfContained

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True)
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

    def as_dict(self) -> dict[str, Any]:
        """Return the receipt as plain data, ready for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Receipted(Generic[T]):
    """A call's result and its receipt."""

    value: T
    receipt: Receipt


class WithReceipt(SelfContained[P, Receipted[T]], Generic[P, T]):
    """A self-contained function whose result comes with its receipt."""

    def __init__(self, plain: SelfContained[P, T]) -> None:
        super().__init__(cast("Any", plain.function))
        self.modules, self.requires, self.data = plain.modules, plain.requires, plain.data
        self.plain = plain
        if plain.arrived is not None:
            target = plain.arrived["target"].partition("!")[0] + "!receipted"
            self.arrived = {**plain.arrived, "target": target}
        for name in ("__name__", "__qualname__", "__module__", "__doc__"):
            setattr(self, name, getattr(plain, name))

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Receipted[T]:
        """Run the function here, and note what that costs."""
        with task_scope() as task:
            settle(task)
            before = (task.cold_starts, task.build_seconds, task.hits)
            started, start = time.time(), time.perf_counter()
            value = self.plain(*args, **kwargs)
            seconds = time.perf_counter() - start
            settle(task)
            receipt = Receipt(
                **worker_identity(),
                started=started,
                seconds=seconds,
                cold_starts=task.cold_starts - before[0],
                build_seconds=task.build_seconds - before[1],
                hits=task.hits - before[2],
            )
        return Receipted(value, receipt)


def worker_identity() -> dict[str, Any]:
    """Name the worker that runs this, in the fields of a `Receipt`."""
    return {
        "host": os.uname().nodename,
        "pid": os.getpid(),
        "rank": os.environ.get("PARSL_WORKER_RANK"),
        "block": os.environ.get("PARSL_WORKER_BLOCK_ID"),
        "task_id": os.environ.get("GC_TASK_UUID"),
    }
