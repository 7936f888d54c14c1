"""Self-contained functions that return what their calls cost, too."""

from __future__ import annotations

import time
from typing import Any, Generic, ParamSpec, TypeVar, cast

from gc_warm.worker.receipt import Receipt, Receipted, worker_identity
from gc_warm.worker.scope import task_scope
from gc_warm.worker.task import SelfContained

P = ParamSpec("P")
T = TypeVar("T")


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
            before = (task.cold_starts, task.build_seconds, task.hits)
            node = {**task.node}
            started, start = time.time(), time.perf_counter()
            value = self.plain(*args, **kwargs)
            seconds = time.perf_counter() - start
            receipt = Receipt(
                **worker_identity(),
                started=started,
                seconds=seconds,
                cold_starts=task.cold_starts - before[0],
                build_seconds=task.build_seconds - before[1],
                hits=task.hits - before[2],
                **{name: cost - node.get(name, 0) for name, cost in task.node.items()},
            )
        return Receipted(value, receipt)
