"""What a class is made of, so that a worker can make it without running its body."""

from __future__ import annotations

import abc
import dataclasses
import importlib
import sys
import types
from typing import Any

from gc_warm.shipping.sources import follow


class Unsendable(Exception):  # noqa: N818  (never leaves this package)
    """A value cannot be sent; the message says why, and continues a sentence."""


# What Python makes again by itself.
_MADE_AGAIN = {
    *("__dict__", "__weakref__", "__abstractmethods__", "_abc_impl", "__firstlineno__"),
    "__slotnames__",
    *("__dataclass_fields__", "__dataclass_params__", "__protocol_attrs__"),
    *("__non_callable_proto_members__", "__callable_proto_members_only__"),
}
# What a class must have from the beginning.
_FIRST = ("__module__", "__qualname__", "__doc__", "__slots__", "__orig_bases__", "__annotations__")
_OF_NAMED_TUPLES = {
    *("__new__", "_make", "_replace", "__replace__", "__repr__", "_asdict", "__getnewargs__"),
    *("__slots__", "_fields", "_field_defaults", "__match_args__", "__module__", "__qualname__"),
}
_FUNCTIONS = (types.FunctionType, classmethod, staticmethod, property)
_SLOTS = (types.MemberDescriptorType, types.GetSetDescriptorType)
_STANDARD = {"builtins", "typing", "abc", "enum", "typing_extensions"}


def parts_of(value: type) -> dict[str, Any]:
    """Return what a class consists of: see `gc_warm.worker.definitions`, which puts it together.

    Raises:
        Unsendable: It cannot be made again from its parts.
    """
    if issubclass(value, tuple) and "_field_defaults" in vars(value):
        return _parts_of_named_tuple(value)
    _refuse_what_its_makers_do(value)
    names = {name: each for name, each in vars(value).items() if name not in _MADE_AGAIN}
    if not names.get("__annotations__", True):  # looking for them has made them
        del names["__annotations__"]
    first = {name: names.pop(name) for name in _FIRST if name in names}
    first["__qualname__"] = value.__qualname__
    is_dataclass = "__dataclass_params__" in vars(value)
    if is_dataclass and str(value.__doc__).startswith(value.__name__ + "("):
        first.pop("__doc__")  # `dataclasses` has written it, and may have put addresses into it
    names = {name: each for name, each in names.items() if not _is_put_there(each, value)}
    parts: dict[str, Any] = {
        "name": value.__name__,
        "maker": type(value),
        "bases": [*value.__bases__],
        "first": first,
        "silent": _with_hooks(value),
        "registered": _registered(value),
    }
    if is_dataclass:
        parts["options"] = _options_of_dataclass(value)
        parts["fields"] = _fields_of(value)
        names = {name: each for name, each in names.items() if not _is_generated(each)}
    if isinstance(value, abc.ABCMeta):  # as they were when it was defined
        parts["abstract"] = sorted(value.__abstractmethods__)
    parts |= _split(names)
    if [*names] != [*parts["functions"], *parts["values"]]:
        parts["order"] = [*names]
    return parts


def _is_put_there(value: Any, owner: type) -> bool:
    """Return whether Python itself puts something into a class, for slots and protocols."""
    inner = getattr(value, "__func__", value)
    is_function = isinstance(inner, types.FunctionType) and inner.__module__ == "typing"
    return is_function or (isinstance(value, _SLOTS) and value.__objclass__ is owner)


def _split(names: dict[str, Any]) -> dict[str, Any]:
    functions = {name: each for name, each in names.items() if isinstance(each, _FUNCTIONS)}
    values = {name: each for name, each in names.items() if name not in functions}
    return {"functions": functions, "values": values}


def _parts_of_named_tuple(value: Any) -> dict[str, Any]:
    made = _MADE_AGAIN | _OF_NAMED_TUPLES
    names = {name: each for name, each in vars(value).items() if name not in made}
    names = {n: each for n, each in names.items() if type(each).__name__ != "_tuplegetter"}
    defaults = [*value._field_defaults.values()]
    return {
        "named_tuple": [value.__name__, [*value._fields]],
        "defaults": defaults,
        "first": {"__module__": value.__module__, "__qualname__": value.__qualname__},
        "registered": [],
    } | _split(names)


def _refuse_what_its_makers_do(value: type) -> None:
    """Refuse a class to which something that does not travel has added to what its body says."""
    maker = type(value)
    if maker.__module__ not in _STANDARD and _is_installed(maker):
        raise Unsendable(
            f"the class {value.__qualname__!r} is made by the metaclass {maker.__module__}."
            f"{maker.__qualname__}, and cannot be taken apart"
        )
    for base in _with_hooks(value):
        if _is_installed(base):
            raise Unsendable(
                f"its base {base.__module__}.{base.__qualname__} does something to the class "
                f"{value.__qualname__!r} when it is defined, which cannot be done again"
            )


def _with_hooks(value: type) -> list[type]:
    """Return the bases of a class that run code when a class is derived from them."""
    return [
        base
        for base in value.__mro__[1:]
        if "__init_subclass__" in vars(base) and base.__module__ not in _STANDARD
    ]


def _is_installed(value: type) -> bool:
    """Return whether a class is found in a module by its name."""
    found = follow(sys.modules.get(value.__module__), value.__qualname__)
    return found is value and not value.__module__.endswith("__main__")


def _registered(value: type) -> list[type]:
    if not isinstance(value, abc.ABCMeta):
        return []
    get_dump: Any = importlib.import_module("_abc")._get_dump  # noqa: SLF001  (no public way)
    references = get_dump(value)[0]
    return sorted(filter(None, (each() for each in references)), key=lambda each: each.__qualname__)


def _is_generated(value: Any) -> bool:
    """Return whether `dataclasses` has written a method."""
    inner = getattr(value, "__wrapped__", value)
    return getattr(getattr(inner, "__code__", None), "co_filename", "") == "<string>"


def _options_of_dataclass(value: Any) -> dict[str, bool]:
    params = value.__dataclass_params__
    names = ("init", "repr", "eq", "order", "unsafe_hash", "frozen")
    return {name: getattr(params, name) for name in names} | {
        "match_args": "__match_args__" in vars(value)
    }


def _fields_of(value: Any) -> list[list[Any]]:
    """Return name, whether it is an ``InitVar``, and settings of a dataclass's own fields."""
    inherited = [vars(base).get("__dataclass_fields__", {}) for base in value.__mro__[1:]]
    found = []
    for name, field in value.__dataclass_fields__.items():
        kind = field._field_type.name  # noqa: SLF001  (there is no public way)
        if kind == "_FIELD_CLASSVAR" or any(each.get(name) is field for each in inherited):
            continue
        settings = {
            option: getattr(field, option)
            for option in ("default", "default_factory", "init", "repr", "hash", "compare")
            if getattr(field, option) is not dataclasses.MISSING
        }
        settings |= {"kw_only": field.kw_only, "metadata": dict(field.metadata) or None}
        found.append([name, kind == "_FIELD_INITVAR", settings])
    return found


def parts_of_enumeration(value: Any) -> tuple[Any, ...]:
    """Return what `gc_warm.worker.definitions.classes.enumeration` makes an enumeration of.

    Raises:
        Unsendable: It has more than methods and members.
    """
    names = {name: getattr(value, name) for name in ("__module__", "__qualname__", "__doc__")}
    new = vars(value).get("_new_member_", vars(value).get("__new_member__"))
    if isinstance(new, types.FunctionType) and new.__module__ != "enum":
        raise Unsendable(f"the enumeration {value.__qualname__!r} has a __new__ of its own")
    boundary = getattr(value, "_boundary_", None)
    if boundary is not getattr(value.__bases__[-1], "_boundary_", boundary):
        raise Unsendable(f"the enumeration {value.__qualname__!r} has a boundary of its own")
    methods = {}
    for name, each in vars(value).items():
        inner = getattr(each, "fget", getattr(each, "__func__", each))
        is_own = isinstance(inner, types.FunctionType) and inner.__module__ != "enum"
        if name in value.__members__ or isinstance(inner, types.BuiltinFunctionType):
            continue
        if is_own and name != "__new__":
            methods[name] = each
        elif not name.startswith("_"):
            raise Unsendable(
                f"the enumeration {value.__qualname__!r} has {name!r}, which is no member"
            )
    members = {name: member.value for name, member in value.__members__.items()}
    return type(value), value.__bases__, names, methods, members
