"""Numbers with their units."""

import math

import pytest

from gc_warm.units import amount, counted, duration


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        *((None, "-"), (0, "0 µs"), (2.5e-5, "25 µs"), (0.0032, "3.2 ms"), (0.5, "500 ms")),
        *((1.4, "1.4 s"), (119.6, "120 s"), (120, "2 min"), (600, "10 min"), (7200, "2 h")),
        *((86_400, "24 h"), (40 * 86_400, "40 days"), (1e9, "11,574 days"), (math.inf, "inf days")),
    ],
)
def test_a_time_has_a_unit_that_suits_it(seconds, told):
    assert told == duration(seconds)


def test_sizes_as_people_write_them():
    assert ["0 B", "999 B", "1.5 kB", "12 MB"] == [amount(each) for each in (0, 999, 1500, 12e6)]


@pytest.mark.parametrize(
    ("number", "told"), [(0, "0 calls"), (1, "1 call"), (2, "2 calls"), (1000, "1,000 calls")]
)
def test_a_number_has_its_noun(number, told):
    assert told == counted(number, "call")


def test_another_plural_may_be_given():
    assert ["1 process", "2 processes"] == [counted(n, "process", "processes") for n in (1, 2)]
