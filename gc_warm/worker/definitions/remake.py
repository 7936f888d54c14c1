"""Functions, classes and values, made again on a worker from what describes them.

Of a script or notebook, no statement runs on a worker. Each name that a function needs travels as a
*graph* instead (see `gc_warm.shipping.definitions`): a list of nodes, and which of them the name
means. A number, a text, True, False and None stand for themselves; ``[i]`` is the node i of the
same graph, so what was one object is one here. A node is a list, its kind first: see the methods of
`_Remaker`. Only functions have source text: a function's code is compiled from it, and the rest of
the function (defaults, closure, attributes) are values again.
"""

from __future__ import annotations

import base64
import collections
import contextlib
import functools
import importlib
import types
from typing import TYPE_CHECKING, Any

from gc_warm.worker.definitions.classes import make_dataclass, of_python, quietly
from gc_warm.worker.definitions.compiling import compiled, show

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_CONTAINERS = {"list", "set", "dict"}


def fill(scripts: list[tuple[Any, dict[str, Any]]]) -> None:
    """Bind the names of scripts in their modules; all of them, or none if one cannot be made.

    Args:
        scripts: For each script, the loader of its module, which knows what is there by each name;
            and what the bundle says of it: the graph of each of its ``names``, and the hashes of
            those that are ``agreed``, and of the ``extra`` ones, which may fail.
    """
    spaces = {loader.name: module["names"] for loader, module in scripts}
    known = {}
    for loader, module in scripts:
        here, wanted = {**loader.extra, **loader.agreed}, {**module["extra"], **module["agreed"]}
        known[loader.name] = {name for name, digest in wanted.items() if here.get(name) == digest}
    _forget_what_refers_to_others(spaces, known)
    _bind(spaces, known, [(s.name, name) for s, m in scripts for name in m["agreed"]])
    for loader, module in scripts:
        loader.agreed.update(module["agreed"])
        for name in loader.extra.keys() & module["agreed"].keys():
            del loader.extra[name]
            if not module["agreed"][name]:  # it means a builtin now
                vars(importlib.import_module(loader.name)).pop(name, None)
    for loader, module in scripts:
        for name, digest in module["extra"].items():
            loader.extra.pop(name, None)
            with contextlib.suppress(Exception):
                _bind(spaces, known, [(loader.name, name)])
                loader.extra[name] = digest


def _forget_what_refers_to_others(spaces: dict[str, Any], known: dict[str, set[str]]) -> None:
    """Take from what is there the names that refer to some which are not: they are made anew."""
    count = -1
    while count != sum(map(len, known.values())):
        count = sum(map(len, known.values()))
        for space, graphs in spaces.items():
            for name in known[space] & graphs.keys():
                others = [node[1:] for node in graphs[name][0] if node[0] == "name"]
                if any(other not in known[home] for home, other in others):
                    known[space].discard(name)


def _bind(spaces: dict[str, Any], known: dict[str, set[str]], names: list[tuple[str, str]]) -> None:
    """Bind names that are not there, and those that they refer to."""
    remaker = _Remaker(spaces, known)
    for space, name in names:
        if name in spaces[space]:
            remaker.named(space, name)
    remaker.finish_all()
    for (space, name), value in remaker.made_names.items():
        vars(importlib.import_module(space))[name] = value
        known[space].add(name)


def make(graph: Any) -> Any:
    """Make what a graph describes; the names that it refers to are there already."""
    remaker = _Remaker({}, {})
    made = remaker.graph(None, graph)
    remaker.finish_all()
    return made


class _NotYetError(Exception):
    """An object is needed that is just being made."""


class _Remaker:
    """Makes what graphs describe.

    Functions and classes are made empty, and filled afterwards, for they may refer to each other.
    They are filled before anything is called or hashed; but what needs an object that is just being
    made waits for it.
    """

    def __init__(self, spaces: dict[str, Any], known: dict[str, Any]) -> None:
        self._spaces = spaces
        self._known = known
        self._made: dict[Any, Any] = {}  # by graph and number of the node
        self.made_names: dict[Any, Any] = {}  # what was made that scripts have a name for
        self._open: set[Any] = set()  # what is being made
        self._empty: set[Any] = set()  # containers that are made, and not filled
        self._unfilled: list[Callable[[], None]] = []
        self._graph: tuple[Any, Any] = None, ()

    def finish(self) -> None:
        """Fill what is empty, as far as it can be."""
        waiting = []
        while self._unfilled:
            fill = self._unfilled.pop(0)
            try:
                fill()
            except _NotYetError:
                waiting.append(fill)
        self._unfilled += waiting

    def finish_all(self) -> None:
        """Fill all that is empty."""
        self.finish()
        if self._unfilled:
            raise RecursionError("values that refer to each other in a circle cannot be made")

    def named(self, space: str, name: str) -> Any:
        """Return what a name of a script means."""
        if space not in self._spaces or name in self._known[space]:
            return vars(importlib.import_module(space)).get(name)
        made = self.graph((space, name), self._spaces[space][name])
        self.made_names[space, name] = made
        return made

    def graph(self, key: Any, graph: Any) -> Any:
        """Return what a graph describes."""
        nodes, root = graph
        before, self._graph = self._graph, (key, nodes)
        try:
            return self._value(root)
        finally:
            self._graph = before

    def _value(self, code: Any) -> Any:
        if type(code) is not list:
            return code
        key, nodes = self._graph
        place = key, code[0]
        if place not in self._made:
            if place in self._open:
                raise _NotYetError
            kind, *parts = nodes[code[0]]
            self._open.add(place)
            try:
                getattr(self, "_" + kind)(place, *parts)
            finally:
                self._open.discard(place)
        return self._made[place]

    def _values(self, codes: Iterable[Any]) -> list[Any]:
        return [self._value(code) for code in codes]

    def _table(self, codes: dict[str, Any]) -> dict[str, Any]:
        return {name: self._value(code) for name, code in codes.items()}

    def _later(self, action: Callable[[], None], container: Any = None) -> None:
        graph = self._graph
        self._empty.add(container)

        def fill() -> None:
            before, self._graph = self._graph, graph
            try:
                action()
                self._empty.discard(container)
            finally:
                self._graph = before

        self._unfilled.append(fill)

    def _is_empty(self, code: Any) -> bool:
        """Return whether a container is not filled yet, or holds one that is not."""
        if type(code) is not list:
            return False
        key, nodes = self._graph
        kind, *parts = nodes[code[0]]
        if kind == "name":
            return (tuple(parts), 0) in self._empty
        if kind == "tuple":
            return any(map(self._is_empty, parts))
        return kind in _CONTAINERS and (key, code[0]) in self._empty

    # The kinds of nodes

    def _name(self, place: Any, space: str, name: str) -> None:
        self._made[place] = self.named(space, name)

    def _import(self, place: Any, module: str, path: str) -> None:
        found = importlib.import_module(module)
        self._made[place] = functools.reduce(getattr, filter(None, path.split(".")), found)

    def _bytes(self, place: Any, text: str) -> None:
        self._made[place] = base64.b64decode(text)

    def _list(self, place: Any, *codes: Any) -> None:
        made: list[Any] = []
        self._made[place] = made
        self._later(lambda: made.extend(self._values(codes)), place)

    def _tuple(self, place: Any, *codes: Any) -> None:
        self._made[place] = tuple(self._values(codes))

    def _set(self, place: Any, *codes: Any) -> None:
        made: set[Any] = set()
        self._made[place] = made

        def fill() -> None:
            values = self._values(codes)
            self.finish()
            made.update(values)

        self._later(fill, place)

    def _frozenset(self, place: Any, *codes: Any) -> None:
        values = self._values(codes)
        self.finish()
        self._made[place] = frozenset(values)

    def _dict(self, place: Any, *codes: Any) -> None:
        made: dict[Any, Any] = {}
        self._made[place] = made

        def fill() -> None:
            values = self._values(codes)
            if any(type(each) is list for each in codes[::2]):
                self.finish()
            made.update(zip(values[::2], values[1::2], strict=True))

        self._later(fill, place)

    def _call(  # noqa: PLR0917  (a node's own parts, in order)
        self,
        place: Any,
        function: Any,
        args: list[Any],
        kwargs: dict[str, Any],
        state: Any = None,
        items: list[Any] | tuple[()] = (),
        pairs: list[Any] | tuple[()] = (),
        setter: Any = None,
    ) -> None:
        """Make something as pickle would: by a call, then its state and what it holds."""
        call, arguments, options = self._value(function), self._values(args), self._table(kwargs)
        self.finish()
        if any(map(self._is_empty, [*args, *kwargs.values()])):
            raise _NotYetError
        self._made[place] = made = call(*arguments, **options)

        def fill() -> None:
            new, table = self._values(items), self._values(pairs)
            what, how = self._value(state), self._value(setter)
            self.finish()
            if self._is_empty(state):
                raise _NotYetError
            for each in new:
                of_python(type(made), "append")(made, each)
            for key, value in zip(table[::2], table[1::2], strict=True):
                of_python(type(made), "__setitem__")(made, key, value)
            if state is not None:
                _set_state(made, what, how)

        if items or pairs or state is not None:
            self._later(fill)

    def _cell(self, place: Any, *content: Any) -> None:
        self._made[place] = cell = types.CellType()
        if content:
            self._later(lambda: setattr(cell, "cell_contents", self._value(content[0])))

    def _function(self, place: Any, what: dict[str, Any]) -> None:
        home = importlib.import_module(what["home"])
        show(what["file"], what["line"], what["text"])
        cells = tuple(self._values(what["cells"]))
        made = types.FunctionType(compiled(what), vars(home), what["name"], None, cells)
        made.__module__ = what["module"]
        made.__qualname__ = what["qualname"]
        self._made[place] = made

        def fill() -> None:
            for each in what["imports"]:
                importlib.import_module(each)
            made.__defaults__ = self._value(what["defaults"])
            made.__kwdefaults__ = self._value(what["kwdefaults"])
            made.__dict__.update(self._table(what["attributes"]))
            if "hints" in what:
                made.__annotations__ = self._table(what["hints"])
            if "doc" in what:
                made.__doc__ = self._value(what["doc"])

        self._later(fill)

    def _class(self, place: Any, what: dict[str, Any]) -> None:
        """Make a class without running its body, its decorators, or what its bases do to it."""
        first = self._table(what["first"])
        made: Any
        if "named_tuple" in what:
            name, fields = what["named_tuple"]
            defaults = self._values(what["defaults"])
            make: Any = collections.namedtuple  # noqa: PYI024
            made = make(name, fields, defaults=defaults)
            made.__module__, made.__qualname__ = first["__module__"], first["__qualname__"]
        else:
            maker, bases = self._value(what["maker"]), tuple(self._values(what["bases"]))
            silent = self._values(what["silent"])
            self.finish()
            # In the order of the original; they are filled in later.
            first |= dict.fromkeys(what.get("order", ()))
            made = quietly(silent, maker, what["name"], bases, first)
        self._made[place] = made

        def fill_functions() -> None:
            for name, code in what["functions"].items():
                type.__setattr__(made, name, self._value(code))

        def fill_fields() -> None:
            if "fields" in what:
                fields = [(*each, self._table(settings)) for *each, settings in what["fields"]]
                make_dataclass(made, what["options"], fields)

        def fill_values() -> None:
            for name, code in what["values"].items():
                type.__setattr__(made, name, self._value(code))
            if type(made).__module__ == "typing":  # it finds out what belongs to a protocol
                type(made).__init__(made, what["name"], (), {})
            if "abstract" in what:
                made.__abstractmethods__ = frozenset(what["abstract"])
            for each in self._values(what["registered"]):
                made.register(each)

        def fill() -> None:
            for step in steps[:]:
                step()
                steps.remove(step)

        steps = [fill_functions, fill_fields, fill_values]
        self._later(fill)


def _set_state(made: Any, state: Any, setter: Any) -> None:
    """Set an object's state, as pickle would."""
    if setter is not None:
        setter(made, state)
    elif hasattr(made, "__setstate__"):
        made.__setstate__(state)
    else:
        slots = None
        if type(state) is tuple and len(state) == 2:  # noqa: PLR2004  (__dict__ and __slots__)
            state, slots = state
        if state:
            made.__dict__.update(state)
        for name, value in (slots or {}).items():
            object.__setattr__(made, name, value)
