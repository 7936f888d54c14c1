"""Programs made of snippets: what is drawn are numbers, and each says what comes next.

The smaller the numbers, the simpler the program; a step less is a simpler program, too. So what is
drawn shrinks well, whoever draws.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from .kinds import (
    CLASS_LEVEL,
    CLASSES,
    DATA,
    FUNCTIONS,
    INSTANCE_LEVEL,
    INSTANCES,
    Kind,
    Snippet,
)
from .snippets import ORDINARY, SNIPPETS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

SEEDS = 2**24  # up to this, hypothesis draws all numbers as often
INTEGERS = ("1", "2", "3", "0", "5", "-4", "10**20", "7")
TEXTS = ("'a'", "'b\\n'", "''", "'''c\n  d'''", "f'{3 + 4}é'", "r'\\d'", "'x' 'y'")
LITERALS = (
    *("None", "True", "1.5", "b'\\x00a'", "float('nan')", "float('-inf')", "-0.0", "1e400", "2j"),
    *("...", "()", "[]", "{}", "set()", "frozenset({1, 2})", "[[1], [1]]", "{1: {2: [3]}}"),
    *("[(1, 'a'), {'b': None}]", "'\\ud800'", "'\\u2028\\x1c'", "0x10**40", "NotImplemented"),
    *("{(1, 2): [3], 'a': {4}}", "int", "[int, len]", "1_000", "5e-324", "[1] * 50", "'é' * 30"),
)
SEPARATORS = ("",) * 12 + ("\n", "# a comment\n", "\n\n")
STRANGE_SEPARATORS = (*SEPARATORS, "\x0c\n", "# \u2028 \x1c\n", "\\\n\n", "# \x85\n")


class Step(NamedTuple):
    """What is done next; `names` and `body` say with which names and which values."""

    what: int
    names: int
    body: int


class Options(NamedTuple):
    """What a program as a whole is like."""

    notebook: bool
    as_main: bool = False
    future: bool = False
    encoding: int = 0


@dataclass(frozen=True)
class Program:
    """A script, or a notebook.

    Attributes:
        texts: The cells in the order in which they run; or the text of a script, and its text the
            next time that it is run.
        notebook: Whether it is a notebook.
        as_main: Whether it is what ``sys.modules["__main__"]`` is, too; not so under ``%run``.
        encoding: How a script is written to its file.
    """

    texts: tuple[str, ...]
    notebook: bool = False
    as_main: bool = False
    encoding: str = "utf-8"

    def __str__(self) -> str:
        """Return it as it stands in `found`."""
        make = "notebook" if self.notebook else "script"
        options = ", as_main=True" if self.as_main else ""
        if self.encoding != "utf-8":
            options += f", encoding={self.encoding!r}"
        return f"{make}({', '.join(map(_literal, self.texts))}{options})"


def _literal(text: str) -> str:
    strange = (
        set(text) & set("\x0c\x1c\x1d\x1e\x85\u2028\r\ufeff") or "'''" in text or '"""' in text
    )
    if strange:
        return "(" + "".join(f"\n    {line!r}" for line in re.findall(r".*\n|.+", text)) + "\n)"
    return '"""\n' + text.replace("\\", "\\\\") + '"""'


@dataclass
class _Choices:
    """Choose by a number; 0 chooses the first always."""

    seed: int

    def pick(self, options: Sequence[Any]) -> Any:
        if self.seed == 0:
            return options[0]
        self.seed = (self.seed * 6364136223846793005 + 1442695040888963407) % 2**64
        return options[(self.seed >> 33) % len(options)]


class _Bound(NamedTuple):
    kind: Kind
    level: float


@dataclass
class _Cell:
    text: str
    effects: dict[str, _Bound | None]
    steps: list[tuple[int, Step]]
    repeats: bool  # without harm: none of its functions changes what it returns


@dataclass
class _Scope:
    """What names are bound to, as far as the text shows."""

    names: dict[str, _Bound] = field(default_factory=dict)

    def family(self, family: str, below: float = 9) -> list[str]:
        found = [
            name
            for name, (kind, level) in self.names.items()
            if level < below and (family == "name" or family in kind.families)
        ]
        return found[::-1]  # the latest first

    def apply(self, effects: dict[str, _Bound | None]) -> None:
        for name, bound in effects.items():
            self.names.pop(name, None)
            if bound is not None:
                self.names[name] = bound


class _NotNow(Exception):  # noqa: N818  (no error: the snippet needs what is not there yet)
    pass


def build(steps: Sequence[Step], options: Options, *, ordinary: bool = False) -> Program:
    """Make a program of what was drawn."""
    builder = _Builder(options, ordinary=ordinary)
    for step in steps:
        builder.add(step)
    for step in steps[-2:]:
        builder.submit_if_idle(step)
    return builder.program()


def number_of_choices(*, ordinary: bool, snippets: bool = True) -> int:
    """Return how many numbers `Step.what` chooses by: all, or those of submissions, the first."""
    choices = _CHOICES[ordinary]
    return len(choices) if snippets else choices.count("submit")


def _choices(*, ordinary: bool) -> tuple[Snippet | str, ...]:
    snippets = ORDINARY if ordinary else SNIPPETS
    many = len(snippets) // 10
    return (*("submit",) * (5 * many), *snippets, *("rerun",) * many, *("edit",) * many)


_CHOICES = {ordinary: _choices(ordinary=ordinary) for ordinary in (True, False)}


class _Builder:
    def __init__(self, options: Options, *, ordinary: bool) -> None:
        self._options = options
        self._choices = _CHOICES[ordinary]
        self._separators = SEPARATORS if ordinary else STRANGE_SEPARATORS
        self._scope = _Scope()
        self._cells: list[_Cell] = []
        self._texts: list[str] = []  # of a script, as it was run before
        self._edited = False
        self._number = 0
        self._submissions = 0

    def program(self) -> Program:
        encodings = ("utf-8", "utf-8-sig", "latin-1")
        if self._options.notebook:
            texts = [cell.text for cell in self._cells]
            head = "from __future__ import annotations\n"
            texts = [head, *texts] if self._options.future else texts
            return Program(tuple(texts), notebook=True, as_main=self._options.as_main)
        self._end_of_script()
        encoding = encodings[self._options.encoding % len(encodings)]
        return Program(tuple(self._texts), as_main=self._options.as_main, encoding=encoding)

    def add(self, step: Step) -> None:
        self._number += 1
        what = self._choices[step.what % len(self._choices)]
        if what == "submit":
            self._submit(self._number, step)
        elif what in ("rerun", "edit"):
            self._again(step, edit=what == "edit")
        elif self._options.notebook or not what.cell:
            self._snippet(what, self._number, step)

    def submit_if_idle(self, step: Step) -> None:
        """Submit something, if that was not done twice."""
        if self._submissions < 2:
            self._submit(self._number, Step(0, step.body, step.names))

    def _submit(self, number: int, step: Step) -> None:
        text = _submission(self._scope, _Choices(step.names))
        if text is not None:
            self._submissions += 1
            self._append(text, {}, number, step, repeats=True)

    def _snippet(self, snippet: Snippet, number: int, step: Step) -> None:
        try:
            text, effects = _fill(snippet, self._scope, step, number)
        except _NotNow:
            return
        repeats = not any(bound is not None and bound.kind.once for bound in effects.values())
        self._append(text, effects, number, step, repeats=repeats)

    def _append(
        self,
        text: str,
        effects: dict[str, _Bound | None],
        number: int,
        step: Step,
        *,
        repeats: bool,
    ) -> None:
        self._scope.apply(effects)
        choices = _Choices(step.body)
        joins = choices.pick((False, True, False)) and self._cells
        if joins and self._cells[-1].repeats == repeats:
            last = self._cells[-1]
            last.text += choices.pick(self._separators) + text
            last.effects.update(effects)
            last.steps.append((number, step))
        else:
            self._cells.append(_Cell(text, dict(effects), [(number, step)], repeats))

    def _again(self, step: Step, *, edit: bool) -> None:
        choices = _Choices(step.names)
        cells = [cell for cell in self._cells if cell.repeats]
        if not cells:
            return
        cell = choices.pick(cells[::-1])
        if self._options.notebook and not edit:
            self._scope.apply(cell.effects)
            self._cells.append(_Cell(cell.text, dict(cell.effects), list(cell.steps), repeats=True))
        elif self._options.notebook:
            for number, old in list(cell.steps):
                self._do_again(number, old._replace(body=step.body))
        elif edit and not self._edited:
            self._edit_script(cell, step)

    def _do_again(self, number: int, step: Step) -> None:
        what = self._choices[step.what % len(self._choices)]
        if isinstance(what, Snippet):
            self._snippet(what, number, step)

    def _edit_script(self, changed: _Cell, step: Step) -> None:
        """End the script, and begin it anew with one of its cells changed."""
        before = self._cells
        self._end_of_script()
        self._cells, self._scope, self._edited = [], _Scope(), True
        for cell in before:
            for number, old in cell.steps:
                new = old._replace(body=step.body) if cell is changed else old
                if self._choices[old.what % len(self._choices)] == "submit":
                    self._submit(number, new)
                else:
                    self._do_again(number, new)

    def _end_of_script(self) -> None:
        text = "".join(cell.text for cell in self._cells)
        head = "# coding: latin-1\n" if self._options.encoding % 3 == 2 else ""
        head += "from __future__ import annotations\n" if self._options.future else ""
        if head:
            text = "".join(c if ord(c) < 256 or not head.startswith("# c") else "?" for c in text)
        self._texts.append(head + text)


def _submission(scope: _Scope, choices: _Choices) -> str | None:
    calls = [
        (call.format(n=name), kind.once)
        for name, (kind, _) in reversed(scope.names.items())
        for call in kind.calls
    ]
    if not calls:
        return None
    call, once = choices.pick(calls)
    how = choices.pick(("submit", "submit", "submit_again", "submit_again", "submit_later"))
    return f"__{'submit_once' if once else how}__({call})\n"


# Placeholders

_PLACE = re.compile(r"<([a-zA-Z_]+)>")


def _fill(
    snippet: Snippet, scope: _Scope, step: Step, number: int
) -> tuple[str, dict[str, _Bound | None]]:
    """Return a snippet's text with names and values, and what its names are bound to then."""
    names, body = _Choices(step.names), _Choices(step.body)
    level: float = snippet.level or names.pick((1, 3, 4))
    chosen: dict[str, str] = {}

    def choose(place: str) -> str:
        article, _, family = place.partition("_")
        if article in ("a", "an", "another"):
            below = level if family == "lower" else 9
            return _pick_old("callable" if family == "lower" else family, scope, names, below)
        pool = FUNCTIONS[int(level)] if place in "fgh" else INSTANCES if place == "p" else DATA
        pool = CLASSES if place in "CD" else pool
        return names.pick([name for name in pool if name not in chosen.values()] or pool)

    own = CLASS_LEVEL if {"C", "D"} & set(_PLACE.findall(snippet.text)) else level

    def fill(match: re.Match[str]) -> str:
        place = match[1]
        if place in _VALUES:
            return _VALUES[place](scope, body, own)
        if place not in chosen:
            chosen[place] = choose(place)
        return chosen[place]

    text = _PLACE.sub(fill, snippet.text).replace("_U", f"_U{number}")
    effects: dict[str, _Bound | None] = {}
    for place, kind in snippet.binds.items():
        name = place[1:].replace("_U", f"_U{number}") if place[0] == "=" else chosen[place]
        old = scope.names.get(name)
        if isinstance(kind, str):
            kind = scope.names[chosen[kind]].kind  # noqa: PLW2901  (that of the other name)
        elif not isinstance(kind, Kind):
            assert old is not None
            kind = kind(old.kind)  # noqa: PLW2901  (what it was, and more)
        effects[name] = _Bound(kind, _level(place, level, old))
    for place in re.findall(r"^del <(\w+)>$", snippet.text, re.MULTILINE):
        effects.setdefault(chosen[place], None)
    return text, effects


def _level(place: str, level: float, old: _Bound | None) -> float:
    if old is not None and place[:2] in ("a_", "an"):
        return old.level
    if place in ("C", "D"):
        return CLASS_LEVEL
    if place == "p":
        return INSTANCE_LEVEL
    return level if place in ("f", "g", "h") or place[0] == "=" else 0


def _pick_old(family: str, scope: _Scope, names: _Choices, below: float) -> str:
    found = scope.family(family, below)
    if not found:
        raise _NotNow
    return str(names.pick(found))


def _use(scope: _Scope, choices: _Choices, below: float, x: str = "x") -> str:
    uses = [
        (name, kind)
        for name, (kind, level) in reversed(scope.names.items())
        if level < below and kind.uses
    ]
    if not uses:
        return "x" if x == "x" else str(choices.pick(INTEGERS))
    name, kind = choices.pick(uses)
    return str(choices.pick(kind.uses).format(n=name, x=x))


def _now(scope: _Scope, choices: _Choices, below: float) -> str:
    return _use(scope, choices, 9, "2")


def _now_int(scope: _Scope, choices: _Choices, below: float) -> str:
    found = scope.family("int")
    return str(choices.pick([*found, *INTEGERS[:2]]))


def _same(scope: _Scope, choices: _Choices, below: float) -> str:
    names = [*scope.family("mutable", below), *scope.family("identity", below)]
    return f"{choices.pick(names)} is {choices.pick(names)}" if names else "True"


def _submit_here(scope: _Scope, choices: _Choices, below: float) -> str:
    text = _submission(scope, choices)
    if text is None:
        raise _NotNow
    return text.rstrip()


_VALUES: dict[str, Callable[[_Scope, _Choices, float], str]] = {
    "int": lambda _, choices, __: str(choices.pick(INTEGERS)),
    "str": lambda _, choices, __: str(choices.pick(TEXTS)),
    "literal": lambda _, choices, __: str(choices.pick(LITERALS)),
    "use": _use,
    "use_two": lambda scope, choices, below: _use(scope, choices, below, "2"),
    "now": _now,
    "now_int": _now_int,
    "same": _same,
    "submit": _submit_here,
}
