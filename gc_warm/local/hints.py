"""What could be done about an error that came from a worker."""

from __future__ import annotations

import logging
import re
import sys

log = logging.getLogger(__name__)

TOO_LARGE = (
    "Write it into a file, or an object store, that both sides can read, and pass its path; or "
    "divide it among several tasks."
)
"""What to do about arguments and results over the limit of 10 MB."""

_MISSING = re.compile(r"ModuleNotFoundError: No module named '([^']+)'\s*\Z", re.MULTILINE)


def add_hints(error: BaseException, text: str) -> None:
    """Add a note to an error if what the worker misses is here.

    Args:
        error: What the future gets.
        text: What came from the worker.
    """
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
    """Say where this process has a module from, if it has it."""
    for each in [name, *(other for other in list(sys.modules) if other.startswith(f"{name}."))]:
        if (module := sys.modules.get(each)) is not None:
            return getattr(module, "__file__", None) or "made by this process"
    return None
