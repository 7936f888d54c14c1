"""The end of a worker, and its forks."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading

import pytest

from gc_warm import LocalExecutor, disable, enable, warm
from gc_warm.worker.scope import task_scope
from gc_warm.worker.state import waiting

MODULE = """
    import os
    from pathlib import Path

    from gc_warm import self_contained, warm

    def note(path, text):
        with Path(path).open("a") as log:
            log.write(f"{os.getpid()} {text}\\n")

    @warm(maxsize=None)
    def closing(path, name):
        yield [name]
        note(path, name)

    @warm(background=True)
    def closing_in_background(path):
        yield [path]
        note(path, "background")

    @self_contained
    def hold(path):
        closing(path, "first")
        closing(path, "second")
        return os.getpid()

    @self_contained
    def hold_in_background(path):
        closing_in_background(path)
        return os.getpid()
"""


@pytest.fixture
def module(user_module):
    return user_module("closing_module", MODULE)


def test_shutting_down_runs_the_teardowns_of_every_worker_newest_first(tmp_path, module):
    log = tmp_path / "log"
    with LocalExecutor(workers=2) as executor:
        pids = {executor.submit(module.hold, str(log)).result() for _ in range(20)}
        pids |= {f.result() for f in [executor.submit(module.hold, str(log)) for _ in range(20)]}
    lines = log.read_text().split("\n")[:-1]
    for pid in pids:
        assert [f"{pid} second", f"{pid} first"] == [x for x in lines if x.startswith(f"{pid} ")]


def test_shutting_down_tears_down_what_was_built_in_the_background(tmp_path, module):
    log = tmp_path / "log"
    with LocalExecutor(workers=1) as executor:
        pid = executor.submit(module.hold_in_background, str(log)).result()
    assert log.read_text() == f"{pid} background\n"


def run_script(text, *, stop=signal.SIGTERM, task="0"):
    """Run a script until it prints a line, end it by a signal, return status and further output."""
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(text)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **({"GC_TASK_UUID": task} if task else {})},
    )
    assert process.stdout.readline() == "ready\n"
    process.send_signal(stop)
    output, _ = process.communicate(timeout=20)
    return process.returncode, output.split()


BODY = """
import signal, sys, time
from gc_warm import warm
{before}
@warm(maxsize=None)
def state(name):
    yield name
    {teardown}
    print("down", name, flush=True)
for name in ("one", "two", "three"):
    state(name)
print("ready", flush=True)
while True:
    time.sleep(1)
"""


def test_the_default_action_follows():
    status, output = run_script(BODY.format(before="", teardown=""))
    assert output == ["down", "three", "down", "two", "down", "one"]
    assert status == -signal.SIGTERM


def test_a_previous_handler_follows():
    before = (
        "signal.signal(signal.SIGTERM, lambda *_: (print('previous', flush=True), sys.exit(7)))"
    )
    status, output = run_script(BODY.format(before=before, teardown=""))
    assert output == ["previous", "down", "three", "down", "two", "down", "one"]
    assert status == 7


@pytest.mark.parametrize(
    "before",
    [
        "signal.signal(signal.SIGTERM, lambda *_: print('noticed', flush=True))",
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)",
    ],
    ids=["a handler that returns", "ignored"],
)
def test_what_survives_the_signal_keeps_its_states(before):
    body = BODY.partition("while True")[0] + (
        "os.kill(os.getpid(), signal.SIGTERM)\n"
        "print(state('one'), state('three'), state.info().misses, flush=True)\n"
        "sys.stdin.read()\n"
    )
    text = body.format(before="import os\n" + before, teardown="")
    process = subprocess.run(
        [sys.executable, "-c", text],
        input="",
        capture_output=True,
        text=True,
        env={**os.environ, "GC_TASK_UUID": "0"},
        timeout=20,
        check=False,
    )
    assert "one three 3\n" in process.stdout, process.stderr
    assert process.stdout.split()[-6:] == ["down", "three", "down", "two", "down", "one"]
    assert process.returncode == 0


def test_what_was_torn_down_is_built_again():
    tear_down = "from gc_warm.worker.state.lifetime import tear_down_all\ntear_down_all(0.5)\n"
    body = BODY.partition("while True")[0] + tear_down + "print(state('two'), flush=True)\n"
    text = body.format(before="", teardown="")
    command = [sys.executable, "-c", text]
    process = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    assert "two\n" == process.stdout.partition("down one\n")[2], process.stderr


def test_a_teardown_that_fails_does_not_keep_the_others_from_theirs():
    status, output = run_script(BODY.format(before="", teardown='1 / (name != "three")'))
    assert output == ["down", "two", "down", "one"]
    assert status == -signal.SIGTERM


def test_a_teardown_that_hangs_does_not_keep_the_worker_from_its_end():
    status, output = run_script(BODY.format(before="", teardown='name == "two" and time.sleep(60)'))
    assert output == ["down", "three"]
    assert status == -signal.SIGTERM


def test_outside_a_worker_the_signal_is_not_touched():
    status, output = run_script(BODY.format(before="", teardown=""), task=None)
    assert output == []
    assert status == -signal.SIGTERM


def in_child(function):
    """Fork, run a function in the child, and return what it returned, as text."""
    reader, writer = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            os.write(writer, str(function()).encode())
        except BaseException as error:
            os.write(writer, repr(error).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as result:
        text = result.read()
    os.waitpid(pid, 0)
    return text


pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")


def test_a_child_builds_its_own_state_and_does_not_tear_down_its_parents():
    events = []

    @warm
    def model():
        events.append("build")
        yield os.getpid()
        events.append("free")

    mine = model()
    assert in_child(lambda: (model() == os.getpid(), events)) == "(True, ['build', 'build'])"
    assert in_child(lambda: (model.clear(), events)[1]) == "['build']"
    assert model() == mine


def test_a_child_may_keep_plain_memory():
    @warm(fork="keep")
    def table():
        yield os.getpid()
        raise AssertionError("the parent's to tear down")

    mine = table()
    assert in_child(lambda: (table(), table.info().hits, table.clear())[0]) == str(mine)


def test_a_lock_that_is_held_at_the_fork_does_not_hang_the_child(background):
    held, release = threading.Event(), threading.Event()

    def hold_it():
        with waiting.lock:
            held.set()
            release.wait(10)

    @warm
    def model():
        return ["built"]

    running = background(hold_it)
    held.wait(10)
    assert in_child(model) == "['built']"
    release.set()
    running.result()


def test_a_build_in_progress_at_the_fork_does_not_hang_the_child(background):
    building, release = threading.Event(), threading.Event()
    parent = os.getpid()

    @warm
    def model():
        if os.getpid() == parent:
            building.set()
            release.wait(10)
        return ["built"]

    running = background(model)
    building.wait(10)
    assert in_child(model) == "['built']"
    release.set()
    running.result()


def test_a_child_leaves_what_was_built_while_disabled_to_its_parent():
    freed = []

    @warm
    def model():
        yield 1
        freed.append(os.getpid())

    disable()
    model()
    assert in_child(lambda: (enable(), freed)[1]) == "[]"
    enable()
    assert freed == [os.getpid()]


def fork():
    """Fork; a child that hangs is ended."""
    pid = os.fork()
    if not pid:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(20)
    return pid


def assert_child_agrees(pid, claim):
    """Evaluate a claim here and in the child, which ends."""
    if not pid:
        agreed = False
        try:
            agreed = claim()
        finally:
            os._exit(0 if agreed else 1)
    assert (pid, 0) == os.waitpid(pid, 0)
    assert claim()


@pytest.mark.parametrize("background", [False, True])
def test_a_build_that_forks_gives_a_state_to_both(background):
    pids = []

    @warm(background=background)
    def model(name):
        if name == "a":
            pids.append(fork())
            if background and not pids[0]:
                os._exit(0)  # the thread is all there is of it: nobody waits
        yield [name, os.getpid()]

    model("a")
    state = model("a")
    assert_child_agrees(
        pids[0],
        lambda: (
            state == model("a") == ["a", os.getpid()]
            and model("b") == ["b", os.getpid()]
            and model.info().currsize == 1
        ),
    )


def test_a_build_that_forks_goes_on_in_a_call_of_both():
    pids, freed = [], []

    @warm
    def part(name):
        yield [name, os.getpid()]
        freed.append(name)

    @warm
    def whole():
        pids.append(fork())
        return [part("a")]

    def call():
        with task_scope():
            state = whole()
            return state[0] is part("a") and freed == [] and whole() is state

    right = call()
    assert_child_agrees(
        pids[0],
        lambda: (
            right and part("a") == ["a", os.getpid()] and part("b") == ["b", os.getpid()] and freed
        ),
    )


def test_a_call_that_forks_keeps_its_states_and_the_child_builds_its_own():
    events = []

    @warm
    def model(name):
        events.append(f"build {name}")
        yield [name]
        events.append(f"free {name}")

    def call():
        with task_scope():
            before = model("a")
            pid = fork()
            again = model("a")
            if pid:
                model("b")
                return pid, again is before and events == ["build a", "build b"]
            return pid, again == before and events == ["build a", "build a"]

    pid, right = call()
    assert_child_agrees(pid, lambda: right and model("c") == ["c"] and events[-1] == "build c")
