"""What a failed task says of the exception that it raised: its traceback, as text.

Globus Compute sends no exception objects, so ``except MyError`` never matches around
``future.result()``. The text names the exception's type, and that is enough to tell which it was.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_CHAINED = (
    r"(?:During handling of the above exception, another exception occurred"
    r"|The above exception was the direct cause of the following exception):\n\n"
)
_TRACEBACK = re.compile(
    rf"(?:\A|^(?:  \| )?{_CHAINED})(?:  \+ Exception Group )?"
    r"Traceback \(most recent call last\):\n",
    re.MULTILINE,
)
_RAISED = re.compile(r"^(?:  \| )?([^\s|:][^\s:]*)(?::|$)", re.MULTILINE)


def remote_type(error: BaseException) -> str | None:
    """Return the name of the exception's type that a task has raised.

    Args:
        error: What its future raised: the SDK's ``TaskExecutionFailed``.

    Returns:
        The name with its module, such as ``"mylab.errors.NoConvergence"``, as a traceback has it:
        built-in exceptions, and those of scripts, without. None if no exception was raised by the
        task, because it was lost or never ran, for example.
    """
    text = getattr(error, "remote_data", None)
    if not isinstance(text, str) or not (tracebacks := [*_TRACEBACK.finditer(text)]):
        return None
    found = _RAISED.search(text, tracebacks[-1].end())
    return found[1] if found else None


def raised(
    error: BaseException, kinds: type[BaseException] | tuple[type[BaseException], ...]
) -> bool:
    """Return whether a task has raised an exception of a type, or of several.

    It compares names: those of the types, and of all their subclasses that this process has. No
    object is made of what came from a worker.

    Args:
        error: What its future raised. An exception that is itself of the types counts, too.
        kinds: A type, or a tuple of types, as `isinstance` takes them.
    """
    if isinstance(error, kinds):
        return True
    name = remote_type(error)
    roots = kinds if isinstance(kinds, tuple) else (kinds,)
    return name is not None and any(name == _name(each) for root in roots for each in _family(root))


def _name(kind: type[BaseException]) -> str:
    if kind.__module__ in {"builtins", "__main__"}:
        return kind.__qualname__
    return f"{kind.__module__}.{kind.__qualname__}"


def _family(kind: type[BaseException]) -> Iterator[type[BaseException]]:
    yield kind
    for each in kind.__subclasses__():
        yield from _family(each)
