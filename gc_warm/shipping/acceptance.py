"""What may be made self-contained, and what kept warm."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import gc_warm.shipping.disguise.function_class  # noqa: F401  (__class__ asks it once it is here)
from gc_warm.errors import UsageError
from gc_warm.shipping.disguise.dill_module import ModuleName
from gc_warm.worker.self_contained import SelfContained

if TYPE_CHECKING:
    from collections.abc import Mapping


def accept(function: Any, *, home: str | None, **options: Any) -> SelfContained[..., Any]:
    """Make something self-contained, if it can be.

    Args:
        function: What is to be self-contained.
        home: Name of the module that asks for it.
        options: ``modules``, ``requires`` and ``data``.

    Raises:
        UsageError: It cannot be called, or is asynchronous, or an option is wrong.
    """
    _check(function, options)
    made = SelfContained(function, home=home, **options)
    made.__module__ = ModuleName(made.__module__)
    return made


def _check(function: Any, options: Mapping[str, Any]) -> None:
    for name, value in options.items():
        is_list = isinstance(value, Iterable) and not isinstance(value, str)
        if not is_list or not all(isinstance(each, str) for each in value):
            raise UsageError(f"{name} must be a list of texts, not {value!r}.")
    if not callable(function):
        raise UsageError(
            f"@self_contained decorates a function, or another object that can be called, not "
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


def require_initialiser(initialiser: object) -> None:
    """Refuse what cannot be kept warm.

    Raises:
        UsageError: It cannot; the message says what to do.
    """
    if isinstance(initialiser, (staticmethod, classmethod)):
        raise UsageError("Put @staticmethod above @warm; @classmethod cannot be kept warm.")
    if not callable(initialiser) or not hasattr(initialiser, "__qualname__"):
        raise UsageError(
            "@warm decorates a function, a generator function or a class, not "
            f"{initialiser!r}. Options are given by keyword: @warm(maxsize=2)."
        )
    try:
        inspect.signature(initialiser)
    except ValueError:
        raise UsageError(
            f"@warm cannot know the arguments of {initialiser.__qualname__!r}, which is not "
            "written in Python. Write a function that calls it."
        ) from None
    if _is_method(initialiser):
        raise UsageError(
            f"@warm cannot be used on the method {initialiser.__qualname__!r}: the instance would "
            "be part of every key. Move it out of the class, or put @staticmethod above @warm."
        )
    if inspect.iscoroutinefunction(initialiser) or inspect.isasyncgenfunction(initialiser):
        raise UsageError(
            f"@warm cannot decorate the asynchronous {initialiser.__qualname__!r}: tasks of Globus "
            "Compute run synchronously. Use a plain function."
        )


def _is_method(function: Any) -> bool:
    """Return whether a function is defined in a class body and takes the instance or class."""
    if not inspect.isfunction(function):
        return False
    where = function.__qualname__.rpartition(".")[0]
    first = next(iter(inspect.signature(function).parameters), "")
    return bool(where) and not where.endswith("<locals>") and first in {"self", "cls"}
