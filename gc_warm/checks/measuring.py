"""Whether a function stays warm, by running it in a real worker under each strategy."""

from __future__ import annotations

import re
import types
from typing import TYPE_CHECKING, Any

from gc_warm.checks.functions import STRATEGIES, Verdict, what_it_keeps

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_TASK = """
def task(payload, args, kwargs):
    import inspect, sys
    from globus_compute_sdk.serialize import ComputeSerializer
    places = []
    for _ in range(2):
        try:
            function = ComputeSerializer().deserialize(payload)
            ComputeSerializer().serialize_from_list(function(*args, **kwargs), ())
        except (Exception, SystemExit) as error:
            return ["BROKEN", f"{type(error).__name__}: {error}"]
        inner = inspect.unwrap(function)
        inner = inspect.unwrap(getattr(inner, "function", inner))
        inner = getattr(inner, "__func__", getattr(inner, "func", inner))
        places.append(getattr(inner, "__globals__", None))
    modules = [vars(module) for module in list(sys.modules.values()) if hasattr(module, "__dict__")]
    kept = places[0] is places[1] and any(places[0] is each for each in modules)
    kept = kept and places[0] is not vars(sys.modules["__main__"])
    return ["WARM" if kept else "COLD", "as measured in a worker"]
"""


def observe(
    function: Callable[..., Any],
    submit: Callable[..., Any],
    *args: Any,
    **kwargs: Any,
) -> Mapping[str, tuple[Verdict, str]]:
    """Run a function under each strategy in a real worker; return what became of it.

    It counts as warm if two tasks find one and the same module, or if it imports its state itself.

    Args:
        function: The function.
        submit: The ``submit`` of an executor with one worker.
        args: What to call it with.
        kwargs: The same, by name.
    """
    from globus_compute_sdk import serialize

    names: dict[str, Any] = {"__name__": "__main__"}
    exec(_TASK, names)  # noqa: S102  (written above; a worker gets it by value)
    found: dict[str, tuple[Verdict, str]] = {}
    for name in STRATEGIES:
        serializer = serialize.ComputeSerializer(strategy_code=getattr(serialize, name))
        try:
            payload = serializer.serialize(function)
        except Exception as error:  # noqa: BLE001  (whatever it is, it is not sent)
            found[name] = "BROKEN", str(error.__cause__ or error)
            continue
        try:
            verdict, reason = submit(names["task"], payload, args, kwargs).result()
        except Exception as error:  # noqa: BLE001  (it took its worker along, for example)
            found[name] = "BROKEN", _in_a_line(error)
            continue
        if verdict == "COLD" and _keeps_in_modules(function):
            verdict = "WARM"
        found[name] = verdict, reason
    return found


def _in_a_line(error: Exception) -> str:
    """Return what a lost task says: the line that names the error, without the worker's number."""
    lines = [line.strip() for line in str(error).splitlines() if "Error: " in line]
    return re.sub(r"process \d+", "process", lines[-1] if lines else str(error).strip())


def _keeps_in_modules(function: Callable[..., Any]) -> bool:
    return type(function) is types.FunctionType and what_it_keeps(function).verdict == "WARM"
