"""Keys: the same state for the same arguments, and only for them."""

from __future__ import annotations

import decimal
import enum
import math
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gc_warm.errors import UnhashableArgumentError
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
