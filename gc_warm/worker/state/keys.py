"""Exact keys: which calls of an initialiser mean the same state.

Python's own equality is not enough. ``1 == 1.0 == True`` and ``0.0 == -0.0``, although a model with
``layers=True`` is not the one with ``layers=1``; ``nan != nan``, although it names one state; and
``hash(-1) == hash(-2)``, so a hash alone is never a key. Here every value is compared by equality
*and* type, all the way down through tuples, frozen sets and frozen dataclasses.

To compare keys runs no user's code: what has a comparison of its own is compared when a key is
made, and a stand-in takes its place in the key.
"""

from __future__ import annotations

import dataclasses
import inspect
import math
import numbers
import operator
import weakref
from typing import TYPE_CHECKING, Any

from gc_warm.errors.states import UnhashableArgumentError

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator, Sequence

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

    def __init__(self, value: object) -> None:
        super().__init__(value)
        self.path = ""
        self.value = value


class KeyMaker:
    """Turn the arguments of a call into a key.

    Args:
        initialiser: The function or class whose calls are told apart.
        name: Its name, for error messages.
        key: Optional replacement for the arguments: called with all of them, defaults included;
            returns any hashable object.
    """

    def __init__(
        self,
        initialiser: Callable[..., object],
        name: str,
        key: Callable[..., Hashable] | None = None,
    ) -> None:
        self._name = name
        self._key = key
        # A decorator below may give the initialiser other arguments than it is called with.
        try:
            signature = inspect.signature(initialiser, follow_wrapped=False)
        except ValueError:  # such as what functools.lru_cache returns
            signature = inspect.signature(initialiser)
        self._signature = signature
        parameters = signature.parameters.values()
        self._names = tuple(parameter.name for parameter in parameters)
        plain = key is None and all(p.kind is p.POSITIONAL_OR_KEYWORD for p in parameters)
        # So many arguments, if none is a keyword, are all there are in their order.
        self.count = len(self._names) if plain else -1
        defaults = [p.default for p in parameters]
        # The key of a call without arguments, if it is always the same.
        fixed = plain and all(type(default) in ATOMS for default in defaults)
        self.of_no_arguments = self.of((), {}) if fixed else None

    def of(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Hashable:
        """Return the key of a call.

        Raises:
            UnhashableArgumentError: An argument, or something in it, is not hashable.
            TypeError: The arguments do not fit the initialiser's signature.
        """
        names: Sequence[str] = self._names
        if kwargs or len(args) != self.count:
            bound = self._bind(args, kwargs)
            if self._key is None:
                names, args = [*bound.arguments], (*_in_order(bound),)
            else:
                names, args = ["key="], (self._key(*bound.args, **bound.kwargs),)
        try:
            return freeze(args[0]) if len(args) == 1 else _freeze_all(args, names.__getitem__)
        except _NotHashableError as error:
            type_name = type(error.value).__name__
            advice = _ADVICE.get(type_name, _GENERAL_ADVICE)
            if dataclasses.is_dataclass(error.value):
                advice = "make it @dataclass(frozen=True)"
            path = error.path if len(args) != 1 else names[0] + error.path
            raise UnhashableArgumentError(self._name, path, type_name, advice) from None

    def _bind(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> inspect.BoundArguments:
        try:
            bound = self._signature.bind(*args, **kwargs)
        except TypeError as error:
            raise TypeError(f"{self._name}() got wrong arguments: {error}") from None
        bound.apply_defaults()
        return bound


def _in_order(bound: inspect.BoundArguments) -> Iterator[Any]:
    """Yield the values; extra keywords sorted, because their order means nothing."""
    for name, value in bound.arguments.items():
        extra = bound.signature.parameters[name].kind is inspect.Parameter.VAR_KEYWORD
        yield tuple(sorted(value.items())) if extra else value


def _freeze_all(
    values: tuple[Any, ...], name_of: Callable[[int], str]
) -> tuple[tuple[type | None, ...], tuple[Hashable, ...]]:
    """Return the types of values, and the values; or what stands for those that are not atoms."""
    kinds = (*map(type, values),)
    if ATOMS.issuperset(kinds):
        return kinds, values
    frozen: list[Hashable] = []
    try:
        frozen.extend(value if type(value) in ATOMS else freeze(value) for value in values)
    except _NotHashableError as error:
        error.path = name_of(len(frozen)) + error.path
        raise
    return (*(kind if kind in ATOMS else None for kind in kinds),), (*frozen,)


def freeze(value: Any) -> Hashable:
    """Return what stands for a hashable value, and is equal only where the values are the same."""
    kind = type(value)
    if kind in ATOMS:
        return kind, value
    exact, rule, _ = _rules.get(id(kind)) or _learn(kind)
    return exact or kind, rule(value)


# How values of a class are compared, by the id of the class: what stands for the class, if that has
# a comparison of its own; what makes what stands for a value; what forgets this with the class.
_rules: dict[int, tuple[Hashable, Callable[[Any], Hashable], object]] = {}


def _learn(kind: Any) -> tuple[Hashable, Callable[[Any], Hashable], object]:
    rule = _rule_for(kind)
    maker: Any = type(kind)
    if maker.__eq__ is not type.__eq__ or maker.__hash__ is not type.__hash__:
        return _stand_in(kind), rule, None  # which, if it were kept, would keep the class
    number = id(kind)
    _rules[number] = None, rule, weakref.ref(kind, lambda _: _rules.pop(number, None))
    return _rules[number]


def _rule_for(kind: Any) -> Callable[[Any], Hashable]:
    """Return a function that makes what stands for a value of a class."""
    if kind is float:  # tell the two zeros apart, and let nan equal itself
        return lambda value: value if value and value == value else repr(value)  # noqa: PLR0124
    if kind is complex:
        return lambda value: (freeze(value.real), freeze(value.imag))
    if kind is frozenset:
        return lambda value: frozenset(_freeze_all((item,), _AN_ITEM) for item in value)
    if issubclass(kind, tuple) and kind.__eq__ is tuple.__eq__:
        return lambda value: _freeze_all(tuple(value), _AN_INDEX)
    parameters = getattr(kind, "__dataclass_params__", None)
    code = getattr(kind.__eq__, "__code__", None)
    generated = code is not None and code.co_filename == "<string>"
    if parameters is not None and parameters.frozen and parameters.eq and generated:
        names = [field.name for field in dataclasses.fields(kind) if field.compare]
        # A name too many, for `attrgetter` returns a tuple only of several.
        values_of = operator.attrgetter(*names, "__class__", "__class__")
        return lambda value: _freeze_all(values_of(value)[:-2], lambda i: f".{names[i]}")
    return _by_its_own_comparison


_AN_ITEM = " has an item".format
_AN_INDEX = "[{}]".format


def _by_its_own_comparison(value: Any) -> Hashable:
    try:
        hash(value)
    except TypeError:
        raise _NotHashableError(value) from None
    if isinstance(value, numbers.Number) and not hasattr(type(value).__eq__, "__code__"):
        return _exact_number(value)
    return _stand_in(value)


def _exact_number(number: Any) -> Hashable:
    """Tell the two zeros apart, and let nan equal itself: for numpy's, Decimal and others."""
    if number != number:  # noqa: PLR0124  (that is what nan is)
        return "nan"
    if isinstance(number, numbers.Complex) and not isinstance(number, numbers.Real):
        return freeze(number.real), freeze(number.imag)
    if number == 0 and not isinstance(number, numbers.Integral):
        return _stand_in(number), math.copysign(1, number)
    return _stand_in(number)


class _StandIn:
    """Stands in keys for all values that are equal to one by their own comparison."""

    __slots__ = ("__weakref__", "value")

    def __init__(self, value: object) -> None:
        self.value = value


_stand_ins: dict[int, list[weakref.ref[_StandIn]]] = {}  # by the hash of their values


def _stand_in(value: object) -> _StandIn:
    """Return what stands for a value, and for all that are equal to it.

    Threads need no lock: in the order of the list, all find the same one.
    """
    number = hash(value)
    known = _stand_ins.setdefault(number, [])
    found = _first_equal(known, value)
    if found is None:

        def forget(reference: weakref.ref[_StandIn]) -> None:
            known.remove(reference)
            if not known:
                _stand_ins.pop(number, None)

        made = _StandIn(value)
        known.append(weakref.ref(made, forget))
        found = _first_equal(known, value)
    return found or made


def _first_equal(known: list[weakref.ref[_StandIn]], value: object) -> _StandIn | None:
    for reference in known:
        each = reference()
        if (
            each is not None
            and type(each.value) is type(value)
            and (each.value is value or each.value == value)
        ):
            return each
    return None
