"""Exact keys: which calls of an initialiser mean the same state.

Python's own equality is not enough. ``1 == 1.0 == True`` and ``0.0 == -0.0``, although a model with
``layers=True`` is not the one with ``layers=1``; ``nan != nan``, although it names one state; and
``hash(-1) == hash(-2)``, so a hash alone is never a key. Here every value is compared by equality
*and* type, all the way down through tuples, frozen sets and frozen dataclasses.
"""

from __future__ import annotations

import dataclasses
import inspect
import math
from typing import TYPE_CHECKING, Any

from gc_warm.errors.states import UnhashableArgumentError

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator

# Values of exactly these types are equal only to themselves, once their type is known.
ATOMS: frozenset[type] = frozenset({str, int, bool, bytes, type(None)})

_ADVICE = {
    "list": "pass a tuple",
    "set": "pass a frozenset",
    "dict": "pass a frozen dataclass, or a tuple of (name, value) pairs",
    "bytearray": "pass bytes",
    "ndarray": "pass the name of the file that holds it, or give @warm a key= function",
    "DataFrame": "pass the name of the file that holds it, or give @warm a key= function",
}
_GENERAL_ADVICE = "pass something hashable, or give @warm a key= function"


class _NotHashableError(Exception):
    """A value somewhere inside an argument cannot be hashed."""

    def __init__(self, path: str, value: object) -> None:
        super().__init__(path, value)
        self.path = path
        self.value = value


class KeyMaker:
    """Turn the arguments of a call into a key.

    Args:
        initialiser: The function or class whose calls are told apart.
        name: Its name, for error messages.
        key: Optional replacement for the bound arguments: called with the same arguments, returns
            any hashable object.
    """

    def __init__(
        self,
        initialiser: Callable[..., object],
        name: str,
        key: Callable[..., Hashable] | None = None,
    ) -> None:
        self._name = name
        self._key = key
        self.signature = inspect.signature(initialiser)
        parameters = self.signature.parameters.values()
        self.parameters = tuple(parameter.name for parameter in parameters)
        self._plain = all(p.kind is p.POSITIONAL_OR_KEYWORD for p in parameters)

    def __call__(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Hashable:
        """Return the key of a call.

        Raises:
            UnhashableArgumentError: An argument, or something in it, is not hashable.
            TypeError: The arguments do not fit the initialiser's signature.
        """
        if self._key is not None:
            return self._freeze("key=", self._key(*args, **kwargs))
        if not kwargs and self._plain and len(args) == len(self.parameters):
            if len(args) == 1 and type(args[0]) in ATOMS:  # the most common call: at once
                return ((type(args[0]), args[0]),)
            return tuple(map(self._freeze, self.parameters, args))
        bound = self._bind(args, kwargs)
        return tuple(self._freeze(name, value) for name, value in self._in_order(bound))

    def complete(
        self, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return the arguments of a call with the defaults among them, in their order."""
        bound = self._bind(args, kwargs)
        return bound.args, bound.kwargs

    def _bind(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> inspect.BoundArguments:
        try:
            bound = self.signature.bind(*args, **kwargs)
        except TypeError as error:
            raise TypeError(f"{self._name}() got wrong arguments: {error}") from None
        bound.apply_defaults()
        return bound

    def _in_order(self, bound: inspect.BoundArguments) -> Iterator[tuple[str, Any]]:
        """Yield names and values; extra keywords sorted, because their order means nothing."""
        for name, value in bound.arguments.items():
            extra = self.signature.parameters[name].kind is inspect.Parameter.VAR_KEYWORD
            yield name, tuple(sorted(value.items())) if extra else value

    def _freeze(self, argument: str, value: Any) -> Hashable:
        try:
            return freeze(value, argument)
        except _NotHashableError as error:
            type_name = type(error.value).__name__
            advice = _ADVICE.get(type_name, _GENERAL_ADVICE)
            if dataclasses.is_dataclass(error.value):
                advice = "make it @dataclass(frozen=True)"
            raise UnhashableArgumentError(self._name, error.path, type_name, advice) from None


def freeze(value: Any, path: str = "value") -> Hashable:
    """Return a hashable stand-in that is equal to another's only if the values are the same.

    Args:
        value: Anything hashable.
        path: How to call it in an error, such as ``"config"``.
    """
    kind = type(value)
    if kind in ATOMS:
        return (kind, value)
    if kind is float:
        return (kind, _exact_float(value))
    if kind is complex:
        return (kind, _exact_float(value.real), _exact_float(value.imag))
    compare: Any = kind.__eq__
    if isinstance(value, tuple) and compare is tuple.__eq__:
        return (kind, *(freeze(item, f"{path}[{i}]") for i, item in enumerate(value)))
    if kind is frozenset:
        return (kind, frozenset(freeze(item, f"an item of {path}") for item in value))
    if _compares_its_fields(kind):
        return (kind, *_freeze_fields(value, path))
    return (kind, _require_hashable(value, path))


def _exact_float(value: float) -> Hashable:
    """Tell the two zeros apart, and let nan equal itself."""
    return "nan" if math.isnan(value) else float(value).hex()


def _compares_its_fields(kind: type) -> bool:
    """Say whether a class is a frozen dataclass that has no comparison of its own."""
    parameters = getattr(kind, "__dataclass_params__", None)
    code = getattr(kind.__eq__, "__code__", None)
    generated = code is not None and code.co_filename == "<string>"
    return parameters is not None and bool(parameters.frozen and parameters.eq) and generated


def _freeze_fields(value: Any, path: str) -> list[Hashable]:
    """Freeze the fields that take part in the dataclass's own comparison."""
    return [
        freeze(getattr(value, field.name), f"{path}.{field.name}")
        for field in dataclasses.fields(value)
        if field.compare
    ]


def _require_hashable(value: Any, path: str) -> Hashable:
    try:
        hash(value)
    except TypeError:
        raise _NotHashableError(path, value) from None
    if hasattr(value, "__float__") and not isinstance(value, int):  # such as numpy's, or Decimal
        if value != value:  # noqa: PLR0124  (that is what nan is)
            return "nan"
        if value == 0:
            return value, math.copysign(1, value)
    hashable: Hashable = value
    return hashable
