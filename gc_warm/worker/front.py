"""The front of a warm state: a function that answers a repeated call at once.

`functools.lru_cache` is quick because it is written in C. A Python function is as quick if it does
next to nothing: this module writes one for each initialiser, with the initialiser's own parameters,
that compares the arguments to those of the most recent call. For ``def model(name)`` it reads::

    def model(name):
        nonlocal _hits
        _last0, _kind0, _value = _front
        if name is _last0 or (name.__class__ is _kind0 and name == _last0):
            _hits += 1
            return _value
        _value = None
        return _obtain((name,), {})

Repeating the most recent call changes no order of use, so the table behind it stays exactly
least-recently-used. The comparison is never wrong: the same object is the same argument, and equal
values are compared only where equality does not lie (see `keys`). The front is one tuple, read and
replaced as a whole, so threads need no lock.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gc_warm.worker.keys import ATOMS

if TYPE_CHECKING:
    from collections.abc import Callable

_PLAIN = (
    inspect.Parameter.POSITIONAL_ONLY,
    inspect.Parameter.POSITIONAL_OR_KEYWORD,
    inspect.Parameter.KEYWORD_ONLY,
)


class _Never:
    """The class of no argument, and an argument that no call passes."""


@dataclass(frozen=True)
class Front:
    """A front and what controls it.

    Attributes:
        function: What the user calls.
        remember: Answer this call from now on: called with its arguments and its state.
        forget: Answer no call, and drop the reference to the state.
        hits: Return how many calls it has answered so far.
    """

    function: Callable[..., Any]
    remember: Callable[[tuple[Any, ...], dict[str, Any], Any], None]
    forget: Callable[[], None]
    hits: Callable[[], int]


def make_front(
    name: str,
    signature: inspect.Signature,
    obtain: Callable[[tuple[Any, ...], dict[str, Any]], Any],
    *,
    remembers: bool = True,
) -> Front:
    """Write the front of an initialiser.

    Args:
        name: Name of the initialiser.
        signature: Its parameters.
        obtain: Answers what the front does not know: called with positional arguments and
            keywords, defaults applied.
        remembers: False makes every call go to ``obtain``.
    """
    parameters = list(signature.parameters.values())
    remembers = remembers and all(p.kind in _PLAIN for p in parameters)
    function, set_front, hits = _compile(name, parameters, obtain, remembers=remembers)
    nothing = _row([_Never] * len(parameters), None) if parameters else ()

    def remember(args: tuple[Any, ...], kwargs: dict[str, Any], value: Any) -> None:
        if remembers:
            set_front(_row([*args, *kwargs.values()], value))

    set_front(nothing)
    return Front(function, remember, lambda: set_front(nothing), hits)


def _row(values: list[Any], state: Any) -> tuple[Any, ...]:
    """Return what the front compares with: for each argument its value and type, and the state."""
    pairs = ((value, type(value) if type(value) in ATOMS else _Never) for value in values)
    return (*(item for pair in pairs for item in pair), state)


def _compile(
    name: str, parameters: list[inspect.Parameter], obtain: Any, *, remembers: bool
) -> tuple[Callable[..., Any], Callable[[tuple[Any, ...]], None], Callable[[], int]]:
    _ = _prefix(parameters)
    lines = _answer(parameters, _) if remembers else []
    source = "\n".join(
        [
            f"def make({_}obtain, {_}default):",
            f"    {_}front = ()",
            f"    {_}hits = 0",
            f"    def front({_declare(parameters, _)}):",
            f"        nonlocal {_}hits",
            *lines,
            f"        return {_}obtain({_pass_on(parameters)})",
            "    def set_front(new):",
            f"        nonlocal {_}front",
            f"        {_}front = new",
            f"    return front, set_front, lambda: {_}hits",
        ]
    )
    names: dict[str, Any] = {}
    code = compile(source, f"<front of {name}>", "exec")
    exec(code, names)  # noqa: S102  (written above, from the names of parameters only)
    defaults = {p.name: p.default for p in parameters}
    made: tuple[Any, Any, Any] = names["make"](obtain, defaults)
    return made


def _prefix(parameters: list[inspect.Parameter]) -> str:
    """Return what no parameter's name begins with."""
    prefix = "_"
    while any(p.name.startswith(prefix) for p in parameters):
        prefix += "_"
    return prefix


def _answer(parameters: list[inspect.Parameter], _: str) -> list[str]:
    """Write the lines that compare a call with the most recent one."""
    if not parameters:
        return [
            f"        {_}row = {_}front",
            f"        if {_}row:",
            f"            {_}hits += 1",
            f"            return {_}row[0]",
        ]
    last = ", ".join(f"{_}last{i}, {_}kind{i}" for i in range(len(parameters)))
    same = " and ".join(
        f"({p.name} is {_}last{i} or ({p.name}.__class__ is {_}kind{i} and {p.name} == {_}last{i}))"
        for i, p in enumerate(parameters)
    )
    return [
        f"        {last}, {_}value = {_}front",
        f"        if {same}:",
        f"            {_}hits += 1",
        f"            return {_}value",
        # This frame must not keep the old state alive while a new one is built.
        f"        {_}value = None",
    ]


def _declare(parameters: list[inspect.Parameter], _: str) -> str:
    """Write the parameter list, defaults included."""
    parts: list[str] = []
    keyword_only = False
    for i, p in enumerate(parameters):
        if p.kind is p.KEYWORD_ONLY and not keyword_only:
            keyword_only = True
            if not any(q.kind is q.VAR_POSITIONAL for q in parameters):
                parts.append("*")
        stars = "*" if p.kind is p.VAR_POSITIONAL else "**" if p.kind is p.VAR_KEYWORD else ""
        default = "" if p.default is p.empty else f"={_}default[{p.name!r}]"
        parts.append(f"{stars}{p.name}{default}")
        last_positional_only = p.kind is p.POSITIONAL_ONLY and (
            i + 1 == len(parameters) or parameters[i + 1].kind is not p.POSITIONAL_ONLY
        )
        if last_positional_only:
            parts.append("/")
    return ", ".join(parts)


def _pass_on(parameters: list[inspect.Parameter]) -> str:
    """Write the arguments of a call, as a tuple and a dictionary."""
    args, kwargs = "", ""
    for p in parameters:
        if p.kind is p.KEYWORD_ONLY:
            kwargs += f"{p.name!r}: {p.name}, "
        elif p.kind is p.VAR_KEYWORD:
            kwargs += f"**{p.name}, "
        else:
            args += f"*{p.name}, " if p.kind is p.VAR_POSITIONAL else f"{p.name}, "
    return f"({args}), {{{kwargs}}}"
