"""Will a function stay warm? For each serialization strategy, without a worker.

The strategies differ in what reaches the worker: a reference to a module, the function's code, or
the text of its definition alone. Each is followed as far as it goes: to where it fails when the
worker unpacks it, or when it is called, or to what is left of its state at the next call.
"""

from __future__ import annotations

import inspect
import json
import sys
import textwrap
import types
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from gc_warm.checks.names import (
    first_line_with,
    globals_used,
    imports_within,
    names_in,
    read_first,
    unknown,
)
from gc_warm.errors import ShippingError
from gc_warm.shipping.bundle import sources_of
from gc_warm.shipping.definitions.script import MAIN
from gc_warm.shipping.origin import find_origin
from gc_warm.shipping.sources import distributions_of, follow, is_installed
from gc_warm.worker.node.folder import NodeFolder
from gc_warm.worker.self_contained import SelfContained

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gc_warm.shipping.origin import Origin
    from gc_warm.shipping.sources import Source

Verdict = Literal["WARM", "COLD", "BROKEN"]

STRATEGIES = (
    *("DillCode", "PureSourceTextInspect", "PureSourceDill", "AllCodeStrategies"),
    *("CombinedCode", "DillCodeSource", "DillCodeTextInspect"),
)
# Which part of a combined payload is used: the first that a worker can unpack.
_COMBINED = {
    "AllCodeStrategies": ("PureSourceTextInspect", "PureSourceDill", "DillCode"),
    "CombinedCode": ("DillCodeSource", "DillCode", "DillCodeTextInspect"),
}
_DEDENTED = {"PureSourceDill", "DillCodeSource"}
_FIX = "Put @self_contained above it, outermost."
_FIX_OF_STATES = "Submit a @self_contained function that calls it."
_FIX_OF_OTHERS = (
    "It is not yours to decorate: call it in a function of yours, under @self_contained."
)
_MUTABLE = (list, dict, set, bytearray)


@dataclass(frozen=True)
class Prediction:
    """What becomes of a function under one strategy.

    Attributes:
        strategy: Name of the serialization strategy.
        verdict: WARM: what it keeps in its modules stays for the next task. COLD: it runs, and
            starts over in every task. BROKEN: it cannot be sent, or fails on the worker.
        reason: Why.
        fix: What to do; empty if it is warm.
        note: What may fail although it is warm.
    """

    strategy: str
    verdict: Verdict
    reason: str
    fix: str = ""
    note: str = ""


@dataclass(frozen=True)
class _Outcome:
    verdict: Verdict
    reason: str
    unpacks: bool = True  # or it fails before, and a combined strategy tries the next


def check_function(function: Callable[..., Any]) -> list[Prediction]:
    """Return for each strategy whether a function stays warm, and why.

    Args:
        function: A self-contained function, or a plain one.
    """
    if isinstance(function, SelfContained):
        return _check_self_contained(function)
    found = []
    for name in STRATEGIES:
        outcome = _outcome(name, function)
        fix = "" if outcome.verdict == "WARM" else _fix(function)
        found.append(Prediction(name, outcome.verdict, outcome.reason, fix))
    return found


def _check_self_contained(function: SelfContained[..., Any]) -> list[Prediction]:
    try:
        size = function.payload_size()
        origin = find_origin(function)
        values = _carried_values(origin)
        note = _note_of_files(sources_of(function, origin))
    except ShippingError as error:
        return [Prediction(name, "BROKEN", str(error), "See the reason.") for name in STRATEGIES]
    reason = f"it carries all that it needs ({size / 1024:.0f} KB with every task)"
    if values:
        listed = ", ".join(f"{name} ({kind}, {size} bytes)" for name, kind, size in values)
        reason += f"; as values, each change of which is a new version, cold at first: {listed}"
    return [Prediction(name, "WARM", reason, note=note) for name in STRATEGIES]


def _note_of_files(sources: Mapping[str, Source]) -> str:
    """Return what becomes of files beside the code, if what is carried uses ``__file__``."""
    places = []
    for source in sources.values():
        name = Path(source.file).name
        if source.part is not None and "__file__" in source.part.graphs:
            places.append(name)
        elif line := first_line_with("__file__", source.text or ""):
            places.append(f"{name}:{line}")
    if not places:
        return ""
    return (
        f"__file__ is used in {', '.join(sorted(places))}, but files beside your code are not "
        "carried. Name them with data= and read them with importlib.resources or "
        "pkgutil.get_data, or pass a path that workers can read."
    )


def _carried_values(origin: Origin) -> list[tuple[str, str, int]]:
    """Return each global of a script that is carried as a value: name, type, bytes of JSON."""
    found = []
    for part in origin.slices:
        for name, graph in part.graphs.items():
            value = part.space.names.get(name)
            if name in part.space.names and not callable(value) and not inspect.ismodule(value):
                found.append((name, type(value).__name__, len(json.dumps(graph))))
    return found


def _fix(function: Callable[..., Any]) -> str:
    if _unsendable_result(function):
        return "Return plain data, from a plain function, and put @self_contained above it."
    inner = getattr(function, "__wrapped__", None)
    while inner is not None:
        if isinstance(inner, SelfContained):
            return "Move @self_contained above the other decorators: only what it covers travels."
        inner = getattr(inner, "__wrapped__", None)
    if _is_state(function):
        return _FIX_OF_STATES
    module = getattr(function, "__module__", None) or "__main__"
    return _FIX_OF_OTHERS if module not in MAIN and is_installed(module) else _FIX


def _is_state(function: Callable[..., Any]) -> bool:
    """Return whether it is a warm state or a node folder."""
    is_warm = isinstance(function, types.FunctionType) and hasattr(function, "lease")
    return is_warm or isinstance(function, NodeFolder)


def _outcome(strategy: str, function: Callable[..., Any]) -> _Outcome:
    outcome = _outcome_on_the_way(strategy, function)
    kind = _unsendable_result(function)
    if kind and outcome.verdict != "BROKEN":
        return _Outcome("BROKEN", f"it returns {kind}, which cannot be sent back")
    return outcome


def _unsendable_result(function: Callable[..., Any]) -> str:
    if inspect.iscoroutinefunction(function):
        return "a coroutine"
    generates = inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function)
    return "a generator" if generates else ""


def _outcome_on_the_way(strategy: str, function: Callable[..., Any]) -> _Outcome:
    if strategy in _COMBINED:
        outcomes = [_outcome_on_the_way(name, function) for name in _COMBINED[strategy]]
        return next((each for each in outcomes if each.unpacks), outcomes[-1])
    if strategy == "DillCode":
        return _by_pickle(function)
    return _by_text(function, dedented=strategy in _DEDENTED)


# By pickle


def _by_pickle(function: Callable[..., Any]) -> _Outcome:
    module = getattr(function, "__module__", None) or "__main__"
    if module in MAIN:
        return _by_value(function)
    path = getattr(function, "__qualname__", "<none>")
    is_attribute = follow(sys.modules.get(module), path) is function
    reached = _by_reference(module)
    return reached if is_attribute or reached.verdict == "BROKEN" else _by_value(function)


def _by_reference(module: str) -> _Outcome:
    if is_installed(module):
        [owner, *_] = distributions_of(module) or ("Python",)
        return _Outcome("WARM", f"it is found in {module!r}, if the worker has {owner} installed")
    reason = f"ModuleNotFoundError: it is sent as a reference to {module!r}, which the worker lacks"
    return _Outcome("BROKEN", reason, unpacks=False)


def _by_value(function: Callable[..., Any]) -> _Outcome:
    """Follow a function whose code is pickled, with its defaults and closure."""
    if type(function) is not types.FunctionType:
        return _Outcome("COLD", f"a {type(function).__name__} is copied again for every task")
    missing = globals_used(function)
    if isinstance(inspect.unwrap(function), SelfContained) and not missing:
        return _Outcome("WARM", "it is copied for every task, with the self-contained one it wraps")
    if hasattr(function, "__wrapped__"):
        return _Outcome("COLD", "its decorator's wrapper is copied again for every task")
    if missing:
        return _Outcome("BROKEN", f"NameError: the worker has no {_listed(missing)}")
    return what_it_keeps(function)


# By text


def _by_text(function: Callable[..., Any], *, dedented: bool) -> _Outcome:
    """Follow a function of which the text of the definition is sent, and nothing around it."""
    if _is_state(function):
        return _Outcome(
            "BROKEN", "its text alone lacks gc-warm, which keeps the state", unpacks=False
        )
    name = getattr(function, "__name__", None)
    inner = inspect.unwrap(function)
    if isinstance(inner, SelfContained) and not dedented:
        return _Outcome("WARM", "it is sent without the decorators above @self_contained")
    try:
        # dill does not look behind decorators.
        text = textwrap.dedent(_own_source(function)) if dedented else inspect.getsource(inner)
    except (OSError, TypeError):
        return _Outcome("BROKEN", "it has no source text", unpacks=False)
    if dedented and not inspect.isroutine(function):
        return _Outcome("BROKEN", "dill finds no definition of it in its file", unpacks=False)
    if inspect.ismethod(function) and not dedented:
        return _Outcome("BROKEN", "IndentationError: it is not at the top level", unpacks=False)
    if inspect.ismethod(function):
        return _Outcome("BROKEN", "TypeError: its text alone does not know its instance")
    if name is None or not name.isidentifier():
        return _Outcome("BROKEN", "KeyError: its text defines no name", unpacks=False)
    try:
        names = names_in(text)
    except IndentationError:
        return _Outcome("BROKEN", "IndentationError: it is not at the top level", unpacks=False)
    except SyntaxError:
        return _Outcome("BROKEN", "SyntaxError: its text is only part of a line", unpacks=False)
    first = unknown(names.now - {name})
    if first:
        reason = f"NameError: its text alone has no {_listed(first)}"
        return _Outcome("BROKEN", reason, unpacks=False)
    written = names.writes - read_first(getattr(inner, "__code__", None))
    later = unknown(names.later - {name} - written)
    if later:
        return _Outcome("BROKEN", f"NameError: its text alone has no {_listed(later)}")
    if names.writes:
        return _Outcome("COLD", f"global {', '.join(sorted(names.writes))} is new in every task")
    return what_it_keeps(inner)


def _own_source(function: Callable[..., Any]) -> str:
    """Return the text of a function as it is, not of what it wraps."""
    lines, first = inspect.findsource(function)
    return "".join(inspect.getblock(lines[first:]))


def what_it_keeps(function: Callable[..., Any]) -> _Outcome:
    """Return what is left of a function that works, at the next call."""
    defaults = [*(getattr(function, "__defaults__", None) or ())]
    defaults += (getattr(function, "__kwdefaults__", None) or {}).values()
    if any(isinstance(each, _MUTABLE) for each in defaults):
        return _Outcome("COLD", "its default arguments are made again for every task")
    if getattr(function, "__closure__", None):
        return _Outcome("COLD", "its closure is copied again for every task")
    modules = imports_within(function)
    if modules:
        return _Outcome("WARM", f"what it keeps in {', '.join(modules)} stays; nothing else does")
    return _Outcome("COLD", "nothing that it makes is kept for the next task")


def _listed(names: set[str]) -> str:
    return ", ".join(repr(name) for name in sorted(names))
