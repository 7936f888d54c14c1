"""A warm process: its calls, its surroundings, its end. How it fails is in test_supervision.py."""

from __future__ import annotations

import math
import os
import resource
import shutil
import stat
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gc_warm import JsonLines, Limits, Prompt, Sentinel, WarmProcess, self_contained, warm
from gc_warm.errors import (
    ProgramCancelledError,
    ProgramMissingError,
    ProgramStartError,
    RequestFailedError,
    UsageError,
)

ECHO = """
    import json, os, sys
    print('{"ready": true}', flush=True)
    for line in sys.stdin:
        message = json.loads(line)
        print(json.dumps({"id": message["id"], "result": message["request"]}), flush=True)
"""
# Starts a process in a group of its own, and prints its number.
GROUP = f"""{sys.executable} -S -E -c '
import os, subprocess
print(subprocess.Popen(["sleep", "600"], preexec_fn=os.setpgrp, stdout=2).pid)
'"""
SHELL = Sentinel('echo "{token}"', with_stderr=True)


@pytest.fixture
def echo(python, warm_process):
    return lambda **options: warm_process(python(ECHO), **options)


@pytest.fixture
def shell(warm_process):
    """Return a function that makes a shell, which answers with what its commands print."""
    return lambda **options: warm_process(["sh"], framing=SHELL, **options)


# Calls


def test_one_program_answers_many_calls(echo):
    process = echo()
    assert [{"a": [n, None]} for n in range(100)] == [
        process.call({"a": [n, None]}) for n in range(100)
    ]
    info = process.info()
    assert (100, 0, 0) == (info.calls, info.restarts, info.failures)
    assert info.uptime > 0


def test_it_starts_with_the_first_call_or_when_told(echo):
    process = echo()
    assert process.info().pid is None
    process.start()
    pid = process.info().pid
    process.call(1)
    assert pid == process.info().pid


def test_large_requests_and_answers_pass_at_the_same_time(warm_process, python):
    process = warm_process(
        python("""
            import os
            os.write(1, b'{"ready": true}\\n' + b"x" * 1_000_000 + b"\\n")
            size = 0
            while size < 3_000_000:
                data = os.read(0, 65536)
                size += len(data)
                os.write(1, b"y" * len(data))
            os.write(1, b'\\n{"id": 1, "result": "done"}\\n')
            os.read(0, 1)
        """)
    )
    assert "done" == process.call("z" * 3_000_000)


def test_an_error_of_the_program_is_raised_and_it_goes_on(served):
    process = served("def answer(number): return 1 / number")
    with pytest.raises(RequestFailedError, match="ZeroDivisionError: division by zero") as caught:
        process.call(0)
    assert "served.py" in caught.value.traceback
    assert 0.5 == process.call(2)
    assert 0 == process.info().restarts


def test_a_request_that_cannot_be_sent_leaves_the_program_alone(echo):
    process = echo()
    process.call(1)
    with pytest.raises(UsageError, match="cannot be written as JSON"):
        process.call({1, 2})
    process.call(1)
    assert 0 == process.info().restarts


def test_threads_take_turns_and_never_mix_answers(echo):
    process = echo()
    barrier = threading.Barrier(8)

    def call_many(thread):
        barrier.wait()
        return all([thread, n] == process.call([thread, n]) for n in range(200))

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(call_many, range(8)))
    assert 1600 == process.info().calls


def test_a_program_may_work_on_several_calls_at_once(served):
    process = served(
        """
        import threading
        barrier = threading.Barrier(4)
        def answer(number):
            barrier.wait(timeout=20)
            return number * 10
        """,
        workers=4,
        concurrency=4,
    )
    with ThreadPoolExecutor(8) as pool:
        assert [n * 10 for n in range(40)] == list(pool.map(process.call, range(40)))


def test_concurrency_needs_numbered_requests():
    with pytest.raises(UsageError, match="concurrency=2 needs a framing that numbers requests"):
        WarmProcess(["sh"], framing=SHELL, concurrency=2)


WRONG_TIMES = [0, -1, math.nan, "x"]
WRONG_COUNTS = [0, -1, 1.5, "x"]
WRONG = {
    "timeout": WRONG_TIMES,
    "start_timeout": WRONG_TIMES,
    "idle_timeout": WRONG_TIMES,
    "max_calls": WRONG_COUNTS,
    "max_rss": WRONG_COUNTS,
    "concurrency": [*WRONG_COUNTS, None],
    "env": [["A"], {"A": 1}, {1: "A"}],
    "cwd": [3],
    "umask": [-1, 0o1000, "x"],
    "limits": [3],
    "restarts": [3],
    "timer": [None, 3],
}


@pytest.mark.parametrize("name", WRONG)
def test_an_option_that_makes_no_sense_is_refused(name):
    for value in WRONG[name]:
        with pytest.raises(UsageError, match=f"^{name} must "):
            WarmProcess(["sh"], **{name: value})


@pytest.mark.parametrize("command", ["sh", b"sh", [], ["sh", 3], [b"sh"], None, 3])
def test_a_command_is_a_list_of_texts(command):
    message = "command must be a list of the program and its arguments, not"
    with pytest.raises(UsageError, match=message):
        WarmProcess(command)


@pytest.mark.parametrize("name", ["memory", "cpu_seconds", "open_files", "file_size"])
@pytest.mark.parametrize("value", [-1, 1.5, "x"])
def test_a_limit_that_makes_no_sense_is_refused(name, value):
    with pytest.raises(UsageError, match=f"{name} must be a whole number that is not negative"):
        Limits(**{name: value})


def test_a_value_that_is_no_text_is_not_shown_for_it_may_be_a_secret():
    with pytest.raises(UsageError, match="not bytes for 'TOKEN'") as caught:
        WarmProcess(["sh"], env={"TOKEN": b"hidden"})
    assert "hidden" not in str(caught.value)


@pytest.mark.parametrize("timeout", WRONG_TIMES)
def test_a_call_with_a_timeout_that_makes_no_sense_starts_nothing(shell, timeout):
    process = shell()
    with pytest.raises(UsageError, match="timeout must be a positive number of seconds or None"):
        process.call("true", timeout=timeout)
    assert process.info().pid is None


@pytest.mark.parametrize("odd", [{"env": {"A=B": ""}}, {"env": {"A": "\0"}}])
def test_what_the_system_cannot_start_is_said_to_be_that(shell, odd):
    with pytest.raises(ProgramStartError, match="could not be started: "):
        shell(**odd).start()


def test_text_of_many_lines_goes_in_and_out(shell):
    assert "a\nb\n" == shell().call("for x in a b\ndo\necho $x\ndone")


def test_output_needs_no_newline(shell):
    assert "abc" == shell().call("printf abc")


def test_standard_error_may_be_part_of_the_answer(shell):
    assert "out\nerr\n" == shell().call("echo out; echo err >&2")


# Where it runs


def test_it_has_a_working_directory_of_its_own_that_goes_with_it(shell):
    process = shell()
    assert f"{process.folder}\n" == process.call("pwd -P")
    assert 0o700 == stat.S_IMODE(process.folder.parent.stat().st_mode)


def test_its_folder_goes_in_the_end(shell):
    process = shell()
    process.call("echo text >file")
    folder = process.folder
    assert (folder / "file").exists()
    process.close()
    assert not folder.parent.exists()


def test_its_folder_is_kept_on_request(shell):
    process = shell(keep_folder=True)
    process.call("echo text >file")
    process.close()
    assert "text\n" == (process._folders.work / "file").read_text()
    shutil.rmtree(process._folders.work.parent)


def test_it_runs_in_a_given_folder(shell, tmp_path):
    process = shell(cwd=tmp_path)
    assert f"{tmp_path}\n" == process.call("pwd -P")
    process.close()
    assert tmp_path.exists()


def test_its_environment_is_changed_as_told(shell, monkeypatch):
    monkeypatch.setenv("REMOVED", "1")
    process = shell(env={"ADDED": "yes", "REMOVED": None})
    assert "yes no\n" == process.call("echo $ADDED ${REMOVED-no}")


def test_its_own_folder_is_for_temporary_files_unless_told_otherwise(shell, tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", "/elsewhere")
    process = shell()
    assert f"{process.call('pwd -P')}" == process.call("echo $TMPDIR")
    assert f"{tmp_path}\n" == shell(env={"TMPDIR": str(tmp_path)}).call("echo $TMPDIR")
    assert "/elsewhere\n" == shell(cwd=tmp_path).call("echo $TMPDIR")


def test_its_umask_is_as_told(shell):
    assert "0027\n" == shell(umask=0o027).call("umask")


def test_its_limits_are_as_told(warm_process, python):
    limits = Limits(memory=2**31, cpu_seconds=100, open_files=64, file_size=2**20)
    process = warm_process(
        python("""
            import json, resource as r
            names = (r.RLIMIT_AS, r.RLIMIT_CPU, r.RLIMIT_NOFILE, r.RLIMIT_FSIZE)
            print('{"ready": true}', flush=True)
            input()
            print(json.dumps({"id": 1, "result": [r.getrlimit(n)[0] for n in names]}), flush=True)
        """),
        limits=limits,
    )
    assert [2**31, 100, 64, 2**20] == process.call(None)


def test_a_limit_that_cannot_be_set_is_an_error(shell):
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if os.geteuid() == 0:
        most = 2**40  # more than the kernel allows anyone
    with pytest.raises(ProgramStartError, match=r"exited with status (126|2)"):
        shell(limits=Limits(open_files=most + 1), start_timeout=10).start()


def test_a_command_is_resolved_once(tmp_path, warm_process, monkeypatch):
    (tmp_path / "tool").symlink_to("/bin/sh")
    monkeypatch.chdir(tmp_path)
    process = warm_process(["./tool"], framing=SHELL)
    monkeypatch.chdir("/")
    assert "1\n" == process.call("echo 1")
    assert str(tmp_path / "tool") == process.command


def test_a_missing_program_is_named_with_the_path(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere:/bin")
    with pytest.raises(ProgramMissingError, match="`no-such-tool` is not in PATH=/nowhere:/bin on"):
        WarmProcess(["no-such-tool"])


def test_a_missing_path_is_named():
    with pytest.raises(ProgramMissingError, match="`/no/such/tool` does not exist on"):
        WarmProcess(["/no/such/tool"])


@pytest.mark.parametrize("command", ["sh -c true", []])
def test_a_command_is_a_list(command):
    with pytest.raises(UsageError, match="list of the program and its arguments"):
        WarmProcess(command)


def test_a_program_may_insist_on_a_terminal(warm_process):
    process = warm_process(["sh"], framing=SHELL, pty=True, env={"PS1": ""})
    assert "terminal\n" == process.call("test -t 0 && test -t 1 && test -t 2 && echo terminal")
    assert "same\n" == process.call("echo same >/dev/tty")


@pytest.mark.slow("sends a hundred kilobytes through a terminal")
def test_a_long_line_passes_through_a_terminal(warm_process):
    process = warm_process(["sh"], framing=SHELL, pty=True, env={"PS1": ""})
    assert "100000\n" == process.call(f"printf %s {'x' * 100_000} | wc -c")


def test_a_program_that_echoes(warm_process):
    framing = Sentinel('echo "{token}"', echo=True, with_stderr=True)
    process = warm_process(["sh", "-v"], framing=framing)
    assert "one\ntwo\n" == process.call("echo one\necho two")
    assert "" == process.call("true")


def test_a_framing_may_be_named_and_brings_the_options_it_needs(warm_process):
    process = warm_process(["bc", "-l"], framing="bc")
    assert process.command.endswith("bc -q -l")
    assert "1024\n" == process.call("2 ^ 10")
    with pytest.raises(RequestFailedError, match="Divide by zero"):
        process.call("1 / 0")


@pytest.mark.parametrize(
    ("framing", "message"),
    [
        ("matlab", "There is no framing 'matlab', but 'json', 'bc'"),
        (Sentinel, "framing must be one, such as Sentinel"),
        (b"bc", "or the name of one, not b'bc'"),
    ],
)
def test_what_is_no_framing_is_refused(framing, message):
    with pytest.raises(UsageError, match=message):
        WarmProcess(["sh"], framing=framing)


# Large data


def test_a_shared_folder_is_private_and_goes_after_the_call(shell):
    process = shell()
    with process.shared() as folder:
        (folder / "in").write_bytes(b"x" * 1_000_000)
        assert "1000000\n" == process.call(f"wc -c <{folder}/in")
        assert 0o700 == stat.S_IMODE(folder.stat().st_mode)
    assert not folder.exists()


@pytest.mark.skipif(not os.access("/dev/shm", os.W_OK), reason="no tmpfs")
def test_a_shared_folder_is_in_memory_if_it_can_be(shell):
    with shell().shared() as folder:
        assert folder.is_relative_to("/dev/shm")


def test_a_shared_folder_needs_room(shell):
    with pytest.raises(OSError, match="No room for"), shell().shared(2**60):
        pass


# Its end


def test_grandchildren_end_with_it_those_in_groups_of_their_own_too(shell, gone):
    process = shell()
    pids = process.call(f"sleep 600 & echo $!; {GROUP}").split()
    groups = [os.getpgid(int(pid)) for pid in pids]
    assert [process.info().pid, int(pids[1])] == groups
    process.close()
    assert gone(*map(int, pids))


def test_after_close_there_are_no_calls(echo):
    process = echo()
    process.call(1)
    process.close()
    process.close()
    with pytest.raises(ProgramCancelledError, match="was closed"):
        process.call(1)


def test_after_stop_the_next_call_starts_it(echo, gone):
    process = echo()
    process.call(1)
    pid = process.info().pid
    process.stop()
    assert gone(pid)
    assert process.info().pid is None
    assert 2 == process.call(2)
    assert (1, 0) == (process.info().restarts, process.info().failures)


def test_it_may_finish_when_it_is_stopped(warm_process, python, tmp_path):
    process = warm_process(
        python(f"""
            import sys
            print('{{"ready": true}}', flush=True)
            sys.stdin.read()
            open({str(tmp_path / "finished")!r}, "w").close()
        """)
    )
    process.start()
    process.close()
    assert (tmp_path / "finished").exists()


def test_it_goes_when_nobody_has_it_any_more(python, gone):
    process = WarmProcess(python(ECHO))
    process.call(1)
    pid, folder = process.info().pid, process.folder
    del process
    assert gone(pid)
    assert not folder.exists()


def test_no_descriptor_is_left(echo):
    def descriptors():
        return sorted(path.name for path in Path("/proc/self/fd").iterdir())

    before = descriptors()
    process = echo()
    for _ in range(3):
        process.call(1)
        process.stop()
    process.close()
    assert before == descriptors()


ORPHANS = """
import os, signal, sys
from gc_warm import Sentinel, WarmProcess
process = WarmProcess(["sh"], framing=Sentinel('echo "{token}"'))
answer = process.call("sleep 600 >&2 & echo $! $$; " + sys.argv[2])
with process.shared() as shared:
    print(answer.replace("\\n", " "), process.folder.parent, shared.parent, flush=True)
    if sys.argv[1] == "busy":
        process.call("while :; do :; done")
    signal.pause()
"""


@pytest.mark.quick(1)
@pytest.mark.parametrize("busy", ["idle", "busy"])
@pytest.mark.parametrize("number", ["SIGTERM", "SIGKILL"])
def test_no_orphan_and_no_file_when_the_worker_is_killed(gone, number, busy):
    import signal

    worker = subprocess.Popen(
        [sys.executable, "-c", ORPHANS, busy, GROUP], stdout=subprocess.PIPE, text=True
    )
    *pids, folder, shared = worker.stdout.readline().split()
    worker.send_signal(getattr(signal, number))
    worker.wait(30)
    worker.stdout.close()
    assert gone(*map(int, pids))
    assert 3 == len(pids)
    _wait_until_removed(Path(folder), Path(shared))


def _wait_until_removed(*folders):
    """The watcher removes them right after it has killed; nothing else tells when it is done."""
    import psutil

    watchers = [
        process
        for process in psutil.process_iter()
        if str(folders[0]) in " ".join(_command_line(process))
    ]
    psutil.wait_procs(watchers, timeout=10)
    assert not [folder for folder in folders if folder.exists()]


def _command_line(process):
    import psutil

    try:
        return process.cmdline()
    except psutil.Error:
        return []


def test_a_forked_child_starts_a_program_of_its_own(echo):
    process = echo()
    process.call(1)
    pid = process.info().pid
    read, write = os.pipe()
    child = os.fork()
    if not child:
        try:
            assert process.call(2) == 2
            os.write(write, str(process.info().pid).encode())
            process.close()
        finally:
            os._exit(0)
    os.close(write)
    theirs = int(os.read(read, 100))
    os.close(read)
    os.waitpid(child, 0)
    assert theirs != pid
    assert 3 == process.call(3)
    assert pid == process.info().pid


# As warm state


@warm
def shell_state():
    with WarmProcess(["sh"], framing=SHELL) as process:
        yield process


def test_as_warm_state_it_is_torn_down_with_it(gone):
    assert "1\n" == shell_state().call("x=1; echo $x")
    assert "2\n" == shell_state().call("echo $((x + 1))")
    pid = shell_state().info().pid
    shell_state.clear()
    assert gone(pid)


def test_as_warm_state_it_is_restarted_when_it_has_died(gone):
    shell_state().start()
    pid = shell_state().info().pid
    os.kill(pid, 9)
    assert gone(pid)
    assert "1\n" == shell_state().call("echo 1")
    assert 1 == shell_state().info().restarts
    shell_state.clear()


@self_contained
def count_in_a_shell():
    return shell_state().call("n=$((n + 1)); echo $n")


def test_prompts_are_for_programs_that_have_no_better(warm_process):
    framing = Prompt("{token}> ", start="PS1='{token}> '", with_stderr=True)
    process = warm_process(["sh", "-i"], framing=framing)
    assert "data > more\n" == process.call("echo 'data > more'")


QUIET = """
import json, sys
for line in sys.stdin:
    message = json.loads(line)
    print(json.dumps({"id": message["id"], "result": message["request"]}), flush=True)
"""


def test_a_program_that_never_says_that_it_is_ready_is_asked_at_once(warm_process, python):
    process = warm_process(python(QUIET), framing=JsonLines(ready=False), start_timeout=20)
    assert [{"a": 1}, "\udc80", ""] == [process.call(each) for each in ({"a": 1}, "\udc80", "")]
    assert 0 == process.info().restarts


@pytest.mark.parametrize(
    ("framing", "hint"),
    [
        (
            JsonLines(),
            r"not printed {\"ready\": true}\. .*JsonLines\(ready=False\).*another framing",
        ),
        (Sentinel("{token}"), "has not run the `end` command"),
        (Prompt("^> "), "ends with the prompt"),
    ],
    ids=lambda each: type(each).__name__,
)
def test_one_that_does_not_become_ready_gets_a_hint(warm_process, framing, hint):
    process = warm_process(["sleep", "600"], framing=framing, start_timeout=0.2)
    with pytest.raises(ProgramStartError, match=hint):
        process.start()


@pytest.mark.parametrize("switch", ["set -x", "set -v", "set -xv"])
def test_a_shell_that_shows_its_commands_stays_in_step(warm_process, switch):
    process = warm_process(["sh"], framing=Sentinel('echo "{token}"', with_stderr=True), timeout=20)
    process.call(switch)
    for number in range(20):
        lines = process.call(f"echo {number}").splitlines()
        assert [str(number)] == [line for line in lines if line.isdigit()]
    process.call("set +xv")
    assert ["1\n", "2\n"] == [process.call("echo 1"), process.call("echo 2")]
