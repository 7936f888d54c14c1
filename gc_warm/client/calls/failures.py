"""What failures mean: those of calls, and those of tasks that were lost with their workers."""

from __future__ import annotations

import pickle
import re
from concurrent.futures import BrokenExecutor

from gc_warm.errors.client import CallError, RemoteTraceback

# What Parsl raises, as it stands at the beginning of a line of the SDK's TaskExecutionFailed.
_LOST = re.compile(
    r"^ *(?:[\w.]+\.)?(?P<kind>WorkerLost|ManagerLost|WorkerLostError)\b:? ?(?P<text>(?s:.*?))\s*"
    r"(?:^ *-{9,} *$|\Z)",
    re.MULTILINE,
)
_TOO_LARGE = re.compile(r"^ *(?:[\w.]+\.)?MaxResultSizeExceeded\b", re.MULTILINE)
_SHOWN = 300


def why_lost(error: BaseException) -> str | None:
    """Return how a worker was lost, in a line; None if that is not what happened."""
    if isinstance(error, BrokenExecutor):
        return f"{type(error).__name__}: {error}"
    found = _LOST.search(str(error))
    return found and f"{found['kind']}: {found['text']}".partition("\n")[0][:_SHOWN]


def without_advice(error: BaseException) -> BaseException:
    """Return a short error for a lost worker, with the SDK's as its cause; others as they are.

    The SDK's says that this appears to be an error with serialization, and what to do about that.
    """
    found = None if isinstance(error, BrokenExecutor) else _LOST.search(str(error))
    if found is None:
        return error
    short = CallError(found["kind"], "\n".join(map(str.strip, found["text"].splitlines())))
    short.__cause__ = error
    return short


def is_too_large(error: BaseException) -> bool:
    """Return whether a task's results were too large to be sent back."""
    return _TOO_LARGE.search(str(error)) is not None


def unpack_error(data: bytes | BaseException) -> BaseException:
    """Return the error that `gc_warm.worker.batched` describes, with its traceback as the cause."""
    if isinstance(data, BaseException):  # it never left this process
        return data
    name, text, traceback, itself = pickle.loads(data)  # noqa: S301 - the user's own task sent it
    error: BaseException | None = None
    if itself is not None:
        try:
            error = pickle.loads(itself)  # noqa: S301
        except Exception:  # noqa: BLE001 - its class may be missing here
            error = None
    if not isinstance(error, BaseException):
        error = CallError(name, text)
    error.__cause__ = RemoteTraceback(traceback)
    return error
