"""What may be made self-contained."""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any

from gc_warm.errors import UsageError
from gc_warm.shipping.disguise import ModuleName
from gc_warm.worker.task import SelfContained

if TYPE_CHECKING:
    from collections.abc import Mapping


def accept(function: Any, *, home: str | None, **options: Any) -> SelfContained[..., Any]:
    """Make something self-contained, if it can be.

    Args:
        function: What shall be self-contained.
        home: Name of the module that asks for it.
        options: ``modules``, ``requires`` and ``data``.

    Raises:
        UsageError: It is nothing that can be called, or is asynchronous, or an option is wrong.
    """
    _check(function, options)
    made = SelfContained(function, home=home, **options)
    made.__module__ = ModuleName(made.__module__)
    return made


def _check(function: Any, options: Mapping[str, Any]) -> None:
    for name, value in options.items():
        if isinstance(value, str) or not all(isinstance(each, str) for each in value):
            raise UsageError(f"{name} must be a list of texts, not {value!r}.")
    if not callable(function):
        raise UsageError(
            f"@self_contained decorates a function, or what can be called like one, not "
            f"{function!r}."
        )
    if isinstance(function, SelfContained):
        raise UsageError(f"{function!r} is self-contained already.")
    called = function if inspect.isroutine(function) else getattr(function, "__call__", function)  # noqa: B004
    while isinstance(function, functools.partial):
        called = function = function.func
    name = getattr(function, "__qualname__", function)
    if inspect.iscoroutinefunction(called) or inspect.isasyncgenfunction(called):
        raise UsageError(
            f"{name!r} is asynchronous, but Globus Compute calls functions synchronously. Write a "
            "plain function; it may call asyncio.run itself."
        )
    if inspect.isgeneratorfunction(called):
        raise UsageError(
            f"{name!r} is a generator function, and a generator cannot be sent back. Return a list."
        )
