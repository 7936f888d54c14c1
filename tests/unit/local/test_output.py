"""What workers print is shown, kept, and told with a task's error."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from globus_compute_sdk.errors import TaskExecutionFailed

from gc_warm.errors import UsageError
from gc_warm.local.executor import LocalExecutor
from gc_warm.local.output import KEPT_CHARACTERS, KEPT_LINES, Display, Lines

TALK = ["out", "err", "logged", "from a program", "no end"]


def notes(error):
    return "\n".join(getattr(error, "__notes__", ()))


def failure(executor, function, *args):
    with pytest.raises(TaskExecutionFailed) as caught:
        executor.submit(function, *args).result()
    return caught.value


# Shown


def test_it_is_shown_line_by_line_with_the_process_id(executor, tasks, capfd):
    pid = executor.submit(tasks.talk).result()
    shown = capfd.readouterr()
    assert shown.err == "".join(f"[worker {pid}] {line}\n" for line in TALK)
    assert shown.out == ""


def test_it_is_shown_while_the_task_runs(make_executor, tasks, capfd, tmp_path):
    future = make_executor(workers=1, output=True).submit(
        tasks.print_and_wait, str(tmp_path / "go")
    )
    shown = ""
    deadline = time.monotonic() + 30
    while "begun" not in shown and time.monotonic() < deadline:
        shown += capfd.readouterr().err
    (tmp_path / "go").touch()
    future.result()
    assert re.fullmatch(r"\[worker \d+\] begun\n", shown)


def test_it_goes_to_whatever_standard_error_is(executor, tasks, capsys):
    pid = executor.submit(tasks.talk).result()
    assert f"[worker {pid}] out\n" in capsys.readouterr().err


def test_it_is_not_shown(make_executor, tasks, capfd):
    make_executor(workers=1, output=False).submit(tasks.talk).result()
    assert capfd.readouterr() == ("", "")


@pytest.mark.slow("starts a client and its workers, for a stream that few close")
@pytest.mark.parametrize("closed", ["sys.stderr = None", "sys.stderr.close()", "os.close(2)"])
def test_client_without_standard_error(closed):
    code = f"""
import os, sys
from gc_warm import LocalExecutor
{closed}
with LocalExecutor(workers=1) as executor:
    print(executor.submit(os.system, "echo hello").result())
"""
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert ended.stdout == "0\n"


def test_what_is_overwritten_is_shown_as_it_ends():
    lines = Lines(Display(output=False), "worker")
    lines.add(b" 10%\r 50%\r100%\nwindows\r\n\xff\n")
    assert lines.end() == "100%\nwindows\n\\xff"


def test_task_that_prints_without_end_and_workers_that_print_much(make_executor, tasks):
    executor = make_executor(workers=2, output=False)
    futures = [executor.submit(tasks.print_much) for _ in range(4)]
    assert [future.result(timeout=60) for future in futures] == ["done"] * 4


def test_background_program_that_prints_for_ever_holds_up_nothing(make_executor):
    # Of its own, which end what a task left running.
    executor = make_executor(workers=1, output=False, worker_env={})
    executor.submit(os.system, "yes &").result(timeout=30)
    assert executor.submit(len, "abc").result(timeout=30) == 3


def test_replaced_and_closed_streams(make_executor, tasks):
    executor = make_executor(workers=1, output=True)
    assert executor.submit(tasks.close_streams).result() == "closed"
    assert executor.submit(len, "abc").result() == 3


# Kept


def test_it_is_kept_in_a_folder(make_executor, tasks, tmp_path):
    folder = tmp_path / "a" / "b"
    executor = make_executor(workers=1, output=folder)
    pid = executor.submit(tasks.talk).result()
    executor.submit(tasks.talk, "again").result()
    assert (folder / f"worker-{pid}.txt").read_text().splitlines() == [*TALK, "again", *TALK[1:]]


@pytest.mark.parametrize("output", [1, "file/below"])
def test_wrong_output(output, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    with pytest.raises(UsageError, match="output="):
        LocalExecutor(output=output)


# Told with the error


@pytest.mark.skipif(sys.version_info < (3, 11), reason="exceptions have no notes")
def test_last_lines_of_a_task_that_fails(executor, tasks):
    error = failure(executor, tasks.print_and_fail)
    assert notes(error).endswith("The last lines that the task printed:\n0\n1\n2")


@pytest.mark.skipif(sys.version_info < (3, 11), reason="exceptions have no notes")
def test_they_are_this_tasks(make_executor, tasks):
    executor = make_executor(workers=1, output=True)
    executor.submit(tasks.talk, "former").result()
    failure(executor, tasks.print_and_fail)
    assert notes(failure(executor, tasks.print_and_fail, 0)) == ""


@pytest.mark.skipif(sys.version_info < (3, 11), reason="exceptions have no notes")
def test_they_are_not_too_many(executor, tasks):
    lines = notes(failure(executor, tasks.print_and_fail, 100)).splitlines()[1:]
    assert lines == [str(number) for number in range(100 - KEPT_LINES, 100)]
    assert len(notes(failure(executor, tasks.print_and_fail, 10, 1000))) < KEPT_CHARACTERS + 100


def test_lost_workers_error_has_this_tasks_lines_only(make_executor, tasks):
    executor = make_executor(workers=1, output=False)
    failure(executor, tasks.print_and_fail)
    text = str(failure(executor, tasks.print_and_die, "about to die"))
    assert re.search(r"The last lines that it printed:\n *about to die\n", text)
    assert "ValueError" not in text
    assert "Traceback" not in text


# Of engines


@pytest.mark.quick(1)
@pytest.mark.parametrize("kind", ["ThreadPoolEngine", "ProcessPoolEngine"])
def test_engine(make_executor, tasks, kind, tmp_path, capfd):
    path = tmp_path / "config.yaml"
    path.write_text(f"engine: {{type: {kind}, max_workers: 1}}\n")
    executor = make_executor(endpoint_config=path, output=tmp_path / "kept")
    executor.submit(tasks.talk).result()
    failure(executor, tasks.print_and_fail)
    executor.shutdown()
    [kept] = (tmp_path / "kept").iterdir()
    lines = kept.read_text().splitlines()
    assert {"out", "err", "logged", "from a program", "1", "2"} <= {*lines}
    assert "ValueError: wrong" not in lines
    source = kept.stem.replace("-", " ")
    assert f"[{source}] out\n" in capfd.readouterr().err


@pytest.mark.slow
def test_blocks_of_htex(make_executor, tasks, tmp_path, capfd):
    path = tmp_path / "config.yaml"
    path.write_text(
        "engine:\n  type: GlobusComputeEngine\n  address: 127.0.0.1\n  max_workers_per_node: 1\n"
        "  provider: {type: LocalProvider, init_blocks: 1, min_blocks: 1, max_blocks: 1}\n"
    )
    executor = make_executor(endpoint_config=path)
    executor.submit(tasks.talk).result()
    executor.shutdown()
    shown = capfd.readouterr().err.splitlines()
    assert {"[block] out", "[block] err", "[block] from a program"} <= {*shown}
