"""Keep expensive state warm on Globus Compute workers."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from gc_warm.errors import GcWarmError
from gc_warm.worker.group import Group
from gc_warm.worker.receipt import Receipt, Receipted
from gc_warm.worker.state import WarmEntry, WarmInfo, disable, enable, stats, sweep
from gc_warm.worker.task import SelfContained, self_contained
from gc_warm.worker.warm import Warm, group, warm

if TYPE_CHECKING:
    from gc_warm.local.executor import LocalExecutor

__version__ = "0.1.0"

__all__ = [
    "GcWarmError",
    "Group",
    "LocalExecutor",
    "Receipt",
    "Receipted",
    "SelfContained",
    "Warm",
    "WarmEntry",
    "WarmInfo",
    "__version__",
    "disable",
    "enable",
    "group",
    "self_contained",
    "stats",
    "sweep",
    "warm",
]

# A worker needs none of these, and must not pay for them: they are imported on first use.
_ON_FIRST_USE = {"LocalExecutor": "gc_warm.local.executor"}


def __getattr__(name: str) -> Any:
    if name in _ON_FIRST_USE:
        try:
            return getattr(importlib.import_module(_ON_FIRST_USE[name]), name)
        except ModuleNotFoundError as error:
            if not str(error.name).startswith("gc_warm"):
                raise
            return _not_here(name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _not_here(name: str) -> Any:
    """Stand for what a worker is not sent: a module there may import it, but not use it."""

    def not_here(*_: Any, **__: Any) -> Any:
        raise GcWarmError(f"gc_warm.{name} does not travel to workers: use it on the client.")

    return not_here


def __dir__() -> list[str]:
    return sorted(__all__)
