"""The function that answers a repeated call: it binds arguments exactly as Python does."""

from __future__ import annotations

import inspect

import pytest

from gc_warm.worker.front import make_front


def plain(a, b=2):
    return a, b


def only_positional(a, /, b=[1]):  # noqa: B006
    return a, b


def only_keywords(*, a, b=2):
    return a, b


def mixed(a, /, b, *, c=3):
    return a, b, c


def open_ended(a, *rest, b=2, **more):
    return a, rest, b, more


def nothing():
    return ()


CALLS = [((), {}), ((1,), {}), ((1, 2), {}), ((1, 2, 3), {}), ((1,), {"b": 5}), ((), {"a": 1})]
CALLS += [((1, 2), {"c": 4}), ((1,), {"x": 1}), ((), {"a": 1, "b": 2})]


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    "function", [plain, only_positional, only_keywords, mixed, open_ended, nothing]
)
def test_arguments_are_bound_as_python_binds_them(function, call):
    args, kwargs = call
    front = make_front("f", inspect.signature(function), lambda a, k: function(*a, **k))
    try:
        expected = function(*args, **kwargs)
    except TypeError:
        with pytest.raises(TypeError):
            front.function(*args, **kwargs)
    else:
        assert expected == front.function(*args, **kwargs)


def asked(front):
    """Remember one call and return a function that tells whether another is answered."""
    front.remember(("a", 1), {}, "state")
    return lambda *args: front.function(*args) == "state"


def test_only_the_remembered_call_is_answered():
    front = make_front("f", inspect.signature(plain), lambda _args, _kwargs: "asked")
    answers = asked(front)
    assert answers("a", 1)
    assert answers(str(b"a", "ascii"), 1)
    assert not answers("a", True)
    assert not answers("a", 1.0)
    assert not answers("b", 1)
    assert front.hits() == 2


def test_what_equality_does_not_tell_apart_is_known_by_identity_only():
    front = make_front("f", inspect.signature(plain), lambda _args, _kwargs: "asked")
    zero = float("0.0")
    front.remember((zero, (1,)), {}, "state")
    assert front.function(zero, (True,)) == "asked"
    assert front.function(-0.0, (1,)) == "asked"


def test_it_forgets():
    front = make_front("f", inspect.signature(nothing), lambda _args, _kwargs: "asked")
    front.remember((), {}, "state")
    assert front.function() == "state"
    front.forget()
    assert front.function() == "asked"


def test_parameters_may_have_any_name():
    def odd(_value, _obtain, front, __hits=1):
        return _value, _obtain, front, __hits

    front = make_front("f", inspect.signature(odd), lambda a, k: odd(*a, **k))
    assert front.function(1, 2, 3) == (1, 2, 3, 1)
    front.remember((1, 2, 3, 1), {}, "state")
    assert front.function(1, 2, front=3) == "state"
