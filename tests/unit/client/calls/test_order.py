"""In which order items go out."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gc_warm.client.calls.order import Order, key_of
from gc_warm.errors import UsageError


def order_of(items, *, keyed):
    """Items are pairs of a key and a size."""
    return Order(
        iter(items),
        lambda args: (args, args[1]),
        (lambda key, _: key) if keyed else None,
    )


def drain(order, count, most, limit):
    chunks = []
    while taken := order.take(count, most, limit(sum(map(len, chunks)))):
        chunks.append(taken)
    return chunks


items = st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 50)), max_size=60)


@given(items, st.booleans(), st.integers(1, 10), st.integers(1, 100), st.integers(1, 20))
def test_each_item_goes_out_once(given_items, keyed, count, most, ahead):
    order = order_of(given_items, keyed=keyed)
    chunks = drain(order, count, most, lambda done: done + ahead)
    taken = [*itertools.chain(*chunks)]
    if keyed:
        assert all(len({item.content[0] for item in each}) == 1 for each in chunks)
        taken.sort()
    assert [*enumerate(given_items)] == [(item.number, item.content) for item in taken]
    assert all(len(each) == 1 or sum(item.size for item in each) <= most for each in chunks)
    assert all(len(each) <= count for each in chunks)


def test_what_is_at_hand_of_a_key_goes_out_before_another():
    order = order_of([(number % 4, 0) for number in range(400)], keyed=True)
    chunks = drain(order, 7, 1, lambda _: 10_000)
    keys = [key for key, _ in itertools.groupby(each[0].content[0] for each in chunks)]
    assert [0, 1, 2, 3] == keys


def test_no_key_is_forgotten_for_one_that_comes_again_and_again():
    order = order_of(itertools.chain([("rare", 0)], itertools.repeat(("often", 0))), keyed=True)
    taken = [*itertools.chain(*(order.take(5, 1, 10 + 5 * turn) for turn in range(5)))]
    assert 0 in {item.number for item in taken}


@pytest.mark.parametrize("keyed", [False, True])
def test_no_more_is_read_than_allowed(keyed):
    order = order_of(itertools.repeat((0, 0)), keyed=keyed)
    assert 5 == len(order.take(100, 1, 5))
    assert 5 == order.read
    assert [] == order.take(100, 1, 5)


class Broken:
    """An iterator that raises now and then, and goes on, as no generator can."""

    def __init__(self, count, raises):
        self._numbers = iter(range(count))
        self._raises = raises

    def __iter__(self):
        return self

    def __next__(self):
        number = next(self._numbers)
        if number in self._raises:
            raise OSError(number)
        return number, 0


@pytest.mark.parametrize("keyed", [False, True])
def test_nothing_is_read_after_an_error_until_somebody_has_taken_it(keyed):
    order = order_of(Broken(5, {2, 3}), keyed=keyed)
    got = []
    for _ in range(3):
        got += [each.content[0] for each in itertools.chain(*drain(order, 9, 1, lambda _: 9))]
        got.append(repr(order.error))
        order.error = None
    assert [0, 1, "OSError(2)", "OSError(3)", 4, "None"] == got


def test_a_key_can_be_the_name_of_an_argument():
    def classify(number, model="small"):
        pass

    key = key_of(classify, "model")
    assert ("large", "small") == (key(1, "large"), key(1))
    with pytest.raises(UsageError, match="or the name of one of them: number, model"):
        key_of(classify, "modell")
    for function in (lambda *names: names, lambda *, names: names, dict):
        with pytest.raises(UsageError, match="there are none"):
            key_of(function, "names")
