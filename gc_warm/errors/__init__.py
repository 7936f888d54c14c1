"""Every exception that gc-warm raises.

All derive from `GcWarmError`, so one ``except`` catches them, and all survive pickling, so they
arrive whole when a worker raises them. Wrong usage is also a `ValueError`.

What a *task* raises is none of these: `future.result()` raises the SDK's ``TaskExecutionFailed``,
and `raised` says what it was.

Few workers need those of the modules below, so they are imported on first use.
"""

from __future__ import annotations

import contextlib
import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gc_warm.errors.client import CallError as CallError
    from gc_warm.errors.client import RegistryError as RegistryError
    from gc_warm.errors.client import RemoteTraceback as RemoteTraceback
    from gc_warm.errors.client import UnknownFunctionError as UnknownFunctionError
    from gc_warm.errors.client import UnsupportedFaultError as UnsupportedFaultError
    from gc_warm.errors.client import WorkerLostError as WorkerLostError
    from gc_warm.errors.client import WorkerStartError as WorkerStartError
    from gc_warm.errors.node import DiskFullError as DiskFullError
    from gc_warm.errors.node import NodeFolderError as NodeFolderError
    from gc_warm.errors.node import NodeTimeoutError as NodeTimeoutError
    from gc_warm.errors.programs import ProgramCancelledError as ProgramCancelledError
    from gc_warm.errors.programs import ProgramDiedError as ProgramDiedError
    from gc_warm.errors.programs import ProgramError as ProgramError
    from gc_warm.errors.programs import ProgramMissingError as ProgramMissingError
    from gc_warm.errors.programs import ProgramOutputError as ProgramOutputError
    from gc_warm.errors.programs import ProgramRestartsError as ProgramRestartsError
    from gc_warm.errors.programs import ProgramStartError as ProgramStartError
    from gc_warm.errors.programs import ProgramTimeoutError as ProgramTimeoutError
    from gc_warm.errors.programs import RequestFailedError as RequestFailedError
    from gc_warm.errors.remote import raised as raised
    from gc_warm.errors.remote import remote_type as remote_type
    from gc_warm.errors.service import AmqpError as AmqpError
    from gc_warm.errors.service import BrokerStartError as BrokerStartError
    from gc_warm.errors.states import BusyError as BusyError
    from gc_warm.errors.states import CapacityError as CapacityError
    from gc_warm.errors.states import RecursiveBuildError as RecursiveBuildError
    from gc_warm.errors.states import UnhashableArgumentError as UnhashableArgumentError
    from gc_warm.errors.states import WarmTimeoutError as WarmTimeoutError

PARTS = ("client", "node", "programs", "remote", "service", "states")


def __getattr__(name: str) -> Any:
    for part in PARTS if name[0] != "_" else ():
        with contextlib.suppress(ImportError):  # workers are sent what they need
            module = importlib.import_module("gc_warm.errors." + part)
            if hasattr(module, name):
                return getattr(module, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


class GcWarmError(Exception):
    """The root of all errors raised by gc-warm."""


class UsageError(GcWarmError, ValueError):
    """An argument or option is wrong; the message names it and says what is expected."""


class ShippingError(UsageError):
    """A function cannot be made self-contained; the message says why."""


class ClashError(GcWarmError):
    """A carried module has the name of a different module that the worker already has."""


class RequirementError(GcWarmError):
    """A worker lacks packages that a function requires; the message names all of them."""
