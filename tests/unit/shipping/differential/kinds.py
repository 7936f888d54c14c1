"""What generated programs are made of: texts with places for names and values.

In a text, ``<f>`` or ``<D>`` is a name that the snippet binds, ``<a_list>`` one that was bound
before to a list, ``<use>`` an expression of ``x`` that looks up any of those, ``<now>`` the same
with a number for ``x``, and ``<int>`` a literal. ``_U`` is something else in every run of the
program.

Functions take one number. One may only use what is of a lower level than its own, so that none
calls itself without end; which level a name has is fixed.
"""

from __future__ import annotations

import textwrap
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True)
class Kind:
    """What a name is bound to.

    Attributes:
        families: What placeholders call it: ``<a_list>`` is one of the family ``list``.
        uses: Expressions that look it up, and change nothing.
        calls: What is submitted: an expression, and the arguments.
        once: A call changes what the next one returns.
    """

    families: frozenset[str] = frozenset()
    uses: tuple[str, ...] = ()
    calls: tuple[str, ...] = ()
    once: bool = False


def kind_of(families: str, *uses: str, calls: tuple[str, ...] = (), once: bool = False) -> Kind:
    return Kind(frozenset(families.split()), uses, calls, once)


INT = kind_of("int data", "{n}", "{n} + {x}", "[{n}, {x}]", "max({n}, {x})")
ANY = kind_of("data", "{n}", "({n}, {x})", "type({n}).__name__")
STR = kind_of("data", "{n}", "{n} * 2", "f'{{{n}}}{{{x}}}'", "len({n})")
LIST = kind_of(
    "list mutable data", "{n}", "len({n})", "[*{n}, {x}]", "list(map(str, {n}))", "{n}[-1:]"
)
DICT = kind_of(
    "dict mutable data", "{n}", "sorted({n})", "{n}.get('a', {x})", "list({n}.items())", "len({n})"
)
SET = kind_of("set mutable data", "{n}", "len({n})", "{x} in {n}")
TUPLE = kind_of("data", "{n}", "{n}[0]", "len({n})", "({n}, {x})")
SENTINEL = kind_of("identity data", "{n} is None", "type({n}).__name__")
MODULE = kind_of("", "{n}.floor({x} / 2)", "{n}.pi")
BUILTIN = kind_of("callable", "{n}({x})", "{n}(2)")
CALLS = ("{n}, 3", "{n}, -1", "{n}, 0", "{n}, 10")
FUNCTION = kind_of(
    "function callable identity",
    *("{n}({x})", "{n}(2)", "{n}.__name__", "[{n}(i) for i in range(2)]", "list(map({n}, [1]))"),
    calls=CALLS,
)
CALLABLE = kind_of("callable identity", "{n}({x})", "{n}(2)", calls=CALLS)
PARTIAL = kind_of("identity", "{n}()", "({n}(), {x})", calls=("{n}",))
CACHED = kind_of("callable identity", "{n}({x})", "{n}({x}) is {n}({x})", calls=CALLS)
DISPATCH = kind_of(
    "callable dispatch identity",
    *("{n}({x})", "{n}('text')", "{n}(1.5)", "{n}([{x}])"),
    calls=(*CALLS, "{n}, 'text'", "{n}, 2.5", "{n}, None"),
)
ONCE = kind_of("", calls=CALLS, once=True)
CLASS = kind_of(
    "class identity",
    *("{n}({x}).total()", "{n}({x})", "{n}.scale", "{n}.__name__", "[{n}(1), {n}({x})]"),
    calls=("{n}(3).total", "{n}(-1).total"),
)
MADE = replace(CLASS, calls=(*CLASS.calls, "{n}.make, 4", "{n}.double, 4"))
ENUM = kind_of(
    "identity enum",
    *("{n}.A", "{n}.B.value", "[each.name for each in {n}]", "{n}.A is {n}['A']", "{n}.B.total()"),
    calls=("{n}.A.total",),
)
NAMED = kind_of("identity", "{n}({x}, 2)", "{n}({x}, 1)._replace(value=9)", "{n}(1, 2).scale")
INSTANCE = kind_of(
    "instance identity mutable2",
    *("{n}", "{n}.total()", "{n}.value", "type({n}).__name__", "{n}.scale"),
    calls=("{n}.total",),
)
NOTHING = kind_of("")  # a name that is bound, and used by its own snippet only

# Pools of names, by level
DATA = ("n", "k", "values", "items", "table", "names", "max", "list")
CLASSES = ("Point", "Base", "Child", "Box")
INSTANCES = ("p", "box", "origin", "handlers")
FUNCTIONS = {
    1: ("helper", "scale", "show", "sum"),
    3: ("f", "g", "work", "max"),
    4: ("run", "answer", "main", "len"),
    5: ("report", "everything", "summary", "id"),
}
CLASS_LEVEL = 2
INSTANCE_LEVEL = 2


@dataclass(frozen=True)
class Snippet:
    """Some statements.

    Attributes:
        text: Their text.
        binds: What the names in it are bound to; ``=name`` is a name that is not chosen, and a
            family of names, such as ``a_list``, is what a name is bound to that was bound before.
        level: That of its functions, if it is not chosen.
        ordinary: Whether it is what most scripts and notebooks are made of.
        cell: It is for notebooks only.
    """

    text: str
    binds: dict[str, Kind | str | Callable[[Kind], Kind]]
    level: int | None = None
    ordinary: bool = True
    cell: bool = False


@dataclass
class _Table:
    found: list[Snippet] = field(default_factory=list)

    def __call__(
        self,
        text: str,
        *,
        level: int | None = None,
        ordinary: bool = True,
        cell: bool = False,
        times: int = 1,
        fixed: dict[str, Kind] | None = None,
        **binds: Kind | str | Callable[[Kind], Kind],
    ) -> None:
        names = {**binds, **{f"={name}": kind for name, kind in (fixed or {}).items()}}
        text = textwrap.dedent(text).strip(" ").strip("\n") + "\n"
        self.found += [Snippet(text, names, level, ordinary, cell)] * times


add = _Table()
