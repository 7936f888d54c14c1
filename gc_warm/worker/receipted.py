"""Self-contained functions that also return what their calls cost."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Generic, ParamSpec, TypeVar

from gc_warm.worker.receipt import Build, Receipt, Receipted, worker_identity
from gc_warm.worker.scope import task_scope
from gc_warm.worker.wrapped import Wrapped

if TYPE_CHECKING:
    from gc_warm.worker.self_contained import SelfContained

P = ParamSpec("P")
T = TypeVar("T")


class WithReceipt(Wrapped[P, Receipted[T]], Generic[P, T]):
    """A self-contained function whose result comes with its receipt."""

    form = "!receipted"
    plain: SelfContained[P, T]

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Receipted[T]:
        """Run the function here, and record what that costs."""
        with task_scope() as task:
            builds, build_seconds, hits = len(task.builds), task.build_seconds, task.hits
            node = {**task.node}
            started, start = time.time(), time.perf_counter()
            value = self.plain(*args, **kwargs)
            seconds = time.perf_counter() - start
            built = tuple([Build(*each) for each in task.builds[builds:]])
            receipt = Receipt(
                **worker_identity(),
                started=started,
                seconds=seconds,
                cold_starts=len(built),
                build_seconds=task.build_seconds - build_seconds,
                hits=task.hits - hits,
                builds=built,
                **{name: cost - node.get(name, 0) for name, cost in task.node.items()},
            )
        return Receipted(value, receipt)


Form = WithReceipt
