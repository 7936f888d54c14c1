"""Classes made again without what their makers do: run bodies, call hooks, write methods."""

from __future__ import annotations

import abc
import dataclasses
import functools
import inspect
import types
from typing import Any


def quietly(silent: list[type], maker: Any, name: str, bases: Any, first: dict[str, Any]) -> Any:
    """Make a class, without what some of its bases do when a class is derived from them."""
    hooks = [(base, vars(base)["__init_subclass__"]) for base in silent]
    for base, _ in hooks:
        type.__delattr__(base, "__init_subclass__")
    try:
        new = abc.ABCMeta.__new__ if issubclass(maker, abc.ABCMeta) else type.__new__
        return new(maker, name, bases, first)
    finally:
        for base, hook in hooks:
            type.__setattr__(base, "__init_subclass__", hook)


def make_dataclass(made: Any, options: dict[str, Any], fields: list[tuple[Any, ...]]) -> None:
    """Have `dataclasses` write the methods that it wrote for the original."""
    hints = inspect.get_annotations(made)
    slots = {name: vars(made)[name] for name, *_ in fields if name in vars(made)}
    made.__annotations__ = {}
    for name, is_init_var, settings in fields:
        made.__annotations__[name] = dataclasses.InitVar if is_init_var else object
        if not is_init_var:
            type.__setattr__(made, name, dataclasses.field(**settings))
        elif "default" in settings:
            type.__setattr__(made, name, settings["default"])
    dataclasses.dataclass(**options)(made)
    made.__annotations__ = hints
    for name, slot in slots.items():
        type.__setattr__(made, name, slot)
    for field in dataclasses.fields(made):
        field.type = hints.get(field.name, field.type)


def of_python(kind: type, name: str) -> Any:
    """Return a method of a class that Python itself has written, whatever a user has put before."""
    found = (vars(base).get(name) for base in kind.__mro__)
    return next((each for each in found if isinstance(each, _OF_PYTHON)), getattr(kind, name, None))


_OF_PYTHON = (
    *(types.BuiltinFunctionType, types.WrapperDescriptorType, types.MethodDescriptorType),
)


def exception(kind: Any, args: tuple[Any, ...], cause: BaseException | None) -> Any:
    """Make an exception again; ``args`` are what its class has passed on to Python's own."""
    made = of_python(kind, "__new__")(kind, *args)
    of_python(kind, "__init__")(made, *args)
    if cause is not None:
        made.__cause__ = cause
    return made


def enumeration(
    maker: Any,
    bases: tuple[Any, ...],
    names: dict[str, Any],
    methods: dict[str, Any],
    members: dict[str, Any],
) -> Any:
    """Make an enumeration again."""
    name = names["__qualname__"].rpartition(".")[2]

    def body(space: Any) -> None:
        for key, value in {**names, **methods, **members}.items():
            space[key] = value

    return types.new_class(name, bases, {"metaclass": maker}, body)


def dispatching(implementations: list[tuple[type, Any]]) -> Any:
    """Make a `functools.singledispatch` function again, with all that was registered."""
    (_, default), *others = implementations
    made: Any = functools.singledispatch(default)
    for each, implementation in others:
        made.register(each, implementation)
    return made
