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
    from gc_warm.client.registry import FunctionRegistry, registered
    from gc_warm.local.executor import LocalExecutor

__version__ = "0.1.0"

__all__ = [
    "FunctionRegistry",
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
    "registered",
    "self_contained",
    "stats",
    "sweep",
    "warm",
]

# A worker needs none of these, and must not pay for them: they are imported on first use.
_ON_FIRST_USE = {
    "FunctionRegistry": "gc_warm.client.registry",
    "LocalExecutor": "gc_warm.local.executor",
    "registered": "gc_warm.client.registry",
}


def __getattr__(name: str) -> Any:
    if name in _ON_FIRST_USE:
        return getattr(importlib.import_module(_ON_FIRST_USE[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
