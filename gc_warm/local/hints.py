"""What could be done about an error that came from a worker."""

from __future__ import annotations

import logging
import re
import sys

log = logging.getLogger(__name__)

_MISSING = re.compile(r"ModuleNotFoundError: No module named '([^']+)'\s*\Z", re.MULTILINE)


def add_hints(error: BaseException, text: str) -> None:
    """Add a note to an error if what the worker misses is here.

    Args:
        error: What the future gets.
        text: What came from the worker.
    """
    if "ModuleNotFoundError" not in text or not (found := _MISSING.search(text.rstrip())):
        return
    name = found[1]
    place = _place(name)
    if place is None:
        return
    if "site-packages" in place or "dist-packages" in place:
        remedy = "Install it there, in an endpoint's worker_init."
    else:
        remedy = (
            "Ship it with the function: decorate the function with @gc_warm.self_contained. Or "
            "give workers what the endpoint has: LocalExecutor(worker_path=[...])."
        )
    hint = (
        f"Module {name!r} is here ({place}), but workers do not have it, and an endpoint would not "
        f"either. {remedy}"
    )
    if sys.version_info >= (3, 11):
        error.add_note(hint)
    else:
        log.warning("%s", hint)


def _place(name: str) -> str | None:
    """Say where this process has a module from, if it has it."""
    for each in [name, *(other for other in list(sys.modules) if other.startswith(f"{name}."))]:
        if (module := sys.modules.get(each)) is not None:
            return getattr(module, "__file__", None) or "made by this process"
    return None
