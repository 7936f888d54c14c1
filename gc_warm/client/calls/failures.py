"""What failures mean: those of calls, and of tasks that were lost with their workers."""

from __future__ import annotations

import pickle
import re
from concurrent.futures import BrokenExecutor
from contextlib import suppress

from gc_warm.errors.client import CallError, RemoteTraceback

# What Parsl raises, as it stands at the beginning of a line of the SDK's TaskExecutionFailed.
_LOST = re.compile(
    r"^ *(?:[\w.]+\.)?(?P<kind>WorkerLost|ManagerLost|WorkerLostError)\b:? ?(?P<text>(?s:.*?))\s*"
    r"(?:^ *-{9,} *$|\Z)",
    re.MULTILINE,
)
_TOO_LARGE = re.compile(r"^ *(?:[\w.]+\.)?MaxResultSizeExceeded\b", re.MULTILINE)
_SHOWN = 300


def text_of(error: BaseException) -> str:
    """Return an error's text, even if its class cannot say it."""
    try:
        return str(error).encode("utf-8", "replace").decode()  # so that any file can hold it
    except Exception:  # noqa: BLE001 - a user's class
        return "(it cannot say)"


def describe(error: BaseException) -> str:
    """Return an error's class and text."""
    return f"{type(error).__name__}: {text_of(error)}"


def why_lost(error: BaseException) -> str | None:
    """Return how a worker was lost, in a line; None if that is not what happened."""
    if isinstance(error, BrokenExecutor):
        return describe(error)
    found = _LOST.search(text_of(error))
    return found and f"{found['kind']}: {found['text']}".partition("\n")[0][:_SHOWN]


def without_advice(error: BaseException) -> BaseException:
    """Return a short error for a lost worker, caused by the SDK's; other errors as they are.

    The SDK's error takes the loss for one of serialization, and says what to do about that.
    """
    found = None if isinstance(error, BrokenExecutor) else _LOST.search(text_of(error))
    if found is None:
        return error
    short = CallError(found["kind"], "\n".join(map(str.strip, found["text"].splitlines())))
    short.__cause__ = error
    return short


def is_too_large(error: BaseException) -> bool:
    """Return whether a task's results were too large to be sent back."""
    return _TOO_LARGE.search(text_of(error)) is not None


def unpack_error(data: bytes | BaseException) -> Exception:
    """Return the error that `gc_warm.worker.batched` describes, with its traceback as the cause.

    What would end the client's program, such as `SystemExit`, becomes a `CallError`.
    """
    if isinstance(data, Exception):  # it never left this process
        return data
    if isinstance(data, BaseException):
        told = CallError(type(data).__name__, text_of(data))
        told.__cause__ = data
        return told
    name, text, traceback, itself = pickle.loads(data)  # noqa: S301 - the user's own task sent it
    error: Exception = CallError(name, text)
    if itself is not None:
        with suppress(Exception):  # its class may be missing here
            found = pickle.loads(itself)  # noqa: S301
            error = found if isinstance(found, Exception) else error
    error.__cause__ = RemoteTraceback(traceback)
    return error
