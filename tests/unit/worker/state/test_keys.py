"""Keys: the same state for the same arguments, and only for them."""

from __future__ import annotations

import decimal
import enum
import gc
import math
import weakref
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gc_warm import warm
from gc_warm.errors import UnhashableArgumentError
from gc_warm.worker.state import keys
from gc_warm.worker.state.keys import KeyMaker, freeze


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


class Name(str, enum.Enum):
    SMALL = "small"


@dataclass(frozen=True)
class Config:
    name: str
    layers: Any
    comment: str = field(default="", compare=False)


@dataclass
class Mutable:
    layers: int


NUMBERS = st.one_of(
    st.sampled_from([0, 1, True, False, 0.0, -0.0, 1.0, -1, -2, math.nan, 2**61 - 1, 0j, -0.0j]),
    st.integers(),
    st.floats(),
    st.booleans(),
)
LEAVES = st.one_of(
    NUMBERS,
    st.text(max_size=3),
    st.sampled_from(["small", Name.SMALL, Colour.RED, Colour.BLUE, None, b"small"]),
    st.sampled_from([PurePosixPath("small"), PurePosixPath("a/b")]),
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(tuple),
        st.frozensets(inner, max_size=3),
        st.builds(Config, st.sampled_from(["a", "b"]), inner),
    ),
    max_leaves=6,
)


def same(left: Any, right: Any) -> bool:
    """Judge sameness by an independent, slow and obvious rule."""
    if type(left) is not type(right):
        return False
    if isinstance(left, float):
        return repr(left) == repr(right)
    if isinstance(left, complex):
        return same(left.real, right.real) and same(left.imag, right.imag)
    if isinstance(left, tuple):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, frozenset):
        return len(left) == len(right) and all(any(same(a, b) for b in right) for a in left)
    if isinstance(left, Config):
        return same((left.name, left.layers), (right.name, right.layers))
    return left == right


@given(VALUES, VALUES)
def test_keys_are_equal_exactly_when_values_are_the_same(left, right):
    assert (freeze(left) == freeze(right)) is same(left, right)


@given(VALUES)
def test_a_key_equals_itself_and_hashes_alike(value):
    assert freeze(value) == freeze(value)
    assert hash(freeze(value)) == hash(freeze(value))


@given(NUMBERS, NUMBERS)
def test_numbers_inside_a_frozen_dataclass_are_told_apart(left, right):
    key_left, key_right = freeze(Config("a", left)), freeze(Config("a", right))
    assert (key_left == key_right) is same(left, right)


def test_fields_left_out_of_comparison_do_not_count():
    assert freeze(Config("a", 1, comment="x")) == freeze(Config("a", 1, comment="y"))


def initialiser(name, size=1, *, fast=False):
    return name, size, fast


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [
        (("a",), {}),
        (("a", 1), {}),
        (("a",), {"size": 1}),
        ((), {"name": "a"}),
        ((), {"size": 1, "name": "a", "fast": False}),
    ],
)
def test_all_ways_to_write_a_call_give_one_key(args, kwargs):
    key = KeyMaker(initialiser, "initialiser").of
    assert key(("a",), {}) == key(args, kwargs)


def test_extra_keywords_count_whatever_their_order():
    key = KeyMaker(lambda **options: options, "f").of
    assert key((), {"a": 1, "b": 2}) == key((), {"b": 2, "a": 1})
    assert key((), {"a": 1}) != key((), {"a": 2})


def test_extra_positional_arguments_count():
    key = KeyMaker(lambda *names: names, "f").of
    assert key(("a", "b"), {}) != key(("a",), {})


@pytest.mark.parametrize(
    ("value", "argument", "advice"),
    [
        (["a"], "name", "pass a tuple"),
        ({"a"}, "name", "pass a frozenset"),
        ({"a": 1}, "name", "frozen dataclass"),
        (("ok", ["a"]), "name[1]", "pass a tuple"),
        (Config("a", [1]), "name.layers", "pass a tuple"),
        (Mutable(1), "name", "frozen=True"),
    ],
)
def test_what_cannot_be_hashed_is_named_with_advice(value, argument, advice):
    key = KeyMaker(initialiser, "initialiser").of
    with pytest.raises(UnhashableArgumentError, match="cannot be part of a key") as caught:
        key((value,), {})
    assert argument == caught.value.argument
    assert advice in str(caught.value)
    assert "'initialiser'" in str(caught.value)


def test_wrong_arguments_are_refused_in_the_name_of_the_initialiser():
    with pytest.raises(TypeError, match=r"initialiser\(\) got wrong arguments: missing a required"):
        KeyMaker(initialiser, "initialiser").of((), {})


def test_a_key_function_replaces_the_arguments():
    key = KeyMaker(initialiser, "initialiser", key=lambda name, *_, **__: name.lower()).of
    assert key(("A",), {"size": 1}) == key(("a",), {"size": 2})


class Folded(str):
    """Compares without regard to case."""

    __slots__ = ()

    def __eq__(self, other):
        return self.lower() == other.lower()

    def __hash__(self):
        return hash(self.lower())


class Rounded(float):
    def __eq__(self, other):
        return round(self) == round(other)

    def __hash__(self):
        return round(self)


class FirstOnly(tuple):
    __slots__ = ()

    def __eq__(self, other):
        return self[0] == other[0]

    def __hash__(self):
        return hash(self[0])


@dataclass(frozen=True)
class Approximate:
    value: float

    def __eq__(self, other):
        return abs(self.value - other.value) < 0.5

    def __hash__(self):
        return 1


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Folded("Small"), Folded("small")),
        (Rounded(1.1), Rounded(0.9)),
        (FirstOnly((1, 2)), FirstOnly((1, 3))),
        (Approximate(1.0), Approximate(1.2)),
    ],
    ids=lambda each: type(each).__name__,
)
def test_a_comparison_of_its_own_decides(one, other):
    assert freeze(one) == freeze(other)
    assert hash(freeze(one)) == hash(freeze(other))


@pytest.mark.parametrize("make", [decimal.Decimal, np.float32, np.float64, float])
def test_numbers_of_other_kinds(make):
    assert freeze(make("nan")) == freeze(make("nan"))
    assert freeze(make("0.0")) != freeze(make("-0.0"))
    assert freeze(make("1.5")) == freeze(make("1.5"))


class Bag:
    """Mutable, and yet hashable."""

    def __init__(self, content):
        self.content = content

    def __eq__(self, other):
        return self.content == other.content

    def __hash__(self):
        return hash(self.content)


@pytest.fixture
def model():
    @warm(maxsize=None)
    def model(bag):
        return [bag.content]

    return model


def test_what_has_changed_is_another_state(model):
    bag = Bag("a")
    first = model(bag)
    bag.content = "b"
    second = model(bag)
    assert (["a"], ["b"]) == (first, second)
    assert second is model(Bag("b"))
    bag.content = "a"
    assert first is model(bag)


def test_what_has_changed_is_never_taken_for_what_it_was(model):
    bag = Bag("a")
    model(bag)
    for content in "bacab":
        bag.content = content
        assert [content] == model(bag)
        for other in "abcd":
            assert [other] == model(Bag(other))


class ByName(type):
    """Makes classes that are equal if their names are."""

    def __eq__(cls, other):
        return cls.__name__ == other.__name__

    def __hash__(cls):
        return hash(cls.__name__)


def named(name, **names):
    return ByName(name, (), names)


def test_classes_with_a_comparison_of_their_own():
    assert freeze(named("One")) == freeze(named("One"))
    assert freeze(named("One")) != freeze(named("Two"))
    assert freeze((named("One"), 1)) == freeze((named("One"), 1))


def test_instances_of_classes_with_a_comparison_of_their_own():
    one = named("One")
    first, second = one(), one()
    assert freeze(first) == freeze(first)
    assert freeze(first) != freeze(second)
    assert freeze(first) != freeze(named("Two")())


def test_nothing_is_kept_of_values_that_are_gone():
    before = set(keys._stand_ins)

    @warm
    def model(key):
        return [1]

    for number in range(10):
        model(PurePosixPath(f"gone-{number}"))
        model(Bag(f"gone-{number}"))
    assert len(set(keys._stand_ins) - before) == 1
    model.clear()
    gc.collect()
    assert set(keys._stand_ins) <= before


def make_usual():
    class Usual:
        pass

    return Usual


def make_frozen():
    @dataclass(frozen=True)
    class Frozen:
        number: int = 1

    return Frozen


def make_compared():
    return named("Compared")


@pytest.mark.parametrize("make", [make_usual, make_frozen, make_compared])
def test_nothing_is_kept_of_classes_that_are_gone(make):
    freeze((int, named("Other")))  # the classes of classes stay
    gc.collect()
    rules, stand_ins = set(keys._rules), set(keys._stand_ins)
    made = make()
    gone = weakref.ref(made)
    freeze(made())
    freeze((made(), made))
    del made
    gc.collect()
    assert gone() is None
    assert set(keys._rules) <= rules
    assert set(keys._stand_ins) <= stand_ins


def test_a_rule_is_learned_anew_for_a_class_in_the_place_of_another():
    """As when the id of a class is used again."""
    for number in range(50):

        @dataclass(frozen=True)
        class Config:
            first: int
            second: int = field(compare=bool(number % 2))

        left, right = freeze(Config(1, 1)), freeze(Config(1, 2))
        assert (left == right) is (number % 2 == 0)
        del Config, left, right
        gc.collect(1)  # the class is young, and all else need not be looked at
