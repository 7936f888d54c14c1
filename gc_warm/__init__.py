"""Keep expensive state warm on Globus Compute workers."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from gc_warm.errors import GcWarmError
from gc_warm.worker.task import SelfContained, self_contained

if TYPE_CHECKING:
    from gc_warm.client.registry import FunctionRegistry, registered
    from gc_warm.local.client import LocalClient
    from gc_warm.local.executor import LocalExecutor
    from gc_warm.local.faults import Faults
    from gc_warm.local.workers import Workers
    from gc_warm.worker.child import Limits
    from gc_warm.worker.console import Prompt, Sentinel
    from gc_warm.worker.framing import JsonLines
    from gc_warm.worker.group import Group
    from gc_warm.worker.info import WarmEntry, WarmInfo
    from gc_warm.worker.living import stats, sweep
    from gc_warm.worker.process import ProgramInfo, WarmProcess
    from gc_warm.worker.receipt import Receipt, Receipted
    from gc_warm.worker.restarts import RestartPolicy
    from gc_warm.worker.serve import serve, serve_command
    from gc_warm.worker.switch import disable, enable
    from gc_warm.worker.warm import Warm, group, warm

__version__ = "0.1.0"

__all__ = [
    "Faults",
    "FunctionRegistry",
    "GcWarmError",
    "Group",
    "JsonLines",
    "Limits",
    "LocalClient",
    "LocalExecutor",
    "ProgramInfo",
    "Prompt",
    "Receipt",
    "Receipted",
    "RestartPolicy",
    "SelfContained",
    "Sentinel",
    "Warm",
    "WarmEntry",
    "WarmInfo",
    "WarmProcess",
    "Workers",
    "__version__",
    "disable",
    "enable",
    "group",
    "registered",
    "self_contained",
    "serve",
    "serve_command",
    "stats",
    "sweep",
    "warm",
]

# Few workers need any of these, and the others must not pay for them: they are imported on first
# use, and carried with the modules that import them by name (see shipping/sources.py).
_ON_FIRST_USE = {
    name: "gc_warm." + module
    for module, names in {
        "client.registry": "FunctionRegistry registered",
        "local.client": "LocalClient",
        "local.executor": "LocalExecutor",
        "local.faults": "Faults",
        "local.workers": "Workers",
        "worker.child": "Limits",
        "worker.console": "Prompt Sentinel",
        "worker.framing": "JsonLines",
        "worker.group": "Group",
        "worker.info": "WarmEntry WarmInfo",
        "worker.living": "stats sweep",
        "worker.process": "ProgramInfo WarmProcess",
        "worker.receipt": "Receipt Receipted",
        "worker.restarts": "RestartPolicy",
        "worker.serve": "serve serve_command",
        "worker.switch": "disable enable",
        "worker.warm": "Warm group warm",
    }.items()
    for name in names.split()
}


def __getattr__(name: str) -> Any:
    if name in _ON_FIRST_USE:
        try:
            found = getattr(importlib.import_module(_ON_FIRST_USE[name]), name)
        except ModuleNotFoundError as error:
            if not str(error.name).startswith("gc_warm"):
                raise
            return _not_here(name)
        globals()[name] = found
        return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _not_here(name: str) -> Any:
    """Stand for what a worker is not sent: a module there may import it, but not use it."""

    def not_here(*_: Any, **__: Any) -> Any:
        advice = (
            f"did not travel, because no import shows that it is needed. Write `from gc_warm "
            f"import {name}`."
            if _ON_FIRST_USE[name].startswith("gc_warm.worker")
            else "does not travel: use it on the client."
        )
        raise GcWarmError(f"gc_warm.{name} {advice}")

    return not_here


def __dir__() -> list[str]:
    return sorted(__all__)
