"""How objects are made again that are neither plain values nor defined in a script: by a call."""

from __future__ import annotations

import contextvars
import copyreg
import dataclasses
import functools
import pickle
import sys
import threading
import types
from typing import TYPE_CHECKING, Any, ForwardRef, NamedTuple, NewType, ParamSpec, TypeVar

from gc_warm.shipping.definitions import script
from gc_warm.shipping.definitions.classes import Unsendable
from gc_warm.shipping.sources import follow
from gc_warm.worker.definitions.classes import of_python

if TYPE_CHECKING:
    from collections.abc import Callable

CONTAINERS: dict[type, str] = {list: "list", tuple: "tuple", set: "set", frozenset: "frozenset"}
SINGLETONS = {type(each): each for each in (None, Ellipsis, NotImplemented)}
_LOCKS = {type(threading.Lock()): threading.Lock, type(threading.RLock()): threading.RLock}


class Imported(NamedTuple):
    """Something of ours that a worker imports."""

    module: str
    path: str


def place_of(value: Any) -> tuple[str, str] | None:
    """Return the module, and the path in it, where a worker finds something; None if nowhere."""
    if type(value) is Imported:
        return value
    if isinstance(value, types.ModuleType):
        return None if script.is_in_script(value.__name__) else (value.__name__, "")
    if type(value) in CONTAINERS or type(value) is dict:
        return None
    if isinstance(value, type) and value.__module__ == "builtins":
        for name, each in vars(types).items():  # such as the class of functions
            if each is value:
                return "types", name
    module, path = getattr(value, "__module__", None), getattr(value, "__qualname__", None)
    if not isinstance(module, str) or not isinstance(path, str) or script.is_in_script(module):
        return None
    # Some functions have a second name.
    for each in {path: 0, getattr(getattr(value, "__code__", None), "co_name", path): 0}:
        path, module = str(each), str(module)
        if follow(sys.modules.get(module), path) is value:
            return module, path
    return None


def warm_again(value: types.FunctionType) -> Any:
    """Return how a warm state is made again: empty."""
    state: Any = getattr(vars(value).get("lease"), "__self__", None)
    if type(state).__module__ != "gc_warm.worker.state.state":
        return None
    options = {
        field.name: getattr(state.options, field.name)
        for field in dataclasses.fields(state.options)
        if getattr(state.options, field.name) != field.default
    }
    warm = Call(Imported("gc_warm.worker.state.warm", "warm"), (), options)
    return warm, (vars(value)["__wrapped__"],)


class Call:
    """A call that a worker makes."""

    def __init__(self, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.parts = function, args, kwargs


def dispatch_again(value: types.FunctionType) -> Any:
    """Return how a `functools.singledispatch` function is made again, with its registrations."""
    registry = vars(value).get("registry")
    if value.__globals__ is not vars(functools) or type(registry) is not types.MappingProxyType:
        return None
    given = _given(value, {"registry", "dispatch", "register", "_clear_cache", "__wrapped__"})
    again = Imported("gc_warm.worker.definitions.classes", "dispatching")
    return again, ([*registry.items()],), {}, given


def _given(value: Any, its_own: set[str]) -> dict[str, Any] | None:
    """Return the attributes that something was given, besides those that it is made with."""
    return {name: each for name, each in vars(value).items() if name not in its_own} or None


# Of classes whose instances are made again from these arguments.
_ARGUMENTS: dict[Any, Callable[[Any], tuple[Any, ...]]] = {
    classmethod: lambda value: (value.__func__,),
    ForwardRef: lambda value: (value.__forward_arg__,),
    int: lambda value: (hex(value), 16),
    NewType: lambda value: (value.__name__, value.__supertype__),
    ParamSpec: lambda value: (value.__name__,),
    property: lambda value: (value.fget, value.fset, value.fdel, value.__doc__),
    staticmethod: lambda value: (value.__func__,),
    threading.local: lambda _: (),
    types.MappingProxyType: lambda value: (dict(value),),
}


def made_again(value: Any) -> Any:
    """Return the call that makes something again which has no value to send, if there is one."""
    kind = type(value)
    if kind is Call:
        return value.parts
    if kind in _ARGUMENTS:
        return kind, _ARGUMENTS[kind](value)
    if kind in _LOCKS:
        return _LOCKS[kind], ()
    if isinstance(value, functools._lru_cache_wrapper):  # noqa: SLF001  (it has no other name)
        again = Call(functools.lru_cache, (), dict(value.cache_parameters()))
        made_with = {"__wrapped__", "cache_parameters"}
        return again, (value.__wrapped__,), {}, _given(value, made_with)
    if kind is types.MethodType:
        name, owner = value.__func__.__name__, value.__self__
        if getattr(owner, name, None) == value:  # the usual case: the class has it
            return getattr, (owner, name)
        return kind, (value.__func__, owner)
    if kind is functools.cached_property:
        return kind, (value.func,), {}, {"attrname": value.attrname}
    if kind is TypeVar:
        bound = {"bound": value.__bound__} if value.__bound__ else {}
        variance = {"covariant": value.__covariant__, "contravariant": value.__contravariant__}
        return kind, (value.__name__, *value.__constraints__), bound | variance
    if kind is contextvars.ContextVar:
        if value in contextvars.copy_context():
            raise Unsendable(f"the ContextVar {value.name!r} was set, and a worker would not know")
        try:
            default = {"default": contextvars.Context().run(value.get)}
        except LookupError:
            default = {}
        return kind, (value.name,), default
    if type(kind) is type and kind.__module__ == "gc_warm.worker.state.group":
        group = Imported("gc_warm.worker.state.warm", "group")
        return group, (value.name,), {"maxsize": value.maxsize, "maxbytes": value.maxbytes}
    if kind is type:  # one of SINGLETONS
        return type, (SINGLETONS[value],)
    return (kind, ()) if kind in SINGLETONS else None


def reduced(value: Any) -> Any:
    """Return what pickle would make a value of."""
    kind = type(value)
    try:
        # For exceptions, tblib registers what sends their tracebacks along: new each time.
        is_error = isinstance(value, BaseException)
        reduce = None if is_error else copyreg.dispatch_table.get(kind)
        found: Any = reduce(value) if reduce else value.__reduce_ex__(4)
    except (TypeError, AttributeError, pickle.PicklingError, NotImplementedError) as error:
        raise Unsendable(f"a {kind.__name__} cannot be pickled ({error})") from error
    if isinstance(found, str):
        module = getattr(value, "__module__", None) or pickle.whichmodule(value, found)  # type: ignore[attr-defined]
        if script.is_in_script(module):
            raise Unsendable(f"a {kind.__name__} has no value that can be sent")
        return getattr, (sys.modules[module], found)
    function, args, *rest = found
    if is_error and function is kind and (value.__cause__ or _has_own_init(kind)):
        function = Imported("gc_warm.worker.definitions.classes", "exception")
        args = kind, args, value.__cause__
    if (
        function is copyreg.__newobj__  # type: ignore[attr-defined]
        and type(args[0].__new__) is types.FunctionType
        and type(getattr(args[0], "__getnewargs__", None)) is not types.FunctionType
    ):
        function = of_python(args[0], "__new__")
    rest += [None] * (4 - len(rest))
    return function, args, {}, *rest


def _has_own_init(kind: Any) -> bool:
    """Return whether exceptions may have been made with other arguments than they keep."""
    of_python = isinstance(kind.__reduce__, types.MethodDescriptorType)
    return of_python and isinstance(kind.__init__, types.FunctionType)


def in_order(value: Any) -> Any:
    """Return what a set holds in an order that is the same in every process, if there is one."""
    if type(value) in {tuple, list}:
        return list(value)
    try:
        return sorted(value)
    except TypeError:
        return sorted(value, key=repr)
