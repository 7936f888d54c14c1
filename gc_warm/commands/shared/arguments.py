"""What several commands take: a function by name, values, and the options for both."""

from __future__ import annotations

import ast
import importlib
import json
import os
import sys
import sysconfig
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from gc_warm.client.strategies import CODE_STRATEGIES
from gc_warm.commands.shared.show import shortened
from gc_warm.errors import GcWarmError, UsageError
from gc_warm.units import MAX_SUBMISSION_BYTES
from gc_warm.worker.self_contained import SelfContained

if TYPE_CHECKING:
    from collections.abc import Callable

NO_FUNCTION = "{!r} is not MODULE:FUNCTION, such as mylab.models:classify."


class _Value(click.ParamType):
    name = "value"

    def __init__(self, kind: type[object]) -> None:
        self._kind = kind

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:  # noqa: ARG002
        given = isinstance(value, str) and param is not None
        return parse_value(param.opts[0], value, self._kind) if given else value  # type: ignore[union-attr]


def require_names(kwargs: dict[Any, Any]) -> dict[str, Any]:
    """Return arguments by name, if they are what an executor takes.

    Raises:
        UsageError: A name is not text, or is one of ``Executor.submit``'s own.
    """
    if wrong := [name for name in kwargs if not isinstance(name, str)]:
        raise UsageError(f"--kwargs must have names as text, not {wrong[0]!r}.")
    if taken := {"self", "fn"} & {*kwargs}:
        raise UsageError(f"--kwargs cannot have {taken.pop()!r}: give it with --args, by position.")
    return kwargs


ARGS = click.option(
    "--args",
    default="[]",
    type=_Value(list),
    metavar="LIST|@FILE",
    help="Positional arguments: a list, in JSON or in Python, or a file with one; @- reads stdin.",
)
KWARGS = click.option(
    "--kwargs",
    default="{}",
    type=_Value(dict),
    callback=lambda _context, _option, kwargs: require_names(kwargs),
    metavar="DICT|@FILE",
    help="Arguments by name: the same with an object or a dict.",
)
AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
MANIFEST = click.option(
    "--manifest",
    default="functions.json",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The file that remembers registered functions.",
)
TIMES = click.option("--times", default=1, type=click.IntRange(min=1), help="How many calls.")
SECONDS = click.FloatRange(min=0, min_open=True)


def complete_names(context: click.Context, _: click.Parameter, start: str) -> list[str]:
    """Return the names of registered functions that begin so, for a shell."""
    from gc_warm.client.registry import FunctionRegistry

    try:
        names = FunctionRegistry(context.params["manifest"]).entries()
    except (GcWarmError, OSError):
        return []  # a shell has no use for messages
    return [name for name in names if name.startswith(start)]


def options_option(help_text: str) -> Callable[[Any], Any]:
    """Return the option ``--options``: what a user gives to an endpoint's template."""
    return click.option("--options", type=_Value(dict), metavar="DICT|@FILE", help=help_text)


def strategy_option(help_text: str) -> Callable[[Any], Any]:
    """Return the option ``--strategy``: how the SDK writes a function."""
    choice = click.Choice(CODE_STRATEGIES)
    return click.option("--strategy", type=choice, metavar="NAME", help=help_text)


def find_callable(path: str) -> Callable[..., Any]:
    """Import what ``MODULE:NAME`` means, as ``python -m`` would find it.

    Raises:
        UsageError: It cannot be imported, or not be called.
    """
    module_name, colon, name = path.partition(":")
    if not (module_name and colon and name):
        raise UsageError(NO_FUNCTION.format(path))
    _refuse_file(module_name, name)
    _find_in_current_folder()
    found = _imported(module_name)
    try:
        for part in name.split("."):
            found = getattr(found, part)
    except AttributeError as error:
        raise UsageError(f"Cannot find {name!r}: {error}.") from error
    if not callable(found):
        raise UsageError(f"{path} is not a function, but {found!r}.")
    return cast("Callable[..., Any]", found)


def _refuse_file(module: str, name: str) -> None:
    """Raise an error if a module's file is named in place of the module."""
    parts = Path(module).with_suffix("").parts if module.endswith(".py") else ()
    here = os.path.isfile(module)  # noqa: PTH113  (a name may be too long for Path.is_file)
    if here and parts and all(map(str.isidentifier, parts)):
        meant = f"{'.'.join(parts)}:{name}"
        raise UsageError(f"{module} is a file, not a module: did you mean {meant}?")


def _find_in_current_folder() -> None:
    try:
        here = str(Path.cwd())
    except FileNotFoundError as error:
        raise UsageError("The current folder is gone: change to one that exists.") from error
    if here not in sys.path:
        sys.path.insert(0, here)


def _imported(module: str) -> Any:
    try:
        return importlib.import_module(module)
    except (Exception, SystemExit) as error:
        reason = f"{type(error).__name__}: {error}{_place(error)}"
        raise UsageError(f"Cannot import {module!r}: {reason}.") from error


def _place(error: BaseException) -> str:
    """Return the file and line of the user's at which an import failed, if there is one."""
    if isinstance(error, SyntaxError):
        return "" if error.filename is None else f" ({error.filename}, line {error.lineno})"
    not_theirs = (__file__, "<", *(sysconfig.get_path(name) for name in ("stdlib", "purelib")))
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if not frame.filename.startswith(not_theirs):
            return f" ({frame.filename}, line {frame.lineno})"
    return ""


def find_self_contained(path: str) -> SelfContained[..., Any]:
    """Import the self-contained function that ``MODULE:NAME`` means.

    Raises:
        UsageError: It cannot be imported, or is not self-contained.
    """
    found = find_callable(path)
    if not isinstance(found, SelfContained):
        raise UsageError(f"{path} is not self-contained: put @self_contained above it.")
    return found


def parse_value(option: str, text: str, kind: type[object] = object) -> Any:
    """Parse what is given to an option: JSON, a Python literal, or ``@FILE`` with one of them.

    Args:
        option: Its name, for messages.
        text: What was given.
        kind: ``list`` or ``dict``, if it must be one; a tuple is taken for a list.

    Raises:
        UsageError: It is neither, or not of the kind, or the file cannot be read.
    """
    given = _read(option, text[1:]) if text.startswith("@") else text
    value = _literal(option, given)
    if kind is list and isinstance(value, tuple):
        value = list(value)
    if not isinstance(value, kind):
        expected = "a list" if kind is list else "an object (a dict)"
        raise UsageError(
            f"{option} must be {expected}, not {type(value).__name__}: {shortened(given)}."
        )
    return value


def _literal(option: str, text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        not_json = error
    try:
        return ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
        raise UsageError(
            f"{option} is neither JSON ({not_json}) nor a Python literal: {shortened(text)}."
        ) from not_json


def require_stdin(what: str) -> None:
    """Refuse to read anything from standard input if it is closed.

    Raises:
        UsageError: It is closed.
    """
    if sys.stdin is None:
        raise UsageError(f"{what} cannot be read: standard input is closed.")


def _read(option: str, name: str) -> str:
    if name == "-":
        require_stdin(option)
    try:
        with click.open_file(name, "rb") as file:
            data: bytes = file.read(MAX_SUBMISSION_BYTES + 1)
        if len(data) <= MAX_SUBMISSION_BYTES:
            return data.decode()
    except (OSError, ValueError) as error:
        raise UsageError(f"{option} cannot be read from {shortened(name)}: {error}.") from error
    raise UsageError(
        f"{option}: {name} is larger than {MAX_SUBMISSION_BYTES:,} bytes, Globus Compute's limit."
    )
