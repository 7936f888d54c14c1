from __future__ import annotations

import os
import shutil
import sys

import pytest
from globus_compute_sdk.errors import TaskExecutionFailed

from gc_warm import Sentinel
from gc_warm.functions.program import ask, program

SHELL = Sentinel('echo "{token}"', error_pattern="sh: ", with_stderr=True)
JSON = [
    sys.executable,
    "-c",
    (
        "import json, os\n"
        'print(json.dumps({"ready": True}), flush=True)\n'
        "while True:\n"
        "    message = json.loads(input())\n"
        '    result = [message["request"], os.getpid()]\n'
        '    print(json.dumps({"id": message["id"], "result": result}), flush=True)\n'
    ),
]


@pytest.fixture(autouse=True)
def _cold():
    yield
    program.clear()


def test_a_program_stays_for_the_next_request():
    answers = [ask(JSON, number) for number in range(3)]
    assert [0, 1, 2] == [answer[0] for answer in answers]
    assert 1 == len({answer[1] for answer in answers})


def test_each_command_has_a_program_of_its_own():
    first, second = (ask(["sh", "-s", name], "echo $1 $$", framing=SHELL) for name in "ab")
    assert ("a", "b") == (first.split()[0], second.split()[0])
    assert first.split()[1] != second.split()[1]


def test_a_worker_keeps_it_and_needs_no_gc_warm(endpoint_python):
    from gc_warm import LocalExecutor

    with LocalExecutor(workers=1, worker_python=endpoint_python) as executor:
        answers = [executor.submit(ask, JSON, number).result() for number in range(3)]
        text = executor.submit(ask, ["sh"], "echo $PPID", framing=SHELL).result()
    assert [0, 1, 2] == [answer[0] for answer in answers]
    assert 1 == len({answer[1] for answer in answers})
    assert int(text) not in {os.getpid(), answers[0][1]}


def test_an_error_arrives_in_the_programs_words(one_worker):
    with pytest.raises(TaskExecutionFailed, match=r"sh: .*nonsense.*not found"):
        one_worker.submit(ask, ["sh"], "nonsense", framing=SHELL).result()


def test_a_command_is_a_list():
    with pytest.raises(TypeError, match=r"such as \['bc', '-q'\]"):
        ask("bc -q", "1")


def test_an_unknown_framing_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="no framing 'matlab', but 'json', 'bc'"):
        ask(["sh"], "1", framing="matlab")


def test_an_empty_command_is_refused():
    with pytest.raises(ValueError, match="it is empty"):
        ask([], "1")


@pytest.mark.parametrize(
    ("known", "name", "framing"), [("bc", "bc", None), ("bc", "calculate", "bc")]
)
def test_a_program_is_known_by_its_name_or_that_of_its_framing(tmp_path, known, name, framing):
    (tmp_path / name).symlink_to(shutil.which(known))
    assert "42\n" == ask([str(tmp_path / name), "-l"], "6 * 7", framing=framing)
