"""``gc-warm map`` and ``gc-warm report``; what is interrupted or killed, as processes."""

import contextlib
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

GC_WARM = Path(sys.executable).with_name("gc-warm")
MODULE = """
import os
import time
from gc_warm import self_contained, warm

@warm
def model(name):
    return name.upper()

@self_contained
def use(item):
    with open("LOG", "a") as log:
        log.write(f"{item}\\n")
    if item.get("fail") and os.path.exists("FAIL"):
        raise ValueError(f"{item['number']} fails")
    if item.get("odd"):
        return {1, 2}
    return [model(item["model"]), item["number"]]

def double(number):
    return 2 * number

def add(first, second):
    return first + second

def slow(number):
    time.sleep(0.02)
    return number
"""


@pytest.fixture
def folder(tmp_path):
    text = MODULE.replace("LOG", str(tmp_path / "log")).replace("FAIL", str(tmp_path / "fail"))
    (tmp_path / "lab.py").write_text(text)
    return tmp_path


@pytest.fixture
def run_map(gc_warm):
    def run(function, *options):
        return gc_warm(*("map", function, "--input", "in.jsonl", "--output", "out.jsonl", *options))

    return run


def write(folder, values):
    text = "".join(f"{each if isinstance(each, str) else json.dumps(each)}\n" for each in values)
    (folder / "in.jsonl").write_text(text)


def read(folder, name="out.jsonl"):
    return [json.loads(line) for line in (folder / name).read_text().splitlines()]


def calls(folder):
    return len((folder / "log").read_text().splitlines())


def items(count, **special):
    return [
        {"model": "ab"[number % 2], "number": number, **special.get(f"n{number}", {})}
        for number in range(count)
    ]


@pytest.mark.parametrize(
    ("source", "target", "options"),
    [
        ("in.jsonl", "in.jsonl", ()),
        ("out.errors.jsonl", "out.jsonl", ()),
        ("in.jsonl", "out.jsonl", ("--receipts", "in.jsonl")),
        ("in.jsonl", "out.jsonl", ("--report", "in.jsonl")),
        ("in.jsonl", "out.jsonl", ("--receipts", "out.jsonl")),
        ("in.jsonl", "out.jsonl", ("--report", "out.errors.jsonl")),
    ],
)
def test_nothing_is_written_over_another_file(folder, gc_warm, source, target, options):
    (folder / source).write_text("1\n")
    done = gc_warm(
        *("map", "lab:double", "--input", source, "--output", target, "--local", 1),
        *options,
    )
    assert 2 == done.code
    assert "1\n" == (folder / source).read_text()


def test_a_file_that_is_no_file_of_errors_stays(folder, run_map):
    write(folder, [1])
    (folder / "out.errors.jsonl").write_text("my notes\n")
    done = run_map("lab:double", "--local", 1)
    assert 2 == done.code
    assert "out.errors.jsonl would be replaced" in done.err
    assert "my notes\n" == (folder / "out.errors.jsonl").read_text()


def test_a_line_that_is_no_list_of_arguments_fails_alone(folder, run_map):
    write(folder, [[1, 2], 7, "ab", {"first": 1}, [3, 4]])
    done = run_map("lab:add", "--spread", "--local", 1)
    assert 1 == done.code
    last = "The first error, of line 2: The line must be a list of arguments, not int."
    assert last == done.out.splitlines()[-1]
    assert [3, 7] == [each["result"] for each in read(folder)]
    assert [2, 3, 4] == [each["line"] for each in read(folder, "out.errors.jsonl")]


def test_each_line_has_its_result_and_a_second_run_does_what_is_missing(folder, run_map):
    bad = ["{not json", "", {"number": 1}, "[" * 100_000]
    write(folder, [*items(20, n5={"fail": True}, n7={"odd": True}), *bad])
    (folder / "fail").touch()
    done = run_map("lab:use", "--local", 2, "--key", "model")
    assert (1, "") == (done.code, done.err)
    assert "18 done, 0 were done before: out.jsonl\n5 failed: out.errors.jsonl\n" in done.out
    assert re.search(r"\nThe first error, of line \d+: .+\n\Z", done.out)
    results = read(folder)
    assert [n + 1 for n in range(20) if n not in {5, 7}] == [each["line"] for each in results]
    assert [["A", 0], ["B", 1]] == [each["result"] for each in results[:2]]
    errors = {each["line"]: each for each in read(folder, "out.errors.jsonl")}
    assert [6, 8, 21, 23, 24] == sorted(errors)
    assert "ValueError: 5 fails" == errors[6]["error"]
    assert "in use" in errors[6]["traceback"]
    assert "cannot be written as JSON" in errors[8]["error"]
    assert "not JSON" in errors[21]["error"]
    assert "KeyError: 'model'" == errors[23]["error"]

    (folder / "fail").unlink()
    before = calls(folder)
    again = run_map("lab:use", "--local", 1)
    assert "1 done, 18 were done before: out.jsonl" in again.out
    assert 3 == calls(folder) - before
    assert [n + 1 for n in range(20) if n != 7] == [each["line"] for each in read(folder)]

    write(folder, items(20))  # lines 6 and 8 have changed; of these, only 6 had a result
    last = run_map("lab:use", "--local", 1, "--again")
    assert 0 == last.code
    assert "2 done, 18 were done before: out.jsonl\n1 dropped: " in last.out
    assert ["A", 0] == read(folder)[0]["result"]
    assert {"in.jsonl", "out.jsonl", "lab.py", "log"} == {
        each.name for each in folder.iterdir() if each.name != "__pycache__"
    }


@pytest.mark.slow
def test_results_of_another_input_or_function_are_neither_kept_nor_dropped_silently(
    folder, run_map
):
    write(folder, range(4))
    assert 0 == run_map("lab:double", "--local", 1).code
    before = (folder / "out.jsonl").read_text()
    write(folder, [0, 10, 2])  # 1 has changed, 3 is gone
    refused = run_map("lab:double", "--local", 1)
    assert (2, before) == (refused.code, (folder / "out.jsonl").read_text())
    assert "gone or changed (2), or of another version of the function (0)" in refused.err
    again = run_map("lab:double", "--local", 1, "--again")
    assert "1 done, 2 were done before: out.jsonl\n2 dropped: " in again.out
    assert [0, 20, 4] == [each["result"] for each in read(folder)]

    write(folder, [0, 10, 2, 3])
    module = folder / "lab.py"
    module.write_text(module.read_text().replace("2 * number", "3 * number"))
    refused = run_map("lab:double", "--local", 1)
    assert (2, True) == (
        refused.code,
        "another version of the function (3)." in refused.err,
    )
    kept = run_map("lab:double", "--local", 1, "--keep")
    assert "1 done, 3 were done before: out.jsonl\n" == kept.out
    assert [0, 20, 4, 9] == [each["result"] for each in read(folder)]
    again = run_map("lab:double", "--local", 1, "--again")
    assert "3 done, 1 were done before: out.jsonl\n3 dropped: " in again.out
    assert [0, 30, 6, 9] == [each["result"] for each in read(folder)]
    assert 2 == run_map("lab:slow", "--local", 1).code


@pytest.mark.slow("starts workers, for a kind of line; another is quick")
def test_a_number_that_json_has_not_is_an_error_and_a_byte_order_mark_is_none(folder, run_map):
    (folder / "in.jsonl").write_text('\ufeff"nan"\n"1.5"\n"inf"\n')
    assert 1 == run_map("builtins:float", "--local", 1).code
    assert [(2, 1.5)] == [(each["line"], each["result"]) for each in read(folder)]
    errors = read(folder, "out.errors.jsonl")
    assert [1, 3] == [each["line"] for each in errors]
    assert all("JSON" in each["error"] for each in errors)


@pytest.mark.slow("starts workers, for a kind of line; two others are quick")
def test_what_json_cannot_tell_apart_is_an_error_of_its_line(folder, run_map):
    (folder / "lab.py").write_text("def keys(number):\n    return {1: 'a', str(number): 'b'}\n")
    write(folder, [1])
    assert 1 == run_map("lab:keys").code
    assert "has the key 1" in read(folder, "out.errors.jsonl")[0]["error"]


@pytest.mark.slow("starts workers, for a kind of line; two others are quick")
def test_an_error_without_words_and_a_line_that_is_no_utf_8_fail_alone(folder, run_map):
    text = "class E(Exception):\n  __str__ = None\ndef same(value):\n"
    text += "  if value == 2: raise E()\n  return value\n"
    (folder / "lab.py").write_text(text)
    (folder / "in.jsonl").write_bytes(b'1\n2\n"caf\xe9"\n4\n')
    assert 1 == run_map("lab:same").code
    assert [1, 4] == [each["result"] for each in read(folder)]
    errors = {each["line"]: each["error"] for each in read(folder, "out.errors.jsonl")}
    assert {2, 3} == set(errors)
    assert errors[3].startswith("The line is not UTF-8")


@pytest.mark.slow("starts workers three times")
def test_links_and_modes_of_the_output_stay_and_what_is_no_file_is_refused(folder, run_map):
    write(folder, [1])
    real = folder / "real.jsonl"
    (folder / "out.jsonl").symlink_to(real)
    assert 0 == run_map("lab:double").code
    real.chmod(0o600)
    write(folder, [1, 2])
    assert 0 == run_map("lab:double").code
    assert (folder / "out.jsonl").is_symlink()
    assert [2, 4] == [each["result"] for each in read(folder)]
    assert 0o600 == real.stat().st_mode & 0o777
    (folder / "out.jsonl").unlink()
    os.mkfifo(folder / "out.jsonl")
    refused = run_map("lab:double")
    assert 2 == refused.code
    assert "is no file" in refused.err


def test_lines_are_spread_over_arguments_and_receipts_are_kept(folder, run_map, gc_warm):
    write(folder, [[1, 2], [3, 4]])
    done = run_map(
        *("lab:add", "--spread", "--local", 1),
        *("--receipts", "run.jsonl", "--report", "run.html"),
    )
    assert 0 == done.code, done.err
    assert [3, 7] == [each["result"] for each in read(folder)]
    page = (folder / "run.html").read_text()
    assert "<h1>gc-warm map lab:add</h1>" in page
    again = run_map("lab:add", "--spread", "--local", 1, "--report", "run.html")
    assert "0 done, 2 were done before: out.jsonl\n" == again.out
    assert "Nothing was run, so no report was written to run.html.\n" == again.err
    assert page == (folder / "run.html").read_text()
    shown = gc_warm("report", "run.jsonl", "run.jsonl")
    assert re.search(r"calls +2 +in \d tasks on 1 worker", shown.out)
    figures = json.loads(gc_warm("report", "run.jsonl", "--json").out)
    assert (2, 0, 1) == (figures["calls"], figures["failed"], len(figures["workers"]))
    saved = gc_warm("report", "run.jsonl", "--save", "a.svg", "--save", "a.jsonl")
    assert (0, "saved a.svg\nsaved a.jsonl\n") == (saved.code, saved.out)
    assert 0o600 == (folder / "a.svg").stat().st_mode & 0o777


@pytest.mark.slow
def test_an_interrupted_run_leaves_its_results_and_the_next_goes_on(folder, run_map):
    """In a terminal, whose bar tells how far it is."""
    write(folder, range(2000))
    ours, theirs = pty.openpty()
    command = [GC_WARM, "map", "lab:slow", "--input", "in.jsonl", "--output", "out.jsonl"]
    running = subprocess.Popen(
        [*command, "--local", "2"],
        cwd=folder,
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=theirs,
        start_new_session=True,
        text=True,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "100"},
    )
    os.close(theirs)
    seen = b""
    while not re.search(rb"m[1-9]\d+/", seen):
        seen += os.read(ours, 65536)
    started = psutil.Process(running.pid).children(recursive=True)
    os.kill(running.pid, signal.SIGINT)
    while running.poll() is None:  # or else the terminal's buffer fills up
        if select.select([ours], [], [], 0.05)[0]:
            with contextlib.suppress(OSError):  # it is closed
                os.read(ours, 65536)
    output, _ = running.communicate(timeout=30)
    os.close(ours)
    assert (130, "") == (running.returncode, output)
    assert not psutil.wait_procs(started, timeout=5)[1]
    done = len(read(folder))
    assert 0 < done < 2000
    write(folder, range(done + 5))
    again = run_map("lab:slow", "--local", 2)
    assert f"5 done, {done} were done before: out.jsonl\n" == again.out, again.err
    assert [*range(done + 5)] == [each["result"] for each in read(folder)]


@pytest.mark.slow
def test_what_is_done_outlives_a_run_that_is_killed(folder, run_map):
    write(folder, range(100))
    command = [GC_WARM, "map", "lab:slow", "--input", "in.jsonl", "--output", "out.jsonl"]
    command += ["--local", "1", "--chunksize", "2", "--quiet"]
    part = folder / "out.jsonl.part"
    running = subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL)
    while not (part.exists() and part.read_text().count("\n") >= 4):
        assert running.poll() is None
        time.sleep(0.001)
    running.kill()
    running.wait()
    again = run_map("lab:slow", "--local", 1)
    done, known = map(int, re.findall(r"(\d+) (?:done|were)", again.out))
    assert known >= 4
    assert 100 == done + known
    assert [*range(100)] == [each["result"] for each in read(folder)]


@pytest.mark.slow
def test_what_a_killed_run_has_left_is_used(folder, run_map):
    write(folder, range(3))
    assert 0 == run_map("lab:double", "--local", 1).code
    lines = (folder / "out.jsonl").read_text().splitlines(keepends=True)
    (folder / "out.jsonl").write_text(lines[1])
    (folder / "out.jsonl.part").write_text(lines[0] + lines[2][:-9])  # cut off
    again = run_map("lab:double", "--local", 1)
    assert "1 done, 2 were done before: out.jsonl\n" == again.out
    assert lines == (folder / "out.jsonl").read_text().splitlines(keepends=True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--local", "1", "--service"], "Give one of --endpoint, --local and --service"),
        (["--retries", "-1"], "--retries"),
        (["--output", "in.jsonl"], "would replace the input"),
        (["--output", "lab.py"], "is no result of gc-warm map"),
        (["--input", "nothing.jsonl"], "nothing.jsonl"),
        (["--report", "x.pdf"], "must end with .html"),
        (["--key", "modle"], "no line of the input has this field. It has: model, size.\n"),
    ],
)
def test_wrong_usage_of_map(folder, run_map, options, message):
    write(folder, [1, {"model": "a", "size": 1}])
    done = run_map("lab:double", *options)
    assert 2 == done.code
    assert message in done.err
    assert "Traceback" not in done.err


def test_wrong_usage_of_report(folder, gc_warm, gc_warm_process):
    write(folder, [1])
    done = gc_warm("report", "in.jsonl")
    assert (2, True) == (done.code, "in.jsonl is no file of receipts" in done.err)
    (folder / "in.jsonl").write_text('{"id": "a')
    done = gc_warm_process("report", "in.jsonl")
    assert (0, True) == (done.code, "in.jsonl: line 1 was cut off" in done.err)
