"""In which order items go out."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from gc_warm.client.calls.order import ByKey, InOrder, Item


def drain(order, count, most, limit):
    chunks = []
    while taken := order.take(count, most, limit(sum(map(len, chunks)))):
        chunks.append(taken)
    return chunks


items = st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 50)), max_size=60)


@given(items, st.integers(1, 10), st.integers(1, 100), st.integers(1, 20))
def test_each_item_goes_out_once_and_in_order(given_items, count, most, ahead):
    made = [Item(number, None, size) for number, (_, size) in enumerate(given_items)]
    order = InOrder(iter(made))
    chunks = drain(order, count, most, lambda done: done + ahead)
    assert made == [*itertools.chain(*chunks)]
    assert all(len(each) == 1 or sum(item.size for item in each) <= most for each in chunks)
    assert all(len(each) <= count for each in chunks)


@given(items, st.integers(1, 10), st.integers(1, 100), st.integers(1, 20))
def test_each_item_of_a_key_goes_out_once_with_its_like(given_items, count, most, ahead):
    made = [(key, Item(number, None, size)) for number, (key, size) in enumerate(given_items)]
    key_of = {item.number: key for key, item in made}
    chunks = drain(ByKey(iter(made)), count, most, lambda done: done + ahead)
    assert [item for _, item in made] == sorted(itertools.chain(*chunks))
    assert all(len({key_of[item.number] for item in each}) == 1 for each in chunks)
    assert all(len(each) == 1 or sum(item.size for item in each) <= most for each in chunks)


def test_what_is_at_hand_of_a_key_goes_out_before_another():
    made = [(number % 4, Item(number, None, 0)) for number in range(400)]
    chunks = drain(ByKey(iter(made)), 7, 1, lambda _: 10_000)
    keys = [key for key, _ in itertools.groupby(each[0].number % 4 for each in chunks)]
    assert [0, 1, 2, 3] == keys


def test_no_key_is_forgotten_for_one_that_comes_again_and_again():
    def endless():
        yield "rare", Item(0, None, 0)
        yield from (("often", Item(number, None, 0)) for number in itertools.count(1))

    order = ByKey(endless())
    taken = [*itertools.chain(*(order.take(5, 1, 10 + 5 * turn) for turn in range(5)))]
    assert 0 in {item.number for item in taken}


def test_no_more_is_read_than_allowed():
    for order in (
        InOrder(Item(number, None, 0) for number in itertools.count()),
        ByKey((0, Item(number, None, 0)) for number in itertools.count()),
    ):
        assert 5 == len(order.take(100, 1, 5))
        assert 5 == order.read
        assert [] == order.take(100, 1, 5)
