"""``gc-warm program``: a program from the command line."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

GC_WARM = str(Path(sys.executable).with_name("gc-warm"))
SHELL = ["--end", 'echo "{token}"', "--stderr", "--error", "sh: "]


def program(*arguments, lines=""):
    return subprocess.run(
        [GC_WARM, "program", *arguments],
        input=lines,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_each_line_is_sent_and_its_answer_shown_with_the_time():
    done = program(*SHELL, "--", "sh", lines="x=1\necho $((x + 1))\n")
    assert 0 == done.returncode, done.stderr
    timeless = re.sub(r"[\d.]+ (µs|ms|s)\b", "TIME", done.stdout)
    assert re.fullmatch(
        r"started \S+/sh in TIME\n> x=1\n\n  \[TIME\]\n> echo \$\(\(x \+ 1\)\)\n2\n  \[TIME\]\n",
        timeless,
    )


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["program", *SHELL, "--", "sh"], "Requests"),
        (["run", "json:dumps", "--args", "@-"], "--args"),
    ],
)
def test_closed_standard_input_is_an_error_of_usage(arguments, what):
    command = ["sh", "-c", 'exec "$@" <&-', "sh", GC_WARM, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    message = f"Error: {what} cannot be read: standard input is closed.\n"
    assert (2, "", message) == (done.returncode, done.stdout, done.stderr)


def test_an_error_is_shown_and_the_next_line_is_sent():
    done = program(*SHELL, "--", "sh", lines="nonsense\necho on\n")
    assert 1 == done.returncode
    assert "RequestFailedError: Program" in done.stdout
    assert "\non\n" in done.stdout


def test_json_lines_are_the_default():
    text = """echo '{"ready": true}'; read x; echo '{"id": 1, "result": {"a": 2}}'; read x"""
    done = program("--", "sh", "-c", text, lines='{"b": [1]}\n')
    assert '\n{"a": 2}\n' in done.stdout


@pytest.mark.parametrize(
    ("command", "line", "answer"),
    [
        (["bc"], "2 ^ 10", "1024"),
        (["R"], "cat(6 * 7, fill = TRUE)", "42"),
        (["octave-cli"], "disp(6 * 7)", "42"),
        (["sqlite3"], "select 6 * 7;", "42"),
    ],
)
def test_a_known_program_needs_no_options(command, line, answer):
    if shutil.which(command[0]) is None:
        pytest.skip(f"there is no {command[0]}")
    done = program("--", *command, lines=f"{line}\n")
    assert (0, "") == (done.returncode, done.stderr)
    assert f"> {line}\n{answer}\n" in done.stdout


def test_a_framing_brings_its_options_under_any_name(tmp_path):
    (tmp_path / "calculate").symlink_to(shutil.which("bc"))
    done = program("--framing", "bc", "--", str(tmp_path / "calculate"), lines="1 / 0\n1\n")
    assert "calculate -q in" in done.stdout
    assert "Divide by zero" in done.stdout
    assert "> 1\n1\n" in done.stdout


@pytest.mark.slow("waits three seconds for a hint")
@pytest.mark.parametrize(
    ("arguments", "lines", "hint"),
    [
        (["--", "cat"], "", r'up to 60 s for \S+cat to become ready: it has not printed {"ready"'),
        ([*SHELL, "--", "sh"], "if true\n", r"for an answer of \S+sh: perhaps the request was inc"),
    ],
)
def test_a_silent_program_gets_a_hint_long_before_the_time_is_over(arguments, lines, hint):
    with subprocess.Popen(
        [GC_WARM, "program", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as done:
        done.stdin.write(lines)
        done.stdin.flush()
        shown = done.stderr.readline()
        done.send_signal(signal.SIGINT)
        done.communicate(timeout=20)
    assert re.search(hint, shown)
    assert 130 == done.returncode


def test_the_timeout_limits_the_start_too():
    done = program("--timeout", "0.1", "--", "cat")
    assert 1 == done.returncode
    assert "did not become ready within 0.1 s" in done.stderr


def test_bytes_that_are_no_text_are_sent_as_they_are():
    done = subprocess.run(
        [GC_WARM, "program", *SHELL, "--", "sh"],
        input=b"printf '%s' '\xff' | od -An -tx1\n",
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert b"\n ff\n" in done.stdout, done.stderr


def test_a_prompt_may_be_given():
    done = program(
        "--prompt",
        "{token}> ",
        "--start",
        "PS1='{token}> '",
        "--stderr",
        "--",
        "sh",
        "-i",
        lines="echo 1\n",
    )
    assert "> echo 1\n1\n" in done.stdout, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["--framing", "matlab", "--", "sh"], 2, "There is no framing 'matlab', but 'json', 'bc'"),
        (["--end", "echo", "--", "sh"], 2, "must contain {token}"),
        (["--", "no-such-program"], 1, "`no-such-program` is not in PATH="),
        ([], 2, "Missing argument"),
    ],
)
def test_what_is_wrong_gives_one_clear_line(arguments, status, message):
    done = program(*arguments)
    assert status == done.returncode
    assert message in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
