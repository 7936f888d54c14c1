"""How a worker finds the function that a payload means."""

from __future__ import annotations

import importlib
import pickle
from typing import TYPE_CHECKING, Any, cast

from gc_warm.worker.task import SelfContained

if TYPE_CHECKING:
    import types


def find(target: str, made: bytes | str | None) -> SelfContained[..., Any]:
    """Return the function that a payload means; its module is imported, if it was not.

    Args:
        target: ``module:qualified.name``, or any name if the function is made here; followed by
            ``!receipted`` where that is what was sent.
        made: What is no attribute of a module: a pickle of it, as text of base 64 or as bytes.
    """
    place, _, receipted = target.partition("!")
    if made is None:
        module, _, path = place.partition(":")
        function = importlib.import_module(module)
        for name in path.split("."):
            function = getattr(function, name)
    else:
        data = importlib.import_module("base64").b64decode(made) if isinstance(made, str) else made
        function = pickle.loads(data)  # noqa: S301  (the payload was a pickle itself)
    found: Any = function
    if not isinstance(found, SelfContained):
        found = SelfContained(found)
    found = found.receipted if receipted else found
    return cast("SelfContained[..., Any]", found)


def make(module: str, file: str, line: int, text: str, cells: dict[str, Any]) -> Any:
    """Make a function that is written inside another one, or a lambda.

    Args:
        module: The module in whose globals it lives.
        file: Where it is written, shown in tracebacks.
        line: Number of the first line of the text.
        text: A function definition, or an expression.
        cells: The local variables around it that it uses, by name.
    """
    names = vars(importlib.import_module(module))
    place: dict[str, Any] = {}
    lines = text.splitlines()
    is_expression = not lines[0].startswith(("def ", "@"))
    inner = [f"return ({text}\n)"] if is_expression else [*lines]
    name = "" if is_expression else next(x for x in lines if x.startswith("def ")).split("(")[0][4:]
    head = f"def _make({', '.join(cells)}):"
    body = "".join(f"\n {each}" for each in "\n".join(inner).splitlines())
    tail = "" if is_expression else f"\n return {name.strip()}"
    source = "\n" * max(0, line - 2) + head + body + tail
    exec(compile(source, file, "exec", dont_inherit=True), names, place)  # noqa: S102
    made: types.FunctionType = place["_make"](**cells)
    return made
