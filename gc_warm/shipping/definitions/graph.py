"""Graphs: what travels of an object, and names for what several of them reach.

A graph is a list of nodes, and which of them is meant: see `gc_warm.worker.definitions`.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gc_warm.shipping.definitions.script import Space

SHARED = {"list", "set", "dict", "call", "cell", "function", "class"}  # that may change


class Ref(int):
    """The number of a node."""


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


_PARTS = {list, dict, Ref}


class Graphs:
    """The nodes of all that was taken apart.

    Attributes:
        nodes: The nodes; a `Ref` is the number of one.
        codes: What each name of a script is bound to: a plain value, or the number of a node.
        names: The nodes that scripts have a name for.
        fixed: Nodes of what never changes: which of two equal ones it is makes no difference.
    """

    def __init__(self) -> None:
        self.nodes: list[list[Any]] = []
        self.codes: dict[Name, Any] = {}
        self.names: dict[Ref, Name] = {}
        self.fixed: set[Ref] = set()

    def of_name(self, name: Name) -> tuple[Any, str]:
        """Return the graph of what a name is bound to, and a hash that tells it from others."""
        graph = compared = self.of(self.codes[name], name)
        if any(node[0] == "function" for node in graph[0]):
            compared = self.of(self.codes[name], name, placed=False)
        return graph, hashlib.sha256(json.dumps(compared).encode()).hexdigest()[:12]

    def of(self, root: Any, own: Name | None = None, *, placed: bool = True) -> Any:
        """Return the graph of one object, which refers to others by their names, if they have any.

        Args:
            root: The code of the object.
            own: Its own name.
            placed: Whether to include where functions are written: it changes nothing they do.
        """
        numbers: dict[Ref, int] = {}
        nodes: list[Any] = []

        def put(code: Any) -> Any:
            if isinstance(code, Ref):
                if code not in numbers:
                    numbers[code] = len(nodes)
                    nodes.append(None)
                    name = self.names.get(code, own)
                    node = self.nodes[code] if name == own else ["name", *name]  # type: ignore[misc]
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

    def name_what_is_shared(self, roots: tuple[Any, ...]) -> None:
        """Give a name to each object that several names reach, so that it stays one."""
        found_more = True
        while found_more:  # what got a name is one more from which others are reached
            found_more = False
            reached: dict[Ref, tuple[Name | None, int]] = {}
            starts: list[tuple[Name | None, Any]] = [(n, self.codes[n]) for n in sorted(self.codes)]
            for name, code in [*starts, *((None, root) for root in roots)]:
                for number, ref in enumerate(self._reach(code, name)):
                    owner, first = reached.setdefault(ref, (name, number))
                    is_shared = self.nodes[ref][0] in SHARED and ref not in self.fixed
                    if is_shared and owner not in {name, None}:
                        self._name_shared(ref, owner, first)
                        found_more = True

    def _reach(self, root: Any, own: Name | None) -> Iterator[Ref]:
        """Yield the nodes that one name reaches, and no other name stands for."""
        waiting = [root] if isinstance(root, Ref) and self.names.get(root, own) == own else []
        seen = set(waiting)
        while waiting:
            ref = waiting.pop()
            yield ref
            new = [each for each in _refs_in(self.nodes[ref]) if each not in seen]
            new = [] if self.names.get(ref, own) != own else new
            seen.update(new)
            waiting += [each for each in dict.fromkeys(new) if each not in self.names]

    def _name_shared(self, ref: Ref, owner: Name, number: int) -> None:
        while (name := Name(owner.space, f"{owner.name}.{number}")) in self.codes:
            number += 1
        self.names[ref] = name
        self.codes[name] = ref


def _refs_in(node: Any) -> Iterator[Ref]:
    if isinstance(node, Ref):
        yield node
    elif type(node) in _PARTS:
        for each in node.values() if type(node) is dict else node:
            if type(each) in _PARTS:
                yield from _refs_in(each)
