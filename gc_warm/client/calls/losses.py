"""Which errors mean that a worker was lost, so that its calls may be tried again."""

from __future__ import annotations

import re
from concurrent.futures import BrokenExecutor

# What Parsl raises, as it stands at the beginning of a line of the SDK's TaskExecutionFailed.
_LOST = re.compile(r"^ *(?:[\w.]+\.)?(WorkerLost|ManagerLost|WorkerLostError)\b", re.MULTILINE)
_TOO_LARGE = re.compile(r"^ *(?:[\w.]+\.)?MaxResultSizeExceeded\b", re.MULTILINE)
_SHOWN = 300


def why_lost(error: BaseException) -> str | None:
    """Return how a worker was lost, in a line; None if that is not what happened."""
    if isinstance(error, BrokenExecutor):
        return f"{type(error).__name__}: {error}"
    found = _LOST.search(str(error))
    if found is None:
        return None
    return str(error)[found.start(1) :].partition("\n")[0][:_SHOWN]


def is_too_large(error: BaseException) -> bool:
    """Say whether a task's results were too large to be sent back."""
    return _TOO_LARGE.search(str(error)) is not None
