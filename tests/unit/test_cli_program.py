"""``gc-warm program``: a program from the command line."""

from __future__ import annotations

import re
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


def test_an_error_is_shown_and_the_next_line_is_sent():
    done = program(*SHELL, "--", "sh", lines="nonsense\necho on\n")
    assert 1 == done.returncode
    assert "RequestFailedError: Program" in done.stdout
    assert "\non\n" in done.stdout


def test_json_lines_are_the_default():
    text = """echo '{"ready": true}'; read x; echo '{"id": 1, "result": {"a": 2}}'; read x"""
    done = program("--", "sh", "-c", text, lines='{"b": [1]}\n')
    assert '\n{"a": 2}\n' in done.stdout


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
        (["--framing", "matlab", "--", "sh"], 2, "--framing matlab is none of json, bc"),
        (["--end", "echo", "--", "sh"], 2, "must print {token}"),
        (["--", "no-such-program"], 1, "`no-such-program` is not in PATH="),
        ([], 2, "Missing argument"),
    ],
)
def test_what_is_wrong_gives_one_clear_line(arguments, status, message):
    done = program(*arguments)
    assert status == done.returncode
    assert message in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
