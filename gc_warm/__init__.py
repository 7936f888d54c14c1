"""Keep expensive state warm on Globus Compute workers."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from gc_warm.errors import GcWarmError as GcWarmError
from gc_warm.worker.self_contained import SelfContained as SelfContained
from gc_warm.worker.self_contained import self_contained as self_contained

if TYPE_CHECKING:
    from gc_warm.client.calls.receipts import CallReceipt as CallReceipt
    from gc_warm.client.calls.visits import Visits as Visits
    from gc_warm.client.executor import WarmExecutor as WarmExecutor
    from gc_warm.client.registry import FunctionRegistry as FunctionRegistry
    from gc_warm.client.registry import registered as registered
    from gc_warm.client.report.report import Report as Report
    from gc_warm.errors import RequirementError as RequirementError
    from gc_warm.local.client import LocalClient as LocalClient
    from gc_warm.local.executor import LocalExecutor as LocalExecutor
    from gc_warm.local.faults import Faults as Faults
    from gc_warm.local.workers import Workers as Workers
    from gc_warm.worker.node.folder import NodeFolder as NodeFolder
    from gc_warm.worker.node.folder import node_folder as node_folder
    from gc_warm.worker.node.stats import node_stats as node_stats
    from gc_warm.worker.program.console import Prompt as Prompt
    from gc_warm.worker.program.console import Sentinel as Sentinel
    from gc_warm.worker.program.framing import JsonLines as JsonLines
    from gc_warm.worker.program.process import ProgramInfo as ProgramInfo
    from gc_warm.worker.program.process import WarmProcess as WarmProcess
    from gc_warm.worker.program.restarts import RestartPolicy as RestartPolicy
    from gc_warm.worker.program.serve import serve as serve
    from gc_warm.worker.program.serve import serve_command as serve_command
    from gc_warm.worker.program.setup import Limits as Limits
    from gc_warm.worker.receipt import Build as Build
    from gc_warm.worker.receipt import Receipt as Receipt
    from gc_warm.worker.receipt import Receipted as Receipted
    from gc_warm.worker.state.group import Group as Group
    from gc_warm.worker.state.stats import WarmEntry as WarmEntry
    from gc_warm.worker.state.stats import WarmInfo as WarmInfo
    from gc_warm.worker.state.stats import stats as stats
    from gc_warm.worker.state.switch import disable as disable
    from gc_warm.worker.state.switch import enable as enable
    from gc_warm.worker.state.switch import sweep as sweep
    from gc_warm.worker.state.warm import Warm as Warm
    from gc_warm.worker.state.warm import group as group
    from gc_warm.worker.state.warm import warm as warm

__version__ = "0.1.0"

# Few workers need any of these, and the others must not pay for them: they are imported on first
# use, and carried with the modules that import them by name (see shipping/sources.py).
_ON_FIRST_USE = {
    name: "gc_warm." + module
    for module, names in {
        "client.calls.receipts": "CallReceipt",
        "client.calls.visits": "Visits",
        "client.executor": "WarmExecutor",
        "client.registry": "FunctionRegistry registered",
        "client.report.report": "Report",
        "errors": "RequirementError",
        "local.client": "LocalClient",
        "local.executor": "LocalExecutor",
        "local.faults": "Faults",
        "local.workers": "Workers",
        "worker.node.folder": "NodeFolder node_folder",
        "worker.node.stats": "node_stats",
        "worker.program.setup": "Limits",
        "worker.program.console": "Prompt Sentinel",
        "worker.program.framing": "JsonLines",
        "worker.state.group": "Group",
        "worker.state.stats": "WarmEntry WarmInfo stats",
        "worker.program.process": "ProgramInfo WarmProcess",
        "worker.receipt": "Build Receipt Receipted",
        "worker.program.restarts": "RestartPolicy",
        "worker.program.serve": "serve serve_command",
        "worker.state.switch": "disable enable sweep",
        "worker.state.warm": "Warm group warm",
    }.items()
    for name in names.split()
}
__all__ = ["GcWarmError", "SelfContained", "__version__", "self_contained", *_ON_FIRST_USE]  # noqa: PLE0604


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
