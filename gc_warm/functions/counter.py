"""Count the calls in each worker: the smallest state that stays warm.

`increase_count` keeps its count in a module global. As a plain function, it would begin at zero in
every task, or fail because the global did not travel. A self-contained function carries this
module: the worker imports it once, and the global lives as long as the worker.

    with Executor(endpoint_id) as executor:
        print(executor.submit(increase_count).result())   # {"count": 1, "host": ..., "pid": ...}
        print(executor.submit(increase_count).result())   # 2 in the same worker, 1 in another
"""

from __future__ import annotations

import os
import platform
import threading
from typing import TypedDict

from gc_warm import self_contained


class Count(TypedDict):
    """A count, and the worker that keeps it."""

    count: int
    host: str
    pid: int


_count = 0
_lock = threading.Lock()  # a ThreadPoolEngine runs tasks in several threads of one process


@self_contained
def increase_count() -> Count:
    """Count one more call in this worker.

    Returns:
        The ``count``, which is 1 for the first call in a worker; and the ``host`` and process id
        (``pid``) of the worker that counted.
    """
    global _count  # noqa: PLW0603  (a module global is what this module demonstrates)
    with _lock:
        _count += 1
        return _signed(_count)


@self_contained
def reset_count() -> Count:
    """Begin again at zero, in the worker that runs this.

    Returns:
        The ``count``, now 0, with the worker's ``host`` and ``pid``.
    """
    global _count  # noqa: PLW0603
    with _lock:
        _count = 0
        return _signed(_count)


def _signed(count: int) -> Count:
    return {"count": count, "host": platform.node(), "pid": os.getpid()}
