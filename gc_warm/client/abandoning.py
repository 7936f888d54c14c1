"""Shutting an executor down without waiting for results.

The SDK's executor (4.19) lets a program end only when all results have come, whatever `shutdown` is
told: a thread waits for them. Here are the SDK's private names that end that thread, too.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from concurrent.futures import Executor


def abandon(executor: Executor) -> None:
    """Shut an executor down at once, and cancel its futures.

    Tasks that were sent may still run where they are.

    Args:
        executor: The SDK's, a `LocalExecutor`, or any of `concurrent.futures`.
    """
    if give_up := getattr(executor, "abandon", None):  # as LocalExecutor has it
        give_up()
        return
    executor.shutdown(wait=False, cancel_futures=True)
    sdk = sys.modules.get("globus_compute_sdk.sdk.executor")
    if sdk is not None and isinstance(executor, sdk.Executor):
        watcher = sdk._RESULT_WATCHERS.get(executor.task_group_id)  # noqa: SLF001
        if watcher is not None:
            watcher.shutdown(wait=False, cancel_futures=True)
