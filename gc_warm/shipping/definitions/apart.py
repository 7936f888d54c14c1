"""Objects taken apart, each into a node that says what it is made of."""

from __future__ import annotations

import copy
import datetime as dt
import decimal
import enum
import functools
import re
import sys
import types
from base64 import b64encode
from itertools import chain
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from gc_warm.errors import ShippingError
from gc_warm.shipping.definitions import script
from gc_warm.shipping.definitions.classes import Unsendable, parts_of, parts_of_enumeration
from gc_warm.shipping.definitions.graph import SHARED, Graphs, Name, Ref
from gc_warm.shipping.definitions.recipes import (
    CONTAINERS,
    SINGLETONS,
    Imported,
    dispatch_again,
    in_order,
    made_again,
    place_of,
    reduced,
    warm_again,
)
from gc_warm.shipping.definitions.text import text_of
from gc_warm.shipping.sources import carried_needs, follow, imports_of, late
from gc_warm.worker.code import codes_in, is_empty, names_in
from gc_warm.worker.self_contained import SelfContained

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gc_warm.shipping.definitions.script import Space

LIMIT = 1024 * 1024
"""How large the value of one name may be, in bytes."""

_PLAIN = (type(None), bool, float, str)
_SMALL = {type(None), bool, float}
_FIXED = (enum.Enum, tuple, int, float, complex, str, decimal.Decimal, dt.date, PurePath)
# Names that every module has; a worker's own are the right ones.
_OF_MODULES = {"__builtins__", "__spec__", "__loader__", "__package__", "__path__", "__debug__"}
# Attributes that are restored when something could not be sent; the rest is undone in other ways.
_UNDONE = ("codes", "absent", "wanted", "_open", "fixed", "modules", "values_of", "inner", "size")


class Apart(Graphs):
    """Takes objects apart.

    Attributes:
        modules: The modules that they refer to.
        values_of: Those whose classes they are instances of.
        inner: The self-contained functions among them.
        spaces: The scripts that they are of, each with the names of its objects.
        wanted: Names that they look up, each with who does.
        absent: Those that mean nothing now.
        written: Those that they bind.
        hinted: Words in their annotations.
        size: How large what was taken apart is, in bytes, since this was set to 0.
    """

    def __init__(self) -> None:
        super().__init__()
        self.modules: set[str] = set()
        self.values_of: set[str] = set()
        self.inner: list[SelfContained[..., Any]] = []
        self.spaces: dict[str, tuple[Space, dict[int, str]]] = {}
        self.wanted: list[tuple[Name, str]] = []
        self.absent: dict[Name, str] = {}
        self.written: set[Name] = set()
        self.hinted: set[str] = set()
        self.size = 0
        self._known: dict[int, Ref] = {}  # by the id of the object
        self._open: set[Ref] = set()  # not yet there when a worker makes what they hold
        self._kept: list[Any] = []  # so that no id is used again
        # What is done when nothing is open, the last first: filling closures and classes.
        self._later: list[Callable[[], None]] = []

    def enter(self, space: Space) -> None:
        """Add a script, whose objects are known by its names."""
        if space.module not in self.spaces:
            self.spaces[space.module] = space, space.index()

    def name_of(self, value: object) -> Name | None:
        """Return the name by which the scripts know an object, if there is one."""
        for module, (space, index) in self.spaces.items():
            name = index.get(id(value))
            if name is not None and space.names.get(name) is value:
                return Name(module, name)
        return None

    def whole(self, value: Any) -> Any:
        """Return the code of an object, after all that it holds was given one."""
        code = self._code(value)
        while self._later:
            self._later.pop()()
        return code

    def _fill(self, what: dict[str, Any], late: dict[str, Any]) -> None:
        """Add to a class's node what it is filled with."""
        late["registered"] = [each for each in late["registered"] if self._is_alive(each)]
        fields = late.pop("fields", None)
        if fields is not None:
            what["fields"] = [[*each, self._table(settings)] for *each, settings in fields]
        what |= {name: self._part(part) for name, part in late.items()}

    def _is_alive(self, value: type) -> bool:
        """Return whether a class is more than the remains of an earlier definition."""
        found = id(value) in self._known or self.name_of(value) is not None
        return found or place_of(value) is not None

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
        ref = self._known[id(value)] = Ref(len(self.nodes))
        self.nodes.append([])
        self._kept.append(value)
        before = len(self._open)
        self.nodes[ref] = node = self._node(value, ref)
        self._open.discard(ref)
        assert len(self._open) == before
        if isinstance(value, _FIXED):
            self.fixed.add(ref)
        if node[0] in SHARED:
            name = self.name_of(value)
            if name is not None:
                self.names[ref] = name
                self.codes.setdefault(name, ref)
        return ref

    def _count(self, size: int) -> None:
        self.size += size
        if self.size > LIMIT:
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
        place = place_of(value)
        if place is not None:
            self.modules.add(place[0])
            return ["import", *place]
        if kind is SelfContained or kind.__mro__[1:2] == (SelfContained,):
            return self._self_contained(value, ref)
        if kind is types.FunctionType:
            return self._function(value, ref)
        if isinstance(value, type) and kind is not types.GenericAlias and value not in SINGLETONS:
            return self._class(value, ref)
        if kind is types.CellType:
            node = ["cell"]
            if not is_empty(value):  # it may hold what is just being taken apart
                self._later.append(lambda: node.append(self._code(value.cell_contents)))
            return node
        if kind is bytes:
            self._count(len(value))
            return ["bytes", b64encode(value).decode()]
        if kind is dict:
            return ["dict", *self._codes_of([*chain.from_iterable(list(value.items()))])]
        if kind is not list and kind is not set:
            self._open.add(ref)  # what follows is made after what it holds
        if kind in CONTAINERS:
            return [CONTAINERS[kind], *self._codes_of(in_order(value))]
        return self._call(ref, *(made_again(value) or reduced(value)))

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
        node += [self._codes_of([*chain.from_iterable(pairs or ())]), self._code(setter)]
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
        make = Imported("gc_warm.worker.self_contained", "SelfContained")
        options = {} if home in script.MAIN else {"home": home}
        return self._call(ref, make, (value.function,), options)

    def _function(self, value: types.FunctionType, ref: Ref) -> list[Any]:
        again = warm_again(value) or dispatch_again(value)
        if again is not None:
            self._open.add(ref)
            return self._call(ref, *again)
        text = text_of(value)
        space = script.space_of(value.__globals__)
        if space is None:
            home = str(value.__globals__["__name__"])
            self.modules.add(home)
        else:
            home = space.module
            self.enter(space)
            self._want_names(space, value)
        self.modules |= carried_needs(imports_of(text.tree, _package_of(value)), home)
        self._count(len(text.what["text"]))
        what = {
            "home": home,
            "module": home if value.__module__ in script.MAIN else value.__module__,
            "name": value.__name__,
            "qualname": value.__qualname__,
            **text.what,
            "imports": sorted(self._submodules(value)) if space else [],
            "cells": self._codes_of(value.__closure__ or ()),
            "defaults": self._code(value.__defaults__),
            "kwdefaults": self._code(value.__kwdefaults__),
            "attributes": self._table(value.__dict__),
        }
        hints = {name: self._hint(each) for name, each in value.__annotations__.items()}
        if hints:
            what["hints"] = {name: code for name, code in hints.items() if code is not None}
        if value.__doc__ != _doc_of(value.__code__):
            what["doc"] = self._code(value.__doc__)
        return ["function", what]

    def _hint(self, hint: Any) -> Any:
        self.hinted.update(re.findall(r"\w+", hint if isinstance(hint, str) else ""))
        return self.attempt(functools.partial(self.whole, hint))

    def _want_names(self, space: Space, value: types.FunctionType) -> None:
        user = repr(value.__qualname__)
        written = names_in(value.__code__, ("STORE_GLOBAL", "STORE_NAME"))
        self.written |= {Name(space.module, name) for name in written}
        for name in sorted(names_in(value.__code__)):
            if name not in _OF_MODULES:
                self.wanted.append((Name(space.module, name), user))

    def _submodules(self, value: types.FunctionType) -> Iterator[str]:
        """Yield the modules below a package that a function uses as its attributes."""
        words = {word for code in codes_in(value.__code__) for word in code.co_names}
        for name in names_in(value.__code__) & value.__globals__.keys():
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
        if isinstance(value, enum.EnumMeta) and value.__members__:
            self._open.add(ref)
            enumeration = Imported("gc_warm.worker.definitions.classes", "enumeration")
            return self._call(ref, enumeration, parts_of_enumeration(value))
        parts = parts_of(value)
        hints = parts["first"].get("__annotations__", {})
        kept = {name: hint for name, hint in hints.items() if self._hint(hint) is not None}
        parts["first"] = {**parts["first"], **({"__annotations__": kept} if kept else {})}
        early = ("maker", "bases", "first", "defaults")
        plain = ("name", "named_tuple", "options", "order", "abstract")
        self._open.add(ref)
        what = {name: self._part(parts.pop(name)) for name in early if name in parts}
        self._open.discard(ref)
        what |= {name: parts.pop(name) for name in plain if name in parts}
        self._later.insert(0, functools.partial(self._fill, what, parts))  # after all closures
        subclasses = filter(None, map(self.name_of, type.__subclasses__(value)))
        self.wanted += [(name, repr(value.__qualname__)) for name in subclasses]
        return ["class", what]

    def _part(self, part: Any) -> Any:
        if type(part) is dict:
            return self._table(part)
        if type(part) is list:
            return self._codes_of(part)
        return self._code(part)

    def _adopt(self, value: type) -> None:
        name = self.name_of(value)
        for space, _ in self.spaces.values():
            top, _, path = value.__qualname__.partition(".")
            found = follow(space.names.get(top), path)
            if found is value or (name is not None and name.space == space.module):
                space.adopt(value)

    def attempt(self, add: Callable[[], Any]) -> Any:
        """Add something; return None, and be as before, if it cannot be sent."""
        nodes = len(self.nodes)
        before = {name: copy.copy(getattr(self, name)) for name in _UNDONE}
        later, self._later = self._later, []
        try:
            return add()
        except (ShippingError, Unsendable):
            del self.nodes[nodes:]
            self._known = {key: ref for key, ref in self._known.items() if ref < nodes}
            self.names = {ref: name for ref, name in self.names.items() if ref < nodes}
            vars(self).update(before)
            return None
        finally:
            self._later = later


def _doc_of(code: types.CodeType) -> str | None:
    first = code.co_consts[0] if code.co_consts else None
    return first if isinstance(first, str) else None


def _package_of(value: types.FunctionType) -> str:
    names = value.__globals__
    return str(names.get("__package__") or str(names.get("__name__")).rpartition(".")[0])
