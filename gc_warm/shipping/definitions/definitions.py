"""The definitions and values of a script or notebook that a function needs.

What a name is bound to *now* decides. Functions are taken apart into their source text, defaults,
closure and attributes; classes into their methods and attributes; everything else is a value, taken
apart as pickle would. No statement of the script is looked at, and none ever runs again.

Each name becomes a graph of its own, which `gc_warm.worker.definitions` makes again. Where an
object is known by a name of the script, graphs refer to it by that name, so that it is one object
there, too. The hash of a graph tells whether two functions mean the same by a name.
"""

from __future__ import annotations

import builtins
import contextvars
import copy
import copyreg
import dataclasses
import datetime as dt
import decimal
import dis
import enum
import functools
import hashlib
import json
import pickle
import re
import sys
import threading
import types
from base64 import b64encode
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, ForwardRef, NamedTuple, NewType, ParamSpec, TypeVar

from gc_warm.errors import ShippingError
from gc_warm.shipping.boot import PLACE
from gc_warm.shipping.definitions import script
from gc_warm.shipping.definitions.classes import (
    Unsendable,
    is_enumeration,
    parts_of,
    parts_of_enumeration,
)
from gc_warm.shipping.definitions.text import text_of
from gc_warm.shipping.sources import carried_needs, follow, imports_of, late
from gc_warm.worker.code import codes_in, is_empty
from gc_warm.worker.self_contained import SelfContained

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gc_warm.shipping.definitions.script import Space

LIMIT = 1024 * 1024
"""How large the value of one name may be, in bytes."""

_PLAIN = (type(None), bool, float, str)
_SMALL = {type(None), bool, float}
_CONTAINERS: dict[type, str] = {list: "list", tuple: "tuple", set: "set", frozenset: "frozenset"}
_SHARED = {"list", "set", "dict", "call", "cell", "function", "class"}  # that may change
_FIXED = (enum.Enum, tuple, int, float, complex, str, decimal.Decimal, dt.date, PurePath)
_LOCKS = {type(threading.Lock()): threading.Lock, type(threading.RLock()): threading.RLock}
_SINGLETONS = {type(each): each for each in (None, Ellipsis, NotImplemented)}
# Names that every module has; a worker's own are the right ones.
_OF_MODULES = {"__builtins__", "__spec__", "__loader__", "__package__", "__path__", "__debug__"}
_OF_IPYTHON = {"get_ipython", "display"}
_ADVICE = "Put it under @warm, pass it as an argument, or move it to a module"


class Ref(int):
    """The number of a node."""


_PARTS = {list, dict, Ref}


class Name(NamedTuple):
    """A global name of a script: its module on a worker, and itself."""

    space: str
    name: str


class Slice(NamedTuple):
    """What is carried of one script.

    Attributes:
        space: The script.
        graphs: The graph of each name.
        agreed: For each name that is bound or looked up, the hash of its graph, or nothing.
        extra: The same for what is only there for arguments: a worker that cannot make it does
            without.
    """

    space: Space
    graphs: dict[str, Any]
    agreed: dict[str, str]
    extra: dict[str, str]


class Definitions:
    """Takes objects apart, with all that they need.

    Attributes:
        modules: The modules that they refer to.
        values_of: Those whose classes they are instances of.
        inner: The self-contained functions among them.
    """

    def __init__(self) -> None:
        self.modules: set[str] = set()
        self.values_of: set[str] = set()
        self.inner: list[SelfContained[..., Any]] = []
        self._nodes: list[list[Any]] = []
        self._known: dict[int, Ref] = {}  # by the id of the object
        self._open: set[Ref] = set()  # not yet there when a worker makes what they hold
        self._kept: list[Any] = []  # no id may be used again
        self._fixed: set[Ref] = set()  # which of two equal ones it is makes no difference
        self._spaces: dict[str, tuple[Space, dict[int, str]]] = {}
        self._codes: dict[Name, Any] = {}
        self._names: dict[Ref, Name] = {}
        self._absent: dict[Name, str] = {}  # who looks it up
        self._written: set[Name] = set()
        self._wanted: list[tuple[Name, str]] = []
        self._later: list[
            tuple[dict[str, Any], dict[str, Any]]
        ] = []  # what classes are filled with
        self._hinted: set[str] = set()  # names in annotations
        self._needed: set[Name] | None = None  # or all names are
        self._size = 0

    def enter(self, space: Space) -> None:
        """Know a script, whose objects have names."""
        if space.module not in self._spaces:
            self._spaces[space.module] = space, space.index()

    def name_of(self, value: object) -> Name | None:
        """Return the name by which the scripts know an object, if there is one."""
        for module, (space, index) in self._spaces.items():
            name = index.get(id(value))
            if name is not None and space.names.get(name) is value:
                return Name(module, name)
        return None

    def add(self, value: object) -> Any:
        """Take something apart, with all names that it needs; return the code of its node.

        Raises:
            ShippingError: Something cannot be sent; the message says what, why, and what to do.
        """
        try:
            code = self._whole(value)
        except Unsendable as error:
            raise ShippingError(f"It cannot be sent: {error}.") from error
        except RecursionError as error:
            raise ShippingError("It refers to what is nested too deeply.") from error
        self._add_wanted()
        return code

    def add_name(self, name: Name) -> None:
        """Take apart what a name is bound to, with all that it needs.

        Raises:
            ShippingError: Something cannot be sent; the message says what, why, and what to do.
        """
        self._wanted.append((name, ""))
        self._add_wanted()

    def add_extra(self) -> None:
        """Add the classes of the scripts, and what annotations name, for arguments to be found.

        Instances of any class may be arguments, also where no name of the function shows it; and
        their class must be the same in all calls. What cannot be sent is left out.
        """
        self._needed = {*self._codes, *self._absent}
        modules, kept = set(self.values_of), list(self.inner)
        for space, _ in list(self._spaces.values()):
            for name, value in list(space.names.items()):
                is_class = isinstance(value, type) and script.is_in_script(value.__module__)
                if name in self._hinted or (is_class and value.__name__ == name):
                    self._try(functools.partial(self.add_name, Name(space.module, name)))
        self.values_of, self.inner = modules, kept

    def _try(self, add: Callable[[], Any]) -> Any:
        """Add something; return None, and be as before, if it cannot be sent."""
        nodes = len(self._nodes)
        copied = (
            "_codes",
            "_absent",
            "_wanted",
            "_open",
            "_fixed",
            "modules",
            "values_of",
            "inner",
            "_size",
        )
        before = {name: copy.copy(getattr(self, name)) for name in copied}
        later, self._later = self._later, []
        try:
            return add()
        except (ShippingError, Unsendable):
            del self._nodes[nodes:]
            self._known = {key: ref for key, ref in self._known.items() if ref < nodes}
            self._names = {ref: name for ref, name in self._names.items() if ref < nodes}
            vars(self).update(before)
            return None
        finally:
            self._later = later

    def slices(self, *roots: Any) -> list[Slice]:
        """Return what is carried of each script.

        Args:
            roots: Codes of what is sent besides.
        """
        self._refuse_what_is_missing()
        self._name_what_is_shared(roots)
        found = {module: Slice(space, {}, {}, {}) for module, (space, _) in self._spaces.items()}
        for name in sorted({*self._codes, *self._absent}):
            part = found[name.space]
            digest = ""
            if name in self._codes:
                part.graphs[name.name] = graph = self.graph(self._codes[name], name)
                if any(node[0] == "function" for node in graph[0]):
                    graph = self.graph(self._codes[name], name, placed=False)
                digest = hashlib.sha256(json.dumps(graph).encode()).hexdigest()[:12]
            (part.agreed if self._is_needed(name) else part.extra)[name.name] = digest
        return [*found.values()]

    def _is_needed(self, name: Name) -> bool:
        """Say whether the function needs a name, or what was found behind one."""
        whose = Name(name.space, name.name.partition(".")[0])
        return self._needed is None or whose in self._needed

    def _refuse_what_is_missing(self) -> None:
        for name in filter(self._is_needed, self._absent.keys() - self._written):
            if name.name in _OF_IPYTHON:
                raise ShippingError(
                    f"{self._absent[name]} uses {name.name!r}, which only IPython has. Workers run "
                    "plain Python: move it out of what the function needs."
                )
            if not hasattr(builtins, name.name):
                raise ShippingError(
                    f"The name {name.name!r}, which {self._absent[name]} uses, cannot be found: "
                    "nothing in the script or notebook is called so now."
                )

    def graph(self, root: Any, own: Name | None = None, *, placed: bool = True) -> Any:
        """Return the graph of one object; what else has a name is referred to by it.

        Args:
            root: The code of the object.
            own: Its own name.
            placed: Whether to say where functions are written: no matter for what they do.
        """
        numbers: dict[Ref, int] = {}
        nodes: list[Any] = []

        def put(code: Any) -> Any:
            if isinstance(code, Ref):
                if code not in numbers:
                    numbers[code] = len(nodes)
                    nodes.append(None)
                    name = self._names.get(code, own)
                    node = self._nodes[code] if name == own else ["name", *name]  # type: ignore[misc]
                    nodes[numbers[code]] = put(node)
                return [numbers[code]]
            if type(code) is list:
                return [put(each) if type(each) in _PARTS else each for each in code]
            if type(code) is dict:
                hidden = set() if placed or "outer" not in code else {"file", "line"}
                return {name: put(each) for name, each in code.items() if name not in hidden}
            return code

        top = put(root)
        return [nodes, top]

    def _name_what_is_shared(self, roots: tuple[Any, ...]) -> None:
        """Give a name to each object that several names reach, so that it stays one."""
        found_more = True
        while found_more:  # what got a name is one more from which others are reached
            found_more = False
            reached: dict[Ref, tuple[Name | None, int]] = {}
            starts: list[tuple[Name | None, Any]] = [
                (n, self._codes[n]) for n in sorted(self._codes)
            ]
            for name, code in [*starts, *((None, root) for root in roots)]:
                for number, ref in enumerate(self._reach(code, name)):
                    owner, first = reached.setdefault(ref, (name, number))
                    is_shared = self._nodes[ref][0] in _SHARED and ref not in self._fixed
                    if is_shared and owner not in {name, None}:
                        self._name_shared(ref, owner, first)
                        found_more = True

    def _reach(self, root: Any, own: Name | None) -> Iterator[Ref]:
        """Yield the nodes that one name reaches, and no other name stands for."""
        waiting = [root] if isinstance(root, Ref) and self._names.get(root, own) == own else []
        seen = set(waiting)
        while waiting:
            ref = waiting.pop()
            yield ref
            new = [each for each in _refs_in(self._nodes[ref]) if each not in seen]
            new = [] if self._names.get(ref, own) != own else new
            seen.update(new)
            waiting += [each for each in dict.fromkeys(new) if each not in self._names]

    def _name_shared(self, ref: Ref, owner: Name, number: int) -> None:
        while (name := Name(owner.space, f"{owner.name}.{number}")) in self._codes:
            number += 1
        self._names[ref] = name
        self._codes[name] = ref

    # Names

    def _add_wanted(self) -> None:
        while self._wanted:
            name, user = self._wanted.pop()
            if name not in self._codes and name not in self._absent:
                self._add_name(name, user)

    def _add_name(self, name: Name, user: str) -> None:
        space, _ = self._spaces[name.space]
        if name.name not in space.names or name.name in _OF_IPYTHON:
            self._absent[name] = user
            return
        value = space.names[name.name]
        if name.name == "__file__" and isinstance(value, str):  # as of modules: it is not there
            value = PLACE + value
        whose = f"{name.name!r}, which {user} uses," if user else f"{name.name!r}"
        self._size = 0
        try:
            self._codes[name] = self._whole(value)
        except Unsendable as error:
            raise ShippingError(f"{whose} cannot be sent: {error}. {_ADVICE}.") from error
        except RecursionError as error:
            raise ShippingError(f"{whose} is nested too deeply to be sent. {_ADVICE}.") from error

    # Taking apart

    def _whole(self, value: Any) -> Any:
        """Return the code of an object, when all that it holds has one."""
        code = self._code(value)
        while self._later:
            what, late = self._later.pop()
            late["registered"] = [each for each in late["registered"] if self._is_alive(each)]
            fields = late.pop("fields", None)
            if fields is not None:
                what["fields"] = [[*each, self._table(settings)] for *each, settings in fields]
            what |= {name: self._part(part) for name, part in late.items()}
        return code

    def _is_alive(self, value: type) -> bool:
        """Say whether a class is more than what was left of a definition before the last."""
        found = id(value) in self._known or self.name_of(value) is not None
        return found or _place_of(value) is not None

    def _code(self, value: Any) -> Any:
        """Return a plain value itself, and the number of the node of anything else."""
        kind = type(value)
        if kind in _PLAIN or (kind is int and abs(value) < 1 << 63):
            self._count(len(value) if kind is str else 8)
            return value
        found = self._known.get(id(value))
        if found is not None:
            if found in self._open:
                raise Unsendable(f"a {kind.__name__} holds itself")
            return found
        ref = self._known[id(value)] = Ref(len(self._nodes))
        self._nodes.append([])
        self._kept.append(value)
        before = len(self._open)
        self._nodes[ref] = node = self._node(value, ref)
        self._open.discard(ref)
        assert len(self._open) == before
        if isinstance(value, _FIXED):
            self._fixed.add(ref)
        if node[0] in _SHARED:
            name = self.name_of(value)
            if name is not None:
                self._names[ref] = name
                self._codes.setdefault(name, ref)
        return ref

    def _count(self, size: int) -> None:
        self._size += size
        if self._size > LIMIT:
            raise Unsendable(
                f"it is larger than {LIMIT / 1e6:.0f} MB, and would go with every task"
            )

    def _codes_of(self, values: Any) -> list[Any]:
        self._count(8 * len(values))
        return [each if type(each) in _SMALL else self._code(each) for each in values]

    def _table(self, values: dict[str, Any]) -> dict[str, Any]:
        return {name: self._code(each) for name, each in values.items()}

    def _node(self, value: Any, ref: Ref) -> list[Any]:
        kind = type(value)
        place = _place_of(value)
        if place is not None:
            return self._import(*place)
        if kind is SelfContained or kind.__mro__[1:2] == (SelfContained,):
            return self._self_contained(value, ref)
        if kind is types.FunctionType:
            return self._function(value, ref)
        if isinstance(value, type) and kind is not types.GenericAlias and value not in _SINGLETONS:
            return self._class(value, ref)
        if kind is types.CellType:
            return ["cell", *([] if is_empty(value) else [self._code(value.cell_contents)])]
        if kind is bytes:
            self._count(len(value))
            return ["bytes", b64encode(value).decode()]
        if kind is dict:
            return [
                "dict",
                *self._codes_of([each for pair in list(value.items()) for each in pair]),
            ]
        if kind is list or kind is set:
            return [_CONTAINERS[kind], *self._codes_of(_sorted(value))]
        self._open.add(ref)  # what follows is made after what it holds
        if kind in _CONTAINERS:
            return [_CONTAINERS[kind], *self._codes_of(_sorted(value))]
        for recipe in (_made_again, _reduced):
            found = recipe(value)
            if found is not None:
                return self._call(ref, *found)
        raise Unsendable(f"a {kind.__name__} has no value that can be sent")

    def _import(self, module: str, path: str) -> list[Any]:
        self.modules.add(module)
        return ["import", module, path]

    def _call(  # noqa: PLR0917  (as pickle has them)
        self,
        ref: Ref,
        function: Any,
        args: Any = (),
        kwargs: dict[str, Any] | None = None,
        state: Any = None,
        items: Any = None,
        pairs: Any = None,
        setter: Any = None,
    ) -> list[Any]:
        for each in (function, *args):
            if isinstance(each, (type, types.FunctionType, types.BuiltinFunctionType)):
                self.values_of.add(str(each.__module__))
        node = ["call", self._code(function), self._codes_of(args), self._table(kwargs or {})]
        self._open.discard(ref)  # from here on, it is there
        node += [self._code(state), self._codes_of([*(items or ())])]
        node += [
            self._codes_of([each for pair in pairs or () for each in pair]),
            self._code(setter),
        ]
        while len(node) > 4 and (node[-1] is None or node[-1] == []):  # noqa: PLR2004
            node.pop()
        return node

    def _self_contained(self, value: Any, ref: Ref) -> list[Any]:
        self.inner.append(value)
        plain = vars(value).get("plain")
        self._open.add(ref)
        if plain is not None:
            return self._call(ref, getattr, (plain, value.form[1:]))
        name = self.name_of(value)
        home = value.home if name is None else name.space
        make = _Imported("gc_warm.worker.self_contained", "SelfContained")
        return self._call(
            ref, make, (value.function,), {} if home in script.MAIN else {"home": home}
        )

    def _function(self, value: types.FunctionType, ref: Ref) -> list[Any]:
        again = _warm_again(value) or _dispatch_again(value)
        if again is not None:
            self._open.add(ref)
            return self._call(ref, *again)
        text = text_of(value)
        code = value.__code__
        space = script.space_of(value.__globals__)
        if space is None:
            home = str(value.__globals__["__name__"])
            self.modules.add(home)
        else:
            home = space.module
            self.enter(space)
            self._want_names(space, value)
        self.modules |= carried_needs(imports_of(text.tree, _package_of(value)), home)
        self._count(len(text.text))
        what: dict[str, Any] = {
            "home": home,
            "module": home if value.__module__ in script.MAIN else value.__module__,
            "name": value.__name__,
            "qualname": value.__qualname__,
            "text": text.text,
            "file": text.file,
            "line": text.line,
            "code": code.co_name,
            "outer": text.outer,
            "free": list(code.co_freevars),
            "annotations": text.annotations,
            "imports": sorted(self._submodules(value)) if space else [],
        }
        what["cells"] = self._codes_of(value.__closure__ or ())
        what["defaults"] = self._code(value.__defaults__)
        what["kwdefaults"] = self._code(value.__kwdefaults__)
        what["attributes"] = self._table(value.__dict__)
        hints = {name: self._hint(each) for name, each in value.__annotations__.items()}
        if hints:
            what["hints"] = {name: code for name, code in hints.items() if code is not None}
        if value.__doc__ != _doc_of(code):
            what["doc"] = self._code(value.__doc__)
        return ["function", what]

    def _hint(self, hint: Any) -> Any:
        self._hinted.update(re.findall(r"\w+", hint if isinstance(hint, str) else ""))
        return self._try(functools.partial(self._whole, hint))

    def _want_names(self, space: Space, value: types.FunctionType) -> None:
        user = repr(value.__qualname__)
        written = _global_names(value.__code__, ("STORE_GLOBAL",))
        self._written |= {Name(space.module, name) for name in written}
        for name in sorted(_global_names(value.__code__)):
            if name not in _OF_MODULES:
                self._wanted.append((Name(space.module, name), user))

    def _submodules(self, value: types.FunctionType) -> Iterator[str]:
        """Yield the modules below a package that a function uses as its attributes."""
        words = {word for code in codes_in(value.__code__) for word in code.co_names}
        for name in words & value.__globals__.keys():
            found = value.__globals__[name]
            if isinstance(found, types.ModuleType) and hasattr(found, "__path__"):
                if found.__name__ == "gc_warm":  # what it imports on first use
                    self.modules |= {late(word) for word in words} - {""}
                above = found.__name__ + "."
                below = [module for module in sys.modules if module.startswith(above)]
                for module in below:
                    if words.issuperset(module.removeprefix(above).split(".")):
                        self.modules.add(module)
                        yield module

    def _class(self, value: type, ref: Ref) -> list[Any]:
        self._adopt(value)
        if is_enumeration(value):
            self._open.add(ref)
            enumeration = _Imported("gc_warm.worker.definitions.classes", "enumeration")
            return self._call(ref, enumeration, parts_of_enumeration(value))
        parts = parts_of(value)
        hints = parts["first"].get("__annotations__", {})
        kept = {name: hint for name, hint in hints.items() if self._hint(hint) is not None}
        parts["first"] = {**parts["first"], **({"__annotations__": kept} if kept else {})}
        early = ("maker", "bases", "first", "defaults")
        self._open.add(ref)
        what = {name: self._part(parts.pop(name)) for name in early if name in parts}
        self._open.discard(ref)
        what |= {
            name: parts.pop(name) for name in ("name", "named_tuple", "options") if name in parts
        }
        self._later.append((what, parts))
        subclasses: list[type] = type.__subclasses__(value)
        for each in subclasses:
            name = self.name_of(each)
            if name is not None:
                self._wanted.append((name, repr(value.__qualname__)))
        return ["class", what]

    def _part(self, part: Any) -> Any:
        if type(part) is dict:
            return self._table(part)
        if type(part) is list:
            return self._codes_of(part)
        return self._code(part)

    def _adopt(self, value: type) -> None:
        name = self.name_of(value)
        for space, _ in self._spaces.values():
            top, _, path = value.__qualname__.partition(".")
            found = follow(space.names.get(top), path)
            if found is value or (name is not None and name.space == space.module):
                space.adopt(value)


class _Imported(NamedTuple):
    """Something of ours that a worker imports."""

    module: str
    path: str


def _place_of(value: Any) -> tuple[str, str] | None:
    """Return the module, and the path in it, where a worker finds something; None if nowhere."""
    if type(value) is _Imported:
        return value
    if isinstance(value, types.ModuleType):
        return None if script.is_in_script(value.__name__) else (value.__name__, "")
    if type(value) in _CONTAINERS or type(value) is dict:
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


def _warm_again(value: types.FunctionType) -> Any:
    """Return how a warm state is made again: empty."""
    state: Any = getattr(vars(value).get("lease"), "__self__", None)
    if type(state).__module__ != "gc_warm.worker.state.state":
        return None
    options = {
        field.name: getattr(state.options, field.name)
        for field in dataclasses.fields(state.options)
        if getattr(state.options, field.name) != field.default
    }
    warm = _Call(_Imported("gc_warm.worker.state.warm", "warm"), (), options)
    return warm, (vars(value)["__wrapped__"],)


class _Call:
    """A call that a worker makes."""

    def __init__(self, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.parts = function, args, kwargs


def _dispatch_again(value: types.FunctionType) -> Any:
    """Return how a `functools.singledispatch` function is made again, with its registrations."""
    registry = vars(value).get("registry")
    if value.__globals__ is not vars(functools) or type(registry) is not types.MappingProxyType:
        return None
    given = _given(value, {"registry", "dispatch", "register", "_clear_cache", "__wrapped__"})
    return (
        _Imported("gc_warm.worker.definitions.classes", "dispatching"),
        ([*registry.items()],),
        {},
        given,
    )


def _given(value: Any, its_own: set[str]) -> dict[str, Any] | None:
    """Return the attributes that something was given, besides those that it is made with."""
    return {name: each for name, each in vars(value).items() if name not in its_own} or None


def _made_again(value: Any) -> Any:
    """Return the call that makes something anew which has no value to send."""
    kind = type(value)
    if kind is _Call:
        return value.parts
    if kind is int:
        return int, (hex(value), 16)
    if kind in _LOCKS:
        return _LOCKS[kind], ()
    if kind is threading.local:
        return kind, ()
    if isinstance(value, functools._lru_cache_wrapper):  # noqa: SLF001  (it has no other name)
        again = _Call(functools.lru_cache, (), dict(value.cache_parameters()))
        made_with = {"__wrapped__", "cache_parameters"}
        return again, (value.__wrapped__,), {}, _given(value, made_with)
    if kind is types.MethodType:
        name, owner = value.__func__.__name__, value.__self__
        if getattr(owner, name, None) == value:  # the usual case, in which the class keeps it whole
            return getattr, (owner, name)
        return kind, (value.__func__, owner)
    if kind is ForwardRef:
        return kind, (value.__forward_arg__,)
    if kind in {classmethod, staticmethod}:
        return kind, (value.__func__,)
    if kind is property:
        return kind, (value.fget, value.fset, value.fdel, value.__doc__)
    if kind is functools.cached_property:
        return kind, (value.func,), {}, {"attrname": value.attrname}
    if kind is types.MappingProxyType:
        return kind, (dict(value),)
    if kind is TypeVar:
        bound = {"bound": value.__bound__} if value.__bound__ else {}
        variance = {"covariant": value.__covariant__, "contravariant": value.__contravariant__}
        return kind, (value.__name__, *value.__constraints__), bound | variance
    if kind is ParamSpec:
        return kind, (value.__name__,)
    if kind is NewType:
        return kind, (value.__name__, value.__supertype__)
    if kind is contextvars.ContextVar:
        try:
            default = {"default": contextvars.Context().run(value.get)}
        except LookupError:
            default = {}
        return kind, (value.name,), default
    if type(kind) is type and kind.__module__ == "gc_warm.worker.state.group":
        group = _Imported("gc_warm.worker.state.warm", "group")
        return group, (value.name,), {"maxsize": value.maxsize, "maxbytes": value.maxbytes}
    if kind is type:  # one of _SINGLETONS
        return type, (_SINGLETONS[value],)
    return (kind, ()) if kind in _SINGLETONS else None


def _reduced(value: Any) -> Any:
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
    if (
        function is copyreg.__newobj__  # type: ignore[attr-defined]
        and type(args[0].__new__) is types.FunctionType
        and type(getattr(args[0], "__getnewargs__", None)) is not types.FunctionType
    ):
        makers = (vars(base).get("__new__") for base in args[0].__mro__)  # not what users wrote
        function = next(each for each in makers if type(each) is types.BuiltinFunctionType)
    rest += [None] * (4 - len(rest))
    return function, args, {}, *rest


def _sorted(value: Any) -> Any:
    """Return what a set holds in an order that is the same in every process, if there is one."""
    if type(value) in {tuple, list}:
        return list(value)
    try:
        return sorted(value)
    except TypeError:
        return sorted(value, key=repr)


def _doc_of(code: types.CodeType) -> str | None:
    first = code.co_consts[0] if code.co_consts else None
    return first if isinstance(first, str) else None


def _package_of(value: types.FunctionType) -> str:
    names = value.__globals__
    return str(names.get("__package__") or str(names.get("__name__")).rpartition(".")[0])


@functools.lru_cache(maxsize=2048)
def _global_names(
    code: types.CodeType, how: tuple[str, ...] = ("_GLOBAL", "_NAME", "_OR_GLOBALS")
) -> frozenset[str]:
    """Return the global names that a function may look up or bind."""
    found: set[str] = set()
    for each in codes_in(code):
        instructions = list(dis.get_instructions(each))
        of_class = {i.argval for i in instructions if i.opname == "STORE_NAME"}
        found |= {
            i.argval
            for i in instructions
            if i.opname.endswith(how) and i.opname != "IMPORT_NAME" and i.argval not in of_class
        }
    return frozenset(found)


def _refs_in(node: Any) -> Iterator[Ref]:
    if isinstance(node, Ref):
        yield node
    elif type(node) in _PARTS:
        for each in node.values() if type(node) is dict else node:
            if type(each) in _PARTS:
                yield from _refs_in(each)
