"""What the SDK's user reads when a worker is lost: what Parsl and the endpoint's engines write.

After their lines come ours: how the worker ended, and the end of what it printed.
"""

from __future__ import annotations

import platform
import traceback
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gc_warm.local.dispatch import Loss

_PARSL_ERRORS = "parsl.executors.high_throughput.errors"
_RULE = "+" * 68
_END = "-" * 68


def describe_losses(losses: Sequence[Loss]) -> str:
    """Say what became of each attempt at a task."""
    texts = [_describe(loss) for loss in losses]
    if len(texts) == 1:
        return engine_error(texts[0])
    names = [*(str(number) for number in range(len(texts) - 1)), "final attempt"]
    return "\n".join(
        f"{_RULE}\nTraceback from attempt: {name}\n{text}{_END}"
        for name, text in zip(names, texts, strict=True)
    )


def engine_error(text: str) -> str:
    """Write an error as an engine does that could not run the task."""
    return f"{_RULE}\n{text}{_END}"


def _describe(loss: Loss) -> str:
    host = platform.node()
    if loss.whole_block:
        first = f"{_PARSL_ERRORS}.ManagerLost: Task failure due to loss of manager local on"
    else:
        first = f"{_PARSL_ERRORS}.WorkerLost: Task failure due to loss of worker {loss.rank} on"
    ours = "".join(traceback.format_exception_only(loss.error))
    return f"{first} host {host}\n{ours}"
