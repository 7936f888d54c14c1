"""The program's side of JSON lines, in Python."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
import threading

import pytest

from gc_warm import serve_command
from gc_warm.errors import ProgramStartError, RequestFailedError
from gc_warm.worker.program import serve as module


@pytest.fixture
def pipes():
    """Serve a function in a thread, on pipes; return how to write and read lines."""
    opened, threads = [], []

    def start(function, **options):
        their_input, requests = os.pipe()
        answers, their_output = os.pipe()
        files = os.fdopen(requests, "wb", buffering=0), os.fdopen(answers, "rb")
        thread = threading.Thread(
            target=module.serve_on, args=(their_input, their_output, function), kwargs=options
        )
        thread.start()
        opened.extend(files)
        threads.append((thread, their_input, their_output))
        assert b"\n" == files[1].readline()
        assert json.loads(files[1].readline())["ready"] is True
        return files

    yield start
    for file in opened:
        file.close()
    for thread, *descriptors in threads:
        thread.join(10)
        assert not thread.is_alive()
        for descriptor in descriptors:
            os.close(descriptor)


def send(requests, number, request):
    requests.write(json.dumps({"id": number, "request": request}).encode() + b"\n")


def test_requests_are_answered_in_order(pipes):
    requests, answers = pipes(lambda number: number + 1)
    requests.write(b"".join(b'{"id": %d, "request": %d}\n' % (n, n) for n in range(1, 50)))
    assert [{"id": n, "result": n + 1} for n in range(1, 50)] == [
        json.loads(answers.readline()) for _ in range(1, 50)
    ]


def test_several_workers_answer_concurrently(pipes):
    barrier = threading.Barrier(3)

    def meet(_):
        return barrier.wait(timeout=20) >= 0

    requests, answers = pipes(meet, workers=3)
    for number in (1, 2, 3):
        send(requests, number, None)
    got = [json.loads(answers.readline()) for _ in range(3)]
    assert {1, 2, 3} == {answer["id"] for answer in got}
    assert all(answer["result"] for answer in got)


class UnspeakableError(Exception):
    def __str__(self):
        raise RuntimeError


@pytest.mark.parametrize(
    ("raised", "type_name", "message"),
    [
        (ValueError("no"), "ValueError", "no"),
        (SystemExit(3), "SystemExit", "3"),
        (UnspeakableError(), "UnspeakableError", "<its message cannot be shown: RuntimeError>"),
    ],
)
def test_an_exception_is_an_answer_with_type_text_and_traceback(pipes, raised, type_name, message):
    def fail(_):
        raise raised

    requests, answers = pipes(fail)
    send(requests, 1, None)
    error = json.loads(answers.readline())["error"]
    assert (type_name, message) == (error["type"], error["message"])
    assert "raise raised" in error["traceback"]


@pytest.mark.parametrize("result", [{1, 2}, b"bytes", {(1, 2): 3}])
def test_what_json_cannot_express_is_an_error(pipes, result):
    requests, answers = pipes(lambda _: result)
    send(requests, 1, None)
    assert "TypeError" == json.loads(answers.readline())["error"]["type"]


@pytest.mark.parametrize("line", [b"nonsense", b"[]", b'{"id": 1}', b'{"id": "x", "request": 1}'])
def test_a_line_that_is_no_request_is_answered_with_an_error(pipes, line):
    requests, answers = pipes(lambda request: request)
    requests.write(line + b"\n")
    assert "error" in json.loads(answers.readline())
    send(requests, 2, "still here")
    assert {"id": 2, "result": "still here"} == json.loads(answers.readline())


def test_it_ends_after_a_long_silence(pipes):
    _, answers = pipes(lambda request: request, idle_timeout=0.01)
    # The fixture sees that its thread ends; only then are the descriptors closed.
    del answers


NOISY = """
    import ctypes, os, subprocess, sys
    print("import")
    os.system("echo import in a shell")
    def answer(request):
        print("print")
        sys.stdout.write("no newline")
        sys.__stdout__.write("the original")
        os.write(1, b"descriptor 1\\n")
        ctypes.CDLL(None).puts(b"libc")
        ctypes.CDLL(None).fflush(None)
        subprocess.run(["echo", "a subprocess"])
        return [request, sys.stdin.read(), os.read(0, 10).decode()]
"""


def test_prints_at_any_level_go_to_standard_error(served):
    process = served(NOISY)
    assert [[n, "", ""] for n in range(20)] == [process.call(n) for n in range(20)]
    errors = process._folders.log.read_text()
    for text in (
        *("import\n", "import in a shell", "print", "no newline", "the original"),
        *("descriptor 1", "libc", "a subprocess"),
    ):
        assert text in errors


def test_start_up_is_done_once(served):
    process = served("import os\nstarts = [os.getpid()]\ndef answer(_): return len(starts)")
    assert [1, 1, 1] == [process.call(None) for _ in range(3)]


def test_of_a_class_one_instance_is_called(served):
    process = served(
        """
        class answer:
            def __init__(self):
                self.count = 0
            def __call__(self, by):
                self.count += by
                return self.count
        """
    )
    assert [1, 3, 6] == [process.call(n) for n in (1, 2, 3)]


def test_a_program_that_cannot_be_imported_says_why(served):
    with pytest.raises(ProgramStartError, match="No module named 'no_such_module'"):
        served("import no_such_module").call(1)


def test_it_ends_when_the_input_does(tmp_path):
    (tmp_path / "served.py").write_text("def answer(request): return request")
    command = serve_command("served:answer", path=str(tmp_path))
    ended = subprocess.run(
        command, input=b'{"id": 1, "request": 2}\n', capture_output=True, check=True, timeout=60
    )
    assert ended.stdout.endswith(b'{"id": 1, "result": 2}\n')


def test_it_ends_when_nobody_reads_the_answers(tmp_path):
    (tmp_path / "served.py").write_text("def answer(request): return request")
    command = serve_command("served:answer", path=str(tmp_path))
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    process.stdout.readline()
    process.stdout.readline()
    process.stdout.close()
    process.stdin.write(b'{"id": 1, "request": 2}\n')
    process.stdin.flush()
    assert 0 == process.wait(60)
    process.stdin.close()


def test_the_module_can_be_run_by_name(warm_process, tmp_path):
    (tmp_path / "served.py").write_text("def answer(request): return request")
    command = [sys.executable, "-m", "gc_warm.worker.program.serve", "served:answer", "--path"]
    assert "hello" == warm_process([*command, str(tmp_path)]).call("hello")


def test_a_program_may_serve_from_its_own_main(warm_process, tmp_path):
    path = tmp_path / "main.py"
    path.write_text(
        textwrap.dedent("""
            from gc_warm import serve
            print("starting up, without a newline", end="")
            serve(lambda request: request[::-1])
            print("served")
        """)
    )
    process = warm_process([sys.executable, str(path)])
    assert "cba" == process.call("abc")
    process.stop()
    assert "served" in process._folders.log.read_text()


def test_a_wrong_target_is_explained(warm_process):
    with pytest.raises(ProgramStartError, match="'served' is no MODULE:FUNCTION"):
        warm_process(serve_command("served")).call(1)


def test_an_error_that_is_raised_keeps_the_programs_traceback(served):
    process = served("def answer(request):\n    raise KeyError(request)  # here")
    with pytest.raises(RequestFailedError) as caught:
        process.call("x")
    assert "# here" in caught.value.traceback
    assert "KeyError" == caught.value.type_name
