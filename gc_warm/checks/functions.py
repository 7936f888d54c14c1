"""Will a function stay warm? For each serialization strategy, without a worker.

The strategies differ in what reaches the worker: a reference to a module, the function's code, or
the text of its definition alone. Each is followed as far as it goes: to where it fails when the
worker unpacks it, or when it is called, or to what is left of its state at the next call.
"""

from __future__ import annotations

import ast
import builtins
import dis
import inspect
import json
import re
import symtable
import sys
import textwrap
import types
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from gc_warm.errors import ShippingError
from gc_warm.shipping.definitions.definitions import codes_in
from gc_warm.shipping.definitions.script import MAIN
from gc_warm.shipping.origin import find_origin
from gc_warm.shipping.sources import distributions_of, follow, is_installed
from gc_warm.worker.self_contained import SelfContained

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

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
_FIX_OF_OTHERS = (
    "It is not yours to decorate: call it in a function of yours, under @self_contained."
)
_AT_ONCE = {"listcomp", "setcomp", "dictcomp", "genexpr"}
_MUTABLE = (list, dict, set, bytearray)


@dataclass(frozen=True)
class Prediction:
    """What becomes of a function under one strategy.

    Attributes:
        strategy: Name of the serialization strategy.
        verdict: WARM: what it keeps in its modules stays for the next task. COLD: it runs, and
            begins anew in every task. BROKEN: it cannot be sent, or fails on the worker.
        reason: Why.
        fix: What to do; empty if it is warm.
    """

    strategy: str
    verdict: Verdict
    reason: str
    fix: str = ""


@dataclass(frozen=True)
class _Outcome:
    verdict: Verdict
    reason: str
    unpacks: bool = True  # or it fails before, and a combined strategy tries the next


def check_function(function: Callable[..., Any]) -> list[Prediction]:
    """Say for each strategy whether a function stays warm, and why.

    Args:
        function: A self-contained function, or a plain one.
    """
    if isinstance(function, SelfContained):
        return _check_self_contained(function)
    outcomes = {name: _outcome(name, function) for name in STRATEGIES}
    return [
        Prediction(
            name, each.verdict, each.reason, "" if each.verdict == "WARM" else _fix(function)
        )
        for name, each in outcomes.items()
    ]


def _check_self_contained(function: SelfContained[..., Any]) -> list[Prediction]:
    try:
        size = function.payload_size()
        values = carried_values(function)
    except ShippingError as error:
        return [Prediction(name, "BROKEN", str(error), "See the reason.") for name in STRATEGIES]
    reason = f"it carries all that it needs ({size / 1024:.0f} KB with every task)"
    if values:
        listed = ", ".join(f"{name} ({kind}, {size} bytes)" for name, kind, size in values)
        reason += f"; as values, each change of which is a new version, cold at first: {listed}"
    return [Prediction(name, "WARM", reason) for name in STRATEGIES]


def carried_values(function: SelfContained[..., Any]) -> list[tuple[str, str, int]]:
    """Return which global names of a script or notebook a function carries as values.

    Returns:
        For each: the name, the type of the value, and how many bytes it adds before compression.

    Raises:
        ShippingError: The function cannot be carried.
    """
    found = []
    for part in find_origin(function).slices:
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
    module = getattr(function, "__module__", None) or "__main__"
    return _FIX_OF_OTHERS if module not in MAIN and is_installed(module) else _FIX


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
    if _is_attribute(function, module):
        return _by_reference(module)
    reached = _by_reference(module)
    return reached if reached.verdict == "BROKEN" else _by_value(function)


def _by_reference(module: str) -> _Outcome:
    if is_installed(module):
        names = distributions_of(module) or ("Python",)
        return _Outcome(
            "WARM", f"it is found in {module!r}, if the worker has {names[0]} installed"
        )
    return _Outcome(
        "BROKEN",
        f"ModuleNotFoundError: it is sent as a reference to {module!r}, which the worker lacks",
        unpacks=False,
    )


def _is_attribute(function: Callable[..., Any], module: str) -> bool:
    path = getattr(function, "__qualname__", "<none>")
    return follow(sys.modules.get(module), path) is function


def _by_value(function: Callable[..., Any]) -> _Outcome:
    """Follow a function whose code is pickled, with its defaults and closure."""
    if type(function) is not types.FunctionType:
        return _Outcome("COLD", f"a {type(function).__name__} is copied anew for every task")
    missing = _globals_used(function)
    if isinstance(inspect.unwrap(function), SelfContained) and not missing:
        return _Outcome("WARM", "it is copied anew, with what it wraps, which is self-contained")
    if hasattr(function, "__wrapped__"):
        return _Outcome("COLD", "its decorator's wrapper is copied anew for every task")
    if missing:
        return _Outcome("BROKEN", f"NameError: the worker has no {_listed(missing)}")
    return _what_it_keeps(function)


# By text


def _by_text(function: Callable[..., Any], *, dedented: bool) -> _Outcome:
    """Follow a function of which the text of the definition is sent, and nothing around it."""
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
        names = _names_in(text)
    except IndentationError:
        return _Outcome("BROKEN", "IndentationError: it is not at the top level", unpacks=False)
    except SyntaxError:
        return _Outcome("BROKEN", "SyntaxError: its text is only part of a line", unpacks=False)
    first = _unknown(names.now - {name})
    if first:
        return _Outcome(
            "BROKEN", f"NameError: its text alone has no {_listed(first)}", unpacks=False
        )
    written = names.writes - _read_first(getattr(inner, "__code__", None), names.writes)
    later = _unknown(names.later - {name} - written)
    if later:
        return _Outcome("BROKEN", f"NameError: its text alone has no {_listed(later)}")
    if names.writes:
        return _Outcome("COLD", f"global {', '.join(sorted(names.writes))} is new in every task")
    return _what_it_keeps(inner)


class _Names(NamedTuple):
    """The global names that a text uses when it runs, and that its functions use and bind."""

    now: set[str]
    later: set[str]
    writes: set[str]


def _names_in(text: str) -> _Names:
    tree = ast.parse(text)
    for node in ast.walk(tree):  # the SDK unpacks texts where annotations are not evaluated
        if isinstance(node, ast.arg):
            node.annotation = None
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            node.returns = None
    names = _Names(set(), set(), set())
    tables = [(symtable.symtable(ast.unparse(tree), "text", "exec"), False)]
    while tables:
        table, later = tables.pop()
        top = table.get_type() == "module"
        for symbol in table.get_symbols():
            if symbol.is_referenced() and (top or symbol.is_global()):
                (names.later if later else names.now).add(symbol.get_name())
            if not top and symbol.is_declared_global() and symbol.is_assigned():
                names.writes.add(symbol.get_name())
                names.later.add(symbol.get_name())
        # What a class body or a comprehension does, it does at once.
        tables += [
            (child, later or (child.get_type() == "function" and child.get_name() not in _AT_ONCE))
            for child in table.get_children()
        ]
    return names


def _own_source(function: Callable[..., Any]) -> str:
    """Return the text of a function as it is, not of what it wraps."""
    return "".join(inspect.getblock(inspect.findsource(function)[0][_first_line(function) :]))


def _first_line(function: Callable[..., Any]) -> int:
    return inspect.findsource(function)[1]


def _what_it_keeps(function: Callable[..., Any]) -> _Outcome:
    """Say what is left of a function that works, at the next call."""
    defaults = [*(getattr(function, "__defaults__", None) or ())]
    defaults += (getattr(function, "__kwdefaults__", None) or {}).values()
    if any(isinstance(each, _MUTABLE) for each in defaults):
        return _Outcome("COLD", "its default arguments are made anew for every task")
    if getattr(function, "__closure__", None):
        return _Outcome("COLD", "its closure is copied anew for every task")
    modules = _imports_within(function)
    if modules:
        return _Outcome("WARM", f"what it keeps in {', '.join(modules)} stays; nothing else does")
    return _Outcome("COLD", "nothing that it makes is kept for the next task")


def _imports_within(function: Callable[..., Any]) -> list[str]:
    code = function.__code__
    return sorted({i.argval for i in dis.get_instructions(code) if i.opname == "IMPORT_NAME"})


def _globals_used(function: types.FunctionType) -> set[str]:
    found: set[str] = set()
    for code in codes_in(function.__code__):
        used = {i.argval for i in dis.get_instructions(code) if i.opname == "LOAD_GLOBAL"}
        stored = {i.argval for i in dis.get_instructions(code) if i.opname == "STORE_GLOBAL"}
        found |= used - (stored - _read_first(code, stored))
    return _unknown(found)


def _read_first(code: types.CodeType | None, names: set[str]) -> set[str]:
    """Return those global names that a function reads before it writes them."""
    seen: dict[str, str] = {}
    for instruction in dis.get_instructions(code) if code else ():
        if instruction.opname.endswith("_GLOBAL") and instruction.argval in names:
            seen.setdefault(instruction.argval, instruction.opname)
    return {name for name, opname in seen.items() if opname == "LOAD_GLOBAL"}


def _unknown(names: set[str]) -> set[str]:
    known = {"__name__", "__builtins__"}
    return {name for name in names if not hasattr(builtins, name) and name not in known}


def _listed(names: set[str]) -> str:
    return ", ".join(repr(name) for name in sorted(names))


# Proof, by running it

_PROBE = """
def probe(payload, args, kwargs):
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
    exec(_PROBE, names)  # noqa: S102  (written above; a worker gets it by value)
    found: dict[str, tuple[Verdict, str]] = {}
    for name in STRATEGIES:
        serializer = serialize.ComputeSerializer(strategy_code=getattr(serialize, name))
        try:
            payload = serializer.serialize(function)
        except Exception as error:  # noqa: BLE001  (whatever it is, it is not sent)
            found[name] = "BROKEN", str(error.__cause__ or error)
            continue
        try:
            verdict, reason = submit(names["probe"], payload, args, kwargs).result()
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
    return type(function) is types.FunctionType and _what_it_keeps(function).verdict == "WARM"
