"""How numbers and text are shown."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gc_warm.commands.shared.calls import show_calls
from gc_warm.commands.shared.show import as_json_text, printable, shown
from gc_warm.worker.receipt import Receipt, Receipted


@given(st.text())
def test_what_is_shown_is_printable_and_not_lost(text):
    told = printable(text)
    assert told.isprintable()
    assert (told == text) == text.isprintable()


RING = []
RING.append(RING)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"a": [1, None]}, {"a": [1, None]}),
        ({1, 2}, "{1, 2}"),
        ([b"x"], ["b'x'"]),
        ({(1, 2): 3}, "{(1, 2): 3}"),
        ({1: "a", "1": "b"}, "{1: 'a', '1': 'b'}"),
        ({"a": {None: (1, 2)}, "b": (1, 2)}, {"a": "{None: (1, 2)}", "b": [1, 2]}),
        (RING, "[[...]]"),
        (float("nan"), "nan"),
        ([1.0, float("-inf")], [1.0, "-inf"]),
        ("\ud800", "\ud800"),
    ],
)
def test_any_result_can_be_written_as_json(value, expected):
    assert [{"result": expected}] == json.loads(as_json_text([{"result": value}]))


class Broken:
    def __repr__(self):
        raise RuntimeError


def test_a_result_that_cannot_be_shown_is_named():
    told = "<a Broken, whose repr raises RuntimeError>"
    assert told == shown(Broken())
    assert [{"result": [told]}] == json.loads(as_json_text([{"result": [Broken()]}]))


class Red:
    def __repr__(self):
        return "\x1b[31m[bold]red"


def test_results_are_shown_and_not_obeyed(capsys):
    receipt = Receipt(
        host="host",
        pid=7,
        rank=None,
        block=None,
        task_id=None,
        started=0.0,
        seconds=0.1,
        cold_starts=0,
        build_seconds=0.0,
        hits=1,
        builds=(),
    )
    show_calls([Receipted(Red(), receipt)], as_json=False)
    assert r"\x1b[31m[bold]red" in capsys.readouterr().out
