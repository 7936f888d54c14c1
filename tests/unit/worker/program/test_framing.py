"""Framings, tried on bytes alone."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gc_warm import JsonLines, Prompt, Sentinel
from gc_warm.errors import GcWarmError, ProgramOutputError, RequestFailedError, UsageError
from gc_warm.worker.program.framing import READY

SENTINEL = Sentinel('print("{token}")', error_pattern="^error: ", prompt="> ")
PROMPT = Prompt("^> ", error_pattern="^error: ")


def asked(framing, request):
    """Return a dialogue that is ready and has sent a request, and what it sent."""
    dialogue = framing.open("program")
    sent = dialogue.greet()
    ready = {
        JsonLines: lambda: b'{"ready": true}\n',
        Sentinel: lambda: (sent if framing.echo else b"") + token_in(sent) + b"\n",
        Prompt: lambda: b"> ",
    }[type(framing)]()
    assert [READY] == [answer.number for answer in dialogue.receive(ready)]
    return dialogue, *dialogue.ask(request)


def token_in(sent):
    """Return the token that an end command prints, as the program would."""
    return sent.rpartition(b'print("')[2].partition(b'")')[0]


def in_pieces(dialogue, data, size):
    return [
        answer
        for start in range(0, len(data), size)
        for answer in dialogue.receive(data[start : start + size])
    ]


# JSON lines


def test_a_request_is_one_line_with_its_number():
    _, number, sent = asked(JsonLines(), {"text": "a\nb é"})
    assert sent.endswith(b"\n")
    assert 1 == sent.count(b"\n")
    assert {"id": number, "request": {"text": "a\nb é"}} == json.loads(sent)


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_an_answer_may_come_in_pieces_and_between_other_lines(size):
    dialogue, number, _ = asked(JsonLines(), 1)
    data = b'loading\n{"id": %d, "result": [1, "\xc3\xa9"]}\n\n{"progress": 3}\n' % number
    assert [(number, [1, "é"], None)] == in_pieces(dialogue, data, size)
    assert 'loading\n\n{"progress": 3}' == dialogue.unread()


def test_a_programs_error_is_an_answer():
    dialogue, number, _ = asked(JsonLines(), 1)
    error = {"type": "ValueError", "message": "no", "traceback": "line 3"}
    (answer,) = dialogue.receive(json.dumps({"id": number, "error": error}).encode() + b"\n")
    assert ("program", "ValueError", "no", "line 3") == answer.error.args


def test_an_error_may_be_plain_text():
    dialogue, number, _ = asked(JsonLines(), 1)
    (answer,) = dialogue.receive(b'{"id": %d, "error": "no"}\n' % number)
    assert "no" == answer.error.text


def test_an_answer_without_result_or_error_is_an_error():
    dialogue, number, _ = asked(JsonLines(), 1)
    (answer,) = dialogue.receive(b'{"id": %d}\n' % number)
    assert isinstance(answer.error, ProgramOutputError)


@pytest.mark.parametrize("line", [b"[" * 100_000, b"1" * 5000, b"\xff", b'{"id": 1, "result": 1}x'])
def test_a_line_that_is_no_answer_is_set_aside(line):
    dialogue, number, _ = asked(JsonLines(), 1)
    assert [] == dialogue.receive(line + b"\n")
    assert [number] == [a.number for a in dialogue.receive(b'{"id": 1, "result": null}\n')]


def test_what_json_cannot_express_is_refused():
    dialogue, _, _ = asked(JsonLines(), 1)
    with pytest.raises(UsageError, match="cannot be written as JSON"):
        dialogue.ask({1, 2})


def test_a_line_without_end_is_refused():
    dialogue, _, _ = asked(JsonLines(max_answer=1000), 1)
    dialogue.receive(b"x" * 1000)
    with pytest.raises(ProgramOutputError, match="max_answer=1,000"):
        dialogue.receive(b"x")


# Sentinels


def sentinel(output, framing=SENTINEL, request="go", size=1000):
    """Answer a request with some output, and the token after it."""
    dialogue, _, sent = asked(framing, request)
    (answer,) = in_pieces(dialogue, output(sent) + token_in(sent) + b"\n", size)
    return answer


@pytest.mark.parametrize("size", [1, 3, 1000])
@pytest.mark.parametrize("output", [b"", b"42\n", b"a\nb\n", b"no newline", b"print()\n"])
def test_all_before_the_token_is_the_answer(output, size):
    assert output.decode() == sentinel(lambda _: output, size=size).value


def test_each_request_has_a_token_of_its_own():
    dialogue, _, first = asked(SENTINEL, "1")
    dialogue.receive(token_in(first) + b"\n")
    _, second = dialogue.ask("2")
    assert [] == dialogue.receive(b"late\n" + token_in(first) + b"\n")
    (answer,) = dialogue.receive(b"right\n" + token_in(second) + b"\n")
    assert answer.value.endswith("right\n")


def test_prompts_at_the_beginnings_of_lines_are_removed():
    assert "1 > 0\n2\n" == sentinel(lambda _: b"> > 1 > 0\n> 2\n> ").value


def test_a_prompt_with_a_token_is_removed_anywhere():
    framing = Sentinel('print("{token}")', start="prompt {token}", prompt="{token}% ")
    dialogue = framing.open("program")
    greeting = dialogue.greet()
    word = greeting.split()[1]
    dialogue.receive(token_in(greeting) + b"\n")
    _, sent = dialogue.ask("go")
    (answer,) = dialogue.receive(b"abc" + word + b"% " + token_in(sent) + b"\n")
    assert "abc" == answer.value


@pytest.mark.parametrize("ahead", [True, False], ids=["echo ahead", "echo in turn"])
def test_an_echo_is_removed(ahead):
    framing = Sentinel('print("{token}")', echo=True)

    def output(sent):
        first, second, end, _ = sent.split(b"\n")
        order = [first, second, end, b"out"] if ahead else [first, second, b"out", end]
        return b"\r\n".join([*order, b""])

    assert "out\n" == sentinel(output, framing, "go on\nand on", size=3).value


def test_an_error_in_the_programs_language_is_raised_in_its_words():
    answer = sentinel(lambda _: b"1\nerror: it broke\nhere\n")
    assert isinstance(answer.error, RequestFailedError)
    assert "error: it broke\nhere" == answer.error.text


def test_lines_are_sent_as_they_are_but_for_one_newline_at_the_end():
    _, _, sent = asked(SENTINEL, "a\n\nb\n\n")
    assert sent.startswith(b"a\n\nb\n\nprint(")


def test_only_text_can_be_sent():
    dialogue, _, _ = asked(SENTINEL, "1")
    with pytest.raises(UsageError, match="must be text in the program's language, not dict"):
        dialogue.ask({})


@pytest.mark.parametrize("framing", [SENTINEL, PROMPT], ids=["Sentinel", "Prompt"])
def test_names_of_files_that_are_no_text_are_sent_as_their_bytes(framing):
    dialogue, _, _ = asked(framing, "1")
    assert dialogue.ask("cat caf\udce9")[1].startswith(b"cat caf\xe9\n")


@pytest.mark.parametrize("framing", [SENTINEL, PROMPT], ids=["Sentinel", "Prompt"])
def test_half_a_character_is_refused_and_nothing_is_sent(framing):
    dialogue, number, _ = asked(framing, "1")
    with pytest.raises(UsageError, match="not text that can be encoded"):
        dialogue.ask("echo \ud83d")
    assert number + 1 == dialogue.ask("2")[0]


# A program that shows the commands it runs shows the one with the token, too


@settings(deadline=None)
@given(
    output=st.sampled_from([b"", b"out\n", b"no newline", b"+ print", b"print out\n"]),
    trace=st.sampled_from([b"+ print(%s)\n", b'> print("%s")\n', b"a\n++ print('%s')\r\n"]),
    size=st.integers(1, 60),
)
def test_a_shown_command_ends_no_answer(output, trace, size):
    dialogue, number, sent = asked(Sentinel('print("{token}")', with_stderr=True), "go")
    token = token_in(sent)
    shown = trace % token
    (answer,) = in_pieces(dialogue, output + shown + token + b"\n", size)
    assert (number, (output + shown).decode().replace("\r\n", "\n")) == answer[:2]
    number, sent = dialogue.ask("on")
    assert [(number, "2\n", None)] == in_pieces(dialogue, b"2\n" + token_in(sent) + b"\n", size)


@pytest.mark.parametrize("size", [1, 5, 1000])
def test_a_command_shown_in_an_unknown_way_spoils_no_later_answer(size):
    dialogue, number, sent = asked(Sentinel('print("{token}")', with_stderr=True), "go")
    token = token_in(sent)
    (early,) = in_pieces(dialogue, b"1\nrunning [" + token + b"]\n", size)
    assert (number, "1\nrunning [") == early[:2]
    number, sent = dialogue.ask("on")
    late = token + b"\n2\n" + token_in(sent) + b"\n"
    assert [(number, "2\n", None)] == in_pieces(dialogue, late, size)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Sentinel("print('end')"), "must contain {token}"),
        (lambda: Sentinel("{token}", error_pattern="("), "error_pattern='\\('"),
        (lambda: Prompt("["), "prompt='\\['"),
    ],
)
def test_what_makes_no_sense_is_refused(make, message):
    with pytest.raises(UsageError, match=message):
        make()


# Prompts


@pytest.mark.parametrize("size", [1, 3, 1000])
@pytest.mark.parametrize("output", [b"", b"42\n", b"a > b\n", b"x\n >\n"])
def test_all_before_the_prompt_is_the_answer(output, size):
    dialogue, number, _ = asked(PROMPT, "go")
    assert [(number, output.decode(), None)] == in_pieces(dialogue, output + b"> ", size)


def test_a_prompt_inside_data_that_is_read_at_once_ends_nothing():
    dialogue, _, _ = asked(PROMPT, "go")
    dialogue.feed(b"data\n> ")
    (answer,) = dialogue.receive(b"more\n> ")
    assert "data\n> more\n" == answer.value


def test_a_prompt_with_a_token_is_safe_in_any_pieces():
    framing = Prompt("{token}> ", start="prompt {token}> ")
    dialogue = framing.open("program")
    word = dialogue.greet().split()[1].removesuffix(b">")
    dialogue.receive(b"> " + word + b"> ")
    dialogue.ask("go")
    (answer,) = in_pieces(dialogue, b"data\n> more\n" + word + b"> ", 1)
    assert "data\n> more\n" == answer.value


def test_the_last_line_may_be_kept():
    framing = Prompt(r"^(bestmove .*|> )\n?", keep=True)
    dialogue, _, _ = asked(framing, "go")
    assert [] == dialogue.receive(b"info\n")
    (answer,) = dialogue.receive(b"bestmove e2e4\n")
    assert "info\nbestmove e2e4\n" == answer.value


def test_a_prompt_for_each_line_is_counted():
    framing = Prompt("^> ", each_line=True, continuation=r"\.\.\. ")
    dialogue, _, _ = asked(framing, "if x:\n  y\n\n")
    assert [] == dialogue.receive(b"... ... ")
    (answer,) = dialogue.receive(b"out\n> ")
    assert "out\n" == answer.value


def test_what_came_before_the_request_is_no_part_of_the_answer():
    dialogue, _, _ = asked(PROMPT, "go")
    dialogue.receive(b"1\n> ")
    dialogue.receive(b"Warning: late\n> ")
    dialogue.ask("on")
    (answer,) = dialogue.receive(b"2\n> ")
    assert "2\n" == answer.value


# Any bytes

PIECES = st.lists(
    st.one_of(
        st.binary(max_size=40),
        st.sampled_from(
            [b"\n", b"> ", b'{"id": 1, "result": 1}\n', b'{"id": 1', b"[" * 3000, b'"', b"error: "]
        ),
    ),
    max_size=30,
)
FRAMINGS = [
    JsonLines(max_answer=2000),
    Sentinel('print("{token}")', error_pattern="^error: ", max_answer=2000),
    Sentinel('print("{token}")', prompt="> ", echo=True, max_answer=2000),
    Prompt("^> ", error_pattern="^error: ", max_answer=2000),
    Prompt("^> ", each_line=True, echo=True, max_answer=2000),
]


@pytest.mark.parametrize("framing", FRAMINGS, ids=lambda framing: type(framing).__name__)
@settings(deadline=None)
@given(pieces=PIECES)
def test_any_bytes_give_answers_or_an_error_and_bounded_memory(framing, pieces):
    dialogue, number, _ = asked(framing, "go\non")
    for piece in pieces:
        try:
            answers = dialogue.receive(piece)
        except GcWarmError:
            return
        assert {answer.number for answer in answers} <= {READY, number}
        assert len(dialogue._buffer) <= 2000
        assert len(dialogue._other) <= 4096


@settings(deadline=None)
@given(
    request=st.text(),
    result=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=8,
    ),
    size=st.integers(1, 50),
)
def test_json_arrives_as_it_was_sent_in_any_pieces(request, result, size):
    dialogue, number, sent = asked(JsonLines(), request)
    assert request == json.loads(sent)["request"]
    line = json.dumps({"id": number, "result": result}, ensure_ascii=False).encode() + b"\n"
    assert [(number, result, None)] == in_pieces(dialogue, line, size)


@settings(deadline=None)
@given(output=st.binary(max_size=200), size=st.integers(1, 50))
def test_a_sentinels_answer_is_exactly_what_was_printed(output, size):
    framing = Sentinel('print("{token}")')
    expected = output.decode(errors="replace").replace("\r\n", "\n")
    assert expected == sentinel(lambda _: output, framing, size=size).value
