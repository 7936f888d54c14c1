"""What the SDK's user reads when a task fails, and what can be done about it.

When a worker is lost, that is what Parsl and the endpoint's engines write, and after it how the
worker ended and the end of what it printed.
"""

from __future__ import annotations

import logging
import platform
import re
import sys
import traceback
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gc_warm.errors.client import WorkerLostError

log = logging.getLogger(__name__)

TOO_LARGE = (
    "Write it into a file, or an object store, that both sides can read, and pass its path; or "
    "divide it among several tasks."
)
"""What to do about arguments and results over the limit of 10 MB."""

_MISSING = re.compile(r"ModuleNotFoundError: No module named '([^']+)'\s*\Z", re.MULTILINE)
_PARSL_ERRORS = "parsl.executors.high_throughput.errors"
_RULE = "+" * 68
_END = "-" * 68


class Loss(NamedTuple):
    """How an attempt at a task ended with the worker that had it."""

    error: WorkerLostError
    rank: int
    whole_block: bool = False  # all workers were lost with it


def describe_losses(losses: Sequence[Loss]) -> str:
    """Return what became of each attempt at a task."""
    texts = [_describe(loss) for loss in losses]
    if len(texts) == 1:
        return engine_error(texts[0])
    names = [*(str(number) for number in range(len(texts) - 1)), "final attempt"]
    return "\n".join(
        f"{_RULE}\nTraceback from attempt: {name}\n{text}{_END}"
        for name, text in zip(names, texts, strict=True)
    )


def engine_error(text: str) -> str:
    """Return an error as an engine that could not run the task writes it."""
    return f"{_RULE}\n{text}{_END}"


def _describe(loss: Loss) -> str:
    host = platform.node()
    if loss.whole_block:
        first = f"{_PARSL_ERRORS}.ManagerLost: Task failure due to loss of manager local on"
    else:
        first = f"{_PARSL_ERRORS}.WorkerLost: Task failure due to loss of worker {loss.rank} on"
    ours = "".join(traceback.format_exception_only(loss.error))
    return f"{first} host {host}\n{ours}"


def add_hints(error: BaseException, text: str) -> None:
    """Add a note on what can be done about an error; `text` is what came from the worker."""
    if text.startswith("MaxResultSizeExceeded("):
        add_note(error, f"The result is too large for Globus Compute. {TOO_LARGE}")
    if "ModuleNotFoundError" not in text or not (found := _MISSING.search(text.rstrip())):
        return
    name = found[1]
    place = _place(name)
    if place is None:
        return
    if "site-packages" in place or "dist-packages" in place:
        remedy = (
            "Install it there, in an endpoint's worker_init. If the endpoint has it: "
            "LocalExecutor(worker_packages=[...])."
        )
    else:
        remedy = (
            "Ship it with the function: decorate the function with @gc_warm.self_contained. If the "
            "endpoint has it: LocalExecutor(worker_packages=[...]) for what is installed here, or "
            "worker_path=[...]."
        )
    add_note(
        error,
        f"Module {name!r} is here ({place}), but workers do not have it, and an endpoint would not "
        f"either. {remedy}",
    )


def add_note(error: BaseException, note: str) -> None:
    """Add a note to an error; before Python 3.11, which has none, write it to the log."""
    if sys.version_info >= (3, 11):
        error.add_note(note)
    else:
        log.warning("%s", note)


def _place(name: str) -> str | None:
    """Return where this process has a module from, if it has it."""
    for each in [name, *(other for other in list(sys.modules) if other.startswith(f"{name}."))]:
        if (module := sys.modules.get(each)) is not None:
            return getattr(module, "__file__", None) or "made by this process"
    return None
