"""The command line, as a process: what it prints, how it exits, what it leaves."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

GC_WARM = [str(Path(sys.executable).with_name("gc-warm"))]


def gc_warm(*arguments, cwd=None, **options):
    return subprocess.run(
        [*GC_WARM, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=cwd,
        check=False,
        **options,
    )


@pytest.fixture
def files(tmp_path):
    folder = tmp_path / "files"
    folder.mkdir()
    for number in range(6):
        (folder / f"{number}.py").write_text(
            f"import os\n\n\ndef f{number}():\n    return os.name\n"
        )
    (folder / "page.html").write_text("<!doctype html><html><body><p>Hello</p></body></html>\n")
    (folder / "empty").touch()
    (folder / "broken").symlink_to("nowhere")
    os.mkfifo(folder / "pipe")
    return folder


@pytest.mark.slow("loads the model cold for file after file")
def test_demo_identifies_files_and_reports_one_cold_start_for_each_worker(files):
    done = gc_warm("demo", files, "--json", cwd=files.parent)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["files"] == 7
    assert report["types"] == {"python": 6, "html": 1}
    skipped = {Path(item["path"]).name: item["reason"] for item in report["skipped"]}
    assert skipped == {
        "broken": "Broken symbolic link",
        "empty": "Empty file",
        "pipe": "Not a file, but a named pipe",
    }
    workers = report["costs"]["workers"]
    assert sum(worker["calls"] - worker["builds"] for worker in workers) == 10
    assert [1, 1] == [worker["builds"] for worker in workers]
    assert report["cold_seconds_median"] > report["warm_seconds_median"]
    assert report["speedup"] > 0


@pytest.mark.slow
def test_demo_prints_tables_without_colour_or_bar_into_a_pipe(files):
    done = gc_warm("demo", "files", cwd=files.parent)
    assert done.returncode == 0, done.stderr
    assert "\x1b" not in done.stdout
    assert done.stderr == ""
    assert f"7 files under {files}" in done.stdout
    assert "What the calls have cost" in done.stdout
    assert f"{files / 'broken'}: Broken symbolic link" in done.stdout
    assert "times as long" in done.stdout
    page = (files.parent / "gc-warm-demo.html").read_text()
    assert "gc_warm.functions.filetype.identify" in page
    assert "gw-cold" in page


@pytest.mark.slow
def test_demo_identifies_a_single_file(files):
    told = gc_warm("demo", files / "page.html", cwd=files.parent).stdout
    assert f"1 file under {files / 'page.html'}" in told
    assert "1 call took" in told
    assert "html" in told


def test_demo_of_an_empty_folder_says_so(tmp_path):
    done = gc_warm("demo", tmp_path, cwd=tmp_path.parent)
    assert done.returncode == 0
    assert f"0 files under {tmp_path}" in done.stdout


def test_demo_of_a_missing_folder_is_wrong_usage():
    done = gc_warm("demo", "/no/such/folder")
    assert done.returncode == 2
    assert "/no/such/folder" in done.stderr


@pytest.mark.slow
def test_ctrl_c_stops_the_demo_shows_what_was_done_and_leaves_no_process(tmp_path):
    """In a terminal of its own, whose bar tells when the work has begun."""
    for number in range(20_000):
        (tmp_path / f"{number}.txt").write_text("hello\n")
    ours, theirs = pty.openpty()
    demo = subprocess.Popen(
        [*GC_WARM, "demo", str(tmp_path)],
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=theirs,
        start_new_session=True,
        text=True,
        cwd=tmp_path.parent,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "100"},
    )
    os.close(theirs)
    seen = b""
    while b"20000" not in seen or b" 0/20000" in seen[-200:]:
        seen += os.read(ours, 65536)
    started = psutil.Process(demo.pid).children(recursive=True)
    os.kill(demo.pid, signal.SIGINT)
    reader = _drain(ours)
    output, _ = demo.communicate(timeout=20)
    reader.join()
    os.close(ours)
    assert demo.returncode == 130
    assert f"under {tmp_path}" in output
    assert len(started) >= 3
    assert not psutil.wait_procs(started, timeout=5)[1]


def _drain(terminal):
    """Keep a terminal's buffer from filling up, until its other end is closed."""
    import threading

    def read():
        try:
            while os.read(terminal, 65536):
                pass
        except OSError:
            pass

    thread = threading.Thread(target=read)
    thread.start()
    return thread


def test_run_prints_results_and_receipts():
    done = gc_warm("run", "gc_warm.functions.counter:increase_count", "--times", "3")
    assert done.returncode == 0, done.stderr
    for text in ("'count': 1", "'count': 3", "cold starts", "pid"):
        assert text in done.stdout


@pytest.mark.slow("starts workers; the run of a module of one's own has all of it")
def test_run_prints_json():
    done = gc_warm("run", "gc_warm.functions.counter:increase_count", "--times", "4", "--json")
    calls = json.loads(done.stdout)
    assert [1, 2, 3, 4] == [call["result"]["count"] for call in calls]
    assert len({call["receipt"]["pid"] for call in calls}) == 1


TALKING = """
from gc_warm import self_contained

@self_contained
def talk(fail=False):
    print("hello from the worker")
    assert not fail
    return 1
"""


@pytest.mark.slow("starts workers")
@pytest.mark.parametrize(
    ("options", "shown", "kept"),
    [([], True, False), (["--quiet"], False, False), (["--logs", "folder"], True, True)],
)
def test_run_shows_what_the_worker_prints(tmp_path, options, shown, kept):
    (tmp_path / "talking.py").write_text(TALKING)
    done = gc_warm("run", "talking:talk", *options, cwd=tmp_path)
    assert done.returncode == 0
    assert re.fullmatch(r"\[worker \d+\] hello from the worker\n" if shown else "", done.stderr)
    texts = [path.read_text() for path in tmp_path.glob("folder/*")]
    assert texts == (["hello from the worker\n"] if kept else [])


@pytest.mark.slow("starts workers; tests of their output are quick")
@pytest.mark.skipif(sys.version_info < (3, 11), reason="exceptions have no notes")
def test_run_that_fails_ends_with_what_the_worker_printed(tmp_path):
    (tmp_path / "talking.py").write_text(TALKING)
    done = gc_warm("run", "talking:talk", "--args", "[true]", "--quiet", cwd=tmp_path)
    assert done.returncode == 1
    assert "AssertionError" in done.stderr
    assert done.stderr.endswith("The last lines that the task printed:\nhello from the worker\n")


@pytest.mark.slow("starts workers")
def test_run_finds_a_module_of_the_current_folder(tmp_path):
    (tmp_path / "mine.py").write_text(
        "from gc_warm import self_contained, warm\n\n@warm\ndef model(name):\n    return [name]\n\n"
        "@self_contained\ndef use(name, *, times=1):\n    return model(name) * times\n"
    )
    options = ("--args", '["a"]', "--kwargs", '{"times": 2}', "--times", "2", "--json")
    done = gc_warm("run", "mine:use", *options, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    first, second = json.loads(done.stdout)
    assert first["result"] == ["a", "a"]
    assert (1, 0) == (first["receipt"]["cold_starts"], second["receipt"]["cold_starts"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nocolon"], "is not MODULE:FUNCTION"),
        (["no_such_module:f"], "Cannot import 'no_such_module'"),
        (["json:nothing"], "Cannot find 'nothing'"),
        (["json:loads"], "put @self_contained above it"),
        (["gc_warm.functions.counter:increase_count", "--args", "{"], "--args is neither JSON"),
        (["gc_warm.functions.counter:increase_count", "--args", "{}"], "--args must be a list"),
        (["gc_warm.functions.counter:increase_count", "--kwargs", "[]"], "must be an object"),
        (["gc_warm.functions.counter:increase_count", "--times", "0"], "--times"),
    ],
)
def test_wrong_usage_gives_one_clear_line(arguments, message):
    done = gc_warm("run", *arguments)
    assert done.returncode == 2
    assert message in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


@pytest.mark.slow("starts workers; the run of a module of one's own has all of it")
def test_a_failing_call_shows_the_remote_traceback():
    done = gc_warm("run", "gc_warm.functions.filetype:identify", "--args", '["/etc/hosts"]')
    assert done.returncode == 1
    assert "identify() takes a list of paths" in done.stderr
