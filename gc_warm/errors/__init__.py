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
    from gc_warm.errors.client import *
    from gc_warm.errors.node import *
    from gc_warm.errors.programs import *
    from gc_warm.errors.remote import *
    from gc_warm.errors.service import *
    from gc_warm.errors.states import *

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
